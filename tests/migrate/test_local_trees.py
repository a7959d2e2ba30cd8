"""Trees on the local disk: links, special files, and what cannot be read."""

import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosv4fs.migrate.local_trees import LocalTree
from cosv4fs.migrate.locations import open_location
from cosv4fs.migrate.selection import EVERYTHING, Rule, Selection
from cosv4fs.migrate.trees import scan

LINKS = "links to directories are not followed: use --follow-links or --skip-links, or copy the directory"
LOOP = "it leads to a directory above it, and is not followed"
SPECIAL = "pipes, sockets and devices cannot be copied from a directory"
SKIPPED = "it is a link, and links are skipped"


@pytest.fixture
def top(tmp_path):
    folder = tmp_path / "top"
    folder.mkdir()
    return folder


def listed(top, selection=EVERYTHING):
    """Return the entries of a whole tree by path."""
    entries = [entry for page in scan(open_location(str(top)), selection) for entry in page]
    found = {entry.path: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def refusals(found):
    return {path: entry.refusal for path, entry in found.items() if entry.refusal}


@contextmanager
def unprivileged():
    """Take the rights of root from this process: its checks would always succeed."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public():
    """A directory that every user can read, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_files_and_directories(top):
    (top / "a" / "b").mkdir(parents=True)
    (top / "a/b/file").write_bytes(b"12345")
    os.utime(top / "a/b/file", (5, 1000.5))
    (top / "empty").mkdir()
    (top / ".name.0123456789abcdef.cosv4fs-part").write_bytes(b"unfinished")
    found = listed(top)
    assert {path: entry.is_directory for path, entry in found.items()} == {
        "a": True,
        "a/b": True,
        "a/b/file": False,
        "empty": True,
    }
    file = found["a/b/file"]
    assert (file.size, file.modified, file.changed) == (5, 1000.5, (top / "a/b/file").stat().st_ctime)
    assert (file.refusal, file.is_skipped) == ("", False)


def test_special_files_are_refused(top, monkeypatch):
    os.mkfifo(top / "pipe")
    (top / "null").symlink_to("/dev/null")
    # the path of a socket must be short
    monkeypatch.chdir(top)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    assert refusals(listed(top)) == dict.fromkeys(["null", "pipe", "socket"], SPECIAL)


def test_links_stand_for_files_and_are_not_followed_to_directories(top):
    (top / "dir").mkdir()
    (top / "file").write_bytes(b"123")
    os.utime(top / "file", (5, 7))
    (top / "to_file").symlink_to("file")
    (top / "to_dir").symlink_to("dir")
    (top / "broken").symlink_to("nowhere")
    (top / "circle").symlink_to("circle")
    (top / "below_file").symlink_to("file/x")
    found = listed(top)
    assert refusals(found) == {
        "to_dir": LINKS,
        "broken": "it is a broken link, to nowhere",
        "circle": "it is a broken link, to circle",
        "below_file": "it is a broken link, to file/x",
    }
    assert (found["to_file"].size, found["to_file"].modified) == (3, 7)
    assert not any(entry.is_directory or entry.is_skipped for path, entry in found.items() if path != "dir")


def test_skipped_links_are_counted(top):
    (top / "dir").mkdir()
    (top / "to_dir").symlink_to("dir")
    (top / "to_file").symlink_to("/etc/hostname")
    (top / "broken.bak").symlink_to("nowhere")
    found = listed(top, Selection((Rule("*.bak", includes=False), Rule("to_f*/", includes=False)), links="skip"))
    assert sorted(found) == ["broken.bak", "dir", "to_dir", "to_file"]
    assert refusals(found) == dict.fromkeys(["broken.bak", "to_dir", "to_file"], SKIPPED)
    assert [path for path in sorted(found) if found[path].is_skipped] == ["broken.bak", "to_dir", "to_file"]
    nothing = Selection((Rule("*/", includes=False), Rule("*", includes=False)), links="skip")
    assert listed(top, nothing) == {}


def test_listed_links_are_selected_by_their_names(top):
    (top / "dir").mkdir()
    (top / "link").symlink_to("dir")
    (top / "link.csv").symlink_to("dir")
    found = listed(top, Selection((Rule("/*.csv"),), links="list"))
    assert refusals(found) == {"link.csv": LINKS}


def test_followed_links(top, tmp_path):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/file").write_bytes(b"1")
    (outside / "deep/back").symlink_to("..")
    (outside / "home").symlink_to(top)
    (top / "dir").mkdir()
    (top / "dir/out").symlink_to(outside)
    (top / "dir/same").symlink_to("../dir")
    (top / "dir/parent").symlink_to("../..")
    (top / "dir/root").symlink_to("/")
    found = listed(top, Selection(links="follow"))
    assert refusals(found) == dict.fromkeys(
        ["dir/out/deep/back", "dir/out/home", "dir/parent", "dir/root", "dir/same"], LOOP
    )
    assert found["dir/out/deep/file"].size == 1
    assert all(found[path].is_directory for path in ("dir/out", "dir/out/deep", "dir/same"))


def test_junctions_of_windows_are_links(top, monkeypatch):
    monkeypatch.setattr("cosv4fs.migrate.local_trees._is_junction", lambda item: item.name == "junction")
    (top / "junction").mkdir()
    (top / "junction/file").touch()
    assert refusals(listed(top)) == {"junction": LINKS}
    assert refusals(listed(top, Selection(links="skip"))) == {"junction": SKIPPED}
    assert "junction/file" in listed(top, Selection(links="follow"))


def test_a_directory_below_a_followed_link_may_be_one_above(tmp_path):
    (tmp_path / "outer/inner").mkdir(parents=True)
    (tmp_path / "outer/inner/up").symlink_to("..")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to("../outer/inner")
    assert refusals(listed(tmp_path / "top", Selection(links="follow"))) == {"link/up/inner": LOOP}


def test_refused_paths_can_be_excluded(top):
    os.mkfifo(top / "pipe")
    (top / "broken").symlink_to("nowhere")
    (top / "link").symlink_to(".")

    def refused(*patterns):
        return sorted(refusals(listed(top, Selection(tuple(Rule(text, includes=False) for text in patterns)))))

    assert refused() == ["broken", "link", "pipe"]
    assert refused("pipe", "broken") == ["link"]
    assert refused("link/") == ["broken", "pipe"]
    # a file that is selected may be behind the link
    assert sorted(refusals(listed(top, Selection((Rule("*.csv"),))))) == ["link"]


def test_excluded_files_are_left_out(top):
    (top / "a.tmp").write_bytes(b"")
    (top / "a.csv").write_bytes(b"")
    (top / "link.tmp").symlink_to("a.csv")
    assert sorted(listed(top, Selection((Rule("*.tmp", includes=False),)))) == ["a.csv"]


def test_files_removed_meanwhile_are_left_out(top):
    for name in "abc":
        (top / name).write_bytes(b"1")
    entries = LocalTree(str(top), EVERYTHING).list("")
    first = next(entries).path
    for name in {*"abc"} - {first}:
        (top / name).unlink()
    assert list(entries) == []


def test_a_status_that_cannot_be_read_is_a_refusal(public):
    (public / "dir").mkdir()
    (public / "dir/file").write_bytes(b"1")
    (public / "link").symlink_to("dir/file")
    (public / "dir").chmod(0o444)
    with unprivileged():
        found = listed(public)
    assert refusals(found) == dict.fromkeys(["dir/file", "link"], "its status cannot be read: Permission denied")
    assert sorted(found) == ["dir", "dir/file", "link"]


def test_names_that_are_not_utf8(top):
    Path(os.fsdecode(os.fsencode(top) + b"/\xff")).write_bytes(b"1")
    assert list(listed(top)) == ["\udcff"]


def test_an_unreadable_directory_is_a_refusal(public):
    (public / "dir/secret").mkdir(parents=True)
    (public / "dir/file").write_bytes(b"1")
    (public / "dir/secret").chmod(0o000)
    with unprivileged():
        found = listed(public)
        excluded = listed(public, Selection((Rule("secret/", includes=False),)))
    assert refusals(found) == {"dir/secret": "it cannot be listed: Permission denied"}
    assert found["dir/secret"].is_directory
    assert sorted(found) == ["dir", "dir/file", "dir/secret"]
    assert sorted(excluded) == ["dir", "dir/file"]
