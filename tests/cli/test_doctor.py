"""doctor: diagnoses credentials, clock and permissions."""

import re

import pytest

from cosv4fs.emulator import faults
from tests.support import RawServer, http_reply

PROTOCOLS = ("cosv4", "cosv3")


def test_all_is_well(run, fs):
    fs.pipe_file("data/a", b"x")
    done = run("doctor", "--write", "cosv4://data")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split(":")[0].split()[0] for line in lines] == ["ok"] * 7
    assert fs.find("data") == ["data/a"]
    assert fs.uploads("data") == []


@pytest.mark.parametrize(
    ("before", "url", "subject", "said"),
    [
        (["-o", "secret_key=wrong"], "cosv4://data", "credentials", "COSV4_SECRET_KEY with the console"),
        (["-o", "appid=x"], "cosv4://data", "configuration", "appid must be a number"),
        (["-o", "max_retries=0", "--endpoint", "http://127.0.0.1:1"], "cosv4://data", "connection", "cannot connect"),
        ([], "cosv4://nobucket", "bucket", "Is there a bucket 'nobucket'"),
        ([], "cosv4://data/none", "listing", "cosv4://data/none: no such file"),
    ],
)
def test_problems(run, before, url, subject, said, protocol):
    said = said.replace("COSV4", protocol.upper())
    done = run(*before, "doctor", url)
    assert (done.code, done.err) == (5, "")
    assert done.out.splitlines()[-1].startswith(f"PROBLEM  {subject}: ")
    assert said in done.out.splitlines()[-1]
    rows = run("--json", *before, "doctor", url).json
    assert [row["state"] for row in rows[:-1]] == ["ok"] * (len(rows) - 1)
    assert (rows[-1]["state"], rows[-1]["subject"]) == ("problem", subject)


def test_missing_credentials(run, monkeypatch, protocol):
    monkeypatch.delenv(f"{protocol.upper()}_SECRET_ID")
    done = run("doctor", "cosv4://data")
    assert done.code == 5
    assert "PROBLEM  configuration: missing secret_id" in done.out


def test_a_clock_that_is_wrong(run, emulator):
    emulator.clock_offset = 300
    done = run("doctor", "cosv4://data")
    assert done.code == 0
    # the service tells whole seconds, and time passes until they are read
    assert re.search(r"note     clock: the local clock is (300|29\d) seconds behind", done.out)


def test_writing_that_is_refused(run, emulator, fs):
    emulator.faults.add(op="upload", action=faults.Refuse(-97), times=100)
    done = run("doctor", "--write", "cosv4://data")
    assert done.code == 5
    assert "PROBLEM  writing: cosv4://data/cosv4fs-doctor-" in done.out


def test_a_bucket_is_needed(run):
    done = run("doctor", "cosv4://")
    assert done.code == 2
    assert "name a bucket: cosv4://bucket" in done.err


@pytest.mark.protocol("cosv4")
def test_reading_needs_a_file_in_the_directory_itself(run, fs):
    fs.pipe_file("data/d/f", b"x")
    said = "note     reading: not checked, because data itself has no file with content: name a directory that has one;"
    assert said in run("doctor", "cosv4://data").out
    assert "ok       reading: data/d/f can be read" in run("doctor", "cosv4://data/d").out


@pytest.mark.protocol("cosv4")
def test_other_urls(run):
    assert run("doctor", "memory://x").code == 2


def test_quirks_that_were_learned(run, emulator):
    # the code says that a move needs the other kind of signature
    emulator.faults.add(op="move", action=faults.Refuse(-74))
    done = run("doctor", "--write", "cosv4://data")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("note     quirk: move_signature = multi (")


XML = b"<?xml version='1.0' encoding='utf-8' ?>"
LISTING = XML + b"<ListBucketResult><Name>new-1250000000</Name></ListBucketResult>"


def xml_error(code):
    return XML + f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize("bucket", ["new", "new-1250000000"])
@pytest.mark.parametrize(
    ("status", "body", "is_found"),
    [
        ("403 Forbidden", xml_error("AccessDenied"), True),
        ("200 OK", LISTING, True),
        ("301 Moved Permanently", xml_error("PermanentRedirect"), True),
        ("404 Not Found", xml_error("NoSuchBucket"), False),
        ("200 OK", b"<html></html>", False),
    ],
)
def test_a_bucket_of_the_newer_api(run, status, body, is_found, bucket):
    unknown = http_reply(xml_error("NoSuchKey"), "404 Not Found")
    with RawServer(unknown, unknown, http_reply(body, status)) as server:
        done = run("--endpoint", server.endpoint, "doctor", f"cosv4://{bucket}")
    assert done.code == 5
    assert ("use cos-python-sdk-v5, or s3fs with endpoint_url=https://cos." in done.out) == is_found
    assert done.out.count("PROBLEM") == 1 + is_found
    probe = server.requests[-1].decode("latin-1").lower()
    assert probe.startswith("get / http")
    assert "host: new-1250000000.cos." in probe
    assert "authorization" not in probe


def test_refused_keys_prove_no_newer_api(run):
    """Buckets of the JSON API answer the newer one, too."""
    refused = http_reply(b'{"code": -97, "message": "ERROR_PROXY_AUTH_FAILED"}', "400 Bad Request")
    with RawServer(refused, refused, http_reply(xml_error("AccessDenied"), "403 Forbidden")) as server:
        done = run("--endpoint", server.endpoint, "doctor", "cosv4://data")
    assert (done.code, done.out.count("PROBLEM"), len(server.requests)) == (5, 1, 2)
    assert "PROBLEM  credentials" in done.out
