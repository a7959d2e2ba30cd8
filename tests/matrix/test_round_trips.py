"""Every way of writing and every way of reading, around the sizes that make a difference."""

import hashlib
import io

import pytest

from tests.matrix.ways import BUCKET, CREATING, LIMIT, SIZES, WAYS
from tests.support import MIB, content

PATH = f"{BUCKET}/dir/sub/object"


@pytest.mark.parametrize("sizes", ["one request", "slices", "large"])
@pytest.mark.parametrize("way", list(WAYS))
def test_writing(bench, emulator, second, kept, way, sizes):
    for size in SIZES[sizes]:
        path, data = f"{PATH}{size}", content(size)
        WAYS[way](bench, path, data)
        kept.note(path, data)
        assert second.cat_file(path) == data
        assert (second.info(path)["size"], second.info(path)["type"]) == (size, "file")
        if emulator.dialect.slice_sha != "other":
            assert second.info(path)["sha"] in (None, hashlib.sha1(data).hexdigest())
    kept.check_alone()


@pytest.mark.parametrize("way", list(CREATING))
def test_creating(bench, second, kept, way):
    for size in (0, 1000, MIB + LIMIT + 7):
        path, data = f"{PATH}{size}", content(size)
        CREATING[way](bench, path, data)
        with pytest.raises(FileExistsError):
            CREATING[way](bench, path, data[::-1] + b"!")
        assert second.cat_file(path) == data
    assert second.uploads(BUCKET) == []


def _whole(fs, path, data, tmp_path):
    assert fs.cat_file(path) == data
    assert fs.cat(path) == data
    assert fs.cat([path]) == {path: data}


def _ranges(fs, path, data, tmp_path):
    size = len(data)
    for start in (None, 0, 1000, size - 1, size + 10, -1, -1000, -size - 5):
        for end in (None, 1, 1001, size + 10, -1):
            assert fs.cat_file(path, start, end) == data[start:end], (start, end)


def _many_ranges(fs, path, data, tmp_path):
    size = len(data)
    starts, ends = [0, 5, size // 2, max(0, size - 3)], [3, 9, size // 2 + 4, size]
    wanted = [data[start:end] for start, end in zip(starts, ends, strict=True)]
    assert fs.cat_ranges([path] * 4, starts, ends, on_error="raise") == wanted
    assert fs.cat_ranges([path] * 4, starts, ends, max_gap=64, on_error="raise") == wanted


def _ends(fs, path, data, tmp_path):
    assert fs.head(path, 10) == data[:10]
    assert fs.tail(path, 10) == data[-10:]


def _open(fs, path, data, tmp_path):
    with fs.open(path) as file:
        assert file.read() == data
        assert file.read(1) == b""
        assert file.seek(len(data) // 2) == len(data) // 2
        assert file.read(700) == data[len(data) // 2 :][:700]
        assert file.seek(-min(3, len(data)), io.SEEK_END) == max(0, len(data) - 3)
        assert file.read() == data[-3:]


def _in_pieces(fs, path, data, tmp_path):
    with fs.open(path, block_size=100_000) as file:
        assert b"".join(iter(lambda: file.read(77_777), b"")) == data


def _sized(fs, path, data, tmp_path):
    with fs.open(path, size=len(data)) as file:
        assert file.read() == data


def _cached(fs, path, data, tmp_path):
    for cache in ("readahead", "bytes", "all", "none"):
        with fs.open(path, cache_type=cache, block_size=64 * 1024) as file:
            file.seek(len(data) // 3)
            assert file.read(1000) == data[len(data) // 3 :][:1000]
            file.seek(0)
            assert file.read(10) == data[:10]


def _lines(fs, path, data, tmp_path):
    with fs.open(path) as file:
        assert b"".join(file) == data


def _get(fs, path, data, tmp_path):
    fs.get_file(path, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == data
    fs.get(path, str(tmp_path / "folder") + "/")
    assert (tmp_path / "folder" / path.rpartition("/")[2]).read_bytes() == data
    sink = io.BytesIO()
    fs.get_file(path, sink)
    assert sink.getvalue() == data


def _mapper(fs, path, data, tmp_path):
    folder, _, name = path.rpartition("/")
    assert fs.get_mapper(folder)[name] == data


READING = {
    "whole": _whole,
    "ranges": _ranges,
    "many ranges": _many_ranges,
    "ends": _ends,
    "open": _open,
    "in pieces": _in_pieces,
    "sized": _sized,
    "fsspec's caches": _cached,
    "lines": _lines,
    "get": _get,
    "mapper": _mapper,
}


@pytest.mark.parametrize("way", list(READING))
def test_reading(fs, second, kept, tmp_path, way):
    # 256 KiB is one range of a large read
    for size in (0, 1, 256 * 1024, 256 * 1024 + 1, MIB + LIMIT // 2):
        second.pipe_file(PATH, content(size))
        fs.invalidate_cache()
        READING[way](fs, PATH, content(size), tmp_path)


def test_reading_what_is_not_there(fs, kept, tmp_path):
    for way, read in READING.items():
        with pytest.raises(KeyError if way == "mapper" else FileNotFoundError) as caught:
            read(fs, f"{BUCKET}/dir/none", b"x" * 10, tmp_path)
        assert way == "mapper" or caught.value.filename == f"{BUCKET}/dir/none"
    assert not (tmp_path / "got").exists()
