"""Making directories on the service, with their parents, in as few requests as possible."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from cosv4fs import paths
from cosv4fs.api import CosClient
from cosv4fs.errors import CosFileExistsError, CosFileNotFoundError, CosPossiblyMovedError, make_error

_T = TypeVar("_T")


def parent_key(key: str) -> str:
    """Return the key of the directory that holds `key`: ``/a/`` for ``/a/b`` and for ``/a/b/``."""
    return key.rstrip("/").rpartition("/")[0] + "/"


def make_directory(client: CosClient, bucket: str, key: str, parents: bool = True) -> CosFileExistsError | None:
    """Create a directory below a bucket's root, and its parents where they are missing.

    Returns
    -------
    FileExistsError or None
        The refusal where something exists at the key already, a directory or a file; a `CosPossiblyCreatedError` if
        this call may have created it.

    Raises
    ------
    FileNotFoundError
        Without `parents`: the parent is missing. With them: the bucket is.
    OSError
        EINVAL for a name that the service does not allow.
    """
    paths.check_directory_names(paths.join(bucket, key))
    try:
        client.create(bucket, key)
    except CosFileExistsError as refusal:
        # it is not raised: its frames would keep it, and what is in them, until the next collection
        return refusal.with_traceback(None)
    except CosFileNotFoundError:
        if not parents or parent_key(key) == "/":
            raise
        make_directory(client, bucket, parent_key(key))
        return make_directory(client, bucket, key, parents=False)
    return None


def with_parents(client: CosClient, bucket: str, key: str, action: Callable[[], _T], source: str | None = None) -> _T:
    """Do something that creates `key`; where the service wants the directory to exist first, create it and repeat.

    Whether parents have to exist is disputed (cos.md#parents), so they are not checked first.

    Parameters
    ----------
    source : str, optional
        The key that is moved or copied: when it is that which is missing, no directory is made.

    Raises
    ------
    NotADirectoryError
        A parent is a file; the error names it.
    """
    try:
        return action()
    except CosFileNotFoundError as error:
        # a lost reply is no missing directory
        if parent_key(key) == "/" or isinstance(error, CosPossiblyMovedError):
            raise
        if source is not None:
            client.stat(bucket, source)
    try:
        # another thread may have made it meanwhile: what counts is that it is there now
        make_directory(client, bucket, parent_key(key))
        return action()
    except CosFileNotFoundError as error:
        blocking = file_above(client, bucket, key)
        if blocking is None:
            raise
        raise make_error(errno.ENOTDIR, "the parent is a file, not a directory", blocking) from error


def file_above(client: CosClient, bucket: str, key: str) -> str | None:
    """Return the path of the file that has the name of a parent directory of `key`."""
    while (key := parent_key(key)) != "/":
        try:
            client.stat(bucket, key.rstrip("/"))
        except CosFileNotFoundError:
            continue
        return paths.join(bucket, key)
    return None
