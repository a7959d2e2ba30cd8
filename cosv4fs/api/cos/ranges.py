"""Ranges of files in buckets (cos.md#download)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.api.cos.envelope import refusal
from cosv4fs.api.download import RangeRead

if TYPE_CHECKING:
    import requests

    from cosv4fs.api.attempt import AttemptError
    from cosv4fs.api.request import Request


class FileRange(RangeRead):
    """One range of a file; see `RangeRead` for the parameters."""

    def _refusal(self, response: requests.Response, request: Request) -> AttemptError:
        return refusal(response, request)
