"""Replacing an object: the old one is there until the new one is whole, and stays when that fails."""

import threading

import pytest

from cosv4fs.emulator.faults import Action, Refuse
from tests.matrix.ways import BUCKET, LIMIT, WAYS
from tests.support import MIB, content

PATH = f"{BUCKET}/dir/object"
SMALL, LARGE = 1000, MIB + LIMIT + 7


class Reading(Action):
    """Reads an object before every request of a writer is acted on.

    `fs` shares nothing with the writer's.
    """

    def __init__(self, fs):
        self._fs, self.seen = fs, []
        self._lock, self._own = threading.Lock(), 0

    def before(self, call):
        # one look at a time is enough, and the looks themselves are requests
        if call.op not in ("download", "stat", "list") and self._lock.acquire(blocking=False):
            try:
                self.seen.append(self._fs.cat_file(PATH))
            finally:
                self._lock.release()


@pytest.mark.parametrize("way", list(WAYS))
def test_the_old_object_is_there_until_the_new_one_is_whole(bench, emulator, second, kept, way):
    before = content(SMALL, seed=1)
    kept.put(PATH, before)
    for size in (0, LARGE, 1, LARGE + 1, LARGE):
        after = content(size, seed=2)
        look = Reading(second)
        emulator.faults.add(action=look, times=None)
        WAYS[way](bench, PATH, after)
        emulator.faults.clear()
        assert look.seen
        assert look.seen[0] == before
        assert all(seen in (before, after) for seen in look.seen)
        kept.note(PATH, after)
        kept.check_alone()
        before = after


@pytest.mark.parametrize("length", [255, 64])
@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "instant"])
def test_names_as_long_as_they_may_be(bench, kept, way, length):
    path = f"{BUCKET}/dir/{'é' * (length // 2)}{'x' * (length % 2)}"
    for size in (SMALL, LARGE, LARGE + 1):
        data = content(size, seed=size)
        WAYS[way](bench, path, data)
        kept.note(path, data)
        kept.check_alone()


FAILURES = {
    "cosv4": {
        ("upload", 1): SMALL,
        ("upload_slice_data", 2): LARGE,
        ("upload_slice_finish", 1): LARGE,
        ("move", 1): LARGE,
    },
    # opening, the second slice
    "cosv3": {("upload", 1): SMALL, ("upload_slice", 1): LARGE, ("upload_slice", 3): LARGE, ("move", 1): LARGE},
}


@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "instant"])
def test_a_failure_leaves_the_old_object(bench, emulator, kept, way, protocol):
    kept.put(PATH, b"old")
    for (operation, nth), size in FAILURES[protocol].items():
        fault = emulator.faults.add(op=operation, nth=nth, times=None, action=Refuse(-182))
        with pytest.raises(OSError, match="a parameter is invalid") as caught:
            WAYS[way](bench, PATH, content(size))
        assert caught.value.filename
        assert fault.hits >= 1
        emulator.faults.clear()
        kept.check_alone()


class _BoomError(Exception):
    pass


@pytest.mark.parametrize("options", ["plain", "sized"])
def test_an_exception_leaves_the_old_object(fs, kept, options):
    kept.put(PATH, b"old")
    for size in (SMALL, LARGE):
        more = {"size": size + 1} if options == "sized" else {}
        with pytest.raises(_BoomError), fs.open(PATH, "wb", **more) as file:
            file.write(content(size))
            raise _BoomError
        kept.check_alone()


@pytest.mark.parametrize("way", ["pipe file", "put file", "open", "open sized", "instant"])
def test_neither_directories_nor_what_is_below_a_file_is_written(bench, fs, kept, way):
    fs.mkdir(PATH)
    for size in (SMALL, LARGE):
        with pytest.raises(NotADirectoryError) as caught:
            WAYS[way](bench, f"{BUCKET}/dir/bystander/x", content(size))
        assert caught.value.filename == f"{BUCKET}/dir/bystander"
        with pytest.raises(IsADirectoryError) as caught:
            WAYS[way](bench, PATH, content(size))
        assert caught.value.filename == PATH
    assert fs.isdir(PATH)
    fs.rmdir(PATH)
    kept.check_alone()
