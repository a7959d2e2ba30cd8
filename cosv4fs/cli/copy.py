"""The commands cp and sync."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.metadata import metadata_options, tell_not_carried
from cosv4fs.cli.process import standard_input, standard_output
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import WRITE_ONCE, Session, for_each, own_filesystem, transfers
from cosv4fs.display import human_size
from cosv4fs.migrate.comparing import Difference, compare
from cosv4fs.migrate.copying import ByteProgress, copy_file, make_directory, receive, remove_directories, send
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.plan import Pair, check_apart, expand_pattern, pair_files
from cosv4fs.migrate.trees import holds_files

_CP_EXAMPLES = """\b
Examples:
  cosv4fs cp report.csv cosv4://data/reports/
  cosv4fs cp 'cosv4://data/reports/*.csv' .
  cosv4fs cp -r photos cosv4://data/          creates cosv4://data/photos
  cosv4fs cp -r photos/ cosv4://data/2024     copies the contents of photos
  cosv4fs cp -r audit cdcs://vault-1250000000/
  pg_dump shop | cosv4fs cp - cosv4://data/shop.sql
  cosv4fs cp cosv4://data/shop.sql - | psql shop
"""

_SYNC_EXAMPLES = """\b
Examples:
  cosv4fs sync photos cosv4://data/photos
  cosv4fs sync --delete --dry-run cosv4://data/photos photos
"""


@command(epilog=_CP_EXAMPLES, short_help="Copy files between any two filesystems.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Copy directories and their contents.")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be copied.")
@transfers
@metadata_options
@click.pass_obj
def cp(
    session: Session,
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    dry_run: bool,
    jobs: int,
    metadata: MetadataOptions,
) -> None:
    """Copy files between any two URLs that fsspec supports, including local paths.

    A source directory with a trailing slash stands for its contents. Existing files are replaced, except in coffers
    (cdcs://), which are write-once: there they are reported as failed. A local symbolic link as the target stays, and
    the file that it points to is replaced. The source - is standard input, the target - is standard output. Interrupted
    uploads are resumed.
    """
    if target == "-":
        if metadata.content_type is not None:
            raise click.UsageError("standard output (-) has no content type")
        _copy_output(session, sources, recursive, dry_run)
        return
    destination = session.location(target)
    metadata.check(destination)
    if "-" in sources:
        _copy_input(session, sources, destination, dry_run, metadata)
        return
    locations = [session.location(source) for source in sources]
    pairs = pair_files(locations, destination, recursive=recursive)
    failures = FailureLog()
    progress = None
    files = [pair for pair in pairs if not pair.is_directory]
    if dry_run:
        for_each(jobs, lambda pair: _check_free(pair.target), files, failures)
        _record_refusals(pairs, failures)
    else:
        progress = _copy(session, pairs, jobs, failures, metadata)
    _report(session, files, progress, failures)


@command(epilog=_SYNC_EXAMPLES, short_help="Update a directory from another one.")
@click.argument("source")
@click.argument("target")
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--delete", is_flag=True, help="Remove files that only the target has.")
@click.option("--size-only", is_flag=True, help="Compare files by size only, not by time.")
@click.option("--checksum", is_flag=True, help="Compare files of equal size by SHA-1, not by time.")
@transfers
@metadata_options
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
    metadata: MetadataOptions,
) -> None:
    """Update a directory from another one: copy files that are new, have another size, or may have changed.

    A file of the same size is skipped if its copy is at least three seconds newer than its last change, by the clocks
    of both services. Otherwise checksums decide, or it is copied again if there are none; messages say how many files
    could not be compared by times, because one side has none or its clock cannot be read.

    Empty directories are not created. With --delete, nothing is removed unless all copies succeeded. Files that differ
    in a coffer (cdcs://) are reported as failed: they can be neither replaced nor deleted. Metadata is not compared.
    """
    if size_only and checksum:
        raise click.UsageError("--size-only and --checksum contradict each other")
    old, new = session.location(source), session.location(target)
    _check_sync(old, new, delete)
    metadata.check(new)
    difference = compare(old, new, by_time=not size_only, by_content=checksum)
    deletions = difference.deletions if delete else ()
    failures = FailureLog()
    progress = None
    if not new.capabilities.replaces_files:
        _record_differences(difference, failures)
    copies = [pair for pair, _ in difference.copies if failures.reason(pair) is None]
    if dry_run:
        _record_refusals(copies, failures)
    else:
        progress = _copy(session, copies, jobs, failures, metadata, has_results=True)
    if failures.code:
        # the target may have the last copy of a file that could not be read
        deletions = ()
    if not dry_run:
        own = ThreadInstances()
        for_each(jobs, lambda location: own.of(location).fs.rm_file(location.path), deletions, failures)
    _report_sync(session, difference, deletions, progress, failures)
    is_kept = delete and difference.deletions and not deletions
    failures.exit("nothing was deleted, because not everything was copied" if is_kept else "not everything was done")


def _check_sync(source: Location, target: Location, delete: bool) -> None:
    if not holds_files(source, source.fs.info(source.path)):
        raise NotADirectoryError(errno.ENOTDIR, "sync compares directories: copy a file with cp", source.url)
    if delete and not target.capabilities.replaces_files:
        raise NotImplementedError(f"{target.url}: --delete is not possible, {WRITE_ONCE}")
    check_apart(source, target)


def _copy(
    session: Session,
    pairs: list[Pair],
    jobs: int,
    failures: FailureLog,
    metadata: MetadataOptions,
    *,
    has_results: bool = False,
) -> Progress:
    """Copy files; with `has_results`, standard output will have a line for each."""
    if any(pair.target.is_open_archive for pair in pairs[:1]):
        jobs = 1
    own = ThreadInstances()
    with Progress(session, lines=not has_results, go_on=lambda: _how_to_resume(pairs)) as progress:
        files = [pair for pair in pairs if not pair.is_directory]
        progress.planned(len(files), sum(pair.size for pair in files))
        for_each(jobs, lambda pair: _copy_one(pair, own, progress, metadata), pairs, failures)
    return progress


def _copy_one(pair: Pair, own: ThreadInstances, progress: Progress, metadata: MetadataOptions) -> None:
    if pair.refusal:
        raise _refusal(pair)
    if pair.is_directory:
        target = own.of(pair.target)
        make_directory(target)
        if not target.fs.isdir(target.path):
            # some services only have directories of such a name with a file in them
            raise OSError(errno.EINVAL, "an empty directory of this name cannot be created: rename it", target.url)
        return
    if pair.replaces_directory:
        remove_directories(own.of(pair.target))
    source, target = own.of(pair.source), own.of(pair.target)
    carried = metadata.of(source, target, pair.modified)
    with progress.file(f"copied {pair.source.url} to {pair.target.url}") as callback:
        copy_file(source, target, callback, follow=pair.is_named, metadata=carried)
    progress.not_carried.add(pair.source.url, carried.lost)


def _refusal(pair: Pair) -> OSError:
    return OSError(errno.EINVAL, pair.refusal, pair.source.url)


def _record_refusals(pairs: Iterable[Pair], failures: FailureLog) -> None:
    """Record the files that a dry run already knows cannot be copied."""
    for pair in pairs:
        if pair.refusal:
            failures.record(_refusal(pair), pair)


def _copy_input(
    session: Session, sources: tuple[str, ...], target: Location, dry_run: bool, metadata: MetadataOptions
) -> None:
    """Copy standard input to a file."""
    if len(sources) > 1:
        raise click.UsageError("standard input (-) cannot be combined with other sources")
    if target.trailing_slash or target.fs.isdir(target.path):
        raise IsADirectoryError(errno.EISDIR, "it is a directory: name a file to copy standard input to", target.url)
    size = 0
    if dry_run:
        _check_free(target)
    else:
        with Progress(session) as progress:
            size = receive(standard_input(), target, ByteProgress(progress.moved), metadata.of(None, target))
    rows = [{"source": "-", "target": target.url, "size": size, "error": None}]
    if session.as_json:
        session.show_json({"files": rows, "failed": 0, "dry_run": dry_run})
    elif dry_run:
        session.say(f"would copy standard input to {target.url}")
    else:
        session.tell(f"copied {human_size(size)}")


def _copy_output(session: Session, sources: tuple[str, ...], recursive: bool, dry_run: bool) -> None:
    """Copy one file to standard output."""
    if session.as_json:
        raise click.UsageError("with the target -, standard output has the file: --json cannot be used")
    if "-" in sources:
        raise click.UsageError("source and target are both -: name a file on one side")
    locations = [location for source in sources for location in expand_pattern(session.location(source))]
    if recursive or len(locations) > 1:
        text = "standard output (-) takes one file: use cosv4fs cat for several, or name a directory as the target"
        raise click.UsageError(text)
    [source] = locations
    info = source.fs.info(source.path)
    if info["type"] == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a directory: standard output (-) takes one file", source.url)
    if dry_run:
        session.say(f"would copy {source.url} to standard output")
        return
    with Progress(session) as progress, standard_output() as out:
        progress.planned(1, int(info["size"] or 0))
        size = send(source, out, ByteProgress(progress.moved))
    session.tell(f"copied {human_size(size)}{progress.summary()}")


def _how_to_resume(pairs: list[Pair]) -> str:
    """Return how to go on after an interrupt, also with the uploads that have begun."""
    fs = own_filesystem(pairs[0].target.fs) if pairs else None
    targets = {pair.target.path for pair in pairs}
    if fs is not None and any(row["name"] in targets for row in fs.interrupted_uploads()):
        return f"to resume, repeat the command or run cosv4fs uploads resume {fs.protocol}://"
    return "repeat the command to go on"


def _check_free(location: Location) -> None:
    """Refuse to replace a write-once file in a dry run, where no server does."""
    if not location.capabilities.replaces_files and location.fs.isfile(location.path):
        raise FileExistsError(errno.EEXIST, f"the file exists and cannot be replaced, {WRITE_ONCE}", location.url)


def _record_differences(difference: Difference, failures: FailureLog) -> None:
    """Record the files of a write-once target that differ from their sources."""
    for pair, reason in difference.copies:
        if reason == "new":
            continue
        text = f"the file differs ({reason}) and cannot be replaced by {pair.source.url}, {WRITE_ONCE}"
        error = FileExistsError(errno.EEXIST, text, pair.target.url)
        failures.record(_refusal(pair) if pair.refusal else error, pair)


def _report(session: Session, pairs: list[Pair], progress: Progress | None, failures: FailureLog) -> None:
    """Report what was copied; without `progress`, what would be copied."""
    dry_run = progress is None
    rows = [_row(pair, failures) for pair in pairs]
    size = human_size(sum(row["size"] for row in rows if row["error"] is None))
    verb = "would copy" if dry_run else "copied"
    done = f"{verb} {sum(row['error'] is None for row in rows)} of {len(rows)} files, {size}"
    done += progress.summary() if progress else ""
    if session.as_json:
        statistics = _statistics(progress)
        session.show_json({"files": rows, "failed": failures.count, "dry_run": dry_run} | statistics)
    elif dry_run:
        for row in (row for row in rows if row["error"] is None):
            session.say(f"would copy {row['source']} to {row['target']}")
    if progress and not session.as_json:
        progress.tell_slowest()
        tell_not_carried(session, progress.not_carried.as_dict())
    if not (session.as_json or failures.count):
        session.tell(done)
    # the failure of a single file says everything
    failures.exit(done if len(rows) > 1 else "")


def _report_sync(
    session: Session,
    difference: Difference,
    deleted: Iterable[Location],
    progress: Progress | None,
    failures: FailureLog,
) -> None:
    dry_run = progress is None
    copies = [_row(pair, failures) | {"reason": reason} for pair, reason in difference.copies]
    deletions = [location.url for location in deleted if failures.reason(location) is None]
    if session.as_json:
        found = {"copies": copies, "deletions": deletions, "same": difference.same}
        unsure = {"undated": difference.undated, "unsure": difference.unsure}
        statistics = _statistics(progress)
        session.show_json(found | unsure | {"failed": failures.count, "dry_run": dry_run} | statistics)
        return
    done = [row for row in copies if row["error"] is None]
    copy, delete = ("would copy", "would delete") if dry_run else ("copied", "deleted")
    for row in done:
        session.say(f"{copy} {row['source']} to {row['target']} ({row['reason']})")
    for url in deletions:
        session.say(f"{delete} {url}")
    if progress:
        progress.tell_slowest()
        tell_not_carried(session, progress.not_carried.as_dict())
    summary = progress.summary() if progress else ""
    session.tell(f"{copy} {len(done)}, {delete} {len(deletions)}, {difference.same} unchanged{summary}")
    if difference.undated:
        text = f"compared {difference.undated} by size only, because one side has no times: see --checksum"
        session.tell(f"cosv4fs: {text}")
    if difference.unsure:
        text = f"compared {difference.unsure} by times of a clock that cannot be read, and may be wrong: see --checksum"
        session.tell(f"cosv4fs: {text}")


def _statistics(progress: Progress | None) -> dict[str, Any]:
    """Return what is known after a run that was no dry run, for JSON output."""
    return {"not_carried": progress.not_carried.as_dict(), "statistics": progress.statistics()} if progress else {}


def _row(pair: Pair, failures: FailureLog) -> dict[str, Any]:
    error = failures.reason(pair)
    return {"source": pair.source.url, "target": pair.target.url, "size": pair.size, "error": error}
