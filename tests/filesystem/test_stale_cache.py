"""The cache answers questions, but refuses nothing: what other clients have changed is no obstacle."""

import itertools

import pytest

from tests.filesystem.conftest import EVERY

PROTOCOLS = ("cosv4", "cdcs")
BUCKET = "test-1250000000"
STATES = ("absent", "file", "directory")


def write(fs, path, mode):
    with fs.open(path, mode) as file:
        file.write(b"new")


WRITING = {
    "open xb": lambda fs, path: fs.open(path, "xb").discard(),
    "xb": lambda fs, path: write(fs, path, "xb"),
    "wb": lambda fs, path: write(fs, path, "wb"),
    "below": lambda fs, path: write(fs, f"{path}/name", "wb"),
    "touch": lambda fs, path: fs.touch(path, truncate=False),
    "pipe_file": lambda fs, path: fs.pipe_file(path, b"new", mode="create"),
    "mkdir": lambda fs, path: fs.mkdir(path),
    "makedirs": lambda fs, path: fs.makedirs(path),
}
READING = {
    "cat_file": lambda fs, path: fs.cat_file(path),
    "tail": lambda fs, path: fs.tail(path, 2),
}
CHANGING = {
    "mkdir below": lambda fs, path: fs.mkdir(f"{path}/name", create_parents=False),
    "rm": lambda fs, path: fs.rm(path),
    "rm_file": lambda fs, path: fs.rm_file(path),
    "rm -r": lambda fs, path: fs.rm(path, recursive=True),
    "rmdir": lambda fs, path: fs.rmdir(path),
    "cp_file": lambda fs, path: fs.cp_file(path, f"{path}2"),
    "cp onto": lambda fs, path: fs.cp_file(f"{BUCKET}/source", path),
    "mv": lambda fs, path: fs.mv(path, f"{path}2"),
}

MANY = {
    "cat": lambda fs, path, local: fs.cat(path, recursive=True),
    "cat of a pattern": lambda fs, path, local: fs.cat(f"{path}/*e*"),
    "get": lambda fs, path, local: fs.get(path, local, recursive=True),
    "get of a pattern": lambda fs, path, local: fs.get([f"{path}/[lo]*", f"{path}/dir/*"], local),
    "cp": lambda fs, path, local: fs.cp(path, f"{path}2", recursive=True),
    "cp of a pattern": lambda fs, path, local: fs.cp(f"{path}/*", f"{path}2/"),
}
MANY_IN_BUCKETS = {
    "mv": lambda fs, path, local: fs.mv(path, f"{path}2", recursive=True),
    "mv of a pattern": lambda fs, path, local: fs.mv(f"{path}/*e*", f"{path}2/"),
    "rm": lambda fs, path, local: fs.rm(path, recursive=True),
    "rm of a pattern": lambda fs, path, local: fs.rm([f"{path}/*e*"]),
}


def make(fs, path, state):
    if state == "file":
        fs.pipe_file(path, b"content")
    if state == "directory":
        fs.pipe_file(f"{path}/inner", b"content")


def remove(fs, emulator, path):
    if fs.protocol != "cdcs":
        fs.rm(path, recursive=True)
        return
    # objects of coffers only expire
    key = path.removeprefix(f"{BUCKET}/")
    with emulator._service.store.writing() as db:
        db.delete("objects WHERE key = ? OR key LIKE ?", (key, f"{key}/%"))


def outcome(action, fs, path):
    try:
        found = action(fs, path)
    except Exception as error:
        return type(error)
    return [name.removeprefix(path) for name in found] if isinstance(found, list) else found


def operations(protocol, cached, actual):
    if cached == "absent":
        # what other clients have made is invisible until the cached listing expires, but nothing replaces it
        return WRITING
    if protocol == "cdcs":
        return WRITING | READING | {"rm_file": CHANGING["rm_file"]}
    # a cached file is an answer
    listing = {} if (cached, actual) == ("file", "absent") else {"ls": lambda fs, path: fs.ls(path, detail=False)}
    return WRITING | READING | CHANGING | listing


def fill_cache(fs, folder, path):
    """Cache a status or that there is none, and the listing above it."""
    if fs.exists(path):
        fs.info(path)
        fs.isdir(path)
    fs.ls(folder)


@pytest.mark.parametrize(("cached", "actual"), list(itertools.permutations(STATES, 2)))
def test_a_stale_cache_refuses_nothing(fs, second, emulator, protocol, cached, actual):
    """Every operation ends as it does without a cache."""
    second.pipe_file(f"{BUCKET}/source", b"content")
    for name, operation in operations(protocol, cached, actual).items():
        ended = []
        for client in (fs, second):
            folder = f"{BUCKET}/{name}/{client is fs}"
            path = f"{folder}/path"
            second.pipe_file(f"{folder}/other", b"")
            if client is fs:
                make(second, path, cached)
                fill_cache(fs, folder, path)
                if cached != "absent":
                    remove(second, emulator, path)
            make(second, path, actual)
            ended.append(outcome(operation, client, path))
        assert ended[0] == ended[1], name


def test_what_takes_many_files_takes_those_that_exist_now(fs, second, emulator, protocol, tmp_path):
    """It neither fails for one that another client has removed, nor leaves out a new one."""
    for name, operation in {**MANY, **({} if protocol == "cdcs" else MANY_IN_BUCKETS)}.items():
        ended = []
        for client in (fs, second):
            folder, local = f"{BUCKET}/{name}/{client is fs}", tmp_path / name / str(client is fs)
            second.pipe({f"{folder}/path/{file}": b"old" for file in ("left", "removed", "dir/below")})
            if client is fs:
                fs.find(folder, withdirs=True)
            remove(second, emulator, f"{folder}/path/removed")
            second.pipe({f"{folder}/path/{file}": b"new" for file in ("other", "dir/new")})
            found = operation(client, f"{folder}/path", str(local))
            names = [file.removeprefix(folder) for file in (*second.find(folder), *(found or ()))]
            ended.append((names, sorted(file.relative_to(local) for file in local.rglob("*"))))
        assert ended[0] == ended[1], name


@pytest.mark.protocol("cosv4", "cosv3")
@pytest.mark.parametrize("read", [lambda file: file.read(), lambda file: file.readline()])
def test_a_directory_in_the_place_of_a_cached_file_is_named_as_one(fs, second, read):
    second.pipe_file(f"{BUCKET}/path", b"content")
    fs.info(f"{BUCKET}/path")
    second.rm_file(f"{BUCKET}/path")
    second.pipe_file(f"{BUCKET}/path/inner", b"content")
    with fs.open(f"{BUCKET}/path") as file, pytest.raises(IsADirectoryError):
        read(file)


@pytest.mark.protocol("cdcs")
def test_an_object_that_is_cached_as_a_directory_is_copied(fs, second):
    second.pipe_file(f"{BUCKET}/path/inner", b"content")
    fs.ls(BUCKET)
    second.pipe_file(f"{BUCKET}/path", b"object")
    fs.cp_file(f"{BUCKET}/path", f"{BUCKET}/copy")
    assert second.cat_file(f"{BUCKET}/copy") == b"object"
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{BUCKET}/missing", f"{BUCKET}/copy2")


@pytest.mark.protocol(*EVERY)
def test_a_lock_file_is_taken_once(fs, second, emulator):
    """Its owner removes it; the next one has it in the cache."""
    path = f"{BUCKET}/job.lock"
    for owner, other in [(fs, second), (second, fs), (fs, second)]:
        write(owner, path, "xb")
        assert other.exists(path, refresh=True)
        with pytest.raises(FileExistsError):
            other.open(path, "xb")
        with pytest.raises(FileExistsError):
            other.pipe_file(path, b"", mode="create")
        remove(owner, emulator, path)
