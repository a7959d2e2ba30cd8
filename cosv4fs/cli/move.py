"""The command mv."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from functools import partial
from inspect import signature

import click
from fsspec.core import has_magic

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import check_filters, filters
from cosv4fs.cli.output import quoted
from cosv4fs.cli.remove import (
    changing_progress,
    check_changeable,
    check_literal,
    check_removable,
    takes_names_literally,
)
from cosv4fs.cli.rows import RowPrinter
from cosv4fs.cli.session import Session, transfers
from cosv4fs.cli.transfers import Copier, row_of
from cosv4fs.collisions import check_moves, check_targets
from cosv4fs.display import counted
from cosv4fs.localnames import LocalNames
from cosv4fs.migrate.access import one_of_each
from cosv4fs.migrate.infos import holds_files, info_of
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.moving import move_file, state_of
from cosv4fs.migrate.pairs import Pair
from cosv4fs.migrate.plan import expand_pattern, plan_copies
from cosv4fs.migrate.removing import remove_emptied
from cosv4fs.migrate.selection import EVERYTHING, Selection


@command(short_help="Move files and directories, also to other filesystems.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Move directories and their contents.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be moved.")
@transfers
@filters(links=True, follow=False)
@click.pass_obj
def mv(
    session: Session,
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    dry_run: bool,
    jobs: int,
    selection: Selection,
) -> None:
    """Move files; directories are moved file by file.

    Sources are moved into the target if it is a directory or has a trailing slash. Existing files are replaced. Files
    in coffers (cdcs://) cannot be moved.

    To another filesystem, or with a filter, files are copied by the rules of cp. Each source is removed when its copy
    is proven: by checksums that the services store, or by reading both. Within one filesystem, existing directories are
    not replaced.
    """
    check_filters(selection, sources)
    new = session.location(target)
    opened = [session.location(source) for source in sources]
    for location in opened:
        check_changeable(location)
    locations = [location for source in opened for location in expand_pattern(source)]
    if selection != EVERYTHING or any(location.fs != new.fs for location in locations):
        for location in locations:
            _check_source(location, new)
        _move_by_copying(session, locations, new, selection, recursive=recursive, dry_run=dry_run, jobs=jobs)
    else:
        _move_within(session, locations, new, recursive=recursive, dry_run=dry_run)


def _move_within(session: Session, locations: list[Location], new: Location, *, recursive: bool, dry_run: bool) -> None:
    """Move files within one filesystem."""
    into = new.trailing_slash or len(locations) > 1 or new.fs.isdir(new.path)
    goals = [(old, new.join(old.name) if into else new.at(new.path)) for old in locations]
    # a file that matches several patterns is moved once
    by_url = {(old.url, goal.url): (old, goal) for old, goal in goals}
    identity = LocalNames(()).identity if new.is_local else str
    check_moves(by_url, identity=identity)
    check_targets(by_url, "moved", identity=identity)
    moves = [(old, goal, _check_move(old, goal, recursive)) for old, goal in by_url.values()]
    failures = FailureLog(sides=one_of_each(locations))
    with (
        changing_progress(session, "moving", "moved") as progress,
        RowPrinter(session, ["files"], needs_reader=dry_run) as report,
    ):
        for old, goal, is_directory in moves:
            row = partial(_report_move, report, old, goal)
            with failures.recording(failed=row):
                # what can be known before has been checked
                if not dry_run:
                    _move(old, goal, is_directory)
                    progress.done(f"moved {old.url} to {goal.url}")
                row(None, f"would move {old.url} to {goal.url}" if dry_run else "")
        report.finish({"failed": failures.count, "dry_run": dry_run})
    failures.exit()


def _report_move(report: RowPrinter, old: Location, goal: Location, error: str | None, line: str = "") -> None:
    report.row("files", lambda: {"source": old.url, "target": goal.url, "error": error}, line)


def _move_by_copying(
    session: Session,
    sources: Sequence[Location],
    target: Location,
    selection: Selection,
    *,
    recursive: bool,
    dry_run: bool,
    jobs: int,
) -> None:
    """Move files by the rules of cp: copy each, prove the copy, and remove the source.

    Directories that are empty then are removed, if everything in them was selected and could be moved.
    """
    directories = [source for source in sources if recursive and holds_files(source, info_of(source))]
    with plan_copies(sources, target, selection, recursive=recursive, jobs=jobs, predicts=dry_run) as plan:
        failures = FailureLog(keeps_rows=False, sides=plan.sides)
        resume_hint = _resume_hint(sources, target, into=any(root.place for root in plan.roots))
        copier = Copier(session, plan, jobs, MetadataOptions(), transfer=move_file, resume_hint=resume_hint)
        count, size = plan.totals()

        def record(pair: Pair, error: str | None) -> None:
            if not pair.is_directory:
                line = f"would move {pair.source.url} to {pair.target.url}" if dry_run and not error else ""
                report.row("files", lambda: row_of(pair, error), line)

        with RowPrinter(session, ["files"], needs_reader=dry_run) as report:
            copier.copy(plan.pairs(), (count, size), failures, record, dry_run=dry_run)
            for directory in directories if selection.is_everything and not (dry_run or failures.count) else ():
                remove_emptied(directory)
            known = {"skipped_links": plan.skipped, "failed": failures.count, "dry_run": dry_run}
            report.finish(known | copier.outcome())
        verb = "would move" if dry_run else "moved"
        done = f"{verb} {count - failures.count:,} of {counted(count, 'file')}{copier.summary()}"
        if not session.as_json:
            copier.tell()
            if (dry_run or plan.skipped) and not failures.count:
                session.tell(done)
    failures.exit(done if count > 1 else "")


def _resume_hint(sources: Sequence[Location], target: Location, *, into: bool) -> str:
    """Return what to repeat after an interrupt: a directory that the first run has created would get another inside."""
    if into or any(source.trailing_slash for source in sources):
        return "repeat the command to continue"
    return f"to continue: cosv4fs mv -r {quoted(f'{sources[0].url}/')} {quoted(f'{target.url}/')}"


def _check_move(old: Location, goal: Location, recursive: bool) -> bool:
    """Check a move before anything is changed; return whether the source is a directory."""
    _check_source(old, goal)
    if old.is_same(goal):
        raise OSError(errno.EINVAL, "source and target are the same", old.url)
    info = info_of(old)
    is_directory = bool(info["type"] == "directory")
    if recursive and not is_directory and holds_files(old, info):
        text = "it is both a file and a directory: copy it with cp -r, then remove it with rm -r"
        raise OSError(errno.EINVAL, text, old.url)
    if is_directory and not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: move it with -r", old.url)
    if is_directory and goal.is_within(old):
        raise OSError(errno.EINVAL, f"a directory cannot be moved into itself, as {goal.url}", old.url)
    if goal.fs.isdir(goal.path):
        raise IsADirectoryError(errno.EISDIR, "a directory with this name exists and is not replaced", goal.url)
    if is_directory and goal.fs.exists(goal.path):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file and cannot be replaced by a directory", goal.url)
    return is_directory


def _check_source(old: Location, goal: Location) -> None:
    check_removable(old, f"to move its content: cosv4fs mv -r {quoted(f'{old.url}/*')} {quoted(f'{goal.url}/')}")


def _move(old: Location, goal: Location, is_directory: bool) -> None:
    """Move one file or directory, taking its name literally."""
    if takes_names_literally(old):
        old.fs.mv(old.path, goal.path, recursive=is_directory)
    elif "recursive" not in signature(old.fs.mv).parameters:
        # the filesystem has its own rename, without patterns
        old.fs.mv(old.path, goal.path)
    elif is_directory or (old.has_directories and not has_magic(old.path)):
        check_literal(old)
        old.fs.mv(old.path, goal.path, recursive=is_directory)
    else:
        # `mv` of fsspec would expand the name, or take a file that is also a directory for one, and remove it uncopied
        before = state_of(old)
        old.fs.cp_file(old.path, goal.path)
        if state_of(old) != before:
            text = f"the file changed while it was copied to {goal.url} and was not removed: move it again"
            raise OSError(errno.ESTALE, text, old.url)
        old.fs.rm_file(old.path)
