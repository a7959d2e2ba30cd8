"""Global options: before and after the subcommand, and beside options of the same name."""

import click
import pytest

from cosv4fs.cli import commands
from cosv4fs.cli.global_options import GLOBAL_OPTIONS
from cosv4fs.cli.group import cli
from tests.cli.test_session import every_command

PROTOCOLS = ("cosv4",)


@pytest.fixture
def file(fs):
    fs.pipe_file("data/d/a", b"12345")


def test_after_the_subcommand(run, file, emulator, monkeypatch, here):
    assert run("ls", "--json", "cosv4://data/d").json == run("--json", "ls", "cosv4://data/d").json
    assert run("uploads", "ls", "cosv4://data", "--json").json == run("uploads", "--json", "ls", "cosv4://data").json
    assert "copying: 100%" in run("cp", "cosv4://data/d/a", "b", "--progress").err
    assert run("cat", "-vv", "cosv4://data/d/a").err.startswith("cosv4fs: GET ")
    address = emulator.storage_options["endpoint"]
    monkeypatch.setenv("COSV4_ENDPOINT", "http://127.0.0.1:1")
    assert run("-o", "max_retries=0", "ls", "cosv4://data/d").code == 1
    assert run("ls", "cosv4://data/d", "--endpoint", address).code == 0
    assert run("ls", "cosv4://data/d", "-o", f"endpoint={address}").code == 0


def test_options_that_no_path_uses_are_named(run, file, here, emulator):
    given = ("--endpoint", emulator.storage_options["endpoint"], "-o", "page_size=9", "-o", "s3.anon=true")
    told = "cosv4fs: no path uses -o endpoint, page_size: name the protocol of the path, as in -o s3.endpoint_url=URL\n"
    assert run("ls", ".", *given).err == told
    assert run("ls", ".", *given, "-q").err == ""
    assert run("ls", "cosv4://data/d", *given).err == ""


def test_after_the_subcommand_they_add_to_those_before(run, file):
    done = run("-o", "appid=1", "ls", "cosv4://data/d", "-o", "appid=1250000000", "-o", "max_retries=0")
    assert done.code == 0
    assert run("-o", "max_retries=x", "ls", "cosv4://data/d", "-o", "page_size=5").code == 2
    assert "%" not in run("--progress", "cp", "--no-progress", "cosv4://data/d/a", "b").err


def test_own_options_take_precedence(capsys):
    seen = []
    group = commands.Group("tool")

    @commands.command("walk")
    @click.option("-o", "settings", help="Own.")
    @click.option("--json", "kind", help="Own.")
    def walk(settings, kind):
        session = click.get_current_context().obj
        seen.append((settings, kind, session.options.get("s3"), session.as_json))

    group.add_section("Looking", walk)
    assert commands.run(group, ["--json", "walk", "-o", "x", "--option", "s3.anon=false", "--json", "y"]) == 0
    assert seen == [("x", "y", {"anon": False}, True)]
    assert commands.run(group, ["walk", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--option NAME=VALUE, --endpoint URL, " in text
    assert "--json, -o: described above" in text


@pytest.mark.parametrize(
    ("path", "command"),
    [(path, command) for path, command in every_command() if not isinstance(command, click.Group)],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_has_them(path, command):
    assert isinstance(command, commands.Command)
    text = command.get_help(click.Context(command, info_name=path[-1], parent=click.Context(cli)))
    for option in GLOBAL_OPTIONS:
        assert option.opts[0] in text
    assert text.count("--endpoint URL") == 1


@pytest.mark.parametrize("word", ["False", "false", "no", "0"])
def test_false_is_false(run, file, monkeypatch, here, word):
    profile = here / "profiles.ini"
    profile.write_text(f"[p]\nanon = {word}\nverify = {word}\n")
    monkeypatch.setenv("COSV4_PROFILES", str(profile))
    for given in (["anon"], ["verify"], ["anon", "verify"]):
        settings = [part for name in given for part in ("-o", f"{name}={word}")]
        assert run(*settings, "ls", "cosv4://data/d").out == "cosv4://data/d/a\n"
    assert run("-o", "profile=p", "ls", "cosv4://data/d").out == "cosv4://data/d/a\n"
    # listings need keys
    assert run("-o", "anon=True", "ls", "cosv4://data/d").code == 4
    profile.write_text("[q]\nanon = True\n")
    assert run("-o", "profile=q", "ls", "cosv4://data/d").code == 4
