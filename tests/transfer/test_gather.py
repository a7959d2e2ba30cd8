"""A slice's bytes while they come: nothing is lost, nothing of the caller's is trusted to stay."""

from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.transfer.gather import Gathered
from cosv4fs.transfer.workers import Workers

WORKERS = Workers(2, 2)
SIZE = 300_000

kinds = st.sampled_from([bytes, bytearray])
writes = st.lists(st.tuples(kinds, st.integers(1, 150_000)), min_size=1, max_size=8)


@given(writes=writes)
def test_the_bytes_are_those_that_were_written(writes):
    gathered, wanted = Gathered(SIZE, WORKERS), b""
    for number, (kind, length) in enumerate(writes):
        source = kind(bytes([number]) * length)
        taken = gathered.take(memoryview(source))
        assert taken == min(length, SIZE - len(wanted))
        wanted += bytes(source[:taken])
        if kind is bytearray:
            source[:] = b"?" * length
    assert b"".join(gathered.pieces) == wanted
    assert gathered.length == len(wanted)
    assert gathered.is_full is (len(wanted) == SIZE)


def test_large_bytes_are_not_copied():
    content, gathered = bytes(200_000), Gathered(SIZE, WORKERS)
    gathered.take(memoryview(content))
    assert gathered.pieces[0].obj is content
    gathered.take(memoryview(bytearray(10)))
    gathered.take(memoryview(bytearray(10)))
    assert len(gathered.pieces) == 2
    gathered.release()
    assert gathered.pieces == []
