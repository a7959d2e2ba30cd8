"""Databases: errors of SQLite are `OSError`."""

import errno

import pytest

from cosv4fs.migrate.database import Database


def test_a_full_disk():
    database = Database.temporary("the plan", "PRAGMA max_page_count = 3; CREATE TABLE rows (text)")
    with (
        pytest.raises(OSError, match=r"the plan cannot be used: .*set SQLITE_TMPDIR") as caught,
        database.change() as rows,
    ):
        rows.executemany("INSERT INTO rows VALUES (?)", [("x" * 1000,)] * 100)
    assert caught.value.errno == errno.ENOSPC
    database.close()
