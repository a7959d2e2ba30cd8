"""The commands mv and rm."""

from __future__ import annotations

import errno
import shlex
from contextlib import suppress
from inspect import signature
from pathlib import Path, PurePosixPath
from typing import Any

import click
from fsspec.core import has_magic

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.session import WRITE_ONCE, Session
from cosv4fs.collisions import check_moves, check_targets
from cosv4fs.localfiles import LocalNames
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.trees import holds_files, info_of


@command(short_help="Move files and directories within one filesystem.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Move directories and their contents.")
@click.pass_obj
def mv(session: Session, sources: tuple[str, ...], target: str, recursive: bool) -> None:
    """Move files within one filesystem; directories are moved file by file.

    Sources are moved into the target if it is a directory or has a trailing slash. Existing files are replaced,
    directories are not. Files in coffers (cdcs://) cannot be moved.
    """
    new = session.location(target)
    opened = [session.location(source) for source in sources]
    for location in opened:
        _check_changeable(location)
    locations = [location for source in opened for location in expand_pattern(source)]
    into = new.trailing_slash or len(locations) > 1 or new.fs.isdir(new.path)
    goals = [(old, new.join(old.name) if into else new.at(new.path)) for old in locations]
    # a file that matches several patterns is moved once
    by_url = {(old.url, goal.url): (old, goal) for old, goal in goals}
    identity = LocalNames(()).identity if new.is_local else str
    check_moves(by_url, identity=identity)
    check_targets(by_url, "moved", identity=identity)
    moves = [(old, goal, _check_move(old, goal, recursive)) for old, goal in by_url.values()]
    failures = FailureLog()
    moved = []
    for old, goal, is_directory in moves:
        with failures.recording():
            _move(old, goal, is_directory)
            moved.append({"source": old.url, "target": goal.url})
    if session.as_json:
        session.show_json(moved)
    failures.exit()


@command(short_help="Remove files, and directories with -r.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Remove directories and their contents.")
@click.option("-f", "--force", is_flag=True, help="Ignore files that do not exist.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be removed.")
@click.pass_obj
def rm(session: Session, urls: tuple[str, ...], recursive: bool, force: bool, dry_run: bool) -> None:
    """Remove files, and directories with -r. Patterns such as 'cosv4://bucket/dir/*.tmp' are expanded.

    Files in coffers (cdcs://) cannot be removed.
    """
    failures = FailureLog()
    ignored = [FileNotFoundError] if force else []
    for location in map(session.location, urls):
        _check_removable(location, f"to empty it: cosv4fs rm -r '{location.url}/*'")
    found: list[Location] = []
    for url in urls:
        with failures.recording(), suppress(*ignored):
            found += expand_pattern(session.location(url))
    removed: list[Location] = []
    folders: set[PurePosixPath] = set()
    for location in found:
        if not folders.isdisjoint(PurePosixPath(location.url).parents):
            # it was removed with its directory, which the pattern also matches
            continue
        with failures.recording(), suppress(*ignored):
            if _remove(location, recursive, dry_run):
                folders.add(PurePosixPath(location.url))
            removed.append(location)
    if session.as_json or dry_run:
        session.show(({"url": location.url} for location in removed), lambda row: f"would remove {row['url']}")
    failures.exit()


def _check_move(old: Location, goal: Location, recursive: bool) -> bool:
    """Check a move before anything is changed; return whether the source is a directory."""
    if old.fs != goal.fs:
        raise click.UsageError("mv cannot move between filesystems: copy with cp, then remove with rm")
    _check_removable(old, f"to move its content: cosv4fs mv -r '{old.url}/*' {shlex.quote(f'{goal.url}/')}")
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


def _check_removable(location: Location, instead: str) -> None:
    """Refuse buckets, the root of the local disk, and write-once files; `instead` is what can be done to a bucket."""
    _check_changeable(location)
    if location.capabilities.container and "/" not in location.path:
        ways = f"use the web console; {instead}" if location.path else "name a path in one"
        raise click.UsageError(f"{location.url}: a bucket cannot be moved or removed through this API: {ways}")
    if location.is_local and location.canonical == Path(location.canonical).anchor:
        raise click.UsageError(f"{location.url}: the root directory is neither moved nor removed")


def _check_changeable(location: Location) -> None:
    if not location.capabilities.replaces_files:
        raise NotImplementedError(f"{location.url}: cannot be moved or removed, {WRITE_ONCE}")


def _remove(location: Location, recursive: bool, dry_run: bool) -> bool:
    """Remove one file or directory, taking its name literally; return whether it was a directory."""
    info = info_of(location)
    is_directory = holds_files(location, info) if recursive else bool(info["type"] == "directory")
    if is_directory and not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: remove it with -r", location.url)
    if is_directory:
        _check_literal(location)
    if not dry_run and not is_directory and has_magic(location.path):
        location.fs.rm_file(location.path)
    elif not dry_run:
        location.fs.rm(location.path, recursive=is_directory)
    return is_directory


def _move(old: Location, goal: Location, is_directory: bool) -> None:
    """Move one file or directory, taking its name literally."""
    if _takes_names_literally(old):
        old.fs.mv(old.path, goal.path, recursive=is_directory)
    elif "recursive" not in signature(old.fs.mv).parameters:
        # the filesystem has its own rename, without patterns
        old.fs.mv(old.path, goal.path)
    elif is_directory or (old.has_directories and not has_magic(old.path)):
        _check_literal(old)
        old.fs.mv(old.path, goal.path, recursive=is_directory)
    else:
        # `mv` of fsspec would expand the name, or take a file that is also a directory for one, and remove it uncopied
        before = _state(old)
        old.fs.cp_file(old.path, goal.path)
        if _state(old) != before:
            text = f"the file changed while it was copied to {goal.url} and was not removed: move it again"
            raise OSError(errno.ESTALE, text, old.url)
        old.fs.rm_file(old.path)


def _state(location: Location) -> dict[str, Any]:
    """Return the info that changes with the content of a file, on any filesystem."""
    location.fs.invalidate_cache(location.fs._parent(location.path))
    # in infos of SFTP, "time" is the access time
    return {name: value for name, value in location.fs.info(location.path).items() if name != "time"}


def _takes_names_literally(location: Location) -> bool:
    """Return whether `rm` and `mv` take existing names literally; other filesystems treat ``[1]`` as a pattern."""
    return location.is_local or location.capabilities.names_are_literal


def _check_literal(location: Location) -> None:
    """Refuse a directory whose name the filesystem would treat as a pattern that may match other directories."""
    if has_magic(location.path) and not _takes_names_literally(location):
        text = "its filesystem treats the name as a pattern, which may match other directories"
        raise NotImplementedError(f"{location.url}: {text}: move or remove its files one by one")
