"""Reading objects of coffers: every range has both ends, inside the object (cdcs.md#get-object)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.api.cdcs.faults import read_refusal
from cosv4fs.api.cdcs.values import plain_etag
from cosv4fs.api.download import RangeRead, Version

if TYPE_CHECKING:
    import requests

    from cosv4fs.api.transport import Request
    from cosv4fs.errors import CosError

__all__ = ["ObjectRead", "clamped", "comparable", "is_object"]


class ObjectRead(RangeRead):
    """One range of one object on its way into one buffer; see `RangeRead` for its parameters."""

    # no range is asked for that could not be satisfied: a server that says so refuses ranges
    statuses = (200, 206)

    def _receive(self, response: requests.Response, request: Request) -> None:
        if response.status_code in self.statuses and not is_object(response):
            # an error may come within a 200: it must not become the object's content
            raise read_refusal(response, request)
        super()._receive(response, request)

    def _refusal(self, response: requests.Response, request: Request) -> CosError:
        return read_refusal(response, request)

    def _version_of(self, total: int, response: requests.Response) -> Version:
        etag = plain_etag(response.headers.get("ETag"))
        return Version(total, etag or None, response.headers.get("Last-Modified"))


def is_object(response: requests.Response) -> bool:
    """Return whether the headers of a reply are those of an object, and not of a message (cdcs.md#response-headers)."""
    return bool(plain_etag(response.headers.get("ETag")) or response.headers.get("Last-Modified"))


def comparable(version: Version) -> Version:
    """Return a version whose ETag has no quotation marks, as those of all replies here."""
    return Version(version.size, plain_etag(version.etag) or None, version.modified)


def clamped(start: int | None, stop: int | None, size: int) -> tuple[int, int]:
    """Return where a range begins and ends in an object of `size` bytes; see `RangeRead` for the first two."""
    begin = start or 0
    if begin < 0:
        begin = max(0, size + begin)
    return begin, max(begin, size if stop is None else min(stop, size))
