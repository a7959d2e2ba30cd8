"""What all commands share: options of filesystems, output for people or scripts, and progress."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click
from fsspec.callbacks import Callback

from cosv4fs.commands.failures import Problems
from cosv4fs.exchange.places import Place, open_place
from cosv4fs.filesystem import CosV4FileSystem

__all__ = ["Counting", "Session", "each", "options_from"]

A = TypeVar("A")
_OURS = "cosv4"


@dataclass
class Session:
    """The options of one run of the command.

    Parameters
    ----------
    options : dict
        Options of filesystems, by protocol.
    as_json : bool
        Whether output is JSON.
    progress : bool
        Whether progress is shown on stderr.
    """

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    as_json: bool = False
    progress: bool = False

    def place(self, url: str) -> Place:
        """Return the filesystem and the path of a URL or a local path."""
        return open_place(url, self.options)

    def ours(self, url: str) -> tuple[CosV4FileSystem, str]:
        """Return the filesystem and the path of a ``cosv4://`` URL.

        Raises
        ------
        click.UsageError
            The URL is of another kind.
        """
        place = self.place(url)
        if not isinstance(place.fs, CosV4FileSystem):
            raise click.UsageError(f"{url}: this command works on cosv4:// URLs only")
        return place.fs, place.path

    def show(self, rows: Iterable[dict[str, Any]], line: Callable[[dict[str, Any]], str]) -> None:
        """Print rows: each as a line, or all as one JSON array."""
        if self.as_json:
            self.show_json(list(rows))
            return
        for row in rows:
            click.echo(line(row))

    def show_json(self, value: Any) -> None:
        """Print anything as JSON."""
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    @contextmanager
    def bar(self, total: int, title: str) -> Iterator[Callable[[int], None]]:
        """Show a bar for `total` bytes on stderr, where progress is wanted; lend the function that advances it."""
        if not self.progress:
            yield lambda _count: None
            return
        from tqdm import tqdm  # noqa: PLC0415 - only needed here

        lock = threading.Lock()
        with tqdm(total=total, desc=title, unit="B", unit_scale=True, unit_divisor=1024, file=sys.stderr) as bar:

            def advance(count: int) -> None:
                with lock:
                    bar.update(count)

            yield advance


class Counting(Callback):  # type: ignore[misc]
    """A callback of fsspec that hands on how many bytes have come."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def relative_update(self, inc: int = 1) -> None:
        """Hand on `inc` bytes."""
        self._advance(inc)
        super().relative_update(inc)

    def absolute_update(self, value: int) -> None:
        """Hand on how many bytes `value` is beyond what was known."""
        self._advance(value - self.value)
        super().absolute_update(value)


def each(action: Callable[[A], None], items: Iterable[A], jobs: int, problems: Problems) -> None:
    """Do something with every item on `jobs` threads; note failures and go on.

    Ctrl-C starts nothing more and waits for what is under way to stop.
    """
    rest = iter(items)
    with ThreadPoolExecutor(jobs, thread_name_prefix="cosv4fs-command") as pool:
        running = {pool.submit(action, item) for _, item in zip(range(jobs), rest, strict=False)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if isinstance(error, Exception):
                    problems.note(error)
                elif error is not None:
                    raise error
                running |= {pool.submit(action, item) for _, item in zip(range(1), rest, strict=False)}


def options_from(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return options by protocol from texts like ``appid=1250000000`` and ``s3.anon=true``.

    Values are JSON where they can be read as such, else texts.

    Raises
    ------
    click.BadParameter
        A text has no ``=``.
    """
    found: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{setting!r} is not NAME=VALUE or PROTOCOL.NAME=VALUE")
        protocol, dot, option = name.rpartition(".")
        found.setdefault(protocol if dot else _OURS, {})[option] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
