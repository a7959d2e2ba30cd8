"""``python -m tests.reference [FOLDER]``: build the HTML reference, and print what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.reference import checks, site


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("reference"), help="where to write it; ./reference"
    )
    folder = parser.parse_args().folder
    modules = site.build(folder)
    problems = [*checks.undocumented(modules), *checks.broken_links(folder)]
    for problem in problems:
        print(problem)
    print(f"{folder / 'index.html'}: {len(list(folder.rglob('*.html')))} pages")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
