"""Files that an exception leaves behind, and files that are closed while another exception is handled."""

import asyncio
import gc
import io
import queue
import re
import subprocess
import sys
import zipfile
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

import fsspec
import fsspec.core
import pytest

from tests.support import wait_for_background

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


class BoomError(Exception):
    pass


UNCLOSED = {
    "text": lambda fs: fs.open(PATH, "w"),
    "gzip": lambda fs: fs.open(PATH, "wb", compression="gzip"),
    "text in gzip": lambda fs: fs.open(PATH, "w", compression="gzip"),
    "fsspec": lambda fs: fsspec.open(f"cosv4://{PATH}", "w", **fs.storage_options).open(),
    "wrapped": lambda fs: io.TextIOWrapper(fs.open(PATH, "wb")),
    "buffered": lambda fs: io.BufferedWriter(fs.open(PATH, "wb")),
}


@pytest.mark.filterwarnings("ignore:.*never closed:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", list(UNCLOSED))
def test_unclosed_layers_above_a_file_publish_nothing(fs, second, how):
    second.pipe_file(PATH, b"old")
    file = UNCLOSED[how](fs)
    file.write(b"part" if how in ("gzip", "buffered") else "part")
    del file
    gc.collect()
    wait_for_background()
    assert second.cat_file(PATH) == b"old"


@pytest.mark.parametrize(
    ("options", "where"),
    [("'w'", "function"), ("'wb', compression='gzip'", "module"), ("'wb'", "module"), ("'wb'", "function")],
)
def test_a_program_that_ends_with_an_exception_publishes_nothing(fs, second, options, where):
    second.pipe_file(PATH, b"old")
    text = "'part'" if options == "'w'" else "b'part'"
    body = f"f = fs.open({PATH!r}, {options}); f.write({text}); raise RuntimeError"
    lines = ["import fsspec", f"fs = fsspec.filesystem('cosv4', **{fs.storage_options!r})"]
    lines += [body] if where == "module" else [f"def work(): {body}", "work()"]
    result = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert "RuntimeError" in result.stderr
    assert second.cat_file(PATH) == b"old"


@pytest.mark.parametrize("options", [{"mode": "wb"}, {"mode": "w"}, {"mode": "w", "compression": "gzip"}], ids=str)
def test_closing_a_file_in_a_handler_warns(fs, options):
    file = fs.open(PATH, **options)
    with pytest.warns(RuntimeWarning, match="outside the handler") as told:
        try:
            raise ValueError
        except ValueError:
            file.close()
    assert [warning.filename for warning in told] == [__file__]
    assert not fs.exists(PATH)


@pytest.mark.parametrize("kind", [StopIteration, queue.Empty])
def test_the_end_of_what_is_written_is_no_failure(fs, second, kind):
    file = fs.open(PATH, "wb")
    file.write(b"all")
    try:
        raise kind
    except kind:
        file.close()
    assert second.cat_file(PATH) == b"all"
    # unless it leaves the block of the file: nobody expected it
    with suppress(kind), opened(fs) as file:
        file.write(b"part")
        raise kind
    assert second.cat_file(PATH) == b"all"


class Shrinking:
    """An iterator that finds its end by a failure, which it handles."""

    def __next__(self):
        try:
            return [].pop()
        except IndexError:
            raise StopIteration  # noqa: B904  as many do


@pytest.mark.parametrize("end", [partial(next, Shrinking()), partial(next, iter(())), queue.Queue().get_nowait])
def test_an_end_in_the_handler_of_a_failure_does_not_hide_it(fs, second, end):
    def close_at_the_end(file):
        try:
            end()
        except (StopIteration, queue.Empty):
            file.close()

    file = fs.open(PATH, "wb")
    file.write(b"part")
    with pytest.warns(RuntimeWarning, match="OSError"):
        try:
            raise OSError("the source broke")
        except OSError:
            close_at_the_end(file)
            # this one knows the failure
            file = fs.open(PATH, "wb")
            file.write(b"another")
            close_at_the_end(file)
    assert second.cat_file(PATH) == b"another"
    file = fs.open(PATH, "wb")
    file.write(b"all")
    close_at_the_end(file)
    assert second.cat_file(PATH) == b"all"


def test_a_block_whose_file_was_discarded_raises(fs):
    with pytest.warns(RuntimeWarning), pytest.raises(OSError, match="was discarded"), fs.open(PATH, "wb") as file:
        try:
            raise KeyError
        except KeyError:
            file.close()


def opened(fs, mode="wb", **options):
    """Return a file whose ``with`` block only calls `close`, as those of many libraries do."""
    return fsspec.open(f"cosv4://{PATH}", mode, **options, **fs.storage_options)


def rows(fs, **options):
    row = "row" if options.get("mode") == "w" else b"row"
    with opened(fs, **options) as file:
        file.write(row)
        yield
        file.write(row)


def rows_in_a_stack(fs):
    with ExitStack() as stack:
        file = stack.enter_context(opened(fs))
        file.write(b"rowrow")
        yield


def rows_and_finally(fs):
    file = opened(fs).open()
    try:
        file.write(b"rowrow")
        yield
    finally:
        file.close()


def rows_through_another(fs):
    yield from rows(fs)


RESUMED = {
    "binary": rows,
    "text": partial(rows, mode="w"),
    "compressed": partial(rows, compression="gzip"),
    "nothing written after it": rows_in_a_stack,
    "finally": rows_and_finally,
    "yield from": rows_through_another,
}


@pytest.mark.parametrize("how", list(RESUMED))
def test_a_generator_that_a_handler_resumes_publishes(fs, second, how):
    """What the caller handles has nothing to do with the file."""
    running = RESUMED[how](fs)
    next(running)
    try:
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None
    except ValueError:
        assert next(running, "ended") == "ended"
    with second.open(PATH, compression="gzip" if how == "compressed" else None) as file:
        assert file.read() == b"rowrow"


def test_an_async_generator_that_a_handler_resumes_publishes(fs, second):
    async def produce():
        with opened(fs) as file:
            file.write(b"row")
            yield
            file.write(b"row")

    async def work():
        running = produce()
        await running.__anext__()
        try:
            raise ValueError
        except ValueError:
            assert [item async for item in running] == []

    asyncio.run(work())
    assert second.cat_file(PATH) == b"rowrow"


def test_a_file_opened_in_a_handler_is_published(fs, second):
    try:
        raise ValueError
    except ValueError:
        with opened(fs) as file:
            file.write(b"report")
        other = None
        try:
            raise KeyError
        except KeyError:
            # the outer exception is being handled, too
            other = fs.open(f"{PATH}2", "wb")
        other.close()
    assert second.cat_file(PATH) == b"report"
    assert second.cat_file(f"{PATH}2") == b""


def fail_in_block(fs):
    with opened(fs) as file:
        file.write(b"part")
        raise BoomError


def fail_in_context_manager(fs):
    @contextmanager
    def made():
        file = opened(fs).open()
        try:
            yield file
        finally:
            file.close()

    with made() as file:
        file.write(b"part")
        raise BoomError


def fail_in_stack(fs):
    with ExitStack() as stack:
        file = fs.open(PATH, "wb")
        stack.callback(file.close)
        file.write(b"part")
        raise BoomError


def fail_in_archive(fs):
    with fs.open(PATH, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", b"part")
        raise BoomError


def fail_in_frame(fs):
    def cells():
        yield 1
        raise BoomError

    with opened(fs, "w") as file, closing(file):
        file.writelines(str(cell) for cell in cells())


def fail_in_generator(fs):
    def made():
        with opened(fs) as file:
            file.write(b"part")
            yield
            raise BoomError

    try:
        for _ in made():
            pass
    finally:
        # nothing else may be left to close it
        gc.collect()


def fail_below_generator(fs):
    def made():
        yield fail_in_block(fs)

    next(made())


def fail_in_async_block(fs):
    class Wrapper:
        async def __aenter__(self):
            self.file = opened(fs).open()
            return self.file

        async def __aexit__(self, *error):
            await self.close()

        async def close(self):
            self.file.close()

    async def work():
        async with Wrapper() as file:
            file.write(b"part")
            raise BoomError

    asyncio.run(work())


FAILING = [
    fail_in_block, fail_in_context_manager, fail_in_stack, fail_in_archive, fail_in_frame, fail_in_generator,
    fail_below_generator, fail_in_async_block,
]  # fmt: skip


@pytest.mark.parametrize("fail", FAILING)
def test_a_block_that_fails_publishes_nothing_and_needs_no_warning(fs, second, fail):
    second.pipe_file(PATH, b"old")
    with pytest.raises(BoomError):
        fail(fs)
    assert second.cat_file(PATH) == b"old"


@pytest.mark.parametrize("how", ["finally", "function", "stack"])
def test_a_file_closed_by_the_handler_is_discarded_with_a_warning(fs, second, how):
    """It may be closed because of the failure, or in spite of it."""
    second.pipe_file(PATH, b"old")
    stack = ExitStack()
    file = stack.enter_context(opened(fs))
    with pytest.warns(RuntimeWarning, match=f"{PATH} was closed while BoomError was being handled"):
        try:
            try:
                file.write(b"part")
                raise BoomError
            finally:
                if how == "finally":
                    file.close()
        except BoomError:
            close = stack.close if how == "stack" else file.close
            close()
    assert second.cat_file(PATH) == b"old"


def test_a_file_closed_in_a_handler_that_nobody_can_find_is_discarded(fs, second):
    """Some libraries take the traceback from an exception, because it keeps objects alive."""
    second.pipe_file(PATH, b"old")

    def rows():
        file = opened(fs).open()
        try:
            file.write(b"part")
            raise BoomError
        except BoomError as error:
            error.__traceback__ = None
            file.close()
            yield

    with pytest.warns(RuntimeWarning, match="was being handled"):
        list(rows())
    assert second.cat_file(PATH) == b"old"


@pytest.mark.parametrize("layer", [{"mode": "wb"}, {"mode": "w"}, {"mode": "wb", "compression": "gzip"}], ids=str)
@pytest.mark.parametrize("own", [True, False])
def test_a_generator_that_is_not_resumed_discards_with_a_warning(fs, second, own, layer):
    """Nobody sees its exception."""
    second.pipe_file(PATH, b"old")

    def made():
        with fs.open(PATH, **layer) if own else opened(fs, **layer) as file:
            file.write("part" if layer["mode"] == "w" else b"part")
            yield

    with pytest.warns(RuntimeWarning, match=f"{PATH} was discarded.*GeneratorExit"):
        for _ in made():
            break
        gc.collect()
        wait_for_background()
    assert second.cat_file(PATH) == b"old"


PROGRAM = """
import atexit, os, sys, threading
last = []
atexit.register(lambda: [file.close() for file in last])
import fsspec
folder, options = sys.argv[1], eval(sys.argv[2])
fs = fsspec.filesystem("cosv4", **options)
def opened(name, mode="w", **more):
    file = fs.open(f"{folder}/{name}", mode, **more)
    file.write("content" if mode == "w" else b"content")
    return file
"""
FORGETS = """
def in_function(): file = opened("function")
def in_cycle(): ring = [opened("cycle")]; ring.append(ring)
in_function()
in_cycle()
module = opened("module")
compressed = opened("compressed", "wb", compression="gzip")
other = fsspec.open(f"cosv4://{folder}/fsspec", "wb", **options).open()
threading.Thread(target=opened, args=["thread"]).start()
fs.start_transaction()
opened("transaction").close()
with opened("sys.exit") as file:
    sys.exit()
"""
HANGS = """
import warnings
from cosv4fs import unclosed
from cosv4fs.concurrency.background import run_in_background
unclosed._EXIT_TIMEOUT = 0.0
lost, told, never = threading.Event(), threading.Event(), threading.Event()
def show(message, *more):
    told.set()
    if threading.current_thread() is not threading.main_thread():
        never.wait()
    print(message, file=sys.stderr)
warnings.showwarning = show
run_in_background(lost.wait)
for name in ("first", "second", "third"):
    opened(name)
lost.set()
told.wait()
"""
NAMES = ["compressed", "cycle", "fsspec", "function", "module", "sys.exit", "thread", "transaction"]
CLOSES = """
late, discarded, parents, outer = map(opened, ["late", "discarded", "parents", "outer"])
discarded.buffer.discard()
if hasattr(os, "fork") and not os.fork():
    sys.exit()
atexit.register(late.close)
parents.close()
with outer:
    outer.close()
    sys.exit()
"""


def ended(fs, body):
    """Run a program, with the filters of warnings that programs have."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + body]
    arguments = [f"{BUCKET}/dir", repr(fs.storage_options)]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stdout) == (0, "")
    return result.stderr


def test_a_program_that_forgets_files_names_them(fs, second):
    told = ended(fs, FORGETS)
    named = re.findall(rf"RuntimeWarning: {BUCKET}/dir/(\S+) .*not (?:be )?written", told)
    assert sorted(named) == NAMES
    at_exit = ["module", "compressed", "fsspec"]
    assert [name for name in named if name in at_exit] == at_exit
    assert second.find(BUCKET) == []


def test_a_warning_that_takes_long_takes_no_other_along(fs):
    """When the process ends, a thread may still be telling of one file: it was slow, and all were lost."""
    assert re.findall(rf"{BUCKET}/dir/(\S+) ", ended(fs, HANGS)) == ["second", "third"]


def test_a_program_that_closes_its_files_says_nothing(fs, second):
    assert ended(fs, CLOSES) == ""
    assert second.find(BUCKET) == [f"{BUCKET}/dir/{name}" for name in ("late", "outer", "parents")]


def test_nothing_false_is_said_of_a_file_that_a_later_exit_handler_closes(fs, second):
    """Exit handlers run in the reverse order: one that was registered before the package was imported is the last."""
    told = ended(fs, "last.append(opened('last'))")
    assert f"{BUCKET}/dir/last is not closed, and will not be written unless an exit handler closes it" in told
    assert second.find(BUCKET) == [f"{BUCKET}/dir/last"]


@pytest.mark.parametrize(
    ("options", "below", "step"),
    [
        ({"mode": "w"}, "buffer", "write"),
        ({"mode": "w", "compression": "gzip"}, "buffer", "write"),
        ({"mode": "wb", "compression": "gzip"}, "_outer", "close"),
    ],
)
def test_what_a_layer_cannot_pass_on_is_not_missing_from_a_published_file(
    fs, second, monkeypatch, options, below, step
):
    """Ctrl-C may come while `close` passes on what was pending. The file is closed then, also for a transaction."""
    second.pipe_file(PATH, b"old")

    def interrupt(*args):
        raise KeyboardInterrupt

    with fs.transaction:
        file = fs.open(PATH, **options)
        file.write("pending" if options["mode"] == "w" else b"pending")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(type(getattr(file, below)), step, interrupt)
            file.close()
        assert file.closed
    assert second.cat_file(PATH) == b"old"


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

    @pytest.mark.parametrize("options", [{"mode": "wb"}, {"mode": "w"}, {"mode": "wb", "compression": "gzip"}])
    def test_a_file_from_outside_the_handler(self, fs, second, options):
        file = fs.open(PATH, **options)
        try:
            raise ValueError
        except ValueError:
            with file:
                file.write("content" if options["mode"] == "w" else b"content")
        assert second.open(PATH, compression=options.get("compression")).read() == b"content"
