"""The commands mkdir and touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.session import Session
from cosv4fs.migrate.locations import Location


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-p", "--parents", is_flag=True, help="Also create missing parents; existing directories are no error.")
@click.pass_obj
def mkdir(session: Session, urls: tuple[str, ...], parents: bool) -> None:
    """Create directories, coffers and buckets of S3.

    A URL without a path names a coffer or bucket: cdcs://coffer-APPID, s3://bucket.

    Object stores such as s3:// and coffers have no directories of their own: they appear with their first file.
    """
    _change_each(session, urls, partial(_make_directory, parents=parents))


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.pass_obj
def touch(session: Session, urls: tuple[str, ...]) -> None:
    """Create empty files; of existing local files, update the time. Existing files are never emptied.

    The times of files in buckets and coffers cannot be set.
    """
    _change_each(session, urls, _touch)


def _change_each(session: Session, urls: Iterable[str], change: Callable[[Location], None]) -> None:
    failures = FailureLog()

    def changed() -> Iterator[dict[str, str]]:
        for url in urls:
            with failures.recording():
                location = session.location(url)
                with failures.recording(location):
                    change(location)
                    yield {"url": location.url}

    session.show(changed(), None, failures)
    failures.exit()


def _touch(location: Location) -> None:
    try:
        location.fs.touch(location.path, truncate=False)
    except (NotImplementedError, ValueError) as error:
        if not location.fs.exists(location.path):
            raise
        text = "the file exists, and its time cannot be set"
        raise NotImplementedError(f"{location.url}: {text}") from error


def _make_directory(location: Location, *, parents: bool) -> None:
    if not location.has_directories and "/" in location.path:
        text = "this service has no directories of their own: copy a file there, and the directory appears with it"
        raise NotImplementedError(f"{location.url}: {text}")
    if parents:
        location.fs.makedirs(location.path, exist_ok=True)
    else:
        location.fs.mkdir(location.path, create_parents=False)
