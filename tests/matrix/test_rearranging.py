"""Removing, copying and moving: files and trees, into nothing, onto what is there, and in vain."""

import contextlib
import errno

import pytest

from tests.filesystem.conftest import WIRES
from tests.matrix.ways import BUCKET, LIMIT
from tests.support import MIB, content

BASE = f"{BUCKET}/dir"
TREE = {"a": b"1", "b": content(MIB + 7), "sub/c": b"", "sub/deep/d": b"4", "sub/deep/e": b"5"}
FOLDERS = {"empty", "sub", "sub/deep"}
ODD = [
    "with space",
    "plus+and%20percent",
    "a#b?c",
    "[x]*",
    'q"<>|',
    "中文 grüße",
    "back\\slash",
    "colon:name",
    "-~_'(),;=@&!$",
]
FORBIDDEN = set('?*:|\\<>"')


@pytest.fixture
def tree(fs):
    """Five files, one of them in slices, and an empty directory."""
    fs.pipe({f"{BASE}/tree/{name}": data for name, data in TREE.items()})
    fs.makedirs(f"{BASE}/tree/empty")
    return f"{BASE}/tree"


def look(fs, path):
    """Return the files below a path with their contents, and the directories, all by their names from there."""
    found = fs.find(path, withdirs=True, detail=True)
    names = {name[len(path) + 1 :]: info["type"] for name, info in found.items() if name != path}
    files = {name: fs.cat_file(f"{path}/{name}") for name, kind in names.items() if kind == "file"}
    return files, {name for name, kind in names.items() if kind == "directory"}


@pytest.mark.parametrize("onto", ["nothing", "small", "large", "new directory"])
@pytest.mark.parametrize("action", ["cp", "mv", "cp_file"])
def test_one_file(fs, second, kept, action, onto):
    for size in (0, 5, MIB + LIMIT + 7):
        one_file(fs, second, action, onto, size)


def one_file(fs, second, action, onto, size):
    data, source, target = content(size, seed=size), f"{BASE}/from{size}", f"{BASE}/to{size}"
    second.pipe_file(source, data)
    if onto == "new directory":
        target = f"{BASE}/new{size}/deeper/to"
    elif onto != "nothing":
        second.pipe_file(target, content(10 if onto == "small" else MIB, seed=9))
    getattr(fs, action)(source, target)
    for instance in (fs, second):
        assert instance.cat_file(target) == data
        assert instance.exists(source) is (action != "mv")
        assert instance.info(target)["size"] == size
    if action != "mv":
        assert second.cat_file(source) == data


def test_onto_itself(fs, second, kept):
    kept.put(f"{BASE}/x", b"data")
    fs.cp(f"{BASE}/x", f"{BASE}/x")
    fs.mv(f"{BASE}/x", f"{BASE}/x")
    kept.check_alone()


def test_into_a_directory(fs, second, kept):
    fs.mkdir(f"{BASE}/there")
    second.pipe_file(f"{BASE}/x", b"data")
    fs.cp(f"{BASE}/x", f"{BASE}/there")
    assert second.cat_file(f"{BASE}/there/x") == b"data"
    fs.mv(f"{BASE}/x", f"{BASE}/there/")
    assert not second.exists(f"{BASE}/x")
    assert second.find(f"{BASE}/there") == [f"{BASE}/there/x"]


@pytest.mark.parametrize("size", [5, MIB + 7])
def test_between_buckets(fs, second, kept, size):
    data = content(size)
    second.pipe_file(f"{BASE}/x", data)
    fs.cp(f"{BASE}/x", "other/new/x")
    assert second.cat_file("other/new/x") == data
    fs.mv(f"{BASE}/x", "other/y")
    assert second.cat_file("other/y") == data
    assert not second.exists(f"{BASE}/x")


@pytest.mark.parametrize("action", ["cp", "mv"])
def test_trees(fs, second, kept, tree, action):
    getattr(fs, action)(tree, f"{BASE}/copy", recursive=True)
    for instance in (fs, second):
        files, folders = look(instance, f"{BASE}/copy")
        assert files == TREE
        assert folders == FOLDERS
        assert instance.exists(tree) is (action == "cp")
    if action == "cp":
        assert look(second, tree) == (TREE, FOLDERS)


@pytest.mark.parametrize("action", ["cp", "mv"])
def test_trees_onto_trees(fs, second, kept, tree, action):
    fs.pipe({f"{BASE}/copy/tree/a": b"old", f"{BASE}/copy/tree/own": b"own"})
    getattr(fs, action)(tree, f"{BASE}/copy", recursive=True)
    files, folders = look(second, f"{BASE}/copy/tree")
    assert files == {**TREE, "own": b"own"}
    assert folders == FOLDERS


def test_removing(fs, second, kept, tree, protocol):
    fs.rm(f"{tree}/a")
    assert not second.exists(f"{tree}/a")
    fs.rm([f"{tree}/b", f"{tree}/sub/c"])
    assert second.find(tree) == [f"{tree}/sub/deep/d", f"{tree}/sub/deep/e"]
    fs.rm(f"{tree}/sub/deep/*")
    assert look(second, tree)[0] == {}
    WIRES[protocol].leave(second, "/dir/tree/half", MIB, LIMIT, bucket=BUCKET)
    fs.rm(tree, recursive=True)
    for instance in (fs, second):
        assert not instance.exists(tree)
    kept.check_alone()


def test_removing_a_tree_of_one_page_and_more(fs, second, kept):
    fs.pipe({f"{BASE}/many/{number}": b"" for number in range(205)})
    fs.rm(f"{BASE}/many", recursive=True)
    assert not second.exists(f"{BASE}/many")


def test_directories(fs, second, kept):
    fs.mkdir(f"{BASE}/one")
    fs.makedirs(f"{BASE}/two/three")
    fs.makedirs(f"{BASE}/two/three", exist_ok=True)
    for path in ("one", "two", "two/three"):
        assert second.isdir(f"{BASE}/{path}")
        assert second.info(f"{BASE}/{path}")["type"] == "directory"
    for action in (lambda: fs.mkdir(f"{BASE}/one"), lambda: fs.makedirs(f"{BASE}/one")):
        with pytest.raises(FileExistsError):
            action()
    with pytest.raises(OSError) as caught:
        fs.rmdir(f"{BASE}/two")
    assert caught.value.errno == errno.ENOTEMPTY
    fs.rmdir(f"{BASE}/two/three")
    # it may have gone with the last thing in it
    with contextlib.suppress(FileNotFoundError):
        fs.rmdir(f"{BASE}/two")
    assert not second.exists(f"{BASE}/two")
    with pytest.raises(NotADirectoryError):
        fs.rmdir(f"{BASE}/bystander")


def test_what_is_missing(fs, kept):
    none = f"{BASE}/none"
    for action in (
        lambda: fs.rm(none),
        lambda: fs.rm(none, recursive=True),
        lambda: fs.rm_file(none),
        lambda: fs.rmdir(none),
        lambda: fs.cp_file(none, f"{BASE}/x"),
        lambda: fs.cp(none, f"{BASE}/x/y"),
        lambda: fs.mv(none, f"{BASE}/x"),
        lambda: fs.mv(none, f"{BASE}/x/y"),
        lambda: fs.info(none),
        lambda: fs.ls(none),
        lambda: fs.cat_file(none),
        lambda: fs.setxattrs(none, biz_attr="x"),
    ):
        with pytest.raises(FileNotFoundError):
            action()
    kept.check_alone()


def test_what_is_of_the_other_kind(fs, kept):
    fs.mkdir(f"{BASE}/folder")
    for action in (
        lambda: fs.rm_file(f"{BASE}/folder"),
        lambda: fs.mv(f"{BASE}/folder", f"{BASE}/x"),
        lambda: fs.cat_file(f"{BASE}/folder"),
        lambda: fs.open(f"{BASE}/folder"),
    ):
        with pytest.raises(IsADirectoryError):
            action()
    kept.put(f"{BASE}/source", b"x")
    source, folder = f"{BASE}/source", f"{BASE}/folder"
    for action in (lambda: fs.cp_file(source, folder), lambda: fs.mv([source], [folder])):
        with pytest.raises(OSError) as caught:
            action()
        assert caught.value.errno in (errno.EISDIR, errno.EEXIST)
    fs.rmdir(f"{BASE}/folder")
    kept.check_alone()


@pytest.mark.parametrize("name", [name for name in ODD if not FORBIDDEN & set(name)])
def test_names(fs, second, kept, name):
    check_name(fs, second, name)


@pytest.mark.parametrize("name", [name for name in ODD if FORBIDDEN & set(name)])
def test_names_with_forbidden_characters(fs, second, kept, name):
    check_name(fs, second, name)


@pytest.mark.parametrize("name", ["[x]*/colon:name", 'q"<>|/plain'])
def test_directories_with_forbidden_characters(fs, second, kept, name):
    check_name(fs, second, name)


def check_name(fs, second, name):
    path, data = f"{BASE}/odd/{name}", name.encode()
    fs.pipe_file(path, data)
    assert second.find(f"{BASE}/odd") == [path]
    assert second.cat_file(path) == data
    fs.cp_file(path, path + "2")
    assert second.cat_file(path + "2") == data
    fs.mv(path + "2", path)
    assert second.find(f"{BASE}/odd") == [path]
    fs.pipe_file(path, content(MIB + 7))
    assert second.cat_file(path) == content(MIB + 7)
    fs.rm(f"{BASE}/odd", recursive=True)
    assert not second.exists(path)
