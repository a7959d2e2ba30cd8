"""A service (JSON API v4) of very many objects that do not exist: ``python -m tests.scale.service`` prints its port.

The name of a bucket says what is in its directory ``in``: ``flat-1000000`` holds a million files in one directory,
``deep-1000000`` a hundred each in ten thousand. Every file is one byte. What is written or removed is discarded, and
every other path does not exist.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from typing_extensions import Self

CONTENT, SHA1 = b"x", "11f6ad8ec52a2984abaafd7c3b516503785c2072"
TOP = "/in/"
_TIMES = {"ctime": 1700000000, "mtime": 1700000000}
_FILE = {"filesize": 1, "filelen": 1, "sha": SHA1, **_TIMES}
_IN_FOLDER = 100
"""Entries of each directory in the deep shape."""

_HEAD = re.compile(rb"(GET|POST|HEAD) (?:http://[^/ ]+)?(/[^ ?]*)(?:\?([^ ]*))? HTTP")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ABSENT, _DONE = {"code": -197, "message": "ERROR_CMD_COS_INDEX_NOT_EXIST"}, {"code": 0, "message": "SUCCESS"}


@dataclass(frozen=True)
class Shape:
    """Where the files of a bucket are."""

    is_flat: bool
    count: int

    @classmethod
    def of(cls, bucket: str) -> Shape:
        kind, _, count = bucket.partition("-")
        return cls(kind == "flat", int(count))

    @property
    def _folders(self) -> int:
        return -(-self.count // _IN_FOLDER)

    def entries(self, key: str) -> tuple[str, int] | None:
        """Return the first letter of the names in a directory, and how many there are; None if it does not exist."""
        names = key.removeprefix(TOP).split("/")[:-1]
        if not key.startswith(TOP) or len(names) > (0 if self.is_flat else 2):
            return None
        if self.is_flat:
            return "f", self.count
        uppers = -(-self._folders // _IN_FOLDER)
        if not names:
            return "d", uppers
        number = int(names[0][1:])
        if len(names) == 1:
            return ("e", min(_IN_FOLDER, self._folders - number * _IN_FOLDER)) if number < uppers else None
        folder = number * _IN_FOLDER + int(names[1][1:])
        return ("f", min(_IN_FOLDER, self.count - folder * _IN_FOLDER)) if folder < self._folders else None

    def status(self, key: str) -> dict[str, object] | None:
        """Return what stat tells of a path."""
        if key.endswith("/"):
            return None if self.entries(key) is None and key != "/" else dict(_TIMES)
        folder, _, name = key.rpartition("/")
        found = self.entries(folder + "/")
        if found is None or not re.fullmatch(rf"{found[0]}\d+", name) or found[0] != "f" or int(name[1:]) >= found[1]:
            return None
        return {**_FILE, "access_url": "http://x/", "source_url": "http://x/"}

    def page(self, key: str, start: int, most: int) -> dict[str, object] | None:
        """Return a page of a listing."""
        if key == "/":
            return {"context": "", "listover": True, "infos": [{"name": "in/", **_TIMES}]}
        found = self.entries(key)
        if found is None:
            return None
        letter, count = found
        stop, shown = min(start + most, count), _FILE if letter == "f" else _TIMES
        infos = [{"name": f"{letter}{number:08}", **shown} for number in range(start, stop)]
        return {"context": str(stop) if stop < count else "", "listover": stop >= count, "infos": infos}


def answer(method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes, str]:
    """Return status, body and type of the reply to a request."""
    parts = path.split("/", 5)
    if parts[1:3] != ["files", "v2"]:
        # a download; the bucket is in the name of the host
        return 200, CONTENT, "application/octet-stream"
    shape, key = Shape.of(parts[4]), "/" + parts[5]
    data = None
    if method == "POST":
        data = {"access_url": "http://x/", "resource_path": key, "source_url": "http://x/", "url": "http://x/"}
        if b"delete" in body[:200]:
            data = {}
    elif query.get("op") == "stat":
        data = shape.status(key)
    elif query.get("op") == "list":
        data = shape.page(key, int(query.get("context") or 0), min(int(query["num"]), 1000))
    reply = _ABSENT if data is None else {**_DONE, "data": data}
    return 404 if data is None else 200, json.dumps(reply).encode(), "application/json"


def _requests(connected: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yield heads and bodies."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            more = connected.recv(65536)
            if not more:
                return
            received += more
        head, _, received = received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        while len(received) < length:
            received += connected.recv(65536)
        yield head, received[:length]
        received = received[length:]


def _serve(connected: socket.socket) -> None:
    with connected, contextlib.suppress(ConnectionError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for head, body in _requests(connected):
            found = _HEAD.match(head)
            assert found is not None, head
            query = dict(parse_qsl((found[3] or b"").decode(), keep_blank_values=True))
            status, reply, kind = answer(found[1].decode(), unquote(found[2].decode()), query, body)
            lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(reply)}"]
            if kind == "application/octet-stream":
                lines.append(f'ETag: "{SHA1}"')
            connected.sendall("\r\n".join([*lines, "\r\n"]).encode() + (b"" if found[1] == b"HEAD" else reply))


class Service:
    """The service, on loopback, in threads of this process."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.options = {
            "appid": "1250000000", "secret_id": "AKIDscale", "secret_key": "scale", "region": "gz",
            "endpoint": f"http://127.0.0.1:{self.port}",
        }  # fmt: skip

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # a thread that accepts is not woken by closing alone
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                threading.Thread(target=_serve, args=(connected,), daemon=True).start()


def main() -> None:
    """Serve until standard input ends."""
    with Service() as service:
        print(service.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
