"""Move files to other filesystems: copy them, prove the copies, and remove the sources only then."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Mapping
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cosv4fs.migrate.checksums import proof_of_equality
from cosv4fs.migrate.copying import copy_file
from cosv4fs.migrate.infos import entry_of, fresh_info
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.metadata import FileMetadata

_UNSTABLE = frozenset({"time"})
"""Parts of infos that change by themselves: of SFTP, this is the access time."""


def state_of(location: Location) -> dict[str, Any]:
    """Return the info that changes with the content of a file, on any filesystem; not from a cache."""
    return {name: value for name, value in _info_now(location).items() if name not in _UNSTABLE}


def move_file(
    source: Location,
    target: Location,
    callback: Callback = DEFAULT_CALLBACK,
    *,
    follow: bool = False,
    metadata: FileMetadata | None = None,
) -> None:
    """Copy one file as `copy_file` does, compare the copy with the source, and remove the source.

    Checksums that the services store are compared, and where there are none, the contents are read.

    Raises
    ------
    OSError
        EIO: the copy differs. ESTALE: the source changed meanwhile. EINVAL: it is no regular file, or the target is
        the same file. The source stays in each case.
    """
    before = state_of(source)
    if before["type"] != "file":
        raise OSError(errno.EINVAL, "only files and directories can be moved to another filesystem", source.url)
    _check_apart(source, before, target)
    copy_file(source, target, callback, follow=follow, metadata=metadata)
    after = _info_now(target)
    if after["type"] != "file" or int(after["size"] or 0) != int(before["size"] or 0):
        text = f"the copy has {after['size']} bytes instead of {before['size']}: the source was not removed"
        raise OSError(errno.EIO, text, target.url)
    if not _are_equal(source, before, target, after):
        raise OSError(errno.EIO, "the content of the copy differs: the source was not removed", target.url)
    if state_of(source) != before:
        text = f"the file changed while it was copied to {target.url}, and was not removed: move it again"
        raise OSError(errno.ESTALE, text, source.url)
    source.fs.rm_file(source.path)


def _check_apart(source: Location, before: Mapping[str, Any], target: Location) -> None:
    """Refuse to move a file onto itself, which different filesystems may reach by different names (EINVAL).

    Removing the source would remove the only file then. A file beside the target shows whether both are one.
    """
    try:
        there = _info_now(target)
    except FileNotFoundError:
        return
    is_like = there["type"] == "file" and int(there["size"] or 0) == int(before["size"] or 0)
    if not is_like or not target.capabilities.replaces_files:
        return
    if not _are_equal(source, before, target, there):
        return
    name = f".cosv4fs-{secrets.token_hex(8)}"
    here, marker = (location.at(f"{location.fs._parent(location.path)}/{name}") for location in (source, target))
    marker.fs.pipe_file(marker.path, b"Can be removed.")
    try:
        here.fs.invalidate_cache(here.fs._parent(here.path))
        if here.fs.exists(here.path):
            raise OSError(errno.EINVAL, f"source and target are the same file, {target.url}", source.url)
    finally:
        marker.fs.rm_file(marker.path)


def _info_now(location: Location) -> dict[str, Any]:
    # some filesystems find infos in the cached listing of the directory
    location.fs.invalidate_cache(location.fs._parent(location.path))
    return fresh_info(location)


def _are_equal(source: Location, ours: Mapping[str, Any], target: Location, theirs: Mapping[str, Any]) -> bool:
    return proof_of_equality(source, target, entry_of(source, ours), entry_of(target, theirs)) is not None
