"""A short run of every target, always with the same cases; ``python -m tests.fuzz`` makes long ones."""

import pytest

from tests.fuzz.__main__ import load

TARGETS = load()


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name):
    target = TARGETS[name]
    count = 5 * target.weight
    assert target.run(count) >= len(target.pinned) + count // 2
