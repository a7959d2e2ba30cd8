"""What is fed: bytes with edits, JSON that says anything, names that nobody would give."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Edit(NamedTuple):
    """One change of a text of bytes: at a place between 0 and 999 thousandths, over `length` bytes."""

    kind: str
    place: int
    length: int = 1
    data: bytes = b""


TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b"--", b'"', b"%", b"%00", b"%2e%2e", b"%2F", b"//",
    b"..", b"/../", b"\xff", b"\xc3\x28", "é文".encode(), b"-1", b"0", b"1", b"99999999999999999999", b"1e400", b"NaN",
    b"null", b"{}", b"[]", b"{", b"[" * 2000, b"=", b"&", b"?", b"#", b"+", b";", b"\\u0000", b"\\ud800", b"A" * 300,
    b"_", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
]  # fmt: skip


def edits(most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """Return lists of edits."""
    data = st.sampled_from(TOKENS) | st.binary(max_size=6)
    one = st.builds(
        Edit,
        st.sampled_from(["insert", "replace", "delete", "double", "cut", "flip"]),
        st.integers(0, 999),
        st.integers(1, 12),
        data,
    )
    return st.lists(one, max_size=most)


def edited(data: bytes, changes: list[Edit]) -> bytes:
    """Return the bytes after the edits."""
    for kind, place, length, new in changes:
        at = len(data) * place // 1000
        before, piece, after = data[:at], data[at : at + length], data[at + length :]
        if kind == "insert":
            data = before + new + piece + after
        elif kind == "replace":
            data = before + new + after
        elif kind == "delete":
            data = before + after
        elif kind == "double":
            data = before + piece + piece + after
        elif kind == "cut":
            data = before
        else:
            data = before + bytes(byte ^ (1 << length % 8) for byte in piece) + after
    return data


NUMBERS = st.sampled_from([
    0, 1, -1, 5, 10, 2**31, 2**53, 2**63 - 1, 2**63, 10**19, 10**25, 10**400, 1.0, 0.5, -0.0, 1e18, 1e300,
    float("inf"), float("-inf"), float("nan"), True, False,
])  # fmt: skip
"""Numbers that JSON can carry, as Python's parser and others understand it."""

_TEXTS = st.sampled_from([
    "", "0", "1", "-1", "10", " 5 ", "1_0", "５", "1e3", "9" * 25, "9" * 5000, "true", "null", "[]", "{}", "[1]",
    "[[[", "\0", "\ud800", "..", "/", "x" * 3000, "é", "2017-01-01", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
])  # fmt: skip

_SCALARS = st.none() | NUMBERS | _TEXTS | st.text(max_size=5)
_BRANCHES = st.lists(_SCALARS, max_size=3) | st.dictionaries(_TEXTS, _SCALARS, max_size=3)

JSON = (
    _SCALARS | _SCALARS | _BRANCHES | st.lists(_BRANCHES, max_size=2) | st.dictionaries(_TEXTS, _BRANCHES, max_size=2)
)
"""Anything that JSON can say, and some that it cannot."""

_NAMES = [
    "", ".", "..", "/", "//", "../x", "../../x", "/abs", "/etc/passwd", "a/b", "a/..", "a/../..", "x/.", "./x", "..\\x",
    "C:\\x", "\0", "a\0b", "\ud800", "a\ud800", "x" * 255, "x" * 300, "文" * 100, "a\nb", "~", "~root", "%2e%2e",
    "..%2fx", " ", ".x.cosv4-0123456789abcdef", "con", "a*", "[a]", "good", "dir/", "../", "a/../", "*",
]  # fmt: skip
NAMES = st.sampled_from(_NAMES) | st.text(max_size=8)
"""Names for the entries of listings."""


def replacements(most: int = 3) -> st.SearchStrategy[list[tuple[int, str, Any]]]:
    """Return lists of changes of a JSON value: (which place, what, new value)."""
    return st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["set", "remove", "add"]), JSON | NAMES), max_size=most
    )


def replaced(value: Any, changes: list[tuple[int, str, Any]]) -> Any:
    """Return a JSON value in which some of the places, counted through in order, are changed."""
    value = {"": copy.deepcopy(value)}
    for number, what, new in changes:
        places = list(_places(value))
        holder, key = places[number % len(places)]
        if what == "set" or holder is value:
            holder[key] = new
        elif what == "remove":
            del holder[key]
        elif isinstance(holder, list):
            holder.append(new)
        else:
            holder[str(key).upper()] = new
    return value[""]


def _places(value: Any) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])
