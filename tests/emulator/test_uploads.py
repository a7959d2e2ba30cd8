"""Sliced uploads: sessions, slices, resume, instant upload (cos.md#uploads)."""

import hashlib
import json
import struct
import threading

import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.emulator.cos import uploads

from .client import APPID, NOW, Client, sign

S = 524288
CONTENT = bytes(range(251)) * 5000  # two slices and a rest
SHA = hashlib.sha1(CONTENT).hexdigest()


def parts(content=CONTENT, sha=SHA, size=1 << 20):
    """Return uploadparts; only the last datasha is one that a server can check."""
    offsets = range(0, len(content), size)
    out = [{"offset": o, "datalen": len(content[o : o + size]), "datasha": "ab" * 20} for o in offsets]
    out[-1]["datasha"] = sha
    return json.dumps(out)


@pytest.fixture
def small(make_emulator):
    """A server that cuts slices of 4 bytes."""
    return Client(make_emulator(dialect=Dialect(slice_size=4)))


def test_five_steps(client):
    data = client.begin("/d/f", len(CONTENT), biz_attr="x").data
    assert data.keys() == {"session", "slice_size"}
    assert data["slice_size"] == S
    session = data["session"]
    assert len(session) == 96
    for number, offset in enumerate((2 * S, 0, S)):
        content = CONTENT[offset : offset + S]
        answer = client.piece("/d/f", session, offset, content).data
        assert answer == {"datalen": len(content), "offset": offset, "session": session}
        stat = client.get("/d/f", "stat").data
        assert stat["filesize"] == len(CONTENT)
        assert stat["filelen"] == sum((len(CONTENT) - 2 * S, S, S)[: number + 1])
        assert stat["slicesize"] == S
    assert client.download("/d/f").status == 404
    assert client.finish("/d/f", session, len(CONTENT)).data["resource_path"] == f"/{APPID}/b/d/f"
    stat = client.get("/d/f", "stat").data
    assert (stat["filelen"], stat["sha"], stat["slicesize"], stat["biz_attr"]) == (len(CONTENT), SHA, S, "x")
    assert client.download("/d/f").body == CONTENT
    assert client.finish("/d/f", session, len(CONTENT)).code == -94
    assert client.piece("/d/f", session, 0, b"x").code == -94


def test_parallel_slices(client):
    content = bytes(range(256)) * 4096 * 8
    session = client.begin("/f", len(content)).data["session"]
    offsets = list(range(0, len(content), S))
    codes = []

    def work(number):
        mine = offsets[number::4]
        codes.extend(client.piece("/f", session, o, content[o : o + S]).code for o in mine + mine[:1])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {0}
    assert client.finish("/f", session, len(content), sha=hashlib.sha1(content).hexdigest()).code == 0
    assert client.get("/f", "stat").data["sha"] == hashlib.sha1(content).hexdigest()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"filesize": ""}, -5971),
        ({"filesize": "x"}, -5995),
        ({"filesize": "-1"}, -5995),
        ({"filesize": "1e3"}, -5995),
        ({"filesize": "9" * 5000}, -5995),
        ({"filesize": 1}, -5992),
        ({"filesize": 1, "slice_size": "x"}, -5992),
        ({"filesize": 1, "slice_size": S, "sha": "zz"}, -168),
        ({"filesize": 1, "slice_size": S, "sha": SHA, "uploadparts": "{"}, -182),
        ({"filesize": 1, "slice_size": S, "sha": SHA, "uploadparts": "{}"}, -182),
        ({"filesize": 1, "slice_size": S, "sha": SHA, "uploadparts": "[1]"}, -182),
        ({"filesize": 1, "slice_size": S, "sha": SHA, "uploadparts": "[" * 9999}, -182),
        ({"filesize": 1, "slice_size": S, "sha": SHA, "uploadparts": parts()}, -182),
        ({"filesize": len(CONTENT), "slice_size": S, "sha": "00" * 20, "uploadparts": parts()}, -182),
    ],
)
def test_wrong_inits(client, fields, code):
    assert client.post("/f", "upload_slice_init", **fields).code == code
    assert client.names() == []


@pytest.mark.parametrize("wish", [524288, 1048576, 2097152, 3145728, 1, 65536, 4194304])
def test_slice_sizes(client, wish):
    expected = wish if wish in {524288, 1048576, 2097152, 3145728} else 1048576
    assert client.begin("/f", 1, slice_size=wish).data["slice_size"] == expected


def test_sessions(small):
    session = small.begin("/f", 10).data["session"]
    assert small.post("/f", "upload_slice_data", b"0123", offset=0).code == -95
    assert small.piece("/f", "00", 0, b"0123").code == -94
    assert small.piece("/g", session, 0, b"0123").code == -94
    assert small.post("/f", "upload_slice_finish", filesize=10).code == -95
    assert small.finish("/f", "00", 10).code == -94
    refused = small.begin("/f", 10)
    assert (refused.code, refused.json["message"]) == (-4019, "_ERROR_FILE_NOT_FINISH_UPLOAD")
    assert small.begin("/f", 99, insertOnly=0).code == -4019
    assert small.upload("/f", b"x").code == -4019
    assert small.upload("/f", b"x", insertOnly=0).code == -4019
    assert small.post("/f", "delete").code == 0
    assert small.piece("/f", session, 0, b"0123").code == -94
    assert small.get("/f", "stat").code == -197


def test_slices_that_do_not_fit(small):
    session = small.begin("/f", 10).data["session"]
    assert small.piece("/f", session, 2, b"0123").code == -284
    assert small.piece("/f", session, 0, b"01").code == -284
    assert small.piece("/f", session, 0, b"").code == -284
    assert small.piece("/f", session, 0, b"012345").code == -5991
    assert small.piece("/f", session, 8, b"012").code == -5991
    assert small.piece("/f", session, 10**17 * 4, b"0123").code == -5991
    assert small.piece("/f", session, "x", b"0123").code == -5992
    assert small.piece("/f", session, -4, b"0123").code == -5992
    assert small.post("/f", "upload_slice_data", session=session, offset=0).code == -5990
    assert small.get("/f", "stat").data["filelen"] == 0


def test_several_slices_in_one(small):
    session = small.begin("/f", 10).data["session"]
    assert small.piece("/f", session, 4, b"xxxx").code == 0
    assert small.piece("/f", session, 0, b"01234567").code == 0
    assert small.get("/f", "stat").data["filelen"] == 8
    assert small.piece("/f", session, 8, b"89").code == 0
    assert small.finish("/f", session, 10).code == 0
    assert small.download("/f").body == b"0123456789"


def test_the_same_offset_again_overwrites(small):
    session = small.begin("/f", 6).data["session"]
    for content in (b"aaaa", b"bbbb", b"0123"):
        assert small.piece("/f", session, 0, content).code == 0
    assert small.piece("/f", session, 4, b"45").code == 0
    assert small.finish("/f", session, 6).code == 0
    assert small.get("/f", "stat").data["sha"] == hashlib.sha1(b"012345").hexdigest()


def test_finish_needs_all_slices(small):
    session = small.begin("/f", 10).data["session"]
    small.piece("/f", session, 0, b"0123")
    small.piece("/f", session, 8, b"89")
    assert small.finish("/f", session, 10).code == -175
    small.piece("/f", session, 4, b"4567")
    assert small.finish("/f", session, 9).code == -175
    assert small.finish("/f", session, "").code == -5971
    assert small.finish("/f", session, "x").code == -5995
    assert small.finish("/f", session, 10, sha="00" * 20).code == -174
    assert small.post("/f", "upload_slice_finish", session=session, fileSize=10).code == 0


def test_a_session_removed_during_finish(small, monkeypatch):
    """It is unknown then, and not one whose slices are missing."""
    session = small.begin("/f", 4).data["session"]
    small.piece("/f", session, 0, b"0123")
    small.upload("/other", b"of another")
    find_session = uploads.find_session

    def find_and_lose(service, call, name):
        row = find_session(service, call, name)
        assert small.post("/other", "move", dest_fileid="/f", to_over_write=1).code == 0
        return row

    monkeypatch.setattr(uploads, "find_session", find_and_lose)
    assert small.finish("/f", session, 4).code == -94
    assert small.download("/f").body == b"of another"


def test_sha(client):
    session = client.begin("/f", len(CONTENT), sha=SHA).data["session"]
    for offset in range(0, len(CONTENT), S):
        assert client.piece("/f", session, offset, CONTENT[offset : offset + S], sha="00" * 20).code == -174
        assert client.piece("/f", session, offset, CONTENT[offset : offset + S], sha=SHA).code == 0
    assert client.finish("/f", session, len(CONTENT)).code == -29094
    assert client.finish("/f", session, len(CONTENT), sha="00" * 20).code == -174
    client.piece("/f", session, 0, bytes(S))
    assert client.finish("/f", session, len(CONTENT), sha=SHA).code == -174
    client.piece("/f", session, 0, CONTENT[:S])
    assert client.finish("/f", session, len(CONTENT), sha=SHA).code == 0


def test_md5(small):
    session = small.begin("/f", 4).data["session"]
    assert small.piece("/f", session, 0, b"0123", datamd5="00" * 16).code == -174
    md5 = hashlib.md5(b"0123").hexdigest()
    assert small.piece("/f", session, 0, b"0123", datamd5=md5).data["datamd5"] == md5


def test_resume(small):
    session = small.begin("/f", 10).data["session"]
    listed = small.post("/f", "upload_slice_list").data
    assert listed == {"filesize": 10, "session": session, "slice_size": 4, "listparts": []}
    small.piece("/f", session, 8, b"89")
    small.piece("/f", session, 0, b"0123")
    for carrier in ("json", "form", "query"):
        listed = small.post("/f", "upload_slice_list", carrier=carrier).data
        assert listed["listparts"] == [{"offset": 0, "datalen": 4}, {"offset": 8, "datalen": 2}]
    small.piece("/f", session, 4, b"4567")
    small.finish("/f", session, 10)
    assert small.post("/f", "upload_slice_list").data.keys() == {"access_url", "resource_path", "source_url", "url"}
    missing = small.post("/g", "upload_slice_list")
    assert (missing.status, missing.code) == (404, -197)
    small.begin("/h", 1, sha=SHA)
    assert small.post("/h", "upload_slice_list").data["sha"] == SHA


def test_empty_file_in_slices(client):
    session = client.begin("/f", 0).data["session"]
    assert client.finish("/f", session, 0).code == 0
    assert client.download("/f").body == b""


def test_replacing_keeps_the_old_file_until_finish(small):
    small.upload("/f", b"old")
    assert small.begin("/f", 4).code == -4018
    session = small.begin("/f", 4, insertOnly=0).data["session"]
    small.piece("/f", session, 0, b"0123")
    assert small.download("/f").body == b"old"
    assert small.get("/f", "stat").data["filesize"] == 3
    assert [entry["filesize"] for entry in small.get("/", "list", num=9).data["infos"]] == [3]
    assert small.begin("/f", 4).code == -4018
    assert small.begin("/f", 4, insertOnly=0).code == -4019
    assert small.finish("/f", session, 4).code == 0
    assert small.download("/f").body == b"0123"


def test_replacing_dialects(make_emulator):
    client = Client(make_emulator(dialect=Dialect(slice_overwrite="at-init")))
    client.upload("/f", b"old")
    client.begin("/f", 4, insertOnly=0)
    assert client.download("/f").code == 45062
    client = Client(make_emulator(dialect=Dialect(slice_overwrite="refuse", exists_code=-178)))
    client.upload("/f", b"old")
    assert client.begin("/f", 4, insertOnly=0).code == -178
    client = Client(make_emulator(dialect=Dialect(overwrite_unfinished="replace")))
    session = client.begin("/f", 4).data["session"]
    assert client.begin("/f", 5).code == -4019
    other = client.begin("/f", 5, insertOnly=0).data["session"]
    assert client.piece("/f", session, 0, b"0123").code == -94
    assert client.upload("/f", b"x", insertOnly=0).code == 0
    assert client.piece("/f", other, 0, b"01234").code == -94
    assert len(list((client.emulator.root / "blobs").iterdir())) == 1


def test_instant_upload(client):
    client.upload("/known", CONTENT)
    assert "session" in client.begin("/a", len(CONTENT), sha=SHA).data
    assert "session" in client.begin("/c", len(CONTENT) + 1, sha="00" * 20).data
    data = client.begin("/d/b", len(CONTENT), sha=SHA.upper(), uploadparts=parts(), biz_attr="x").data
    assert data.keys() == {"access_url", "resource_path", "source_url", "url"}
    stat = client.get("/d/b", "stat").data
    assert (stat["sha"], stat["biz_attr"], stat["filelen"]) == (SHA, "x", len(CONTENT))
    client.post("/known", "delete")
    assert client.download("/d/b").body == CONTENT
    assert client.begin("/d/b", len(CONTENT), sha=SHA, uploadparts=parts()).code == -4018
    assert "access_url" in client.begin("/d/b", len(CONTENT), sha=SHA, uploadparts=parts(), insertOnly=0).data
    other = Client(client.emulator, "other")
    assert "session" in other.begin("/x", len(CONTENT), sha=SHA, uploadparts=parts()).data


def test_instant_dialects(make_emulator):
    emulator = make_emulator(dialect=Dialect(instant="appid", instant_needs_parts=False))
    Client(emulator).upload("/known", CONTENT)
    assert "access_url" in Client(emulator, "other").begin("/x", len(CONTENT), sha=SHA).data
    client = Client(make_emulator(dialect=Dialect(instant="off")))
    client.upload("/known", CONTENT)
    assert "session" in client.begin("/x", len(CONTENT), sha=SHA, uploadparts=parts()).data


def test_published_uploadparts_are_plausible(client):
    content = bytes(i % 251 for i in range(2097252))
    state = struct.pack(">5I", *struct.unpack("<5I", bytes.fromhex("463935c7eea4ca2705d0f481ecedb31f4d0f3a96")))
    assert len(state) == 20
    text = (
        '[{"offset":0,"datalen":1048576,"datasha":"463935c7eea4ca2705d0f481ecedb31f4d0f3a96"},'
        '{"offset":1048576,"datalen":1048576,"datasha":"657c72d675f1e792607e5c0a7405f66cbdb8c290"},'
        '{"offset":2097152,"datalen":100,"datasha":"6082b2ea5a08c73f6329be8c96202e1225a51956"}]\n'
    )
    sha = "6082b2ea5a08c73f6329be8c96202e1225a51956"
    assert client.upload("/a", content, sha=sha).code == 0
    assert "access_url" in client.begin("/b", len(content), sha=sha, uploadparts=text).data


def test_serial_upload(make_emulator):
    client = Client(make_emulator(dialect=Dialect(serial_upload=True, slice_size=4)))
    data = client.begin("/f", 10).data
    assert data["serial_upload"] == 1
    assert client.piece("/f", data["session"], 4, b"4567").code == -290
    for offset, content in ((0, b"0123"), (0, b"0123"), (4, b"4567"), (8, b"89")):
        assert client.piece("/f", data["session"], offset, content).code == 0
    assert client.finish("/f", data["session"], 10).code == 0


def test_sessions_expire(make_emulator, clock):
    client = Client(make_emulator(dialect=Dialect(session_ttl=100, slice_size=4, parents="virtual")))
    session = client.begin("/d/f", 10).data["session"]
    clock.now = NOW + 99
    assert client.piece("/d/f", session, 0, b"0123").code == 0
    clock.now = NOW + 100
    assert client.piece("/d/f", session, 0, b"0123").code == -94
    assert client.post("/d/f", "upload_slice_list").status == 404
    assert client.names() == []
    assert list((client.emulator.root / "blobs").iterdir()) == []


def test_reinit(make_emulator):
    client = Client(make_emulator(dialect=Dialect(reinit="matching", slice_size=4)))
    session = client.begin("/f", 10, sha=SHA).data["session"]
    client.piece("/f", session, 0, b"0123")
    client.piece("/f", session, 8, b"89")
    assert client.begin("/f", 10, sha=SHA).data == {"session": session, "slice_size": 4, "offset": 4}
    assert client.begin("/f", 10).code == -4019
    assert client.begin("/f", 11, sha=SHA).code == -4019


def test_any_finish_size(make_emulator):
    client = Client(make_emulator(dialect=Dialect(finish_size="any", slice_size=4)))
    session = client.begin("/f", 100).data["session"]
    for offset, content in ((0, b"0123"), (4, b"45")):
        client.piece("/f", session, offset, content)
    assert client.finish("/f", session, 100).code == -175
    assert client.finish("/f", session, 4).code == -175
    assert client.finish("/f", session, 6).code == 0
    assert client.download("/f").body == b"012345"
    session = client.begin("/g", 1).data["session"]
    for offset, content in ((0, b"0123"), (4, b"4567"), (4, b"45")):
        assert client.piece("/g", session, offset, content).code == 0
    assert client.finish("/g", session, 6).code == 0
    assert client.download("/g").body == b"012345"
    assert client.get("/g", "stat").data["sha"] == hashlib.sha1(b"012345").hexdigest()


@pytest.mark.parametrize("variant", ["string", "absent-when-empty"])
def test_listparts(make_emulator, variant):
    client = Client(make_emulator(dialect=Dialect(listparts=variant, slice_size=4)))
    session = client.begin("/f", 10).data["session"]
    empty = client.post("/f", "upload_slice_list").data
    assert empty.get("listparts") == ("[]" if variant == "string" else None)
    client.piece("/f", session, 0, b"0123")
    listed = client.post("/f", "upload_slice_list").data["listparts"]
    assert (json.loads(listed) if variant == "string" else listed) == [{"offset": 0, "datalen": 4}]


@pytest.mark.parametrize(
    ("variant", "shown"),
    [
        ("suffixed", SHA + "_1234"),
        ("absent", None),
        ("zeros", "0" * 40),
        ("other", hashlib.sha1(b"").hexdigest()),
        ("real", SHA),
    ],
)
def test_slice_sha(make_emulator, variant, shown):
    client = Client(make_emulator(dialect=Dialect(slice_sha=variant)))
    client.upload_sliced("/f", CONTENT)
    assert client.get("/f", "stat").data.get("sha") == shown
    assert client.get("/", "list", num=1).data["infos"][0].get("sha") == shown
    assert client.download("/f").headers["ETag"]
    client.upload_sliced("/g", CONTENT, sha=SHA)
    assert client.get("/g", "stat").data["sha"] == SHA


@pytest.mark.parametrize("variant", ["empty", "html"])
def test_not_found_bodies(make_emulator, variant):
    client = Client(make_emulator(dialect=Dialect(not_found_body=variant)))
    for answer in (client.post("/f", "upload_slice_list"), client.download("/f")):
        assert answer.status == 404
        assert answer.body[:1] == (b"" if variant == "empty" else b"<")
    assert client.get("/f", "stat").code == -197


def test_signature_bound_to_the_slices_path(client):
    bound = sign(f=f"/{APPID}/b/f")
    assert client.begin("/f", 1, signature=bound).code == 0
