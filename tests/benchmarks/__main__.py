"""``python -m tests.benchmarks``: everything side by side, in one run, on this machine.

Needs ``s3fs``, ``obstore`` and ``qcloud_cos_py3`` beside the package. All traffic stays on loopback.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import signal
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.processes import scratch_folder
from tests.benchmarks.report import markdown, outcome_table, table
from tests.benchmarks.runner import Figure, Run
from tests.benchmarks.scenarios import SCENARIOS, Scale
from tests.benchmarks.targets import outcomes

_LIBRARIES = ("cosv4fs", "fsspec", "requests", "urllib3", "s3fs", "obstore", "qcloud_cos_py3")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="small sizes, few samples: a try-out, about two minutes")
    add("--only", nargs="+", choices=list(SCENARIOS), metavar="NAME", help=f"some of: {', '.join(SCENARIOS)}")
    add("--match", metavar="TEXT", help="only scenarios with this in their title")
    add("--samples", type=int, metavar="N", help="samples per figure")
    add("--out", type=Path, metavar="FILE.json", help="all figures, for tests.benchmarks.plot; FILE.md beside it")
    add("--folder", metavar="DIR", help="where local files go (default: memory, where there is room)")
    return parser


def main() -> int:
    """Run what the arguments say."""
    options = _parser().parse_args()
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = Scale.quick() if options.quick else Scale.full()
    if options.samples:
        scale = dataclasses.replace(scale, samples=options.samples)
    print(_machine(), "\n", flush=True)
    figures: list[Figure] = []
    for found in _measure(options, scale):
        figures += found
        print(table(found), flush=True)
        if options.out:
            _write(options.out, options.quick, figures)
    print(outcome_table(outcomes(figures)))
    return 0


def _write(target: Path, quick: bool, figures: list[Figure]) -> None:
    content = {"machine": _machine(), "quick": quick, "figures": [vars(figure) for figure in figures]}
    target.write_text(json.dumps(content, indent=1))
    target.with_suffix(".md").write_text(f"{_machine()}\n\n{markdown(figures, outcomes(figures))}")


def _measure(options: argparse.Namespace, scale: Scale) -> Iterator[list[Figure]]:
    with scratch_folder(options.folder) as folder:
        run = Run(folder, scale.samples)
        try:
            for name in options.only or SCENARIOS:
                for scenario in SCENARIOS[name](scale):
                    if not options.match or options.match in scenario.title:
                        yield run.figures(scenario)
        finally:
            run.close()


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    system = f"{platform.system()} {platform.release()}, CPython {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {system}, {_processors()}; {libraries}"


def _processors() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0] if names else platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
