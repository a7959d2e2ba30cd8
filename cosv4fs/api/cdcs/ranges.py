"""Ranges of objects in coffers: each has both ends, inside the object (cdcs.md#get-object)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.api.cdcs.errors import refusal
from cosv4fs.api.cdcs.values import plain_etag
from cosv4fs.api.download import RangeRead, Version

if TYPE_CHECKING:
    import requests

    from cosv4fs.api.attempt import AttemptError
    from cosv4fs.api.request import Request


class ObjectRange(RangeRead):
    """One range of an object; see `RangeRead` for the parameters."""

    # every requested range exists: 416 means that the server refuses ranges
    statuses = (200, 206)

    def _receive(self, response: requests.Response, request: Request) -> None:
        if response.status_code in self.statuses and not is_object(response):
            # an error may come within a 200: it must not become the object's content
            raise refusal(response, request)
        super()._receive(response, request)

    def _refusal(self, response: requests.Response, request: Request) -> AttemptError:
        return refusal(response, request)

    def _version_of(self, total: int, response: requests.Response) -> Version:
        etag = plain_etag(response.headers.get("ETag"))
        return Version(total, etag or None, response.headers.get("Last-Modified"))


def is_object(response: requests.Response) -> bool:
    """Return whether the headers of a reply are those of an object, and not of a message (cdcs.md#response-headers)."""
    return bool(plain_etag(response.headers.get("ETag")) or response.headers.get("Last-Modified"))


def comparable(version: Version) -> Version:
    """Return a version with its ETag unquoted, to compare it with those of replies."""
    return Version(version.size, plain_etag(version.etag) or None, version.modified)


def clamped(start: int | None, stop: int | None, size: int) -> tuple[int, int]:
    """Return begin and end of a range within an object of `size` bytes; see `RangeRead` for `start` and `stop`."""
    begin = start or 0
    if begin < 0:
        begin = max(0, size + begin)
    return begin, max(begin, size if stop is None else min(stop, size))
