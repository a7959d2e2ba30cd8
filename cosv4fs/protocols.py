"""Facts about the supported protocols: hosts, limits, and what a filesystem can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Capabilities"]

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Capabilities:
    """What a filesystem can do, for code that works with any two; the defaults hold for those that do not tell.

    Parameters
    ----------
    container : str
        The first part of a path: a bucket or a coffer. Empty for other filesystems.
    replaces_files : bool
        Files can be replaced, moved and removed; if not, the filesystem is write-once.
    has_directories : bool
        Directories can be created and listed even if they are empty.
    makes_parents : bool
        Writing a file creates the missing directories above it.
    copies_on_server : bool
        Copies within a bucket do not pass through this machine.
    signs_urls : bool
        ``sign(path)`` returns a URL that reads a file without credentials.
    knows_sha1 : bool
        ``sha`` in an info dict is the SHA-1 of the content. Other filesystems may mean a version or git's hash.
    takes_size : bool
        ``open(path, "wb")`` accepts ``size``, the number of bytes that will be written.
    names_are_literal : bool
        ``rm`` and ``mv`` take the name of an existing file literally even if it looks like a pattern.
    is_thread_safe : bool
        One instance can be used by any number of threads.
    shows_attributes : bool
        Downloads show attributes: files opened for reading have ``attributes``, and ``get_file`` takes ``received``.
    """

    container: str = ""
    replaces_files: bool = True
    has_directories: bool = True
    makes_parents: bool = False
    copies_on_server: bool = False
    signs_urls: bool = True
    knows_sha1: bool = False
    takes_size: bool = False
    names_are_literal: bool = False
    is_thread_safe: bool = False
    shows_attributes: bool = False


@dataclass(frozen=True, repr=False)
class ProtocolSpec:
    """Facts about one protocol (cos.md#hosts and cos.md#v3).

    Parameters
    ----------
    name : str
        The scheme of URLs, and the section of fsspec's configuration.
    capabilities : Capabilities
        What its filesystem can do.
    prefix : str
        The path of the API before the appid.
    api_host, download_host : str
        Host names, with ``{region}``, ``{bucket}`` and ``{appid}``.
    page_size : int
        Maximum number of entries in one page of a listing.
    service_host : str
        Host name for requests that do not concern a single region; empty if there is none.
    has_appid : bool
        Whether requests contain the appid separately from the bucket.
    reports_headers : bool
        Whether the reply to ``stat`` has the stored headers of a file.
    slice_sizes : sequence of int
        Valid sizes of slices or parts in bytes.
    max_single_upload : int
        Maximum size in bytes of an object that is uploaded in one request.
    """

    name: str
    capabilities: Capabilities
    prefix: str
    api_host: str
    download_host: str
    page_size: int
    service_host: str = ""
    has_appid: bool = True
    reports_headers: bool = True
    slice_sizes: Sequence[int] = (_MIB // 2, _MIB, 2 * _MIB, 3 * _MIB)
    max_single_upload: int = 20 * _MIB

    def __repr__(self) -> str:
        return f"<ProtocolSpec {self.name}>"

    @property
    def has_regions(self) -> bool:
        """Whether host names contain a region."""
        return "{region}" in self.api_host

    def piece_size(self, wanted: int) -> int:
        """Return the largest valid size in bytes of a slice or part up to `wanted`; the smallest if all exceed it."""
        sizes = self.slice_sizes
        if isinstance(sizes, range):
            return min(max(sizes[0], wanted), sizes[-1])
        return max((size for size in sizes if size <= wanted), default=min(sizes))


_BUCKETS = Capabilities(
    container="bucket",
    makes_parents=True,
    knows_sha1=True,
    takes_size=True,
    names_are_literal=True,
    is_thread_safe=True,
    shows_attributes=True,
)

V4 = ProtocolSpec(
    name="cosv4",
    capabilities=replace(_BUCKETS, copies_on_server=True),
    prefix="/files/v2",
    api_host="{region}.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos{region}.myqcloud.com",
    page_size=1000,
)
"""The JSON API v4."""

V3 = ProtocolSpec(
    name="cosv3",
    capabilities=_BUCKETS,
    prefix="/files/v1",
    api_host="web.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos.myqcloud.com",
    page_size=199,
    # cos.md#v3
    reports_headers=False,
)
"""The JSON API v3."""

CDCS = ProtocolSpec(
    name="cdcs",
    capabilities=Capabilities(
        container="coffer",
        replaces_files=False,
        has_directories=False,
        makes_parents=True,
        signs_urls=False,
        takes_size=True,
        names_are_literal=True,
        is_thread_safe=True,
        shows_attributes=True,
    ),
    prefix="",
    api_host="cdcs.{region}.myqcloud.com",
    download_host="cdcs.{region}.myqcloud.com",
    page_size=1000,
    service_host="service.cdcs.myqcloud.com",
    has_appid=False,
    reports_headers=False,
    # a part is measured in MB, which may mean either (cdcs.md#transport and cdcs.md#upload-part)
    slice_sizes=range(_MIB, 5 * 10**9 + 1),
    max_single_upload=5 * 10**9,
)
"""The Data Coffer Service (cdcs.md#service and cdcs.md#transport)."""
