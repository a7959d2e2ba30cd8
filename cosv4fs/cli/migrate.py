"""The command migrate."""

from __future__ import annotations

import sys
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import DIFFERENT, FAILED
from cosv4fs.cli.filters import filters, tell_if_none_selected
from cosv4fs.cli.metadata import metadata_options, tell_not_carried
from cosv4fs.cli.output import print_message, printable
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import Session, own_filesystem, transfers
from cosv4fs.concurrency.limits import sending
from cosv4fs.display import counted, human_size
from cosv4fs.migrate.manifest import FAILED as FAILED_STATE
from cosv4fs.migrate.manifest import PENDING, Outcome
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.migration import Watcher, migrate
from cosv4fs.migrate.report import Report
from cosv4fs.migrate.selection import Selection
from cosv4fs.options import variables_of

_MAX_FAILURES = 20


@command("migrate", short_help="Copy a whole bucket or directory, over many runs.")
@click.argument("source")
@click.argument("target")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be copied, and what would fail.")
@click.option("--verify", is_flag=True, help="Compare the content of every copy with its source.")
@click.option(
    "--reverify",
    is_flag=True,
    help="As --verify, and what earlier runs completed, too: copy again what is missing, or differs in content.",
)
@click.option("--manifest", metavar="FILE", help="Database for the progress; default: in the user's state directory.")
@click.option("--no-overwrite", is_flag=True, help="Report target files with different content as failed.")
@transfers
@click.option("--scheduler", metavar="ADDRESS", help="Copy on a dask cluster: tcp://host:8786, or local to start one.")
@click.option(
    "--report", metavar="FILE", help="At the end, write one line per file, replacing FILE: CSV for *.csv, else JSON."
)
@filters(links=True)
@metadata_options
@click.pass_obj
def migrate_command(
    session: Session,
    source: str,
    target: str,
    dry_run: bool,
    verify: bool,
    reverify: bool,
    manifest: str | None,
    no_overwrite: bool,
    jobs: int,
    scheduler: str | None,
    report: str | None,
    metadata: MetadataOptions,
    selection: Selection,
) -> None:
    """Copy a bucket or directory to any other filesystem, such as s3://bucket/dir.

    Repeat the command to resume an interrupted run, to retry failed files, and to copy new and changed ones. The source
    is never changed. A coffer (cdcs://) keeps its files: those that differ there are reported as failed. Filters select
    the files of this run; others stay as they are at the target and in the manifest, and no empty directories are
    created.

    --reverify looks up every file at the target, whatever the manifest says. SHA-1s that the service stores are
    compared; elsewhere the files are read. Metadata is not compared: check does that, and cp copies again what it
    names. A dry run compares as the run would, and changes neither the target nor the manifest; with --reverify, its
    exit code is 5 if a copy is missing or damaged.

    --report has path, state (pending, copied, verified, failed or vanished), size, modified, sha1, error, not_carried,
    attempts, begun and ended of each file in the manifest. Times are ISO 8601 in UTC.

    --scheduler uses workers with the same version of cosv4fs, the packages of both filesystems, and access to source
    and target (local paths: the same directory everywhere). Files of workers that die are tried again; a file that is
    lost three times fails. If the scheduler or all workers are lost, the command ends within a minute: repeat it.
    """
    if scheduler and sending.is_limited:
        raise click.UsageError("--bwlimit limits this process only, and cannot be used with --scheduler")
    if scheduler and dry_run:
        raise click.UsageError("--dry-run copies nothing, and cannot be used with --scheduler")
    # error messages need the protocol of each URL
    session.location(source)
    destination = session.location(target)
    options = _options(session, source, target) if scheduler else session.options
    # files that the target has count, too
    action = ("comparing", "compared") if dry_run else ("migrating", "migrated")
    with Progress(session, *action, lines=False) as progress:
        result = migrate(
            source, target, options=options, manifest=manifest, verify=verify, reverify=reverify,
            overwrite=not no_overwrite, metadata=metadata, selection=selection, dry_run=dry_run, jobs=jobs,
            scheduler=scheduler, watcher=_Display(progress), rows=report,
        )  # fmt: skip
    _report(session, result, progress, has_directories=destination.has_directories)
    tell_if_none_selected(session, selection, result.files)
    if result.failed:
        sys.exit(FAILED)
    if dry_run and result.damaged:
        sys.exit(DIFFERENT)


def _options(session: Session, *urls: str) -> dict[str, dict[str, Any]]:
    """Return the options, completed with the account from this process's environment, which workers do not see."""
    options = {name: dict(values) for name, values in session.options.items()}
    for url in urls:
        fs = own_filesystem(session.location(url).fs)
        if fs is not None:
            names = (*variables_of(fs.config.protocol), "anon")
            account = {name: value for name in names if (value := getattr(fs.config, name))}
            options[str(fs.protocol)] = account | options.get(str(fs.protocol), {})
    return options


class _Display(Watcher):
    """Shows the progress of a migration. Files have lines only with ``-v``, because the manifest has them all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def listed(self, count: int) -> None:
        """See `Watcher.listed`."""
        self._progress.listed(count)

    def planned(self, files: int, size: int) -> None:
        """See `Watcher.planned`."""
        self._progress.planned(files, size)

    def moved(self, size: int) -> None:
        """See `Watcher.moved`."""
        self._progress.moved(size)

    def done(self, outcome: Outcome) -> None:
        """See `Watcher.done`."""
        if outcome.state == FAILED_STATE:
            self._progress.fail()
        elif outcome.state == PENDING:
            self._progress.done(f"would copy {outcome.path} ({outcome.reason})", outcome.size)
        elif outcome.is_begun:
            self._progress.done(f"copied {outcome.path}", outcome.size, outcome.seconds)
        else:
            self._progress.done(f"found {outcome.path}", outcome.size)


def _report(session: Session, report: Report, progress: Progress, *, has_directories: bool) -> None:
    if session.as_json:
        session.show_json(report.as_dict() | {"statistics": progress.statistics()})
        return
    for path, error in report.failures[:_MAX_FAILURES]:
        print_message(printable(f"failed: {path}: {error}"))
    if report.failed > _MAX_FAILURES:
        print_message(f"and {report.failed - _MAX_FAILURES:,} more: --report FILE lists all")
    session.say(f"{report.source} to {report.target}: {counted(report.files, 'file')}, {human_size(report.bytes)}")
    if report.is_dry_run:
        _report_dry_run(session, report)
        return
    earlier = f" ({report.verified_before:,} by earlier runs)" if report.verified_before else ""
    session.say(
        f"copied {report.copied:,} ({human_size(report.copied_bytes)}), found there {report.found:,}, "
        f"done before {report.before:,}, verified {report.verified:,}{earlier}, failed {report.failed:,}, "
        f"vanished {report.vanished:,}; {report.seconds:.1f} s"
    )
    if summary := progress.summary():
        session.tell(f"migrated {counted(progress.files, 'file')}{summary}")
    progress.tell_slowest()
    tell_not_carried(session, report.not_carried)
    if report.damaged:
        session.say(f"missing or damaged copies of earlier runs: {report.damaged:,}, copied again")
    if report.skipped_links:
        session.say(f"{counted(report.skipped_links, 'link')} skipped")
    if report.empty_folders:
        session.say(_empty_directories(report.empty_folders, report.empty_folders_kept, has_directories))
    session.say(f"manifest: {report.manifest}")


def _empty_directories(count: int, kept: int, has_directories: bool) -> str:
    directories = counted(count, "empty directory", "empty directories")
    if not has_directories:
        return f"{directories} {'was' if count == 1 else 'were'} not created: the target has no directories"
    if kept == count:
        return f"{directories} at the target"
    return f"{kept:,} of {directories} at the target: the others could not be created"


def _report_dry_run(session: Session, report: Report) -> None:
    files, size = (sum(found[unit] for found in report.reasons.values()) for unit in ("files", "bytes"))
    session.say(
        f"would copy {files:,} ({human_size(size)}), found there {report.found:,}, done before {report.before:,}, "
        f"would fail {report.failed:,}, vanished {report.vanished:,}; {report.seconds:.1f} s"
    )
    for reason, found in sorted(report.reasons.items()):
        session.say(f"{reason}: {found['files']:,} ({human_size(found['bytes'])})")
    if report.skipped_links:
        session.say(f"{counted(report.skipped_links, 'link')} skipped")
