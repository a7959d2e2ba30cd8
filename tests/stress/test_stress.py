"""A few seconds of every scenario; `python -m tests.stress` takes minutes."""

import os

import pytest

from tests.stress.runner import SCENARIOS, Plan, run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and timers")
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_hangs(name):
    told = []
    outcome = run(name, Plan(seconds=1, threads=4, say=told.append))
    assert not outcome.failed, told
