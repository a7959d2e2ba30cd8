"""The check of CDCS signatures: published vectors, requests over real HTTP, and the vendor's own signer."""

import hashlib
import http.client
import warnings
from urllib.parse import quote, urlsplit

import pytest
import requests

from cosv4fs.emulator import CofferDialect
from cosv4fs.emulator.cdcs.signature import http_string, sign, sign_key

from .client import NOW, SECRET_ID, SECRET_KEY
from .coffers import COFFER, authorization

KEY_TIME = "1700000000;1700003600"
IDENTITY = {"secret_id": "AKIDcdcsEXAMPLE", "secret_key": "cdcsExampleSecretKey0123456789ab"}
DATE = ("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
TIANJIN, SERVICE = "cdcs.ap-tianjin.myqcloud.com", "service.cdcs.myqcloud.com"
UPLOAD = "1484727270323ddb949d528c629235314a9ead80f0ba5d993a3d76b460e6a9cceb9633b08e"
CONTENT = "你好 CDCS\n".encode()
V1_HEADERS = [
    ("Host", TIANJIN),
    DATE,
    ("Content-Type", "text/plain"),
    ("Content-Length", "12"),
    ("Content-MD5", "Zsq0WrblanGqi5iYQlXmBw=="),
]
VECTORS = {
    "V1": (
        "PUT",
        f"/{COFFER}/dir/示例 file(1)+a.txt",
        [],
        V1_HEADERS,
        KEY_TIME,
        "67333c5326421f16859d2fcc891b497f9ce94502",
    ),
    "V2": (
        "GET",
        f"/{COFFER}",
        [("prefix", "dir/"), ("marker", "dir/a b.txt"), ("max-keys", "2"), ("encoding-type", "url")],
        [("Host", SERVICE), DATE],
        KEY_TIME,
        "74f70b6f00e65457e7bbb3478461b84230778c77",
    ),
    "V3": (
        "PUT",
        f"/{COFFER}/exampleobject",
        [("partNumber", "1"), ("uploadId", UPLOAD)],
        [("Host", TIANJIN)],
        KEY_TIME,
        "eeda6c617f4a9312dff4067a9c2ca63b5cdd8bfb",
    ),
    "V4": (
        "POST",
        f"/{COFFER}/exampleobject",
        [("uploads", "")],
        [("Host", "cdcs.ap-beijing.myqcloud.com")],
        "1484727259;32557623259",
        "08ed630cb810cd02ced66fe7ecb547811fd41874",
    ),
}
PRINTED_KEY = "eb2519b498b02ac213cb1f3d1a3d27a3b3c9bc5f"
PAGE_HEADERS = [
    ("Date", "Thu, 16 May 2019 06:45:51 GMT"),
    ("Content-Type", "text/plain"),
    ("Content-Length", "13"),
    ("Content-MD5", "mQ/fVh815F3k6TAUm8m0eg=="),
]
BUCKET_HOST = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com"
KEYED_VECTORS = {
    "V5": (
        PRINTED_KEY,
        "PUT",
        "/example-coffer/example-file",
        [],
        [*PAGE_HEADERS, ("Host", "cdcs.ap-beijing.myqcloud.com")],
        "1557989151;1557996351",
        "49d2b740b0ee65bdaca51d8b90a4ddb89ced4a5d",
    ),
    "V6": (
        PRINTED_KEY,
        "PUT",
        "/exampleobject(腾讯云)",
        [],
        [
            *PAGE_HEADERS,
            ("Host", BUCKET_HOST),
            ("x-cos-acl", "private"),
            ("x-cos-grant-read", 'uin="100000000011"'),
        ],
        "1557989151;1557996351",
        "3b8851a11a569213c17ba8fa7dcf2abec6935172",
    ),
    "V7": (
        "937914bf490e9e8c189836aad2052e4feeb35eaf",
        "GET",
        "/exampleobject(腾讯云)",
        [("response-content-type", "application/octet-stream"), ("response-cache-control", "max-age=600")],
        [("Date", "Thu, 16 May 2019 06:55:53 GMT"), ("Host", BUCKET_HOST)],
        "1557989753;1557996953",
        "01681b8c9d798a678e43b685a9f1bba0f6c0e012",
    ),
}


@pytest.mark.parametrize("name", [*VECTORS, *KEYED_VECTORS])
def test_vectors(name):
    if name in VECTORS:
        method, path, params, headers, time, expected = VECTORS[name]
        key = sign_key(IDENTITY["secret_key"], time)
    else:
        key, method, path, params, headers, time, expected = KEYED_VECTORS[name]
    assert sign(key, time, http_string(method, path, params, headers)) == expected
    assert sign(key, time, http_string(method, path + "x", params, headers)) != expected


def test_the_key_and_the_digest_of_the_documentation():
    assert sign_key(IDENTITY["secret_key"], KEY_TIME) == "0b1564680587f5c5a5c6d620532dd51772977205"
    method, path, params, headers, _, _ = VECTORS["V1"]
    text = http_string(method, path, params, headers)
    assert hashlib.sha1(text.encode()).hexdigest() == "0cdef4a3b48cb9a863cf09f09f240be0869d08ca"


def names(pairs):
    return ";".join(sorted(name.lower() for name, _ in pairs))


def send(emulator, name, signature=None, *, lower=True):
    """Send the request of a vector as it is written down; return status and code."""
    method, path, params, headers, time, expected = VECTORS[name]
    query = "&".join(f"{key}={quote(value, '')}" if value else key for key, value in params)
    sent = dict(headers)
    parameter_names = names(params) if lower else ";".join(sorted(key for key, _ in params))
    sent["Authorization"] = (
        f"q-sign-algorithm=sha1&q-ak={IDENTITY['secret_id']}&q-sign-time={time}&q-key-time={time}"
        f"&q-header-list={names(headers)}&q-url-param-list={parameter_names}&q-signature={signature or expected}"
    )
    connection = http.client.HTTPConnection(*urlsplit(emulator.endpoint).netloc.split(":"), timeout=30)
    try:
        body = CONTENT if name == "V1" else b""
        target = quote(path, safe="/") + ("?" + query if query else "")
        connection.request(method, target, body=body, headers=sent)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, text.partition('"Code": "')[2].partition('"')[0]
    finally:
        connection.close()


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_as_requests(make_coffers, name):
    service = make_coffers(**IDENTITY).emulator
    # there is nothing to upload a part to, but the signature is good
    right = (404, "NoSuchUpload") if name == "V3" else (200, "")
    assert send(service, name) == right
    assert send(service, name, "0" * 40) == (401, "AuthFailed")


def test_names_that_are_not_lower_case(make_coffers):
    lenient = "7711442a4bb50366cba8a8dc968decb55b8b44f9"
    strict = make_coffers(**IDENTITY).emulator
    assert send(strict, "V3", lenient, lower=False) == (401, "AuthFailed")
    assert send(strict, "V3", lower=False) == (404, "NoSuchUpload")  # the list may be mixed, the signed text not
    tolerant = make_coffers(dialect=CofferDialect(signature_names="any"), **IDENTITY).emulator
    assert send(tolerant, "V3", lenient, lower=False) == (404, "NoSuchUpload")
    assert send(tolerant, "V3") == (404, "NoSuchUpload")


@pytest.mark.parametrize(
    "identity",
    [
        {"k": "AKIDsomebodyElse"},
        {"secret": "another key"},
        {"span": (NOW - 100, NOW - 1)},
        {"span": (NOW + 1, NOW + 100)},
    ],
)
def test_refused_identities(coffers, identity):
    assert coffers.of_coffer("GET").status == 200
    assert coffers.of_coffer("GET", **identity).code == "AuthFailed"
    assert coffers.of_coffer("GET", **identity).status == 401
    assert coffers.of_object("PUT", "f", body=b"x", **identity).code == "AuthFailed"
    assert coffers.head("f").status == 404


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "q-sign-algorithm=sha1",
        "&&&===;;;",
        "q-sign-algorithm=md5&q-ak=a&q-sign-time=1;2&q-key-time=1;2&q-header-list=&q-url-param-list=&q-signature=x",
        (
            f"q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time=1&q-key-time=1;2&q-header-list=&q-url-param-list="
            "&q-signature=x"
        ),
        (
            f"q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time={'9' * 400};2&q-key-time=1;2&q-header-list="
            "&q-url-param-list=&q-signature=\xff"
        ),
    ],
)
def test_broken_signatures(coffers, text):
    answer = coffers.raw("GET", f"/{COFFER}", headers={"Authorization": text})
    assert (answer.status, answer.code) == (401, "AuthFailed")
    assert coffers.raw("GET", f"/{COFFER}").code == "AuthFailed"


def test_what_is_signed_cannot_be_changed(coffers):
    host = urlsplit(coffers.emulator.endpoint).netloc
    headers = {"Host": host, "Authorization": authorization("GET", f"/{COFFER}", [("prefix", "a")], [("Host", host)])}
    assert coffers.raw("GET", f"/{COFFER}?prefix=a", headers=headers).status == 200
    changes = [f"/{COFFER}?prefix=b", f"/{COFFER}", f"/{COFFER}?prefix=a&marker=b", f"/{COFFER}?prefix=a&prefix=b"]
    for target in [*changes, f"/{COFFER}/f?prefix=a"]:
        assert coffers.raw("GET", target, headers=headers).status == 401, target
    assert coffers.raw("PUT", f"/{COFFER}?prefix=a", headers=headers).code == "AuthFailed"
    assert coffers.raw("GET", f"/{COFFER}?prefix=a", headers=headers | {"Host": "elsewhere"}).code == "AuthFailed"


def test_coverage(make_coffers):
    more = {"Content-Type": "text/plain", "Date": "Tue, 14 Nov 2023 22:13:20 GMT", "Content-Length": "1"}
    usual, strict, loose = (
        make_coffers(dialect=CofferDialect(signed_parts=wish)) for wish in ("parameters", "everything", "nothing")
    )
    every = ("host", "content-type", "date", "content-length")
    for coffers, host_only, nothing in ((usual, 200, 401), (strict, 401, 401), (loose, 200, 200)):
        assert coffers.of_object("PUT", "a", body=b"x", headers=more).status == host_only
        assert coffers.of_object("PUT", "b", body=b"x", headers=more, signed=every).status == 200
        assert coffers.of_object("PUT", "c", body=b"x", headers=more, signed=()).status == nothing
    for coffers, unsigned in ((usual, 401), (strict, 401), (loose, 200)):
        netloc = urlsplit(coffers.emulator.endpoint).netloc
        headers = {"Host": netloc, "Authorization": authorization("GET", f"/{COFFER}", [], [("Host", netloc)])}
        assert coffers.raw("GET", f"/{COFFER}?prefix=a", headers=headers).status == unsigned


def test_host_forms(make_coffers):
    for wish, with_port, bare in (("both", 200, 200), ("as-sent", 200, 401), ("bare", 401, 200)):
        coffers = make_coffers(dialect=CofferDialect(signed_host=wish))
        netloc = urlsplit(coffers.emulator.endpoint).netloc
        for host, expected in ((netloc, with_port), (netloc.partition(":")[0], bare)):
            headers = {"Host": netloc, "Authorization": authorization("GET", f"/{COFFER}", [], [("Host", host)])}
            assert coffers.raw("GET", f"/{COFFER}", headers=headers).status == expected


def test_any_host_is_accepted(coffers):
    for host in (TIANJIN, SERVICE, "examplecoffer-1250000000.example.com:80"):
        assert coffers.of_coffer("GET", host=host).status == 200


def test_temporary_keys(make_coffers, coffers):
    temporary = make_coffers(token="session token")
    assert temporary.emulator.storage_options["security_token"] == "session token"
    assert "security_token" not in coffers.emulator.storage_options
    assert temporary.put("f").code == "AuthFailed"
    assert temporary.put("f", x_cdcs_security_token="another").code == "AuthFailed"
    assert temporary.put("f", x_cdcs_security_token="session token").status == 200
    assert coffers.put("f", x_cdcs_security_token="session token").code == "AuthFailed"


def test_the_clock_of_the_service(coffers):
    coffers.emulator.clock_offset = 3600
    assert coffers.of_coffer("GET").code == "AuthFailed"
    coffers.emulator.clock_offset = 0
    assert coffers.of_coffer("GET").status == 200


def test_the_vendors_signer(make_coffers):
    """`CosS3Auth` of the vendor's SDK signs for coffers when the coffer is passed as part of the key."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdk = pytest.importorskip("qcloud_cos")
    import time

    coffers = make_coffers(clock=time.time)
    config = sdk.CosConfig(Region="ap-tianjin", SecretId=SECRET_ID, SecretKey=SECRET_KEY)
    with requests.Session() as session:
        session.trust_env = False

        def ask(method, path, params, **more):
            auth = sdk.CosS3Auth(config, path, params)
            url = coffers.emulator.endpoint + quote(path)
            return session.request(method, url, params=params, auth=auth, timeout=30, **more)

        key = f"/{COFFER}/目录/a b+c(1).txt"
        assert ask("PUT", key, {}, data=b"by the vendor", headers={"Content-Type": "text/plain"}).status_code == 200
        assert ask("GET", key, {}, headers={"Range": "bytes=3-5"}).content == b"the"
        upload = ask("POST", f"/{COFFER}/parts", {"uploads": ""}).json()["UploadId"]
        etag = ask("PUT", f"/{COFFER}/parts", {"partNumber": "1", "uploadId": upload}, data=b"x").headers["ETag"]
        body = f'{{"Part":[{{"PartNumber":1,"ETag":{etag}}}]}}'
        assert ask("POST", f"/{COFFER}/parts", {"uploadId": upload}, data=body).status_code == 200
        listed = ask("GET", f"/{COFFER}", {"prefix": "目录/a b", "max-keys": "5"}).json()
        assert [entry["Key"] for entry in listed["Contents"]] == ["目录/a b+c(1).txt"]
        assert session.get(f"{coffers.emulator.endpoint}/{COFFER}", timeout=30).status_code == 401
