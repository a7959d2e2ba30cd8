"""The attributes that op=update may change (cos.md#update)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import load_json
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.dialects import Dialect

    from .parameters import Parameters

_AUTHORITIES = frozenset({"eInvalid", "eWRPrivate", "eWPrivateRPublic"})
_HEADERS = {
    name.lower(): name
    for name in ("Cache-Control", "Content-Type", "Content-Disposition", "Content-Language", "Content-Encoding")
}
_META = "x-cos-meta-"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Change:
    """The attributes of a file or directory after an update.

    Parameters
    ----------
    biz_attr, authority : str
        As in the API.
    headers : str
        The custom headers as a JSON object.
    forbid : int
        As in the API.
    """

    biz_attr: str
    authority: str
    headers: str
    forbid: int


def read_update(parameters: Parameters, dialect: Dialect, node: sqlite3.Row) -> Change:
    """Return the attributes of a file or directory after an update.

    Raises
    ------
    ApiError
        −158 for an unknown authority, −182 for headers that are not allowed, −179 for a wrong ``flag``.
    """
    biz_attr = parameters.text("biz_attr")
    authority = parameters.text("authority") or None
    headers = _read_headers(parameters.values.get("custom_headers"))
    forbid = parameters.text("forbid") or None
    if dialect.update_flag == "required":
        _check_flag(parameters, biz_attr, headers, authority)
    if authority is not None and authority not in _AUTHORITIES:
        raise ApiError(-158)
    stored = node["headers"]
    if headers is not None and not node["directory"]:
        stored = json.dumps(_combine(json.loads(stored), headers, dialect), ensure_ascii=False)
    return Change(
        biz_attr=node["biz_attr"] if biz_attr is None else biz_attr,
        authority=node["authority"] if authority is None or node["directory"] else authority,
        headers=stored,
        forbid=node["forbid"] if forbid is None else parameters.whole("forbid", missing=-182, bad=-182),
    )


def _check_flag(
    parameters: Parameters, biz_attr: str | None, headers: dict[str, str] | None, authority: str | None
) -> None:
    sent = (biz_attr is not None) * 0x01 | (headers is not None) * 0x40 | (authority is not None) * 0x80
    if parameters.whole("flag", missing=-179, bad=-179) != sent:
        raise ApiError(-179)


def _read_headers(value: Any) -> dict[str, str] | None:
    if isinstance(value, str):
        # Some clients put JSON text into the JSON body or into a form field (cos.md#bodies).
        if not value.strip():
            return None
        try:
            value = load_json(value)
        except (ValueError, RecursionError):
            raise ApiError(-5975) from None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ApiError(-182)
    return dict(_read_header(name, text) for name, text in value.items())


def _read_header(name: str, value: Any) -> tuple[str, str]:
    lower = name.lower()
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ApiError(-182)
    text = str(value)
    try:
        text.encode()
    except UnicodeError:
        raise ApiError(-147) from None
    meta = lower.startswith(_META) and len(lower) > len(_META) and _TOKEN.issuperset(lower) and bool(text)
    if lower not in _HEADERS and not meta:
        raise ApiError(-182)
    if len(text) > 2048 or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ApiError(-182)
    return _HEADERS.get(lower, name), text


def _combine(stored: dict[str, str], sent: dict[str, str], dialect: Dialect) -> dict[str, str]:
    if dialect.custom_headers == "replace":
        return sent
    replaced = {name.lower() for name in sent}
    return {name: text for name, text in stored.items() if name.lower() not in replaced} | sent
