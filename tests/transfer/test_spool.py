"""The spool: the bytes that were written, wherever they are, and nothing after a failure."""

import errno
import hashlib
import io
import tempfile
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.concurrency import Pool, Task
from cosv4fs.transfer.pieces import FilePiece, MemoryPiece
from cosv4fs.transfer.spool import Spool
from cosv4fs.transfer.temporary import TemporaryFile
from tests.support import KIB, MIB, content, wait_for_background

DATA = content(100 * KIB)
POOL = Pool(3, "test-spool")


def make(memory=10, folder=None, pool=POOL, piece_size=30 * KIB):
    return Spool(memory, None if folder is None else str(folder), "b/x", pool, piece_size)


def read(spool, offset, length):
    with spool.lend(offset, length, POOL.buffers) as view:
        return bytes(view)


class Disk:
    """A temporary file on a disk with some bytes of room; each write waits for a permit, if that is wanted."""

    def __init__(self, room, permits, file):
        self.room, self.permits, self._file = room, permits, file
        self.seek, self.fileno, self.close, self.readinto = file.seek, file.fileno, file.close, file.readinto
        self.has_begun = threading.Event()

    @property
    def is_open(self):
        return not self._file.closed

    def write(self, view):
        self.has_begun.set()
        if self.permits is not None:
            assert self.permits.acquire(timeout=30)
        taken = min(self.room, len(view))
        self.room -= taken
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(view[:taken])


@pytest.fixture
def make_disk(monkeypatch):
    def make_disk(room, permits=None):
        disk = Disk(room, permits, tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: disk)
        return disk

    return make_disk


class TestContent:
    @given(
        st.lists(st.binary(max_size=40) | st.builds(bytearray, st.binary(max_size=40)), max_size=12),
        st.integers(0, 200),
        st.integers(1, 50),
    )
    @settings(deadline=None)
    def test_any_pieces(self, pieces, memory, piece_size):
        spool, whole = make(memory, piece_size=piece_size), b"".join(pieces)
        for piece in pieces:
            spool.append(memoryview(piece))
            if isinstance(piece, bytearray):
                # the caller uses its memory again
                piece[:] = bytes(len(piece))
        assert spool.size == len(whole)
        spool.complete()
        assert spool.sha1() == hashlib.sha1(whole).hexdigest()
        assert read(spool, 0, len(whole)) == whole
        assert read(spool, len(whole) // 2, len(whole) - len(whole) // 2) == whole[len(whole) // 2 :]
        spool.close()

    @given(
        st.lists(
            st.tuples(st.just("append"), st.binary(max_size=40))
            | st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=40))
            | st.tuples(st.just("read"), st.integers(0, 300))
            | st.tuples(st.just("sha1"), st.none())
            | st.tuples(st.just("truncate"), st.integers(0, 300)),
            max_size=12,
        ),
        st.integers(0, 300),
        st.integers(1, 50),
    )
    @settings(deadline=None)
    def test_any_changes(self, changes, memory, piece_size):
        spool, model = make(memory, piece_size=piece_size), io.BytesIO()
        for where, value in changes:
            if where == "truncate":
                spool.truncate(value)
                model.seek(0, 2)
                model.write(bytes(max(0, value - model.tell())))
                model.truncate(value)
            elif where == "append":
                spool.append(memoryview(value))
                model.seek(0, 2)
                model.write(value)
            elif where == "read":
                assert spool.read(value, 30) == model.getvalue()[value : value + 30]
            elif where == "sha1":
                assert spool.sha1() == hashlib.sha1(model.getvalue()).hexdigest()
            else:
                spool.replace(where, memoryview(value))
                model.seek(where)
                model.write(value)
            assert spool.size == len(model.getvalue())
        whole = model.getvalue()
        spool.complete()
        assert spool.sha1() == hashlib.sha1(whole).hexdigest()
        assert read(spool, 0, len(whole)) == spool.read(0, 999) == whole
        assert spool.read(5, 7) == whole[5:12]
        spool.close()

    def test_bytes_in_memory_are_lent_without_a_copy(self):
        data, spool = bytes(MIB), make(MIB)
        spool.append(memoryview(data))
        with spool.lend(0, MIB, POOL.buffers) as view:
            assert view.obj is data
        spool.close()

    def test_a_small_part_does_not_keep_a_large_object(self):
        spool = make(16 * MIB)
        tracemalloc.start()
        try:
            for _ in range(8):
                spool.append(memoryview(bytes(8 * MIB))[: 64 * KIB])
            assert tracemalloc.get_traced_memory()[0] < 3 * MIB
        finally:
            tracemalloc.stop()
        spool.close()

    def test_zeros_come_after_a_cut(self):
        spool = make(10)
        spool.append(memoryview(DATA)[:15])
        spool.truncate(10)
        spool.truncate(15)
        assert spool.read(0, 15) == DATA[:10] + bytes(5)
        spool.close()

    def test_closing_drops_what_is_in_memory(self):
        spool = make(8 * MIB)
        tracemalloc.start()
        try:
            spool.append(memoryview(bytes(8 * MIB)))
            spool.complete()
            spool.close()
            assert tracemalloc.get_traced_memory()[0] < MIB
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("kind", [bytes, bytearray])
    def test_a_change_does_not_double_the_memory(self, kind):
        spool = make(16 * MIB, piece_size=MIB)
        tracemalloc.start()
        try:
            for _ in range(15):
                spool.append(memoryview(kind(MIB)))
            spool.replace(0, memoryview(b"x"))
            assert tracemalloc.get_traced_memory()[1] < 20 * MIB
        finally:
            tracemalloc.stop()
        spool.close()


class TestBeside:
    def test_the_writer_goes_on_while_the_disk_is_slow(self, make_disk):
        permits = threading.Semaphore(0)
        disk = make_disk(MIB, permits)
        spool = make(0)
        spool.append(memoryview(DATA)[: 50 * KIB])
        assert disk.has_begun.wait(30)
        assert spool.size == 50 * KIB
        permits.release(9)
        spool.complete()
        spool.close()

    def test_a_change_comes_after_the_bytes_that_are_being_written(self, monkeypatch):
        main, is_waited_for = threading.current_thread(), threading.Event()
        write, wait = TemporaryFile.write, Task.wait

        def write_late(file, offset, view):
            assert threading.current_thread() is main or is_waited_for.wait(30)
            write(file, offset, view)

        def note_wait(task):
            if task is writing:
                is_waited_for.set()
            wait(task)

        monkeypatch.setattr(TemporaryFile, "write", write_late)
        monkeypatch.setattr(Task, "wait", note_wait)
        spool = make(0)
        spool.append(memoryview(DATA)[: 30 * KIB])
        writing = spool._writing
        spool.replace(0, memoryview(b"new"))
        is_waited_for.set()
        spool.complete()
        assert read(spool, 0, 30 * KIB) == b"new" + DATA[3 : 30 * KIB]
        spool.close()

    def test_the_sha1_is_computed_while_the_writer_writes(self, monkeypatch):
        hashed = threading.Event()
        original = Spool.hash_into

        def hash_into(self, *args):
            original(self, *args)
            hashed.set()

        monkeypatch.setattr(Spool, "hash_into", hash_into)
        spool = make(10 * KIB)
        spool.append(memoryview(DATA))
        assert hashed.wait(30)
        spool.complete()
        assert spool.sha1() == hashlib.sha1(DATA).hexdigest()
        spool.close()

    def test_the_rest_of_the_sha1_is_computed_beside(self, monkeypatch):
        hashed, original = threading.Event(), Spool.hash_into

        def hash_into(self, *args):
            original(self, *args)
            hashed.set()

        monkeypatch.setattr(Spool, "hash_into", hash_into)
        spool = make(MIB)
        spool.append(memoryview(DATA))
        spool.complete()
        assert hashed.wait(30)
        assert spool.sha1() == hashlib.sha1(DATA).hexdigest()
        spool.close()

    def test_memory_is_bounded_while_the_disk_is_slow(self, make_disk):
        permits = threading.Semaphore(0)
        make_disk(100 * MIB, permits)
        spool, writes = make(MIB, pool=Pool(8, "test-spool"), piece_size=MIB), threading.Semaphore(0)

        def write():
            for _ in range(20):
                spool.append(memoryview(bytearray(MIB)))
                writes.release()

        writer = threading.Thread(target=write)
        tracemalloc.start()
        try:
            writer.start()
            # one MiB in memory, one that is being written, one that is being filled
            for _ in range(2):
                assert writes.acquire(timeout=30)
            for _ in range(17):
                permits.release()
                assert writes.acquire(timeout=30)
            assert tracemalloc.get_traced_memory()[1] < 9 * MIB
        finally:
            permits.release(9)
            writer.join(30)
            tracemalloc.stop()
        spool.close()

    def test_it_works_where_no_thread_is_free(self):
        pool = Pool(1, "test-spool")
        busy = pool.window.acquire()
        spool = make(0, pool=pool)
        spool.append(memoryview(DATA))
        spool.complete()
        assert spool.sha1() == hashlib.sha1(DATA).hexdigest()
        assert read(spool, 0, len(DATA)) == DATA
        pool.window.release(busy)
        spool.close()

    def test_closing_ends_what_runs_beside(self, make_disk):
        permits = threading.Semaphore(0)
        disk = make_disk(MIB, permits)
        spool = make(0)
        spool.append(memoryview(DATA)[: 30 * KIB])
        assert disk.has_begun.wait(30)
        closing = threading.Thread(target=spool.close)
        closing.start()
        # the file is not closed while it is written to: another one could get its number
        assert disk.is_open
        permits.release(9)
        closing.join(30)
        assert not disk.is_open


class TestFile:
    def test_it_has_no_name_and_goes(self, tmp_path):
        spool = make(10, tmp_path)
        spool.append(memoryview(DATA))
        assert list(tmp_path.iterdir()) == []
        spool.close()
        spool.close()

    def test_it_goes_after_everything_was_read(self, make_disk):
        disk = make_disk(MIB)
        spool = make(10)
        spool.append(memoryview(DATA))
        spool.complete()
        spool.close()
        wait_for_background()
        assert not disk.is_open

    def test_memory_first(self):
        spool = make(MIB, "/nonexistent")
        spool.append(memoryview(bytes(MIB)))
        spool.complete()
        assert read(spool, 0, MIB) == bytes(MIB)
        spool.close()

    @pytest.mark.parametrize("folder", ["missing", "file"])
    @pytest.mark.parametrize("when", ["append", "complete", "replace", "read"])
    def test_a_folder_that_cannot_be_used(self, tmp_path, folder, when):
        (tmp_path / "file").touch()
        place = str(tmp_path / folder)
        spool = make(10, place)
        spool.append(memoryview(b"small"))
        spool.append(memoryview(DATA)[: 40 * KIB])
        actions = {
            "append": lambda: spool.append(memoryview(DATA)),
            "complete": spool.complete,
            "replace": lambda: spool.replace(7, memoryview(b"other")),
            "read": lambda: spool.read(0, 10),
        }
        with pytest.raises(OSError, match="spool_dir=") as caught:
            actions[when]()
        # it is not the object that is missing
        assert caught.value.filename == place
        assert caught.value.errno in (errno.ENOENT, errno.ENOTDIR)
        spool.close()

    def test_a_full_disk(self, make_disk):
        disk = make_disk(40 * KIB)
        spool = make(10)
        with pytest.raises(OSError, match="No space left") as caught:
            for _ in range(2):
                spool.append(memoryview(DATA))
        assert caught.value.errno == errno.ENOSPC
        assert "spool_dir=" in str(caught.value)
        assert caught.value.filename == "b/x"
        # while the error is kept
        spool.close()
        assert not disk.is_open

    def test_the_reason_of_a_failure_that_is_just_happening(self, make_disk, monkeypatch):
        failed, awaited = threading.Event(), threading.Event()
        release, wait = MemoryPiece.release, Task.wait

        def end_late(piece):
            failed.set()
            assert awaited.wait(30)
            release(piece)

        def note_wait(task):
            awaited.set()
            wait(task)

        monkeypatch.setattr(MemoryPiece, "release", end_late)
        monkeypatch.setattr(Task, "wait", note_wait)
        make_disk(0)
        spool = make(0)
        spool.append(memoryview(DATA)[: 30 * KIB])
        assert failed.wait(30)
        try:
            with pytest.raises(OSError, match="No space left"):
                spool.append(memoryview(DATA))
        finally:
            awaited.set()
        spool.close()

    def test_the_system_has_no_folder_for_temporary_files(self, monkeypatch):
        def gettempdir():
            raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

        monkeypatch.setattr(tempfile, "gettempdir", gettempdir)
        spool = make(0)
        spool.append(memoryview(DATA)[: 30 * KIB])
        with pytest.raises(FileNotFoundError, match="set spool_dir=") as caught:
            spool.complete()
        assert caught.value.filename is None
        spool.close()

    def test_a_piece_on_a_full_disk(self, make_disk):
        disk = make_disk(0)
        piece = FilePiece(10, None, "b/x")
        with pytest.raises(OSError, match="No space left"):
            piece.take(memoryview(DATA))
        piece.release()
        assert not disk.is_open

    def test_nothing_is_taken_after_a_failure(self, tmp_path):
        spool = make(10, tmp_path / "missing")
        spool.append(memoryview(DATA)[: 40 * KIB])
        with pytest.raises(OSError, match="set spool_dir="):
            spool.append(memoryview(DATA))
        for action in (lambda: spool.append(memoryview(b"more")), spool.complete):
            with pytest.raises(OSError, match="an earlier write failed"):
                action()
        spool.close()
