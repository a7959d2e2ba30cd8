"""Values of options: sizes, rates, durations and points in time."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import datetime

import click

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:([kmgtp])(?:ib)?|b)?", re.IGNORECASE)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def size(text: str) -> int:
    """Return a number of bytes."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size such as 500, 10k, 1.5M or 2GiB (1k is 1024 bytes)")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


def rate(text: str) -> int:
    """Return a number of bytes per second, at least 1."""
    count = size(text)
    if count < 1:
        raise click.BadParameter(f"{text!r} must be more than 0 bytes per second")
    return count


def duration(text: str) -> float:
    """Return a number of seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 30m, 36h, 7d or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def point_in_time(text: str) -> float:
    """Return a point in time in Unix seconds, given as a date or by how long ago it is."""
    with suppress(click.BadParameter):
        return time.time() - duration(text)
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        kinds = "a duration such as 30m, 36h, 7d or 2w nor a time such as 2024-01-31 or 2024-01-31T12:00Z"
        raise click.BadParameter(f"{text!r} is neither {kinds}") from None
