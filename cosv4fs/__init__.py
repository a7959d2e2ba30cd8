"""fsspec filesystem for Tencent Cloud COS buckets served by the JSON API (v4).

>>> import pandas as pd
>>> pd.read_parquet("cosv4://bucket/dir/x.parquet")  # doctest: +SKIP

`CosV4FileSystem` is the filesystem; `cosv4fs.api.CosV4Client` the client beneath it, usable alone;
`cosv4fs.emulator.Emulator` a local service that speaks the same API.
"""

from cosv4fs._version import __version__
from cosv4fs.errors import CosError, MissingCredentialsError
from cosv4fs.filesystem import CosV4FileSystem

__all__ = ["CosError", "CosV4FileSystem", "MissingCredentialsError", "__version__"]
