"""The supported protocols: hosts and limits. No I/O.

The requests of each protocol are in `cosv4fs.api`, the strategies for moving contents in `cosv4fs.transfer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, repr=False)
class ProtocolSpec:
    """What distinguishes one protocol from the others (cos.md#hosts and cos.md#v3).

    Parameters
    ----------
    name : str
        The protocol in URLs, and the section of fsspec's configuration.
    prefix : str
        The path of the API before the appid.
    api_host, download_host : str
        Names of hosts, with ``{region}``, ``{bucket}`` and ``{appid}``.
    has_regions : bool
        Whether the hosts' names need a region.
    page_size : int
        The largest number of entries that a page of a listing may be asked to have.
    service_host : str
        Name of the host of what concerns no single region, where there is such a host.
    has_appid : bool
        Whether requests name the appid apart from the bucket.
    short_regions : bool
        Whether hosts name regions by short codes such as ``gz``.
    slice_sizes : sequence of int
        The bytes that a slice may have.
    max_single_upload : int
        The largest object, in bytes, that one request may upload.
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

    def piece_size(self, wanted: int) -> int | None:
        """Return the bytes of a slice or part nearest to a wish, not above it; None when all are larger."""
        sizes = self.slice_sizes
        if isinstance(sizes, range):
            return min(max(sizes[0], wanted), sizes[-1])
        return max((size for size in sizes if size <= wanted), default=None)


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
