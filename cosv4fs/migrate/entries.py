"""What a tree has: `Entry`, and whether its path is text: `is_utf8`."""

from __future__ import annotations

from dataclasses import dataclass

MISSING = "it is in the list of files to select, but there is no such file"
"""The refusal of a name that must exist and does not."""

SPECIAL = "pipes, sockets and devices cannot be copied from a directory"
"""The refusal of a file without a size."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory in a tree.

    Parameters
    ----------
    path : str
        Relative to the tree. Local names that are not UTF-8 have surrogates, as `os.fsdecode` makes them.
    size : int
        Bytes; 0 if unknown.
    modified : float, optional
        Unix seconds of the last change, where the filesystem tells.
    changed : float, optional
        Unix seconds of the last change of the status of a local file.
    sha1, md5 : str, optional
        Checksums in hex that the service stores: the MD5 is an ETag that looks like one, and proves equality only.
    is_directory : bool
        Whether it is a directory. In object stores, directories are no entries: the paths of files show them.
    refusal : str
        Why it cannot be copied, or listed if it is a directory; empty if it can.
    is_skipped : bool
        Whether it is a symbolic link that is left out on request, with the refusal that says so: it is only counted,
        and not a failure.
    """

    path: str
    size: int = 0
    modified: float | None = None
    changed: float | None = None
    sha1: str | None = None
    md5: str | None = None
    is_directory: bool = False
    refusal: str = ""
    is_skipped: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether it is a name that a selection lists and the tree does not have."""
        return self.refusal == MISSING


def is_utf8(path: str) -> bool:
    """Return whether a path is valid UTF-8; other bytes of local names are surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
