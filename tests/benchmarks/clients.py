"""The clients that are measured, behind one interface: an operation is prepared, run, and cleaned up.

Only the run is measured. Names of objects to read end in ``-s<bytes>``, those of objects to write in ``-h<SHA-1>``,
which is all that the sink needs.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.uploads import STREAMING

MIB = 1024 * 1024
BUCKET = "data"
SLICE, RANGE = 3 * MIB, 4 * MIB
"""Bytes of a slice and of a range, as cosv4fs sends and fetches them by default."""
Action = Callable[[], Any]
_NUMBERS = itertools.count()
_BLOCKS = 16


@dataclass(frozen=True)
class Task:
    """An operation on `count` objects of `size` bytes each, on `threads` threads where the client itself has none.

    With `buffer` the content is written from one buffer that is filled again after each write, and not as ``bytes``.
    """

    operation: str
    size: int
    count: int = 1
    threads: int = 1
    buffer: bool = False

    @property
    def volume(self) -> int:
        """Bytes of all objects."""
        return self.size * self.count


class Client:
    """What all clients share: local files, and names that never come twice.

    `folder` is for what it downloads; files to upload stand beside it. Clients of different accounts share no
    connections.
    """

    at_once = frozenset[str]()
    """Operations that handle all objects of a task in one call; the others are repeated, one after another."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        self.endpoint, self.options, self.account = endpoint, options, account
        self.folder = Path(folder)

    def prepare(self, task: Task) -> Action:
        """Return the function to measure."""
        operation = getattr(self, task.operation)
        if task.count == 1 or task.operation in self.at_once:
            action: Action = operation(task)
            return action
        actions = [operation(replace(task, count=1)) for _ in range(task.count)]
        return partial(_run_all, actions)

    def clean(self) -> None:
        """Remove local copies."""
        shutil.rmtree(self.folder / "got", ignore_errors=True)
        (self.folder / "got").mkdir(parents=True)

    def name(self, size: int) -> str:
        """Return a fresh path of an object to read."""
        return f"{BUCKET}/get-{os.getpid()}-{next(_NUMBERS)}-s{size}"

    def new_name(self, sha1: str, bucket: str = BUCKET) -> str:
        """Return a fresh path of an object to write, with this SHA-1."""
        return f"{bucket}/put-{os.getpid()}-{next(_NUMBERS)}-h{sha1}"

    def local(self, size: int, number: int = 0) -> tuple[str, str]:
        """Return a local file of `size` bytes, in the page cache, and its SHA-1; clients share the files."""
        path = self.folder.parent / f"local-{size}-{number}"
        noted = path.with_suffix(".sha1")
        if not noted.exists():
            digest = hashlib.sha1(usedforsecurity=False)
            with path.open("wb") as file:
                for offset in range(0, size, MIB):
                    block = os.urandom(min(MIB, size - offset))
                    digest.update(block)
                    file.write(block)
            noted.write_text(digest.hexdigest())
        return str(path), noted.read_text()

    def target(self) -> str:
        """Return the path of a local file that is not there yet."""
        return str(self.folder / "got" / str(next(_NUMBERS)))


class FsspecClient(Client):
    """Any filesystem of fsspec."""

    at_once = frozenset({"put_many", "get_many", "cat_many", "info_many"})
    fs: Any

    def put_file(self, task: Task) -> Action:
        """Upload one file."""
        path, sha1 = self.local(task.size)
        return partial(self.fs.put_file, path, self.new_name(sha1))

    def get_file(self, task: Task) -> Action:
        """Download one object to a file."""
        return partial(self.fs.get_file, self.name(task.size), self.target())

    def cat_file(self, task: Task) -> Action:
        """Read one object into memory."""
        return partial(self._cat, self.name(task.size), task.size)

    def _cat(self, path: str, size: int) -> None:
        assert len(self.fs.cat_file(path)) == size

    def write(self, task: Task) -> Action:
        """Write one object in pieces of 1 MiB."""
        return partial(self._write, self.new_name(written_sha1(task.size)), task, {})

    def _write(self, path: str, task: Task, options: dict[str, Any]) -> None:
        with self.fs.open(path, "wb", **options) as file:
            for piece in pieces(task):
                file.write(piece)

    def read(self, task: Task) -> Action:
        """Read one object to its end, in pieces of 1 MiB."""
        return partial(self._read, self.name(task.size), task.size)

    def _read(self, path: str, size: int) -> None:
        done = 0
        with self.fs.open(path, "rb") as file:
            while block := file.read(MIB):
                done += len(block)
        assert done == size

    def put_many(self, task: Task) -> Action:
        """Upload many files in one call."""
        sources = [self.local(task.size, number) for number in range(task.count)]
        return partial(self.fs.put, [path for path, _ in sources], [self.new_name(sha1) for _, sha1 in sources])

    def get_many(self, task: Task) -> Action:
        """Download many objects in one call."""
        names = [self.name(task.size) for _ in range(task.count)]
        return partial(self.fs.get, names, [self.target() for _ in names])

    def cat_many(self, task: Task) -> Action:
        """Read many objects in one call."""
        return partial(self.fs.cat, [self.name(task.size) for _ in range(task.count)])

    def info_many(self, task: Task) -> Action:
        """Get the status of many objects, one after another."""
        return partial(self._info, [self.name(task.size) for _ in range(task.count)])

    def _info(self, names: list[str]) -> None:
        for name in names:
            self.fs.info(name)


class OurClient(FsspecClient):
    """cosv4fs."""

    at_once = FsspecClient.at_once | {"slices", "ranges"}

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        from cosv4fs import CosV4FileSystem

        super().__init__(endpoint, folder, options, account)
        keys = {"appid": "1250000000", "secret_id": account, "secret_key": account, "region": "gz"}
        self.fs = CosV4FileSystem(**{**keys, **options}, endpoint=endpoint, proxies={})

    def write_sized(self, task: Task) -> Action:
        """Write one object in pieces of 1 MiB, its size being known."""
        return partial(self._write, self.new_name(written_sha1(task.size)), task, {"size": task.size})

    def write_streaming(self, task: Task) -> Action:
        """Write one object of unknown size in a bucket where it can be sent while it is written."""
        return partial(self._write, self.new_name(written_sha1(task.size), STREAMING), task, {})

    def slices(self, task: Task) -> Action:
        """Send slices through the typed client, on some threads."""
        client, block = self.fs.client, memoryview(bytes(task.size))

        def send(number: int) -> None:
            client.upload_slice_data(BUCKET, "/slices", "session", number * task.size, block)

        return partial(_on_threads, send, task)

    def ranges(self, task: Task) -> Action:
        """Fetch ranges through the typed client into one buffer per thread."""
        client, key = self.fs.client, "/" + key_of(self.name(task.volume))
        buffers = [memoryview(bytearray(task.size)) for _ in range(task.threads)]

        def fetch(number: int) -> None:
            start, view = number * task.size, buffers[number % task.threads]
            client.fetch(BUCKET, key, lambda length, _: view[:length], start, start + task.size)

        return partial(_on_threads, fetch, task)


class S3fsClient(FsspecClient):
    """s3fs with its defaults."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        import s3fs

        super().__init__(endpoint, folder, options, account)
        self.fs = s3fs.S3FileSystem(
            key=account, secret=account, endpoint_url=endpoint, client_kwargs={"region_name": "gz"},
            use_listings_cache=False, **options,
        )  # fmt: skip
        # its models are read from disk here, not in the first operation
        self.fs.connect()


class ObstoreFsspecClient(FsspecClient):
    """obstore's own fsspec filesystem with its defaults."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        from obstore.fsspec import FsspecStore

        super().__init__(endpoint, folder, options, account)
        config = _store_config(endpoint, account)
        self.fs = FsspecStore("s3", config=config, client_options={"allow_http": True}, **options)


class ObstoreClient(Client):
    """obstore without fsspec."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        from obstore.store import S3Store

        super().__init__(endpoint, folder, options, account)
        config = _store_config(endpoint, account)
        self.store = S3Store(BUCKET, config=config, client_options={"allow_http": True}, **options)

    def put_file(self, task: Task) -> Action:
        """Upload one file."""
        import obstore

        path, sha1 = self.local(task.size)
        return partial(obstore.put, self.store, key_of(self.new_name(sha1)), Path(path))

    def write(self, task: Task) -> Action:
        """Write one object in pieces of 1 MiB."""
        import obstore

        def write(key: str) -> None:
            with obstore.open_writer(self.store, key) as file:
                for piece in pieces(task):
                    file.write(piece)

        return partial(write, key_of(self.new_name(written_sha1(task.size))))

    def cat_file(self, task: Task) -> Action:
        """Read one object into memory."""
        import obstore

        key = key_of(self.name(task.size))
        return lambda: obstore.get(self.store, key).bytes()

    def get_file(self, task: Task) -> Action:
        """Download one object to a file."""
        import obstore

        def get(key: str, target: str) -> None:
            with open(target, "wb") as file:
                file.writelines(obstore.get(self.store, key).stream())

        return partial(get, key_of(self.name(task.size)), self.target())

    def read(self, task: Task) -> Action:
        """Read one object to its end, in pieces of 1 MiB."""
        import obstore

        def read(key: str) -> None:
            done, file = 0, obstore.open_reader(self.store, key)
            while block := file.read(MIB):
                done += len(block)
            assert done == task.size

        return partial(read, key_of(self.name(task.size)))


def _store_config(endpoint: str, account: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "access_key_id": account,
        "secret_access_key": account,
        "region": "gz",
        "virtual_hosted_style_request": False,
    }


class RawClient(Client):
    """``http.client`` and ``hashlib`` with nothing around them: what Python itself can do, with warm connections."""

    at_once = frozenset({"slices", "ranges"})

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        super().__init__(endpoint, folder, options, account)
        self._warm: list[HTTPConnection] = []

    def slices(self, task: Task) -> Action:
        """Post forms that are ready."""
        forms = [_Form(task.size) for _ in range(task.threads)]
        connections = self._connections(task.threads)

        def send(number: int) -> None:
            forms[number % task.threads].post(connections[number % task.threads], task.size)

        return partial(_on_threads, send, task)

    def ranges(self, task: Task) -> Action:
        """Fetch ranges into one buffer per thread."""
        path, connections = "/" + self.name(task.volume), self._connections(task.threads)
        buffers = [memoryview(bytearray(task.size)) for _ in connections]

        def fetch(number: int) -> None:
            place, start = number % task.threads, number * task.size
            _fetch(connections[place], path, start, buffers[place])

        return partial(_on_threads, fetch, task)

    def put_file(self, task: Task) -> Action:
        """Post a file in slices: one thread reads them and takes the SHA-1, the others send."""
        path, _ = self.local(task.size)
        free: SimpleQueue[tuple[HTTPConnection, _Form]] = SimpleQueue()
        for connection in self._connections(task.threads):
            free.put((connection, _Form(SLICE)))

        def send(connection: HTTPConnection, form: _Form, length: int) -> None:
            form.post(connection, length)
            free.put((connection, form))

        def put() -> None:
            digest = hashlib.sha1(usedforsecurity=False)
            with open(path, "rb", buffering=0) as file, ThreadPoolExecutor(task.threads) as pool:
                while True:
                    connection, form = free.get(timeout=60)
                    length = file.readinto(form.content)
                    if not length:
                        break
                    digest.update(form.content[:length])
                    pool.submit(send, connection, form, length)

        return put

    def get_file(self, task: Task) -> Action:
        """Fetch an object to a file in ranges."""
        path, connections, target = "/" + self.name(task.size), self._connections(task.threads), self.target()
        buffers = [memoryview(bytearray(RANGE)) for _ in connections]

        def get() -> None:
            with open(target, "wb") as file:

                def fetch(number: int) -> None:
                    start, place = number * RANGE, number % task.threads
                    view = buffers[place][: task.size - start]
                    _fetch(connections[place], path, start, view)
                    os.pwrite(file.fileno(), view, start)

                _on_threads(fetch, replace(task, count=-(-task.size // RANGE)))

        return get

    def sha1(self, task: Task) -> Action:
        """Take the SHA-1 of one stream that is in memory."""
        return partial(hash_written, task.size)

    def spool(self, task: Task) -> Action:
        """Write a temporary file."""

        def write() -> None:
            with tempfile.TemporaryFile(buffering=0) as file:
                for piece in pieces(task):
                    file.write(piece)

        return write

    def _connections(self, count: int) -> list[HTTPConnection]:
        while len(self._warm) < count:
            connection = HTTPConnection(urlsplit(self.endpoint).netloc)
            connection.request("HEAD", f"/{self.name(1)}")
            connection.getresponse().read()
            self._warm.append(connection)
        return self._warm[:count]


class _Form:
    """The form of a slice, with room for its content."""

    _BOUNDARY = b"raw-boundary"
    _TAIL = b"\r\n--%s--\r\n" % _BOUNDARY

    def __init__(self, size: int) -> None:
        part = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        fields = [(b"op", b"upload_slice_data"), (b"session", b"session"), (b"offset", b"0")]
        head = b"".join(part % (self._BOUNDARY, name, value) for name, value in fields)
        head += b'--%s\r\nContent-Disposition: form-data; name="filecontent"; filename="f"\r\n\r\n' % self._BOUNDARY
        self._start, self._whole = len(head), memoryview(bytearray(head + bytes(size) + self._TAIL))
        self.content = self._whole[self._start : self._start + size]

    def post(self, connection: HTTPConnection, length: int) -> None:
        """Send the form with the first `length` bytes of the content."""
        end = self._start + length + len(self._TAIL)
        self._whole[end - len(self._TAIL) : end] = self._TAIL
        kind = f"multipart/form-data; boundary={self._BOUNDARY.decode()}"
        headers = {"Content-Type": kind, "Content-Length": str(end)}
        connection.request("POST", "/files/v2/1250000000/data/raw", self._whole[:end], headers)
        connection.getresponse().read()


def _fetch(connection: HTTPConnection, path: str, start: int, view: memoryview) -> None:
    connection.request("GET", path, headers={"Range": f"bytes={start}-{start + len(view) - 1}"})
    response, done = connection.getresponse(), 0
    while done < len(view):
        done += response.readinto(view[done:])
    response.read()


class VendorClient(Client):
    """The vendor-API client qcloud_cos_py3; it knows only the vendor's hosts, so the emulator is its proxy."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any], account: str = "benchmark") -> None:
        os.environ["http_proxy"] = endpoint
        from qcloud_cos_py3 import CosBucket

        super().__init__(endpoint, folder, options, account)
        self.bucket = CosBucket(
            options["appid"], options["secret_id"], options["secret_key"], BUCKET, region=options["region"]
        )

    def put_file(self, task: Task) -> Action:
        """Upload one file in slices."""
        path, sha1 = self.local(task.size)
        return partial(self.bucket.upload_slice_file, path, 3 * MIB, key_of(self.new_name(sha1)), dir_name=None)

    def cat_file(self, task: Task) -> Action:
        """Read the object that `stored` names into memory."""

        def cat() -> None:
            assert len(self.bucket.get_file(stored(task.size))) == task.size

        return cat

    def get_file(self, task: Task) -> Action:
        """Download it to a file: the library has only the bytes."""
        target = Path(self.target())
        return lambda: target.write_bytes(self.bucket.get_file(stored(task.size)))


class OurEmulatorClient(OurClient):
    """cosv4fs on the emulator, where objects have to exist before they are read."""

    def name(self, size: int) -> str:
        """Return the path of the object to read, stored before if need be."""
        path = f"{BUCKET}/{stored(size)}"
        if not self.fs.exists(path):
            self.fs.put_file(self.local(size)[0], path)
        return path

    def clean(self) -> None:
        """Remove local copies and what was written, by either client."""
        super().clean()
        for path in self.fs.ls(BUCKET, detail=False, refresh=True):
            if "/put-" in path:
                self.fs.rm_file(path)


def key_of(path: str) -> str:
    """Return a path without its bucket."""
    return path.partition("/")[2]


@cache
def _blocks() -> list[bytes]:
    return [os.urandom(MIB) for _ in range(_BLOCKS)]


def pieces(task: Task) -> Iterator[bytes | memoryview]:
    """Return what writers write: pieces of 1 MiB, as the task wants them."""
    buffer = memoryview(bytearray(MIB))
    for number, offset in enumerate(range(0, task.size, MIB)):
        block = _blocks()[number % _BLOCKS]
        piece = block if task.size - offset >= MIB else block[: task.size - offset]
        if task.buffer:
            buffer[: len(piece)] = piece
            yield buffer[: len(piece)]
        else:
            yield piece


def hash_written(size: int) -> str:
    """Take the SHA-1 of what writers write."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in pieces(Task("write", size)):
        digest.update(piece)
    return digest.hexdigest()


written_sha1 = cache(hash_written)
"""The same, taken once for each size."""


def stored(size: int) -> str:
    """Return the key of the object of `size` bytes that both clients of the emulator read."""
    return f"stored-s{size}"


def _run_all(actions: list[Action]) -> None:
    for action in actions:
        action()


def _on_threads(function: Callable[[int], None], task: Task) -> None:
    """Call it `task.count` times; each thread takes every n-th number."""

    def run(first: int) -> None:
        for number in range(first, task.count, task.threads):
            function(number)

    if task.threads == 1:
        run(0)
        return
    with ThreadPoolExecutor(task.threads) as pool:
        list(pool.map(run, range(task.threads)))


CLIENTS: dict[str, type[Client]] = {
    "cosv4fs": OurClient,
    "s3fs": S3fsClient,
    "obstore.fsspec": ObstoreFsspecClient,
    "obstore": ObstoreClient,
    "http.client": RawClient,
    "qcloud_cos_py3": VendorClient,
    "cosv4fs (emulator)": OurEmulatorClient,
}
