"""A server that discards uploads, serves a pattern as downloads, and can simulate a network.

It implements enough of the COS JSON API v4 and of S3 for all clients, which therefore use the same process. It needs
little CPU: request bodies are discarded by the kernel, or received into one buffer, and downloads are sent from memory
by ``sendfile``.

The simulated network has a round-trip time (half of it passes before a body is read, half before the reply; the first
one of a connection is its handshake) and a rate per connection. There is no slow start, no loss and no jitter.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from tests.benchmarks.dialects import MIB, Call, Reply, Service, pattern_block

PATTERN_SIZE = 16 * MIB
_HEAD_ROOM = 64 * 1024
_PREFIX = 4096
"""Bytes of a body that are parsed; the rest is discarded."""
_WASTE = bytearray(MIB)
"""The buffer into which all connections receive what is discarded."""
_PACED = 256 * 1024
"""Bytes that are sent or received at once when the rate is limited."""
_DISCARD = getattr(socket, "MSG_TRUNC", 0) if sys.platform == "linux" else 0
_CORKED = getattr(socket, "MSG_MORE", 0)


@dataclass
class Network:
    """The simulated network: seconds per round trip, bytes per second and connection (0: no limit)."""

    rtt: float = 0.0
    rate: float = 0.0


@dataclass
class Counts:
    """Connections and requests since the last reset."""

    connections: int = 0
    requests: int = 0


class Sink:
    """Accepts connections on loopback and serves each in a thread."""

    def __init__(self) -> None:
        self.network = Network()
        self.counts, self.lock = Counts(), threading.Lock()
        self.service = Service()
        self.pattern = _pattern_file()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve until the process ends."""
        while True:
            connected, _ = self._listener.accept()
            with self.lock:
                self.counts.connections += 1
            threading.Thread(target=_serve_connection, args=(self, connected), daemon=True).start()

    def control(self, call: Call) -> Reply:
        """Return the counts, reset them, or change the network; such requests are not counted."""
        if "rtt_ms" in call.query:
            self.network = Network(float(call.query["rtt_ms"]) / 1000, float(call.query["rate_mbps"]) * 1e6)
        with self.lock:
            report = json.dumps(vars(self.counts)).encode()
            if "reset" in call.query:
                self.counts = Counts()
        return Reply(body=report)


class _Link:
    """One connection."""

    def __init__(self, sink: Sink, connected: socket.socket) -> None:
        self.sink, self._socket = sink, connected
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_HEAD_ROOM)
        self._filled = 0
        self._opened = time.perf_counter()

    def serve_one(self) -> bool:
        """Serve one request; return False at the end of the connection."""
        end = self._receive_head()
        if end < 0:
            return False
        call = _parse(bytes(self._buffer[:end]))
        network = Network() if call.is_control else self.sink.network
        if network.rtt:
            # nothing is sent on a connection before its handshake, which may be over long before the first request
            handshake = max(0.0, self._opened + network.rtt - time.perf_counter())
            time.sleep(handshake + network.rtt * 0.5)
        self._receive_body(call, end + 4, network)
        if network.rtt:
            time.sleep(network.rtt * 0.5)
        reply = self.sink.control(call) if call.is_control else self.sink.service.answer(call)
        if not call.is_control:
            with self.sink.lock:
                self.sink.counts.requests += 1
        self._send(call, reply, network)
        return True

    def _receive_head(self) -> int:
        """Return the end of the head in the buffer, or -1 at the end of the connection."""
        while True:
            end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
            if end >= 0:
                return end
            with memoryview(self._buffer)[self._filled :] as room:
                count = self._socket.recv_into(room) if room else 0
            if not count:
                return -1
            self._filled += count

    def _receive_body(self, call: Call, start: int, network: Network) -> None:
        if call.headers.get("expect"):
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        wanted = min(call.length, _PREFIX)
        while self._filled - start < wanted:
            with memoryview(self._buffer)[self._filled :] as room:
                self._filled += _some(self._socket.recv_into(room))
        call.prefix = bytes(self._buffer[start : start + wanted])
        held = min(call.length, self._filled - start)
        rest = self._filled - start - held
        self._buffer[:rest] = self._buffer[start + held : self._filled]
        self._filled = rest
        self._drop(call.length - held, network.rate)

    def _drop(self, length: int, rate: float) -> None:
        began, done = time.perf_counter(), 0
        step = _PACED if rate else len(_WASTE)
        while done < length:
            done += _some(self._socket.recv_into(_WASTE, min(step, length - done), _DISCARD))
            if rate:
                _sleep_until(began + done / rate)

    def _send(self, call: Call, reply: Reply, network: Network) -> None:
        head = reply.head()
        if reply.pattern is None or call.method == "HEAD":
            self._socket.sendall(head if call.method == "HEAD" else head + reply.body)
            return
        offset, length = reply.pattern
        # on a slow link the head does not wait for the first bytes
        self._socket.sendall(head, _CORKED if length and not network.rate else 0)
        began, done = time.perf_counter(), 0
        while done < length:
            place = (offset + done) % PATTERN_SIZE
            count = min(length - done, PATTERN_SIZE - place, _PACED if network.rate else length)
            if network.rate:
                _sleep_until(began + (done + count) / network.rate)
            done += _some(os.sendfile(self._socket.fileno(), self.sink.pattern, place, count))


def _serve_connection(sink: Sink, connected: socket.socket) -> None:
    with connected, contextlib.suppress(ConnectionError):
        link = _Link(sink, connected)
        while link.serve_one():
            pass


def _parse(head: bytes) -> Call:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    return Call(method, unquote(path), values, headers)


def _some(count: int) -> int:
    if not count:
        raise ConnectionAbortedError
    return count


def _sleep_until(moment: float) -> None:
    pause = moment - time.perf_counter()
    if pause > 0:
        time.sleep(pause)


def _pattern_file() -> int:
    """Return the descriptor of a file in memory with the content of downloads."""
    descriptor = os.memfd_create("pattern")
    block = pattern_block()
    for _ in range(PATTERN_SIZE // len(block)):
        os.write(descriptor, block)
    return descriptor


def _end_with_parent() -> None:
    """End the process soon after the one that started it, which may have been killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def main() -> None:
    """Print the port and serve."""
    sink = Sink()
    print(sink.port, flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        sink.serve()


if __name__ == "__main__":
    main()
