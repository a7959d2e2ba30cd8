"""Large uploads that are hashed while they are sent, and compared with what the service stored before they appear."""

import errno
import os
import threading
from dataclasses import dataclass

import fsspec
import pytest

from cosv4fs.concurrency import cancellation
from cosv4fs.emulator import Dialect
from cosv4fs.emulator.faults import DropBefore, DropReply, HttpError, Refuse
from cosv4fs.emulator.faults.actions import Action
from cosv4fs.transfer import sources, v4
from tests.filesystem.test_resume import believe, change_without_trace
from tests.support import MIB, Do, content

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
PIECE = MIB // 2
SIZE = 4 * PIECE + 5
DATA = content(SIZE)
COUNT = 5
ANSWERS = {"real": "real", "suffixed": "real", "absent": "absent", "zeros": "absent", "other": "other"}
HASHED = {"upload_slice_init": 1, "upload_slice_data": COUNT, "upload_slice_finish": 1, "stat": 1, "move": 1}
VERIFIED = {name: count for name, count in HASHED.items() if name != "stat"}
PROBE = {"upload_slice_init", "upload_slice_data", "upload_slice_finish", "stat", "download", "delete"}

pytestmark = pytest.mark.protocol("cosv4")


@dataclass(frozen=True)
class Damage(Action):
    """Let one byte of the content arrive as another."""

    def before(self, call):
        damaged = bytearray(call.content)
        damaged[-1] ^= 1
        call.content = memoryview(damaged)


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def make_fs(emulator, journal):
    """Return a function that makes filesystems which share nothing, as those of several processes."""
    sizes = {"slice_size": PIECE, "single_upload_limit": MIB, "max_concurrency": 3, "max_retries": 0}
    made = []

    def make(**options):
        made.append(1)
        own = {"journal_dir": str(journal), "read_timeout": 30.0 + len(made), **sizes, **options}
        return fsspec.filesystem("cosv4", **emulator.storage_options, **own, skip_instance_cache=True)

    return make


@pytest.fixture
def fs(make_fs):
    return make_fs()


def told(fs):
    return fs.client.quirks.slice_sha.get(BUCKET)


@pytest.fixture
def check(second, journal, make_fs):
    """Return a function that checks what is at the path, and that nothing else is left."""

    def check(expected=DATA):
        assert second.cat_file(PATH) == expected
        assert second.uploads(BUCKET) == []
        assert [name.rpartition("/")[2] for name in second.find(BUCKET)] == ["object"]
        assert list(journal.glob("*")) == []

    return check


class TestDialects:
    @pytest.mark.parametrize("dialect", [Dialect(slice_sha=name) for name in ANSWERS], ids=ANSWERS)
    @pytest.mark.parametrize("way", ["put_file", "pipe_file"])
    def test_the_first_upload_shows_it_and_the_next_one_knows(self, fs, emulator, second, local, check, way):
        def upload(path):
            if way == "put_file":
                fs.put_file(local, path)
            else:
                fs.pipe_file(path, DATA)

        answer = ANSWERS[emulator.dialect.slice_sha]
        upload(PATH)
        asked = answer == "other"
        assert emulator.count()["upload_slice_data"] == COUNT * (1 if answer == "real" else 2) + asked
        check()
        assert second.checksum(PATH) is not None
        assert told(fs) == answer
        emulator.clear_requests()
        upload(f"{BUCKET}/dir/next")
        assert emulator.count() == (HASHED if answer == "real" else VERIFIED)
        assert second.cat_file(f"{BUCKET}/dir/next") == DATA

    @pytest.mark.parametrize("dialect", [Dialect(slice_sha="other", finish_size="any")])
    @pytest.mark.parametrize("streaming", ["auto", "always"])
    def test_streams(self, make_fs, emulator, second, streaming):
        fs = make_fs(spool_memory=MIB, streaming=streaming)
        for path in (PATH, f"{BUCKET}/dir/next"):
            with fs.open(path, "wb") as file:
                file.write(DATA)
            assert fs.info(path)["size"] == SIZE
            if streaming == "auto":
                # in order to be verified by the service, the content is not streamed
                assert second.cat_file(path) == DATA
        assert told(fs) == "other"

    @pytest.mark.parametrize("dialect", [Dialect(slice_sha="other")])
    def test_without_checksum_what_is_doubtful_is_read(self, make_fs, emulator, second, local):
        fs = make_fs(checksum=False)
        emulator.faults.add(op="upload_slice_data", nth=3, times=1, action=Do(lambda: local.chmod(0o600)))
        fs.put_file(local, PATH)
        assert emulator.count()["upload_slice_data"] == COUNT
        # with what is compared they are no larger than pieces
        assert emulator.count()["download"] == 2 * COUNT - 1


class TestDamage:
    def test_what_arrives_damaged_once_is_sent_again(self, fs, emulator, local, check):
        damage = emulator.faults.add(op="upload_slice_data", nth=2, times=1, action=Damage())
        fs.put_file(local, PATH)
        assert damage.hits == 1
        assert emulator.count()["upload_slice_data"] == 2 * COUNT + 1
        check()
        # one damaged upload says nothing about the service, which was therefore asked
        assert told(fs) == "real"

    @pytest.mark.parametrize("known", [False, True])
    def test_what_always_arrives_damaged_is_never_published(self, fs, emulator, local, check, known):
        fs.pipe_file(PATH, DATA[::-1] if known else b"old")
        assert told(fs) == ("real" if known else None)
        is_last = lambda call: call.text("offset") == str(4 * PIECE)  # noqa: E731
        damage = emulator.faults.add(op="upload_slice_data", times=None, action=Damage(), match=is_last)
        with pytest.raises(OSError, match="SHA-1") as caught:
            fs.put_file(local, PATH)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, PATH)
        assert damage.hits == 2
        assert told(fs) == "real"
        check(DATA[::-1] if known else b"old")

    @pytest.mark.parametrize("dialect", [Dialect(finish_size="any")])
    @pytest.mark.parametrize("learned", ["real", "absent", None])
    def test_a_stream_that_arrives_damaged_is_not_published_whatever_was_learned(self, make_fs, emulator, learned):
        fs = make_fs(spool_memory=MIB, streaming="always")
        if learned is not None:
            fs.client.quirks.learn(BUCKET, slice_sha=learned)
        emulator.faults.add(op="upload_slice_data", nth=2, times=1, action=Damage())
        file = fs.open(PATH, "wb")
        file.write(DATA)
        with pytest.raises(OSError, match="stored different content"):
            file.close()
        assert fs.find(BUCKET) == []


class TestRefusedQuestions:
    """Credentials may be for uploads only: what worked without a question must not fail because of it."""

    @pytest.fixture(autouse=True)
    def _refuse(self, emulator):
        emulator.faults.add(op="stat", times=None, action=Refuse(-5998))

    def test_the_service_compares_instead_and_is_not_asked_again(self, fs, emulator, local, check):
        fs.put_file(local, PATH)
        assert emulator.count()["upload_slice_data"] == 2 * COUNT
        assert told(fs) == "absent"
        emulator.clear_requests()
        fs.put_file(local, PATH)
        assert emulator.count() == VERIFIED
        emulator.faults.clear()
        check()

    def test_where_a_large_upload_asks_before(self, fs, emulator, local, check, monkeypatch):
        monkeypatch.setattr(v4, "_PROBE_ABOVE", MIB)
        fs.put_file(local, PATH)
        assert emulator.count()["upload_slice_data"] == 1 + COUNT
        assert told(fs) == "absent"
        emulator.faults.clear()
        check()


@pytest.mark.parametrize("op", ["upload_slice_finish", "stat"])
def test_what_somebody_cleaned_away_is_sent_again(fs, emulator, second, local, check, op):
    clean = Do(lambda: second.clean_uploads(BUCKET, older_than=0))
    emulator.faults.add(op=op, times=1, action=clean)
    fs.put_file(local, PATH)
    assert emulator.count()["upload_slice_data"] == 2 * COUNT
    check()


class TestChanges:
    def test_other_attributes_of_the_same_content(self, fs, emulator, local, check):
        emulator.faults.add(op="upload_slice_data", nth=3, times=1, action=Do(lambda: local.chmod(0o600)))
        fs.put_file(local, PATH)
        assert emulator.count() == HASHED
        check()

    def test_other_content_of_the_same_size_and_time(self, make_fs, emulator, local, check):
        fs = make_fs(max_concurrency=1)
        change = Do(lambda: change_without_trace(local, DATA[::-1]))
        emulator.faults.add(op="upload_slice_data", nth=3, times=1, action=change)
        fs.put_file(local, PATH)
        check(DATA[::-1])
        assert told(fs) == "real"

    def test_other_content_of_another_time(self, fs, emulator, local, second):
        def change():
            # in place: a file that is empty for a moment is noticed by what reads it
            with local.open("r+b") as file:
                file.write(DATA[::-1])
            os.utime(local, (1, 1))

        emulator.faults.add(op="upload_slice_data", nth=3, times=1, action=Do(change))
        with pytest.raises(OSError, match="changed while it was being uploaded") as caught:
            fs.put_file(local, PATH)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(local))
        assert not second.exists(PATH)


class TestTick:
    """A file that is changed twice within one tick of the clock shows it by none of its times."""

    @pytest.fixture(autouse=True)
    def _slow_clock(self, local, monkeypatch):
        monkeypatch.setattr(sources, "_is_settled", lambda status, now: False)
        real, before = os.fstat, local.stat()

        def fstat(file):
            status = real(file)
            return before if os.path.samestat(status, before) else status

        monkeypatch.setattr(os, "fstat", fstat)

    def test_a_mixture_is_not_published(self, make_fs, emulator, local, check):
        def change():
            with local.open("r+b") as file:
                file.write(DATA[::-1])

        fs = make_fs(max_concurrency=1)
        fs.pipe_file(PATH, b"old")
        emulator.faults.add(op="upload_slice_data", nth=3, times=1, action=Do(change))
        with pytest.raises(OSError, match="SHA-1") as caught:
            fs.put_file(local, PATH)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, PATH)
        check(b"old")

    def test_it_is_hashed_first(self, fs, emulator, local, check):
        fs.put_file(local, PATH)
        assert emulator.count() == VERIFIED
        check()

    def test_nothing_is_hashed_without_checksum(self, make_fs, emulator, local, check, monkeypatch):
        monkeypatch.delattr(sources.FileSource, "sha1")
        make_fs(checksum=False).put_file(local, PATH)
        assert emulator.count() == VERIFIED
        check()


class TestResume:
    @pytest.mark.parametrize("op", ["upload_slice_data", "upload_slice_finish", "stat", "move"])
    @pytest.mark.parametrize("action", [DropBefore(), DropReply()], ids=["before", "after"])
    def test_where_another_process_was_killed(self, make_fs, emulator, local, check, op, action):
        nth = 3 if op == "upload_slice_data" else 1
        emulator.faults.add(op=op, nth=nth, times=None, action=action)
        # whatever can be cleaned up is left as by a kill
        emulator.faults.add(op="delete", times=None, action=HttpError(500))
        try:
            make_fs().put_file(local, PATH)
        except OSError:
            emulator.faults.clear()
            done = {r.offset for r in emulator.requests if r.op == "upload_slice_data" and r.status == 200}
            emulator.clear_requests()
            fs = make_fs()
            fs.put_file(local, PATH)
            sent = {r.offset for r in emulator.requests if r.op == "upload_slice_data"}
            assert sent.isdisjoint(done)
            assert "upload_slice_init" not in emulator.count()
        else:
            assert (op, action) in (("upload_slice_finish", DropReply()), ("move", DropReply()))
        emulator.faults.clear()
        check()

    @pytest.mark.parametrize("is_ours", [True, False])
    def test_after_the_move_nothing_is_sent_unless_the_object_is_another(
        self, make_fs, emulator, local, journal, second, check, is_ours
    ):
        kept = {}

        def keep():
            kept.update((file, file.read_text()) for file in journal.glob("*.json"))

        emulator.faults.add(op="move", times=1, action=Do(keep))
        make_fs().put_file(local, PATH)
        for file, text in kept.items():
            file.write_text(text)
            file.chmod(0o600)
        assert len(kept) == 1
        if not is_ours:
            second.pipe_file(PATH, DATA[::-1])
        emulator.clear_requests()
        make_fs().put_file(local, PATH)
        assert emulator.count().get("upload_slice_data", 0) == (0 if is_ours else COUNT)
        check()

    def test_stale_slices_say_nothing_about_the_service(self, make_fs, emulator, local, journal, check):
        emulator.faults.add(op="upload_slice_data", nth=3, times=None, action=DropBefore())
        with pytest.raises(ConnectionError):
            make_fs().put_file(local, PATH)
        emulator.faults.clear()
        change_without_trace(local, DATA[::-1])
        believe(journal, local)
        fs = make_fs()
        emulator.clear_requests()
        fs.put_file(local, PATH)
        check(DATA[::-1])
        assert told(fs) is None
        assert emulator.count()["upload_slice_finish"] == 2

    @pytest.mark.parametrize("dialect", [Dialect(slice_sha="absent")])
    def test_an_upload_that_was_opened_with_a_sha1_is_continued_by_a_process_that_knows_nothing(
        self, make_fs, emulator, local, check
    ):
        fs = make_fs()
        fs.pipe_file(f"{BUCKET}/object", DATA[::-1])
        emulator.clear_requests()
        emulator.faults.add(op="upload_slice_data", nth=3, times=None, action=DropBefore())
        with pytest.raises(ConnectionError):
            fs.put_file(local, PATH)
        emulator.faults.clear()
        done = sum(request.status == 200 for request in emulator.requests if request.op == "upload_slice_data")
        assert done > 0
        emulator.clear_requests()
        make_fs().put_file(local, PATH)
        assert emulator.count()["upload_slice_data"] == COUNT - done
        fs.rm_file(f"{BUCKET}/object")
        check()


class TestQuestion:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(v4, "_PROBE_ABOVE", MIB)

    @pytest.mark.parametrize("dialect", [Dialect(slice_sha=name) for name in ANSWERS], ids=ANSWERS)
    def test_before_a_large_upload_the_bucket_is_asked_once(self, fs, emulator, local, check):
        answer = ANSWERS[emulator.dialect.slice_sha]
        expected = HASHED if answer == "real" else VERIFIED
        fs.put_file(local, PATH)
        assert emulator.count() == {name: expected.get(name, 0) + (name in PROBE) for name in {*expected, *PROBE}}
        assert told(fs) == answer
        emulator.clear_requests()
        fs.put_file(local, PATH)
        assert emulator.count() == expected
        check()

    def test_threads_wait_for_one_answer(self, fs, emulator, local):
        threads = [threading.Thread(target=fs.put_file, args=(local, f"{PATH}{n}")) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert emulator.count()["upload_slice_init"] == 1 + 3
        assert emulator.count()["download"] == 1

    def test_a_transient_error_is_no_answer(self, fs, emulator, local, check):
        emulator.faults.add(op="upload_slice_init", times=1, action=HttpError(500))
        fs.put_file(local, PATH)
        assert told(fs) == "real"
        check()

    @pytest.mark.parametrize("dialect", [Dialect(finish_size="any")])
    @pytest.mark.parametrize("op", sorted(PROBE - {"delete"}))
    def test_an_interrupt_is_no_answer(self, make_fs, emulator, op):
        fs = make_fs(spool_memory=MIB, max_retries=1)
        interrupt = Do(lambda: cancellation.cancel("owner"))
        emulator.faults.add(op=op, times=1, action=interrupt)
        with cancellation.working_for("owner"), pytest.raises(InterruptedError), fs.open(PATH, "wb") as file:
            file.write(DATA)
        assert told(fs) is None
        assert fs.client.quirks.finish_size == {}

    def test_an_interrupted_thread_asks_nothing(self, fs, emulator, local):
        with cancellation.working_for("owner"):
            cancellation.cancel("owner")
            with pytest.raises(InterruptedError):
                fs.put_file(local, PATH)
        assert emulator.count() == {}

    @pytest.mark.parametrize("dialect", [Dialect(finish_size="any", slice_sha="absent")])
    def test_one_question_has_both_answers(self, make_fs, emulator, local):
        fs = make_fs(spool_memory=MIB, max_retries=1)
        with fs.open(PATH, "wb") as file:
            file.write(DATA)
        assert told(fs) == "absent"
        emulator.clear_requests()
        fs.put_file(local, PATH)
        assert emulator.count() == VERIFIED
