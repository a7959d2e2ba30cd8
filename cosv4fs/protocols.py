"""Facts about the supported protocols: hosts and limits. `cosv4fs.service` says which code serves each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, repr=False)
class ProtocolSpec:
    """Facts about one protocol (cos.md#hosts and cos.md#v3).

    Parameters
    ----------
    name : str
        The scheme of URLs, and the section of fsspec's configuration.
    prefix : str
        The path of the API before the appid.
    api_host, download_host : str
        Host names, with ``{region}``, ``{bucket}`` and ``{appid}``.
    has_regions : bool
        Whether host names contain a region.
    page_size : int
        Maximum number of entries in one page of a listing.
    service_host : str
        Host name for requests that do not concern a single region; empty if there is none.
    has_appid : bool
        Whether requests contain the appid separately from the bucket.
    short_regions : bool
        Whether regions in host names are short codes such as ``gz``.
    slice_sizes : sequence of int
        Valid sizes of slices or parts in bytes.
    max_single_upload : int
        Maximum size in bytes of an object that is uploaded in one request.
    """

    name: str
    prefix: str
    api_host: str
    download_host: str
    has_regions: bool
    page_size: int
    service_host: str = ""
    has_appid: bool = True
    short_regions: bool = True
    slice_sizes: Sequence[int] = (_MIB // 2, _MIB, 2 * _MIB, 3 * _MIB)
    max_single_upload: int = 20 * _MIB

    def __repr__(self) -> str:
        return f"<ProtocolSpec {self.name}>"

    def piece_size(self, wanted: int) -> int:
        """Return the largest valid size in bytes of a slice or part up to `wanted`; the smallest if all exceed it."""
        sizes = self.slice_sizes
        if isinstance(sizes, range):
            return min(max(sizes[0], wanted), sizes[-1])
        return max((size for size in sizes if size <= wanted), default=min(sizes))


V4 = ProtocolSpec(
    name="cosv4",
    prefix="/files/v2",
    api_host="{region}.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos{region}.myqcloud.com",
    has_regions=True,
    page_size=1000,
)
"""The JSON API v4."""

V3 = ProtocolSpec(
    name="cosv3",
    prefix="/files/v1",
    api_host="web.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos.myqcloud.com",
    has_regions=False,
    page_size=199,
)
"""The JSON API v3."""

CDCS = ProtocolSpec(
    name="cdcs",
    prefix="",
    api_host="cdcs.{region}.myqcloud.com",
    download_host="cdcs.{region}.myqcloud.com",
    has_regions=True,
    page_size=1000,
    service_host="service.cdcs.myqcloud.com",
    has_appid=False,
    short_regions=False,
    # a part is measured in MB, which may mean either (cdcs.md#transport and cdcs.md#upload-part)
    slice_sizes=range(_MIB, 5 * 10**9 + 1),
    max_single_upload=5 * 10**9,
)
"""The Data Coffer Service (cdcs.md#service and cdcs.md#transport)."""
