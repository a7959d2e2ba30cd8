"""What cp, sync and mv have in common: copying planned files, and predicting what will fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.metadata import tell_not_carried
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import WRITE_ONCE, Session, for_each, own_filesystem
from cosv4fs.display import counted
from cosv4fs.migrate.copying import check_readable, copy_file, directories_only, make_directory, remove_directories
from cosv4fs.migrate.locations import Location, ThreadInstances
from cosv4fs.migrate.metadata import MetadataOptions
from cosv4fs.migrate.pairs import ListedCallback, Pair, Pairs
from cosv4fs.paths import uncreatable

Record = Callable[[Pair, str | None], object]
"""Called with each pair and its error message, or None, as soon as it is done."""


@contextmanager
def planning(session: Session, plan: Callable[[ListedCallback], AbstractContextManager[Pairs]]) -> Iterator[Pairs]:
    """Make and yield a plan; show meanwhile how many files and directories were listed."""
    with ExitStack() as stack:
        with Progress(session, lines=False) as progress:
            made = stack.enter_context(plan(progress.listed))
        yield made


class Copier:
    """Copies the files of a plan, and knows what is told at the end.

    `transfer` copies one file, with the parameters of `copy_file`, or moves it. `resume_hint` says how to continue
    after an interrupt; without one, `uploads resume` does if an upload has begun, and else `fallback_hint` says it.
    """

    def __init__(
        self,
        session: Session,
        plan: Pairs,
        jobs: int,
        metadata: MetadataOptions,
        *,
        transfer: Callable[..., None] = copy_file,
        resume_hint: str = "",
        fallback_hint: str = "repeat the command to continue",
    ) -> None:
        self._session, self._plan, self._metadata = session, plan, metadata
        self._jobs = 1 if plan.target.is_open_archive else jobs
        self._transfer, self._resume_hint, self._fallback_hint = transfer, resume_hint, fallback_hint
        action, self._past = ("copying", "copied") if transfer is copy_file else ("moving", "moved")
        self._progress = Progress(session, action, self._past, resume_hint=self._how_to_resume)
        self._own = ThreadInstances()
        self._has_run = False

    def copy(
        self, pairs: Iterable[Pair], totals: tuple[int, int], failures: FailureLog, record: Record, *, dry_run: bool
    ) -> None:
        """Copy the files of some pairs, of which the number and the bytes are given; a dry run only records them."""
        if dry_run:
            _predict(pairs, failures, record)
            return
        self._has_run = True
        with self._progress as progress:
            progress.planned(*totals)

            def count(pair: Pair, error: str | None) -> None:
                if error is not None:
                    progress.fail()
                record(pair, error)

            for_each(self._jobs, self._copy, pairs, failures, count)

    def outcome(self) -> dict[str, Any]:
        """Return what is known after a run that was no dry run, for JSON output."""
        progress = self._progress
        if not self._has_run:
            return {}
        return {"not_carried": progress.not_carried.as_dict(), "statistics": progress.statistics()}

    def summary(self) -> str:
        """Return what is appended to a summary."""
        skipped = f", {counted(self._plan.skipped, 'link')} skipped" if self._plan.skipped else ""
        return skipped + (self._progress.summary() if self._has_run else "")

    def tell(self) -> None:
        """Print what was slow, and which metadata was not carried."""
        if self._has_run:
            self._progress.tell_slowest()
            tell_not_carried(self._session, self._progress.not_carried.as_dict())

    def _copy(self, pair: Pair) -> None:
        if pair.refusal:
            raise refusal_of(pair)
        source, target = self._own.of(pair.source), self._own.of(pair.target)
        if pair.is_directory:
            make_directory(target)
            if not target.fs.isdir(target.path):
                raise _uncreatable(target)
            return
        if pair.replaces_directory:
            remove_directories(target)
        carried = self._metadata.of(source, target, pair.modified)
        url = pair.source.url
        with self._progress.file(f"{self._past} {url} to {pair.target.url}", pair.reason) as callback:
            self._transfer(source, target, callback, follow=pair.is_named, metadata=carried)
        self._progress.not_carried.add(url, carried.lost)

    def _how_to_resume(self) -> str:
        """Return how to continue after an interrupt, also with the uploads that have begun."""
        if self._resume_hint:
            return self._resume_hint
        fs = own_filesystem(self._plan.target.fs)
        if fs is not None and any(self._plan.has_target(row["name"]) for row in fs.interrupted_uploads()):
            return f"to resume, repeat the command or run cosv4fs uploads resume {fs.protocol}://"
        return self._fallback_hint


def _predict(pairs: Iterable[Pair], failures: FailureLog, record: Record) -> None:
    """Record what `Copier.copy` would, as far as it is known before anything is sent."""
    for pair in pairs:
        error = None
        try:
            _check(pair)
        except OSError as found:
            error = failures.record(found, pair)
        record(pair, error)


def row_of(pair: Pair, error: str | None) -> dict[str, Any]:
    """Return a pair as JSON output shows it."""
    return {"source": pair.source.url, "target": pair.target.url, "size": pair.size, "error": error}


def written_once(location: Location) -> FileExistsError:
    """Return the error for a file that exists at a write-once target."""
    return FileExistsError(errno.EEXIST, f"the file exists and cannot be replaced, {WRITE_ONCE}", location.url)


def refusal_of(pair: Pair) -> OSError:
    """Return the error for a pair that cannot be copied."""
    return OSError(errno.EINVAL, pair.refusal, pair.source.url)


def _check(pair: Pair) -> None:
    """Raise the error that copying a pair would, as far as it is known before anything is sent."""
    if pair.refusal:
        raise refusal_of(pair)
    target = pair.target
    if pair.replaces_file:
        raise written_once(target)
    if pair.is_directory:
        if target.capabilities.container and uncreatable(target.path):
            raise _uncreatable(target)
    else:
        check_readable(pair.source)
    if pair.replaces_directory:
        directories_only(target)
    elif target.is_local:
        _check_local(target, is_directory=pair.is_directory)


def _check_local(target: Location, *, is_directory: bool) -> None:
    path = Path(target.path)
    if path.is_dir() and not is_directory:
        raise IsADirectoryError(errno.EISDIR, "it is a local directory: name a file in it", target.path)
    if is_directory and os.path.lexists(path) and not path.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.path)
    above = next((folder for folder in path.parents if os.path.lexists(folder)), path.parent)
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(above))


def _uncreatable(target: Location) -> OSError:
    # some services only have directories of such a name with a file in them
    return OSError(errno.EINVAL, "an empty directory of this name cannot be created: rename it", target.url)
