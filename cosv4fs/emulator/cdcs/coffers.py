"""The operations on coffers: make, list, remove, lifecycle, policy (cdcs.md#coffers)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.forms import load_json
from cosv4fs.emulator.replies import Reply

from .errors import CofferError
from .replies import empty_reply, iso_time, json_reply, url_encoded
from .service import MOST_COFFERS, check_coffer_name

if TYPE_CHECKING:
    import sqlite3

    from .call import CofferCall
    from .service import CofferService

__all__ = [
    "delete_coffer",
    "delete_policy",
    "encoder",
    "get_coffer",
    "get_lifecycle",
    "get_policy",
    "get_service",
    "matching",
    "put_coffer",
    "put_lifecycle",
    "put_policy",
    "read_json",
]

_LONGEST_LIFE = 3650
_PAGE = 1000
_ENCRYPT_TYPES = (0, 1, 2, "0", "1", "2", None)


def get_service(service: CofferService, call: CofferCall) -> Reply:
    """List the account's coffers."""
    with service.store.reading() as db:
        rows = db.execute("SELECT name, locations, ctime FROM coffers ORDER BY name").fetchall()
    coffers = [
        {
            "Name": row["name"],
            "Locations": {"Location": json.loads(row["locations"])},
            "CreationDate": iso_time(row["ctime"]),
        }
        for row in rows
    ]
    return json_reply(call.dialect, {"Owner": service.owner, "Coffers": {"Coffer": coffers}})


def put_coffer(service: CofferService, call: CofferCall) -> Reply:
    """Make a coffer.

    Raises
    ------
    CofferError
        InvalidCofferName, InvalidArgument, CofferAlreadyOwnedByYou or the dialect's code, CofferCountExceedsLimit.
    """
    name = call.target.coffer
    check_coffer_name(name, call.dialect, service.appid)
    call.check_md5()
    values = _coffer_values(read_json(call))
    with service.store.writing() as db:
        if db.execute("SELECT 1 FROM coffers WHERE name = ?", (name,)).fetchone() is not None:
            raise CofferError(call.dialect.coffer_exists, f"the coffer {name} exists")
        if db.execute("SELECT count(*) FROM coffers").fetchone()[0] >= MOST_COFFERS:
            raise CofferError("CofferCountExceedsLimit", f"an account has at most {MOST_COFFERS} coffers")
        db.execute("INSERT INTO coffers VALUES (?, ?, ?, ?, ?, NULL, NULL, ?)", (name, *values, service.clock()))
    return empty_reply(call.dialect)


def _coffer_values(data: dict[str, Any]) -> tuple[str, int, str, str]:
    outer = data.get("Locations")
    locations = outer.get("Location") if isinstance(outer, dict) else None
    if not isinstance(locations, list) or not locations or not all(map(_is_text, locations)):
        raise CofferError("InvalidArgument", "Locations.Location is a list of regions")
    encrypt_type = data.get("EncryptType", 0)
    if isinstance(encrypt_type, bool) or encrypt_type not in _ENCRYPT_TYPES:
        raise CofferError("InvalidArgument", "EncryptType is 0, 1 or 2")
    key_id, key_region = data.get("KeyId") or "", data.get("KeyRegion") or ""
    if not all(isinstance(text, str) and _is_writable(text) for text in (key_id, key_region)):
        raise CofferError("InvalidArgument", "KeyId and KeyRegion are texts")
    kind = int(encrypt_type or 0)
    if (kind == 2) != bool(key_id):
        raise CofferError("InvalidArgument", "KeyId goes with EncryptType 2, and only with it")
    return json.dumps(locations, ensure_ascii=False), kind, key_id, key_region


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and _is_writable(value)


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def delete_coffer(service: CofferService, call: CofferCall) -> Reply:
    """Remove an empty coffer.

    Raises
    ------
    CofferError
        NoSuchCoffer, CofferNotEmpty.
    """
    name = call.target.coffer
    with service.store.writing() as db:
        service.coffer(db, name, "NoSuchCoffer")
        for table in ("objects", "uploads"):
            if db.execute(f"SELECT 1 FROM {table} WHERE coffer = ? LIMIT 1", (name,)).fetchone():  # noqa: S608
                raise CofferError("CofferNotEmpty", f"the coffer {name} still has {table}")
        db.execute("DELETE FROM coffers WHERE name = ?", (name,))
        db.execute("DELETE FROM completed WHERE coffer = ?", (name,))
    return empty_reply(call.dialect, 204)


def get_coffer(service: CofferService, call: CofferCall) -> Reply:
    """List one page of a coffer's objects.

    Raises
    ------
    CofferError
        CofferNotFound, InvalidArgument, InvalidObjectPrefix.
    """
    encode = encoder(call)
    prefix, marker = call.text("prefix") or "", call.text("marker") or ""
    service.check_prefix(prefix)
    most = call.number("max-keys", _PAGE, least=1, most=_PAGE, clamp=True)
    coffer, rows = _page(service, call, prefix, marker, most + 1)
    truncated, rows = len(rows) > most, rows[:most]
    following = rows[-1]["key"] if truncated and call.dialect.next_marker == "last-key" else None
    contents = [
        {
            "Key": encode(row["key"]),
            "LastModified": iso_time(row["ctime"]),
            "ETag": f'"{row["etag"]}"',
            "Size": row["size"],
            "Owner": service.owner,
        }
        for row in rows
    ]
    locations = json.loads(coffer["locations"])
    data = {
        "Name": coffer["name"],
        "EncodingType": call.text("encoding-type"),
        "Prefix": encode(prefix),
        "Marker": encode(marker),
        "MaxKeys": most,
        "IsTruncated": truncated,
        "NextMarker": None if following is None else encode(following),
        "EncryptType": coffer["encrypt_type"],
        "KeyId": coffer["key_id"] or None,
        "KeyRegion": coffer["key_region"] or None,
        "Locations": {"Location": locations},
        "Contents": contents,
    }
    reply = json_reply(call.dialect, data)
    if locations[0].isascii() and locations[0].isprintable():
        reply.headers.append(("x-cdcs-coffer-region", locations[0]))
    return reply


def _page(
    service: CofferService, call: CofferCall, prefix: str, marker: str, most: int
) -> tuple[sqlite3.Row, list[sqlite3.Row]]:
    name = call.target.coffer
    if call.dialect.listing_lag is not None and not marker:
        with service.store.writing() as db:
            db.execute("UPDATE objects SET hidden = hidden - 1 WHERE coffer = ? AND hidden > 0", (name,))
    with service.store.reading() as db:
        coffer = service.coffer(db, name)
        found = db.execute(
            "SELECT * FROM objects WHERE coffer = ? AND key > ? AND key >= ? AND hidden = 0 ORDER BY key",
            (name, marker, prefix),
        )
        return coffer, matching(found, prefix, most)


def matching(found: sqlite3.Cursor, prefix: str, most: int) -> list[sqlite3.Row]:
    """Return the first rows whose keys have a prefix, of rows in the order of their keys from the prefix on."""
    rows: list[sqlite3.Row] = []
    for row in found:
        if len(rows) == most or not row["key"].startswith(prefix):
            break
        rows.append(row)
    return rows


def encoder(call: CofferCall) -> Any:
    """Return how keys are written in an answer.

    Raises
    ------
    CofferError
        InvalidArgument for an ``encoding-type`` that is not ``url``.
    """
    kind = call.text("encoding-type")
    if kind not in {None, "url"}:
        raise CofferError("InvalidArgument", "encoding-type is url")
    return url_encoded if kind else str


def put_lifecycle(service: CofferService, call: CofferCall) -> Reply:
    """Say after how many days objects go.

    Raises
    ------
    CofferError
        NoSuchCoffer, InvalidArgument, MalformedXML, InvalidLifeCycle.
    """
    with service.store.reading() as db:
        service.coffer(db, call.target.coffer, "NoSuchCoffer")
    call.check_md5(needed=True)
    days = _days(read_json(call, "MalformedXML"))
    with service.store.writing() as db:
        service.coffer(db, call.target.coffer, "NoSuchCoffer")
        db.execute("UPDATE coffers SET days = ? WHERE name = ?", (days, call.target.coffer))
    return empty_reply(call.dialect)


def _days(data: dict[str, Any]) -> int:
    rules = data.get("Rule")
    if not isinstance(rules, list) or len(rules) != 1 or not isinstance(rules[0], dict):
        raise CofferError("InvalidArgument", "Rule is a list of one rule")
    expiration = rules[0].get("Expiration", {})
    if not isinstance(expiration, dict):
        raise CofferError("InvalidArgument", "Expiration is an object")
    days = expiration.get("Days", 0)
    if "Days" in expiration and (type(days) is not int or not 1 <= days <= _LONGEST_LIFE):
        raise CofferError("InvalidLifeCycle", f"Days is a number from 1 to {_LONGEST_LIFE}")
    return int(days)


def get_lifecycle(service: CofferService, call: CofferCall) -> Reply:
    """Tell the lifecycle.

    Raises
    ------
    CofferError
        CofferNotFound, NoSuchLifecycleConfiguration.
    """
    with service.store.reading() as db:
        days = service.coffer(db, call.target.coffer)["days"]
    if days is None:
        status = call.dialect.unset_lifecycle_status
        raise CofferError("NoSuchLifecycleConfiguration", "no lifecycle is set", status=status)
    return json_reply(call.dialect, {"Rule": [{"Expiration": {"Days": days}} if days else {}]})


def put_policy(service: CofferService, call: CofferCall) -> Reply:
    """Keep a policy; nobody is judged by it.

    Raises
    ------
    CofferError
        CofferNotFound, PolicyFormatCheckFailed.
    """
    with service.store.reading() as db:
        service.coffer(db, call.target.coffer)
    call.check_md5()
    data = {str(name).lower(): value for name, value in read_json(call, "PolicyFormatCheckFailed").items()}
    statements = data.get("statement")
    if not isinstance(statements, list) or not all(map(_is_statement, statements)):
        raise CofferError("PolicyFormatCheckFailed", "Statement is a list of statements with Effect, Action, Resource")
    with service.store.writing() as db:
        service.coffer(db, call.target.coffer)
        db.execute("UPDATE coffers SET policy = ? WHERE name = ?", (bytes(call.body.content), call.target.coffer))
    return empty_reply(call.dialect)


def _is_statement(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    names = {str(name).lower(): item for name, item in value.items()}
    effect = names.get("effect")
    return isinstance(effect, str) and effect.lower() in {"allow", "deny"} and {"action", "resource"} <= names.keys()


def get_policy(service: CofferService, call: CofferCall) -> Reply:
    """Return the policy as it was put.

    Raises
    ------
    CofferError
        CofferNotFound, or NoSuchBucketPolicy where the dialect says so.
    """
    with service.store.reading() as db:
        policy = service.coffer(db, call.target.coffer)["policy"]
    if policy is not None:
        return Reply(body=policy, content_type=call.dialect.content_type)
    if call.dialect.unset_policy == "missing":
        raise CofferError("NoSuchBucketPolicy", "no policy is set")
    return json_reply(call.dialect, {"Statement": [], "version": "2.0"})


def delete_policy(service: CofferService, call: CofferCall) -> Reply:
    """Forget the policy; nothing happens when there is none."""
    with service.store.writing() as db:
        service.coffer(db, call.target.coffer)
        db.execute("UPDATE coffers SET policy = NULL WHERE name = ?", (call.target.coffer,))
    return empty_reply(call.dialect)


def read_json(call: CofferCall, code: str = "InvalidArgument") -> dict[str, Any]:
    """Return the JSON object that a request brings.

    Raises
    ------
    CofferError
        With `code`, when it is none.
    """
    try:
        data = load_json(bytes(call.body.content))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise CofferError(code, "the body is not a JSON object")
    return data
