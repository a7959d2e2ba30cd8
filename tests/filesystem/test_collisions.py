"""Lists of files of which one would be lost: refused before anything is sent, with both names."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from cosv4fs.collisions import check_copies, check_targets
from cosv4fs.migrate.locations import open_location
from cosv4fs.migrate.plan import plan_copies
from tests.filesystem.conftest import EVERY

BUCKET = "test-1250000000"
ASKS = {"list", "stat", "GetCoffer", "HeadObject"}
"""The requests that neither read nor write content."""


def at(*names):
    return [f"{BUCKET}/{name}" for name in names]


@pytest.fixture
def tree(fs):
    fs.pipe({path: path.encode() for path in at("d/one", "d/two", "d/2023/f", "d/2024/f", "d/f/g", "e")})
    return fs


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("one", "two", "2023/f", "2024/f", "f/g"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def refused(emulator):
    """Assert that an action is refused before anything is sent, and that the error has all names."""

    def refused(action, *named, error=OSError):
        emulator.clear_requests()
        with pytest.raises(error) as caught:
            action()
        assert emulator.count().keys() <= ASKS
        text = str(caught.value)
        assert all(name in text for name in named), text
        if error is OSError:
            assert (caught.value.errno, bool(caught.value.filename)) == (errno.EINVAL, True)

    return refused


COPIES = {
    "one name twice": (at("d/2023/f", "d/2024/f"), f"{BUCKET}/all/", ("2023/f", "2024/f")),
    "one target twice": (at("d/one", "d/two"), at("x", "x"), ("d/one", "d/two")),
    "spelled in two ways": (at("d/one", "d/two"), [f"{BUCKET}/x", f"/{BUCKET}/x/"], ("d/one", "d/two")),
    "a swap": (at("d/one", "d/two"), at("d/two", "d/one"), ("d/one", "d/two")),
    "a chain": (at("d/one", "d/two"), at("d/two", "x"), ("d/one", "d/two")),
    "a chain backwards": (at("d/two", "d/one"), at("x", "d/two"), ("d/one", "d/two")),
    "a directory into itself": (at("d/2023"), at("d/2023/x"), ("d/2023/x",)),
    "a tuple": (tuple(at("d/one", "d/two")), tuple(at("x", "x")), ("d/one", "d/two")),
}


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("case", COPIES)
def test_copies(tree, second, refused, case):
    sources, targets, named = COPIES[case]
    before = second.find(BUCKET)
    refused(lambda: tree.copy(sources, targets), *named)
    assert second.find(BUCKET) == before


def test_the_file_that_is_in_the_way_is_named(tree, refused):
    refused(lambda: tree.copy(at("d/one", "d/two"), at("d/two", "x")), f"but {BUCKET}/d/two is to be copied, too")


def test_a_tree_into_itself(tree, second, refused):
    before = second.find(BUCKET, withdirs=True)
    refused(lambda: tree.cp(f"{BUCKET}/d", f"{BUCKET}/d/2023", recursive=True), "d/2023")
    assert second.find(BUCKET, withdirs=True) == before


def test_a_file_that_another_needs_as_a_directory(tree, second, refused, here):
    for action in (
        lambda: tree.copy(at("d/one", "d/two"), at("x", "x/y")),
        lambda: tree.mv(at("d/one", "d/two"), at("x", "x/y")),
        lambda: tree.put(["one", "two"], at("x", "x/y")),
    ):
        refused(action, "one", "two", f"{BUCKET}/x/y")
    refused(lambda: tree.get(at("d/one", "d/two"), ["x", "x/y"]), "d/one", "d/two")
    refused(lambda: tree.pipe({f"{BUCKET}/x": b"1", f"{BUCKET}/x/y": b"2"}), "/x/y")
    assert not second.exists(f"{BUCKET}/x")
    assert not os.path.exists("x")


@pytest.mark.protocol("cdcs")
def test_coffers_hold_a_file_beside_a_prefix(tree, second, here):
    tree.pipe({f"{BUCKET}/x": b"1", f"{BUCKET}/x/y": b"2"})
    tree.put(["one", "two"], at("z", "z/y"))
    tree.copy(at("d/one", "d/two"), at("u", "u/y"))
    stored = [second.cat_file(path) for path in at("x", "x/y", "z", "z/y", "u", "u/y")]
    assert stored == [b"1", b"2", b"one", b"two", *(path.encode() for path in at("d/one", "d/two"))]


@pytest.mark.protocol("cdcs")
def test_two_that_are_both_files_and_directories(fs, second, refused, tmp_path):
    sources = at("d1/a", "d1/a/b", "d2/a", "d2/a/c")
    fs.pipe({path: path.encode() for path in sources})
    before = second.find(BUCKET)
    refused(lambda: fs.copy(sources, at("u/a", "u/a/b", "u/a", "u/a/c")), "d1/a", "d2/a")
    refused(lambda: fs.get(sources, [str(tmp_path / name) for name in ("a", "x", "a", "y")]), "d1/a", "d2/a")
    urls = [open_location(f"cdcs://{path}", {"cdcs": fs.storage_options}) for path in at("d1/a", "d2/a", "u/")]
    refused(lambda: plan_copies(urls[:2], urls[2], recursive=True).__enter__(), "d1/a", "d2/a")
    assert second.find(BUCKET) == before


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (at("d/2023/f", "d/2024/f"), "all/"),
        (at("d/one", "d/two"), ["x", "x"]),
        (at("d/one", "d/two"), ["x", "./2023/../x"]),
        (at("d/one", "d/two"), ["2023/new", "link/new"]),
        (at("d/one", "d/two"), ["one", "hop"]),
        (at("d/one", "d/two"), ["none", "dangling"]),
        (at("d/f", "e"), ["x", "x"]),
    ],
)
def test_downloads(tree, refused, here, sources, targets):
    for link, goal in (("link", "2023"), ("hop", "step"), ("step", "one"), ("dangling", "none")):
        Path(link).symlink_to(goal)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    refused(lambda: tree.get(sources, targets), *sources)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_names_that_the_local_disk_does_not_distinguish(tree, refused, here, monkeypatch):
    both = at("case/Name", "case/name")
    tree.pipe(dict.fromkeys(both, b"x"))
    tree.get(f"{BUCKET}/case", "kept", recursive=True)
    assert sorted(os.listdir("kept")) == ["Name", "name"]
    (here / "HERE").mkdir()
    # what a disk that ignores case says of a folder
    monkeypatch.setattr("cosv4fs.localfiles.os.path.samestat", lambda one, other: True)
    monkeypatch.setattr("cosv4fs.localfiles.os.path.lexists", lambda path: True)
    monkeypatch.setattr(Path, "lstat", lambda path: os.stat(here))
    refused(lambda: tree.get(f"{BUCKET}/case", "lost", recursive=True), *both)


@pytest.mark.protocol(*EVERY)
def test_uploads(fs, refused, here, second):
    for sources, targets in (
        (["2023/f", "2024/f"], f"{BUCKET}/all/"),
        (["one", "two"], at("x", "x")),
        (["one", "two"], [f"{BUCKET}/x", f"{fs.protocol}://{BUCKET}/x"]),
        (["f", "2023/f"], f"{BUCKET}/all/"),
    ):
        refused(lambda s=sources, t=targets: fs.put(s, t), *sources)
    assert second.find(BUCKET) == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("name", ["a//b", "a/../b", "./b", "\udcff"])
def test_invalid_targets(tree, refused, here, second, name):
    before, pairs = second.find(BUCKET), at("x", name)
    for action in (
        lambda: tree.pipe(dict.fromkeys(pairs, b"x")),
        lambda: tree.put(["one", "two"], pairs),
        lambda: tree.cp(at("d/one", "d/two"), pairs),
        *([] if tree.protocol == "cdcs" else [lambda: tree.mv(at("d/one", "d/two"), pairs)]),
    ):
        refused(action, name.encode("utf-8", "backslashreplace").decode())
    with pytest.raises(IsADirectoryError):
        tree.pipe({f"{BUCKET}/x": b"x", "other": b"x"})
    assert second.find(BUCKET) == before


@pytest.mark.protocol(*EVERY)
def test_contents(fs, refused, second):
    names = [f"{BUCKET}/x", f"/{BUCKET}/x", f"{fs.protocol}://{BUCKET}/x"]
    refused(lambda: fs.pipe(dict.fromkeys(names, b"x")), *names[:2])
    assert second.find(BUCKET) == []


def test_lists_of_different_length(tree, refused, here):
    for action in (
        lambda: tree.get(at("d/one", "d/two"), ["x"]),
        lambda: tree.get(f"{BUCKET}/d/2*/f", ["x"]),
        lambda: tree.put(["one"], at("x", "y")),
        lambda: tree.copy(at("d/one", "d/two"), at("x")),
        lambda: tree.mv(at("d/one"), at("x", "y")),
    ):
        refused(action, error=ValueError)


@pytest.mark.parametrize("recursive", [False, True])
def test_a_source_of_a_list_that_does_not_exist(tree, second, here, recursive):
    (here / "one[1]").write_bytes(b"1")
    for action, missing in (
        (lambda: tree.get(at("d/one", "nope"), "x/", recursive=recursive), f"{BUCKET}/nope"),
        (lambda: tree.get(at("nope*"), "x/", recursive=recursive), f"{BUCKET}/nope*"),
        (lambda: tree.put(["one", "nope"], f"{BUCKET}/x/", recursive=recursive), str(here / "nope")),
        (lambda: tree.put("nope", f"{BUCKET}/x/", recursive=recursive), str(here / "nope")),
        (lambda: tree.put(["nope*"], f"{BUCKET}/x/", recursive=recursive), str(here / "nope*")),
        (lambda: tree.cp(at("d/one", "nope"), f"{BUCKET}/x/", recursive=recursive), f"{BUCKET}/nope"),
        (lambda: tree.mv(at("d/one", "nope"), f"{BUCKET}/y/", recursive=recursive), f"{BUCKET}/nope"),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            action()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, missing)
    assert second.exists(f"{BUCKET}/d/one")
    # a pattern of a list may match nothing, and names that look like patterns are taken literally
    tree.put(["one[1]", "one", "nope*"], f"{BUCKET}/z/", recursive=recursive)
    assert second.find(f"{BUCKET}/z") == at("z/one", "z/one[1]")
    tree.get(at("z/one[1]", "z/one", "nope*"), "z/", recursive=recursive)
    assert sorted(os.listdir("z")) == ["one", "one[1]"]


def test_what_is_allowed(tree, second, here):
    # a pair may be named twice, a source may have two targets, and nothing happens to what stays
    tree.copy(at("d/one", "d/one", "d/one", "e"), at("x", "x", "y", "e"))
    assert [second.cat_file(path).decode() for path in at("x", "y", "e")] == at("d/one", "d/one", "e")
    tree.get(at("d/one", "d/one", "d/one"), ["new", "./new", "newer"])
    assert Path("new").read_text() == Path("newer").read_text() == f"{BUCKET}/d/one"
    tree.put(["one", "one"], at("z", "z"))
    assert second.cat_file(f"{BUCKET}/z") == b"one"
    # names may begin alike, and directories be merged
    tree.cp(f"{BUCKET}/d/2023", f"{BUCKET}/d/20234", recursive=True)
    assert second.cat_file(f"{BUCKET}/d/20234/f").decode() == f"{BUCKET}/d/2023/f"
    tree.cp(at("d/2023", "d/2024"), at("d/2024", "n"))
    # links that the caller has not named are replaced
    (here / "l").mkdir()
    (here / "l/two").symlink_to("one")
    tree.get(at("d/one", "d/two"), "l/")
    assert [(here / "l" / name).read_text() for name in ("one", "two")] == at("d/one", "d/two")
    # directories may share a target, and hold those of others
    tree.get(at("d/2023", "d/2023/f", "d/2024", "d/two"), ["t", "t/f", "t", "t/two"])
    assert sorted(os.listdir("t")) == ["f", "two"]
    tree.put(["2023", "2024", "2023/f", "two"], at("t", "t", "t/f", "t/two"))
    assert second.find(f"{BUCKET}/t") == at("t/f", "t/two")


def test_pairs_of_other_sequences_keep_their_order(tree, second, here):
    tree.get(tuple(at("d/two", "d/one")), ("a", "b"))
    tree.put(iter(["two", "one"]), np.array(at("b", "a")))
    tree.cp(tuple(at("d/two", "d/one")), dict.fromkeys(at("y", "x")))
    assert [Path(name).read_text() for name in "ab"] == at("d/two", "d/one")
    assert [second.cat_file(path) for path in at("b", "a")] == [b"two", b"one"]
    assert [second.cat_file(path).decode() for path in at("y", "x")] == at("d/two", "d/one")
    tree.mv(iter(at("y")), f"{BUCKET}/z/")
    tree.rm(iter(at("x")))
    assert [second.exists(path) for path in at("z/y", "x", "y")] == [True, False, False]


def test_the_work_grows_with_the_number_of_files():
    looked_up = []

    def identity(path):
        looked_up.append(path)
        return path

    pairs = [(f"a/{n % 100}/{n}", f"b/{n % 100}/{n}") for n in range(20_000)]
    assert len(check_targets(pairs, "copied", identity=identity)) == 20_000
    check_copies(pairs, "copied", identity=identity, is_directory=lambda _: False)
    assert len(looked_up) <= 5 * 20_000


WRONG = [
    None,
    "text",
    123,
    [b"x"],
    memoryview(b"12345678").cast("i"),
    memoryview(b"1234")[::2],
    np.arange(3),
    np.array([None]),
]


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_what_is_no_content(fs, refused, second, value):
    fs.pipe_file(f"{BUCKET}/there", b"precious")
    for action in (
        lambda: fs.pipe(f"{BUCKET}/there", value),
        lambda: fs.pipe({f"{BUCKET}/new": b"fine", f"{BUCKET}/there": value}),
        lambda: fs.pipe_file(f"{BUCKET}/there", value),
        lambda: fs.write_bytes(f"{BUCKET}/there", value),
    ):
        refused(action, "bytes", f"{BUCKET}/there", error=TypeError)
    with pytest.raises(TypeError):
        fs.pipe(f"{BUCKET}/there")
    with pytest.raises(TypeError, match="no other value"):
        fs.pipe({f"{BUCKET}/new": b"x"}, b"y")
    if not isinstance(value, np.ndarray):
        with pytest.raises(TypeError):
            fs.get_mapper(BUCKET)["there"] = value
    assert second.cat(BUCKET, recursive=True) == {f"{BUCKET}/there": b"precious"}


def test_what_is_content(fs, second):
    for value in (b"abc", bytearray(b"abc"), memoryview(b"xabc")[1:], np.frombuffer(b"abc", "u1")):
        fs.pipe(Path(BUCKET, "x"), value)
        assert second.cat_file(f"{BUCKET}/x") == b"abc"
        fs.rm(f"{BUCKET}/x")
