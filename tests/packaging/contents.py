"""What is in the wheel and in the source distribution."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.packaging.environments import REPOSITORY

_SHIPPED = ("py.typed", "protocol/cos.md", "reference/options.md", "README.md")
"""Files of the package that are no Python modules, some of each kind."""

_GENERATED = {"PKG-INFO"}
"""Files that only the source distribution has."""


def check_contents(sdist: Path, wheel: Path) -> None:
    """Fail if the package, or anything that its tests need, is incomplete, or more than the package is installed."""
    package = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "cosv4fs").rglob("*")
               if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert {f"cosv4fs/{name}" for name in _SHIPPED} <= package
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert installed == package, installed ^ package
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
        scripts = {member.name.partition("/")[2] for member in archive.getmembers() if member.mode & 0o100}
    assert package <= names
    assert ".ci/run" in scripts
    if (REPOSITORY / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        tracked = {name for name in listed.splitlines() if (REPOSITORY / name).exists()}
        assert names - _GENERATED == tracked, (names - _GENERATED) ^ tracked
