"""The matrix itself: which dialects it has, what it tells, and that a failure cannot hide in it."""

import dataclasses
import errno
import itertools
import subprocess
import sys

import pytest

from cosv4fs.emulator import Dialect
from tests.matrix import __main__ as command
from tests.matrix import dialects, impossible
from tests.matrix.table import GROUPS, Table


@pytest.mark.parametrize("named", dialects.PROTOCOLS)
def test_every_value_of_every_switch_has_a_dialect_of_its_own(named):
    singles = [dialects.label(dialect) for dialect in dialects.singles(named)]
    wanted = [f"{name}={value}" for name, (_, *others) in dialects.values(named).items() for value in others]
    assert singles == wanted
    assert len(set(singles)) == len(singles)


def test_every_switch_belongs_to_a_protocol():
    known = [set(dialects.values(named)) for named in dialects.PROTOCOLS]
    assert set.union(*known) == {field.name for field in dataclasses.fields(Dialect)}
    assert {name for name in known[1] if name.startswith("v1_")} == known[1] - known[0]


@pytest.mark.parametrize("named", dialects.PROTOCOLS)
def test_every_two_values_of_two_switches_meet(named):
    known = dialects.values(named)
    wanted = {
        (one, first, other, second)
        for one, other in itertools.combinations(known, 2)
        for first in known[one]
        for second in known[other]
    }
    rows = list(dialects.pairwise(named))
    assert dialects.covered(rows, named) == wanted
    assert len(rows) < 40


def test_labels_name_dialects():
    for dialect in (*dialects.core(), *dialects.core("cosv3"), *dialects.singles(), *dialects.pairwise("cosv3")):
        assert dialects.chosen(dialects.label(dialect)) == dialect


def test_arguments():
    everything = command.labels(command.parse([]))
    assert everything[0] == "default"
    assert len(everything) == len(set(everything)) > 70
    given = command.parse(["--dialect", "parents=required", "slice_size=65536", "--dialect", "default"])
    assert command.labels(given) == ["parents=required,slice_size=65536", "default"]
    for wrong in (["--dialect", "parents=never"], ["--only", "nothing"], ["--dialect", "nonsense"]):
        with pytest.raises(SystemExit):
            command.parse(wrong)


@pytest.mark.parametrize("row", impossible.IMPOSSIBLE, ids=lambda row: f"{dict(row.switches)}-{row.tests}")
def test_only_the_declared_error_is_expected(row):
    text = {"not allowed: use .* without": "not allowed: use a name without"}.get(row.says, row.says)
    right = row.error(row.number, text, "box/dir/object")
    assert impossible.is_expected(right, [row])
    hidden = row.error(row.number, text, "box/dir/.object.cosv4-0123456789abcdef")
    for wrong in (
        row.error(row.number, "something else", "box/dir/object"),
        row.error(errno.EACCES, text, "box/dir/object"),
        row.error(row.number, text, None),
        hidden,
        OSError(row.number, text, "box/dir/object"),
    ):
        assert not impossible.is_expected(wrong, [row])


def line(dialect, group, outcome):
    return {"dialect": dialect, "group": group, "test": "test_x", "outcome": outcome, "detail": "why"}


def test_the_table_counts():
    table = Table(["default", "a=1,b=2"], ["resume", "uploads"])
    for dialect, group, outcome in (
        ("default", "resume", "passed"),
        ("default", "resume", "impossible"),
        ("default", "uploads", "passed"),
        ("a=1,b=2", "resume", "failed"),
    ):
        table.add(line(dialect, group, outcome))
    assert table.missing() == ["a=1,b=2 × uploads"]
    text = table.markdown()
    assert "| `default` | 1 1 i | 1 |" in text
    assert "| combination 1 | 1 FAILED | did not run |" in text
    assert "`a=1,b=2` resume `test_x`: why" in text
    assert "2 passed, 1 impossible as declared, 1 failed; 1 cells did not run" in text


def test_a_file_that_cannot_be_collected_is_a_failure(tmp_path):
    (tmp_path / "test_uploads.py").write_text("import a_module_that_is_not_there\n")
    report, table = tmp_path / "report.xml", Table(["default"], ["uploads"])
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", f"--junitxml={report}"]
    subprocess.run([*run, str(tmp_path)], cwd=command.REPOSITORY, capture_output=True, check=False, timeout=120)
    table.read(report)
    assert [(one["group"], one["detail"]) for one in table.failures] == [("uploads", "collection failure")]
    assert table.missing() == ["default × uploads"]


def test_groups_have_files():
    here = command.Path(command.__file__).parent
    assert {path.stem.removeprefix("test_") for path in here.glob("test_*.py")} == {*GROUPS, "command"}


def test_a_failure_is_told(tmp_path, monkeypatch):
    """What is declared impossible and works is a failure, and so is an error that is not declared."""
    (tmp_path / "conftest.py").write_text(
        "from tests.matrix.conftest import *\nfrom tests.matrix import impossible\n"
        "impossible.IMPOSSIBLE[:] = [impossible.Impossible({'parents': 'required'}, '*/test_declared*', "
        "FileNotFoundError, 2, 'gone', 'it cannot be')]\n"
    )
    (tmp_path / "test_uploads.py").write_text(
        "def test_declared_and_works(kept): pass\n"
        "def test_declared_and_fails(kept): raise FileNotFoundError(2, 'gone', 'box/x')\n"
        "def test_declared_and_damages(kept, second):\n"
        "    second.rm_file('box/dir/bystander')\n    raise FileNotFoundError(2, 'gone', 'box/x')\n"
        "def test_declared_and_leaves(kept, second):\n"
        "    second.pipe_file('box/rest', b'')\n    raise FileNotFoundError(2, 'gone', 'box/x')\n"
        "def test_declared_and_fails_otherwise(kept): raise FileNotFoundError(2, 'other', 'box/x')\n"
        "def test_undeclared(kept): raise FileNotFoundError(2, 'gone', 'box/x')\n"
        "def test_works(kept): pass\n"
    )
    report, table = tmp_path / "report.xml", Table(["parents=required"], ["uploads"])
    options = ["-p", "no:cacheprovider", f"--rootdir={tmp_path}", f"--basetemp={tmp_path / 'tmp'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--junitxml={report}", *options, "--dialect=parents=required", str(tmp_path)],
        cwd=command.REPOSITORY, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    monkeypatch.setattr(
        # a test may fail and its teardown too
        table,
        "add",
        lambda one: found.setdefault(one["test"].partition("[")[0], set()).add(one["outcome"]),
    )
    table.read(report)
    assert found == {
        "test_declared_and_works": {"failed"},
        "test_declared_and_fails": {"impossible"},
        "test_declared_and_damages": {"failed"},
        "test_declared_and_leaves": {"failed"},
        "test_declared_and_fails_otherwise": {"failed"},
        "test_undeclared": {"failed"},
        "test_works": {"passed"},
    }


def test_a_switch_without_values_is_noticed(monkeypatch):
    monkeypatch.delitem(dialects.NUMBERS, "max_name")
    with pytest.raises(ValueError, match="max_name"):
        dialects.values()
    assert Dialect().max_name is None
