"""``upload_slice`` at /files/v2, as the npm client qcloud_cos_v4 sends it (cos.md#v4-upload-slice)."""

import hashlib
import random

import pytest

from cosv4fs.emulator import Dialect

from .client import APPID, Client, sign

SLICE = 1048576
DATA = random.Random(12).randbytes(2 * SLICE + 12345)
SHA = hashlib.sha1(DATA).hexdigest()
PATH = "/dir/big.bin"
BOUNDARY = "--------------------------736351542110474551374913"


def post(client, *parts, content=None, path=PATH):
    """Send a form as that client's library writes it; the name of the file is its local path."""
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts
    ]
    body = "".join(lines).encode()
    if content is not None:
        head = 'Content-Disposition: form-data; name="filecontent"; filename="/home/me/big.bin"'
        body += f"--{BOUNDARY}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
    headers = {"Authorization": sign(), "User-Agent": "cos-node-sdk-1.0.5"}
    headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    return client.raw("POST", client.target(path), body=body + f"--{BOUNDARY}--\r\n".encode(), headers=headers)


def begin(client, *more, sha=SHA, path=PATH):
    fields = (("op", "upload_slice"), ("sha", sha), ("filesize", len(DATA)), ("slice_size", SLICE), ("insertOnly", 0))
    return post(client, *fields, *more, path=path)


def send(client, session, offset):
    fields = (("op", "upload_slice"), ("session", session), ("offset", offset), ("insertOnly", 0))
    return post(client, *fields, content=DATA[offset : offset + SLICE])


@pytest.fixture
def old(client):
    """A client whose path is taken: it replaces that file."""
    assert client.upload(PATH, b"old").ok
    return client


def listed(client):
    return client.post(PATH, "upload_slice_list").data


def test_a_whole_upload(old):
    opened = begin(old).data
    assert opened == {"session": opened["session"], "offset": 0, "slice_size": SLICE}
    assert len(opened["session"]) == 96
    assert send(old, opened["session"], 0).data == {"session": opened["session"], "offset": SLICE}
    assert old.download(PATH).body == b"old"
    assert send(old, opened["session"], SLICE).ok
    last = send(old, opened["session"], 2 * SLICE)
    # its client goes on until there is a url
    assert last.data["url"] == f"http://gz.file.myqcloud.com/files/v2/{APPID}/b{PATH}"
    assert last.json["request_id"]
    assert old.download(PATH).body == DATA
    assert old.get(PATH, "stat").data["sha"] == SHA
    # what is there already is not sent again
    assert "url" in begin(old).data
    assert "url" in begin(old, path="/elsewhere").data


def test_it_is_listed_continued_and_finished_like_any_other(old):
    session = begin(old).data["session"]
    assert send(old, session, 0).ok
    assert listed(old) == {
        "filesize": len(DATA), "session": session, "slice_size": SLICE, "sha": SHA,
        "listparts": [{"offset": 0, "datalen": SLICE}],
    }  # fmt: skip
    assert begin(old, ("session", session)).data == {"session": session, "offset": SLICE, "slice_size": SLICE}
    for offset in (2 * SLICE, SLICE):
        assert old.piece(PATH, session, offset, DATA[offset : offset + SLICE], sha=SHA).ok
    assert [part["offset"] for part in listed(old)["listparts"]] == [0, SLICE, 2 * SLICE]
    assert old.download(PATH).body == b"old"
    assert old.finish(PATH, session, len(DATA)).code == -29094
    assert old.finish(PATH, session, len(DATA), sha=SHA).ok
    assert old.download(PATH).body == DATA
    assert send(old, session, 0).code == -94


def test_one_that_has_everything_is_completed(old):
    session = begin(old).data["session"]
    for offset in range(0, len(DATA), SLICE):
        assert old.piece(PATH, session, offset, DATA[offset : offset + SLICE]).ok
    assert "url" in begin(old, ("session", session)).data
    assert old.download(PATH).body == DATA
    assert "url" in listed(old)


def test_the_last_slice_completes_what_another_operation_began(old):
    session = old.begin(PATH, len(DATA), slice_size=SLICE, insertOnly=0).data["session"]
    assert [send(old, session, offset).code for offset in range(0, len(DATA), SLICE)] == [0, 0, 0]
    assert old.download(PATH).body == DATA


def test_it_begins_again_without_its_session(client):
    first = begin(client).data["session"]
    assert send(client, first, 0).ok
    second = begin(client).data
    assert (second["offset"], second["session"] != first) == (0, True)
    assert send(client, first, SLICE).code == -94
    assert begin(client, ("session", first)).code == -94
    assert listed(client)["session"] == second["session"]


def test_sessions_are_of_one_version(client):
    session = begin(client).data["session"]
    v1 = Client(client.emulator)
    v1.target = lambda path, **query: Client.target(v1, path, **query).replace("/v2/", "/v1/", 1)
    assert send(v1, session, 0).code == -94
    other = begin(v1).data["session"]
    assert "-" in other
    assert client.piece(PATH, other, 0, DATA[:SLICE]).code == -94


@pytest.mark.parametrize(
    ("parts", "code"),
    [((("filesize", 5),), -5979), ((("sha", SHA),), -5971), ((("sha", SHA), ("filesize", "x")), -5995)],
    ids=str,
)
def test_requests_that_are_refused(client, parts, code):
    assert post(client, ("op", "upload_slice"), *parts).code == code
    assert client.names() == []


def test_content_that_differs(client):
    session = begin(client, sha="0" * 40).data["session"]
    assert [send(client, session, offset).code for offset in range(0, len(DATA), SLICE)] == [0, 0, -4016]
    assert client.download(PATH).status == 404


def test_dialects(make_emulator):
    client = Client(make_emulator(dialect=Dialect(v1_reinit="matching", v1_reply_offset="echo", v1_order="any")))
    opened = begin(client).data
    assert opened["serial_upload"] == 0
    assert send(client, opened["session"], SLICE).data["offset"] == SLICE
    assert send(client, opened["session"], 0).data["offset"] == 0
    assert begin(client).data == {**opened, "offset": 2 * SLICE}
