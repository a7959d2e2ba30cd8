"""The command migrate, and its progress display."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FAILED
from cosv4fs.cli.session import Session, own_filesystem
from cosv4fs.display import human_size
from cosv4fs.migrate.manifest import Outcome
from cosv4fs.migrate.migration import Report, Watcher, migrate
from cosv4fs.options import variables_of

if TYPE_CHECKING:
    from typing_extensions import Self


_INTERVAL = 10.0
"""Seconds between progress lines when there is no progress bar."""

_MAX_FAILURES = 20


@command("migrate", short_help="Copy a whole bucket or directory, over many runs.")
@click.argument("source")
@click.argument("target")
@click.option("--verify", is_flag=True, help="Compare the content of every copy with its source.")
@click.option("--manifest", metavar="FILE", help="Database for the progress; default: in the user's state directory.")
@click.option("--no-overwrite", is_flag=True, help="Report target files with different content as failed.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Files in parallel.")
@click.option("--scheduler", metavar="ADDRESS", help="Copy on a dask cluster: tcp://host:8786, or local to start one.")
@click.option("--report", metavar="FILE", help="Write one line per file: CSV for *.csv, else JSON.")
@click.pass_obj
def migrate_command(
    session: Session,
    source: str,
    target: str,
    verify: bool,
    manifest: str | None,
    no_overwrite: bool,
    jobs: int,
    scheduler: str | None,
    report: str | None,
) -> None:
    """Copy a bucket or directory to any other filesystem, such as cosv4://bucket/dir to s3://bucket/dir.

    Repeat the command to resume an interrupted run, to retry failed files, and to copy new and changed files. Complete
    files are not copied again. The source is never changed. Source and target may be coffers, cdcs://coffer-APPID/dir;
    a coffer keeps its files, so files that differ there are reported as failed.
    """
    for url in (source, target):
        # error messages need the protocol of each URL
        session.location(url)
    options = _options(session, source, target) if scheduler else session.options
    with Display(session) as watcher:
        result = migrate(
            source, target, options=options, manifest=manifest, verify=verify, overwrite=not no_overwrite, jobs=jobs,
            scheduler=scheduler, watcher=watcher, rows=report,
        )  # fmt: skip
    _report(session, result)
    if result.failed:
        sys.exit(FAILED)


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


class Display(Watcher):
    """Shows progress as a bar or as occasional lines; shows nothing if the output is JSON."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._clock = session, clock
        self._mutex = threading.Lock()
        self._files = self._size = self._done = self._moved = self._failed = self._listed = 0
        self._last_line = clock()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._session.progress:
            from tqdm import tqdm  # noqa: PLC0415 - only needed here

            self._bar = tqdm(desc="listing", unit=" files", file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def listed(self, count: int) -> None:
        """See `Watcher.listed`."""
        with self._mutex:
            self._listed += count
            if self._bar is not None:
                self._bar.update(count)
            self._say(f"listed {self._listed:,} files")

    def planned(self, files: int, size: int) -> None:
        """See `Watcher.planned`."""
        with self._mutex:
            self._files, self._size = files, size
            if self._bar is not None:
                from tqdm import tqdm  # noqa: PLC0415 - only needed here

                self._bar.close()
                self._bar = tqdm(
                    total=size, desc="migrating", unit="B", unit_scale=True, unit_divisor=1024, file=sys.stderr
                )

    def moved(self, size: int) -> None:
        """See `Watcher.moved`."""
        with self._mutex:
            self._moved += size
            if self._bar is not None:
                self._bar.update(size)
            self._say_progress()

    def done(self, outcome: Outcome) -> None:
        """See `Watcher.done`."""
        with self._mutex:
            self._done += 1
            self._failed += outcome.state == "failed"
            if self._bar is not None:
                self._bar.set_postfix_str(
                    f"{self._done:,}/{self._files:,} files, {self._failed:,} failed", refresh=False
                )
            self._say_progress()

    def _say_progress(self) -> None:
        self._say(
            f"{self._done:,} of {self._files:,} files, {human_size(self._moved)} of {human_size(self._size)}, "
            f"{self._failed:,} failed"
        )

    def _say(self, text: str) -> None:
        """Print a line, unless there is a bar or the last line is too recent."""
        now = self._clock()
        if self._bar is None and not self._session.as_json and now - self._last_line >= _INTERVAL:
            self._last_line = now
            click.echo(f"cosv4fs migrate: {text}", err=True)


def _report(session: Session, report: Report) -> None:
    if session.as_json:
        session.show_json(report.as_dict())
        return
    for path, error in report.failures[:_MAX_FAILURES]:
        click.echo(f"failed: {path}: {error}", err=True)
    if report.failed > _MAX_FAILURES:
        click.echo(f"and {report.failed - _MAX_FAILURES:,} more: --report FILE lists all", err=True)
    click.echo(f"{report.source} to {report.target}: {report.files:,} files, {human_size(report.bytes)}")
    click.echo(
        f"copied {report.copied:,} ({human_size(report.copied_bytes)}), found there {report.found:,}, "
        f"done before {report.before:,}, verified {report.verified:,}, failed {report.failed:,}, "
        f"vanished {report.vanished:,}; {report.seconds:.1f} s"
    )
    if report.empty_folders:
        click.echo(f"empty directories: {report.empty_folders:,}, at the target {report.empty_folders_kept:,}")
    click.echo(f"manifest: {report.manifest}")
