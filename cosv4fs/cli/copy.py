"""The commands that change files: cp, mv, rm, sync."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path, PurePosixPath
from typing import Any

import click
from fsspec.core import has_magic

from cosv4fs.buckets import BucketFileSystem
from cosv4fs.bulk import check_targets
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.session import Crew, Session
from cosv4fs.display import human_size
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.migrate.copying import ByteProgress, copy_file, make_directory, receive
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.plan import Difference, Pair, check_apart, compare, expand_pattern, pair_files

__all__ = ["COMMANDS"]

_KEPT = "because coffers are write-once: what is in one vanishes only by its lifecycle"

_jobs = click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, metavar="N", help="Files at once."
)

_CP_EXAMPLES = """\b
Examples:
  cosv4fs cp report.csv cosv4://data/reports/
  cosv4fs cp 'cosv4://data/reports/*.csv' .
  cosv4fs cp -r photos cosv4://data/          makes cosv4://data/photos
  cosv4fs cp -r photos/ cosv4://data/2024     copies what is in photos
  cosv4fs cp -r audit cdcs://vault-1250000000/
  pg_dump shop | cosv4fs cp - cosv4://data/shop.sql
"""

_SYNC_EXAMPLES = """\b
Examples:
  cosv4fs sync photos cosv4://data/photos
  cosv4fs sync --delete --dry-run cosv4://data/photos photos
"""


@click.command(epilog=_CP_EXAMPLES, short_help="Copy files between any two filesystems, in both directions.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories, with everything below them.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be copied.")
@_jobs
@click.pass_obj
def cp(session: Session, sources: tuple[str, ...], target: str, recursive: bool, dry_run: bool, jobs: int) -> None:
    """Copy files, in both directions and between any two URLs that fsspec knows.

    A directory with a slash at its end means what is in it. Existing files are replaced, but never those of a coffer,
    cdcs://, which is write-once: they are failures. The source - is standard input. An upload that was interrupted
    continues where it stopped.
    """
    if "-" in sources:
        _copy_input(session, sources, session.location(target), dry_run)
        return
    locations, destination = [session.location(source) for source in sources], session.location(target)
    pairs = pair_files(locations, destination, recursive=recursive)
    failures = FailureLog()
    if not dry_run:
        _copy(session, pairs, jobs, failures)
    elif not destination.capabilities.replaces_files:
        files = (pair for pair in pairs if not pair.is_directory)
        Crew(jobs, [destination.fs]).each(lambda pair: _check_free(pair.target), files, failures)
    if dry_run:
        _note_refusals(pairs, failures)
    _tell(session, [pair for pair in pairs if not pair.is_directory], dry_run, failures)


@click.command(short_help="Move files and directories within one filesystem.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories, with everything below them.")
@click.pass_obj
def mv(session: Session, sources: tuple[str, ...], target: str, recursive: bool) -> None:
    """Move files within one filesystem; a directory is moved file by file.

    Into the target when that is a directory or ends with a slash. Existing files are replaced, directories are not.
    Nothing moves in a coffer, cdcs://.
    """
    new = session.location(target)
    opened = [session.location(source) for source in sources]
    for location in opened:
        _check_changeable(location)
    locations = [location for source in opened for location in expand_pattern(source)]
    into = new.trailing_slash or len(locations) > 1 or new.fs.isdir(new.path)
    goals = [(old, new.join(old.name) if into else new.at(new.path)) for old in locations]
    # what several patterns match is moved once
    by_url = {(old.url, goal.url): (old, goal) for old, goal in goals}
    check_targets(by_url, "moved")
    moves = by_url.values()
    are_folders = [_check_move(old, goal, recursive) for old, goal in moves]
    failures = FailureLog()
    moved = []
    for (old, goal), is_folder in zip(moves, are_folders, strict=True):
        with failures.recording():
            _move(old, goal, is_folder)
            moved.append({"source": old.url, "target": goal.url})
    if session.as_json:
        session.show_json(moved)
    failures.exit()


@click.command(short_help="Remove files, and directories with -r.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories, with everything below them.")
@click.option("-f", "--force", is_flag=True, help="It is no error when there is nothing.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def rm(session: Session, urls: tuple[str, ...], recursive: bool, force: bool, dry_run: bool) -> None:
    """Remove files, and directories with -r. Patterns such as 'cosv4://bucket/dir/*.tmp' work, too.

    Nothing can be removed from a coffer, cdcs://.
    """
    failures = FailureLog()
    forgiven = [FileNotFoundError] if force else []
    for location in map(session.location, urls):
        _check_removable(location)
    found: list[Location] = []
    for url in urls:
        with failures.recording(), suppress(*forgiven):
            found += expand_pattern(session.location(url))
    removed: list[Location] = []
    folders: set[PurePosixPath] = set()
    for location in found:
        if not folders.isdisjoint(PurePosixPath(location.url).parents):
            # it went with a directory that the pattern fits, too
            continue
        with failures.recording(), suppress(*forgiven):
            if _remove(location, recursive, dry_run):
                folders.add(PurePosixPath(location.url))
            removed.append(location)
    if session.as_json or dry_run:
        session.show(({"url": location.url} for location in removed), lambda row: f"would remove {row['url']}")
    failures.exit()


@click.command(epilog=_SYNC_EXAMPLES, short_help="Make one directory like another.")
@click.argument("source")
@click.argument("target")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--delete", is_flag=True, help="Remove files that only the target has.")
@click.option("--size-only", is_flag=True, help="Files of equal size are alike, whatever their times.")
@click.option("--checksum", is_flag=True, help="Files of equal size are compared by SHA-1, whatever their times.")
@_jobs
@click.pass_obj
def sync(
    session: Session,
    source: str,
    target: str,
    dry_run: bool,
    delete: bool,
    size_only: bool,
    checksum: bool,
    jobs: int,
) -> None:
    """Make one directory like another: copy what is new, of another size, or changed after it was copied.

    Directories without any files are not made. With --delete nothing is removed unless every copy went well. Local
    copies get the times of their sources. Where a side knows no times, sizes decide, which is said. A coffer,
    cdcs://, gets what it does not have; what differs there is a failure, as it can be neither replaced nor deleted.
    """
    if size_only and checksum:
        raise click.UsageError("--size-only and --checksum contradict each other")
    old, new = session.location(source), session.location(target)
    if old.fs.info(old.path)["type"] != "directory":
        raise NotADirectoryError(errno.ENOTDIR, "sync compares directories: copy a file with cp", old.url)
    if delete and not new.capabilities.replaces_files:
        raise NotImplementedError(f"{new.url}: --delete is impossible, {_KEPT}")
    check_apart(old, new)
    difference = compare(old, new, by_time=not size_only, by_content=checksum)
    gone = difference.deletions if delete else ()
    failures = FailureLog()
    replaces = new.capabilities.replaces_files
    differing = [(pair, reason) for pair, reason in difference.copies if not replaces and reason != "new"]
    for pair, reason in differing:
        failures.record(_differs(pair, reason), pair)
    if dry_run:
        _note_refusals((pair for pair, _ in difference.copies if failures.reason(pair) is None), failures)
    else:
        copies = [pair for pair, _ in difference.copies if failures.reason(pair) is None]
        _copy(session, copies, jobs, failures, keep_times=True)
        if failures.code:
            # what could not be copied may be all that is left of it
            gone = ()
        own = ThreadInstances()
        Crew(jobs, [new.fs]).each(lambda location: own.of(location).fs.rm_file(location.path), gone, failures)
    _tell_sync(session, difference, gone, dry_run, failures)
    failed = "nothing was deleted, because " if delete and difference.deletions and not gone else ""
    failures.exit(f"{failed}not everything was copied" if failed else "not everything was done")


COMMANDS = (cp, mv, rm, sync)


def _copy(session: Session, pairs: list[Pair], jobs: int, failures: FailureLog, *, keep_times: bool = False) -> None:
    if any(pair.target.is_open_archive for pair in pairs[:1]):
        jobs = 1
    crew, own = (
        Crew(jobs, {location.fs for pair in pairs[:1] for location in (pair.source, pair.target)}),
        ThreadInstances(),
    )
    with (
        _hint_at_resuming(session, pairs),
        session.bar(sum(pair.size for pair in pairs), "copying") as advance,
    ):
        crew.each(lambda pair: _copy_one(pair, own, ByteProgress(advance, crew.stopped), keep_times), pairs, failures)


def _copy_one(pair: Pair, own: ThreadInstances, callback: ByteProgress, keep_times: bool) -> None:
    if pair.refusal:
        raise _refusal(pair)
    if pair.is_directory:
        make_directory(own.of(pair.target))
        return
    copy_file(own.of(pair.source), own.of(pair.target), callback)
    if keep_times and pair.target.is_local and pair.modified is not None:
        os.utime(pair.target.path, (pair.modified, pair.modified))


def _refusal(pair: Pair) -> OSError:
    return OSError(errno.EINVAL, pair.refusal, pair.source.url)


def _note_refusals(pairs: Iterable[Pair], failures: FailureLog) -> None:
    """Tell before anything is copied of what cannot be."""
    for pair in pairs:
        if pair.refusal:
            failures.record(_refusal(pair), pair)


def _copy_input(session: Session, sources: tuple[str, ...], target: Location, dry_run: bool) -> None:
    """Copy standard input to a file."""
    if len(sources) > 1:
        raise click.UsageError("standard input, -, is copied alone")
    if target.trailing_slash or target.fs.isdir(target.path):
        raise IsADirectoryError(
            errno.EISDIR, "it is a directory: name the file that standard input becomes", target.url
        )
    size = 0
    if dry_run:
        _check_free(target)
    else:
        with session.bar(None, "copying") as advance:
            size = receive(sys.stdin.buffer, target, ByteProgress(advance))
    rows = [{"source": "-", "target": target.url, "size": size, "error": None}]
    if session.as_json:
        session.show_json({"files": rows, "failed": 0, "dry_run": dry_run})
    elif dry_run:
        session.say(f"would copy standard input to {target.url}")
    else:
        click.echo(f"copied {human_size(size)}", err=True)


@contextmanager
def _hint_at_resuming(session: Session, pairs: list[Pair]) -> Iterator[None]:
    """Say after Ctrl-C how to go on with uploads that have begun."""
    try:
        yield
    except KeyboardInterrupt:
        fs = pairs[0].target.fs
        goals = {pair.target.path for pair in pairs}
        if isinstance(fs, ObjectFileSystem) and any(known["name"] in goals for known in fs.interrupted_uploads()):
            text = f"the same command, or cosv4fs uploads resume {fs.protocol}://, continues where it stopped"
            click.echo(f"cosv4fs: {text}", err=True)
        raise


def _check_move(old: Location, goal: Location, recursive: bool) -> bool:
    """Refuse what would not be a move, before anything is changed; return whether it is that of a directory."""
    if old.fs != goal.fs:
        raise click.UsageError("mv stays within one filesystem: copy with cp, then remove with rm")
    _check_removable(old)
    if old.is_same(goal):
        raise OSError(errno.EINVAL, "source and target are the same", old.url)
    is_folder = bool(old.fs.info(old.path)["type"] == "directory")
    if is_folder and not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: move it with -r", old.url)
    if is_folder and goal.is_within(old):
        raise OSError(errno.EINVAL, f"a directory cannot be moved into itself, as {goal.url}", old.url)
    if goal.fs.isdir(goal.path):
        raise IsADirectoryError(errno.EISDIR, "a directory of that name exists, and would be replaced", goal.url)
    if is_folder and goal.fs.exists(goal.path):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, and a directory would replace it", goal.url)
    return is_folder


def _check_removable(location: Location) -> None:
    """Refuse what holds everything, and what is kept for ever.

    Raises
    ------
    click.UsageError
        It is a bucket, or the root of a disk.
    NotImplementedError
        It is in a coffer, or one.
    """
    _check_changeable(location)
    if isinstance(location.fs, BucketFileSystem) and "/" not in location.path:
        ways = (
            f"use the web console; to empty it: cosv4fs rm -r '{location.url}/*'"
            if location.path
            else "name a path in one"
        )
        raise click.UsageError(f"{location.url}: a bucket cannot be moved or removed through this API: {ways}")
    if location.is_local and location.canonical == Path(location.canonical).anchor:
        raise click.UsageError(f"{location.url}: everything on this machine is neither moved nor removed")


def _check_changeable(location: Location) -> None:
    if not location.capabilities.replaces_files:
        raise NotImplementedError(f"{location.url}: it can be neither moved nor removed, {_KEPT}")


def _check_free(location: Location) -> None:
    """Refuse to replace what is kept for ever; asked where nothing is copied, so that nobody else refuses."""
    if not location.capabilities.replaces_files and location.fs.isfile(location.path):
        raise FileExistsError(errno.EEXIST, f"the file exists and cannot be replaced, {_KEPT}", location.url)


def _differs(pair: Pair, reason: str) -> OSError:
    if pair.refusal:
        return _refusal(pair)
    text = f"another file is there ({reason} differs) and cannot be replaced by {pair.source.url}, {_KEPT}"
    return FileExistsError(errno.EEXIST, text, pair.target.url)


def _remove(location: Location, recursive: bool, dry_run: bool) -> bool:
    """Remove a file or a directory, and nothing else that its name would fit as a pattern; tell which it was."""
    is_folder = bool(location.fs.info(location.path)["type"] == "directory")
    if is_folder and not recursive:
        raise IsADirectoryError(errno.EISDIR, "it is a directory: remove it with -r", location.url)
    if is_folder:
        _check_literal(location)
    if not dry_run and not is_folder and has_magic(location.path):
        location.fs.rm_file(location.path)
    elif not dry_run:
        location.fs.rm(location.path, recursive=is_folder)
    return is_folder


def _move(old: Location, goal: Location, is_folder: bool) -> None:
    """Move one file or directory, and nothing else that its name would fit as a pattern."""
    if _takes_names_literally(old):
        old.fs.mv(old.path, goal.path, recursive=is_folder)
    elif "recursive" not in signature(old.fs.mv).parameters:
        # a rename of the filesystem's own
        old.fs.mv(old.path, goal.path)
    elif is_folder or not has_magic(old.path):
        _check_literal(old)
        old.fs.mv(old.path, goal.path, recursive=is_folder)
    else:
        before = _state(old)
        old.fs.cp_file(old.path, goal.path)
        if _state(old) != before:
            text = f"it changed while it was moved: {goal.url} has what it was before, and it stays: move it again"
            raise OSError(errno.ESTALE, text, old.url)
        old.fs.rm_file(old.path)


def _state(location: Location) -> dict[str, Any]:
    """Return what tells one content of a file from another, on any filesystem."""
    location.fs.invalidate_cache(location.fs._parent(location.path))
    # SFTP calls the time of the last reading so
    return {name: value for name, value in location.fs.info(location.path).items() if name != "time"}


def _takes_names_literally(location: Location) -> bool:
    """Return whether a filesystem's `rm` and `mv` of an existing path mean it alone; elsewhere ``[1]`` is a pattern."""
    return location.is_local or isinstance(location.fs, ObjectFileSystem)


def _check_literal(location: Location) -> None:
    """Refuse a directory whose name would be taken for a pattern, which others fit as well.

    Raises
    ------
    NotImplementedError
        It is such a directory.
    """
    if has_magic(location.path) and not _takes_names_literally(location):
        text = "its filesystem takes the name for a pattern, so that other directories would go with it"
        raise NotImplementedError(f"{location.url}: {text}: remove or move the files in it")


def _tell(session: Session, pairs: list[Pair], dry_run: bool, failures: FailureLog) -> None:
    rows = [_described(pair, failures) for pair in pairs]
    size = human_size(sum(row["size"] for row in rows if row["error"] is None))
    verb = "would copy" if dry_run else "copied"
    done = f"{verb} {sum(row['error'] is None for row in rows)} of {len(rows)} files, {size}"
    if session.as_json:
        session.show_json({"files": rows, "failed": failures.count, "dry_run": dry_run})
    elif dry_run:
        for row in (row for row in rows if row["error"] is None):
            session.say(f"would copy {row['source']} to {row['target']}")
    if not (session.as_json or failures.count):
        click.echo(done, err=True)
    # of a single file, everything was said by its failure
    failures.exit(done if len(rows) > 1 else "")


def _tell_sync(
    session: Session, difference: Difference, gone: Iterable[Location], dry_run: bool, failures: FailureLog
) -> None:
    copies = [_described(pair, failures) | {"reason": reason} for pair, reason in difference.copies]
    deletions = [location.url for location in gone if failures.reason(location) is None]
    if session.as_json:
        found = {"copies": copies, "deletions": deletions, "same": difference.same, "undated": difference.undated}
        session.show_json(found | {"failed": failures.count, "dry_run": dry_run})
        return
    done = [row for row in copies if row["error"] is None]
    copy, delete = ("would copy", "would delete") if dry_run else ("copied", "deleted")
    for row in done:
        session.say(f"{copy} {row['source']} to {row['target']} ({row['reason']})")
    for url in deletions:
        session.say(f"{delete} {url}")
    click.echo(f"{copy} {len(done)}, {delete} {len(deletions)}, {difference.same} alike", err=True)
    if difference.undated:
        text = f"{difference.undated} of them by their size alone, as not both sides tell times: see --checksum"
        click.echo(f"cosv4fs: {text}", err=True)


def _described(pair: Pair, failures: FailureLog) -> dict[str, Any]:
    error = failures.reason(pair)
    return {"source": pair.source.url, "target": pair.target.url, "size": pair.size, "error": error}
