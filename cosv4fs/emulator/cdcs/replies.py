"""The bodies of CDCS: loosely typed JSON (cdcs.md#body-format), and errors (section 7)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from cosv4fs.emulator.replies import Reply

if TYPE_CHECKING:
    from .dialect import CofferDialect
    from .errors import CofferError

__all__ = ["asctime", "empty_reply", "error_reply", "iso_time", "json_reply", "trace_id", "url_encoded"]

_ZONE = timezone(timedelta(hours=8))


def json_reply(dialect: CofferDialect, data: dict[str, Any]) -> Reply:
    """Return an answer with a JSON body.

    Parameters
    ----------
    dialect : CofferDialect
        How values are written.
    data : dict
        The fields; None stands for one without a value.
    """
    body = json.dumps(_written(dialect, data), ensure_ascii=False).encode()
    return Reply(body=body, content_type=dialect.content_type)


def empty_reply(dialect: CofferDialect, status: int = 200) -> Reply:
    """Return an answer without a body; one that never has a body does not announce its length either."""
    reply = Reply(status, content_type=dialect.content_type)
    if status == 204:
        reply.overrides = {"content-length": None, "content-type": None}
    return reply


def error_reply(dialect: CofferDialect, request_id: str, resource: str, error: CofferError) -> Reply:
    """Return the answer to a refused request.

    Parameters
    ----------
    dialect : CofferDialect
        How errors are written.
    request_id, resource : str
        The id and the decoded path of the request.
    error : CofferError
        Why it is refused.
    """
    trace = trace_id(request_id)
    if dialect.error_bodies == "xml":
        fields = {"Code": error.code, "Message": error.message, "RequestId": request_id, "TraceId": trace}
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
        body, kind = f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>{inner}</Error>", "application/xml"
    else:
        fields = {"Code": error.code, "Message": error.message, "Resource": resource}
        fields |= {"RequestId": request_id, "TraceId": trace}
        body, kind = json.dumps(fields, ensure_ascii=False), dialect.content_type
    return Reply(error.status, body.encode(), error.code, kind, [("x-cdcs-trace-id", trace)])


def trace_id(request_id: str) -> str:
    """Return the id of an error; opaque, as that of its request."""
    return request_id[::-1].strip("=")


def iso_time(seconds: float) -> str:
    """Return a time as ``2020-06-13T15:40:15+08:00``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).isoformat()


def asctime(seconds: float) -> str:
    """Return a time as ``Tue Jan 17 16:43:37 2017``."""
    return datetime.fromtimestamp(int(seconds), _ZONE).ctime()


def url_encoded(text: str) -> str:
    """Return a key as ``encoding-type=url`` has it."""
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
