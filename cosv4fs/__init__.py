"""fsspec filesystems for Tencent Cloud COS buckets served by the JSON API (v4) or v3, and for coffers.

>>> import pandas as pd
>>> pd.read_parquet("cosv4://bucket/dir/x.parquet")  # doctest: +SKIP

`CosV4FileSystem` is the filesystem, `CosV3FileSystem` the one for v3 (``cosv3://bucket/dir/x.parquet``);
`CofferFileSystem` that for the write-once Data Coffer Service (``cdcs://coffer-1250000000/dir/x.parquet``);
`cosv4fs.api.CosV4Client`, `CosV3Client` and `CofferClient` are the clients beneath them, usable alone;
`cosv4fs.emulator.Emulator` and `CofferEmulator` local services that speak the same APIs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosv4fs._version import __version__
from cosv4fs.errors import CosError, MissingCredentialsError

if TYPE_CHECKING:
    from cosv4fs.buckets import CosV3FileSystem, CosV4FileSystem
    from cosv4fs.coffers import CofferFileSystem

__all__ = [
    "CofferFileSystem",
    "CosError",
    "CosV3FileSystem",
    "CosV4FileSystem",
    "MissingCredentialsError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # the emulator and its pytest plugin live in this package too and need neither fsspec nor requests
    if name in ("CosV3FileSystem", "CosV4FileSystem"):
        from cosv4fs import buckets  # noqa: PLC0415

        return getattr(buckets, name)
    if name == "CofferFileSystem":
        from cosv4fs.coffers import CofferFileSystem  # noqa: PLC0415

        return CofferFileSystem
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
