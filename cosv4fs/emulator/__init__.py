"""Local services: buckets by the JSON APIs v4 and v3, and write-once coffers by CDCS, each served from a folder.

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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosv4fs.emulator import faults
    from cosv4fs.emulator.dialects import CofferDialect, Dialect
    from cosv4fs.emulator.emulators import CofferEmulator, Emulator
    from cosv4fs.emulator.errors import EmulatorError
    from cosv4fs.emulator.log import RequestRecord

__all__ = ["CofferDialect", "CofferEmulator", "Dialect", "Emulator", "EmulatorError", "RequestRecord", "faults"]

_MODULES = {
    "CofferDialect": "dialects",
    "CofferEmulator": "emulators",
    "Dialect": "dialects",
    "Emulator": "emulators",
    "EmulatorError": "errors",
    "RequestRecord": "log",
}


def __getattr__(name: str) -> Any:
    # every run of pytest imports this package for its fixtures: it has to be cheap
    if name == "faults":
        return import_module(f"{__name__}.faults")
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
