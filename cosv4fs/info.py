"""The dicts in which filesystems describe files, directories, coffers and uploads.

The methods that return them document their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired


__all__ = ["CofferInfo", "Info", "InterruptedUpload", "UploadInfo"]


class Info(TypedDict):
    """A file or directory, as `info` returns it. Keys that the service does not provide are missing."""

    name: str
    """The path, without protocol."""
    size: int
    """Bytes; 0 for a directory."""
    type: Literal["file", "directory"]
    """What it is."""
    created: NotRequired[float]
    """When it was created, in Unix seconds."""
    mtime: NotRequired[float]
    """When it was last changed, in Unix seconds."""
    sha: NotRequired[str | None]
    """The SHA-1 of a file in a bucket, in lower-case hex; None if the service does not report it."""
    etag: NotRequired[str | None]
    """The ETag of an object in a coffer; None if the service does not report it."""
    content_type: NotRequired[str]
    """The content type, only if the service has reported it together with the rest."""


class UploadInfo(TypedDict):
    """An unfinished upload, as `uploads` returns it."""

    name: str
    """The path of the file that it would become."""
    place: str
    """The path that holds the bytes: the same, or a hidden sibling."""
    size: int | None
    """Bytes declared; None in coffers."""
    stored: int
    """Bytes received."""
    mtime: float
    """When it last changed, in coffers when it began, in Unix seconds; 0 if unknown."""
    upload_id: NotRequired[str]
    """The opaque name of the upload, only in coffers."""


class InterruptedUpload(TypedDict):
    """An upload of a local file that a later `put_file` resumes, as `interrupted_uploads` returns it."""

    source: str
    """The path of the local file."""
    name: str
    """The path of the file that it would become."""
    size: int
    """Bytes of the whole file."""


class CofferInfo(TypedDict):
    """A coffer of the account, as `coffers` returns it."""

    name: str
    """The name in full, with the appid."""
    locations: list[str]
    """The regions that hold its objects."""
    created: int | None
    """When it was created, in Unix seconds; None if unknown."""


def directory_info(path: str) -> Info:
    """Return the info of a directory of which no more is known than that it exists."""
    return {"name": path, "size": 0, "type": "directory"}
