"""Many files from one filesystem to another, over as many runs as it takes.

A run lists the source into the manifest, copies what is not yet there, checks it, and can be killed at any moment: the
next lists anew, and goes on with the copying. Without `cosv4fs.cli` it is used as
``migrate("cosv4://bucket/dir", "s3://bucket/dir")``.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsspec import filesystem
from fsspec.core import url_to_fs

from cosv4fs.localfiles import is_part
from cosv4fs.migrate.copying import Counting, recorded_sha1
from cosv4fs.migrate.manifest import COPIED, FAILED, VERIFIED, Job, Listed, Manifest, Outcome, identity
from cosv4fs.migrate.moving import Mover, Stopped
from cosv4fs.migrate.places import FLAT, Instances, Options, Place, open_place, protocols
from cosv4fs.migrate.plan import check_apart, modified

__all__ = ["Report", "Watcher", "default_manifest", "migrate", "write_rows"]

_WHERE = ("account_name", "base_url", "endpoint", "endpoint_url", "host", "org", "port", "project", "ref", "region",
          "region_name", "repo", "sha")  # fmt: skip
"""Options that say where a service is. All others may be secret, or have nothing to do with it."""

_MOST_FAILURES = 1000
"""How many failures a report names; the manifest has all."""


@dataclass(frozen=True)
class Report:
    """What a migration has come to.

    Parameters
    ----------
    source, target, manifest : str
        What was moved where, and where that is noted.
    files, bytes : int
        All that the source has.
    copied, copied_bytes : int
        What this run copied.
    found : int
        Files that this run found complete at the target, whoever had copied them.
    before : int
        Files that were done when this run began, and have not changed.
    verified : int
        Files whose content was compared, by this run or an earlier one.
    failed : int
        Files that could not be brought over; `failures` names them, a thousand at most, with the reasons.
    vanished : int
        Files that an earlier run listed, and the source has no more. What was copied of them stays.
    empty_folders, empty_folders_kept : int
        Directories without anything in them, and how many of them the target has now.
    seconds : float
        How long this run took.
    """

    source: str
    target: str
    manifest: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    found: int
    before: int
    verified: int
    failed: int
    failures: tuple[tuple[str, str], ...]
    vanished: int
    empty_folders: int
    empty_folders_kept: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        failures = [{"path": path, "error": error} for path, error in self.failures]
        return {**asdict(self), "failures": failures, "seconds": round(self.seconds, 3)}


class Watcher:
    """Follows a migration; this one does nothing. Its methods are called from several threads."""

    def listed(self, count: int) -> None:
        """Take note that `count` more files were listed."""

    def planned(self, files: int, size: int) -> None:
        """Take note, once, of the number of files to process and their total size in bytes."""

    def moved(self, size: int) -> None:
        """Take note that `size` more bytes were transferred, or found unnecessary to transfer."""

    def done(self, outcome: Outcome) -> None:
        """Be told of a file that is done, which is noted in the manifest."""


def migrate(
    source: str,
    target: str,
    *,
    options: Options | None = None,
    manifest: str | os.PathLike[str] | None = None,
    verify: bool = False,
    overwrite: bool = True,
    jobs: int = 8,
    scheduler: str | None = None,
    watcher: Watcher | None = None,
    rows: str | os.PathLike[str] | None = None,
) -> Report:
    """Copy all files below a directory to another filesystem; call it again to go on, to retry, or to refresh.

    Parameters
    ----------
    source, target : str
        URLs of directories, of any protocol that fsspec knows.
    options : mapping, optional
        Options of filesystems by protocol.
    manifest : path, optional
        The file that remembers; None for one in the user's folder for state, named by source and target.
    verify : bool
        Compare the target's content with what was read, by SHA-1, or by what the service computed of it.
    overwrite : bool
        Replace files of the target that have another content; if not, they are failures. Equal ones are never copied.
    jobs : int
        Files at once, on threads of this process or on a local cluster.
    scheduler : str, optional
        The address of a dask scheduler whose workers do the copying, or ``local`` for a cluster on this machine. Needs
        ``distributed``.
    watcher : Watcher, optional
        Told of the progress.
    rows : path, optional
        A file to write what is known of every file to, at the end; see `write_rows`.

    Returns
    -------
    Report
        What was done. Failures of single files are in it, and not raised.

    Raises
    ------
    OSError
        The source cannot be listed, the target's bucket is not there, or `rows` cannot be written; EINVAL when source
        or target is within the other; `BlockingIOError` when another run is working with the manifest.
    ValueError
        The manifest is that of another migration.
    NotImplementedError
        The target is an archive that is being written.
    """
    begin = time.monotonic()
    watcher = watcher or Watcher()
    if rows is not None:
        _check_rows(Path(rows))
    here, there = open_place(source, options), open_place(target, options)
    _check(here, there)
    path = Path(manifest) if manifest is not None else default_manifest(here, there)
    with Manifest(path, _identity(here), _identity(there)) as book:
        _list(book, here, jobs, watcher)
        before = _done(book, verify=verify)
        watcher.planned(*book.work(verify=verify))
        count = _Count(book, watcher)
        todo = book.jobs(verify=verify)
        if scheduler is None:
            mover = Mover(here, there, verify=verify, overwrite=overwrite, begin=book.begin)
            _on_threads(mover, todo, jobs, count)
        else:
            from cosv4fs.migrate.cluster import Work, on_cluster  # noqa: PLC0415 - needs distributed

            work = Work(source, target, dict(options or {}), verify=verify, overwrite=overwrite)
            on_cluster(scheduler, work, todo, jobs, count.note)
        kept = _make_folders(book, there)
        if rows is not None:
            write_rows(book.rows(), Path(rows))
        return _report(book, (here.url, there.url), count, before, kept, time.monotonic() - begin)


def default_manifest(source: Place, target: Place) -> Path:
    """Return the file in the user's folder for state that belongs to a source and a target."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    folder = Path(base) if base else Path.home() / ".local" / "state"
    both = _identity(source) + _identity(target)
    names = "-to-".join(re.sub(r"[^A-Za-z0-9]+", "-", _bare(place.url)).strip("-")[:40] for place in (source, target))
    return folder / "cosv4fs" / f"migrate-{names}-{hashlib.sha256(both.encode()).hexdigest()[:16]}.sqlite"


def write_rows(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write the rows of a manifest: as CSV where the file's name ends so, else one JSON object per line."""
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
    """Refuse a file that cannot be written while that costs nothing yet; it stays as it is."""
    is_new = not file.exists()
    if not is_new and not (file.is_file() or file.is_dir()):
        # a pipe's reader would take an attempt for all
        return
    with file.open("a"):
        pass
    if is_new:
        file.unlink()


def _check(source: Place, target: Place) -> None:
    """Refuse what cannot go well, before anything is listed or written."""
    if target.is_archive_to_be:
        text = "an archive that is being written cannot be gone on with after a kill: copy to it with cp -r"
        raise NotImplementedError(f"{_bare(target.url)}: {text}")
    if source.fs.info(source.path)["type"] != "directory":
        raise NotADirectoryError(errno.ENOTDIR, "a directory is migrated: copy a file with cp", source.url)
    check_apart(source, target)
    if FLAT & protocols(target):
        bucket = target.at(target.path.partition("/")[0])
        if not target.fs.exists(bucket.path):
            raise FileNotFoundError(errno.ENOENT, "there is no such bucket, or it may not be seen", bucket.url)


def _identity(place: Place) -> str:
    return identity(*_whereabouts(place))


def _whereabouts(place: Place) -> tuple[str, dict[str, Any]]:
    """Return a URL, and what else says where that is; no secrets."""
    given = {**place.fs.storage_options, **(place.fs.storage_options.get("client_kwargs") or {})}
    where = {name: _bare(given[name]) for name in _WHERE if given.get(name)}
    if "s3" in protocols(place) and "endpoint_url" not in where:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        where["endpoint_url"] = _bare(endpoint)
    # who knows better than its options, says it
    service = getattr(place.fs, "service", None)
    where = {"service": service} if isinstance(service, str) else where
    inner = _inner(place)
    return _bare(place.url), where if inner is None else {**where, "within": _whereabouts(inner)}


def _inner(place: Place) -> Place | None:
    """Return what the filesystem of a place shows: the file of an archive, or a path of another filesystem."""
    given = place.fs.storage_options
    file, protocol = given.get("fo"), given.get("target_protocol")
    options = given.get("target_options") or {}
    if protocol is None:
        return Place(*url_to_fs(file, **options)) if isinstance(file, str) else None
    fs = filesystem(protocol, **options)
    return Place(fs, fs._strip_protocol(file if isinstance(file, str) else place.path))


def _bare(url: Any) -> Any:
    """Return a URL without the name and password in it; of a query, which may be signed, there is only a digest."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return url
    front, _, query = re.sub("//[^/?#]*@", "//", url, count=1).partition("?")
    return f"{front}?{hashlib.sha256(query.encode()).hexdigest()[:16]}" if query else front


def _done(book: Manifest, *, verify: bool) -> int:
    totals = book.totals()
    return sum(totals.get(state, (0, 0))[0] for state in ((VERIFIED,) if verify else (VERIFIED, COPIED)))


def _list(book: Manifest, source: Place, jobs: int, watcher: Watcher) -> None:
    """Bring the manifest up to date, directory by directory; several at once."""
    own = Instances()
    book.begin_listing()
    with ThreadPoolExecutor(jobs, thread_name_prefix="cosv4fs-list") as pool:
        running: dict[Future[tuple[list[Listed], list[str]]], str] = {}
        try:
            while True:
                under_way = set(running.values())
                for folder in book.folders_to_list(jobs + len(running)):
                    if folder not in under_way and len(running) < jobs:
                        running[pool.submit(_entries, own, source, folder)] = folder
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    watcher.listed(book.list_folder(running.pop(future), *future.result()))
        finally:
            pool.shutdown(cancel_futures=True)
    book.end_listing()


def _entries(own: Instances, source: Place, folder: str) -> tuple[list[Listed], list[str]]:
    """Return the files and directories in a directory, by paths relative to the source."""
    source = own.of(source)
    place = source.at(source.prefix + folder) if folder else source
    place.fs.invalidate_cache(place.path)
    try:
        found = place.fs.ls(place.path, detail=True)
    except FileNotFoundError:
        if not folder:
            raise
        return [], []
    files: dict[str, Listed] = {}
    folders: list[str] = []
    for entry in found:
        name = _name_in(place, str(entry["name"]))
        kind, info = _kind(place, entry)
        if (not name and _is_own(info)) or (place.is_local and is_part(name)):
            continue
        relative = f"{folder}/{name}" if folder or not name else name
        if kind == "directory" and _is_text(relative) and _has_names(relative):
            folders.append(relative)
        else:
            files[relative] = _listed(place, relative, info, kind)
    return list(files.values()), folders


def _name_in(place: Place, name: str) -> str:
    """Return what a listed name is called in its directory; nothing, when it is called like the directory."""
    here, name = place.path.strip("/"), name.strip("/")
    if name == here:
        return ""
    # the last part would be too little where a name in between is empty
    return name[len(here) + 1 :] if here and name.startswith(f"{here}/") else name.rpartition("/")[2]


def _is_own(info: Mapping[str, Any]) -> bool:
    """Return whether what is called like its directory is its mark, as stores of keys have it, and no part of others.

    A key like ``dir//file`` is listed in ``dir`` as a directory without a name, and so without a time.
    """
    if info["type"] == "directory":
        return modified(info) is not None
    return not info.get("size")


def _kind(place: Place, info: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Tell what something is: ``file``, ``directory``, or why it cannot be copied."""
    if info.get("islink"):
        try:
            info = place.fs.info(info["name"])
        except OSError:
            return "a link that leads nowhere", info
        if info["type"] == "directory":
            return "a link to a directory, which is not followed", info
    return (info["type"] if info["type"] in ("file", "directory") else "neither a file nor a directory"), info


def _listed(place: Place, relative: str, info: Mapping[str, Any], kind: str) -> Listed:
    what = "directory" if kind == "directory" else "file"
    if not _is_text(relative):
        kind = f"a {what} whose name is no text"
    elif not _has_names(relative):
        kind = f"a {what} with an empty name in its path, as // in a key makes it"
    size, error = int(info.get("size") or 0), "" if kind == "file" else f"it is {kind}"
    return Listed(_text(relative), size, modified(info), recorded_sha1(place, info), error)


def _has_names(path: str) -> bool:
    return "" not in path.split("/")


def _is_text(name: str) -> bool:
    return _text(name) == name


def _text(name: str) -> str:
    """Return a name as a text that can be stored, whatever bytes it has."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class _Count:
    """Notes outcomes in the manifest, and counts them."""

    def __init__(self, book: Manifest, watcher: Watcher) -> None:
        self._book, self.watcher = book, watcher
        self.copied = self.copied_bytes = self.found = 0

    def note(self, outcomes: Iterable[Outcome], *, began: bool = True) -> None:
        """Note what became of files."""
        outcomes = list(outcomes)
        self._book.note(outcomes, began=began)
        for outcome in outcomes:
            is_done = outcome.state != FAILED
            self.copied += is_done and outcome.is_begun
            self.copied_bytes += outcome.size
            self.found += is_done and not outcome.is_begun
            if not began:
                # what a cluster moves is known when it is done
                self.watcher.moved(outcome.size)
            self.watcher.done(outcome)


def _counting(watcher: Watcher, stop: threading.Event) -> Counting:
    """Count the bytes of one file, and end its copy when all work has to end."""

    def advance(count: int) -> None:
        if stop.is_set():
            raise Stopped
        watcher.moved(count)

    return Counting(advance)


def _on_threads(mover: Mover, jobs: Iterator[Job], count: int, counter: _Count) -> None:
    stop = threading.Event()
    with _pool(count, stop) as pool:
        running: set[Future[Outcome]] = set()

        def feed() -> None:
            while len(running) < count and (job := next(jobs, None)) is not None:
                running.add(pool.submit(mover.move, job, _counting(counter.watcher, stop)))

        feed()
        while running:
            done = wait(running, return_when=FIRST_COMPLETED).done
            running -= done
            counter.note(future.result() for future in done)
            feed()


@contextmanager
def _pool(count: int, stop: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Lend threads; when the block fails, as by Ctrl-C, what they do is given up."""
    with ThreadPoolExecutor(count, thread_name_prefix="cosv4fs-migrate") as pool:
        try:
            yield pool
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _make_folders(book: Manifest, target: Place) -> int:
    """Make the empty directories at the target, where there can be such; return how many it has then."""
    if FLAT & protocols(target):
        return 0
    return sum(_is_made(target, folder) for folder in book.empty_folders())


def _is_made(target: Place, folder: str) -> bool:
    try:
        place = target.below(folder)
        place.fs.makedirs(place.path, exist_ok=True)
        return bool(place.fs.isdir(place.path))
    except (OSError, ValueError):
        # the report says how many are missing
        return False


def _report(book: Manifest, urls: tuple[str, str], count: _Count, before: int, kept: int, seconds: float) -> Report:
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
        before=before,
        verified=totals.get(VERIFIED, (0, 0))[0],
        failed=totals.get(FAILED, (0, 0))[0],
        failures=tuple(book.failures(_MOST_FAILURES)),
        vanished=gone,
        empty_folders=len(book.empty_folders()),
        empty_folders_kept=kept,
        seconds=seconds,
    )
