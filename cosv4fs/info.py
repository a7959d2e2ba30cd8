"""The dicts in which filesystems describe files, directories, coffers and uploads.

The methods that return them document their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired


class Info(TypedDict):
    """A file or directory, as `info` returns it. Keys that the service does not provide are missing."""

    name: str
    size: int
    type: Literal["file", "directory"]
    created: NotRequired[float]
    mtime: NotRequired[float]
    # the SHA-1 of a file in a bucket, in lower-case hex
    sha: NotRequired[str | None]
    # the ETag of an object in a coffer
    etag: NotRequired[str | None]
    # only if the service has reported it together with the rest
    content_type: NotRequired[str]


class UploadInfo(TypedDict):
    """An unfinished upload, as `uploads` returns it."""

    name: str
    place: str
    size: int | None
    stored: int
    mtime: float
    # only in coffers
    upload_id: NotRequired[str]


class InterruptedUpload(TypedDict):
    """An upload of a local file that a later `put_file` resumes, as `interrupted_uploads` returns it."""

    source: str
    name: str
    size: int


class CofferInfo(TypedDict):
    """A coffer of the account, as `coffers` returns it."""

    name: str
    locations: list[str]
    created: int | None


def directory_info(path: str) -> Info:
    """Return the info of a directory of which no more is known than that it exists."""
    return {"name": path, "size": 0, "type": "directory"}
