"""What the tests of several layers share: services of their own, a clock, a server that says anything."""

import contextlib
import functools
import hashlib
import queue
import random
import re
import socket
import sys
import threading
import time

import pytest

from cosv4fs.api import CofferClient, CosV4Client
from cosv4fs.api.connections import Timeout
from cosv4fs.api.retry import RetryPolicy
from cosv4fs.concurrency import Pool
from cosv4fs.concurrency.background import run_in_background, start_background
from cosv4fs.config import resolve
from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator, faults
from cosv4fs.emulator.call import ObjectPath
from cosv4fs.emulator.cos import namespace
from cosv4fs.options import OPTIONS, options_of
from cosv4fs.protocols import CDCS, V3, V4

KIB = 1024
MIB = 1024 * KIB
BUCKET = "box"
COFFER = "examplecoffer-1250000000"


@functools.lru_cache(maxsize=16)
def content(size, seed=0):
    """Return bytes that look like nothing else."""
    return random.Random(seed).randbytes(size)


def write_tree(folder, sizes):
    """Write local files with so many bytes each, by their paths in a folder; return the folder."""
    for name, size in sizes.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(size))
    return folder


def elsewhere(options):
    """Return options of a filesystem that stands for another process: it shares no cache with those of this process.

    Caches are shared by endpoint, and the endpoint is spelled differently.
    """
    return {**options, "endpoint": options["endpoint"].replace("http://", "HTTP://")}


def fill(emulator, bucket, keys):
    """Store empty objects without requests, which take most of the time of a test with hundreds of them."""
    now = int(time.time())
    with emulator._service.store.writing() as db:
        for key in keys:
            if isinstance(emulator, CofferEmulator):
                values = {"size": 0, "etag": hashlib.md5(b"").hexdigest(), "content_type": "", "blob": ""}
                emulator._service.add_object(db, bucket, key, values)
            else:
                path, sha = ObjectPath(bucket, key), hashlib.sha1(b"").hexdigest()
                namespace.ensure_parents(db, path, emulator.dialect, now)
                namespace.add_file(db, path, {"size": 0, "shown_sha": sha, "ctime": now, "mtime": now, "blob": None})


def transfer_pool(client):
    """Return the threads and memory for the transfers of a client."""
    return Pool(client.config.max_concurrency, "test-transfer")


def upload_source(kind, service, target, source, piece_size, progress=None):
    """Upload a source in slices or parts, however small it is; return the upload."""
    upload = kind(service.client, service.pool, target, piece_size, source.size)
    upload.send_source(source, progress)
    return upload


class Clock:
    """Seconds that pass only when somebody sleeps or a test says so."""

    def __init__(self, now=0.0):
        self.now = now
        self.slept = []
        self._meanwhile = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        acts, self._meanwhile = self._meanwhile, []
        for act in acts:
            act()

    def meanwhile(self, act):
        """Let something happen in the next pause between two attempts."""
        self._meanwhile.append(act)


class Service:
    """An emulator, of buckets or of coffers, and a client that wastes no time between attempts."""

    def __init__(self, *, options=None, retries=5, emulator=None, clock=time.time, kind=CosV4Client, **dialect):
        self.emulator = self._make_emulator(dialect, emulator or {})
        self.emulator.start()
        self.clock = Clock()
        given = {**self.emulator.storage_options, "read_timeout": 30.0, **(options or {})}
        self.config = resolve(given, protocol=kind.protocol)
        self.policy = RetryPolicy(retries, 120.0, clock=self.clock, sleep=self.clock.sleep)
        self.client = kind(self.config, self.policy, clock)
        self.pool = transfer_pool(self.client)

    def _make_emulator(self, dialect, options):
        return Emulator(buckets=(BUCKET,), dialect=Dialect(**dialect), **options)

    def close(self):
        self.client.close()
        self.emulator.close()

    def fault(self, action, op=None, **rule):
        return self.emulator.faults.add(action=action, op=op, **rule)

    def codes(self):
        return [record.code for record in self.emulator.requests]

    def ops(self):
        return [record.op for record in self.emulator.requests]

    def watch(self, look, op=None):
        """Call `look` with every request before the service acts on it."""

        def match(call):
            look(call)
            return False

        self.emulator.faults.add(action=faults.Action(), op=op, match=match)

    def put(self, key, data, **more):
        return self.client.upload(BUCKET, key, data, insert_only=False, **more)

    def put_before(self, key, data, seconds=60):
        """Upload an object so long ago that nothing can be confused with it; return its status."""
        self.emulator.clock_offset = -seconds
        self.put(key, data)
        self.emulator.clock_offset = 0
        return self.client.stat(BUCKET, key)

    def read(self, key, start=None, stop=None):
        """Return bytes as the client's own `fetch` brings them."""
        return self._fetch(BUCKET, key, start, stop)[0]

    def _fetch(self, bucket, key, *more):
        memory = bytearray()

        def allocate(length, version):
            memory.extend(bytes(length))
            return memoryview(memory)

        fetched = self.client.fetch(bucket, key, allocate, *more)
        assert fetched.length == len(memory)
        return bytes(memory), fetched

    def names(self, key="/"):
        return sorted(entry.name for entry in self.client.list(BUCKET, key))


class Coffers(Service):
    """A service of coffers."""

    def __init__(self, **more):
        super().__init__(kind=CofferClient, **more)
        self.meanwhile = self.clock.meanwhile

    def _make_emulator(self, dialect, options):
        return CofferEmulator(coffers=(COFFER,), dialect=CofferDialect(**dialect), **options)

    def ranges(self):
        return [record.range for record in self.emulator.requests if record.op == "GetObject"]

    def let_go(self, stall, op):
        """Let a stalled request go on, and wait until it was answered."""
        before = self.ops().count(op)
        stall.release.set()
        for _ in range(30_000):
            if self.ops().count(op) > before:
                return
            time.sleep(0.001)

    def put(self, key, data=b"x", **more):
        return self.client.put_object(COFFER, key, memoryview(data), **more)

    def put_parts(self, key, *contents):
        upload = self.client.initiate(COFFER, key)
        parts = self.send(key, upload, *contents)
        self.client.complete(COFFER, key, upload, parts)

    def send(self, key, upload, *contents):
        for number, data in enumerate(contents, 1):
            self.client.upload_part(COFFER, key, upload, number, memoryview(data))
        return self.client.list_parts(COFFER, key, upload)

    def read(self, key, start=None, stop=None, expected=None):
        """Return the bytes and the result of `fetch`."""
        return self._fetch(COFFER, key, start, stop, expected)

    def keys(self, prefix=""):
        return [entry.key for entry in self.client.list(COFFER, prefix)]


class Do(faults.Action):
    """Do something when a request has come and nothing is done about it yet."""

    def __init__(self, act):
        self.act = act

    def before(self, call):
        self.act()


def read_head(connection):
    """Return what a connection brings up to the end of a head, or with more; nothing where it ends before."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return b""
        head += more
    return head


class RawServer:
    """Sends prepared bytes for each request, whatever it was, and closes the connection."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # close() alone does not wake a thread in accept()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection):
        try:
            head = read_head(connection)
            if not head:
                return
            head, _, body = head.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            missing = int(length[1]) - len(body) if length else 0
            while missing > 0:
                missing -= len(connection.recv(65536)) or missing
            self.requests.append(head)
            reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
            connection.sendall(reply)
        except OSError:
            return


class KeepingServer(RawServer):
    """Keeps connections open, and counts them.

    A reply is bytes, or a list of bytes with `UNTIL_ASKED` in between: what follows comes when the next request has
    come on the same connection, or the client has closed it, or waits for longer than any test lets it.
    """

    UNTIL_ASKED = object()

    def __init__(self, *replies):
        super().__init__(*replies)
        self.connections = 0
        self._open = []

    def __exit__(self, *more):
        super().__exit__(*more)
        for connection, thread in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(30)

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            self._open.append((connection, thread))
            thread.start()

    def _converse(self, connection):
        with connection, contextlib.suppress(OSError):
            while head := read_head(connection):
                self.requests.append(head)
                reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
                for part in [reply] if isinstance(reply, bytes) else reply:
                    if isinstance(part, bytes):
                        connection.sendall(part)
                    else:
                        connection.settimeout(10)
                        with contextlib.suppress(TimeoutError):
                            connection.recv(1, socket.MSG_PEEK)
                            # else the connection ends after another wait: a client that never gives up goes on
                            connection.settimeout(None)


def http_reply(body=b"", status="200 OK", headers=(), length=None):
    """Return the bytes of an HTTP reply, which says that the connection is closed unless the headers tell otherwise.

    A client that is not told may send its next request on a connection that is gone.
    """
    if not any(header.lower().startswith("connection:") for header in headers):
        headers = (*headers, "Connection: close")
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def raw_client(server, kind=CosV4Client, **options):
    """Return a client for a `RawServer` that tries once."""
    given = {"appid": "1250000000", "secret_id": "theId", "secret_key": "theKey", "region": "gz"}
    given |= {"endpoint": server.endpoint, "max_retries": 0, "read_timeout": 20.0}
    return kind(resolve({**taken(kind.protocol.name, given), **options}, protocol=kind.protocol))


@pytest.fixture
def make_service():
    """Start services that end with the test; keywords are switches of the dialect."""
    running = []

    def make(service=Service, **dialect):
        running.append(service(**dialect))
        return running[-1]

    yield make
    for service in running:
        service.close()


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture
def make_coffers(make_service):
    """Start services of coffers that end with the test; keywords are switches of the dialect."""
    return functools.partial(make_service, Coffers)


@pytest.fixture
def coffers(make_coffers):
    return make_coffers()


def hurry(client, seconds=0.5):
    """Let a client give up after so long without an answer; return what gives it its patience back.

    What has to be answered, on a machine that may be busy, comes before or after that.
    """
    transport, usual = client._transport, client._transport._timeout
    transport._timeout = Timeout(usual.connect, seconds)
    return lambda: setattr(transport, "_timeout", usual)


def taken(protocol, options):
    """Return those of some options that a protocol does not refuse."""
    [spec] = (spec for spec in (V4, V3, CDCS) if spec.name == protocol)
    refused = {option.name for option in OPTIONS} - {option.name for option in options_of(spec)}
    return {name: value for name, value in options.items() if name not in refused}


def wait_for_background():
    """Wait until everything handed to `run_in_background` so far has been done."""
    start_background()
    done = queue.SimpleQueue()
    run_in_background(lambda: done.put(None))
    done.get()


def in_threads(count, work):
    """Call ``work(number)`` in so many threads at once, which take turns at every step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    barrier, failed = threading.Barrier(count), []

    def call(number):
        barrier.wait(60)
        try:
            work(number)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    assert not failed
