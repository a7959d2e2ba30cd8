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

_NAMES_ALONE = {name.partition("-")[2]: code for name, code in _REGIONS.items()}
"""The same without their areas, such as ``guangzhou``."""

_OF_NEWER_APIS = re.compile("(ap|na|sa|eu|me|af|cn)-.+")


def short_code(region: str) -> str:
    """Return the short code of a region in lower case: ``gz`` for ``GZ``, ``guangzhou`` and ``ap-guangzhou``.

    Short codes that are not documented are returned, too: there may be more of them.

    Raises
    ------
    ValueError
        It is a name of newer APIs that has no short code.
    """
    name = region.lower()
    code = (_REGIONS | _OTHER_NAMES | _NAMES_ALONE).get(name, name)
    if _OF_NEWER_APIS.fullmatch(code):
        codes = ", ".join(_REGIONS.values())
        raise ValueError(f"must be a region that this API has, such as {codes}, or the name of one, not {region!r}")
    return code


def similar_region(region: str, protocol: ProtocolSpec) -> str | None:
    """Return the region that an unknown one may stand for; None for a known one, or if none is similar.

    For buckets it is a short code, as `short_code` returns it.
    """
    names = list(_REGIONS) if protocol.name == CDCS.name else [*_REGIONS.values(), *_NAMES_ALONE]
    return None if region in names else next(iter(get_close_matches(region.lower(), names, 1, 0.5)), None)


def long_region(region: str) -> str:
    """Return the name that newer APIs have for a region, such as ``ap-guangzhou`` for ``gz``; itself if unknown."""
    return {code: name for name, code in _REGIONS.items()}.get(region, region)
