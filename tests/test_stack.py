"""Stacks that are larger than memory should be."""

import os
from dataclasses import astuple, dataclass

import pytest

from cosv4fs import stack
from cosv4fs.stack import Stack


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_last_one_in_is_the_first_one_out(monkeypatch, most):
    monkeypatch.setattr(stack, "_PART", 10)
    expected = list(range(5))
    with Stack(expected) as items:
        for number in range(100):
            more = [f"{number}/{index}\udcff" for index in range(number % 40)]
            items.push(iter(more))
            expected += more
            assert len(items._items) <= 20
            taken = items.pop(most)
            assert 0 < len(taken) <= most
            assert taken == expected[-len(taken) :]
            del expected[-len(taken) :]
        while items:
            taken = items.pop(most)
            assert taken == expected[-len(taken) :]
            del expected[-len(taken) :]
        assert expected == []
        assert items.pop(most) == []
        assert os.fstat(items._file.fileno()).st_size == 0


@dataclass(frozen=True)
class Item:
    name: str
    size: float | None = None


def test_items_of_any_kind(monkeypatch):
    monkeypatch.setattr(stack, "_PART", 2)
    expected = [Item("x\udcff", 1.5), Item("y"), Item("z")] * 5
    with Stack(expected, pack=astuple, unpack=lambda fields: Item(*fields)) as items:
        items.push([])
        assert len(items._items) < 5
        assert [item for _ in range(8) for item in reversed(items.pop(10))] == expected[::-1]


def test_the_file_goes_with_the_block(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Stack(range(10)) as items:
        assert items._file is None
        items.push(range(20_000))
        assert os.fstat(items._file.fileno()).st_size > 10_000
    assert items._file.closed
    assert list(tmp_path.iterdir()) == []
