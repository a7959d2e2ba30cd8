"""The command find, which lists the paths in directories that match."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import check_filters, filters
from cosv4fs.cli.session import Session
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.infos import entry_of, holds_files, info_of
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.selection import Selection
from cosv4fs.migrate.trees import refusal_error, scan

_KINDS = {"f": "file", "d": "directory"}


@command(short_help="List the paths in directories that match.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--name", metavar="PATTERN", help="List paths whose last part matches: * ? [a-z].")
@click.option("--type", "kind", type=click.Choice(list(_KINDS)), help="List files (f) or directories (d) only.")
@filters()
@click.pass_obj
def find(session: Session, urls: tuple[str, ...], name: str | None, kind: str | None, selection: Selection) -> None:
    """List the paths in directories and their subdirectories, in the order in which the service lists them.

    With a filter, only files are listed.
    """
    check_filters(selection, urls)
    if kind == "d" and not selection.is_everything:
        raise click.UsageError("filters select files: use --name for directories")
    if kind is None and not selection.is_everything:
        kind = "f"

    def matches(entry: Entry, path: str) -> bool:
        is_of_kind = kind is None or entry.is_directory == (kind == "d")
        return is_of_kind and (name is None or fnmatchcase(path.rpartition("/")[2], name))

    failures = FailureLog(keeps_rows=session.as_json)
    rows = (
        row
        for url in urls
        for location in expand_pattern(session.location(url))
        for row in _found(location, selection, matches, failures)
    )
    session.show(rows, lambda row: str(row["url"]) + ("/" if row["type"] == "directory" else ""), failures)
    failures.exit()


def _found(
    location: Location, selection: Selection, matches: Callable[[Entry, str], bool], failures: FailureLog
) -> Iterator[dict[str, Any]]:
    info = info_of(location)
    if not holds_files(location, info):
        entry = entry_of(location, info, location.name)
        if selection.admits(entry.path, entry.size, entry.modified) and matches(entry, entry.path):
            yield _row(location, entry)
        return
    for page in scan(location, selection):
        for entry in page:
            if entry.refusal and (entry.is_directory or entry.is_missing):
                failures.record(refusal_error(location, entry))
            if not entry.is_missing and matches(entry, entry.path):
                yield _row(location.at(location.prefix + entry.path), entry)


def _row(location: Location, entry: Entry) -> dict[str, Any]:
    kind = "directory" if entry.is_directory else "file"
    return {"url": location.url, "type": kind, "size": entry.size, "modified": entry.modified}
