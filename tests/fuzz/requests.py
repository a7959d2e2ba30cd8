"""The emulator's reading of requests: raw bytes on a socket, most of them no good."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from hypothesis import strategies as st

from cosv4fs.emulator import Emulator
from tests.emulator.client import APPID, NOW, SECRET_ID, SECRET_KEY, Client, form, once, sign
from tests.fuzz.mutations import JSON, NAMES, Edit, edited, edits, replaced, replacements
from tests.fuzz.targets import target

_TIMEOUT = 20.0


class Answer(NamedTuple):
    """One reply, taken apart by nothing of the project's."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> int:
        """The number in the envelope; 0 for what is not JSON and no error."""
        if self.headers["content-type"].startswith("application/json") and self.body:
            return int(json.loads(self.body)["code"])
        return 0 if self.status < 300 else -1


class Service:
    """An emulator whose folder lies in a folder of its own, with something to lose."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.emulator = Emulator(
            folder / "root", secret_id=SECRET_ID, secret_key=SECRET_KEY, buckets=("b", "other"), clock=lambda: NOW
        )
        self.emulator.start()
        self.client = Client(self.emulator)
        other = Client(self.emulator, "other")
        assert other.upload("/secret", b"not yours").code == 0
        # a reader of its own beside the service
        self._database = sqlite3.connect(f"file:{folder}/root/emulator.sqlite?mode=ro", uri=True)
        self.others = self.rows("other")

    def reset(self) -> None:
        """See to it that the usual files are there."""
        for path, content in (("/f", b"content"), ("/d/g", b"below")):
            self.client.upload(path, content, insertOnly=0)
        self.client.begin("/u", 10, insertOnly=0)

    def close(self) -> None:
        self._database.close()
        self.emulator.close()

    def rows(self, bucket: str = "%") -> list[Any]:
        """Return what is stored in the buckets whose name is like `bucket`."""
        found = [
            self._database.execute(f"SELECT * FROM {table} WHERE bucket LIKE ? ORDER BY 1, 2, 3", (bucket,)).fetchall()
            for table in ("nodes", "uploads")
        ]
        found.append(self._database.execute("SELECT * FROM slices ORDER BY 1, 2").fetchall() if bucket == "%" else [])
        return found

    def check_folder(self) -> None:
        """Nothing was made but what belongs into the root folder."""
        assert [entry.name for entry in self.folder.iterdir()] == ["root"]
        names = {entry.name for entry in (self.folder / "root").iterdir()}
        assert names <= {"blobs", "emulator.lock", "emulator.sqlite", "emulator.sqlite-wal", "emulator.sqlite-shm"}
        for entry in (self.folder / "root" / "blobs").iterdir():
            assert re.fullmatch(r"[0-9a-f]{32}", entry.name)
            assert entry.is_file()
            assert not entry.is_symlink()

    def ask(self, data: bytes) -> list[Answer]:
        """Send bytes, then nothing more, and return all replies."""
        with socket.create_connection(("127.0.0.1", self.emulator.port), timeout=_TIMEOUT) as connection:
            received = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except TimeoutError:
                raise
            except OSError:
                pass  # refused before it was sent whole: the answer is there all the same
            try:
                while more := connection.recv(65536):
                    received += more
            except ConnectionError:
                pass  # bytes that the service did not want make the end a reset
        return list(_answers(received, head_only=is_head(data)))


def _answers(data: bytes, *, head_only: bool) -> Iterator[Answer]:
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"half a head: {head!r}"
        lines = head.decode("utf-8").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        if status == "100":
            continue
        headers = dict(_header(line) for line in lines[1:])
        length = 0 if head_only or status in ("204", "304") else int(headers["content-length"])
        if head_only and headers["connection"] == "close":
            length = len(data)  # what follows the refusal of a head that could not be read; the client is done
        assert len(data) >= length
        yield Answer(int(status), headers, data[:length])
        data = data[length:]


def is_head(data: bytes) -> bool:
    """Whether the first request asks for no body."""
    return re.match(rb"\s*HEAD\s", data) is not None


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(": ")
    assert colon
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
    return name.lower(), value


def check_shape(answer: Answer, head_only: bool = False) -> None:
    """A reply is a file, a good envelope, or an error of one of the documented forms; never a fault of the server."""
    assert answer.status < 500, answer
    kind = answer.headers["content-type"]
    if answer.status < 300 or head_only:
        return
    if kind.startswith("application/xml"):
        assert answer.status == 400
        assert re.search(rb"<Error>\s*<Code>\w+</Code>\s*<Message>[^<]+</Message>", answer.body)
        return
    assert kind.startswith("application/json")
    reply = json.loads(answer.body)
    assert type(reply["code"]) is int
    assert reply["code"] != 0
    assert isinstance(reply["message"], str)
    assert reply["message"]
    assert reply["request_id"] == answer.headers["x-cos-request-id"]


@contextmanager
def service() -> Iterator[Service]:
    """Give a service that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="cosv4fs-fuzz-"))
    running = Service(folder)
    try:
        running.reset()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder)


class Case(NamedTuple):
    """One request: words, path, parameters, headers, body, then edits of its bytes.

    `signed` is "yes", "once", "other" (for another bucket), "wrong" (another key) or "no".
    """

    method: str = "GET"
    path: bytes = b"/f"
    query: tuple[tuple[str, bytes], ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    kind: str = ""
    signed: str = "yes"
    host: str = "x"
    changes: tuple[Edit, ...] = ()


PATHS = [
    b"/f", b"/u", b"/", b"/d/", b"/d/g", b"/d/../f", b"/%2e%2e/%2e%2e/x", b"/%2e%2e%2fother/secret",
    b"/../other/secret", b"/..", b"/%00", b"/a%00b", b"//", b"//f", b"/d//g", b"/%ff", b"/%C3%28", b"/\xff",
    "/文".encode(), b"/%E6%96%87", b"/" + b"x" * 3000, b"/x" * 1500, b"/%", b"/%zz", b"/f?op=list", b"/f#x",
    b"/%3Fop=list", b"/ ", b"/%0d%0aX:1", b"/.cosv4", b"/*", b"/f%2F", b"/%5C..%5Cx", b"/d/%2e", b"/~", b"/f;x",
    b"/new/%E2%80%AE", b"/new",
]  # fmt: skip
QUERY = {
    "op": [b"stat", b"list", b"create", b"update", b"delete", b"move", b"copy", b"upload", b"upload_slice_init",
        b"upload_slice_data", b"upload_slice_list", b"upload_slice_finish", b"", b"x", b"%00", b"%ff"],
    "num": [b"1", b"1000", b"0", b"-1", b"9" * 30, b"1e3", b"%D9%A1"],
    "context": [b"", b"Zg", b"Zg==", b"%ff", b"!!", b"_-", b"A" * 2000],
    "pattern": [b"eListDirOnly", b"eListFileOnly", b"x"],
    "order": [b"1", b"0", b"x"],
    "dest_fileid": [b"/x", b"../x", b"/../../x", b"..%2f..%2fx", b"%00", b"/other/x", b"//x", b"x/", b"/", b"%ff",
    b"x" * 3000],
    "to_over_write": [b"1", b"0", b"2"],
    "sign": [b"", b"x", b"%00"],
}  # fmt: skip
HEADERS = {
    b"Content-Length": [b"0", b"3", b"-1", b"+3", b"3, 3", b"99999999999", b"9" * 30, b"x", b"", b"0x3", b"1e1",
    b"\xb2"],
    b"Transfer-Encoding": [b"chunked", b"identity", b"gzip, chunked", b"x"],
    b"Range": [b"bytes=0-1", b"bytes=5-2", b"bytes=-0", b"bytes=-99999999999999999999", b"bytes=99-",
    b"bytes=0-1,3-4", b"x"],
    b"Expect": [b"100-continue", b"x"],
    b"Content-Type": [b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary="',
    b"\xff"],
    b"Connection": [b"close", b"keep-alive", b"\xff"],
    b"Authorization": [b"", b"x", b"\xff", b"Authorization ", b"=" * 50],
    b"Access-Control-Request-Headers": [b"x\x0bSet-Cookie: a", b"\xff\x85y"],
    b"Host": [b"", b"-", b"[::1", f"b-{APPID}.cosgz.myqcloud.com".encode(), f"other-{APPID}.x".encode(), b"x-1",
    b"b-" + b"9" * 50],
    b"": [b"x"],
    b"X-Long": [b"x" * 70000],
}  # fmt: skip
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
PARTS: dict[str, dict[str, Any]] = {
    "upload": {"filecontent": b"abc", "insertOnly": "0", "sha": "a9993e364706816aba3e25717850c26c9cd0d89d"},
    "upload_slice_init": {"filesize": "10", "slice_size": "524288", "insertOnly": "0", "uploadparts": "[]",
    "sha": "0" * 40},
    "upload_slice_data": {"session": "s", "offset": "0", "filecontent": b"0123456789"},
    "upload_slice_finish": {"session": "s", "filesize": "10"},
    "move": {"dest_fileid": "/x", "to_over_write": "1"},
    "copy": {"dest_fileid": "y/z", "to_over_write": "1"},
    "update": {"custom_headers": {"Cache-Control": "no", "x-cos-meta-a": "1"}, "authority": "eInvalid", "forbid": 0},
    "create": {"biz_attr": "x"},
    "delete": {},
}  # fmt: skip


def _pairs(table: dict[Any, list[bytes]], most: int) -> st.SearchStrategy[tuple[tuple[Any, bytes], ...]]:
    one = st.sampled_from(sorted(table)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(table[name])))
    return st.lists(one, max_size=most).map(tuple)


@st.composite
def _bodies(draw: Any) -> tuple[bytes, str, str]:
    """Return a body of some operation, changed inside and out, its type, and the path's kind of signature."""
    op = draw(st.sampled_from(sorted(PARTS)))
    values = replaced({"op": op, **{k: v for k, v in PARTS[op].items() if k != "filecontent"}}, draw(replacements()))
    if draw(st.booleans()) or not isinstance(values, dict):
        body, kind = json.dumps(values).encode(), "application/json"
    else:
        texts = {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
        texts = {_utf8(k): _utf8(v) for k, v in texts.items()}
        body, kind = form(texts | {k: v for k, v in PARTS[op].items() if k == "filecontent"})
    return edited(body, draw(edits(2))), kind, "once" if op in ("delete", "update") else "yes"


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@st.composite
def _cases(draw: Any) -> Case:
    method = draw(st.sampled_from(["GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "get", "\xff", ""]))
    path = draw(st.sampled_from(PATHS) | NAMES.map(lambda name: b"/" + quote(_utf8(name)).encode()))
    body, kind, signed = b"", "", draw(st.sampled_from(["yes", "yes", "once", "other", "wrong", "no"]))
    if method == "POST" and draw(st.integers(0, 3)):
        body, kind, usual = draw(_bodies())
        signed = draw(st.sampled_from([usual, usual, signed]))
    elif method == "POST":
        body = draw(st.sampled_from([CHUNKED, b"x", b"\0" * 5000]))
    host = draw(st.sampled_from(["x", "x", f"b-{APPID}.cosgz.myqcloud.com"]))
    headers, query = draw(_pairs(HEADERS, 2)), draw(_pairs(QUERY, 3))
    return Case(method, path, query, headers, body, kind, signed, host, tuple(draw(edits(2))))


def _signature(case: Case) -> str:
    path = case.path.decode("latin-1")
    if case.signed == "once":
        return sign("b", f=f"/{APPID}/b{path}", e=0)
    return {"yes": sign("b"), "other": sign("other"), "wrong": sign("b", key="wrong")}.get(case.signed, "")


def raw_request(case: Case) -> bytes:
    """Return the bytes of a case."""
    target = case.path if case.host != "x" else f"/files/v2/{APPID}/b".encode() + case.path
    target += b"?" + b"&".join(name.encode() + b"=" + value for name, value in case.query) if case.query else b""
    lines = [b"%s %s HTTP/1.1" % (case.method.encode("latin-1"), target), b"Host: " + case.host.encode()]
    if case.signed != "no":
        lines.append(b"Authorization: " + _signature(case).encode())
    lines += [b"Content-Type: " + case.kind.encode()] if case.kind else []
    lines += [b"Content-Length: %d" % len(case.body)] if case.body else []
    lines += [name + b": " + value for name, value in case.headers]
    return edited(b"\r\n".join(lines) + b"\r\n\r\n" + case.body, list(case.changes))


def _incomplete(data: bytes) -> bool:
    """Whether a service may wait for more of the first request: then it sees the end, and need not answer."""
    data = re.sub(rb"\A\r?\n", b"", data)
    head = re.match(rb"(?:[^\n]*\n)*?\r?\n", data)
    if head is None:
        return True
    lengths = re.findall(rb"(?im)^[ \t]*content-length[ \t]*:[ \t]*(\d+)[ \t]*\r?$", head[0])
    return any(int(length) > len(data) - len(head[0]) for length in lengths)


PINNED = [
    Case("HEAD", changes=(Edit("insert", 0, 1, b" "),)),
    Case("HEAD", changes=(Edit("insert", 24, 1, b"\r\n"),)),
    Case(query=(("op", b"stat"),)),
    Case("POST", b"/new", body=form({"op": "upload", "filecontent": b"x"})[0], kind=form({})[1]),
    Case("POST", b"/f", body=CHUNKED, headers=((b"Transfer-Encoding", b"chunked"),)),
    Case("POST", b"/f", body=b"{}", headers=((b"Content-Length", b"0"),), kind="application/json"),
    Case("POST", b"/f", (("op", b"move"), ("dest_fileid", b"/../../x"))),
]  # fmt: skip


@target(_cases(), bench=service, pinned=PINNED, weight=5)
def check_requests(running: Service, case: Case) -> None:
    """Whatever comes is answered in a documented form, and only what is signed rightly is done, in its bucket."""
    data = raw_request(case)
    before = running.rows()
    answers = running.ask(data)
    for number, answer in enumerate(answers):
        check_shape(answer, head_only=number == 0 and is_head(data))
    assert answers or _incomplete(data), data
    after = running.rows()
    if case.signed in ("no", "wrong", "other"):
        assert after == before
        assert all(answer.code != 0 or answer.status in (204, 200) for answer in answers)
        assert not any(b"content" in answer.body and answer.status < 300 for answer in answers)
    _check_sound(running, changed=after != before)


@target(st.tuples(st.sampled_from(["delete", "update", "move"]), edits(3), JSON), bench=service, weight=2)
def check_two_lengths(running: Service, case: Any) -> None:
    """A request with two different lengths is refused, since nobody can tell where the next one begins."""
    op, changes, value = case
    body = edited(json.dumps({"op": op, "x": value}).encode(), changes) + b" "
    head = f"POST /files/v2/{APPID}/b/f HTTP/1.1\r\nHost: x\r\nAuthorization: {once('b', '/f')}\r\n"
    lengths = f"Content-Length: {len(body)}\r\nContent-Length: {len(body) - 1}\r\n\r\n"
    before = running.rows()
    answers = running.ask((head + lengths).encode() + body)
    assert [answer.status for answer in answers] == [400]
    assert running.rows() == before


def _check_sound(running: Service, *, changed: bool) -> None:
    assert running.rows("other") == running.others
    running.check_folder()
    assert running.client.get("/", "stat").code == 0
    if changed:
        running.reset()
