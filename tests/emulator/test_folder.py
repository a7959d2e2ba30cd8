"""A service that is started on a folder never touches what it did not write, and keeps contents without a database."""

import os
import sqlite3
import subprocess
import sys

import pytest

from cosv4fs.emulator import CofferEmulator, Emulator, EmulatorError
from cosv4fs.emulator.__main__ import main

from .client import NOW, SECRET_ID, SECRET_KEY, Client
from .coffers import COFFER, Coffers

KINDS = ["buckets", "coffers"]


def make(kind, root):
    options = {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "clock": lambda: NOW}
    if kind == "coffers":
        return CofferEmulator(root, coffers=(COFFER,), **options)
    return Emulator(root, buckets=("b",), **options)


def fill(kind, root):
    with make(kind, root) as emulator:
        for name in ("one", "two"):
            if kind == "coffers":
                assert Coffers(emulator).put(name, b"content").status == 200
            else:
                assert Client(emulator).upload(f"/{name}", b"content").code == 0


def below(folder):
    """Return everything in a folder, with its content; links by where they lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


def refused(kind, root, text):
    """Start a service on a folder that it has to refuse, and see that it has changed nothing."""
    before = below(root)
    with pytest.raises(EmulatorError, match=text):
        make(kind, root).start()
    after = below(root)
    # the lock, and what SQLite keeps beside a database that is read
    ours = {"emulator.lock", "emulator.sqlite-shm", "emulator.sqlite-wal"}
    assert {name: value for name, value in after.items() if name not in ours} == {
        name: value for name, value in before.items() if name not in ours
    }
    return after


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def root(kind, tmp_path):
    """A folder with two files that was closed as it should be."""
    fill(kind, tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize(
    "name", ["blobs/weights.bin", "weights.bin", "blobs/sub/weights.bin", ".hidden", "blobs/a.part"]
)
def test_folders_of_others_are_refused(kind, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"precious")
    before = below(tmp_path)
    assert refused(kind, tmp_path, f"has files of others, such as {name.partition('/')[0]}: name an empty") == before


def test_new_and_empty_folders_are_accepted(kind, tmp_path):
    (tmp_path / "empty").mkdir()
    # killed before it had a database
    (tmp_path / "begun" / "blobs").mkdir(parents=True)
    (tmp_path / "begun" / "emulator.lock").touch()
    for name in ("empty", "begun", "new/er"):
        fill(kind, tmp_path / name)
        assert len(list((tmp_path / name / "blobs").iterdir())) == 2


def test_files_of_others_are_left_alone(kind, root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "victim").write_bytes(b"precious")
    (root / "notes.txt").write_bytes(b"precious")
    stored = next((root / "blobs").iterdir()).name
    (root / "blobs" / "weights.bin").write_bytes(b"precious")
    (root / "blobs" / "download.part").write_bytes(b"precious")
    (root / "blobs" / f"{stored[:8]}{'0' * 24}").symlink_to(tmp_path / "elsewhere" / "victim")
    (root / "blobs" / f"{stored[:8]}{'1' * 24}").mkdir()
    before = below(tmp_path)
    with make(kind, root):
        pass
    assert before.items() <= {**below(tmp_path), "root/emulator.sqlite": before["root/emulator.sqlite"]}.items()


def remove(root):
    (root / "emulator.sqlite").unlink()


def remove_the_older_part(root):
    (root / "emulator.sqlite").rename(root / "emulator.sqlite-wal")


def empty(root):
    (root / "emulator.sqlite").write_bytes(b"")


def drop_tables(root):
    base = sqlite3.connect(root / "emulator.sqlite")
    for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        base.execute(f"DROP TABLE {name}")
    base.commit()
    base.close()


def overwrite(root):
    size = (root / "emulator.sqlite").stat().st_size
    (root / "emulator.sqlite").write_bytes(b"nonsense" * (size // 8))


def overwrite_pages(root):
    data = (root / "emulator.sqlite").read_bytes()
    (root / "emulator.sqlite").write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def take_one_of_another_folder(root):
    kind = "coffers" if b"CREATE TABLE coffers" in (root / "emulator.sqlite").read_bytes() else "buckets"
    fill(kind, root.parent / "other")
    (root.parent / "other" / "emulator.sqlite").replace(root / "emulator.sqlite")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (remove, "emulator.sqlite is missing, .*put the right database back.*nothing was changed"),
        (remove_the_older_part, "is missing, .*put the right database back.*nothing was changed"),
        (empty, "is empty, .*put the right database back.*nothing was changed"),
        (drop_tables, "is empty, .*put the right database back.*nothing was changed"),
        (overwrite, "cannot use the database"),
        (overwrite_pages, "cannot use|damaged"),
        (take_one_of_another_folder, "does not know the content .*put the right database back.*nothing was changed"),
    ],
)
def test_contents_without_their_database_are_kept(kind, root, damage, text):
    damage(root)
    contents = below(root / "blobs")
    assert len(contents) == 2
    refused(kind, root, text)
    assert below(root / "blobs") == contents


def test_a_damaged_database_decides_nothing(kind, root):
    base = sqlite3.connect(root / "emulator.sqlite")
    table = "objects" if kind == "coffers" else "nodes"
    [(page,)] = base.execute("SELECT rootpage FROM sqlite_master WHERE name = 'used_until' OR name = 'objects_age'")
    base.execute(f"DELETE FROM {table}")
    base.commit()
    base.close()
    with (root / "emulator.sqlite").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    refused(kind, root, "is damaged .*put the right database back")


@pytest.mark.parametrize(
    "change", ["ALTER TABLE {table} ADD COLUMN newer TEXT", "CREATE TABLE newer (x)", "DROP TABLE uploads"]
)
def test_databases_of_other_versions_are_refused(kind, root, change):
    base = sqlite3.connect(root / "emulator.sqlite")
    base.execute(change.format(table="objects" if kind == "coffers" else "nodes"))
    base.commit()
    base.close()
    refused(kind, root, "made by another program, service or version")


def test_the_other_service_is_refused(kind, root):
    refused(KINDS[1 - KINDS.index(kind)], root, "made by another program, service or version")


def test_folders_of_the_first_version_are_accepted(kind, root):
    base = sqlite3.connect(root / "emulator.sqlite")
    table = "objects" if kind == "coffers" else "nodes"
    base.execute("PRAGMA user_version = 0")
    for number, (blob,) in enumerate(base.execute(f"SELECT blob FROM {table} WHERE blob IS NOT NULL").fetchall()):
        new = f"{number:032x}"
        (root / "blobs" / blob).rename(root / "blobs" / new)
        base.execute(f"UPDATE {table} SET blob = ? WHERE blob = ?", (new, blob))
    base.commit()
    base.close()
    before = below(root / "blobs")
    with make(kind, root):
        assert below(root / "blobs") == before


@pytest.mark.parametrize("name", ["blobs", "emulator.sqlite", "emulator.lock"])
def test_links_in_the_place_of_its_files_are_refused(kind, root, tmp_path, name):
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    before = below(tmp_path)
    refused(kind, root, rf"{name} has to be a (file|directory), and no link")
    assert below(tmp_path) == before


def test_a_root_may_be_reached_through_a_link(kind, root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    stored = next((root / "blobs").iterdir()).name
    (root / "blobs" / f"{stored[:8]}{'0' * 24}.part").write_bytes(b"half")
    with make(kind, tmp_path / "link"):
        assert len(list((root / "blobs").iterdir())) == 2


def test_an_empty_name_is_no_folder(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmulatorError, match="empty name"):
        make(kind, "")
    assert main(["--root", ""]) == 2
    assert "empty name" in capsys.readouterr().err
    assert below(tmp_path) == {}


def test_the_command_reports_why_it_does_not_start(tmp_path):
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "cache" / "blobs" / "weights.bin").write_bytes(b"precious")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "cosv4fs", "emulator", "--root", "cache", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cosv4fs emulator: error: the folder cache has files of others, such as blobs")
    assert below(tmp_path / "cache") == {"blobs": False, "blobs/weights.bin": b"precious"}
