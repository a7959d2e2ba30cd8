"""The plan of an upload: every byte once, whatever the order of successes and failures."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.transfer.plan import ByteRange, UploadPlan, ranges

SIZES = st.integers(0, 60)
SLICES = st.integers(1, 25)


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 40))
def test_ranges_cover_everything_once(start, stop, size):
    pieces = ranges(start, stop, size)
    assert [offset for piece in pieces for offset in range(piece.offset, piece.stop)] == list(range(start, stop))
    assert all(piece.length == size for piece in pieces[:-1])


@given(SIZES, SLICES, st.booleans(), st.integers(0, 2**32))
def test_any_order_of_success_and_failure(size, slice_size, serial, seed):
    plan, chance = UploadPlan(size, slice_size, serial), random.Random(seed)
    under_way, sent, failures = [], [], 0
    while not plan.is_complete:
        piece = plan.next() if chance.random() < 0.5 or not under_way else None
        if piece is not None:
            assert piece not in under_way
            assert piece not in sent
            under_way.append(piece)
        assert not serial or len(under_way) <= 1
        if under_way and chance.random() < 0.5:
            piece = under_way.pop(chance.randrange(len(under_way)))
            if failures < 10 and chance.random() < 0.5:
                failures += 1
                plan.failed(piece)
            else:
                plan.succeeded(piece)
                sent.append(piece)
        assert plan.done_bytes == sum(piece.length for piece in sent)
    assert plan.next() is None
    assert under_way == []
    covered = sorted(offset for piece in sent for offset in range(piece.offset, piece.stop))
    assert covered == list(range(size))
    if serial:
        assert sent == sorted(sent, key=lambda piece: piece.offset)


@given(SIZES, SLICES, st.data())
def test_resuming_sends_exactly_what_is_missing(size, slice_size, data):
    every = ranges(0, size, slice_size)
    known = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    nonsense = [(offset, slice_size + 1) for offset in range(0, size, slice_size)] + [(1, slice_size), (size, 0)]
    plan = UploadPlan(size, slice_size, done=[(piece.offset, piece.length) for piece in known] + nonsense)
    aligned = {piece for piece in every if (piece.offset, piece.length) in nonsense}
    assert plan.done_bytes == sum(piece.length for piece in {*known, *aligned})
    wanted = []
    while (piece := plan.next()) is not None:
        wanted.append(piece)
        plan.succeeded(piece)
    assert wanted == [piece for piece in every if piece not in known and piece not in aligned]
    assert plan.is_complete


def test_a_failed_slice_comes_next_again():
    plan = UploadPlan(30, 10)
    first, _ = plan.next(), plan.next()
    plan.failed(first)
    assert plan.next() == first == ByteRange(0, 10)
    assert not plan.is_complete


def test_serial_waits():
    plan = UploadPlan(30, 10, serial=True)
    first = plan.next()
    assert plan.next() is None
    plan.succeeded(first)
    assert plan.next() == ByteRange(10, 10)


def test_nothing_to_send():
    plan = UploadPlan(0, 10)
    assert plan.is_complete
    assert plan.next() is None


@pytest.mark.parametrize(("size", "slice_size"), [(-1, 1), (1, 0), (1, -1)])
def test_nonsense(size, slice_size):
    with pytest.raises(ValueError, match="cannot be cut"):
        UploadPlan(size, slice_size)


def test_the_end_of_a_slice_that_never_began():
    plan = UploadPlan(10, 10)
    with pytest.raises(KeyError):
        plan.succeeded(ByteRange(0, 10))


def test_bytes_at_the_beginning_need_not_be_sent():
    plan = UploadPlan(25, 10, serial=True, start=7)
    assert plan.done_bytes == 7
    pieces = []
    while piece := plan.next():
        pieces.append((piece.offset, piece.length))
        plan.succeeded(piece)
    assert pieces == [(7, 10), (17, 8)]
    assert plan.is_complete
    assert plan.done_bytes == 25
    assert UploadPlan(25, 10, start=25).is_complete


@pytest.mark.parametrize("start", [-1, 26])
def test_a_beginning_that_cannot_be(start):
    with pytest.raises(ValueError, match="cannot be cut"):
        UploadPlan(25, 10, start=start)
