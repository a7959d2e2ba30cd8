"""Two processes that write the same path at once: in the end one of the contents is there, whole, and nothing else."""

import random

import pytest

from tests.crash.processes import Client, Server

MIB = 1024 * 1024
FOLDER = "bucket/dir"
PATH = f"{FOLDER}/object"
ROUNDS = 3

WAYS = {
    "put_file": ("put_file", "overwrite", "create"),
    "pipe_file": ("pipe_file", "overwrite", "create"),
    "write": ("write", "wb", "xb"),
    "write sized": ("write sized", "wb", "xb"),
}
SIZES = {"different": (7 * MIB, 11 * MIB), "equal": (9 * MIB + 5, 9 * MIB + 5), "small": (MIB, 3 * MIB)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module", params=["cosv4", "cosv3"])
def writers(request, server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("writers")
    options = {
        "protocol": request.param,
        **server.options,
        "slice_size": MIB,
        "max_concurrency": 3,
        "journal_dir": str(folder / "journal"),
    }
    with Client(options, folder) as first, Client(options, folder) as second:
        yield first, second


@pytest.fixture
def fs(server):
    fs = server.filesystem()
    yield fs
    if fs.exists(FOLDER):
        fs.rm(FOLDER, recursive=True)


@pytest.fixture
def contents(request, tmp_path):
    """Two contents, and the files they are in."""
    chance = random.Random(request.param)
    made = {tmp_path / str(number): chance.randbytes(size) for number, size in enumerate(SIZES[request.param])}
    for path, content in made.items():
        path.write_bytes(content)
    return made


def at_once(writers, contents, ways, modes):
    """Have both write, and return their outcomes."""
    for writer, local, way, mode in zip(writers, contents, ways, modes, strict=True):
        keywords = {"mode": mode} if way == "put_file" else {}
        more = () if way == "put_file" else (mode,)
        writer.prepare(way, str(local), PATH, *more, **keywords)
    for writer in writers:
        writer.go()
    return [writer.outcome() for writer in writers]


def nothing_is_left(fs):
    names = [entry.name for entry in fs.client.list("bucket", "/dir/")]
    return (fs.uploads("bucket"), names) == ([], ["object"])


def judge(fs, contents, ways, outcomes):
    """Neither writer failed, one of the contents is there, and nothing else."""
    for way, outcome in zip(ways, outcomes, strict=True):
        assert outcome["error"] is None, (way, outcome["trace"])
    assert fs.cat_file(PATH) in contents.values()
    assert nothing_is_left(fs)


OLD = {"free": None, "small": b"old", "large": bytes(5 * MIB)}
PAIRS = [(way, size, list(OLD)[(i + j) % 3]) for i, way in enumerate(WAYS) for j, size in enumerate(SIZES)]
"""Any two of a way, the sizes, and what was there before."""


@pytest.mark.parametrize(("way", "contents", "old"), PAIRS, indirect=["contents"])
def test_the_last_one_wins_whole(fs, writers, contents, way, old):
    old = OLD[old]
    for _ in range(ROUNDS):
        if old is not None:
            fs.pipe_file(PATH, old)
        outcomes = at_once(writers, contents, [WAYS[way][0]] * 2, [WAYS[way][1]] * 2)
        judge(fs, contents, [way] * 2, outcomes)
        fs.rm_file(PATH)


@pytest.mark.parametrize(("seed", "contents"), list(enumerate([*SIZES, *SIZES])), indirect=["contents"])
def test_any_two_ways(fs, writers, contents, seed):
    chance = random.Random(seed)
    ways = chance.choices(list(WAYS), k=2)
    for _ in range(ROUNDS):
        outcomes = at_once(writers, contents, [WAYS[way][0] for way in ways], [WAYS[way][1] for way in ways])
        judge(fs, contents, ways, outcomes)
        # every other round finds the object of the one before
        if chance.random() < 0.5:
            fs.rm_file(PATH)


@pytest.mark.parametrize("contents", ["different", "small"], indirect=True)
@pytest.mark.parametrize("way", list(WAYS))
def test_one_creates(fs, writers, contents, way):
    for _ in range(ROUNDS):
        outcomes = at_once(writers, contents, [WAYS[way][0]] * 2, [WAYS[way][2]] * 2)
        assert sorted(str(outcome["error"]) for outcome in outcomes) == ["CosFileExistsError", "None"], outcomes
        winner = [outcome["error"] for outcome in outcomes].index(None)
        assert fs.cat_file(PATH) == list(contents.values())[winner]
        assert nothing_is_left(fs)
        fs.rm_file(PATH)
