"""Values of options with a unit."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(?:([kmgtp])(?:ib)?|b)?", re.IGNORECASE)


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
