"""``python -m tests.model --steps 10000 --seed 1``: exit code 1, and the shortest example, when anything is lost."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machines import Bench, machine, programs, run_together
from tests.model.processes import process_programs, run_processes

LENGTH = 50
"""Steps of an example."""


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    add = parser.add_argument
    add("--steps", type=int, default=1000, help="about how many (default: %(default)s)")
    add("--seed", type=int, default=1, help="the same seed gives the same steps (default: %(default)s)")
    add("--protocol", choices=["cosv4", "cosv3"], default="cosv4", help="the protocol (default: %(default)s)")
    add("--dialect", action="append", default=[], metavar="NAME=VALUE", help="a switch of the local service")
    add("--threads", type=int, default=1, metavar="N", help="N threads on one filesystem (default: %(default)s)")
    add("--processes", action="store_true", help="a parent, a forked child and a spawned one beside each other")
    given_ = parser.parse_args()
    began = time.monotonic()
    with Bench(*given_.dialect, protocol=given_.protocol) as bench:
        failed = not _succeeds(bench, given_)
        print("\n".join(bench.tally.lines()))
    print(f"seed {given_.seed}, {time.monotonic() - began:.0f} s: {'FAILED' if failed else 'ok'}")
    return int(failed)


def _succeeds(bench: Bench, given_: argparse.Namespace) -> bool:
    try:
        _run(bench, given_)
    except Exception:
        traceback.print_exc()
        return False
    return True


def _run(bench: Bench, given_: argparse.Namespace) -> None:
    at_once = given_.threads if given_.threads > 1 else 3 if given_.processes else 1
    chosen = settings(
        max_examples=max(1, given_.steps // LENGTH // at_once),
        stateful_step_count=LENGTH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        # what depends on the order of threads does not fail twice in the same way: there is nothing to shrink
        phases=[Phase.generate] if at_once > 1 else [Phase.generate, Phase.shrink],
    )
    if given_.processes:

        @seed(given_.seed)
        @chosen
        @given(process_programs(LENGTH))
        def processes(work: object) -> None:
            run_processes(bench, work)

        processes()
    elif given_.threads > 1:

        @seed(given_.seed)
        @chosen
        @given(st.lists(programs(LENGTH), min_size=given_.threads, max_size=given_.threads))
        def together(work: object) -> None:
            run_together(bench, work)

        together()
    else:
        run_state_machine_as_test(seed(given_.seed)(machine(bench)), settings=chosen)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
