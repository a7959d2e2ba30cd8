"""The progress of commands that copy, compare or remove files, and what they tell about it at the end.

On a terminal, a bar shows bytes, files and the current rate. Elsewhere there is a line per file, as ``-v`` prints it on
terminals, too.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cosv4fs.cli.logs import NORMAL, VERBOSE
from cosv4fs.cli.session import Session
from cosv4fs.display import counted, human_size
from cosv4fs.migrate.access import AccessLostError
from cosv4fs.migrate.copying import ByteProgress
from cosv4fs.migrate.metadata import NotCarried
from cosv4fs.progress import ByteBar, files_text, new_bar

if TYPE_CHECKING:
    from typing_extensions import Self

_INTERVAL = 10.0
"""Seconds between lines with the totals, where there are no lines of files."""

_LONG = 5.0
"""Seconds from which a run is long enough for its rates and slowest files to be of interest."""

_SLOWEST, _MANY = 3, 10
"""The slowest files are named, this number of them, if there are many."""


class Progress:
    """What a command has done so far, shown on stderr; a context manager. Methods can be called from any thread.

    After Ctrl-C or SIGTERM, and when credentials have expired, it prints what was done, and how to continue.

    Parameters
    ----------
    session : Session
        Says what to show.
    action, past : str
        What the command does to files, such as ``copying`` and ``copied``.
    noun : tuple of str
        What is counted, as the singular and the plural.
    lines : bool
        Whether files have lines of their own where there is no bar; else the totals have one, every ten seconds.
    resume_hint : callable, optional
        Returns how to continue after an interrupt.
    clock : callable, optional
        Returns seconds.
    """

    def __init__(
        self,
        session: Session,
        action: str = "copying",
        past: str = "copied",
        noun: tuple[str, str] = ("file", "files"),
        *,
        lines: bool = True,
        resume_hint: Callable[[], str] = lambda: "repeat the command to continue",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._action, self._past, self._noun = session, action, past, noun
        self._resume_hint, self._clock = resume_hint, clock
        is_plain = session.verbosity == NORMAL and not (session.progress or session.as_json)
        self._shows_lines = session.verbosity >= VERBOSE or (lines and is_plain)
        self._shows_totals = is_plain and not lines
        self._lock = threading.Lock()
        self._listing: Any = None
        self._bar = ByteBar(action)
        # that of the files begins when they are listed
        self._began = self._began_files = self._last_totals = clock()
        self._listed = self._planned = self._planned_size = self._moved = 0
        self._slowest: list[tuple[float, str, int]] = []
        self.files = self.size = self.failed = 0
        self.not_carried = NotCarried()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._end_listing()
        self._bar.close()
        if isinstance(error, (KeyboardInterrupt, AccessLostError)):
            end = "access was denied" if isinstance(error, AccessLostError) else "the interrupt"
            # SIGHUP says that the terminal was closed
            with suppress(OSError):
                self._session.tell(f"{self._past} {self._count()} before {end}; {self._resume_hint()}")

    def listed(self, count: int) -> None:
        """Count `count` more files that were listed."""
        with self._lock:
            self._listed += count
            if self._session.progress and not self._planned:
                if self._listing is None:
                    self._listing = new_bar(desc="listing", unit=" files")
                self._listing.update(count)
            self._tell_totals(f"listed {counted(self._listed, 'file')}")

    def planned(self, files: int, size: int) -> None:
        """Add to the number of files, and of their bytes, that will be done."""
        with self._lock:
            self._end_listing()
            if not self._planned:
                self._began_files = self._clock()
            self._planned += files
            self._planned_size += size
            self._bar.expect([size])
            self._show_bar()

    def moved(self, size: int) -> None:
        """Count bytes, as they come."""
        with self._lock:
            self._moved += size
            if self._session.progress:
                self._bar.advance(size)
            self._tell_totals()

    @contextmanager
    def file(self, text: str, detail: str = "") -> Iterator[ByteProgress]:
        """Yield the callback for one file, and count the file unless the block fails; see `done` for the parameters."""
        began, size = self._clock(), 0

        def moved(count: int) -> None:
            nonlocal size
            size += count
            self.moved(count)

        yield ByteProgress(moved)
        self.done(text, size, self._clock() - began, detail)

    def done(self, text: str, size: int | None = None, seconds: float | None = None, detail: str = "") -> None:
        """Count a file, whose bytes were counted by `moved`.

        Parameters
        ----------
        text : str
            What was done, such as ``copied a to b``.
        size : int, optional
            Its bytes, if there was anything to transfer.
        seconds : float, optional
            How long it took.
        detail : str, optional
            More about it, such as the reason.
        """
        with self._lock:
            self.files += 1
            self.size += size or 0
            if size is not None and seconds is not None:
                change = heapq.heappush if len(self._slowest) < _SLOWEST else heapq.heappushpop
                change(self._slowest, (seconds, text, size))
            self._show_bar()
            self._tell_totals()
        details = ", ".join(filter(None, (detail, "" if size is None else human_size(size))))
        self._session.tell(f"{text} ({details})" if details else text, is_shown=self._shows_lines)

    def fail(self) -> None:
        """Count a file that failed."""
        with self._lock:
            self.failed += 1
            self._show_bar()
            self._tell_totals()

    def statistics(self) -> dict[str, Any]:
        """Return the totals for JSON output.

        Returns
        -------
        dict
            ``files`` and ``bytes`` that were done, ``seconds``, ``files_per_second``, ``bytes_per_second``, ``retries``
            (requests that were repeated, by filesystems of this package in this process) and ``slowest``, a list of
            dicts with ``file``, ``bytes`` and ``seconds``.
        """
        seconds = self._clock() - self._began
        rates = {"files_per_second": self.files, "bytes_per_second": self._moved}
        slowest = [{"file": text, "bytes": size, "seconds": round(took, 3)} for took, text, size in self._in_order()]
        return {
            "files": self.files,
            "bytes": self.size,
            "seconds": round(seconds, 3),
            **{name: round(count / seconds, 1) if seconds else None for name, count in rates.items()},
            "retries": self._session.retries,
            "slowest": slowest,
        }

    def summary(self) -> str:
        """Return duration, rates and retries, to be appended to a summary; empty after a short run without retries."""
        seconds, retries = self._clock() - self._began, self._session.retries
        parts = []
        if seconds >= _LONG:
            rate = human_size(self._moved / seconds)
            parts.append(f"in {_duration(seconds)} ({self.files / seconds:.1f} files/s, {rate}/s)")
        if retries:
            parts.append(counted(retries, "retry", "retries"))
        return "".join(f", {part}" for part in parts)

    def tell_slowest(self) -> None:
        """Print the slowest files, if the run was long and had many."""
        if self._clock() - self._began >= _LONG and self.files >= _MANY:
            for seconds, text, size in self._in_order():
                rate = human_size(size / seconds) if seconds else ""
                self._session.tell(f"slow: {text} ({human_size(size)} in {_duration(seconds)}, {rate}/s)")

    def _in_order(self) -> list[tuple[float, str, int]]:
        return sorted(self._slowest, reverse=True)

    def _count(self) -> str:
        files = f"{self.files:,} of {counted(self._planned, *self._noun)}"
        if not self._planned:
            files = counted(self.files, *self._noun)
        if not (self._planned or self._moved):
            return files
        size = f" of {human_size(self._planned_size)}" if self._planned else ""
        return f"{files}, {human_size(self._moved)}{size}"

    def _end_listing(self) -> None:
        if self._listing is not None:
            self._listing.close()
            self._listing = None

    def _show_bar(self) -> None:
        if self._session.progress and self._planned:
            self._bar.show(files_text(self.files, self._planned, self.failed))

    def _tell_totals(self, text: str | None = None) -> None:
        now = self._clock()
        if self._shows_totals and now - self._last_totals >= _INTERVAL:
            self._last_totals = now
            self._session.tell(text or f"{self._past} {self._count()}, {self.failed:,} failed{self._pace()}")

    def _pace(self) -> str:
        """Return the rates and the time that is left, to be appended to the totals; empty while they are unknown."""
        seconds, done = self._clock() - self._began_files, self.files + self.failed
        shares = [done / self._planned if self._planned else 0, self._moved / (self._planned_size or 1)]
        known = [share for share in shares if share > 0]
        if not (seconds and self._planned and known):
            return ""
        left = _duration(seconds * max(0.0, 1 / min(known) - 1))
        return f"; {done / seconds:.1f} files/s, {human_size(self._moved / seconds)}/s, about {left} left"


def _duration(seconds: float) -> str:
    """Format seconds: ``12.3 s``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
