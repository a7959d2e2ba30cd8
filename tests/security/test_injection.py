"""What a caller passes on from others cannot add headers, parts or requests."""

import errno
import json
import socket
from urllib.parse import quote, urlsplit

import pytest

from cosv4fs.attributes import ATTRIBUTES
from cosv4fs.emulator.__main__ import _print_request
from cosv4fs.errors import make_error
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

    @pytest.mark.parametrize("name", [row.name for row in ATTRIBUTES.values() if row.header])
    def test_attributes(self, fs, emulator, text, name, tmp_path):
        (tmp_path / "x").write_bytes(b"x")
        path = f"{BUCKET}/x"
        wrong = [{name: text}] if name != "metadata" else [{name: {"a": text}}, {name: {text: "a"}}]
        emulator.clear_requests()
        for attributes in wrong:
            for write in (
                lambda given: fs.pipe_file(path, b"x", **given),
                lambda given: fs.put_file(tmp_path / "x", path, **given),
                lambda given: fs.open(path, "wb", **given),
                lambda given: fs.open(path, "x", **given),
                lambda given: fs.touch(path, **given),
                lambda given: fs.setxattrs(path, **given),
            ):
                with pytest.raises(ValueError, match=r"must not have line breaks|a name must consist of"):
                    write(attributes)
        assert emulator.requests == []

    def test_custom_headers(self, fs, emulator, text):
        fs.pipe_file(f"{BUCKET}/x", b"x")
        for headers in ({"x-cos-meta-a": text}, {f"x-cos-meta-{text}": "1"}, {"Content-Disposition": text}):
            emulator.clear_requests()
            with pytest.raises(ValueError, match="custom_headers"):
                fs.client.update(BUCKET, "/x", custom_headers=headers)
            assert "update" not in emulator.count()
        assert fs.metadata(f"{BUCKET}/x") == {}


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
    fs.setxattrs(f"{BUCKET}/x", biz_attr=text[::-1])
    assert fs.attributes(f"{BUCKET}/x")["biz_attr"] == text[::-1]
    fs.pipe_file(f"{BUCKET}/x", b"new", biz_attr=text)
    assert (fs.attributes(f"{BUCKET}/x")["biz_attr"], fs.cat_file(f"{BUCKET}/x")) == (text, b"new")
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


FORGED = "\x1b[2J\r\n2026-01-01 forged\x85line\u2028 \u202e"


class TestLogs:
    """A log has one line per record, whatever names, paths and operations clients and servers send."""

    @pytest.mark.parametrize("where", ["path", "bucket", "query", "body", "method"])
    def test_the_service_tells_each_request_on_one_line(self, emulator, where, capfd):
        sent = quote(FORGED)
        body = json.dumps({"op": FORGED}).encode() if where == "body" else b""
        method = "P\x1b[2JT" if where == "method" else "POST" if body else "GET"
        target = {
            "path": f"/files/v2/1250000000/{BUCKET}/{sent}",
            "bucket": f"/files/v2/1250000000/{sent}/x",
            "query": f"/files/v2/1250000000/{BUCKET}/x?op={sent}",
        }.get(where, f"/files/v2/1250000000/{BUCKET}/x")
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        address = urlsplit(emulator.storage_options["endpoint"])
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head.encode() + body)
            while connection.recv(65536):
                pass
        for record in emulator.requests:
            _print_request(record)
        told = capfd.readouterr().err
        assert len(emulator.requests) == 1
        assert told.endswith("\n")
        assert told[:-1].isprintable()

    def test_what_the_package_logs_itself(self, fs, monkeypatch, caplog):
        file = fs.open(f"{BUCKET}/a\nforged\x1b[2J", "wb")

        def fail():
            raise make_error(errno.EIO, "no", file.path)

        monkeypatch.setattr(file._writer, "_abort", fail)
        file.discard()
        [record] = caplog.records
        assert "forged" in record.getMessage()
        assert record.getMessage().isprintable()
