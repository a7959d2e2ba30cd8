"""What a migration has done: `Report`, and a file with a row for each file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cosv4fs.migrate.manifest import DAMAGED, MISSING
from cosv4fs.migrate.metadata import Lost

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Report:
    """The result of one run.

    Parameters
    ----------
    source, target, manifest : str
        URLs of source and target, and path of the manifest.
    files, bytes : int
        Number of files of the source and their total size.
    copied, copied_bytes : int
        Files copied by this run and their total size.
    found : int
        Files that this run found complete at the target.
    not_carried : dict
        Number of files whose copies lost an attribute, in this run or an earlier one, and the first paths: ``files``
        and ``examples`` by the name of the attribute. The manifest names all of them.
    before : int
        Files that earlier runs completed and that have not changed.
    verified, verified_before : int
        Files whose content was compared by this run, and those that only earlier runs compared.
    failed : int
        Files that could not be migrated.
    failures : tuple of (str, str)
        Paths and errors of failed files, at most a thousand.
    vanished : int
        Files of earlier listings that the source no longer has. Their copies stay.
    empty_folders, empty_folders_kept : int
        Empty directories of the source, and how many of them the target now has.
    seconds : float
        Duration of this run.
    reasons : dict
        ``files`` and ``bytes`` that were copied, or would be, by reason: ``new``, another ``size`` or ``content`` at
        the target, or an earlier copy that is now ``missing`` or ``damaged``.
    skipped_links : int
        Symbolic links that were left out on request.
    is_dry_run : bool
        Whether nothing was copied: `reasons` says what would be, and `failed` counts what would fail.
    """

    source: str
    target: str
    manifest: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    found: int
    not_carried: dict[str, Lost]
    before: int
    verified: int
    verified_before: int
    failed: int
    failures: tuple[tuple[str, str], ...]
    vanished: int
    empty_folders: int
    empty_folders_kept: int
    seconds: float
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped_links: int = 0
    is_dry_run: bool = False

    @property
    def damaged(self) -> int:
        """Files that an earlier run had completed, and that the target no longer had, or with another content."""
        return sum(self.reasons.get(reason, {}).get("files", 0) for reason in (MISSING, DAMAGED))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-serializable dictionary."""
        failures = [{"path": path, "error": error} for path, error in self.failures]
        return {**asdict(self), "failures": failures, "seconds": round(self.seconds, 3)}


_COLUMNS = ("path", "state", "size", "modified", "sha1", "error", "not_carried", "attempts", "begun", "ended")


def write_rows(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write a file with what people want to know of the manifest's rows; see `cosv4fs.migrate.migration.migrate`.

    It is CSV if its name ends in ``.csv``, else one JSON object per line.
    """
    with file.open("w", newline="", encoding="utf-8") as out:
        if file.suffix.lower() != ".csv":
            out.writelines(json.dumps(_reported(row), ensure_ascii=False) + "\n" for row in rows)
            return
        writer = csv.DictWriter(out, _COLUMNS)
        writer.writeheader()
        writer.writerows(map(_reported, rows))


def _reported(row: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {
        **row,
        "state": "vanished" if row["is_gone"] else row["state"],
        "modified": _iso_time(row["mtime"]),
        "sha1": row["content"] or row["sha"],
        "begun": _iso_time(row["begun"]),
        "ended": _iso_time(row["ended"]),
    }
    return {name: renamed[name] for name in _COLUMNS}


def _iso_time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        # files may have times of years that no calendar has
        return None


def check_rows(file: Path) -> None:
    """Check before the migration that the file can be written; its content stays."""
    is_new = not file.exists()
    if not is_new and not (file.is_file() or file.is_dir()):
        # opening and closing a pipe would end its reader
        return
    with file.open("a"):
        pass
    if is_new:
        file.unlink()
