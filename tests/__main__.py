"""All checks: ``python -m tests`` runs lint, types, tests and packaging; further arguments go to pytest.

Every check runs, whatever became of the others; the exit code is that of the first that failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def checks(pytest_arguments: Sequence[str]) -> dict[str, list[str]]:
    """Return the arguments of ``python -m`` for every check, in order."""
    return {
        "lint": ["ruff", "check"],
        "format": ["ruff", "format", "--check"],
        "types": ["mypy"],
        "tests": ["pytest", "-n", "auto", *pytest_arguments],
        "package": ["tests.packaging"],
    }


def run(arguments: list[str]) -> int:
    """Run one check and return its exit code."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=REPOSITORY, check=False).returncode


def main(pytest_arguments: Sequence[str]) -> int:
    """Run all checks and return the exit code of the first that failed, else 0."""
    codes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for name, arguments in checks(pytest_arguments).items():
        print(f"== {name}: {' '.join(arguments)}", flush=True)
        begin = time.monotonic()
        codes[name] = run(arguments)
        seconds[name] = time.monotonic() - begin
    print("== summary")
    for name, code in codes.items():
        print(f"{name:<8}{'ok' if code == 0 else f'FAILED (exit code {code})':<24}{seconds[name]:>6.1f} s")
    return next((code for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
