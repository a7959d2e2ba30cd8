"""Commands in errors about packages that are not installed: each is run as it is printed."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from tests.packaging.environments import Environment

USES = Path(__file__).with_name("uses.py")

_USES = ("progress", "socks", "cli", "http", "s3", "cluster", "demo")
"""In this order: each needs something that those before did not install."""


def check_hints(folder: Path, wheel: Path, python: str) -> None:
    """Use what is missing where only the core is installed, install what the error says, and use it again."""
    environment = Environment(folder / "hints", python)
    environment.install(wheel)
    for use in _USES:
        failed = environment.try_run(USES, use)
        said = failed.stdout + failed.stderr
        found = re.search(r"\w+ is not installed; run pip install ([^'\"\n]+?)(;.*)?$", said, re.MULTILINE)
        if not failed.returncode or found is None:
            sys.exit(f"{use}: no command that installs what is missing:\n{said}")
        print(f"{use}: {found[0]}", flush=True)
        environment.install(*shlex.split(found[1]))
        environment.run(USES, use)
