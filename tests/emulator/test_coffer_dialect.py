"""Every switch of `CofferDialect` makes a difference over the wire."""

import dataclasses
import hashlib
import json

import pytest

from cosv4fs.emulator import CofferDialect

from . import test_coffer_signature
from .client import NOW
from .coffers import COFFER, md5

DAY = 86400
MIB = 1048576


def complete(coffers, key, contents, quote='"'):
    upload = coffers.begin(key)
    tags = [coffers.part(key, upload, *part).headers["ETag"].strip('"') for part in enumerate(contents, 1)]
    return coffers.finish(key, upload, [(number, f"{quote}{tag}{quote}") for number, tag in enumerate(tags, 1)])


def _content_type(coffers):
    return coffers.of_coffer("GET").headers["Content-Type"], coffers.get("x").headers["Content-Type"]


def _error_bodies(coffers):
    answer = coffers.get("x")
    if answer.body.startswith(b"<"):
        assert b"<Code>ObjectNotExists</Code>" in answer.body
        assert b"Resource" not in answer.body
        return answer.headers["Content-Type"]
    return json.loads(answer.body)["Code"]


def _empty_fields(coffers):
    return {"NextMarker", "EncodingType", "KeyId", "KeyRegion"} & coffers.listed().keys()


def _next_marker(coffers):
    coffers.put("a")
    coffers.put("b")
    page = coffers.listed(max_keys=1)
    return page["IsTruncated"], page["NextMarker"]


def _listing_lag(coffers):
    coffers.put("a")
    coffers.put("b")
    seen = [coffers.names(max_keys=1), coffers.names(marker="a"), coffers.names(), coffers.names()]
    assert coffers.head("a").status == 200
    coffers.put("c")
    before = coffers.names()
    coffers.emulator.settle()
    assert coffers.names() == ["a", "b", "c"]
    return [*seen, before]


def _coffer_names(coffers):
    return coffers.make("Long_Name-1250000000").status, coffers.make("x-1250000000").status


def _object_keys(coffers):
    return coffers.put("/a").status, coffers.put("b" * 900).status, coffers.of_coffer("GET", {"prefix": "/"}).status


def _coffer_exists(coffers):
    return coffers.make(COFFER).code


def _missing_coffer(coffers):
    gone = "gone-1250000000"
    return coffers.of_coffer("DELETE", coffer=gone).code, coffers.of_coffer("GET", coffer=gone).code


def _object_exists(coffers):
    coffers.put("f")
    return coffers.put("f").code


def _object_uploading(coffers):
    coffers.begin("f")
    return coffers.put("f").code, coffers.of_object("POST", "f", {"uploads": None}).code


def _empty_objects(coffers):
    answers = [coffers.put("f", b"").code, coffers.part("g", coffers.begin("g"), 1, b"").code]
    return [*answers, coffers.get("f").status]


def _md5_mismatch(coffers):
    return coffers.put("f", b"x", Content_MD5=md5(b"y")).code


def _bad_range(coffers):
    coffers.put("f", b"12345")
    return [(coffers.get("f", Range=text).status, coffers.get("f", Range=text).body[:5]) for text in ("bytes=9-9", "x")]


def _open_ranges(coffers):
    coffers.put("f", b"12345")
    return [coffers.get("f", Range=text).status for text in ("bytes=1-", "bytes=-1", "bytes=1-2")]


def _part_etag(coffers):
    tag = coffers.part("f", coffers.begin("f"), 1, b"x").headers["ETag"]
    hashed = [name for name in ("md5", "sha1") if tag.strip('"') == hashlib.new(name, b"x").hexdigest()]
    return len(tag), hashed, complete(coffers, "g", [b"x"]).status


def _etag_quotes(coffers):
    return complete(coffers, "f", [b"x"], "").code, complete(coffers, "g", [b"x"], '"').code


def _smallest_part(coffers):
    return complete(coffers, "f", [bytes(1_000_000), b"x"]).code


def _first_part(coffers):
    upload = coffers.begin("f")
    coffers.part("f", upload, 5, b"x")
    return coffers.finish("f", upload, [(5, hashlib.md5(b"x").hexdigest())]).code


def _complete_whitespace(coffers):
    answer = complete(coffers, "f", [b"x"])
    assert answer.json["Key"] == "f"
    return answer.body[:1], answer.headers["Content-Length"] is None


def _complete_errors(coffers):
    answer = complete(coffers, "f", [b"x", b"y"])
    assert json.loads(answer.body)["Code"] == "EntityTooSmall"
    assert coffers.head("f").status == 404
    return answer.status, answer.body[:1]


def _second_complete(coffers):
    upload = coffers.begin("f")
    coffers.part("f", upload, 1, b"x")
    return [coffers.finish("f", upload, [(1, hashlib.md5(b"x").hexdigest())]).code for _ in range(2)]


def _missing_upload(coffers):
    return coffers.parts("f", "gone").code


def _part_marker(coffers):
    upload = coffers.begin("f")
    for number in (1, 2, 3):
        coffers.part("f", upload, number, b"x")
    page = coffers.parts("f", upload, part_number_marker=1, max_parts=1).json
    following = coffers.parts("f", upload, part_number_marker=page["NextPartNumberMarker"], max_parts=1).json
    return [p["PartNumber"] for p in (*page["Part"], *following["Part"])], page["NextPartNumberMarker"]


def _part_times(coffers):
    upload = coffers.begin("f")
    coffers.part("f", upload, 1, b"x")
    return coffers.parts("f", upload).json["Part"][0]["LastModified"]


def _upload_id_query(coffers):
    upload = coffers.begin("f")
    answer = coffers.of_object("GET", "f", {"UploadId": upload})
    return answer.status, coffers.of_object("DELETE", "f", {"uploadid": upload}).status


def _upload_id_field(coffers):
    coffers.begin("f")
    return sorted(name for name in coffers.uploads().json["Upload"][0] if name.startswith("U"))


def _upload_marker(coffers):
    for key in ("c", "b", "a"):
        coffers.begin(key)
    page = coffers.uploads(max_uploads=1).json
    following = coffers.uploads(upload_id_marker=page["NextUploadIdMarker"]).json
    assert {entry["Key"] for entry in (*page["Upload"], *following["Upload"])} == {"a", "b", "c"}
    return page["NextUploadIdMarker"] == page["Upload"][0]["Key"]


def _most_uploads_zero(coffers):
    return coffers.uploads(max_uploads=0).status


def _unset_lifecycle_status(coffers):
    answer = coffers.of_coffer("GET", {"lifecycle": None})
    assert answer.code == "NoSuchLifecycleConfiguration"
    return answer.status


def _unset_policy(coffers):
    return coffers.of_coffer("GET", {"policy": None}).status


def _lifecycle_subject(coffers):
    coffers.identity["span"] = (0, NOW + 100 * DAY)
    body = b'{"Rule": [{"Expiration": {"Days": 10}}]}'
    coffers.of_coffer("PUT", {"lifecycle": None}, body=body, headers={"Content-MD5": md5(body)})
    coffers.emulator.clock_offset = 5 * DAY
    coffers.put("f")
    coffers.part("g", coffers.begin("g"), 1, b"x")
    coffers.emulator.clock_offset = 10 * DAY
    return coffers.of_coffer("GET").status, coffers.head("f").status


def _booleans(coffers):
    return coffers.listed()["IsTruncated"]


def _numbers(coffers):
    return coffers.listed()["MaxKeys"]


EXISTS = ["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"]
FIELDS = {"NextMarker", "EncodingType", "KeyId", "KeyRegion"}
ANSWERS = {
    "content_type": {
        "application/json": ("application/json",) * 2,
        "application/xml": ("application/xml",) * 2,
    },
    "error_bodies": {"json": "ObjectNotExists", "xml": "application/xml"},
    "booleans": {"strings": "false", "json": False, "upper-strings": "FALSE"},
    "numbers": {"numbers": 1000, "strings": "1000"},
    "empty_fields": {"empty": FIELDS, "omitted": set()},
    "next_marker": {"last-key": ("true", "a"), "empty": ("true", "")},
    "listing_lag": {
        None: [["a"], ["b"], ["a", "b"], ["a", "b"], ["a", "b", "c"]],
        1: [[], [], ["a", "b"], ["a", "b"], ["a", "b"]],
        2: [[], [], [], ["a", "b"], ["a", "b"]],
    },
    "coffer_names": {"short": (400, 200), "long": (200, 400)},
    "object_keys": {"cos": (400, 400, 400), "any": (200, 200, 200)},
    "coffer_exists": {name: name for name in ("CofferAlreadyOwnedByYou", "CofferAlreadyExists")},
    "missing_coffer": {
        "mixed": ("NoSuchCoffer", "CofferNotFound"),
        "CofferNotFound": ("CofferNotFound",) * 2,
        "NoSuchCoffer": ("NoSuchCoffer",) * 2,
    },
    "object_exists": {name: name for name in EXISTS},
    "object_uploading": {name: (name, name) for name in EXISTS},
    "empty_objects": {"refuse": ["ObjectEmpty", "ObjectEmpty", 404], "accept": [0, 0, 200]},
    "md5_mismatch": {name: name for name in ("InvalidArgument", "BadDigest")},
    "bad_range": {"416": [(416, b'{"Cod')] * 2, "200": [(200, b"12345")] * 2},
    "open_ranges": {"honour": [206] * 3, "ignore": [200, 200, 206], "refuse": [416, 416, 206]},
    "part_etag": {"md5": (34, ["md5"], 200), "sha1": (42, ["sha1"], 200), "encrypted": (34, [], 200)},
    "etag_quotes": {"both": (0, 0), "bare": (0, "InvalidPart"), "quoted": ("InvalidPart", 0)},
    "smallest_part": {MIB: "EntityTooSmall", 1_000_000: 0},
    "first_part": {"one": "InvalidPart", "any": 0},
    "complete_whitespace": {False: (b"{", False), True: (b" ", True)},
    "complete_errors": {"status": (400, b"{"), "late": (200, b" ")},
    "second_complete": {
        "MultipartAlreadyCompleted": [0, "MultipartAlreadyCompleted"],
        "NoSuchUpload": [0, "NoSuchUpload"],
    },
    "missing_upload": {name: name for name in ("NoSuchUpload", "MultipartNotExists")},
    "part_marker": {"exclusive": ([2, 3], "2"), "inclusive": ([1, 2], "2")},
    "part_times": {"iso": "2023-11-15T06:13:20+08:00", "asctime": "Wed Nov 15 06:13:20 2023"},
    "upload_id_query": {"exact": (404, 405), "any": (200, 204)},
    "upload_id_field": {"UploadId": ["UploadId"], "UploadID": ["UploadID"]},
    "upload_marker": {"upload-id": False, "key": True},
    "most_uploads_zero": {"refuse": 400, "accept": 200},
    "unset_lifecycle_status": {404: 404, 400: 400},
    "unset_policy": {"empty": 200, "missing": 404},
    "lifecycle_subject": {"objects": (200, 200), "coffer": (404, 404)},
}
"""What is seen of each switch, by its value; the default comes first."""

ELSEWHERE = {
    "signature_names": test_coffer_signature.test_names_that_are_not_lower_case,
    "signed_parts": test_coffer_signature.test_coverage,
    "signed_host": test_coffer_signature.test_host_forms,
}
"""Switches with a test of their own."""


def test_every_switch_is_tried():
    fields = {field.name: field for field in dataclasses.fields(CofferDialect)}
    assert fields.keys() == ANSWERS.keys() | ELSEWHERE.keys()
    choices = CofferDialect.choices()
    for name, values in ANSWERS.items():
        assert next(iter(values)) == fields[name].default
        if name in choices:
            assert list(values) == list(choices[name])


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ANSWERS.items() for value in values])
def test_switch(make_coffers, name, value):
    coffers = make_coffers(dialect=CofferDialect(**{name: value}))
    assert globals()[f"_{name}"](coffers) == ANSWERS[name][value]


def test_the_exact_name_of_the_upload_id(coffers):
    """Under another name it is no upload id at all: a plain GET of an object that is not there."""
    upload = coffers.begin("f")
    assert coffers.of_object("GET", "f", {"UploadId": upload}).code == "ObjectNotExists"
    assert coffers.parts("f", upload).status == 200
