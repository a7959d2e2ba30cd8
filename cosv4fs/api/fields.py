"""Typed access to the values of a reply, for both services.

It is lenient where the documentation is (numbers may be strings, fields may be absent: cos.md#times,
cdcs.md#body-format) and strict where a wrong value would do harm: an invalid reply raises `OSError`, it never becomes a
wrong result.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from cosv4fs.api.responses import BEIJING, header_seconds
from cosv4fs.errors import make_error

LARGEST_OBJECT = 2**40
"""Larger sizes, in bytes, are invalid: reading such an object could not even be planned in memory."""

_MOST_ROWS = 10_000
"""Pages with more rows are invalid: requests ask for at most 1000."""

_HIDDEN = ("session", "data", "Upload", "UploadId", "UploadID")
"""Fields that are not shown: the name of an upload is as good as a key to it, and others may hold one."""

_TRUTHS = {"true": True, "false": False, "1": True, "0": False, "": False}
_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
_FRACTION = re.compile(r"[.,]\d+")


class Fields:
    """Typed access to one mapping of a reply; `operation` and `path` are for messages.

    With `lone_rows`, a mapping may stand for the list of which it is the only row, as it does in XML.
    """

    def __init__(self, values: object, operation: str, path: str, *, lone_rows: bool = False) -> None:
        self._operation, self._path, self._lone_rows = operation, path, lone_rows
        if not isinstance(values, Mapping):
            raise self.bad("data", values)
        self.values: Mapping[str, Any] = values

    def bad(self, name: str, value: object) -> OSError:
        """Return the error for an invalid field."""
        is_hidden = name in _HIDDEN and value is not None
        return self._invalid(f"{name} is a {type(value).__name__}" if is_hidden else f"{name} is {repr(value)[:80]}")

    def has(self, name: str) -> bool:
        """Return whether the field is present and not null."""
        return self.values.get(name) is not None

    def require(self, *names: str) -> None:
        """Refuse a reply (EBADMSG) that has none of the fields, and so is not the expected one."""
        if not any(name in self.values for name in names):
            raise self.bad(names[0], None)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string field; `default` when absent, an error without one."""
        value = self.values.get(name)
        if value is None:
            value = default
        if not isinstance(value, str):
            raise self.bad(name, value)
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Return a whole number that is not negative, sent as a number or a string (cos.md#times)."""
        value = self.values.get(name)
        if value is None or value == "":
            value = default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise self.bad(name, value)
        return value

    def size(self, name: str) -> int:
        """Return the size of an object in bytes; one that no object can have is an error."""
        value = self.number(name)
        if value > LARGEST_OBJECT:
            raise self.bad(name, value)
        return value

    def flag(self, name: str) -> bool | None:
        """Return a truth value, sent as such or as 0 or 1; None when absent or anything else."""
        value = self.values.get(name)
        return bool(value) if value in (True, False) else None

    def truth(self, name: str) -> bool:
        """Return a boolean, sent as such or as a string in any case; False when absent or empty."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = _TRUTHS.get(value.strip().lower(), value)
        if value is None:
            return False
        if value in (0, 1):
            return bool(value)
        raise self.bad(name, value)

    def sha(self) -> str | None:
        """Return the SHA-1 in lower-case hex, or None where the service does not know it (cos.md#stat-sha).

        A suffix after ``_`` is dropped; anything but 40 digits, and zeros, mean "not known".
        """
        value = self.values.get("sha")
        if not isinstance(value, str):
            return None
        value = value.partition("_")[0].lower()
        known = len(value) == 40 and set(value) <= set("0123456789abcdef") and set(value) != {"0"}
        return value if known else None

    def key(self, name: str) -> str:
        """Return the key of an object, with a leading slash."""
        value = self.text(name)
        if not value or not is_utf8(value):
            raise self.bad(name, value)
        return f"/{value}"

    def etag(self, name: str) -> str:
        """Return an ETag without its quotation marks; empty when absent."""
        return plain_etag(self.text(name, ""))

    def seconds(self, name: str) -> int:
        """Return the Unix seconds of a time in ISO 8601, RFC 1123 or asctime's form.

        0 when it is absent or cannot be read: nothing depends on it.
        """
        value = self.values.get(name)
        return _seconds(value.strip()) if isinstance(value, str) else 0

    def inner(self, name: str) -> Fields:
        """Return a mapping inside this one; an empty one when it is absent or empty."""
        value = self.values.get(name)
        if value is None or value == "":
            value = {}
        if not isinstance(value, Mapping):
            raise self.bad(name, value)
        return self._of(value)

    def mapping(self, name: str) -> dict[str, str]:
        """Return a mapping of strings; empty when absent."""
        return {str(key): str(item) for key, item in self.inner(name).values.items()}

    def rows(self, name: str) -> list[Fields]:
        """Return the mappings of a list, sent as such or as JSON text (cos.md#listparts-type); empty when absent."""
        return [self._of(value) for value in self._listed(name)]

    def page(self, name: str) -> list[Fields]:
        """Return the rows of a page of a listing; more than any request asks for are an error."""
        values = self._listed(name)
        if len(values) > _MOST_ROWS:
            raise self._invalid(f"it has {len(values)} rows of {name}")
        return [self._of(value) for value in values]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; in XML, a list of one looks like a string."""
        value = self.values.get(name) or []
        values = value if isinstance(value, list) else [value]
        for each in values:
            if not isinstance(each, str):
                raise self.bad(name, each)
        return tuple(values)

    def _of(self, values: object) -> Fields:
        return Fields(values, self._operation, self._path, lone_rows=self._lone_rows)

    def _invalid(self, text: str) -> OSError:
        return make_error(errno.EBADMSG, f"the reply to {self._operation} is invalid: {text}", self._path)

    def _listed(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else []
            except (ValueError, RecursionError):
                raise self.bad(name, value) from None
        if value is None:
            return []
        if self._lone_rows and isinstance(value, Mapping):
            return [value]
        if not isinstance(value, list):
            raise self.bad(name, value)
        return value


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8: JSON can have half a character, but no URL can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_etag(text: str | None) -> str:
    """Return an ETag without its quotation marks; empty when there is none."""
    return (text or "").strip().removeprefix("W/").strip('"')


def _seconds(text: str) -> int:
    zoned = _ZONE.search(text)
    try:
        said = datetime.fromisoformat(_FRACTION.sub("", text[: zoned.start()] if zoned else text))
        zone: Any = BEIJING
        if zoned:
            zone = timezone.utc if zoned[0] == "Z" else datetime.strptime(zoned[0], "%z").tzinfo
        return max(0, int(said.replace(tzinfo=zone).timestamp()))
    except (ValueError, OverflowError):
        return max(0, int(header_seconds(text) or 0))
