"""``python -m tests.benchmarks``: all clients, measured side by side in one run on this machine.

Needs ``s3fs``, ``obstore`` and ``qcloud_cos_py3``. All traffic stays on loopback.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import signal
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.processes import scratch_folder
from tests.benchmarks.report import disturbed, goal_table, table
from tests.benchmarks.results import Missing, Results
from tests.benchmarks.runner import Run
from tests.benchmarks.scenarios import GROUPS, Scale, Scenario
from tests.benchmarks.targets import goals

_LIBRARIES = ("cosv4fs", "fsspec", "requests", "urllib3", "s3fs", "obstore", "qcloud_cos_py3")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="small objects, two samples: a try-out in some minutes")
    add("--only", nargs="+", choices=list(GROUPS), metavar="GROUP", help=f"some of: {', '.join(GROUPS)}")
    add("--match", metavar="TEXT", help="only scenarios with this in their title")
    add("--samples", type=int, metavar="N", help="samples per figure")
    add("--out", type=Path, metavar="FILE.json", help="write all figures")
    add("--add", action="store_true", help="keep the other figures of FILE.json: for a run in several parts")
    add("--repeat-disturbed", action="store_true", help="measure only the figures of FILE.json that were disturbed")
    add("--folder", metavar="DIR", help="folder for local files (default: memory, where there is room)")
    return parser


def main() -> int:
    """Run what the arguments say."""
    parser = _parser()
    options = parser.parse_args()
    if (options.add or options.repeat_disturbed) and not options.out:
        parser.error("--add and --repeat-disturbed need --out FILE.json")
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results(_machine(), options.quick)
    if options.repeat_disturbed or (options.add and options.out.exists()):
        results = Results.load(options.out)
        if not options.repeat_disturbed and results.quick != options.quick:
            parser.error(f"{options.out} has figures of the other scale")
    print(results.machine, "\n", flush=True)
    _measure(options, results)
    print(goal_table(goals(results)))
    print(disturbed(results))
    return 0


def _measure(options: argparse.Namespace, results: Results) -> None:
    scale = Scale.quick() if results.quick else Scale.full()
    if options.samples:
        scale = dataclasses.replace(scale, samples=options.samples)
    wanted = results.disturbed() if options.repeat_disturbed else None
    with scratch_folder(options.folder) as folder:
        run = Run(folder, scale.samples)
        try:
            for scenario in chosen(scale, options.only, options.match, wanted):
                missing = [Missing(scenario.group, scenario.title, *it) for it in scenario.missing.items()]
                if wanted is None:
                    results.put(figures := run.figures(scenario), missing)
                else:
                    results.improve(figures := run.figures(scenario, wanted[scenario.title]))
                print(table(scenario.title, figures, missing), flush=True)
                if options.out:
                    results.save(options.out)
        finally:
            run.close()


def chosen(
    scale: Scale, groups: list[str] | None, match: str | None, wanted: dict[str, set[str]] | None
) -> Iterator[Scenario]:
    """Return the scenarios of some groups or all, with a text in their titles, and with these titles."""
    for group in groups or GROUPS:
        for scenario in GROUPS[group](scale):
            is_matching = match is None or match in scenario.title
            if is_matching and (wanted is None or scenario.title in wanted):
                yield scenario


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    system = f"{platform.system()} {platform.release()}, CPython {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {system}, {_processors()}; {libraries}"


def _processors() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0] if names else platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
