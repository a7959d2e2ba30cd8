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
