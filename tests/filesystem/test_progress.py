"""Progress: what callbacks are told while bytes travel, from however many threads."""

import io
import threading
import time
from contextlib import suppress
from contextvars import ContextVar

import fsspec
import pytest
from fsspec.callbacks import Callback, TqdmCallback
from tqdm import tqdm

from cosv4fs.emulator.faults import DropReply, HttpError, Refuse
from tests.support import MIB, content, write_tree

PROTOCOLS = ("cosv4", "cosv3")

BUCKET = "test-1250000000"
SIZES = {"empty": 0, "one": 1, "single": 1000, "limit": 512 * 1024, "slices": 3 * MIB + 5}
TREE = {"empty": 0, "a": 10, "b": 20, "large": 2 * MIB + 1, "sub/c": 30, "sub/large": 3 * MIB}

cell = ContextVar("cell", default="none")


class Recorder(Callback):
    """Notes what it is told, and that nobody else is told something of the same family at the same time."""

    def __init__(self, family=None):
        super().__init__(value=0)
        self.family = family or self
        self.told = []
        self.sizes = []
        self.children = {}
        self.is_closed = False
        if family is None:
            self.busy = threading.Lock()
            self.sum = 0
            self.clashes = 0
            self.cells = set()

    def alone(self):
        free = self.family.busy.acquire(blocking=False)
        self.family.clashes += not free
        self.family.cells.add(cell.get())
        time.sleep(0.0005)
        if free:
            self.family.busy.release()

    def set_size(self, size):
        self.alone()
        self.sizes.append(size)
        super().set_size(size)

    def relative_update(self, inc=1):
        before = self.family.sum
        self.alone()
        if self is not self.family:
            self.family.sum = before + inc
        assert self.size is not None
        self.told.append(inc)
        self.value += inc

    def branched(self, path_1, path_2, **kwargs):
        self.alone()
        child = self.children[path_1, path_2] = Recorder(self.family)
        return child

    def close(self):
        self.alone()
        self.is_closed = True

    def assert_complete(self, size):
        assert set(self.sizes) == {size}
        assert self.value == sum(self.told) == size
        assert all(count >= 0 for count in self.told)


@pytest.fixture
def tree(tmp_path):
    """A local directory of small and large files, and the bytes in it."""
    return write_tree(tmp_path / "tree", TREE)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_one_file(small_fs, tmp_path, size):
    local, path = tmp_path / "local", f"{BUCKET}/file"
    local.write_bytes(content(size))
    put, got, sunk = Recorder(), Recorder(), Recorder()
    small_fs.put_file(local, path, callback=put)
    small_fs.get_file(path, tmp_path / "back", callback=got)
    small_fs.get_file(path, io.BytesIO(), callback=sunk)
    for callback in put, got, sunk:
        callback.assert_complete(size)
        assert callback.clashes == 0
        assert (len(callback.told) > 3) is (size > MIB)


def test_directories_are_no_bytes(small_fs, tree, tmp_path):
    callback = Recorder()
    small_fs.put_file(tree, f"{BUCKET}/dir", callback=callback)
    small_fs.get_file(f"{BUCKET}/dir", tmp_path / "back", callback=callback)
    assert callback.told == callback.sizes == []


def assert_tree(callback, count):
    callback.assert_complete(count)
    assert callback.told == [1] * count
    assert callback.sum == sum(TREE.values())
    assert callback.clashes == 0
    assert callback.cells == {"second"}
    assert all(child.is_closed for child in callback.children.values())
    assert sorted(child.value for child in callback.children.values() if child.sizes) == sorted(TREE.values())
    for child in callback.children.values():
        assert child.value == (child.size or 0)


def test_many_files_are_told_one_at_a_time_and_in_the_context_of_the_caller(small_fs, tree, tmp_path):
    cell.set("first")
    small_fs.put(str(tree), f"{BUCKET}/warm", recursive=True)
    cell.set("second")
    put, got = Recorder(), Recorder()
    small_fs.put(str(tree), f"{BUCKET}/tree", recursive=True, callback=put)
    # two directories
    assert_tree(put, len(TREE) + 2)
    small_fs.get(f"{BUCKET}/tree", str(tmp_path / "back"), recursive=True, callback=got)
    assert_tree(got, len(TREE) + 2)
    # as fsspec has it: source and target
    assert set(put.children) >= {(str(tree / "a"), f"{BUCKET}/tree/a")}
    assert set(got.children) >= {(f"{BUCKET}/tree/a", str(tmp_path / "back" / "a"))}


def test_one_file_is_told_in_the_context_of_the_caller(small_fs, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(content(3 * MIB))
    cell.set("first")
    small_fs.put_file(local, f"{BUCKET}/file")
    cell.set("second")
    put, got = Recorder(), Recorder()
    small_fs.put_file(local, f"{BUCKET}/file", callback=put)
    small_fs.get_file(f"{BUCKET}/file", tmp_path / "back", callback=got)
    assert put.cells == got.cells == {"second"}


def test_no_files(fs, tmp_path):
    for action in fs.put, fs.get:
        callback = Recorder()
        action([], [], callback=callback)
        callback.assert_complete(0)
        assert callback.children == {}


@pytest.mark.parametrize("action", [HttpError(503), DropReply()], ids=["refused", "lost reply"])
def test_what_is_sent_again_counts_once(small_fs, emulator, tmp_path, action, wire):
    local, path = tmp_path / "local", f"{BUCKET}/file"
    local.write_bytes(content(3 * MIB))
    put, got = Recorder(), Recorder()
    emulator.faults.add(op=wire.slice, nth=3, times=2, action=action)
    emulator.faults.add(op="download", nth=1, times=2, action=action)
    small_fs.put_file(local, path, callback=put)
    put.assert_complete(3 * MIB)
    small_fs.get_file(path, tmp_path / "back", callback=got)
    got.assert_complete(3 * MIB)


def test_an_upload_that_goes_on_counts_what_is_there(emulator, tmp_path, wire, protocol):
    options = {**emulator.storage_options, "slice_size": MIB // 2, "max_concurrency": 2, "single_upload_limit": MIB}
    fs = fsspec.filesystem(protocol, **options, journal_dir=str(tmp_path / "j"), max_retries=0)
    local, path = tmp_path / "local", f"{BUCKET}/file"
    local.write_bytes(content(4 * MIB + 5))
    first, second = Recorder(), Recorder()
    emulator.faults.add(op=wire.slice, nth=5, times=1000, action=HttpError(503))
    with suppress(OSError):
        fs.put_file(local, path, callback=first)
    assert 0 < first.value < first.size
    emulator.faults.clear()
    fs.put_file(local, path, callback=second)
    second.assert_complete(4 * MIB + 5)
    assert second.told[0] >= first.value


def test_an_error_closes_every_branch(small_fs, emulator, tree, tmp_path, wire):
    small_fs.put(str(tree), f"{BUCKET}/tree", recursive=True)
    for name in ("large", "sub/large"):
        # v3 recognises content that it has
        (tree / name).write_bytes(bytes(TREE[name]))
    emulator.faults.add(op="download", path="/sub/large", times=None, nth=3, action=Refuse(-96))
    emulator.faults.add(op=wire.slice, times=None, nth=3, action=Refuse(-96))
    for action in (
        lambda callback: small_fs.get(
            [f"{BUCKET}/tree/large", f"{BUCKET}/missing"],
            [str(tmp_path / "x"), str(tmp_path / "y")],
            callback=callback,
        ),
        lambda callback: small_fs.put(str(tree), f"{BUCKET}/again", recursive=True, callback=callback),
    ):
        callback = Recorder()
        with pytest.raises(OSError, match="code"):
            action(callback)
        assert callback.children
        assert callback.value < callback.size
        assert all(child.is_closed for child in callback.children.values())
        assert all(child.value <= (child.size or 0) for child in callback.children.values())


class Closing(tqdm):
    """A bar that notes how it ended."""

    ends: list  # of (name, n, total, whether it was above its total at any time)

    def update(self, n=1):
        result = super().update(n)
        self.is_over = getattr(self, "is_over", False) or self.n > (self.total or 0)
        return result

    def close(self):
        if not getattr(self, "is_noted", False):
            self.is_noted = True
            self.ends.append((self.desc, self.n, self.total, getattr(self, "is_over", False)))
        super().close()


def bars():
    ends = []
    options = {"file": io.StringIO(), "mininterval": 0, "ncols": 70}
    bar = type("Bar", (Closing,), {"ends": ends})

    class Bars(TqdmCallback):
        """A bar for the files, and one for each of them."""

        def branched(self, path_1, path_2, **kwargs):
            return TqdmCallback(tqdm_kwargs={**options, "desc": path_1}, tqdm_cls=bar)

    return Bars(tqdm_kwargs={**options, "desc": "files"}, tqdm_cls=bar), ends, options["file"]


def test_bars_of_tqdm(small_fs, tree, tmp_path):
    for transfer in (
        lambda bar: small_fs.put(str(tree), f"{BUCKET}/tree", recursive=True, callback=bar),
        lambda bar: small_fs.get(f"{BUCKET}/tree", str(tmp_path / "back"), recursive=True, callback=bar),
    ):
        callback, ends, shown = bars()
        with callback as bar:
            transfer(bar)
        assert sorted(total for _, _, total, _ in ends) == sorted([*TREE.values(), len(TREE) + 2])
        assert all(n == total and not is_over for _, n, total, is_over in ends)
        assert ends[-1][0].startswith("files")
        assert "8/8" in shown.getvalue()


def test_an_error_closes_bars_of_tqdm(small_fs, emulator, tree, wire):
    emulator.faults.add(op=wire.slice, times=None, nth=3, action=Refuse(-96))
    callback, ends, _ = bars()
    with pytest.raises(OSError, match="code"), callback as bar:
        small_fs.put(str(tree), f"{BUCKET}/tree", recursive=True, callback=bar)
    assert ends[-1][0].startswith("files")
    assert ends[-1][1] < ends[-1][2]
    assert not any(is_over for *_, is_over in ends)
    assert len({name for name, *_ in ends}) == len(ends)


def test_what_a_callback_raises_ends_the_transfer(small_fs, tmp_path, tree):
    class Broken(Recorder):
        def relative_update(self, inc=1):
            raise KeyError("broken")

    local = tmp_path / "local"
    local.write_bytes(content(3 * MIB))
    small_fs.put_file(local, f"{BUCKET}/there")
    with pytest.raises(KeyError, match="broken"):
        small_fs.put_file(local, f"{BUCKET}/file", callback=Broken())
    with pytest.raises(KeyError, match="broken"):
        small_fs.get_file(f"{BUCKET}/there", tmp_path / "back", callback=Broken())
    with pytest.raises(KeyError, match="broken"):
        small_fs.put(str(tree), f"{BUCKET}/tree", recursive=True, callback=Broken())
    assert not small_fs.exists(f"{BUCKET}/file")
    assert not (tmp_path / "back").exists()
    assert small_fs.uploads(BUCKET) == []


@pytest.mark.parametrize("code", [-94, -5983])
def test_a_lost_session_counts_once(small_fs, emulator, tmp_path, code, wire):
    local = tmp_path / "local"
    local.write_bytes(content(6 * MIB))
    emulator.faults.add(op=wire.slice, nth=7, action=Refuse(code))
    callback = Recorder()
    small_fs.put_file(local, f"{BUCKET}/file", callback=callback)
    callback.assert_complete(6 * MIB)
