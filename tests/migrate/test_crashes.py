"""A small version of ``python -m tests.crash migration``."""

from tests.crash.migration import migration
from tests.crash.scenarios import Plan


def test_a_migration_that_is_killed_again_and_again_ends_well(tmp_path):
    lines = []
    summary = migration(Plan(tmp_path, 3, 3, 9_000_000, say=lines.append), files=60)
    assert summary.failures == [], lines
    assert summary.kills == 3
