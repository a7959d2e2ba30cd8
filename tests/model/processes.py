"""Steps in a forked child, in a spawned process and in the parent beside each other, with copies of one filesystem."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.catalogue import Content
from tests.model.machines import Bench, Program, programs
from tests.model.runner import LostError, Tally, run_all
from tests.model.world import World, outside_filesystem, without_pauses

_SECONDS = 120
"""How long a child may take."""


@dataclass(frozen=True)
class Task:
    """What a child is given."""

    # a copy; in a forked child it is the parent's own object
    fs: Any
    # a file that the parent opened, and of which it has read `behind` bytes
    reader: Any
    behind: int
    content: Content
    # how to look in from outside
    options: dict[str, Any]
    # the child's own directory
    root: str
    scratch: Path
    exact_folders: bool
    work: Program

    def unpack(self) -> Tally:
        """Go on with the file, and do the steps."""
        without_pauses(self.fs)
        rest = self.reader.read()
        if rest != self.content.data[self.behind :]:
            raise LostError(f"the rest of the open file is wrong: {len(rest)} bytes")
        world = World(
            self.fs, outside_filesystem(self.options), self.root, self.scratch, exact_folders=self.exact_folders
        )
        tally = Tally()
        run_all(world, [(step, None) for step, _ in self.work], tally)
        return tally


def process_programs(length: int) -> st.SearchStrategy[tuple[Program, Program, Program]]:
    """Return a strategy for the steps of the parent, of the forked child and of the spawned one."""
    return st.tuples(*[programs(length) for _ in range(3)])


def run_processes(bench: Bench, work: tuple[Program, Program, Program]) -> None:
    """Let a parent, a forked child and a spawned one work at once, each in its own directory.

    Faults meet only the parent: a child cannot order them for its own requests.
    """
    parent, forked, spawned, common = bench.world(), bench.world(), bench.world(), bench.world()
    content = Content(9, 300_000)
    data = content.data
    # where no fault of the parent's can meet it
    common.fs.pipe_file(common.path("open"), data)
    ends: list[tuple[BaseProcess, Connection]] = []
    with parent.fs.open(common.path("open"), block_size=50_000) as reader:
        reader.read(60_000)
        # a shared file position is not promised: each has a copy of the open file
        for world, program, method in ((forked, work[1], "fork"), (spawned, work[2], "spawn")):
            task = Task(
                parent.fs,
                pickle.loads(pickle.dumps(reader)),
                60_000,
                content,
                bench.emulator.storage_options,
                world.root,
                world.scratch,
                world.exact_folders,
                program,
            )
            ends.append(_start(method, task))
        try:
            run_all(parent, list(work[0]), bench.tally)
        finally:
            answers = [_answer(*end) for end in ends]
        assert reader.read() == data[60_000:]
    for tally in answers:
        bench.tally.add(tally)


def _start(method: str, task: Task) -> tuple[BaseProcess, Connection]:
    """Start a child by ``fork`` or ``spawn``."""
    context = multiprocessing.get_context(method)
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(there, task), daemon=True)
    with warnings.catch_warnings():
        # newer versions of Python warn of every fork beside threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    there.close()
    return child, here


def _serve(end: Connection, task: Task) -> None:
    try:
        answer: Tally | str = task.unpack()
    except BaseException:
        answer = traceback.format_exc()
    end.send(answer)
    end.close()


def _answer(child: BaseProcess, end: Connection) -> Tally:
    """Return what a child counted; its end is waited for."""
    answer: Tally | str = "it did not answer in time"
    try:
        if end.poll(_SECONDS):
            with suppress(EOFError):
                answer = end.recv()
        else:
            child.kill()
    finally:
        end.close()
        child.join(_SECONDS)
    if isinstance(answer, str):
        raise LostError(f"in a child: {answer}")
    return answer
