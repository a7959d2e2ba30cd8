"""The package as users get it: built, checked, and installed into fresh environments; ``python -m tests.packaging``."""
