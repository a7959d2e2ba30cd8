"""Readers that nobody closes, in many threads, with a collector that runs all the time."""

from __future__ import annotations

import gc
import json
import random
from typing import Any

from cosv4fs import CosV4FileSystem
from tests.stress.child import Life
from tests.stress.runner import BUCKET

_SMALL = {"a": list(range(100))}
_LARGE = random.Random(1).randbytes(3_000_000)
_COLLECT = ((700, 10, 10), (20, 2, 2), (3, 2, 2))
"""Thresholds of the collector, from the usual to the tiny."""


def run(life: Life) -> None:
    """Read until the time is over; every content is compared."""
    fs = CosV4FileSystem(**life.options, range_size=1024 * 1024)
    fs.pipe_file(f"{BUCKET}/a.json", json.dumps(_SMALL).encode())
    fs.pipe_file(f"{BUCKET}/large", _LARGE)
    gc.set_threshold(*_COLLECT[life.seed % len(_COLLECT)])

    def read(_: int, choice: random.Random) -> str:
        name = choice.choices(list(_WAYS), _WEIGHTS)[0]
        _WAYS[name](fs, choice)
        return name

    life.work(read)


def _load(fs: CosV4FileSystem, choice: random.Random) -> None:
    assert json.load(fs.open(f"{BUCKET}/a.json")) == _SMALL


def _text(fs: CosV4FileSystem, choice: random.Random) -> None:
    assert json.load(fs.open(f"{BUCKET}/a.json", "r")) == _SMALL


def _cycle(fs: CosV4FileSystem, choice: random.Random) -> None:
    """Leave a reader to the collector, for which it would otherwise have no work."""
    text = choice.choice(({"mode": "rb"}, {"mode": "r", "encoding": "latin-1"}))
    itself: list[Any] = [fs.open(f"{BUCKET}/large", **text, block_size=choice.choice((64, 256, 1024)) * 1024)]
    itself.append(itself)
    itself[0].read(choice.randrange(1, 5000))


def _other_cache(fs: CosV4FileSystem, choice: random.Random) -> None:
    kind = choice.choice(("bytes", "readahead", "blockcache", "background", "first", "all"))
    file = fs.open(f"{BUCKET}/large", cache_type=kind, block_size=256 * 1024)
    place = choice.randrange(len(_LARGE))
    file.seek(place)
    assert file.read(1000) == _LARGE[place : place + 1000]


_WAYS = {"load": _load, "text": _text, "cycle": _cycle, "other caches": _other_cache}
_WEIGHTS = (70, 15, 10, 5)
