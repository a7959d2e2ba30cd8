"""The command check."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import DIFFERENT, FailureLog
from cosv4fs.cli.filters import filters, tell_if_none_selected
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.rows import RowPrinter
from cosv4fs.cli.session import Session, transfers
from cosv4fs.cli.transfers import planning
from cosv4fs.display import counted
from cosv4fs.migrate.checking import SIZE_ONLY, Check, Finding, Kind
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.pairs import Pairs
from cosv4fs.migrate.plan import plan_check, unlisted
from cosv4fs.migrate.selection import Selection


@command(short_help="Compare two directories, and say what differs.")
@click.argument("source")
@click.argument("target")
@click.option("--one-way", is_flag=True, help="Ignore files that only the target has.")
@click.option("--size-only", is_flag=True, help="Compare only sizes, and metadata.")
@click.option("--download", is_flag=True, help="Read files where no common checksum is stored.")
@click.option("--no-metadata", is_flag=True, help="Do not compare types, headers and user metadata.")
@click.option("--times", is_flag=True, help="Compare the times that copies have of their sources.")
@transfers
@filters(links=True)
@click.pass_obj
def check(
    session: Session,
    source: str,
    target: str,
    one_way: bool,
    size_only: bool,
    download: bool,
    no_metadata: bool,
    times: bool,
    jobs: int,
    selection: Selection,
) -> None:
    """Compare two directories or two files on any filesystems. The exit code is 5 if they differ.

    Prints a line per difference, marked as in rclone: + only in the source, - only in the target, * different, with the
    reason, ! not comparable.

    Files of equal size are compared by the SHA-1 or MD5 that the services store; local files are read. If both sides
    have no checksum in common, only sizes are compared, and the summary counts these files: --download reads them,
    except from a side that stores their SHA-1. Metadata that both sides store is compared, which takes one request per
    file on S3 and in coffers, and up to two in buckets. Empty directories are not compared.

    --times compares the time of a local copy, or the mtime in the user metadata of a copy on S3 (one request), with
    that of its source. Other copies have only the time of their upload: the summary counts them.
    """
    if size_only and download:
        raise click.UsageError("--size-only and --download contradict each other")
    old, new = session.location(source), session.location(target)
    comparison = Check(
        old, new, size_only=size_only, download=download, metadata=not no_metadata, times=times, jobs=jobs
    )
    with planning(session, lambda listed: plan_check(old, new, selection, jobs=jobs, listed=listed)) as plan:
        _Checking(session, plan, old).run(comparison, one_way=one_way, size_only=size_only)
        tell_if_none_selected(session, selection, plan.totals()[0])


class _Checking:
    """One run of check: prints the differences, and counts what was found by what."""

    def __init__(self, session: Session, plan: Pairs, source: Location) -> None:
        self._session, self._plan, self._source = session, plan, source
        self._failures = FailureLog(keeps_rows=False, sides=plan.sides)
        self._kinds, self._proofs, self._undated = Counter[Kind](), Counter[str](), 0
        self._printer = RowPrinter(session, ["differences"], needs_reader=True)
        self._progress = Progress(
            session, "checking", "checked", lines=False, resume_hint=lambda: "repeat the command to start again"
        )

    def run(self, comparison: Check, *, one_way: bool, size_only: bool) -> None:
        """Compare the files, and exit with a code that says whether they are equal."""
        with self._printer as printer, self._progress as progress:
            progress.planned(*self._plan.totals())
            for location, error in unlisted(self._plan):
                self._handle(Finding(Kind.FAILED, None, location, error=error))
            comparison.run(self._plan, self._handle, one_way=one_way)
            printer.finish(self._totals())
        if not self._session.as_json:
            self._tell(size_only=size_only)
        self._failures.exit("not everything was compared")
        if self._kinds[Kind.DIFFERENT] + self._kinds[Kind.ONLY_SOURCE] + self._kinds[Kind.ONLY_TARGET]:
            sys.exit(DIFFERENT)

    def _handle(self, found: Finding) -> None:
        self._kinds[found.kind] += 1
        self._undated += found.is_undated
        path = self._path(found)
        if found.kind is Kind.EQUAL:
            self._proofs[found.proof] += 1
        else:
            error = self._failures.record(found.error) if found.error else None
            reason = f" ({found.reason})" if found.reason else ""
            self._printer.row("differences", lambda: _row(found, path, error), f"{found.kind.value} {path}{reason}")
        if found.kind in (Kind.EQUAL, Kind.FAILED):
            # others may need no request
            self._failures.end_item(found.error)
        if found.kind is Kind.FAILED:
            self._progress.fail()
        elif found.source is not None:
            self._progress.moved(found.size)
            self._progress.done(f"checked {path}", found.size)

    def _path(self, found: Finding) -> str:
        """Return the path of a file relative to its tree; of a file that is named itself, its name."""
        tree, location = (self._source, found.source) if found.source else (self._plan.target, found.target)
        path = location.path if location else ""
        return path.removeprefix(tree.prefix) if path != tree.path else tree.name

    def _totals(self) -> dict[str, Any]:
        return {
            "equal": self._kinds[Kind.EQUAL],
            "equal_by": dict(self._proofs),
            "different": self._kinds[Kind.DIFFERENT],
            "only_source": self._kinds[Kind.ONLY_SOURCE],
            "only_target": self._kinds[Kind.ONLY_TARGET],
            "undated": self._undated,
            "skipped_links": self._plan.skipped,
            "failed": self._kinds[Kind.FAILED],
        }

    def _tell(self, *, size_only: bool) -> None:
        kinds, tell = self._kinds, self._session.tell
        proofs = ", ".join(f"{count} by {proof}" for proof, count in sorted(self._proofs.items()))
        skipped = f", {counted(self._plan.skipped, 'link')} skipped" if self._plan.skipped else ""
        tell(
            f"{kinds[Kind.EQUAL]} equal{f' ({proofs})' if proofs else ''}, {kinds[Kind.DIFFERENT]} different, "
            f"{kinds[Kind.ONLY_SOURCE]} only in the source, {kinds[Kind.ONLY_TARGET]} only in the target{skipped}"
        )
        if self._proofs[SIZE_ONLY] and not size_only:
            text = (
                "have no checksum in common, and were compared by size: --download reads their contents "
                "(migrate --verify has compared those of its copies)"
            )
            tell(f"cosv4fs: {self._proofs[SIZE_ONLY]} {text}")
        if self._undated:
            tell(f"cosv4fs: {self._undated} not compared by time: the copies have only the time of their upload")


def _row(found: Finding, path: str, error: str | None) -> dict[str, Any]:
    return {
        "mark": found.kind.value,
        "path": path,
        "source": found.source.url if found.source else None,
        "target": found.target.url if found.target else None,
        "reason": found.reason or None,
        "error": error,
    }
