"""What exists: listings, infos and matches, caches and other writers."""

import errno
import hashlib
import os
import threading
import weakref
from datetime import datetime, timedelta, timezone

import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import HttpError, Refuse, Stall
from tests.filesystem.conftest import BUCKET, EVERY
from tests.support import fill

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def tree(fs):
    fs.pipe({f"{BUCKET}/{name}": name.encode() for name in ("top", "a/one", "a/two", "a/b/three", "c/four.csv")})
    fs.mkdir(f"{BUCKET}/empty")
    return fs


def names(*parts):
    return [f"{BUCKET}/{part}" if part else BUCKET for part in parts]


def test_listings(tree):
    assert tree.ls(BUCKET, detail=False) == names("a", "c", "empty", "top")
    assert tree.ls(f"{tree.protocol}://{BUCKET}/a/", detail=False) == names("a/b", "a/one", "a/two")
    assert tree.ls(f"{BUCKET}/top", detail=False) == names("top")
    assert tree.ls(f"{BUCKET}/empty") == []
    with pytest.raises(FileNotFoundError):
        tree.ls(f"{BUCKET}/none")
    with pytest.raises(NotImplementedError, match="list buckets"):
        tree.ls("")


def test_infos(tree):
    info = tree.info(f"{BUCKET}/a/one")
    assert info["type"] == "file"
    assert info["size"] == 5
    assert info["sha"] == hashlib.sha1(b"a/one").hexdigest()
    assert tree.info(f"{BUCKET}/a")["type"] == "directory"
    assert tree.info(BUCKET)["type"] == "directory"
    assert tree.info("")["type"] == "directory"
    listed = {entry["name"]: entry for entry in tree.ls(f"{BUCKET}/a")}
    tree.invalidate_cache()
    assert tree.info(f"{BUCKET}/a/one") == listed[f"{BUCKET}/a/one"]
    for kind in ("created", "modified"):
        assert abs(getattr(tree, kind)(f"{BUCKET}/top") - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert tree.size(f"{BUCKET}/top") == 3
    assert tree.sizes(names("top", "a/one")) == [3, 5]


@pytest.mark.parametrize("dialect", [Dialect(missing_mtime=True)])
def test_infos_without_the_time_of_the_last_change(tree):
    path = f"{BUCKET}/a/one"
    listed = {entry["name"]: entry for entry in tree.ls(f"{BUCKET}/a", refresh=True)}
    created = {name: info.pop("created") for name, info in listed.items()}
    assert listed[path] == {"name": path, "size": 5, "type": "file", "sha": hashlib.sha1(b"a/one").hexdigest()}
    assert listed[f"{BUCKET}/a/b"] == {"name": f"{BUCKET}/a/b", "size": 0, "type": "directory"}
    for name, info in listed.items():
        assert tree.info(name, refresh=True) == {**info, "created": created[name]}
    with pytest.raises(OSError, match="does not report when this path was changed") as caught:
        tree.modified(path)
    assert caught.value.errno == errno.ENOTSUP
    assert tree.cat_file(path) == b"a/one"


def test_finding(tree):
    assert tree.find(BUCKET) == names("a/b/three", "a/one", "a/two", "c/four.csv", "top")
    assert tree.find(BUCKET, maxdepth=1) == names("top")
    assert tree.find(f"{BUCKET}/a", withdirs=True) == names("a", "a/b", "a/b/three", "a/one", "a/two")
    assert tree.find(f"{BUCKET}/top") == names("top")
    assert tree.find(f"{BUCKET}/none") == []
    assert tree.du(BUCKET) == sum(len(name) for name in ("top", "a/one", "a/two", "a/b/three", "c/four.csv"))
    assert tree.du(f"{BUCKET}/a", total=False, maxdepth=1) == dict.fromkeys(names("a/one", "a/two"), 5)
    walked = list(tree.walk(f"{BUCKET}/a"))
    assert walked == [(f"{BUCKET}/a", ["b"], ["one", "two"]), (f"{BUCKET}/a/b", [], ["three"])]


EVERYTHING = ["a", "a/b", "a/b/three", "a/one", "a/two", "c", "c/four.csv", "empty", "top"]


@pytest.mark.parametrize("maxdepth", [None, 1, 2])
def test_finding_what_begins_so(tree, maxdepth):
    for prefix in ("a", "t", "a/", "a/t", "a/b/t", "a/b", "b", "none/x", ".", "..", "/a", "a/b/three"):
        expected = [n for n in EVERYTHING if n.startswith(prefix.lstrip("/")) and n.count("/") < (maxdepth or 9)]
        tree.invalidate_cache()
        # what is asked for, and what is cached
        for _ in range(2):
            found = tree.find(BUCKET, maxdepth=maxdepth, withdirs=True, prefix=prefix)
            assert found == names(*expected)
            assert tree.find(BUCKET, maxdepth=maxdepth, prefix=prefix) == [name for name in found if tree.isfile(name)]
            tree.find(BUCKET)
    assert tree.find(f"{BUCKET}/a", maxdepth=maxdepth, prefix="b") == names(*(["a/b/three"] if maxdepth != 1 else []))


def test_finding_what_begins_so_lists_nothing_else(tree, emulator):
    tree.invalidate_cache()
    emulator.clear_requests()
    assert tree.find(BUCKET, prefix="a/o") == names("a/one")
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("dots", [".", ".."])
def test_dots_are_matched_here(tree, emulator, dots):
    for find in (lambda: tree.find(f"{BUCKET}/a", prefix=dots), lambda: tree.glob(f"{BUCKET}/a/{dots}*")):
        tree.invalidate_cache()
        emulator.clear_requests()
        assert find() == []
        # a server or proxy may resolve "/a/.." before it lists
        assert {request.path for request in emulator.requests} == {"/a/"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a", "c", "empty", "top"]),
        ("a/*", ["a/b", "a/one", "a/two"]),
        ("a/t*", ["a/two"]),
        ("*/*.csv", ["c/four.csv"]),
        ("**/three", ["a/b/three"]),
        ("a/**", ["a", "a/b", "a/b/three", "a/one", "a/two"]),
        ("?", ["a", "c"]),
        ("[ac]/[!o]*", ["a/b", "a/two", "c/four.csv"]),
        ("*/b/*", ["a/b/three"]),
        ("a/*/", ["a/b"]),
        ("none/*", []),
        ("top/*", []),
        ("top", ["top"]),
        ("none", []),
    ],
)
def test_matching(tree, pattern, expected):
    assert tree.glob(f"{BUCKET}/{pattern}") == names(*expected)
    detailed = tree.glob(f"{tree.protocol}://{BUCKET}/{pattern}", detail=True)
    assert list(detailed) == names(*expected)


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(max_list=199),
        Dialect(max_list=199, listover="more"),
        Dialect(max_list=199, last_context="kept"),
        Dialect(max_list=199, last_context="next"),
    ],
)
def test_listings_of_several_pages_are_complete(fs, emulator, protocol, dialect):
    # v3's pages have at most 199 entries, v4's a thousand
    count = 2500 if protocol == "cosv4" and dialect == Dialect() else 450
    wanted = [f"{BUCKET}/d/{number:04}" for number in range(count)]
    fill(emulator, BUCKET, [path.removeprefix(BUCKET) for path in wanted])
    assert fs.ls(f"{BUCKET}/d", detail=False) == wanted
    assert 3 <= emulator.count()["list"] <= count // 199 + 3


@pytest.mark.parametrize("dialect", [Dialect(max_list=199)])
def test_a_failed_page_is_no_listing(fs, emulator):
    fill(emulator, BUCKET, [f"/d/{number:04}" for number in range(250)])
    emulator.faults.add(op="list", nth=2, times=1, action=Refuse(-97))
    with pytest.raises(PermissionError):
        fs.ls(f"{BUCKET}/d")
    assert len(fs.ls(f"{BUCKET}/d")) == 250


@pytest.mark.parametrize("action", [Refuse(-97), Refuse(-79), HttpError(403)])
def test_only_not_found_means_no(tree, emulator, action):
    emulator.faults.add(times=10_000, action=action)
    for question in (tree.exists, tree.isfile, tree.isdir, tree.find, tree.glob, lambda path: list(tree.walk(path))):
        tree.invalidate_cache()
        with pytest.raises(PermissionError):
            question(f"{BUCKET}/a")


def test_errors_of_a_walk_at_every_depth(fs, emulator):
    fs.pipe({f"{BUCKET}/w/{name}": b"" for name in ("one", "a/two", "a/deep/three", "b/four")})
    emulator.faults.add(op="list", path="/w/a/deep/", times=1000, action=Refuse(-97))
    emulator.faults.add(op="list", path="/w/b/", times=1000, action=Refuse(-197))
    bad, gone = f"{BUCKET}/w/a/deep", f"{BUCKET}/w/b"

    def found(action, *paths):
        errors = []
        rows = list(action(*paths, on_error=errors.append, refresh=True))
        paths = [row if isinstance(row, str) else row[0] for row in rows]
        return paths, [(error.filename, type(error).__name__) for error in errors]

    named = [(bad, "CosPermissionError"), (gone, "CosFileNotFoundError")]
    assert found(fs.walk, f"{BUCKET}/w") == ([f"{BUCKET}/w", f"{BUCKET}/w/a"], named)
    files, errors = found(fs.find, f"{BUCKET}/w")
    assert (files, sorted(errors)) == ([f"{BUCKET}/w/a/two", f"{BUCKET}/w/one"], named)
    for look in (fs.walk, fs.find):
        assert found(look, f"{BUCKET}/none") == ([], [(f"{BUCKET}/none", "CosFileNotFoundError")])
        with pytest.raises(FileNotFoundError):
            list(look(f"{BUCKET}/none", on_error="raise"))
        with pytest.raises(FileNotFoundError):
            list(look(gone, on_error="raise"))
        with pytest.raises(PermissionError):
            list(look(f"{BUCKET}/w"))
        with pytest.raises(ValueError, match="on_error"):
            list(look(f"{BUCKET}/w", on_error="ignore"))
        with pytest.raises(ValueError, match="maxdepth"):
            list(look(f"{BUCKET}/w", maxdepth=0))
    emulator.faults.clear()
    assert found(fs.find, f"{BUCKET}/w/one") == ([f"{BUCKET}/w/one"], [])


@pytest.mark.protocol(*EVERY)
def test_a_walk_is_that_of_the_operating_system(fs, tmp_path):
    for name in ("one", "a/two", "a/deep/three", "b/four"):
        fs.pipe_file(f"{BUCKET}/w/{name}", b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def walked(rows, root, prune=False):
        out = []
        for path, dirs, files in rows:
            out.append((path.removeprefix(root), sorted(dirs), sorted(files)))
            if prune:
                dirs[:] = [name for name in dirs if name != "deep"]
        return sorted(out) if not prune else out

    for options in ({}, {"topdown": False}):
        rows = fs.walk(f"{BUCKET}/w", **options)
        assert walked(rows, f"{BUCKET}/w") == walked(os.walk(tmp_path, **options), str(tmp_path))
    pruned = walked(fs.walk(f"{BUCKET}/w"), f"{BUCKET}/w", prune=True)
    assert [row[0] for row in pruned] == ["", "/a", "/b"]
    assert [row[0] for row in fs.walk(f"{BUCKET}/w", topdown=False)][-1] == f"{BUCKET}/w"
    assert [row[0] for row in fs.walk(f"{BUCKET}/w", maxdepth=1)] == [f"{BUCKET}/w"]
    assert [row[2]["one"]["size"] for row in fs.walk(f"{BUCKET}/w", maxdepth=1, detail=True)] == [1]
    assert list(fs.walk(f"{BUCKET}/w/one")) == [(f"{BUCKET}/w/one", [], [""])]


def test_a_failed_subdirectory_is_not_left_out(tree, emulator):
    emulator.faults.add(op="list", path="/a/b/", times=1000, action=Refuse(-97))
    for question in (tree.find, lambda path: list(tree.walk(path)), lambda path: tree.rm(path, recursive=True)):
        with pytest.raises(PermissionError):
            question(f"{BUCKET}/a")


def test_own_writes_are_seen_at_once(fs):
    folder = f"{BUCKET}/d"
    fs.pipe_file(f"{folder}/a", b"1")
    assert fs.ls(folder, detail=False) == [f"{folder}/a"]
    fs.pipe_file(f"{folder}/b", b"2")
    with fs.open(f"{folder}/c/deep", "wb") as file:
        file.write(b"3")
    assert fs.ls(folder, detail=False) == [f"{folder}/a", f"{folder}/b", f"{folder}/c"]
    fs.mv(f"{folder}/a", f"{folder}/z")
    assert fs.ls(folder, detail=False) == [f"{folder}/b", f"{folder}/c", f"{folder}/z"]
    fs.rm(f"{folder}/b")
    assert not fs.exists(f"{folder}/b")
    fs.pipe_file(f"{folder}/z", b"longer")
    assert fs.info(f"{folder}/z")["size"] == 6
    fs.rm(folder, recursive=True)
    assert not fs.exists(folder)
    assert fs.ls(BUCKET) == []


def test_a_listing_that_was_asked_for_before_a_write_is_not_kept(fs, emulator):
    folder = f"{BUCKET}/d"
    fs.pipe_file(f"{folder}/a", b"")
    released = threading.Event()
    stall = Stall(released, acted=True)
    emulator.faults.add(op="list", action=stall)
    slow = threading.Thread(target=fs.ls, args=(folder,))
    slow.start()
    assert stall.entered.wait(30)
    fs.pipe_file(f"{folder}/b", b"")
    released.set()
    slow.join()
    assert fs.ls(folder, detail=False) == [f"{folder}/a", f"{folder}/b"]


def test_what_others_write_is_seen_when_asked_afresh(fs, second):
    folder = f"{BUCKET}/d"
    second.pipe_file(f"{folder}/a", b"1")
    assert fs.ls(folder, detail=False) == [f"{folder}/a"]
    second.pipe_file(f"{folder}/b", b"2")
    assert fs.cat_file(f"{folder}/b") == b"2"
    assert fs.info(f"{folder}/b")["size"] == 1
    with fs.open(f"{folder}/b") as file:
        assert file.read() == b"2"
    assert fs.ls(folder, detail=False, refresh=True) == [f"{folder}/a", f"{folder}/b"]


def test_every_question_can_be_asked_afresh(fs, second):
    """What another process adds, to a listing that says that it is not there, and what it removes."""
    folder = f"{BUCKET}/d"
    questions = {
        "exists": lambda **options: fs.exists(f"{folder}/b", **options),
        "isfile": lambda **options: fs.isfile(f"{folder}/b", **options),
        "find": lambda **options: f"{folder}/b" in fs.find(folder, **options),
        "glob": lambda **options: f"{folder}/b" in fs.glob(f"{folder}/*", **options),
        "deep glob": lambda **options: f"{folder}/b" in fs.glob(f"{BUCKET}/**", **options),
        "du": lambda **options: fs.du(folder, **options) == 3,
        "isdir": lambda **options: fs.isdir(f"{folder}/sub", **options),
    }
    for question in questions.values():
        fs.pipe_file(f"{folder}/a", b"1")
        fs.find(folder)
        second.pipe({f"{folder}/b": b"2", f"{folder}/sub/c": b"3"})
        assert not question()
        assert question(refresh=True)
        fs.find(folder)
        second.rm(folder, recursive=True)
        assert question()
        assert not question(refresh=True)


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("question", ["created", "modified", "ukey", "checksum"])
def test_times_and_fingerprints_can_be_asked_afresh(fs, second, emulator, question):
    """Of a file that another process removes and writes again, or that expires and is written again."""
    path = f"{BUCKET}/f"
    fs.pipe_file(path, b"old")
    ask = getattr(fs, question)
    old = ask(path)
    if fs.capabilities.replaces_files:
        second.rm(path)
    else:
        second.set_lifecycle(BUCKET, 1)
    emulator.clock_offset = 2 * 86400
    second.pipe_file(path, b"new")
    assert ask(path) == old
    new = ask(path, refresh=True)
    assert new != old
    assert ask(path) == new
    if question in ("created", "modified"):
        assert new - old > timedelta(days=1)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(v1_stat="filelen")])
def test_unfinished_uploads_are_invisible(fs, wire):
    wire.leave(fs, "/d/half", 5_000_000, 1024 * 1024)
    fs.pipe_file(f"{BUCKET}/d/whole", b"")
    path = f"{BUCKET}/d/half"
    assert not fs.exists(path)
    assert not fs.isfile(path)
    assert fs.ls(f"{BUCKET}/d", detail=False) == [f"{BUCKET}/d/whole"]
    assert fs.find(BUCKET) == [f"{BUCKET}/d/whole"]
    for action in (fs.info, fs.cat_file, fs.open):
        with pytest.raises(FileNotFoundError):
            action(path)
    fs.rm(f"{BUCKET}/d", recursive=True)
    assert fs.ls(BUCKET) == []


def test_a_search_for_unfinished_uploads_keeps_no_other_entries(fs, monkeypatch):
    class Listed(list):
        """A list that can be watched."""

    fs.pipe({f"{BUCKET}/{number}/x": b"x" for number in range(6)})
    listed, kept = [], []

    def everything(path):
        kept.append(sum(one() is not None for one in listed))
        found = Listed(asked(path))
        listed.append(weakref.ref(found))
        return found

    asked = fs.namespace.everything
    monkeypatch.setattr(fs.namespace, "everything", everything)
    monkeypatch.setattr(fs.pool, "most", 1)
    assert fs.uploads(BUCKET) == []
    assert len(kept) == 7
    assert max(kept) <= 1


def test_fingerprints_change_with_the_content_and_only_then(fs):
    path = f"{BUCKET}/f"
    fs.pipe_file(path, b"one")
    first = fs.ukey(path), fs.checksum(path)
    fs.invalidate_cache()
    assert (fs.ukey(path), fs.checksum(path)) == first
    fs.pipe_file(path, b"two")
    assert fs.ukey(path) != first[0]
    assert fs.checksum(path) != first[1]


@pytest.mark.protocol(*EVERY)
def test_a_tree_is_drawn(fs):
    fs.pipe_file(f"{BUCKET}/dir/object", b"x")
    assert "object" in fs.tree(BUCKET)


def test_the_whole_cache_can_be_invalidated(fs, second):
    fs.ls(BUCKET)
    second.pipe_file(f"{BUCKET}/new", b"x")
    fs.invalidate_cache("")
    assert fs.ls(BUCKET, detail=False) == [f"{BUCKET}/new"]


@pytest.mark.protocol("cosv4")
def test_matches_in_other_matches_are_listed_with_these(tree, monkeypatch):
    expected = sorted({*tree.find(f"{BUCKET}/a", withdirs=True), *tree.find(f"{BUCKET}/c", withdirs=True)})
    found, find = [], tree.find
    monkeypatch.setattr(tree, "find", lambda path, **more: found.append(path) or find(path, **more))
    assert tree.expand_path([f"{BUCKET}/[ac]/**", f"{BUCKET}/[ac]"], recursive=True) == expected
    assert not {path for path in found if path.startswith(f"{BUCKET}/a/b/")}
