"""S3 that cannot be used: errors name the URL and the cause, and what to do."""

import errno
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from cosv4fs.cli import main
from cosv4fs.migrate.migration import migrate

ACCOUNT = {"key": "key", "secret": "secret"}


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Archive(BaseHTTPRequestHandler):
    """A bucket of 120 objects ``d/…`` that nobody may read, with a policy that lists only keys below ``d/``."""

    protocol_version = "HTTP/1.1"
    keys = tuple(f"d/{number}" for number in range(120))

    def do_HEAD(self):
        is_there = self.path == "/bucket" or self.path.removeprefix("/bucket/") in self.keys
        self._reply(200 if is_there else 404, b"x")

    def do_GET(self):
        prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
        if prefix != "d/":
            self._reply(403, b"<Error><Code>AccessDenied</Code><Message>it is denied</Message></Error>")
            return
        rest = "<LastModified>2024-01-01T00:00:00Z</LastModified><ETag>0</ETag><Size>1</Size>"
        rows = "".join(f"<Contents><Key>{key}</Key>{rest}</Contents>" for key in self.keys)
        self._reply(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())

    def _reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def refusing():
    """A server that refuses every access; yields its address and the requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            requests.append(self.path)
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


@pytest.mark.parametrize("is_source", [False, True])
def test_an_endpoint_that_cannot_be_reached(nowhere, tmp_path, is_source):
    urls = [str(tmp_path), "s3://bucket/dir"]
    with pytest.raises(ConnectionError, match=f"endpoint http://{nowhere} cannot be reached: Connection ref") as caught:
        migrate(*(urls[::-1] if is_source else urls), options={"s3": ACCOUNT | {"endpoint_url": f"http://{nowhere}"}})
    assert (caught.value.errno, caught.value.filename) == (errno.EHOSTUNREACH, "s3://bucket/dir")


def test_the_text_of_a_failure_on_windows(nowhere, tmp_path, monkeypatch):
    """`os.strerror` knows no errors of sockets there."""
    monkeypatch.setattr("os.strerror", lambda number: "Unknown error")
    monkeypatch.setattr("socket.errorTab", {errno.ECONNREFUSED: "Connection refused."}, raising=False)
    with pytest.raises(ConnectionError, match=r"cannot be reached: Connection refused\."):
        migrate(str(tmp_path), "s3://bucket/dir", options={"s3": ACCOUNT | {"endpoint_url": f"http://{nowhere}"}})


@pytest.mark.parametrize("number", [-2, 8, 11001], ids=["linux", "macos", "windows"])
def test_the_text_of_an_unknown_host(tmp_path, monkeypatch, number):
    """Its number is none of errno."""

    def fail(*_, **__):
        raise socket.gaierror(number, "name not known")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    with pytest.raises(ConnectionError, match="cannot be reached: name not known"):
        migrate(str(tmp_path), "s3://bucket/dir", options={"s3": ACCOUNT | {"endpoint_url": "http://s3.invalid"}})


@pytest.mark.parametrize("command", [["cp", "FILE"], ["migrate", "FOLDER"], ["sync", "FOLDER"]])
def test_missing_credentials(no_account, nowhere, tmp_path, capsys, command):
    (tmp_path / "file").write_bytes(b"x")
    names = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path)}
    arguments = [names.get(argument, argument) for argument in command]
    assert main(["-o", f"s3.endpoint_url=http://{nowhere}", *arguments, "s3://bucket/dir"]) == 4
    error = capsys.readouterr().err
    assert "s3://bucket/dir: there are no credentials for S3: set AWS_ACCESS_KEY_ID" in error


def test_refused_access_is_no_missing_bucket(tmp_path):
    with refusing() as (endpoint, requests):
        options = {"s3": ACCOUNT | {"endpoint_url": endpoint}}
        with pytest.raises(PermissionError, match="access to the bucket is refused") as caught:
            migrate(str(tmp_path), "s3://bucket/dir", options=options)
        assert caught.value.filename == "s3://bucket"
        assert requests == ["/bucket"]


def test_a_missing_bucket(tmp_path, s3_options):
    advice = "the bucket does not exist: create it with cosv4fs mkdir s3://no-such-bucket"
    with pytest.raises(FileNotFoundError, match=advice) as caught:
        migrate(str(tmp_path), "s3://no-such-bucket/dir", options={"s3": s3_options})
    assert caught.value.filename == "s3://no-such-bucket"
    with pytest.raises(FileNotFoundError, match="the bucket does not exist: 's3"):
        migrate("s3://no-such-bucket/dir", str(tmp_path / "to"), options={"s3": s3_options})


def test_a_proxy_that_refuses(nowhere, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:word@{nowhere}")
    monkeypatch.setenv("no_proxy", "")
    options = ACCOUNT | {"endpoint_url": "http://s3.invalid"}
    with pytest.raises(ConnectionError) as caught:
        migrate(str(tmp_path), "s3://bucket/dir", options={"s3": options})
    reason = f"the S3 endpoint http://s3.invalid cannot be reached through the proxy {nowhere}: Connection refused"
    assert caught.value.strerror == reason


def test_objects_that_alone_are_forbidden_below_a_prefix(tmp_path):
    """Whether the credentials are still accepted is asked as the policy allows: by the prefix that was listed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = {"s3": ACCOUNT | {"endpoint_url": f"http://127.0.0.1:{server.server_port}"}}
        report = migrate("s3://bucket/d", str(tmp_path / "to"), options=options, manifest=tmp_path / "manifest")
        server.shutdown()
    assert (report.failed, report.copied) == (120, 0)
