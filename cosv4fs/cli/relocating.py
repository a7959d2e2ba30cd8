"""What mv does with files that it has to copy, because another filesystem is the target, or filters select them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.rows import RowPrinter
from cosv4fs.cli.session import Session
from cosv4fs.cli.transfers import Copier, row_of
from cosv4fs.migrate.infos import holds_files, info_of
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.moving import move_file, remove_emptied
from cosv4fs.migrate.pairs import Pair
from cosv4fs.migrate.plan import plan_copies
from cosv4fs.migrate.selection import Selection


def move_by_copying(
    session: Session, sources: Sequence[Location], target: Location, selection: Selection, *, recursive: bool, jobs: int
) -> None:
    """Move files by the rules of cp: copy each, prove the copy, and remove the source.

    Directories that are empty then are removed, if everything in them was selected and could be moved.
    """
    directories = [source for source in sources if recursive and holds_files(source, info_of(source))]
    failures = FailureLog(keeps_rows=False)
    with plan_copies(sources, target, selection, recursive=recursive, jobs=jobs) as plan:
        go_on = _go_on(sources, target, into=any(root.place for root in plan.roots))
        copier = Copier(session, plan, jobs, MetadataOptions(), transfer=move_file, go_on=go_on)
        count, size = plan.totals()

        def record(pair: Pair, error: str | None) -> None:
            if not pair.is_directory:
                report.row("files", lambda: row_of(pair, error))

        with RowPrinter(session, ["files"], needs_reader=False) as report:
            copier.copy(plan.pairs(), (count, size), failures, record)
            for directory in directories if selection.is_everything and not failures.count else ():
                remove_emptied(directory)
            report.finish({"skipped_links": plan.skipped, "failed": failures.count} | copier.outcome())
        done = f"moved {count - failures.count} of {count} files{copier.summary()}"
        if not session.as_json:
            copier.tell()
            if plan.skipped and not failures.count:
                session.tell(done)
    failures.exit(done if count > 1 else "")


def _go_on(sources: Sequence[Location], target: Location, *, into: bool) -> str:
    """Return what to repeat after an interrupt: a directory that the first run has created would get another inside."""
    if into or any(source.trailing_slash for source in sources):
        return "repeat the command to go on"
    return f"to go on: cosv4fs mv -r {shlex.quote(f'{sources[0].url}/')} {shlex.quote(f'{target.url}/')}"
