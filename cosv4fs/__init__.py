"""fsspec filesystem for Tencent Cloud COS buckets served by the JSON API (v4).

>>> import pandas as pd
>>> pd.read_parquet("cosv4://bucket/dir/x.parquet")  # doctest: +SKIP

`CosV4FileSystem` is the filesystem; `cosv4fs.api.CosV4Client` the client beneath it, usable alone;
`cosv4fs.emulator.Emulator` a local service that speaks the same API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cosv4fs._version import __version__
from cosv4fs.errors import CosError, MissingCredentialsError

if TYPE_CHECKING:
    from cosv4fs.filesystem import CosV4FileSystem

__all__ = ["CosError", "CosV4FileSystem", "MissingCredentialsError", "__version__"]


def __getattr__(name: str) -> Any:
    # the emulator and its pytest plugin live in this package too and need neither fsspec nor requests
    if name == "CosV4FileSystem":
        from cosv4fs.filesystem import CosV4FileSystem  # noqa: PLC0415

        return CosV4FileSystem
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
