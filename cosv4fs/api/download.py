"""Reading objects over HTTP: one range, checked, continued after a lost connection (cos.md#download).

All variants that the documentation leaves open are accepted: 200 instead of 206, no ETag, 416 or an empty 200 past the
end.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cosv4fs.api.connection_errors import connection_failure
from cosv4fs.api.connections import FAULTS, Response
from cosv4fs.api.fields import LARGEST_OBJECT
from cosv4fs.api.request import Request
from cosv4fs.api.responses import (
    compressed_reply,
    content_coding,
    content_length,
    header_seconds,
    header_texts,
)
from cosv4fs.api.retry import AttemptError
from cosv4fs.api.transport import Transport
from cosv4fs.codes import Retry
from cosv4fs.concurrency.limits import receiving
from cosv4fs.errors import CosError, make_error

_STEP = 1024 * 1024
"""Bytes per read from the socket: smaller ones pay for the interpreter, larger ones delay nothing but Ctrl-C."""

_LEAST_PROGRESS = 8 * 1024
"""A connection that breaks after fewer bytes than this counts as a failed attempt: else a large object would take a
million of them."""

_CONTENT_RANGE = re.compile(r"^bytes\s+(?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)$")


Write = Callable[[memoryview, int], object]
"""Takes bytes of an object, and the offset that they begin at."""


@dataclass(frozen=True)
class Version:
    """What distinguishes one content of an object from the next.

    Parameters
    ----------
    size : int
        Bytes of the whole object.
    etag, modified : str or None
        The ETag and Last-Modified headers, where the server sends them.
    """

    size: int
    etag: str | None = None
    modified: str | None = None

    @property
    def is_certain(self) -> bool:
        """Whether equal versions mean equal contents: only where there is a strong ETag.

        Last-Modified counts whole seconds, and weak ETags are often made of it.
        """
        return bool(self.etag and not self.etag.startswith("W/"))

    def differs(self, other: Version) -> bool:
        """Return whether this and an `other` version are provably different contents."""
        if self.size != other.size:
            return True
        # a proxy may weaken an ETag
        tags = (tag.removeprefix("W/") if tag else None for tag in (self.etag, other.etag))
        pairs = (tuple(tags), (self.modified, other.modified))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class Fetched:
    """A range that was read.

    Parameters
    ----------
    start, length : int
        Where it starts, and how many bytes it has.
    version : Version
        Its version, as far as the reply shows.
    headers : mapping
        The headers of the last reply; none of an empty object if a range was requested.
    date : float or None
        The server's time when it began to send the range, in Unix seconds; only where the version is not certain.
    """

    start: int
    length: int
    version: Version
    headers: Mapping[str, str] = field(default_factory=dict)
    date: float | None = None


def changed_error(path: str) -> CosError:
    """Return the error for an object that was replaced between two requests of one read."""
    # a dask frame has the borders of the old file's blocks: computing it again is wrong without an error
    text = "the object was replaced while it was being read: open it again, and build dask frames anew"
    return make_error(errno.ESTALE, text, path)


def clamped(start: int | None, stop: int | None, size: int) -> tuple[int, int]:
    """Return begin and end of a range within an object of `size` bytes; see `Client.fetch` for `start` and `stop`."""
    begin = start or 0
    if begin < 0:
        begin = max(0, size + begin)
    return begin, max(begin, size if stop is None else min(stop, size))


class RangeRead:
    """Reads one range of one object into one buffer, with as many requests as it takes; see `Client.fetch`.

    Parameters
    ----------
    refusal : callable
        Takes a reply that is not about the object's content, and its request; returns the failure.
    make_request : callable
        Takes a Range header's value (or None) and returns the request.
    stored_size : callable or None
        Finds out the size of the whole object in bytes in another way, where a header says that the body is compressed.
    write : callable, optional
        Takes each step of the range as soon as it has come, and its offset in the object. Memory that is shorter than
        the range is then reused for every step.
    """

    def __init__(
        self,
        transport: Transport,
        refusal: Callable[[Response, Request], AttemptError],
        make_request: Callable[[str | None], Request],
        start: int | None,
        stop: int | None,
        allocate: Callable[[int, Version], memoryview],
        stored_size: Callable[[], int | None] | None,
        expected: Version | None = None,
        write: Write | None = None,
    ) -> None:
        self._transport, self._refusal = transport, refusal
        self._make_request = make_request
        self._start, self._stop = start, stop
        self._allocate, self._stored_size, self._write = allocate, stored_size, write
        self._version = expected
        self._view: memoryview | None = None
        self._first = self._length = self._filled = 0
        self._headers: Mapping[str, str] = {}
        self._date: float | None = None
        self._is_certain = True

    _statuses: tuple[int, ...] = (200, 206, 416)
    """The HTTP statuses of replies about the object's content."""

    def attempt(self) -> Fetched:
        """Make one request for what is still missing."""
        if not self._is_certain:
            # what came before may be of another version: one reply has to bring everything
            self._filled = 0
        before = self._filled
        request = self._make_request(self._range_header())
        response = self._transport.exchange(request)
        try:
            self._receive(response, request)
            response.release()
        except AttemptError as failure:
            failure.progressed = self._is_certain and self._filled - before >= _LEAST_PROGRESS
            raise
        finally:
            # does nothing to a connection that was given back
            response.close()
        assert self._version is not None  # _receive has set it
        version = self._version if self._is_certain else replace(self._version, etag=None)
        return Fetched(self._first, self._filled, version, self._headers, self._date)

    def _range_header(self) -> str | None:
        if self._view is not None:
            return f"bytes={self._first + self._filled}-{self._first + self._length - 1}"
        if self._start is not None and self._start < 0:
            return f"bytes={self._start}"
        if not self._start and self._stop is None:
            return None
        start = self._start or 0
        # HTTP has no empty ranges: one byte is requested, and dropped
        return f"bytes={start}-{'' if self._stop is None else max(start, self._stop - 1)}"

    def _receive(self, response: Response, request: Request) -> None:
        status = response.status
        if status not in self._statuses:
            raise self._refusal(response, request)
        self._check_coding(response, request)
        sent, _, total = _content_range(response, request)
        if total > LARGEST_OBJECT:
            raise make_error(errno.EBADMSG, f"the server says that the object has {total} bytes", request.path)
        version = self._version_of(total, response)
        if self._version is not None and version.differs(self._version):
            raise changed_error(request.path)
        self._version = self._version or version
        self._is_certain = self._is_certain and version.is_certain
        # those of a 416, which answers any range of an empty object, describe the error
        self._headers = {} if status == 416 else header_texts(response)
        if not (self._filled or version.is_certain):
            self._date = header_seconds(response.headers.get("Date"))
        if self._view is None:
            self._first, end = clamped(self._start, self._stop, total)
            self._length = 0 if status == 416 else end - self._first
            self._view = self._allocate(self._length, version)
        wanted = self._first + self._filled
        if self._filled == self._length:
            return
        if status == 416 or not sent <= wanted:
            raise make_error(errno.EIO, f"the server sent another range than requested: from {sent}", request.path)
        self._read(response, request, skip=wanted - sent)

    def _check_coding(self, response: Response, request: Request) -> None:
        """Refuse a body that was compressed in transit; one that is stored like this has the announced length."""
        status, length = response.status, content_length(response)
        if status == 416 or content_coding(response) is None:
            return
        if length is None:
            raise compressed_reply(response, request)
        _, count, total = _content_range(response, request)
        if count not in (None, length):
            raise compressed_reply(response, request)
        if self._version is not None:
            size: int | None = self._version.size
        else:
            size = self._stored_size() if self._stored_size is not None else None
        # without a known size, only a part is trusted: proxies that compress send the whole
        if size != total and (size is not None or (status == 200 and "Range" in request.headers)):
            raise compressed_reply(response, request)

    def _version_of(self, total: int, response: Response) -> Version:
        return Version(total, response.headers.get("ETag") or None, response.headers.get("Last-Modified"))

    def _read(self, response: Response, request: Request, skip: int) -> None:
        assert self._view is not None  # allocated before
        scratch = memoryview(bytearray(min(skip, _STEP))) if skip else None
        while skip and scratch is not None:
            skip -= self._some(response, request, scratch[:skip])
        is_reused = len(self._view) < self._length
        while self._filled < self._length:
            begin = 0 if is_reused else self._filled
            room = self._view[begin : begin + min(_STEP, self._length - self._filled)]
            count = self._some(response, request, room)
            if self._write is not None:
                self._write(room[:count], self._first + self._filled)
            self._filled += count

    def _some(self, response: Response, request: Request, view: memoryview) -> int:
        handled = sys.exc_info()[1]
        try:
            count = response.readinto(view[: receiving.step(len(view))])
        except FAULTS as fault:
            raise connection_failure(fault, request, response.proxy, handled=handled) from fault
        if count <= 0:
            text = "the connection broke in the middle of the object (download)"
            raise AttemptError(make_error(errno.ECONNRESET, text, request.path), Retry.YES)
        receiving.take(count)
        return count


def _content_range(response: Response, request: Request) -> tuple[int, int | None, int]:
    """Return the offset of the first byte, the number of bytes where it is known, and the size of the whole object."""
    if response.status == 200:
        length = content_length(response)
        if length is None:
            raise make_error(errno.EBADMSG, "the download's reply has no Content-Length", request.path)
        return 0, length, length
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", "").strip())
    if found is None or found[3] == "*":
        if response.status == 416:
            return 0, None, 0
        raise make_error(errno.EBADMSG, "the reply to a Range request has no valid Content-Range", request.path)
    first = int(found[1] or 0)
    return first, int(found[2]) - first + 1 if found[2] else None, int(found[3])
