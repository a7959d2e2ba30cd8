"""The scan of a tree: every file once on any filesystem, in bounded memory, and what it cannot list is named."""

import errno
import gc
import os
import signal
import threading
import uuid
import zipfile
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from cosv4fs.concurrency import pool as pools
from cosv4fs.concurrency import threads as pool_threads
from cosv4fs.emulator import CofferEmulator, faults
from cosv4fs.migrate import s3_trees
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import Location, open_location
from cosv4fs.migrate.removing import SelectedFiles, remove_tree
from cosv4fs.migrate.selection import Rule, Selection
from cosv4fs.migrate.trees import scan
from cosv4fs.migrate.walking import Walk
from cosv4fs.stack import Stack

FILES = {"a": b"1", "d/b": b"22", "d/e/c": b"333", "d-x/y": b"4", "é/[1] #%": b"55555"}
FOLDERS = {"d", "d/e", "d-x", "é"}
MISSING = "it is in the list of files to select, but there is no such file"
KINDS = ("local", "cosv4", "coffer", "s3", "memory", "zip", "foreign")


class Foreign(AbstractFileSystem):
    """The memory, only listed directory by directory; caches listings, and an instance is for one thread."""

    cachable = False
    protocol = "foreign"
    # of all threads
    cached: ClassVar = {}

    def __init__(self, **options):
        super().__init__(**options)
        self.thread, self.memory = threading.get_ident(), fsspec.filesystem("memory")

    def ls(self, path, detail=True, **_):
        assert self.thread == threading.get_ident(), "another thread's"
        if "refused" in path:
            raise PermissionError(errno.EACCES, "no", path)
        if "gone" in path:
            raise FileNotFoundError(errno.ENOENT, "no", path)
        if path not in self.cached:
            self.cached[path] = self.memory.ls(path, detail=True)
        return self.cached[path]

    def info(self, path, **_):
        return self.memory.info(path)

    def makedirs(self, path, exist_ok=False):
        self.memory.makedirs(path, exist_ok)

    def invalidate_cache(self, path=None):
        self.cached.pop(path, None)


def join_listing_threads(others=()):
    """Wait for the end of the threads that list, but for others."""
    for thread in threading.enumerate():
        if thread.name.startswith("cosv4fs-list") and thread not in others:
            # one that is only just being started is among them, and cannot be joined
            assert thread._started.wait(30)
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def make(tmp_path, options, bucket):
    """Return trees of several kinds."""
    top = f"/{uuid.uuid4().hex}"
    with CofferEmulator(coffers=("one-1250000000",)) as running:
        urls = {
            "local": str(tmp_path / "tree"),
            "cosv4": "cosv4://data/tree",
            "coffer": "cdcs://one-1250000000/tree",
            "s3": f"s3://{bucket}/tree",
            "memory": f"memory:/{top}",
        }

        def make(kind, files=FILES):
            if kind == "zip":
                with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
                    for name, value in files.items():
                        out.writestr(f"tree/{name}", value)
                return open_location(f"zip://tree::{tmp_path / 'x.zip'}")
            given = options | {"cdcs": running.storage_options}
            location = open_location(urls["memory" if kind == "foreign" else kind], given)
            if kind == "local":
                for name, value in files.items():
                    (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
                    (tmp_path / "tree" / name).write_bytes(value)
            else:
                location.fs.pipe({f"{location.path}/{name}": value for name, value in files.items()})
            location.fs.invalidate_cache()
            return Location(Foreign(), location.path) if kind == "foreign" else location

        yield make
    memory = fsspec.filesystem("memory")
    if memory.exists(top):
        memory.rm(top, recursive=True)


def entries(location, **more):
    return list(chain.from_iterable(scan(location, **more)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_once(make, kind):
    tree = make(kind)
    found = entries(tree)
    files = {entry.path: entry for entry in found if not entry.is_directory}
    assert {path: entry.size for path, entry in files.items()} == {path: len(data) for path, data in FILES.items()}
    assert not any(entry.refusal for entry in found)
    folders = [entry.path for entry in found if entry.is_directory]
    assert sorted(folders) == (sorted(FOLDERS) if tree.has_directories else [])
    assert len(found) == len(files) + len(folders)
    assert all((entry.modified is None) == (kind == "none") for entry in files.values())
    assert all((entry.sha1 is not None) == (kind == "cosv4") for entry in files.values())
    assert all((entry.md5 is not None) == (kind in ("s3", "coffer")) for entry in files.values())
    assert all((entry.changed is not None) == (kind == "local") for entry in files.values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_directory(make, kind):
    tree = make(kind)
    for name, wanted, code in (("a", NotADirectoryError, errno.ENOTDIR), ("none", FileNotFoundError, errno.ENOENT)):
        with pytest.raises(wanted) as caught:
            entries(tree.join(name))
        assert caught.value.errno == code


@pytest.mark.parametrize("kind", ["local", "cosv4", "memory", "foreign"])
def test_empty_directories(make, kind, tmp_path):
    tree = make(kind, {"a": b"1"})
    tree.fs.makedirs(f"{tree.path}/empty/deeper")
    found = entries(tree)
    assert {entry.path for entry in found if entry.is_directory} == {"empty", "empty/deeper"}
    assert entries(tree.join("empty/deeper")) == []


@pytest.mark.parametrize("kind", ["cosv4", "coffer", "s3", "foreign"])
def test_caches_stay_empty(make, kind):
    tree = make(kind)
    assert len(entries(tree)) >= len(FILES)
    if kind == "s3":
        assert not tree.fs.dircache
    elif kind == "foreign":
        assert not tree.fs.cached
    else:
        cache = tree.fs.namespace.cache
        assert [len(cache._listings), len(cache._infos), len(cache._folders)] == [0, 0, 0]


def test_s3_is_listed_in_pages_whatever_its_directories(make, monkeypatch):
    tree = make("s3")
    calls, call = [], tree.fs.call_s3
    monkeypatch.setattr(tree.fs, "call_s3", lambda name, **more: calls.append(name) or call(name, MaxKeys=2, **more))
    assert {entry.path for entry in entries(tree)} == set(FILES)
    assert calls == ["list_objects_v2"] * 3


def without_token(reply):
    reply.pop("NextContinuationToken", None)


def same_token(reply):
    reply |= {"IsTruncated": True, "NextContinuationToken": "again"}


def strangers(reply):
    for row in reply.get("Contents", ()):
        row["Key"] = row["Key"].replace("tree/", "other/")


@pytest.mark.parametrize(
    ("change", "text", "code"),
    [
        (without_token, "names no next page", errno.EBADMSG),
        (same_token, "repeats page", errno.EBADMSG),
        (strangers, "'other/a', which is outside", errno.EIO),
    ],
)
def test_an_s3_that_cannot_be_trusted(make, monkeypatch, change, text, code):
    """Nothing is left out, listed for ever, or removed outside of the tree."""
    tree = make("s3")
    outside, call = f"{tree.path.partition('/')[0]}/other/a", tree.fs.call_s3
    tree.fs.pipe_file(outside, b"1")

    def changed(name, **given):
        if name != "list_objects_v2":
            return call(name, **given)
        if given.get("ContinuationToken") == "again":
            del given["ContinuationToken"]
        reply = call(name, **{"MaxKeys": 2, **given})
        change(reply)
        return reply

    monkeypatch.setattr(tree.fs, "call_s3", changed)
    for action in (entries, lambda tree: entries(tree, depth=1), remove_tree):
        with pytest.raises(OSError, match=text) as caught:
            action(tree)
        assert caught.value.errno == code
    monkeypatch.setattr(tree.fs, "call_s3", call)
    tree.fs.invalidate_cache()
    assert tree.fs.exists(outside)


def test_all_buckets_of_s3(make, options, bucket):
    make("s3", {"x": b"1"})
    found = {entry.path for entry in entries(open_location("s3://", options))}
    assert f"{bucket}/tree/x" in found


def test_keys_that_are_no_paths_and_marks_of_directories(make):
    for kind in ("s3", "coffer"):
        tree = make(kind, {"report": b"1", "report/x": b"22", "mark/y": b"3"})
        bucket, _, key = tree.path.partition("/")
        for name, data in {"mark/": b"", "full/": b"x", "p//q": b"x", "/lead": b"x", "up/../v": b"x"}.items():
            if kind == "s3":
                tree.fs.call_s3("put_object", Bucket=bucket, Key=f"{key}/{name}", Body=data)
            elif data:
                tree.fs.client.put_object(bucket, f"/{key}/{name}", memoryview(data))
        found = entries(tree)
        refused = {entry.path for entry in found if entry.refusal}
        assert refused == {"full/", "p//q", "/lead", "up/../v"}
        assert all("cannot be used inside" in entry.refusal for entry in found if entry.refusal)
        assert {entry.path for entry in found} - refused == {"report", "report/x", "mark/y"}


@pytest.mark.parametrize("kind", ["memory", "foreign"])
def test_a_file_that_hides_a_directory(make, kind):
    tree = make(kind, {"report/x": b"22", "report": b"1", "a": b"1"})
    found = {(entry.path, entry.is_directory): entry.refusal for entry in entries(tree)}
    if kind == "foreign":
        assert "both a file and a directory" in found.pop(("report", True))
        assert set(found) == {("a", False), ("report", False)}
    else:
        assert set(found) == {("a", False), ("report", False), ("report", True), ("report/x", False)}
    with pytest.raises(OSError, match="both a file and a directory") as caught:
        entries(tree.join("report"))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("kind", ["local", "cosv4", "foreign"])
def test_directories_that_cannot_be_listed(make, kind, emulator, monkeypatch):
    """Each is named, and everything else is listed; one that has gone is none."""
    tree = make(kind, {"refused/x": b"1", "gone/x": b"1", "fine/x": b"1", "y": b"1"})
    if kind == "cosv4":
        emulator.faults.add(op="list", path="/tree/refused/", action=faults.Refuse(-96), times=None)
        emulator.faults.add(op="list", path="/tree/gone/", action=faults.Refuse(-197), times=None)
    elif kind == "local":
        scandir = os.scandir
        causes = {"refused": PermissionError(errno.EACCES, "no"), "gone": FileNotFoundError(errno.ENOENT, "no")}

        def refuse(path):
            if os.path.basename(path) in causes:
                raise causes[os.path.basename(path)]
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
    found = {(entry.path, entry.is_directory): entry.refusal for entry in entries(tree)}
    assert set(found) == {("fine", True), ("fine/x", False), ("y", False), ("refused", True)}
    assert [path for (path, _), refusal in found.items() if refusal] == ["refused"]
    with pytest.raises(PermissionError):
        entries(tree.join("refused"))


def test_an_outage_ends_the_scan(make, monkeypatch):
    tree = make("foreign", {"away/x": b"1", "y": b"1"})
    ls = Foreign.ls

    def away(self, path, **more):
        if "away" in path:
            raise ConnectionError(errno.ECONNREFUSED, "cannot connect")
        return ls(self, path, **more)

    monkeypatch.setattr(Foreign, "ls", away)
    with pytest.raises(ConnectionError):
        entries(tree)


@pytest.mark.parametrize("kind", ["memory", "foreign"])
def test_a_listing_with_strangers_is_an_error(make, kind, monkeypatch):
    tree, stranger = make(kind), {"name": "/elsewhere/b", "type": "file", "size": 1}
    monkeypatch.setattr(type(tree.fs), "ls", lambda *_, **__: [stranger])
    monkeypatch.setattr(type(tree.fs), "find", lambda *_, **__: {stranger["name"]: stranger}, raising=False)
    if kind == "foreign":
        monkeypatch.setattr(type(tree.fs), "find", AbstractFileSystem.find)
    with pytest.raises(OSError, match=r"'/?elsewhere/b', which is outside") as caught:
        entries(tree)
    assert caught.value.errno == errno.EIO


def test_what_is_listed_twice_is_removed_once(make, monkeypatch):
    tree, ls = make("foreign"), Foreign.ls
    monkeypatch.setattr(Foreign, "ls", lambda *given, **more: ls(*given, **more) * 2)
    with SelectedFiles(tree, Selection((Rule("/a"), Rule("/d/*")))) as selected:
        assert [file.path[len(tree.prefix) :] for page in selected.pages() for file, _ in page] == ["a", "d/b"]


class Links(Foreign):
    """Lists links as fsspec's SFTP does."""

    def ls(self, path, detail=True, **_):
        if path.endswith("/folder"):
            return []
        return [
            {"name": f"{path}/{name}", "type": "link", "size": 0, "islink": True}
            for name in ("file", "folder", "broken")
        ] + [{"name": f"{path}/pipe", "type": "other", "size": 0}]

    def info(self, path, **_):
        if path.endswith("/broken"):
            raise FileNotFoundError(path)
        return {"name": path, "type": "directory" if path.endswith("/folder") else "file", "size": 7}


def test_links_of_another_filesystem():
    found = {entry.path: entry for entry in entries(Location(Links(), "/links"))}
    assert {path: entry.refusal for path, entry in found.items()} == {
        "file": "",
        "folder": "links to directories are not followed: copy the directory itself",
        "broken": "it is a broken link",
        "pipe": "pipes, sockets and devices cannot be copied from a directory",
    }
    assert found["file"].size == 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_selection(make, kind, emulator):
    tree = make(kind)
    emulator.clear_requests()
    found = entries(tree, selection=Selection((Rule("/a"), Rule("/d/*"))))
    assert {entry.path for entry in found} == {"a", "d/b"} | ({"d"} if tree.has_directories else set())
    if kind == "cosv4":
        assert len(emulator.requests) == 2, "directories without selected files are not listed"
    found = entries(tree, selection=Selection(min_size=2, max_size=3))
    assert {entry.path for entry in found if not entry.is_directory} == {"d/b", "d/e/c"}


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_must_exist(make, kind, emulator, monkeypatch):
    prefixes, list_s3 = [], s3_trees.s3_pages
    monkeypatch.setattr(
        s3_trees, "s3_pages", lambda *given, **more: prefixes.append(given[2]) or list_s3(*given, **more)
    )
    tree, names = make(kind), frozenset(["a", "d/b", "d", "d/none", "x/none", "no.csv"])
    emulator.clear_requests()
    selection = Selection((Rule("*.csv", includes=False),), names, min_size=2)
    found = {entry.path: entry.refusal for entry in entries(tree, selection=selection) if not entry.is_directory}
    # one is too small, and one is excluded
    assert found == {"d/b": "", **dict.fromkeys(["d", "d/none", "x/none"], MISSING)}
    if kind == "cosv4":
        assert len(emulator.requests) == 2, "directories without selected files are not listed"
    assert prefixes == (["tree/", "tree/d/"] if kind == "s3" else [])
    found = [entry.path for entry in entries(tree, selection=selection.for_target) if not entry.is_directory]
    assert sorted(found) == ["a", "d/b"]


def test_many_directories_that_wait(make, monkeypatch):
    tree = make("local")
    folders = {f"wide/{number:03}" for number in range(30)}
    for folder in folders:
        Path(tree.path, folder).mkdir(parents=True)
    before = set(entries(tree))
    monkeypatch.setattr("cosv4fs.stack._PART", 2)
    assert set(entries(tree)) == before >= {entry for entry in before if entry.path in folders}
    assert len(before) > 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2])
def test_some_levels(make, kind, depth):
    tree = make(kind)
    found = {(entry.path, entry.is_directory) for entry in entries(tree, depth=depth)}
    files = {(path, False) for path in FILES if path.count("/") < depth}
    # in object stores, files show the directories above the last level
    least = 0 if tree.has_directories else depth - 1
    assert found == files | {(path, True) for path in FOLDERS if least <= path.count("/") < depth}
    for name, wanted in (("a", NotADirectoryError), ("none", FileNotFoundError)):
        with pytest.raises(wanted):
            entries(tree.join(name), depth=1)


def test_the_first_level_of_all_buckets_and_coffers(options, bucket):
    assert Entry(bucket, is_directory=True) in entries(open_location("s3://", options), depth=1)
    with CofferEmulator(coffers=("one-1250000000",)) as running:
        location = open_location("cdcs://", {"cdcs": running.storage_options})
        assert [(entry.path, entry.is_directory) for entry in entries(location, depth=1)] == [("one-1250000000", True)]


def test_a_slow_consumer_is_not_overrun():
    listed, jobs = [], 3

    def visit(folder):
        for number in range(50):
            listed.append(number)
            yield [number], ["x", "y"] if not folder and not number else []

    with closing(Walk(visit, jobs).pages(Stack([""]))) as pages:
        taken = 0
        for _ in range(20):
            next(pages)
            taken += 1
            # one page in the hands of each thread, and as many that wait
            assert len(listed) <= taken + 2 * jobs
        assert taken == 20
    assert len(listed) < 60, "closing it ends the threads"
    assert sum(map(sum, Walk(visit, jobs).pages(Stack([""])))) == 3 * sum(range(50))


def test_nobody_waits_for_the_threads_of_a_walk_that_is_not_taken_to_its_end(monkeypatch):
    """The garbage collector may close it in any thread: also in one of its own, or one that holds a lock."""
    monkeypatch.setattr(pools, "_CANCEL_SECONDS", 1e6)
    closed, release = threading.Event(), threading.Event()

    def visit(folder):
        yield [folder], []
        if release.wait(30):
            walks[0].close()
            closed.set()
        yield [folder], []

    walks = [Walk(visit, 2).pages(Stack([""]))]
    next(walks[0])
    release.set()
    assert closed.wait(30)


def test_threads_end_with_their_walk():
    def visit(folder):
        for number in range(50):
            yield [number], ["x", "y"] if not folder and not number else []

    gc.collect()
    gc.disable()
    try:
        before = set(threading.enumerate())
        pages = Walk(visit, 3).pages(Stack([""]))
        for _ in range(5):
            next(pages)
        del pages
        join_listing_threads(before)
    finally:
        gc.enable()


def test_a_walk_goes_on_in_another_thread_where_none_can_be_started(monkeypatch):
    monkeypatch.setattr(pool_threads, "start_thread", lambda _: False)

    def visit(depth):
        yield [depth], []
        for _ in range(20 * depth):
            yield [depth], []
        yield [depth], [depth + 1] if depth < 2 else []

    pages, taken = Walk(visit, 2).pages(Stack([0])), []
    next(pages)
    thread = threading.Thread(target=lambda: taken.extend(pages), daemon=True)
    thread.start()
    thread.join(30)
    assert sorted(taken) == [[0]] + [[1]] * 22 + [[2]] * 42


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_has_no_part_in_a_walk():
    def visit(folder):
        for number in range(50):
            yield [number], []

    with closing(Walk(visit, 2).pages(Stack([""]))) as pages:
        next(pages)
        child = os.fork()
        if not child:
            signal.alarm(30)
            code = 1
            with suppress(BaseException):
                try:
                    list(pages)
                except OSError as error:
                    code = error.errno
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.ECANCELED
        assert sum(map(sum, pages)) == sum(range(1, 50))


def test_an_interrupt_ends_requests_that_wait(make, emulator):
    tree, stall = make("cosv4"), faults.Stall()
    emulator.faults.add(op="list", path="/tree/d/", action=stall)
    # threads end with their pool, which nothing may keep until the next collection
    gc.disable()
    try:
        with suppress(KeyboardInterrupt):
            for _ in scan(tree):
                assert stall.entered.wait(30)
                raise KeyboardInterrupt
        join_listing_threads()
    finally:
        gc.enable()
        stall.release.set()


def test_a_failure_of_one_thread_ends_the_walk():
    def visit(folder):
        yield [folder], ["a", "b"] if not folder else []
        if folder == "b":
            raise PermissionError(errno.EACCES, "no", folder)

    with pytest.raises(PermissionError):
        list(Walk(visit, 2).pages(Stack([""])))
