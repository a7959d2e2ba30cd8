"""The regions of the vendor: their short codes, which become part of host names, and their names in newer APIs."""

from __future__ import annotations

import re
from difflib import get_close_matches

from cosv4fs.protocols import CDCS, ProtocolSpec

_REGIONS = {
    "ap-tianjin": "tj",
    "ap-beijing": "bj",
    "ap-shanghai": "sh",
    "ap-guangzhou": "gz",
    "ap-chengdu": "cd",
    "ap-singapore": "sgp",
    "ap-hongkong": "hk",
    "na-toronto": "ca",
    "eu-frankfurt": "ger",
}
"""Names of regions in newer APIs of the vendor, and the short codes that host names use (cos.md#hosts)."""

_OTHER_NAMES = {
    "ap-beijing-1": "tj",
    "cn-north": "tj",
    "cn-east": "sh",
    "cn-south": "gz",
    "cn-southwest": "cd",
    "sg": "sgp",
}
"""Further names of the same regions."""

_OF_NEWER_APIS = re.compile("(ap|na|sa|eu|me|af|cn)-.+")


def short_code(region: str) -> str:
    """Return the short code for a name of a region without its area, such as ``gz`` for ``guangzhou``; else itself.

    Raises
    ------
    ValueError
        It is a name of newer APIs, and no short code.
    """
    code = (_REGIONS | _OTHER_NAMES).get(region.lower())
    if code is not None:
        raise ValueError(f"must be the short code {code!r} for {region!r}, because it becomes part of a host name")
    if _OF_NEWER_APIS.fullmatch(region.lower()):
        codes = ", ".join(_REGIONS.values())
        text = f"must be a short code such as {codes}, because it becomes part of a host name, not {region!r}"
        raise ValueError(text)
    return {name.partition("-")[2]: code for name, code in _REGIONS.items()}.get(region.lower(), region)


def similar_region(region: str, protocol: ProtocolSpec) -> str | None:
    """Return the region that an unknown one may stand for; None for a known one, or if none is similar."""
    names = list(_REGIONS)
    if CDCS.name != protocol.name:
        names = [*_REGIONS.values(), *(name.partition("-")[2] for name in names)]
    return None if region in names else next(iter(get_close_matches(region.lower(), names, 1, 0.5)), None)


def long_region(region: str) -> str:
    """Return the name that newer APIs have for a region, such as ``ap-guangzhou`` for ``gz``; itself if unknown."""
    return {code: name for name, code in _REGIONS.items()}.get(region, region)
