"""Migrations to a local folder that others write into, too: nobody's file is overwritten, and nothing is mixed."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from cosv4fs import localfiles
from cosv4fs.cli import main
from cosv4fs.localfiles import is_part, replacing
from cosv4fs.migrate.manifest import Manifest
from cosv4fs.migrate.migration import Watcher, migrate
from tests.support import MIB, content

pytestmark = pytest.mark.usefixtures("named_parts")
OLD, NEW = content(9 * MIB, 1), content(9 * MIB, 2)


class Once(Watcher):
    """Does something when the first bytes of a migration have arrived."""

    def __init__(self, action):
        self._action = action

    def moved(self, size):
        action, self._action = self._action, lambda: None
        action()


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def run(tmp_path, out):
    """Migrate a folder with one file to the folder `out`; every source has a manifest of its own."""

    def run(name, data, action=lambda: None, **more):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if not (folder / "file").exists() or (folder / "file").read_bytes() != data:
            (folder / "file").write_bytes(data)
        return migrate(str(folder), str(out), manifest=tmp_path / f"{name}.sqlite", watcher=Once(action), **more)

    return run


def test_a_link_in_the_place_of_an_earlier_temporary_name_is_not_followed(run, tmp_path, out):
    (tmp_path / "victim").write_bytes(b"precious")
    seen = set()
    run("source", OLD, lambda: seen.update(os.listdir(out)))
    assert seen
    assert "file" not in seen
    for name in seen:
        (out / name).symlink_to(tmp_path / "victim")
    assert run("source", NEW[:-1]).failed == 0
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert (out / "file").read_bytes() == NEW[:-1]


def test_two_migrations_into_one_folder_publish_whole_files(run, out):
    found = []

    def other():
        assert run("other", NEW).failed == 0
        found.append((out / "file").read_bytes())

    assert run("one", OLD, other).failed == 0
    assert found == [NEW]
    assert (out / "file").read_bytes() == OLD
    assert os.listdir(out) == ["file"]


def test_a_migration_that_runs_already_is_not_begun_again(run):
    def again():
        with pytest.raises(BlockingIOError, match=r"process \d+ is using this manifest.*wait for it"):
            run("source", OLD)

    assert run("source", OLD, again).failed == 0


def test_unfinished_files_are_private_and_published_as_open_as_usual(run, out):
    modes = []

    def look():
        modes.extend(path.stat().st_mode & 0o777 for path in out.iterdir() if is_part(path.name))

    before = os.umask(0o022)
    try:
        run("source", OLD, look)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert (out / "file").stat().st_mode & 0o777 == 0o644


def test_a_link_in_the_place_of_a_file_is_replaced(run, tmp_path, out):
    (tmp_path / "victim").write_bytes(b"precious")
    (out / "file").symlink_to(tmp_path / "victim")
    assert run("source", OLD).copied == 1
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (out / "file").is_symlink()


def test_folders_that_are_links_are_followed(tmp_path, out):
    (tmp_path / "source" / "sub").mkdir(parents=True)
    (tmp_path / "source" / "sub" / "file").write_bytes(OLD)
    (tmp_path / "elsewhere").mkdir()
    (out / "sub").symlink_to(tmp_path / "elsewhere")
    migrate(str(tmp_path / "source"), str(out), manifest=tmp_path / "m.sqlite")
    assert (tmp_path / "elsewhere" / "file").read_bytes() == OLD
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


KILLED = """
import os, signal, sys
from cosv4fs import localfiles
from cosv4fs.migrate.migration import Watcher, migrate

class Killer(Watcher):
    def moved(self, size):
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[4] == "named":
    localfiles._open_unnamed = lambda part, mode: None
migrate(sys.argv[1], sys.argv[2], manifest=sys.argv[3], watcher=Killer())
"""


@pytest.fixture
def killed(tmp_path, out):
    """Run a migration that is killed; return the names that it leaves."""

    def killed(kind):
        (tmp_path / "killed").mkdir()
        (tmp_path / "killed" / "file").write_bytes(OLD)
        arguments = [tmp_path / "killed", out, tmp_path / "killed.sqlite", kind]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", textwrap.dedent(KILLED), *arguments]
        assert subprocess.run(command, env=environment, timeout=60).returncode == -signal.SIGKILL
        return os.listdir(out)

    return killed


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="there are no unnamed files here")
def test_a_killed_one_leaves_nothing_where_files_need_no_name(killed, out):
    if not localfiles._can_be_named(out / "probe"):
        pytest.skip("this disk has no unnamed files")
    assert killed("unnamed") == []


@pytest.fixture
def left(killed, out):
    """The file that a migration left which was killed."""
    [name] = killed("named")
    assert is_part(name)
    return out / name


def test_the_next_run_removes_what_a_killed_one_left(run, out, left):
    assert run("killed", OLD).failed == 0
    assert os.listdir(out) == ["file"]


def test_what_others_still_write_stays(run, out):
    with replacing(out / "file") as file:
        file.write(NEW)
        assert run("source", OLD).failed == 0
        assert (out / "file").read_bytes() == OLD
    assert (out / "file").read_bytes() == NEW


def test_what_a_killed_process_left_is_no_source(left, out, fs, tmp_path):
    (out / "good").write_bytes(b"good")
    fs.put(str(out), "data/put", recursive=True)
    assert fs.find("data/put") == ["data/put/good"]
    migrate(str(out), str(tmp_path / "migrated"), manifest=tmp_path / "second.sqlite")
    assert os.listdir(tmp_path / "migrated") == ["good"]
    assert main(["cp", "-r", str(out), str(tmp_path / "copied")]) == 0
    assert main(["sync", "--delete", str(out), str(tmp_path / "synced")]) == 0
    assert os.listdir(tmp_path / "copied") == os.listdir(tmp_path / "synced") == ["good"]
    # named in full, it is a file like others
    fs.put(str(left), "data/named")
    assert fs.info("data/named")["size"] == left.stat().st_size


def test_syncing_removes_no_file_that_somebody_writes(out, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(OLD)
    with replacing(out / "other") as file:
        file.write(NEW)
        assert main(["sync", "--delete", str(tmp_path / "source"), str(out)]) == 0
    assert (out / "other").read_bytes() == NEW


class TestManifest:
    def test_a_hard_link_in_the_place_of_its_lock_is_left_alone(self, tmp_path):
        (tmp_path / "victim").write_bytes(b"precious")
        (tmp_path / "m.sqlite.lock").hardlink_to(tmp_path / "victim")
        Manifest(tmp_path / "m.sqlite", "a", "b").close()
        assert (tmp_path / "victim").read_bytes() == b"precious"

    @pytest.mark.parametrize("suffix", ["", ".lock"])
    @pytest.mark.parametrize("goal", ["victim", "missing"])
    def test_links_are_not_followed(self, tmp_path, suffix, goal):
        (tmp_path / "victim").write_bytes(b"")
        (tmp_path / f"m.sqlite{suffix}").symlink_to(tmp_path / goal)
        with pytest.raises(OSError, match="symbolic link") as caught:
            Manifest(tmp_path / "m.sqlite", "a", "b")
        assert caught.value.filename == str(tmp_path / f"m.sqlite{suffix}")
        assert (tmp_path / "victim").read_bytes() == b""
        assert not (tmp_path / "missing").exists()

    def test_it_is_for_its_user_alone(self, tmp_path):
        before = os.umask(0)
        try:
            with Manifest(tmp_path / "new" / "m.sqlite", "a", "b"):
                modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
        finally:
            os.umask(before)
        assert set(modes.values()) == {0o600}
        assert {"m.sqlite", "m.sqlite.lock"} <= modes.keys()
