"""Reading objects: one request for a small one, parallel ranges for a large one, and never a mixture of two versions.

The first request asks for one range and learns the size with it; an object that fits needs no other.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from cosv4fs import paths
from cosv4fs.api import Client, Fetched, Version
from cosv4fs.api.download import Write
from cosv4fs.concurrency import Pool, TaskGroup
from cosv4fs.errors import make_error
from cosv4fs.localfiles import replacing
from cosv4fs.progress import Step
from cosv4fs.transfer.destinations import Destination, InMemory, OnDisk
from cosv4fs.transfer.hashing import ContentHash, ReadHash
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.versions import VersionGuard, check_content

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


_SMALLEST_RANGE = 1024 * 1024
"""Ranges below this many bytes cost more in requests than they gain by being parallel."""


class Download:
    """Reads one object, or a part of it.

    Parameters
    ----------
    client : Client
        Sends the requests; its option ``range_size`` is the number of bytes of the first request, and the most for each
        further one.
    pool : Pool
        Runs the requests for further ranges, and lends them memory.
    path : str
        ``bucket/dir/name``.
    version : Version, optional
        The version that has to be read; it saves the client of a coffer a request.
    sha : str, optional
        The object's SHA-1 in hex: a whole download is compared with it.
    accepts_newer : bool
        Whether that may be the SHA-1 of an older version, which was cached.
    set_size, progress : callable, optional
        Called once with the number of bytes that will come; and with the bytes of each range that has come, never
        from two threads at once.
    """

    def __init__(
        self,
        client: Client,
        pool: Pool,
        path: str,
        version: Version | None = None,
        sha: str | None = None,
        set_size: Step | None = None,
        progress: Step | None = None,
        *,
        accepts_newer: bool = True,
    ) -> None:
        self._client, self._pool, self._path = client, pool, path
        self._bucket, self._key = paths.file_key(path)
        self._version, self._sha, self._accepts_newer = version, sha, accepts_newer
        self._range_size = client.config.range_size
        self._set_size, self._progress = set_size, progress
        self._lock = threading.Lock()
        self.headers: Mapping[str, str] = {}
        """The headers of the first reply."""

    def to_bytes(self, start: int | None = None, stop: int | None = None) -> bytes:
        """Return bytes `start` up to `stop` of the object; a negative start counts from the end.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        OSError
            ESTALE if the object was replaced between two ranges; EIO if its SHA-1 differs.
        """
        memory = InMemory(start or 0, stop, self._path)
        _ParallelFetch(self, start, stop, memory).run()
        return memory.taken()

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the object to a local file: under a temporary name beside it, renamed when it is complete.

        Raises
        ------
        OSError
            From the service or the local disk; the file at `path`, if any, is as before.
        """
        with replacing(path) as file, ExitStack() as borrowed:
            _ParallelFetch(self, None, None, OnDisk(file, self._pool.buffers, borrowed)).run()

    def to_sink(self, sink: SupportsWrite[memoryview]) -> None:
        """Write the object to something that has ``write``, in order, while further ranges are fetched."""
        with self._pool.buffers.lend(self._range_size) as buffer:
            first = self._fetch_first(None, None, lambda length, _: buffer[:length])
            size = first.version.size
            self._report_size(size)
            read_hash = None if self._sha is None else ReadHash(size, self._pool)
            with self._one_version(first) as begin, self._reading_ahead(begin, first.version, read_hash) as ahead:
                if read_hash is not None:
                    read_hash.take(0, [buffer[:begin]])
                self._pass_on(sink, buffer[:begin])
                for wanted in ranges(begin, size, self._range_size):
                    self._pass_on(sink, memoryview(ahead._fetch(wanted.start, wanted.stop)))
                # before the memory is given back, which is hashed beside the writing
                found = "" if read_hash is None else read_hash.hexdigest()
        self._compare(found)

    def _pass_on(self, sink: SupportsWrite[memoryview], data: memoryview) -> None:
        _write_all(sink, data, self._path)
        self._report(len(data))

    @contextmanager
    def _reading_ahead(self, begin: int, version: Version, read_hash: ReadHash | None) -> Iterator[ReadAhead]:
        def fill(start: int, view: memoryview) -> None:
            self._fetch(range(start, start + len(view)), view, version)

        ahead = ReadAhead(self._range_size, self.to_bytes, fill, version.size, self._pool, begin, read_hash)
        try:
            yield ahead
        finally:
            ahead.close()

    def _fetch_first(
        self,
        start: int | None,
        stop: int | None,
        allocate: Callable[[int, Version], memoryview],
        write: Write | None = None,
    ) -> Fetched:
        begin = start or 0
        if begin >= 0:
            most = begin + self._range_size
            stop = most if stop is None else min(stop, most)
        first = self._client.fetch(self._bucket, self._key, allocate, begin, stop, self._version, write)
        self.headers = first.headers
        return first

    def _fetch(self, wanted: range, view: memoryview, version: Version, write: Write | None = None) -> None:
        begin, end = wanted.start, wanted.stop
        fetched = self._client.fetch(self._bucket, self._key, lambda *_: view, begin, end, version, write)
        if fetched.length != len(wanted):
            raise make_error(errno.EIO, f"received only {fetched.length} of {len(wanted)} bytes", self._path)
        if version.is_certain and not fetched.version.is_certain:
            text = "a reply has no ETag, unlike the one before: its version of the object is unknown"
            raise make_error(errno.ESTALE, f"{text}; read it again", self._path)

    def _compare(self, found: str) -> None:
        if self._sha is not None:
            newer = self._accepts_newer
            check_content(self._client, self._bucket, self._key, self._sha, found, accepts_newer=newer)

    @contextmanager
    def _one_version(self, first: Fetched) -> Iterator[int]:
        """Guard a read of several ranges; yield the number of bytes of the first range that count."""
        if first.version.is_certain or first.length >= first.version.size:
            yield first.length
            return
        guard = VersionGuard(self._path, first.version.size)
        yield first.length if guard.accepts(self._client, first) else 0
        guard.check(self._client)

    def _report_size(self, size: int) -> None:
        if self._set_size is not None:
            self._set_size(size)

    def _report(self, count: int) -> None:
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)


class _ParallelFetch:
    """Fetches bytes `start` up to `stop` of an object: a first range, and others beside it that begin with its reply.

    The SHA-1 of a whole object is taken meanwhile, of the ranges that have come.
    """

    def __init__(self, download: Download, start: int | None, stop: int | None, destination: Destination) -> None:
        self._download, self._pool = download, download._pool
        self._start, self._stop, self._begin = start, stop, start or 0
        self._destination = destination
        is_whole = self._begin == 0 and stop is None
        self._content = ContentHash() if is_whole and download._sha is not None else None

    def run(self) -> None:
        download, destination = self._download, self._destination
        # no attributes: tasks refer to this object, and the group to them
        group, rest = TaskGroup(self._pool), deque[range]()
        with group:
            allocate = partial(self._allocate, group, rest)
            first = download._fetch_first(self._start, self._stop, allocate, destination.write)
            end = first.start + first.length
            # one reply is of one version
            guarded = download._one_version(first) if self._behind(end, first.version) else nullcontext(first.length)
            with guarded as kept:
                if kept:
                    self._take(range(first.start, first.start + kept))
                if not first.version.is_certain:
                    rest.extend(self._behind(first.start + kept, first.version))
                while rest:
                    group.start(partial(self._fetch, rest.popleft(), first.version))
                group.wait()
        if self._content is not None:
            download._compare(self._content.hexdigest(first.version.size))

    def _allocate(self, group: TaskGroup, rest: deque[range], length: int, version: Version) -> memoryview:
        """Return memory for the first range, whose reply has just told the size, and start fetching others."""
        view = self._destination.allocate(length, version)
        self._download._report_size(self._destination.size)
        if version.is_certain:
            rest.extend(self._behind(self._begin + length, version))
            # not more than fit beside the first: those that fail at once would make room for all the others
            for wanted in list(islice(rest, self._pool.most - 1)):
                if not group.try_start(partial(self._fetch, wanted, version)):
                    break
                rest.popleft()
        return view

    def _behind(self, offset: int, version: Version) -> list[range]:
        """Return the ranges to fetch from an offset on."""
        end = version.size if self._stop is None else min(self._stop, version.size)
        width = min(self._download._range_size, max(_SMALLEST_RANGE, -(-(end - self._begin) // self._pool.most)))
        return ranges(offset, end, width) if self._begin >= 0 else []

    def _fetch(self, wanted: range, version: Version) -> None:
        with self._destination.lend(wanted) as view:
            self._download._fetch(wanted, view, version, self._destination.write)
        self._take(wanted)

    def _take(self, fetched: range) -> None:
        if self._content is not None:
            self._content.add(fetched.start, self._destination.piece(fetched))
        self._download._report(len(fetched))


def _write_all(sink: SupportsWrite[memoryview], data: memoryview, path: str) -> None:
    """Write everything; what is not buffered may take a part at a time, and say how much."""
    while data:
        count = sink.write(data)
        if not isinstance(count, int):
            return
        if count <= 0:
            raise make_error(errno.EIO, "the output accepts no more data", path)
        data = data[count:]
