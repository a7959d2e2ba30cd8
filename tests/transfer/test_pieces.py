"""Pieces that a writer fills: they copy what the caller may change, and nothing else."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.concurrency import Buffers
from cosv4fs.transfer.pieces import MemoryPiece
from tests.support import MIB

BUFFERS = Buffers(2)
SIZE = 300_000

kinds = st.sampled_from([bytes, bytearray])
writes = st.lists(st.tuples(kinds, st.integers(1, 150_000)), min_size=1, max_size=8)


@given(writes=writes)
def test_the_bytes_are_those_that_were_written(writes):
    piece, wanted = MemoryPiece(SIZE, BUFFERS), b""
    for number, (kind, length) in enumerate(writes):
        source = kind(bytes([number]) * length)
        taken = piece.take(memoryview(source))
        assert taken == min(length, SIZE - len(wanted))
        wanted += bytes(source[:taken])
        if kind is bytearray:
            source[:] = b"?" * length
    assert b"".join(piece.views) == wanted
    assert piece.length == len(wanted)
    assert piece.is_full is (len(wanted) == SIZE)


def test_large_bytes_are_not_copied():
    content, piece = bytes(200_000), MemoryPiece(SIZE, BUFFERS)
    piece.take(memoryview(content))
    assert piece.views[0].obj is content
    piece.take(memoryview(bytearray(10)))
    piece.take(memoryview(bytearray(10)))
    assert len(piece.views) == 2
    piece.release()
    assert piece.views == []


def test_the_copy_of_a_write_is_in_one_view_of_memory_that_is_reused():
    buffers, used = Buffers(2), []
    for _ in range(2):
        piece = MemoryPiece(4 * MIB, buffers, 3 * MIB)
        piece.take(memoryview(bytearray(MIB)))
        (view,) = piece.views
        used.append(view.obj)
        piece.release()
    assert used[0] is used[1]


def test_a_large_write_is_copied_into_none_of_its_pieces():
    content = bytes(3 * SIZE)
    for start in (0, SIZE, 2 * SIZE):
        piece = MemoryPiece(SIZE, BUFFERS)
        assert piece.take(memoryview(content), start) == SIZE
        assert [view.obj is content for view in piece.views] == [True]


@pytest.mark.parametrize("step", [None, MIB])
def test_a_small_part_does_not_keep_a_large_object(step):
    piece = MemoryPiece(2 * MIB, BUFFERS, step)
    tracemalloc.start()
    try:
        while not piece.is_full:
            piece.take(memoryview(bytes(8 * MIB))[: MIB // 4])
        assert tracemalloc.get_traced_memory()[0] < 4 * MIB
    finally:
        tracemalloc.stop()
