"""Signatures: the vectors of the specification, byte for byte, and how long a signature is kept."""

import base64
import hashlib
import hmac
import json
import threading
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.api.cos.signing import Signer, encode_key, plain_text, signature
from cosv4fs.config import resolve
from tests.support import Clock

SECRET_ID, SECRET_KEY = "AKIDTestSecretId0123456789", "TestSecretKey0123456789abcdef"
NOW = 1500000000

# label, plain text, HMAC, signature, signature as a query's value (cos.md#signature-vectors)
VECTORS = json.loads(Path(__file__).with_name("signature_vectors.json").read_text("utf-8"))
# what each vector in the client's own field order is made of: expiry, fileid
PARTS = {
    0: (1500000600, ""),
    1: (0, "/1250000000/mybucket" + encode_key("/dir/中文 文件+~.txt")),
    3: (1500000600, "/1250000000/mybucket/dir/"),
    4: (1500000600, encode_key("/dir/file.bin")),
}


def decode(sign):
    """Take a signature apart as a server would; return its fields."""
    raw = base64.b64decode(sign, validate=True)
    assert raw[:20] == hmac.new(SECRET_KEY.encode(), raw[20:], hashlib.sha1).digest()
    return dict(pair.split("=", 1) for pair in raw[20:].decode("ascii").split("&"))


def signer(clock, **options):
    config = resolve(
        {
            "appid": "1250000000",
            "secret_id": SECRET_ID,
            "secret_key": SECRET_KEY,
            "region": "gz",
            "sign_expiry": 600,
            **options,
        }
    )
    return Signer(config, clock)


@pytest.mark.parametrize(("plain", "digest", "sign", "quoted"), [row[1:] for row in VECTORS])
def test_vectors(plain, digest, sign, quoted):
    made = signature(plain, SECRET_KEY)
    assert made == sign
    assert base64.b64decode(made)[:20].hex() == digest
    assert quote(made, safe="/").replace("/", "%2F") == quoted.replace("/", "%2F")


@pytest.mark.parametrize("number", PARTS)
def test_plain_text_of_the_vectors(number):
    expires, fileid = PARTS[number]
    made = plain_text(
        appid="1250000000",
        secret_id=SECRET_ID,
        bucket="mybucket",
        expires=expires,
        now=NOW,
        nonce=1234567890,
        fileid=fileid,
    )
    assert made == VECTORS[number][1]


@given(st.text(), st.text(min_size=1))
def test_decoding_gives_the_plain_text_back(plain, secret):
    raw = base64.b64decode(signature(plain, secret), validate=True)
    assert raw[20:].decode() == plain
    assert raw[:20] == hmac.new(secret.encode(), plain.encode(), hashlib.sha1).digest()


@given(st.text().map("/".__add__))
def test_any_key_is_encoded_once_and_comes_back(key):
    encoded = encode_key(key)
    assert unquote(encoded, errors="strict") == key
    assert encoded.isascii()
    assert not set(encoded) & set(" +?#&=\r\n")
    fields = decode(signer(Clock(NOW)).single("mybucket", key))
    assert fields["f"] == "/1250000000/mybucket" + encoded


def test_kinds():
    made = signer(Clock(NOW))
    multi, single, download = (
        decode(sign)
        for sign in (
            made.multi("mybucket"),
            made.single("mybucket", "/dir/x y"),
            made.download("mybucket", "/dir/x y", 77),
        )
    )
    assert (multi["e"], multi["f"], multi["b"]) == (str(NOW + 600), "", "mybucket")
    assert (single["e"], single["f"]) == ("0", "/1250000000/mybucket/dir/x%20y")
    assert (download["e"], download["f"]) == (str(NOW + 77), "/dir/x%20y")
    assert {fields["t"] for fields in (multi, single, download)} == {str(NOW)}
    assert all(len(fields["r"]) <= 10 and fields["r"].isdigit() for fields in (multi, single, download))


def test_a_directory_keeps_its_slash():
    assert decode(signer(Clock(NOW)).single("mybucket", "/dir/"))["f"] == "/1250000000/mybucket/dir/"


def test_multi_is_kept_until_shortly_before_it_expires():
    clock = Clock(NOW)
    made = signer(clock)
    first = made.multi("mybucket")
    clock.now += 449
    assert made.multi("mybucket") == first
    clock.now += 2
    renewed = made.multi("mybucket")
    assert renewed != first
    assert decode(renewed)["e"] == str(NOW + 451 + 600)


def test_multi_is_kept_per_bucket():
    made = signer(Clock(NOW))
    assert decode(made.multi("one"))["b"] == "one"
    assert decode(made.multi("two"))["b"] == "two"
    assert made.multi("one") != made.multi("two")


def test_single_is_never_the_same_twice():
    made = signer(Clock(NOW))
    assert len({made.single("mybucket", "/x") for _ in range(100)}) == 100


def test_threads_share_one_multi():
    made, found = signer(Clock(NOW)), []
    threads = [threading.Thread(target=lambda: found.append(made.multi("mybucket"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_anon_signs_nothing():
    made = signer(Clock(NOW), anon=True)
    assert made.multi("b") == made.single("b", "/x") == made.download("b", "/x", 9) == ""


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (formatdate(NOW + 3600, usegmt=True), 3600),
        (formatdate(NOW - 86400, usegmt=True), -86400),
        # vendor page 004: its signature says t = 12:46:40 UTC
        ("Wed Aug 31 20:46:40 2016", 1472647600 - NOW),
    ],
)
def test_the_servers_clock_is_adopted(date, seconds):
    clock = Clock(NOW)
    made = signer(clock)
    before = made.multi("mybucket")
    assert made.adopt_server_date(date) is True
    after = made.multi("mybucket")
    assert after != before
    assert decode(after)["t"] == str(NOW + seconds)
    assert decode(made.single("mybucket", "/x"))["t"] == str(NOW + seconds)
    assert made.adopt_server_date(date) is False  # nothing new


def test_a_right_clock_stays():
    made = signer(Clock(NOW))
    assert made.adopt_server_date(formatdate(NOW, usegmt=True)) is False
    assert decode(made.multi("mybucket"))["t"] == str(NOW)


@pytest.mark.parametrize("date", [None, "", " ", "yesterday", "Wed, 99 Foo 2016 25:61:61 GMT", "\0", "0"])
def test_a_date_that_is_none_changes_no_clock_but_signs_afresh(date):
    made = signer(Clock(NOW))
    before = made.multi("mybucket")
    assert made.adopt_server_date(date) is False
    assert decode(made.multi("mybucket"))["t"] == str(NOW)
    assert made.multi("mybucket") != before  # the server called it expired: it must not be sent again


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_date_of_a_server_is_fatal(date):
    made = signer(Clock(NOW))
    made.adopt_server_date(date)
    assert decode(made.multi("mybucket"))["b"] == "mybucket"


def test_no_secret_is_shown():
    made = signer(Clock(NOW))
    made.multi("mybucket")
    shown = repr(made) + repr(made.__dict__["_config"])
    assert SECRET_KEY not in shown
    assert SECRET_ID not in shown
    assert made.multi("mybucket") not in shown
