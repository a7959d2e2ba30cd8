"""The targets by name, and how one is run: so many cases from a seed, the pinned ones first."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, example, given, seed, settings
from hypothesis.strategies import SearchStrategy

from cosv4fs.errors import CosError

_LONGEST_CASE = 120.0
"""Seconds after which a single case counts as hanging, and the stacks of all threads are printed."""


@dataclass
class Target:
    """One thing that is fed."""

    name: str
    cases: SearchStrategy[Any]
    # takes what `bench` gives and a case; raises when something is not as it should be
    check: Callable[[Any, Any], None]
    # returns a context manager with whatever all cases share
    bench: Callable[[], AbstractContextManager[Any]]
    # cases that are always run: each one showed a defect once, or shows that the check can tell good from bad
    pinned: Sequence[Any]
    # how many cases are run in the time of one of the slowest target
    weight: int

    def run(self, count: int, number: int | None = None) -> int:
        """Run the pinned cases and `count` generated ones; return how many were run.

        Without `number`, the seed, they are always the same.
        """
        done = 0
        with self.bench() as bench:

            def one(case: Any) -> None:
                nonlocal done
                done += 1
                faulthandler.dump_traceback_later(_LONGEST_CASE, exit=True, file=sys.__stderr__)
                try:
                    self.check(bench, case)
                finally:
                    faulthandler.cancel_dump_traceback_later()

            test = given(case=self.cases)(one)
            for case in self.pinned:
                test = example(case=case)(test)
            if number is not None:
                test = seed(number)(test)
            phases = [Phase.explicit, Phase.generate, Phase.shrink]
            settings(
                max_examples=count,
                deadline=None,
                database=None,
                derandomize=number is None,
                phases=phases,
                print_blob=False,
                verbosity=Verbosity.normal,
                suppress_health_check=list(HealthCheck),
            )(test)()
        return done


TARGETS: dict[str, Target] = {}


def target(
    cases: SearchStrategy[Any],
    *,
    bench: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
    pinned: Sequence[Any] = (),
    weight: int = 1,
) -> Callable[[Callable[[Any, Any], None]], Callable[[Any, Any], None]]:
    """Make a check a target, under its name without ``check_``; the parameters are those of `Target`."""

    def register(check: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        name = check.__name__.removeprefix("check_").replace("_", "-")
        TARGETS[name] = Target(name, cases, check, bench, pinned, weight)
        return check

    return register


def check_error(error: OSError, ours: bool = True) -> None:
    """Check that an error tells what it should, in a few words, and is not that somebody waited in vain.

    `ours`: it has to be one of the package's own, not the local disk's.
    """
    assert isinstance(error, CosError) or not ours
    assert error.errno
    assert isinstance(error.strerror, str)
    assert not isinstance(error, TimeoutError)
    assert len(str(error)) < 2000
    str(error).encode("utf-8", "backslashreplace")
