"""Conditions of downloads: ``If-Match`` and its relatives, ``If-Range``.

Neither protocol documents them: they are as in RFC 9110, section 13 (cos.md#conditions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True)
class Validators:
    """What a download tells the version of an object by.

    Parameters
    ----------
    etag : str, optional
        As it is sent, in quotes.
    modified : int, optional
        Unix seconds.
    """

    etag: str | None = None
    modified: int | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that show them."""
        shown = [("ETag", self.etag)] if self.etag is not None else []
        if self.modified is not None:
            shown.append(("Last-Modified", formatdate(self.modified, usegmt=True)))
        return shown

    def refusal(self, headers: Mapping[str, str]) -> int | None:
        """Return 412 or 304 if the conditions in the headers of a GET or HEAD do not hold.

        Dates count only where there are no tags, and malformed ones not at all.
        """
        match, unmodified = headers.get("if-match"), _seconds(headers.get("if-unmodified-since"))
        if match is not None:
            if not self._is_among(match, weakly=False):
                return 412
        elif unmodified is not None and self.modified is not None and self.modified > unmodified:
            return 412
        none_match, modified = headers.get("if-none-match"), _seconds(headers.get("if-modified-since"))
        if none_match is not None:
            return 304 if self._is_among(none_match, weakly=True) else None
        return 304 if modified is not None and self.modified is not None and self.modified <= modified else None

    def allow_range(self, headers: Mapping[str, str], now: float) -> bool:
        """Return whether ``If-Range``, if it is sent, lets a part be returned, not the whole.

        A weak tag does not, nor does a date within whose second the object could still be replaced at `now`.
        """
        condition = headers.get("if-range")
        if condition is None:
            return True
        if _TAG.fullmatch(condition):
            return self._is_among(condition, weakly=False)
        return self.modified is not None and _seconds(condition) == self.modified < int(now)

    def _is_among(self, text: str, *, weakly: bool) -> bool:
        if text.strip() == "*":
            return True
        if self.etag is None or (not weakly and self.etag.startswith("W/")):
            return False
        strip = (lambda tag: tag.removeprefix("W/")) if weakly else str
        return strip(self.etag) in map(strip, _TAG.findall(text))


def _seconds(text: str | None) -> int | None:
    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
