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
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from cosv4fs import paths
from cosv4fs.api import Client, Fetched, Version
from cosv4fs.concurrency import Pool, TaskGroup
from cosv4fs.errors import make_error
from cosv4fs.localfiles import replacing
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.versions import VersionGuard, check_content

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_Progress = Callable[[int], None]
_Lender = Callable[[range], AbstractContextManager[memoryview]]

_SMALLEST_RANGE = 1024 * 1024
"""Ranges below this many bytes cost more in requests than they gain by being parallel."""

_STEP = 1024 * 1024
"""Bytes per read of a local file."""


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
        set_size: _Progress | None = None,
        progress: _Progress | None = None,
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
            ESTALE when the object was replaced between two ranges; EIO when its SHA-1 is another.
        """
        memory = io.BytesIO()
        views: list[memoryview] = []
        begin = start or 0

        def allocate(length: int, version: Version) -> memoryview:
            nonlocal memory
            # the memory for everything that is wanted; the first range is its beginning
            end = version.size if stop is None else min(stop, version.size)
            memory = zeroed(length if begin < 0 else max(length, end - begin), self._path)
            views.append(memory.getbuffer())
            self._report_size(len(views[0]))
            return views[0][:length]

        @contextmanager
        def lend(wanted: range) -> Iterator[memoryview]:
            with views[0][wanted.start - begin : wanted.stop - begin] as part:
                yield part

        self._fetch_all(start, stop, allocate, lend)
        if begin == 0 and stop is None and self._sha is not None:
            self._compare(hashlib.sha1(views[0], usedforsecurity=False))
        views[0].release()
        # without exported views the buffer's bytes are shared, not copied
        return memory.getvalue()

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the object to a local file: under a temporary name beside it, renamed when it is complete.

        Raises
        ------
        OSError
            From the service or the local disk; the file at `path`, if any, is as before.
        """
        with replacing(path) as file:
            self._fill(file)

    def to_sink(self, sink: SupportsWrite[memoryview]) -> None:
        """Write the object to something that has ``write``, in order, range by range."""
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
                for wanted in ranges(begin, first.version.size, self._range_size):
                    part = buffer[: len(wanted)]
                    self._fetch(wanted, part, first.version)
                    take(part)
        self._compare(digest)

    def _fill(self, file: BinaryIO) -> None:
        write_at = _positioned_writer(file)

        @contextmanager
        def lend(wanted: range) -> Iterator[memoryview]:
            with self._pool.buffers.lend(len(wanted)) as part:
                yield part
                write_at(part, wanted.start)

        with ExitStack() as borrowed:
            view = memoryview(b"")
            digest: hashlib._Hash | None = None

            def allocate(length: int, version: Version) -> memoryview:
                nonlocal view
                self._report_size(version.size)
                if length < version.size:
                    file.truncate(version.size)
                view = borrowed.enter_context(self._pool.buffers.lend(length))
                return view

            def take(first: Fetched) -> None:
                nonlocal digest
                write_at(view[: first.length], 0)
                if self._sha is not None and first.length == first.version.size:
                    digest = hashlib.sha1(view[: first.length], usedforsecurity=False)

            self._fetch_all(None, None, allocate, lend, take)
        if self._sha is not None:
            # several ranges came in any order: they are read again, from the system's memory
            self._compare(digest or _hashed(file))

    def _fetch_first(
        self, start: int | None, stop: int | None, allocate: Callable[[int, Version], memoryview]
    ) -> Fetched:
        begin = start or 0
        if begin >= 0:
            most = begin + self._range_size
            stop = most if stop is None else min(stop, most)
        first = self._client.fetch(self._bucket, self._key, allocate, begin, stop, self._version)
        self.headers = first.headers
        return first

    def _fetch_all(
        self,
        start: int | None,
        stop: int | None,
        allocate: Callable[[int, Version], memoryview],
        lend: _Lender,
        received: Callable[[Fetched], object] = lambda first: None,
    ) -> None:
        """Fetch a first range and what lies behind it, which begins as soon as the first reply tells the size.

        Parameters
        ----------
        allocate, lend : callables
            Provide the memory for the first range, and for each further one.
        received : callable
            Called when the first range is complete.
        """
        begin = start or 0
        group = TaskGroup(self._pool)
        rest: deque[range] = deque()

        def plan(offset: int, version: Version) -> list[range]:
            end = version.size if stop is None else min(stop, version.size)
            width = min(self._range_size, max(_SMALLEST_RANGE, -(-(end - begin) // self._pool.most)))
            return ranges(offset, end, width) if begin >= 0 else []

        def first_memory(length: int, version: Version) -> memoryview:
            view = allocate(length, version)
            if version.is_certain:
                rest.extend(plan(begin + length, version))
                # not more than fit beside the first: those that fail at once would make room for all the others
                for wanted in list(islice(rest, self._pool.most - 1)):
                    if not group.try_start(partial(self._fetch_range, wanted, version, lend)):
                        break
                    rest.popleft()
            return view

        with group:
            first = self._fetch_first(start, stop, first_memory)
            received(first)
            if not plan(first.start + first.length, first.version):
                self._report(first.length)
                return
            with self._one_version(first) as kept:
                self._report(kept)
                if not first.version.is_certain:
                    rest.extend(plan(first.start + kept, first.version))
                while rest:
                    group.start(partial(self._fetch_range, rest.popleft(), first.version, lend))
                group.wait()

    def _fetch_range(self, wanted: range, version: Version, lend: _Lender) -> None:
        with lend(wanted) as view:
            self._fetch(wanted, view, version)
        self._report(len(wanted))

    def _fetch(self, wanted: range, view: memoryview, version: Version) -> None:
        fetched = self._client.fetch(self._bucket, self._key, lambda *_: view, wanted.start, wanted.stop, version)
        if fetched.length != len(wanted):
            raise make_error(errno.EIO, f"only {fetched.length} of {len(wanted)} bytes came", self._path)
        if version.is_certain and not fetched.version.is_certain:
            text = "a reply has no ETag, unlike the one before: its version of the object is unknown"
            raise make_error(errno.ESTALE, f"{text}; read it again", self._path)

    def _compare(self, digest: hashlib._Hash) -> None:
        if self._sha is not None:
            found, accepts_newer = digest.hexdigest(), self._accepts_newer
            check_content(self._client, self._bucket, self._key, self._sha, found, accepts_newer=accepts_newer)

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
        return io.BytesIO(bytes(size))
    except (MemoryError, OverflowError):
        raise make_error(errno.ENOMEM, f"there is no memory for {size} bytes: read ranges", path) from None


def _write_all(sink: SupportsWrite[memoryview], data: memoryview, path: str) -> None:
    """Write everything; what is not buffered may take a part at a time, and say how much."""
    while data:
        count = sink.write(data)
        if not isinstance(count, int):
            return
        if count <= 0:
            raise make_error(errno.EIO, "what the file is written to takes no more", path)
        data = data[count:]


def _hashed(file: BinaryIO) -> hashlib._Hash:
    digest, view = hashlib.sha1(usedforsecurity=False), memoryview(bytearray(_STEP))
    file.seek(0)
    while count := file.readinto(view):  # type: ignore[attr-defined]  # a raw file has it
        digest.update(view[:count])
    return digest


def _positioned_writer(file: BinaryIO) -> Callable[[memoryview, int], None]:
    """Return a function that writes bytes at an offset, from any thread."""
    lock = threading.Lock()

    def write_at(view: memoryview, offset: int) -> None:
        while len(view):
            if hasattr(os, "pwrite"):
                count = os.pwrite(file.fileno(), view, offset)
            else:
                with lock:
                    file.seek(offset)
                    count = file.write(view)
            view, offset = view[count:], offset + count

    return write_at
