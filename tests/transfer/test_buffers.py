"""Memory of transfers: reused buffers, and parts that keep what the caller may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.concurrency import Buffers
from cosv4fs.transfer.buffers import MemoryPiece
from tests.support import MIB

BUFFERS = Buffers(2)
SIZE = 300_000

kinds = st.sampled_from([bytes, bytearray])
writes = st.lists(st.tuples(kinds, st.integers(1, 150_000)), min_size=1, max_size=8)


@given(writes=writes)
def test_the_bytes_are_those_that_were_written(writes):
    part, wanted = MemoryPiece(SIZE, BUFFERS), b""
    for number, (kind, length) in enumerate(writes):
        source = kind(bytes([number]) * length)
        taken = part.take(memoryview(source))
        assert taken == min(length, SIZE - len(wanted))
        wanted += bytes(source[:taken])
        if kind is bytearray:
            source[:] = b"?" * length
    assert b"".join(part.views) == wanted
    assert part.length == len(wanted)
    assert part.is_full is (len(wanted) == SIZE)


def test_large_bytes_are_not_copied():
    content, part = bytes(200_000), MemoryPiece(SIZE, BUFFERS)
    part.take(memoryview(content))
    assert part.views[0].obj is content
    part.take(memoryview(bytearray(10)))
    part.take(memoryview(bytearray(10)))
    assert len(part.views) == 2
    part.release()
    assert part.views == []


@pytest.fixture
def buffers():
    return Buffers(3)


class TestBuffers:
    def test_large_ones_are_used_again(self, buffers):
        with buffers.lend(2 * MIB) as view:
            assert len(view) == 2 * MIB
            first = view.obj
        with buffers.lend(MIB) as view:
            assert len(view) == MIB
            assert view.obj is first
        with buffers.lend(3 * MIB) as view:
            assert len(view) == 3 * MIB
            assert view.obj is not first

    def test_a_small_one_keeps_no_large_one_busy(self, buffers):
        with buffers.lend(10) as view:
            assert len(view) == 10
            assert len(view.obj) == 10

    def test_two_at_once_are_two(self, buffers):
        with buffers.lend(10) as one, buffers.lend(10) as two:
            assert one.obj is not two.obj

    def test_no_more_are_kept_than_needed(self, buffers):
        views = [buffers.lend(MIB) for _ in range(20)]
        for view in views:
            view.__enter__()
        for view in views:
            view.__exit__(None, None, None)
        assert len(buffers._idle) <= 3
