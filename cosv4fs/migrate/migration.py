"""Migrate whole trees from one filesystem to another: `migrate`.

A run lists the source into the manifest, then copies and verifies the files that the target does not have. It may be
killed at any time; the next run lists again and copies the rest.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cosv4fs.concurrency import Pool
from cosv4fs.localnames import ignores_case
from cosv4fs.migrate import cluster
from cosv4fs.migrate.access import Refusals, check_access
from cosv4fs.migrate.copying import ByteProgress
from cosv4fs.migrate.entries import Entry, is_utf8
from cosv4fs.migrate.identities import bare_url, default_manifest, identity
from cosv4fs.migrate.infos import holds_files
from cosv4fs.migrate.locations import Location, Options, open_location
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, File, Manifest, Outcome
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.migrator import FileMigrator, batches
from cosv4fs.migrate.plan import FILE_ABOVE, SPELLED_ALIKE, check_apart, is_existing_directory
from cosv4fs.migrate.report import Report, check_rows, write_rows
from cosv4fs.migrate.selection import EVERYTHING, Selection
from cosv4fs.migrate.trees import scan
from cosv4fs.migrate.workers import BatchSettings

__all__ = ["MetadataOptions", "Outcome", "Report", "Selection", "Watcher", "migrate"]

_MAX_FAILURES = 1000
"""Failures listed in a report; the manifest has all of them."""

_MAX_BATCH = 32
"""Small files of which the beginning and the outcome are recorded together."""

_RECORD_EVERY = 1.0
"""Seconds after which the outcomes of a batch are recorded before its end."""


class Watcher:
    """Base class for observers of a migration; every method does nothing. Methods are called from several threads."""

    def listed(self, count: int) -> None:
        """Handle that `count` more files were listed."""

    def planned(self, files: int, size: int) -> None:
        """Handle, once, the number of `files` to migrate and their total `size` in bytes."""

    def moved(self, size: int) -> None:
        """Handle that `size` more bytes were copied, or found at the target."""

    def done(self, outcome: Outcome) -> None:
        """Handle an `outcome` that was recorded in the manifest; it is ``pending`` for what a dry run would copy."""


def migrate(
    source: str,
    target: str,
    *,
    options: Options | None = None,
    manifest: str | os.PathLike[str] | None = None,
    verify: bool = False,
    reverify: bool = False,
    overwrite: bool = True,
    metadata: MetadataOptions | None = None,
    selection: Selection = EVERYTHING,
    dry_run: bool = False,
    jobs: int = 8,
    scheduler: str | None = None,
    watcher: Watcher | None = None,
    rows: str | os.PathLike[str] | None = None,
) -> Report:
    """Copy all files of a directory to another filesystem. Call again to resume, to retry failures or to update.

    Parameters
    ----------
    source, target : str
        Directory URLs of any protocol that fsspec supports.
    options : mapping, optional
        Filesystem options by protocol.
    manifest : path, optional
        The database that records progress. Default: a file in the user's state directory, named after source and
        target.
    verify : bool
        Compare the content of the target with the source, by SHA-1 or by the checksum that the service computed.
    reverify : bool
        Verify, and compare what earlier runs completed, too: all files are looked up at the target, and read there
        unless its service stores SHA-1s. What is missing, or differs in content, is copied again.
    overwrite : bool
        Replace target files with different content; if false, they are reported as failed. Equal files are never
        copied.
    metadata : MetadataOptions, optional
        What copies carry beside the content; by default all that the target can hold. Differences of metadata alone
        cause no copy.
    selection : Selection
        The files to migrate. What is known of others stays in the manifest, which is the same for all selections.
        Empty directories are only created if everything is selected.
    dry_run : bool
        List and compare, but copy nothing: neither the target nor the manifest is changed.
    jobs : int
        Number of files in parallel, on threads of this process or on a local cluster.
    scheduler : str, optional
        The address of a dask scheduler whose workers copy the files, or ``local`` for a cluster on this machine.
        Requires ``distributed``. A script that starts a local cluster has to do so below
        ``if __name__ == "__main__":``, since the new processes import it.
    watcher : Watcher, optional
        Receives the progress.
    rows : path, optional
        A file to write at the end, with a row for each file that the manifest has: CSV if its name ends in ``.csv``,
        else one JSON object per line. The columns are path, state (pending, copied, verified, failed, or vanished: the
        source no longer has it), size (bytes), modified (of the source), sha1 (where known), error, not_carried (names
        of attributes, separated by commas), attempts, begun and ended (of the last attempt). Times are ISO 8601 in UTC.

    Returns
    -------
    Report
        The result, including files that failed: those raise nothing.

    Raises
    ------
    OSError
        The source cannot be listed, a bucket is missing or out of reach, or `rows` cannot be written; EINVAL if
        one directory is inside the other; `BlockingIOError` if another run is using the manifest; `PermissionError`
        if access is denied to the directories, also later, when credentials have expired.
    ValueError
        The manifest belongs to another migration, a content type is invalid, or a dry run is to use a cluster.
    NotImplementedError
        The target is inside an archive, or cannot store the content type that is given.

    Examples
    --------
    >>> report = migrate("cosv4://bucket/dir", "s3://bucket/dir")  # doctest: +SKIP
    >>> report.failed  # doctest: +SKIP
    0
    """
    started = time.monotonic()
    watcher = watcher or Watcher()
    if dry_run and scheduler is not None:
        raise ValueError("a dry run uses no cluster: leave out the scheduler")
    if rows is not None:
        check_rows(Path(rows))
    sides = origin, destination = open_location(source, options), open_location(target, options)
    _check(origin, destination)
    metadata = metadata or MetadataOptions()
    metadata.check(destination)
    path = Path(manifest) if manifest is not None else default_manifest(origin, destination)
    verify = verify or reverify
    # files in these states are compared again
    states = (COPIED, VERIFIED) if reverify else (COPIED,) if verify else ()
    with Manifest(path, identity(origin), identity(destination), is_trial=dry_run) as book:
        skipped = _list(book, origin, selection, jobs, watcher)
        _bar_collisions(book, destination)
        kept = {state: _count(book, state) for state in (COPIED, VERIFIED) if state not in states}
        count, size = book.work(*states)
        watcher.planned(count, size)
        recorder, queue = _Recorder(book, watcher, sides), book.files(*states)
        with _rows_at_the_end(book, rows):
            if scheduler is None:
                migrator = FileMigrator(*sides, verify=verify, overwrite=overwrite, metadata=metadata)
                act = _examining(migrator, watcher) if dry_run else _migrating(migrator, watcher, book)
                _on_threads(act, batches(queue, max(1, min(_MAX_BATCH, count // (4 * jobs)))), jobs, recorder)
            else:
                urls = _absolute(origin, source), _absolute(destination, target)
                settings = BatchSettings(*urls, dict(options or {}), verify, overwrite, metadata)
                cluster.run_on_cluster(scheduler, settings, _reopening(book, queue), jobs, recorder)
            folders = _make_directories(book, destination, dry_run) if selection.is_everything else (0, 0)
        return Report(
            source=origin.url,
            target=destination.url,
            manifest=str(path),
            before=sum(kept.values()),
            verified=_count(book, VERIFIED) - kept.get(VERIFIED, 0),
            verified_before=kept.get(VERIFIED, 0),
            empty_folders=folders[0],
            empty_folders_kept=folders[1],
            seconds=time.monotonic() - started,
            skipped_links=skipped,
            is_dry_run=dry_run,
            **_state_of(book),
            **recorder.counts(),
        )


def _check(source: Location, target: Location) -> None:
    """Refuse an impossible migration before anything is listed or written."""
    if target.is_open_archive:
        text = "writing to an archive cannot be resumed after a kill: copy to it with cp -r"
        raise NotImplementedError(f"{bare_url(target.url)}: {text}")
    check_access(source, must_exist=True)
    if not holds_files(source, source.fs.info(source.path)):
        raise NotADirectoryError(errno.ENOTDIR, "only directories can be migrated: copy a file with cp", source.url)
    check_apart(source, target)
    if not target.has_directories:
        check_access(target, must_exist=True, is_target=True)
    is_existing_directory(target)


def _bar_collisions(book: Manifest, target: Location) -> None:
    """Record as failed the files that the target cannot hold beside others."""
    if target.has_directories:
        book.bar_files_above(FILE_ABOVE)
    if target.is_local and ignores_case(target.path):
        book.bar_other_spellings(SPELLED_ALIKE)


def _count(book: Manifest, state: str) -> int:
    return book.totals().get(state, (0, 0))[0]


def _state_of(book: Manifest) -> dict[str, Any]:
    """Return what a report has from the manifest, which is about all runs."""
    totals = book.totals()
    listed = [total for state, total in totals.items() if state != "gone"]
    return {
        "files": sum(number for number, _ in listed),
        "bytes": sum(size for _, size in listed),
        "failed": totals.get(FAILED, (0, 0))[0],
        "failures": tuple(book.failures(_MAX_FAILURES)),
        "vanished": totals.get("gone", (0, 0))[0],
        "not_carried": book.not_carried(),
    }


def _list(book: Manifest, source: Location, selection: Selection, jobs: int, watcher: Watcher) -> int:
    """List the source into the manifest; return the number of symbolic links that are left out."""
    skipped = 0
    book.begin_listing((source.clock_difference() or 0.0) if source.capabilities.replaces_files else None)
    for page in scan(source, selection, jobs=jobs):
        files = [_file(entry) for entry in page if not entry.is_skipped and (entry.refusal or not entry.is_directory)]
        folders = (entry.path for entry in page if entry.is_directory and not entry.refusal and is_utf8(entry.path))
        watcher.listed(book.list_page(files, folders))
        skipped += sum(entry.is_skipped for entry in page)
    # a file that a limit of size or time leaves out is not gone
    by_path = selection == selection.by_path
    book.end_listing(lambda path: by_path and selection.admits_path(path))
    return skipped


def _file(entry: Entry) -> File:
    """Return the row for a file, or for a directory that cannot be listed or created."""
    error = entry.refusal
    if not (error or is_utf8(entry.path)):
        error = "its name is not valid UTF-8"
    # bytes that are not UTF-8 are escaped
    name = entry.path.encode("utf-8", "backslashreplace").decode("utf-8") + "/" * entry.is_directory
    return File(name, entry.size, entry.modified, entry.sha1, error)


class _Recorder:
    """Records outcomes in the manifest, counts them and informs the watcher; thread-safe."""

    def __init__(self, book: Manifest, watcher: Watcher, sides: Iterable[Location]) -> None:
        self._book, self._watcher, self._refusals = book, watcher, Refusals(sides)
        self._mutex = threading.Lock()
        self._reasons: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._copied = self._copied_bytes = self._found = 0

    def counts(self) -> dict[str, Any]:
        """Return what a report has from the outcomes of this run."""
        reasons = {reason: {"files": files, "bytes": size} for reason, (files, size) in self._reasons.items()}
        return {"copied": self._copied, "copied_bytes": self._copied_bytes, "found": self._found, "reasons": reasons}

    def record(self, outcomes: Iterable[Outcome], *, begun: bool = True) -> None:
        """Record the outcomes of files; see `Manifest.record`.

        Raises
        ------
        AccessLostError
            The credentials are no longer accepted.
        """
        outcomes = list(outcomes)
        self._book.record(outcomes, begun=begun)
        for outcome in outcomes:
            with self._mutex:
                self._count(outcome)
            self._watcher.done(outcome)
        for outcome in outcomes:
            self._refusals.note(failed=outcome.state == FAILED, refused=outcome.is_refused)

    def begun(self, paths: Iterable[str]) -> None:
        """Record that the files are being written at the target; `record` counts the attempts that end."""
        self._book.begin(paths, attempts=0)

    def moved(self, size: int) -> None:
        """Report that `size` more bytes were copied, or found at the target."""
        self._watcher.moved(size)

    def _count(self, outcome: Outcome) -> None:
        is_done = outcome.state in (COPIED, VERIFIED)
        if outcome.reason and outcome.state != FAILED:
            files, size = self._reasons[outcome.reason]
            self._reasons[outcome.reason] = [files + 1, size + outcome.size]
        self._copied += is_done and outcome.is_begun
        self._copied_bytes += outcome.size * is_done
        self._found += is_done and not outcome.is_begun


_Act = Callable[[list[File]], Iterator[Outcome]]
"""Yields the outcomes of a batch of files."""


def _migrating(migrator: FileMigrator, watcher: Watcher, book: Manifest) -> _Act:
    return lambda batch: migrator.migrate(batch, lambda: ByteProgress(watcher.moved), book.begin)


def _examining(migrator: FileMigrator, watcher: Watcher) -> _Act:
    return lambda batch: (migrator.examine(file, ByteProgress(watcher.moved)) for file in batch)


def _on_threads(act: _Act, work: Iterator[list[File]], jobs: int, recorder: _Recorder) -> None:
    def run(batch: list[File]) -> None:
        outcomes: list[Outcome] = []
        last = time.monotonic()
        try:
            for outcome in act(batch):
                outcomes.append(outcome)
                if time.monotonic() > last + _RECORD_EVERY:
                    done, outcomes, last = outcomes, [], time.monotonic()
                    recorder.record(done)
        finally:
            # also what was complete before an interrupt
            recorder.record(outcomes)

    Pool(jobs, "cosv4fs-migrate").map_unordered(run, work)


def _absolute(location: Location, url: str) -> str:
    """Return the URL for a process with another working directory."""
    return location.url if location.is_local else url


def _reopening(book: Manifest, files: Iterator[File]) -> Iterator[File]:
    """Yield files for a cluster; what was complete is pending, as workers do not wait until their begin is recorded."""
    for batch in batches(files, _MAX_BATCH):
        book.reopen(file.path for file in batch if file.state in (COPIED, VERIFIED))
        yield from batch


@contextmanager
def _rows_at_the_end(book: Manifest, file: str | os.PathLike[str] | None) -> Iterator[None]:
    """Write the rows of the manifest to a file, if one is given.

    Also when the credentials have expired: what was tried is of interest.
    """
    try:
        yield
    except PermissionError:
        if file is not None:
            write_rows(book.rows(), Path(file))
        raise
    if file is not None:
        write_rows(book.rows(), Path(file))


def _make_directories(book: Manifest, target: Location, dry_run: bool) -> tuple[int, int]:
    """Create the empty directories at the target if it has directories; return their number, and that at the target."""
    count = kept = 0
    for folder in book.empty_folders():
        count += 1
        kept += target.has_directories and _is_made(target, folder, dry_run)
    return count, kept


def _is_made(target: Location, folder: str, dry_run: bool) -> bool:
    try:
        location = target.join(folder)
        if not dry_run:
            location.fs.makedirs(location.path, exist_ok=True)
        return bool(location.fs.isdir(location.path))
    except (OSError, ValueError):
        # the report contains how many are missing
        return False
