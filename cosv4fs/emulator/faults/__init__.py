"""Faults: a test specifies which connections or requests go wrong, and how.

A fault is a rule (which requests, starting with the nth match, how often) and an action (what happens). A new kind of
fault is a new subclass of `Action`, a frozen dataclass whose repr shows what it does.

Examples
--------
>>> from cosv4fs.emulator import Emulator, faults
>>> with Emulator() as emulator:
...     emulator.faults.add(op="upload_slice_data", nth=3, times=2, action=faults.DropReply(reset=True))
Fault(op='upload_slice_data', path=None, nth=3, times=2, action=DropReply(reset=True), match=None, seen=0, hits=0)
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from cosv4fs.emulator.faults.actions import (
    BrokenJson,
    ClockSkew,
    Corrupt,
    CutReply,
    CutRequest,
    DiskFull,
    DropBefore,
    DropReply,
    HttpError,
    Refuse,
    RefuseConnection,
    Restart,
    Stall,
    StallReply,
    Trickle,
    WrongHeader,
    WrongLength,
    WrongRange,
)
from cosv4fs.emulator.faults.rules import Action, Disconnect, Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALL",
    "COFFER",
    "Action",
    "BrokenJson",
    "ClockSkew",
    "Corrupt",
    "CutReply",
    "CutRequest",
    "Disconnect",
    "DiskFull",
    "DropBefore",
    "DropReply",
    "Fault",
    "Faults",
    "HttpError",
    "Refuse",
    "RefuseConnection",
    "Restart",
    "Stall",
    "StallReply",
    "Trickle",
    "WrongHeader",
    "WrongLength",
    "WrongRange",
]

_HOUR = 3600.0

_ANYWHERE: dict[str, Action] = {
    "connection reset at once": RefuseConnection(),
    "reset before the request's body": CutRequest(),
    "reset within the request's body": CutRequest(100),
    "closed after the request": DropBefore(),
    "reset after the request": DropBefore(reset=True),
    "reply lost": DropReply(),
    "reply lost by a reset": DropReply(reset=True),
    "closed before the reply's body": CutReply(0),
    "closed within the reply's body": CutReply(40),
    "reset before the reply's body": CutReply(0, reset=True),
    "reset within the reply's body": CutReply(40, reset=True),
    "closed after the reply": CutReply(),
    "reset after the reply": CutReply(reset=True),
    "restart before acting": Restart(),
    "restart after acting": Restart(acted=True),
    "stall before acting": Stall(timeout=0.2),
    "stall after acting": Stall(acted=True, timeout=0.2),
    "stall within the reply's body": StallReply(20, timeout=0.2),
    "slow reply": Trickle(),
    "500 with HTML": HttpError(500),
    "500 with XML": HttpError(500, kind="xml"),
    "500 with nothing": HttpError(500, kind="empty"),
    "500 with JSON": HttpError(500, kind="json"),
    "502 after acting": HttpError(502, acted=True),
    "503 with HTML": HttpError(503),
    "503 with XML": HttpError(503, kind="xml"),
    "503 with nothing": HttpError(503, kind="empty"),
    "503 with JSON": HttpError(503, kind="json"),
    "503 with Retry-After": HttpError(503, retry_after=1),
    "504 with HTML": HttpError(504),
    "504 with XML": HttpError(504, kind="xml"),
    "504 with nothing": HttpError(504, kind="empty"),
    "504 with JSON": HttpError(504, kind="json"),
    "504 after acting": HttpError(504, acted=True),
    "clock ahead": ClockSkew(_HOUR),
    "clock behind": ClockSkew(-_HOUR),
    "disk full": DiskFull(),
    "length too long": WrongLength(7),
    "length too short": WrongLength(-7),
    "length missing": WrongHeader("Content-Length"),
    "range missing": WrongHeader("Content-Range"),
    "range garbled": WrongHeader("Content-Range", "bytes x-y/z"),
    "range of another place": WrongRange(first=1, last=1),
    "range too long": WrongRange(last=1),
    "range of another size": WrongRange(size=1),
    "first byte corrupted": Corrupt(),
    "last byte corrupted": Corrupt(-1, 0x01),
    "JSON truncated": BrokenJson("truncated"),
    "JSON empty": BrokenJson("empty"),
    "JSON that is HTML": BrokenJson("text"),
    "JSON not UTF-8": BrokenJson("not-utf8"),
    "JSON array": BrokenJson("array"),
    "JSON without data": BrokenJson("null-data"),
    "JSON with a code of text": BrokenJson("code"),
    "JSON of wrong types": BrokenJson("types"),
    "JSON huge": BrokenJson("huge"),
    "JSON deeply nested": BrokenJson("nested"),
}

ALL: Mapping[str, Action] = MappingProxyType(
    {
        **_ANYWHERE,
        "too frequent": Refuse(-71),
        "too frequent with Retry-After": Refuse(-71, retry_after=1),
        "signature expired": Refuse(-96),
        "wrong session": Refuse(-94),
        "wrong session, other code": Refuse(-5983),
        "timeout inside after acting": Refuse(-152, acted=True),
        "index failed after acting": Refuse(-143, acted=True),
        "overloaded after acting": Refuse(-300, acted=True),
    }
)
"""Every kind of fault of the JSON API by a name, such as ``reply lost``; all of them end by themselves.

For parametrised tests: ``@pytest.mark.parametrize("name", faults.ALL)``.
"""

COFFER: Mapping[str, Action] = MappingProxyType(
    {
        **_ANYWHERE,
        "data is synchronised": Refuse("DataSynchronization"),
        "record is locked": Refuse("AlreadyLock"),
        "internal error": Refuse("InternalError"),
        "internal error within a 200": Refuse("InternalError", status=200),
        "internal error after acting": Refuse("InternalError", acted=True),
        "role refused": Refuse("AssumeRoleFailed"),
        "key management failed": Refuse("KMSFailed"),
        "denied by a policy": Refuse("PolicyCheckFailed"),
        "not on the list of users": Refuse("ServiceNotOpen"),
        "signature refused": Refuse("AuthFailed"),
    }
)
"""Every kind of fault of coffers by a name, as `ALL`."""
