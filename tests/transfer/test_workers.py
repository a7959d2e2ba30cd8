"""Memory that transfers reuse."""

import pytest

from cosv4fs.transfer.workers import Workers
from tests.support import MIB


@pytest.fixture
def workers():
    return Workers(3, 4)


class TestBuffers:
    def test_large_ones_are_used_again(self, workers):
        with workers.buffer(2 * MIB) as view:
            assert len(view) == 2 * MIB
            first = view.obj
        with workers.buffer(MIB) as view:
            assert len(view) == MIB
            assert view.obj is first
        with workers.buffer(3 * MIB) as view:
            assert len(view) == 3 * MIB
            assert view.obj is not first

    def test_a_small_one_keeps_no_large_one_busy(self, workers):
        with workers.buffer(10) as view:
            assert len(view) == 10
            assert len(view.obj) == 10

    def test_two_at_once_are_two(self, workers):
        with workers.buffer(10) as one, workers.buffer(10) as two:
            assert one.obj is not two.obj

    def test_no_more_are_kept_than_needed(self, workers):
        views = [workers.buffer(MIB) for _ in range(20)]
        for view in views:
            view.__enter__()
        for view in views:
            view.__exit__(None, None, None)
        assert len(workers._buffers) <= 3
