"""The configurations of a run: each is a runtime of its own, with its connections, threads and caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec

KIB = 1024
MIB = 1024 * KIB
BUCKETS = ("data", "other")

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "small": {
        "slice_size": 512 * KIB,
        "single_upload_limit": 512 * KIB,
        "spool_memory": 1 * MIB,
        "range_size": 256 * KIB,
        "max_concurrency": 6,
        "page_size": 7,
    },
    "plain": {"spool_memory": 2 * MIB},
    "uncached": {
        "use_listings_cache": False,
        "single_upload_limit": 1 * MIB,
        "slice_size": 1 * MIB,
        "range_size": 1 * MIB,
        "instant_upload": True,
        "streaming": "never",
        "max_requests": 8,
        "max_concurrency": 3,
    },
}
"""Options by name, beside those of the account and the folders."""


def filesystem(configuration: str, account: dict[str, Any], folder: Path) -> Any:
    """Return the instance of the calling thread, as fsspec hands it out; its local files are below `folder`."""
    folders = {"journal_dir": str(folder / "journal"), "spool_dir": str(folder / "spool")}
    return fsspec.filesystem("cosv4", **account, **folders, **CONFIGURATIONS[configuration])
