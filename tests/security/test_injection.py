"""What a caller passes on from others cannot add headers, parts or requests."""

import pytest

from tests.security.conftest import BUCKET
from tests.security.servers import http_reply
from tests.support import RawServer, raw_client

JSON = b'{"code":0,"data":{"mtime":2,"session":"s","slice_size":1048576,"offset":0,"filesize":1}}'
LINES = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nbody", "a\x00b", "\x7f"]


@pytest.mark.parametrize("text", LINES)
class TestRefused:
    def test_content_types(self, fs, emulator, text, tmp_path):
        (tmp_path / "x").write_bytes(b"x")
        emulator.clear_requests()
        for action in (
            lambda: fs.pipe_file(f"{BUCKET}/x", b"x", content_type=text),
            lambda: fs.put_file(tmp_path / "x", f"{BUCKET}/x", content_type=text),
            lambda: fs.open(f"{BUCKET}/x", "wb", content_type=text),
            lambda: fs.touch(f"{BUCKET}/x", content_type=text),
            lambda: fs.client.upload(BUCKET, "/x", b"x", content_type=text),
            lambda: fs.client.upload_slice_data(BUCKET, "/x", "s", 0, memoryview(b"x"), content_type=text),
        ):
            with pytest.raises(ValueError, match="content_type must not have line breaks"):
                action()
        assert emulator.requests == []

    def test_custom_headers(self, fs, emulator, text):
        fs.pipe_file(f"{BUCKET}/x", b"x")
        for headers in ({"x-cos-meta-a": text}, {f"x-cos-meta-{text}": "1"}, {"Content-Disposition": text}):
            emulator.clear_requests()
            with pytest.raises(ValueError, match="custom_headers must not have line breaks"):
                fs.update_attributes(f"{BUCKET}/x", custom_headers=headers)
            with pytest.raises(ValueError, match="custom_headers"):
                fs.client.update(BUCKET, "/x", custom_headers=headers)
            assert "update" not in emulator.count()
        assert fs.attributes(f"{BUCKET}/x")["custom_headers"] == {}


@pytest.mark.parametrize("text", LINES)
def test_paths_stay_one_line(text):
    with RawServer(http_reply(JSON)) as server:
        client = raw_client(server)
        client.stat("b", f"/d/{text}")
        client.move("b", f"/d/{text}", f"/e/{text}")
        client.close()
    for head in server.requests:
        assert b"X-Evil" not in head.replace(b"X-Evil%3A", b"")
        lines = head.split(b"\r\n")
        assert lines[0].count(b" ") == 2
        assert all(b":" in line for line in lines[1:])
        assert not set(head) & set(b"\x00\x7f")


@pytest.mark.parametrize("text", [*LINES[:4], '--cosv4fs-0\r\nContent-Disposition: form-data; name="op"\r\n\r\ndelete'])
def test_free_attributes_arrive_as_they_are_and_as_nothing_else(fs, emulator, text):
    fs.client.upload(BUCKET, "/x", b"content", biz_attr=text, insert_only=False)
    assert (fs.client.stat(BUCKET, "/x").biz_attr, fs.cat_file(f"{BUCKET}/x")) == (text, b"content")
    fs.update_attributes(f"{BUCKET}/x", biz_attr=text[::-1])
    assert fs.attributes(f"{BUCKET}/x")["biz_attr"] == text[::-1]
    assert {record.op for record in emulator.requests} <= {"upload", "stat", "download", "update"}


def test_local_names_are_not_sent(tmp_path):
    local = tmp_path / 'nobodys"name\r\nX-Evil: 1'
    local.write_bytes(b"content")
    with RawServer(http_reply(JSON)) as server:
        from cosv4fs import CosV4FileSystem

        account = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "endpoint": server.endpoint}
        CosV4FileSystem(**account, journal_dir=str(tmp_path / "j")).put_file(local, "b/x")
        assert len(server.requests) >= 1
        assert all(b"nobodys" not in head and b"X-Evil" not in head for head in server.requests)


@pytest.mark.parametrize("name", ["endpoint", "download_endpoint"])
@pytest.mark.parametrize("text", ["\r\nX-Evil: 1", "\n", " x", "\x00", "\t"])
def test_endpoints_are_one_word(emulator, name, text):
    from cosv4fs import CosV4FileSystem

    with pytest.raises(ValueError, match=name):
        CosV4FileSystem(**{**emulator.storage_options, name: f"http://127.0.0.1:1{text}"})
