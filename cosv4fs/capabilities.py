"""What a filesystem can do: read by code that works on any two filesystems, and by the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["BUCKETS", "COFFERS", "UNKNOWN", "Capabilities"]


@dataclass(frozen=True)
class Capabilities:
    """What a filesystem can do; the defaults are what can be assumed of any filesystem.

    Parameters
    ----------
    container : str
        What the first part of a path names, for messages: ``bucket`` or ``coffer``.
    replaces_files : bool
        Files can be replaced, moved and removed; if not, the filesystem is write-once.
    makes_parents : bool
        Writing a file makes the directories above it.
    takes_size : bool
        ``open(path, "wb")`` takes ``size``, the bytes that will be written.
    knows_sha1 : bool
        ``sha`` in an info is the SHA-1 of the content. In other filesystems it may be a version or git's hash.
    is_thread_safe : bool
        One instance serves any number of threads.
    """

    container: str = "bucket"
    replaces_files: bool = True
    makes_parents: bool = False
    takes_size: bool = False
    knows_sha1: bool = False
    is_thread_safe: bool = False


UNKNOWN = Capabilities()
"""Those of a filesystem that does not describe itself."""

BUCKETS = Capabilities(makes_parents=True, takes_size=True, knows_sha1=True, is_thread_safe=True)
"""Those of the COS JSON API, v4 and v3."""

COFFERS = replace(BUCKETS, container="coffer", replaces_files=False, knows_sha1=False)
"""Those of the Data Coffer Service."""
