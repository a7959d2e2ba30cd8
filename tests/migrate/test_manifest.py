"""The manifest: one process at a time, nothing lost, changes seen."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from cosv4fs.migrate.manifest import COPIED, FAILED, PENDING, VERIFIED, File, Manifest, Outcome

HOLDER = """
import sys
from cosv4fs.migrate.manifest import File, Manifest
book = Manifest(sys.argv[1], "s", "t")
book.begin_listing()
book.list_page([File("x", 1)], [])
print("has it", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "manifest.sqlite"


@pytest.fixture
def book(path):
    with Manifest(path, "s", "t") as opened:
        yield opened


def listing(book, *files):
    book.begin_listing()
    book.list_page(files, [])
    book.end_listing()


def states(book):
    return {row["path"]: row["state"] for row in book.rows()}


def test_what_a_copy_lost_is_known_until_the_file_changes(book):
    listing(book, File("x", 1, 5, "a" * 40))
    book.record([Outcome("x", COPIED, "copied", is_begun=True, lost=("authority", "metadata"))])
    book.record([Outcome("x", VERIFIED, "copied")])
    assert book.not_carried() == {name: {"files": 1, "examples": ["x"]} for name in ("authority", "metadata")}
    listing(book, File("x", 1, 6, "b" * 40))
    book.record([Outcome("x", VERIFIED, "found")])
    assert book.not_carried() == {}


@pytest.mark.parametrize(
    ("age", "sha", "ahead", "state"),
    [
        (-10, None, 0.0, PENDING),
        (50, None, 0.0, COPIED),
        (50, None, -60.0, PENDING),
        (-10, "a" * 40, 0.0, COPIED),
        (-10, None, None, COPIED),
        (-10.5, None, 0.0, COPIED),
    ],
)
def test_a_file_that_was_listed_in_the_second_of_its_change_is_looked_at_again(book, age, sha, ahead, state):
    """Whole seconds hide another change, unless a checksum shows it, or files never change."""
    file = File("x", 1, int(time.time()) - age, sha)
    listing(book, file)
    book.record([Outcome("x", COPIED)])
    book.begin_listing(ahead)
    book.list_page([file], [])
    assert states(book) == {"x": state}


def test_a_second_one_is_refused_until_the_first_is_closed(path, book):
    with pytest.raises(BlockingIOError, match=str(os.getpid())):
        Manifest(path, "s", "t")
    book.close()
    Manifest(path, "s", "t").close()


@pytest.mark.parametrize("with_fcntl", [True, False])
def test_the_lock_dies_with_its_process_and_what_was_noted_stays(path, monkeypatch, with_fcntl):
    if not with_fcntl:
        monkeypatch.setattr("cosv4fs.portability.fcntl", None)
    hide = "" if with_fcntl else "import cosv4fs.migrate.manifest as m; m.fcntl = None\n"
    with subprocess.Popen(
        [sys.executable, "-c", hide + HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(BlockingIOError):
            Manifest(path, "s", "t")
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    with Manifest(path, "s", "t") as book:
        assert states(book) == {"x": PENDING}


def test_others_can_read_it_meanwhile(path, book):
    listing(book, File("x", 1))
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT path FROM files").fetchall() == [("x",)]
    reader.close()


def test_what_is_no_manifest_is_left_alone(path, book):
    book.close()
    with pytest.raises(ValueError, match="another migration, with target t instead of other: choose"):
        Manifest(path, "s", "other")
    path.write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match="cannot be used as a manifest"):
        Manifest(path, "s", "t")
    assert path.read_bytes() == b"something else" * 100


@pytest.mark.parametrize("is_trial", [False, True])
@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("CREATE TABLE users (name); INSERT INTO users VALUES ('x')", "the database of another program"),
        ("CREATE TABLE about (text); CREATE TABLE files (path); CREATE TABLE folders (path)", "of another program"),
        ("CREATE TABLE about (name, value); INSERT INTO about VALUES ('version', '3')", "of another program"),
        ("UPDATE about SET value = '1' WHERE name = 'version'; DROP VIEW listed_files", "another version of cosv4fs"),
    ],
)
def test_other_databases_are_left_alone(path, tables, said, is_trial):
    path.parent.mkdir()
    if "UPDATE" in tables:
        Manifest(path, "s", "t").close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"PRAGMA journal_mode = DELETE; {tables}")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=said):
        Manifest(path, "s", "t", is_trial=is_trial)
    assert path.read_bytes() == before


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_name_that_cannot_be_stored_and_is_written_as_another_one(book, is_first, pages):
    files = [File("x", 1, error="its name is not valid UTF-8"), File("x", 1)][:: 1 if is_first else -1]
    for _ in range(2):
        book.begin_listing()
        for page in [files] if pages == 1 else [[file] for file in files]:
            book.list_page(page, [])
        book.end_listing()
        assert book.failures(2) == [("x", "its name is not valid UTF-8")]
        assert list(book.files()) == []
    listing(book, File("x", 1))
    assert [file.path for file in book.files()] == ["x"]


@pytest.mark.parametrize(
    "changed", [File("x", 2, 5.0, "a"), File("x", 1, 6.0, "a"), File("x", 1, 5.0, "b"), File("x", 1, 5.0)]
)
def test_what_has_changed_is_pending_again(book, changed):
    listing(book, File("x", 1, 5.0, "a"), File("y", 1, 5.0, "a"))
    book.record([Outcome("x", VERIFIED, "copied", "c"), Outcome("y", VERIFIED, "copied", "c")])
    listing(book, File("x", 1, 5.0, "a"), File("y", 1, 5.0, "a"))
    assert states(book) == {"x": VERIFIED, "y": VERIFIED}
    listing(book, changed, File("y", 1, 5.0, "a"))
    assert states(book) == {"x": PENDING, "y": VERIFIED}
    assert [(file.path, file.size, file.sha, file.content) for file in book.files(COPIED)] == [
        ("x", changed.size, changed.sha, None)
    ]


def test_what_is_not_listed_any_more_has_vanished_and_is_no_work(book):
    listing(book, File("x", 1), File("y", 2))
    listing(book, File("y", 2))
    assert book.totals() == {PENDING: (1, 2), "gone": (1, 1)}
    assert [file.path for file in book.files()] == ["y"]


def test_a_listing_that_was_interrupted_begins_anew(path, book):
    book.begin_listing()
    book.list_page([File("x", 1)], ["a", "b"])
    book.list_page([File("a/y", 1)], ["a/c"])
    book.close()
    with Manifest(path, "s", "t") as again:
        again.begin_listing()
        again.list_page([File("x", 1), File("new", 1)], ["b", "b/c"])
        again.end_listing()
        assert list(again.empty_folders()) == ["b/c"]
        assert set(states(again)) == {"x", "new", "a/y"}
        assert again.totals() == {PENDING: (2, 2), "gone": (1, 1)}


def test_what_was_not_listed_keeps_its_state(book):
    """Because its directory cannot be listed, or because it is not selected."""
    listing(book, *(File(name, 1) for name in ("d/x", "d/y", "d.txt", "e", "f")))
    book.record([Outcome("d/x", COPIED, "copied"), Outcome("f", COPIED, "copied")])
    book.begin_listing()
    book.list_page([File("d/", error="no access"), File("e", 1)], [])
    book.end_listing(lambda path: path != "f")
    assert book.totals() == {COPIED: (1, 1), PENDING: (2, 2), FAILED: (1, 0), "gone": (1, 1)}
    assert [file.path for file in book.files()] == ["d/y", "e"]
    assert states(book)["f"] == COPIED


def test_a_trial_changes_nothing(path, book):
    listing(book, File("x", 1))
    with Manifest(path, "s", "t", is_trial=True) as trial:
        listing(trial, File("x", 2), File("y", 1))
        trial.record([Outcome("y", COPIED, "copied")])
        assert states(trial) == {"x": PENDING, "y": COPIED}
    assert states(book) == {"x": PENDING}
    with Manifest(path.parent / "none", "s", "t", is_trial=True) as trial:
        listing(trial, File("x", 2))
    assert sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(("-wal", "-shm"))) == [
        "manifest.sqlite",
        "manifest.sqlite.lock",
    ]
    with pytest.raises(ValueError, match="another migration, with target t instead of other: choose"):
        Manifest(path, "s", "other", is_trial=True)


def test_files_come_once_each_whatever_becomes_of_them(book):
    listing(book, *(File(f"{number:02}", 1) for number in range(10)), File("barred", error="it is a pipe"))
    seen = []
    for file in book.files():
        seen.append(file.path)
        book.record([Outcome(file.path, FAILED, error="no")])
    assert seen == [f"{number:02}" for number in range(10)]
    assert len(book.failures(100)) == 11
    assert len(list(book.files())) == 10, "what failed is tried again by the next run"


def test_copied_files_are_work_only_when_they_have_to_be_verified(book):
    listing(book, File("x", 1, 2.0, "a"))
    book.begin(["x"])
    book.record([Outcome("x", COPIED, "copied", "c", size=1, is_begun=True)])
    assert book.work() == (0, 0)
    assert book.work(COPIED) == (1, 1)
    assert list(book.files(COPIED)) == [File("x", 1, 2.0, "a", "", COPIED, "copied", "c")]


@pytest.mark.parametrize("way", ["begin", "reopen"])
def test_what_is_written_again_is_not_complete(path, book, way):
    listing(book, File("x", 1), File("y", 1))
    book.record([Outcome(name, VERIFIED, "copied", "c") for name in "xy"])
    getattr(book, way)(["x"])
    assert states(book) == {"x": PENDING, "y": VERIFIED}


@pytest.mark.parametrize("began", [1, 0, None])
def test_attempts_are_counted(book, began):
    """When they begin, or when they end; on a cluster, it may be unknown until the end that one has begun."""
    listing(book, File("x", 1))
    for _ in range(3):
        if began is not None:
            book.begin(["x"], attempts=began)
            (row,) = book.rows()
            assert row["is_written"] == 1
        book.record([Outcome("x", FAILED, error="no", is_begun=True)], begun=bool(began))
    (row,) = book.rows()
    assert (row["attempts"], row["is_written"]) == (3, 1)
    book.record([Outcome("x", COPIED, "copied", "c", size=1, is_begun=True)], begun=bool(began))
    (row,) = book.rows()
    assert row["is_written"] == 0, "what is known complete is nobody's half"
