"""The command ``cosv4fs migrate``."""

import json
import sqlite3
import subprocess
import sys

import fsspec
import pytest

from cosv4fs.cli import main
from cosv4fs.cli import migrate as command
from cosv4fs.emulator import Emulator, faults
from cosv4fs.migrate.manifest import VERIFIED, Manifest, Outcome

PROTOCOLS = ("cosv4", "cosv3")


@pytest.fixture
def emulator(monkeypatch, tmp_path):
    with Emulator(buckets=("data",)) as running:
        for name, value in running.storage_options.items():
            monkeypatch.setenv(f"COSV4_{name.upper()}", value)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        fs = fsspec.filesystem("cosv4", **running.storage_options)
        fs.pipe({"data/in/a": b"1", "data/in/b/c": b"22"})
        yield running


@pytest.fixture
def run(emulator, tmp_path, capsys):
    def run(*arguments, before=()):
        code = main([*before, "migrate", "cosv4://data/in", str(tmp_path / "out"), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_migration_says_what_it_did(run, tmp_path):
    code, out, err = run("--verify")
    assert (code, err) == (0, "")
    assert "2 files, 3 B" in out
    assert "copied 2 (3 B), found there 0, done before 0, verified 2, failed 0, vanished 0" in out
    assert (tmp_path / "out/b/c").read_bytes() == b"22"
    (manifest,) = (tmp_path / "state/cosv4fs").glob("migrate-*.sqlite")
    assert str(manifest) in out
    code, out, _ = run("--verify")
    assert (code, "done before 2, verified 0 (2 by earlier runs), failed 0" in out) == (0, True)
    _, out, _ = run("--verify", before=["--json"])
    assert [json.loads(out)[name] for name in ("verified", "verified_before")] == [0, 2]
    assert "done before 0, verified 2, failed 0" in run("--reverify")[1]


def test_empty_directories_are_counted(run, tmp_path):
    fs = fsspec.filesystem("cosv4")
    for name in ("e", "f"):
        fs.mkdir(f"data/in/{name}")
    assert "\n2 empty directories at the target\n" in run()[1]
    (tmp_path / "out/e").rmdir()
    (tmp_path / "out/e").touch()
    assert "\n1 of 2 empty directories at the target: the others could not be created\n" in run()[1]


def test_failures_name_the_url(run, emulator):
    emulator.faults.add(op="download", times=1000, action=faults.Refuse(-97))
    assert run()[2].startswith("failed: a: cosv4://data/in/a: the signature is wrong")


def test_failures_are_named_and_give_an_exit_code(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_bytes(b"mine")
    code, out, err = run("--no-overwrite", "--report", str(tmp_path / "rows.csv"))
    assert code == 1
    assert err.startswith("failed: a: ")
    assert "copied 1 (2 B)" in out
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3
    code, out, _ = run("--no-overwrite", before=["--json"])
    found = json.loads(out)
    assert (code, found["failed"], found["before"], found["failures"][0]["path"]) == (1, 1, 1, "a")


def test_a_dry_run_prints_what_a_run_would_do(run, tmp_path):
    code, out, err = run("--dry-run", "-v")
    assert (code, "would copy 2 (3 B), found there 0, done before 0, would fail 0" in out) == (0, True)
    assert "new: 2 (3 B)" in out
    assert "would copy b/c (new)" in err
    assert not (tmp_path / "out").exists()
    assert run()[0] == 0
    (tmp_path / "out/a").write_bytes(b"mine")
    code, out, _ = run("--dry-run", "--reverify")
    assert (code, "damaged: 1 (1 B)" in out) == (5, True)
    code, out, _ = run("--dry-run", "--reverify", "--no-overwrite")
    assert (code, "would fail 1" in out) == (1, True)
    code, out, _ = run("--reverify", before=["--json"])
    assert (code, json.loads(out)["reasons"]) == (0, {"damaged": {"files": 1, "bytes": 1}})
    code, out, _ = run("--dry-run", "--reverify")
    assert (code, "would copy 0 (0 B), found there 2" in out) == (0, True)
    assert run("--dry-run", "--scheduler", "local")[0] == 2


@pytest.mark.parametrize(("option", "word"), [((), "migrated"), (("--dry-run",), "compared")])
def test_files_that_are_only_looked_at_are_not_called_copied(run, monkeypatch, option, word):
    def interrupted(*_, watcher, **__):
        watcher.planned(3, 6)
        watcher.done(Outcome("a", VERIFIED, "found"))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "migrate", interrupted)
    code, _, err = run(*option)
    assert (code, f"{word} 1 of 3 files" in err) == (130, True)


def test_filters_select_the_files_of_a_run(run, tmp_path):
    code, out, _ = run("--exclude", "b/")
    assert (code, "copied 1 (1 B)" in out) == (0, True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_a_second_run_at_the_same_time_is_refused(run, tmp_path):
    run("--manifest", str(tmp_path / "m"))
    about = sqlite_about(tmp_path / "m")
    with Manifest(tmp_path / "m", about["source"], about["target"]):
        code, out, err = run("--manifest", str(tmp_path / "m"))
    assert (code, out) == (1, "")
    assert "only one run at a time" in err
    assert len(err.splitlines()) == 1


def test_a_directory_is_no_manifest(run, tmp_path):
    (tmp_path / "folder").mkdir()
    code, out, err = run("--manifest", str(tmp_path / "folder"))
    assert (code, out) == (1, "")
    assert err == f"cosv4fs migrate: {tmp_path / 'folder'}: the manifest must be a file, but this is a directory\n"
    assert not (tmp_path / "folder.lock").exists()


def test_a_manifest_that_cannot_grow_is_told_in_a_line(tmp_path):
    code = """
import resource, signal, sys
from cosv4fs.cli import main
from cosv4fs.cli import migrate as command
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.exit(main(["migrate", *sys.argv[1:]]))
"""
    for number in range(1500):
        path = tmp_path / f"in/{number:05} {'x' * 150}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    arguments = [str(tmp_path / "in"), str(tmp_path / "out"), "--manifest", str(tmp_path / "m")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"cosv4fs migrate: {tmp_path / 'm'}: the manifest cannot be used: ")
    assert "rollback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("report", ["missing/rows.csv", "folder"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(run, tmp_path, report):
    (tmp_path / "folder").mkdir()
    code, out, err = run("--report", str(tmp_path / report))
    assert (code, out) == (3 if "missing" in report else 1, "")
    assert str(tmp_path / report) in err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "state").exists()


def test_a_report_stays_until_there_is_another(run, emulator, tmp_path):
    (tmp_path / "rows.json").write_text("old")
    emulator.faults.add(op="list", action=faults.Refuse(-96), times=None)
    for name in ("rows.json", "new.json"):
        assert run("--report", str(tmp_path / name))[0] == 4
    assert (tmp_path / "rows.json").read_text() == "old"
    assert not (tmp_path / "new.json").exists()
    emulator.faults.clear()
    assert run("--report", str(tmp_path / "rows.json"))[0] == 0
    assert len((tmp_path / "rows.json").read_text().splitlines()) == 2


def sqlite_about(path):
    base = sqlite3.connect(path)
    try:
        return dict(base.execute("SELECT name, value FROM about"))
    finally:
        base.close()


@pytest.mark.parametrize(("url", "code"), [("cosv4://data/none", 3), ("cosv4://data/in/a", 1)])
def test_a_source_that_is_no_directory_is_refused(emulator, capsys, tmp_path, url, code):
    assert main(["migrate", url, str(tmp_path / "out")]) == code
    assert capsys.readouterr().err.startswith("cosv4fs migrate: ")


def test_a_cluster_gets_the_account_of_this_environment_and_tells_no_secret(run, emulator, worker):
    code, out, err = run("--scheduler", "local", "--verify")
    assert (code, err) == (0, "")
    assert "verified 2" in out
    assert emulator.storage_options["secret_key"] not in f"{out}{worker}"


def test_progress_is_a_bar_where_wanted(run):
    code, _, err = run(before=["--progress"])
    assert code == 0
    assert "migrating: 100%" in err
    assert "2/2 files" in err


def test_failures_are_in_the_bar(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_bytes(b"mine")
    assert "1/2 files, 1 failed" in run("--no-overwrite", before=["--progress"])[2]


def test_files_have_lines_if_they_are_wanted(run):
    _, _, err = run(before=["-v"])
    assert sorted(err.splitlines()) == ["copied a (1 B)", "copied b/c (2 B)"]
    assert run("--no-progress")[2] == ""


@pytest.fixture
def refusing(emulator):
    """400 more files, of which access to all but the first 50 is denied; the faults."""
    fs = fsspec.filesystem("cosv4", **emulator.storage_options)
    fs.pipe({f"data/in/s/{number:03}": b"%d" % number for number in range(400)})
    return emulator.faults.add(op="download", action=faults.Refuse(-289), nth=51, times=None)


def test_a_migration_ends_when_its_credentials_are_no_longer_accepted(run, emulator, refusing, tmp_path):
    emulator.faults.add(op="stat", action=faults.Refuse(-289), times=None, match=lambda _: refusing.hits > 0)
    code, _, err = run("-j", "2", "--report", str(tmp_path / "rows"))
    assert code == 4
    assert "cosv4://data/in: access has been denied 100 times in a row: the credentials are no longer accepted" in err
    assert 100 <= refusing.hits < 300
    states = [json.loads(line)["state"] for line in (tmp_path / "rows").read_text().splitlines()]
    # those in flight at the end have no outcome
    assert (states.count("copied"), 100 <= states.count("failed") <= refusing.hits) == (50, True)
    emulator.faults.clear()
    code, out, _ = run()
    assert (code, "copied 352" in out, "done before 50" in out) == (0, True, True)


def test_files_that_are_forbidden_do_not_end_a_migration(run, refusing):
    code, out, _ = run("-j", "2")
    assert (code, refusing.hits, "failed 352" in out) == (1, 352, True)
