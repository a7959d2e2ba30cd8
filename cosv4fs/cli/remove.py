"""The command rm, and what is checked before anything is removed or moved."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from pathlib import Path, PurePosixPath
from typing import Any

import click
from fsspec.core import has_magic

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.filters import check_filters, filters
from cosv4fs.cli.output import quoted
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import WRITE_ONCE, Session, for_each
from cosv4fs.display import counted, human_size
from cosv4fs.migrate.access import one_of_each
from cosv4fs.migrate.infos import entry_of, holds_files, info_of
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.removing import SelectedFiles, remove_tree, removes_by_keys
from cosv4fs.migrate.selection import Selection
from cosv4fs.migrate.trees import refusal_error

_JOBS = 8
"""Files removed in parallel."""


@command(short_help="Remove files, and directories with -r.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Remove directories and their contents.")
@click.option("-f", "--force", is_flag=True, help="Ignore files that do not exist.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print each file that would be removed.")
@filters()
@click.pass_obj
def rm(
    session: Session, urls: tuple[str, ...], recursive: bool, force: bool, dry_run: bool, selection: Selection
) -> None:
    """Remove files, and directories with -r. Patterns such as 'cosv4://bucket/dir/*.tmp' are expanded.

    With a filter, only files that it selects are removed, and directories below the named ones that this empties.

    Files in coffers (cdcs://) cannot be removed.
    """
    check_filters(selection, urls)
    locations = [session.location(url) for url in urls]
    failures = FailureLog(keeps_rows=session.as_json, sides=one_of_each(locations))
    ignored = (FileNotFoundError,) if force else ()
    for location in locations:
        check_removable(
            location, f"to empty it: cosv4fs rm -r {quoted(f'{location.url}/*')}", stays=not selection.is_everything
        )
    found: list[Location] = []
    for location in locations:
        with failures.recording(), suppress(*ignored):
            found += expand_pattern(location)
    removal = _Removal(selection, failures, ignored, recursive=recursive, dry_run=dry_run)
    if dry_run:
        _predict(session, removal.run(found), failures)
    else:
        with changing_progress(session, "removing", "removed") as progress:
            removed = _counted(removal.run(found), progress)
            session.show(({"url": each.location.url} for each in removed), None, failures)
    failures.exit()


@dataclass(frozen=True)
class _Removed:
    """A file or directory that is removed, and what it counts for in a dry run."""

    location: Location
    size: int = 0
    files: int = 1


def _predict(session: Session, removed: Iterator[_Removed], failures: FailureLog) -> None:
    files = size = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal files, size
        for each in removed:
            files, size = files + each.files, size + each.size
            yield {"url": each.location.url}

    session.show(rows(), lambda row: f"would remove {row['url']}", failures)
    if not session.as_json:
        session.tell(f"would remove {counted(files, 'file')}, {human_size(size)}")


class _Removal:
    """One run of rm: removes files and directories, and yields what is removed."""

    def __init__(
        self,
        selection: Selection,
        failures: FailureLog,
        ignored: tuple[type[OSError], ...],
        *,
        recursive: bool,
        dry_run: bool,
    ) -> None:
        self._selection, self._failures, self._ignored = selection, failures, ignored
        self._recursive, self._dry_run = recursive, dry_run

    def run(self, found: list[Location]) -> Iterator[_Removed]:
        folders: set[PurePosixPath] = set()
        for location in found:
            if not folders.isdisjoint(PurePosixPath(location.url).parents):
                # it was removed with its directory, which the pattern also matches
                continue
            with self._failures.recording(), suppress(*self._ignored):
                info = info_of(location)
                is_directory = _is_removed_as_directory(location, info, self._recursive)
                if is_directory:
                    folders.add(PurePosixPath(location.url))
                if self._selection.is_everything:
                    yield from self._whole(location, info, is_directory)
                else:
                    yield from self._selected(location, info, is_directory)

    def _whole(self, location: Location, info: dict[str, Any], is_directory: bool) -> Iterator[_Removed]:
        """Remove a file, or a directory with everything in it; only a dry run yields what is in it, too."""
        if is_directory and not removes_by_keys(location):
            check_literal(location)
        if not self._dry_run:
            _remove(location, is_directory)
        elif is_directory:
            with SelectedFiles(location, self._selection) as files:
                yield from self._selected_in(files, location)
        yield _Removed(location, entry_of(location, info).size, int(info["type"] != "directory"))

    def _selected(self, location: Location, info: dict[str, Any], is_directory: bool) -> Iterator[_Removed]:
        file = entry_of(location, info)
        if not file.is_directory and self._selection.admits(location.name, file.size, file.modified):
            if not self._dry_run:
                location.fs.rm_file(location.path)
            yield _Removed(location, file.size)
        if is_directory:
            with SelectedFiles(location, self._selection) as files:
                yield from self._selected_in(files, location)

    def _selected_in(self, files: SelectedFiles, tree: Location) -> Iterator[_Removed]:
        for entry in files.unlisted:
            if not (entry.is_missing and self._ignored):
                self._failures.record(refusal_error(tree, entry))
        own = ThreadInstances()

        def remove(location: Location) -> None:
            with suppress(*self._ignored):
                own.of(location).fs.rm_file(location.path)

        for page in files.pages():
            if self._dry_run:
                yield from starmap(_Removed, page)
                continue
            errors: dict[str, str | None] = {}
            try:
                for_each(_JOBS, remove, (file for file, _ in page), self._failures, partial(_note, errors))
            finally:
                # also what was removed before an interrupt
                yield from (_Removed(file, size) for file, size in page if errors.get(file.path, "") is None)
        if not self._dry_run:
            files.remove_emptied()


def _counted(removed: Iterator[_Removed], progress: Progress) -> Iterator[_Removed]:
    for each in removed:
        progress.done(f"removed {each.location.url}")
        yield each


def _note(errors: dict[str, str | None], location: Location, error: str | None) -> None:
    errors[location.path] = error


def _is_removed_as_directory(location: Location, info: dict[str, Any], recursive: bool) -> bool:
    """Return whether a path is removed as a directory, together with a file of the same name; `info` is its info."""
    is_directory = holds_files(location, info) if recursive else bool(info["type"] == "directory")
    if is_directory and not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: remove it with -r", location.url)
    return is_directory


def _remove(location: Location, is_directory: bool) -> None:
    """Remove one file or directory, taking its name literally."""
    if is_directory:
        remove_tree(location)
    elif has_magic(location.path):
        location.fs.rm_file(location.path)
    else:
        location.fs.rm(location.path)


def check_removable(location: Location, instead: str, *, stays: bool = False) -> None:
    """Refuse buckets, the root of the local disk, and write-once files.

    Parameters
    ----------
    instead : str
        What can be done to a bucket.
    stays : bool
        Whether a bucket stays, and only files in it are removed.
    """
    check_changeable(location)
    if location.capabilities.container and "/" not in location.path and not (stays and location.path):
        ways = f"use the web console; {instead}" if location.path else "name a path in one"
        raise click.UsageError(f"{location.url}: a bucket cannot be moved or removed through this API: {ways}")
    if location.is_local and Path(location.canonical).parent == Path(location.canonical):
        raise click.UsageError(f"{location.url}: the root directory is neither moved nor removed")


def check_changeable(location: Location) -> None:
    """Refuse write-once files."""
    if not location.capabilities.replaces_files:
        raise NotImplementedError(f"{location.url}: cannot be moved or removed, {WRITE_ONCE}")


def takes_names_literally(location: Location) -> bool:
    """Return whether `rm` and `mv` take existing names literally; other filesystems treat ``[1]`` as a pattern."""
    return location.is_local or location.capabilities.names_are_literal


def check_literal(location: Location) -> None:
    """Refuse a directory whose name the filesystem would treat as a pattern that may match other directories."""
    if has_magic(location.path) and not takes_names_literally(location):
        text = "its filesystem treats the name as a pattern, which may match other directories"
        raise NotImplementedError(f"{location.url}: {text}: move or remove its files one by one")


def changing_progress(session: Session, action: str, past: str) -> Progress:
    """Return the progress of a command that changes what it is repeated with; only ``-v`` shows each file."""

    def resume_hint() -> str:
        return f"the next one may be partly {past}: look at it before you repeat the command"

    return Progress(
        session,
        action,
        past,
        ("file or directory", "files and directories"),
        lines=False,
        resume_hint=resume_hint,
    )
