"""The base of all clients: connections, the retry loop, the server's clock; nothing specific to a protocol."""

from __future__ import annotations

import errno
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cosv4fs.api.connections import Response
from cosv4fs.api.credentials import SignerBase
from cosv4fs.api.download import Fetched, Version, Write
from cosv4fs.api.fields import LARGEST_OBJECT, Fields
from cosv4fs.api.hints import add_hints
from cosv4fs.api.quirks import Quirks
from cosv4fs.api.request import Request
from cosv4fs.api.responses import compressed_reply, content_coding, content_length
from cosv4fs.api.retry import AttemptError, RetryPolicy, is_older
from cosv4fs.api.transport import NEW_AFTER, WARN_AFTER, Transport, read_body
from cosv4fs.codes import Retry
from cosv4fs.concurrency import cancellation
from cosv4fs.config import Config, resolve
from cosv4fs.errors import CosError, make_error
from cosv4fs.forking import shared_lock
from cosv4fs.protocols import V4, ProtocolSpec
from cosv4fs.redaction import clears_frames

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

_log = logging.getLogger("cosv4fs")


class FileStatus(Protocol):
    """The status of a file, as every service reports it."""

    @property
    def size(self) -> int:
        """Bytes of the content."""

    @property
    def modified(self) -> int:
        """Unix seconds of the last change; 0 if unknown."""

    @property
    def sha(self) -> str | None:
        """SHA-1 of the content in lower-case hex, where known."""

    @property
    def identifies_content(self) -> bool:
        """Whether another content would have another status, however soon it replaced this one."""


class Client(ABC):
    """One account's access to a service: what the clients of all services have in common.

    Methods take the name of a ``bucket`` or ``coffer`` and a ``key``, which is the path in it and begins with a slash;
    that of a directory ends with one, too.

    Parameters
    ----------
    config : Config
        From `cosv4fs.config.resolve`; or use `connect`.
    policy : RetryPolicy, optional
        When requests are retried; from the configuration unless given.
    clock : callable, optional
        Returns Unix seconds, for signatures.

    Attributes
    ----------
    quirks : Quirks
        What was learned about the server.
    on_throttle : callable or None
        Called whenever the service asks for fewer requests.
    retries : int
        The requests so far that had to be repeated.
    """

    protocol: ProtocolSpec = V4
    """What `connect` makes a configuration for."""

    _signer_class: type[SignerBase]

    def __init__(
        self, config: Config, policy: RetryPolicy | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.config, self.quirks = config, Quirks(config.api_root)
        self._clock = clock
        self._signer: SignerBase = self._signer_class(config, clock, self.quirks)
        self._transport = Transport(config)
        self._policy = policy or RetryPolicy(config.max_retries, config.retry_deadline, sleep=cancellation.sleep)
        self.on_throttle: Callable[[], None] | None = None
        self._counting = shared_lock()
        self.retries = 0
        # by the code of an error that was warned of, or None for any other: when it last kept an operation waiting
        self._slowed: dict[int | str | None, float] = {}

    def __repr__(self) -> str:
        config: Config | None = getattr(self, "config", None)
        if config is None:
            return f"<{type(self).__name__} that could not be made>"
        appid = f" appid={config.appid}" if config.appid else ""
        return f"<{type(self).__name__}{appid} at {config.api_root}>"

    @classmethod
    @clears_frames
    def connect(cls, **options: Any) -> Self:
        """Return a client for the given options, completed from the environment.

        Parameters
        ----------
        **options
            Those of the filesystems, see `cosv4fs.options.OPTIONS`: appid, secret_id, secret_key, region, endpoint, …

        Raises
        ------
        MissingCredentialsError, ValueError, TypeError
            See `cosv4fs.config.resolve`.
        """
        return cls(resolve(options, protocol=cls.protocol))

    @abstractmethod
    def file_status(self, bucket: str, key: str, /) -> FileStatus:
        """Return the status of a file, by a request that the credentials allow.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        """

    @abstractmethod
    def fetch(
        self,
        bucket: str,
        key: str,
        /,
        allocate: Callable[[int, Version], memoryview],
        start: int | None = None,
        stop: int | None = None,
        expected: Version | None = None,
        write: Write | None = None,
    ) -> Fetched:
        """Read bytes `start` up to `stop` of an object into memory that `allocate` provides.

        A broken connection continues at the byte that was reached.

        Parameters
        ----------
        allocate : callable
            Called with the number of bytes to come and the object's version; returns writable memory of that size.
        start, stop : int, optional
            Offsets in bytes. A negative `start` counts from the end; ends beyond the object are cut.
        expected : Version, optional
            The version to read; an object that is provably another one is an error.
        write : callable, optional
            Called with each step of the range as it comes, and its offset in the object. The memory may then be
            shorter than the range, and is reused. After a broken connection, steps may come again.

        Raises
        ------
        FileNotFoundError
            There is no such (complete) object.
        OSError
            ESTALE when the object changed.
        """

    @property
    def _page_size(self) -> int:
        return min(self.config.page_size, self.config.protocol.page_size)

    def missing_connections(self, wanted: int) -> int:
        """Return how many calls of `open_connection` it takes until `wanted` requests to the API can be sent at once.

        One is not counted: that of the request which is sent meanwhile.
        """
        return self._transport.missing_connections(self.config.api_root + "/", wanted)

    def open_connection(self) -> None:
        """Open a connection that a later request to the API will use; do nothing if that fails."""
        self._transport.open_connection(self.config.api_root + "/")

    def close(self) -> None:
        """Close the pooled connections. The client stays usable."""
        self._transport.close()

    def clock_difference(self, bucket: str) -> float | None:
        """Return by how many seconds the server's clock is ahead of this machine's; None if the reply has no time.

        One request is sent; whether the server grants or refuses it does not matter.

        Raises
        ------
        ConnectionError, TimeoutError
            There was no reply.
        """
        request = self._any_request(bucket)

        def attempt() -> float | None:
            response = self._transport.exchange(request)
            read_body(response, request)
            return self._signer.difference(response.headers.get("Date"))

        return self._run(attempt)

    def server_time(self, bucket: str) -> float:
        """Return the server's Unix seconds, or this machine's if the reply has no time; see `clock_difference`."""
        return (self.clock_difference(bucket) or 0.0) + self._clock()

    def _is_older(self, seconds: int, bucket: str, moment: float) -> bool:
        """Return whether a time of the service is certainly before a moment of `time.monotonic`; costs a request."""
        ahead = self.clock_difference(bucket)
        # never later than the server's clock showed then: the time that the reply took is not counted
        return is_older(seconds, None if ahead is None else self._clock() + ahead - (time.monotonic() - moment))

    # -- what each service adds ------------------------------------------------------------------------------------

    @abstractmethod
    def _any_request(self, bucket: str) -> Request:
        """Return a request that every server answers, if only by refusing it."""

    @abstractmethod
    def _read(self, response: Response, request: Request) -> Fields:
        """Return the values of a reply; raise `AttemptError` if it is an error, or none of the service."""

    # -- operations ------------------------------------------------------------------------------------------------

    def _query(
        self,
        request: Request,
        parse: Callable[[Fields], T],
        settle: Callable[[AttemptError], T | None] | None = None,
        check_lost: Callable[[], T | None] | None = None,
    ) -> T:
        """Send a request and return what its reply says; see `_run`."""
        return self._run(lambda: parse(self._read(self._transport.exchange(request), request)), settle, check_lost)

    def _refusal(self, response: Response, request: Request) -> AttemptError:
        """Return the failure that a reply without the wanted content stands for, whatever form its body has."""
        try:
            # its values do not matter
            with suppress(CosError):
                self._read(response, request)
        except AttemptError as failure:
            return failure
        return AttemptError(make_error(errno.EIO, f"{request.operation} was answered with an API reply", request.path))

    def _head_of(self, request: Request, stored_size: Callable[[], int | None] | None) -> tuple[int, Mapping[str, str]]:
        """Return the size of an object and the headers of a reply to HEAD.

        `stored_size` finds out the size in another way, where a header says that the body is compressed.
        """
        response = self._transport.exchange(request)
        if response.status != 200:
            raise self._refusal(response, request)
        response.read()
        response.release()
        size = content_length(response)
        if content_coding(response) is not None and stored_size is not None and stored_size() != size:
            raise compressed_reply(response, request)
        if size is None or size > LARGEST_OBJECT:
            raise make_error(errno.EBADMSG, "the reply to HEAD has no usable Content-Length", request.path)
        return size, response.headers

    def _run(
        self,
        attempt: Callable[[], T],
        settle: Callable[[AttemptError], T | None] | None = None,
        check_lost: Callable[[], T | None] | None = None,
    ) -> T:
        """Run an operation with retries; what leaves it is an error for the caller of the client.

        `check_lost` is called when the last reply was lost and there is no further attempt; it may return the result.
        """
        try:
            return self._policy.run(attempt, settle, self._on_failure)
        except AttemptError as failure:
            result = check_lost() if failure.outcome_unknown and check_lost is not None else None
            if result is not None:
                return result
            error = failure.error
            # a cancelled request has one error for both, which would be a cycle: threads, buffers and files with it
            cause = None if failure.__cause__ is error else failure.__cause__
            if retried := self._policy.retried(failure):
                error.strerror = f"{error.strerror}; {retried}"
                # whoever calls again is to learn again why that takes long
                self._slowed.pop(error.code, None)
        except (KeyboardInterrupt, InterruptedError):
            self._slowed.clear()
            self._transport.forget_warnings()
            raise
        _log.debug("%r: failed: %s", error.filename, error.strerror)
        add_hints(error, self.config)
        try:
            # not in the handler: the context of the error would be the failure, whose frames refer to the error
            raise error from cause
        finally:
            # the error refers to this frame
            del error, cause

    def _on_failure(self, failure: AttemptError, number: int, pause: float) -> None:
        with self._counting:
            self.retries += 1
        if failure.retry is Retry.RESIGN:
            self._signer.adopt_server_date(failure.server_date)
        elif failure.retry is Retry.BACK_OFF and self.on_throttle is not None:
            self.on_throttle()
        if cancellation.is_cancelled():
            # it fails because its connection was shut down
            return
        error = failure.error
        if self._is_news(failure, pause):
            _log.warning("%s; retrying", error.strerror)
        _log.info("%r: retry %d in %.1f seconds: %s", error.filename, number, pause, error.strerror)

    def _is_news(self, failure: AttemptError, pause: float) -> bool:
        """Return whether to warn that an operation takes long: once per outage, or per code that a service refuses by.

        Under load, a service may refuse many requests by a code, and each of them for a short time.
        """
        if failure.outage is not None:
            return failure.outage.is_news
        if failure.waited + pause <= WARN_AFTER:
            return False
        with self._counting:
            now, code = self._policy.clock(), failure.error.code
            last = self._slowed.get(code)
            self._slowed[code] = now
        return last is None or now - last > NEW_AFTER
