"""The local service on Windows and macOS, in interpreters that simulate them (`tests.platforms`)."""

import errno
import os
import signal
import socket
import sys
import threading
import types

import pytest

from cosv4fs.emulator import Emulator
from cosv4fs.emulator.faults import RefuseConnection
from tests.platforms import run

from .client import NOW, SECRET_ID, SECRET_KEY
from .services import SERVICES, Standalone, blobs

SETUP = """
import http.client, pkgutil, sys, threading
import cosv4fs.emulator
from cosv4fs.emulator import EmulatorError, faults
from tests.emulator.client import NOW, SECRET_ID, SECRET_KEY
from tests.emulator.services import PART, SERVICES, blobs

for module in pkgutil.walk_packages(cosv4fs.emulator.__path__, "cosv4fs.emulator."):
    __import__(module.name)

content = bytes(range(256)) * (PART // 256)
for kind in SERVICES.values():
    options = dict(secret_id=SECRET_ID, secret_key=SECRET_KEY, clock=lambda: NOW, fsync=True)
    with kind.emulator_class(sys.argv[1] + kind.kind, **options, **kind.options) as emulator:
        service = kind(emulator)
"""

USED = """
        assert service.put("f", content).ok
        assert service.get("f").body == content
        assert service.get("f", Range="bytes=100000-200000").body == content[100000:200001]
        upload = service.begin("u", PART + 1)
        assert service.send("u", upload, 1, b"x").ok
        assert service.send("u", upload, 0, content).ok
        assert service.finish("u", upload, [content, b"x"]).ok
        assert service.get("u").body == content + b"x"

        # names of contents on disk are the service's own
        for name in ("a", "A", "nul", "com1.txt", "a:b", "end. ", "long" * 50):
            assert service.put(name, name.encode()).ok, name
        for name in ("a", "A", "nul", "com1.txt", "a:b", "end. ", "long" * 50):
            assert service.get(name).body == name.encode()

        emulator.faults.add(op=kind.put_op, action=faults.DropReply(reset=True))
        try:
            service.put("g")
        except OSError as error:
            print(kind.kind, type(error).__name__)
        try:
            kind.emulator_class(emulator.root, **kind.options).start()
        except EmulatorError as error:
            print(kind.kind, "locked", "another emulator is using the folder" in str(error))

        # connections that wait for another request
        idle = [http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=30) for _ in range(2)]
        for connection in idle:
            connection.request("GET", "/")
            connection.getresponse().read()
        emulator.restart()
        with emulator.unreachable():
            try:
                service.get("g")
            except OSError:
                print(kind.kind, "unreachable")
        assert service.get("g").body == b"content"
    waiting = [thread for thread in threading.enumerate() if "process_request" in thread.name]
    for thread in waiting:
        # what ends by itself only needs its turn
        thread.join(30)
    print(kind.kind, "stopped", [thread for thread in waiting if thread.is_alive()])
"""


@pytest.mark.parametrize("system", [("windows", "_hashlib", "ctypes"), ("macos",)], ids=["windows", "macos"])
def test_a_service_on_another_system(tmp_path, system):
    done = run("-c", SETUP + USED, f"{tmp_path}{os.sep}", system=system)
    lines = ["ConnectionResetError", "locked True", "unreachable", "stopped []"]
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.decode().splitlines() == [f"{kind} {line}" for kind in SERVICES for line in lines]


IN_USE = """
        if kind.kind == "coffers":
            break
        assert service.put("f", b"old").ok
        stall = faults.StallReply(1)
        emulator.faults.add(op="download", action=stall)
        bodies = []
        reader = threading.Thread(target=lambda: bodies.append(service.get("f").body))
        reader.start()
        assert stall.entered.wait(30)

        def replace(content):
            assert service.client.upload("/f", content, signature=service.signature, insertOnly=0).code == 0
            assert service.get("f").body == content
            print(len(blobs(emulator)))

        replace(b"new")
        replace(b"newer")
        stall.release.set()
        reader.join()
        print(bodies)
        replace(b"newest")
"""


def test_contents_that_a_download_has_open_are_removed_later(tmp_path):
    """Windows removes no open file."""
    done = run("-c", SETUP + IN_USE, f"{tmp_path}{os.sep}")
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.decode().splitlines() == ["2", "2", "[b'old']", "1"]


@pytest.fixture
def emulator(tmp_path):
    options = {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "clock": lambda: NOW}
    with Emulator(tmp_path / "root", buckets=("b",), fsync=True, **options) as emulator:
        yield emulator


def test_a_file_that_cannot_be_removed_hinders_no_start(emulator, monkeypatch):
    """It is removed as soon as that is possible, and the file of an upload that a killed process left, too."""
    service = SERVICES["buckets"](emulator)
    service.put("f", b"content")
    [blob] = blobs(emulator)
    emulator.stop()
    orphan = blob.with_name(f"{blob.name[:-1]}x"[:8] + "0" * 24)
    orphan.write_bytes(b"")

    def unlink(path, **_):
        raise PermissionError(errno.EACCES, "another process has it open", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        emulator.start()
        assert sorted(blobs(emulator)) == sorted([blob, orphan])
    emulator.restart()
    assert blobs(emulator) == [blob]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EINVAL])
def test_copies_where_a_file_has_no_second_name(emulator, monkeypatch, code):
    service = SERVICES["buckets"](emulator)
    service.put("f", b"content")

    def link(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    assert service.client.post("/f", "copy", dest_fileid="/g", signature=service.signature).code == 0
    assert service.get("g").body == b"content"
    assert len(blobs(emulator)) == 2


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_folders_that_cannot_be_synced(emulator, monkeypatch, code):
    """Some file systems of other machines sync files, and no folders."""
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert SERVICES["buckets"](emulator).put("f", b"content").ok


def test_contents_reach_the_disk_on_macos(emulator, monkeypatch):
    synced = []
    fcntl = types.SimpleNamespace(F_FULLFSYNC=51, fcntl=lambda descriptor, what: synced.append(what))
    monkeypatch.setitem(sys.modules, "fcntl", fcntl)
    assert SERVICES["buckets"](emulator).put("f", b"content").ok
    assert synced == [51]


def test_a_client_that_resets_before_it_is_refused(emulator, monkeypatch):
    """On macOS, a connection that was reset takes no options; the service goes on."""
    real, refused = socket.socket.setsockopt, threading.Event()

    def setsockopt(self, level, name, *value):
        if name == socket.SO_LINGER:
            refused.set()
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(self, level, name, *value)

    emulator.faults.add(action=RefuseConnection())
    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    socket.create_connection(("127.0.0.1", emulator.port)).close()
    assert refused.wait(30)
    assert SERVICES["buckets"](emulator).put("f", b"content").ok


def test_a_system_without_locks(tmp_path, monkeypatch):
    for name in ("fcntl", "msvcrt"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.warns(RuntimeWarning, match="start no second emulator"), Emulator(tmp_path):
        pass


def test_the_command_prints_what_shells_of_windows_understand(tmp_path):
    server = Standalone(tmp_path, kind="coffers", system="windows")
    buckets, coffers = server.endpoints
    account = {"APPID": "1250000000", "REGION": "gz", "ENDPOINT": buckets}
    assert server.lines[3:7] == [
        "PowerShell:",
        "; ".join(f"$env:COSV4_{name}='{value}'" for name, value in account.items()),
        "cmd:",
        " & ".join(f'set "COSV4_{name}={value}"' for name, value in account.items()),
    ]
    assert [line.replace("COSV3", "COSV4") for line in server.lines[8:12]] == server.lines[3:7]
    assert server.lines[14] == f"$env:CDCS_REGION='ap-tianjin'; $env:CDCS_ENDPOINT='{coffers}'"
    assert server.lines[16] == f'set "CDCS_REGION=ap-tianjin" & set "CDCS_ENDPOINT={coffers}"'
    assert server.service("coffers").put("f").ok
    assert server.end(signal.SIGINT) == (0, "", "")


def test_the_end_of_a_terminal_stops_the_command(tmp_path):
    """Its temporary folder would stay otherwise."""
    server = Standalone(tmp_path / "root")
    assert server.end(signal.SIGHUP) == (0, "", "")


FIXTURES = """
import fsspec
import pytest

def test_bucket(cosv4_emulator, cosv4_storage_options, tmp_path):
    fs = fsspec.filesystem("cosv4", **cosv4_storage_options)
    (tmp_path / "up" / "d").mkdir(parents=True)
    (tmp_path / "up" / "d" / "f").write_bytes(b"1\\r\\n" * 2_000_000)
    fs.put(str(tmp_path / "up"), "test-bucket/up", recursive=True)
    with cosv4_emulator.unreachable(), pytest.raises(ConnectionError):
        fsspec.filesystem("cosv4", **cosv4_storage_options, retry_deadline=0).cat_file("test-bucket/up/d/f")
    fs.get("test-bucket/up", str(tmp_path / "down"), recursive=True)
    assert (tmp_path / "down" / "d" / "f").read_bytes() == b"1\\r\\n" * 2_000_000
    fs.rm("test-bucket/up", recursive=True)
    assert fs.ls("test-bucket") == []

def test_coffer(coffer_emulator, coffer_storage_options):
    fs = fsspec.filesystem("cdcs", **coffer_storage_options)
    fs.pipe_file("examplecoffer-1250000000/f", b"x")
    assert fs.cat_file("examplecoffer-1250000000/f") == b"x"
"""


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_the_fixtures_on_another_system(tmp_path, system):
    file = tmp_path / "test_fixtures.py"
    file.write_text(FIXTURES)
    plugins = ["-p", "cosv4fs.emulator.pytest_plugin", "-p", "no:cacheprovider"]
    options = ["-q", "-W", "error", "-c", os.devnull, "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "work")]
    done = run("-m", "pytest", *plugins, *options, str(file), system=(system,), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (done.returncode, done.stderr) == (0, b""), done.stdout.decode("cp1252")
    assert b"2 passed" in done.stdout
