"""What the command logs: ``--verbose``, ``--quiet`` and ``--log-file``."""

import logging
import re
import stat
import warnings
from pathlib import Path

import pytest

from cosv4fs.emulator import faults

RETRY = "retry 1 in "


@pytest.fixture(autouse=True)
def failing_once(emulator):
    emulator.faults.add(op="download", nth=1, times=1, action=faults.HttpError(500))


@pytest.fixture
def stored(fs):
    fs.pipe_file("data/a", b"hello")


@pytest.mark.parametrize(
    ("option", "retries", "requests"),
    [([], False, False), (["-q"], False, False), (["-v"], True, False), (["-vv"], True, True)],
)
def test_how_much_is_shown(run, stored, option, retries, requests):
    done = run(*option, "cat", "cosv4://data/a")
    assert (done.code, done.out) == (0, "hello")
    assert (RETRY in done.err) is retries
    assert (" download 'data/a': HTTP 206 " in done.err) is requests


def test_levels_end_with_the_command(run, stored):
    logger, root = logging.getLogger("cosv4fs"), logging.getLogger()
    before = logger.level, list(root.handlers)
    assert RETRY in run("-v", "cat", "cosv4://data/a").err
    assert (logger.level, root.handlers) == before


def test_quiet_and_verbose_contradict_each_other(run):
    done = run("-q", "-v", "ls", "cosv4://data")
    assert done.code == 2
    assert "contradict" in done.err


@pytest.mark.parametrize("option", [[], ["-q"]])
def test_quiet_hides_warnings_and_summaries_but_no_errors(run, here, monkeypatch, option):
    from cosv4fs.cli import listings

    def warn(location):
        logging.getLogger("cosv4fs").warning("a warning")
        logging.getLogger("distributed").warning("another\x1b[2J")
        return real(location)

    real = listings.expand_pattern
    monkeypatch.setattr(listings, "expand_pattern", warn)
    done = run(*option, "ls", "cosv4://data/none")
    assert done.code == 3
    told = done.err.splitlines()
    assert told[-1].startswith("cosv4fs ls: cosv4://data/none: no such file or directory")
    assert told[:-1] == ([] if option else ["cosv4fs: a warning", "distributed: another\\x1b[2J"])


class TestFiles:
    """``--log-file``."""

    def test_is_private_appended_and_dated(self, run, stored, here):
        log = here / "log"
        done = run("--log-file", log, "cat", "cosv4://data/a")
        assert (done.code, done.err) == (0, "")
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        first = log.read_text()
        assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO 'data/a': retry 1 in ", first)
        assert " download " not in first
        assert run("-vv", "--log-file", log, "cat", "cosv4://data/a").err == ""
        more = log.read_text()
        assert more.startswith(first)
        assert " DEBUG GET " in more[len(first) :]

    def test_has_what_the_command_prints(self, run, here):
        assert run("-q", "--log-file", "log", "rm", "cosv4://data/none\x1b").code == 3
        assert run("-q", "--log-file", "log", "ls", "cosv4://data/none").code == 3
        lines = (here / "log").read_text().splitlines()
        assert lines
        assert all(line.isprintable() for line in lines)
        assert " ERROR cosv4fs rm: cosv4://data/none\\x1b: no such file" in lines[0]
        assert " ERROR cosv4fs ls: cosv4://data/none: no such file or directory" in lines[-1]

    def test_holds_no_secrets(self, run, here, emulator, stored):
        assert run("-vv", "--log-file", "log", "sign", "cosv4://data/a").code == 0
        logging.getLogger("cosv4fs").debug("never logged")
        told = (here / "log").read_text()
        assert emulator.storage_options["secret_key"] not in told
        assert "Authorization" not in told
        assert not re.search("sign=(?!…)", told)

    def test_that_cannot_be_written(self, start, here):
        process = start("--log-file", str(here / "none" / "log"), "ls", "cosv4://data")
        error = process.communicate(timeout=60)[1].decode()
        reason = "the log file cannot be written: No such file or directory"
        assert (process.returncode, error) == (3, f"cosv4fs ls: {here}/none/log: {reason}\n")

    def test_is_closed(self, run, stored, here):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            run("--log-file", "log", "cat", "cosv4://data/a")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
    def test_on_a_full_disk(self, run, stored):
        done = run("-vv", "--log-file", "/dev/full", "cat", "cosv4://data/a")
        assert (done.code, done.out) == (0, "hello")
        assert done.err == "cosv4fs: /dev/full: the log file cannot be written: No space left on device\n"
