"""The version of the package, read by the build and by `cosv4fs.__version__`."""

__version__ = "0.2.0"
