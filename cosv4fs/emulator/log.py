"""The request log: each request, with its time, connection and reply."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RequestRecord:
    """One request.

    Parameters
    ----------
    number : int
        Counts from 1 over the emulator's life.
    op : str
        The operation; ``download``, ``head``, ``options`` for those of a bucket without one, empty when it is unknown.
    method, host : str
        Of the HTTP request.
    bucket, path : str
        The bucket or coffer, and the decoded path in it, which begins with ``/``.
    query : dict
        The parameters of the query, without ``sign``.
    offset : int, optional
        The offset of a slice in bytes.
    range : str, optional
        The Range header.
    status : int
        HTTP status of the reply; 0 when there was none.
    code : int or str
        Code of the reply: a word in a coffer's refusals, else a number; 0 also when there was no reply.
    bytes_in, bytes_out : int
        Length of both bodies in bytes.
    started, finished : float
        Unix seconds.
    connection : int
        Which TCP connection.
    request_id : str
        As in the reply.
    session : str, optional
        The upload session that was named.
    """

    number: int
    op: str
    method: str
    host: str
    bucket: str
    path: str
    query: dict[str, str] = field(repr=False)
    offset: int | None
    range: str | None
    status: int
    code: int | str
    bytes_in: int
    bytes_out: int
    started: float
    finished: float
    connection: int
    request_id: str
    session: str | None


class RequestLog:
    """A bounded list of the latest requests, safe to use from any thread; `listener` is called with every record."""

    def __init__(self, limit: int = 100_000, listener: Callable[[RequestRecord], None] | None = None) -> None:
        self._listener = listener
        self._records: collections.OrderedDict[int, RequestRecord] = collections.OrderedDict()
        self._limit = limit
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """Return the number of a new request."""
        # without the GIL, two threads may get the same one from `count`
        with self._lock:
            return next(self._numbers)

    def add(self, record: RequestRecord) -> None:
        """Add a record; the oldest one goes when there are too many."""
        with self._lock:
            self._records[record.number] = record
            if len(self._records) > self._limit:
                self._records.popitem(last=False)
        if self._listener is not None:
            self._listener(record)

    def amend(self, number: int, *, bytes_out: int, finished: float) -> None:
        """Correct a record after its body was sent; nothing happens when the record was cleared meanwhile."""
        with self._lock:
            record = self._records.get(number)
            if record is not None:
                self._records[number] = dataclasses.replace(record, bytes_out=bytes_out, finished=finished)

    def records(self) -> list[RequestRecord]:
        """Return the records, the oldest first."""
        with self._lock:
            return list(self._records.values())

    def clear(self) -> None:
        """Drop all records."""
        with self._lock:
            self._records.clear()

    def count(self) -> dict[str, int]:
        """Return how many requests there were of each operation."""
        return dict(collections.Counter(record.op for record in self.records()))
