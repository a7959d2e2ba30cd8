"""Workers that are forked, as PyTorch's DataLoader forks them: the parent's threads and sockets are not theirs."""

import contextlib
import multiprocessing
import sys

import pytest

from tests.consumers.registry import consumer

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
    # Python warns of forking with threads, which is what is tried
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

WAIT = 60
"""Seconds that any one answer may take."""


def serve(samples, wanted, answers):
    """Read the samples that are asked for until None comes, as a worker of a data loader does."""
    for number in iter(wanted.get, None):
        try:
            answers.put((number, samples[number]))
        except BaseException as error:
            answers.put((number, repr(error)))


class Samples:
    """A data set: one object per sample, read through one filesystem that was made before the fork."""

    def __init__(self, fs, count):
        self.fs, self.count = fs, count

    def __getitem__(self, number):
        with self.fs.open(f"lab/samples/{number}") as file:
            head = file.read(4)
        return head + self.fs.cat_file(f"lab/samples/{number}")


@contextlib.contextmanager
def loader(samples, workers=2):
    """Fork workers; yield a function that reads samples through them in any order."""
    context = multiprocessing.get_context("fork")
    wanted, answers = context.Queue(), context.Queue()
    processes = [context.Process(target=serve, args=(samples, wanted, answers), daemon=True) for _ in range(workers)]
    for process in processes:
        process.start()

    def read(numbers):
        for number in numbers:
            wanted.put(number)
        return dict(answers.get(timeout=WAIT) for _ in numbers)

    try:
        yield read
    finally:
        for _ in processes:
            wanted.put(None)
        for process in processes:
            process.join(WAIT)
            if process.is_alive():
                process.kill()
                process.join()
    assert [process.exitcode for process in processes] == [0] * workers


@consumer(
    "multiprocessing (fork)", "workers like those of PyTorch's `DataLoader`, with a filesystem that was in use before",
    distribution="",
)  # fmt: skip
def test_data_loader(fs):
    expected = {number: bytes([number]) * 5000 for number in range(24)}
    fs.pipe({f"lab/samples/{number}": content for number, content in expected.items()})
    samples = Samples(fs, len(expected))
    # connections, threads and listings of the parent are there when it forks
    fs.cat(list(map("lab/samples/{}".format, range(8))))
    for _ in range(2):
        with loader(samples) as read:
            found = read(list(expected))
            # the parent goes on meanwhile
            assert fs.cat_file("lab/samples/3") == expected[3]
        assert found == {number: content[:4] + content for number, content in expected.items()}


@consumer("multiprocessing (fork)", "workers that write, large objects too", distribution="")
def test_writers(fs, options):
    class Writing:
        def __getitem__(self, number):
            fs.pipe_file(f"lab/out/{number}", bytes([number]) * 5_000_000)
            return fs.info(f"lab/out/{number}")["size"]

    fs.ls("lab")
    with loader(Writing()) as write:
        assert write([1, 2, 3]) == dict.fromkeys([1, 2, 3], 5_000_000)
    fs.invalidate_cache()
    assert all(fs.cat_file(f"lab/out/{number}") == bytes([number]) * 5_000_000 for number in (1, 2, 3))
