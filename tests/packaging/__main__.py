"""``python -m tests.packaging``: builds the package and installs it where nothing else is.

Two fresh environments get the wheel: one with the newest core dependencies, one with the oldest that pyproject.toml
allows. In both `smoke.py` runs. Needs pip and its index, as every installation does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SMOKE = Path(__file__).with_name("smoke.py")

OLDEST_URLLIB3 = "urllib3>=1.26.5"
"""As a comment in pyproject.toml says; it comes with requests."""


def main() -> int:
    """Build, check, install and try; return 0 when all of it worked."""
    with tempfile.TemporaryDirectory(prefix="cosv4fs-packaging-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder / "dist", REPOSITORY)
        packages = sorted((folder / "dist").iterdir())
        run(sys.executable, "-m", "twine", "check", "--strict", *packages)
        wheel = next(path for path in packages if path.suffix == ".whl")
        for title, pins in (("newest", []), ("oldest", oldest())):
            print(f"-- {title} dependencies: {', '.join(pins) or 'as pip chooses'}", flush=True)
            try_out(folder / title, wheel, pins)
    print("built, installed and tried")
    return 0


def oldest() -> list[str]:
    """Return the core dependencies, pinned to their lower bounds, and the oldest urllib3 that works."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    return [requirement.replace(">=", "==") for requirement in (*project["dependencies"], OLDEST_URLLIB3)]


def try_out(folder: Path, wheel: Path, pins: list[str]) -> None:
    """Install the wheel into a fresh environment, and use it."""
    venv.create(folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    # this environment's pip installs into the other one, which need not get a pip of its own first
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", wheel, *pins)
    run(*pip, "check")
    begin = time.perf_counter()
    run(python, "-I", "-c", "import cosv4fs")
    print(f"a process that imports cosv4fs takes {time.perf_counter() - begin:.2f} s", flush=True)
    run(python, "-I", SMOKE)


def run(*command: str | Path) -> None:
    """Run a command; end everything when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=REPOSITORY, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
