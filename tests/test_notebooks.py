"""Every notebook runs, and is kept with its outputs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# in a process of its own, so that warnings of Jupyter's packages are none of ours; without ports, which are chosen some
# time before they are bound, so that others may take them
EXECUTE = """
import sys
import tempfile
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
# on a busy machine
options = {"startup_timeout": 240, "iopub_timeout": 60, "resources": {"metadata": {"path": sys.argv[2]}}}
with tempfile.TemporaryDirectory() as folder:
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/kernel")
    NotebookClient(notebook, kernel, timeout=240, **options).execute()
nbformat.write(notebook, sys.argv[3])
"""


def cells(path, kind):
    """Return the cells of a notebook that are ``code`` or ``markdown``."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def outputs(path):
    """Return the outputs of every code cell."""
    return [cell["outputs"] for cell in cells(path, "code")]


def text_of(output):
    """Return what a reader sees of an output, pictures left out."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps({**output, "data": data})


def is_progress(text):
    """Return whether text consists of progress bars, which belong on stderr."""
    lines = [line for line in re.split(r"[\r\n]+", "".join(text)) if line.strip()]
    return all(re.match(r"\w+: +\d+%\|", line) for line in lines)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs(path, tmp_path):
    executed = tmp_path / "executed.ipynb"
    work = tmp_path / "work"
    work.mkdir()
    given = [shutil.copy(data, work) for data in FOLDER.glob("*.json")]
    command = [sys.executable, "-c", EXECUTE, str(path), str(work), str(executed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [len(cell) > 0 for cell in outputs(executed)] == [len(cell) > 0 for cell in outputs(path)]
    assert sorted(work.iterdir()) == sorted(map(Path, given))
    assert_clean(executed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_kept_outputs(path):
    kept = outputs(path)
    assert sum(len(cell) > 0 for cell in kept) > len(kept) / 2
    for cell in cells(path, "code"):
        is_drawn = "plt.show()" in "".join(cell["source"])
        assert any("image/png" in output.get("data", {}) for output in cell["outputs"]) == is_drawn
    assert_clean(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_guide_ends_with_its_conclusion(path):
    last = json.loads(path.read_text(encoding="utf-8"))["cells"][-1]
    assert "".join(last["source"]).startswith("## What you know now\n")
    assert "](" in "".join(last["source"]), "no link to the next guide"


def assert_clean(path):
    """No errors, no warnings, no secrets, and no path of the machine in the outputs."""
    for cell in outputs(path):
        for output in cell:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr" or is_progress(output["text"]), output["text"]
            assert not re.search(r"Warning|secret|AKID|/tmp/|/home/|/root/|127\.0\.0\.1", text_of(output))
