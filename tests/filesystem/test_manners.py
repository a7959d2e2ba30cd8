"""What goes wrong elsewhere: forgotten files, odd names, impossible moves, wrong arguments."""

import gc
import io
import subprocess
import sys

import fsspec
import pytest

from cosv4fs import CosV4FileSystem
from cosv4fs.concurrency.background import wait_for_background

BUCKET = "test-bucket"
PATH = f"{BUCKET}/dir/object"

FORGOTTEN = {
    "text": lambda fs: fs.open(PATH, "w"),
    "gzip": lambda fs: fs.open(PATH, "wb", compression="gzip"),
    "text in gzip": lambda fs: fs.open(PATH, "w", compression="gzip"),
    "fsspec": lambda fs: fsspec.open(f"cosv4://{PATH}", "w", **fs.storage_options).open(),
    "wrapped": lambda fs: io.TextIOWrapper(fs.open(PATH, "wb")),
    "buffered": lambda fs: io.BufferedWriter(fs.open(PATH, "wb")),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", list(FORGOTTEN))
def test_forgotten_files_on_top_of_ours_publish_nothing(fs, second, how):
    second.pipe_file(PATH, b"old")
    file = FORGOTTEN[how](fs)
    file.write(b"part" if how in ("gzip", "buffered") else "part")
    del file
    gc.collect()
    wait_for_background()
    assert second.cat_file(PATH) == b"old"


@pytest.mark.parametrize("where", ["module", "function"])
@pytest.mark.parametrize("options", ["'w'", "'wb', compression='gzip'", "'wb'"])
def test_a_dying_program_publishes_nothing(fs, second, options, where):
    second.pipe_file(PATH, b"old")
    text = "'part'" if options == "'w'" else "b'part'"
    body = f"f = fs.open({PATH!r}, {options}); f.write({text}); raise RuntimeError"
    lines = ["import fsspec", f"fs = fsspec.filesystem('cosv4', **{fs.storage_options!r})"]
    lines += [body] if where == "module" else [f"def work(): {body}", "work()"]
    result = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert "RuntimeError" in result.stderr
    assert second.cat_file(PATH) == b"old"


def test_closing_in_a_handler_is_told(fs):
    file = fs.open(PATH, "wb")
    with pytest.warns(RuntimeWarning, match="outside the handler"):
        try:
            raise ValueError
        except ValueError:
            file.close()
    assert not fs.exists(PATH)
    with pytest.warns(RuntimeWarning), pytest.raises(OSError, match="was discarded"), fs.open(PATH, "wb") as file:
        try:
            raise KeyError
        except KeyError:
            file.close()


def test_moves_between_buckets_do_not_wait_for_a_transaction(fs, second):
    fs.pipe_file(f"{BUCKET}/source", b"precious")
    with pytest.raises(ZeroDivisionError), fs.transaction:
        fs.mv(f"{BUCKET}/source", "other/target")
        raise ZeroDivisionError
    assert second.cat_file("other/target") == b"precious"


def test_a_failed_open_leaves_nothing_for_a_transaction(fs, second):
    second.pipe_file(PATH, b"old")
    with fs.transaction, pytest.raises(ValueError, match="bogus"):
        fs.open(PATH, "wb", compression="bogus")
    assert second.cat_file(PATH) == b"old"


def test_lists_of_names_that_look_like_patterns(fs, tmp_path):
    names = [f"{BUCKET}/d/{name}" for name in ("a[1]", "a1", "b")]
    contents = {name: name.encode() for name in names}
    fs.pipe(contents)
    assert fs.cat(fs.find(f"{BUCKET}/d")) == contents
    fs.get(names, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a1", "a[1]", "b"]
    fs.mv([names[0]], f"{BUCKET}/e/")
    assert fs.find(BUCKET) == [*sorted([names[1], names[2]]), f"{BUCKET}/e/a[1]"]
    fs.rm([f"{BUCKET}/e/a[1]", f"{BUCKET}/d/b*"])
    assert fs.find(BUCKET) == [names[1]]
    mapper = fs.get_mapper(f"{BUCKET}/m")
    mapper["q[1]"], mapper["q1"] = b"x", b"y"
    assert mapper.getitems(["q[1]", "q1"]) == {"q[1]": b"x", "q1": b"y"}
    mapper.delitems(["q[1]"])
    assert list(mapper) == ["q1"]


def test_local_names_that_look_like_patterns(fs, tmp_path):
    (tmp_path / "u1").write_bytes(b"plain")
    (tmp_path / "u[1]").write_bytes(b"brackets")
    fs.put(str(tmp_path / "u[1]"), f"{BUCKET}/put")
    assert fs.cat_file(f"{BUCKET}/put") == b"brackets"


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


def test_what_became_a_file_meanwhile_is_one(fs, second, tmp_path):
    fs.mkdir(PATH)
    assert fs.isdir(PATH)
    second.rmdir(PATH)
    second.pipe_file(PATH, b"payload")
    fs.get_file(PATH, tmp_path / "local")
    assert (tmp_path / "local").read_bytes() == b"payload"
    fs.cp_file(PATH, PATH + "2")
    assert fs.cat_file(PATH + "2") == b"payload"


def test_names_of_uploads_under_way_are_reserved(fs, second):
    hidden = f"{BUCKET}/dir/.x.cosv4-0123456789abcdef"
    fs.pipe_file(PATH, b"x")
    for action in (
        lambda: fs.pipe_file(hidden, b""),
        lambda: fs.open(hidden, "wb"),
        lambda: fs.mkdir(hidden),
        lambda: fs.cp_file(PATH, hidden),
        lambda: fs.mv(PATH, hidden),
        lambda: fs.pipe_file(hidden + "/f", b""),
    ):
        with pytest.raises(OSError, match="uploads under way"):
            action()
    assert second.find(BUCKET) == [PATH]


def test_below_a_file_nothing_can_be(fs):
    fs.pipe_file(PATH, b"x")
    for action in (
        lambda: fs.pipe_file(f"{PATH}/y", b""),
        lambda: fs.pipe_file(f"{PATH}/y", bytes(5_000_000)),
        lambda: fs.makedirs(f"{PATH}/y", exist_ok=True),
    ):
        with pytest.raises(NotADirectoryError) as caught:
            action()
        assert caught.value.filename == PATH
    assert fs.cat_file(PATH) == b"x"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"mode": "q"}, ValueError),
        ({"mode": None}, ValueError),
        ({"mode": "rw"}, ValueError),
        ({"mode": "wb", "size": "5"}, TypeError),
        ({"mode": "wb", "size": -1}, ValueError),
        ({"block_size": "1MB"}, TypeError),
        ({"block_size": -3}, ValueError),
        ({"cache_type": "bogus"}, ValueError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_wrong_arguments_of_open(fs, emulator, options, kind):
    fs.pipe_file(PATH, b"x")
    emulator.clear_requests()
    with pytest.raises(kind, match="|".join(options)):
        fs.open(PATH, **options)
    assert emulator.count() == {}


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
def test_options_that_cannot_be(emulator, wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as caught:
        CosV4FileSystem(**{**emulator.storage_options, **wrong})
    assert "password@" not in str(caught.value)


def test_little_things(fs, emulator):
    assert fs.cat_ranges([], [], [], max_gap=5) == []
    fs.pipe_file(PATH, b"0123456789")
    assert fs.cat_ranges([PATH, PATH], (0, 5), (2, 7)) == [b"01", b"56"]
    with pytest.raises(ValueError, match="on_error"):
        fs.cat_ranges([PATH], 0, 1, on_error="omit")
    emulator.clear_requests()
    fs.update_attributes(PATH)
    assert emulator.count() == {"stat": 1}
    with pytest.raises(FileNotFoundError):
        fs.attributes("")
    options = emulator.storage_options
    account = [options[name] for name in ("appid", "secret_id", "secret_key", "region", "endpoint")]
    described = CosV4FileSystem(*account).to_dict(include_password=False)
    assert [described[name] for name in ("args", "appid", "region", "endpoint")] == [[], account[0], *account[3:]]
