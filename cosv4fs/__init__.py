"""fsspec filesystems for Tencent Cloud COS buckets served by the JSON API (v4) or v3, and for coffers.

* `CosV4FileSystem`: buckets with the JSON API v4, ``cosv4://bucket/dir/name``
* `CosV3FileSystem`: buckets with version 3 of the API, ``cosv3://bucket/dir/name``
* `CofferFileSystem`: coffers of the write-once Data Coffer Service, ``cdcs://coffer-1250000000/dir/name``

Libraries that open URLs through fsspec, such as pandas and dask, need no import of this package. The errors are in
`cosv4fs.errors`, the clients of the APIs in `cosv4fs.api`, and local services for tests in `cosv4fs.emulator`.

Examples
--------
>>> import pandas as pd
>>> pd.read_parquet("cosv4://bucket/dir/x.parquet")  # doctest: +SKIP
>>> fs = CosV4FileSystem()  # doctest: +SKIP
>>> with fs.open("bucket/dir/x.txt", "w", encoding="utf-8") as file:  # doctest: +SKIP
...     file.write("hello")

<!-- PYTEST_DONT_REWRITE -->
"""
# pytest, which looks for these words in the docstring, would else warn where this package is imported before it starts

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
