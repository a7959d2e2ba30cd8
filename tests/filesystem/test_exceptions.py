"""Files that an exception leaves behind, and files that are closed while another exception is handled."""

import gc
import io
import subprocess
import sys

import fsspec
import fsspec.core
import pytest

from cosv4fs.concurrency.background import wait_for_background

BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


UNCLOSED = {
    "text": lambda fs: fs.open(PATH, "w"),
    "gzip": lambda fs: fs.open(PATH, "wb", compression="gzip"),
    "text in gzip": lambda fs: fs.open(PATH, "w", compression="gzip"),
    "fsspec": lambda fs: fsspec.open(f"cosv4://{PATH}", "w", **fs.storage_options).open(),
    "wrapped": lambda fs: io.TextIOWrapper(fs.open(PATH, "wb")),
    "buffered": lambda fs: io.BufferedWriter(fs.open(PATH, "wb")),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
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


def test_closing_a_file_in_a_handler_warns(fs):
    file = fs.open(PATH, "wb")
    with pytest.warns(RuntimeWarning, match="outside the handler"):
        try:
            raise ValueError
        except ValueError:
            file.close()
    assert not fs.exists(PATH)
    with pytest.warns(RuntimeWarning), pytest.raises(OSError, match="was discarded"), fs.open(PATH, "wb") as file:
        try:
            raise KeyError
        except KeyError:
            file.close()


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
