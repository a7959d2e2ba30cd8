"""The emulator of buckets as an object: the JSON API over the shared life of a local service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bucketstore import BucketStore
from .dialect import Dialect
from .errors import EmulatorError
from .front import BucketApi
from .running import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalService
from .service import Service

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from .server import Api
    from .store import Store

__all__ = ["DEFAULT_SECRET_ID", "DEFAULT_SECRET_KEY", "Emulator"]


class Emulator(LocalService):
    """A COS service of its own, on this machine, for one account.

    Use it as a context manager, or with `start` and `stop`; after `stop` it can be started again on the same folder.

    Parameters
    ----------
    root : path, optional
        The folder for everything that is stored. None: a temporary one, removed by `close`.
    buckets : iterable of str
        The account's buckets, private ones.
    public_buckets : iterable of str
        Further buckets, whose files anybody may read.
    region : str
        The short code in URLs.
    dialect : Dialect, optional
        The reading of the disputed points.
    options
        As of `LocalService`: ``host``, ``port``, ``appid``, ``secret_id``, ``secret_key``, ``clock``, ``fsync``,
        ``listener``, ``keep_requests``.

    Attributes
    ----------
    faults : Faults
        What shall go wrong.
    clock_offset : float
        Seconds by which the service's clock is ahead; may be changed at any time.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        buckets: Iterable[str] = ("data",),
        public_buckets: Iterable[str] = (),
        region: str = "gz",
        dialect: Dialect | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.region = region
        self.dialect = dialect or Dialect()
        self._buckets = dict.fromkeys(buckets, False) | dict.fromkeys(public_buckets, True)
        for bucket in self._buckets:
            if not bucket or not bucket.isascii() or not bucket.replace("-", "").isalnum():
                raise EmulatorError(f"a bucket's name is made of letters, digits and hyphens, not {bucket!r}")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} buckets={sorted(self._buckets)}>"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What a client needs to use this service."""
        return {
            "appid": self.appid,
            "secret_id": self._secret_id,
            "secret_key": self._secret_key,
            "region": self.region,
            "endpoint": self.endpoint,
        }

    def _open(self) -> tuple[Store, Api[Any]]:
        store = BucketStore(self._root, fsync=self._fsync)
        try:
            service = Service(
                store,
                appid=self.appid,
                secret_id=self._secret_id,
                secret_key=self._secret_key,
                region=self.region,
                buckets=self._buckets,
                dialect=self.dialect,
                clock=self._now,
            )
        except BaseException:
            store.close()
            raise
        return store, BucketApi(service)
