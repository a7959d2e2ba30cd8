"""Every operation on coffers, against the local service and with every variant of its dialect."""

import errno
import hashlib
import itertools
import time
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from cosv4fs.api import CofferClient, Part, Version
from cosv4fs.emulator import CofferDialect
from cosv4fs.errors import CosFileExistsError, CosUploadSessionError
from tests.support import COFFER, MIB, content

POLICY = {
    "Statement": [
        {
            "Principal": {"qcs": ["qcs::cam::uin/100000000001:uin/100000000011"]},
            "Effect": "allow",
            "Action": ["name/cdcs:GetCoffer"],
            "Resource": [f"qcs::cdcs::uid/1250000000:{COFFER}/*"],
        }
    ],
    "version": "2.0",
}


class TestCoffers:
    def test_they_are_listed(self, coffers):
        (only,) = coffers.client.list_coffers()
        assert (only.name, only.locations) == (COFFER, ("ap-tianjin",))
        assert abs(only.created - time.time()) < 600

    def test_create_and_delete(self, coffers):
        coffers.client.put_coffer("second-1250000000", ["ap-tianjin", "ap-shanghai"])
        found = {coffer.name: coffer.locations for coffer in coffers.client.list_coffers()}
        assert found["second-1250000000"] == ("ap-tianjin", "ap-shanghai")
        coffers.client.delete_coffer("second-1250000000")
        assert [coffer.name for coffer in coffers.client.list_coffers()] == [COFFER]

    def test_a_name_is_taken_once(self, coffers):
        with pytest.raises(FileExistsError, match="CofferAlreadyOwnedByYou"):
            coffers.client.put_coffer(COFFER, ["ap-tianjin"])

    def test_one_with_objects_stays(self, coffers):
        coffers.put("/a")
        with pytest.raises(OSError, match="have to expire") as caught:
            coffers.client.delete_coffer(COFFER)
        assert caught.value.code == "CofferNotEmpty"

    def test_what_is_not_there(self, coffers):
        for ask in (
            lambda: coffers.client.delete_coffer("none-1250000000"),
            lambda: coffers.client.list_page("none-1250000000"),
            lambda: coffers.client.get_lifecycle("none-1250000000"),
            lambda: coffers.client.get_policy("none-1250000000"),
        ):
            with pytest.raises(FileNotFoundError, match="named in full, as in name-1250000000"):
                ask()

    @pytest.mark.parametrize("name", ["a/b", "..", ".", "a\nb"])
    def test_names_that_are_no_part_of_a_path(self, coffers, name):
        with pytest.raises(FileNotFoundError, match="no coffer can have this name"):
            coffers.client.list_page(name)
        assert coffers.ops() == []

    @pytest.mark.parametrize(
        "given",
        [{"locations": []}, {"locations": "ap-tianjin"}, {"encrypt_type": 3}, {"encrypt_type": 2}, {"key_id": "k"}],
    )
    def test_invalid_arguments(self, coffers, given):
        with pytest.raises(ValueError):
            coffers.client.put_coffer("second-1250000000", **{"locations": ["ap-tianjin"], **given})
        assert coffers.ops() == []

    def test_encrypted_ones(self, coffers):
        coffers.client.put_coffer(
            "kms-1250000000", ["ap-tianjin"], encrypt_type=2, key_id="theKey", key_region="ap-tianjin"
        )
        assert len(coffers.client.list_coffers()) == 2

    @pytest.mark.parametrize("status", [404, 400])
    def test_lifecycle(self, make_coffers, status):
        client = make_coffers(unset_lifecycle_status=status).client
        assert client.get_lifecycle(COFFER) is None
        client.put_lifecycle(COFFER, 30)
        client.put_lifecycle(COFFER, 3650)
        assert client.get_lifecycle(COFFER) == 3650

    @pytest.mark.parametrize("days", [0, 3651, True, "30", 1.5])
    def test_invalid_lifecycles(self, coffers, days):
        with pytest.raises(ValueError, match="1 to 3650"):
            coffers.client.put_lifecycle(COFFER, days)
        assert coffers.ops() == []

    @pytest.mark.parametrize("unset", ["empty", "missing"])
    def test_policy(self, make_coffers, unset):
        client = make_coffers(unset_policy=unset).client
        client.delete_policy(COFFER)
        assert client.get_policy(COFFER) is None
        client.put_policy(COFFER, POLICY)
        assert client.get_policy(COFFER) == POLICY
        client.delete_policy(COFFER)
        assert client.get_policy(COFFER) is None

    def test_a_malformed_policy(self, coffers):
        with pytest.raises(OSError, match="the policy is malformed") as caught:
            coffers.client.put_policy(COFFER, {"Statement": [{"Effect": "perhaps"}]})
        assert caught.value.code == "PolicyFormatCheckFailed"


class TestListing:
    @pytest.mark.parametrize("next_marker", ["last-key", "empty"])
    def test_pages(self, make_coffers, next_marker):
        coffers = make_coffers(next_marker=next_marker, options={"page_size": 2})
        names = ["/a", "/b/c d", "/b/示例 +%.txt", "/b0", "/z"]
        for name in names:
            coffers.put(name)
        assert coffers.keys() == sorted(names, key=str.encode)
        assert coffers.ops().count("GetCoffer") == 3
        assert coffers.keys("/b/") == coffers.keys("b/") == ["/b/c d", "/b/示例 +%.txt"]

    def test_one_page(self, coffers):
        for name in "abc":
            coffers.put(f"/{name}", name.encode())
        page = coffers.client.list_page(COFFER, max_keys=2)
        assert [entry.key for entry in page.entries] == ["/a", "/b"]
        last = coffers.client.list_page(COFFER, max_keys=2, marker=page.marker)
        assert ([entry.key for entry in last.entries], last.marker) == (["/c"], None)

    def test_the_fields_of_an_entry(self, coffers):
        coffers.put("/a", b"hello")
        (entry,) = coffers.client.list(COFFER)
        assert (entry.size, entry.etag) == (5, hashlib.md5(b"hello").hexdigest())
        assert abs(entry.modified - time.time()) < 600
        status = coffers.client.head(COFFER, "/a")
        assert (status.size, status.etag, status.modified) == (5, entry.etag, entry.modified)
        assert status.version == entry.version == coffers.read("/a", 0, 3, entry.version)[1].version

    def test_an_empty_coffer(self, coffers):
        assert coffers.keys() == []
        assert list(coffers.client.list_uploads(COFFER)) == []


RANGES = list(itertools.product([None, 0, 3, 10, 99, -1, -4, -99], [None, 0, 3, 5, 10, 99]))


class TestObjects:
    def test_there_and_back(self, coffers):
        stored = coffers.put("/dir/示例 file(1)+a.txt", "你好 CDCS\n".encode(), content_type="text/plain")
        assert (stored.key, stored.size) == ("/dir/示例 file(1)+a.txt", 12)
        assert stored.etag == hashlib.md5("你好 CDCS\n".encode()).hexdigest()
        data, fetched = coffers.read(stored.key)
        assert (data.decode(), fetched.headers["Content-Type"]) == ("你好 CDCS\n", "text/plain")
        assert fetched.version.etag == stored.etag
        assert coffers.client.head(COFFER, stored.key).content_type == "text/plain"

    def test_several_pieces(self, coffers):
        data = content(200_000)
        coffers.client.put_object(COFFER, "/a", [memoryview(data)[:7], memoryview(data)[7:]])
        assert coffers.read("/a")[0] == data

    def test_write_once(self, coffers):
        coffers.put("/a", b"one")
        with pytest.raises(FileExistsError, match="write-once") as caught:
            coffers.put("/a", b"one")
        assert caught.value.filename == f"{COFFER}/a"
        assert caught.value.request_id
        assert coffers.read("/a")[0] == b"one"

    def test_nothing_in_it(self, make_coffers):
        with pytest.raises(OSError, match="no empty objects"):
            make_coffers().put("/a", b"")
        coffers = make_coffers(empty_objects="accept")
        coffers.put("/a", b"")
        assert coffers.read("/a")[0] == coffers.read("/a", 0, 5)[0] == b""

    def test_missing(self, coffers):
        for ask in (
            lambda: coffers.read("/a"),
            lambda: coffers.read("/a", 1, 2),
            lambda: coffers.client.head(COFFER, "/a"),
        ):
            with pytest.raises(FileNotFoundError) as caught:
                ask()
            assert caught.value.filename == f"{COFFER}/a"

    @pytest.mark.parametrize("key", ["", "/", "a"])
    def test_what_names_no_object(self, coffers, key):
        for ask in (coffers.put, coffers.read, lambda key: coffers.client.initiate(COFFER, key)):
            with pytest.raises(IsADirectoryError):
                ask(key)
        assert coffers.ops() == []

    def test_half_a_character(self, coffers):
        with pytest.raises(OSError, match="UTF-8"):
            coffers.put("/\ud800")

    def test_a_type_of_two_lines(self, coffers):
        for ask in (coffers.put, lambda key, **more: coffers.client.initiate(COFFER, key, **more)):
            with pytest.raises(ValueError, match="line breaks"):
                ask("/a", content_type="text/plain\r\nx-evil: 1")
        assert coffers.ops() == []

    @pytest.mark.parametrize("open_ranges", ["honour", "refuse"])
    def test_ranges(self, make_coffers, open_ranges):
        coffers = make_coffers(open_ranges=open_ranges)
        data = b"0123456789"
        coffers.put("/a", data)
        known = coffers.client.head(COFFER, "/a").version
        for start, stop in RANGES:
            first = len(data) + max(start, -len(data)) if (start or 0) < 0 else start or 0
            for expected in (None, known):
                got, fetched = coffers.read("/a", start, stop, expected)
                assert (got, fetched.start) == (data[first : len(data) if stop is None else stop], first), (start, stop)
        for sent in coffers.ranges():
            first, last = (int(end) for end in sent.removeprefix("bytes=").split("-")) if sent else (0, 9)
            assert 0 <= first <= last <= 9

    def test_the_whole_is_one_request(self, coffers):
        coffers.put("/a", b"0123456789")
        version = coffers.read("/a")[1].version
        coffers.read("/a", 0, None)
        coffers.read("/a", 0, 99, version)
        coffers.read("/a", 2, 5, version)
        assert coffers.ops() == ["PutObject", *["GetObject"] * 4]
        assert coffers.ranges() == ["", "", "", "bytes=2-4"] or coffers.ranges() == [None, None, None, "bytes=2-4"]

    def test_another_version(self, coffers):
        coffers.put("/a", b"0123456789")
        for other in (Version(9), Version(10, "0" * 32), Version(10, f'"{"0" * 32}"')):
            with pytest.raises(OSError, match="replaced") as caught:
                coffers.read("/a", 0, 3, other)
            assert caught.value.errno == 116
        etag = hashlib.md5(b"0123456789").hexdigest()
        assert coffers.read("/a", 0, 3, Version(10, f'"{etag}"'))[0] == b"012"


class TestUploads:
    def test_in_parts(self, coffers):
        contents = [content(MIB, 1), content(MIB, 2), b"end"]
        upload = coffers.client.initiate(COFFER, "/dir/a b", content_type="text/csv")
        (pending,) = coffers.client.list_uploads(COFFER)
        assert (pending.key, pending.upload_id) == ("/dir/a b", upload)
        assert abs(pending.initiated - time.time()) < 600
        assert upload not in repr(pending)
        parts = coffers.send("/dir/a b", upload, *contents)
        assert [(part.number, part.size) for part in parts] == [(1, MIB), (2, MIB), (3, 3)]
        assert parts[2].etag == hashlib.md5(b"end").hexdigest()
        etag = coffers.client.complete(COFFER, "/dir/a b", upload, parts)
        data, fetched = coffers.read("/dir/a b")
        assert data == b"".join(contents)
        assert (fetched.version.etag, fetched.headers["Content-Type"]) == (etag, "text/csv")
        assert list(coffers.client.list_uploads(COFFER)) == []

    def test_a_part_again(self, coffers):
        upload = coffers.client.initiate(COFFER, "/a")
        coffers.send("/a", upload, b"one")
        parts = coffers.send("/a", upload, b"two")
        coffers.client.complete(COFFER, "/a", upload, parts)
        assert coffers.read("/a")[0] == b"two"

    def test_a_given_md5_is_sent(self, coffers):
        upload = coffers.client.initiate(COFFER, "/a")
        with pytest.raises(OSError, match="differs from its MD5"):
            coffers.client.upload_part(COFFER, "/a", upload, 1, memoryview(b"one"), md5=hashlib.md5(b"two").digest())
        assert coffers.client.list_parts(COFFER, "/a", upload) == ()

    @pytest.mark.parametrize("code", ["NoSuchUpload", "MultipartNotExists"])
    def test_aborted(self, make_coffers, code):
        coffers = make_coffers(missing_upload=code)
        upload = coffers.client.initiate(COFFER, "/a")
        parts = coffers.send("/a", upload, b"one")
        coffers.client.abort(COFFER, "/a", upload)
        for ask in (
            lambda: coffers.client.abort(COFFER, "/a", upload),
            lambda: coffers.client.list_parts(COFFER, "/a", upload),
            lambda: coffers.client.complete(COFFER, "/a", upload, parts),
            lambda: coffers.send("/a", upload, b"one"),
        ):
            with pytest.raises(CosUploadSessionError, match="begin again") as caught:
                ask()
            assert (caught.value.errno, caught.value.code) == (errno.ESTALE, code)
        coffers.put("/a")

    def test_a_key_is_held(self, coffers):
        coffers.client.initiate(COFFER, "/a")
        for ask in (lambda: coffers.client.initiate(COFFER, "/a"), lambda: coffers.put("/a")):
            with pytest.raises(CosFileExistsError, match="unfinished upload"):
                ask()

    def test_small_parts_show_at_the_end(self, coffers):
        upload = coffers.client.initiate(COFFER, "/a")
        parts = coffers.send("/a", upload, b"one", b"two")
        with pytest.raises(OSError, match="smaller than 1 MB") as caught:
            coffers.client.complete(COFFER, "/a", upload, parts)
        assert caught.value.code == "EntityTooSmall"

    @pytest.mark.parametrize("number", [0, -1, 10_001])
    def test_numbers_of_no_part(self, coffers, number):
        with pytest.raises(ValueError, match="1 to 10000"):
            coffers.client.upload_part(COFFER, "/a", "u", number, memoryview(b"x"))
        assert coffers.ops() == []

    def test_parts_that_the_server_has_not(self, coffers):
        upload = coffers.client.initiate(COFFER, "/a")
        (part,) = coffers.send("/a", upload, b"one")
        for wrong in (Part(1, 3, "0" * 32), Part(2, 3, part.etag)):
            with pytest.raises(OSError, match="not those that were sent") as caught:
                coffers.client.complete(COFFER, "/a", upload, [wrong])
            assert caught.value.code == "InvalidPart"
        coffers.client.complete(COFFER, "/a", upload, [part])
        with pytest.raises(CosUploadSessionError, match="MultipartAlreadyCompleted"):
            coffers.client.complete(COFFER, "/a", upload, [part])

    @pytest.mark.parametrize("size", [1, 2, 3])
    @pytest.mark.parametrize("marker", ["exclusive", "inclusive"])
    def test_pages_of_parts(self, make_coffers, marker, size):
        coffers = make_coffers(part_marker=marker, options={"page_size": size})
        upload = coffers.client.initiate(COFFER, "/a")
        for number in (1, 2, 3, 5, 8):
            coffers.client.upload_part(COFFER, "/a", upload, number, memoryview(b"x"))
        assert [part.number for part in coffers.client.list_parts(COFFER, "/a", upload)] == [1, 2, 3, 5, 8]
        assert coffers.ops().count("ListParts") > 1

    @pytest.mark.parametrize("size", [1, 2, 3])
    @pytest.mark.parametrize("marker", ["upload-id", "key"])
    def test_pages_of_uploads(self, make_coffers, marker, size):
        coffers = make_coffers(upload_marker=marker, options={"page_size": size})
        names = {f"/{name}" for name in "abcde"}
        for name in names:
            coffers.client.initiate(COFFER, name)
        found = [upload.key for upload in coffers.client.list_uploads(COFFER)]
        assert (len(found), set(found)) == (5, names)
        assert coffers.ops().count("ListMultipartUploads") > 1

    def test_uploads_of_a_prefix(self, coffers):
        for name in ("/a/1", "/a/2", "/b"):
            coffers.client.initiate(COFFER, name)
        assert {upload.key for upload in coffers.client.list_uploads(COFFER, "/a/")} == {"/a/1", "/a/2"}
        assert len(list(coffers.client.list_uploads(COFFER))) == 3


def variants():
    """Return every variant of a disputed point that is not the default, one at a time."""
    hints = get_type_hints(CofferDialect)
    for name, field in CofferDialect.__dataclass_fields__.items():
        values = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
        values = (True,) if hints[name] is bool else values
        yield from ((name, value) for value in values if value != field.default)


IMPOSSIBLE = {
    # what is signed is the header as it is sent, port included; real hosts have none
    ("signed_host", "bare"),
}


@pytest.mark.parametrize(("name", "value"), [variant for variant in variants() if variant not in IMPOSSIBLE])
def test_every_variant(make_coffers, name, value):
    coffers = make_coffers(**{name: value}, options={"page_size": 2})
    client = coffers.client
    for number in range(5):
        coffers.put(f"/{number}", b"0123456789")
    assert coffers.keys() == ["/0", "/1", "/2", "/3", "/4"]
    assert coffers.read("/1", 2, 99)[0] == b"23456789"
    upload = client.initiate(COFFER, "/big")
    assert [pending.upload_id for pending in client.list_uploads(COFFER)] == [upload]
    client.complete(COFFER, "/big", upload, coffers.send("/big", upload, content(MIB), b"end"))
    assert coffers.read("/big", -5, None)[0] == content(MIB)[-2:] + b"end"
    for ask in (lambda: coffers.put("/big"), lambda: client.initiate(COFFER, "/big")):
        with pytest.raises(FileExistsError):
            ask()
    with pytest.raises(FileNotFoundError):
        coffers.read("/none")
    with pytest.raises(FileNotFoundError):
        client.list_page("none-1250000000")
    client.put_lifecycle(COFFER, 7)
    assert client.get_lifecycle(COFFER) == 7
    with pytest.raises(OSError):
        client.complete(COFFER, "/big", upload, [])


def test_there_are_variants():
    found = list(variants())
    assert set(found) > IMPOSSIBLE
    assert {("booleans", "json"), ("part_marker", "inclusive"), ("complete_whitespace", True)} < set(found)


class TestKeys:
    def test_temporary_ones(self, make_coffers):
        coffers = make_coffers(emulator={"token": "theToken"})
        coffers.put("/a")
        assert "theToken" not in f"{coffers.client!r} {coffers.client.config!r}"
        other = CofferClient.connect(**{**coffers.emulator.storage_options, "security_token": "another"})
        with pytest.raises(PermissionError, match="AuthFailed"):
            other.list_coffers()
        other.close()

    def test_wrong_ones(self, make_coffers):
        coffers = make_coffers(options={"secret_key": "wrong"})
        with pytest.raises(PermissionError, match="check secret_id, secret_key") as caught:
            coffers.client.list_coffers()
        assert (caught.value.status, caught.value.code) == (401, "AuthFailed")
        with pytest.raises(PermissionError):
            coffers.client.head(COFFER, "/a")
        assert len(coffers.ops()) == 2

    def test_none(self, make_coffers):
        coffers = make_coffers(options={"anon": True})
        with pytest.raises(PermissionError):
            coffers.client.list_coffers()

    @pytest.mark.parametrize("ahead", [-7200, 7200])
    def test_a_wrong_clock(self, make_coffers, ahead):
        coffers = make_coffers(clock=lambda: time.time() + ahead)
        coffers.put("/a", b"hello")
        assert coffers.read("/a")[0] == b"hello"
        assert coffers.ops() == ["PutObject", "PutObject", "GetObject"]
        assert abs(coffers.client.clock_difference(COFFER) + ahead) < 60

    def test_a_wrong_clock_without_a_body(self, make_coffers):
        coffers = make_coffers()
        coffers.put("/a", b"hello")
        coffers.emulator.clock_offset = 7200
        assert coffers.client.head(COFFER, "/a").size == 5
        assert coffers.ops().count("HeadObject") == 2
