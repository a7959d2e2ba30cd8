"""Multipart uploads of coffers: one per key, parts in any order, checks when they are put together."""

import hashlib
import threading

import pytest

from cosv4fs.emulator import CofferDialect, faults

from .client import NOW
from .coffers import COFFER, Coffers, md5

MIB = 1048576
FIRST, SECOND, LAST = b"a" * MIB, bytes(range(256)) * 4096, b"the end"


def etag(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def small(make_coffers):
    """A service that takes small parts."""
    return make_coffers(dialect=CofferDialect(smallest_part=1))


def send(coffers, key, *contents):
    """Begin an upload and send its parts; return its id and what Complete wants to know."""
    upload = coffers.begin(key)
    answers = [coffers.part(key, upload, number, content) for number, content in enumerate(contents, 1)]
    assert [answer.status for answer in answers] == [200] * len(contents)
    return upload, [(number, answer.headers["ETag"]) for number, answer in enumerate(answers, 1)]


def test_an_object_of_parts(coffers, clock):
    upload = coffers.begin("d/f", **{"Content-Type": "text/plain"})
    tags = {}
    for number, content in ((3, LAST), (1, FIRST), (2, SECOND)):
        answer = coffers.part("d/f", upload, number, content, Content_MD5=md5(content))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["ETag"] == f'"{etag(content)}"'
        tags[number] = answer.headers["ETag"]
    assert coffers.head("d/f").status == 404
    assert coffers.names() == []
    clock.now = NOW + 5
    answer = coffers.finish("d/f", upload, sorted(tags.items()))
    done = answer.json
    assert done.pop("ETag").strip('"') not in {"", etag(FIRST + SECOND + LAST)}
    assert done == {"Locations": {"Location": ["ap-tianjin"]}, "Coffer": COFFER, "Key": "d/f"}
    got = coffers.get("d/f")
    assert got.body == FIRST + SECOND + LAST
    assert got.headers["ETag"] == answer.json["ETag"]
    assert got.headers["Content-Type"] == "text/plain"
    assert got.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:25 GMT"
    assert coffers.get("d/f", Range=f"bytes={2 * MIB - 1}-{2 * MIB + 2}").body == SECOND[-1:] + LAST[:3]
    assert coffers.listed()["Contents"][0]["Size"] == 2 * MIB + len(LAST)
    assert len(list((coffers.emulator.root / "blobs").iterdir())) == 1


def test_an_unfinished_upload_holds_its_key(small):
    upload = small.begin("f")
    for answer in (small.put("f"), small.of_object("POST", "f", {"uploads": None})):
        assert (answer.status, answer.code) == (409, "ObjectAlreadyExistsOwnedByYou")
    assert small.get("f").code == "ObjectNotExists"
    assert small.part("f", upload, 1, b"x").status == 200
    answer = small.abort("f", upload)
    assert (answer.status, answer.body) == (204, b"")
    assert list((small.emulator.root / "blobs").iterdir()) == []
    answers = [small.abort("f", upload), small.part("f", upload, 1, b"x"), small.parts("f", upload)]
    answers.append(small.finish("f", upload, [(1, etag(b"x"))]))
    assert [(answer.status, answer.code) for answer in answers] == [(404, "NoSuchUpload")] * 4
    assert small.put("f").status == 200


def test_an_upload_is_of_one_key(small):
    upload = small.begin("f")
    other = Coffers(small.emulator, "second-1250000000")
    small.make(other.coffer)
    answers = [
        small.part("g", upload, 1, b"x"),
        other.part("f", upload, 1, b"x"),
        small.part("f", upload + "0", 1, b"x"),
    ]
    assert {answer.code for answer in answers} == {"NoSuchUpload"}


def test_a_part_that_is_sent_again(small):
    upload, named = send(small, "f", b"one", b"two")
    again = small.part("f", upload, 1, b"other").headers["ETag"]
    assert small.finish("f", upload, named).code == "InvalidPart"
    assert small.finish("f", upload, [(1, again), named[1]]).status == 200
    assert small.get("f").body == b"othertwo"


def test_only_the_parts_that_are_named(small):
    upload, named = send(small, "f", b"one", b"two", b"three")
    assert small.finish("f", upload, named[:2]).status == 200
    assert small.get("f").body == b"onetwo"
    assert len(list((small.emulator.root / "blobs").iterdir())) == 1


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ([2, 1], 400, "InvalidPartOrder"),
        ([1, 1], 400, "InvalidPartOrder"),
        ([3, 1], 400, "InvalidPartOrder"),
        ([1, 3], 400, "InvalidPart"),
        ([2, 3], 400, "InvalidPart"),
        ([0, 1], 400, "InvalidPart"),
        ([1, 2, 3, 4], 400, "InvalidPart"),
    ],
)
def test_bad_lists_of_parts(small, order, status, code):
    upload, named = send(small, "f", b"one", b"two", b"three")
    tags = dict(named)
    answer = small.finish("f", upload, [(number, tags.get(number, "x")) for number in order])
    assert (answer.status, answer.code) == (status, code)
    assert small.finish("f", upload, named).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"Part": []}',
        b'{"Part": {}}',
        b'{"Part": [5]}',
        b'{"Part": [{"PartNumber": 1}]}',
        b'{"Part": [{"PartNumber": "x", "ETag": "y"}]}',
        b'{"Part": [{"PartNumber": true, "ETag": "y"}]}',
        b'{"Part": [{"PartNumber": 1, "ETag": 5}]}',
        b'{"Part": [{"PartNumber": ' + b"9" * 5000 + b', "ETag": "x"}]}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_bad_bodies(small, body):
    upload, named = send(small, "f", b"one")
    answer = small.finish("f", upload, body)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert small.finish("f", upload, named).status == 200


def test_parts_that_are_too_small(coffers):
    upload, named = send(coffers, "f", b"small", b"last")
    answer = coffers.finish("f", upload, named)
    assert (answer.status, answer.code) == (400, "EntityTooSmall")
    assert coffers.finish("f", upload, [(1, "another")]).code == "InvalidPart"  # ETags are looked at before sizes
    assert coffers.finish("f", upload, named[:1]).status == 200


def test_completed_twice(small):
    upload, named = send(small, "f", b"one")
    assert small.finish("f", upload, named).status == 200
    answer = small.finish("f", upload, named)
    assert (answer.status, answer.code) == (409, "MultipartAlreadyCompleted")
    assert small.abort("f", upload).code == small.part("f", upload, 1, b"x").code == "NoSuchUpload"
    assert small.get("f").body == b"one"


@pytest.mark.parametrize("number", ["0", "-1", "10001", "x", "", "1.0", "٣", "9" * 5000])
def test_bad_part_numbers(small, number):
    upload = small.begin("f")
    answer = small.part("f", upload, number, b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert small.of_object("PUT", "f", {"uploadId": upload}, body=b"x").code == "InvalidArgument"
    assert small.part("f", upload, 10000, b"x").status == 200
    assert len(small.parts("f", upload).json["Part"]) == 1


def test_refused_parts_leave_nothing(small):
    upload = small.begin("f")
    assert small.part("f", upload, 1, b"x", Content_MD5=md5(b"y")).code == "InvalidArgument"
    assert small.part("f", upload, 1, b"").code == "ObjectEmpty"
    assert small.part("f", "another", 1, b"x").code == "NoSuchUpload"
    assert small.parts("f", upload).json["Part"] == []
    assert list((small.emulator.root / "blobs").iterdir()) == []


def test_list_of_parts(small):
    upload = small.begin("f")
    for number in (7, 2, 10, 1, 9000):
        small.part("f", upload, number, bytes(number))
    page = small.parts("f", upload).json
    assert [(part["PartNumber"], part["Size"]) for part in page["Part"]] == [(n, n) for n in (1, 2, 7, 10, 9000)]
    assert page["Part"][0] == {
        "PartNumber": 1,
        "LastModified": "2023-11-15T06:13:20+08:00",
        "ETag": f'"{etag(bytes(1))}"',
        "Size": 1,
    }
    owner = {"ID": "1250000000", "DisplayName": "1250000000"}
    assert (page["Coffer"], page["Key"], page["UploadId"], page["Owner"]) == (COFFER, "f", upload, owner)
    assert (page["IsTruncated"], page["NextPartNumberMarker"], page["MaxParts"]) == ("false", "", 1000)
    found, marker = [], "0"
    for _ in range(3):
        page = small.parts("f", upload, max_parts=2, part_number_marker=marker).json
        found += [part["PartNumber"] for part in page["Part"]]
        marker = page["NextPartNumberMarker"]
    assert (found, page["IsTruncated"]) == ([1, 2, 7, 10, 9000], "false")
    for query in ({"max_parts": 0}, {"part_number_marker": "x"}, {"part_number_marker": -1}, {"encoding_type": "x"}):
        assert small.parts("f", upload, **query).code == "InvalidArgument"


def test_list_of_uploads(small):
    ids = {small.begin(key): key for key in ("d/a", "d/b", "d/c", "e/目 a")}
    page = small.uploads().json
    assert {entry["UploadId"]: entry["Key"] for entry in page["Upload"]} == ids
    assert page["Upload"][0]["Initiated"] == "2023-11-15T06:13:20+08:00"
    assert set(page["Upload"][0]) == {"Key", "UploadId", "Initiator", "Owner", "Initiated"}
    assert (page["Coffer"], page["IsTruncated"], page["MaxUploads"]) == (COFFER, "false", 1000)
    assert len(small.uploads(prefix="d/").json["Upload"]) == 3
    assert small.uploads(prefix="e/", encoding_type="url").json["Upload"][0]["Key"] == "e%2F%E7%9B%AE%20a"
    found, marker = {}, ""
    for _ in range(2):
        page = small.uploads(prefix="d/", max_uploads=2, upload_id_marker=marker).json
        found |= {entry["UploadId"]: entry["Key"] for entry in page["Upload"]}
        marker = page["NextUploadIdMarker"]
    assert found == {upload: key for upload, key in ids.items() if key.startswith("d/")}
    assert (page["IsTruncated"], marker) == ("false", "")
    for query in ({"max_uploads": 0}, {"max_uploads": 1001}, {"max_uploads": "x"}, {"encoding_type": "x"}):
        assert small.uploads(**query).code == "InvalidArgument"
    assert small.uploads(prefix="/x").code == "InvalidObjectPrefix"


def in_background(task):
    results = []
    thread = threading.Thread(target=lambda: results.append(task()))
    thread.start()
    return thread, results


def test_two_simple_uploads_at_once(coffers):
    stall = faults.Stall()
    coffers.emulator.faults.add(op="PutObject", action=stall)
    thread, results = in_background(lambda: coffers.put("f", b"first").status)
    assert stall.entered.wait(30)
    answer = coffers.put("f", b"second")
    assert (answer.status, answer.code) == (409, "ObjectAlreadyUploading")
    assert coffers.of_object("POST", "f", {"uploads": None}).code == "ObjectAlreadyUploading"
    assert coffers.put("g").status == 200
    stall.release.set()
    thread.join(30)
    assert results == [200]
    assert coffers.get("f").body == b"first"
    assert coffers.put("f").code == "ObjectAlreadyExistsOwnedByYou"


def test_an_upload_that_ends_while_a_part_is_received(small):
    upload = small.begin("f")
    stall = faults.Stall()
    small.emulator.faults.add(op="UploadPart", action=stall)
    thread, results = in_background(lambda: small.part("f", upload, 1, b"x").code)
    assert stall.entered.wait(30)
    assert small.abort("f", upload).status == 204
    stall.release.set()
    thread.join(30)
    assert results == ["NoSuchUpload"]
    assert small.put("f").status == 200
    assert len(list((small.emulator.root / "blobs").iterdir())) == 1


def test_many_uploads_at_once(small):
    """Only one of those who want the same key gets it; parts may come all at once."""
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(small.of_object("POST", "f", {"uploads": None}).status))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [200] + [409] * 5
    upload = small.uploads().json["Upload"][0]["UploadId"]
    parts = {number: bytes([number]) * 1000 for number in range(1, 9)}
    threads = [threading.Thread(target=small.part, args=("f", upload, *part)) for part in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert small.finish("f", upload, [(number, etag(content)) for number, content in parts.items()]).status == 200
    assert small.get("f").body == b"".join(parts.values())
