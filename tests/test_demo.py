"""The demo, as a process of its own: other people's warnings then show as output, not as failures."""

import re
import subprocess
import sys

BROKEN_READ = """
import sys
from cosv4fs.demo import run
from cosv4fs.emulator import Emulator
from cosv4fs.emulator.faults import Corrupt

emulator = Emulator()
# a digit of the last row changes, in every download of the object's end
emulator.faults.add(op="download", path="/flights/copy.csv", action=Corrupt(-2, 0x01), times=None)
sys.exit(run(200, emulator=emulator))
"""
DIGESTS = """
from cosv4fs.demo import Digests

digests = [Digests("x", "1", "1", "1"), Digests("x", "1", "1", None), Digests("x", "1", "1", "2")]
print(*digests, [digest.agree for digest in digests], sep="\\n")
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def demo(*arguments):
    return run("-m", "cosv4fs.cli", "demo", *arguments)


def rows_of(output):
    """Return the numbers of the table by step."""
    found = re.findall(r"^(\S.+?) +(\d+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", output, re.MULTILINE)
    return {name: (int(requests), int(slices)) for name, requests, slices, *_ in found}


def test_slices_are_counted():
    done = demo("--rows", "60000")
    assert (done.returncode, done.stderr) == (0, "")
    steps = rows_of(done.stdout)
    # 6.1 MB in slices of 3 MiB: open, two slices, finish, move
    assert steps["put_file (size known)"] == (5, 2)
    assert steps["pandas to_csv (size unknown)"][1] == 2
    assert steps["pandas to_parquet"] == (1, 0)


def test_small_demo_in_a_kept_folder_that_is_used_again(tmp_path):
    folder = tmp_path / "kept"
    first, second = (demo("--rows", "200", "--keep", str(folder)) for _ in range(2))
    for done in (first, second):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == "all checksums agree"
    assert max(len(line) for line in first.stdout.splitlines() if str(folder) not in line) <= 80
    assert "200 flights" in first.stdout
    steps = rows_of(first.stdout)
    assert len(steps) == 8
    assert all(requests and not slices for requests, slices in steps.values())
    assert any(folder.iterdir())


def test_unusable_folder(tmp_path):
    (tmp_path / "file").touch()
    done = demo("--rows", "5", "--keep", str(tmp_path / "file" / "folder"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_difference_is_told():
    done = run("-c", BROKEN_READ)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("CHECKSUMS DIFFER")
    assert "DIFFERS" in done.stdout


def test_what_the_service_reports_counts_too():
    lines = run("-c", DIGESTS).stdout.splitlines()
    assert lines[-1] == "[True, False, False]"
    assert [line.split()[-1] for line in lines[:3]] == ["same", "MISSING", "DIFFERS"]
