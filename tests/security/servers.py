"""Servers of the tests: one that speaks TLS, and a proxy that opens tunnels."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from tests import support
from tests.support import RawServer, read_head


def http_reply(body=b"", status="200 OK", headers=(), length=None):
    """Return the bytes of an HTTP reply of a `RawServer`, which says that it closes the connection, as it does."""
    return support.http_reply(body, status, [*headers, "Connection: close"], length)


class Certificate:
    """A self-signed certificate for some names, made now, and its own authority."""

    def __init__(self, folder, *names):
        if shutil.which("openssl") is None:
            pytest.skip("needs the command openssl, which makes the certificate")
        self.path, key = folder / "certificate.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=test"]
        command += ["-addext", f"subjectAltName={','.join(names)}", "-keyout", str(key), "-out", str(self.path)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path, key)


class TlsServer(RawServer):
    """A `RawServer` behind TLS."""

    def __init__(self, certificate, *replies):
        super().__init__(*replies)
        self._context = certificate.context
        self.handshakes = 0

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def _answer(self, connection):
        try:
            wrapped = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        with wrapped:
            self.greet(wrapped)
            self.handshakes += 1
            super()._answer(wrapped)

    def greet(self, connection):
        """Say something before the first request."""


class TunnelProxy(RawServer):
    """An HTTP proxy that does what CONNECT says, but to one port only."""

    def __init__(self, port):
        super().__init__()
        self._target = port

    def _answer(self, connection):
        head = read_head(connection)
        if not head:
            return
        self.requests.append(head)
        assert re.match(rb"CONNECT \S+ HTTP/1\.[01]\r\n", head)
        with socket.create_connection(("127.0.0.1", self._target), timeout=30) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(other, connection))
            back.start()
            _pump(connection, other)
            back.join(30)


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
