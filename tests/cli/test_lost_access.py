"""Keys that are revoked, or expire, while a command runs: it ends, and does not fail once for every file."""

import re

import pytest

from cosv4fs.emulator import faults
from tests.support import fill

FILES, GOOD, JOBS = 300, 20, 2
ADVICE = "access has been denied 100 times in a row: the credentials are no longer accepted, or have expired"
COMMANDS = {
    "cp": ("cp -r -j 2 cosv4://data/d out", "download"),
    "cp to a bucket": ("cp -r -j 2 in cosv4://data/new", "upload"),
    "sync": ("sync -j 2 in cosv4://data/new", "upload"),
    "sync --delete": ("sync --delete --max-delete 300 -j 2 empty cosv4://data/d", "delete"),
    "mv": ("mv cosv4://data/d/* cosv4://data/e/", "move"),
    "mv to the disk": ("mv -r -j 2 cosv4://data/d out", "download"),
    "rm of many": ("rm cosv4://data/d/*", "delete"),
    "rm with a filter": ("rm -r --include * cosv4://data/d", "delete"),
    "check": ("check -j 2 cosv4://data/d cosv4://data/same", "stat"),
}
commands = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture
def refused(emulator, fs, here):
    """Many files on both sides; add the fault that denies an operation on them from the 21st time on."""
    names = [f"{number:03}" for number in range(FILES)]

    def refused(op):
        if op == "download":
            fs.pipe({f"data/d/{name}": name.encode() for name in names})
        else:
            fill(emulator, "data", [f"/{folder}/{name}" for folder in ("d", "same") for name in names])
        return emulator.faults.add(
            op=op, action=faults.Refuse(-289), nth=GOOD + 1, times=None, match=lambda call: call.path.text[-1].isdigit()
        )

    for folder in ("in", "empty"):
        (here / folder).mkdir()
    for name in names:
        (here / "in" / name).write_bytes(b"x")
    return refused


@pytest.fixture
def revoked(emulator, refused):
    """Add a fault that denies everything as soon as an operation is denied."""

    def revoked(op):
        fault = refused(op)
        emulator.faults.add(action=faults.Refuse(-289), times=None, match=lambda _: fault.hits > 0)

    return revoked


@commands
def test_a_command_ends_when_its_keys_are_no_longer_accepted(run, revoked, name):
    command, op = COMMANDS[name]
    revoked(op)
    done = run(*command.split())
    assert (done.code, done.err.splitlines()[-1].count(ADVICE)) == (4, 1)
    assert 100 <= done.err.count("the request is denied") < FILES - GOOD
    told = re.search(r"(\d+)( of \d+)? files.* before access was denied; ", done.err)
    # what is copied first may not be removed any more, and files are checked with several requests
    assert GOOD // 2 - JOBS <= int(told[1]) <= GOOD


@pytest.mark.parametrize("name", ["cp", "mv", "rm with a filter", "check"])
def test_json_output_says_so_too(run, revoked, name):
    """After the files that failed before."""
    command, op = COMMANDS[name]
    revoked(op)
    done = run("--json", *command.split())
    is_list = isinstance(done.json, list)
    *rows, last = done.json if is_list else [*next(each for each in done.json.values() if each), done.json]
    assert (last["exit"], ADVICE in last["error"]) == (4, True)
    assert sum(bool(row.get("error")) for row in rows) == done.err.count("the request is denied") >= 100


@commands
def test_files_that_alone_are_forbidden_fail_one_by_one(run, refused, name):
    command, op = COMMANDS[name]
    fault = refused(op)
    done = run(*command.split())
    assert (done.code, fault.hits >= FILES - GOOD, ADVICE in done.err) == (4, True, False)
