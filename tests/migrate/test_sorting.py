"""Entries sorted on disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.sorting import SortedEntries

PATHS = st.lists(st.sampled_from(["a", "a-", "a.b", "b", "é", "\udcff"]), min_size=1, max_size=3).map("/".join)


@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=12, unique=True))
def test_the_order_of_a_walk(found):
    parts = {(tuple(path.split("/")), is_directory) for path, is_directory in found}
    # directories that only paths show
    parts |= {(each[:count], True) for each, _ in parts for count in range(1, len(each))}
    expected = sorted(parts, key=lambda one: ([part.encode("utf-8", "surrogateescape") for part in one[0]], one[1]))
    with SortedEntries() as entries:
        for path, is_directory in found:
            entries.add([Entry(path, is_directory=is_directory)])
        shown = list(entries)
        assert [(tuple(entry.path.split("/")), entry.is_directory) for entry in shown] == expected
        assert list(reversed(entries)) == shown[::-1]
        for entry in shown:
            siblings = [one for one in shown if one.path.rpartition("/")[0] == entry.path.rpartition("/")[0]]
            assert entries.is_last(entry) == (siblings[-1] == entry)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_what_is_known_of_an_entry_stays(is_reversed):
    found = [Entry("d", modified=2.5, is_directory=True), Entry("d/x", 5, 1.5)]
    with SortedEntries() as entries:
        for entry in reversed(found) if is_reversed else found:
            entries.add([entry])
        assert list(entries) == found


def test_directories_are_added_once():
    """Their number in each path would make the work grow with the square of the depth."""
    with SortedEntries() as entries:
        statements = []
        entries._database._connection.set_trace_callback(statements.append)
        for number in range(50):
            entries.add([Entry(f"{'d/' * 20}{number}")])
        assert sum("IGNORE" in statement for statement in statements) == 20
        assert len(list(entries)) == 70
