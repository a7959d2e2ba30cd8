"""The formats of CDCS values: loosely typed JSON (cdcs.md#body-format), times, keys."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cosv4fs.emulator.dialects import CofferDialect

_ZONE = timezone(timedelta(hours=8))


def json_reply(dialect: CofferDialect, data: dict[str, Any]) -> Reply:
    """Return a reply with a JSON body.

    Parameters
    ----------
    dialect : CofferDialect
        How values are written.
    data : dict
        The fields; None stands for one without a value.
    """
    body = json.dumps(_written(dialect, data), ensure_ascii=False).encode()
    return Reply(body=body, content_type=dialect.content_type)


def empty_reply(dialect: CofferDialect, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return a reply without a body; one that never has a body does not announce its length either."""
    reply = Reply(status, content_type=dialect.content_type, headers=list(headers))
    if status == 204:
        reply.overrides = {"content-length": None, "content-type": None}
    return reply


def iso_time(seconds: float) -> str:
    """Return a time as ``2020-06-13T15:40:15+08:00``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).isoformat()


def asctime(seconds: float) -> str:
    """Return a time as ``Tue Jan 17 16:43:37 2017``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).ctime()


def url_encoded(text: str) -> str:
    """Return a key encoded for ``encoding-type=url``."""
    return quote(text, safe="")


def _written(dialect: CofferDialect, value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if item is not None or dialect.empty_fields == "empty"}
        return {name: _written(dialect, item) for name, item in kept.items()}
    if isinstance(value, list):
        return [_written(dialect, item) for item in value]
    if isinstance(value, bool):
        text = "true" if value else "false"
        return {"strings": text, "upper-strings": text.upper(), "json": value}[dialect.booleans]
    if isinstance(value, int):
        return str(value) if dialect.numbers == "strings" else value
    return "" if value is None else value
