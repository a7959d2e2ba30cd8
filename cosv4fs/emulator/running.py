"""A local service as an object: start, stop, and what tests look at. Nothing here knows which API it speaks."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import shutil
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import EmulatorError
from .faults import Faults
from .log import RequestLog, RequestRecord
from .server import Server

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from .server import Api
    from .store import Store

__all__ = ["DEFAULT_SECRET_ID", "DEFAULT_SECRET_KEY", "LocalService"]

DEFAULT_SECRET_ID = "AKIDlocalEmulatorSecretId0123456789"  # noqa: S105
"""The account's id when none is given; it opens nothing but an emulator."""

DEFAULT_SECRET_KEY = "localEmulatorSecretKey0123456789"  # noqa: S105  it opens nothing but an emulator
"""The account's key when none is given."""


class LocalService:
    """A service of its own, on this machine, for one account.

    Use it as a context manager, or with `start` and `stop`; after `stop` it can be started again on the same folder.

    Parameters
    ----------
    root : path, optional
        The folder for everything that is stored: a new or empty one, or that of an earlier service. None: a temporary
        one, removed by `close`.
    host : str
        The address to listen on.
    port : int
        The port; 0 for a free one.
    appid, secret_id, secret_key : str
        The account.
    clock : callable
        Returns the time in Unix seconds.
    fsync : bool
        Whether acknowledged writes survive a loss of power; without it they survive the death of the process.
    listener : callable, optional
        Called with every `RequestRecord`.
    keep_requests : int
        How many of the latest requests are kept to be looked at; about 1.2 KB each.

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
        if not (appid.isascii() and appid.isdigit()):
            raise EmulatorError(f"an appid is a number, not {appid!r}")
        if root == "":
            raise EmulatorError(
                "the root folder has an empty name: a variable without a value? The working directory is ."
            )
        self.faults = Faults()
        self.clock_offset = 0.0
        self.appid = appid
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._host = host
        self._port = port
        self._clock = clock
        self._life = threading.RLock()
        self._fsync = fsync
        self._listener = listener
        self._log = RequestLog(keep_requests)
        self._numbers = itertools.count(1)
        self._server: Server[Any] | None = None
        self._store: Store | None = None
        self._root = Path(tempfile.mkdtemp(prefix="cos-emulator-") if root is None else root)
        self._cleanup = weakref.finalize(self, _remove, self._root, os.getpid()) if root is None else None

    def __repr__(self) -> str:
        state = self.endpoint if self._server is not None else "stopped"
        return f"<{type(self).__name__} {state} root={str(self._root)!r}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The folder for everything that is stored."""
        return self._root

    @property
    def port(self) -> int:
        """The port that is listened on, or was last."""
        return self._port

    @property
    def host(self) -> str:
        """The address that is listened on."""
        return self._host

    @property
    def endpoint(self) -> str:
        """The URL of the API host, without path."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What a client needs to use this service."""
        raise NotImplementedError

    def _open(self) -> tuple[Store, Api[Any]]:
        """Open the root folder, and make the service that works on it."""
        raise NotImplementedError

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests so far, the oldest first."""
        return self._log.records()

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._log.clear()

    def count(self) -> dict[str, int]:
        """Return how many requests there were of each operation."""
        return self._log.count()

    def start(self, port: int | None = None) -> None:
        """Begin to listen; nothing happens when it does already.

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
                self._start(self._port if port is None else port)

    def _start(self, port: int) -> None:
        store, api = self._open()
        try:
            server = self._bind(api, port)
        except BaseException:
            store.close()
            raise
        self._store, self._server, self._port = store, server, server.port
        try:
            server.start()
        except OSError as error:
            self.stop()
            raise self._cannot_listen(port, error) from None

    def _now(self) -> float:
        return self._clock() + self.clock_offset

    def _bind(self, api: Api[Any], port: int) -> Server[Any]:
        try:
            return Server(
                api,
                (self._host, port),
                faults=self.faults,
                log=self._log,
                numbers=self._numbers,
                restart=self._restart_soon,
                listener=self._listener,
            )
        except (OSError, OverflowError) as error:
            raise self._cannot_listen(port, error) from None

    def _cannot_listen(self, port: int, error: Exception) -> EmulatorError:
        reason = getattr(error, "strerror", None) or str(error)
        return EmulatorError(f"cannot listen on {self._host}:{port}: {reason}")

    def stop(self) -> None:
        """Close all connections and stop listening; what is stored stays. Nothing happens when it is stopped."""
        with self._life:
            if self._server is None or self._store is None:
                return
            self._server.stop()
            self._store.close()
            self._server = self._store = None

    def restart(self) -> None:
        """Stop and start again, on the same port; connections break off, what is stored stays."""
        with self._life:
            self.stop()
            self.start()

    def _restart_soon(self) -> None:
        # Not from the thread of a request: stopping waits for requests.
        server = self._server
        threading.Thread(target=self._restart_once, args=(server,), name="cos-emulator-restart", daemon=True).start()

    def _restart_once(self, server: Server[Any] | None) -> None:
        with self._life:
            if server is not None and self._server is server:
                self.restart()

    @contextlib.contextmanager
    def unreachable(self, *, hang_up: bool = True) -> Iterator[None]:
        """Refuse all connections for the time of the block, as a service does that is not there.

        Parameters
        ----------
        hang_up : bool
            Whether the connections that are there are closed; otherwise they may be used on.
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
        """Whether only this machine can reach it."""
        if self._host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return False


def _remove(folder: Path, pid: int) -> None:
    """Remove the folder of a service; a forked child leaves its parent's alone."""
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
