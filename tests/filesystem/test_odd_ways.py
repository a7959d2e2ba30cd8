"""What people do and few tests think of: pipes, unclosed files, handlers elsewhere, forks, others at work."""

import io
import os
import random
import subprocess
import sys
import threading

import fsspec
import pytest

from cosv4fs.emulator import Dialect
from tests.support import Do, taken

PROTOCOLS = ("cosv4", "cosv3")
EVERY = (*PROTOCOLS, "cdcs")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
MIB = 1024 * 1024


class TestTransactions:
    @pytest.mark.protocol(*EVERY)
    def test_a_text_that_was_not_closed_is_whole(self, fs, second):
        with fs.transaction:
            file = fs.open(PATH, "w")
            file.write("hello world")
        assert second.cat_file(PATH) == b"hello world"
        assert file.closed

    @pytest.mark.parametrize("mode", ["wb", "w"])
    def test_a_compressed_file_that_was_not_closed_is_whole(self, fs, second, mode):
        text = b"hello " * 100 if mode == "wb" else "hello " * 100
        with fs.transaction:
            file = fs.open(f"{PATH}.gz", mode, compression="gzip")
            file.write(text)
        with second.open(f"{PATH}.gz", mode.replace("w", "r"), compression="gzip") as found:
            assert found.read() == text


class TestHandlersElsewhere:
    @pytest.mark.parametrize("options", [{"mode": "wb"}, {"mode": "w"}, {"mode": "wb", "compression": "gzip"}])
    def test_a_block_that_ends_well_publishes(self, fs, second, options):
        """A generator's block ends while its caller handles something of its own."""
        second.pipe_file(PATH, b"old")
        row = "row" if options["mode"] == "w" else b"row"

        def report():
            with fs.open(PATH, **options) as file:
                file.write((yield))
            yield "finished"

        work = report()
        next(work)
        try:
            raise ValueError
        except ValueError:
            assert work.send(row) == "finished"
        with second.open(PATH, options["mode"].replace("w", "r"), compression=options.get("compression")) as file:
            assert file.read() == row

    def test_a_file_from_outside_the_handler(self, fs, second):
        file = fs.open(PATH, "wb")
        try:
            raise ValueError
        except ValueError:
            with file:
                file.write(b"content")
        assert second.cat_file(PATH) == b"content"


FORK = """
import os, sys, fsspec
protocol, path, how = sys.argv[1], sys.argv[2], sys.argv[3]
fs = fsspec.filesystem(protocol, **eval(sys.argv[4]))
with fs.open(path, "wb", size=9 << 20) as file:
    file.write(bytes(4 << 20))
    child = os.fork()
    if child == 0:
        if how == "leave":
            sys.exit(0)
        try:
            file.close() if how == "close" else file.write(b"x")
        except OSError as error:
            os._exit(7 if "before a fork" in str(error) else 8)
        os._exit(9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    file.write(bytes(5 << 20))
sys.exit(code)
"""


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize(("how", "code"), [("leave", 0), ("close", 7), ("write", 7)])
def test_a_forked_child_cannot_end_its_parents_file(emulator, second, protocol, how, code):
    arguments = [protocol, PATH, how, repr(emulator.storage_options)]
    done = subprocess.run([sys.executable, "-c", FORK, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert second.cat_file(PATH) == bytes(9 * MIB)


class TestStreams:
    @pytest.mark.protocol(*EVERY)
    @pytest.mark.parametrize("size", [0, 300, 9 * MIB + 5])
    def test_what_comes_out_of_a_pipe_is_stored(self, fs, second, tmp_path, size):
        content, pipe = random.Random(size).randbytes(size), tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        fs.put_file(pipe, PATH)
        writer.join()
        assert second.cat_file(PATH) == content

    @pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="no such files here")
    def test_a_file_that_tells_no_size_is_stored(self, fs, second):
        assert os.stat("/proc/cpuinfo").st_size == 0
        fs.put_file("/proc/cpuinfo", PATH)
        assert second.cat_file(PATH).count(b"processor") > 0

    def test_a_pipe_is_written_to_and_stays_one(self, fs, tmp_path):
        content, pipe, found = random.Random(1).randbytes(6 * MIB), tmp_path / "pipe", []
        fs.pipe_file(PATH, content)
        os.mkfifo(pipe)
        reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
        reader.start()
        fs.get_file(PATH, pipe)
        reader.join()
        assert found == [content]
        assert pipe.is_fifo()

    def test_a_sink_that_takes_a_part_at_a_time(self, fs):
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
def test_a_local_file_that_changes_while_it_travels_is_an_error(emulator, second, tmp_path, protocol, checksum):
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


@pytest.mark.protocol(*EVERY)
def test_local_directories_whose_names_look_like_patterns(fs, tmp_path):
    for name, content in {"d[1]/a": b"a", "d[1]/sub/b": b"b", "d1/wrong": b"x"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    source = str(tmp_path / "d[1]")
    fs.put(source, f"{BUCKET}/new", recursive=True)
    assert fs.cat(f"{BUCKET}/new", recursive=True) == {f"{BUCKET}/new/a": b"a", f"{BUCKET}/new/sub/b": b"b"}
    fs.makedirs(f"{BUCKET}/there", exist_ok=True)
    fs.put(source, f"{BUCKET}/there/", recursive=True, maxdepth=1)
    assert fs.find(f"{BUCKET}/there") == [f"{BUCKET}/there/d[1]/a"]
    fs.put(source, f"{BUCKET}/none")
    assert not fs.exists(f"{BUCKET}/none")
    with pytest.raises(NotImplementedError, match="one by one"):
        fs.put([source], f"{BUCKET}/list", recursive=True)


class TestOthersAtWork:
    @pytest.mark.parametrize(("start", "end"), [(-5, -1), (None, -1), (-5, 18)])
    def test_places_from_the_end_are_those_of_now(self, fs, second, start, end):
        fs.pipe_file(PATH, b"b" * 10)
        fs.info(PATH)
        second.pipe_file(PATH, bytes(range(20)))
        assert fs.cat_file(PATH, start, end) == bytes(range(20))[start:end]

    def test_a_directory_that_somebody_removed_is_made_again(self, fs, second):
        fs.mkdir(f"{BUCKET}/d")
        second.rmdir(f"{BUCKET}/d")
        fs.mkdir(f"{BUCKET}/d")
        assert second.isdir(f"{BUCKET}/d")

    @pytest.mark.parametrize("dialect", [Dialect(parents="virtual")])
    def test_directories_that_go_with_the_last_thing_in_them(self, fs):
        fs.pipe_file(f"{BUCKET}/d/e/f", b"1")
        assert fs.isdir(f"{BUCKET}/d/e")
        assert fs.info(f"{BUCKET}/d")["type"] == "directory"
        fs.rm_file(f"{BUCKET}/d/e/f")
        assert not fs.isdir(f"{BUCKET}/d/e")
        assert not fs.exists(f"{BUCKET}/d")
        fs.pipe_file(f"{BUCKET}/g/f", b"1")
        assert fs.isdir(f"{BUCKET}/g")
        fs.mv(f"{BUCKET}/g/f", f"{BUCKET}/h")
        assert not fs.isdir(f"{BUCKET}/g")

    def test_an_unfinished_upload_is_no_file_to_be_removed(self, fs, second, wire):
        wire.leave(second, "/dir/object", 2 * MIB, MIB, bucket=BUCKET)
        for remove in (fs.rm_file, fs.rm):
            with pytest.raises(FileNotFoundError):
                remove(PATH)
        assert [found["name"] for found in second.uploads(BUCKET)] == [PATH]

    @pytest.mark.protocol("cosv3")
    def test_what_goes_between_two_questions_is_not_there(self, fs, second, emulator):
        """V3's listing tells whether a file is complete: one that it leaves out has gone."""
        second.pipe_file(PATH, b"x")
        emulator.faults.add(action=Do(lambda: second.rm_file(PATH)), op="list", times=1)
        with pytest.raises(FileNotFoundError):
            fs.info(PATH)

    def test_threads_that_put_the_same_file_do_not_disturb_each_other(self, emulator, second, protocol, tmp_path):
        local, journal = tmp_path / "local", str(tmp_path / "journal")
        local.write_bytes(random.Random(3).randbytes(5 * MIB))
        fs = fsspec.filesystem(
            protocol, **emulator.storage_options, slice_size=MIB, single_upload_limit=MIB, journal_dir=journal
        )
        for number in range(5):
            fs.workers.each(lambda _, target=f"{PATH}{number}": fs.put_file(local, target), range(4))
            assert second.cat_file(f"{PATH}{number}") == local.read_bytes()
        assert list((tmp_path / "journal").glob("*")) == []


class TestContract:
    @pytest.mark.parametrize("action", ["cp_file", "mv"])
    def test_a_directory_is_no_target_for_a_file(self, fs, action):
        fs.pipe_file(f"{BUCKET}/f", b"x")
        fs.makedirs(f"{BUCKET}/d/e", exist_ok=True)
        with pytest.raises(IsADirectoryError) as caught:
            fs.cp_file(f"{BUCKET}/f", f"{BUCKET}/d") if action == "cp_file" else fs.mv([f"{BUCKET}/f"], [f"{BUCKET}/d"])
        assert caught.value.filename == f"{BUCKET}/d"
        assert fs.cat_file(f"{BUCKET}/f") == b"x"

    @pytest.mark.protocol(*EVERY)
    def test_a_tree_is_drawn(self, fs):
        fs.pipe_file(PATH, b"x")
        assert "object" in fs.tree(BUCKET)

    @pytest.mark.protocol(*EVERY)
    def test_lines(self, fs):
        fs.pipe_file(PATH, b"one\ntwo\nthree")
        with fs.open(PATH) as file:
            assert file.readlines() == [b"one\n", b"two\n", b"three"]
            assert file.readlines() == []
            file.seek(0)
            assert file.readlines(5) == [b"one\n", b"two\n"]

    def test_everything_is_forgotten(self, fs, second):
        fs.ls(BUCKET)
        second.pipe_file(f"{BUCKET}/new", b"x")
        fs.invalidate_cache("")
        assert fs.ls(BUCKET, detail=False) == [f"{BUCKET}/new"]


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
