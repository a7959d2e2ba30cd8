"""A protocol: its tables of operations, and the steps from a request to its reply.

To add an operation, write a function of the service and the call, and name it in the table in `cos.operations` (v4, v3)
or `cdcs.operations`. The function returns the data of the reply (None: no data) or a whole `Reply`, and raises
`ApiError` to refuse the request. Everything else, such as checking the signature or the method, follows from the row.
"""

from __future__ import annotations

import abc
import errno
import itertools
import os
import sqlite3
import sys
import threading
import traceback
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from .call import Call
from .errors import ApiError
from .replies import Reply
from .store import disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .call import Head
    from .http import Connection

AnyCall = TypeVar("AnyCall", bound=Call)
AnyService = TypeVar("AnyService")
_STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


@dataclass(frozen=True)
class Operation(Generic[AnyService, AnyCall]):
    """One operation: what it does, and the conditions of a request for it.

    Parameters
    ----------
    run : callable
        Runs it, and returns the reply's data or the reply.
    methods : tuple of str
        HTTP methods.
    path : str
        The kind of path. Buckets: a ``file``, a ``directory``, ``either`` of them, or ``any``, the bucket
        included. Coffers: the ``service``, a ``coffer`` or an ``object``.
    query : str
        Coffers: the parameter of the query that selects the operation; empty for none.
    signature : str
        Buckets: the kind of signature, ``single``, ``multi`` or ``any`` (cos.md#signature), or the dialect switch that
        names it; ``own``: the operation checks it.
    bound : bool
        Buckets: whether the dialect may refuse multi-effect signatures that are bound to a path.
    status : int
        The HTTP status of a reply without data.
    stored : bool
        Coffers: whether the body is streamed into the store while it is received.
    claims : bool
        Coffers: whether the request holds its key from its head until its reply.
    """

    run: Callable[[AnyService, AnyCall], dict[str, Any] | Reply | None]
    methods: tuple[str, ...] = ("POST",)
    path: Literal["file", "directory", "either", "any", "service", "coffer", "object"] = "file"
    query: str = ""
    signature: Literal["multi", "single", "any", "own", "move_signature", "copy_signature"] = "multi"
    bound: bool = False
    status: int = 200
    stored: bool = False
    claims: bool = False


class Api(abc.ABC, Generic[AnyCall]):
    """One protocol of one account.

    The dispatcher calls `new_call`, `receive`, `run`, `decorate` and `release`, in this order.

    Parameters
    ----------
    clock : callable
        Returns Unix seconds.

    Attributes
    ----------
    stopping : threading.Event
        Set when the service stops.
    storage_failed, internal_error : int or str
        The codes for a failing disk, and for an error of the emulator itself.
    head_codes : dict
        The codes for requests that are not HTTP or too long, by HTTP status; 0: for any other status.
    """

    storage_failed: ClassVar[int | str]
    internal_error: ClassVar[int | str]
    head_codes: ClassVar[Mapping[int, int | str]]

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stopping = threading.Event()
        self._numbers = itertools.count(1)

    @abc.abstractmethod
    def new_call(self, head: Head, restart: Callable[[], None]) -> AnyCall:
        """Return the call of a request of which only the head is parsed."""

    @abc.abstractmethod
    def peek(self, call: AnyCall, preview: Callable[[], bytes]) -> None:
        """Find the operation before the body is read; `preview` returns the bytes of the body received so far."""

    @abc.abstractmethod
    def receive(self, call: AnyCall, connection: Connection) -> int:
        """Read the body, parse the request, and return the body's length in bytes.

        Raises
        ------
        BadHeadError
            The body has no usable length or is too long.
        """

    @abc.abstractmethod
    def operation(self, call: AnyCall) -> Operation[Any, AnyCall]:
        """Return the operation of a request; raise `ApiError` if there is none."""

    @abc.abstractmethod
    def authorize(self, call: AnyCall, operation: Operation[Any, AnyCall]) -> None:
        """Check the signature and the other conditions of an operation; raise `ApiError` if one does not hold."""

    @abc.abstractmethod
    def perform(self, call: AnyCall, operation: Operation[Any, AnyCall]) -> Reply:
        """Run the operation and return its reply."""

    @abc.abstractmethod
    def refuse(self, call: AnyCall, error: ApiError) -> Reply:
        """Return the reply to a refused request."""

    @abc.abstractmethod
    def headers(self, call: AnyCall) -> list[tuple[str, str]]:
        """Return the headers that every reply has."""

    def decorate(self, call: AnyCall, reply: Reply) -> None:
        """Add to a reply what all replies of the protocol version have."""

    @abc.abstractmethod
    def release(self, call: AnyCall) -> None:
        """Release what a request holds, once it is served."""

    def next_request_id(self) -> str:
        """Return a new request id: base64 of four groups of hex digits, the first Unix seconds (cos.md#envelope)."""
        text = f"{max(0, int(self.clock())):x}_c9a33_{os.getpid() & 0xFFFFF:x}_{next(self._numbers):x}"
        return b64encode(text.encode()).decode()

    def run(self, call: AnyCall) -> Reply:
        """Run the operation of a request, or refuse it; whatever fails, there is a reply."""
        earlier = disk_full.set(call.disk_full)
        try:
            return self._run(call)
        except ApiError as error:
            return self.refuse(call, error)
        except Exception as error:  # noqa: BLE001  an error of the emulator must not leave the client without a reply
            if _storage_failed(error):
                return self.refuse(call, ApiError(self.storage_failed, "the storage fails"))
            traceback.print_exc(file=sys.stderr)
            return self.refuse(call, ApiError(self.internal_error, status=500))
        finally:
            disk_full.reset(earlier)  # the next request's body may be stored before its operation runs

    def _run(self, call: AnyCall) -> Reply:
        if call.error is not None:
            raise call.error
        operation = self.operation(call)
        self.authorize(call, operation)
        return self.perform(call, operation)

    def refuse_head(self, call: AnyCall, status: int) -> Reply:
        """Return the reply to a head that is not HTTP, or to a body that cannot be accepted."""
        code = self.head_codes.get(status, self.head_codes[0])
        return self.refuse(call, ApiError(code, "the request is not valid HTTP here", status=status))


def _storage_failed(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error) or "disk I/O" in str(error)
    return isinstance(error, OSError) and error.errno in _STORAGE_ERRORS
