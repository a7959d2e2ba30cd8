"""Every operation of the client against the service, with the errors that its documentation names."""

import errno
import gc
import hashlib
import json
import re
import time
import urllib.request
import weakref
from contextlib import suppress

import pytest
import requests

from cosv4fs.api import CosV4Client, SliceSession, UploadedObject
from cosv4fs.api.download import Version
from cosv4fs.emulator import faults
from tests.support import BUCKET, KIB, MIB, content

NAMES = ["plain.txt", "中文 文件+~.txt", "100% #1? &x=y;z", "quote'\"<>|:*\\", "tab\tnew\nline", " blank ", "é", "😀"]


def sha1(data):
    return hashlib.sha1(data).hexdigest()


class TestUpload:
    def test_a_new_object(self, service):
        data = content(70 * KIB)
        reply = service.client.upload(BUCKET, "/dir/x.bin", data, biz_attr="note", content_type="image/png")
        assert isinstance(reply, UploadedObject)
        assert reply.resource_path == f"/1250000000/{BUCKET}/dir/x.bin"
        assert service.read("/dir/x.bin") == data
        status = service.client.stat(BUCKET, "/dir/x.bin")
        assert (status.size, status.stored, status.sha, status.biz_attr) == (len(data), len(data), sha1(data), "note")
        assert service.client.head(BUCKET, "/dir/x.bin")[1]["Content-Type"] == "image/png"

    @pytest.mark.parametrize("name", NAMES)
    def test_names(self, service, name):
        key = f"/dir/{name}"
        service.client.upload(BUCKET, key, b"content")
        assert service.names("/dir/") == [name]
        assert service.read(key) == b"content"
        service.client.update(BUCKET, key, biz_attr=name)
        assert service.client.stat(BUCKET, key).biz_attr == name
        service.client.copy(BUCKET, key, f"/dir/copy of {name}")
        service.client.move(BUCKET, key, f"/dir/moved {name}")
        service.client.delete(BUCKET, f"/dir/copy of {name}")
        assert service.names("/dir/") == [f"moved {name}"]

    @pytest.mark.parametrize("kind", ["as-file", "as-directory"])
    def test_names_of_directories(self, make_service, kind):
        service = make_service(parent_names=kind)
        if kind == "as-file":
            service.client.upload(BUCKET, "/a*b/c", b"content")
            assert service.read("/a*b/c") == b"content"
            return
        with pytest.raises(OSError, match="not allowed: use a shorter name, without") as caught:
            service.client.upload(BUCKET, "/a*b/c", b"content")
        assert (caught.value.errno, caught.value.code) == (errno.EINVAL, -180)
        assert service.names() == []

    @pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
    def test_any_bytes_like(self, service, make):
        service.client.upload(BUCKET, "/x", make(b"hello"))
        assert service.read("/x") == b"hello"

    def test_wide_items_count_as_bytes(self, service):
        service.client.upload(BUCKET, "/x", memoryview(bytes(range(8))).cast("I"))
        assert service.read("/x") == bytes(range(8))

    def test_empty(self, service):
        service.client.upload(BUCKET, "/x", b"")
        status = service.client.stat(BUCKET, "/x")
        assert (status.size, status.sha, status.is_unfinished) == (0, None, False)
        assert service.read("/x") == b""

    @pytest.mark.parametrize("exists_code", [-4018, -177, -178])
    def test_insert_only(self, make_service, exists_code):
        service = make_service(exists_code=exists_code)
        service.client.upload(BUCKET, "/x", b"old")
        with pytest.raises(FileExistsError) as caught:
            service.client.upload(BUCKET, "/x", b"new")
        assert (caught.value.errno, caught.value.filename, caught.value.code) == (
            errno.EEXIST,
            f"{BUCKET}/x",
            exists_code,
        )
        assert caught.value.request_id
        assert service.read("/x") == b"old"

    def test_overwrite(self, service):
        service.put("/x", b"old")
        service.put("/x", b"newer")
        assert service.read("/x") == b"newer"

    def test_a_wrong_sha_is_refused(self, service):
        with pytest.raises(OSError, match="SHA-1") as caught:
            service.client.upload(BUCKET, "/x", b"hello", sha="0" * 39 + "1")
        assert caught.value.errno == errno.EIO
        assert service.names() == []

    def test_an_unfinished_upload_is_in_the_way(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        with pytest.raises(FileExistsError) as caught:
            service.client.upload(BUCKET, "/x", b"new")
        assert caught.value.code == -4019

    def test_missing_parent(self, make_service):
        service = make_service(parents="required")
        with pytest.raises(FileNotFoundError):
            service.client.upload(BUCKET, "/no/x", b"new")

    def test_wrong_bucket(self, service):
        with pytest.raises(FileNotFoundError) as caught:
            service.client.upload("nobucket", "/x", b"new")
        assert caught.value.filename == "nobucket/x"

    def test_too_large(self, make_service):
        service = make_service(max_object_size=10)
        with pytest.raises(OSError, match="too large") as caught:
            service.client.upload(BUCKET, "/x", bytes(11))
        assert caught.value.errno == errno.EFBIG


class TestSlices:
    def test_from_init_to_finish(self, service):
        data = content(MIB + MIB // 2 + 7)
        client = service.client
        session = client.upload_slice_init(BUCKET, "/x", filesize=len(data), slice_size=MIB // 2, biz_attr="note")
        assert isinstance(session, SliceSession)
        assert (session.slice_size, session.serial) == (MIB // 2, False)
        view = memoryview(data)
        for offset in (MIB + MIB // 2, 0, MIB, MIB // 2, 0):  # any order; sending again does no harm
            reply = client.upload_slice_data(
                BUCKET, "/x", session.session, offset, view[offset : offset + MIB // 2], content_type="image/png"
            )
            assert (reply.offset, reply.session) == (offset, session.session)
        finished = client.upload_slice_finish(BUCKET, "/x", session.session, len(data))
        assert isinstance(finished, UploadedObject)
        assert service.read("/x") == data
        status = client.stat(BUCKET, "/x")
        assert (status.slice_size, status.biz_attr, status.sha) == (MIB // 2, "note", sha1(data))

    @pytest.mark.parametrize("listparts", ["array", "string", "absent-when-empty"])
    def test_list(self, make_service, listparts):
        service = make_service(listparts=listparts)
        client, data = service.client, content(MIB)
        session = client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB // 2, sha=sha1(data))
        found = client.upload_slice_list(BUCKET, "/x")
        assert (found.session, found.filesize, found.slice_size, found.parts) == (
            session.session,
            MIB,
            MIB // 2,
            (),
        )
        assert found.sha == sha1(data)
        client.upload_slice_data(BUCKET, "/x", session.session, MIB // 2, memoryview(data)[MIB // 2 :], sha=sha1(data))
        assert client.upload_slice_list(BUCKET, "/x").parts == ((MIB // 2, MIB // 2),)

    @pytest.mark.parametrize("not_found_body", ["json", "empty", "html"])
    @pytest.mark.parametrize("error_status", ["mapped", "always-400", "always-200"])
    def test_list_of_nothing(self, make_service, not_found_body, error_status):
        service = make_service(not_found_body=not_found_body, error_status=error_status)
        service.put("/complete", b"x")
        assert service.client.upload_slice_list(BUCKET, "/complete") is None
        assert service.client.upload_slice_list(BUCKET, "/nothing") is None

    def test_a_second_init_is_refused(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        with pytest.raises(FileExistsError) as caught:
            service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        assert caught.value.code == -4019

    def test_init_on_an_object(self, service):
        service.put("/x", b"old")
        with pytest.raises(FileExistsError):
            service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)

    def test_content_that_is_already_stored(self, make_service):
        service = make_service(instant_needs_parts=False)
        data = content(100)
        service.put("/there", data)
        reply = service.client.upload_slice_init(BUCKET, "/copy", filesize=len(data), slice_size=MIB, sha=sha1(data))
        assert isinstance(reply, UploadedObject)
        assert service.read("/copy") == data

    def test_an_unknown_session_is_refused(self, service):
        with pytest.raises(OSError, match="session") as caught:
            service.client.upload_slice_data(BUCKET, "/x", "nonsense", 0, memoryview(b"x"))
        assert caught.value.errno == errno.ESTALE
        assert service.emulator.count() == {"upload_slice_data": 1}

    def test_finish_wants_all_slices(self, service):
        session = service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        with pytest.raises(OSError) as caught:
            service.client.upload_slice_finish(BUCKET, "/x", session.session, MIB)
        assert caught.value.code
        assert service.client.stat(BUCKET, "/x").is_unfinished

    def test_finish_wants_the_sha_of_init(self, service):
        data = content(MIB // 2)
        session = service.client.upload_slice_init(
            BUCKET, "/x", filesize=len(data), slice_size=MIB // 2, sha=sha1(data)
        )
        service.client.upload_slice_data(BUCKET, "/x", session.session, 0, memoryview(data), sha=sha1(data))
        with pytest.raises(OSError, match="SHA-1") as caught:
            service.client.upload_slice_finish(BUCKET, "/x", session.session, len(data))
        assert caught.value.code == -29094


class TestDirectories:
    def test_create_and_stat(self, service):
        service.client.create(BUCKET, "/dir/", biz_attr="note")
        status = service.client.stat(BUCKET, "/dir/")
        assert (status.is_directory, status.size, status.biz_attr) == (True, 0, "note")
        assert status.modified > 0
        with pytest.raises(FileExistsError) as caught:
            service.client.create(BUCKET, "/dir/")
        assert caught.value.filename == f"{BUCKET}/dir"

    def test_update(self, service):
        service.client.create(BUCKET, "/dir/")
        service.client.update(BUCKET, "/dir/", biz_attr="later")
        assert service.client.stat(BUCKET, "/dir/").biz_attr == "later"

    def test_delete(self, service):
        service.put("/dir/x", b"x")
        with pytest.raises(OSError, match="not empty") as caught:
            service.client.delete(BUCKET, "/dir/")
        assert caught.value.errno == errno.ENOTEMPTY
        service.client.delete(BUCKET, "/dir/x")
        service.client.delete(BUCKET, "/dir/")
        with pytest.raises(FileNotFoundError):
            service.client.delete(BUCKET, "/dir/")

    @pytest.mark.parametrize("times", ["number", "string"])
    @pytest.mark.parametrize("dir_slash", [False, True])
    def test_list(self, make_service, times, dir_slash):
        service = make_service(times=times, dir_slash=dir_slash)
        service.put("/dir/file", b"12345")
        service.client.create(BUCKET, "/dir/sub/")
        service.client.upload_slice_init(BUCKET, "/dir/begun", filesize=77, slice_size=MIB)
        begun, file, sub = sorted(service.client.list(BUCKET, "/dir/"), key=lambda entry: entry.name)
        assert (file.name, file.is_directory, file.size, file.is_unfinished) == ("file", False, 5, False)
        assert file.sha == sha1(b"12345")
        assert file.modified > 1_400_000_000
        assert (sub.name, sub.is_directory, sub.size) == ("sub", True, 0)
        assert (begun.name, begun.is_directory, begun.size, begun.is_unfinished) == ("begun", False, 77, True)

    def test_without_mtime(self, make_service):
        service = make_service(missing_mtime=True)
        service.put("/dir/file", b"12345")
        service.client.create(BUCKET, "/dir/sub/")
        found = [service.client.stat(BUCKET, key) for key in ("/dir/file", "/dir/sub/", "/")]
        for seen in (*found, *service.client.list(BUCKET, "/dir/")):
            assert seen.created > 1_400_000_000
            assert seen.modified == 0

    def test_prefix(self, service):
        for name in ("ab", "abc", "b", "a"):
            service.put(f"/dir/{name}", b"")
        assert [entry.name for entry in service.client.list(BUCKET, "/dir/", "ab")] == ["ab", "abc"]
        assert list(service.client.list(BUCKET, "/dir/", "z")) == []

    def test_pages(self, service):
        for number in range(5):
            service.put(f"/dir/{number}", b"")
        names, context = [], ""
        for _ in range(3):
            page = service.client.list_page(BUCKET, "/dir/", num=2, context=context)
            names += [entry.name for entry in page.entries]
            context = page.context
        assert names == list("01234")
        assert page.listover is True

    def test_missing(self, service):
        with pytest.raises(FileNotFoundError) as caught:
            list(service.client.list(BUCKET, "/no/"))
        assert caught.value.filename == f"{BUCKET}/no"

    def test_the_bucket_itself(self, service):
        assert service.client.stat(BUCKET, "/").is_directory
        assert list(service.client.list(BUCKET, "/")) == []
        with pytest.raises(FileNotFoundError):
            service.client.stat("nobucket", "/")


class TestMetadata:
    def test_stat_of_nothing(self, service):
        service.put("/x", b"")
        service.client.create(BUCKET, "/dir/")
        for key in ("/no", "/no/", "/x/", "/dir"):
            with pytest.raises(FileNotFoundError) as caught:
                service.client.stat(BUCKET, key)
            assert caught.value.code == -197
            assert caught.value.status == 404

    @pytest.mark.parametrize("update_flag", ["ignored", "required"])
    def test_update(self, make_service, update_flag):
        service = make_service(update_flag=update_flag)
        service.put("/x", b"content")
        headers = {"Content-Type": "text/csv", "x-cos-meta-owner": "me"}
        for authority in ("eWPrivateRPublic", "eWRPrivate"):
            service.client.update(BUCKET, "/x", biz_attr="note", authority=authority, custom_headers=headers)
            status = service.client.stat(BUCKET, "/x")
            assert (status.biz_attr, status.authority) == ("note", authority)
            assert status.custom_headers == headers
        assert service.client.head(BUCKET, "/x")[1]["Content-Type"] == "text/csv"
        # a server that insists is asked twice only once
        assert service.emulator.count()["update"] == (3 if update_flag == "required" else 2)

    def test_what_is_none_stays(self, service):
        service.put("/x", b"content")
        service.client.update(BUCKET, "/x", biz_attr="note")
        service.client.update(BUCKET, "/x", custom_headers={"Cache-Control": "no-cache"})
        status = service.client.stat(BUCKET, "/x")
        assert status.biz_attr == "note"
        assert status.custom_headers["Cache-Control"] == "no-cache"

    def test_update_of_nothing(self, service):
        with pytest.raises(FileNotFoundError):
            service.client.update(BUCKET, "/x", biz_attr="note")

    def test_delete(self, service):
        service.put("/x", b"content")
        service.client.delete(BUCKET, "/x")
        with pytest.raises(FileNotFoundError):
            service.client.delete(BUCKET, "/x")
        assert service.codes()[-1] == -197

    def test_delete_of_an_unfinished_upload(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        service.client.delete(BUCKET, "/x")
        assert service.names() == []


def test_final_slashes(make_service):
    with pytest.raises(OSError, match="not allowed") as caught:
        make_service().client.create(BUCKET, "/dir//")
    assert caught.value.errno == errno.EINVAL
    service = make_service(final_slashes="fold")
    service.client.create(BUCKET, "/dir//")
    assert service.client.stat(BUCKET, "/dir//").is_directory
    service.client.update(BUCKET, "/dir//", biz_attr="note")
    assert service.client.stat(BUCKET, "/dir/").biz_attr == "note"
    service.client.delete(BUCKET, "/dir//")
    assert service.names() == []


@pytest.mark.parametrize("kind", ["any", "single", "multi"])
class TestKindsOfSignatures:
    @pytest.fixture
    def service(self, make_service, kind):
        return make_service(
            move_signature=kind, copy_signature=kind, delete_signature=kind, update_signature=kind,
            double_encoding="strict", update_flag="required",
        )  # fmt: skip

    def test_move(self, service):
        service.put("/dir/x", b"content")
        service.client.move(BUCKET, "/dir/x", "/dir/y")
        service.client.move(BUCKET, "/dir/y", "/z")  # from the root, not relative
        assert (service.names("/dir/"), service.read("/z")) == ([], b"content")
        # which kind it takes is learned once
        assert service.emulator.count()["move"] == (3 if service.emulator.dialect.move_signature == "multi" else 2)

    def test_update_and_delete(self, service):
        for name in ("a b", "文%41"):
            service.put(f"/dir/{name}", b"content")
            service.client.update(BUCKET, f"/dir/{name}", biz_attr="note")
            assert service.client.stat(BUCKET, f"/dir/{name}").biz_attr == "note"
            service.client.delete(BUCKET, f"/dir/{name}")
        service.client.delete(BUCKET, "/dir/")
        assert service.names() == []
        learns = service.emulator.dialect.delete_signature == "multi"
        assert service.emulator.count()["delete"] == (4 if learns else 3)

    def test_copy(self, service):
        service.put("/dir/x", b"content")
        service.client.copy(BUCKET, "/dir/x", "/y")
        service.client.copy(BUCKET, "/dir/x", "/z")
        assert service.read("/y") == service.read("/z") == service.read("/dir/x") == b"content"
        assert service.emulator.count()["copy"] == (3 if service.emulator.dialect.copy_signature == "single" else 2)

    @pytest.mark.parametrize("operation", ["move", "copy"])
    def test_taken(self, service, operation):
        service.put("/x", b"new")
        service.put("/y", b"old")
        act = getattr(service.client, operation)
        with pytest.raises(FileExistsError):
            act(BUCKET, "/x", "/y")
        assert (service.read("/x"), service.read("/y")) == (b"new", b"old")
        act(BUCKET, "/x", "/y", overwrite=True)
        assert service.read("/y") == b"new"

    @pytest.mark.parametrize("operation", ["move", "copy"])
    def test_missing(self, service, operation):
        with pytest.raises(FileNotFoundError) as caught:
            getattr(service.client, operation)(BUCKET, "/x", "/y")
        assert caught.value.filename == f"{BUCKET}/x"


class TestFetch:
    DATA = content(3000)

    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            (None, None),
            (0, None),
            (0, 10),
            (10, 20),
            (2999, 3000),
            (2990, 9999),
            (3000, None),
            (5000, 6000),
            (-10, None),
            (-9999, None),
            (7, 7),
            (0, 0),
            (9, 3),
        ],
    )
    def test_ranges(self, service, start, stop):
        service.put("/x", self.DATA)
        assert service.read("/x", start, stop) == self.DATA[start:stop]
        sent = service.emulator.requests[-1].range
        assert sent is None or re.fullmatch(r"bytes=(\d+-\d*|-\d+)", sent)

    def test_version(self, service):
        service.put("/x", self.DATA)
        fetched = service.client.fetch(BUCKET, "/x", lambda count, _: memoryview(bytearray(count)), 10, 20)
        assert (fetched.start, fetched.length, fetched.version.size) == (10, 10, 3000)
        assert fetched.version.is_certain
        assert fetched.version == service.client.head(BUCKET, "/x")[0]

    def test_another_version_than_expected(self, service):
        service.put("/x", self.DATA)
        version, _ = service.client.head(BUCKET, "/x")
        service.put("/x", self.DATA[::-1])
        with pytest.raises(OSError, match="replaced") as caught:
            service.client.fetch(BUCKET, "/x", lambda *_: pytest.fail("no memory for this"), 0, 10, version)
        assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, f"{BUCKET}/x")

    @pytest.mark.parametrize("not_found_body", ["json", "empty", "html"])
    def test_missing(self, make_service, not_found_body):
        service = make_service(not_found_body=not_found_body)
        with pytest.raises(FileNotFoundError) as caught:
            service.read("/no")
        assert caught.value.filename == f"{BUCKET}/no"

    def test_unfinished(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        with pytest.raises(FileNotFoundError):
            service.read("/x")


@pytest.mark.parametrize("bucket", ["бакет", "a b", "x\r\ny", "evil.example:80#", "-a"])
def test_invalid_bucket_names(service, bucket):
    for act in (
        lambda: service.client.fetch(bucket, "/x", lambda count, _: memoryview(bytearray(count))),
        lambda: service.client.head(bucket, "/x"),
        lambda: service.client.stat(bucket, "/x"),
    ):
        with pytest.raises(FileNotFoundError, match="bucket") as caught:
            act()
        assert caught.value.filename == f"{bucket}/x"


class TestHead:
    def test_headers(self, service):
        service.put("/x", b"12345")
        version, headers = service.client.head(BUCKET, "/x")
        assert version.size == 5
        assert headers["Content-Length"] == "5"

    @pytest.mark.parametrize("key", ["/no", "/dir/no"])
    def test_missing(self, service, key):
        with pytest.raises(FileNotFoundError):
            service.client.head(BUCKET, key)

    def test_not_supported(self, make_service):
        service = make_service(head="refuse")
        service.put("/x", b"12345")
        with pytest.raises(OSError, match="does not allow") as caught:
            service.client.head(BUCKET, "/x")
        assert caught.value.errno == errno.ENOTSUP

    def test_versions(self):
        assert not Version(5).is_certain
        assert not Version(5, None, "m").is_certain
        assert not Version(5, 'W/"e"', "m").is_certain
        assert Version(5, '"e"').is_certain
        assert not Version(5, 'W/"e"').differs(Version(5, '"e"'))
        assert not Version(5).differs(Version(5, "e", "m"))
        assert Version(5).differs(Version(6))
        assert Version(5, "e").differs(Version(5, "f"))
        assert Version(5, None, "m").differs(Version(5, "e", "n"))


class TestDownloadUrl:
    @pytest.mark.parametrize("name", NAMES)
    def test_is_good_for_a_plain_client(self, service, name):
        service.put(f"/{name}", b"content")
        url = service.client.download_url(BUCKET, f"/{name}")
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert reply.read() == b"content"
        assert requests.get(url, timeout=30).content == b"content"

    def test_is_good_for_one_object_only(self, service):
        service.put("/x", b"content")
        service.put("/y", b"content")
        url = service.client.download_url(BUCKET, "/x").replace("/x?", "/y?")
        assert requests.get(url, timeout=30).status_code == 403

    def test_expires(self, make_service):
        service = make_service(emulator={"clock": lambda: time.time() + 101})
        url = service.client.download_url(BUCKET, "/x", seconds=100)
        assert requests.get(url, timeout=30).status_code == 403

    def test_shows_no_key(self, service):
        assert service.config.secret_key not in service.client.download_url(BUCKET, "/x")


def test_wrong_credentials(make_service):
    service = make_service(options={"secret_key": "wrong"})
    for act in (
        lambda: service.client.stat(BUCKET, "/x"),
        lambda: service.put("/x", b""),
        lambda: service.client.delete(BUCKET, "/x"),
        lambda: service.read("/x"),
    ):
        with pytest.raises(PermissionError) as caught:
            act()
        assert caught.value.filename == f"{BUCKET}/x"
    assert service.clock.slept == []  # permanent: asked once each
    assert len(service.ops()) == 4


def test_anon_sends_no_signature(make_service):
    service = make_service(options={"anon": True})
    seen = []
    service.watch(lambda call: seen.append(call.signature))
    with pytest.raises(PermissionError):
        service.client.stat(BUCKET, "/x")
    assert seen == [""]


def test_a_slow_clock_is_corrected_once(make_service):
    service = make_service(clock=lambda: time.time() - 100_000)
    service.put("/x", b"content")
    assert service.codes() == [-96, 0]
    service.put("/y", b"content")
    service.client.delete(BUCKET, "/y")
    assert service.codes() == [-96, 0, 0, 0]
    assert service.clock.slept == [0.0]


def test_throttling_calls_back(service):
    calls = []
    service.client.on_throttle = lambda: calls.append(True)
    service.fault(faults.Refuse(-71), op="stat", times=2)
    assert service.client.stat(BUCKET, "/").is_directory
    assert calls == [True, True]
    assert len(service.clock.slept) == 2


def test_connect_completes_from_the_environment(service, monkeypatch):
    for name, value in service.emulator.storage_options.items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", value)
    client = CosV4Client.connect(max_retries=0)
    assert client.stat(BUCKET, "/").is_directory
    client.close()
    assert client.stat(BUCKET, "/").is_directory  # still usable
    client.close()


def test_no_secret_is_shown(service):
    options = service.emulator.storage_options
    service.put("/x", b"")
    with pytest.raises(FileNotFoundError) as caught:
        service.client.stat(BUCKET, "/no")
    shown = repr(service.client) + repr(service.config) + repr(caught.value) + json.dumps(str(caught.value))
    assert options["secret_key"] not in shown
    assert options["secret_id"] not in shown


@pytest.mark.parametrize("code", [-197, -181])
def test_an_error_is_freed_without_the_collector(make_service, code):
    """Its traceback has frames with buffers: a cycle would keep them until the next collection."""
    service = make_service(retries=1)
    service.fault(faults.Refuse(code), op="stat", times=None)
    gc.disable()
    try:
        with suppress(OSError):
            service.client.stat(BUCKET, "/x")
        with pytest.raises(OSError) as caught:
            service.client.stat(BUCKET, "/x")
        error = weakref.ref(caught.value)
        del caught
        assert error() is None
    finally:
        gc.enable()
