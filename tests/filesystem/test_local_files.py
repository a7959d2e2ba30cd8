"""Local files that are pipes, sinks, of no known size, or change while they are uploaded."""

import errno
import io
import os
import random
import subprocess
import threading
from pathlib import Path

import fsspec
import fsspec.core
import pytest
from fsspec.callbacks import Callback

from tests.filesystem.conftest import EVERY
from tests.support import MIB, Do, taken

PROTOCOLS = ("cosv4", "cosv3")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("size", [0, 300, 9 * MIB + 5])
def test_the_content_of_a_pipe_is_stored(fs, second, tmp_path, size):
    content, pipe = random.Random(size).randbytes(size), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    fs.put_file(pipe, PATH)
    writer.join()
    assert second.cat_file(PATH) == content


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="no such files here")
def test_a_file_without_a_size_is_stored(fs, second):
    assert os.stat("/proc/cpuinfo").st_size == 0
    fs.put_file("/proc/cpuinfo", PATH)
    assert second.cat_file(PATH).count(b"processor") > 0


def test_a_pipe_is_written_to_and_stays_one(fs, tmp_path):
    content, pipe, found = random.Random(1).randbytes(6 * MIB), tmp_path / "pipe", []
    fs.pipe_file(PATH, content)
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    fs.get_file(PATH, pipe)
    reader.join()
    assert found == [content]
    assert pipe.is_fifo()


def test_what_cannot_be_uploaded_in_a_directory_is_reported(fs, second, tmp_path):
    top = tmp_path / "d"
    for name in ("d/a", "d/sub/b", "e/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for link, goal in (("link", "../e"), ("loop", "."), ("file", "../e/c")):
        (top / link).symlink_to(goal)
    os.mkfifo(top / "pipe")
    with pytest.raises(OSError, match="3 in all") as caught:
        fs.put(str(top), f"{BUCKET}/d", recursive=True)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(top / "link"))
    contents = {f"{BUCKET}/d/{name}": data for name, data in (("a", b"d/a"), ("file", b"e/c"), ("sub/b", b"d/sub/b"))}
    assert second.cat(f"{BUCKET}/d", recursive=True) == contents
    assert second.find(f"{BUCKET}/d", withdirs=True) == sorted({f"{BUCKET}/d", f"{BUCKET}/d/sub", *contents})
    fs.put(str(top / "link"), f"{BUCKET}/named", recursive=True)
    assert second.find(f"{BUCKET}/named") == [f"{BUCKET}/named/c"]


def test_directories_that_cannot_be_listed_are_an_error(fs, second, tmp_path, monkeypatch):
    (tmp_path / "d" / "lost+found").mkdir(parents=True)
    (tmp_path / "d" / "a").write_bytes(b"a")
    scan = os.scandir

    def scandir(path):
        if "lost+found" in os.fspath(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for source in (str(tmp_path / "d"), [str(tmp_path / "d")]):
        with pytest.raises(PermissionError, match=r"lost\+found"):
            fs.put(source, f"{BUCKET}/d", recursive=True)
    assert second.find(BUCKET) == []


def ways_to_get(fs, target):
    """Every way to name the target of a download."""
    return [
        lambda: fs.get_file(PATH, target),
        lambda: fs.get(PATH, str(target)),
        lambda: fs.get([PATH], [str(target)]),
        lambda: fs.download(PATH, str(target)),
    ]


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("size", [5, 5 * MIB // 8])
def test_links_are_written_through(small_fs, tmp_path, way, size):
    fs = small_fs
    content = random.Random(size).randbytes(size)
    fs.pipe_file(PATH, content)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "there" / "old").write_bytes(b"old")
    (tmp_path / "there" / "old").chmod(0o640)
    (tmp_path / "here" / "step").symlink_to("../there/old")
    for link, goal in (("near", "step"), ("dangling", tmp_path / "there" / "new")):
        (tmp_path / "here" / link).symlink_to(goal)
        ways_to_get(fs, tmp_path / "here" / link)[way]()
        assert (tmp_path / "here" / link).is_symlink()
        assert (tmp_path / "here" / link).read_bytes() == content
    assert (tmp_path / "here" / "step").is_symlink()
    assert (tmp_path / "there" / "old").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path / "there")) == ["new", "old"]
    assert sorted(os.listdir(tmp_path / "here")) == ["dangling", "near", "step"]


def test_links_that_lead_to_no_file(fs, tmp_path):
    fs.pipe_file(PATH, b"new")
    (tmp_path / "folder").mkdir()
    for link, goal in (("circle", "circle"), ("into", "folder"), ("away", "none/none")):
        (tmp_path / link).symlink_to(goal)
    for link, number in (("circle", errno.ELOOP), ("into", errno.EISDIR), ("folder", errno.EISDIR), ("away", 2)):
        with pytest.raises(OSError) as caught:
            fs.get_file(PATH, tmp_path / link)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / link))
    fs.get(PATH, str(tmp_path / "into"))
    assert (tmp_path / "folder" / "object").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["away", "circle", "folder", "into"]


def test_a_failed_download_through_a_link_leaves_its_target(fs, emulator, tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("old")
    with pytest.raises(FileNotFoundError):
        fs.get_file(PATH, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "old").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["link", "old"]


def test_hard_links_and_read_only_files(fs, tmp_path):
    fs.pipe_file(PATH, b"new")
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "old").chmod(0o444)
    (tmp_path / "other").hardlink_to(tmp_path / "old")
    fs.get_file(PATH, tmp_path / "old")
    assert [(tmp_path / name).read_bytes() for name in ("old", "other")] == [b"new", b"old"]
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("is_named", [False, True])
def test_a_file_that_appears_during_the_download_is_replaced(fs, tmp_path, monkeypatch, request, is_named):
    class Other(Callback):
        def relative_update(self, inc=1):
            (tmp_path / "late").write_bytes(b"old")

    if is_named:
        request.getfixturevalue("named_parts")
    fs.pipe_file(PATH, b"new")
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o027)
    try:
        fs.get_file(PATH, "late", callback=Other())
        fs.get_file(PATH, "first")
    finally:
        os.umask(before)
    assert {name: Path(name).read_bytes() for name in os.listdir()} == {"late": b"new", "first": b"new"}
    assert {os.stat(name).st_mode & 0o777 for name in os.listdir()} == {0o640}


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open files have no such names here")
@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/{pid}/fd/{}", "link"])
def test_an_open_file_is_written_into_where_it_stands(fs, tmp_path, way, name):
    fs.pipe_file(PATH, b"content")
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(b"before ")
        target = name.format(file.fileno(), pid=os.getpid())
        if name == "link":
            target = tmp_path / "link"
            target.symlink_to(f"/dev/fd/{file.fileno()}")
        inode = os.stat(tmp_path / "file").st_ino
        ways_to_get(fs, target)[way]()
        file.write(b" after")
    assert (tmp_path / "file").read_bytes() == b"before content after"
    assert os.stat(tmp_path / "file").st_ino == inode


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open files have no such names here")
def test_a_process_that_can_open_no_more_files(fs, tmp_path, monkeypatch, named_parts):
    def refuse(number):
        raise OSError(errno.EMFILE, "Too many open files")

    fs.pipe_file(PATH, b"new")
    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr("os.dup", refuse)
    for target in (tmp_path / "old", tmp_path / "none", "/dev/fd/2"):
        with pytest.raises(OSError, match="Too many open files") as caught:
            fs.get_file(PATH, target)
        assert (caught.value.errno, caught.value.filename) == (errno.EMFILE, str(target))
        opened = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        assert not any(name.startswith(str(tmp_path)) for name in opened)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"old")]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no such files here")
def test_the_open_file_of_another_process(fs, tmp_path):
    fs.pipe_file(PATH, b"content")
    with open(tmp_path / "theirs", "wb") as out, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out) as other:
        fs.get_file(PATH, f"/proc/{other.pid}/fd/1")
        other.communicate()
    assert (tmp_path / "theirs").read_bytes() == b"content"


def test_files_that_are_not_open_for_writing(fs, tmp_path):
    fs.pipe_file(PATH, b"content")
    with open(__file__, "rb") as file:
        for number in (file.fileno(), 4096):
            with pytest.raises(OSError, match="not open for writing") as caught:
                fs.get_file(PATH, f"/dev/fd/{number}")
            assert (caught.value.errno, caught.value.filename) == (errno.EBADF, f"/dev/fd/{number}")


def test_open_files_as_targets(fs):
    fs.pipe({f"{PATH}1": b"one", f"{PATH}2": b"two"})
    sinks = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    fs.get([f"{PATH}1", f"{PATH}2"], sinks[:2])
    fs.get(f"{PATH}1", sinks[2])
    assert [sink.getvalue() for sink in sinks] == [b"one", b"two", b"one"]
    with pytest.raises(OSError, match="would both be downloaded"):
        fs.get([f"{PATH}1", f"{PATH}2"], [sinks[0], sinks[0]])
    with pytest.raises(ValueError, match="does not match as many files"):
        fs.get(f"{PATH}*", sinks[0])
    for target in (None, 3):
        with pytest.raises(TypeError, match="must be a path"):
            fs.get(PATH, target)


def test_a_sink_that_takes_a_part_at_a_time(fs):
    class Slow(io.RawIOBase):
        taken = b""

        def writable(self):
            return True

        def write(self, data):
            self.taken += bytes(data[:1000])
            return min(1000, len(data))

    content, sink = random.Random(2).randbytes(5555), Slow()
    fs.pipe_file(PATH, content)
    fs.get_file(PATH, sink)
    assert sink.taken == content


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("checksum", [True, False])
def test_a_local_file_that_changes_during_its_upload_is_an_error(emulator, second, tmp_path, protocol, checksum):
    local = tmp_path / "local"
    local.write_bytes(b"a" * 9 * MIB)
    options = taken(protocol, {"checksum": checksum})
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, slice_size=MIB, single_upload_limit=MIB, max_concurrency=1, **options
    )
    op = {"cosv4": "upload_slice_data", "cosv3": "upload_slice", "cdcs": "UploadPart"}[protocol]
    emulator.faults.add(action=Do(lambda: local.write_bytes(b"b" * 9 * MIB)), op=op, nth=4, times=1)
    with pytest.raises(OSError):
        fs.put_file(local, PATH)
    assert not second.exists(PATH)
    assert second.uploads(BUCKET) == []


def test_threads_that_put_the_same_file_do_not_disturb_each_other(emulator, second, protocol, tmp_path):
    local, journal = tmp_path / "local", str(tmp_path / "journal")
    local.write_bytes(random.Random(3).randbytes(3 * MIB))
    fs = fsspec.filesystem(
        protocol, **emulator.storage_options, slice_size=MIB, single_upload_limit=MIB, journal_dir=journal
    )
    for number in range(5):
        fs.pool.map(lambda _, target=f"{PATH}{number}": fs.put_file(local, target), range(4))
        assert second.cat_file(f"{PATH}{number}") == local.read_bytes()
    assert list((tmp_path / "journal").glob("*")) == []
