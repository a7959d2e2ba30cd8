"""Arguments and options: invalid ones are refused before anything is sent."""

import inspect
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.spec import AbstractFileSystem

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.emulator.faults import Action
from tests.filesystem.conftest import EVERY

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"mode": "q"}, ValueError),
        ({"mode": None}, ValueError),
        ({"mode": "rw"}, ValueError),
        ({"mode": "rbt"}, ValueError),
        ({"mode": "rbb"}, ValueError),
        ({"mode": "+b"}, ValueError),
        ({"mode": "wb", "size": "5"}, TypeError),
        ({"mode": "wb", "size": -1}, ValueError),
        ({"block_size": "1MB"}, TypeError),
        ({"block_size": -3}, ValueError),
        ({"cache_type": "bogus"}, ValueError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_invalid_arguments_of_open(fs, emulator, options, kind):
    fs.pipe_file(PATH, b"x")
    emulator.clear_requests()
    with pytest.raises(kind, match="|".join(options)):
        fs.open(PATH, **options)
    assert emulator.count() == {}


def test_the_letters_of_a_mode_have_any_order(fs):
    with fs.open(PATH, "bw") as file:
        file.write(b"one ")
    with fs.open(PATH, "ta", encoding="utf-8") as text:
        text.write("two")
    with fs.open(PATH, "br") as file:
        assert (file.mode, file.read()) == ("rb", b"one two")
    with pytest.raises(NotImplementedError, match="whole objects"):
        fs.open(PATH, "b+r")


def test_a_wrong_size_is_not_a_replaced_object(fs):
    fs.pipe_file(PATH, b"0123456789")
    with pytest.raises(OSError, match="has 10 bytes, not the announced 5"), fs.open(PATH, size=5) as file:
        file.read()


@pytest.mark.parametrize(
    "wrong",
    [
        {"proxies": ["x"]},
        {"proxies": "http://u:p@h"},
        {"verify": ["a"]},
        {"read_timeout": float("nan")},
        {"max_concurrency": True},
        {"region": "evil.example/"},
        {"endpoint": "http://user:password@127.0.0.1:1"},
    ],
)
def test_invalid_options(emulator, wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as caught:
        CosV4FileSystem(**{**emulator.storage_options, **wrong})
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("size", 3), ("block_size", 8), ("content_type", "text/csv")])
@pytest.mark.protocol(*EVERY)
def test_keywords_of_open_are_no_options(emulator, protocol, name, value):
    url = f"{protocol}://{PATH}"
    with pytest.raises(TypeError, match=rf"^{name} is a keyword of .*fs\.open\(path, mode, {name}=...\)$"):
        fsspec.open(url, "wb", **{name: value}, **emulator.storage_options)
    fs, path = fsspec.url_to_fs(url, **emulator.storage_options)
    with fs.open(path, "wb", **{name: value}) as file:
        file.write(b"abc")
    assert fs.cat_file(path) == b"abc"


def test_little_things(fs, emulator):
    assert fs.cat_ranges([], [], [], max_gap=5) == []
    fs.pipe_file(PATH, b"0123456789")
    with pytest.raises(ValueError, match="on_error"):
        fs.cat_ranges([PATH], 0, 1, on_error="omit")
    emulator.clear_requests()
    fs.setxattrs(PATH)
    assert emulator.count() == {"stat": 1}
    with pytest.raises(FileNotFoundError):
        fs.attributes("")
    options = emulator.storage_options
    account = [options[name] for name in ("appid", "secret_id", "secret_key", "region", "endpoint")]
    described = CosV4FileSystem(*account).to_dict(include_password=False)
    assert [described[name] for name in ("args", "appid", "region", "endpoint")] == [[], account[0], *account[3:]]


class Five:
    """An integer of another library."""

    def __index__(self):
        return 5


@pytest.mark.protocol(*EVERY)
def test_integers_of_any_kind(fs):
    data = bytes(range(100))
    fs.pipe_file(PATH, data)
    for two in (2, np.int64(2), np.uint8(2), np.array(2)):
        assert fs.cat_file(PATH, two, Five()) == data[2:5]
        assert fs.cat_ranges([PATH], two, Five(), max_gap=two) == [data[2:5]]
        assert fs.head(PATH, two) == data[:2]
        assert fs.tail(PATH, two) == data[-2:]
        assert fs.read_block(PATH, two, np.int64(5)) == data[2:7]
        assert fs.cat([PATH, PATH], start=-int(two)) == {PATH: data[-2:]}
        with fs.open(PATH, block_size=two, size=np.int32(100)) as file:
            assert file.read(Five()) == data[:5]
    for starts, ends in (((0, 5), [2, None]), (np.array([0, 5]), (np.int8(2), None)), (range(0, 10, 5), [2, 100])):
        for names in ([PATH] * 2, (PATH, PATH), np.array([PATH] * 2)):
            assert fs.cat_ranges(names, starts, ends) == [data[0:2], data[5:]]
    merged = fs.cat_ranges((PATH, PATH), np.array([0, 50]), np.array([2, 52]), max_gap=np.int64(100))
    assert merged == [data[:2], data[50:52]]
    assert (fs.head(PATH, -1), fs.tail(PATH, -1), fs.tail(PATH, 0)) == (data, b"", b"")
    with pytest.raises(ValueError, match="starts must have one value for each path: 2, not 1"):
        fs.cat_ranges([PATH, PATH], [1], 2)


MISUSE = {
    "a float": lambda fs, on_error: fs.cat_ranges([PATH], 0.0, 5, on_error=on_error),
    "an array of floats": lambda fs, on_error: fs.cat_ranges([PATH], np.array([0.0]), 5, on_error=on_error),
    "a text": lambda fs, on_error: fs.cat_ranges([PATH], "0", 5, on_error=on_error),
    "a truth value": lambda fs, on_error: fs.cat_ranges([PATH], [False], 5, on_error=on_error),
    "too few": lambda fs, on_error: fs.cat_ranges([PATH, PATH], [1], [2, 3], on_error=on_error),
    "too many": lambda fs, on_error: fs.cat_ranges([PATH], [1], np.array([2, 3]), on_error=on_error),
    "one path": lambda fs, on_error: fs.cat_ranges(PATH, 0, 5, on_error=on_error),
    "one path object": lambda fs, on_error: fs.cat_ranges(Path(PATH), 0, 5, on_error=on_error),
    "no path": lambda fs, on_error: fs.cat_ranges([PATH, None], 0, 5, on_error=on_error),
    "a gap": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, max_gap=1.5, on_error=on_error),
    "a negative gap": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, max_gap=-1, on_error=on_error),
    "an unknown keyword": lambda fs, on_error: fs.cat_ranges([PATH], 0, 5, on_eror=on_error),
    "cat: a float": lambda fs, on_error: fs.cat([PATH, PATH + "2"], start=1.0, on_error=on_error),
    "cat: an unknown keyword": lambda fs, on_error: fs.cat([PATH, PATH + "2"], strat=1, on_error=on_error),
    "cat: nothing to read": lambda fs, on_error: fs.cat([PATH], on_error="ignore"),
    "head": lambda fs, on_error: fs.head(PATH, 1.0),
    "tail": lambda fs, on_error: fs.tail(PATH, "1"),
    "cat_file": lambda fs, on_error: fs.cat_file(PATH, 0, 1.0),
    "open": lambda fs, on_error: fs.open(PATH, block_size=1.0),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_never_a_result(fs, emulator, case):
    for on_error in ("return", "omit" if "cat:" in case else "return"):
        with pytest.raises((TypeError, ValueError)):
            MISUSE[case](fs, on_error)
    assert "download" not in emulator.count()


ONE_PATH = ("info", "invalidate_cache", "exists", "isdir", "ls", "find", "glob", "walk", "du", "size", "cat_file")
ONE_PATH += ("head", "open", "rm_file", "touch", "mkdir", "makedirs", "attributes", "setxattrs", "sign", "uploads")


@pytest.mark.protocol("cosv4", "cdcs")
@pytest.mark.parametrize("wrong", [5, PATH.encode(), [PATH], (PATH,), {PATH}], ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_path(fs, emulator, wrong):
    for name in ONE_PATH:
        if fs.protocol == "cdcs" and name in ("sign", "setxattrs"):
            continue
        with pytest.raises(TypeError, match=r"a path must be a str or an os\.PathLike, not"):
            list(getattr(fs, name)(wrong))
    assert emulator.requests == []


@pytest.mark.protocol(*EVERY)
def test_objects_that_stand_for_paths(fs):
    fs.pipe_file(Path(PATH), b"x")
    for pattern in (f"{BUCKET}/*", f"{BUCKET}/**"):
        assert fs.glob(Path(pattern)) == fs.glob(pattern)
    assert fs.cat(Path(PATH)) == fs.open(Path(PATH)).read() == b"x"


class Crowd(Action):
    """Counts the requests in flight; each waits a moment for others, until there are more than `limit`."""

    def __init__(self, limit):
        self.limit, self.now, self.most = limit, 0, 0
        self.lock, self.exceeded = threading.Lock(), threading.Event()

    def before(self, call):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now > self.limit:
                self.exceeded.set()
        self.exceeded.wait(0.05)

    def after(self, call, reply):
        with self.lock:
            self.now -= 1
        return reply


NAMES = [f"{BUCKET}/many/{number}" for number in range(6)]
LARGE = bytes(6 * 512 * 1024)

AT_ONCE = {
    "pipe": ("upload", lambda fs, here, n: fs.pipe(dict.fromkeys(NAMES, b"x"), batch_size=n)),
    "put": ("upload", lambda fs, here, n: fs.put(f"{here}/", f"{BUCKET}/put/", recursive=True, batch_size=n)),
    "cat": ("download", lambda fs, here, n: fs.cat(NAMES, batch_size=n)),
    "cat_ranges": ("download", lambda fs, here, n: fs.cat_ranges(NAMES, 0, 1, on_error="raise", batch_size=n)),
    "get": ("download", lambda fs, here, n: fs.get(NAMES, f"{here}/", batch_size=n)),
    "cp": ("copy", lambda fs, here, n: fs.cp(NAMES, f"{BUCKET}/copies/", batch_size=n)),
    "mv": ("move", lambda fs, here, n: fs.mv(NAMES, f"{BUCKET}/moved/", batch_size=n)),
    "rm": ("delete", lambda fs, here, n: fs.rm(NAMES, batch_size=n)),
    "rm recursive": ("delete", lambda fs, here, n: fs.rm(f"{BUCKET}/many", recursive=True, batch_size=n)),
    "pipe_file": ("upload_slice_data", lambda fs, here, n: fs.pipe_file(NAMES[0], LARGE, max_concurrency=n)),
    "put_file": ("upload_slice_data", lambda fs, here, n: fs.put_file(f"{here}.large", NAMES[0], max_concurrency=n)),
    "cat_file": ("download", lambda fs, here, n: fs.cat_file(f"{BUCKET}/large", max_concurrency=n)),
    "get_file": ("download", lambda fs, here, n: fs.get_file(f"{BUCKET}/large", f"{here}/x", max_concurrency=n)),
    "cat of one": ("download", lambda fs, here, n: fs.cat(f"{BUCKET}/large", max_concurrency=n)),
}


@pytest.mark.parametrize(("case", "limit"), [*((case, 2) for case in AT_ONCE), ("pipe", 1), ("cat_file", 1)])
def test_no_more_than_asked_for_at_once(small_fs, emulator, tmp_path, case, limit):
    here = tmp_path / "here"
    here.mkdir()
    for number in range(6):
        (here / f"{number}").write_bytes(b"x")
    Path(f"{here}.large").write_bytes(LARGE)
    small_fs.pipe({**dict.fromkeys(NAMES, b"x"), f"{BUCKET}/large": LARGE})
    operation, action = AT_ONCE[case]
    crowd = Crowd(limit)
    emulator.faults.add(op=operation, action=crowd, times=None)
    action(small_fs, here, limit)
    assert 1 <= crowd.most <= limit
    for wrong in (0, -2, 1.0, "2"):
        with pytest.raises((TypeError, ValueError), match=r"batch_size|max_concurrency"):
            action(small_fs, here, wrong)
    # fsspec's word for no limit
    small_fs.cat([f"{BUCKET}/large"], batch_size=-1, max_concurrency=-1)


def test_no_depth_is_below_one(fs, tmp_path):
    fs.pipe_file(PATH, b"x")
    folder, here = f"{BUCKET}/dir", str(tmp_path)
    for depth in (0, -1, 1.5):
        for call in (
            lambda depth: fs.find(folder, maxdepth=depth),
            lambda depth: list(fs.walk(folder, maxdepth=depth)),
            lambda depth: fs.glob(f"{folder}/*", maxdepth=depth),
            lambda depth: fs.glob(f"{folder}/**", maxdepth=depth),
            lambda depth: fs.du(folder, maxdepth=depth),
            lambda depth: fs.rm(folder, recursive=True, maxdepth=depth),
            lambda depth: fs.cp(folder, f"{BUCKET}/copy", recursive=True, maxdepth=depth),
            lambda depth: fs.mv(folder, f"{BUCKET}/moved", recursive=True, maxdepth=depth),
            lambda depth: fs.get(folder, f"{here}/got", recursive=True, maxdepth=depth),
        ):
            with pytest.raises((ValueError, TypeError), match="maxdepth"):
                call(depth)
    assert fs.find(BUCKET) == [PATH]


@pytest.mark.protocol(*EVERY)
def test_overwrite_is_the_mode_by_another_name(fs, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"data")
    fs.put_file(local, PATH, overwrite=True)
    fs.pipe_file(PATH + "2", b"data", overwrite=False)
    assert fs.cat_file(PATH) == fs.cat_file(PATH + "2") == b"data"
    writes = [
        lambda **options: fs.put_file(local, PATH, **options),
        lambda **options: fs.put(str(local), PATH, **options),
        lambda **options: fs.pipe_file(PATH, b"new", **options),
        lambda **options: fs.pipe({PATH: b"new"}, **options),
    ]
    with pytest.raises(ValueError, match="mode must be overwrite or create, not 'replace'"):
        fs.pipe_file(PATH, b"new", mode="replace")
    for write in writes:
        with pytest.raises(FileExistsError):
            write(overwrite=False)
        with pytest.raises(ValueError, match="contradict"):
            write(overwrite=True, mode="create")
        with pytest.raises(TypeError, match="overwrite must be"):
            write(overwrite="yes")
        if fs.protocol != "cdcs":
            write(overwrite=True)
    assert fs.cat_file(PATH) == (b"data" if fs.protocol == "cdcs" else b"new")


@pytest.mark.protocol(*EVERY)
def test_directories_that_may_exist(fs):
    folder = f"{BUCKET}/dir"
    fs.pipe_file(f"{folder}/file", b"")
    for path in (BUCKET, folder):
        fs.mkdir(path, exist_ok=True)
        with pytest.raises(FileExistsError):
            fs.mkdir(path, exist_ok=False)
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{folder}/file", exist_ok=fs.protocol != "cdcs")
    fs.mkdir(f"{BUCKET}/new", exist_ok=True)


def test_everything_that_is_cached_can_be_asked_for_again(fs, second):
    fs.pipe_file(PATH, b"1")
    for look in (fs.info, fs.ls, fs.find, fs.glob, fs.du, fs.exists, fs.lexists, fs.isfile, fs.isdir, fs.size, fs.ukey):
        look(PATH, refresh=True)
    for look in (fs.checksum, fs.modified, fs.created, lambda path, refresh: fs.sizes([path], refresh=refresh)):
        look(PATH, refresh=True)
    fs.ls(f"{BUCKET}/dir")
    second.pipe_file(PATH, b"another")
    assert (fs.size(PATH), fs.sizes([PATH])) == (1, [1])
    assert (fs.size(PATH, refresh=True), fs.sizes([PATH], refresh=True)) == (7, [7])
    with pytest.raises(TypeError, match="refesh"):
        fs.lexists(PATH, refesh=True)


def test_a_wrong_keyword_is_named_with_the_nearest(fs, tmp_path):
    calls = {
        "batch_size": lambda: fs.pipe({}, batchsize=1),
        "max_concurrency": lambda: fs.get([], [], max_concurency=1),
        "overwrite": lambda: fs.put([], [], overwrit=True),
        "start": lambda: fs.cat([PATH], strat=1),
        "content_type": lambda: fs.pipe_file(PATH, b"", content_typ="text/plain"),
        "mode": lambda: fs.put_file(tmp_path, PATH + "/x", modes="create"),
        "resume": lambda: fs.put([], [], resum=True),
        "this method does not take it": lambda: fs.open(PATH, "wb", overwrite=False),
        "'batch_size': this method does not take it": lambda: fs.put_file(tmp_path, PATH, batch_size=1),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=name):
            call()
    assert not fs.exists(PATH)


@pytest.mark.parametrize("kind", [CosV4FileSystem, CosV3FileSystem, CofferFileSystem])
def test_arguments_have_the_positions_of_fsspec(kind):
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

    def names(method):
        return [name for name, one in inspect.signature(method).parameters.items() if one.kind in positional][1:]

    for name, method in vars(AbstractFileSystem).items():
        own = getattr(kind, name, None)
        if name.startswith("_") or not inspect.isfunction(method) or own is method:
            continue
        wanted = names(method)
        assert names(own)[: len(wanted)] == wanted, name


def test_defaults_of_open(emulator):
    def made(**options):
        return fsspec.filesystem("cosv4", **emulator.storage_options, **options)

    made().pipe_file(PATH, bytes(3 * 1024 * 1024))
    for name in ("default_cache_type", "cache_type"):
        with made(**{name: "readahead"}).open(PATH) as file:
            assert type(file.cache).name == "readahead"
        with made(**{name: "readahead"}).open(PATH, cache_type="bytes") as file:
            assert type(file.cache).name == "bytes"
        with pytest.raises(ValueError, match="default_cache_type must be parallel or a cache of fsspec"):
            made(**{name: "bogus"})
    with pytest.raises(ValueError, match="mean the same"):
        made(cache_type="bytes", default_cache_type="none")
    fs = made(default_block_size=1024 * 1024, single_upload_limit=512 * 1024)
    for given, expected in ((None, 1024 * 1024), ("default", 1024 * 1024), (100, 100)):
        with fs.open(PATH, block_size=given) as file:
            assert file.blocksize == expected
    emulator.clear_requests()
    with fs.open(PATH, "wb", size=3 * 1024 * 1024) as file:
        file.write(bytes(3 * 1024 * 1024))
    assert emulator.count()["upload_slice_data"] == 3


def test_as_many_listings_as_asked_for_are_cached(emulator):
    few = fsspec.filesystem("cosv4", **emulator.storage_options, max_paths=1)
    many = fsspec.filesystem("cosv4", **emulator.storage_options)
    many.pipe({f"{BUCKET}/{name}/x": b"" for name in "ab"})
    for fs, listings in ((few, 3), (many, 2)):
        emulator.clear_requests()
        for name in "aba":
            assert fs.ls(f"{BUCKET}/{name}", detail=False) == [f"{BUCKET}/{name}/x"]
        assert emulator.count() == {"list": listings}
