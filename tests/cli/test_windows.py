"""The command on Windows, simulated (`tests.platforms`): output in a code page, shells that expand no patterns."""

import json
import os
import subprocess
import sys

import pytest

from tests.platforms import environment

PROGRAM = """
import json, sys
from cosv4fs.cli import main

for arguments in json.loads(sys.argv[1]):
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (sys.stdout, sys.stderr):
        stream.buffer.write(b"<next>")
        stream.flush()
    main(arguments)
"""
CHINESE = "\u5317\u4eac.txt"
ESCAPED = rb"\u5317\u4eac.txt"
CONTENT = b"a\nb\r\n\x1a\xff"


@pytest.fixture
def start_there(emulator, here):
    def start(*arguments, encoding="cp1252", **options):
        own = environment("windows", PYTHONIOENCODING=encoding)
        return subprocess.Popen([sys.executable, *arguments], env=own, cwd=here, stderr=subprocess.PIPE, **options)

    return start


@pytest.fixture
def run_there(start_there):
    """Run several command lines in one process; return what each wrote to standard output, and to standard error."""

    def run(*commands, data=b"", encoding="cp1252"):
        lines = json.dumps([command.split() for command in commands])
        process = start_there("-c", PROGRAM, lines, encoding=encoding, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, err = (written.split(b"<next>")[1:] for written in process.communicate(data, timeout=60))
        assert process.returncode == 0
        return list(zip(out, err, strict=True))

    return run


@pytest.mark.parametrize(("encoding", "accented"), [("cp1252", b"\xe9.txt"), ("cp437", b"\x82.txt")])
def test_names_beyond_the_code_page_are_escaped(run_there, fs, encoding, accented):
    for name in (CHINESE, "\u00e9.txt"):
        fs.pipe_file(f"data/d/{name}", b"x")
    commands = ["ls cosv4://data/d", "ls --json cosv4://data/d", "tree cosv4://data", "cp -r cosv4://data/d down"]
    commands += [f"cat cosv4://data/{CHINESE}", "cp --progress -r down cosv4://other/", "rm --help"]
    shown = run_there(*commands, encoding=encoding)
    ls, as_json, tree, cp, cat, bar, help_text = shown
    assert sorted(ls[0].splitlines()) == sorted([b"cosv4://data/d/" + accented, b"cosv4://data/d/" + ESCAPED])
    assert {row["url"] for row in json.loads(as_json[0])} == {
        f"cosv4://data/d/{name}" for name in (CHINESE, "\u00e9.txt")
    }
    branch = "\u251c\u2500\u2500 ".encode("cp437") if encoding == "cp437" else b"|-- "
    assert b"    " + branch in tree[0]
    assert ESCAPED in tree[0]
    assert b"/" + ESCAPED in cp[1]
    assert cat == (b"", b"cosv4fs cat: " + cat[1][len("cosv4fs cat: ") :])
    assert ESCAPED + b": no such file" in cat[1]
    assert b"100%|#" in bar[1]
    assert b'cosv4fs rm "cosv4://data/photos/*.tmp"' in help_text[0]
    assert {name.partition("/")[2] for name in fs.find("other")} == {f"down/{CHINESE}", "down/\u00e9.txt"}


def test_bytes_pass_unchanged(run_there, fs, here):
    """Ends of lines stay, and so does what ends a text file there."""
    fs.pipe_file("data/f", CONTENT)
    cat, cp, copied = run_there("cat cosv4://data/f", "cp cosv4://data/f -", "cp - cosv4://data/in", data=CONTENT)
    assert cat == (CONTENT, b"")
    assert cp == (CONTENT, b"copied 7 B\n")
    assert copied == (b"", b"copied 7 B\n")
    assert fs.cat_file("data/in") == CONTENT


def test_patterns_that_the_shell_does_not_expand(run_there, fs, here):
    for name in ("a.csv", "b.csv", "c.txt"):
        (here / name).write_bytes(b"x")
    [(_, err)] = run_there("cp *.csv cosv4://data/d/")
    assert err.splitlines()[-1] == b"copied 2 of 2 files, 2 B"
    assert sorted(fs.find("data")) == ["data/d/a.csv", "data/d/b.csv"]


def test_a_reader_that_has_gone_ends_a_command_quietly(start_there, fs):
    """Windows calls that an invalid argument, which Linux cannot be made to do."""
    program = """
import errno, io, sys
from cosv4fs.cli import main

class Gone(io.RawIOBase):
    def writable(self):
        return True
    def write(self, data):
        raise OSError(errno.EINVAL, "Invalid argument")

sys.stdout = io.TextIOWrapper(io.BufferedWriter(Gone()), write_through=True)
sys.exit(main(["ls", "cosv4://data"]))
"""
    fs.pipe_file("data/f", b"x")
    process = start_there("-c", program)
    assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)


def test_a_profile_is_written(run_there, here, monkeypatch):
    monkeypatch.setenv("COSV4_PROFILES", os.fspath(here / "profiles.ini"))
    options = "-o appid=1250000000 -o region=gz -o secret_id=AKIDx -o secret_key=-"
    [(out, err)] = run_there(f"configure ci {options}", data=b"key\r\n")
    assert err == b""
    assert b"wrote appid, " in out
    assert "secret_key = key" in (here / "profiles.ini").read_text().splitlines()
