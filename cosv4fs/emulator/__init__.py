"""A local COS service: the JSON API v4 of a bucket, served from a folder.

It is written from the protocol's specification and shares no encoder, parser or signer with the client, so that the two
can disagree and a test can see it.

Examples
--------
>>> from cosv4fs.emulator import Emulator
>>> with Emulator(buckets=("data",)) as emulator:
...     emulator.count()
{}
"""

from __future__ import annotations

from . import faults
from .dialect import Dialect
from .emulator import Emulator
from .errors import EmulatorError
from .log import RequestRecord

__all__ = ["Dialect", "Emulator", "EmulatorError", "RequestRecord", "faults"]
