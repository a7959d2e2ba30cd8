"""Convert between paths of fsspec and keys of the service; no I/O.

A *path* is ``bucket/dir/name``, without protocol and trailing slash. A *key* is ``/dir/name`` for a file, ``/dir/`` for
a directory and ``/`` for the root of a bucket: the trailing slash determines the type (cos.md#paths).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from typing import TypeAlias

from cosv4fs.errors import make_error

StrPath: TypeAlias = str | os.PathLike[str]
"""A path or URL as the filesystems take it: text, or an object of `pathlib`."""

_FORBIDDEN_IN_DIRECTORIES = frozenset('?*:|\\<>"')
"""Characters that no directory can be created with (cos.md#paths). The names of files, and of the directories above
them, are checked by the service (cos.md#file-names)."""

_FOREIGN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)")
"""The start of a URL; names of buckets have no colon."""

MAGIC = re.compile(r"[*?\[]")
"""The start of a wildcard in a pattern."""

_MAX_NAME_IN_SIBLING = 255 - len(".") - len(".cosv4-") - 16
"""Bytes of a name in the name of its hidden sibling, which many services limit to 255."""

_SIBLING = re.compile(r"^\.(?P<name>.+)\.cosv4-(?P<token>[0-9a-f]{16})$", re.DOTALL)


def check_protocol(path: str, protocol: str) -> None:
    """Refuse a URL of another protocol than the given one, and a chain of URLs, with a ValueError."""
    found = _FOREIGN.match(path)
    if found and found[2] == "::":
        raise ValueError(f"{path!r} is a chain of URLs: open it with fsspec.open")
    if found:
        raise ValueError(f"{path!r} is a URL of another protocol: this filesystem takes {protocol}://, not {found[0]}")


def split(path: str) -> tuple[str, str]:
    """Return (bucket, rest) of a path; the rest has no leading or trailing slash and is empty for the bucket itself.

    Nothing can be at a path that URLs cannot express, so there it raises `FileNotFoundError`; to refuse such a path for
    something new, see `check_valid`.
    """
    if reason := _why_invalid(path):
        raise make_error(errno.ENOENT, f"no such file or directory: {reason}", _printable(path))
    bucket, _, rest = path.strip("/").partition("/")
    return bucket, rest


def check_valid(path: str) -> None:
    """Refuse a new file or directory at a path that URLs cannot express (EINVAL)."""
    if reason := _why_invalid(path):
        raise make_error(errno.EINVAL, reason, _printable(path))


def _why_invalid(path: str) -> str:
    """Return why URLs cannot express a path, or an empty string if they can."""
    try:
        path.encode()
    except UnicodeEncodeError as fault:
        # Python represents local file names that are not UTF-8 by surrogates
        return f"the path is not valid UTF-8: {fault.reason}"
    parts = path.strip("/").split("/")[1:]
    if any(part in ("", ".", "..") for part in parts):
        return "the service does not support empty components, '.' and '..' in paths"
    return ""


def is_valid(path: str) -> bool:
    """Return whether something can be at a path; see `split`."""
    return not _why_invalid(path)


def _printable(path: str) -> str:
    """Return a path as an error can show it: with escapes if it is not valid UTF-8."""
    return path.encode(errors="backslashreplace").decode()


def file_key(path: str) -> tuple[str, str]:
    """Return (bucket, key) of a file: ``("bucket", "/dir/name")``; raise `IsADirectoryError` for a bucket."""
    bucket, rest = split(path)
    if not bucket:
        raise make_error(errno.EISDIR, "the path names no bucket: it must be like bucket/dir/name", path)
    if not rest:
        raise make_error(errno.EISDIR, "a bucket is not a file: name an object in it, as in bucket/dir/name", path)
    return bucket, "/" + rest


def directory_key(path: str) -> tuple[str, str]:
    """Return (bucket, key) of a directory: ``("bucket", "/dir/")``."""
    bucket, rest = split(path)
    return bucket, f"/{rest}/" if rest else "/"


def join(bucket: str, key: str) -> str:
    """Return the path of a key: ``join("bucket", "/dir/") == "bucket/dir"``."""
    return f"{bucket}/{key.strip('/')}".rstrip("/")


def parent(path: str) -> str:
    """Return the parent directory of `path`; the empty string for a bucket."""
    return path.rstrip("/").rpartition("/")[0]


def parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first, up to its bucket."""
    while path := parent(path):
        yield path


def literal_start(pattern: str) -> str:
    """Return the part of a pattern before its first wildcard."""
    return MAGIC.split(pattern, maxsplit=1)[0]


def folder_of_matches(pattern: str) -> str:
    """Return the deepest directory that contains all matches of a pattern; empty for that of all buckets."""
    return literal_start(pattern).rpartition("/")[0]


def uncreatable(path: str) -> list[str]:
    """Return the characters in the path of a directory with which no service creates it (cos.md#file-names).

    A service may still have such directories: it makes them with the first file in them.
    """
    return sorted(_FORBIDDEN_IN_DIRECTORIES.intersection(split(path)[1]))


def check_directory_names(path: str) -> None:
    """Refuse a directory that cannot be created, naming the characters; see `uncreatable`."""
    bad = uncreatable(path)
    if bad:
        raise make_error(errno.EINVAL, f"no directory can be created with {' '.join(bad)} in its path: rename it", path)


def check_new(path: str) -> None:
    """Refuse a path that may not be created: by `check_valid`, or as a name of a sibling."""
    check_valid(path)
    if any(is_sibling(part) for part in split(path)[1].split("/")):
        raise make_error(errno.EINVAL, "names of the form .NAME.cosv4-TOKEN are reserved for uploads", path)


def sibling(key: str, token: str | None = None) -> str:
    """Return the key of a hidden sibling of `key`: ``/dir/name`` gives ``/dir/.name.cosv4-<16 hex digits>``.

    New content for an existing file is uploaded there and then moved into place, so that readers never see a part.
    """
    folder, _, name = shortened(key).rpartition("/")
    return f"{folder}/.{name}.cosv4-{token or secrets.token_hex(8)}"


def shortened(path: str) -> str:
    """Return a path or key as contained in its hidden siblings: names over 231 bytes are truncated and hashed."""
    folder, slash, name = path.rpartition("/")
    whole = name.encode()
    if len(whole) <= _MAX_NAME_IN_SIBLING:
        return path
    digest = hashlib.sha1(whole, usedforsecurity=False).hexdigest()[:16]
    begin = whole[: _MAX_NAME_IN_SIBLING - len(digest) - 1].decode(errors="ignore")
    return f"{folder}{slash}{begin}~{digest}"


def is_sibling(name: str) -> bool:
    """Return whether a name or path is a hidden sibling."""
    return _SIBLING.match(name.rpartition("/")[2]) is not None


def sibling_target(path: str) -> str | None:
    """Return the path that a sibling is the new content of, as by `shortened`; None if `path` is not a sibling."""
    folder, slash, name = path.rpartition("/")
    found = _SIBLING.match(name)
    return f"{folder}{slash}{found['name']}" if found else None
