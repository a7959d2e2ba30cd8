"""A service: one protocol for one account, with what it has stored, and the steps from a request to its reply."""

from __future__ import annotations

import abc
import contextlib
import errno
import hmac
import itertools
import os
import sqlite3
import sys
import threading
import traceback
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from cosv4fs.emulator.call import Call
from cosv4fs.emulator.errors import ApiError, EmulatorError
from cosv4fs.emulator.store import disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cosv4fs.emulator.call import Head
    from cosv4fs.emulator.http import Connection
    from cosv4fs.emulator.replies import Reply
    from cosv4fs.emulator.store import Store

_AnyCall = TypeVar("_AnyCall", bound=Call)

DEFAULT_SECRET_ID = "AKIDlocalEmulatorSecretId0123456789"  # noqa: S105
"""The account's id when none is given; it opens nothing but an emulator."""

DEFAULT_SECRET_KEY = "localEmulatorSecretKey0123456789"  # noqa: S105  it opens nothing but an emulator
"""The account's key when none is given."""

_STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


@dataclass(frozen=True)
class Account:
    """An account with its keys, permanent ones if there is no token."""

    appid: str
    secret_id: str
    secret_key: str = field(repr=False)
    region: str = ""
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.appid.isascii() and self.appid.isdigit()):
            raise EmulatorError(f"an appid is a number, not {self.appid!r}")

    def has_id(self, secret_id: str) -> bool:
        """Return whether a secret id is the account's."""
        return hmac.compare_digest(secret_id.encode(), self.secret_id.encode())


class _UploadLocks:
    """Lets many slices or parts into an upload at a time, but its completion only alone.

    A slice that comes twice could otherwise be written into a file that is published already.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writers: dict[str, int] = {}
        self._closing: set[str] = set()

    @contextlib.contextmanager
    def writing(self, upload: str) -> Iterator[None]:
        """Wait until no completion of the upload runs, and keep the next one waiting."""
        with self._changed:
            while upload in self._closing:
                self._changed.wait()
            self._writers[upload] = self._writers.get(upload, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._writers[upload] -= 1
                if not self._writers[upload]:
                    del self._writers[upload]
                    self._changed.notify_all()

    @contextlib.contextmanager
    def closing(self, upload: str) -> Iterator[None]:
        """Wait until the upload's slices are written, and keep further ones waiting."""
        with self._changed:
            while upload in self._closing:
                self._changed.wait()
            self._closing.add(upload)
            while upload in self._writers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closing.discard(upload)
                self._changed.notify_all()


class Service(abc.ABC, Generic[_AnyCall]):
    """One protocol for one account.

    The server calls `new_call`, `receive`, `run`, `decorate` and `release`, in this order.
    """

    _storage_failed: ClassVar[int | str]
    """The code for a failing disk."""
    _internal_error: ClassVar[int | str]
    """The code for an error of the emulator itself."""
    _head_codes: ClassVar[Mapping[int, int | str]]
    """The codes for requests that are not HTTP or too long, by HTTP status; 0: for any other status."""

    def __init__(self, account: Account, store: Store, clock: Callable[[], float]) -> None:
        self.account = account
        self.store = store
        self.clock = clock
        self.locks = _UploadLocks()
        self.stopping = threading.Event()
        self._numbers = itertools.count(1)

    @abc.abstractmethod
    def new_call(self, head: Head, restart: Callable[[], None]) -> _AnyCall:
        """Return the call of a request of which only the head is parsed."""

    @abc.abstractmethod
    def peek(self, call: _AnyCall, preview: Callable[[], bytes]) -> None:
        """Find the operation before the body is read; `preview` returns the bytes of the body received so far."""

    @abc.abstractmethod
    def receive(self, call: _AnyCall, connection: Connection) -> int:
        """Read the body, parse the request, and return the body's length in bytes.

        Raises
        ------
        BadHeadError
            The body has no usable length or is too long.
        """

    @abc.abstractmethod
    def perform(self, call: _AnyCall) -> Reply:
        """Check the request, run its operation and return the reply; raise `ApiError` to refuse it."""

    @abc.abstractmethod
    def refuse(self, call: _AnyCall, error: ApiError) -> Reply:
        """Return the reply to a refused request."""

    @abc.abstractmethod
    def headers(self, call: _AnyCall) -> list[tuple[str, str]]:
        """Return the headers that every reply has."""

    @abc.abstractmethod
    def decorate(self, call: _AnyCall, reply: Reply) -> None:
        """Add to a reply what all replies of the protocol version have."""

    @abc.abstractmethod
    def release(self, call: _AnyCall) -> None:
        """Release what a request holds, once it is served."""

    def _next_request_id(self) -> str:
        """Return a new request id: base64 of four groups of hex digits, the first Unix seconds (cos.md#envelope)."""
        text = f"{max(0, int(self.clock())):x}_c9a33_{os.getpid() & 0xFFFFF:x}_{next(self._numbers):x}"
        return b64encode(text.encode()).decode()

    def run(self, call: _AnyCall) -> Reply:
        """Run the operation of a request, or refuse it; whatever fails, there is a reply."""
        if call.error is not None:
            return self.refuse(call, call.error)
        earlier = disk_full.set(call.disk_full)
        try:
            return self.perform(call)
        except ApiError as error:
            return self.refuse(call, error)
        except Exception as error:  # noqa: BLE001  an error of the emulator must not leave the client without a reply
            if _is_of_storage(error):
                return self.refuse(call, ApiError(self._storage_failed, "the storage fails"))
            traceback.print_exc(file=sys.stderr)
            return self.refuse(call, ApiError(self._internal_error, status=500))
        finally:
            disk_full.reset(earlier)  # the next request's body may be stored before its operation runs

    def refuse_head(self, call: _AnyCall, status: int) -> Reply:
        """Return the reply to a head that is not HTTP, or to a body that cannot be accepted."""
        code = self._head_codes.get(status, self._head_codes[0])
        return self.refuse(call, ApiError(code, "the request is not valid HTTP here", status=status))


def _is_of_storage(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error) or "disk I/O" in str(error)
    return isinstance(error, OSError) and error.errno in _STORAGE_ERRORS
