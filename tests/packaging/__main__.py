"""``python -m tests.packaging``: builds the package and uses it where nothing else is.

The parts, in this order; without names, all of them:

``build``
    builds the wheel from the source distribution, and checks metadata and contents of both, and the README as a package
    index shows it.
``core``
    installs the wheel with the newest core dependencies, then with the oldest ones that pyproject.toml allows, and
    runs `smoke.py`.
``extras``
    installs each extra alone, most also with their oldest dependencies, and uses it (`uses.py`).
``hints``
    runs each command that errors suggest where a package is missing.
``reference``
    builds the HTML reference.
``conda``
    builds the conda package and runs its tests (`conda.py`); ``--channel conda-forge`` takes packages from there.

``--quick`` is ``build``, ``core`` and one light extra. ``--python PATH`` tries another interpreter. Needs pip and its
index, as every installation does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.packaging.contents import check_contents
from tests.packaging.environments import REPOSITORY, Environment, run
from tests.packaging.hints import USES, check_hints
from tests.packaging.readme import check_readme
from tests.packaging.requirements import oldest

_FOLDER = Path(__file__).parent

_USE: dict[str, tuple[str | Path, ...]] = {
    "cli": ("cli",),
    "migrate": ("migrate",),
    "cluster": ("cluster",),
    "demo": ("demo",),
    "notebooks": ("notebooks", REPOSITORY / "notebooks"),
    "all": ("cluster",),
}
"""What is done with each extra for users: the arguments of `uses.py`."""

_WITH_OLDEST = ("cli", "migrate", "cluster", "demo")
"""Extras to try with their oldest releases, too; the others have applications that do not bound what they need."""

_TOO_NEW = (3, 12)
"""The first Python that the oldest releases do not support, except for those of ``cli``."""


@dataclass
class Trial:
    """What is built and where, and how it is tried."""

    folder: Path
    python: str
    channel: str
    is_quick: bool

    @property
    def sdist(self) -> Path:
        """The source distribution."""
        return next((self.folder / "dist").glob("*.tar.gz"))

    @property
    def wheel(self) -> Path:
        """The wheel."""
        return next((self.folder / "dist").glob("*.whl"))

    def build(self) -> None:
        """Build the package; the other parts need it."""
        run(sys.executable, "-m", "build", "--outdir", self.folder / "dist", REPOSITORY)
        run(sys.executable, "-m", "twine", "check", "--strict", self.sdist, self.wheel)
        check_contents(self.sdist, self.wheel)
        check_readme(self.sdist, self.wheel)

    def core(self) -> None:
        """Use the package with its core dependencies only."""
        for title, pins in (("newest", []), ("oldest", oldest())):
            print(f"-- {title} dependencies: {', '.join(pins) or 'as pip chooses'}", flush=True)
            environment = self._environment(f"core-{title}", self.wheel, *pins)
            begin = time.perf_counter()
            environment.run("-c", "import cosv4fs")
            print(f"a process that imports cosv4fs takes {time.perf_counter() - begin:.2f} s", flush=True)
            environment.run(_FOLDER / "smoke.py")

    def extras(self) -> None:
        """Use each extra alone."""
        for extra in ("cli",) if self.is_quick else _USE:
            self._extra(extra, "newest")
            if extra == "cli" or (extra in _WITH_OLDEST and self._has_oldest()):
                self._extra(extra, "oldest", *oldest(extra))

    def _extra(self, extra: str, title: str, *pins: str) -> None:
        print(f"-- extra {extra}, {title} dependencies {' '.join(pins)}", flush=True)
        environment = self._environment(f"{extra}-{title}", f"{self.wheel}[{extra}]", *pins)
        environment.run(USES, *_USE[extra])

    def _has_oldest(self) -> bool:
        """Return whether the interpreter is one for which the oldest releases were made."""
        program = f"import sys; sys.exit(sys.version_info >= {_TOO_NEW})"
        return subprocess.run([self.python, "-c", program], check=False).returncode == 0

    def hints(self) -> None:
        """Run the commands that errors suggest."""
        check_hints(self.folder, self.wheel, self.python)

    def reference(self) -> None:
        """Build the reference, as ``python -m tests.reference`` does."""
        run(sys.executable, "-W", "error", "-m", "tests.reference", self.folder / "reference")

    def conda(self) -> None:
        """Build the conda package from the source distribution."""
        environment = self._environment("rattler", "py-rattler-build>=0.73", "pip")
        os.environ["RATTLER_CACHE_DIR"] = str(self.folder / "rattler-cache")
        environment.run(_FOLDER / "conda.py", self.sdist, self.folder / "conda", *filter(None, [self.channel]))

    def _environment(self, name: str, *requirements: str | Path) -> Environment:
        environment = Environment(self.folder / name, self.python)
        environment.install(*requirements)
        return environment


PARTS: dict[str, Callable[[Trial], None]] = {
    "build": Trial.build,
    "core": Trial.core,
    "extras": Trial.extras,
    "hints": Trial.hints,
    "reference": Trial.reference,
    "conda": Trial.conda,
}


def main(arguments: Sequence[str]) -> int:
    """Try the parts that are named; return 0 when all of them work."""
    parser = argparse.ArgumentParser(prog="python -m tests.packaging")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of: {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="only build, core and a light extra")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to try; default: this one")
    parser.add_argument("--channel", default="", help="the channel with the packages for conda; default: a local one")
    given = parser.parse_args(arguments)
    parts = ["build", "core", "extras"] if given.quick else given.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="cosv4fs-packaging-") as name:
        trial = Trial(Path(name), given.python, given.channel, given.quick)
        for part, try_out in PARTS.items():
            if part in parts or part == "build":
                print(f"== {part}", flush=True)
                begin = time.monotonic()
                try_out(trial)
                print(f"== {part}: ok, {time.monotonic() - begin:.0f} s", flush=True)
    print("built, installed and tried")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
