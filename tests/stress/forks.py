"""Threads that work while the main thread forks children, which work as well."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import tempfile
import traceback
import warnings
from pathlib import Path

from cosv4fs import CosV4FileSystem
from tests.stress.child import Life
from tests.stress.runner import BUCKET

_PART = 512 * 1024


def run(life: Life) -> None:
    """Fork until the time is over; parent and children compare every content."""
    fs = CosV4FileSystem(**life.options, slice_size=_PART, single_upload_limit=_PART, range_size=_PART)
    # newer versions of Python warn of every fork beside threads, which is what is tried here
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    faulthandler.register(signal.SIGALRM, chain=True)
    fs.pipe_file(f"{BUCKET}/common", bytes(3 * _PART))
    with tempfile.TemporaryDirectory() as folder:

        def compare(number: int, choice: random.Random) -> str:
            _round(fs, f"{BUCKET}/parent/{number}", Path(folder, str(number)), choice)
            return "rounds beside forks"

        life.work(compare, beside=lambda: _fork(life, fs, Path(folder)))


def _fork(life: Life, fs: CosV4FileSystem, folder: Path) -> None:
    number = life.counts["forks"]
    # opened before the fork: parent and child read on, each for itself
    reader = fs.open(f"{BUCKET}/common", cache_type=("parallel", "background", "bytes")[number % 3])
    reader.read(10)
    child = os.fork()
    if child == 0:
        # the parent's watch is a thread: here a signal ends what hangs, after it has shown where
        signal.alarm(max(1, int(life.patience / 2)))
        code = 3
        try:
            assert reader.read() == bytes(3 * _PART - 10)
            _round(fs, f"{BUCKET}/child/{number}", folder / f"child{number}", random.Random(number))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    reader.close()
    hung = "it hung" if code == -signal.SIGALRM else "see above"
    assert code == 0, f"a forked child ended with {code}: {hung}"
    life.counts["forks"] += 1


def _round(fs: CosV4FileSystem, path: str, local: Path, choice: random.Random) -> None:
    content = choice.randbytes(choice.choice((10, 1000, 3 * _PART)))
    with fs.open(path, "wb") as file:
        file.write(content)
    with fs.open(path, "rb") as file:
        assert file.read() == content
    local.write_bytes(content)
    fs.put_file(local, path + "-put")
    assert fs.cat_file(path + "-put") == content
    names = fs.ls(path.rpartition("/")[0], detail=False, refresh=True)
    assert {path, path + "-put"} <= set(names)
    fs.rm([path, path + "-put"])
    local.unlink()
