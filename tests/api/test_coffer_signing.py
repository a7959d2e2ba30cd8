"""Signatures of the Data Coffer Service: worked vectors, another implementation, keys and clocks."""

import random
import time
from types import SimpleNamespace

import pytest
from qcloud_cos import CosS3Auth

from cosv4fs.api.cdcs.signing import CofferSigner, authorization, signature, signing_key
from cosv4fs.config import resolve
from cosv4fs.protocols import CDCS

SECRET_ID, SECRET_KEY = "AKIDcdcsEXAMPLE", "cdcsExampleSecretKey0123456789ab"
KEY_TIME = "1700000000;1700003600"
DATE = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
TIANJIN = {"Host": "cdcs.ap-tianjin.myqcloud.com"}
UPLOAD = "1484727270323ddb949d528c629235314a9ead80f0ba5d993a3d76b460e6a9cceb9633b08e"
PRINTED_KEY = "eb2519b498b02ac213cb1f3d1a3d27a3b3c9bc5f"
PRINTED_TIME = "1557989151;1557996351"
PRINTED = {
    "Date": "Thu, 16 May 2019 06:45:51 GMT",
    "Content-Type": "text/plain",
    "Content-Length": "13",
    "Content-MD5": "mQ/fVh815F3k6TAUm8m0eg==",
}
COS_HOST = {"Host": "examplebucket-1250000000.cos.ap-beijing.myqcloud.com"}

WORKED = {
    "V1, an upload to a name that is not ASCII": (
        KEY_TIME, "PUT", "/examplecoffer-1250000000/dir/示例 file(1)+a.txt", {},
        {**TIANJIN, **DATE, "Content-Type": "text/plain", "Content-Length": "12",
         "Content-MD5": "Zsq0WrblanGqi5iYQlXmBw=="},
        "67333c5326421f16859d2fcc891b497f9ce94502"),
    "V2, a listing": (
        KEY_TIME, "GET", "/examplecoffer-1250000000",
        {"prefix": "dir/", "marker": "dir/a b.txt", "max-keys": "2", "encoding-type": "url"},
        {"Host": "service.cdcs.myqcloud.com", **DATE}, "74f70b6f00e65457e7bbb3478461b84230778c77"),
    "V3, a part": (
        KEY_TIME, "PUT", "/examplecoffer-1250000000/exampleobject", {"partNumber": "1", "uploadId": UPLOAD}, TIANJIN,
        "eeda6c617f4a9312dff4067a9c2ca63b5cdd8bfb"),
    "V4, an upload in parts begins": (
        "1484727259;32557623259", "POST", "/examplecoffer-1250000000/exampleobject", {"uploads": ""},
        {"Host": "cdcs.ap-beijing.myqcloud.com"}, "08ed630cb810cd02ced66fe7ecb547811fd41874"),
}  # fmt: skip
"""From cdcs.md#signature-vectors, with its synthetic keys."""

PRINTED_KEYS = {
    "V5, the vendor's own request": (
        PRINTED_KEY, PRINTED_TIME, "PUT", "/example-coffer/example-file", {},
        {**PRINTED, "Host": "cdcs.ap-beijing.myqcloud.com"}, "49d2b740b0ee65bdaca51d8b90a4ddb89ced4a5d"),
    "V6, an upload of COS": (
        PRINTED_KEY, PRINTED_TIME, "PUT", "/exampleobject(腾讯云)", {},
        {**PRINTED, **COS_HOST, "x-cos-acl": "private", "x-cos-grant-read": 'uin="100000000011"'},
        "3b8851a11a569213c17ba8fa7dcf2abec6935172"),
    "V7, a download of COS": (
        "937914bf490e9e8c189836aad2052e4feeb35eaf", "1557989753;1557996953", "GET", "/exampleobject(腾讯云)",
        {"response-content-type": "application/octet-stream", "response-cache-control": "max-age=600"},
        {"Date": "Thu, 16 May 2019 06:55:53 GMT", **COS_HOST}, "01681b8c9d798a678e43b685a9f1bba0f6c0e012"),
}  # fmt: skip
"""From the vendor's pages, which print the keys made for a time (cdcs.md#reference-implementation)."""


@pytest.mark.parametrize("name", WORKED)
def test_worked_vectors(name):
    key_time, method, path, query, headers, expected = WORKED[name]
    text = authorization(SECRET_ID, SECRET_KEY, key_time, method, path, query, headers)
    assert text.startswith(f"q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time={key_time}&q-key-time={key_time}&")
    assert text.endswith(f"&q-signature={expected}")


@pytest.mark.parametrize("name", PRINTED_KEYS)
def test_vectors_of_printed_keys(name):
    *given, expected = PRINTED_KEYS[name]
    assert signature(*given) == expected


def test_the_key_for_a_time():
    assert signing_key(SECRET_KEY, KEY_TIME) == "0b1564680587f5c5a5c6d620532dd51772977205"


def test_names_are_listed_in_order_and_in_lower_case():
    text = authorization(SECRET_ID, SECRET_KEY, KEY_TIME, "PUT", "/c/k", {"uploadId": "u", "partNumber": "1"}, TIANJIN)
    assert "&q-header-list=host&q-url-param-list=partnumber;uploadid&" in text


LETTERS = "aZ09-_.~ !\"#$%&'()*+,/:;<=>?@[\\]^`{|}é示例🎈\u00ad"


def random_request(random_):
    def text(most):
        return "".join(random_.choices(LETTERS, k=random_.randint(1, most)))

    names = ["prefix", "marker", "max-keys", "encoding-type", "uploadId", "partNumber", "uploads", "lifecycle"]
    query = {name: random_.choice(["", text(20)]) for name in random_.sample(names, random_.randint(0, 4))}
    headers = {"Host": random_.choice(["cdcs.ap-tianjin.myqcloud.com", "service.cdcs.myqcloud.com", "127.0.0.1:8080"])}
    more = {"Content-Type": text(20), "Content-MD5": text(24), "Content-Length": str(random_.randint(0, 10**10))}
    headers |= {name: more[name] for name in random_.sample(sorted(more), random_.randint(0, 3))}
    method = random_.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])
    return method, f"/c{random_.randint(1, 99)}-1250000000/{text(40)}", query, headers


def test_the_vendors_client_makes_the_same(monkeypatch):
    """The vendor's client for COS XML v5 signs the same when the coffer is made a part of the key."""
    random_ = random.Random(20260)
    for _ in range(1000):
        method, path, query, headers = random_request(random_)
        now, seconds = random_.randint(10**9, 2 * 10**9), random_.randint(1, 10**5)
        secret_key = f"key{random_.random()}"
        monkeypatch.setattr(time, "time", lambda now=now: now)
        account = SimpleNamespace(
            _secret_id=SECRET_ID, _secret_key=secret_key, _anonymous=False, _sign_params=True, _sign_host=True
        )
        theirs = SimpleNamespace(method=method, url="http://h/", headers=dict(headers))
        CosS3Auth(account, path, query, seconds)(theirs)
        ours = authorization(SECRET_ID, secret_key, f"{now - 60};{now + seconds}", method, path, query, headers)
        assert ours == theirs.headers["Authorization"], (method, path, query, headers)


ACCOUNT = {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "region": "ap-tianjin"}


def signer(now=1700000060, **options):
    return CofferSigner(resolve({**ACCOUNT, **options}, protocol=CDCS), lambda: now)


class TestSigner:
    def test_it_is_dated_back(self):
        sent = signer(sign_expiry=3540).sign("GET", "/c-1/k", {}, TIANJIN)
        assert sent == {"Authorization": authorization(SECRET_ID, SECRET_KEY, KEY_TIME, "GET", "/c-1/k", {}, TIANJIN)}

    def test_only_headers_that_proxies_keep_are_signed(self):
        more = {"Range": "bytes=0-1", "Connection": "close", "User-Agent": "x"}
        sent = signer().sign("GET", "/c-1/k", {}, {**TIANJIN, **more, "content-type": "text/plain"})
        assert "&q-header-list=content-type;host&" in sent["Authorization"]

    def test_a_token_is_sent_and_signed(self):
        sent = signer(security_token="theToken").sign("GET", "/c-1/k", {}, TIANJIN)
        assert sent["x-cdcs-security-token"] == "theToken"
        assert "&q-header-list=host;x-cdcs-security-token&" in sent["Authorization"]
        assert (
            sent["Authorization"]
            != signer(security_token="another").sign("GET", "/c-1/k", {}, TIANJIN)["Authorization"]
        )

    def test_tokens_of_a_provider(self):
        keys = iter([{"secret_id": "a", "secret_key": "b", "security_token": "one", "expires": 1700000061},
                     {"secret_id": "c", "secret_key": "d", "expires": 1700009999}])  # fmt: skip
        now = [1700000000]
        signing = CofferSigner(
            resolve({"region": "ap-tianjin", "credentials": lambda: next(keys)}, protocol=CDCS), lambda: now[0]
        )
        assert signing.sign("GET", "/c-1/k", {}, TIANJIN)["x-cdcs-security-token"] == "one"
        now[0] = 1700000061
        sent = signing.sign("GET", "/c-1/k", {}, TIANJIN)
        assert "x-cdcs-security-token" not in sent
        assert "q-ak=c&" in sent["Authorization"]

    def test_without_keys_nothing_is_signed(self):
        assert signer(anon=True, security_token="theToken").sign("GET", "/c-1/k", {}, TIANJIN) == {}

    def test_it_follows_the_servers_clock(self):
        signing = signer(now=1700000060)
        assert signing.difference("Tue, 14 Nov 2023 23:14:20 GMT") == 3600
        assert signing.adopt_server_date("Tue, 14 Nov 2023 23:14:20 GMT")
        assert not signing.adopt_server_date("Tue, 14 Nov 2023 23:14:21 GMT")
        assert "q-sign-time=1700003600;" in signing.sign("GET", "/c-1/k", {}, TIANJIN)["Authorization"]

    @pytest.mark.parametrize("date", [None, "", "yesterday", "Tue, 14 Nov 2023 22:14:50 GMT"])
    def test_small_differences_and_no_dates_change_nothing(self, date):
        signing = signer(now=1700000060)
        assert not signing.adopt_server_date(date)
        assert "q-sign-time=1700000000;" in signing.sign("GET", "/c-1/k", {}, TIANJIN)["Authorization"]

    def test_nothing_shows_a_secret(self):
        signing = signer(security_token="theToken")
        sent = signing.sign("GET", "/c-1/k", {}, TIANJIN)
        shown = f"{signing!r} {sent!r} {signing.current_keys()!r}"
        assert SECRET_KEY not in shown
        assert "theToken" not in shown
        assert "q-signature" not in shown
