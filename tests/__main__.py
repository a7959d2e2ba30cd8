"""All checks: ``python -m tests`` runs lint, types, tests and packaging; further arguments go to pytest.

Every check runs, even after others failed; the exit code is that of the first that failed. ``python -m tests --quick``
is for the time between two edits: lint, types, and the tests that are not in `SLOW`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

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


def checks(pytest_arguments: Sequence[str], *, quick: bool = False) -> dict[str, list[str]]:
    """Return the arguments of ``python -m`` for every check, in order."""
    left_out = [f"--ignore={REPOSITORY / 'tests' / name}" for name in SLOW] if quick else []
    every = {
        "lint": ["ruff", "check"],
        "format": ["ruff", "format", "--check"],
        "types": ["mypy"],
        # a worker that has run out of tests takes over half of another's, so that both end together
        "tests": ["pytest", "-n", "auto", "--dist", "worksteal", *left_out, *pytest_arguments],
        "package": ["tests.packaging", "--quick"],
    }
    if quick:
        del every["package"]
    return every


def run(arguments: list[str]) -> int:
    """Run one check and return its exit code."""
    environment = dict(os.environ)
    # tests start hundreds of interpreters, each of which would compile the package
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run([sys.executable, "-m", *arguments], cwd=REPOSITORY, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Run all checks, or the quick ones, and return the exit code of the first that failed, else 0."""
    quick = "--quick" in arguments
    pytest_arguments = [argument for argument in arguments if argument != "--quick"]
    codes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for name, command in checks(pytest_arguments, quick=quick).items():
        print(f"== {name}: {' '.join(command)}", flush=True)
        begin = time.monotonic()
        codes[name] = run(command)
        seconds[name] = time.monotonic() - begin
    print("== summary")
    for name, code in codes.items():
        print(f"{name:<8}{'ok' if code == 0 else f'FAILED (exit code {code})':<24}{seconds[name]:>6.1f} s")
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
