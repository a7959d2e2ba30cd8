"""Ctrl-C at random moments, thousands of times: afterwards everything works, and no lock is held."""

from __future__ import annotations

import gc
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosv4fs import CosV4FileSystem
from cosv4fs.concurrency import Task
from tests.stress.child import Life
from tests.stress.runner import BUCKET

_PART = 512 * 1024
_LARGE = random.Random(2).randbytes(6 * _PART)
_FILES = 30
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_QUIET = 20.0
"""Seconds within which a lock that somebody uses is free for a moment."""


def run(life: Life) -> None:
    """Interrupt until the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        Interrupted(life, Path(folder)).go()


class Interrupted:
    """A filesystem that is interrupted, and what is done with it."""

    def __init__(self, life: Life, folder: Path) -> None:
        self._life, self._folder, self._choice = life, folder, random.Random(life.seed)
        self._fs = CosV4FileSystem(
            **life.options,
            slice_size=_PART,
            single_upload_limit=_PART,
            range_size=_PART,
            spool_memory=2 * _PART,
            max_concurrency=4,
            journal_dir=str(folder / "journal"),
        )
        self._tree = {f"{BUCKET}/tree/{number % 5}/{number}": bytes([number]) * 100 for number in range(_FILES)}
        self._fs.pipe(self._tree)
        self._fs.pipe_file(f"{BUCKET}/large", _LARGE)
        (folder / "local").write_bytes(_LARGE)

    def go(self) -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        actions: list[Callable[[], None]] = [
            self._read, self._read_small, self._write, self._write_small, self._list, self._get, self._put, self._cat,
        ]  # fmt: skip
        while self._life.goes_on:
            self._interrupt(self._choice.choice(actions))
            self._works()
            self._life.progress()
        held = held_locks()
        assert not held, f"held for ever: {held}"

    def _interrupt(self, action: Callable[[], None]) -> None:
        try:
            signal.setitimer(signal.ITIMER_REAL, 10 ** self._choice.uniform(-4.5, -1))
            action()
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._life.counts["ended first"] += 1
        except KeyboardInterrupt:
            self._life.counts["interrupts"] += 1

    def _works(self) -> None:
        """Make sure that what was interrupted left a filesystem that works."""
        shutil.rmtree(self._folder / "got", ignore_errors=True)
        number = self._choice.randrange(_FILES)
        path = list(self._tree)[number]
        assert self._fs.cat_file(path) == self._tree[path]
        with self._fs.open(f"{BUCKET}/large") as file:
            assert file.read() == _LARGE
        self._fs.pipe({f"{BUCKET}/work/{name}": b"x" for name in "abc"})
        assert len(self._fs.ls(f"{BUCKET}/tree/{number % 5}", refresh=True)) == _FILES // 5

    def _read(self) -> None:
        with self._fs.open(f"{BUCKET}/large", block_size=_PART) as file:
            while file.read(50_000):
                pass

    def _read_small(self) -> None:
        for path in self._tree:
            self._fs.open(path).read()

    def _write(self) -> None:
        size = self._choice.choice((None, len(_LARGE)))
        with self._fs.open(f"{BUCKET}/written", "wb", size=size) as file:
            for start in range(0, len(_LARGE), 100_000):
                file.write(_LARGE[start : start + 100_000])

    def _write_small(self) -> None:
        for number in range(20):
            with self._fs.open(f"{BUCKET}/small/{number}", "wb") as file:
                file.write(b"content")

    def _list(self) -> None:
        for _ in range(5):
            assert len(self._fs.find(f"{BUCKET}/tree", refresh=True)) == _FILES
            self._fs.glob(f"{BUCKET}/tree/*/1*")

    def _get(self) -> None:
        self._fs.get(f"{BUCKET}/tree", str(self._folder / "got"), recursive=True)

    def _put(self) -> None:
        self._fs.put_file(str(self._folder / "local"), f"{BUCKET}/put", resume=self._choice.random() < 0.5)

    def _cat(self) -> None:
        assert self._fs.cat_file(f"{BUCKET}/large") == _LARGE
        assert len(self._fs.cat(list(self._tree))) == _FILES


def held_locks() -> list[str]:
    """Return the locks of this package's objects that are never free, though nobody works."""
    found = []
    for thing in [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("cosv4fs.")]:
        if isinstance(thing, Task):
            # its lock says whether it was begun, and is never given back
            continue
        for name, lock in list(_attributes(thing)):
            if isinstance(lock, _LOCKS):
                if lock.acquire(timeout=_QUIET):
                    lock.release()
                else:
                    found.append(f"{type(thing).__qualname__}.{name}")
    return found


def _attributes(thing: Any) -> Any:
    names = getattr(type(thing), "__slots__", ())
    own = {name: getattr(thing, name, None) for name in ([names] if isinstance(names, str) else names)}
    return {**own, **getattr(thing, "__dict__", {})}.items()
