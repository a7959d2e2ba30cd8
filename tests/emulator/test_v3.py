"""V3 under /files/v1: the samples of its page, sent and answered as they stand, and what is disputed."""

import hashlib
import json
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from cosv4fs.emulator import Dialect, faults
from cosv4fs.emulator.cos import uploads

from .client import APPID, Client, form, once, quote, sign

PIECE = 3145728
DATA = random.Random(11).randbytes(PIECE + 500_000)
SHA = hashlib.sha1(DATA).hexdigest()
SMALL = 524288

SAMPLE = (
    "POST http://web.file.myqcloud.com/files/v1/10000202/buckettest/foldertest/test_slice_upload.pptx HTTP/1.1",
    "---------------8d394481796664d",
)
FIRST_REPLY = {
    "code": 0,
    "message": "SUCCESS",
    "data": {"offset": 3145728, "session": "0e009a57-3eb7-4f9d-a651-5f3a294e5616+CtQT49EHAA=="},
}
LAST_REPLY = {
    "code": 0,
    "message": "SUCCESS",
    "data": {
        "access_url": "http://jonnxu5-10000202.file.myqcloud.com/foldertest/test_slice_upload.pptx",
        "resource_path": "/foldertest/test_slice_upload.pptx",
        "source_url": "http://jonnxu5-10000202.cos.myqcloud.com/foldertest/test_slice_upload.pptx",
        "url": "http://web.file.myqcloud.com/files/v1/foldertest/test_slice_upload.pptx",
    },
}


class V3Client(Client):
    """The tests' own client, at the URL of v3."""

    def target(self, path, **query):
        return super().target(path, **query).replace("/files/v2/", "/files/v1/", 1)

    def control(self, path, data=DATA, **fields):
        fields = {"filesize": len(data), "sha": hashlib.sha1(data).hexdigest(), **fields}
        return self.post(path, "upload_slice", **fields)

    def slice(self, path, session, offset, content, **fields):
        return self.post(path, "upload_slice", content, session=session, offset=offset, **fields)


@pytest.fixture
def make(make_emulator):
    def make(**dialect):
        emulator = make_emulator(dialect=Dialect(**dialect))
        return V3Client(emulator), Client(emulator)

    return make


@pytest.fixture
def v3(make):
    return make()[0]


def begin(client, path="/x", size=SMALL, **fields):
    return client.control(path, slice_size=size, **fields).data


def send_all(client, path="/x", size=SMALL):
    session = begin(client, path, size)["session"]
    for offset in range(0, len(DATA), size):
        answer = client.slice(path, session, offset, DATA[offset : offset + size])
    return answer


def test_the_sample_of_the_documentation(make_emulator):
    emulator = make_emulator(appid="10000202", buckets=("buckettest",))
    line, boundary = SAMPLE
    target, path = line.split()[1], "/foldertest/test_slice_upload.pptx"
    client = V3Client(emulator, "buckettest")
    signature = sign("buckettest", a="10000202")

    def post(fields, file=None):
        # as the page: fields without file names, the content as fileContent with one
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        if file is not None:
            head = 'Content-Disposition: form-data; name="fileContent"; filename="test_slice_upload.pptx"'
            parts.append(f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode())
            parts.append(file + b"\r\n")
        headers = {"Authorization": signature, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        headers["Host"] = "web.file.myqcloud.com"
        return client.raw("POST", target, body=b"".join(parts) + f"--{boundary}--\r\n".encode(), headers=headers)

    opened = post({"op": "upload_slice", "filesize": len(DATA), "sha": SHA}).json
    assert set(opened) == {"code", "message", "data"}
    assert opened["data"].keys() == {"session", "offset", "slice_size"}
    assert opened["data"]["offset"] == 0
    session = opened["data"]["session"]
    first = post({"op": "upload_slice", "session": session, "offset": 0}, DATA[:PIECE])
    assert first.json == {**FIRST_REPLY, "data": {"offset": PIECE, "session": session}}
    assert (first.status, first.headers["Server"], first.headers["Content-Type"]) == (200, "nginx", "/")
    assert "x-cos-request-id" not in first.headers
    last = post({"op": "upload_slice", "session": session, "offset": PIECE}, DATA[PIECE:])
    # the page's author put another bucket's name into the URL than into the reply
    assert last.body.decode().replace("buckettest-", "jonnxu5-") == json.dumps(LAST_REPLY)
    assert last.headers["Content-Type"] == "/"
    read = client.raw("GET", path, headers={"Host": "buckettest-10000202.cos.myqcloud.com", "Authorization": signature})
    assert read.body == DATA


def test_sessions_have_the_form_of_the_sample(v3):
    session = begin(v3)["session"]
    sample = FIRST_REPLY["data"]["session"]
    assert [len(part) for part in session.split("-")[:4]] == [len(part) for part in sample.split("-")[:4]]
    assert "+" in session


@pytest.mark.parametrize(("variant", "shown"), [("next", SMALL), ("echo", 0)])
def test_the_offset_of_a_reply(make, variant, shown):
    client = make(v1_reply_offset=variant)[0]
    session = begin(client)["session"]
    assert client.slice("/x", session, 0, DATA[:SMALL]).data == {"offset": shown, "session": session}


def test_the_last_slice_completes_the_file(make):
    v3, v4 = make()
    begun = begin(v3)
    assert v3.download("/x").status == 404
    assert send_all(v3).data["resource_path"] == "/x"
    assert v4.download("/x").body == DATA
    assert v4.get("/x", "stat").data["sha"] == SHA
    assert v3.slice("/x", begun["session"], 0, DATA[:SMALL]).code == -94


def test_slices_come_in_order(make):
    v3 = make()[0]
    session = begin(v3)["session"]
    assert v3.slice("/x", session, SMALL, DATA[SMALL : 2 * SMALL]).code == -290
    assert v3.slice("/x", session, 0, DATA[:SMALL]).code == 0
    assert v3.slice("/x", session, 0, DATA[:SMALL]).code == 0
    assert begin(v3, session=session)["offset"] == SMALL


def test_slices_may_come_in_any_order_where_the_service_says_so(make):
    v3 = make(v1_order="any")[0]
    begun = begin(v3)
    assert begun["serial_upload"] == 0
    offsets = list(range(0, len(DATA), SMALL))
    for offset in reversed(offsets[1:]):
        answer = v3.slice("/x", begun["session"], offset, DATA[offset : offset + SMALL])
        assert "access_url" not in answer.data
    assert v3.slice("/x", begun["session"], 0, DATA[:SMALL]).data["access_url"]
    assert v3.download("/x").body == DATA


def test_a_repeated_slice_may_be_refused(make):
    v3 = make(v1_again="refuse")[0]
    session = begin(v3)["session"]
    assert v3.slice("/x", session, 0, DATA[:SMALL]).code == 0
    assert v3.slice("/x", session, 0, DATA[:SMALL]).code == -4024


def test_a_session_continues(v3):
    session = begin(v3)["session"]
    v3.slice("/x", session, 0, DATA[:SMALL])
    taken = begin(v3, session=session)
    assert (taken["session"], taken["offset"], taken["slice_size"]) == (session, SMALL, SMALL)
    assert v3.control("/x", session="other").code == -94
    for offset in range(SMALL, len(DATA), SMALL):
        v3.slice("/x", session, offset, DATA[offset : offset + SMALL])
    assert v3.control("/x", session=session).data["access_url"]


@pytest.mark.parametrize(("variant", "same"), [("new", False), ("matching", True)])
def test_a_description_without_its_session(make, variant, same):
    v3 = make(v1_reinit=variant)[0]
    session = begin(v3)["session"]
    v3.slice("/x", session, 0, DATA[:SMALL])
    again = begin(v3)
    assert ((again["session"] == session), again["offset"]) == (same, SMALL if same else 0)


def test_known_content_is_stored_at_once(v3):
    send_all(v3, "/x")
    assert v3.control("/y").data.keys() == LAST_REPLY["data"].keys()
    assert v3.download("/y").body == DATA


@pytest.mark.parametrize("size", [len(DATA), 5], ids=["equal", "shorter"])
def test_a_file_is_replaced_by_other_content(v3, size):
    v3.upload("/x", random.Random(12).randbytes(size))
    assert v3.control("/x").code == -4018
    begun = begin(v3, insertOnly=0)
    for offset in range(0, len(DATA), SMALL):
        answer = v3.slice("/x", begun["session"], offset, DATA[offset : offset + SMALL])
    assert answer.data["access_url"]
    assert v3.download("/x").body == DATA


def test_wrong_content_is_refused_at_the_end(v3):
    session = begin(v3, sha="0" * 40)["session"]
    for offset in range(0, len(DATA), SMALL):
        answer = v3.slice("/x", session, offset, DATA[offset : offset + SMALL])
    assert answer.code == -4016
    assert v3.download("/x").status == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"sha": ""}, -5979), ({"filesize": ""}, -5971), ({"filesize": "x"}, -5995), ({"sha": "12"}, -168)],
)
def test_a_description_needs_size_and_sha(v3, fields, code):
    assert v3.control("/x", **fields).code == code


def test_content_needs_session_and_offset(v3):
    begun = begin(v3)
    assert v3.post("/x", "upload_slice", b"x", filesize=1, sha=SHA).code == -65
    assert v3.post("/x", "upload_slice", b"x", offset=0).code == -95
    assert v3.slice("/x", begun["session"], SMALL * 100, DATA[:SMALL]).code == -5991


def test_v3_and_v4_share_files_but_no_sessions(make):
    v3, v4 = make()
    v3.upload("/dir/a", b"a")
    v4.upload("/dir/b", b"b")
    assert v3.names("/dir/", num=199) == v4.names("/dir/") == ["a", "b"]
    assert v4.download("/dir/a").body == b"a"
    session = begin(v3)["session"]
    assert v4.piece("/x", session, 0, DATA[:SMALL]).code == -94
    other = v4.begin("/y", len(DATA)).data["session"]
    assert v3.slice("/y", other, 0, DATA[:SMALL]).code == -94


def test_lists(v3):
    for number in range(5):
        v3.upload(f"/dir/{number}", b"x")
    v3.post("/dir/sub/", "create", carrier="json")
    page = v3.get("/dir/", "list", num=2).data
    assert page.keys() == {"context", "has_more", "dircount", "filecount", "infos"}
    assert (page["has_more"], page["dircount"], page["filecount"]) == (True, 1, 5)
    rest = v3.get("/dir/", "list", num=199, context=page["context"]).data
    assert [entry["name"] for entry in page["infos"] + rest["infos"]] == ["0", "1", "2", "3", "4", "sub"]
    assert not rest["has_more"]
    assert v3.names("/dir/", num=9, pattern="eListDirOnly") == ["sub"]
    assert v3.names("/dir/", num=1, order=1) == ["sub"]
    assert v3.get("/dir/", "list", num=200).code == -165


def test_list_and_update_need_no_name(v3):
    v3.upload("/x", b"x")
    headers = {"Authorization": sign()}
    assert v3.raw("GET", v3.target("/", num=5), headers=headers).data["filecount"] == 1
    headers = {"Authorization": once("b", "/x"), "Content-Type": "application/json"}
    assert v3.raw("POST", v3.target("/x"), body=b'{"biz_attr": "new"}', headers=headers).code == 0
    assert v3.get("/x", "stat").data["biz_attr"] == "new"


@pytest.mark.parametrize("variant", ["bare", "filelen"])
def test_status(make, variant):
    v3, v4 = make(v1_stat=variant)
    v3.upload("/x", b"content")
    status = v3.get("/x", "stat").data
    expected = {"name", "biz_attr", "filesize", "sha", "ctime", "mtime", "access_url"}
    assert status.keys() == expected | ({"filelen"} if variant == "filelen" else set())
    assert (status["name"], status["filesize"]) == ("x", 7)
    v3.post("/dir/", "create", carrier="json")
    assert v3.get("/dir/", "stat").data.keys() == {"name", "biz_attr", "ctime", "mtime"}
    assert v3.get("/none", "stat").code == -197
    assert v4.get("/x", "stat").data["filelen"] == 7


def test_without_mtime(make):
    v3, _ = make(missing_mtime=True)
    v3.upload("/d/x", b"x")
    (entry,) = v3.get("/d/", "list", num=10).data["infos"]
    for reply in (entry, v3.get("/d/x", "stat").data, v3.get("/d/", "stat").data):
        assert "ctime" in reply
        assert "mtime" not in reply


def test_update_stores_what_its_flag_names(make):
    v3, v4 = make()
    v3.upload("/x", b"x")
    # as two clients of v3 send it
    body = (
        rb'{"flag":"193","biz_attr":"b2","custom_headers":{"Cache-Control":"no","Content-Type":"application\/pdf"},'
        rb'"authority":"eWPrivateRPublic","op":"update"}'
    )
    headers = {"Authorization": once("b", "/x"), "Content-Type": "application/json", "Method": "POST"}
    assert v3.raw("POST", v3.target("/x"), body=body, headers=headers).ok
    status = v4.get("/x", "stat").data
    assert (status["biz_attr"], status["authority"]) == ("b2", "eWPrivateRPublic")
    assert status["custom_headers"] == {"Cache-Control": "no", "Content-Type": "application/pdf"}
    assert v3.download("/x", signature="").headers["Content-Type"] == "application/pdf"
    assert v3.post("/x", "update", carrier="json", flag=0x80, authority="eInvalid", biz_attr="").ok
    status = v4.get("/x", "stat").data
    assert (status["biz_attr"], status["authority"]) == ("b2", "eInvalid")


@pytest.mark.parametrize(
    "fields",
    [
        {"biz_attr": "b", "authority": "eWRPrivate"},
        {"custom_headers": {"Cache-Control": "no"}},
        {"biz_attr": "b", "forbid": 1},
        {"flag": 0x01, "biz_attr": "b", "authority": "eWRPrivate"},
        {"flag": 0x81, "biz_attr": "b"},
        {"flag": 0x41, "biz_attr": "b", "custom_headers": ""},
        {"flag": "all", "biz_attr": "b"},
        {"flag": 0x02, "biz_attr": ""},
    ],
    ids=str,
)
def test_update_drops_nothing_in_silence(make, fields):
    v3, v4 = make()
    v3.upload("/x", b"x")
    before = v4.get("/x", "stat").data
    assert v3.post("/x", "update", carrier="json", **fields).code == -179
    assert v4.get("/x", "stat").data == before


def test_upload_stores_its_authority(make):
    v3, v4 = make()
    assert v3.upload("/x", b"x", authority="everybody").code == -158
    assert v3.upload("/x", b"x", authority="eWPrivateRPublic").ok
    assert v4.get("/x", "stat").data["authority"] == "eWPrivateRPublic"


@pytest.mark.parametrize("op", ["copy", "upload_slice_init", "upload_slice_list"])
def test_missing_files(v3, op):
    assert v3.post("/x", op).code == -299


def test_move_and_delete(v3):
    v3.upload("/x", b"x")
    assert v3.post("/x", "move", dest_fileid="/y", to_over_write=0).code == 0
    assert v3.post("/y", "delete", carrier="json").code == 0
    assert v3.get("/y", "stat").status == 404


@pytest.mark.parametrize(("variant", "prefix"), [("short", ""), ("full", f"/{APPID}/b")])
def test_resource_path(make, variant, prefix):
    data = make(v1_resource_path=variant)[0].upload("/dir/ä", b"x").data
    assert data["resource_path"] == f"{prefix}/dir/ä"
    assert data["url"] == f"http://web.file.myqcloud.com/files/v1{prefix}{quote('/dir/ä')}"


def test_downloads_under_the_url_of_the_api(v3):
    v3.upload("/x", b"content")
    answer = v3.raw("GET", v3.target("/x"), headers={"Authorization": sign()})
    assert (answer.body, answer.headers["Content-Type"]) == (b"content", "application/octet-stream")


def test_unknown_operations_are_refused(v3):
    body, kind = form({"op": "upload_slice_finish"})
    headers = {"Authorization": sign(), "Content-Type": kind}
    assert v3.raw("POST", v3.target("/x"), body=body, headers=headers).code == -299


@pytest.mark.parametrize("by", [-7, 7])
def test_faults_apply_to_the_reply_as_sent(v3, by):
    """The length is wrong relative to the body without its request id."""
    body = v3.get("/", "stat").body
    v3.emulator.faults.add(op="stat", action=faults.WrongLength(by))
    with socket.create_connection(("127.0.0.1", urlsplit(v3.emulator.endpoint).port), timeout=30) as wire:
        target = v3.target("/", op="stat")
        wire.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {sign()}\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, sent = wire.makefile("rb").read().partition(b"\r\n\r\n")
    assert sent == body
    assert {b"Server: nginx", f"Content-Length: {len(body) + by}".encode()} < set(head.split(b"\r\n"))


def test_pages_of_a_gateway_are_decorated(v3):
    v3.emulator.faults.add(op="stat", action=faults.HttpError(502, acted=True))
    answer = v3.get("/", "stat")
    assert (answer.status, answer.headers["Server"], answer.headers["x-cos-request-id"]) == (502, "nginx", None)


def test_two_last_slices_at_once(make, monkeypatch):
    client, _ = make(v1_order="any")
    session = client.control("/f", DATA[: 2 * SMALL], slice_size=SMALL).data["session"]
    both, write = threading.Barrier(2), uploads.write_slice

    def write_both(*arguments):
        write(*arguments)
        both.wait(30)

    monkeypatch.setattr(uploads, "write_slice", write_both)
    with ThreadPoolExecutor(2) as pool:
        pieces = [(offset, DATA[offset : offset + SMALL]) for offset in (0, SMALL)]
        replies = list(pool.map(lambda piece: client.slice("/f", session, *piece), pieces))
    assert [reply.code for reply in replies] == [0, 0]
    assert all("access_url" in reply.data for reply in replies)
