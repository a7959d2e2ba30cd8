"""Coffers and objects: every operation, and that objects are never changed."""

import hashlib
import json

import pytest

from .client import NOW
from .coffers import COFFER, md5

DAY = 86400
RULE = {"Rule": [{"Expiration": {"Days": 30}}]}
POLICY = {
    "Statement": [
        {
            "Principal": {"qcs": ["qcs::cam::uin/100000000001:uin/100000000011"]},
            "Effect": "allow",
            "Action": ["name/cdcs:GetCoffer"],
            "Resource": [f"qcs::cdcs::uid/1250000000:{COFFER}/*"],
        }
    ],
    "version": "2.0",
}


def put_lifecycle(coffers, body, **more):
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    return coffers.of_coffer("PUT", {"lifecycle": None}, body=content, headers={"Content-MD5": md5(content)}, **more)


def test_coffers_are_made_and_removed(coffers):
    name = "second-1250000000"
    answer = coffers.make(name)
    assert (answer.status, answer.body) == (200, b"")
    assert coffers.make(name).code == "CofferAlreadyOwnedByYou"
    service = coffers.call("GET", "/").json
    assert service["Owner"] == {"ID": "1250000000", "DisplayName": "1250000000"}
    assert [coffer["Name"] for coffer in service["Coffers"]["Coffer"]] == [COFFER, name]
    assert service["Coffers"]["Coffer"][1] == {
        "Name": name,
        "Locations": {"Location": ["ap-tianjin"]},
        "CreationDate": "2023-11-15T06:13:20+08:00",
    }
    answer = coffers.of_coffer("DELETE", coffer=name)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (204, b"", None)
    assert coffers.of_coffer("DELETE", coffer=name).code == "NoSuchCoffer"
    assert coffers.make(name).status == 200


def test_only_empty_coffers_are_removed(coffers):
    coffers.put("f")
    assert coffers.of_coffer("DELETE").code == "CofferNotEmpty"
    coffers.make("second-1250000000")
    other = type(coffers)(coffers.emulator, "second-1250000000")
    upload = other.begin("u")
    assert other.of_coffer("DELETE").code == "CofferNotEmpty"
    assert other.abort("u", upload).status == 204
    assert other.of_coffer("DELETE").status == 204


def test_twenty_coffers(coffers):
    for number in range(19):
        assert coffers.make(f"c{number}-1250000000").status == 200
    answer = coffers.make("more-1250000000")
    assert (answer.status, answer.code) == (409, "CofferCountExceedsLimit")
    assert coffers.of_coffer("DELETE", coffer="c3-1250000000").status == 204
    assert coffers.make("more-1250000000").status == 200


@pytest.mark.parametrize(
    "name",
    ["Upper-1250000000", "nonumber", "a_b-1250000000", "x" * 36 + "-1250000000", "other-1250000001", "-1-x", "é-1"],
)
def test_bad_coffer_names(coffers, name):
    assert (coffers.make(name).status, coffers.make(name).code) == (400, "InvalidCofferName")


@pytest.mark.parametrize(
    "fields",
    [
        {"Locations": None},
        {"Locations": {"Location": []}},
        {"Locations": {"Location": "ap-tianjin"}},
        {"Locations": {"Location": [1]}},
        {"Locations": {"Location": ["\ud800"]}},
        {"EncryptType": 3},
        {"EncryptType": True},
        {"EncryptType": [1]},
        {"EncryptType": 2},
        {"EncryptType": 0, "KeyId": "k"},
        {"EncryptType": 2, "KeyId": 5},
    ],
)
def test_bad_coffers(coffers, fields):
    assert coffers.make("second-1250000000", **fields).code == "InvalidArgument"


def test_the_settings_of_a_coffer(coffers):
    fields = {"Locations": {"Location": ["ap-x", "ap-y"]}, "EncryptType": 2, "KeyId": "k", "KeyRegion": "ap-x"}
    assert coffers.make("second-1250000000", **fields).status == 200
    answer = coffers.of_coffer("GET", coffer="second-1250000000")
    assert {name: answer.json[name] for name in fields} == fields
    assert answer.headers["x-cdcs-coffer-region"] == "ap-x"


def test_an_object_is_written_once(coffers, clock):
    answer = coffers.put("d/示例 a+b.txt", b"first", Content_Type="text/plain", Content_MD5=md5(b"first"))
    etag = f'"{hashlib.md5(b"first").hexdigest()}"'
    assert (answer.status, answer.body, answer.headers["ETag"]) == (200, b"", etag)
    clock.now = NOW + 5
    answer = coffers.put("d/示例 a+b.txt", b"second")
    assert (answer.status, answer.code) == (409, "ObjectAlreadyExistsOwnedByYou")
    assert coffers.of_object("POST", "d/示例 a+b.txt", {"uploads": None}).code == "ObjectAlreadyExistsOwnedByYou"
    whole, head = coffers.get("d/示例 a+b.txt"), coffers.head("d/示例 a+b.txt")
    assert (whole.status, whole.body) == (200, b"first")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "5")
    for shown in (whole, head):
        assert shown.headers["ETag"] == etag
        assert shown.headers["Content-Type"] == "text/plain"
        assert shown.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert shown.headers["Server"] == "tencent-cdcs"
        assert shown.headers["x-cdcs-request-id"]
        assert shown.headers["x-cdcs-trace-id"] is None
    assert coffers.listed()["Contents"] == [
        {
            "Key": "d/示例 a+b.txt",
            "LastModified": "2023-11-15T06:13:20+08:00",
            "ETag": etag,
            "Size": 5,
            "Owner": {"ID": "1250000000", "DisplayName": "1250000000"},
        }
    ]


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("DELETE", {}, {}),
        ("POST", {}, {}),
        ("POST", {"append": None, "position": 0}, {}),
        ("POST", {"restore": None}, {}),
        ("PUT", {"acl": None}, {}),
        ("GET", {"tagging": None}, {}),
        ("PUT", {}, {"x-cos-copy-source": "/a/b"}),
        ("PUT", {}, {"x-cdcs-copy-source": "/a/b"}),
        ("PATCH", {}, {}),
        ("PUT", {"uploads": None}, {}),
    ],
)
def test_unsupported_operations_on_objects(coffers, method, query, headers):
    coffers.put("f", b"kept")
    answer = coffers.of_object(method, "f", query, headers=headers, body=b"x" if method != "GET" else None)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert coffers.get("f").body == b"kept"


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("HEAD", {}),
        ("POST", {}),
        ("POST", {"delete": None}),
        ("DELETE", {"lifecycle": None}),
        ("PUT", {"uploads": None}),
        ("GET", {"versions": None}),
        ("POST", {"policy": None}),
    ],
)
def test_unsupported_operations_on_coffers(coffers, method, query):
    assert coffers.of_coffer(method, query).status == 405
    assert coffers.call("PUT", "/").status == coffers.call("GET", "//f").status == 405


def test_the_body_of_errors(coffers):
    answer = coffers.get("nothing here")
    error = json.loads(answer.body)
    assert (answer.status, error["Code"]) == (404, "ObjectNotExists")
    assert set(error) == {"Code", "Message", "Resource", "RequestId", "TraceId"}
    assert error["Resource"] == f"/{COFFER}/nothing here"
    assert error["RequestId"] == answer.headers["x-cdcs-request-id"]
    assert error["TraceId"] == answer.headers["x-cdcs-trace-id"]
    missing = coffers.head("nothing here")
    assert (missing.status, missing.body) == (404, b"")


def test_missing_coffers(coffers):
    for method, query in (
        ("GET", {}),
        ("GET", {"lifecycle": None}),
        ("GET", {"policy": None}),
        ("GET", {"uploads": None}),
    ):
        answer = coffers.of_coffer(method, query, coffer="gone-1250000000")
        assert (answer.status, answer.code) == (404, "CofferNotFound")
    assert put_lifecycle(coffers, RULE, coffer="gone-1250000000").code == "NoSuchCoffer"
    assert coffers.of_coffer("GET", coffer="Bad").code == "InvalidCofferName"
    for policy in ("PUT", "DELETE"):
        answer = coffers.of_coffer(policy, {"policy": None}, body=POLICY, coffer="gone-1250000000")
        assert answer.code == "CofferNotFound"
    other = type(coffers)(coffers.emulator, "gone-1250000000")
    for answer in (
        other.put("f"),
        other.get("f"),
        other.of_object("POST", "f", {"uploads": None}),
        other.parts("f", "u"),
    ):
        assert answer.code == "CofferNotFound"
    assert other.head("f").status == 404


def test_contents_that_are_refused(coffers):
    assert (coffers.put("f", b"").status, coffers.put("f", b"").code) == (400, "ObjectEmpty")
    assert coffers.put("f", b"x", Content_MD5=md5(b"y")).code == "InvalidArgument"
    assert coffers.put("f", b"x", Content_MD5="nonsense").code == "InvalidArgument"
    for key in ("/f", "\\f", "x" * 851, "a\x18b", "a\0b"):
        assert coffers.put(key).code == "InvalidObjectKey", key
        assert coffers.of_object("POST", key, {"uploads": None}).code == "InvalidObjectKey"
    assert coffers.names() == []
    assert list((coffers.emulator.root / "blobs").iterdir()) == []
    assert coffers.put("x" * 850).status == 200


def test_keys_are_only_names(coffers):
    keys = ["../../etc/passwd", "a//b", "a/./b", ".", "..", "c:\\d", "%2e%2e", "a\nb", "dir/", "💾", "a?b#c&d=e"]
    for key in keys:
        assert coffers.put(key, key.encode()).status == 200, key
    for key in keys:
        assert coffers.get(key).body == key.encode()
    assert coffers.names() == sorted(keys, key=lambda key: key.encode())
    root = coffers.emulator.root
    stored = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith("emulator.")]
    assert len(stored) == len(keys)
    assert all(path.parent == root / "blobs" and path.name.isalnum() for path in stored)


CONTENT = bytes(range(256)) * 4


def test_listings(coffers):
    keys = sorted(f"{folder}/{number}" for folder in ("a", "b", "b2") for number in range(4))
    for key in reversed(keys):
        coffers.put(key)
    assert coffers.names() == keys
    assert coffers.names(prefix="b/") == [f"b/{number}" for number in range(4)]
    assert coffers.names(prefix="b/", marker="b/1") == ["b/2", "b/3"]
    assert coffers.names(prefix="c") == []
    assert coffers.names(delimiter="/") == keys  # there is none: it is ignored
    found, marker, pages = [], "", 0
    while True:
        page = coffers.listed(max_keys=5, marker=marker)
        found += [entry["Key"] for entry in page["Contents"]]
        pages += 1
        if page["IsTruncated"] == "false":
            break
        assert page["NextMarker"] == found[-1]
        marker = page["NextMarker"]
    assert (found, pages, page["NextMarker"]) == (keys, 3, "")
    assert coffers.listed(max_keys=12)["IsTruncated"] == "false"
    assert coffers.listed(max_keys=5000)["MaxKeys"] == 1000


def test_url_encoded_listings(coffers):
    coffers.put("目/a b")
    coffers.put("目/c")
    page = coffers.listed(encoding_type="url", prefix="目/", max_keys=1)
    assert page["Contents"][0]["Key"] == page["NextMarker"] == "%E7%9B%AE%2Fa%20b"
    assert (page["EncodingType"], page["Prefix"]) == ("url", "%E7%9B%AE%2F")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"max-keys": 0}, "InvalidArgument"),
        ({"max-keys": -1}, "InvalidArgument"),
        ({"max-keys": "x"}, "InvalidArgument"),
        ({"max-keys": "٣"}, "InvalidArgument"),
        ({"max-keys": ""}, "InvalidArgument"),
        ({"encoding-type": "xml"}, "InvalidArgument"),
        ({"prefix": "x" * 851}, "InvalidObjectPrefix"),
        ({"prefix": "/x"}, "InvalidObjectPrefix"),
    ],
)
def test_bad_listings(coffers, query, code):
    answer = coffers.of_coffer("GET", query)
    assert (answer.status, answer.code) == (400, code)


def test_trailing_slash(coffers):
    coffers.put("f")
    assert coffers.call("GET", f"/{COFFER}/").json["Contents"][0]["Key"] == "f"
    assert coffers.call("GET", f"/{COFFER}/", {"uploads": None}).json["Upload"] == []


def test_lifecycle(coffers, clock):
    answer = coffers.of_coffer("GET", {"lifecycle": None})
    assert (answer.status, answer.code) == (404, "NoSuchLifecycleConfiguration")
    coffers.put("old")
    assert put_lifecycle(coffers, RULE).status == 200
    assert coffers.of_coffer("GET", {"lifecycle": None}).json == RULE
    coffers.emulator.clock_offset, span = 29 * DAY, (0, NOW + 10000 * DAY)
    coffers.identity["span"] = span
    assert coffers.put("young").status == 200
    coffers.emulator.clock_offset = 30 * DAY - 1
    assert coffers.names() == ["old", "young"]
    clock.now = NOW + 1
    assert coffers.names() == ["young"]
    assert coffers.get("old").code == "ObjectNotExists"
    assert len(list((coffers.emulator.root / "blobs").iterdir())) == 1
    assert coffers.put("old", b"again").status == 200
    assert coffers.of_coffer("DELETE").code == "CofferNotEmpty"
    coffers.emulator.clock_offset = 61 * DAY
    assert coffers.head("young").status == 404
    assert coffers.of_coffer("DELETE").status == 204


def test_a_lifecycle_without_days_removes_nothing(coffers):
    coffers.identity["span"] = (0, NOW + 10000 * DAY)
    coffers.put("f")
    assert put_lifecycle(coffers, RULE).status == 200
    for rule in ({"Rule": [{}]}, {"Rule": [{"Expiration": {}}]}):
        assert put_lifecycle(coffers, rule).status == 200
    assert coffers.of_coffer("GET", {"lifecycle": None}).json == {"Rule": [{}]}
    coffers.emulator.clock_offset = 4000 * DAY
    assert coffers.names() == ["f"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "MalformedXML"),
        (b"[]", "MalformedXML"),
        ({}, "InvalidArgument"),
        ({"Rule": []}, "InvalidArgument"),
        ({"Rule": [5]}, "InvalidArgument"),
        ({"Rule": [{"Expiration": 5}]}, "InvalidArgument"),
        *(
            ({"Rule": [{"Expiration": {"Days": days}}]}, "InvalidLifeCycle")
            for days in (0, -1, 3651, 10**30, 1.5, "30", True, None, [])
        ),
    ],
)
def test_bad_lifecycles(coffers, body, code):
    answer = put_lifecycle(coffers, body)
    assert (answer.status, answer.code) == (400, code)
    assert coffers.of_coffer("GET", {"lifecycle": None}).status == 404


def test_a_lifecycle_needs_its_md5(coffers):
    assert coffers.of_coffer("PUT", {"lifecycle": None}, body=RULE).code == "InvalidArgument"
    headers = {"Content-MD5": md5(b"something else")}
    assert coffers.of_coffer("PUT", {"lifecycle": None}, body=RULE, headers=headers).code == "InvalidArgument"


def test_policies(coffers):
    assert coffers.of_coffer("GET", {"policy": None}).json == {"Statement": [], "version": "2.0"}
    assert coffers.of_coffer("DELETE", {"policy": None}).status == 200
    small = {"statement": [{"effect": "deny", "action": "*", "resource": "*"}], "version": "2.0"}
    for policy in (POLICY, small):
        assert coffers.of_coffer("PUT", {"policy": None}, body=policy).status == 200
        assert coffers.of_coffer("GET", {"policy": None}).json == policy
    assert coffers.put("f").status == 200  # the owner may do everything
    answer = coffers.of_coffer("DELETE", {"policy": None})
    assert (answer.status, answer.body) == (200, b"")
    assert coffers.of_coffer("GET", {"policy": None}).json["Statement"] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", {"Statement": 5}, {"Statement": [5]}, {"Statement": [{"Effect": "maybe"}]}, {}],
)
def test_bad_policies(coffers, body):
    answer = coffers.of_coffer("PUT", {"policy": None}, body=body)
    assert (answer.status, answer.code) == (409, "PolicyFormatCheckFailed")


def test_the_log(coffers):
    coffers.put("f", b"12345")
    coffers.get("f", Range="bytes=1-2")
    coffers.get("g")
    put, got, missed = coffers.emulator.requests
    assert (put.op, put.bucket, put.path, put.status, put.code, put.bytes_in) == ("PutObject", COFFER, "/f", 200, 0, 5)
    assert (got.op, got.range, got.status, got.bytes_out) == ("GetObject", "bytes=1-2", 206, 2)
    assert (missed.status, missed.code) == (404, "ObjectNotExists")
    assert coffers.emulator.count() == {"PutObject": 1, "GetObject": 2}
    coffers.emulator.clear_requests()
    assert coffers.emulator.requests == []
