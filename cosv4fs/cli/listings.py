"""The commands ls, tree, find and du, which list directories."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import FILTER_RULES, check_filters, filters
from cosv4fs.cli.output import is_writable
from cosv4fs.cli.session import Session
from cosv4fs.display import counted, human_size, human_time
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.infos import entry_of, info_of
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.selection import Selection
from cosv4fs.migrate.sorting import SortedEntries
from cosv4fs.migrate.trees import refusal_error, scan
from cosv4fs.paths import parents

_KINDS = {"f": "file", "d": "directory"}

_LINES = ("│   ", "└── ", "├── ")
_ASCII_LINES = ("|   ", "`-- ", "|-- ")
"""What a tree is drawn with: the line past a directory, the branch to the last entry, and to any other."""


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-l", "--long", "is_long", is_flag=True, help="Show size and time.")
@click.option("-h", "--human-readable", "human", is_flag=True, help="With -l, show sizes as 1.5 MiB.")
@click.option("-R", "--recursive", is_flag=True, help="List subdirectories, too.")
@click.option("-d", "--directory", "itself", is_flag=True, help="List the directory itself, not its contents.")
@filters()
@click.pass_obj
def ls(
    session: Session,
    urls: tuple[str, ...],
    is_long: bool,
    human: bool,
    recursive: bool,
    itself: bool,
    selection: Selection,
) -> None:
    """List files and directories. Patterns such as 'cosv4://bucket/*.csv' are expanded; cdcs:// lists the coffers.

    Names are sorted, and each directory comes before what is in it: nothing is printed before all is listed. find
    prints at once. With a filter, only files are listed.
    """

    def line(row: dict[str, Any]) -> str:
        name = str(row["url"]) + ("/" if row["type"] == "directory" else "")
        if not is_long:
            return name
        size = human_size(row["size"]) if human else str(row["size"])
        return f"{'-' if row['type'] == 'directory' else size:>14}  {human_time(row['modified']):19}  {name}"

    check_filters(selection, urls)
    failures = FailureLog(keeps_rows=session.as_json)
    listing = _Listing(selection, failures, None if recursive else 1)
    locations = [location for url in urls for location in expand_pattern(session.location(url))]
    rows = (row for location in locations for row in (listing.itself(location) if itself else listing.rows(location)))
    session.show(rows, line, failures)
    failures.exit()


@command()
@click.argument("url")
@click.option("-L", "--level", type=click.IntRange(1), metavar="N", help="Show at most N levels.")
@filters()
@click.pass_obj
def tree(session: Session, url: str, level: int | None, selection: Selection) -> None:
    """Show a directory tree. With a filter, only files are shown, and the directories above them."""
    location, failures = session.location(url), FailureLog()
    counts = {False: 0, True: 0}
    with SortedEntries() as entries:
        try:
            _Listing(selection, failures, level).collect(location, entries)
        except NotADirectoryError as error:
            raise NotADirectoryError(errno.ENOTDIR, "it is a file: use ls or stat", location.url) from error
        if session.as_json:
            session.show_tree((entry.path.count("/"), _nested(location, entry, level)) for entry in entries)
        else:
            session.say(location.url)
            for text, is_directory in _branches(entries):
                session.say(text)
                counts[is_directory] += 1
            session.say("")
            session.say(f"{counted(counts[True], 'directory', 'directories')}, {counted(counts[False], 'file')}")
    failures.exit()


@command(short_help="List the paths in directories that match.", epilog=FILTER_RULES)
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

    def matches(path: str, *, is_directory: bool) -> bool:
        is_of_kind = kind is None or is_directory == (kind == "d")
        return is_of_kind and (name is None or fnmatchcase(path.rpartition("/")[2], name))

    failures = FailureLog(keeps_rows=session.as_json)
    listing = _Listing(selection, failures)
    locations = (location for url in urls for location in expand_pattern(session.location(url)))
    rows = (row for location in locations for row in listing.matching(location, matches))
    session.show(rows, lambda row: str(row["url"]) + ("/" if row["type"] == "directory" else ""), failures)
    failures.exit()


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-h", "--human-readable", "human", is_flag=True, help="Show sizes as 1.5 MiB.")
@click.option("-s", "--summarize", is_flag=True, help="Show one total per argument, as with --max-depth 0.")
@click.option("-d", "--max-depth", type=click.IntRange(0), metavar="N", help="Show directories at most N levels below.")
@filters()
@click.pass_obj
def du(
    session: Session,
    urls: tuple[str, ...],
    human: bool,
    summarize: bool,
    max_depth: int | None,
    selection: Selection,
) -> None:
    """Show the total size of the files in each directory. With a filter, only selected files count."""

    def line(row: dict[str, Any]) -> str:
        size = human_size(row["size"]) if human else str(row["size"])
        return f"{size:>14}  {row['files']:>9} file{'s' if row['files'] != 1 else ' '}  {row['url']}"

    if summarize and max_depth:
        raise click.UsageError("--summarize shows no subdirectories, and contradicts --max-depth")
    check_filters(selection, urls)
    failures = FailureLog(keeps_rows=session.as_json)
    listing, depth = _Listing(selection, failures), 0 if summarize else max_depth
    session.show((row for url in urls for row in listing.sums(session.location(url), depth)), line, failures)
    failures.exit()


class _Listing:
    """Lists directories for one run of a command, and records what cannot be listed.

    `depth` is the number of levels; None for all.
    """

    def __init__(self, selection: Selection, failures: FailureLog, depth: int | None = None) -> None:
        self._selection, self._failures, self._depth = selection, failures, depth

    def itself(self, location: Location) -> Iterator[dict[str, Any]]:
        """Yield the row of a path, unless it is a file that is not selected."""
        entry = entry_of(location, info_of(location))
        if entry.is_directory or self._selection.admits(location.name, entry.size, entry.modified):
            yield _row(location, entry)

    def rows(self, location: Location) -> Iterator[dict[str, Any]]:
        """Yield a row for everything in a directory, sorted, or for one file."""
        with SortedEntries() as entries:
            try:
                self.collect(location, entries)
            except NotADirectoryError:
                yield from self.itself(location)
                return
            # directories that only paths show are among them
            with_directories = self._selection.is_everything
            for entry in entries:
                if with_directories or not entry.is_directory:
                    yield _row(location.at(location.prefix + entry.path), entry)

    def matching(self, location: Location, matches: Callable[..., bool]) -> Iterator[dict[str, Any]]:
        """Yield a row for everything in a directory, as it is listed, or for one file.

        `matches` is called with each path, and with `is_directory`.
        """
        try:
            for page in self._pages(location):
                for entry in page:
                    if matches(entry.path, is_directory=entry.is_directory):
                        yield _row(location.at(location.prefix + entry.path), entry)
        except NotADirectoryError:
            if matches(location.name, is_directory=False):
                yield from self.itself(location)

    def collect(self, location: Location, entries: SortedEntries) -> None:
        """Add everything in a directory."""
        for page in self._pages(location):
            entries.add(page)

    def sums(self, location: Location, depth: int | None) -> Iterator[dict[str, Any]]:
        """Yield a row for each directory in which files are, or for one file; `depth` is the number of levels below."""
        # bytes and files by directory, or by the one at the deepest level above
        direct: dict[str, list[int]] = {"": [0, 0]}
        try:
            for page in self._pages(location):
                for entry in page:
                    if not entry.is_directory:
                        folder = "/".join(entry.path.split("/")[:-1][:depth])
                        total = direct.setdefault(folder, [0, 0])
                        total[0] += entry.size
                        total[1] += 1
        except NotADirectoryError:
            rows = [*self.itself(location)]
            direct = {"": [sum(row["size"] for row in rows), len(rows)]}
        for folder, (size, count) in sorted(_with_subdirectories(direct).items()):
            url = location.at(location.prefix + folder).url if folder else location.url
            yield {"url": url, "size": size, "files": count}

    def _pages(self, location: Location) -> Iterator[list[Entry]]:
        for page in scan(location, self._selection, depth=self._depth):
            for entry in page:
                if entry.refusal and (entry.is_directory or entry.is_missing):
                    self._failures.record(refusal_error(location, entry))
            is_wanted = self._selection.is_everything
            yield [entry for entry in page if not entry.is_missing and (is_wanted or not entry.is_directory)]


def _row(location: Location, entry: Entry) -> dict[str, Any]:
    kind = "directory" if entry.is_directory else "file"
    return {"url": location.url, "type": kind, "size": entry.size, "modified": entry.modified}


def _nested(location: Location, entry: Entry, level: int | None) -> dict[str, Any]:
    """Return a row of a tree in JSON; directories that are shown with their contents have a list for them."""
    row = _row(location.at(location.prefix + entry.path), entry) | {"name": entry.path.rpartition("/")[2]}
    is_open = entry.is_directory and (level is None or entry.path.count("/") + 1 < level)
    return row | ({"children": []} if is_open else {})


def _branches(entries: SortedEntries) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a tree, each with whether it is of a directory."""
    line, last_branch, branch = _LINES if is_writable("".join(_LINES)) else _ASCII_LINES
    # whether the directories above, from the top, are the last in theirs
    above: list[bool] = []
    for entry in entries:
        del above[entry.path.count("/") :]
        is_last, indent = entries.is_last(entry), "".join("    " if last else line for last in above)
        yield f"{indent}{last_branch if is_last else branch}{entry.path.rpartition('/')[2]}", entry.is_directory
        above.append(is_last)


def _with_subdirectories(direct: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the sums of directories, with everything under them, from those of the files directly in them."""
    sums: dict[str, list[int]] = {}
    for folder, (size, count) in direct.items():
        for each in (folder, *parents(folder), *([""] if folder else [])):
            total = sums.setdefault(each, [0, 0])
            total[0] += size
            total[1] += count
    return sums
