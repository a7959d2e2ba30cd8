"""Memory follows what arrives, not what a server announces."""

import re
import subprocess
import sys

import pytest

from tests.support import MIB, RawServer, http_reply

SIZE = 3 * 1024 * MIB

PROGRAM = """
import errno, sys
from cosv4fs import CofferFileSystem, CosV4FileSystem

endpoint, target, size = *sys.argv[1:3], int(sys.argv[3])
account = {"secret_id": "i", "secret_key": "k", "endpoint": endpoint, "max_retries": 0}
fs = CosV4FileSystem(appid="1", region="gz", **account)
coffers = CofferFileSystem(region="ap-x", **account)
path, coffer = "b/x", "examplecoffer-1250000000/x"
ways = {
    "cat": lambda: fs.cat_file(path),
    "part": lambda: fs.cat_file(path, 5, None),
    "suffix": lambda: fs.cat_file(path, -size),
    "ranges": lambda: fs.cat_ranges([path], [0], [size], on_error="raise"),
    "open": lambda: fs.open(path).read(),
    "readahead": lambda: fs.open(path, cache_type="readahead").read(),
    "all": lambda: fs.open(path, cache_type="all").read(),
    "text": lambda: fs.open(path, "r").read(),
    "get": lambda: fs.get_file(path, target),
    "coffer": lambda: coffers.cat_file(coffer),
    "coffer open": lambda: coffers.open(coffer).read(),
}


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


for way, read in ways.items():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = peak()
    try:
        read()
    except OSError as error:
        assert error.errno in (errno.ECONNRESET, errno.ENOMEM), (way, error)
    else:
        sys.exit(f"{way}: that was no error")
    print(way, (peak() - before) // 1024, sep="=")
"""


class Announcing(RawServer):
    """Announces an object of 3 GiB, and sends 100 bytes of it."""

    def _answer(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                # the client has given the connection up: waiting for more would keep the next one waiting for ever
                return
            head += received
        self.requests.append(head)
        method, target = head.split()[:2]
        if b"op=stat" in target:
            body = b'{"code":0,"data":{"filesize":%d,"filelen":%d,"mtime":1,"ctime":1}}' % (SIZE, SIZE)
            connection.sendall(http_reply(body))
            return
        asked = re.search(rb"Range: bytes=(\d*)-(\d*)", head)
        first, last = (int(part) if part else None for part in asked.groups()) if asked else (0, None)
        first, last = (SIZE - last, None) if first is None else (first, last)
        last = SIZE - 1 if last is None else min(last, SIZE - 1)
        headers = ['ETag: "1"', f"Content-Range: bytes {first}-{last}/{SIZE}"]
        status = "206 Partial" if asked else "200 OK"
        body = b"" if method == b"HEAD" else b"x" * 100
        connection.sendall(http_reply(body, status, headers, length=last - first + 1))


WAYS = {"cat", "part", "suffix", "ranges", "open", "readahead", "all", "text", "get", "coffer", "coffer open"}


@pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux does")
def test_what_is_announced_and_does_not_come_takes_no_memory(tmp_path):
    with Announcing() as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.endpoint, str(tmp_path / "x"), str(SIZE)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    taken = dict(line.split("=") for line in done.stdout.splitlines())
    assert taken.keys() == WAYS
    assert {way: mib for way, mib in taken.items() if int(mib) >= 100} == {}
    assert len(server.requests) < 60 * len(WAYS)
