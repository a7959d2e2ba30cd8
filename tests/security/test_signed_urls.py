"""A signed URL reads one object for a while, and does nothing else."""

import base64
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from cosv4fs import CosV4FileSystem
from tests.security.conftest import BUCKET, SECRET_KEY

DAYS_92 = 92 * 86400


def plain(url):
    """Return the fields of a URL's signature."""
    [sign] = parse_qs(urlsplit(url).query)["sign"]
    text = base64.b64decode(sign, validate=True)[20:].decode()
    return dict(part.partition("=")[::2] for part in text.split("&"))


@pytest.fixture
def files(fs):
    fs.pipe({f"{BUCKET}/d/a b+c": b"mine", f"{BUCKET}/d/other": b"not mine", "other/d/a b+c": b"nor this"})
    return fs


def test_it_is_bound_to_its_object_and_short_lived(files, emulator):
    now = int(time.time())
    for url in (files.sign(f"{BUCKET}/d/a b+c"), files.url(f"cosv4://{BUCKET}/d/a b+c")):
        fields = plain(url)
        assert (fields["f"], fields["b"]) == ("/d/a%20b%2Bc", BUCKET)
        assert now + 90 <= int(fields["e"]) <= now + 100 + 60
        assert SECRET_KEY not in url
        assert requests.get(url, timeout=30).content == b"mine"
    assert plain(files.sign(f"{BUCKET}/d/a b+c"))["r"] != fields["r"]


def test_it_opens_nothing_else(files, emulator):
    url = files.sign(f"{BUCKET}/d/a b+c")
    path = "/d/a%20b%2Bc"
    for wrong in ("/d/other", "/d/", "/"):
        reply = requests.get(url.replace(path, wrong), timeout=30)
        assert reply.status_code in (403, 404), wrong
        assert b"mine" not in reply.content
    assert requests.get(url.replace(f"/{BUCKET}/", "/other/"), timeout=30).status_code == 403


def test_it_does_nothing_but_read(files, emulator):
    url = files.sign(f"{BUCKET}/d/a b+c")
    for op in ("stat", "list"):
        assert requests.get(f"{url}&op={op}", timeout=30).json()["code"] == -63
    fields = {"op": (None, "upload"), "insertOnly": (None, "0"), "filecontent": b"forged"}
    assert requests.post(url, files=fields, timeout=30).json()["code"] == -63
    for op in ("delete", "update", "move", "copy", "upload_slice_init", "create"):
        body = {"op": op, "dest_fileid": "/d/z", "filesize": 10, "slice_size": 1048576}
        assert requests.post(url, json=body, timeout=30).json()["code"] != 0, op
    for method in ("PUT", "DELETE", "PATCH"):
        assert requests.request(method, url, timeout=30).status_code >= 400
    assert files.cat_file(f"{BUCKET}/d/a b+c") == b"mine"
    assert [info["name"] for info in files.ls(f"{BUCKET}/d", refresh=True)] == [
        f"{BUCKET}/d/a b+c",
        f"{BUCKET}/d/other",
    ]


def test_it_expires(files, emulator):
    url = files.sign(f"{BUCKET}/d/other", expiration=30)
    assert requests.get(url, timeout=30).status_code == 200
    emulator.clock_offset = 31.0
    assert requests.get(url, timeout=30).status_code == 403


@pytest.mark.parametrize("wrong", [0, -1, 0.5, 10.5, float("nan"), float("inf"), True, "60", None, DAYS_92 + 1, 10**30])
def test_impossible_times_are_refused(files, wrong):
    for make in (files.sign, files.url):
        with pytest.raises(ValueError, match="whole number of seconds"):
            make(f"{BUCKET}/d/other", wrong)


def test_the_longest_time_is_taken(files):
    assert requests.get(files.sign(f"{BUCKET}/d/other", DAYS_92 - 60), timeout=30).status_code == 200


@pytest.mark.parametrize("key", ["", "/", "x", "/d/", "d/"])
def test_what_is_no_object_has_no_url(files, key):
    with pytest.raises(IsADirectoryError, match="object"):
        files.client.download_url(BUCKET, key)
    with pytest.raises(IsADirectoryError):
        files.sign(BUCKET)


@pytest.mark.parametrize("name", ["1", "12", "1250000000", f"1250000000/{BUCKET}", f"1250000000/{BUCKET}/d/other"])
def test_names_like_the_account_get_no_url_that_opens_the_api(files, name):
    files.pipe_file(f"{BUCKET}/{name}", b"innocent")
    with pytest.raises(OSError, match="no safe URL") as caught:
        files.sign(f"{BUCKET}/{name}")
    assert caught.value.filename == f"{BUCKET}/{name}"
    for harmless in ("2", "1x", "d/1250000000", "1250000000/elsewhere/x"):
        files.pipe_file(f"{BUCKET}/h/{harmless}", b"x")
        assert requests.get(files.sign(f"{BUCKET}/h/{harmless}"), timeout=30).content == b"x"


@pytest.mark.parametrize("bucket", ["data&e=9999999999&b=data", "..", ".", "a b", "x%2F", "x?op=list", "x#", "x\r\ny"])
def test_no_bucket_smuggles_fields_into_a_signature(files, bucket, emulator):
    emulator.clear_requests()
    for action in (
        files.sign,
        files.cat_file,
        files.info,
        files.ls,
        files.rm_file,
        lambda path: files.pipe_file(path, b""),
    ):
        with pytest.raises(FileNotFoundError, match="bucket"):
            action(f"{bucket}/x")
    assert emulator.requests == []


def test_without_credentials_there_is_no_signature(emulator, monkeypatch):
    for name, value in emulator.storage_options.items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(value))
    fs = CosV4FileSystem(anon=True)
    url = fs.sign(f"{BUCKET}/x")
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/files/v2/\d+/{BUCKET}/x", url)
    assert requests.get(url, timeout=30).status_code == 403
