"""Transactions: all files are published at the end, or none."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress

import pytest

from tests.filesystem.conftest import EVERY, unfinished
from tests.filesystem.programs import Program

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
KIB = 1024


@pytest.mark.protocol(*EVERY)
def test_transactions_publish_at_the_end_or_never(small_fs, second, protocol):
    replaces = protocol != "cdcs"
    paths = [f"{BUCKET}/dir/{name}" for name in ("small", "large")]
    sizes = [10, 1500 * KIB]
    contents = dict(zip(paths, map(os.urandom, sizes), strict=True))
    old = {paths[0]: b"old"} if replaces else {}
    small_fs.pipe(old)
    with small_fs.transaction:
        for name in paths:
            with small_fs.open(name, "wb") as file:
                file.write(contents[name])
        assert {name: second.cat_file(name) for name in second.find(BUCKET)} == old
    assert {name: second.cat_file(name) for name in second.find(BUCKET)} == contents
    with pytest.raises(ZeroDivisionError), small_fs.transaction:
        for name in paths:
            with small_fs.open(name if replaces else f"{name}2", "wb") as file:
                file.write(contents[name][::-1])
        raise ZeroDivisionError
    assert {name: second.cat_file(name) for name in second.find(BUCKET)} == contents
    assert unfinished(second, f"{BUCKET}/dir") == []


LAYERS = {
    "binary": {"mode": "wb"},
    "text": {"mode": "w"},
    "compressed": {"mode": "wb", "compression": "gzip"},
    "compressed text": {"mode": "wt", "compression": "gzip"},
}


def write(fs, name, content=b"new", mode="wb"):
    with fs.open(f"{BUCKET}/dir/{name}", mode) as file:
        file.write(content)


def names(fs):
    return sorted(name.rpartition("/")[2] for name in fs.find(BUCKET, refresh=True))


@pytest.mark.parametrize("layer", list(LAYERS))
def test_a_file_that_was_not_closed_fails_the_transaction(fs, second, layer):
    """Only part of it may be written, also in the buffers of the layers above it."""
    with pytest.raises(OSError, match="not closed") as raised, fs.transaction:
        write(fs, "closed")
        file = fs.open(PATH, **LAYERS[layer])
        file.write("part" if "b" not in LAYERS[layer]["mode"] else b"part")
    assert raised.value.filename == PATH
    assert names(second) == []
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.filterwarnings("ignore:.*never closed")
@pytest.mark.parametrize("layer", ["binary", "text"])
def test_a_file_that_nobody_holds_any_more_fails_the_transaction(fs, second, layer):
    with pytest.raises(OSError, match="not closed"), fs.transaction:
        file = fs.open(PATH, **LAYERS[layer])
        del file
    assert names(second) == []


@pytest.mark.protocol(*EVERY)
def test_a_discarded_file_is_left_out(fs, second):
    with fs.transaction:
        write(fs, "kept")
        with suppress(ZeroDivisionError), fs.open(PATH, "wb") as file:
            file.write(b"part")
            raise ZeroDivisionError
        other = fs.open(PATH, "wb")
        other.write(b"part")
        other.discard()
    assert names(second) == ["kept"]
    assert unfinished(second, f"{BUCKET}/dir") == []


def test_a_file_that_could_not_be_closed_fails_the_transaction(fs, second):
    with pytest.raises(OSError, match="announced 10 bytes") as raised, fs.transaction:
        write(fs, "closed")
        with suppress(OSError):
            fs.open(PATH, "wb", size=10).close()
    assert raised.value.filename == PATH
    assert names(second) == []


@pytest.mark.protocol(*EVERY)
def test_a_failure_while_publishing_names_what_was_published(fs, second, protocol):
    told = f"already published {BUCKET}/dir/a; the rest was discarded"
    with pytest.raises(FileExistsError, match=told), fs.transaction:
        write(fs, "a")
        write(fs, "b", mode="xb")
        write(fs, "c")
        second.pipe_file(f"{BUCKET}/dir/b", b"faster")
    assert names(second) == ["a", "b"]
    assert second.cat_file(f"{BUCKET}/dir/b") == b"faster"
    assert unfinished(second, f"{BUCKET}/dir") == []


def test_an_error_names_ten_files_at_most(fs, second):
    with pytest.raises(OSError, match="/dir/9 and 1 more; the rest was discarded"), fs.transaction:
        for name in "0123456789a":
            write(fs, name)
        write(fs, "b", mode="xb")
        second.pipe_file(f"{BUCKET}/dir/b", b"faster")


def test_an_interrupt_while_publishing_discards_the_rest(fs, second, monkeypatch, caplog):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fs.transaction as transaction:
        for name in "abc":
            write(fs, name)
        monkeypatch.setattr(transaction.files[1], "commit", interrupt)
    assert names(second) == ["a"]
    assert unfinished(second, f"{BUCKET}/dir") == []
    assert f"already published {BUCKET}/dir/a" in caplog.text


def test_a_block_may_be_ended_early(fs, second):
    with fs.transaction:
        write(fs, "inside")
        fs.end_transaction()
        assert names(second) == ["inside"]
        write(fs, "plain")
        assert names(second) == ["inside", "plain"]


class TestNested:
    def test_an_inner_one_waits_for_the_outer_one(self, fs, second):
        with fs.transaction:
            write(fs, "outer")
            with fs.transaction:
                write(fs, "inner")
            fs.start_transaction()
            write(fs, "more")
            fs.end_transaction()
            assert names(second) == []
            write(fs, "outer2")
        assert names(second) == ["inner", "more", "outer", "outer2"]
        write(fs, "plain")
        assert second.exists(f"{BUCKET}/dir/plain")

    def test_an_outer_one_that_fails_discards_all(self, fs, second):
        with pytest.raises(ZeroDivisionError), fs.transaction:
            with fs.transaction:
                write(fs, "inner")
            raise ZeroDivisionError
        assert names(second) == []

    def test_an_inner_one_that_fails_discards_its_own_files(self, fs, second):
        with fs.transaction:
            write(fs, "outer")
            with suppress(ZeroDivisionError), fs.transaction:
                write(fs, "inner")
                raise ZeroDivisionError
            write(fs, "outer2")
        assert names(second) == ["outer", "outer2"]
        assert unfinished(second, f"{BUCKET}/dir") == []


class TestThreads:
    @pytest.mark.protocol(*EVERY)
    def test_transactions_of_several_threads_are_separate(self, fs, second):
        """One instance, and blocks that overlap in time: one publishes, one fails, one knows of no transaction."""

        def work(name, opens, error):
            barrier.wait()
            with suppress(ZeroDivisionError), opens:
                barrier.wait()
                with fs.open(f"{BUCKET}/dir/{name}", "wb") as file:
                    file.write(b"first")
                    barrier.wait()
                    file.write(b"second")
                barrier.wait()
                if error:
                    raise ZeroDivisionError
            barrier.wait()

        def watch():
            for _ in range(4):
                barrier.wait()
            # the file of the plain thread is there, those of the transactions are not
            seen.extend(names(second))
            barrier.wait()

        barrier, seen = threading.Barrier(4, timeout=30), []
        # one object for all of them
        shared = fs.transaction
        threads = [
            threading.Thread(target=work, args=arguments)
            for arguments in [("published", shared, False), ("failed", shared, True), ("plain", nullcontext(), False)]
        ]
        for thread in threads:
            thread.start()
        watch()
        for thread in threads:
            thread.join(30)
        assert "plain" in seen
        assert "failed" not in seen
        assert names(second) == ["plain", "published"]
        assert second.cat_file(f"{BUCKET}/dir/published") == b"firstsecond"

    def test_a_thread_in_a_copy_of_the_context_is_not_in_the_transaction(self, fs, second):
        async def work():
            with fs.transaction:
                write(fs, "inside")
                await asyncio.to_thread(write, fs, "thread")
                assert names(second) == ["thread"]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asyncio.run(work())
        assert names(second) == ["thread"]

    def test_another_thread_cannot_end_it(self, fs, second):
        fs.start_transaction()
        write(fs, "x")
        with ThreadPoolExecutor(1) as other, pytest.raises(ValueError, match="begun no transaction"):
            other.submit(fs.end_transaction).result()
        assert names(second) == []
        fs.end_transaction()
        assert names(second) == ["x"]
        with pytest.raises(ValueError, match="begun no transaction"):
            fs.end_transaction()

    def test_another_thread_cannot_complete_a_shared_one(self, fs, second):
        shared = fs.transaction
        shared.start()
        write(fs, "x")
        with ThreadPoolExecutor(1) as other, pytest.raises(ValueError, match="begun no transaction"):
            other.submit(shared.complete).result()
        assert names(second) == []
        shared.complete()
        assert names(second) == ["x"]

    def test_a_generator_may_end_it_in_another_thread(self, fs, second):
        def work():
            with fs.transaction:
                write(fs, "x")
                yield

        running = work()
        next(running)
        with ThreadPoolExecutor(1) as other:
            other.submit(list, running).result()
        assert names(second) == ["x"]
        write(fs, "y")
        assert names(second) == ["x", "y"]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("fails", ["first", "second"])
@pytest.mark.parametrize("is_async", [True, False])
def test_generators_that_take_turns_end_their_own_transaction(fs, second, is_async, fails, shared):
    """The one that was begun first ends first."""
    transactions = [fs.transaction] * 2 if shared and is_async else [fs.transaction, fs.transaction]

    def work(name, transaction):
        with transaction:
            write(fs, name)
            yield
            if name == fails:
                raise ZeroDivisionError

    async def begin_first():
        with suppress(ZeroDivisionError):
            for _ in work("first", transactions[0]):
                await begun.wait()
        ended.set()

    async def begin_second():
        with suppress(ZeroDivisionError):
            for _ in work("second", transactions[1]):
                begun.set()
                await ended.wait()

    async def take_turns():
        await asyncio.gather(begin_first(), begin_second())

    begun, ended = asyncio.Event(), asyncio.Event()
    if is_async:
        asyncio.run(take_turns())
    else:
        running = [*map(work, ("first", "second"), transactions)]
        for one in running * 2:
            with suppress(ZeroDivisionError):
                next(one, None)
    assert names(second) == [name for name in ("first", "second") if name != fails]
    write(fs, "third")
    assert "third" in names(second)


def test_asyncio_tasks_do_not_share_a_transaction(fs, second):
    """They take turns in one thread."""

    async def transact(name, go, done):
        with suppress(ZeroDivisionError), fs.transaction:
            go.set()
            await done.wait()
            write(fs, name)
            if name == "failed":
                raise ZeroDivisionError

    async def work():
        done, started = asyncio.Event(), [asyncio.Event() for _ in range(2)]
        tasks = [asyncio.create_task(transact(*each, done)) for each in zip(("x", "failed"), started, strict=True)]
        for event in started:
            await event.wait()
        write(fs, "plain")
        assert names(second) == ["plain"]
        done.set()
        await asyncio.gather(*tasks)

    asyncio.run(work())
    assert names(second) == ["plain", "x"]


def test_asyncio_tasks_are_in_the_transaction_that_starts_them(fs, second):
    async def late(started):
        await started.wait()
        write(fs, "late")

    async def work():
        started = asyncio.Event()
        with fs.transaction:
            task = asyncio.create_task(late(started))
            await asyncio.gather(*(asyncio.to_thread(lambda: None), write_later("x"), write_later("y")))
            assert names(second) == []
        assert names(second) == ["x", "y"]
        # the block of the task has ended: the file waits for nothing
        started.set()
        await task

    async def write_later(name):
        await asyncio.sleep(0)
        write(fs, name)

    asyncio.run(work())
    assert names(second) == ["late", "x", "y"]


def test_instances_do_not_share_a_transaction(fs, second):
    with fs.transaction:
        write(fs, "inside")
        write(second, "plain")
        assert names(second) == ["plain"]
        with suppress(ZeroDivisionError), second.transaction:
            write(second, "failed")
            write(fs, "inside2")
            raise ZeroDivisionError
    assert names(second) == ["inside", "inside2", "plain"]


def test_the_cache_shows_what_was_published(fs):
    with fs.transaction:
        write(fs, "x")
        fs.invalidate_cache()
        assert not fs.exists(PATH)
        assert fs.find(BUCKET) == []
    assert fs.find(BUCKET) == [f"{BUCKET}/dir/x"]


def test_other_methods_take_effect_at_once(fs, second):
    with suppress(ZeroDivisionError), fs.transaction:
        fs.pipe_file(f"{BUCKET}/dir/piped", b"content")
        fs.cp_file(f"{BUCKET}/dir/piped", f"{BUCKET}/dir/copy")
        raise ZeroDivisionError
    assert names(second) == ["copy", "piped"]


FORK = """
import os, sys, fsspec
fs = fsspec.filesystem(sys.argv[1], **eval(sys.argv[3]))
def write(name):
    with fs.open(f"{sys.argv[2]}/dir/{name}", "wb") as file:
        file.write(b"content")
with fs.transaction:
    write("parent")
    child = os.fork()
    if child == 0:
        write("child")
        with fs.transaction:
            write("child2")
if child == 0:
    os._exit(0 if fs.exists(f"{sys.argv[2]}/dir/child2", refresh=True) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_in_its_parents_transaction(emulator, second, protocol):
    process = Program(FORK, protocol, BUCKET, repr(emulator.storage_options))
    assert (process.text(), process.code) == ("", 0)
    assert names(second) == ["child", "child2", "parent"]
    assert unfinished(second, f"{BUCKET}/dir") == []


@pytest.mark.protocol("cosv4", "cosv3")
def test_moves_between_buckets_do_not_wait_for_a_transaction(fs, second):
    fs.pipe_file(f"{BUCKET}/source", b"precious")
    with pytest.raises(ZeroDivisionError), fs.transaction:
        fs.mv(f"{BUCKET}/source", "other/target")
        raise ZeroDivisionError
    assert second.cat_file("other/target") == b"precious"


@pytest.mark.parametrize("wrong", [{"compression": "bogus"}, {"encoding": "bogus"}, {"newline": "bogus"}], ids=str)
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_failed_open_leaves_nothing_for_a_transaction(fs, second, wrong, compression):
    second.pipe_file(PATH, b"old")
    with fs.transaction:
        with pytest.raises((ValueError, LookupError), match="bogus"):
            fs.open(PATH, "w", **{"compression": compression, **wrong})
        write(fs, "other")
    assert names(second) == ["object", "other"]
    assert second.cat_file(PATH) == b"old"
