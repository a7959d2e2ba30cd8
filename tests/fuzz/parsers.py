"""Parsers without a network: replies, pages, signatures, forms, paths; the two sides against each other."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
from dataclasses import fields
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import strategies as st

from cosv4fs import paths
from cosv4fs.api.cos.listing import DirectoryPager
from cosv4fs.api.cos.replies import (
    Entry,
    Page,
    PathStatus,
    ReceivedSlice,
    SliceSession,
    UnfinishedUpload,
    UploadedObject,
)
from cosv4fs.api.cos.signing import Signer, encode_key
from cosv4fs.api.fields import Fields
from cosv4fs.api.quirks import Quirks
from cosv4fs.api.request import form_body, json_body
from cosv4fs.config import resolve
from cosv4fs.emulator import Dialect
from cosv4fs.emulator.call import Head, ObjectPath, decode
from cosv4fs.emulator.cos.call import CosCall, read_body, read_query
from cosv4fs.emulator.cos.signature import Kind, check_signature
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.service import Account
from cosv4fs.errors import CosError
from tests.fuzz.mutations import JSON, NAMES, NUMBERS, edited, edits, replaced, replacements
from tests.fuzz.targets import check_error, target

SHA = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
GOOD: dict[str, Any] = {
    "name": "x", "session": "s" * 20, "slice_size": 1048576, "serial_upload": 1, "offset": 0, "datalen": 5,
    "filesize": 10, "filelen": 10, "listparts": [{"offset": 0, "datalen": 10}], "sha": SHA, "ctime": 1, "mtime": "2",
    "biz_attr": "", "authority": "eInvalid", "custom_headers": {"Cache-Control": "no"}, "slicesize": 0, "forbid": 0,
    "access_url": "http://x", "url": "http://y",
}  # fmt: skip
PARSERS = {
    "uploaded": UploadedObject.parse,
    "session": SliceSession.parse,
    "slice": lambda values: ReceivedSlice.parse(values, "s"),
    "unfinished": UnfinishedUpload.parse,
    "entry": Entry.parse,
    "directory": lambda values: PathStatus.parse(values, is_directory=True),
    "file": lambda values: PathStatus.parse(values, is_directory=False),
}
NUMBER_FIELDS = {"slice_size", "offset", "length", "filesize", "size", "stored", "created", "modified", "forbid"}


@target(
    st.tuples(st.sampled_from(sorted(PARSERS)), replacements(5).map(lambda changes: replaced(GOOD, changes)) | JSON),
    pinned=[
        ("file", GOOD),
        ("entry", {"name": "a/..", "filesize": 1}),
        ("entry", {"name": "../x", "filesize": 1}),
        ("entry", {"name": "a\0b", "filesize": 1}),
        ("entry", {"name": "\ud800", "filesize": 1}),
    ],
    weight=20,
)
def check_reply_fields(_: None, case: Any) -> None:
    """Any JSON becomes a value of the declared types, or an `OSError`."""
    name, values = case
    try:
        value = PARSERS[name](Fields(values, "stat", "b/x"))
    except CosError as error:
        check_error(error)
        return
    for field in fields(value):
        item = getattr(value, field.name)
        if field.name in NUMBER_FIELDS and item is not None:
            assert type(item) is int
            assert 0 <= item < 2**63
    if isinstance(value, Entry) and value.name:
        # one level down, a name that the service, a URL and a local disk can carry
        assert paths.split(f"b/d/{value.name}") == ("b", f"d/{value.name}")
        assert "/" not in value.name
        assert "\0" not in value.name
        assert value.name in values["name"]


PAGES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b", "c", "d"]), st.sampled_from([True, False, None])),
    min_size=1,
    max_size=8,
)


@target(PAGES, pinned=[[(1, "a", None), (0, "", True)], [(2, "a", False), (2, "a", False)]], weight=20)
def check_pages(_: None, pages: list[tuple[int, str, bool | None]]) -> None:
    """Whatever pages say about each other, the pager ends, with every entry of the pages that it asked for."""
    asked = []

    def list_page(bucket: str, key: str, *, num: int, context: str = "", prefix: str = "") -> Page:
        assert len(asked) < 20
        count, following, last = pages[len(asked) % len(pages)]
        asked.append(context)
        return Page(tuple(Entry(f"{len(asked)}-{number}", False) for number in range(count)), following, last)

    names = []
    try:
        names = [entry.name for entry in DirectoryPager(list_page, 1000, Quirks()).entries("b", "/d/")]
    except CosError as error:
        check_error(error)
        return
    assert len(names) == sum(pages[number % len(pages)][0] for number in range(len(asked)))
    assert asked[0] == ""
    assert len(set(asked)) == len(asked)


KEYS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
        lambda name: name not in (".", "..")
    ),
    min_size=1,
    max_size=4,
).map(lambda names: "/" + "/".join(names))
ACCOUNT = {"appid": "1250000000", "secret_id": "AKIDfuzz", "secret_key": "fuzz", "region": "gz"}
NOW = 1_700_000_000


@target(
    st.tuples(KEYS, KEYS, st.sampled_from(["multi", "single", "download"]), st.booleans()),
    pinned=[("/a", "/a", "single", False), ("/a%41", "/aA", "single", False), ("/a+b", "/a b", "download", False)],
    weight=10,
)
def check_signing(_: None, case: Any) -> None:
    """What the client signs, the service accepts for the same key, and for no other unless it begins alike."""
    key, other, kind, later = case
    clock = [float(NOW)]
    signer = Signer(resolve(ACCOUNT), lambda: clock[0])
    make = {"multi": lambda: signer.multi("b"), "single": lambda: signer.single("b", key)}
    text = make.get(kind, lambda: signer.download("b", key, 100))()
    account = Account(*(ACCOUNT[name] for name in ("appid", "secret_id", "secret_key")))
    wanted: Kind = "single" if kind == "single" else "multi"
    options = {"account": account, "dialect": Dialect(), "kind": wanted, "download": kind == "download"}
    assert decode(encode_key(key)) == key
    check_signature(text, ObjectPath("b", key), now=NOW + 1, **options)
    refusal = 0
    try:
        check_signature(text, ObjectPath("b", other), now=NOW + 1, **options)
    except ApiError as error:
        refusal = error.code
    assert refusal in (0, -63)
    assert (refusal == 0) == (kind == "multi" or key == other or (kind == "download" and other.startswith(key)))
    with pytest.raises(ApiError):
        check_signature(text, ObjectPath("other", key), now=NOW + 1, **options)
    if later and kind != "single":
        with pytest.raises(ApiError):
            check_signature(text, ObjectPath("b", key), now=NOW + 10**6, **options)


VALUES = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8).filter(lambda name: name != "filecontent"),
    st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["\r\n", "\r\n--", "--", "\0", "a=b&c", "文"]),
    max_size=5,
)
CONTENT = st.none() | st.binary(max_size=80) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--cosv4fs-", b"\0" * 70000])


@target(
    st.tuples(VALUES, CONTENT, st.integers(1, 3), st.sampled_from([None, "text/plain", "image/x; a=b"])),
    pinned=[({"op": "upload"}, b"", 1, None), ({"x": "\r\n--"}, b"\r\n--cosv4fs-\r\n\r\n", 2, "text/plain")],
    weight=20,
)
def check_forms(_: None, case: Any) -> None:
    """What the client encodes, the service reads: forms with a content in pieces, and JSON."""
    values, content, pieces, kind = case
    step = max(1, len(content or b"") // pieces)
    views = [memoryview(content)[at : at + step] for at in range(0, len(content), step)] if content else []
    body = form_body(values, None if content is None else views, kind)
    raw = bytearray(b"".join(body))
    assert len(raw) == len(body)
    room = raw + b"left from before --\r\n"
    call = received(memoryview(room)[: len(raw)], room, body.content_type)
    assert call.values == values
    assert call.is_form
    assert (None if call.content is None else bytes(call.content)) == content
    assert content is None or call.content_type == kind
    raw = bytearray(b"".join(json_body(values)))
    assert received(memoryview(raw), raw, "application/json").values == values


def received(body: memoryview, buffer: bytearray, kind: str, query: dict[str, str] | None = None) -> CosCall:
    """Return the request of a body in a buffer."""
    call = CosCall(Head(headers={"content-type": kind}), "", threading.Event(), lambda: None, query=query or {})
    read_body(call, body, buffer)
    return call


FORM = b"".join(
    b'--XyZ\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
    for pair in ((b"op", b"upload_slice_init"), (b"filesize", b"10"), (b"filecontent", b"content"), (b"sha", b"f" * 40))
)
BODIES = {
    "multipart/form-data; boundary=XyZ": FORM + b"--XyZ--\r\n",
    "application/json": json.dumps({"op": "update", "custom_headers": {"Cache-Control": "no"}, "flag": 65}).encode(),
    "application/x-www-form-urlencoded": b"op=move&dest_fileid=%2Fa%20b&to_over_write=1",
}


@target(
    st.tuples(st.sampled_from(sorted(BODIES)), edits(6), st.booleans()),
    pinned=[("application/json", [], False), ("multipart/form-data; boundary=XyZ", [], False)],
    weight=20,
)
def check_request_bodies(_: None, case: Any) -> None:
    """A damaged body becomes parameters that can be asked for, or an error of the service."""
    kind, changes, mixed = case
    raw = bytearray(edited(BODIES[kind], changes))
    room = raw + FORM  # what an earlier request left behind must not be read
    try:
        call = received(memoryview(room)[: len(raw)], room, kind, {"op": "x"} if mixed else {})
    except ApiError as error:
        _check_refusal(error, bool(changes))
        return
    if not changes:
        assert "op" in call.values
    if call.content is not None:
        assert bytes(call.content) in bytes(raw)
    for name in call.values:
        for read in (
            lambda name=name: call.text(name),
            lambda name=name: call.whole(name, missing=-1, bad=-2),
            lambda name=name: call.flag(name, default=True),
            call.sha,
        ):
            with contextlib.suppress(ApiError):
                read()


def _check_refusal(error: ApiError, expected: bool) -> None:
    assert expected
    assert error.status == 400
    assert error.code < 0
    assert error.message


QUERIES = edits(6).map(lambda changes: edited(b"op=list&num=10&sign=a+b", changes).decode("latin-1"))


@target(st.text(st.characters(max_codepoint=255), max_size=40) | QUERIES, weight=20)
def check_queries(_: None, raw: str) -> None:
    """A query is read or refused; a plus in a signature stays one."""
    try:
        values = read_query(raw)
    except ApiError as error:
        _check_refusal(error, expected=True)
        return
    signs = [pair.partition("=")[2] for pair in raw.split("&") if unquote(pair.partition("=")[0]).lower() == "sign"]
    if signs:
        assert values["sign"].count("+") >= signs[-1].count("+")


@target(
    st.lists(NAMES | KEYS, max_size=4).map("/".join) | st.text(max_size=30),
    pinned=["b/d/..", "b//x", "b/\ud800", "", "/", "b", "b/d/.x.cosv4-0123456789abcdef"],
    weight=20,
)
def check_paths(_: None, path: str) -> None:
    """A path is taken apart and put together again without a change, or refused."""
    try:
        bucket, rest = paths.split(path)
    except OSError as error:
        check_error(error)
        return
    assert path.strip("/") == (f"{bucket}/{rest}" if rest else path.strip("/"))
    for make in (paths.file_key, paths.directory_key):
        try:
            made, key = make(path)
        except IsADirectoryError:
            assert not rest
            continue
        assert made == bucket
        assert paths.join(made, key) == "/".join(part for part in (bucket, rest) if part)
        assert decode(encode_key(key)) == key
        assert not {"..", "."} & set(key.split("/"))
    if rest:
        hidden = paths.sibling("/" + rest)
        assert paths.is_sibling(hidden)
        assert paths.sibling_target(hidden) == paths.shortened("/" + rest)
        assert len(hidden.rpartition("/")[2].encode()) <= max(255, len(rest.rpartition("/")[2].encode()))


FIELD_TEXTS = NUMBERS.map(str) | NAMES | st.sampled_from(["/1250000000/b/", "/1250000000/b/dir/%EF%BF%BD"])


@target(
    st.tuples(st.sampled_from("abketrf"), st.sampled_from(["drop", "set", "double"]), FIELD_TEXTS, st.booleans()),
    pinned=[("f", "drop", "", False), ("f", "set", "/1250000000/b/dir/%ff", True), ("e", "set", "0", True)],
    weight=10,
)
def check_signed_fields(_: None, case: Any) -> None:
    """Of texts that are signed with the right key, those with wrong fields are refused all the same."""
    name, what, text, single = case
    values = {"a": "1250000000", "k": "AKIDfuzz", "e": str(NOW + 100), "t": str(NOW), "r": "1", "f": "", "b": "b"}
    if single:
        values |= {"e": "0", "f": "/1250000000/b/dir/%EF%BF%BD"}
    pairs = [(key, value) for key, value in values.items() if (key, what) != (name, "drop")]
    pairs = [(key, text if (key, what) == (name, "set") else value) for key, value in pairs]
    pairs += [(name, text)] if what == "double" else []
    try:
        plain = "&".join("=".join(pair) for pair in pairs).encode()
    except UnicodeEncodeError:
        return
    signed = base64.b64encode(hmac.new(b"fuzz", plain, hashlib.sha1).digest() + plain).decode()
    account = Account("1250000000", "AKIDfuzz", "fuzz")
    kind: Kind = "single" if single else "multi"
    try:
        found = check_signature(signed, ObjectPath("b", "/dir/�"), account, Dialect(), now=NOW + 1, kind=kind)
    except ApiError as error:
        _check_refusal(error, (what, text) != ("set", values[name]))
        return
    said = dict(pair.partition("=")[::2] for pair in plain.decode().split("&"))
    assert (said["a"], said["k"], said["b"]) == ("1250000000", "AKIDfuzz", "b")
    assert found.single == single
    fileid = unquote(said.get("f", ""), errors="strict")
    full = "/1250000000/b/dir/�"
    assert fileid == full if single else full.startswith(fileid)
    assert single or float(said["e"]) > NOW + 1
