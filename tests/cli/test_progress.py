"""Progress on stderr, and what is told at the end and after an interrupt."""

import pytest

from cosv4fs import CosV4FileSystem
from cosv4fs.cli import move, remove
from cosv4fs.cli.logs import NORMAL, QUIET, VERBOSE
from cosv4fs.cli.process import TerminatedError
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import Session
from cosv4fs.emulator import faults
from tests.cli.conftest import plant
from tests.support import Clock

MIB = 1024 * 1024


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shown(capsys):
    """Return the lines on stderr since the last call."""
    return lambda: capsys.readouterr().err.splitlines()


class TestLines:
    """Where there is no bar."""

    @pytest.mark.parametrize(
        ("verbosity", "bar", "as_json", "expected"),
        [
            (NORMAL, False, False, True),
            (NORMAL, True, False, False),
            (NORMAL, False, True, False),
            (QUIET, False, False, False),
            (VERBOSE, True, False, True),
            (VERBOSE, False, True, True),
        ],
    )
    def test_of_files(self, shown, clock, verbosity, bar, as_json, expected):
        with Progress(Session({}, as_json, bar, verbosity), clock=clock) as progress:
            progress.planned(2, 5)
            with progress.file("copied a\x1b[2J to b\n") as callback:
                callback.relative_update(2)
                callback.relative_update(3)
            with pytest.raises(OSError), progress.file("copied c to d"):
                raise OSError
        lines = [line for line in shown() if "copied" in line]
        assert [line[line.index("copied") :] for line in lines] == ["copied a\\x1b[2J to b\\n (5 B)"] * expected
        assert (progress.files, progress.size) == (1, 5)

    def test_of_totals(self, shown, clock):
        with Progress(Session(), lines=False, clock=clock) as progress:
            progress.listed(7)
            assert shown() == []
            clock.now += 11
            progress.listed(3)
            assert shown() == ["listed 10 files"]
            progress.planned(3, 1000)
            progress.moved(10)
            assert shown() == []
            clock.now += 11
            progress.fail()
            progress.done("copied a", 10)
            first = shown()
            clock.now += 11
            progress.moved(490)
        assert first == ["copied 0 of 3 files, 10 B of 1000 B, 1 failed; 0.1 files/s, 1 B/s, about 18:09 left"]
        assert shown() == ["copied 1 of 3 files, 500 B of 1000 B, 1 failed; 0.1 files/s, 23 B/s, about 22.0 s left"]

    def test_of_commands(self, run, here, emulator):
        plant(here / "d", a="hello", b="")
        first, second, last = run("cp", "-r", "d", "cosv4://data/").err.splitlines()
        expected = {
            f"copied {here}/d/{name} to cosv4://data/d/{name} ({size})" for name, size in (("a", "5 B"), ("b", "0 B"))
        }
        assert {first, second} == expected
        assert last == "copied 2 of 2 files, 5 B"
        assert run("-q", "cp", "-r", "d", "cosv4://data/").err == ""
        run("-q", "--log-file", "log", "cp", "-r", "d", "cosv4://data/")
        logged = [line.partition(" INFO ")[2] for line in (here / "log").read_text().splitlines()]
        assert set(logged) == {*expected, last}

    def test_of_sync(self, run, here, fs):
        plant(here / "d", a="hello")
        fs.pipe_file("data/d/gone", b"x")
        done = run("sync", "--delete", "d", "cosv4://data/d")
        assert done.out == ""
        assert done.err.splitlines() == [
            f"copied {here}/d/a to cosv4://data/d/a (new, 5 B)",
            "deleted cosv4://data/d/gone",
            "copied 1 (5 B), deleted 1, 0 unchanged",
        ]
        fs.pipe_file("data/d/gone", b"x")
        done = run("-q", "sync", "--delete", "d", "cosv4://data/d")
        assert (done.out, done.err) == ("", "")

    @pytest.mark.parametrize("as_json", [False, True])
    def test_of_commands_that_move_and_remove(self, run, fs, as_json):
        fs.pipe({f"data/d/{name}": b"x" for name in "ab"})
        before = ["--json"] if as_json else []
        assert run(*before, "-v", "mv", "cosv4://data/d/a", "cosv4://data/c").err == (
            "moved cosv4://data/d/a to cosv4://data/c\n"
        )
        done = run(*before, "-v", "rm", "-r", "cosv4://data/c", "cosv4://data/d")
        assert done.err == "removed cosv4://data/c\nremoved cosv4://data/d\n"
        assert (done.json if as_json else []) == [{"url": f"cosv4://data/{name}"} for name in "cd" if as_json]
        fs.pipe("data/e", b"x")
        assert run("mv", "cosv4://data/e", "cosv4://data/f").err == ""
        assert run("rm", "cosv4://data/f").err == ""


class TestBars:
    """On a terminal, or with ``--progress``."""

    def test_of_listing_and_of_bytes(self, shown, clock):
        with Progress(Session(progress=True), "migrating", clock=clock) as progress:
            progress.listed(1)
            progress.listed(2)
            progress.planned(2, 2048)
            progress.listed(4)
            progress.moved(2048)
            progress.done("copied a", 1024)
            progress.fail()
        told = "\n".join(shown())
        assert "listing: 3 files" in told
        assert "migrating: 100%" in told
        assert "2.05k/2.05k" in told
        assert "listing: 7" not in told
        assert "2.06k" not in told
        assert "1/2 files, 1 failed" in told

    @pytest.mark.parametrize("command", [["cp", "-r"], ["sync"]])
    def test_of_commands(self, run, here, command, emulator):
        plant(here / "d", a="hello", b__c="x")
        told = run("--progress", *command, "d", "cosv4://data/d").err
        # the directory counts, too
        assert "listing: 3 files" in told
        assert "copying: 100%" in told
        assert "2/2 files" in told

    def test_failures_of_commands(self, run, here, emulator):
        plant(here / "d", a="hello")
        (here / "d" / "broken").symlink_to("nowhere")
        assert "1/2 files, 1 failed" in run("--progress", "cp", "-r", "d", "cosv4://data/d").err

    def test_without_totals(self, shown, clock):
        with Progress(Session(progress=True), clock=clock) as progress:
            progress.moved(2048)
        assert "copying: 2.05kB" in "\n".join(shown())


class TestEnds:
    """What is told at the end."""

    def progress(self, clock, files=12, seconds=1.0):
        progress = Progress(Session(), clock=clock)
        for number in sorted(range(files), key=lambda number: number % 5, reverse=True):
            with progress.file(f"copied {number}") as callback:
                callback.relative_update(MIB)
                clock.now += seconds * number
        return progress

    def test_statistics(self, clock):
        found = self.progress(clock, 5).statistics()
        assert found == {
            "files": 5,
            "bytes": 5 * MIB,
            "seconds": 10.0,
            "files_per_second": 0.5,
            "bytes_per_second": 5 * MIB / 10,
            "retries": 0,
            "slowest": [{"file": f"copied {number}", "bytes": MIB, "seconds": number} for number in (4, 3, 2)],
        }

    def test_long_runs_tell_rates_and_the_slowest_files(self, clock, shown):
        progress = self.progress(clock)
        shown()
        assert progress.summary() == ", in 1:06 (0.2 files/s, 186.2 KiB/s)"
        progress.tell_slowest()
        assert shown() == [
            "slow: copied 11 (1.0 MiB in 11.0 s, 93.1 KiB/s)",
            "slow: copied 10 (1.0 MiB in 10.0 s, 102.4 KiB/s)",
            "slow: copied 9 (1.0 MiB in 9.0 s, 113.8 KiB/s)",
        ]

    def test_short_runs_and_those_of_few_files_do_not(self, clock, shown):
        progress = self.progress(clock, 12, seconds=0.01)
        shown()
        assert progress.summary() == ""
        progress.tell_slowest()
        assert shown() == []
        progress = self.progress(clock, 3)
        shown()
        assert progress.summary() == ""
        clock.now += 10
        progress.tell_slowest()
        assert shown() == []

    def test_retries_are_counted(self, run, here, emulator):
        plant(here, a="hello")
        emulator.faults.add(op="upload", times=2, action=faults.HttpError(500))
        assert run("cp", "a", "cosv4://data/a").err.splitlines()[-1] == "copied 1 of 1 file, 5 B, 2 retries"
        emulator.faults.add(op="upload", times=1, action=faults.HttpError(500))
        found = run("--json", "cp", "a", "cosv4://data/b").json["statistics"]
        assert (found["files"], found["bytes"], found["retries"]) == (1, 5, 1)
        assert found["slowest"][0]["file"] == f"copied {here}/a to cosv4://data/b"

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), TerminatedError(15)])
    def test_interrupts_tell_what_was_done(self, clock, shown, error):
        session = Session(as_json=True)
        with pytest.raises(KeyboardInterrupt), Progress(session, past="removed", clock=clock) as progress:
            progress.planned(1200, 3 * MIB)
            progress.moved(MIB)
            progress.done("removed a", 10)
            raise error
        assert shown() == [
            "removed 1 of 1,200 files, 1.0 MiB of 3.0 MiB before the interrupt; repeat the command to continue"
        ]

    @pytest.mark.parametrize(
        ("command", "past", "into"), [(["rm", "-r"], "removed", []), (["mv"], "moved", ["cosv4://data/d/"])]
    )
    def test_an_interrupt_of_a_change(self, run, fs, monkeypatch, command, past, into):
        fs.pipe({f"data/{name}": b"x" for name in "abc"})
        module, seen = remove if past == "removed" else move, []
        real = getattr(module, f"_{past[:-1]}")

        def interrupt(*args):
            seen.append(args)
            if len(seen) == 2:
                raise KeyboardInterrupt
            real(*args)

        monkeypatch.setattr(module, real.__name__, interrupt)
        done = run(*command, "cosv4://data/a", "cosv4://data/b", "cosv4://data/c", *into)
        assert done.code == 130
        told = f"{past} 1 file or directory before the interrupt; the next one may be partly {past}: "
        assert done.err.startswith(told)

    def test_an_interrupt_while_sync_deletes(self, run, here, fs, monkeypatch):
        plant(here / "d", a="hello")
        run("sync", "d", "cosv4://data/d")
        fs.pipe({f"data/d/gone{number}": b"x" for number in range(3)})
        real, seen = CosV4FileSystem.rm_file, []

        def interrupt(self, path):
            seen.append(path)
            if len(seen) == 2:
                raise KeyboardInterrupt
            real(self, path)

        monkeypatch.setattr(CosV4FileSystem, "rm_file", interrupt)
        done = run("sync", "-j", "1", "--delete", "d", "cosv4://data/d")
        assert done.code == 130
        assert done.err.splitlines()[-2:] == [
            "deleted 1 file before the interrupt; repeat the command to continue",
            "cosv4fs sync: interrupted",
        ]

    def test_an_interrupt_of_a_command(self, run, here, emulator, monkeypatch):
        plant(here / "d", a="1", b="22", c="333")
        real, seen = CosV4FileSystem.put_file, []

        def interrupt(*args, **settings):
            seen.append(args)
            if len(seen) == 3:
                raise KeyboardInterrupt
            real(*args, **settings)

        monkeypatch.setattr(CosV4FileSystem, "put_file", interrupt)
        done = run("cp", "-j", "1", "-r", "d", "cosv4://data/")
        assert done.code == 130
        *_, told, last = done.err.splitlines()
        assert told.startswith("copied 2 of 3 files, ")
        hint = "repeat the command to start again, or let cosv4fs sync copy what is missing"
        assert told.endswith(f" of 6 B before the interrupt; {hint}")
        assert last == "cosv4fs cp: interrupted"
