"""Copies of single files between filesystems of several kinds."""

import errno
import io
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from fsspec.callbacks import Callback
from fsspec.spec import AbstractFileSystem

from cosv4fs.concurrency import cancellation
from cosv4fs.migrate.copying import copy_file, make_directory, read_md5, read_sha1, receive, remove_directories, stream
from cosv4fs.migrate.locations import Location, open_location
from tests.support import MIB, content

KINDS = ["file", "memory", "cosv4"]


@pytest.fixture
def location(tmp_path, fs):
    """Return locations of several kinds for names of files."""
    memory, top = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    memory.mkdir(top)
    tops = {"file": (fsspec.filesystem("file"), str(tmp_path)), "memory": (memory, top), "cosv4": (fs, "data")}
    yield lambda kind, name: Location(tops[kind][0], f"{tops[kind][1]}/{name}")
    memory.rm(top, recursive=True)


@pytest.mark.parametrize("size", [0, 1, 5 * MIB])
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_bytes_arrive_and_are_told(location, source, target, size):
    old, new, data = location(source, "old 中文"), location(target, "deep/er/new"), content(size, seed=1)
    old.fs.pipe_file(old.path, data)
    callback = Callback()
    copy_file(old, new, callback)
    assert new.fs.cat_file(new.path) == data
    assert callback.value == size
    # once more, over another content
    old.fs.pipe_file(old.path, data[:1] + b"!")
    copy_file(old, new)
    assert new.fs.cat_file(new.path) == data[:1] + b"!"
    assert read_sha1(old) == read_sha1(new)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_missing_source_leaves_the_target_alone(location, source, target):
    new = location(target, "new")
    new.fs.pipe_file(new.path, b"before")
    with pytest.raises(FileNotFoundError):
        copy_file(location(source, "none"), new)
    assert new.fs.cat_file(new.path) == b"before"


def test_little_of_a_large_file_is_in_memory(location, fs, monkeypatch):
    """Several files are copied at once, and each reads ahead."""
    old, opened, held = location("cosv4", "old"), [], []
    old.fs.pipe_file(old.path, content(60 * MIB, seed=1))
    monkeypatch.setattr(
        fs, "open", lambda *given, **more: opened.append(type(fs).open(fs, *given, **more)) or opened[-1]
    )

    class Watching(Callback):
        def relative_update(self, inc=1):
            held.append(sum(each.stop - each.start for each in opened[0].cache._ranges))

    stream(old, location("memory", "new"), Watching())
    # what is read at the moment counts, too
    assert 4 * MIB < max(held) <= 20 * MIB


class Editor(Callback):
    """Edits a local file when the first bytes of it were copied; size and beginning stay."""

    def __init__(self, path):
        super().__init__()
        self._path, self._is_done = path, False

    def relative_update(self, inc=1):
        if not self._is_done:
            with open(self._path, "r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"?")
            os.utime(self._path, (1, 1))
        self._is_done = True
        super().relative_update(inc)


@pytest.mark.parametrize(
    ("copy", "target"), [*((copy_file, kind) for kind in KINDS), (stream, "file"), (stream, "cosv4")]
)
def test_a_local_file_that_changes_meanwhile(location, target, copy):
    """The copy may have parts of two versions; the next comparison must not take it for one of them."""
    old, new = location("file", "old"), location(target, "new")
    old.fs.pipe_file(old.path, content(9 * MIB, seed=1))
    new.fs.pipe_file(new.path, b"before")
    with pytest.raises(OSError) as caught:
        copy(old, new, Editor(old.path))
    assert caught.value.errno == errno.ESTALE or "changed while" in str(caught.value)
    is_kept = new.fs.exists(new.path)
    assert not is_kept or new.fs.cat_file(new.path) == b"before"
    # files in memory are replaced when they are opened
    assert is_kept == (target != "memory")


@pytest.mark.parametrize("target", KINDS)
def test_a_local_file_that_became_a_directory(location, target):
    """Other filesystems would make a directory of it, or nothing."""
    old, new = location("file", "old"), location(target, "new")
    os.mkdir(old.path)
    with pytest.raises(IsADirectoryError) as caught:
        copy_file(old, new)
    assert caught.value.filename == old.path
    assert not new.fs.exists(new.path)


def test_a_download_that_breaks_leaves_the_target_alone(location):
    old, new = location("memory", "old"), location("file", "new")
    old.fs.pipe_file(old.path, content(9 * MIB, seed=1))
    new.fs.pipe_file(new.path, b"before")

    class Failing(Callback):
        def relative_update(self, inc=1):
            raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        copy_file(old, new, Failing())
    assert new.fs.cat_file(new.path) == b"before"
    assert os.listdir(os.path.dirname(new.path)) == ["new"]
    copy_file(old, new)
    assert read_sha1(old) == read_sha1(new)


@pytest.mark.parametrize("read", [read_md5, read_sha1])
def test_reading_for_a_checksum_can_be_cancelled(location, read):
    file, owner = location("memory", "file"), object()
    file.fs.pipe_file(file.path, b"content")
    with cancellation.working_for(owner):
        cancellation.cancel(owner)
        with pytest.raises(InterruptedError):
            read(file)


class Broken(io.RawIOBase):
    """Gives some bytes, then fails."""

    def __init__(self, size):
        self.size = size

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.size <= 0:
            raise OSError(5, "broken")
        count = min(len(buffer), self.size)
        self.size -= count
        return count


@pytest.mark.parametrize("size", [10, 9 * MIB])
def test_a_stream_that_breaks_publishes_nothing(location, size):
    new = location("cosv4", "new")
    new.fs.pipe_file(new.path, b"before")
    with pytest.raises(OSError, match="broken"):
        receive(io.BufferedReader(Broken(size)), new)
    assert new.fs.cat_file(new.path) == b"before"
    assert new.fs.uploads("data") == []


@pytest.mark.parametrize("target", KINDS)
def test_pipes_have_no_size(location, target, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    data = content(5 * MIB)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    new, callback = location(target, "new"), Callback()
    copy_file(location("file", "pipe"), new, callback)
    writer.join(30)
    assert new.fs.cat_file(new.path) == data
    assert callback.value == len(data)


class Remembering(AbstractFileSystem):
    """Directories only; every instance remembers what it has seen of them, as those of FTP do."""

    cachable = False
    protocol = "remembering"
    there = frozenset({""})
    seen = None

    def makedirs(self, path, exist_ok=False):
        if self.seen is None:
            self.seen = self.there
        if path not in self.seen and path in self.there:
            raise OSError(f"550 {path} exists")
        type(self).there = self.there | {path}

    def invalidate_cache(self, path=None):
        self.seen = None


def test_directories_that_another_instance_has_made():
    one, other = Remembering(), Remembering()
    make_directory(Location(other, "/a"))
    for number in range(3):
        make_directory(Location(one, f"/{number}"))
        make_directory(Location(other, f"/{number}"))


def test_threads_make_one_directory_after_another(location, monkeypatch):
    """Some filesystems, as that of SFTP, look for a directory and then make it, and fail when it is there by then."""
    old, new, busy, met = location("memory", "a"), location("memory", "deep"), threading.Lock(), []
    old.fs.pipe_file(old.path, b"a")

    def makedirs(_path, exist_ok=False):
        met.append(busy.acquire(blocking=False))
        time.sleep(0)  # lets another thread go on
        busy.release()

    monkeypatch.setattr(new.fs, "makedirs", makedirs)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: copy_file(old, new.at(f"{new.path}/{number}")), range(200)))
    assert met == [True] * 200


def test_only_directories_without_files_are_removed(tmp_path):
    (tmp_path / "top/empty/deep").mkdir(parents=True)
    (tmp_path / "top/full").mkdir()
    (tmp_path / "top/full/file").write_bytes(b"1")
    with pytest.raises(OSError, match="not empty") as caught:
        remove_directories(open_location(str(tmp_path / "top")))
    assert caught.value.errno == errno.ENOTEMPTY
    assert (tmp_path / "top/empty/deep").exists()
    (tmp_path / "top/full/file").unlink()
    remove_directories(open_location(str(tmp_path / "top")))
    assert not (tmp_path / "top").exists()
