"""What was tried with whom: every test of a consumer says so, and the table of README.md is made of that."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

__all__ = ["REGISTRY", "Row", "Tool", "consumer", "load"]

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Row:
    """What one test tries.

    Parameters
    ----------
    tool : str
        The consumer's name, as its users know it.
    what : str
        The calls, in Markdown.
    distribution : str
        Whose version is told; empty for Python itself.
    impossible : str
        Why the consumer cannot do it, and what works instead; the test then shows that it still cannot.
    """

    tool: str
    what: str
    distribution: str
    impossible: str = ""


REGISTRY: dict[str, Row] = {}
"""Rows by ``module::function``, in the order of the modules."""


def consumer(tool: str, what: str, *, distribution: str | None = None, impossible: str = "") -> Callable[[F], F]:
    """Declare what a test tries; see `Row`."""

    def register(function: F) -> F:
        key = f"{function.__module__.rpartition('.')[2]}::{function.__name__}"
        REGISTRY[key] = Row(tool, what, tool if distribution is None else distribution, impossible)
        return function

    return register


def load() -> dict[str, Row]:
    """Import all modules of tests and return the registry."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"{__package__}.{path.stem}")
    # sorted, as somebody may have imported them in another order; within a module the order is that of the file
    return dict(sorted(REGISTRY.items(), key=lambda item: item[0].partition("::")[0]))


class Tool:
    """A module that is imported when a test first uses it: who only collects the tests need not wait for it.

    The test is skipped where the tool is not installed, as a few of them are not for every version of Python.

    Parameters
    ----------
    name : str
        The module.
    least : str, optional
        The lowest version that is meant.
    """

    def __init__(self, name: str, least: str | None = None) -> None:
        self._name, self._least = name, least

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("_mock_name", "__wrapped__"):
            # pytest looks for these in everything that a module of tests names
            raise AttributeError(attribute)
        return getattr(pytest.importorskip(self._name, self._least), attribute)
