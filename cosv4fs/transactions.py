"""Transactions: files that are published together at the end of a block, or not at all.

A block belongs to the thread and the context (`contextvars`) that began it: other threads, also those that run in a
copy of the context, and forked children are not in it. asyncio tasks are in the block in which they were created. Only
files that `open` returned in the block wait for its end. A generator runs in the context of its caller: as long as its
block is the last that was begun, it also takes the files that the caller opens.

An inner block hands its files over to the outer one; if it raises, only its own files are discarded. The outermost
block checks all files before it publishes the first one:

=============================================  ==================================================
state of a file at the end                     what happens
=============================================  ==================================================
closed                                         it is published
discarded, or its own ``with`` block raised    it is left out
not closed, or garbage collected               nothing is published, and an `OSError` names it
`close` raised                                 nothing is published, and that error is raised again
=============================================  ==================================================

The files are published one by one. If one cannot be published, the error names those that already were.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Reversible, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from types import TracebackType

from fsspec.spec import AbstractFileSystem
from fsspec.transaction import Transaction

from cosv4fs.arguments import is_method
from cosv4fs.writer import CosWriter

_log = logging.getLogger("cosv4fs")

_MOST_NAMES = 10
"""Published files that an error names."""


class _Block:
    """One block of a transaction: its files, and the block around it."""

    def __init__(self, transaction: CosTransaction, outer: _Block | None) -> None:
        self.transaction, self.outer = transaction, outer
        self.files: deque[CosWriter] = deque()
        self.is_open = True
        self._pid, self._thread = os.getpid(), threading.get_ident()

    @property
    def is_of_parent(self) -> bool:
        """Whether this is a copy in a forked child."""
        return self._pid != os.getpid()

    def holds(self, fs: AbstractFileSystem) -> bool:
        """Return whether files that the calling thread opens with a filesystem belong to this block."""
        if not self.is_open or self.is_of_parent:
            return False
        # threads may run in a copy of the context that began the block
        return self.transaction.fs is fs and self._thread == threading.get_ident()


_blocks: ContextVar[tuple[_Block, ...]] = ContextVar("cosv4fs_blocks", default=())
"""The blocks of all filesystems that this context has begun, the innermost last; copies may hold ended ones."""


def _begun_here(fs: AbstractFileSystem) -> list[_Block]:
    """Return the blocks of the calling thread and context, the innermost last."""
    return [block for block in _blocks.get() if block.holds(fs)]


def _current(fs: AbstractFileSystem) -> _Block | None:
    return next(reversed(_begun_here(fs)), None)


class CosTransaction(Transaction):  # type: ignore[misc]
    """The transaction of a filesystem: ``with fs.transaction: …``; see `cosv4fs.transactions` for the rules.

    It can be used any number of times, also by several threads at once: each has a transaction of its own.

    Parameters
    ----------
    fs : AbstractFileSystem
        The filesystem; its `open` adds files.
    """

    def __init__(self, fs: AbstractFileSystem) -> None:
        self.fs = fs
        self._begun: list[_Block] = []

    @property
    def files(self) -> deque[CosWriter]:
        """The files of the innermost block of the calling thread; none outside a block."""
        block = _current(self.fs)
        return deque() if block is None else block.files

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # not the innermost block: generators that take turns end theirs in any order, even in another thread or context
        own = [block for block in _begun_here(self.fs) if block in self._begun] or self._begun
        if own:
            _end(own[-1], commit=kind is None)

    def start(self) -> None:
        """Begin a block, inside the one that the calling thread has begun, if any."""
        block = _Block(self, _current(self.fs))
        self._begun.append(block)
        _blocks.set((*_blocks.get(), block))

    def complete(self, commit: bool = True) -> None:
        """End the innermost block: publish its files, or hand them over to the outer block; or discard them.

        Raises
        ------
        ValueError
            The calling thread and context have begun no block.
        OSError
            A file is not complete, and nothing is published; or publishing one failed, and the rest is discarded.
        """
        block = _current(self.fs)
        if block is None:
            text = "this thread has begun no transaction"
            raise ValueError(f"{text}: end a transaction in the thread and context that began it")
        _end(block, commit)


def _end(block: _Block, commit: bool) -> None:
    """End a block and decide what becomes of its files, which are the parent's in a forked child."""
    block.is_open = False
    block.transaction._begun.remove(block)
    _blocks.set(tuple(other for other in _blocks.get() if other.is_open))
    if block.is_of_parent:
        return
    if not commit:
        _discard(block.files)
    elif block.outer is not None and block.outer.is_open:
        block.outer.files += block.files
    else:
        _publish(block.files)


def transaction_of(fs: AbstractFileSystem) -> CosTransaction:
    """Return a context in which the files from `open` are published together at the end, or not at all.

    It belongs to the thread and context that begin it, and can be nested: see `cosv4fs.transactions`. Other methods,
    such as `pipe`, `put`, `cp` and `rm`, take effect at once and are not undone.
    """
    return CosTransaction(fs)


def is_begun(fs: AbstractFileSystem) -> bool:
    """Return whether the calling thread and context have begun a transaction of a filesystem."""
    return _current(fs) is not None


@is_method
def start(fs: AbstractFileSystem) -> CosTransaction:
    """Begin a transaction of the calling thread, or one inside it; `end_transaction` publishes its files."""
    transaction = transaction_of(fs)
    transaction.start()
    return transaction


@is_method
def end(fs: AbstractFileSystem) -> None:
    """End the innermost transaction of the calling thread, and publish its files.

    Raises
    ------
    ValueError
        The calling thread and context have begun no transaction.
    OSError
        A file is not complete, and nothing is published; or publishing one failed, and the rest is discarded.
    """
    transaction_of(fs).complete()


def _publish(files: Iterable[CosWriter]) -> None:
    """Publish all files but the discarded ones; if that fails, discard the rest and name what was published."""
    kept = [file for file in files if not file.is_discarded]
    try:
        for file in kept:
            file.check_complete()
        for file in kept:
            file.commit()
    except BaseException as error:
        _discard(kept)
        _name_published(error, [file.path for file in kept if file.is_published])
        raise


def _discard(files: Reversible[CosWriter]) -> None:
    """Discard all files that are not published, also if discarding one of them fails."""
    with ExitStack() as stack:
        # the stack makes its calls from the last to the first
        for file in reversed(files):
            stack.callback(file.discard)


def _name_published(error: BaseException, names: Sequence[str]) -> None:
    if not names:
        return
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    text = f"the transaction had already published {', '.join(names[:_MOST_NAMES])}{more}; the rest was discarded"
    if isinstance(error, OSError):
        error.strerror = f"{error.strerror}; {text}"
    else:
        # Ctrl-C has no text
        _log.warning("a transaction was interrupted: %s", text)
