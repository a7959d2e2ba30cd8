"""Fresh virtual environments, and commands that end everything when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Environment:
    """A fresh virtual environment.

    Parameters
    ----------
    folder : Path
        Where it is created.
    python : str
        The interpreter that it is for.
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        run(python, "-m", "venv", "--without-pip", folder)

    def install(self, *requirements: str | Path) -> None:
        """Install packages, and check that all fit together."""
        # the pip at hand installs into the other environment, which need not get a pip of its own first
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python)
        run(*pip, "install", "--quiet", "--no-compile", "--no-warn-script-location", *requirements)
        run(*pip, "check")

    def run(self, *arguments: str | Path) -> None:
        """Run the interpreter, which sees nothing of this repository."""
        run(self.python, "-I", *arguments)

    def try_run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the interpreter, and return its exit code and what it prints."""
        command = [self.python, "-I", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=_clean(), check=False, timeout=300)


def _clean() -> dict[str, str]:
    """Return the environment variables without those by which commands would import from this repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path) -> None:
    """Run a command; end everything when it fails."""
    done = subprocess.run(command, cwd=REPOSITORY, env=_clean(), check=False, timeout=900)
    if done.returncode:
        print(f"FAILED: {' '.join(map(str, command))}", file=sys.stderr)
        sys.exit(done.returncode)
