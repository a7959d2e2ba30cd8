"""Operations in a forked child of this process: as usual, where no thread starts, and at the end of the interpreter."""

from __future__ import annotations

import atexit
import ctypes
import dataclasses
import os
import pickle
import select
import signal
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

from cosv4fs.concurrency import tasks
from tests.catalogue.operations import Draws, Effect, Place, View, operation, pick
from tests.catalogue.reading import reads
from tests.catalogue.state import Content
from tests.catalogue.writing import PIECE, WAYS, fill, writes

KIB = 1024
_AT_END = ("at exit", "after the main thread")
MOMENTS = ("as usual", "without threads", *_AT_END)
"""When a child works."""

_SECONDS = 60.0
"""Limit for the work of a child."""


_forking = threading.Lock()
"""Held while warnings are ignored, which is so for all threads."""


def in_child(at: Place, work: Callable[[], Any], moment: str) -> Any:
    """Do something in a forked child; return or raise what came of it."""
    client = at.fs.client
    if threading.current_thread() is not threading.main_thread() and moment in _AT_END:
        # only the main thread can end an interpreter
        moment = "without threads"
    here, there = os.pipe()
    with _forking, warnings.catch_warnings():
        # newer versions of Python warn of every fork beside threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _live(at, client, work, moment, there)
    os.close(there)
    try:
        with os.fdopen(here, "rb") as end:
            assert select.select([end], [], [], _SECONDS)[0], f"a child hangs, {moment}"
            result, error = pickle.load(end)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # what another process has done shows no cache of this one
        at.fs.invalidate_cache(at.root)
    if error is not None:
        raise error
    return result


def _live(at: Place, client: Any, work: Callable[[], Any], moment: str, end: int) -> NoReturn:
    """Work at a moment, tell the parent, and end."""

    def tell() -> NoReturn:
        answer: tuple[Any, BaseException | None]
        try:
            # those who run steps may have changed the parent's
            at.fs.client._policy, at.fs.client._transport._timeout = client._policy, client._transport._timeout
            answer = work(), None
        except BaseException as error:
            answer = None, error
        with os.fdopen(end, "wb") as file:
            file.write(pickle.dumps(answer))
        os._exit(0)

    def tell_late() -> None:
        threading.main_thread().join()
        tell()

    try:
        if moment == "without threads":
            mock.patch.object(tasks, "_thread", SimpleNamespace(start_new_thread=_refuse)).start()
        if moment == "at exit":
            atexit.register(tell)
        if moment == "after the main thread":
            threading.Thread(target=tell_late).start()
        if moment in _AT_END:
            ctypes.pythonapi.Py_FinalizeEx()
        tell()
    finally:
        os._exit(1)


def _refuse(*_: object) -> NoReturn:
    raise RuntimeError("can't start new thread")


@operation(name=Draws.name, content=Draws.content, way=pick("pipe_file", "open", "put_file"), moment=pick(*MOMENTS))
def write_in_child(at: Place, name: str, content: Content, way: str = "open", moment: str = MOMENTS[0]) -> None:
    """Write an object in a forked child."""
    in_child(at, lambda: WAYS[way].write(at, at / name, content.data, PIECE), moment)


@write_in_child.before
def _(at: Place, name: str, content: Content, way: str = "open", moment: str = MOMENTS[0]) -> None:
    at.local_file(content.data)


@write_in_child.effect
def _(view: View, name: str, content: Content, way: str = "open", moment: str = MOMENTS[0]) -> Effect:
    return writes(view, {name: content})


@operation(name=Draws.name, opened=Draws.flag, moment=pick(*MOMENTS))
def read_in_child(at: Place, name: str, opened: bool = False, moment: str = MOMENTS[0]) -> bytes:
    """Read an object in a forked child; perhaps the rest of a file that the parent has opened."""
    if not opened:
        return bytes(in_child(at, lambda: at.fs.cat_file(at / name), moment))
    with at.fs.open(at / name, block_size=200 * KIB) as file:
        first: bytes = file.read(60 * KIB)
        return first + bytes(in_child(at, file.read, moment))


@read_in_child.effect
def _(view: View, name: str, opened: bool = False, moment: str = MOMENTS[0]) -> Effect:
    return reads(view, name, lambda data: data)


@operation(name=Draws.name, content=Draws.content, sized=Draws.flag)
def write_across_fork(at: Place, name: str, content: Content, sized: bool = False) -> bool:
    """Write an object, and fork in the middle of it: the child cannot write to the parent's file, nor end it."""
    data, half = content.data, content.size // 2
    with at.fs.open(at / name, "wb", size=len(data) if sized else None) as file:
        fill(file, data[:half], PIECE)
        refused = in_child(at, lambda: _is_refused(file.write, b"theirs") and _is_refused(file.close), MOMENTS[0])
        fill(file, data[half:], PIECE)
    return bool(refused)


def _is_refused(method: Callable[..., object], *arguments: object) -> bool:
    try:
        method(*arguments)
    except OSError as error:
        return "before a fork" in str(error)
    return False


@write_across_fork.effect
def _(view: View, name: str, content: Content, sized: bool = False) -> Effect:
    return dataclasses.replace(writes(view, {name: content}), returns=True)
