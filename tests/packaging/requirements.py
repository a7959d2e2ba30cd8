"""The requirements in pyproject.toml, with the oldest releases that they allow."""

from __future__ import annotations

import re
import sys
from typing import Any

from tests.packaging.environments import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OLDEST_URLLIB3 = "urllib3==1.26.5"
"""As a comment in pyproject.toml says; it comes with requests."""


def pyproject() -> dict[str, Any]:
    """Return the content of pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def requirements(extra: str = "") -> list[str]:
    """Return the core dependencies, or the requirements of an extra with those of the extras in it."""
    project = pyproject()["project"]
    if not extra:
        return list(project["dependencies"])
    found: list[str] = []
    for each in project["optional-dependencies"][extra]:
        inner = re.fullmatch(r"cosv4fs\[(.*)\]", each)
        found += [one for name in inner[1].split(",") for one in requirements(name)] if inner else [each]
    return sorted(set(found))


def oldest(extra: str = "") -> list[str]:
    """Return the core dependencies, and those of an extra, pinned to their lower bounds."""
    every = [*requirements(), *(requirements(extra) if extra else [])]
    return [each.replace(">=", "==") for each in every if ">=" in each] + [OLDEST_URLLIB3]
