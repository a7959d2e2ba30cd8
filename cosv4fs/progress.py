"""Progress of transfers: callbacks that are called one at a time, and the bars of the option ``progress``."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from cosv4fs.collisions import PathPair
from cosv4fs.concurrency import Pool
from cosv4fs.missing_packages import missing_package

if TYPE_CHECKING:
    from typing_extensions import Self

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")
Step = Callable[[int], None]
"""Takes a number of bytes: those transferred since its last call; for ``set_size``, those of the file."""

FileSize = tuple[str, "int | None"]
"""The path of a file, and its size in bytes; None if unknown."""

_INTERVAL, _INTERVAL_IN_FILES = 0.1, 10.0
"""Seconds between two updates of a bar: on terminals and in notebooks, and elsewhere, where every update stays."""


class _CallbackRunner:
    """Calls callbacks from worker threads: one at a time, and in the context of the thread that created this object.

    Callbacks need not be thread-safe, because fsspec's own filesystems call them from a single thread. Notebooks use
    the context to show output below the right cell.
    """

    def __init__(self) -> None:
        self._lock, self._context = threading.Lock(), copy_context()

    def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        with self._lock:
            return self._context.run(function, *arguments)

    @contextmanager
    def branched(self, callback: Callback, pair: PathPair) -> Iterator[Callback]:
        branch = self.run(callback.branched, *pair)
        child = self.run(branch.__enter__)
        try:
            yield child
        finally:
            self.run(branch.__exit__, *sys.exc_info())


_runner: ContextVar[_CallbackRunner | None] = ContextVar("_runner", default=None)
"""The runner of the operation, in threads that process one of many files."""


def each_pair(
    pool: Pool,
    pairs: list[PathPair],
    callback: Callback,
    action: Callable[[str, str, Callback], None],
    files_in: Callable[[list[PathPair]], list[FileSize]],
) -> None:
    """Apply `action` to all pairs in parallel; `callback` counts them, its branches count bytes.

    `files_in` returns the sources without the directories, and their sizes as far as they are known; it is called only
    if a bar of this package wants to know.
    """
    runner = _CallbackRunner()
    if isinstance(callback, TreeProgress):
        callback.expect(files_in(pairs))
    callback.set_size(len(pairs))

    def one(pair: PathPair) -> None:
        token = _runner.set(runner)
        try:
            with runner.branched(callback, pair) as child:
                action(*pair, child)
        finally:
            _runner.reset(token)
        runner.run(callback.relative_update, 1)

    pool.map(one, pairs)


def step_counter(callback: Callback | None) -> tuple[Step | None, Step | None]:
    """Return functions that report a size and bytes to `callback`; None for the default callback."""
    if callback is None or callback is DEFAULT_CALLBACK:
        return None, None
    runner = _runner.get() or _CallbackRunner()
    return partial(runner.run, callback.set_size), partial(runner.run, callback.relative_update)


def new_bar(**settings: Any) -> Any:
    """Return a bar of tqdm: a widget in notebooks that have ipywidgets, else text on stderr.

    Raises
    ------
    ImportError
        tqdm is not installed.
    """
    try:
        kind = _bar_class()
    except ImportError as error:
        raise missing_package(error) from error
    is_seen = _is_notebook() or (sys.stderr is not None and sys.stderr.isatty())
    interval = _INTERVAL if is_seen else _INTERVAL_IN_FILES
    # a process without a console has no stderr
    is_off = sys.stderr is None
    return kind(mininterval=interval, miniters=0, dynamic_ncols=True, disable=is_off, file=sys.stderr, **settings)


def _bar_class() -> Any:
    class Bar(_widget_or_text()):  # type: ignore[misc]
        # with `miniters=0`, every update may be displayed: no thread needs to watch for those that were not
        monitor_interval = 0

        def refresh(self, nolock: bool = False, lock_args: Any = None) -> Any:
            # tqdm's own method leaves its lock held when Ctrl-C comes
            with self.get_lock():
                return super().refresh(nolock=True)

    return Bar


def _widget_or_text() -> Any:
    from tqdm.std import tqdm as text  # noqa: PLC0415 - optional, and only needed here

    if not _is_notebook():
        return text
    try:
        # without it, the import of tqdm.auto would warn
        import ipywidgets  # noqa: F401, PLC0415
    except ImportError:
        return text
    from tqdm.auto import tqdm  # noqa: PLC0415

    return tqdm


def _is_notebook() -> bool:
    """Return whether this process is a kernel of Jupyter."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class ByteBar:
    """A progress bar of bytes, displayed when there is something to show; a context manager. Thread-safe.

    Parameters
    ----------
    description : str
        What is in progress; left of the bar.
    """

    def __init__(self, description: str) -> None:
        self._description, self._text = description, ""
        self._lock = threading.Lock()
        self._bar: Any = None
        self._total = self._unknown = 0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, sizes: Iterable[int | None]) -> None:
        """Add the sizes of files in bytes to the total; there is none while one of them is None: unknown."""
        with self._lock:
            for size in sizes:
                self._total += size or 0
                self._unknown += size is None

    def correct(self, expected: int | None, size: int) -> None:
        """Replace the size of a file that was expected."""
        if expected != size:
            with self._lock:
                self._total += size - (expected or 0)
                self._unknown -= expected is None
                self._show()

    def advance(self, count: int) -> None:
        """Count bytes that were transferred."""
        with self._lock:
            if self._bar is None:
                self._show()
            # after an interrupt, a thread may not have noticed yet
            if not self._is_closed:
                self._bar.update(count)

    def show(self, text: str = "") -> None:
        """Display the bar, with a text at its right."""
        with self._lock:
            self._text = text
            if self._bar is not None:
                self._bar.set_postfix_str(text, refresh=False)
            self._show()

    def close(self) -> None:
        """End the bar as it is now; it stays on the screen."""
        with self._lock:
            self._is_closed = True
            if self._bar is not None:
                self._bar.close()

    def _show(self) -> None:
        if self._is_closed:
            return
        total = None if self._unknown else self._total
        if self._bar is None:
            scale = {"unit": "B", "unit_scale": True}
            self._bar = new_bar(desc=self._description, total=total, postfix=self._text or None, **scale)
        elif self._bar.total != total:
            _change_total(self._bar, total)
        # displays the bar, unless it was displayed a moment ago
        self._bar.update(0)


def _change_total(bar: Any, total: int | None) -> None:
    if not hasattr(bar, "container"):
        bar.total = total
        return
    # a widget learns of another total only from a method that begins anew
    kept = {name: getattr(bar, name) for name in ("n", "last_print_n", "start_t")}
    bar.reset(total=total)
    for name, value in kept.items():
        setattr(bar, name, value)
    bar.refresh()


def files_text(done: int, planned: int, failed: int = 0) -> str:
    """Return what a `ByteBar` tells about files: ``3/8 files, 1 failed``."""
    return f"{done:,}/{planned:,} files" + (f", {failed:,} failed" if failed else "")


class FileProgress(Callback):  # type: ignore[misc]
    """Reports the bytes of one file to a bar.

    Parameters
    ----------
    bar : ByteBar
        The bar, perhaps that of many files.
    expected : int, optional
        The bytes that the bar expects of this file; None if they are unknown.
    done : callable
        Called at the end of a ``with`` block of this callback that has not failed.
    """

    def __init__(self, bar: ByteBar, expected: int | None, done: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._bar, self._expected, self._done = bar, expected, done

    @classmethod
    def of_one(cls, bar: ByteBar) -> Self:
        """Return the callback of the only file of a bar."""
        bar.expect([None])
        return cls(bar, None)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            # that of a pipe is known now
            self.set_size(self.value)
            self._done()

    def set_size(self, size: int) -> None:
        """Correct what the bar expects."""
        super().set_size(size)
        self._bar.correct(self._expected, size)
        self._expected = size

    def relative_update(self, inc: int = 1) -> None:
        """Report `inc` more bytes."""
        super().relative_update(inc)
        self._bar.advance(inc)


class TreeProgress(Callback):  # type: ignore[misc]
    """Reports the bytes of many files to one bar, and how many of the files are done. Directories do not count."""

    def __init__(self, bar: ByteBar) -> None:
        super().__init__()
        self._bar = bar
        self._files: list[FileSize] = []
        self._sizes: dict[str, int | None] = {}
        self._done = 0

    def expect(self, files: list[FileSize]) -> None:
        """Have the bar expect files, and display it if there are any."""
        self._files, self._sizes = files, dict(files)
        self._bar.expect(size for _, size in files)
        if files:
            self._bar.show(files_text(0, len(files)))

    def branched(self, path_1: str, path_2: str, **_: Any) -> Callback:
        """Return the callback for one file, or none for a directory."""
        if path_1 not in self._sizes:
            return DEFAULT_CALLBACK
        return FileProgress(self._bar, self._sizes[path_1], self._file_done)

    def _file_done(self) -> None:
        self._done += 1
        self._bar.show(files_text(self._done, len(self._files)))


def with_progress(kind: Callable[[ByteBar], Callback]) -> Callable[[_F], _F]:
    """Decorate a method that takes a `callback`: if the option `progress` is set, and none is given, it has a bar."""

    def decorate(method: _F) -> _F:
        position = list(inspect.signature(method).parameters).index("callback") - 1

        @functools.wraps(method)
        def shown(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.config.progress or "callback" in kwargs or len(args) > position:
                return method(self, *args, **kwargs)
            with ByteBar(method.__name__) as bar:
                return method(self, *args, callback=kind(bar), **kwargs)

        return cast("_F", shown)

    return decorate
