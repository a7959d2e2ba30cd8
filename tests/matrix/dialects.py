"""Which dialects of the API are tried: each switch by itself, pairs of all switches, and a few by default."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from allpairspy import AllPairs

from cosv4fs.emulator import Dialect

DEFAULT = "default"
PROTOCOLS = ("cosv4", "cosv3")

NOT_IN_V3 = frozenset({
    "finish_size", "listparts", "reinit", "overwrite_unfinished", "copy_signature", "update_flag",
    "max_list", "oversize_list", "listover", "last_context", "serial_upload", "instant_needs_parts", "resource_path",
})  # fmt: skip
"""Switches that the v3 service never reads."""

KIB, MIB = 1024, 1024 * 1024

NUMBERS: dict[str, tuple[float | int | None, ...]] = {
    # fewer bytes than any client asks for, and one of the documented sizes that ours does not ask for here
    "slice_size": (None, 64 * KIB, MIB),
    # tests move the service's clock: a minute is far more than any of them takes
    "session_ttl": (None, 60.0),
    # between the sizes that the tests call slices and large
    "max_object_size": (None, 2 * MIB),
    # what file systems allow, and so few that no hidden sibling of a long name fits
    "max_name": (None, 255, 64),
}
"""Values of the switches that are numbers, the default first."""


def values(protocol: str = "cosv4") -> dict[str, tuple[object, ...]]:
    """Return the values of every switch of a protocol's service that are tried, the default first."""
    known = {**Dialect.choices(), **NUMBERS}
    missing = {field.name for field in dataclasses.fields(Dialect)} - set(known)
    if missing:
        raise ValueError(f"the matrix knows no values for {', '.join(sorted(missing))}: add them to NUMBERS")
    if protocol == "cosv3":
        return {name: some for name, some in known.items() if name not in NOT_IN_V3}
    return {name: some for name, some in known.items() if not name.startswith("v1_")}


def label(dialect: Dialect) -> str:
    """Return a dialect as ``NAME=VALUE`` texts with a comma between, without what is default."""
    changed = (
        f"{field.name}={getattr(dialect, field.name)}"
        for field in dataclasses.fields(dialect)
        if getattr(dialect, field.name) != field.default
    )
    return ",".join(changed) or DEFAULT


def chosen(text: str) -> Dialect:
    """Return the dialect of a label."""
    return Dialect.parse([] if text == DEFAULT else text.split(","))


def singles(protocol: str = "cosv4") -> Iterator[Dialect]:
    """Yield a dialect for every value that is not a default, all others being defaults."""
    for name, (_, *others) in values(protocol).items():
        for value in others:
            yield dataclasses.replace(Dialect(), **{name: value})


def pairwise(protocol: str = "cosv4") -> Iterator[Dialect]:
    """Yield dialects in which every two values of any two switches meet at least once."""
    known = values(protocol)
    for row in AllPairs(list(known.values())):
        yield Dialect(**dict(zip(known, row, strict=True)))


def core(protocol: str = "cosv4") -> list[Dialect]:
    """Return the few that differ most: the default, and for v4 a permissive, an old, a poor and a strict service.

    For v3 a permissive service and a strict one. A switch that only changes replies can be in any of them.
    """
    return _core_of_v3() if protocol == "cosv3" else _core()


def _core() -> list[Dialect]:
    return [
        Dialect(),
        Dialect(
            # permissive
            finish_size="any", reinit="matching", overwrite_unfinished="replace", directory_move="accept",
            instant="appid", instant_needs_parts=False, parents="virtual", listparts="string", slice_size=64 * KIB,
            delete_signature="any", update_signature="any", final_slashes="fold",
        ),
        Dialect(
            # old
            max_list=199, oversize_list="clamp", listover="more", last_context="kept", dir_slash=True, short_pages=True,
            times="string", error_status="always-200", resource_path="short", exists_code=-178, serial_upload=True,
            slice_sha="suffixed", not_found_body="html", custom_headers="replace",
        ),
        Dialect(
            # poor
            download_headers="bare", ranges="ignore", bad_range="200", head="refuse", slice_sha="absent",
            empty_sha="real", not_found_body="empty", listparts="absent-when-empty", part_content_type="ignore",
            rmdir_nonempty="ignore", error_status="always-400", slice_size=MIB, missing_mtime=True,
            parent_names="as-directory",
        ),
        Dialect(
            # strict
            overwrite_upload="refuse", slice_overwrite="refuse", exists_code=-177, parents="required",
            move_signature="multi", copy_signature="single", bound_stat="refuse", update_flag="required",
            delete_signature="multi", update_signature="multi", double_encoding="strict",
            cross_directory_move="refuse", file_names="strict", oversize_list="refuse", max_list=199, session_ttl=60.0,
            max_object_size=2 * MIB, max_name=255,
        ),
    ]  # fmt: skip


def _core_of_v3() -> list[Dialect]:
    return [
        Dialect(),
        Dialect(
            # permissive
            v1_order="any", v1_reply_offset="echo", v1_stat="filelen", v1_resource_path="full", v1_reinit="matching",
            slice_size=64 * KIB, parents="virtual", instant="appid", download_headers="bare", ranges="ignore",
            error_status="always-200", dir_slash=True, times="string", parent_names="as-directory",
            final_slashes="fold",
        ),
        Dialect(
            # strict
            v1_again="refuse", parents="required", overwrite_upload="refuse", slice_overwrite="refuse",
            exists_code=-177, move_signature="multi", bound_stat="refuse", cross_directory_move="refuse",
            file_names="strict", short_pages=True, session_ttl=60.0, max_object_size=2 * MIB, max_name=255,
            instant="off", delete_signature="multi", update_signature="multi", double_encoding="strict",
        ),
    ]  # fmt: skip


def covered(dialects: list[Dialect], protocol: str = "cosv4") -> set[tuple[str, object, str, object]]:
    """Return every two values of two switches that meet in one of the dialects."""
    names = list(values(protocol))
    return {
        (one, getattr(dialect, one), other, getattr(dialect, other))
        for dialect in dialects
        for one, other in itertools.combinations(names, 2)
    }
