"""What goes where in a copy, and what makes two trees alike: rules for all trees, and cases."""

import os
import threading
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.migrate.comparing import Comparison
from cosv4fs.migrate.copying import copy_file
from cosv4fs.migrate.infos import modification_time
from cosv4fs.migrate.local_trees import LocalTree
from cosv4fs.migrate.locations import Location, ThreadInstances, open_location
from cosv4fs.migrate.plan import check_apart, plan_copies, plan_update, unlisted
from cosv4fs.migrate.trees import scan

# names of files and of folders differ, so that any set of paths is a tree
FILES = st.sampled_from(["a", "b.txt", "sp ace", "中文", "q*?[x]", "'\"#%"])
FOLDERS = st.sampled_from(["d", "e f", "目录"])
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(FOLDERS, max_size=3), FILES)
TREES = st.dictionaries(PATHS, st.binary(max_size=3), min_size=1, max_size=8)
FEW = settings(max_examples=60, deadline=None)


def planted(tree, name="tree"):
    """Return a new folder in memory with the files of a tree, and what removes it."""
    fs = fsspec.filesystem("memory")
    top = f"/{uuid.uuid4().hex}"
    fs.makedirs(f"{top}/{name}")
    fs.pipe({f"{top}/{name}/{relative}": data for relative, data in tree.items()})
    return Location(fs, f"{top}/{name}"), partial(fs.rm, top, recursive=True)


def names_in(location):
    return sorted(entry.path for page in scan(location) for entry in page if not entry.is_directory)


def grown(location):
    """Return the contents of all files below a location."""
    return {relative: location.fs.cat_file(location.join(relative).path) for relative in names_in(location)}


def pair_files(sources, target, *, recursive):
    with plan_copies(sources, target, recursive=recursive) as plan:
        return list(plan.pairs())


@dataclass
class Difference:
    copies: list
    deletions: list
    same: int
    undated: int = 0
    unsure: int = 0


def compare(source, target, **options):
    comparison = Comparison(source, target, **options)
    with plan_update(source, target) as plan:
        comparison.run(plan)
        copies = [(pair, pair.reason) for pair in plan.pairs(with_reason=True)]
        return Difference(copies, list(plan.extra()), comparison.same, comparison.undated, comparison.unsure)


def copy(pairs):
    for pair in pairs:
        if not pair.is_directory:
            copy_file(pair.source, pair.target)


@FEW
@given(tree=TREES, there=TREES, exists=st.booleans(), contents=st.booleans(), into=st.booleans())
def test_a_directory_goes_where_cp_puts_it(tree, there, exists, contents, into):
    source, remove_source = planted(tree)
    target, remove_target = planted(there if exists else {}, "target" if exists else "other")
    try:
        goal = Location(
            target.fs, target.path if exists else target.path[: -len("other")] + "target", trailing_slash=into
        )
        copy(pair_files([Location(source.fs, source.path, trailing_slash=contents)], goal, recursive=True))
        prefix = "tree/" if (exists or into) and not contents else ""
        expected = (there if exists else {}) | {prefix + relative: data for relative, data in tree.items()}
        assert grown(goal) == expected
        assert grown(source) == tree
    finally:
        remove_source()
        remove_target()


@FEW
@given(tree=TREES)
def test_files_go_into_a_directory_unless_two_have_one_name(tree):
    source, remove = planted(tree)
    try:
        target = source.at(source.path.removesuffix("tree") + "target")
        names = [relative.rpartition("/")[2] for relative in tree]
        sources = [source.join(relative) for relative in tree]
        if len(set(names)) < len(names):
            with pytest.raises(OSError, match="would both be copied to this path"):
                pair_files(sources, target, recursive=False)
            return
        copy(pair_files(sources, target, recursive=False))
        if len(tree) == 1:
            assert target.fs.cat_file(target.path) == next(iter(tree.values()))
        else:
            assert grown(target) == dict(zip(names, tree.values(), strict=True))
    finally:
        remove()


@FEW
@given(ours=TREES, theirs=TREES)
def test_what_compare_says_makes_the_target_like_the_source(ours, theirs):
    source, remove_source = planted(ours)
    target, remove_target = planted(theirs)
    try:
        found = compare(source, target, by_content=True)
        assert found.same == sum(theirs.get(relative) == data for relative, data in ours.items())
        assert {pair.target.path for pair, _ in found.copies}.isdisjoint(location.path for location in found.deletions)
        copy([pair for pair, _ in found.copies])
        for location in found.deletions:
            location.fs.rm_file(location.path)
        assert grown(target) == ours
        assert compare(source, target, by_content=True) == compare(source, target, by_time=False)
        assert compare(source, target) == Difference([], [], len(ours))
    finally:
        remove_source()
        remove_target()


def local(path, trailing_slash=False):
    return Location(fsspec.filesystem("file"), str(path), trailing_slash)


@pytest.fixture
def folder(tmp_path):
    for name in ("in/a", "in/sub/b"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "in/empty/deeper").mkdir(parents=True)
    return tmp_path


def test_empty_directories_are_pairs_where_both_sides_have_such(folder, fs, options):
    for target in (local(folder / "out"), open_location("cosv4://data/out", options)):
        found = pair_files([local(folder / "in")], target, recursive=True)
        assert [pair.target.path for pair in found if pair.is_directory] == [f"{target.path}/empty/deeper"]
    fs.pipe_file("data/x/a", b"")
    fs.makedirs("data/x/empty/deeper")
    found = pair_files([Location(fs, "data/x")], local(folder / "out"), recursive=True)
    assert [pair.source.path for pair in found if pair.is_directory] == ["data/x/empty/deeper"]
    (only,) = pair_files([Location(fs, "data/x/empty/deeper")], local(folder / "out"), recursive=True)
    assert (only.is_directory, only.target.path) == (True, str(folder / "out"))
    s3 = open_location("s3://bucket/x", options)
    s3.fs.isdir, s3.fs.exists = lambda _path: False, "bucket".__eq__
    try:
        assert not any(pair.is_directory for pair in pair_files([local(folder / "in")], s3, recursive=True))
    finally:
        del s3.fs.isdir, s3.fs.exists


def test_links_and_pipes_below_a_directory_are_not_followed(folder):
    (folder / "in/link").symlink_to(folder / "in/sub")
    (folder / "in/loop").symlink_to(folder / "in")
    (folder / "in/file").symlink_to("a")
    (folder / "in/lost").symlink_to("nowhere")
    os.mkfifo(folder / "in/pipe")
    os.utime(folder / "in/a", (100, 100))
    found = {
        pair.source.name: pair for pair in pair_files([local(folder / "in")], local(folder / "out"), recursive=True)
    }
    refused = {name for name, pair in found.items() if pair.refusal}
    assert refused == {"link", "loop", "lost", "pipe"}
    # the time of what it leads to
    assert (found["file"].size, found["file"].modified) == (4, 100)
    assert (found["lost"].size, found["lost"].modified) == (0, None)


class Plain(MemoryFileSystem):
    """Looks below directories in fsspec's own way, and cannot list one of them."""

    cachable = False
    find = AbstractFileSystem.find

    def __init__(self, cause):
        super().__init__()
        self.cause = cause

    def ls(self, path, **kwargs):
        if self.cause and str(path).endswith("/sub"):
            raise self.cause
        return super().ls(path, **kwargs)


@pytest.mark.parametrize("cause", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_directory_that_cannot_be_listed_is_refused(folder, monkeypatch, cause):
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("/sub"):
            raise cause
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    copied, _, refused = pair_files([local(folder / "in")], local(folder / "out"), recursive=True)
    assert (copied.source.name, copied.refusal) == ("a", "")
    assert refused.source.path == f"{folder}/in/sub/"
    assert refused.refusal == f"it cannot be listed: {cause.strerror}"
    monkeypatch.undo()
    # what is in it at the target stays as it is: it may be newer
    (folder / "copy/sub").mkdir(parents=True)
    monkeypatch.setattr(os, "scandir", refuse)
    with plan_update(local(folder / "in/empty"), local(folder / "copy")) as plan:
        assert list(plan.extra()) == []
        [(location, error)] = unlisted(plan)
        assert location.path == error.filename == f"{folder}/copy/sub/"
        assert error.strerror == f"it cannot be listed: {cause.strerror}"


def test_a_missing_directory_is_an_error(tmp_path, fs):
    for location in (local(tmp_path / "none"), Location(fs, "data/none")):
        with pytest.raises(FileNotFoundError):
            compare(location, local(tmp_path))


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("in", "in", "the same directory"),
        ("in", "link", "the same directory"),
        ("in", "in/sub", "the target is inside the source"),
        ("in", "link/new", "the target is inside the source"),
        ("in/sub", "in", "the source is inside the target"),
        ("in", "inside", None),
        ("in", "new", None),
    ],
)
def test_places_that_are_not_apart(folder, source, target, said):
    (folder / "link").symlink_to("in")
    locations = local(folder / source), local(folder / target)
    if said is None:
        check_apart(*locations)
        return
    with pytest.raises(OSError, match=said):
        check_apart(*locations)


@pytest.fixture
def archive(tmp_path):
    """A ZIP file, whose root has no name."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("top.csv", "1")
        file.writestr("sub/b.csv", "22")
    return f"zip://::{path}"


@pytest.mark.parametrize("into", [False, True])
def test_a_root_without_a_name(archive, tmp_path, into):
    location, target = open_location(archive), local(tmp_path / "out")
    assert names_in(location) == ["sub/b.csv", "top.csv"]
    if into:
        (tmp_path / "out").mkdir()
    copy(pair_files([location], target, recursive=True))
    assert grown(target) == {"sub/b.csv": b"22", "top.csv": b"1"}
    assert compare(location, target, by_time=False).same == 2
    (tmp_path / "out/more").write_text("x")
    assert [gone.name for gone in compare(location, target).deletions] == ["more"]


def test_the_root_of_the_memory_is_a_directory(folder):
    location = open_location("memory://")
    assert (location.path, location.prefix) == ("/", "/")


def test_a_listing_with_strangers_is_an_error(folder, monkeypatch):
    """What does not lie below a directory must not be left out in silence: `sync` would delete its copy."""
    location, remove = planted({"a": b"1"})
    listing = {f"{location.path}/a": {"type": "file", "size": 1}, "/elsewhere/b": {"type": "file", "size": 1}}
    monkeypatch.setattr(location.fs, "find", lambda *_, **__: listing, raising=False)
    try:
        with pytest.raises(OSError, match="'/elsewhere/b', which is outside"):
            names_in(location)
    finally:
        monkeypatch.undo()
        remove()


def test_names_that_cannot_be_used_are_refused_alone(folder, monkeypatch):
    """Object stores have keys such as `d//x`; the others are copied."""
    location, remove = planted({"a": b"1"})
    names = ("a", "sub//x", "./y", "../z")
    listing = {f"{location.path}/{name}": {"type": "file", "size": 1} for name in names}
    monkeypatch.setattr(location.fs, "find", lambda *_, **__: listing)
    monkeypatch.setattr(location.fs, "ls", lambda *_, **__: [])
    try:
        pairs = [
            pair for pair in pair_files([location], local(folder / "out"), recursive=True) if not pair.is_directory
        ]
        found = {pair.source.path.removeprefix(location.path + "/"): pair.refusal for pair in pairs}
        assert set(found) == set(names)
        assert {name for name, refusal in found.items() if "cannot be used" in refusal} == set(names[1:])
        assert len(compare(location, local(folder / "out")).copies) == 4
    finally:
        monkeypatch.undo()
        remove()


def test_links_that_cannot_be_followed_are_refused_alone(folder):
    (folder / "in/circle").symlink_to("circle")
    (folder / "in/through").symlink_to("a/x")
    found = {
        pair.source.name: pair for pair in pair_files([local(folder / "in")], local(folder / "out"), recursive=True)
    }
    assert {name for name, pair in found.items() if "it is a broken link" in pair.refusal} == {"circle", "through"}


def test_a_link_at_the_target_does_not_lead_out_of_it(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "copy").mkdir()
    (folder / "copy/sub").symlink_to(outside)
    copies = {pair.source.name: pair for pair, _ in compare(local(folder / "in"), local(folder / "copy")).copies}
    behind = {name for name, pair in copies.items() if "has the name of its directory" in pair.refusal}
    assert behind == {path.name for path in (folder / "in/sub").rglob("*") if path.is_file()}
    (folder / "in/hollow").write_text("")
    (folder / "copy/hollow").symlink_to(outside)
    found = {pair.source.name: reason for pair, reason in compare(local(folder / "in"), local(folder / "copy")).copies}
    assert found["hollow"] == "content"


def test_what_only_sizes_could_tell_is_counted(folder, monkeypatch):
    location, remove = planted({"a": b"1", "b": b"2", "empty": b""})
    other, remove_other = planted({"a": b"x", "b": b"y", "empty": b""})
    try:
        assert compare(location, other).undated == 0
        monkeypatch.setattr("cosv4fs.migrate.infos.modification_time", lambda _info: None)
        assert (compare(location, other).undated, compare(location, other).same) == (2, 3)
        assert compare(location, other, by_content=True).undated == 0
    finally:
        remove()
        remove_other()


@pytest.mark.parametrize(("ahead", "unsure"), [(0.0, 0), (3600.0, 0), (-3600.0, 0), (None, 1)])
def test_times_that_prove_equality_spare_reading(folder, fs, monkeypatch, ahead, unsure):
    """A clock that cannot be read is counted, unless a day lies between the change and the copy."""
    target = Location(fs, "data/copy")
    monkeypatch.setattr(Location, "clock_difference", lambda self: 0.0 if self.is_local else ahead)
    monkeypatch.setattr("cosv4fs.migrate.checksums.read_sha1", None)
    # the time of the last change of the status cannot be set
    file = LocalTree._file
    monkeypatch.setattr(LocalTree, "_file", lambda *values: replace(entry := file(*values), changed=entry.modified))
    for name, age in (("in/a", 90_000), ("in/sub/b", 10)):
        fs.put_file(folder / name, f"data/copy/{name[3:]}")
        changed = fs.info(f"data/copy/{name[3:]}")["mtime"] - (ahead or 0.0) - age
        os.utime(folder / name, (changed, changed))
    found = compare(local(folder / "in"), target)
    assert (found.copies, found.same, found.unsure) == ([], 2, unsure)


class OneThread(AbstractFileSystem):
    """As most filesystems are: an instance is for one thread."""

    protocol = "onethread"

    def __init__(self, name="", **options):
        super().__init__(**options)
        self.thread = threading.get_ident()


def test_threads_have_instances_of_their_own(fs):
    location, own = Location(OneThread("x", more=1), "/a"), ThreadInstances()
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(own.of, location).result()
        assert (mine.path, mine.fs.storage_args, mine.fs.storage_options) == ("/a", ("x",), {"more": 1})
        assert mine.fs.thread == pool.submit(threading.get_ident).result() != location.fs.thread
        for shared in (Location(fs, "data/a"), local("/a"), Location(fsspec.filesystem("memory"), "/a")):
            assert pool.submit(own.of, shared).result().fs is shared.fs


def test_a_thread_opens_a_filesystem_once(archive):
    """An archive would be read anew, and another connection be made, for every file."""
    location, own = open_location(archive), ThreadInstances()
    assert own.of(location) is location
    with ThreadPoolExecutor(1) as pool:
        first, again = (pool.submit(own.of, location.at("top.csv")).result() for _ in range(2))
        assert first.fs is again.fs is not location.fs
        assert first.path == "top.csv"


def test_a_wrapped_filesystem_is_for_as_many_threads_as_what_it_wraps(fs):
    (one, many), own = (Location(DirFileSystem("a", inner), "x") for inner in (OneThread(), fs)), ThreadInstances()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(own.of, one).result().fs.fs.thread != one.fs.fs.thread
        assert pool.submit(own.of, many).result().fs is many.fs


def test_directories_that_files_hide_are_named(folder):
    """Listed level by level, a path that is both shows the file alone."""
    plain = Plain(None)
    root = f"/{uuid.uuid4().hex}"
    names = [f"{root}/sub/report/2024.csv", f"{root}/sub/report"]
    plain.pipe(dict.fromkeys(names, b"1"))
    source, target = Location(plain, root), local(folder / "in")
    try:
        (known, reason), (other, _) = reversed(compare(source, target).copies)
        assert (known.source.path, reason, other.source.path) == (f"{root}/sub/report/", "new", f"{root}/sub/report")
        assert "it is both a file and a directory" in known.refusal
        pairs = pair_files([source], target, recursive=True)
        assert [(pair.refusal, pair.is_directory) for pair in pairs] == [("", False), (known.refusal, False)]
        # as a target it is not removed: the path of the file is the same
        assert [location.path for location in compare(target, source).deletions] == [f"{root}/sub/report"]
    finally:
        for name in names:
            plain.rm_file(name)


def test_times_of_all_kinds():
    noon = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
    for info in (
        {"mtime": noon.timestamp()},
        {"mtime": int(noon.timestamp())},
        {"LastModified": noon},
        {"LastModified": noon.astimezone(timezone(timedelta(hours=8)))},
        # a time without a zone is universal
        {"last_modified": noon.replace(tzinfo=None)},
        {"updated": "2024-05-01T12:00:00Z"},
        {"updated": "2024-05-01T20:00:00+08:00"},
        {"mtime": None, "modified": noon},
        {"mtime": "no time", "modified": noon},
        {"modify": "20240501120000"},
        {"modify": "20240501120000.123"},
        {"created": noon},
    ):
        assert modification_time(info) == noon.timestamp(), info
    # archives mean the time of this machine
    assert modification_time({"date_time": (2024, 5, 1, 12, 0, 0)}) == datetime(2024, 5, 1, 12).timestamp()
    assert modification_time({"date_time": (1980, 0, 0, 0, 0, 0)}) is None
    assert modification_time({"name": "x"}) is None


def test_empty_urls_are_refused():
    with pytest.raises(ValueError, match="the path is empty"):
        open_location("")
