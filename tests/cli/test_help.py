"""Help texts and shell completion."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest

from cosv4fs.cli import main
from cosv4fs.cli.group import cli
from tests.cli.test_session import HELP_WIDTH, every_command

PROTOCOLS = ("cosv4",)

LEAVES = {path: command for path, command in every_command() if not isinstance(command, click.Group)}


def help_of(path):
    return LEAVES[path].get_help(click.Context(LEAVES[path], info_name=" ".join(path), terminal_width=HELP_WIDTH))


def examples_in(text):
    """Return the command lines of a help text, without pipes and redirections."""
    lines = text.partition("Examples:\n")[2].replace("\\\n", "").splitlines()
    for line in lines:
        found = re.search(r"cosv4fs .*", line)
        if found:
            yield re.split(r" [|<>] |   +", found[0])[0]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_can_be_run(path):
    examples = list(examples_in(help_of(path)))
    assert len(examples) >= 2
    for example in examples:
        _, *words = shlex.split(example, comments=True)
        command = cli
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        assert command is LEAVES[path]
        # raises a UsageError if it is not valid
        command.make_context(path[-1], words, parent=click.Context(cli))


def test_the_list_of_commands_is_one_screen(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 52
    shown = re.findall(r"^  ([a-z0-9]+)  ", text, re.MULTILINE)
    assert sorted(shown) == sorted(cli.commands)
    assert re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE) == [
        "Options", "Looking", "Copying", "Changing", "Setup"
    ]  # fmt: skip


@pytest.mark.parametrize("path", [path for path, found in LEAVES.items() if "Filters:" in help_of(path)], ids=" ".join)
def test_filters_take_few_lines_and_find_has_their_rules(path):
    text = help_of(path)
    section = text.partition("Filters:\n")[2].partition("\n\n")[0]
    assert len(section.splitlines()) <= 11
    assert "rules: cosv4fs find --help" in section
    assert ("\n    tmp/        all files below any directory tmp\n" in text) == (path == ("cosv4fs", "find"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
@pytest.mark.parametrize("command", [[], ["ls"]])
def test_a_full_disk_is_named(monkeypatch, capsys, command):
    with suppress(OSError), Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        code = main([*command, "--help"])
    # not in the block: closing the stream fails, too
    assert (code, capsys.readouterr().err) == (1, "cosv4fs: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cosv4fs upl", ["plain,uploads"]),
        ("cosv4fs uploads re", ["plain,resume"]),
        ("cosv4fs ls --rec", ["plain,--recursive"]),
        ("cosv4fs cp --end", ["plain,--endpoint"]),
        ("cosv4fs cp fi", ["file,fi"]),
        ("cosv4fs cp cosv4://data/f", []),
    ],
)
def test_completion(monkeypatch, capsys, words, expected):
    monkeypatch.setenv("_COSV4FS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert main([]) == 0
    assert capsys.readouterr().out.split() == expected
