"""Paths: how ``bucket/dir/name`` of fsspec and ``/dir/name`` of the service correspond.

A leaf module without I/O. Inside the package a *path* is what fsspec calls a path (``bucket/dir/name``, no protocol, no
trailing slash); a *key* is what the service calls one (``/dir/name`` for a file, ``/dir/`` for a directory, ``/`` for
the bucket's root; cos.md#paths: the trailing slash decides the type).
"""

from __future__ import annotations

import errno
import hashlib
import re
import secrets

from cosv4fs.errors import make_error

__all__ = [
    "FORBIDDEN_IN_DIRECTORIES",
    "MAGIC",
    "check_directory_names",
    "check_new",
    "directory_key",
    "file_key",
    "is_sibling",
    "join",
    "literal_start",
    "parent",
    "shortened",
    "sibling",
    "sibling_target",
    "split",
]

FORBIDDEN_IN_DIRECTORIES = frozenset('?*:|\\<>"')
"""Characters that the service refuses in directory names (cos.md#paths; for file names it decides itself)."""

MAGIC = re.compile(r"[*?\[]")
"""What begins a wildcard in a pattern."""

_LONGEST_IN_SIBLING = 255 - len(".") - len(".cosv4-") - 16
"""Bytes of a name that a hidden sibling's can hold without being longer than 255, where many services end."""

_SIBLING = re.compile(r"^\.(?P<name>.+)\.cosv4-(?P<token>[0-9a-f]{16})$", re.DOTALL)


def split(path: str) -> tuple[str, str]:
    """Return (bucket, rest) of a path; the rest has no slash at either end and is empty for the bucket itself.

    Raises
    ------
    OSError
        EINVAL when a part of the path is empty, ``.`` or ``..``, or cannot be written as UTF-8: no URL can carry it, so
        no object can have it.
    """
    try:
        path.encode()
    except UnicodeEncodeError as fault:
        # the name of a local file that is not UTF-8 comes as such a text
        raise make_error(errno.EINVAL, f"a path has to be UTF-8: {fault.reason}", ascii(path)) from fault
    bucket, _, rest = path.strip("/").partition("/")
    if rest and any(part in ("", ".", "..") for part in rest.split("/")):
        raise make_error(
            errno.EINVAL, "a path may have no empty part, no '.' and no '..': the service cannot store it", path
        )
    return bucket, rest


def file_key(path: str) -> tuple[str, str]:
    """Return (bucket, key) of a path that is meant as a file: ``("bucket", "/dir/name")``.

    Raises
    ------
    IsADirectoryError
        When the path is a bucket or empty.
    """
    bucket, rest = split(path)
    if not rest:
        raise make_error(errno.EISDIR, "a bucket is not a file: name an object in it, as in bucket/dir/name", path)
    return bucket, "/" + rest


def directory_key(path: str) -> tuple[str, str]:
    """Return (bucket, key) of a path that is meant as a directory: ``("bucket", "/dir/")``."""
    bucket, rest = split(path)
    return bucket, f"/{rest}/" if rest else "/"


def join(bucket: str, key: str) -> str:
    """Return the path of a key: ``join("bucket", "/dir/") == "bucket/dir"``."""
    return f"{bucket}/{key.strip('/')}".rstrip("/")


def parent(path: str) -> str:
    """Return the directory that holds `path`; of a bucket the empty string."""
    return path.rstrip("/").rpartition("/")[0]


def literal_start(pattern: str) -> str:
    """Return what everything that matches a pattern begins with."""
    return MAGIC.split(pattern, maxsplit=1)[0]


def check_directory_names(path: str) -> None:
    """Refuse a directory path with characters that the service forbids in directory names (cos.md#paths).

    Raises
    ------
    OSError
        EINVAL, naming the characters.
    """
    bad = sorted(FORBIDDEN_IN_DIRECTORIES.intersection(split(path)[1]))
    if bad:
        raise make_error(
            errno.EINVAL, f"the service allows none of {' '.join(bad)} in the name of a directory: rename it", path
        )


def check_new(path: str) -> None:
    """Refuse a path that must not be created: see `check_directory_names`, and names like a hidden sibling's.

    Raises
    ------
    OSError
        EINVAL, saying why.
    """
    check_directory_names(parent(path))
    if any(is_sibling(part) for part in split(path)[1].split("/")):
        raise make_error(errno.EINVAL, "names of the form .NAME.cosv4-TOKEN are kept for uploads under way", path)


def sibling(key: str, token: str | None = None) -> str:
    """Return the key of a hidden sibling of `key`: ``/dir/name`` gives ``/dir/.name.cosv4-<16 hex digits>``.

    New content for a taken path is uploaded there and moved into place, so that readers never see a part of it.
    """
    folder, _, name = shortened(key).rpartition("/")
    return f"{folder}/.{name}.cosv4-{token or secrets.token_hex(8)}"


def shortened(path: str) -> str:
    """Return a path (or key) as the names of its hidden siblings tell it: a name beyond 231 bytes is cut and hashed."""
    folder, slash, name = path.rpartition("/")
    whole = name.encode()
    if len(whole) <= _LONGEST_IN_SIBLING:
        return path
    digest = hashlib.sha1(whole, usedforsecurity=False).hexdigest()[:16]
    begin = whole[: _LONGEST_IN_SIBLING - len(digest) - 1].decode(errors="ignore")
    return f"{folder}{slash}{begin}~{digest}"


def is_sibling(name: str) -> bool:
    """Return whether a name (or path) is that of a hidden sibling."""
    return _SIBLING.match(name.rpartition("/")[2]) is not None


def sibling_target(path: str) -> str | None:
    """Return the path that a sibling was to become, as `shortened` tells it; None when `path` is not a sibling's."""
    folder, slash, name = path.rpartition("/")
    found = _SIBLING.match(name)
    return f"{folder}{slash}{found['name']}" if found else None
