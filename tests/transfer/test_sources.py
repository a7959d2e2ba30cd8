"""Sources: the same bytes at any offset, as often as wanted, from any thread."""

import errno
import hashlib
import io
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.concurrency import Buffers
from cosv4fs.transfer.sources import FilePiece, FileSource, MemorySource, Spool
from tests.support import KIB, MIB, content

BUFFERS = Buffers(3)
DATA = content(100 * KIB)


def read(source, offset, length):
    with source.lend(offset, length, BUFFERS) as view:
        return bytes(view)


@pytest.fixture(params=["memory", "file", "spool in memory", "spool on disk"])
def source(request, tmp_path):
    if request.param == "memory":
        yield MemorySource(DATA)
    elif request.param == "file":
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            yield source
    else:
        spool = Spool(len(DATA) if "memory" in request.param else 10 * KIB, str(tmp_path), "b/x")
        for start in range(0, len(DATA), 7 * KIB):
            spool.append(memoryview(DATA)[start : start + 7 * KIB])
        yield spool
        spool.close()


class TestAny:
    def test_size_and_sha(self, source):
        assert source.size == len(DATA)
        assert source.sha1() == hashlib.sha1(DATA).hexdigest()
        assert source.sha1() == hashlib.sha1(DATA).hexdigest()

    def test_slices(self, source):
        for offset, length in (
            (0, 10),
            (50 * KIB, 50 * KIB),
            (3, 70 * KIB),
            (0, len(DATA)),
            (len(DATA) - 1, 1),
            (5, 0),
        ):
            assert read(source, offset, length) == DATA[offset : offset + length]

    def test_from_many_threads(self, source):
        wrong = []

        def look(seed):
            for step in range(20):
                offset = (seed * 977 + step * 1013) % 90_000
                if read(source, offset, 9000) != DATA[offset : offset + 9000]:
                    wrong.append((seed, step))

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_wide_memory():
    source = MemorySource(memoryview(bytes(range(16))).cast("I"))
    assert source.size == 16
    assert read(source, 4, 3) == b"\x04\x05\x06"


def test_memory_is_not_copied():
    data = bytearray(DATA)
    with MemorySource(data).lend(0, 10, BUFFERS) as view:
        data[0] ^= 0xFF
        assert view[0] == data[0]


class TestFile:
    def test_that_became_shorter(self, tmp_path):
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            (tmp_path / "x").write_bytes(DATA[:1000])
            assert read(source, 0, 1000) == DATA[:1000]
            with pytest.raises(OSError, match="shorter") as caught:
                read(source, 500, 1000)
        assert caught.value.filename == str(tmp_path / "x")

    def test_that_became_longer(self, tmp_path):
        (tmp_path / "x").write_bytes(DATA)
        with FileSource(tmp_path / "x") as source:
            (tmp_path / "x").write_bytes(DATA + b"more")
            assert source.sha1() == hashlib.sha1(DATA).hexdigest()

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            FileSource(tmp_path / "x")
        with pytest.raises(IsADirectoryError):
            FileSource(tmp_path)

    def test_empty(self, tmp_path):
        (tmp_path / "x").touch()
        with FileSource(tmp_path / "x") as source:
            assert (source.size, read(source, 0, 0)) == (0, b"")
            assert source.sha1() == hashlib.sha1(b"").hexdigest()


class TestSpool:
    @given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 200))
    @settings(deadline=None)
    def test_any_pieces(self, pieces, memory):
        spool = Spool(memory, None, "b/x")
        for piece in pieces:
            spool.append(memoryview(piece))
        whole = b"".join(pieces)
        assert spool.size == len(whole)
        assert spool.sha1() == hashlib.sha1(whole).hexdigest()
        assert read(spool, 0, len(whole)) == whole
        assert read(spool, len(whole) // 2, len(whole) - len(whole) // 2) == whole[len(whole) // 2 :]
        spool.close()

    @given(
        st.lists(
            st.tuples(st.just("append"), st.binary(max_size=40))
            | st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=40))
            | st.tuples(st.just("truncate"), st.integers(0, 300)),
            max_size=10,
        ),
        st.integers(0, 300),
    )
    @settings(deadline=None)
    def test_any_changes(self, changes, memory):
        spool, model = Spool(memory, None, "b/x"), io.BytesIO()
        for where, value in changes:
            if where == "truncate":
                spool.truncate(value)
                model.write(bytes(max(0, value - model.seek(0, 2))))
                model.truncate(value)
            elif where == "append":
                spool.append(memoryview(value))
                model.seek(0, 2)
                model.write(value)
            else:
                spool.replace(where, memoryview(value))
                model.seek(where)
                model.write(value)
            assert spool.size == len(model.getvalue())
        whole = model.getvalue()
        assert spool.sha1() == hashlib.sha1(whole).hexdigest()
        assert read(spool, 0, len(whole)) == spool.read(0, 999) == whole
        assert spool.read(5, 7) == whole[5:12]
        spool.close()

    def test_the_file_has_no_name_and_goes(self, tmp_path):
        spool = Spool(10, str(tmp_path), "b/x")
        spool.append(memoryview(DATA))
        assert list(tmp_path.iterdir()) == []
        spool.close()
        spool.close()

    @pytest.mark.parametrize("folder", ["missing", "file"])
    def test_a_folder_that_cannot_be_used(self, tmp_path, folder):
        (tmp_path / "file").touch()
        place = str(tmp_path / folder)
        spool = Spool(10, place, "b/x")
        spool.append(memoryview(b"small"))
        with pytest.raises(OSError, match="spool_dir=") as caught:
            spool.append(memoryview(DATA))
        assert place in str(caught.value)
        assert "size=" in str(caught.value)
        assert caught.value.filename == "b/x"
        assert caught.value.errno in (errno.ENOENT, errno.ENOTDIR)
        spool.close()

    def test_a_full_disk(self, monkeypatch, tmp_path):
        class Full:
            """A temporary file on a disk with 100 bytes of room."""

            def __init__(self, **_):
                self.room = 100

            def seek(self, offset):
                pass

            def write(self, view):
                taken = min(self.room, len(view))
                self.room -= taken
                if not taken:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return taken

            def close(self):
                pass

        monkeypatch.setattr("tempfile.TemporaryFile", Full)
        spool = Spool(10, str(tmp_path), "b/x")
        spool.append(memoryview(bytes(90)))
        with pytest.raises(OSError, match="No space left") as caught:
            spool.append(memoryview(bytes(90)))
        assert caught.value.errno == errno.ENOSPC
        assert "spool_dir=" in str(caught.value)
        assert caught.value.filename == "b/x"
        spool.close()

    @pytest.mark.parametrize(("kind", "take", "drop"), [(Spool, "append", "close"), (FilePiece, "take", "release")])
    def test_a_full_disk_has_room_again_while_the_error_is_kept(self, monkeypatch, kind, take, drop):
        class Full:
            is_open = True

            def write(self, view):
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self):
                self.is_open = False

        file = Full()
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: file)
        bytes_on_disk = kind(10, None, "b/x")
        if kind is Spool:
            bytes_on_disk.append(memoryview(b"in memory"))
        with pytest.raises(OSError, match="No space left"):
            getattr(bytes_on_disk, take)(memoryview(DATA))
        getattr(bytes_on_disk, drop)()
        assert not file.is_open

    def test_nothing_is_taken_after_a_failure(self, tmp_path):
        spool = Spool(10, str(tmp_path / "missing"), "b/x")
        for reason in ("set spool_dir=", "an earlier write failed"):
            with pytest.raises(OSError, match=reason):
                spool.append(memoryview(DATA))
        spool.close()

    def test_memory_first(self):
        spool = Spool(MIB, "/nonexistent", "b/x")
        spool.append(memoryview(bytes(MIB)))
        assert read(spool, 0, MIB) == bytes(MIB)
        spool.close()
