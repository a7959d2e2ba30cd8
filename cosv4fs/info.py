"""The dicts in which filesystems describe files, directories, coffers and uploads."""

from __future__ import annotations

from typing import Literal, TypedDict


class _Info(TypedDict):
    name: str
    size: int
    type: Literal["file", "directory"]


class Info(_Info, total=False):
    """The info of a file or directory. Keys that the service does not provide are missing.

    Parameters
    ----------
    name : str
        The path, without protocol.
    size : int
        Bytes; 0 for a directory.
    type : str
        ``file`` or ``directory``.
    created, mtime : float
        Unix seconds of the creation and of the last change.
    sha : str or None
        SHA-1 of the content in lower-case hex; only files in buckets have the key.
    etag : str or None
        The ETag; only objects in coffers have the key.
    """

    created: float
    mtime: float
    sha: str | None
    etag: str | None


class _UploadInfo(TypedDict):
    name: str
    place: str
    size: int | None
    stored: int
    mtime: float


class UploadInfo(_UploadInfo, total=False):
    """An unfinished upload.

    Parameters
    ----------
    name : str
        The path of the object that the upload is for.
    place : str
        The path that holds the bytes: the same, or a hidden sibling.
    size : int or None
        Bytes declared; None in coffers, where the size is not declared.
    stored : int
        Bytes received.
    mtime : float
        Unix seconds of the last change in buckets, of the start in coffers; 0 if the service reports none.
    upload_id : str
        The upload's id; only in coffers.
    """

    upload_id: str


class InterruptedUpload(TypedDict):
    """An upload of a local file that a later `put_file` resumes.

    Parameters
    ----------
    source : str
        The local file.
    name : str
        The path that it is uploaded to.
    size : int
        Bytes of the whole file.
    """

    source: str
    name: str
    size: int


class Attributes(TypedDict):
    """The metadata of a file or directory in a bucket that `Info` does not have.

    Parameters
    ----------
    biz_attr : str
        Any text.
    authority : str
        ``eInvalid`` (that of the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
    custom_headers : dict of str to str
        Headers of downloads.
    forbid : int
        0 unless the file is blocked.
    slice_size : int
        Bytes per slice of the upload; 0 if it was uploaded in one request.
    """

    biz_attr: str
    authority: str
    custom_headers: dict[str, str]
    forbid: int
    slice_size: int


class CofferInfo(TypedDict):
    """A coffer of the account.

    Parameters
    ----------
    name : str
        The full name.
    locations : list of str
        The regions that hold its objects.
    created : int or None
        Unix seconds, if the service reports them.
    """

    name: str
    locations: list[str]
    created: int | None


def directory_info(path: str) -> Info:
    """Return the info of a directory of which no more is known than that it exists."""
    return {"name": path, "size": 0, "type": "directory"}
