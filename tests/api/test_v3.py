"""The client of v3: the samples of its page, every variant of its dialect, and lost replies."""

import errno
import hashlib
import urllib.request

import pytest

from cosv4fs.api import CosV3Client, UploadedObject
from cosv4fs.config import resolve
from cosv4fs.emulator import faults
from cosv4fs.protocols import V3
from tests.support import BUCKET, MIB, RawServer, content, fill, http_reply, raw_client

HALF = MIB // 2
DATA = content(2 * MIB + 5)
SHA = hashlib.sha1(DATA).hexdigest()
SESSION = "0e009a57-3eb7-4f9d-a651-5f3a294e5616+CtQT49EHAA=="

FIRST = b"""{
    "code": 0, 
    "message": "SUCCESS", 
    "data": {
        "offset": 3145728, 
        "session": "0e009a57-3eb7-4f9d-a651-5f3a294e5616+CtQT49EHAA=="
    }
}
"""  # noqa: W291 - as the page has it
LAST = b"""{
    "code": 0, 
    "message": "SUCCESS", 
    "data": {
        "access_url": "http://jonnxu5-10000202.file.myqcloud.com/foldertest/test_slice_upload.pptx", 
        "resource_path": "/foldertest/test_slice_upload.pptx", 
        "source_url": "http://jonnxu5-10000202.cos.myqcloud.com/foldertest/test_slice_upload.pptx", 
        "url": "http://web.file.myqcloud.com/files/v1/foldertest/test_slice_upload.pptx"
    }
}
"""  # noqa: W291 - as the page has it
HEADERS = ("Server: nginx", "Date: Tue, 14 Jun 2016 03:36:17 GMT", "Content-Type: /")


@pytest.fixture
def make(make_service):
    def make(**dialect):
        return make_service(kind=CosV3Client, **dialect)

    return make


@pytest.fixture
def old(make):
    return make()


def begin(service, data=DATA, key="/x", **more):
    digest = hashlib.sha1(data).hexdigest()
    return service.client.open_slices(BUCKET, key, filesize=len(data), sha=digest, slice_size=HALF, **more)


def send(service, session, offset, key="/x", **more):
    return service.client.send_slice(BUCKET, key, session, offset, memoryview(DATA)[offset : offset + HALF], **more)


def send_all(service, key="/x"):
    session = begin(service, key=key).session
    return [send(service, session, offset, key) for offset in range(0, len(DATA), HALF)]


def sending_to(replies):
    # the server closes its connections: a client that does not know may send the next request on a closed one
    server = RawServer(*(http_reply(body, headers=(*HEADERS, "Connection: close")) for body in replies))
    return server, raw_client(server, CosV3Client, appid="10000202")


class TestSamples:
    def test_a_slice_and_the_last_one(self):
        server, client = sending_to([FIRST, LAST])
        with server:
            key, piece = "/foldertest/test_slice_upload.pptx", memoryview(bytes(3145728))
            assert client.send_slice("buckettest", key, SESSION, 0, piece) is None
            done = client.send_slice("buckettest", key, SESSION, 3145728, piece[:10])
        assert done == UploadedObject(
            access_url="http://jonnxu5-10000202.file.myqcloud.com/foldertest/test_slice_upload.pptx",
            source_url="http://jonnxu5-10000202.cos.myqcloud.com/foldertest/test_slice_upload.pptx",
            resource_path="/foldertest/test_slice_upload.pptx",
            url="http://web.file.myqcloud.com/files/v1/foldertest/test_slice_upload.pptx",
        )
        lines = server.requests[0].decode().split("\r\n")
        assert lines[0] == "POST /files/v1/10000202/buckettest/foldertest/test_slice_upload.pptx HTTP/1.1"
        assert any(line.startswith("Content-Type: multipart/form-data; boundary=") for line in lines)

    def test_the_offset_that_the_table_describes(self):
        server, client = sending_to([FIRST.replace(b"3145728", b"0")])
        with server:
            assert client.send_slice("b", "/x", SESSION, 0, memoryview(b"0123")) is None

    def test_any_other_offset_is_an_error(self):
        server, client = sending_to([FIRST])
        with server, pytest.raises(OSError, match="offset") as caught:
            client.send_slice("b", "/x", SESSION, 0, memoryview(b"0123"))
        assert caught.value.errno == errno.EBADMSG
        assert SESSION not in str(caught.value)


class TestSlices:
    @pytest.mark.parametrize("variant", ["next", "echo"])
    def test_from_the_first_to_the_last(self, make, variant):
        service = make(v1_reply_offset=variant)
        *before, last = send_all(service)
        assert before == [None] * 4
        assert isinstance(last, UploadedObject)
        assert service.read("/x") == DATA
        assert service.client.stat(BUCKET, "/x").sha == SHA

    def test_the_progress_of_a_session(self, old):
        opened = begin(old)
        assert (opened.offset, opened.slice_size, opened.serial) == (0, HALF, True)
        send(old, opened.session, 0)
        again = begin(old, session=opened.session)
        assert (again.session, again.offset) == (opened.session, HALF)

    def test_an_unknown_session(self, old):
        with pytest.raises(OSError, match="session") as caught:
            begin(old, session="12-34+56")
        assert caught.value.errno == errno.ESTALE

    def test_content_that_is_known(self, old):
        send_all(old)
        assert isinstance(begin(old, key="/y"), UploadedObject)
        assert old.read("/y") == DATA

    def test_slices_out_of_order(self, make):
        strict, free = make(), make(v1_order="any")
        with pytest.raises(OSError, match="session"):
            send(strict, begin(strict).session, HALF)
        opened = begin(free)
        assert not opened.serial
        assert send(free, opened.session, HALF) is None

    def test_a_slice_that_came_before(self, make):
        service = make(v1_again="refuse")
        session = begin(service).session
        send(service, session, 0)
        with pytest.raises(OSError, match="went back") as caught:
            send(service, session, 0)
        assert (caught.value.errno, caught.value.code) == (errno.ESTALE, -4024)
        assert service.ops().count("upload_slice") == 3

    def test_wrong_content(self, old):
        session = old.client.open_slices(BUCKET, "/x", filesize=3, sha="1" * 40, slice_size=HALF).session
        with pytest.raises(OSError, match="SHA-1") as caught:
            old.client.send_slice(BUCKET, "/x", session, 0, memoryview(b"abc"))
        assert caught.value.errno == errno.EIO

    @pytest.mark.parametrize(
        "data",
        [b"{}", b'{"session": "s", "offset": 99999999999}', b'{"session": "s", "offset": -1}', b'{"session": 3}'],
    )
    def test_invalid_replies(self, data):
        server, client = sending_to([b'{"code": 0, "message": "", "data": ' + data + b"}"])
        with server, pytest.raises(OSError, match="is invalid"):
            client.open_slices("b", "/x", filesize=5, sha=SHA, slice_size=HALF)

    def test_a_lost_reply(self, old):
        opened = begin(old)
        fault = old.fault(faults.DropReply(), op="upload_slice", nth=2)
        send(old, opened.session, 0)
        send(old, opened.session, HALF)
        assert fault.hits == 1
        assert begin(old, session=opened.session).offset == MIB


class TestListing:
    def test_pages(self, old):
        names = [f"{number:03}" for number in range(450)]
        fill(old.emulator, BUCKET, [f"/dir/{name}" for name in names])
        assert [entry.name for entry in old.client.list(BUCKET, "/dir/")] == names
        lists = [record for record in old.emulator.requests if record.op == "list"]
        assert [record.query["num"] for record in lists] == ["199"] * 3

    @pytest.mark.parametrize("dialect", [{"short_pages": True}, {"last_context": "kept"}, {"dir_slash": True}])
    def test_other_variants(self, make, dialect):
        service = make(**dialect)
        fill(service.emulator, BUCKET, [f"/dir/{number:03}" for number in range(250)])
        service.client.create(BUCKET, "/dir/sub/")
        found = list(service.client.list(BUCKET, "/dir/"))
        assert len(found) == 251
        assert [entry.name for entry in found if entry.is_directory] == ["sub"]


class TestStatus:
    @pytest.mark.parametrize(("variant", "requests"), [("bare", ["stat", "list"]), ("filelen", ["stat"])])
    def test_of_an_unfinished_upload(self, make, variant, requests):
        service = make(v1_stat=variant)
        send(service, begin(service).session, 0)
        service.emulator.clear_requests()
        status = service.client.stat(BUCKET, "/x")
        assert (status.size, status.stored, status.is_unfinished) == (len(DATA), HALF, True)
        assert service.ops() == requests
        assert service.client.is_uploading(BUCKET, "/x")

    def test_of_a_file(self, old):
        old.put("/dir/x", b"content", biz_attr="note")
        old.put("/dir/xx", b"other")
        status = old.client.stat(BUCKET, "/dir/x")
        assert (status.size, status.is_unfinished, status.biz_attr) == (7, False, "note")
        assert not old.client.is_uploading(BUCKET, "/dir/x")
        assert not old.client.is_uploading(BUCKET, "/dir/none")

    def test_of_a_directory_and_a_bucket(self, old):
        old.client.create(BUCKET, "/dir/")
        assert old.client.stat(BUCKET, "/dir/").is_directory
        assert old.client.stat(BUCKET, "/").is_directory
        with pytest.raises(FileNotFoundError):
            old.client.stat(BUCKET, "/none")


class TestOtherOperations:
    def test_update(self, old):
        old.put("/x", b"x")
        old.client.update(BUCKET, "/x", biz_attr="note")
        assert old.client.stat(BUCKET, "/x").biz_attr == "note"
        # no reply of v3 shows these
        old.client.update(BUCKET, "/x", authority="eWPrivateRPublic", custom_headers={"Content-Type": "text/plain"})
        url = f"{old.emulator.endpoint}/files/v1/1250000000/{BUCKET}/x"
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert reply.headers["Content-Type"] == "text/plain"
        assert old.ops().count("update") == 2

    def test_copy(self, old):
        with pytest.raises(OSError, match="cannot copy") as caught:
            old.client.copy(BUCKET, "/x", "/y")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOTSUP, f"{BUCKET}/x")

    def test_move_and_delete(self, old):
        old.put("/x", b"x")
        old.client.move(BUCKET, "/x", "/y")
        assert old.names() == ["y"]
        old.client.delete(BUCKET, "/y")
        assert old.names() == []

    def test_errors_without_a_request_id(self, old):
        with pytest.raises(FileNotFoundError) as caught:
            old.client.delete(BUCKET, "/none")
        assert (caught.value.code, caught.value.request_id) == (-197, None)

    def test_a_url_for_others(self, old):
        old.put("/x", b"content")
        import urllib.request

        with urllib.request.urlopen(old.client.download_url(BUCKET, "/x"), timeout=30) as response:
            assert response.read() == b"content"


def test_hosts_without_a_region():
    config = resolve({"appid": 1, "secret_id": "a", "secret_key": "b", "use_ssl": False}, protocol=V3)
    assert config.api_root == "http://web.file.myqcloud.com"
    assert config.download_root("box") == ("http://box-1.cos.myqcloud.com", None)
    assert repr(CosV3Client(config)) == "<CosV3Client appid=1 at http://web.file.myqcloud.com>"


def test_an_environment_of_its_own(monkeypatch):
    for name, value in {"COSV3_APPID": "3", "COSV3_SECRET_ID": "a", "COSV3_SECRET_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COSV4_APPID", "4")
    assert CosV3Client.connect().config.appid == "3"
