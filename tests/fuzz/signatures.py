"""Signatures that were damaged in transit: none of them opens anything."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.emulator.client import APPID, NOW, form, once, sign
from tests.fuzz.mutations import Edit, edited, edits
from tests.fuzz.requests import Service, check_shape, service
from tests.fuzz.targets import target

OPS = ("stat", "upload", "delete", "update", "move", "download", "slices")
FLAWS: dict[str, dict[str, Any]] = {
    "none": {},
    "key": {"key": "wrong"},
    "id": {"k": "AKIDnobody"},
    "appid": {"a": "1250000001"},
    "expired": {"e": NOW - 1},
    "from the future": {"e": NOW + 93 * 86400},
    "other bucket": {"b": "other"},
    "other path": {"f": f"/{APPID}/b/d/"},
    "other appid's path": {"f": "/1250000001/b/f"},
    "wrong kind": {"kind": "other"},
}


def is_same(text: bytes, good: str) -> bool:
    """Whether a header's value means the same bytes as the good signature: nothing was changed that counts."""
    words = text.decode("latin-1").strip()
    words = re.sub(r"(?i)\Aauthorization ", "", words).strip().replace(" ", "+")
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", words) or len(words) % 4:
        return False
    return base64.b64decode(words) == base64.b64decode(good)


def _good(op: str, flaw: dict[str, Any]) -> str:
    flaw = dict(flaw)
    single = (op in ("delete", "update")) != (flaw.pop("kind", None) == "other")
    bucket = flaw.pop("b", "b")
    if single:
        return once(bucket, "/f", **{name: value for name, value in flaw.items() if name not in ("e", "f")})
    return sign(bucket, **flaw)


def _is_flawed(op: str, flaw: str) -> bool:
    """Whether the service has to refuse what `_good` makes of this flaw."""
    if op in ("delete", "update") and FLAWS[flaw].keys() <= {"e", "f"}:
        return False  # a single-use signature has both as it must, whatever is wished
    # move takes either kind
    return flaw != "none" and (op, flaw) != ("move", "wrong kind")


def _request(op: str, where: str, text: bytes) -> bytes:
    path, query = f"/files/v2/{APPID}/b/f", []
    method, kind, body = "POST", "application/json", b'{"op":"%s"}' % op.encode()
    if op in ("stat", "download"):
        method, kind, body = "GET", "", b""
        query += ["op=stat"] if op == "stat" else []
    elif op == "upload":
        body, kind = form({"op": "upload", "insertOnly": "0", "filecontent": b"changed"})
    elif op == "move":
        body, kind = form({"op": "move", "dest_fileid": "/moved"})
    elif op == "slices":
        body, kind = form({"op": "upload_slice_init", "insertOnly": "0", "filesize": "5", "slice_size": "524288"})
    header = b""
    if where == "query":
        query.append("sign=" + quote(text, safe=""))
    else:
        header = b"Authorization: " + re.sub(rb"[\r\n]", b"", text) + b"\r\n"
    target_ = path + ("?" + "&".join(query) if query else "")
    head = f"{method} {target_} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + header + b"\r\n" + body


INSIDE = st.lists(
    st.tuples(
        st.sampled_from([b"a=", b"k=", b"e=", b"t=", b"r=", b"f=", b"b=", b"&"]),
        st.sampled_from([b"", b"x", b"&e=0&x=", b"b=b&"]),
    ),
    max_size=2,
)


@target(
    st.tuples(
        st.sampled_from(OPS), st.sampled_from(["header", "query"]), st.sampled_from(sorted(FLAWS)), edits(3), INSIDE
    ),
    bench=service,
    pinned=[
        *((op, "header", "none", [], []) for op in OPS),
        ("stat", "query", "none", [], []),
        ("stat", "header", "none", [Edit("double", 999)], []),
        ("delete", "header", "none", [Edit("insert", 0, 1, b" ")], []),
        ("stat", "header", "none", [], [(b"e=", b"x")]),
        *((op, "header", flaw, [], []) for op in ("stat", "delete", "download") for flaw in sorted(FLAWS)),
    ],
    weight=5,
)
def check_signatures(running: Service, case: Any) -> None:
    """A changed signature is refused and nothing is done; the unchanged one is good, a single-use one only once."""
    op, where, flaw, changes, inside = case
    good = _good(op, FLAWS[flaw])
    raw = base64.b64decode(good)
    for mark, new in inside:
        raw = raw[:20] + raw[20:].replace(mark, mark + new, 1)
    text = edited(base64.b64encode(raw), changes)
    if where == "header":
        text = re.sub(rb"[\r\n]", b"", text)
    refused = _is_flawed(op, flaw) or not is_same(text, good)
    before = running.rows()
    data = _request(op, where, text)
    answers = running.ask(data)
    assert len(answers) == 1
    check_shape(answers[0])
    if refused:
        assert answers[0].status in (400, 403), answers[0]
        assert running.rows() == before
    else:
        assert answers[0].status == 200, answers[0]
        if op in ("delete", "update"):
            assert running.ask(data)[0].code == -77
        if op not in ("stat", "download", "update"):
            assert running.rows() != before
    if running.rows() != before:
        running.client.post("/moved", "delete")
        running.client.post("/f", "delete")
        running.reset()
    assert running.client.get("/", "stat").code == 0
