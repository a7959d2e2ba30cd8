"""The command cp."""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import check_filters, filters, tell_if_none_selected
from cosv4fs.cli.metadata import metadata_options
from cosv4fs.cli.process import standard_input, standard_output
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.rows import RowPrinter
from cosv4fs.cli.session import Session, transfers
from cosv4fs.cli.transfers import Copier, planning, row_of, written_once
from cosv4fs.display import counted, human_size
from cosv4fs.migrate.copying import ByteProgress, receive, send
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.pairs import ListedCallback, Pair, Pairs
from cosv4fs.migrate.plan import expand_pattern, plan_copies
from cosv4fs.migrate.selection import Selection

_AGAIN = "repeat the command to start again, or let cosv4fs sync copy what is missing"
"""What to do after an interrupt: `cp` copies all files again, also those that it has copied."""


@command(short_help="Copy files between any two filesystems.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Copy directories and their contents.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be copied.")
@transfers
@filters(links=True)
@metadata_options
@click.pass_obj
def cp(
    session: Session,
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    dry_run: bool,
    jobs: int,
    selection: Selection,
    metadata: MetadataOptions,
) -> None:
    """Copy files between any two URLs that fsspec supports, including local paths.

    A source directory with a trailing slash stands for its contents. Existing files are replaced, except in coffers
    (cdcs://), which are write-once: there they are reported as failed. If the target is a local symbolic link, the file
    that it points to is replaced. The source - is standard input, the target - is standard output. Interrupted uploads
    are resumed.
    """
    check_filters(selection, sources)
    if target == "-":
        if metadata.content_type is not None:
            raise click.UsageError("standard output (-) has no content type")
        _copy_output(session, sources, recursive, dry_run)
        return
    destination = session.location(target)
    metadata.check(destination)
    if "-" in sources:
        _copy_input(session, sources, destination, dry_run, metadata)
        return
    locations = [session.location(source) for source in sources]

    def plan_with(listed: ListedCallback) -> AbstractContextManager[Pairs]:
        return plan_copies(
            locations, destination, selection, recursive=recursive, jobs=jobs, predicts=dry_run, listed=listed
        )

    with planning(session, plan_with) as plan:
        _copy_planned(session, plan, Copier(session, plan, jobs, metadata, fallback_hint=_AGAIN), dry_run)
        tell_if_none_selected(session, selection, plan.totals()[0])


def _copy_planned(session: Session, plan: Pairs, copier: Copier, dry_run: bool) -> None:
    count, size = plan.totals()
    failures, copied, copied_size = FailureLog(keeps_rows=False, sides=plan.sides), 0, 0

    def record(pair: Pair, error: str | None) -> None:
        nonlocal copied, copied_size
        if pair.is_directory and not error:
            return
        if not error:
            copied, copied_size = copied + 1, copied_size + pair.size
        line = f"would copy {pair.source.url} to {pair.target.url}" if dry_run and not error else ""
        printer.row("files", lambda: row_of(pair, error), line)

    with RowPrinter(session, ["files"], needs_reader=dry_run) as printer:
        copier.copy(plan.pairs(), (count, size), failures, record, dry_run=dry_run)
        printer.finish({"skipped_links": plan.skipped, "failed": failures.count, "dry_run": dry_run} | copier.outcome())
    verb = "would copy" if dry_run else "copied"
    done = f"{verb} {copied:,} of {counted(count, 'file')}, {human_size(copied_size)}" + copier.summary()
    if not session.as_json:
        copier.tell()
    if not (session.as_json or failures.count):
        session.tell(done)
    # the failure of a single file says everything
    failures.exit(done if count > 1 else "")


def _copy_input(
    session: Session, sources: tuple[str, ...], target: Location, dry_run: bool, metadata: MetadataOptions
) -> None:
    """Copy standard input to a file."""
    if len(sources) > 1:
        raise click.UsageError("standard input (-) cannot be combined with other sources")
    if target.trailing_slash or target.fs.isdir(target.path):
        raise IsADirectoryError(errno.EISDIR, "it is a directory: name a file to copy standard input to", target.url)
    size = 0
    if dry_run:
        if not target.capabilities.replaces_files and target.fs.isfile(target.path):
            raise written_once(target)
    else:
        with Progress(session, resume_hint=lambda: "repeat the command to start again") as progress:
            size = receive(standard_input(), target, ByteProgress(progress.moved), metadata.of(None, target))
    rows = [{"source": "-", "target": target.url, "size": size, "error": None}]
    if session.as_json:
        session.show_json({"files": rows, "failed": 0, "dry_run": dry_run})
    elif dry_run:
        session.say(f"would copy standard input to {target.url}")
    else:
        session.tell(f"copied {human_size(size)}")


def _copy_output(session: Session, sources: tuple[str, ...], recursive: bool, dry_run: bool) -> None:
    """Copy one file to standard output."""
    if session.as_json:
        raise click.UsageError("with the target -, standard output has the file: --json cannot be used")
    if "-" in sources:
        raise click.UsageError("source and target are both -: name a file on one side")
    locations = [location for source in sources for location in expand_pattern(session.location(source))]
    if recursive or len(locations) > 1:
        text = "standard output (-) takes one file: use cosv4fs cat for several, or name a directory as the target"
        raise click.UsageError(text)
    [source] = locations
    info = source.fs.info(source.path)
    if info["type"] == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a directory: standard output (-) takes one file", source.url)
    if dry_run:
        session.say(f"would copy {source.url} to standard output")
        return
    with Progress(session) as progress, standard_output() as out:
        progress.planned(1, int(info["size"] or 0))
        size = send(source, out, ByteProgress(progress.moved))
    session.tell(f"copied {human_size(size)}{progress.summary()}")
