"""The same answers as fsspec's own filesystems, for memory and for local files."""

from functools import partial

import fsspec
import pytest

from tests.filesystem.conftest import BUCKET

PROTOCOLS = ("cosv4", "cdcs")

FILES = {"a": b"first", "b": b"second", "d/x": b"third", "d/e/y": b"fourth", "d2/z": b""}
PATHS = ["", "a", "a/", "d", "d/", "d/x", "d/e", "none", "none/x", "a/below", "d/*", "*", "**", "d/**", "d?", "[ab]"]
PATHS += ["no*", "*/x", "d/*/y", "**/y", "d/**/", "*/"]

READS = {
    "exists": lambda fs, path: fs.exists(path),
    "isfile": lambda fs, path: fs.isfile(path),
    "isdir": lambda fs, path: fs.isdir(path),
    "lexists": lambda fs, path: fs.lexists(path),
    "info": lambda fs, path: (fs.info(path)["type"], fs.info(path)["size"] if fs.isfile(path) else 0),
    "ls": lambda fs, path: sorted(fs.ls(path, detail=False)),
    "ls with details": lambda fs, path: {info["name"]: info["type"] for info in fs.ls(path, detail=True)},
    "find": lambda fs, path: fs.find(path),
    "find with directories": lambda fs, path: fs.find(path, withdirs=True),
    "find to a depth": lambda fs, path: fs.find(path, maxdepth=1),
    "find with details": lambda fs, path: list(fs.find(path, detail=True)),
    "glob": lambda fs, path: fs.glob(path),
    "glob without directories": lambda fs, path: fs.glob(path, withdirs=False),
    "glob to a depth": lambda fs, path: fs.glob(path, maxdepth=1),
    "walk": lambda fs, path: [(where, sorted(dirs), sorted(files)) for where, dirs, files in fs.walk(path)],
    "walk to a depth": lambda fs, path: [(where, sorted(files)) for where, _, files in fs.walk(path, maxdepth=1)],
    "du": lambda fs, path: fs.du(path),
    "du of each": lambda fs, path: fs.du(path, total=False),
    "expand_path": lambda fs, path: fs.expand_path(path),
    "expand_path recursively": lambda fs, path: fs.expand_path(path, recursive=True),
    "cat": lambda fs, path: fs.cat(path),
    "cat what can be read": lambda fs, path: fs.cat([path], on_error="omit"),
    "cat recursively what can be read": lambda fs, path: fs.cat([path], recursive=True, on_error="omit"),
    "cat_file": lambda fs, path: fs.cat_file(path, 1, 3),
    "head": lambda fs, path: fs.head(path, 2),
    "tail": lambda fs, path: fs.tail(path, 2),
    "read_block": lambda fs, path: fs.read_block(path, 1, 2),
}

WRITES = {
    "mkdir": lambda fs, path: fs.mkdir(path("new/dir")),
    "mkdir of a directory": lambda fs, path: fs.mkdir(path("d")),
    "makedirs of a directory": lambda fs, path: fs.makedirs(path("d")),
    "makedirs of a directory that may exist": lambda fs, path: fs.makedirs(path("d"), exist_ok=True),
    "rmdir of a directory that is not empty": lambda fs, path: fs.rmdir(path("d")),
    "rmdir of nothing": lambda fs, path: fs.rmdir(path("none")),
    "rm": lambda fs, path: fs.rm(path("a")),
    "rm of nothing": lambda fs, path: fs.rm(path("none")),
    "rm of nothing, recursively": lambda fs, path: fs.rm(path("none"), recursive=True),
    "rm of a pattern without matches": lambda fs, path: fs.rm(path("none*")),
    "rm of a directory": lambda fs, path: fs.rm(path("d"), recursive=True),
    "rm of several": lambda fs, path: fs.rm([path("a"), path("d/x")]),
    "rm_file of nothing": lambda fs, path: fs.rm_file(path("none")),
    "cp": lambda fs, path: fs.cp(path("a"), path("copy")),
    "cp onto a file": lambda fs, path: fs.cp(path("a"), path("b")),
    "cp into a directory": lambda fs, path: fs.cp(path("a"), path("d/")),
    "cp of nothing": lambda fs, path: fs.cp(path("none"), path("copy")),
    "cp of a pattern": lambda fs, path: fs.cp(path("d/*"), path("d2/")),
    "cp of a directory": lambda fs, path: fs.cp(path("d"), path("copy"), recursive=True),
    "cp of a directory into one": lambda fs, path: fs.cp(path("d"), path("d2"), recursive=True),
    "mv": lambda fs, path: fs.mv(path("a"), path("moved")),
    "mv of nothing": lambda fs, path: fs.mv(path("none"), path("moved")),
    "mv of a directory": lambda fs, path: fs.mv(path("d"), path("moved"), recursive=True),
    "pipe": lambda fs, path: fs.pipe({path("a"): b"1", path("d/new"): b"2"}),
    "pipe that creates": lambda fs, path: fs.pipe_file(path("a"), b"1", mode="create"),
    "touch": lambda fs, path: fs.touch(path("a")),
}

KINDS = (FileNotFoundError, IsADirectoryError, FileExistsError, OSError, ValueError, TypeError)


def answer(fs, root, action, path):
    """Return a result, or the kind of error, without the root in the names."""

    def bare(value):
        if isinstance(value, dict):
            return {bare(key): bare(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [bare(one) for one in value]
        return value.removeprefix(root).strip("/") if isinstance(value, str) else value

    try:
        found = bare(action(fs, f"{root}/{path}"))
    except NotADirectoryError:
        # what is below a file does not exist; not all filesystems tell the reason
        return "FileNotFoundError"
    except Exception as error:
        return next((kind.__name__ for kind in KINDS if isinstance(error, kind)), type(error).__name__)
    return sorted(found) if isinstance(found, list) and all(isinstance(one, str) for one in found) else found


def written(root, write, fs, _):
    """Make a call that writes, which gets a function that makes paths of names."""
    return write(fs, lambda name: f"{root}/{name}")


def fill(fs, root):
    for name, data in FILES.items():
        fs.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        fs.pipe_file(f"{root}/{name}", data)


@pytest.fixture
def others(tmp_path):
    """Filesystems with the same files, and the directory that holds them."""
    memory = fsspec.filesystem("memory")
    yield (memory, "/like-others"), (fsspec.filesystem("file"), str(tmp_path))
    if memory.exists("/like-others"):
        memory.rm("/like-others", recursive=True)


def test_reading(fs, others):
    for one, root in (*others, (fs, BUCKET)):
        fill(one, root)
    for what, read in READS.items():
        # fsspec's own filesystems find out late that a file is no directory
        late = {"FileExistsError": "FileNotFoundError"} if what in ("head", "tail", "read_block") else {}
        for path in PATHS:
            known = [answer(one, root, read, path) for one, root in others]
            known += [late[one] for one in known if isinstance(one, str) and one in late]
            assert answer(fs, BUCKET, read, path) in known, (what, path)


@pytest.mark.protocol("cosv4")
def test_writing(fs, others):
    for what, write in WRITES.items():
        found = []
        for one, base in (*others, (fs, BUCKET)):
            root = f"{base}/tree"
            fill(one, root)
            result = answer(one, root, partial(written, root, write), "")
            tree = {name: one.cat_file(f"{root}/{name}") for name in answer(one, root, READS["find"], "")}
            found.append((result, tree))
            one.rm(root, recursive=True)
        assert found[-1] in found[:-1], what
