"""Local COS services: the JSON API v4 of a bucket, and the write-once coffers of CDCS, each served from a folder.

They are written from the protocols' specifications and share no encoder, parser or signer with the clients, so that the
two can disagree and a test can see it.

Examples
--------
>>> from cosv4fs.emulator import Emulator
>>> with Emulator(buckets=("data",)) as emulator:
...     emulator.count()
{}
"""

from __future__ import annotations

from . import faults
from .coffer import CofferDialect, CofferEmulator
from .dialect import Dialect
from .emulator import Emulator
from .errors import EmulatorError
from .log import RequestRecord

__all__ = ["CofferDialect", "CofferEmulator", "Dialect", "Emulator", "EmulatorError", "RequestRecord", "faults"]
