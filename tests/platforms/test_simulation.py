"""The simulated systems lack what they have to lack, for our package alone, and have their rules for files."""

import pytest

from tests.platforms import run
from tests.platforms.plugin import EXPECTED, TESTS

OURS = """
import builtins

def imported(name):
    return builtins.__import__(name, {"__package__": "cosv4fs"}, None, ("x",))

def lacks(name):
    try:
        imported(name)
    except ModuleNotFoundError:
        return True
    return False
"""

WINDOWS = """
import os, pathlib, sys, tempfile, multiprocessing, socket, time
import fcntl  # for everybody else

for name in ("fcntl", "pwd", "ctypes", "_hashlib"):
    assert lacks(name), name
ours = imported("os")
for name in ("fork", "pread", "sendfile", "O_NOFOLLOW"):
    assert not hasattr(ours, name) and hasattr(os, name), name
assert (ours.name, imported("sys").platform, os.name) == ("nt", "win32", "posix")
assert multiprocessing.get_start_method() == "spawn"
assert sys.stdout.encoding == "cp1252"
assert imported("time").time() % (1 / 64) == 0

folder = pathlib.Path(tempfile.mkdtemp())
def refuses(kind, action, *arguments):
    try:
        action(*arguments)
    except kind:
        return True
    return False

old, new = folder / "old", folder / "new"
with old.open("w") as file:
    file.write("a\\n")
    for action in (lambda: old.unlink(), lambda: old.replace(new), lambda: folder.rename(folder.with_name("other"))):
        assert refuses(PermissionError, action)
assert old.read_bytes() == b"a\\r\\n"
new.touch()
assert refuses(FileExistsError, os.rename, old, new)
assert refuses(PermissionError, os.open, folder, os.O_RDONLY)
assert refuses(PermissionError, open, folder)
assert refuses(AssertionError, ours.open, old, ours.O_RDONLY)
os.close(ours.open(old, ours.O_RDONLY | ours.O_BINARY))
new.chmod(0o400)
assert refuses(PermissionError, new.unlink) and refuses(PermissionError, old.replace, new)
new.chmod(0o600)
old.replace(new)
assert refuses(OSError, os.symlink, new, old)
for name in ("a:b", "NUL", "com1.txt", "a.", "a ", "a?", "x\\\\y"):
    assert refuses(OSError, (folder / name).touch), name
for name in ("console", "a.b", ".a", "nul_"):
    (folder / name).touch()
with tempfile.TemporaryFile() as file:
    assert os.path.exists(file.name)
assert not os.path.exists(file.name)
"""

MACOS = """
import multiprocessing
ours = imported("os")
assert not lacks("fcntl") and hasattr(ours, "fork") and not hasattr(ours, "O_TMPFILE")
assert imported("sys").platform == "darwin"
assert multiprocessing.get_start_method() == "spawn"
"""


@pytest.mark.parametrize(
    ("system", "program"), [(("windows", "_hashlib", "ctypes"), WINDOWS), (("macos",), MACOS)], ids=["windows", "macos"]
)
def test_a_system_is_simulated(system, program):
    done = run("-c", OURS + program, system=system)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_what_is_expected_to_fail_exists():
    names = {name for reasons in EXPECTED.values() for each in reasons.values() for name in each}
    for name in names:
        file, *_, test = name.split("::")
        assert f"def {test.partition('[')[0]}(" in (TESTS / file).read_text("utf-8"), name


def test_an_interpreter_that_cannot_simulate_a_system_ends():
    done = run("-c", "print('not reached')", system=("plan9",))
    assert (done.returncode, done.stdout) == (70, b"")
    assert b"no such system: plan9" in done.stderr
