"""The local services as objects: start, stop, and what tests look at."""

from __future__ import annotations

import abc
import contextlib
import inspect
import ipaddress
import os
import shutil
import tempfile
import threading
import time
import weakref
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, TypeVar

from cosv4fs.emulator.cdcs import api as cdcs_api
from cosv4fs.emulator.cdcs.service import COFFERS, MOST_COFFERS, check_coffer_name
from cosv4fs.emulator.cos import api as cos_api
from cosv4fs.emulator.cos.service import BUCKETS
from cosv4fs.emulator.dialects import CofferDialect, Dialect
from cosv4fs.emulator.errors import ApiError, EmulatorError
from cosv4fs.emulator.faults import Faults
from cosv4fs.emulator.log import RequestLog, RequestRecord
from cosv4fs.emulator.server import Server
from cosv4fs.emulator.service import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, Account
from cosv4fs.emulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from typing_extensions import Self, Unpack

    from cosv4fs.emulator.service import Service


_F = TypeVar("_F", bound="Callable[..., None]")
_D = TypeVar("_D", Dialect, CofferDialect)


class Options(TypedDict, total=False):
    """The options that both emulators have, beside their own."""

    host: str
    port: int
    appid: str
    secret_id: str
    secret_key: str
    clock: Callable[[], float]
    fsync: bool
    listener: Callable[[RequestRecord], None] | None
    keep_requests: int


_CLIENT_HOSTS = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it listens on
"""Where clients find a service: on Windows, they first try ``::1`` for ``localhost``, and no ``0.0.0.0`` at all."""


class _LocalService(abc.ABC):
    """A local service for one account, of any protocol; `Emulator` has its parameters and attributes."""

    _schema: ClassVar[str]
    _operations: ClassVar[Collection[str]]
    _contents: str
    """The buckets or coffers, for the repr; the last thing that a constructor sets."""

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        region: str,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        appid: str = "1250000000",
        secret_id: str = DEFAULT_SECRET_ID,
        secret_key: str = DEFAULT_SECRET_KEY,
        clock: Callable[[], float] = time.time,
        fsync: bool = False,
        listener: Callable[[RequestRecord], None] | None = None,
        keep_requests: int = 100_000,
    ) -> None:
        if root == "":
            raise EmulatorError(
                "the root folder has an empty name: a variable without a value? The working directory is ."
            )
        self.account = Account(appid, secret_id, secret_key, region, token)
        self.appid = appid
        self.region = region
        self.host = host
        self.port = port
        self.root = Path(tempfile.mkdtemp(prefix="cos-emulator-") if root is None else root)
        self.faults = Faults(self._operations)
        self.clock_offset = 0.0
        self._clock = clock
        self._life = threading.RLock()
        self._fsync = fsync
        self._log = RequestLog(keep_requests, listener)
        self._server: Server | None = None
        self._service: Service[Any] | None = None
        self._cleanup = weakref.finalize(self, _remove, self.root, os.getpid()) if root is None else None

    def __repr__(self) -> str:
        if not hasattr(self, "_contents"):
            return f"<{type(self).__name__} that could not be made>"
        state = self.endpoint if self._server is not None else "stopped"
        return f"<{type(self).__name__} {state} root={str(self.root)!r} {self._contents}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """The URL of the API host, without path, for clients on this machine."""
        host = _CLIENT_HOSTS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """The options of a client of this service."""
        account = self.account
        return {
            "secret_id": account.secret_id,
            "secret_key": account.secret_key,
            "region": account.region,
            "endpoint": self.endpoint,
        }

    @abc.abstractmethod
    def _make_service(self, store: Store) -> Service[Any]:
        """Return the service of an open root folder."""

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests so far, the oldest first."""
        return self._log.records()

    def clear_requests(self) -> None:
        """Drop the records of the requests so far."""
        self._log.clear()

    def count(self) -> dict[str, int]:
        """Return how many requests there were of each operation."""
        return self._log.count()

    def start(self, port: int | None = None) -> None:
        """Begin to listen; nothing happens when it already does.

        Parameters
        ----------
        port : int, optional
            The port; 0 for a free one. None: the same as before, if it was started before, else the constructor's.

        Raises
        ------
        EmulatorError
            The folder is in use, unusable or not a service's, or the port is taken.
        """
        with self._life:
            if self._server is None:
                self._start(self.port if port is None else port)

    def _start(self, port: int, before: Server | None = None) -> None:
        """Start on a port, or on that which the server before has kept."""
        store = Store(self.root, self._schema, fsync=self._fsync, temporary=self._cleanup is not None)
        try:
            service = self._make_service(store)
            server = self._bind(service, port, before)
        except BaseException:
            store.close()
            raise
        self._service, self._server, self.port = service, server, server.port
        try:
            server.start()
        except OSError as error:
            self.stop()
            raise self._cannot_listen(port, error) from None

    def _now(self) -> float:
        return self._clock() + self.clock_offset

    def _bind(self, service: Service[Any], port: int, before: Server | None) -> Server:
        try:
            return Server(service, (self.host, port), self.faults, self._log, self._restart_soon, before)
        except (OSError, OverflowError) as error:
            raise self._cannot_listen(port, error) from None

    def _cannot_listen(self, port: int, error: Exception) -> EmulatorError:
        reason = getattr(error, "strerror", None) or str(error)
        return EmulatorError(f"cannot listen on {self.host}:{port}: {reason}")

    def stop(self) -> None:
        """Close all connections and stop listening; stored data stays. Nothing happens when it is stopped."""
        with self._life:
            self._stop()

    def _stop(self, *, keeps_port: bool = False) -> Server | None:
        """Stop, and return the server that ran, if one did."""
        server, service = self._server, self._service
        if server is None or service is None:
            return None
        server.stop(keeps_port=keeps_port)
        service.store.close()
        self._server = self._service = None
        return server

    def restart(self) -> None:
        """Stop and start again, on the same port; connections break, stored data stays."""
        with self._life:
            # meanwhile, another process could be given the port
            before = self._stop(keeps_port=True)
            try:
                self._start(self.port, before)
            except BaseException:
                if before is not None:
                    before.free_port()
                raise

    def _restart_soon(self) -> None:
        # not from the thread of a request: stopping waits for requests
        server = self._server

        def restart() -> None:
            with self._life:
                if server is not None and self._server is server:
                    self.restart()

        threading.Thread(target=restart, name="cos-emulator-restart", daemon=True).start()

    @contextlib.contextmanager
    def unreachable(self, *, hang_up: bool = True) -> Iterator[None]:
        """Refuse all connections for the time of the block, as if no service ran.

        Parameters
        ----------
        hang_up : bool
            Whether open connections are closed; otherwise they stay usable.
        """
        with self._life:
            server = self._server
            if server is not None:
                server.mute()
                if hang_up:
                    server.hang_up()
        try:
            yield
        finally:
            with self._life:
                if server is not None and self._server is server:
                    server.start()

    def close(self) -> None:
        """Stop, and remove the folder if it is a temporary one."""
        self.stop()
        if self._cleanup is not None:
            self._cleanup()

    def is_loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _check_options(kind: type, given: Mapping[str, object]) -> None:
    """Refuse what is no option of a service, by the names that its users know."""
    for name in given:
        if name not in Options.__annotations__:
            known = [known for known in inspect.signature(kind.__init__).parameters if known != "self"]  # type: ignore[misc]
            similar = get_close_matches(name, known, 1)
            hint = f"did you mean {similar[0]}?" if similar else f"it takes {', '.join(known)}"
            raise TypeError(f"{kind.__name__} takes no option {name}: {hint}")


def _names(option: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the names of buckets or coffers; a text alone would be one for each of its letters."""
    if isinstance(given, str):
        raise TypeError(f"{option} must be a list of names, such as [{given!r}], not a text")
    return tuple(given)


def _shows_options(constructor: _F) -> _F:
    """Decorate a constructor with ``**options``: its signature has them by name, for `help` and notebooks."""
    *own, _ = inspect.signature(constructor).parameters.values()
    shared = inspect.signature(_LocalService).parameters
    shown = [*own, *(shared[name] for name in Options.__annotations__)]
    constructor.__signature__ = inspect.Signature(shown, return_annotation="None")  # type: ignore[attr-defined]
    return constructor


def _dialect(kind: type[_D], given: _D | None) -> _D:
    if given is not None and not isinstance(given, kind):
        name = kind.__name__
        raise TypeError(f"dialect must be a {name}, such as {name}(bad_range='200'), not a {type(given).__name__}")
    return kind() if given is None else given


class Emulator(_LocalService):
    """A local COS service for one account.

    Use it as a context manager, or with `start` and `stop`; after `stop` it can be started again on the same folder.

    Parameters
    ----------
    root : path, optional
        The folder for everything that is stored: a new or empty one, or that of an earlier service. None: a temporary
        one, removed by `close`.
    buckets : iterable of str
        The account's buckets, private ones.
    public_buckets : iterable of str
        Further buckets, which are public.
    region : str
        The short code in URLs.
    dialect : Dialect, optional
        The variant of each disputed point.
    host : str
        The address to listen on.
    port : int
        The port; 0 for a free one.
    appid, secret_id, secret_key : str
        The account and its keys.
    clock : callable
        Returns the time in Unix seconds.
    fsync : bool
        Whether acknowledged writes survive a loss of power; without it they survive the death of the process.
    listener : callable, optional
        Called with every `RequestRecord`.
    keep_requests : int
        How many records of the latest requests are kept; about 1.2 KB each.

    Attributes
    ----------
    root, host, port, appid, region, dialect
        As given; of a free port the one that is listened on, or was last.
    account : Account
        What requests are checked by: ``appid``, ``secret_id``, ``secret_key``, ``region`` and, of coffers, ``token``.
    faults : Faults
        Makes requests fail as specified.
    clock_offset : float
        Seconds by which the service's clock is ahead; may be changed at any time.
    """

    _schema = BUCKETS
    _operations = cos_api.OPERATIONS

    @_shows_options
    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        buckets: Iterable[str] = ("data",),
        public_buckets: Iterable[str] = (),
        region: str = "gz",
        dialect: Dialect | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_options(Emulator, options)
        private, public = _names("buckets", buckets), _names("public_buckets", public_buckets)
        super().__init__(root, region=region, **options)
        self.dialect = _dialect(Dialect, dialect)
        self._buckets = dict.fromkeys(private, False) | dict.fromkeys(public, True)
        for bucket in self._buckets:
            if not bucket or not bucket.isascii() or not bucket.replace("-", "").isalnum():
                raise EmulatorError(f"a bucket's name is made of letters, digits and hyphens, not {bucket!r}")
        self._contents = f"buckets={sorted(self._buckets)}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """The options of a client of this service."""
        return {"appid": self.appid, **super().storage_options}

    def _make_service(self, store: Store) -> cos_api.CosApi:
        return cos_api.CosApi(self.account, store, self.dialect, self._now, self._buckets)


class CofferEmulator(_LocalService):
    """A local CDCS service for one account, used as an `Emulator`.

    All 18 operations are there. Policies are stored and returned, but not enforced: only the owner's keys are known,
    and the owner may do everything. Nothing is encrypted or copied to other regions, whatever a coffer's settings.

    Parameters
    ----------
    root : path, optional
        As of `Emulator`.
    coffers : iterable of str
        The coffers that exist from the beginning, by their full names ``<name>-<APPID>``.
    region : str
        The location that those coffers show.
    token : str, optional
        The token of temporary keys: every request has to bring it as ``x-cdcs-security-token``. None: the keys are
        permanent, and no request may bring one.
    dialect : CofferDialect, optional
        The variant of each disputed point.
    host, port, appid, secret_id, secret_key, clock, fsync, listener, keep_requests
        As of `Emulator`.

    Attributes
    ----------
    root, host, port, appid, region, dialect, account, faults, clock_offset
        As of `Emulator`; `clock_offset` also lets objects expire.
    """

    _schema = COFFERS
    _operations = cdcs_api.OPERATIONS
    _service: cdcs_api.CofferApi | None

    @_shows_options
    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        coffers: Iterable[str] = ("examplecoffer-1250000000",),
        region: str = "ap-tianjin",
        token: str | None = None,
        dialect: CofferDialect | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_options(CofferEmulator, options)
        self._coffers = _names("coffers", coffers)
        super().__init__(root, region=region, token=token, **options)
        self.dialect = _dialect(CofferDialect, dialect)
        try:
            for name in self._coffers:
                check_coffer_name(name, self.dialect, self.appid)
        except ApiError as error:
            raise EmulatorError(f"{name!r} names no coffer of the account {self.appid}: {error.message}") from None
        if len(self._coffers) > MOST_COFFERS:
            raise EmulatorError(f"an account has at most {MOST_COFFERS} coffers, not {len(self._coffers)}")
        self._contents = f"coffers={sorted(self._coffers)}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """The options of a client of this service."""
        token = self.account.token
        return super().storage_options | ({} if token is None else {"security_token": token})

    def settle(self) -> None:
        """List every object that is still missing from listings (`CofferDialect.listing_lag`)."""
        with self._life:
            if self._service is None:
                raise EmulatorError("the service is stopped: start it before settle()")
            self._service.settle()

    def _make_service(self, store: Store) -> cdcs_api.CofferApi:
        return cdcs_api.CofferApi(self.account, store, self.dialect, self._now, self._coffers)


def _remove(folder: Path, pid: int) -> None:
    """Remove the folder of a service; a forked child leaves its parent's alone."""
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
