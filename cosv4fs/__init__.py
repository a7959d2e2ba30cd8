"""fsspec filesystem for Tencent Cloud COS buckets served by the JSON API (v4), or by its predecessor (v3).

>>> import pandas as pd
>>> pd.read_parquet("cosv4://bucket/dir/x.parquet")  # doctest: +SKIP

`CosV4FileSystem` is the filesystem, `CosV3FileSystem` the one for the predecessor (``cosv3://bucket/dir/x.parquet``);
`cosv4fs.api.CosV4Client` and `CosV3Client` are the clients beneath them, usable alone;
`cosv4fs.emulator.Emulator` a local service that speaks the same API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosv4fs._version import __version__
from cosv4fs.errors import CosError, MissingCredentialsError

if TYPE_CHECKING:
    from cosv4fs.filesystem import CosV3FileSystem, CosV4FileSystem

__all__ = ["CosError", "CosV3FileSystem", "CosV4FileSystem", "MissingCredentialsError", "__version__"]


def __getattr__(name: str) -> Any:
    # the emulator and its pytest plugin live in this package too and need neither fsspec nor requests
    if name in ("CosV3FileSystem", "CosV4FileSystem"):
        from cosv4fs import filesystem  # noqa: PLC0415

        return getattr(filesystem, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
