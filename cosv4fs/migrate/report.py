"""What a migration has done: `Report`, and the rows of the manifest as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cosv4fs.migrate.manifest import DAMAGED, MISSING
from cosv4fs.migrate.metadata import Lost


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
        and ``examples`` by the name of the attribute. The rows of the manifest name all of them.
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


def write_rows(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write rows to a file: as CSV if its name ends in ``.csv``, else as one JSON object per line."""
    with file.open("w", newline="", encoding="utf-8") as out:
        if file.suffix.lower() != ".csv":
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        writer = csv.writer(out)
        for number, row in enumerate(rows):
            if not number:
                writer.writerow(row)
            writer.writerow(row.values())


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
