"""The two generations of the API: what of their addresses and names differs. No I/O, no words of the protocol.

What they say is in `cosv4fs.api`, how slices travel in `cosv4fs.transfer`; both choose by the generation of the
configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["V3", "V4", "Generation"]

_ACCOUNT = ("appid", "secret_id", "secret_key", "region", "endpoint")


@dataclass(frozen=True)
class Generation:
    """One generation of the API (spec sections 1 and 11).

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
    """

    name: str
    prefix: str
    api_host: str
    download_host: str
    has_regions: bool
    page_size: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable behind each option that has one."""
        return {option: f"{self.name.upper()}_{option.upper()}" for option in _ACCOUNT}

    @property
    def profile_variable(self) -> str:
        """The environment variable that names a profile."""
        return f"{self.name.upper()}_PROFILE"


V4 = Generation(
    name="cosv4",
    prefix="/files/v2",
    api_host="{region}.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos{region}.myqcloud.com",
    has_regions=True,
    page_size=1000,
)
"""The JSON API v4."""

V3 = Generation(
    name="cosv3",
    prefix="/files/v1",
    api_host="web.file.myqcloud.com",
    download_host="{bucket}-{appid}.cos.myqcloud.com",
    has_regions=False,
    page_size=199,
)
"""Its predecessor, COS v3."""
