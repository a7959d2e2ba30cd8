"""The capabilities of a filesystem, for code that works with any two filesystems, and for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Capabilities:
    """What a filesystem can do. The defaults describe a filesystem that does not describe itself.

    Parameters
    ----------
    container : str
        The first part of a path: a bucket or a coffer. Empty for other filesystems.
    replaces_files : bool
        Files can be replaced, moved and removed; if not, the filesystem is write-once.
    has_directories : bool
        Directories can be created and listed even if they are empty.
    makes_parents : bool
        Writing a file creates the missing directories above it.
    copies_on_server : bool
        Copies within a bucket do not pass through this machine.
    signs_urls : bool
        ``sign(path)`` returns a URL that reads a file without credentials.
    knows_sha1 : bool
        ``sha`` in an info dict is the SHA-1 of the content. Other filesystems may mean a version or git's hash.
    takes_size : bool
        ``open(path, "wb")`` accepts ``size``, the number of bytes that will be written.
    names_are_literal : bool
        ``rm`` and ``mv`` take the name of an existing file literally even if it looks like a pattern.
    is_thread_safe : bool
        One instance can be used by any number of threads.
    """

    container: str = ""
    replaces_files: bool = True
    has_directories: bool = True
    makes_parents: bool = False
    copies_on_server: bool = False
    signs_urls: bool = True
    knows_sha1: bool = False
    takes_size: bool = False
    names_are_literal: bool = False
    is_thread_safe: bool = False


UNKNOWN = Capabilities()
"""Those of a filesystem that does not describe itself."""


@runtime_checkable
class SelfDescribing(Protocol):
    """A filesystem that says what it can do, as those of this package do."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def address(self) -> str:
        """The account, and the region or endpoint: what a URL does not say."""
