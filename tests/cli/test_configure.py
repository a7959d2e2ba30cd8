"""configure: writes profiles that the filesystems read, asks for what is missing, and shows no secret."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

PROTOCOLS = ("cosv4",)

SECRET = "s3cr3t-t0p"


@pytest.fixture
def account(emulator, here, monkeypatch):
    """The account of the service, given to nobody yet, and the profile file."""
    given = dict(emulator.storage_options)
    for name in given:
        monkeypatch.delenv(f"COSV4_{name.upper()}", raising=False)
    file = here / "settings/profiles.ini"
    monkeypatch.setenv("COSV4_PROFILES", str(file))
    return given, file


def settings(account, **others):
    return [part for name, value in {**account, **others}.items() for part in ("-o", f"{name}={value}")]


def test_a_profile_works(run, account):
    given, file = account
    done = run("configure", "work", *settings(given, max_concurrency=24), "--bucket", "data")
    assert (done.code, done.err) == (0, "")
    assert f"section [work] of {file}" in done.out
    assert "ok       credentials: accepted for bucket data" in done.out
    assert given["secret_key"] not in done.out
    assert "max_concurrency = 24\n" in file.read_text()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert run("-o", "profile=work", "ls", "cosv4://data").code == 0


def test_without_a_name_it_needs_none_later(run, account):
    given, file = account
    done = run("configure", *settings(given), "--bucket", "data")
    assert f"section [default] of {file}" in done.out
    assert done.out.splitlines()[-1].startswith("it applies where no profile is named")
    assert run("ls", "cosv4://data").code == 0
    # the hint at a name is the last line as well
    assert "profile=work" in run("configure", "work", *settings(given), "--bucket", "data").out.splitlines()[-1]


def test_json_is_one_document(run, account):
    given, file = account
    row = run("configure", "--json", *settings(given), "--bucket", "cosv4://data").json
    assert (row["profile"], row["file"], row["options"]) == ("default", str(file), sorted(given))
    assert {finding["state"] for finding in row["findings"]} == {"ok", "note"}
    done = run("configure", "second", "--json", *settings(given, secret_key="wrong"), "--bucket", "data")
    assert (done.code, done.json["findings"][-1]["subject"]) == (5, "credentials")


def test_everything_else_in_the_file_stays(run, account):
    _, file = account
    file.parent.mkdir()
    file.write_text(
        "# mine\n[other]\nappid: 7\nsecret_key = theirs\n\n[work]\n# of work\nsecret_id = old\nsecret_key = old\n"
        "security_token = of the old key\nanon = false\n\n; end\n[last]\nregion=\n  sh\n"
    )
    file.chmod(0o644)
    assert (
        run(
            "configure", "work", *settings({"appid": 1, "secret_id": "AKIDnew", "secret_key": SECRET, "region": "gz"})
        ).code
        == 0
    )
    assert file.read_text() == (
        "# mine\n[other]\nappid: 7\nsecret_key = theirs\n\n[work]\n"
        f"appid = 1\nsecret_id = AKIDnew\nsecret_key = {SECRET}\nregion = gz\n"
        "# of work\nanon = false\n\n; end\n[last]\nregion=\n  sh\n"
    )
    assert file.stat().st_mode & 0o777 == 0o600
    # what the profile has need not be given again
    assert run("configure", "work", "-o", "region=sh").code == 0
    assert "region = sh\n" in file.read_text()
    assert file.read_text().count("\nregion") == 2


def test_a_file_of_an_editor_of_windows_is_edited(run, account):
    _, file = account
    file.parent.mkdir()
    file.write_bytes(b"\xef\xbb\xbf[work]\r\nregion = gz\r\n")
    assert run("configure", "work", *settings({"appid": 1, "secret_id": "AKIDnew", "secret_key": SECRET})).code == 0
    assert file.read_bytes().startswith(b"[work]\nappid = 1\n")


def test_a_link_to_the_file_stays(run, account):
    given, file = account
    file.parent.mkdir()
    real = file.with_name("real.ini")
    file.symlink_to(real)
    assert run("configure", *settings(given)).code == 0
    assert file.is_symlink()
    assert "[default]" in real.read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"appid": "abc"}, "appid must be a number"),
        ({"region": "ap-nanjing"}, "must be a region that this API has"),
        ({"region": "gs"}, "there is no region 'gs': did you mean"),
        ({"secret_key": "AKIDabc"}, "the secret_key is the other one of the two"),
        ({"secret_id": ""}, "secret_id is empty"),
        ({"secret_key": f"{SECRET}\x1b"}, "secret_key must be printable text"),
        ({"nonsense": "1"}, "unknown option nonsense"),
        ({"profile": "x"}, "profile cannot be an option of a profile"),
        ({"anon": "maybe"}, "anon must be one of true"),
    ],
)
def test_nonsense_is_refused(run, account, changed, said):
    _, file = account
    done = run("configure", *settings({"appid": 1, "secret_id": "i", "secret_key": SECRET, "region": "gz", **changed}))
    assert (done.code, said in done.err, SECRET in done.err) == (2, True, False), done.err
    assert not file.exists()


def test_what_is_missing_is_named(run, account):
    done = run("configure", "-o", "appid=1")
    assert done.code == 2
    assert "Error: missing secret_id, secret_key, region: give -o secret_id=... -o secret_key=..." in done.err
    assert run("configure", "a]b").code == 2
    # keys are not needed for public objects, nor a region with an endpoint
    assert run("configure", "-o", "appid=1", "-o", "anon=true", "--endpoint", "http://127.0.0.1:9").code == 0


def test_a_secret_from_standard_input(run, account):
    given, file = account
    done = run("configure", *settings({**given, "secret_key": "-"}), data=f"{SECRET}\n".encode())
    assert done.code == 0
    assert f"secret_key = {SECRET}\n" in file.read_text()


@pytest.mark.parametrize("text", ["no section\n", "[a]\n[a]\n", "[a]\nx = 1\nx = 2\n"])
def test_a_file_of_another_kind_stays(run, account, text):
    given, file = account
    file.parent.mkdir()
    file.write_text(text)
    done = run("configure", *settings(given))
    assert (done.code, f"{file}: it is not a profile file" in done.err) == (1, True)
    assert file.read_text() == text


def test_questions_on_a_terminal(account, emulator):
    given, file = account
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cosv4fs", "configure", "asked", "--json", "--endpoint", given["endpoint"]]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True)
    os.close(theirs)
    answers = {
        "service (cosv4, cosv3, cdcs) [cosv4]: ": "",
        "appid (number of the account): ": "abc",
        "appid must be a number": given["appid"],
        "secret_id: ": given["secret_id"],
        "secret_key (not shown): ": given["secret_key"],
        "bucket to check it with (empty: none): ": "data",
    }
    told = shown = ""
    for question, answer in answers.items():
        while question.rstrip() not in shown or not shown.rstrip().endswith(":"):
            assert select.select([ours], [], [], 60)[0], shown
            shown += os.read(ours, 1000).decode()
        told, shown = told + shown, ""
        os.write(ours, f"{answer}\n".encode())
    row = json.loads(process.stdout.read())
    assert process.wait(60) == 0
    os.close(ours)
    process.stdout.close()
    assert given["secret_key"] not in told + shown
    assert (row["profile"], {finding["state"] for finding in row["findings"]} <= {"ok", "note"}) == ("asked", True)
    assert f"secret_key = {given['secret_key']}\n" in file.read_text()


def test_ctrl_c_ends_the_line_of_a_question(account):
    _, file = account
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cosv4fs", "configure"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = ""
    while not shown.endswith("[cosv4]: "):
        assert select.select([ours], [], [], 60)[0], shown
        shown += os.read(ours, 1000).decode()
    for _ in range(20):
        # one that comes just before readline waits does not wake it; one that comes while the process ends disturbs it
        process.send_signal(signal.SIGINT)
        if select.select([ours], [], [], 3)[0]:
            break
    assert process.wait(60) == 130
    rest = b""
    # a terminal gives what was written piece by piece, and an error at the end
    with suppress(OSError):
        while part := os.read(ours, 1000):
            rest += part
    assert rest.decode().replace("\r", "") == "\ncosv4fs: interrupted\n"
    os.close(ours)
    assert not file.exists()
