"""The emulator works on systems without the modules and functions of POSIX."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, pkgutil, sys, types, warnings

for name in ("fcntl", "termios", "resource"):
    sys.modules[name] = None
for name in ("sendfile", "pread", "pwrite", "O_NOFOLLOW", "O_CLOEXEC"):
    delattr(os, name)
warnings.simplefilter("ignore", RuntimeWarning)
# the emulator alone: the package's own __init__ brings the filesystems
package = types.ModuleType("cosv4fs")
package.__path__ = [{path!r}]
sys.modules["cosv4fs"] = package

import cosv4fs.emulator
for module in pkgutil.walk_packages(cosv4fs.emulator.__path__, "cosv4fs.emulator."):
    if not module.name.endswith("__main__"):
        __import__(module.name)

from tests.emulator.services import PART, SERVICES
from cosv4fs.emulator import faults
from tests.emulator.client import NOW, SECRET_ID, SECRET_KEY

content = bytes(range(256)) * (PART // 256)
for kind in SERVICES.values():
    options = dict(secret_id=SECRET_ID, secret_key=SECRET_KEY, clock=lambda: NOW, fsync=True)
    with kind.emulator_class(**options, **kind.options) as emulator:
        service = kind(emulator)
        assert service.put("f", content).ok
        assert service.get("f").body == content
        assert service.get("f", Range="bytes=100000-200000").body == content[100000:200001]
        upload = service.begin("u", PART + 1)
        assert service.send("u", upload, 1, b"x").ok
        assert service.send("u", upload, 0, content).ok
        assert service.finish("u", upload, [content, b"x"]).ok
        assert service.get("u").body == content + b"x"
        emulator.faults.add(op=kind.put_op, action=faults.DropReply(reset=True))
        try:
            service.put("g")
        except ConnectionResetError:
            emulator.restart()
            assert service.get("g").body == b"content"
            print(kind.kind)
"""


def test_without_posix():
    import cosv4fs

    program = PROGRAM.format(path=os.path.dirname(cosv4fs.__file__))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "buckets\ncoffers\n", "")


def test_folders_are_locked_on_windows(tmp_path, monkeypatch):
    """Its own module does it there; a folder in use is refused in the same words."""
    import types

    from cosv4fs.emulator import Emulator, EmulatorError

    def locking(descriptor, mode, count):
        raise OSError(36, "Resource deadlock avoided")

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    with pytest.raises(EmulatorError, match="another emulator is using the folder"):
        Emulator(tmp_path).start()
    monkeypatch.delitem(sys.modules, "msvcrt")
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with pytest.warns(RuntimeWarning, match="start no second emulator"), Emulator(tmp_path):
        pass
