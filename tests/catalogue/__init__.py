"""The catalogue: every operation of a filesystem once, with its call and its effect.

The system tests take their operations from here: ``tests/faults``, ``tests/crash``, ``tests/model``, ``tests/load`` and
``tests/matrix``. An operation consists of

* the **call**: what is done with a filesystem, given a `Place` and arguments;
* the **effect**: what the call returns or raises and what it changes, computed from a `View` of the state before it;
* how its **arguments** are drawn at random, how often, and which protocols have it.

A `Step` is an operation with its arguments. A `Case` (`tests.catalogue.cases`) is a step with the state that is set up
before it.

To add an operation of the filesystem, add it to the module of its kind (`writing`, `reading`, `rearranging`, `lists`,
`queries`, `roots`, `coffers`, `transactions` or `processes`), and a case of it to `cases`.
"""

from tests.catalogue import coffers, lists, processes, queries, reading, rearranging, roots, transactions, writing
from tests.catalogue.operations import (
    CATALOGUE,
    Catalogue,
    Draws,
    Effect,
    Operation,
    Place,
    Step,
    View,
)
from tests.catalogue.state import EMPTY, Change, Content, State

__all__ = [
    "CATALOGUE",
    "EMPTY",
    "Catalogue",
    "Change",
    "Content",
    "Draws",
    "Effect",
    "Operation",
    "Place",
    "State",
    "Step",
    "View",
]

MODULES = (coffers, lists, processes, queries, reading, rearranging, roots, transactions, writing)
"""Importing them fills the catalogue."""
