"""Making directories of the JSON API, and empty files."""

from __future__ import annotations

import errno
from typing import Any

from cosv4fs import paths
from cosv4fs.attributes import Attributes
from cosv4fs.errors import CosFileExistsError, make_error
from cosv4fs.transfer.directories import make_directory

__all__ = ["Writing"]


class Writing(Attributes):
    """Directories, which the JSON API keeps apart from files."""

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty file, or empty an existing one.

        Raises
        ------
        NotImplementedError
            With ``truncate=False`` and an existing file: the service cannot set times.
        """
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except CosFileExistsError as error:
            if error.doubtful:
                # perhaps it is what was just created
                raise
            raise NotImplementedError("the service cannot set the time of an existing file") from error

    def mkdir(self, path: str, create_parents: bool = True, mode: int | None = None) -> None:
        """Create a directory.

        Parameters
        ----------
        path : str
            The directory.
        create_parents : bool
            Create the directories above it, too.
        mode : int, optional
            Taken because others hand it over, and of no effect: the service has no such permissions.

        Raises
        ------
        FileExistsError
            Something exists at the path.
        FileNotFoundError
            Without `create_parents`: the parent is missing.
        NotImplementedError
            For a bucket: the API cannot create one.
        """
        path = self._strip_protocol(path)
        above = paths.parent(path)
        if not create_parents and self._asked(lambda: self.namespace.directory(above)) is None:
            raise make_error(errno.ENOENT, "the parent directory does not exist", path)
        self._make_directory(path, exist_ok=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a directory and its parents; for a bucket with `exist_ok` nothing is asked: the first write shows it.

        Raises
        ------
        FileExistsError
            A file exists at the path; or a directory, without `exist_ok`.
        """
        self._make_directory(self._strip_protocol(path), exist_ok)

    def _make_directory(self, path: str, exist_ok: bool) -> None:
        bucket, key = paths.directory_key(path)
        paths.check_new(path)
        if key == "/" and exist_ok:
            # fsspec asks for this before every write into a bucket's root; a missing bucket shows at the write
            return
        # what is remembered may have gone meanwhile: good enough for who is content with what is there
        is_there = exist_ok and self._remembered.is_directory(path)
        if not is_there and key == "/":
            is_there = self._bucket_exists(path)
        refusal = None
        if not is_there:
            refusal = self._refusal_to_make(bucket, key, path)
            if refusal is None:
                self._remembered.store_directory(path, self._remembered.generation)
                return
        if not exist_ok or not (is_there or self._is_directory(path)):
            if refusal is not None and refusal.doubtful:
                raise refusal
            if not self.exists(path):
                raise make_error(errno.ENOTDIR, "a file stands where a directory is needed", paths.parent(path))
            raise make_error(errno.EEXIST, "a file or directory of this name exists", path)

    def _refusal_to_make(self, bucket: str, key: str, path: str) -> CosFileExistsError | None:
        """Create a directory with its parents; return the refusal when something exists already."""
        refusal = None
        try:
            refusal = make_directory(self.client, bucket, key)
        finally:
            # also after a failure: it, or a parent, may have been made although the reply was lost
            if refusal is None or refusal.doubtful:
                self._remembered.forget(path)
        return refusal

    def _bucket_exists(self, path: str) -> bool:
        if not self._is_directory(path):
            raise NotImplementedError(f"the JSON API cannot create bucket {path!r}: create it in the web console")
        return True
