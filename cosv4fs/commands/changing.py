"""The commands that change files: cp, mv, rm, sync."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from cosv4fs.commands.failures import Problems
from cosv4fs.commands.session import Counting, Session, each
from cosv4fs.display import human_size
from cosv4fs.exchange.copying import copy_file
from cosv4fs.exchange.places import Place
from cosv4fs.exchange.plan import Difference, Pair, compare, matches, pairs_of

__all__ = ["COMMANDS"]

_jobs = click.option("-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Files at once.")


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories, with everything below them.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be copied.")
@_jobs
@click.pass_obj
def cp(session: Session, sources: tuple[str, ...], target: str, recursive: bool, dry_run: bool, jobs: int) -> None:
    """Copy files, in both directions and between any two URLs that fsspec knows.

    A directory with a slash at its end means what is in it. An upload that was interrupted continues where it stopped.
    """
    pairs = pairs_of(map(session.place, sources), session.place(target), recursive=recursive)
    problems = Problems(_complain)
    if not dry_run:
        _copy(session, pairs, jobs, problems)
    _tell(session, pairs, "would copy" if dry_run else "copied", problems)
    problems.leave()


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="A directory, with everything below it.")
@click.pass_obj
def mv(session: Session, source: str, target: str, recursive: bool) -> None:
    """Move files within one filesystem; a directory is moved file by file."""
    old, new = session.place(source), session.place(target)
    if old.fs != new.fs:
        raise click.UsageError("mv stays within one filesystem: copy with cp, then remove with rm")
    goal = new.below(old.name) if new.is_folder or new.fs.isdir(new.path) else new
    if old.fs.isdir(old.path) and not recursive:
        raise IsADirectoryError(21, "it is a directory: move it with -r", old.url)
    old.fs.mv(old.path, goal.path, recursive=recursive)
    if session.as_json:
        session.show_json({"source": old.url, "target": goal.url})


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories, with everything below them.")
@click.option("-f", "--force", is_flag=True, help="It is no error when there is nothing.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def rm(session: Session, urls: tuple[str, ...], recursive: bool, force: bool, dry_run: bool) -> None:
    """Remove files, and directories with -r. Patterns work, too."""
    problems = Problems(_complain)
    removed: list[Place] = []
    for url in urls:
        removed += _removed(session, url, recursive, force, dry_run, problems)
    if session.as_json or dry_run:
        session.show(({"url": place.url} for place in removed), lambda row: f"would remove {row['url']}")
    problems.leave()


@click.command()
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
    """Make one directory like another: copy what is new, of another size, or changed after it was copied."""
    old, new = session.place(source), session.place(target)
    if old.fs.info(old.path)["type"] != "directory":
        raise NotADirectoryError(20, "sync compares directories: copy a file with cp", old.url)
    difference = compare(old, new, by_time=not size_only, by_content=checksum)
    gone = difference.deletions if delete else ()
    problems = Problems(_complain)
    if not dry_run:
        _copy(session, [pair for pair, _ in difference.copies], jobs, problems)
        # what could not be copied may be all that is left of it
        if not problems.code:
            each(lambda place: place.fs.rm_file(place.path), gone, jobs, problems)
    _tell_sync(session, difference, gone, dry_run, problems)
    problems.leave()


COMMANDS = (cp, mv, rm, sync)


def _complain(text: str) -> None:
    click.echo(text, err=True)


def _copy(session: Session, pairs: list[Pair], jobs: int, problems: Problems) -> None:
    with session.bar(sum(pair.size for pair in pairs), "copying") as advance:
        each(lambda pair: copy_file(pair.source, pair.target, Counting(advance)), pairs, jobs, problems)


def _removed(
    session: Session, url: str, recursive: bool, force: bool, dry_run: bool, problems: Problems
) -> list[Place]:
    try:
        return [one for place in matches(session.place(url)) for one in _remove(place, recursive, dry_run)]
    except OSError as error:
        if not (force and isinstance(error, FileNotFoundError)):
            problems.note(error)
        return []


def _remove(place: Place, recursive: bool, dry_run: bool) -> list[Place]:
    is_folder = place.fs.info(place.path)["type"] == "directory"
    if is_folder and not recursive:
        raise IsADirectoryError(21, "it is a directory: remove it with -r", place.url)
    if not dry_run:
        place.fs.rm(place.path, recursive=is_folder)
    return [place]


def _tell(session: Session, pairs: Iterable[Pair], verb: str, problems: Problems) -> None:
    rows = [_described(pair) for pair in pairs]
    if session.as_json:
        session.show_json({"files": rows, "failed": problems.count})
        return
    if verb.startswith("would"):
        for row in rows:
            click.echo(f"{verb} {row['source']} to {row['target']}")
    done = len(rows) - problems.count
    click.echo(f"{verb} {done} of {len(rows)} files, {human_size(sum(row['size'] for row in rows))} in all", err=True)


def _tell_sync(
    session: Session, difference: Difference, gone: Iterable[Place], dry_run: bool, problems: Problems
) -> None:
    copies = [_described(pair) | {"reason": reason} for pair, reason in difference.copies]
    deletions = [place.url for place in gone]
    if session.as_json:
        found = {"copies": copies, "deletions": deletions, "same": difference.same, "failed": problems.count}
        session.show_json(found | {"dry_run": dry_run})
        return
    prefix = "would " if dry_run else ""
    for row in copies:
        click.echo(f"{prefix}copy {row['source']} to {row['target']} ({row['reason']})")
    for url in deletions:
        click.echo(f"{prefix}delete {url}")
    click.echo(f"{len(copies)} to copy, {len(deletions)} to delete, {difference.same} alike", err=True)


def _described(pair: Pair) -> dict[str, Any]:
    return {"source": pair.source.url, "target": pair.target.url, "size": pair.size}
