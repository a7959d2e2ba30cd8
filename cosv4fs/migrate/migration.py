"""Migrate whole trees from one filesystem to another: `migrate`.

A run lists the source into the manifest, then copies and verifies the files that the target does not have. It may be
killed at any time; the next run lists again and copies the rest.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsspec import filesystem
from fsspec.core import url_to_fs

from cosv4fs.concurrency import Pool
from cosv4fs.localfiles import is_part, state_folder
from cosv4fs.migrate import cluster
from cosv4fs.migrate.copying import ByteProgress
from cosv4fs.migrate.locations import Location, Options, ThreadInstances, open_location
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, File, Manifest, Outcome
from cosv4fs.migrate.metadata import Lost, MetadataOptions, NotCarried
from cosv4fs.migrate.migrator import FileMigrator
from cosv4fs.migrate.plan import FILE_ABOVE, check_apart
from cosv4fs.migrate.trees import both_error, find_tree, holds_files, modification_time, recorded_sha1

_LOCATION_OPTIONS = (
    "account_name", "base_url", "endpoint", "endpoint_url", "host", "org", "port", "project", "ref", "region",
    "region_name", "repo", "sha",
)  # fmt: skip
"""Options that identify a service. All others may be secret or irrelevant."""

_DIRECTORIES_AT_ONCE = 1000
"""Directories that are taken from the manifest at once to be listed."""

_MAX_FAILURES = 1000
"""Failures listed in a report; the manifest has all of them."""


@dataclass(frozen=True)
class Report:
    """The result of one run.

    Parameters
    ----------
    source, target, manifest : str
        URLs of source and target, and path of the manifest.
    files, bytes : int
        Number of files of the source and their total size.
    copied, copied_bytes : int
        Files copied by this run and their total size.
    found : int
        Files that this run found complete at the target.
    not_carried : dict
        Number of files that lost an attribute in this run, and the first paths: ``files`` and ``examples`` by the name
        of the attribute.
    before : int
        Files that earlier runs completed and that have not changed.
    verified : int
        Files whose content was compared, by this run or an earlier one.
    failed : int
        Files that could not be migrated.
    failures : tuple of (str, str)
        Paths and errors of failed files, at most a thousand.
    vanished : int
        Files of earlier listings that the source no longer has. Their copies stay.
    empty_folders, empty_folders_kept : int
        Empty directories of the source, and how many of them the target now has.
    seconds : float
        Duration of this run.
    """

    source: str
    target: str
    manifest: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    found: int
    not_carried: dict[str, Lost]
    before: int
    verified: int
    failed: int
    failures: tuple[tuple[str, str], ...]
    vanished: int
    empty_folders: int
    empty_folders_kept: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-serializable dictionary."""
        failures = [{"path": path, "error": error} for path, error in self.failures]
        return {**asdict(self), "failures": failures, "seconds": round(self.seconds, 3)}


class Watcher:
    """Base class for observers of a migration; every method does nothing. Methods are called from several threads."""

    def listed(self, count: int) -> None:
        """Handle that `count` more files were listed."""

    def planned(self, files: int, size: int) -> None:
        """Handle, once, the number of files to migrate and their total size in bytes."""

    def moved(self, size: int) -> None:
        """Handle that `size` more bytes were copied, or found at the target."""

    def done(self, outcome: Outcome) -> None:
        """Handle an outcome that was recorded in the manifest."""


def migrate(
    source: str,
    target: str,
    *,
    options: Options | None = None,
    manifest: str | os.PathLike[str] | None = None,
    verify: bool = False,
    overwrite: bool = True,
    metadata: MetadataOptions | None = None,
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
    overwrite : bool
        Replace target files with different content; if false, they are reported as failed. Equal files are never
        copied.
    metadata : MetadataOptions, optional
        What copies carry beside the content; by default all that the target can hold. Differences of metadata alone
        cause no copy.
    jobs : int
        Number of files in parallel, on threads of this process or on a local cluster.
    scheduler : str, optional
        The address of a dask scheduler whose workers copy the files, or ``local`` for a cluster on this machine.
        Requires ``distributed``.
    watcher : Watcher, optional
        Receives the progress.
    rows : path, optional
        A file to write the manifest's rows to at the end: CSV if its name ends in ``.csv``, else one JSON object per
        line.

    Returns
    -------
    Report
        The result, including files that failed: those raise nothing.

    Raises
    ------
    OSError
        The source cannot be listed, the target's bucket does not exist, or `rows` cannot be written; EINVAL if one
        directory is inside the other; `BlockingIOError` if another run is using the manifest.
    ValueError
        The manifest belongs to another migration, or a content type is invalid.
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
    if rows is not None:
        _check_rows(Path(rows))
    origin, destination = open_location(source, options), open_location(target, options)
    _check(origin, destination)
    metadata = metadata or MetadataOptions()
    metadata.check(destination)
    path = Path(manifest) if manifest is not None else default_manifest(origin, destination)
    with Manifest(path, _identity(origin), _identity(destination)) as book:
        _list(book, origin, jobs, watcher)
        if destination.has_directories:
            book.bar_files_above(FILE_ABOVE)
        totals = book.totals()
        before = sum(totals.get(state, (0, 0))[0] for state in ((VERIFIED,) if verify else (VERIFIED, COPIED)))
        watcher.planned(*book.work(verify=verify))
        recorder = _Recorder(book, watcher)
        queue = book.files(verify=verify)
        if scheduler is None:
            migrator = FileMigrator(
                origin, destination, verify=verify, overwrite=overwrite, metadata=metadata, begin=book.begin
            )
            _on_threads(migrator, queue, jobs, recorder)
        else:
            settings = cluster.BatchSettings(source, target, dict(options or {}), verify, overwrite, metadata)
            cluster.run_on_cluster(scheduler, settings, queue, jobs, recorder.record)
        kept = _make_directories(book, destination)
        if rows is not None:
            _write_rows(book.rows(), Path(rows))
        return _report(book, (origin.url, destination.url), recorder, before, kept, time.monotonic() - started)


def default_manifest(source: Location, target: Location) -> Path:
    """Return the manifest for a source and target in the user's state directory."""
    both = _identity(source) + _identity(target)
    names = "-to-".join(
        re.sub(r"[^A-Za-z0-9]+", "-", _bare(location.url)).strip("-")[:40] for location in (source, target)
    )
    return state_folder() / f"migrate-{names}-{hashlib.sha256(both.encode()).hexdigest()[:16]}.sqlite"


def _write_rows(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        if file.suffix.lower() != ".csv":
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        writer = csv.writer(out)
        for number, row in enumerate(rows):
            if not number:
                writer.writerow(row)
            writer.writerow(row.values())


def _check_rows(file: Path) -> None:
    """Check before the migration that the file can be written; its content stays."""
    is_new = not file.exists()
    if not is_new and not (file.is_file() or file.is_dir()):
        # opening and closing a pipe would end its reader
        return
    with file.open("a"):
        pass
    if is_new:
        file.unlink()


def _check(source: Location, target: Location) -> None:
    """Refuse an impossible migration before anything is listed or written."""
    if target.is_open_archive:
        text = "writing to an archive cannot be resumed after a kill: copy to it with cp -r"
        raise NotImplementedError(f"{_bare(target.url)}: {text}")
    if not holds_files(source, source.fs.info(source.path)):
        raise NotADirectoryError(errno.ENOTDIR, "only directories can be migrated: copy a file with cp", source.url)
    check_apart(source, target)
    if not target.has_directories:
        bucket = target.at(target.path.partition("/")[0])
        if not target.fs.exists(bucket.path):
            raise FileNotFoundError(errno.ENOENT, "the bucket does not exist, or access to it is denied", bucket.url)


def _identity(location: Location) -> str:
    """Return the identity of a source or target as the manifest stores it."""
    return json.dumps(_url_and_service(location), sort_keys=True, default=str)


def _url_and_service(location: Location) -> tuple[str, dict[str, Any]]:
    """Return a URL and the options that identify its service, without secrets."""
    given = {**location.fs.storage_options, **(location.fs.storage_options.get("client_kwargs") or {})}
    where = {name: _bare(given[name]) for name in _LOCATION_OPTIONS if given.get(name)}
    if "s3" in location.protocols and "endpoint_url" not in where:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        where["endpoint_url"] = _bare(endpoint)
    # a filesystem that describes itself knows better than its options
    where = where if location.address is None else {"address": location.address}
    inner = _inner(location)
    return _bare(location.url), where if inner is None else {**where, "within": _url_and_service(inner)}


def _inner(location: Location) -> Location | None:
    """Return what a wrapping filesystem is based on: an archive file, or a path of another filesystem."""
    given = location.fs.storage_options
    file, protocol = given.get("fo"), given.get("target_protocol")
    options = given.get("target_options") or {}
    if protocol is None:
        return Location(*url_to_fs(file, **options)) if isinstance(file, str) else None
    fs = filesystem(protocol, **options)
    return Location(fs, fs._strip_protocol(file if isinstance(file, str) else location.path))


def _bare(url: Any) -> Any:
    """Return a URL without user name and password; its query, which may be a signature, is replaced by a digest."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return url
    front, _, query = re.sub("//[^/?#]*@", "//", url, count=1).partition("?")
    return f"{front}?{hashlib.sha256(query.encode()).hexdigest()[:16]}" if query else front


def _list(book: Manifest, source: Location, jobs: int, watcher: Watcher) -> None:
    """List the source into the manifest, several directories in parallel."""
    own, pool = ThreadInstances(), Pool(jobs, "cosv4fs-list")
    book.begin_listing((source.clock_difference() or 0.0) if source.capabilities.replaces_files else None)
    if source.lists_hide_directories:
        watcher.listed(_list_tree(book, source))
        book.end_listing()
        return

    def record(found: tuple[str, list[File], list[str]]) -> None:
        watcher.listed(book.list_folder(*found))

    while folders := book.folders_to_list(_DIRECTORIES_AT_ONCE):
        pool.map_unordered(lambda folder: (folder, *_entries(own, source, folder)), folders, record)
    book.end_listing()


def _list_tree(book: Manifest, source: Location) -> int:
    """List the source at once into the manifest; return the number of files."""
    tree = find_tree(source)
    folders: dict[str, tuple[list[File], list[str]]] = {folder: ([], []) for folder in ("", *tree.directories)}
    for folder in tree.directories:
        folders.setdefault(folder.rpartition("/")[0], ([], []))[1].append(folder)
    for name, listed, refusal in tree.entries():
        kind, info = _kind(source, listed)
        problem = refusal or _problem(name, kind)
        folders.setdefault(name.rpartition("/")[0], ([], []))[0].append(_file(source, name, info, problem))
    # directories are listed after what is above them, which would mark them as not listed
    return sum(book.list_folder(folder, *folders[folder]) for folder in sorted(folders))


def _entries(own: ThreadInstances, source: Location, folder: str) -> tuple[list[File], list[str]]:
    """Return the files and directories in a directory, by paths relative to the source."""
    source = own.of(source)
    location = source.at(source.prefix + folder) if folder else source
    location.fs.invalidate_cache(location.path)
    try:
        found = location.fs.ls(location.path, detail=True)
    except FileNotFoundError:
        if not folder:
            raise
        return [], []
    files: dict[str, File] = {}
    if not folder:
        names = [name[len(location.prefix) :] for name in location.invalid_keys()]
        files = {name: File(name, error=f"the name {name!r} is not a valid path") for name in names}
    folders: list[str] = []
    for entry in found:
        name = _name_in(location, str(entry["name"]))
        kind, info = _kind(location, entry)
        if not name and kind == "file" and not str(entry["name"]).endswith("/"):
            # the listing of the file: nothing else shows what is in the directory
            error = both_error(location)
            if not folder:
                raise error
            return [File(f"{folder}/", error=str(error.strerror))], []
        if (not name and _is_own(info)) or (location.is_local and is_part(name)):
            continue
        relative = f"{folder}/{name}" if folder or not name else name
        problem = _problem(relative, kind)
        if kind == "directory" and not problem:
            folders.append(relative)
        else:
            files[relative] = _file(location, relative, info, problem)
    return list(files.values()), folders


def _file(location: Location, relative: str, info: Mapping[str, Any], problem: str) -> File:
    sha, size = recorded_sha1(location, info), int(info.get("size") or 0)
    return File(_text(relative), size, modification_time(info), sha, problem)


def _name_in(location: Location, name: str) -> str:
    """Return a listed name relative to the listed directory; empty if it is the directory itself."""
    here, name = location.path.strip("/"), name.strip("/")
    if name == here:
        return ""
    # the last component would not do: a component between may be empty
    return name[len(here) + 1 :] if here and name.startswith(f"{here}/") else name.rpartition("/")[2]


def _is_own(info: Mapping[str, Any]) -> bool:
    """Return whether an unnamed entry is the directory's own placeholder object.

    A key such as ``dir//file`` also appears in the listing of ``dir`` as an unnamed directory, but without a time.
    """
    if info["type"] == "directory":
        return modification_time(info) is not None
    return not info.get("size")


def _kind(location: Location, info: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return ``file``, ``directory``, or the reason why an entry cannot be copied; and its info."""
    if info.get("islink"):
        try:
            info = location.fs.info(info["name"])
        except OSError:
            return "a broken link", info
        if info["type"] == "directory":
            return "a link to a directory, which is not followed", info
    return (info["type"] if info["type"] in ("file", "directory") else "neither a file nor a directory"), info


def _problem(path: str, kind: str) -> str:
    """Return why an entry cannot be copied or listed; empty if it can."""
    what = "directory" if kind == "directory" else "file"
    if _text(path) != path:
        return f"it is a {what} whose name is not valid UTF-8"
    if "" in path.split("/"):
        return f"it is a {what} with an empty component in its path, such as // in a key"
    return "" if kind in ("file", "directory") else f"it is {kind}"


def _text(name: str) -> str:
    """Return a name in which bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class _Recorder:
    """Records outcomes in the manifest, counts them and informs the watcher."""

    def __init__(self, book: Manifest, watcher: Watcher) -> None:
        self._book, self.watcher = book, watcher
        self.copied = self.copied_bytes = self.found = 0
        self.lost = NotCarried()

    def record(self, outcomes: Iterable[Outcome], *, begun: bool = True) -> None:
        """Record the outcomes of files; see `Manifest.record`."""
        outcomes = list(outcomes)
        self._book.record(outcomes, begun=begun)
        for outcome in outcomes:
            is_done = outcome.state != FAILED
            self.copied += is_done and outcome.is_begun
            self.copied_bytes += outcome.size
            self.found += is_done and not outcome.is_begun
            self.lost.add(outcome.path, outcome.lost)
            if not begun:
                # a cluster reports no progress within a file
                self.watcher.moved(outcome.size)
            self.watcher.done(outcome)


def _on_threads(migrator: FileMigrator, files: Iterator[File], jobs: int, recorder: _Recorder) -> None:
    def migrate_one(file: File) -> Outcome:
        return migrator.migrate(file, ByteProgress(recorder.watcher.moved))

    Pool(jobs, "cosv4fs-migrate").map_unordered(migrate_one, files, lambda outcome: recorder.record([outcome]))


def _make_directories(book: Manifest, target: Location) -> int:
    """Create the empty directories at the target if it supports them; return how many it has afterwards."""
    if not target.has_directories:
        return 0
    return sum(_is_made(target, folder) for folder in book.empty_folders())


def _is_made(target: Location, folder: str) -> bool:
    try:
        location = target.join(folder)
        location.fs.makedirs(location.path, exist_ok=True)
        return bool(location.fs.isdir(location.path))
    except (OSError, ValueError):
        # the report contains how many are missing
        return False


def _report(book: Manifest, urls: tuple[str, str], count: _Recorder, before: int, kept: int, seconds: float) -> Report:
    totals = book.totals()
    gone = totals.pop("gone", (0, 0))[0]
    return Report(
        *urls,
        manifest=str(book.path),
        files=sum(number for number, _ in totals.values()),
        bytes=sum(size for _, size in totals.values()),
        copied=count.copied,
        copied_bytes=count.copied_bytes,
        found=count.found,
        not_carried=count.lost.as_dict(),
        before=before,
        verified=totals.get(VERIFIED, (0, 0))[0],
        failed=totals.get(FAILED, (0, 0))[0],
        failures=tuple(book.failures(_MAX_FAILURES)),
        vanished=gone,
        empty_folders=len(book.empty_folders()),
        empty_folders_kept=kept,
        seconds=seconds,
    )
