"""What an upload sends: every byte once, and nothing that the server has."""

from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.api import SliceSession
from cosv4fs.transfer.plan import ranges
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.v4 import V4Upload


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 40))
def test_ranges_cover_everything_once(start, stop, size):
    pieces = ranges(start, stop, size)
    assert [offset for piece in pieces for offset in piece] == list(range(start, stop))
    assert all(len(piece) == size for piece in pieces[:-1])


@given(st.integers(0, 60), st.integers(1, 25), st.integers(0, 60), st.data())
def test_resuming_sends_exactly_what_is_missing(size, slice_size, start, data):
    start = min(start, size)
    every = ranges(start, size, slice_size)
    known = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    nonsense = [(piece.start, len(piece) + 1) for piece in every] + [(start + 1, slice_size + 25), (size, 0)]
    upload = V4Upload(None, None, Target("box", "/x"), slice_size, size)
    upload._session = SliceSession("session", slice_size, False, start)
    upload._done = (*((piece.start, len(piece)) for piece in known), *nonsense)
    assert upload.missing() == [piece for piece in every if piece not in known]
