"""The emulator of coffers as an object: CDCS over the shared life of a local service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.errors import EmulatorError
from cosv4fs.emulator.running import LocalService

from .api import CofferApi
from .dialect import CofferDialect
from .errors import CofferError
from .service import MOST_COFFERS, CofferService, check_coffer_name
from .store import CofferStore

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from cosv4fs.emulator.server import Api
    from cosv4fs.emulator.store import Store

__all__ = ["CofferEmulator"]


class CofferEmulator(LocalService):
    """A CDCS service of its own, on this machine, for one account.

    Use it as a context manager, or with `start` and `stop`; after `stop` it can be started again on the same folder.
    All 18 operations are there. Policies are kept and returned, but nobody is judged by them: only the owner's keys
    are known, and the owner may do everything. Nothing is encrypted and nothing is copied to other regions, whatever a
    coffer says of that.

    Parameters
    ----------
    root : path, optional
        The folder for everything that is stored. None: a temporary one, removed by `close`.
    coffers : iterable of str
        The coffers that it begins with, by their full names ``<name>-<APPID>``.
    region : str
        Where those coffers say that they are.
    token : str, optional
        The token of temporary keys: every request has to bring it as ``x-cdcs-security-token``. None: the keys are
        permanent, and no request may bring one.
    dialect : CofferDialect, optional
        The reading of the disputed points.
    options
        As of `LocalService`: ``host``, ``port``, ``appid``, ``secret_id``, ``secret_key``, ``clock``, ``fsync``,
        ``listener``, ``keep_requests``.

    Attributes
    ----------
    faults : Faults
        What shall go wrong.
    clock_offset : float
        Seconds by which the service's clock is ahead; may be changed at any time, also to let objects expire.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        coffers: Iterable[str] = ("examplecoffer-1250000000",),
        region: str = "ap-tianjin",
        token: str | None = None,
        dialect: CofferDialect | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.region = region
        self.dialect = dialect or CofferDialect()
        self._token = token
        self._coffers = tuple(coffers)
        self._service: CofferService | None = None
        try:
            for name in self._coffers:
                check_coffer_name(name, self.dialect, self.appid)
        except CofferError as error:
            raise EmulatorError(f"{name!r} names no coffer of the account {self.appid}: {error.message}") from None
        if len(self._coffers) > MOST_COFFERS:
            raise EmulatorError(f"an account has at most {MOST_COFFERS} coffers, not {len(self._coffers)}")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} coffers={sorted(self._coffers)}>"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What a client needs to use this service."""
        options = {
            "secret_id": self._secret_id,
            "secret_key": self._secret_key,
            "region": self.region,
            "endpoint": self.endpoint,
        }
        return options if self._token is None else {**options, "security_token": self._token}

    def settle(self) -> None:
        """Let every object be listed that is still missing from listings (`CofferDialect.listing_lag`)."""
        with self._life:
            if self._service is None or self._server is None:
                raise EmulatorError("the service is stopped: start it before settle()")
            self._service.settle()

    def _open(self) -> tuple[Store, Api[Any]]:
        store = CofferStore(self._root, fsync=self._fsync)
        try:
            self._service = CofferService(
                store,
                appid=self.appid,
                secret_id=self._secret_id,
                secret_key=self._secret_key,
                token=self._token,
                region=self.region,
                coffers=self._coffers,
                dialect=self.dialect,
                clock=self._now,
            )
        except BaseException:
            store.close()
            raise
        return store, CofferApi(self._service)
