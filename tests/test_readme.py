"""What the README says is so: its programs run, its tables are those of the code, its commands are the real ones."""

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosv4fs import errors
from cosv4fs.attributes import ATTRIBUTES, META
from cosv4fs.cli import main
from cosv4fs.cli.failures import EXIT_CODES
from cosv4fs.emulator import CofferEmulator, Emulator
from cosv4fs.options import variables_of
from cosv4fs.protocols import CDCS, V3, V4

from . import __main__ as checks
from .options import places, tables

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

RUN_BLOCKS = """
import contextlib, io, json, os, sys, traceback
for number, text in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            exec(compile(text, f"block {number}", "exec"), {"__name__": "__main__"})
        except Exception:
            traceback.print_exc()
    print(json.dumps([number, out.getvalue(), err.getvalue()]), flush=True)
# pyarrow's threads may abort an interpreter that ends (README, limits)
os._exit(0)
"""
"""A program that runs each program of the README with names of its own, and tells what it wrote."""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def table(title, *, heading=False):
    """Return the rows of the first table below a title, each as a list of cells without backticks at the ends."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| .*\|$", section, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[0 if heading else 1 :]]


@contextmanager
def account():
    """Put a running service's account into the environment."""
    with (
        Emulator(buckets=["data"]) as emulator,
        CofferEmulator(coffers=["examplecoffer-1250000000"]) as coffers,
        pytest.MonkeyPatch.context() as patch,
    ):
        for service, protocol in ((emulator, V4), (emulator, V3), (coffers, CDCS)):
            variables = variables_of(protocol)
            for name in variables.keys() & service.storage_options.keys():
                patch.setenv(variables[name], service.storage_options[name])
        yield emulator


PROGRAMS = {number: text for number, text in enumerate(blocks("python")) if "def test_" not in text}
TESTS = {number: text for number, text in enumerate(blocks("python")) if "def test_" in text}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each program wrote; they run one after another, as in an interpreter that somebody pastes them into."""
    command = [sys.executable, "-c", RUN_BLOCKS]
    folder = tmp_path_factory.mktemp("blocks")
    with account():
        done = subprocess.run(
            command, input=json.dumps(list(PROGRAMS.items())), cwd=folder, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("cosv4fs|Exception ignored|Traceback", done.stderr), done.stderr
    return {number: (out, err) for number, out, err in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("number", PROGRAMS)
def test_python(number, outputs):
    out, err = outputs[number]
    # dask's threads may print warnings that pandas has for dask
    assert not re.search("cosv4fs|Exception ignored|Traceback", err), err
    for line, said in re.findall(r"^(.*\S)  # (\{.*\})$", PROGRAMS[number], re.MULTILINE):
        assert said in out, line


@pytest.mark.parametrize("number", TESTS)
def test_tests(number, tmp_path):
    (tmp_path / "test_block.py").write_text(TESTS[number], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:zarr"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_command_line(tmp_path, monkeypatch, capfd):
    """The first command is run by a shell, the others by the same function in this process."""
    (block,) = (block for block in blocks("sh") if "cosv4fs ls" in block)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "index.csv").write_text("name,taken\n")
    monkeypatch.chdir(tmp_path)
    first, *others = block.splitlines()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with account() as emulator:
        subprocess.run(["bash", "-e", "-c", first], env={**os.environ, "PATH": path}, check=True)
        for line in others:
            name, *arguments = shlex.split(line, comments=True)
            assert (name, main(arguments)) == ("cosv4fs", 0), line
        assert emulator.count()["move"] >= 1
    told = capfd.readouterr().out
    assert "PROBLEM" not in told
    assert "1 file " in told


def test_exit_codes():
    rows = table("On the command line")
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


@pytest.mark.parametrize("name", tables())
def test_options(name):
    """`python -m tests.options` writes them."""
    start, stop = places(README, name)
    assert README[start:stop] == tables()[name]


def test_attributes():
    def stored(row, protocol):
        return "yes" if protocol in row.changed_by else "when written" if protocol in row.written_by else "no"

    protocols = [spec.name for spec in (V4, V3, CDCS)]
    assert table("Attributes", heading=True)[0][3:] == [f"{name}" for name in protocols]
    assert table("Attributes") == [
        [
            row.name,
            row.header.replace(META, f"{META}*") or "–",
            row.s3 or "–",
            *(stored(row, name) for name in protocols),
        ]
        for row in ATTRIBUTES.values()
    ]


def test_every_module_has_a_row():
    named = {name for row in table("Contributing") for name in re.findall(r"\w+\.py", row[0])}
    assert named == {path.name for path in (REPOSITORY / "cosv4fs").glob("[!_]*.py")}


def test_errors():
    public = {name: cls for name, cls in vars(errors).items() if getattr(cls, "__module__", "") == errors.__name__}
    classes = {name for name, cls in public.items() if isinstance(cls, type) and issubclass(cls, OSError)}
    rows = table("Errors")
    assert {row[0] for row in rows} == classes
    for name, base, _ in rows:
        assert base in {parent.__name__ for parent in public[name].__mro__[1:]}


def test_commands():
    first, *others = blocks("sh")
    assert first == "python3 -m venv .venv && .venv/bin/pip install -q '.[demo]' && .venv/bin/cosv4fs demo\n"
    assert (REPOSITORY / ".ci" / "run").read_text().splitlines()[-1] + "\n" in others
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111


def test_links_and_names_of_files():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (REPOSITORY / target).exists()
    for text in (README, (REPOSITORY / "tests" / "README.md").read_text(encoding="utf-8")):
        for name in re.findall(r"`((?:cosv4fs|tests|notebooks)/[\w/.*]*)`", text):
            assert list(REPOSITORY.glob(name)), name


def test_the_guide_of_the_tests_names_commands_that_exist():
    guide = (REPOSITORY / "tests" / "README.md").read_text(encoding="utf-8")
    modules = sorted(set(re.findall(r"python -m (tests(?:\.\w+)*)", guide)))
    assert len(modules) > 8
    for module in modules:
        place = REPOSITORY.joinpath(*module.split("."))
        assert (place / "__main__.py").exists() or place.with_suffix(".py").exists(), module


@pytest.mark.parametrize(
    ("failing", "code"),
    [({}, 0), ({"mypy": 2}, 2), ({"ruff": 1, "pytest": 5}, 1)],
)
def test_every_check_runs_and_the_first_failure_is_told(monkeypatch, capsys, failing, code):
    ran = []

    def run(arguments):
        ran.append(arguments)
        return failing.get(arguments[0], 0)

    monkeypatch.setattr(checks, "run", run)
    assert checks.main(["-k", "demo"]) == code
    assert [arguments[0] for arguments in ran] == ["ruff", "ruff", "mypy", "pytest", "tests.packaging"]
    assert ran[3][-2:] == ["-k", "demo"]
    assert ("FAILED" in capsys.readouterr().out) == bool(code)


def test_quick_checks_leave_out_tests_that_exist(monkeypatch):
    ran = []
    monkeypatch.setattr(checks, "run", lambda arguments: ran.append(arguments) or 0)
    assert checks.main(["--quick", "-x"]) == 0
    assert [arguments[0] for arguments in ran] == ["ruff", "ruff", "mypy", "pytest"]
    left_out = [Path(argument.removeprefix("--ignore=")) for argument in ran[3] if argument.startswith("--ignore=")]
    assert len(left_out) == len(checks.SLOW)
    assert all(path.exists() for path in left_out)
    assert ran[3][-1] == "-x"
