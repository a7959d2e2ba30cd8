"""The request log: what was asked, when, on which connection, and what was answered."""

from __future__ import annotations

import collections
import dataclasses
import threading
from dataclasses import dataclass, field

__all__ = ["RequestLog", "RequestRecord"]


@dataclass(frozen=True)
class RequestRecord:
    """One request.

    Parameters
    ----------
    number : int
        Counts from 1 over the emulator's life.
    op : str
        The operation; ``download``, ``head``, ``options`` for those of a bucket without one, empty when it could not be
        told.
    method, host : str
        Of the HTTP request.
    bucket, path : str
        The bucket or coffer, and what it was about in it; the path is decoded and begins with ``/``.
    query : dict
        The parameters of the query, without ``sign``.
    offset : int, optional
        The offset of a slice in bytes.
    range : str, optional
        The Range header.
    status : int
        HTTP status of the answer; 0 when there was none.
    code : int or str
        Code of the answer: a word in a coffer's refusals, else a number; 0 also when there was no answer.
    bytes_in, bytes_out : int
        Length of both bodies in bytes.
    started, finished : float
        Unix seconds.
    connection : int
        Which TCP connection.
    request_id : str
        As in the answer.
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
    """A bounded list of the latest requests, safe to use from any thread.

    Parameters
    ----------
    limit : int
        How many records are kept.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._records: collections.OrderedDict[int, RequestRecord] = collections.OrderedDict()
        self._limit = limit
        self._lock = threading.Lock()

    def add(self, record: RequestRecord) -> None:
        """Keep a record; the oldest one goes when there are too many."""
        with self._lock:
            self._records[record.number] = record
            if len(self._records) > self._limit:
                self._records.popitem(last=False)

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
        """Forget all records."""
        with self._lock:
            self._records.clear()

    def count(self) -> dict[str, int]:
        """Return how many requests there were of each operation."""
        return dict(collections.Counter(record.op for record in self.records()))
