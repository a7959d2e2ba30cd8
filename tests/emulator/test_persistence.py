"""What is stored survives a restart and the death of the process; what was not completed leaves nothing."""

import contextlib
import hashlib
import os
import signal
import socket
import threading
import warnings

import pytest

from cosv4fs.emulator import CofferDialect, CofferEmulator, Emulator, EmulatorError
from cosv4fs.emulator.http import HttpServer

from .client import NOW, Client, once
from .coffers import COFFER, md5
from .services import PART, SERVICES, Standalone, blobs

CONTENTS = [bytes([number]) * PART for number in range(3)]


def test_files_and_uploads_survive_a_restart(start_service, kind, tmp_path):
    service = start_service(kind, tmp_path / "root")
    service.put("f")
    upload = service.begin("u", 3 * PART)
    for index in (2, 0):
        assert service.send("u", upload, index, CONTENTS[index]).ok
    names, port = service.names(), service.emulator.port
    service.emulator.restart()
    assert service.emulator.port == port
    assert service.names() == names
    assert service.get("f").body == b"content"
    assert service.sent("u") == [0, 2]
    assert service.send("u", upload, 1, CONTENTS[1]).ok
    assert service.finish("u", upload, CONTENTS).ok
    assert service.get("u").body == b"".join(CONTENTS)


def test_nobody_else_gets_the_port_of_a_service_that_restarts(client, monkeypatch):
    taken, make = [], type(client.emulator)._make_service

    def make_late(emulator, store):
        with socket.socket() as other, contextlib.suppress(OSError):
            other.bind(("127.0.0.1", emulator.port))
            taken.append(other)
        return make(emulator, store)

    monkeypatch.setattr(type(client.emulator), "_make_service", make_late)
    client.emulator.restart()
    assert taken == []
    client.emulator.stop()
    # one that has stopped leaves it to others
    client.emulator.start()
    assert len(taken) == 1


def test_a_service_that_cannot_restart_leaves_its_port_to_others(client, monkeypatch):
    def fail(*_):
        raise EmulatorError("no")

    with monkeypatch.context() as patch, pytest.raises(EmulatorError):
        patch.setattr(type(client.emulator), "_make_service", fail)
        client.emulator.restart()
    with socket.socket() as other:
        other.bind(("127.0.0.1", client.emulator.port))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_keeps_no_service_from_starting_again(client):
    client.upload("/f", b"content")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        client.emulator.restart()
        assert client.download("/f").body == b"content"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_attributes_and_used_signatures_survive_a_restart(client):
    client.upload("/f", b"content", biz_attr="x")
    client.post("/f", "update", custom_headers='{"Cache-Control": "no"}')
    signature = once("b", "/gone")
    client.post("/gone", "delete", signature=signature)
    stat = client.get("/f", "stat").data
    client.emulator.restart()
    assert client.get("/f", "stat").data == stat
    assert client.download("/f").headers["Cache-Control"] == "no"
    assert client.post("/gone", "delete", signature=signature).code == -77


def test_settings_and_completed_uploads_survive_a_restart(make_coffers):
    coffers = make_coffers(dialect=CofferDialect(smallest_part=1))
    coffers.make("second-1250000000")
    coffers.put("f", b"content", Content_Type="text/plain")
    body = b'{"Rule": [{"Expiration": {"Days": 9}}]}'
    coffers.of_coffer("PUT", {"lifecycle": None}, body=body, headers={"Content-MD5": md5(body)})
    upload = coffers.begin("done")
    named = [(1, coffers.part("done", upload, 1, b"x").headers["ETag"])]
    coffers.finish("done", upload, named)
    coffers.begin("blocked")
    before = coffers.listed()
    coffers.emulator.restart()
    assert coffers.listed() == before
    assert coffers.get("f").headers["Content-Type"] == "text/plain"
    assert len(coffers.call("GET", "/").json["Coffers"]["Coffer"]) == 2
    assert coffers.of_coffer("GET", {"lifecycle": None}).json["Rule"][0]["Expiration"]["Days"] == 9
    assert coffers.finish("done", upload, named).code == "MultipartAlreadyCompleted"
    assert coffers.put("blocked").status == 409


def test_two_on_one_folder(start_service, kind, tmp_path):
    first = start_service(kind, tmp_path).emulator
    second = SERVICES[kind].emulator_class(tmp_path)
    with pytest.raises(EmulatorError, match="another emulator is using the folder"):
        second.start()
    assert "stopped" in repr(second)
    first.stop()
    first.stop()
    second.start()
    second.start()
    second.close()
    second.close()


def test_orphans_are_removed(start_service, kind, tmp_path):
    service = start_service(kind, tmp_path)
    service.put("f")
    service.send("u", service.begin("u", PART), 0, CONTENTS[0])
    kept = blobs(service.emulator)
    assert len(kept) == 2
    # left by a process killed before its database knew a content, or while it wrote one
    for name in (f"{kept[0].name[:8]}{'0' * 24}", f"{kept[0].name[:8]}{'1' * 24}.part"):
        (tmp_path / "blobs" / name).write_bytes(b"x")
    service.emulator.restart()
    assert sorted(blobs(service.emulator)) == sorted(kept)
    assert service.get("f").body == b"content"


def test_replaced_and_refused_uploads_leave_nothing(client):
    client.upload("/f", b"x")
    client.upload("/f", b"y", insertOnly=0)
    client.begin("/v", 5)
    client.post("/v", "delete")
    for _ in range(3):
        client.upload("/f", b"z")
        client.upload("/f/g", b"z")
        client.begin("/f/g", 1)
    assert len(blobs(client.emulator)) == 1
    assert client.download("/f").body == b"y"


def test_temporary_root_is_removed(kind):
    with SERVICES[kind].emulator_class() as emulator:
        root = emulator.root
        assert root.is_dir()
    assert not root.exists()


def test_unusable_folders(kind, tmp_path):
    make = SERVICES[kind].emulator_class
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EmulatorError, match="cannot use the folder"):
        make(tmp_path / "file").start()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "emulator.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(EmulatorError, match="cannot use the database"):
        make(tmp_path / "root").start()
    with make() as emulator, pytest.raises(EmulatorError, match="cannot listen"):
        make(port=emulator.port).start()


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (Emulator, {"buckets": ("a/b",)}, "bucket"),
        (Emulator, {"appid": "x"}, "appid"),
        (CofferEmulator, {"appid": "x"}, "appid"),
        (CofferEmulator, {"coffers": ("Bad",)}, "names no coffer"),
        (CofferEmulator, {"coffers": ("x-1",)}, "names no coffer"),
        (CofferEmulator, {"coffers": [f"c{n}-1250000000" for n in range(21)]}, "at most 20"),
    ],
)
def test_invalid_options(make, options, text):
    with pytest.raises(EmulatorError, match=text):
        make(**options)


def test_coffers_settle_while_they_run():
    stopped = CofferEmulator()
    assert COFFER in repr(stopped)
    with pytest.raises(EmulatorError, match="start it"):
        stopped.settle()


def test_fsync(start_service, kind):
    service = start_service(kind, fsync=True)
    upload = service.begin("f", PART + 1)
    contents = [CONTENTS[0], b"x"]
    for index, content in enumerate(contents):
        assert service.send("f", upload, index, content).ok
    assert service.finish("f", upload, contents).ok
    assert service.get("f").body == b"".join(contents)


def test_fsync_of_a_copy(make_emulator):
    client = Client(make_emulator(fsync=True))
    client.upload("/f", b"content")
    assert client.post("/f", "copy", dest_fileid="g").code == 0
    assert client.download("/g").body == b"content"


def test_kill_loses_nothing_that_was_acknowledged(tmp_path, kind):
    server = Standalone(tmp_path, kind=kind)
    service = server.service(kind)
    contents = [hashlib.sha1(bytes([number])).digest()[:16] * (PART // 16) for number in range(6)]
    upload = service.begin("u", 6 * PART)
    files, parts, stored = [], [], threading.Event()

    def put(number):
        for count in range(10_000):
            name = f"d{number}/{count}"
            try:
                if service.put(name, name.encode()).ok:
                    files.append(name)
                    stored.set()
            except (OSError, ValueError):
                return

    def send():
        for index, content in enumerate(contents[:4]):
            if service.send("u", upload, index, content).ok:
                parts.append(index)
        assert stored.wait(30)
        server.process.kill()

    threads = [threading.Thread(target=put, args=(number,)) for number in range(2)] + [threading.Thread(target=send)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    server.process.communicate()
    assert parts == [0, 1, 2, 3]
    server = Standalone(tmp_path, "--no-fsync", kind=kind)
    service.emulator = service.client.emulator = server
    for name in files:
        assert service.get(name).body == name.encode()
    assert service.sent("u") == parts
    for index in (4, 5):
        service.send("u", upload, index, contents[index])
    assert service.finish("u", upload, contents).ok
    assert service.get("u").body == b"".join(contents)
    assert server.end() == (0, "", "")


def test_clock_of_the_tests(client, clock):
    client.upload("/f", b"x")
    clock.now = NOW + 5
    client.upload("/f", b"y", insertOnly=0)
    assert client.get("/f", "stat").data["mtime"] == NOW + 5


def test_a_later_service_has_another_port():
    """Clients know a service by its address: what they cached of one would be taken for the other's."""
    ports = []
    for _ in range(500):
        # by chance alone one in 7,000 is an earlier one's
        with HttpServer(("127.0.0.1", 0), lambda _connection: None, lambda: True) as server:
            ports.append(server.server_address[1])
    assert len(set(ports)) == len(ports)
