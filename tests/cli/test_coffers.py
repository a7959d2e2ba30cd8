"""The commands on coffers, which are write-once: what works as on buckets, and what is refused in words."""

import os
import time

import fsspec
import pytest

from cosv4fs.emulator import CofferDialect, CofferEmulator, faults
from tests.cli.conftest import harvest, plant, stored
from tests.cli.test_changing import await_hits, interrupted
from tests.support import MIB, content, elsewhere

VAULT, SECOND = "vault-1250000000", "second-1250000000"
URL = f"cdcs://{VAULT}"
STRANGE = "sp ace/q*?[x]'\"# 中文.txt"
FILES = {"in/a.csv": b"12345", "in/b.txt": b"bb", "in/sub/c.csv": bytes(2048), f"in/{STRANGE}": b"?"}
WRITE_ONCE = "coffers are write-once"


@pytest.fixture
def dialect():
    """The variant of the service; tests override it."""
    return CofferDialect()


@pytest.fixture
def token():
    """What the account's keys are only good with: nothing; tests override it."""


@pytest.fixture(autouse=True)
def vault(monkeypatch, dialect, token):
    """A service of coffers beside the one of buckets, with its account in the environment."""
    with CofferEmulator(coffers=(VAULT, SECOND), dialect=dialect, token=token) as running:
        for name, value in running.storage_options.items():
            monkeypatch.setenv(f"CDCS_{name.upper()}", value)
        yield running


@pytest.fixture
def coffers(vault):
    """A filesystem that shares no cache with the command."""
    return fsspec.filesystem("cdcs", **elsewhere(vault.storage_options), use_listings_cache=False)


@pytest.fixture
def files(coffers):
    coffers.pipe({f"{VAULT}/{name}": data for name, data in FILES.items()})
    return FILES


@pytest.fixture
def half(coffers):
    """An upload that was begun and never ended, with one part."""
    upload = coffers.client.initiate(VAULT, "/half/file")
    coffers.client.upload_part(VAULT, "/half/file", upload, 1, memoryview(content(MIB)))
    return f"{URL}/half/file"


def one_line(done, code):
    """Return what a command said that ended with one line about what is wrong."""
    assert (done.code, done.out) == (code, "")
    assert done.err.count("\n") == 1, done.err
    return done.err


def test_coffers_are_listed(run, files):
    assert run("ls", "cdcs://").out == f"cdcs://{SECOND}/\ncdcs://{VAULT}/\n"
    assert [row["url"] for row in run("--json", "ls", "cdcs://").json] == [f"cdcs://{SECOND}", f"cdcs://{VAULT}"]
    assert run("tree", "-L", "1", "cdcs://").out == f"cdcs://\n├── {SECOND}\n└── {VAULT}\n\n2 directories, 0 files\n"
    assert run("--json", "du", "-s", "cdcs://").json == [{"url": "cdcs://", "size": 2056, "files": 4}]


def test_looking(run, files):
    assert run("ls", f"{URL}/in", f"{URL}/in/*.txt").out.splitlines() == [
        f"{URL}/in/a.csv",
        f"{URL}/in/b.txt",
        f"{URL}/in/sp ace/",
        f"{URL}/in/sub/",
        f"{URL}/in/b.txt",
    ]
    assert run("ls", "-lh", f"{URL}/in/sub").out.split()[:2] == ["2.0", "KiB"]
    assert f"{URL}/in/{STRANGE}" in run("ls", "-R", URL).out.splitlines()
    assert run("tree", f"{URL}/in/sub").out == f"{URL}/in/sub\n└── c.csv\n\n0 directories, 1 file\n"
    assert run("du", f"{URL}/in/sub").out.split() == ["2048", "1", "file", f"{URL}/in/sub"]
    (info,) = run("--json", "stat", f"{URL}/in/a.csv").json
    assert (info["url"], info["size"], type(info["mtime"])) == (f"{URL}/in/a.csv", 5, float)
    assert run("cat", f"{URL}/in/a.csv", f"{URL}/in/{STRANGE}").out == "12345?"
    assert run("cat", "--range=-2:", f"{URL}/in/a.csv").out == "45"


@pytest.mark.parametrize("command", ["ls", "tree", "du", "stat", "cat", "sign"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{URL}/none", f"{URL}/none: no such file or directory"),
        ("cdcs://none-1250000000/x", "cdcs://none-1250000000: there is no such coffer"),
    ],
)
def test_what_is_not_there(run, command, url, said):
    assert one_line(run(command, url), 3).startswith(f"cosv4fs {command}: {said}")


def test_cp_both_ways(run, here, coffers):
    plant(here / "d", **{"a.txt": "hello", STRANGE: "?", "sub__s": "s"})
    (here / "d" / "empty").mkdir()
    tree = harvest(here / "d")
    assert run("cp", "d/a.txt", f"{URL}/one").err.endswith(f" to {URL}/one (5 B)\ncopied 1 of 1 file, 5 B\n")
    run("cp", "d/a.txt", f"{URL}/into/")
    assert run("cp", "-r", "d", URL).err.splitlines()[-1] == "copied 3 of 3 files, 7 B"
    assert stored(coffers, f"{VAULT}/d") == tree
    assert coffers.cat_file(f"{VAULT}/one") == coffers.cat_file(f"{VAULT}/into/a.txt") == b"hello"
    run("cp", "-r", f"{URL}/d", "back")
    run("cp", f"{URL}/d/*.txt", "some/")
    assert (harvest(here / "back"), harvest(here / "some")) == (tree, {"a.txt": "hello"})
    assert run("cp", "-r", f"{URL}/d", f"cdcs://{SECOND}/copy").code == 0
    assert stored(coffers, f"{SECOND}/copy") == tree


def test_cp_between_buckets_and_coffers(run, fs, coffers):
    big = content(9 * MIB)
    fs.pipe({"data/in/a": b"a", "data/in/sub/big": big})
    assert run("cp", "-r", "cosv4://data/in", URL).code == 0
    assert coffers.cat_file(f"{VAULT}/in/sub/big") == big
    assert run("cp", "-r", f"{URL}/in", "cosv4://other").code == 0
    assert (fs.cat_file("other/in/a"), fs.cat_file("other/in/sub/big")) == (b"a", big)


def test_cp_of_standard_input(run, coffers):
    text = content(9 * MIB)
    assert run("cp", "-", f"{URL}/in", data=text).err == "copied 9.0 MiB\n"
    assert coffers.cat_file(f"{VAULT}/in") == text
    for dry in ([], ["-n"]):
        assert f"{URL}/in: the file exists" in one_line(run("cp", *dry, "-", f"{URL}/in", data=b"x"), 1)
    assert "take no empty objects" in one_line(run("cp", "-", f"{URL}/nothing"), 1)
    assert coffers.cat_file(f"{VAULT}/in") == text


@pytest.mark.parametrize("size", [10, 9 * MIB])
def test_cp_replaces_nothing_and_copies_the_others(run, here, coffers, size):
    plant(here / "d", new="n")
    (here / "d" / "old").write_bytes(bytes(size))
    coffers.pipe_file(f"{VAULT}/d/old", b"there first")
    dry = run("cp", "-rn", "d", URL)
    assert (dry.code, dry.out) == (1, f"would copy {here}/d/new to {URL}/d/new\n")
    assert f"{URL}/d/old: the file exists" in dry.err
    assert dry.err.splitlines()[-1].startswith("cosv4fs cp: would copy 1 of 2 files, 1 B, 1 failed; the first: ")
    for options in (["-n"], []):
        alone = one_line(run("cp", *options, "d/old", f"{URL}/d/old"), 1)
        assert alone.startswith(f"cosv4fs cp: {URL}/d/old: the file exists")
    done = run("cp", "-r", "d", URL)
    assert (done.code, done.out) == (1, "")
    first, last = (line for line in done.err.splitlines() if line.startswith("cosv4fs"))
    assert first.startswith(f"cosv4fs cp: {URL}/d/old: the file exists, and a coffer is write-once")
    assert last.startswith("cosv4fs cp: copied 1 of 2 files, 1 B, 1 failed; the first: ")
    assert stored(coffers, VAULT) == {"d/new": "n", "d/old": "there first"}
    rows = run("--json", "cp", "d/old", f"{URL}/d/old").json
    assert (rows["failed"], "write-once" in rows["files"][0]["error"]) == (1, True)


BOTH = {"both": "1", "both/below": "22", "both/sub": "3", "both/sub/x": "4", "a": "5"}


def test_sync_uploads_what_is_missing(run, here, coffers):
    plant(here / "d", a="1", sub__b="2")
    assert run("sync", "d", f"{URL}/d").err.splitlines()[-1] == "copied 2 (2 B), deleted 0, 0 unchanged"
    plant(here / "d", c="3")
    later = time.time() + 100
    os.utime(here / "d" / "a", (later, later))
    # what was only touched has the same content
    assert run("sync", "d", f"{URL}/d").err.splitlines()[0] == f"copied {here}/d/c to {URL}/d/c (new, 1 B)"
    assert run("sync", f"{URL}/d", "back").code == 0
    assert harvest(here / "back") == stored(coffers, f"{VAULT}/d") == {"a": "1", "c": "3", "sub/b": "2"}
    plant(here / "back", gone="")
    assert run("sync", "--delete", f"{URL}/d", "back").err.splitlines()[0] == f"deleted {here}/back/gone"


@pytest.mark.parametrize("command", [["sync"], ["cp", "-r"], ["migrate", "-j", "1"]], ids=lambda command: command[0])
@pytest.mark.parametrize("target", ["out", f"{URL}/out", "cosv4://data/out"])
def test_every_key_is_copied_or_named(run, here, fs, coffers, command, target):
    coffers.pipe({f"{VAULT}/d/{name}": text.encode() for name, text in BOTH.items()})
    bad = ("full/", "p//q", "up/../v")
    for key in bad:
        coffers.client.put_object(VAULT, f"/d/{key}", memoryview(b"x"))
    done = run(*command, f"{URL}/d/", target)
    refused = () if target.startswith(URL) else ("both", "both/sub")
    found = {
        "out": lambda: harvest(here / "out"),
        "cdc": lambda: stored(coffers, f"{VAULT}/out"),
        "cos": lambda: stored(fs, "data/out"),
    }[target[:3]]()
    assert found == {name: text for name, text in BOTH.items() if name not in refused}
    assert done.code == 1
    for key in (*bad, *refused):
        assert f"/d/{key}: " in done.err or f"failed: {key}: " in done.out + done.err, key


def test_sync_tells_of_each_file_that_differs(run, here, coffers):
    plant(here / "d", changed="1", longer="1", same="1")
    run("sync", "d", f"{URL}/d")
    plant(here / "d", changed="2", longer="22", new="3")
    later = time.time() + 100
    os.utime(here / "d" / "changed", (later, later))
    for dry, out in (["-n"], f"would copy {here}/d/new to {URL}/d/new (new)\n"), ([], ""):
        done = run("sync", *dry, "d", f"{URL}/d")
        assert (done.code, done.out) == (1, out)
        first, second, last = (line for line in done.err.splitlines() if line.startswith("cosv4fs"))
        assert first.startswith(f"cosv4fs sync: {URL}/d/changed: the file differs (content)")
        assert second.startswith(f"cosv4fs sync: {URL}/d/longer: the file differs (size)")
        assert last.startswith("cosv4fs sync: not everything was done, 2 failed; the first: ")
    assert stored(coffers, f"{VAULT}/d") == {"changed": "1", "longer": "1", "new": "3", "same": "1"}
    found = run("--json", "sync", "--size-only", "d", f"{URL}/d").json
    assert [(row["reason"], WRITE_ONCE in row["error"]) for row in found["copies"]] == [("size", True)]
    assert (found["same"], found["failed"]) == (3, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rm", f"{URL}/in/a.csv"],
        ["rm", "-rf", URL],
        ["rm", "-n", f"{URL}/in/*"],
        ["rm", "cosv4://data/keep", f"{URL}/in/a.csv"],
        ["mv", f"{URL}/in/a.csv", f"{URL}/b"],
        ["mv", "-r", f"{URL}/in", "."],
        ["sync", "--delete", "d", f"{URL}/in"],
        ["sync", "--delete", "-n", "d", f"{URL}/in"],
    ],
)
def test_nothing_is_moved_or_removed(run, here, files, coffers, fs, arguments):
    plant(here / "d", x="1")
    fs.pipe_file("data/keep", b"k")
    before = coffers.find(VAULT)
    assert f"because {WRITE_ONCE}" in one_line(run(*arguments), 2)
    assert (coffers.find(VAULT), fs.find("data")) == (before, ["data/keep"])
    assert harvest(here) == {"d/x": "1"}


def test_there_are_no_signed_urls(run, files):
    said = one_line(run("sign", f"{URL}/in/a.csv"), 2)
    assert said.startswith(f"cosv4fs sign: {URL}/in/a.csv: coffers do not support signed URLs")


def test_unfinished_uploads_hold_names_until_they_are_given_up(run, here, half, coffers):
    plant(here, a="1")
    assert run("uploads", "ls", URL).out == f"{half}  1.0 MiB so far\n"
    (row,) = run("--json", "uploads", "ls", half).json
    assert (row["name"], row["size"], row["stored"]) == (f"{VAULT}/half/file", None, MIB)
    assert "unfinished upload: 1.0 MiB, 20" in run("stat", half).out
    # what is below it is not its own
    assert run("stat", half.removesuffix("/file")).code == 3
    assert "an unfinished upload blocks this name" in run("cp", "a", half).err
    assert run("uploads", "clean", URL).out == ""
    assert run("uploads", "abort", half).out == f"aborted {half}\n"
    assert "there is no unfinished upload of this file" in one_line(run("uploads", "abort", half), 3)
    assert run("cp", "a", half).code == 0
    coffers.client.initiate(VAULT, "/half/other")
    assert run("uploads", "clean", "--older-than", "0s", URL).out == f"removed {URL}/half/other  0 B so far\n"
    assert coffers.uploads(VAULT) == []


@pytest.mark.parametrize("command", ["ls", "clean"])
def test_uploads_of_all_coffers_at_once_are_not_asked_for(run, command):
    done = run("uploads", command, "cdcs://")
    assert (done.code, "cdcs://: name a coffer" in done.err) == (2, True)


def test_control_c_and_the_rest_of_the_upload(start, run, here, vault, coffers):
    (here / "big").write_bytes(content(40 * MIB))
    stall = faults.Stall()
    try:
        fault = vault.faults.add(op="UploadPart", nth=3, times=1000, action=stall)
        process = start("cp", "big", f"{URL}/big")
        await_hits(fault, 2, process)
        first, last = interrupted(process).splitlines()
        assert first.endswith("; to resume, repeat the command or run cosv4fs uploads resume cdcs://")
        assert last == "cosv4fs cp: interrupted"
    finally:
        stall.release.set()
        vault.faults.clear()
    assert not coffers.exists(f"{VAULT}/big")
    assert run("uploads", "resume", "cdcs://").out == f"uploaded {here}/big to {URL}/big\n"
    assert coffers.cat_file(f"{VAULT}/big") == content(40 * MIB)
    assert run("uploads", "resume", URL).err == "there is nothing to resume\n"


def test_a_doctor_who_leaves_nothing(run, coffers):
    coffers.pipe_file(f"{VAULT}/dir/a", b"x")
    done = run("doctor", "--write", URL)
    assert (done.code, done.err) == (0, "")
    assert [line.split(":")[0].split()[0] for line in done.out.splitlines()] == ["ok"] * 8
    assert "no file was written, because files in coffers cannot be removed" in done.out
    assert "1 file in" in run("doctor", f"{URL}/dir/a").out
    assert (coffers.find(VAULT), coffers.uploads(VAULT)) == ([f"{VAULT}/dir/a"], [])
    assert (
        f"note     reading: not checked, because there is no file in {SECOND}" in run("doctor", f"cdcs://{SECOND}").out
    )


@pytest.mark.parametrize(
    ("before", "url", "subject", "said"),
    [
        (["-o", "secret_key=wrong"], URL, "credentials", "Compare CDCS_SECRET_ID, CDCS_SECRET_KEY with the console"),
        (["-o", "security_token=x"], URL, "credentials", "CDCS_SECRET_KEY, CDCS_SECURITY_TOKEN with the console"),
        (["-o", "cdcs.appid=1"], URL, "configuration", "appid is not an option of cdcs"),
        (["-o", "max_retries=0", "--endpoint", "http://127.0.0.1:1"], URL, "connection", "cannot connect"),
        ([], "cdcs://none-1250000000", "coffer", ". List those in "),
        ([], "cdcs://none", "coffer", "coffers are named in full, as in name-1250000000"),
        ([], f"{URL}/none", "listing", f"{URL}/none: no such file"),
    ],
)
def test_problems(run, before, url, subject, said):
    done = run(*before, "doctor", url)
    assert (done.code, done.err) == (5, "")
    assert done.out.splitlines()[-1].startswith(f"PROBLEM  {subject}: ")
    assert said in done.out.splitlines()[-1]
    assert run("--json", *before, "doctor", url).json[-1]["subject"] == subject


def test_a_doctor_on_configuration(run, monkeypatch, vault, coffers):
    assert "name a coffer: cdcs://coffer-APPID" in run("doctor", "cdcs://").err
    assert f"note     region: {VAULT} is in ap-tianjin, not in ap-x" in run("-o", "region=ap-x", "doctor", URL).out
    vault.clock_offset = 300
    assert "note     clock: the local clock is" in run("doctor", URL).out
    vault.clock_offset = 0
    vault.faults.add(op="InitiateMultipartUpload", action=faults.Refuse("AuthFailed"), times=100)
    assert "PROBLEM  writing: " in run("doctor", "--write", URL).out
    monkeypatch.delenv("CDCS_SECRET_ID")
    assert "CDCS_SECRET_ID" in run("doctor", URL).out
    assert run("ls", URL).code == 4


def test_options_reach_those_who_have_them(run, files, fs):
    fs.pipe_file("data/a", b"a")
    assert run("-o", "appid=1250000000", "-o", "security_token=T", "ls", "cosv4://data").out == "cosv4://data/a\n"
    assert run("-o", "appid=999", "ls", URL).code == 0
    assert "verify_downloads is not an option of cdcs" in one_line(run("-o", "verify_downloads=never", "ls", URL), 2)
    both = run("-o", "cosv4.verify_downloads=never", "cp", "cosv4://data/a", f"{URL}/a")
    assert (both.code, both.err.splitlines()[-1]) == (0, "copied 1 of 1 file, 1 B")


class TestTemporaryKeys:
    """Keys that are only good together with a token."""

    @pytest.fixture
    def token(self):
        return "T0KEN"

    def test_the_token_of_the_environment_is_used(self, run, coffers, monkeypatch):
        coffers.pipe_file(f"{VAULT}/a", b"a")
        assert run("cat", f"{URL}/a").out == "a"
        doctor = run("doctor", URL)
        assert (doctor.code, "with a token" in doctor.out, "T0KEN" in doctor.out) == (0, True, False)
        monkeypatch.delenv("CDCS_SECURITY_TOKEN")
        assert run("cat", f"{URL}/a").code == 4
        assert run("-o", "security_token=T0KEN", "cat", f"{URL}/a").out == "a"

    def test_a_cluster_gets_the_token(self, run, fs, coffers, worker):
        fs.pipe_file("data/in/a", b"1")
        assert "copied 1 (1 B)" in run("migrate", "cosv4://data/in", f"{URL}/m", "--scheduler", "local").out
        assert len(worker) == 1
        assert stored(coffers, f"{VAULT}/m") == {"a": "1"}


def test_an_endpoint_of_one_protocol_wins(run, files, vault):
    options = ("-o", f"cdcs.endpoint={vault.endpoint}", "--endpoint", "http://127.0.0.1:1")
    assert run(*options, "ls", URL).out == f"{URL}/in/\n"


def test_migrate_to_a_coffer_and_back(run, here, fs, coffers):
    fs.pipe({"data/in/a": b"1", "data/in/b/c": b"22"})
    fs.mkdir("data/in/empty")
    done = run("migrate", "cosv4://data/in", f"{URL}/m", "--verify")
    assert (done.code, done.err) == (0, "")
    assert "copied 2 (3 B), found there 0, done before 0, verified 2, failed 0" in done.out
    assert "\n1 empty directory was not created: the target has no directories\n" in done.out
    assert "copied 0 (0 B), found there 0, done before 2" in run("migrate", "cosv4://data/in", f"{URL}/m").out
    anew = run("migrate", "cosv4://data/in", f"{URL}/m", "--verify", "--manifest", "anew")
    assert "copied 0 (0 B), found there 2, done before 0, verified 2" in anew.out
    assert "verified 2" in run("migrate", f"{URL}/m", "cosv4://other/back", "--verify").out
    assert stored(fs, "other/back") == stored(coffers, f"{VAULT}/m") == {"a": "1", "b/c": "22"}


def test_migrate_keeps_what_a_coffer_has(run, fs, coffers):
    fs.pipe({"data/in/a": b"mine", "data/in/b": b"22", "data/in/zero": b""})
    coffers.pipe_file(f"{VAULT}/m/a", b"there")
    done = run("migrate", "cosv4://data/in", f"{URL}/m", "--verify")
    assert done.code == 1
    first, second = sorted(done.err.splitlines())
    assert first.startswith(f"failed: a: {URL}/m/a: the target has another content and is not replaced")
    assert "take no empty objects" in second
    assert "verified 1, failed 2" in done.out
    assert stored(coffers, f"{VAULT}/m") == {"a": "there", "b": "22"}


def test_a_migration_that_cannot_begin(run, fs):
    fs.pipe_file("data/in/a", b"1")
    assert "cdcs://none-1250000000: " in one_line(run("migrate", "cosv4://data/in", "cdcs://none-1250000000/x"), 3)
    assert f"{URL}/none: no such" in one_line(run("migrate", f"{URL}/none", "cosv4://data/x"), 3)
    assert fs.find("data") == ["data/in/a"]


class TestLateListings:
    """A listing may leave out what is there."""

    @pytest.fixture
    def dialect(self):
        return CofferDialect(listing_lag=1000)

    def test_a_migration_finds_what_no_listing_shows(self, run, fs, coffers):
        fs.pipe({"data/in/a": b"1", "data/in/b": b"22"})
        coffers.pipe({f"{VAULT}/m/a": b"1", f"{VAULT}/m/b": b"other"})
        done = run("migrate", "cosv4://data/in", f"{URL}/m", "--verify")
        assert "copied 0 (0 B), found there 1" in done.out
        assert f"{URL}/m/b: the target has another content and is not replaced" in done.err


def test_a_failure_has_a_line_of_its_own_beside_a_bar(run, here, files):
    plant(here, a="1")
    done = run("--progress", "cp", "a", f"{URL}/in/a.csv")
    pieces = done.err.replace("\r", "\n").split("\n")
    assert any(piece.startswith(f"cosv4fs cp: {URL}/in/a.csv: the file exists") for piece in pieces)
