"""What open files say about their objects."""

from __future__ import annotations

import os
from typing import Any


class ObjectFile:
    """The methods that files opened for reading and for writing share, by the names of s3fs.

    The object is that which stands at the path: for a file opened for writing, the old one until it is closed.
    """

    fs: Any
    path: str
    _pid: int

    @property
    def is_of_parent(self) -> bool:
        """Whether this is a copy in a forked child, of a file that belongs to the parent."""
        return self._pid != os.getpid()

    @property
    def full_name(self) -> str:
        """The path with its protocol: ``cosv4://bucket/dir/name``."""
        return str(self.fs.unstrip_protocol(self.path))

    def url(self, **options: Any) -> str:
        """Return a URL that reads the object without credentials; `options` as of `url` of the filesystem."""
        return str(self.fs.url(self.path, **options))

    def metadata(self, refresh: bool = False) -> dict[str, str]:
        """Return the user metadata of the object; see `metadata` of the filesystem, also for `refresh`."""
        metadata: dict[str, str] = self.fs.metadata(self.path, refresh)
        return metadata

    def getxattr(self, attr_name: str) -> Any:
        """Return one attribute of the object, `attr_name`; see `getxattr` of the filesystem."""
        return self.fs.getxattr(self.path, attr_name)
