"""The operations on coffers: make, list, remove, lifecycle, policy (cdcs.md#coffers)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.cdcs.call import iso_time
from cosv4fs.emulator.cdcs.service import MOST_COFFERS, check_coffer_name
from cosv4fs.emulator.errors import ApiError
from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cdcs.call import CofferCall
    from cosv4fs.emulator.cdcs.service import CofferService

_LONGEST_LIFE = 3650
_PAGE = 1000
_ENCRYPT_TYPES = (0, 1, 2, "0", "1", "2", None)


def get_service(service: CofferService, call: CofferCall) -> dict[str, Any]:
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
    return {"Owner": service.owner, "Coffers": {"Coffer": coffers}}


def put_coffer(service: CofferService, call: CofferCall) -> None:
    """Make a coffer."""
    name = call.coffer
    check_coffer_name(name, call.dialect, service.account.appid)
    call.check_md5()
    values = _coffer_values(call.json())
    with service.store.writing() as db:
        if db.execute("SELECT 1 FROM coffers WHERE name = ?", (name,)).fetchone() is not None:
            raise ApiError(call.dialect.coffer_exists, f"the coffer {name} exists")
        if db.execute("SELECT count(*) FROM coffers").fetchone()[0] >= MOST_COFFERS:
            raise ApiError("CofferCountExceedsLimit", f"an account has at most {MOST_COFFERS} coffers")
        db.execute("INSERT INTO coffers VALUES (?, ?, ?, ?, ?, NULL, NULL, ?)", (name, *values, service.clock()))


def _coffer_values(data: dict[str, Any]) -> tuple[str, int, str, str]:
    outer = data.get("Locations")
    locations = outer.get("Location") if isinstance(outer, dict) else None
    if not isinstance(locations, list) or not locations or not all(map(_is_text, locations)):
        raise ApiError("InvalidArgument", "Locations.Location is a list of regions")
    encrypt_type = data.get("EncryptType", 0)
    if isinstance(encrypt_type, bool) or encrypt_type not in _ENCRYPT_TYPES:
        raise ApiError("InvalidArgument", "EncryptType is 0, 1 or 2")
    key_id, key_region = data.get("KeyId") or "", data.get("KeyRegion") or ""
    if not all(isinstance(text, str) and _is_writable(text) for text in (key_id, key_region)):
        raise ApiError("InvalidArgument", "KeyId and KeyRegion are texts")
    kind = int(encrypt_type or 0)
    if (kind == 2) != bool(key_id):
        raise ApiError("InvalidArgument", "KeyId goes with EncryptType 2, and only with it")
    return json.dumps(locations, ensure_ascii=False), kind, key_id, key_region


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and _is_writable(value)


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def delete_coffer(service: CofferService, call: CofferCall) -> None:
    """Remove an empty coffer."""
    name = call.coffer
    with service.store.writing() as db:
        service.coffer(db, name, "NoSuchCoffer")
        for table in ("objects", "uploads"):
            if db.execute(f"SELECT 1 FROM {table} WHERE coffer = ? LIMIT 1", (name,)).fetchone():  # noqa: S608
                raise ApiError("CofferNotEmpty", f"the coffer {name} still has {table}")
        db.execute("DELETE FROM coffers WHERE name = ?", (name,))
        db.execute("DELETE FROM completed WHERE coffer = ?", (name,))


def get_coffer(service: CofferService, call: CofferCall) -> Reply:
    """List one page of a coffer's objects."""
    encode = call.encoder()
    prefix, marker = call.text("prefix") or "", call.text("marker") or ""
    service.check_prefix(prefix)
    most = call.whole("max-keys", _PAGE, least=1, most=_PAGE, clamp=True)
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
    reply = call.json_reply(data)
    if locations[0].isascii() and locations[0].isprintable():
        reply.headers.append(("x-cdcs-coffer-region", locations[0]))
    return reply


def _page(
    service: CofferService, call: CofferCall, prefix: str, marker: str, most: int
) -> tuple[sqlite3.Row, list[sqlite3.Row]]:
    name = call.coffer
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


def put_lifecycle(service: CofferService, call: CofferCall) -> None:
    """Set after how many days objects expire."""
    with service.store.reading() as db:
        service.coffer(db, call.coffer, "NoSuchCoffer")
    call.check_md5(needed=True)
    days = _days(call.json("MalformedXML"))
    with service.store.writing() as db:
        service.coffer(db, call.coffer, "NoSuchCoffer")
        db.execute("UPDATE coffers SET days = ? WHERE name = ?", (days, call.coffer))


def _days(data: dict[str, Any]) -> int:
    rules = data.get("Rule")
    if not isinstance(rules, list) or len(rules) != 1 or not isinstance(rules[0], dict):
        raise ApiError("InvalidArgument", "Rule is a list of one rule")
    expiration = rules[0].get("Expiration", {})
    if not isinstance(expiration, dict):
        raise ApiError("InvalidArgument", "Expiration is an object")
    days = expiration.get("Days", 0)
    if "Days" in expiration and (type(days) is not int or not 1 <= days <= _LONGEST_LIFE):
        raise ApiError("InvalidLifeCycle", f"Days is a number from 1 to {_LONGEST_LIFE}")
    return int(days)


def get_lifecycle(service: CofferService, call: CofferCall) -> dict[str, Any]:
    """Return the lifecycle."""
    with service.store.reading() as db:
        days = service.coffer(db, call.coffer)["days"]
    if days is None:
        status = call.dialect.unset_lifecycle_status
        raise ApiError("NoSuchLifecycleConfiguration", "no lifecycle is set", status=status)
    return {"Rule": [{"Expiration": {"Days": days}} if days else {}]}


def put_policy(service: CofferService, call: CofferCall) -> None:
    """Store a policy; it is not enforced."""
    with service.store.reading() as db:
        service.coffer(db, call.coffer)
    call.check_md5()
    data = {str(name).lower(): value for name, value in call.json("PolicyFormatCheckFailed").items()}
    statements = data.get("statement")
    if not isinstance(statements, list) or not all(map(_is_statement, statements)):
        raise ApiError("PolicyFormatCheckFailed", "Statement is a list of statements with Effect, Action, Resource")
    with service.store.writing() as db:
        service.coffer(db, call.coffer)
        db.execute("UPDATE coffers SET policy = ? WHERE name = ?", (bytes(call.body.content), call.coffer))


def _is_statement(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    names = {str(name).lower(): item for name, item in value.items()}
    effect = names.get("effect")
    return isinstance(effect, str) and effect.lower() in {"allow", "deny"} and {"action", "resource"} <= names.keys()


def get_policy(service: CofferService, call: CofferCall) -> dict[str, Any] | Reply:
    """Return the policy as it was put."""
    with service.store.reading() as db:
        policy = service.coffer(db, call.coffer)["policy"]
    if policy is not None:
        return Reply(body=policy, content_type=call.dialect.content_type)
    if call.dialect.unset_policy == "missing":
        raise ApiError("NoSuchBucketPolicy", "no policy is set")
    return {"Statement": [], "version": "2.0"}


def delete_policy(service: CofferService, call: CofferCall) -> None:
    """Remove the policy, if there is one."""
    with service.store.writing() as db:
        service.coffer(db, call.coffer)
        db.execute("UPDATE coffers SET policy = NULL WHERE name = ?", (call.coffer,))
