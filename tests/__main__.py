"""All checks: ``python -m tests`` runs lint, types, tests and packaging; further arguments go to pytest.

Every check runs, even after others failed; the exit code is that of the first that failed. ``python -m tests --quick``
is for the time between two edits: lint, types, and the tests that are not in `SLOW`.

Whatever waits leaves a core to others: there are more workers for the tests than cores, and packaging, which waits for
the package index, runs beside all other checks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent

SLOW = (
    "api/test_coffer.py",
    "api/test_coffer_lost.py",
    "api/test_lost_replies.py",
    "cli",
    "consumers",
    "crash",
    "emulator/test_command.py",
    "emulator/test_portability.py",
    "faults",
    "filesystem/test_abstract.py",
    "filesystem/test_budget.py",
    "filesystem/test_coffer.py",
    "filesystem/test_coffer_listing.py",
    "filesystem/test_coffer_resume.py",
    "filesystem/test_coffer_tables.py",
    "filesystem/test_interrupt.py",
    "filesystem/test_interrupt_notebook.py",
    "filesystem/test_large.py",
    "filesystem/test_lifetimes.py",
    "filesystem/test_listing.py",
    "filesystem/test_other_clients.py",
    "filesystem/test_progress.py",
    "filesystem/test_reading.py",
    "filesystem/test_rearranging.py",
    "filesystem/test_resume.py",
    "filesystem/test_two_writers.py",
    "filesystem/test_versions.py",
    "fuzz",
    "load",
    "matrix",
    "migrate",
    "model",
    "platforms/test_client.py",
    "reference",
    "security",
    "stress",
    "test_cli.py",
    "test_demo.py",
    "test_notebooks.py",
    "test_readme.py",
    "transfer/test_download.py",
    "transfer/test_coffers.py",
)
"""Folders and files of tests that the quick checks leave out, so that two free cores need one to two minutes."""


BESIDE = "package"
"""The check that runs beside all others; what it prints is shown after them."""


def workers() -> int:
    """Return how many processes run tests: two more than there are cores, because tests wait a third of their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 2


def checks(pytest_arguments: Sequence[str], *, quick: bool = False) -> dict[str, list[str]]:
    """Return the arguments of ``python -m`` for every check, in order."""
    left_out = [f"--ignore={REPOSITORY / 'tests' / name}" for name in SLOW] if quick else []
    every = {
        "lint": ["ruff", "check"],
        "format": ["ruff", "format", "--check"],
        "types": ["mypy"],
        # a worker that has run out of tests takes over half of another's, so that both end together
        "tests": ["pytest", "-n", str(workers()), "--dist", "worksteal", *left_out, *pytest_arguments],
        BESIDE: ["tests.packaging", "--quick"],
    }
    if quick:
        del every[BESIDE]
    return every


def run(arguments: list[str], output: IO[bytes] | None = None) -> int:
    """Run one check and return its exit code; what it prints goes into a file, if one is given."""
    environment = dict(os.environ)
    # tests start hundreds of interpreters, each of which would compile the package
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", *arguments]
    streams = {} if output is None else {"stdout": output, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, **streams).returncode


def timed(arguments: list[str], output: IO[bytes] | None = None) -> tuple[int, float]:
    """Run one check and return its exit code and how many seconds it took."""
    begin = time.monotonic()
    code = run(arguments, output)
    return code, time.monotonic() - begin


def run_all(every: dict[str, list[str]]) -> dict[str, tuple[int, float]]:
    """Run checks, show what they print in their order, and return the exit code and the seconds of each."""
    with ThreadPoolExecutor() as threads, tempfile.TemporaryFile() as printed:
        beside = {name: threads.submit(timed, command, printed) for name, command in every.items() if name == BESIDE}
        done: dict[str, tuple[int, float]] = {}
        for name, command in every.items():
            print(f"== {name}: {' '.join(command)}", flush=True)
            if name in beside:
                done[name] = beside[name].result()
                printed.seek(0)
                # whatever its encoding
                shutil.copyfileobj(printed, sys.stdout.buffer)
            else:
                done[name] = timed(command)
    return done


def main(arguments: Sequence[str]) -> int:
    """Run all checks, or the quick ones, and return the exit code of the first that failed, else 0."""
    quick = "--quick" in arguments
    pytest_arguments = [argument for argument in arguments if argument != "--quick"]
    done = run_all(checks(pytest_arguments, quick=quick))
    print("== summary")
    for name, (code, seconds) in done.items():
        print(f"{name:<8}{'ok' if code == 0 else f'FAILED (exit code {code})':<24}{seconds:>6.1f} s")
    return next((code for code, _ in done.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
