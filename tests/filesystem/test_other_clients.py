"""What others do between a request and its repetition, or while a file is copied, is never undone or taken away."""

import errno

import fsspec
import pytest

from cosv4fs.api.retry import RetryPolicy
from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import DropReply, HttpError
from tests.support import MIB, Clock, Do, content

BUCKET = "test-1250000000"
PATH, TARGET = f"{BUCKET}/inbox/x", f"{BUCKET}/done/x"
PROTOCOLS = ("cosv4", "cosv3")

LOST, REFUSED = DropReply(), HttpError(502)


@pytest.fixture
def meanwhile(fs):
    """Let something happen in the next pause between two attempts of `fs`, which takes no time."""
    clock = Clock()
    fs.client._policy = RetryPolicy(3, 1e6, clock=clock, sleep=clock.sleep)
    return clock.meanwhile


@pytest.fixture
def long_ago(emulator, second):
    """Write files so long ago that nothing can be confused with them."""

    def write(*files, seconds=60):
        emulator.clock_offset = -seconds
        for path, data in files:
            second.pipe_file(path, data)
        emulator.clock_offset = 0

    return write


@pytest.mark.usefixtures("meanwhile")
class TestNobodyElse:
    @pytest.mark.parametrize("action", [LOST, REFUSED], ids=["lost", "refused"])
    @pytest.mark.parametrize("cached", [True, False])
    def test_rm(self, fs, second, emulator, long_ago, action, cached):
        long_ago((PATH, b"old"))
        if cached:
            fs.info(PATH)
        fault = emulator.faults.add(op="delete", action=action)
        fs.rm(PATH)
        assert fault.hits == 1
        assert not second.exists(PATH)

    @pytest.mark.parametrize("action", [LOST, REFUSED], ids=["lost", "refused"])
    def test_rm_of_a_tree(self, fs, second, emulator, long_ago, action):
        long_ago((PATH, b"old"), (f"{BUCKET}/inbox/d/y", b"old"))
        fault = emulator.faults.add(op="delete", action=action, times=2)
        fs.rm(f"{BUCKET}/inbox", recursive=True)
        assert fault.hits == 2
        assert second.ls(BUCKET) == []

    @pytest.mark.parametrize("action", [LOST, REFUSED], ids=["lost", "refused"])
    @pytest.mark.parametrize("over", [True, False])
    def test_mv(self, fs, second, emulator, long_ago, action, over):
        long_ago((PATH, b"first"))
        if over:
            second.pipe_file(TARGET, b"older")
        # of a file that nobody has looked at it cannot be told whether it is still the same
        fs.info(PATH)
        fault = emulator.faults.add(op="move", action=action)
        fs.mv(PATH, TARGET)
        assert fault.hits == 1
        assert second.find(BUCKET) == [TARGET]
        assert second.cat_file(TARGET) == b"first"

    @pytest.mark.parametrize("over", [True, False])
    def test_mv_of_what_nobody_has_looked_at(self, fs, second, emulator, long_ago, over):
        """What is at the target now may be what was there before, and the file may have been removed by others."""
        long_ago((PATH, b"first"))
        if over:
            second.pipe_file(TARGET, b"older")
        emulator.faults.add(op="move", action=LOST)
        with pytest.raises(ConnectionError, match="it may have been moved to") as caught:
            fs.mv(PATH, TARGET)
        assert caught.value.filename == PATH
        assert second.cat_file(TARGET) == b"first"


class TestRemoving:
    @pytest.mark.parametrize("data", [b"new", b"old"], ids=["another", "equal"])
    @pytest.mark.parametrize("recursive", [False, True])
    def test_a_new_file_stays(self, fs, second, emulator, long_ago, meanwhile, data, recursive):
        long_ago((PATH, b"old"))
        fault = emulator.faults.add(op="delete", action=LOST)
        meanwhile(lambda: second.pipe_file(PATH, data, mode="create"))
        fs.rm(PATH, recursive=recursive)
        assert fault.hits == 1
        assert second.cat_file(PATH) == data

    def test_a_new_file_in_a_tree_stays(self, fs, second, emulator, long_ago, meanwhile):
        long_ago((PATH, b"old"))
        emulator.faults.add(op="delete", action=LOST)
        meanwhile(lambda: second.pipe_file(PATH, b"new"))
        with pytest.raises(OSError, match="not empty"):
            fs.rm(f"{BUCKET}/inbox", recursive=True)
        assert second.cat_file(PATH) == b"new"

    def test_a_lock_that_somebody_else_took_stays(self, fs, second, emulator, meanwhile):
        fs.pipe_file(PATH, b"locked")
        emulator.faults.add(op="delete", action=LOST)
        meanwhile(lambda: second.pipe_file(PATH, b"locked", mode="create"))
        try:
            # another second may have begun, which tells the two apart
            fs.rm(PATH)
        except OSError as error:
            assert "may be newer" in str(error)  # noqa: PT017
        assert second.cat_file(PATH) == b"locked"

    def test_what_is_cached_may_be_out_of_date(self, fs, second, emulator, long_ago, meanwhile):
        long_ago((PATH, b"old"))
        fs.info(PATH)
        long_ago((PATH, b"newer"), seconds=30)
        emulator.faults.add(op="delete", action=REFUSED)
        with pytest.raises(OSError, match="may be newer") as caught:
            fs.rm_file(PATH)
        assert caught.value.filename == PATH
        assert second.cat_file(PATH) == b"newer"
        # it says: look, then repeat
        fs.rm_file(PATH)
        assert not second.exists(PATH)

    def test_a_new_directory_stays(self, fs, second, emulator, meanwhile):
        folder = f"{BUCKET}/folder"
        fs.mkdir(folder)
        emulator.faults.add(op="delete", action=LOST)
        meanwhile(lambda: second.mkdir(folder))
        with pytest.raises(OSError, match="may be newer"):
            fs.rmdir(folder)
        assert second.isdir(folder)


class TestMoving:
    @pytest.mark.parametrize("cached", [True, False])
    def test_the_next_message_stays(self, fs, second, emulator, long_ago, meanwhile, cached):
        long_ago((PATH, b"first message"))
        if cached:
            fs.info(PATH)
        fault = emulator.faults.add(op="move", action=LOST)
        meanwhile(lambda: second.pipe_file(PATH, b"second message"))
        if cached:
            fs.mv(PATH, TARGET)
        else:
            with pytest.raises(OSError, match=f"may have been moved to {TARGET}") as caught:
                fs.mv(PATH, TARGET)
            assert caught.value.filename == PATH
        assert fault.hits == 1
        assert (second.cat_file(PATH), second.cat_file(TARGET)) == (b"second message", b"first message")

    def test_a_message_that_was_moved_on(self, fs, second, emulator, long_ago, meanwhile):
        long_ago((PATH, b"first"))
        emulator.faults.add(op="move", action=LOST)
        meanwhile(lambda: second.mv(TARGET, f"{BUCKET}/elsewhere"))
        with pytest.raises(FileNotFoundError, match="the reply was lost"):
            fs.mv(PATH, TARGET)
        assert second.find(BUCKET) == [f"{BUCKET}/elsewhere"]


def write(fs, path):
    with fs.open(path, "xb") as file:
        file.write(b"locked")


WAYS = {
    "pipe_file": lambda fs, path: fs.pipe_file(path, b"locked", mode="create"),
    "xb": write,
    "touch": lambda fs, path: fs.touch(path, truncate=False),
    "mkdir": lambda fs, path: fs.mkdir(path),
    "makedirs": lambda fs, path: fs.makedirs(path),
}
"""What creates something, and fails where something is."""


class TestCreating:
    @pytest.fixture(params=WAYS)
    def way(self, request):
        return request.param

    @pytest.fixture
    def create(self, way):
        return WAYS[way]

    @pytest.fixture
    def op(self, way):
        return "create" if "dir" in way else "upload"

    def test_only_one_wins(self, fs, second, emulator, meanwhile, create, op):
        fault = emulator.faults.add(op=op, action=REFUSED)
        meanwhile(lambda: create(second, PATH))
        with pytest.raises(FileExistsError, match="may be its own work"):
            create(fs, PATH)
        assert fault.hits == 1

    def test_nobody_else(self, fs, second, emulator, meanwhile, create, op):
        fault = emulator.faults.add(op=op, action=REFUSED)
        create(fs, PATH)
        assert fault.hits == 1
        assert second.exists(PATH)

    def test_it_is_seen_although_nobody_knows_whose_it_is(self, fs, emulator, meanwhile, create, op):
        fs.mkdir(f"{BUCKET}/inbox")
        assert fs.ls(f"{BUCKET}/inbox") == []
        assert not fs.exists(PATH)
        emulator.faults.add(op=op, action=LOST)
        with pytest.raises(FileExistsError, match="may be its own work") as caught:
            create(fs, PATH)
        assert caught.value.filename == PATH
        assert fs.exists(PATH)

    def test_a_file_is_no_directory(self, fs, second, emulator, meanwhile):
        second.pipe_file(PATH, b"a file")
        for make in (fs.mkdir, fs.makedirs, lambda path: fs.makedirs(path, exist_ok=True)):
            fault = emulator.faults.add(op="create", action=REFUSED)
            with pytest.raises(FileExistsError):
                make(PATH)
            assert fault.hits == 1
            assert (fs.isdir(PATH), fs.isfile(PATH)) == (False, True)

    @pytest.mark.parametrize("dialect", [Dialect(), Dialect(parents="required")])
    @pytest.mark.parametrize("action", [LOST, REFUSED], ids=["lost", "refused"])
    def test_who_is_content_with_what_is_there(self, fs, second, emulator, meanwhile, action):
        fault = emulator.faults.add(op="create", action=action, times=2)
        fs.makedirs(f"{BUCKET}/a/b", exist_ok=True)
        fs.pipe_file(f"{BUCKET}/a/c/d", b"in a new directory")
        fs.makedirs(f"{BUCKET}/a/b", exist_ok=True)
        assert fault.hits >= 1
        assert second.isdir(f"{BUCKET}/a/b")


class TestCopyingToMove:
    """Where the service cannot move, a file is copied, and removed if it still is what was copied."""

    @pytest.fixture(params=["between buckets", "between directories"])
    def case(self, request, emulator):
        """Where the file goes, and what has it changed while it is copied."""
        target = "other/x" if request.param == "between buckets" else TARGET

        def change(act):
            elsewhere = lambda call: call.path.text != "/inbox/x"  # noqa: E731
            for op in ("copy", "upload"):
                match = None if op == "copy" else elsewhere
                emulator.faults.add(op=op, action=Do(act), times=1, match=match)

        return target, change

    @pytest.fixture
    def dialect(self):
        return Dialect(cross_directory_move="refuse")

    @pytest.mark.parametrize("data", [b"version 2, longer", b"version 2"], ids=["longer", "of equal size"])
    def test_a_source_that_changed_stays(self, fs, second, case, data):
        target, change = case
        fs.pipe_file(PATH, b"version 1")
        change(lambda: second.pipe_file(PATH, data))
        with pytest.raises(OSError, match="changed while it was copied") as caught:
            fs.mv(PATH, target)
        assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, PATH)
        assert second.cat_file(PATH) == data
        assert second.cat_file(target) in (b"version 1", data)

    def test_a_source_that_did_not(self, fs, second, case):
        target, _ = case
        fs.pipe_file(PATH, b"version 1")
        fs.mv(PATH, target)
        assert second.cat_file(target) == b"version 1"
        assert not second.exists(PATH)

    @pytest.mark.protocol("cosv4")
    @pytest.mark.parametrize("dialect", [Dialect(slice_sha="absent")])
    @pytest.mark.parametrize("changes", [True, False])
    def test_a_source_without_a_checksum(self, second, emulator, changes):
        sizes = {"slice_size": MIB // 2, "single_upload_limit": MIB // 2}
        fs = fsspec.filesystem("cosv4", **emulator.storage_options, **sizes, checksum=False)
        old, new = content(MIB, 1), content(MIB, 2)
        fs.pipe_file(PATH, old)
        assert fs.info(PATH)["sha"] is None
        change = Do(lambda: fs.pipe_file(PATH, new))
        if changes:
            into_other = lambda call: call.path.bucket == "other"  # noqa: E731
            emulator.faults.add(op="upload_slice_init", action=change, times=1, match=into_other)
            with pytest.raises(OSError, match="changed while it was copied"):
                fs.mv(PATH, "other/x")
            assert second.cat_file(PATH) == new
        else:
            fs.mv(PATH, "other/x")
            assert not second.exists(PATH)
        assert second.cat_file("other/x") == old

    def test_a_source_that_was_cached(self, fs, second):
        second.pipe_file(PATH, b"version 1")
        fs.info(PATH)
        second.pipe_file(PATH, b"version 2, longer")
        fs.mv(PATH, "other/x")
        assert second.cat_file("other/x") == b"version 2, longer"
        assert not second.exists(PATH)


@pytest.mark.parametrize(("start", "end"), [(-5, -1), (None, -1), (-5, 18)])
def test_places_from_the_end_are_those_of_now(fs, second, start, end):
    fs.pipe_file(PATH, b"b" * 10)
    fs.info(PATH)
    second.pipe_file(PATH, bytes(range(20)))
    assert fs.cat_file(PATH, start, end) == bytes(range(20))[start:end]


def test_a_directory_that_somebody_removed_is_made_again(fs, second):
    fs.mkdir(f"{BUCKET}/d")
    second.rmdir(f"{BUCKET}/d")
    fs.mkdir(f"{BUCKET}/d")
    assert second.isdir(f"{BUCKET}/d")


@pytest.mark.parametrize("dialect", [Dialect(parents="virtual")])
def test_directories_that_go_with_the_last_thing_in_them(fs):
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


def test_an_unfinished_upload_is_no_file_to_be_removed(fs, second, wire):
    wire.leave(second, "/inbox/x", 2 * MIB, MIB)
    for remove in (fs.rm_file, fs.rm):
        with pytest.raises(FileNotFoundError):
            remove(PATH)
    assert [found["name"] for found in second.uploads(BUCKET)] == [PATH]


@pytest.mark.protocol("cosv3")
def test_what_goes_between_two_questions_is_not_there(fs, second, emulator):
    """V3's listing tells whether a file is complete: one that it leaves out has gone."""
    second.pipe_file(PATH, b"x")
    emulator.faults.add(action=Do(lambda: second.rm_file(PATH)), op="list", times=1)
    with pytest.raises(FileNotFoundError):
        fs.info(PATH)


def test_a_directory_that_became_a_file_is_one(fs, second, tmp_path):
    fs.mkdir(PATH)
    assert fs.isdir(PATH)
    second.rmdir(PATH)
    second.pipe_file(PATH, b"payload")
    fs.get_file(PATH, tmp_path / "local")
    assert (tmp_path / "local").read_bytes() == b"payload"
    fs.cp_file(PATH, PATH + "2")
    assert fs.cat_file(PATH + "2") == b"payload"


@pytest.mark.protocol("cosv4", "cosv3")
def test_a_read_that_finds_nothing_drops_the_cached_info(fs, second):
    path = f"{BUCKET}/f"
    fs.pipe(path, b"content")
    assert fs.exists(path)
    second.rm(path)
    with pytest.raises(FileNotFoundError):
        fs.cat_file(path)
    assert not fs.exists(path)
