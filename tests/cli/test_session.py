"""What all commands share: accounts, options, exit codes, logs, help."""

import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from types import SimpleNamespace

import click
import fsspec
import pytest
from fsspec.registry import _registry

from cosv4fs.cli.failures import EXIT_CODES, FailureLog, describe, exit_code
from cosv4fs.cli.group import cli
from cosv4fs.cli.session import for_each, options_from
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import make_error
from cosv4fs.migrate.copying import ByteProgress

HELP_WIDTH = 80


def every_command(command=cli, path=("cosv4fs",)):
    """Yield the commands with their names; the local service has a help text of its own."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        if name != "emulator":
            yield from every_command(inner, (*path, name))


def test_missing_credentials(run, monkeypatch):
    monkeypatch.delenv("COSV4_SECRET_KEY")
    done = run("ls", "cosv4://data")
    assert done.code == 4
    assert done.err == (
        "cosv4fs ls: missing secret_key: set COSV4_SECRET_KEY; "
        "or give -o NAME=VALUE, or write a profile: cosv4fs configure\n"
    )


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        ("secret_key=wrong", 4, "cosv4://data: the signature is wrong: check secret_id and secret_key"),
        ("secret_id=wrong", 4, "cosv4://data: the secret_id is unknown"),
        ("appid=999", 3, "cosv4://data: no such bucket for this appid"),
        ("appid=abc", 2, "appid must be a number, not 'abc'"),
        ("nonsense=1", 2, "unknown option nonsense"),
        ("nonsense", 2, "'nonsense' is not NAME=VALUE"),
        ("max_retries=many", 2, "max_retries must be a number"),
        ("endpoint=127.0.0.1:1", 2, "endpoint must be a URL"),
        (
            "use_ssl=maybe",
            2,
            "use_ssl must be one of true, yes, on, 1 (true) or false, no, off, 0 (false)",
        ),
        ("slicesize=1", 2, "unknown option slicesize: did you mean slice_size?"),
    ],
)
def test_wrong_options(run, option, code, said):
    done = run("-o", option, "ls", "cosv4://data")
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_nobody_answers(run):
    done = run("-o", "max_retries=0", "--endpoint", "http://127.0.0.1:1", "ls", "cosv4://data")
    assert done.code == 1
    assert "cosv4://data: cannot connect to 127.0.0.1:1: check endpoint and network" in done.err


def test_options_by_protocol():
    found = options_from(["region=gz", "s3.anon=True", "s3.key=a=b", "s3.max=3", "appid=0125", "anon=off"])
    ours = {"region": "gz", "appid": "0125", "anon": "off"}
    coffers = {"region": "gz", "anon": "off"}
    assert found == {"cosv4": ours, "cosv3": ours, "cdcs": coffers, "s3": {"anon": True, "key": "a=b", "max": 3}}
    assert options_from(["appid=125", "cosv3.appid=126"]) == {"cosv4": {"appid": "125"}, "cosv3": {"appid": "126"}}
    assert options_from(["security_token=x", "cosv4.security_token=y"]) == {
        "cdcs": {"security_token": "x"},
        "cosv4": {"security_token": "y"},
    }
    named = options_from(["cdcs.region=ap-tianjin", "region=gz"])
    assert {name: values["region"] for name, values in named.items()} == {
        "cosv4": "gz",
        "cosv3": "gz",
        "cdcs": "ap-tianjin",
    }
    with pytest.raises(click.BadParameter, match="NAME=VALUE"):
        options_from(["=x"])


def test_debug_logs_requests_without_secrets(run, fs, emulator):
    fs.pipe_file("data/a", b"hello")
    done = run("-vv", "cat", "cosv4://data/a")
    assert (done.code, done.out) == (0, "hello")
    assert re.search(r"cosv4fs: GET 127\.0\.0\.1:\d+ download 'data/a': HTTP 20[06] after ", done.err)
    done = run("-vv", "ls", "cosv4://data/none")
    assert done.code == 3
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("cosv4fs ls: cosv4://data/none: no such file")
    assert not re.search(r"sign=(?!…)|Authorization", done.err)
    assert emulator.storage_options["secret_key"] not in done.err
    assert run("cat", "cosv4://data/a").err == ""


def test_debug_hides_what_is_signed_in_a_url(run, emulator, monkeypatch):
    import logging

    from cosv4fs.cli import listings

    def log(_place):
        logger = logging.getLogger("cosv4fs")
        logger.debug('"GET /x?sign=%s&part=1&access_token=T0K HTTP/1.1" 200', "S1GN")
        other = logging.getLogger("botocore.auth")
        monkeypatch.setattr(other, "level", logging.DEBUG)
        other.debug("Authorization: S1GN")
        return []

    monkeypatch.setattr(listings, "expand_pattern", log)
    done = run("-vv", "ls", "cosv4://data")
    assert "/x?sign=…&part=1&access_token=… HTTP/1.1" in done.err
    assert "S1GN" not in done.err


def test_debug_writes_each_record_on_one_line(run, emulator, monkeypatch):
    import logging

    from cosv4fs.cli import listings

    forged = "a\x1b[2J\r\ncosv4fs: forged\x85line\u2028\u202e"

    def log(_place):
        logging.getLogger("cosv4fs").warning("told of %s", forged)
        try:
            raise ValueError(forged)
        except ValueError:
            logging.getLogger("urllib3.connectionpool").warning("failed: %s", forged, exc_info=True)
        return []

    monkeypatch.setattr(listings, "expand_pattern", log)
    done = run("-vv", "ls", "cosv4://data")
    lines = done.err.split("\n")
    assert lines[0].startswith("cosv4fs: told of a")
    assert lines[1].startswith("urllib3.connectionpool: failed: a")
    assert "forged" in lines[1]
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("cosv4fs:") for line in lines) == 1
    assert any(line.startswith("  ValueError: a") for line in lines)


def test_errors_and_exit_codes():
    local = PermissionError(13, "Permission denied", "/root/x")
    cases = {
        KeyboardInterrupt(): 130,
        FileNotFoundError(2, "no", "x"): 3,
        make_error(13, "refused", "data/x"): 4,
        PermissionError("Access Denied"): 4,
        local: 1,
        OSError(28, "full"): 1,
        ValueError("what"): 2,
        NotImplementedError("cannot"): 2,
        click.UsageError("x"): 2,
    }
    assert [exit_code(error) for error in cases] == list(cases.values())
    assert set(cases.values()) <= set(EXIT_CODES)
    assert describe(make_error(13, "refused", "data/x")) == "cosv4://data/x: refused"
    assert describe(local) == "/root/x: Permission denied"
    assert describe(ValueError("two\nlines\x1b")) == "two lines\\x1b"


@pytest.fixture
def foreign():
    """A filesystem of somebody else's; its `error` is raised by every listing."""

    class Foreign(fsspec.AbstractFileSystem):
        protocol = "foreign"
        error: Exception = KeyError("a mistake of ours")

        def ls(self, path, detail=True, **kwargs):
            raise self.error

    fsspec.register_implementation("foreign", Foreign, clobber=True)
    yield Foreign
    _registry.pop("foreign")


NO_KEYS = type("NoKeysError", (Exception,), {"__module__": "botocore.exceptions"})


@pytest.mark.parametrize("kind", [NO_KEYS, zipfile.BadZipFile, sqlite3.OperationalError])
def test_errors_of_libraries_are_told_in_a_line(run, foreign, kind):
    foreign.error = kind("Unable to locate\nit")
    done = run("ls", "foreign://x")
    assert (done.code, done.out, done.err) == (1, "", "cosv4fs ls: foreign://x: Unable to locate it\n")
    assert "Traceback" in run("-vv", "ls", "foreign://x").err


def test_mistakes_keep_their_traceback(run, foreign):
    with pytest.raises(KeyError):
        run("ls", "foreign://x")


BROKEN = """
import fsspec, sys
from cosv4fs.cli import main

class Broken(fsspec.AbstractFileSystem):
    protocol = "broken"

    def ls(self, path, detail=True, **kwargs):
        raise BrokenPipeError(32, "Broken pipe")

fsspec.register_implementation("broken", Broken)
sys.exit(main(["ls", "broken://x"]))
"""


def test_a_pipe_of_a_filesystem_that_breaks_is_a_failure():
    """It is not the pipe to who reads the output."""
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "cosv4fs ls: broken://x: Broken pipe\n")


IMPORTING = """
import os, sys
from cosv4fs.cli import main

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "cosv4fs.cli.group":
            os.kill(os.getpid(), int(sys.argv[1]))

sys.meta_path.insert(0, Finder)
sys.exit(main(["ls", "x"]))
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "cosv4fs: interrupted\n"), (signal.SIGTERM, 143, ""), (signal.SIGHUP, 129, "")],
)
def test_signals_while_modules_are_imported(number, code, said):
    command = [sys.executable, "-c", IMPORTING, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, said)


def test_errors_of_other_filesystems_that_name_no_file(capsys):
    failures = FailureLog()
    for item in (SimpleNamespace(url="x://a\nb"), SimpleNamespace(source=SimpleNamespace(url="x://a\nb"))):
        failures.record(FileNotFoundError("Not Found"), item)
        failures.record(OSError(5, "broken", "there"), item)
    assert capsys.readouterr().err == "cosv4fs: x://a\\nb: Not Found\ncosv4fs: there: broken\n" * 2


def test_problems_end_with_the_worst_code(capsys):
    failures = FailureLog()
    failures.exit("nothing happened")
    assert failures.record(OSError(5, "broken", "a")) == "a: broken"
    failures.record(FileNotFoundError(2, "gone", "b"))
    with pytest.raises(SystemExit) as caught:
        failures.exit("did 1 of 3")
    assert caught.value.code == 3
    assert capsys.readouterr().err.splitlines() == [
        "cosv4fs: a: broken",
        "cosv4fs: b: gone",
        "cosv4fs: did 1 of 3, 2 failed; the first: a: broken",
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_for_each_item_goes_on_after_failures(count, capsys):
    begun, done, failures = [], {}, FailureLog()

    def action(item):
        begun.append(item)
        if item % 5 == 3:
            raise OSError(5, "broken", str(item))

    for_each(3, action, iter(range(count)), failures, done.__setitem__)
    assert sorted(begun) == sorted(done) == list(range(count))
    assert {item: error for item, error in done.items() if error} == {
        item: f"{item}: broken" for item in range(count) if item % 5 == 3
    }


def test_control_c_cancels_what_reports_progress():
    failures, begun, seen = FailureLog(), threading.Barrier(3, timeout=30), []

    def action(_item):
        callback = ByteProgress(lambda _count: None)
        begun.wait()
        while not cancellation.is_cancelled():
            time.sleep(0.01)
        # other filesystems report from threads of their own
        reporter = threading.Thread(target=report, args=[callback])
        reporter.start()
        reporter.join()

    def report(callback):
        try:
            callback.relative_update(1)
        except InterruptedError as error:
            seen.append(error)

    def items():
        yield from (1, 2)
        begun.wait()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for_each(3, action, items(), failures)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("path", "command"), list(every_command()), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_help_fits_a_terminal(path, command):
    text = command.get_help(click.Context(command, info_name=" ".join(path), terminal_width=HELP_WIDTH))
    assert max(map(len, text.splitlines())) <= HELP_WIDTH
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    # another family's text is not judged here
    told = [line for line in text.splitlines() if not line.startswith("  migrate ")]
    assert not any(line.rstrip().endswith("...") and not line.startswith("Usage") for line in told)


def test_a_bar_on_a_terminal_only(run, here):
    (here / "a").write_text("hello")
    assert "%" not in run("cp", "a", "cosv4://data/a").err
    assert "copying: 100%" in run("--progress", "cp", "a", "cosv4://data/a").err
    assert run("--progress", "--json", "cp", "a", "cosv4://data/a").err == ""
