"""The command sync."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import filters, tell_if_none_selected
from cosv4fs.cli.metadata import metadata_options
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.rows import RowPrinter
from cosv4fs.cli.session import WRITE_ONCE, Session, for_each, transfers
from cosv4fs.cli.transfers import Copier, planning, refusal_of, row_of
from cosv4fs.display import counted, human_size
from cosv4fs.migrate.comparing import Comparison
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.pairs import Pair, Pairs
from cosv4fs.migrate.plan import plan_update, unlisted
from cosv4fs.migrate.selection import Selection


@command(short_help="Update a directory from another one.")
@click.argument("source")
@click.argument("target")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--delete", is_flag=True, help="Remove files that only the target has.")
@click.option("--size-only", is_flag=True, help="Compare files by size only, not by time.")
@click.option("--checksum", is_flag=True, help="Compare files of equal size by SHA-1, not by time.")
@click.option(
    "--max-delete",
    type=click.IntRange(0),
    metavar="N",
    help="With --delete, change nothing if more than N files would be removed.",
)
@transfers
@filters(links=True)
@metadata_options
@click.pass_obj
def sync(
    session: Session,
    source: str,
    target: str,
    dry_run: bool,
    delete: bool,
    size_only: bool,
    checksum: bool,
    max_delete: int | None,
    jobs: int,
    selection: Selection,
    metadata: MetadataOptions,
) -> None:
    """Update a directory from another one: copy files that are new, have another size, or may have changed.

    A file of the same size is skipped if its copy is at least three seconds newer, by the clocks of both services.
    Otherwise checksums decide; without any, it is copied again. Messages count the files that times cannot compare.

    --delete removes nothing if a copy failed, nor what filters leave out. Nothing is changed if the source has no
    files, unless --max-delete allows removing all. In a coffer (cdcs://), files can be neither replaced nor deleted:
    those that differ are reported as failed. Empty directories are not created, and metadata is not compared.
    """
    if size_only and checksum:
        raise click.UsageError("--size-only and --checksum contradict each other")
    if max_delete is not None and not delete:
        raise click.UsageError("--max-delete limits --delete, which is not given")
    old, new = session.location(source), session.location(target)
    if delete and not new.capabilities.replaces_files:
        raise NotImplementedError(f"{new.url}: --delete is not possible, {WRITE_ONCE}")
    metadata.check(new)
    comparison = Comparison(old, new, by_time=not size_only, by_content=checksum, jobs=jobs)
    with planning(session, lambda listed: plan_update(old, new, selection, jobs=jobs, listed=listed)) as plan:
        deletions = _check_deletions(plan, old, max_delete) if delete else 0
        comparison.run(plan)
        # the next run compares the times of listings
        copier = Copier(session, plan, jobs, replace(metadata, times="listed"))
        _Update(session, plan, comparison, copier, jobs, dry_run=dry_run).run(deletions)
        tell_if_none_selected(session, selection, plan.totals()[0])


def _check_deletions(plan: Pairs, source: Location, most: int | None) -> int:
    """Return how many files will be removed; refuse more than are allowed, and all because the source has none."""
    count = sum(1 for _ in plan.extra())
    if most is not None and count > most:
        text = f"{counted(count, 'file')} would be removed, but --max-delete allows {most}: nothing was changed"
        raise OSError(errno.EINVAL, text, plan.target.url)
    if most is None and count and not plan.totals()[0]:
        text = f"no file is selected, and --delete would remove {count} at the target: nothing was changed"
        raise OSError(errno.EINVAL, f"{text}; if that is meant, add --max-delete {count}", source.url)
    return count


class _Update:
    """One run of sync after trees were compared: copies, then removes, and reports."""

    def __init__(
        self, session: Session, plan: Pairs, comparison: Comparison, copier: Copier, jobs: int, *, dry_run: bool
    ) -> None:
        self._session, self._plan, self._comparison, self._copier = session, plan, comparison, copier
        self._jobs, self._dry_run = jobs, dry_run
        self._failures = FailureLog(keeps_rows=False, sides=plan.sides)
        self._done = Counter[str]()
        self._printer = RowPrinter(session, ["copies", "deletions"], needs_reader=dry_run)

    def run(self, deletions: int) -> None:
        """Copy what differs, and remove a number of files if all was copied; exit with a code if something failed."""
        failures, counts = self._failures, self._comparison
        with self._printer as printer:
            for _, error in unlisted(self._plan):
                failures.record(error)
            self._copy()
            # the target may have the last copy of a file that could not be read
            is_kept = bool(deletions and failures.count)
            if deletions and not is_kept:
                self._remove()
            printer.finish(
                {"same": counts.same, "undated": counts.undated, "unsure": counts.unsure}
                | {"skipped_links": self._plan.skipped, "failed": failures.count, "dry_run": self._dry_run}
                | self._copier.outcome()
            )
        if not self._session.as_json:
            self._tell()
        failures.exit(
            "nothing was deleted, because not everything was copied" if is_kept else "not everything was done"
        )

    def _copy(self) -> None:
        copies = self._plan.pairs(with_reason=True)
        if not self._plan.target.capabilities.replaces_files:
            copies = self._without_differing(copies)
        totals = self._plan.totals(with_reason=True)
        self._copier.copy(copies, totals, self._failures, self._record_copy, dry_run=self._dry_run)

    def _without_differing(self, copies: Iterator[Pair]) -> Iterator[Pair]:
        """Record the files of a write-once target that differ from their sources, and yield the others."""
        for pair in copies:
            if pair.reason == "new":
                yield pair
                continue
            text = f"the file differs ({pair.reason}) and cannot be replaced by {pair.source.url}, {WRITE_ONCE}"
            error = refusal_of(pair) if pair.refusal else FileExistsError(errno.EEXIST, text, pair.target.url)
            self._record_copy(pair, self._failures.record(error, pair))

    def _remove(self) -> None:
        if self._dry_run:
            for location in self._plan.extra():
                self._record_deletion(location, None)
        else:
            own = ThreadInstances()
            with Progress(self._session, "deleting", "deleted") as progress:

                def remove(location: Location) -> None:
                    own.of(location).fs.rm_file(location.path)
                    progress.done(f"deleted {location.url}")

                for_each(self._jobs, remove, self._plan.extra(), self._failures, self._record_deletion)

    def _record_copy(self, pair: Pair, error: str | None) -> None:
        if error is None:
            self._done["copied"] += 1
            self._done["bytes"] += pair.size
        is_predicted = self._dry_run and error is None
        line = f"would copy {pair.source.url} to {pair.target.url} ({pair.reason})" if is_predicted else ""
        self._printer.row("copies", lambda: row_of(pair, error) | {"reason": pair.reason}, line)

    def _record_deletion(self, location: Location, error: str | None) -> None:
        self._done["deleted"] += error is None
        if error is None:
            line = f"would delete {location.url}" if self._dry_run else ""
            self._printer.row("deletions", lambda: location.url, line)

    def _tell(self) -> None:
        copy, delete = ("would copy", "would delete") if self._dry_run else ("copied", "deleted")
        counts, say = self._comparison, self._session.tell
        self._copier.tell()
        size = f" ({human_size(self._done['bytes'])})" if self._done["copied"] else ""
        done = f"{copy} {self._done['copied']}{size}, {delete} {self._done['deleted']}, {counts.same} unchanged"
        say(done + self._copier.summary())
        if counts.undated:
            say(f"cosv4fs: compared {counts.undated} by size only, because one side has no times: see --checksum")
        if counts.unsure:
            text = f"compared {counts.unsure} by times of a clock that cannot be read, and may be wrong: see --checksum"
            say(f"cosv4fs: {text}")
