"""The bars of the option ``progress``: one for all files, in bytes, on terminals, in notebooks and in files."""

import io
import re
import tempfile
import threading
from contextlib import redirect_stderr
from importlib.util import find_spec

import fsspec
import pytest
from fsspec.callbacks import Callback

from cosv4fs.emulator.faults import HttpError, Refuse
from tests.kernels import Kernel
from tests.support import KIB, write_tree

BUCKET = "test-1250000000"
TREE = {"empty": 0, "a": 10 * KIB, "sub/b": 20 * KIB, "sub/large": 2018 * KIB}


@pytest.fixture
def options(emulator, tmp_path):
    sizes = {"slice_size": 512 * KIB, "range_size": 256 * KIB, "single_upload_limit": 512 * KIB}
    return {**emulator.storage_options, **sizes, "journal_dir": str(tmp_path / "journal")}


@pytest.fixture
def fs(options):
    return fsspec.filesystem("cosv4", **options, progress=True)


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree", TREE)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(action, out=None):
    """Return what an action displays, as lines; none of them is left over when it has ended."""
    out = out or io.StringIO()
    with redirect_stderr(out):
        action()
    assert out.getvalue().endswith("\n") or not out.getvalue()
    return [line for line in re.split(r"[\r\n]+", out.getvalue()) if line]


def last(lines):
    """Return the description, the bytes, and what is told about files, of the last line."""
    name, count, files = re.fullmatch(
        r"(\w+): .*?([0-9.kM]+(?:/[0-9.kM]+)?)B? \[.*?/s(?:, (.*))?\]", lines[-1]
    ).groups()
    return name, count, files


def test_one_file(fs, options, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"x" * 2048)
    assert last(shown(lambda: fs.put_file(local, f"{BUCKET}/a"))) == ("put_file", "2.05k/2.05k", None)
    assert last(shown(lambda: fs.get_file(f"{BUCKET}/a", tmp_path / "b"))) == ("get_file", "2.05k/2.05k", None)
    quiet = fsspec.filesystem("cosv4", **options)
    assert shown(lambda: quiet.put_file(local, f"{BUCKET}/a")) == []


def test_many_files_have_one_bar_of_bytes(fs, tree, tmp_path):
    put = shown(lambda: fs.put(str(tree), f"{BUCKET}/tree", recursive=True))
    got = shown(lambda: fs.get(f"{BUCKET}/tree", str(tmp_path / "back"), recursive=True))
    # the total is known from the beginning; directories do not count
    assert last(put[:1]) == ("put", "0.00/2.10M", "0/4 files")
    assert last(put) == ("put", "2.10M/2.10M", "4/4 files")
    assert last(got[:1]) == ("get", "0.00/2.10M", "0/4 files")
    assert last(got) == ("get", "2.10M/2.10M", "4/4 files")


def test_sizes_that_nobody_has_listed_are_found_on_the_way(fs, tree, tmp_path):
    fs.put(str(tree), f"{BUCKET}/tree", recursive=True)
    fs.invalidate_cache()
    fs.info(f"{BUCKET}/tree/a")
    names = ["a", "a", "sub/b"]
    sources, targets = [f"{BUCKET}/tree/{name}" for name in names], [str(tmp_path / f"{n}") for n in range(3)]
    lines = shown(lambda: fs.get(sources, targets))
    assert last(lines[:1]) == ("get", "0.00", "0/3 files")
    assert last(lines) == ("get", "41.0k/41.0k", "3/3 files")


def test_a_stale_size_is_corrected(fs, options, tree, tmp_path):
    fs.put(str(tree), f"{BUCKET}/tree", recursive=True)
    fs.ls(f"{BUCKET}/tree")
    other = fsspec.filesystem("cosv4", **options, use_listings_cache=False)
    other.pipe_file(f"{BUCKET}/tree/a", bytes(100 * KIB))
    sources, targets = [f"{BUCKET}/tree/a", f"{BUCKET}/tree/empty"], [str(tmp_path / "1"), str(tmp_path / "2")]
    assert last(shown(lambda: fs.get(sources, targets))) == ("get", "102k/102k", "2/2 files")


@pytest.mark.parametrize("action", [HttpError(503), Refuse(-94)], ids=["repeated", "begun again"])
def test_what_is_sent_again_counts_once(fs, emulator, tree, wire, action):
    emulator.faults.add(op=wire.slice, nth=3, times=2, action=action)
    lines = shown(lambda: fs.put(str(tree), f"{BUCKET}/tree", recursive=True))
    assert last(lines) == ("put", "2.10M/2.10M", "4/4 files")


def test_a_resumed_upload_counts_what_is_there(options, emulator, tree, wire):
    fs = fsspec.filesystem("cosv4", **options, progress=True, max_retries=0)
    emulator.faults.add(op=wire.slice, nth=3, times=1000, action=HttpError(503))
    with pytest.raises(OSError, match="503"):
        fs.put_file(tree / "sub/large", f"{BUCKET}/large")
    emulator.faults.clear()
    assert last(shown(lambda: fs.put_file(tree / "sub/large", f"{BUCKET}/large"))) == ("put_file", "2.07M/2.07M", None)


def test_nothing_to_transfer_shows_no_bar(fs, tree, tmp_path):
    assert shown(lambda: fs.put([], [])) == []
    assert shown(lambda: fs.put_file(tree, f"{BUCKET}/dir")) == []


def test_an_error_ends_the_bar_where_it_is(fs, emulator, tree, wire):
    emulator.faults.add(op=wire.slice, times=None, nth=3, action=Refuse(-96))
    out = io.StringIO()
    with pytest.raises(OSError, match="-96"):
        shown(lambda: fs.put(str(tree), f"{BUCKET}/tree", recursive=True), out)
    assert out.getvalue().endswith("\n")
    assert "100%" not in out.getvalue()


class InterruptedOnce(Terminal):
    """A terminal on which Ctrl-C comes while a bar is displayed."""

    is_interrupted = False

    def write(self, text):
        if "%" in text and not self.is_interrupted:
            self.is_interrupted = True
            raise KeyboardInterrupt
        return super().write(text)


def test_an_interrupted_bar_stops_no_other(fs, tree):
    def put():
        fs.put_file(tree / "a", f"{BUCKET}/a")

    with pytest.raises(KeyboardInterrupt):
        shown(put, InterruptedOnce())
    out = io.StringIO()
    with redirect_stderr(out):
        other = threading.Thread(target=put, daemon=True)
        other.start()
        other.join(60)
    assert "10.2k/10.2k" in out.getvalue()


def test_files_that_are_not_displayed_get_few_lines(fs, tree):
    names = [f"{BUCKET}/{number}" for number in range(200)]
    put = shown(lambda: fs.put([str(tree / "a")] * 200, names))
    assert last(put) == ("put", "2.05M/2.05M", "200/200 files")
    # at the beginning, every ten seconds, and at the end
    assert len(put) < 10


def test_bars_of_several_threads(fs, tree):
    def put(number):
        fs.put(str(tree), f"{BUCKET}/{number}", recursive=True)

    def all_at_once():
        threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = shown(all_at_once, Terminal())
    assert sum("4/4 files" in line and "2.10M/2.10M" in line for line in lines) >= 4


def test_a_callback_of_ones_own_is_the_only_one(fs, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 2000)
    callback = Callback()
    assert shown(lambda: fs.put_file(tmp_path / "a", f"{BUCKET}/a", callback=callback)) == []
    assert shown(lambda: fs.put_file(tmp_path / "a", f"{BUCKET}/a", callback)) == []
    assert callback.value == 4000


CELL = """
import os, sys, warnings
warnings.simplefilter("error")
sys.modules["ipywidgets"] = None
import fsspec
fs = fsspec.filesystem("cosv4", **{options!r}, progress=True)
fs.put({tree!r}, "test-1250000000/cell", recursive=True)
"""
WITH_WIDGETS = """
del sys.modules["ipywidgets"]
fs.invalidate_cache()
fs.get([f"test-1250000000/cell/{name}" for name in ("a", "sub/b")], ["1", "2"])
"""


def test_notebooks_show_text_or_widgets_and_no_warnings(options, tree, tmp_path):
    # a socket's path must be short
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(folder)
        try:
            kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
            text = kernel.outputs(CELL.format(options=options, tree=str(tree)))
            assert {kind for kind, content in text if kind != "execute_input"} <= {"stream", "status"}
            lines = "".join(content["text"] for kind, content in text if kind == "stream")
            assert "2.10M/2.10M" in lines
            assert "4/4 files" in lines
            assert "Warning" not in lines
            if find_spec("ipywidgets") is None:
                pytest.skip("ipywidgets is not installed: no widgets")
            widgets = kernel.outputs(WITH_WIDGETS)
            assert not [content for kind, content in widgets if kind == "stream"]
            assert sum(kind == "display_data" for kind, _ in widgets) == 1
            states = [content["data"]["state"] for kind, content in widgets if kind in ("comm_open", "comm_msg")]
            # the sizes were unknown at first
            assert 30.0 * KIB in [state.get("max") for state in states]
            texts = [str(state.get("value")) for state in states]
            assert "30.7k/30.7k" in texts[-2]
            assert "2/2" in texts[-2]
            assert states[-1] == {"bar_style": "success"}
        finally:
            kernel.stop()
