"""Coffers survive: a restart and the death of the process; and the command and the plug-in that serve them."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cosv4fs.emulator import CofferDialect, CofferEmulator, EmulatorError
from cosv4fs.emulator.__main__ import main

from .client import SECRET_ID, SECRET_KEY
from .coffers import COFFER, Coffers, md5

pytest_plugins = ["pytester"]
MIB = 1048576


def test_everything_survives_a_restart(make_coffers, tmp_path):
    coffers = make_coffers(tmp_path, dialect=CofferDialect(smallest_part=1))
    coffers.make("second-1250000000")
    coffers.put("f", b"content", Content_Type="text/plain")
    upload = coffers.begin("u")
    tag = coffers.part("u", upload, 1, b"one").headers["ETag"]
    body = b'{"Rule": [{"Expiration": {"Days": 9}}]}'
    coffers.of_coffer("PUT", {"lifecycle": None}, body=body, headers={"Content-MD5": md5(body)})
    done = coffers.begin("done")
    named = [(1, coffers.part("done", done, 1, b"x").headers["ETag"])]
    coffers.finish("done", done, named)
    before = coffers.listed()
    stored = next((tmp_path / "blobs").iterdir())
    (tmp_path / "blobs" / f"{stored.name[:8]}{'0' * 24}.part").write_bytes(b"x")
    coffers.emulator.restart()
    assert coffers.listed() == before
    assert coffers.get("f").headers["Content-Type"] == "text/plain"
    assert len(coffers.call("GET", "/").json["Coffers"]["Coffer"]) == 2
    assert coffers.of_coffer("GET", {"lifecycle": None}).json["Rule"][0]["Expiration"]["Days"] == 9
    assert coffers.finish("done", done, named).code == "MultipartAlreadyCompleted"
    assert len(list((tmp_path / "blobs").iterdir())) == 3
    assert coffers.put("u").status == 409
    second = coffers.part("u", upload, 2, b"two").headers["ETag"]
    assert coffers.finish("u", upload, [(1, tag), (2, second)]).status == 200
    assert coffers.get("u").body == b"onetwo"


def test_names_and_folders_that_are_refused(tmp_path, make_coffers):
    for options in (
        {"coffers": ("Bad",)},
        {"coffers": ("x-1",)},
        {"appid": "x"},
        {"coffers": [f"c{n}-1250000000" for n in range(21)]},
    ):
        with pytest.raises(EmulatorError):
            CofferEmulator(**options)
    make_coffers(tmp_path)
    with pytest.raises(EmulatorError, match="another emulator"):
        CofferEmulator(tmp_path).start()
    stopped = CofferEmulator()
    assert "stopped" in repr(stopped)
    assert COFFER in repr(stopped)
    with pytest.raises(EmulatorError, match="start it"):
        stopped.settle()


class Standalone:
    """The command, running, with a coffer."""

    def __init__(self, root, *more):
        environment = {**os.environ, "COSV4_SECRET_ID": SECRET_ID, "COSV4_SECRET_KEY": SECRET_KEY}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-m", "cosv4fs.emulator", "--root", str(root), "--coffer", COFFER, *more]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        lines = [self.process.stdout.readline() for _ in range(6)]
        assert lines[0].startswith("listening on http://127.0.0.1:"), self.process.communicate()
        assert lines[1].startswith("coffers on http://127.0.0.1:")
        self.bucket_endpoint, self.endpoint = (line.split()[-1] for line in lines[:2])
        self.hints = [line.strip() for line in (lines[3], lines[5])]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def test_the_command(tmp_path):
    def keys(prefix):
        return f"{prefix}_SECRET_ID=... {prefix}_SECRET_KEY=..."

    more = ["--coffer", "second-1250000000", "--coffer-dialect", "exists=x"]
    assert main(["--coffer", COFFER, *more]) == 2
    server = Standalone(tmp_path, *more[:2], "--verbose", "--coffer-dialect", "coffer_exists=CofferAlreadyExists")
    now = int(time.time())
    coffers = Coffers(server, span=(now - 60, now + 600))
    assert coffers.make("second-1250000000").code == "CofferAlreadyExists"
    assert coffers.put("f").status == 200
    assert server.hints == [
        f"export COSV4_APPID=1250000000 {keys('COSV4')} COSV4_REGION=gz COSV4_ENDPOINT={server.bucket_endpoint}",
        f"export {keys('CDCS')} CDCS_REGION=ap-tianjin CDCS_ENDPOINT={server.endpoint}",
    ]
    assert (tmp_path / "coffers" / "emulator.sqlite").exists()
    code, out, err = server.end()
    assert (code, out) == (0, "")
    assert f"PUT {COFFER}:/f PutObject -> 200" in err
    assert SECRET_KEY not in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--coffer", "Bad"], "names no coffer"),
        (["--coffer-port", "5"], "need --coffer"),
        (["--coffer", COFFER, "--coffer-dialect", "x=1"], "unknown dialect switch"),
        (["--coffer", COFFER, "--root", "/dev/null/x"], "cannot use the folder"),
    ],
)
def test_errors_of_the_command(capsys, arguments, text):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err
    assert captured.err.count("\n") == 1


def test_kill_loses_nothing_that_was_acknowledged(tmp_path):
    now = int(time.time())
    span = (now - 60, now + 6000)
    server = Standalone(tmp_path)
    coffers = Coffers(server, span=span)
    contents = [bytes([number]) * MIB for number in range(6)]
    upload = coffers.begin("u")
    acknowledged, stored = {"objects": [], "parts": []}, threading.Event()

    def put(number):
        for count in range(10_000):
            key = f"d{number}/{count}"
            try:
                if coffers.put(key, key.encode()).status == 200:
                    acknowledged["objects"].append(key)
                    stored.set()
            except OSError:
                return

    def parts():
        for number, content in enumerate(contents, 1):
            if coffers.part("u", upload, number, content).status == 200:
                acknowledged["parts"].append(number)
        assert stored.wait(20)
        server.process.kill()

    threads = [threading.Thread(target=put, args=(number,)) for number in range(2)]
    threads.append(threading.Thread(target=parts))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    server.process.communicate()
    assert len(acknowledged["parts"]) == 6
    assert acknowledged["objects"]
    server = Standalone(tmp_path, "--no-fsync")
    coffers = Coffers(server, span=span)
    for key in acknowledged["objects"]:
        assert coffers.get(key).body == key.encode()
    listed = coffers.parts("u", upload).json["Part"]
    assert [part["PartNumber"] for part in listed] == acknowledged["parts"]
    named = [(number, hashlib.md5(content).hexdigest()) for number, content in enumerate(contents, 1)]
    assert coffers.finish("u", upload, named).status == 200
    assert coffers.get("u").body == b"".join(contents)
    assert server.end() == (0, "", "")


def test_plugin(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_default(coffer_emulator, coffer_storage_options):
            assert coffer_storage_options["endpoint"] == coffer_emulator.endpoint
            assert "examplecoffer-1250000000" in repr(coffer_emulator)

        @pytest.mark.parametrize("coffer_emulator", [{"region": "ap-x"}], indirect=True)
        def test_parameter(coffer_storage_options):
            assert coffer_storage_options["region"] == "ap-x"

        class TestOverride:
            @pytest.fixture
            def coffer_emulator_options(self):
                return {"coffers": ("mine-1250000000",)}

            def test_it(self, coffer_emulator):
                assert "mine-1250000000" in repr(coffer_emulator)
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_fsync(make_coffers):
    coffers = make_coffers(fsync=True)
    upload = coffers.begin("f")
    named = [(1, coffers.part("f", upload, 1, bytes(MIB)).headers["ETag"])]
    named.append((2, coffers.part("f", upload, 2, b"x").headers["ETag"]))
    assert coffers.finish("f", upload, named).status == 200
    assert coffers.get("f").body == bytes(MIB) + b"x"
