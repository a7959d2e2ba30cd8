"""Packages that are needed and not installed: which, and how to install them.

The hints name packages, never extras of this one: such a command works however this package was installed, also from a
clone.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

_PACKAGES = {"libarchive": "libarchive-c", "smbclient": "smbprotocol"}
"""Packages by module, where their names differ in more than punctuation."""


def missing_package(error: ImportError, *needed: str) -> ImportError:
    """Return the error to raise for a failed import.

    Parameters
    ----------
    error : ImportError
        The failure, which may be of a module that the imported one needs.
    needed : str
        Other modules that the same task needs; those that are missing, too, are in the same command.

    Returns
    -------
    ImportError
        With the missing module as ``name``, and the command that installs it; `error` itself if no module is missing.
    """
    module = next((each.name for each in _causes(error) if isinstance(each, ModuleNotFoundError) and each.name), None)
    if module is None:
        return error
    module = module.partition(".")[0]
    modules = {module, *filter(_is_missing, needed)}
    packages = " ".join(sorted(_PACKAGES.get(each, each) for each in modules))
    return ImportError(f"{module} is not installed; run pip install {packages}", name=module)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except (ImportError, ValueError):
        return True
