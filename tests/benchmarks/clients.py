"""The measured clients, all behind one interface: an operation is prepared, then run, then cleaned up.

Only the run is measured. Names of objects to read end in ``-s<bytes>``, those of objects to write in ``-h<SHA-1>``,
which is all that the sink needs.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.uploads import STREAMING

MIB = 1024 * 1024
BUCKET = "data"
Action = Callable[[], Any]


@dataclass(frozen=True)
class Task:
    """What to do: an operation on `count` things of `size` bytes each, on `threads` threads where it matters."""

    operation: str
    size: int
    count: int = 1
    threads: int = 1


class Client:
    """What all clients share: local files, and names that never come twice.

    `folder` is for what it downloads; files to upload stand beside it.
    """

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        self.endpoint, self.options = endpoint, options
        self.folder = Path(folder)
        self._numbers = itertools.count()

    def prepare(self, task: Task) -> Action:
        """Return the function to measure."""
        action: Action = getattr(self, task.operation)(task)
        return action

    def clean(self) -> None:
        """Remove local copies."""
        shutil.rmtree(self.folder / "got", ignore_errors=True)
        (self.folder / "got").mkdir(parents=True)

    def name(self, size: int) -> str:
        """Return a fresh path of an object to read."""
        return f"{BUCKET}/get-{os.getpid()}-{next(self._numbers)}-s{size}"

    def new_name(self, sha1: str, bucket: str = BUCKET) -> str:
        """Return a fresh path of an object to write, with this SHA-1."""
        return f"{bucket}/put-{os.getpid()}-{next(self._numbers)}-h{sha1}"

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
        return str(self.folder / "got" / str(next(self._numbers)))


class FsspecClient(Client):
    """Any filesystem of fsspec."""

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
        return partial(self._write, self.new_name(zeros_sha1(task.size)), task.size, {})

    def _write(self, path: str, size: int, options: dict[str, Any]) -> None:
        block = memoryview(bytes(MIB))
        with self.fs.open(path, "wb", **options) as file:
            for offset in range(0, size, MIB):
                file.write(block[: min(MIB, size - offset)])

    def read(self, task: Task) -> Action:
        """Read one object through in pieces of 1 MiB."""
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
        """Ask for the status of many objects, one after another."""
        return partial(self._info, [self.name(task.size) for _ in range(task.count)])

    def _info(self, names: list[str]) -> None:
        for name in names:
            self.fs.info(name)


_ACCOUNT = {"appid": "1250000000", "secret_id": "benchmark", "secret_key": "benchmark", "region": "gz"}
_KEYS = {"key": "benchmark", "secret": "benchmark"}


class OurClient(FsspecClient):
    """cosv4fs."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        from cosv4fs import CosV4FileSystem

        super().__init__(endpoint, folder, options)
        self.fs = CosV4FileSystem(**{**_ACCOUNT, **options}, endpoint=endpoint, proxies={})

    def write(self, task: Task) -> Action:
        """Write one object in pieces of 1 MiB, its size being known."""
        return partial(self._write, self.new_name(zeros_sha1(task.size)), task.size, {"size": task.size})

    def write_unsized(self, task: Task) -> Action:
        """Write one object in pieces of 1 MiB, its size being unknown."""
        return partial(self._write, self.new_name(zeros_sha1(task.size)), task.size, {})

    def write_streaming(self, task: Task) -> Action:
        """Do the same in a bucket where uploads of unknown size can be sent while they are written."""
        return partial(self._write, self.new_name(zeros_sha1(task.size), STREAMING), task.size, {})

    def slices(self, task: Task) -> Action:
        """Send slices through the typed client, on some threads."""
        client, block = self.fs.client, memoryview(bytes(task.size))

        def send(number: int) -> None:
            client.upload_slice_data(BUCKET, "/slices", "session", number * task.size, block)

        return partial(_on_threads, send, task)

    def ranges(self, task: Task) -> Action:
        """Fetch ranges through the typed client into one buffer per thread."""
        client, key = self.fs.client, "/" + key_of(self.name(task.size * task.count))
        buffers = [memoryview(bytearray(task.size)) for _ in range(task.threads)]

        def fetch(number: int) -> None:
            start, view = number * task.size, buffers[number % task.threads]
            client.fetch(BUCKET, key, lambda length, _: view[:length], start, start + task.size)

        return partial(_on_threads, fetch, task)


class S3fsClient(FsspecClient):
    """s3fs with its defaults."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        import s3fs

        super().__init__(endpoint, folder, options)
        self.fs = s3fs.S3FileSystem(
            **_KEYS, endpoint_url=endpoint, client_kwargs={"region_name": "gz"}, use_listings_cache=False, **options
        )


class ObstoreFsspecClient(FsspecClient):
    """obstore's own fsspec filesystem with its defaults."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        from obstore.fsspec import FsspecStore

        super().__init__(endpoint, folder, options)
        self.fs = FsspecStore("s3", config=_store_config(endpoint), client_options={"allow_http": True}, **options)


class ObstoreClient(Client):
    """obstore without fsspec."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        from obstore.store import S3Store

        super().__init__(endpoint, folder, options)
        self.store = S3Store(BUCKET, config=_store_config(endpoint), client_options={"allow_http": True}, **options)

    def put_file(self, task: Task) -> Action:
        import obstore

        path, sha1 = self.local(task.size)
        return partial(obstore.put, self.store, key_of(self.new_name(sha1)), Path(path))

    def write(self, task: Task) -> Action:
        import obstore

        def write(key: str) -> None:
            block = bytes(MIB)
            with obstore.open_writer(self.store, key) as file:
                for offset in range(0, task.size, MIB):
                    file.write(block[: min(MIB, task.size - offset)])

        return partial(write, key_of(self.new_name(zeros_sha1(task.size))))

    def cat_file(self, task: Task) -> Action:
        import obstore

        key = key_of(self.name(task.size))
        return lambda: obstore.get(self.store, key).bytes()

    def get_file(self, task: Task) -> Action:
        import obstore

        def get(key: str, target: str) -> None:
            with open(target, "wb") as file:
                file.writelines(obstore.get(self.store, key).stream())

        return partial(get, key_of(self.name(task.size)), self.target())


def _store_config(endpoint: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "access_key_id": _KEYS["key"],
        "secret_access_key": _KEYS["secret"],
        "region": "gz",
        "virtual_hosted_style_request": False,
    }


class RawClient(Client):
    """``http.client`` with nothing around it: what Python itself can do."""

    def slices(self, task: Task) -> Action:
        """Post ready-made forms."""
        boundary = b"raw-boundary"
        part = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        fields = [(b"op", b"upload_slice_data"), (b"session", b"session"), (b"offset", b"0")]
        head = b"".join(part % (boundary, name, value) for name, value in fields)
        head += b'--%s\r\nContent-Disposition: form-data; name="filecontent"; filename="f"\r\n\r\n' % boundary
        body = head + bytes(task.size) + b"\r\n--%s--\r\n" % boundary
        headers = {"Content-Type": "multipart/form-data; boundary=raw-boundary", "Content-Length": str(len(body))}
        connections = self._connections(task.threads)

        def send(number: int) -> None:
            connection = connections[number % task.threads]
            connection.request("POST", "/files/v2/1250000000/data/raw", body, headers)
            connection.getresponse().read()

        return partial(_on_threads, send, task)

    def ranges(self, task: Task) -> Action:
        """Fetch ranges into one buffer per thread."""
        path = "/" + self.name(task.size * task.count)
        buffers = [memoryview(bytearray(task.size)) for _ in range(task.threads)]
        connections = self._connections(task.threads)

        def fetch(number: int) -> None:
            connection, view = connections[number % task.threads], buffers[number % task.threads]
            first = number * task.size
            connection.request("GET", path, headers={"Range": f"bytes={first}-{first + task.size - 1}"})
            response, done = connection.getresponse(), 0
            while done < task.size:
                done += response.readinto(view[done:])
            response.read()

        return partial(_on_threads, fetch, task)

    def _connections(self, count: int) -> list[Any]:
        from http.client import HTTPConnection

        found = [HTTPConnection(urlsplit(self.endpoint).netloc) for _ in range(count)]
        for connection in found:
            connection.connect()
        return found


class VendorClient(Client):
    """The vendor-API client qcloud_cos_py3; it knows only the vendor's hosts, so the emulator is its proxy."""

    def __init__(self, endpoint: str, folder: str, options: dict[str, Any]) -> None:
        os.environ["http_proxy"] = endpoint
        from qcloud_cos_py3 import CosBucket

        super().__init__(endpoint, folder, options)
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


@lru_cache
def zeros_sha1(size: int) -> str:
    """Return the SHA-1 of what writers write, which is zeros."""
    digest, block = hashlib.sha1(usedforsecurity=False), bytes(MIB)
    for offset in range(0, size, MIB):
        digest.update(block[: size - offset])
    return digest.hexdigest()


def stored(size: int) -> str:
    """Return the key of the object of `size` bytes that both clients of the emulator read."""
    return f"stored-s{size}"


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
