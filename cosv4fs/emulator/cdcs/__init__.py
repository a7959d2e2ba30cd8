"""A local service for Tencent's write-once "Data Coffer" (CDCS): S3-like requests, COS's signature, JSON bodies."""

from __future__ import annotations

from .dialect import CofferDialect
from .emulator import CofferEmulator

__all__ = ["CofferDialect", "CofferEmulator"]
