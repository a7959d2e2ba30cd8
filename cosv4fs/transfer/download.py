"""Reading objects: one request for a small one, parallel ranges for a large one, and never a mixture of two versions.

The first request asks for one range and learns the size with it; an object that fits needs no other.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from cosv4fs import paths
from cosv4fs.api import Client, Fetched, Version
from cosv4fs.api.download import Write
from cosv4fs.concurrency import Pool, TaskGroup, cancellation
from cosv4fs.concurrency.buffers import Buffers
from cosv4fs.errors import make_error
from cosv4fs.localfiles import replacing
from cosv4fs.progress import Step
from cosv4fs.transfer.hashing import ContentHash
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.sources import read_at
from cosv4fs.transfer.versions import VersionGuard, check_content

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


_SMALLEST_RANGE = 1024 * 1024
"""Ranges below this many bytes cost more in requests than they gain by being parallel."""

_STEP = 1024 * 1024
"""Bytes that are written to a local file at once, and read from it."""


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
        target = _InMemory(start or 0, stop, self._path)
        self._fetch_all(start, stop, target)
        return target.taken()

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the object to a local file: under a temporary name beside it, renamed when it is complete.

        Raises
        ------
        OSError
            From the service or the local disk; the file at `path`, if any, is as before.
        """
        with replacing(path) as file, ExitStack() as borrowed:
            self._fetch_all(None, None, _OnDisk(file, self._pool.buffers, borrowed))

    def to_sink(self, sink: SupportsWrite[memoryview]) -> None:
        """Write the object to something that has ``write``, in order, while further ranges are fetched."""
        digest = hashlib.sha1(usedforsecurity=False)

        def take(data: memoryview) -> None:
            if self._sha is not None:
                digest.update(data)
            _write_all(sink, data, self._path)
            self._report(len(data))

        with self._pool.buffers.lend(self._range_size) as buffer:
            first = self._fetch_first(None, None, lambda length, _: buffer[:length])
            self._report_size(first.version.size)
            with self._one_version(first) as begin:
                if begin:
                    take(buffer[:begin])
                with self._reading_ahead(begin, first.version) as ahead:
                    for wanted in ranges(begin, first.version.size, self._range_size):
                        take(memoryview(ahead._fetch(wanted.start, wanted.stop)))
        self._compare(digest.hexdigest())

    @contextmanager
    def _reading_ahead(self, begin: int, version: Version) -> Iterator[ReadAhead]:
        def fill(start: int, view: memoryview) -> None:
            self._fetch(range(start, start + len(view)), view, version)

        ahead = ReadAhead(self._range_size, self.to_bytes, fill, version.size, self._pool, position=begin)
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

    def _fetch_all(self, start: int | None, stop: int | None, target: _InMemory | _OnDisk) -> None:
        """Fetch a first range and what lies behind it, which begins as soon as the first reply tells the size.

        The SHA-1 of a whole object is taken meanwhile, of the ranges that have come.
        """
        begin = start or 0
        group = TaskGroup(self._pool)
        rest: deque[range] = deque()
        is_whole = begin == 0 and stop is None
        content = ContentHash() if is_whole and self._sha is not None else None
        fetch = partial(self._fetch_range, target, content)

        def plan(offset: int, version: Version) -> list[range]:
            end = version.size if stop is None else min(stop, version.size)
            width = min(self._range_size, max(_SMALLEST_RANGE, -(-(end - begin) // self._pool.most)))
            return ranges(offset, end, width) if begin >= 0 else []

        def first_memory(length: int, version: Version) -> memoryview:
            view = target.allocate(length, version)
            self._report_size(target.size)
            if version.is_certain:
                rest.extend(plan(begin + length, version))
                # not more than fit beside the first: those that fail at once would make room for all the others
                for wanted in list(islice(rest, self._pool.most - 1)):
                    if not group.try_start(partial(fetch, wanted, version)):
                        break
                    rest.popleft()
            return view

        with group:
            first = self._fetch_first(start, stop, first_memory, target.write)
            end = first.start + first.length
            # one reply is of one version
            guarded = self._one_version(first) if plan(end, first.version) else nullcontext(first.length)
            with guarded as kept:
                if kept:
                    self._take(target, content, range(first.start, first.start + kept))
                if not first.version.is_certain:
                    rest.extend(plan(first.start + kept, first.version))
                while rest:
                    group.start(partial(fetch, rest.popleft(), first.version))
                group.wait()
        if content is not None:
            self._compare(content.hexdigest(first.version.size))

    def _fetch_range(
        self, target: _InMemory | _OnDisk, content: ContentHash | None, wanted: range, version: Version
    ) -> None:
        with target.lend(wanted) as view:
            self._fetch(wanted, view, version, target.write)
        self._take(target, content, wanted)

    def _take(self, target: _InMemory | _OnDisk, content: ContentHash | None, fetched: range) -> None:
        if content is not None:
            content.add(fetched.start, target.piece(fetched))
        self._report(len(fetched))

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


class _InMemory:
    """New memory for bytes `start` up to `stop` of an object; with a negative start, for a single range."""

    write = None

    def __init__(self, start: int, stop: int | None, path: str) -> None:
        self._start, self._stop, self._path = start, stop, path
        self._memory = io.BytesIO()
        self._view = memoryview(b"")

    @property
    def size(self) -> int:
        """Bytes that will come in all."""
        return len(self._view)

    def allocate(self, length: int, version: Version) -> memoryview:
        """Return memory for the first range: the beginning of that for all."""
        end = version.size if self._stop is None else min(self._stop, version.size)
        self._memory = zeroed(length if self._start < 0 else max(length, end - self._start), self._path)
        self._view = self._memory.getbuffer()
        return self._view[:length]

    @contextmanager
    def lend(self, wanted: range) -> Iterator[memoryview]:
        """Lend the memory for a further range."""
        with self.piece(wanted) as view:
            yield view

    def piece(self, fetched: range) -> memoryview:
        """Return the bytes of a range."""
        return self._view[fetched.start - self._start : fetched.stop - self._start]

    def taken(self) -> bytes:
        """Return all bytes."""
        self._view.release()
        # without exported views the buffer's bytes are shared, not copied
        return self._memory.getvalue()


class _OnDisk:
    """A local file that ranges are written to in any order, by several threads, through memory that is reused."""

    def __init__(self, file: BinaryIO, buffers: Buffers, borrowed: ExitStack) -> None:
        self._file, self._buffers, self._borrowed = file, buffers, borrowed
        self._small: memoryview | None = None
        self.size = 0
        # the system lets one thread at a time write to a file, and the others would spin meanwhile
        self._lock = threading.Lock()

    def allocate(self, length: int, version: Version) -> memoryview:
        """Return memory for the first range: for all of a small object, or for one step of it."""
        self.size = version.size
        if length == version.size:
            self._small = self._borrowed.enter_context(self._buffers.lend(length))
            return self._small
        self._file.truncate(version.size)
        return self._borrowed.enter_context(self._buffers.lend(min(length, _STEP)))

    @contextmanager
    def lend(self, wanted: range) -> Iterator[memoryview]:
        """Lend memory for one step of a further range."""
        with self._buffers.lend(min(len(wanted), _STEP)) as view:
            yield view

    def write(self, view: memoryview, offset: int) -> None:
        """Write bytes at an offset."""
        while len(view):
            with self._lock:
                if hasattr(os, "pwrite"):
                    count = os.pwrite(self._file.fileno(), view, offset)
                else:
                    self._file.seek(offset)
                    count = self._file.write(view)
            view, offset = view[count:], offset + count

    def piece(self, fetched: range) -> memoryview | Iterator[memoryview]:
        """Return the bytes of a range; those of a large object are read again, when their turn comes."""
        return self._read(fetched) if self._small is None else self._small

    def _read(self, fetched: range) -> Iterator[memoryview]:
        with self._buffers.lend(min(len(fetched), _STEP)) as memory:
            for step in ranges(fetched.start, fetched.stop, _STEP):
                cancellation.check()
                view = memory[: len(step)]
                if read_at(self._file, self._lock, step.start, view) < len(step):
                    raise make_error(errno.EIO, "the file became shorter while it was written", None)
                yield view


class _Memory(io.BytesIO):
    """A buffer that may be lost while there are views of it."""

    def __del__(self) -> None:
        # that of BytesIO closes it; since Python 3.13 it reports on stderr that views are left, as after an error
        pass


def zeroed(size: int, path: str) -> io.BytesIO:
    """Return a buffer of zeros, to be filled through ``getbuffer`` and taken by ``getvalue``; neither copies.

    A server may announce more than it sends. The system provides zeros page by page, when they are written to, so that
    a wrong announcement costs addresses and no memory.

    Raises
    ------
    OSError
        ENOMEM if there are not enough addresses.
    """
    try:
        # `bytes` asks the system for zeros, `bytearray` and a seek in the buffer would write them
        return _Memory(bytes(size))
    except (MemoryError, OverflowError):
        raise make_error(errno.ENOMEM, f"not enough memory for {size} bytes: read ranges instead", path) from None


def _write_all(sink: SupportsWrite[memoryview], data: memoryview, path: str) -> None:
    """Write everything; what is not buffered may take a part at a time, and say how much."""
    while data:
        count = sink.write(data)
        if not isinstance(count, int):
            return
        if count <= 0:
            raise make_error(errno.EIO, "the output accepts no more data", path)
        data = data[count:]
