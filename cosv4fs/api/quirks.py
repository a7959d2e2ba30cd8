"""What a client learns about a server: deviations that it has detected, and the time.

The documentation disputes some points, and servers differ. The emulator has a switch for each point (its dialect); this
is the mirror: the points that a client finds out, because it can work better when it knows. Names and values are those
of the dialect, and stand for the same sections of the protocol notes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

from cosv4fs.forking import shared_lock

_log = logging.getLogger("cosv4fs")

_MEANINGS = {
    "move_signature": "the kind of signature that a move needs",
    "copy_signature": "the kind of signature that a copy needs",
    "delete_signature": "the kind of signature that a delete needs",
    "update_signature": "the kind of signature that an update needs",
    "update_flag": "an update needs its flag",
    "max_list": "entries in the largest page of a listing",
    "serial_upload": "slices are sent one after another",
    "finish_size": "the size that an upload may be finished with, by bucket",
    "slice_sha": "the SHA-1 that is reported for slices, by bucket",
    "part_etag": "ETags of parts are no MD5",
    "etag_quotes": "a completion needs ETags in quotation marks",
    "clock_offset": "the server's clock compared with this machine's",
}


@dataclass
class Quirks:
    """The quirks of one server, shared by all threads; None and empty where nothing was learned."""

    server: str = ""
    """The root of the API, for log messages."""
    move_signature: Literal["single", "multi"] | None = None  # cos.md#move-signature
    copy_signature: Literal["single", "multi"] | None = None  # cos.md#move-signature
    delete_signature: Literal["single", "multi"] | None = None  # cos.md#delete-signature
    update_signature: Literal["single", "multi"] | None = None  # cos.md#delete-signature
    update_flag: Literal["required"] | None = None  # cos.md#update-flag
    max_list: int | None = None  # cos.md#page-limit
    serial_upload: bool = False  # cos.md#upload_slice_init
    finish_size: dict[str, Literal["any", "declared"]] = field(default_factory=dict)  # cos.md#finish-size
    """With ``any``, files of unknown size are sent while they are written."""
    slice_sha: dict[str, Literal["real", "absent", "other"]] = field(default_factory=dict)  # cos.md#stat-sha
    """With ``real``, content is hashed while it is sent; zeros are as good as absent."""
    part_etag: Literal["encrypted"] | None = None  # cdcs.md#response-headers
    etag_quotes: Literal["quoted"] | None = None  # cdcs.md#disputed-list
    clock_offset: float = 0.0  # cos.md#signature, cdcs.md#signature
    """Seconds by which the server's clock is ahead, learned when it refuses a signature as expired."""

    def __post_init__(self) -> None:
        self.probing = shared_lock()
        """Held by a thread that probes the server, so that others wait for its answer."""

    def learn(self, bucket: str | None = None, **learned: object) -> None:
        """Record what a reply has shown, of one bucket if that is given, and log what is new."""
        for name, value in learned.items():
            known, key = (vars(self), name) if bucket is None else (getattr(self, name), bucket)
            if known.get(key) != value:
                _log.info("%s: learned %s=%s%s", self.server, name, value, f" of bucket {bucket!r}" if bucket else "")
                # one step: other threads learn meanwhile, also of other buckets
                known[key] = value

    def learned(self) -> Iterator[str]:
        """Yield a line about each field for which something was learned: name, value and meaning."""
        unknown = Quirks(self.server)
        for each in fields(self):
            value = getattr(self, each.name)
            if value == getattr(unknown, each.name):
                continue
            if isinstance(value, dict):
                # other threads may be learning
                value = ", ".join(f"{key}: {item}" for key, item in sorted(value.copy().items()))
            shown = f"{value:+.0f} seconds" if isinstance(value, float) else value
            yield f"{each.name} = {shown} ({_MEANINGS[each.name]})"
