"""A service's folder with large and with nested directories: made once, copied for every dialect."""

from __future__ import annotations

from pathlib import Path

import fsspec

from cosv4fs.emulator import Emulator
from tests.matrix.ways import BUCKET, MIB

MANY = 2500
NESTED = {
    f"{BUCKET}/nest/{year}/{month}/{day}.csv": b"x" * month
    for year in (2001, 2002, 2010)
    for month in (1, 2, 3)
    for day in (1, 2)
}


def make_library(root: Path) -> None:
    """Fill a folder: ``many`` has `MANY` entries, 20 of them directories, and ``nest`` holds `NESTED`."""
    with Emulator(root, buckets=(BUCKET, "other")) as emulator:
        fs = fsspec.filesystem("cosv4", **emulator.storage_options)
        fs.pipe({f"{BUCKET}/many/{number:04}": b"" for number in range(MANY - 20)})
        fs.pool.map(fs.mkdir, [f"{BUCKET}/many/folder{number:02}" for number in range(20)])
        fs.pipe(NESTED)
        fs.mkdir(f"{BUCKET}/nest/empty")
        # unfinished uploads are no entries
        fs.client.upload_slice_init(BUCKET, "/many/0500half", filesize=10, slice_size=MIB)
