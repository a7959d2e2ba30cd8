"""What is stored survives: a restart, and the death of the process."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cosv4fs.emulator import Dialect, Emulator, EmulatorError
from cosv4fs.emulator.http import HttpServer

from .client import NOW, SECRET_ID, SECRET_KEY, Client, once, sign

S = 524288


def test_restart(make_emulator, tmp_path):
    emulator = make_emulator(tmp_path / "root", dialect=Dialect(slice_size=4))
    client = Client(emulator)
    client.upload("/d/f", b"content", biz_attr="x")
    client.post("/d/f", "update", custom_headers='{"Cache-Control": "no"}')
    client.post("/e/", "create")
    session = client.begin("/u", 10).data["session"]
    client.piece("/u", session, 4, b"4567")
    signature = once("b", "/gone")
    client.post("/gone", "delete", signature=signature)
    before, port, stat = client.names(), emulator.port, client.get("/d/f", "stat").data
    emulator.restart()
    assert emulator.port == port
    assert client.names() == before == ["d", "e", "u"]
    assert client.get("/d/f", "stat").data == stat
    assert client.download("/d/f").body == b"content"
    assert client.download("/d/f").headers["Cache-Control"] == "no"
    assert client.post("/gone", "delete", signature=signature).code == -77
    assert client.post("/u", "upload_slice_list").data["listparts"] == [{"offset": 4, "datalen": 4}]
    for offset, content in ((0, b"0123"), (8, b"89")):
        assert client.piece("/u", session, offset, content).code == 0
    assert client.finish("/u", session, 10, sha=hashlib.sha1(b"0123456789").hexdigest()).code == 0


def test_two_on_one_folder(make_emulator, tmp_path):
    first = make_emulator(tmp_path)
    second = Emulator(tmp_path)
    with pytest.raises(EmulatorError, match="another emulator is using the folder"):
        second.start()
    first.stop()
    first.stop()
    second.start()
    second.start()
    second.close()
    second.close()


def test_orphans_are_removed(make_emulator, tmp_path):
    emulator = make_emulator(tmp_path)
    client = Client(emulator)
    client.upload("/f", b"x")
    client.upload("/f", b"y", insertOnly=0)
    client.begin("/u", 5)
    client.begin("/v", 5)
    client.post("/v", "delete")
    assert len(list((tmp_path / "blobs").iterdir())) == 2
    stored = next((tmp_path / "blobs").iterdir())
    # what a process leaves that is killed before its database knows of a content, or while it writes one
    for name in (f"{stored.name[:8]}{'0' * 24}", f"{stored.name[:8]}{'1' * 24}.part"):
        (tmp_path / "blobs" / name).write_bytes(b"x")
    emulator.restart()
    assert len(list((tmp_path / "blobs").iterdir())) == 2
    assert client.download("/f").body == b"y"


def test_refused_uploads_leave_nothing(client):
    client.upload("/f", b"x")
    for _ in range(3):
        client.upload("/f", b"y")
        client.upload("/f/g", b"y")
        client.begin("/f/g", 1)
    assert len(list((client.emulator.root / "blobs").iterdir())) == 1


def test_temporary_root_is_removed():
    with Emulator() as emulator:
        root = emulator.root
        assert root.is_dir()
    assert not root.exists()


def test_unusable_places(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EmulatorError, match="cannot use the folder"):
        Emulator(tmp_path / "file").start()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "emulator.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(EmulatorError, match="cannot use the database"):
        Emulator(tmp_path / "root").start()
    with Emulator() as emulator, pytest.raises(EmulatorError, match="cannot listen"):
        Emulator(port=emulator.port).start()
    with pytest.raises(EmulatorError, match="bucket"):
        Emulator(buckets=("a/b",))
    with pytest.raises(EmulatorError, match="appid"):
        Emulator(appid="x")


def test_fsync(make_emulator):
    client = Client(make_emulator(fsync=True))
    assert client.upload_sliced("/f", bytes(S + 1)).code == 0
    assert client.post("/f", "copy", dest_fileid="g").code == 0
    assert client.download("/g").body == bytes(S + 1)


class Standalone:
    """The command, running."""

    def __init__(self, root, *more):
        environment = {**os.environ, "COSV4_SECRET_ID": SECRET_ID, "COSV4_SECRET_KEY": SECRET_KEY}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-m", "cosv4fs.emulator", "--root", str(root), "--bucket", "b", *more]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        # and two lines on how it is used
        line, *_ = (self.process.stdout.readline() for _ in range(3))
        assert line.startswith("listening on http://127.0.0.1:"), self.process.communicate()
        self.endpoint = line.split()[-1]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def test_kill_loses_nothing_that_was_acknowledged(tmp_path):  # noqa: C901  one story
    now = int(time.time())
    signature = sign(e=now + 6000, t=now)
    server = Standalone(tmp_path)
    client = Client(server)
    content = bytes(range(256)) * (S // 256) * 8
    session = client.begin("/u", len(content), signature=signature).data["session"]
    acknowledged = {"files": [], "slices": []}

    def upload(number):
        for count in range(10000):
            path = f"/d{number}/{count}"
            try:
                if client.upload(path, path.encode(), signature=signature).code == 0:
                    acknowledged["files"].append(path)
            except (OSError, ValueError):
                return

    def slices():
        for offset in range(0, len(content), S):
            if client.piece("/u", session, offset, content[offset : offset + S], signature=signature).code == 0:
                acknowledged["slices"].append(offset)
            if offset == 4 * S:
                break
        server.process.kill()

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(2)] + [
        threading.Thread(target=slices)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.process.communicate()
    assert len(acknowledged["slices"]) == 5
    server = Standalone(tmp_path, "--no-fsync")
    client = Client(server)
    for path in acknowledged["files"]:
        assert client.download(path, signature=signature).body == path.encode()
    listed = client.post("/u", "upload_slice_list", signature=signature).data
    assert [part["offset"] for part in listed["listparts"]] == acknowledged["slices"]
    for offset in range(5 * S, len(content), S):
        client.piece("/u", session, offset, content[offset : offset + S], signature=signature)
    sha = hashlib.sha1(content).hexdigest()
    assert client.finish("/u", session, len(content), sha=sha, signature=signature).code == 0
    assert server.end() == (0, "", "")


def test_clock_of_the_tests(client, clock):
    client.upload("/f", b"x")
    clock.now = NOW + 5
    client.upload("/f", b"y", insertOnly=0)
    assert client.get("/f", "stat").data["mtime"] == NOW + 5


def test_a_later_service_has_another_port():
    """Clients know a service by its address: what they remember of one would be taken for the other's."""
    ports = []
    for _ in range(500):
        # by chance alone one in 7,000 is an earlier one's
        with HttpServer(("127.0.0.1", 0), lambda _connection: None, lambda: True) as server:
            ports.append(server.server_port)
    assert len(set(ports)) == len(ports)
