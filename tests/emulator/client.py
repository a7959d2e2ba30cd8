"""A small client of the tests' own: it shares nothing with the package's client nor with the emulator."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import socket
from urllib.parse import quote, urlsplit

APPID = "1250000000"
SECRET_ID = "AKIDtestsOfTheEmulator00000000000"
SECRET_KEY = "testsOfTheEmulatorKey00000000000"
NOW = 1_700_000_000
_random = itertools.count(1)


def sign(bucket="b", *, f="", e=NOW + 600, t=NOW, k=SECRET_ID, key=SECRET_KEY, a=APPID, r=None, order="aketerfb"):
    """Sign as the documentation says."""
    r = next(_random) if r is None else r
    plain = f"a={a}&k={k}&e={e}&t={t}&r={r}&f={f}&b={bucket}"
    if order == "php":
        plain = f"a={a}&b={bucket}&k={k}&e={e}&t={t}&r={r}&f={f}"
    digest = hmac.new(key.encode(), plain.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest + plain.encode()).decode()


def once(bucket, path, **more):
    """Sign for one use."""
    return sign(bucket, f=f"/{APPID}/{bucket}{quote(path)}", e=0, **more)


def form(fields, boundary="XyZ123"):
    """Return a multipart body and its Content-Type; bytes become the file part."""
    out = b""
    for name, value in fields.items():
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if isinstance(value, (bytes, bytearray)):
            out += b'; filename="x"\r\nContent-Type: application/octet-stream\r\n\r\n' + bytes(value)
        else:
            out += b"\r\n\r\n" + str(value).encode()
        out += b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Answer:
    """An HTTP reply."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of the JSON API, or that of a coffer's error, 0 of everything else."""
        try:
            body = self.json
        except ValueError:
            return 0
        return body.get("code", body.get("Code", 0)) if isinstance(body, dict) else 0

    @property
    def ok(self):
        return self.status == 200 and self.code == 0

    @property
    def data(self):
        assert self.json["code"] == 0, self.json
        assert self.status == 200
        return self.json["data"]


def exchange(emulator, method, target, *, body=None, headers=None):
    """Send one request on a connection of its own."""
    url = urlsplit(emulator.endpoint)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def send_bytes(emulator, data):
    """Send bytes, close the sending side, and return everything that comes back."""
    address = ("127.0.0.1", emulator.port)
    with socket.create_connection(address, timeout=30) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()
    return b""


class Client:
    """Calls an emulator, one connection per request."""

    def __init__(self, emulator, bucket="b"):
        self.emulator = emulator
        self.bucket = bucket

    def raw(self, method, target, *, body=None, headers=None):
        return exchange(self.emulator, method, target, body=body, headers=headers)

    def target(self, path, **query):
        text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        return f"/files/v2/{APPID}/{self.bucket}{quote(path)}" + ("?" + text if text else "")

    def get(self, path, op, *, signature=None, **query):
        signature = sign(self.bucket) if signature is None else signature
        return self.raw("GET", self.target(path, op=op, **query), headers={"Authorization": signature})

    def post(self, path, op, content=None, *, signature=None, carrier="form", **fields):
        if signature is None:
            signature = once(self.bucket, path) if op in {"delete", "update"} else sign(self.bucket)
        fields = {"op": op, **fields}
        if content is not None:
            fields["filecontent"] = content
        if carrier == "query":
            return self.raw("POST", self.target(path, **fields), headers={"Authorization": signature})
        if carrier == "json":
            body, kind = json.dumps(fields).encode(), "application/json"
        else:
            body, kind = form(fields)
        return self.raw(
            "POST", self.target(path), body=body, headers={"Authorization": signature, "Content-Type": kind}
        )

    def upload(self, path, content=b"", **fields):
        return self.post(path, "upload", content, **fields)

    def download(self, path, *, signature=None, method="GET", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["Host"] = f"{self.bucket}-{APPID}.cosgz.myqcloud.com"
        if signature != "":
            headers["Authorization"] = signature or sign(self.bucket)
        return self.raw(method, quote(path), headers=headers)

    def names(self, path="/", **query):
        query.setdefault("num", 1000)
        return [entry["name"] for entry in self.get(path, "list", **query).data["infos"]]

    def begin(self, path, size, **fields):
        fields.setdefault("slice_size", 524288)
        return self.post(path, "upload_slice_init", filesize=size, **fields)

    def piece(self, path, session, offset, content, **fields):
        return self.post(path, "upload_slice_data", content, session=session, offset=offset, **fields)

    def finish(self, path, session, size, **fields):
        return self.post(path, "upload_slice_finish", session=session, filesize=size, **fields)

    def upload_sliced(self, path, content, **fields):
        data = self.begin(path, len(content), **fields).data
        step = data["slice_size"]
        sha = {"sha": fields["sha"]} if "sha" in fields else {}
        for offset in range(0, len(content), step):
            assert self.piece(path, data["session"], offset, content[offset : offset + step]).code == 0
        return self.finish(path, data["session"], len(content), **sha)
