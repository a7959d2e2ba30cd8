"""Steps in a forked child, in a spawned process and in the parent beside each other, with copies of one filesystem."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.catalogue import Content
from tests.model.machines import Program, Site, programs
from tests.model.runner import LostError, Tally, run_all
from tests.model.world import World, outside_filesystem, without_pauses

_SECONDS = 120
"""How long a child may take."""


@dataclass(frozen=True)
class Luggage:
    """What a child is given.

    Parameters
    ----------
    fs : CosV4FileSystem
        A copy; in a forked child it is the parent's own object.
    reader : file-like
        A file that the parent opened, and of which it has read `behind` bytes.
    content : Content
        What that file holds.
    options : dict
        How to look in from outside.
    root, scratch : str, Path
        The child's own directory.
    work : Program
        The steps.
    """

    fs: Any
    reader: Any
    behind: int
    content: Content
    options: dict[str, Any]
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
        run_all(world, [(step, None) for step, _ in self.work], None, tally)
        return tally


def process_programs(length: int) -> st.SearchStrategy[tuple[Program, Program, Program]]:
    """Return a strategy for the steps of the parent, of the forked child and of the spawned one."""
    return st.tuples(*[programs(length) for _ in range(3)])


def run_processes(site: Site, work: tuple[Program, Program, Program]) -> None:
    """Let a parent, a forked child and a spawned one work at once, each in its own directory.

    Faults meet only the parent: a child cannot order them for its own requests.

    Raises
    ------
    LostError
        One of them found something wrong, or did not end.
    """
    parent, forked, spawned, common = site.world(), site.world(), site.world(), site.world()
    content = Content(9, 300_000)
    data = content.data
    # where no fault of the parent's can meet it
    common.fs.pipe_file(common.path("open"), data)
    ends: list[tuple[Any, Connection]] = []
    with parent.fs.open(common.path("open"), block_size=50_000) as reader:
        reader.read(60_000)
        # a shared file position is not promised: each has a copy of the open file
        for world, program, start in ((forked, work[1], _fork), (spawned, work[2], _spawn)):
            luggage = Luggage(
                parent.fs,
                pickle.loads(pickle.dumps(reader)),
                60_000,
                content,
                site.emulator.storage_options,
                world.root,
                world.scratch,
                world.exact_folders,
                program,
            )
            ends.append(start(luggage))
        try:
            run_all(parent, list(work[0]), site.emulator, site.tally)
        finally:
            answers = [_answer(*end) for end in ends]
        assert reader.read() == data[60_000:]
    for tally in answers:
        site.tally.add(tally)


def _fork(luggage: Luggage) -> tuple[int, Connection]:
    here, there = multiprocessing.Pipe(duplex=False)
    with warnings.catch_warnings():
        # newer versions of Python warn of every fork beside threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            _serve(there, luggage)
        finally:
            os._exit(0)
    there.close()
    return child, here


def _spawn(luggage: Luggage) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_serve, args=(there, luggage), daemon=True)
    child.start()
    there.close()
    return child, here


def _serve(end: Connection, luggage: Luggage) -> None:
    try:
        answer: Tally | str = luggage.unpack()
    except BaseException:
        answer = traceback.format_exc()
    end.send(answer)
    end.close()


def _answer(child: Any, end: Connection) -> Tally:
    """Return what a child counted; its end is waited for."""
    answer: Tally | str = "it did not answer in time"
    try:
        if end.poll(_SECONDS):
            with suppress(EOFError):
                answer = end.recv()
        elif isinstance(child, int):
            os.kill(child, 9)
        else:
            child.kill()
    finally:
        end.close()
        if isinstance(child, int):
            os.waitpid(child, 0)
        else:
            child.join(_SECONDS)
    if isinstance(answer, str):
        raise LostError(f"in a child: {answer}")
    return answer
