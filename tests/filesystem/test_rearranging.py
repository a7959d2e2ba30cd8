"""Removing, copying, moving, making directories."""

import errno
import itertools
import re

import fsspec
import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import Refuse
from tests.filesystem.conftest import BUCKET, EVERY
from tests.support import elsewhere

PROTOCOLS = ("cosv4", "cosv3")


def at(*parts):
    return [f"{BUCKET}/{part}" for part in parts]


@pytest.fixture
def tree(fs):
    fs.pipe({path: path.encode() for path in at("d/one", "d/two", "d/sub/three", "d/sub/deep/four")})
    return fs


def test_directories_come_and_go(fs):
    path = f"{BUCKET}/new/dir"
    fs.makedirs(path)
    assert fs.isdir(path)
    assert fs.isdir(f"{BUCKET}/new")
    with pytest.raises(FileExistsError):
        fs.mkdir(path)
    with pytest.raises(FileExistsError):
        fs.makedirs(path)
    fs.makedirs(path, exist_ok=True)
    with pytest.raises(OSError, match="not empty") as caught:
        fs.rmdir(f"{BUCKET}/new")
    assert caught.value.errno == 39
    fs.rmdir(path)
    assert not fs.exists(path)
    with pytest.raises(FileNotFoundError):
        fs.rmdir(path)


def test_cached_listings_get_new_directories(fs):
    fs.pipe_file(f"{BUCKET}/dir/x", b"x")
    for new in ("one", "two/deep/er"):
        fs.ls(f"{BUCKET}/dir")
        fs.mkdir(f"{BUCKET}/dir/{new}")
        assert f"{BUCKET}/dir/{new.partition('/')[0]}" in fs.ls(f"{BUCKET}/dir", detail=False)


def test_files_in_the_place_of_directories(fs):
    path = f"{BUCKET}/file"
    fs.pipe_file(path, b"x")
    for action in (fs.mkdir, fs.makedirs, lambda path: fs.makedirs(path, exist_ok=True)):
        with pytest.raises(FileExistsError, match="of this name exists"):
            action(path)
    with pytest.raises(NotADirectoryError):
        fs.rmdir(path)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{BUCKET}/none/dir", create_parents=False)
    assert fs.cat_file(path) == b"x"


def test_buckets_are_not_made_here(fs):
    with pytest.raises(NotImplementedError, match="cannot create bucket"):
        fs.mkdir("brand-new")
    with pytest.raises(FileExistsError):
        fs.mkdir(BUCKET)
    with pytest.raises(NotImplementedError, match="cannot delete bucket"):
        fs.rmdir(BUCKET)
    fs.pipe_file(f"{BUCKET}/x/y", b"")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(BUCKET)
    fs.rm(f"{BUCKET}/*", recursive=True)
    assert fs.ls(BUCKET) == []


def test_a_bucket_is_emptied_and_stays(fs, second, wire):
    def fill():
        fs.pipe(dict.fromkeys(at("a", "d/b", "d/e/c"), b"x"))
        fs.makedirs(f"{BUCKET}/empty", exist_ok=True)
        if not fs.uploads(BUCKET):
            wire.leave(fs, "/d/unfinished", 1024 * 1024, 512 * 1024)

    fill()
    for refused in (fs.rm, fs.rm_file):
        with pytest.raises(IsADirectoryError):
            refused(BUCKET)
    fs.rm(BUCKET, recursive=True, maxdepth=1)
    assert second.find(BUCKET, withdirs=True) == [BUCKET, *at("d", "d/b", "d/e", "d/e/c", "empty")]
    for path in (BUCKET, f"{BUCKET}/", f"{fs.protocol}://{BUCKET}"):
        fill()
        fs.rm(path, recursive=True)
        assert second.find(BUCKET, withdirs=True) == [BUCKET]
        assert second.uploads(BUCKET) == []
        assert fs.isdir(BUCKET)
        # an empty one, too
        fs.rm(path, recursive=True)
    mapper = fs.get_mapper(BUCKET)
    mapper["key/0"] = b"x"
    mapper.clear()
    assert list(mapper) == []
    mapper["key"] = b"y"
    assert second.cat_file(f"{BUCKET}/key") == b"y"
    removals = [fs.rmdir, fs.rm, fs.rm_file, lambda path: fs.rm(path, recursive=True)]
    for action in (*removals, lambda path: fs.mv(path, f"{BUCKET}/x"), lambda path: fs.cp(path, f"{BUCKET}/x")):
        with pytest.raises(FileNotFoundError):
            action("none")


def test_a_bucket_is_copied_and_moved_as_a_directory(fs, second, tmp_path):
    contents = {"a": b"a", "d/b": b"b"}
    fs.pipe({f"{BUCKET}/{name}": value for name, value in contents.items()})

    def found(root):
        return {path.removeprefix(f"{root}/"): second.cat_file(path) for path in second.find(root)}

    fs.get(BUCKET, str(tmp_path / "got"), recursive=True)
    fs.put(f"{tmp_path}/got/", "other", recursive=True)
    assert found("other") == contents
    fs.rm("other", recursive=True)
    fs.cp(f"{BUCKET}/", "other", recursive=True)
    assert found("other") == found(BUCKET) == contents
    fs.rm("other", recursive=True)
    fs.mv(BUCKET, "other/in", recursive=True)
    assert found("other/in") == contents
    assert second.find(BUCKET, withdirs=True) == [BUCKET]
    with pytest.raises(OSError, match="into itself"):
        fs.mv("other", "other/x", recursive=True)


def test_the_base_of_all_buckets_is_a_directory_that_cannot_be_listed(fs):
    for path in ("", "/", f"{fs.protocol}://"):
        assert fs.exists(path)
        assert fs.isdir(path)
        assert not fs.isfile(path)
        assert fs.info(path)["type"] == "directory"
        for listing in (fs.ls, fs.find, fs.du, lambda path: next(fs.walk(path)), lambda path: fs.glob(f"{path}*")):
            with pytest.raises(NotImplementedError, match="cannot list buckets"):
                listing(path)
        with pytest.raises(NotImplementedError, match="cannot list buckets"):
            fs.rm(path, recursive=True)


NOT_ALL = {
    "a pattern with a directory": ("d/*", IsADirectoryError, "d/sub"),
    "a list with a directory": (["d/one", "d/sub"], IsADirectoryError, "d/sub"),
    "a list with something missing": (["d/one", "d/none"], FileNotFoundError, "d/none"),
}


@pytest.mark.parametrize("case", [*NOT_ALL, "recursive"])
def test_nothing_is_removed_or_moved_unless_all_can_be(tree, second, case):
    what, kind, path = NOT_ALL.get(case, NOT_ALL["a list with something missing"])
    options = {"recursive": True} if case == "recursive" else {}
    sources = at(*what) if isinstance(what, list) else f"{BUCKET}/{what}"
    before = second.find(BUCKET, withdirs=True)
    actions = [lambda: tree.rm(sources, **options)]
    if case != "recursive":
        actions.append(lambda: tree.mv(sources, f"{BUCKET}/new/"))
    for action in actions:
        with pytest.raises(kind) as caught:
            action()
        assert caught.value.filename == f"{BUCKET}/{path}"
        assert second.find(BUCKET, withdirs=True) == before


def test_paths_inside_others_are_removed_with_them(tree, second):
    tree.pipe(dict.fromkeys(at("d2/x", "dx"), b""))
    tree.rm(at("d", "d/one", "d/sub/deep", "d2", "dx"), recursive=True)
    assert second.find(BUCKET, withdirs=True) == [BUCKET]


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(parents="virtual"), Dialect(parents="required")])
def test_removing_trees(tree):
    tree.rm(f"{BUCKET}/d/sub", recursive=True)
    assert tree.find(BUCKET) == at("d/one", "d/two")
    tree.rm(at("d/one", "d/two"))
    with pytest.raises(FileNotFoundError) as caught:
        tree.rm(f"{BUCKET}/d/one")
    assert caught.value.filename == f"{BUCKET}/d/one"
    with pytest.raises(FileNotFoundError):
        tree.rm(f"{BUCKET}/none", recursive=True)


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(context="position"), Dialect(last_context="next")])
def test_removing_what_is_listed_in_many_pages(emulator, second, monkeypatch):
    """Removing while it is listed would skip entries where a context counts them."""
    monkeypatch.setattr("cosv4fs.stack._PART", 5)
    monkeypatch.setattr("cosv4fs.removing._FOLDERS", 2)
    monkeypatch.setattr("cosv4fs.removing._FILES", 3)
    names = [f"{folder}{number:02}" for folder in ("", "d/", "d/e/", "x/y/z/") for number in range(25)]
    second.pipe({f"{BUCKET}/top/{name}": b"" for name in names})
    for number in range(20):
        second.mkdir(f"{BUCKET}/top/empty/{number}")
    fs = fsspec.filesystem(second.protocol, **emulator.storage_options, page_size=4)
    emulator.clear_requests()
    fs.rm(f"{BUCKET}/top", recursive=True)
    assert second.find(BUCKET, withdirs=True) == [BUCKET]
    # one for each file and each directory
    assert emulator.count()["delete"] == len(names) + 20 + 7


@pytest.mark.parametrize("name", ["d/sub/three", "d/one", "d/sub/"])
def test_what_cannot_be_removed_stays_with_the_directories_above_it(tree, second, emulator, name):
    emulator.faults.add(op="delete", path=f"/{name}", action=Refuse(-96), times=None)
    with pytest.raises(PermissionError) as caught:
        tree.rm(f"{BUCKET}/d", recursive=True)
    path = f"{BUCKET}/{name}".rstrip("/")
    assert caught.value.filename == path
    assert path in second.find(BUCKET, withdirs=True)
    emulator.faults.clear()
    tree.rm(f"{BUCKET}/d", recursive=True)
    assert second.find(BUCKET) == []


def test_removing_to_a_depth(tree):
    tree.rm(f"{BUCKET}/d", recursive=True, maxdepth=1)
    assert tree.find(BUCKET) == at("d/sub/deep/four", "d/sub/three")


def test_removing_by_pattern(tree):
    tree.rm(f"{BUCKET}/d/**", recursive=True)
    assert tree.find(BUCKET) == []


@pytest.mark.parametrize("dialect", [Dialect(rmdir_nonempty="ignore")])
def test_a_server_that_says_removed_is_not_believed(tree):
    with pytest.raises(OSError, match="not empty"):
        tree.rmdir(f"{BUCKET}/d")
    tree.rm(f"{BUCKET}/d", recursive=True)
    assert tree.ls(BUCKET) == []


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(parents="required"),
        Dialect(move_signature="single", copy_signature="single"),
        Dialect(move_signature="multi", copy_signature="multi", delete_signature="multi", update_signature="multi"),
    ],
)
def test_moving_and_copying_files(tree, second):
    tree.cp(f"{BUCKET}/d/one", f"{BUCKET}/new/place/copy")
    assert second.cat_file(f"{BUCKET}/new/place/copy") == f"{BUCKET}/d/one".encode()
    tree.mv(f"{BUCKET}/d/one", f"{BUCKET}/other/place/moved")
    assert not second.exists(f"{BUCKET}/d/one")
    assert second.cat_file(f"{BUCKET}/other/place/moved") == f"{BUCKET}/d/one".encode()
    tree.mv(f"{BUCKET}/d/two", f"{BUCKET}/other/place/moved")
    assert second.cat_file(f"{BUCKET}/other/place/moved") == f"{BUCKET}/d/two".encode()
    tree.mv(f"{BUCKET}/other/place/moved", f"{BUCKET}/d/")
    assert second.cat_file(f"{BUCKET}/d/moved") == f"{BUCKET}/d/two".encode()
    tree.mv(f"{BUCKET}/d/moved", f"{BUCKET}/d/moved")
    assert second.exists(f"{BUCKET}/d/moved")


def test_a_slash_at_the_end_of_a_target_names_a_directory_that_need_not_exist(tree, second):
    tree.mv(f"{BUCKET}/d/one", f"{BUCKET}/new/")
    assert second.cat_file(f"{BUCKET}/new/one") == f"{BUCKET}/d/one".encode()
    assert not second.exists(f"{BUCKET}/d/one")


def test_what_is_not_there_cannot_be_moved(tree):
    for action in (tree.mv, tree.cp):
        with pytest.raises(FileNotFoundError):
            action(f"{BUCKET}/none", f"{BUCKET}/elsewhere/x")
    assert not tree.exists(f"{BUCKET}/elsewhere")
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        tree.mv(f"{BUCKET}/d", f"{BUCKET}/e")
    assert len(tree.find(BUCKET)) == 4


@pytest.mark.parametrize("target", ["e", "other/e"])
def test_moving_trees(tree, target):
    if target.startswith("other/"):
        tree.mv(f"{BUCKET}/d", target, recursive=True)
        assert tree.find("other") == [f"other/e/{name}" for name in ("one", "sub/deep/four", "sub/three", "two")]
        tree.rm("other/e", recursive=True)
    else:
        tree.mv(f"{BUCKET}/d", f"{BUCKET}/{target}", recursive=True)
        assert tree.find(BUCKET) == at("e/one", "e/sub/deep/four", "e/sub/three", "e/two")
    assert not tree.exists(f"{BUCKET}/d")


def test_a_source_goes_only_after_its_own_success(tree, emulator):
    emulator.faults.add(op="move", path="/d/two", times=100, action=Refuse(-180))
    with pytest.raises(OSError, match="not allowed"):
        tree.mv(f"{BUCKET}/d", f"{BUCKET}/e", recursive=True)
    found = tree.find(BUCKET)
    assert f"{BUCKET}/d/two" in found
    assert len(found) == 4


@pytest.mark.parametrize("dialect", [Dialect(cross_directory_move="refuse")])
def test_servers_that_move_only_within_a_directory(tree):
    tree.mv(f"{BUCKET}/d/one", f"{BUCKET}/e/one")
    assert tree.cat_file(f"{BUCKET}/e/one") == f"{BUCKET}/d/one".encode()
    assert not tree.exists(f"{BUCKET}/d/one")


def test_between_buckets(fs):
    content = bytes(range(256)) * 20_000
    fs.pipe_file(f"{BUCKET}/x", content)
    fs.cp(f"{BUCKET}/x", "other/deep/x")
    assert fs.cat_file("other/deep/x") == content
    fs.mv(f"{BUCKET}/x", "other/y")
    assert fs.cat_file("other/y") == content
    assert not fs.exists(f"{BUCKET}/x")


LISTS = {
    "one name twice": (["d/2023/f", "d/2024/f"], "all/", "would both be moved to this path"),
    "one target twice": (["d/one", "d/two"], ["e", "e"], "would both be moved to this path"),
    "onto one that stays": (["d/one", "d/two"], ["d/one", "d/one"], "would both be moved to this path"),
    "one source twice": (["d/one", "d/one"], ["e", "f"], "would be moved twice"),
    "a swap": (["d/one", "d/two"], ["d/two", "d/one"], "is to be moved, too"),
    "a chain": (["d/one", "d/two"], ["d/two", "d/three"], "is to be moved, too"),
    "a chain backwards": (["d/two", "d/one"], ["d/three", "d/two"], "is to be moved, too"),
    "into a directory that goes": (["d/empty", "d/one"], ["e", "d/empty/one"], "is to be moved, too"),
    "a directory into itself": (["d/empty"], ["d/empty/x"], "into itself"),
}


@pytest.mark.parametrize("case", LISTS)
def test_moves_that_take_what_others_need(fs, second, emulator, case):
    sources, targets, text = LISTS[case]
    fs.pipe({path: path.encode() for path in at("d/one", "d/two", "d/2023/f", "d/2024/f")})
    fs.mkdir(f"{BUCKET}/d/empty")
    before = second.find(BUCKET, withdirs=True)
    emulator.clear_requests()
    for start in ("", f"{fs.protocol}://"):
        target = [start + path for path in at(*targets)] if isinstance(targets, list) else f"{start}{BUCKET}/{targets}"
        with pytest.raises(OSError, match=text) as caught:
            fs.mv([start + path for path in at(*sources)], target)
        assert caught.value.errno == errno.EINVAL
        assert caught.value.filename.startswith(f"{BUCKET}/")
    assert not {"move", "delete", "create", "upload", "copy"} & set(emulator.count())
    assert second.find(BUCKET, withdirs=True) == before
    assert all(second.cat_file(path) == path.encode() for path in before if second.isfile(path))


def test_moves_of_lists(fs, second):
    fs.pipe({path: path.encode() for path in at("d/one", "d/two", "d/three", "d/s/one")})
    # what is named twice is moved once, and what stays needs nothing
    fs.mv(at("d/one", "d/two", "d/one"), at("e/one", "e/two", "e/one"))
    fs.mv(at("d/three", "e/two"), f"{BUCKET}/e/")
    fs.mv([f"{fs.protocol}://{BUCKET}/d/s/one"], [f"{fs.protocol}://{BUCKET}/f"])
    assert second.find(BUCKET) == at("e/one", "e/three", "e/two", "f")
    assert second.cat_file(f"{BUCKET}/e/one") == at("d/one")[0].encode()


@pytest.mark.parametrize("target", [f"{BUCKET}/d/y", f"{BUCKET}/e/y", "other/d/y"])
def test_a_moved_file_is_no_longer_what_was_known_of_either_path(fs, target):
    source = f"{BUCKET}/d/x"
    for listed, as_list in itertools.product([True, False], repeat=2):
        fs.pipe({source: b"new", target: b"older"})
        for path in (source, target):
            if listed:
                fs.ls(path.rpartition("/")[0])
            assert fs.info(path)["size"] == len(fs.cat_file(path))
        fs.mv([source], [target]) if as_list else fs.mv(source, target)
        assert fs.info(target)["size"] == 3
        assert [info["size"] for info in fs.ls(target.rpartition("/")[0]) if info["name"] == target] == [3]
        assert not fs.exists(source)
        assert source not in fs.find(BUCKET)
        fs.invalidate_cache()


@pytest.mark.parametrize("cached", [True, False])
def test_trees_between_buckets(tree, second, cached):
    # without a cache, only opening a directory tells that it is none of the files
    source = tree if cached else second
    source.cp(f"{BUCKET}/d", "other/e", recursive=True)
    assert second.find("other") == [f"other/e/{name}" for name in ("one", "sub/deep/four", "sub/three", "two")]
    assert second.cat_file("other/e/sub/three") == f"{BUCKET}/d/sub/three".encode()
    assert len(second.find(BUCKET)) == 4
    with pytest.raises(IsADirectoryError):
        source.cp_file(f"{BUCKET}/d/one", "other/e/sub")


def test_touching(fs):
    path = f"{BUCKET}/f"
    fs.touch(path)
    assert fs.info(path)["size"] == 0
    fs.pipe_file(path, b"x")
    with pytest.raises(NotImplementedError):
        fs.touch(path, truncate=False)
    assert fs.cat_file(path) == b"x"
    fs.touch(path)
    assert fs.cat_file(path) == b""
    fs.touch(path + "2", truncate=False)
    assert fs.exists(path + "2")


@pytest.mark.protocol("cosv3")
def test_v3_shows_one_attribute(fs, emulator):
    path = f"{BUCKET}/d/f"
    fs.pipe_file(path, b"x", content_type="text/x-mine")
    fs.setxattrs(path, biz_attr="mine")
    assert fs.attributes(path) == {"biz_attr": "mine"}
    with pytest.raises(NotImplementedError, match="biz_attr only"):
        fs.setxattrs(path, authority="eWPrivateRPublic")
    fs.client.update(BUCKET, "/d/f", authority="eWPrivateRPublic", custom_headers={"Cache-Control": "no"})
    assert fs.attributes(path) == {"biz_attr": "mine"}
    v4 = fsspec.filesystem("cosv4", **elsewhere(emulator.storage_options)).attributes(path)
    assert (v4["biz_attr"], v4["authority"], v4["cache_control"]) == ("mine", "public-read", "no")


@pytest.mark.protocol("cosv3")
def test_copies_by_v3_travel_through_this_machine(fs, second, emulator):
    content = bytes(range(256)) * 40_000
    fs.pipe({f"{BUCKET}/a/large": content, f"{BUCKET}/a/small": b"x"})
    fs.copy(f"{BUCKET}/a", f"{BUCKET}/b", recursive=True)
    assert second.cat_file(f"{BUCKET}/b/large") == content
    assert second.cat_file(f"{BUCKET}/b/small") == b"x"
    assert "copy" not in emulator.count()


def test_signed_urls_read_one_object(fs, emulator):
    import requests

    fs.pipe({f"{BUCKET}/a b+c": b"mine", f"{BUCKET}/other": b"not mine"})
    url = fs.sign(f"{fs.protocol}://{BUCKET}/a b+c", expiration=60)
    assert requests.get(url, timeout=30).content == b"mine"
    assert requests.get(url.replace("a%20b%2Bc", "other"), timeout=30).status_code == 403
    assert emulator.storage_options["secret_key"] not in url
    assert fs.url(f"{BUCKET}/other") != url
    for lasting in (fs.url(f"{BUCKET}/other", expires=3600), fs.url(f"{BUCKET}/other", 3600)):
        emulator.clock_offset = 1800
        assert requests.get(lasting, timeout=30).content == b"not mine"
        assert requests.get(url, timeout=30).status_code == 403
        emulator.clock_offset = 0
    with pytest.raises(TypeError, match=r"^unexpected keyword 'expires': did you mean expiration\?$"):
        fs.sign(f"{BUCKET}/other", expires=3600)
    for name, hint in {"expires_in": "did you mean expiration?", "lifetime": "a URL takes only expiration"}.items():
        with pytest.raises(TypeError, match=re.escape(f"'{name}': {hint}")):
            fs.url(f"{BUCKET}/other", **{name: 3600})


def test_a_directory_is_not_moved_into_itself(fs):
    fs.pipe({f"{BUCKET}/d/a": b"1", f"{BUCKET}/d/s/b": b"2"})
    fs.mkdir(f"{BUCKET}/d/empty")
    before = fs.find(BUCKET, withdirs=True)
    fs.mv(f"{BUCKET}/d/", f"{BUCKET}/d", recursive=True)
    for target in (f"{BUCKET}/d", f"{BUCKET}/d/x"):
        with pytest.raises(OSError, match="into itself"):
            fs.mv(f"{BUCKET}/d", target, recursive=True)
    fs.invalidate_cache()
    assert fs.find(BUCKET, withdirs=True) == before


@pytest.mark.parametrize("action", ["cp_file", "mv"])
def test_a_directory_is_no_target_for_a_file(fs, action):
    fs.pipe_file(f"{BUCKET}/f", b"x")
    fs.makedirs(f"{BUCKET}/d/e", exist_ok=True)
    with pytest.raises(IsADirectoryError) as caught:
        fs.cp_file(f"{BUCKET}/f", f"{BUCKET}/d") if action == "cp_file" else fs.mv([f"{BUCKET}/f"], [f"{BUCKET}/d"])
    assert caught.value.filename == f"{BUCKET}/d"
    assert fs.cat_file(f"{BUCKET}/f") == b"x"


@pytest.mark.protocol(*EVERY)
class TestCopiesToWhereNothingIs:
    """A bucket with a mistake in its name: no copy may look as if it had been made."""

    @pytest.mark.parametrize("tree", ["dir", "dir/only/folders"])
    def test_a_bucket_that_does_not_exist(self, fs, tree):
        fs.pipe({f"{BUCKET}/dir/a": b"1", f"{BUCKET}/dir/only/folders/b": b"2"})
        for options in ({}, {"on_error": "ignore"}, {"on_error": "raise"}):
            with pytest.raises(FileNotFoundError) as caught:
                fs.cp(f"{BUCKET}/{tree}", "typo-1250000000/new", recursive=True, **options)
            assert caught.value.filename.startswith("typo-1250000000/new")

    def test_a_source_that_vanished_is_passed_over(self, fs, second):
        fs.pipe({f"{BUCKET}/dir/a": b"1", f"{BUCKET}/dir/b": b"2"})
        for options in ({}, {"on_error": "ignore", "recursive": False}):
            target = f"{BUCKET}/new{len(options)}"
            sources = [f"{BUCKET}/dir/a", f"{BUCKET}/dir/none"]
            fs.cp(sources, [f"{target}/a", f"{target}/none"], **{"recursive": True, **options})
            assert second.find(target) == [f"{target}/a"]
