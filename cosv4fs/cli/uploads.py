"""The commands about uploads that were never finished."""

from __future__ import annotations

import errno
from typing import Any

import click

from cosv4fs.cli.failures import FailureLog, Group
from cosv4fs.cli.session import Ours, Session
from cosv4fs.display import human_size
from cosv4fs.migrate.copying import ByteProgress

__all__ = ["COMMANDS"]

_DAY = 86400.0


@click.group(cls=Group)
def uploads() -> None:
    """See, continue and give up uploads that were never finished."""


@uploads.command("ls")
@click.argument("url")
@click.pass_obj
def list_(session: Session, url: str) -> None:
    """List the unfinished uploads of a file, or below a directory."""
    fs, path = _directory(session, url)
    session.show(fs.uploads(path), lambda row: _line(fs, row))


@uploads.command(short_help="Continue what an interrupted cp or put left.")
@click.argument("url", required=False)
@click.pass_obj
def resume(session: Session, url: str | None) -> None:
    """Continue what an interrupted cp or put of this user left, in all buckets of cosv4:// or below URL.

    cosv3:// is all of COS v3, cdcs:// all coffers. Only uploads of local files can be continued; a file that has
    changed since is left alone.
    """
    fs, path = session.ours(url or "cosv4://")
    pending = fs.interrupted_uploads(path)
    failures = FailureLog()
    with session.bar(sum(upload["size"] for upload in pending), "uploading") as advance:
        for upload in pending:
            with failures.recording(upload):
                fs.put_file(upload["source"], upload["name"], callback=ByteProgress(advance))
    done = [upload for upload in pending if failures.reason(upload) is None]
    session.show(done, lambda row: f"uploaded {row['source']} to {fs.unstrip_protocol(row['name'])}")
    if not pending and not session.as_json:
        click.echo("there is nothing to continue", err=True)
    failures.exit()


@uploads.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.pass_obj
def abort(session: Session, urls: tuple[str, ...]) -> None:
    """Give up the unfinished uploads of files; complete files stay. In a coffer the names are free again."""
    failures = FailureLog()
    aborted = []
    for url in urls:
        fs, path = session.ours(url)
        if "/" not in path:
            raise click.UsageError(f"{url}: name the file whose upload is to be given up; clean is for directories")
        with failures.recording():
            _abort(fs, path, url)
            aborted.append({"name": path})
    session.show(aborted, lambda row: f"gave up {session.url(row['name'])}")
    failures.exit()


@uploads.command()
@click.argument("url")
@click.option(
    "--older-than", type=click.FloatRange(0), default=_DAY, metavar="SECONDS",
    help="Leave younger ones, which may be under way; default: 86400, a day.",
)  # fmt: skip
@click.pass_obj
def clean(session: Session, url: str, older_than: float) -> None:
    """Remove old unfinished uploads below a directory."""
    fs, path = _directory(session, url)
    session.show(fs.clean_uploads(path, older_than=older_than), lambda row: f"removed {_line(fs, row)}")


COMMANDS = (uploads,)


def _directory(session: Session, url: str) -> tuple[Ours, str]:
    """Return the filesystem and the path of a URL that names at least a bucket or coffer."""
    fs, path = session.ours(url)
    if not path:
        kind = fs.capabilities.container
        raise click.UsageError(f"{url}: name a {kind}, or a path in one")
    return fs, path


def _abort(fs: Ours, path: str, url: str) -> None:
    try:
        fs.abort_upload(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "there is no unfinished upload of this file", url) from error


def _line(fs: Ours, row: dict[str, Any]) -> str:
    # coffers are never told how much will come
    there = f"{human_size(row['stored'])} " + ("so far" if row["size"] is None else f"of {human_size(row['size'])}")
    hidden = "" if row["place"] == row["name"] else f"  (hidden as {fs.unstrip_protocol(row['place'])})"
    return f"{fs.unstrip_protocol(row['name'])}  {there}{hidden}"
