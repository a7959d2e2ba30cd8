"""Standard output: JSON for results and errors, names that its encoding or a terminal cannot take."""

import io
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosv4fs.cli import main, output
from tests.cli.conftest import plant

PROTOCOLS = ("cosv4",)

STRANGE = "🐧\x1b[2J\x9bé"


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def written(monkeypatch):
    """Run the command with a standard output of an encoding; return what was written to it."""

    def run(encoding, *arguments, kind=io.TextIOWrapper):
        out = io.BytesIO()
        stream = kind(out, encoding, "strict", write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        code = main([*map(str, arguments)])
        monkeypatch.undo()
        stream.flush()
        data = out.getvalue()
        # JSON is read as UTF-8, whatever the terminal's encoding is
        return code, data.decode("utf-8" if "--json" in arguments else encoding)

    return run


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "utf-8"])
def test_json_in_any_encoding(written, here, encoding):
    plant(here, **{STRANGE: ""})
    name = f"{here}/{STRANGE}"
    code, text = written(encoding, "--json", "ls", here)
    assert (code, [row["url"] for row in json.loads(text)]) == (0, [name])
    code, text = written(encoding, "--json", "ls", f"{name}-none")
    assert (code, json.loads(text)["path"]) == (3, f"{name}-none")
    # readable where possible, and harmless on a terminal
    assert ("🐧" in text) == (encoding == "utf-8")
    assert "\x9b" not in text


def test_lines_in_any_encoding(written, here):
    plant(here, **{"🐧": ""})
    assert written("gbk", "ls", here) == (0, f"{here}/\\U0001f427\n")


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are UTF-8")
@pytest.mark.parametrize("arguments", [["ls", "d"], ["--json", "ls", "d"], ["sync", "-n", "d", "copy"]])
def test_names_that_are_no_text_are_escaped(written, here, arguments):
    (here / "d").mkdir()
    Path(os.fsdecode(b"d/M\xe4rz")).write_text("x")
    code, text = written("utf-8", *arguments)
    assert (code, "M\\udce4rz" in text) == (0, True)
    if "--json" in arguments:
        assert json.loads(text)[0]["url"] == os.fsdecode(os.fsencode(str(here)) + b"/d/M\xe4rz")


@pytest.mark.parametrize("command", [["ls"], ["tree"], ["du"], ["stat"]])
def test_a_terminal_gets_no_control_characters(written, here, command):
    plant(here, **{"d__a\n~b\x1b[2J": ""})
    (here / "d/sub\n~c").mkdir()
    _, text = written("utf-8", *command, here / "d", kind=Terminal)
    assert all(line.isprintable() for line in text.split("\n"))
    assert not any(line.startswith("~") for line in text.split("\n"))


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        (["ls", "cosv4://data/none"], {"path": "cosv4://data/none", "code": -197, "errno": "ENOENT", "exit": 3}),
        (["ls", "/no/such"], {"path": "/no/such", "code": "ENOENT", "errno": "ENOENT", "exit": 3}),
        (["ls"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["ls", "--nonsense\x1b", "x"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["nonsense"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["uploads", "ls", "a\x1bb"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["demo"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["uploads"], {"error": "name a subcommand: see cosv4fs uploads --help", "code": "EINVAL", "exit": 2}),
        (["-o", "nonsense", "ls", "x"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["-o", "secret_key=wrong", "ls", "cosv4://data"], {"path": "cosv4://data", "code": -97, "exit": 4}),
        (["cp", "cosv4://data/d/f", "-"], {"path": None, "code": "EINVAL", "exit": 2}),
        (["cat", "cosv4://data/d/f"], {"path": None, "code": "EINVAL", "exit": 2}),
    ],
)
def test_errors_in_json(run, fs, arguments, row):
    fs.pipe_file("data/d/f", b"x")
    done = run("--json", *arguments)
    assert done.json.items() >= row.items()
    assert done.code == row["exit"]
    assert arguments == ["uploads"] or done.err.splitlines()[-1].endswith(done.json["error"])
    assert done.err.replace("\n", "").isprintable()


def test_json_given_last_counts_for_errors_before_it(run, fs):
    assert run("ls", "--nonsense", "--json").json["exit"] == 2
    assert run("ls", "/no/such", "--json").json["path"] == "/no/such"
    # after --, it is a name
    assert run("ls", "--", "--json").out == ""


def test_bugs_are_json_with_a_traceback(run, monkeypatch, capsys):
    from cosv4fs.cli import listings

    monkeypatch.setattr(listings, "expand_pattern", lambda _location: {}["a mistake"])
    with pytest.raises(KeyError):
        run("--json", "ls", "cosv4://data")
    assert json.loads(capsys.readouterr().out)["exit"] == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_interrupted_tree_is_valid_json(run, here, monkeypatch, count):
    from cosv4fs.cli import listings

    plant(here, d__a__b__c="", d__z="")
    branches = listings._nested
    shown = []

    def interrupted(*arguments):
        if len(shown) == count:
            raise KeyboardInterrupt
        shown.append(arguments)
        return branches(*arguments)

    monkeypatch.setattr(listings, "_nested", interrupted)
    done = run("--json", "tree", here / "d")
    assert (done.code, done.json[-1]["error"]) == (130, "interrupted")
    assert (len(done.json), done.out.count('"url"')) == (1 + bool(count), count)


PRINTING = ("ls d", "tree d", "find d", "sync -n d e", "check d e", "cp d/a f", "migrate d g")
"""Commands that print lists, nested lists, objects and reports."""


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize("nth", [*range(7), -1])
@pytest.mark.parametrize("moment", ["before it is in the buffer", "while it is flushed"])
def test_an_interrupt_while_json_is_printed(run, here, monkeypatch, command, nth, moment):
    plant(here, d__a="1", d__b="2", e__c="3")
    printing, calls, end = output.standard_output, [], None

    @contextmanager
    def interrupted():
        calls.append(moment)
        if len(calls) == end and moment.startswith("before"):
            raise KeyboardInterrupt
        with printing() as stream:
            yield stream
        if len(calls) == end and moment.startswith("while"):
            raise KeyboardInterrupt

    monkeypatch.setattr(output, "standard_output", interrupted)
    run("--json", *command.split())
    count = len(calls)
    end = count if nth == -1 else min(nth + 1, count)
    calls.clear()
    done = run("--json", *command.split())
    assert (done.code, bool(done.json)) == (130, True)
    # the document may be complete already
    assert (end, moment[0]) == (count, "w") or '"error": "interrupted"' in done.out
