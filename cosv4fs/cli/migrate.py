"""The command that moves the data of a bucket elsewhere: migrate."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cosv4fs.cli.failures import FAILED
from cosv4fs.cli.session import Session
from cosv4fs.display import human_size
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.migrate.manifest import Outcome
from cosv4fs.migrate.migration import Report, Watcher, migrate

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["COMMANDS"]

_INTERVAL = 10.0
"""Seconds between two lines about the progress, where there is no bar."""

_MOST_FAILURES = 20


@click.command("migrate", short_help="Move the data of a bucket to any other filesystem.")
@click.argument("source")
@click.argument("target")
@click.option("--verify", is_flag=True, help="Compare every file at the target with what was read, by its content.")
@click.option("--manifest", metavar="FILE", help="What remembers the work; default: a file in the user's state folder.")
@click.option("--no-overwrite", is_flag=True, help="Files at the target with another content stay, and are failures.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Files at once.")
@click.option("--scheduler", metavar="ADDRESS", help="Copy on a dask cluster: tcp://host:8786; local for a new one.")
@click.option("--report", metavar="FILE", help="Write a line for every file: CSV for *.csv, else JSON.")
@click.pass_obj
def migrate_(
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
    """Move the data of a bucket or directory to any other filesystem, such as cosv4://bucket/dir to s3://bucket/dir.

    The same command again goes on where an interrupted run stopped, retries what failed, and takes what is new or has
    changed. What was verified is not copied again. The source stays as it is. cdcs://coffer-APPID/dir can be either; as
    the target it keeps every file that it has, and a source file with another content is a failure.
    """
    for url in (source, target):
        # so that errors tell the right protocol
        session.location(url)
    options = _options(session, source, target) if scheduler else session.options
    with Display(session) as watcher:
        result = migrate(
            source, target, options=options, manifest=manifest, verify=verify, overwrite=not no_overwrite, jobs=jobs,
            scheduler=scheduler, watcher=watcher, rows=report,
        )  # fmt: skip
    _tell(session, result)
    if result.failed:
        sys.exit(FAILED)


COMMANDS = (migrate_,)


def _options(session: Session, *urls: str) -> dict[str, dict[str, Any]]:
    """Return the options with the account that this process took from its environment: workers have another."""
    options = {name: dict(values) for name, values in session.options.items()}
    for url in urls:
        fs = session.location(url).fs
        if isinstance(fs, ObjectFileSystem):
            names = ("appid", "secret_id", "secret_key", "region", "endpoint", "security_token", "anon")
            account = {name: value for name in names if (value := getattr(fs.config, name, None))}
            options[str(fs.protocol)] = account | options.get(str(fs.protocol), {})
    return options


class Display(Watcher):
    """Shows progress: a bar, or now and then a line, or nothing where output is JSON."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._clock = session, clock
        self._mutex = threading.Lock()
        self._files = self._size = self._done = self._moved = self._failed = self._listed = 0
        self._told = clock()
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
        with self._mutex:
            self._listed += count
            if self._bar is not None:
                self._bar.update(count)
            self._say(f"listed {self._listed:,} files")

    def planned(self, files: int, size: int) -> None:
        with self._mutex:
            self._files, self._size = files, size
            if self._bar is not None:
                from tqdm import tqdm  # noqa: PLC0415 - only needed here

                self._bar.close()
                self._bar = tqdm(
                    total=size, desc="migrating", unit="B", unit_scale=True, unit_divisor=1024, file=sys.stderr
                )

    def moved(self, size: int) -> None:
        with self._mutex:
            self._moved += size
            if self._bar is not None:
                self._bar.update(size)
            self._say_progress()

    def done(self, outcome: Outcome) -> None:
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
        """Print a line, unless there is a bar or the last line is young."""
        now = self._clock()
        if self._bar is None and not self._session.as_json and now - self._told >= _INTERVAL:
            self._told = now
            click.echo(f"cosv4fs migrate: {text}", err=True)


def _tell(session: Session, report: Report) -> None:
    if session.as_json:
        session.show_json(report.as_dict())
        return
    for path, error in report.failures[:_MOST_FAILURES]:
        click.echo(f"failed: {path}: {error}", err=True)
    if report.failed > _MOST_FAILURES:
        click.echo(f"and {report.failed - _MOST_FAILURES:,} more: --report FILE names all", err=True)
    click.echo(f"{report.source} to {report.target}: {report.files:,} files, {human_size(report.bytes)}")
    click.echo(
        f"copied {report.copied:,} ({human_size(report.copied_bytes)}), found there {report.found:,}, "
        f"done before {report.before:,}, verified {report.verified:,}, failed {report.failed:,}, "
        f"vanished {report.vanished:,}; {report.seconds:.1f} s"
    )
    if report.empty_folders:
        click.echo(f"empty directories: {report.empty_folders:,}, at the target {report.empty_folders_kept:,}")
    click.echo(f"manifest: {report.manifest}")
