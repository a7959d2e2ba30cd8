"""`CosV4FileSystem` and `CosV3FileSystem`: what fsspec sees. Paths in, infos and bytes out; no HTTP, no threads."""

from __future__ import annotations

from typing import Any

from cosv4fs import paths
from cosv4fs.front import Front
from cosv4fs.generation import V3, V4
from cosv4fs.rearranging import Rearranging

__all__ = ["CosV3FileSystem", "CosV4FileSystem"]


class CosV4FileSystem(Front, Rearranging):
    """Buckets of Tencent Cloud COS behind the JSON API v4, as ``cosv4://bucket/dir/name``.

    Parameters
    ----------
    appid, secret_id, secret_key, region : str, optional
        The account, and the short code of the region (``gz``). Else from ``COSV4_APPID``, ``COSV4_SECRET_ID``,
        ``COSV4_SECRET_KEY`` and ``COSV4_REGION``, else from fsspec's configuration under ``cosv4``.
    endpoint : str, optional
        URL of another service that speaks the API, such as the emulator's; API calls and downloads both go there.
        Else from ``COSV4_ENDPOINT``.
    asynchronous, loop : optional
        What fsspec may hand to any filesystem; this one is synchronous.
    **options
        Every other field of `cosv4fs.config.Config`, among them ``anon``, ``use_ssl``, ``verify``, ``proxies``,
        ``max_concurrency``, ``slice_size``, ``spool_dir``, ``use_listings_cache`` and ``listings_expiry_time``.

    Raises
    ------
    MissingCredentialsError
        A `PermissionError` and `ValueError` that names what is missing and how to set it.
    TypeError, ValueError
        An option is unknown or has a value that cannot be.
    """

    protocol = "cosv4"
    generation = V4
    _positional = ("appid", "secret_id", "secret_key", "region", "endpoint")

    def __init__(
        self,
        appid: str | int | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        **options: Any,
    ) -> None:
        account = {
            "appid": appid, "secret_id": secret_id, "secret_key": secret_key, "region": region, "endpoint": endpoint,
        }  # fmt: skip
        super().__init__(account, asynchronous, loop, **options)


class CosV3FileSystem(CosV4FileSystem):
    """Buckets of the predecessor, COS v3 (``/files/v1``), as ``cosv3://bucket/dir/name``.

    It is used as `CosV4FileSystem` is, with the same options; the account may also come from ``COSV3_APPID``,
    ``COSV3_SECRET_ID``, ``COSV3_SECRET_KEY`` and ``COSV3_ENDPOINT``, or from fsspec's configuration under ``cosv3``.
    There are no regions.

    Slices travel one after another, after the whole content is known: what is written bit by bit waits in the spool
    until it is closed. Copies travel through this machine, without ``biz_attr``, the only attribute that can
    be changed.
    """

    protocol = "cosv3"
    generation = V3

    def _copy(self, source: str, target: str) -> None:
        paths.check_new(target)
        self._copy_through(source, target)
