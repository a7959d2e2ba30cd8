"""``python -m tests.scale``: what commands cost on very many objects, each in a process of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Child, environment

COMMANDS: dict[str, tuple[str, ...]] = {
    "du": ("du", "-s", "{source}"),
    "find": ("find", "{source}"),
    "ls": ("ls", "-R", "{source}"),
    "tree": ("tree", "{source}"),
    "rm-n": ("rm", "-r", "-n", "{source}"),
    "rm": ("rm", "-r", "{source}"),
    "sync-n": ("sync", "-n", "{source}", "{empty}"),
    "check": ("check", "{source}", "{source}"),
    "check-no-metadata": ("check", "--no-metadata", "{source}", "{source}"),
    "cp": ("cp", "-r", "{source}", "discard:///out"),
    "migrate": ("migrate", "{source}", "discard:///out", "--manifest", "{folder}/manifest.sqlite"),
}
"""The measured commands; ``{empty}`` is an empty local directory."""


@dataclass(frozen=True)
class Cost:
    """What one command took: seconds, seconds of processor time, and bytes of memory at most."""

    code: int
    wall: float
    cpu: float
    memory: int


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    add = parser.add_argument
    add("--counts", nargs="+", type=int, default=[10_000, 100_000], metavar="N", help="numbers of objects")
    add("--shapes", nargs="+", choices=["flat", "deep"], default=["flat", "deep"], help="one directory, or many")
    add("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS), metavar="NAME", help="which commands")
    add("--timeout", type=float, default=3600, metavar="SECONDS", help="the longest time for one command")
    return parser


def run(arguments: list[str], port: int, folder: Path, timeout: float) -> Cost:
    """Run the command, and return what it cost."""
    account = {"APPID": "1250000000", "SECRET_ID": "AKIDscale", "SECRET_KEY": "scale", "REGION": "gz"}
    options = {f"COSV4_{name}": value for name, value in account.items()}
    options |= {"COSV4_ENDPOINT": f"http://127.0.0.1:{port}", "XDG_STATE_HOME": str(folder / "state")}
    command = [sys.executable, "-m", "tests.scale.command", *arguments]
    began = time.perf_counter()
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment(**options))
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - began > timeout:
                process.kill()
            time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    return Cost(process.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> int:
    """Measure what the arguments say, and print a table."""
    options = _parser().parse_args()
    heading = ("command", "shape", "objects", "wall s", "CPU ms per 1000", "peak MiB", "exit code")
    print("| " + " | ".join(heading) + " |")
    print("|" + "---|" * len(heading), flush=True)
    with Child("tests.scale.service") as service:
        port = int(service.line())
        for name in options.commands:
            for shape in options.shapes:
                for count in options.counts:
                    print(_row(name, shape, count, port, options.timeout), flush=True)
    return 0


def _row(name: str, shape: str, count: int, port: int, timeout: float) -> str:
    with tempfile.TemporaryDirectory(prefix="cosv4fs-scale-") as made:
        folder = Path(made)
        (folder / "empty").mkdir()
        places = {"source": f"cosv4://{shape}-{count}/in", "empty": str(folder / "empty"), "folder": made}
        cost = run([each.format(**places) for each in COMMANDS[name]], port, folder, timeout)
        if cost.code:
            print(
                "".join((folder / "errors").read_text(errors="replace").splitlines(keepends=True)[-20:]),
                file=sys.stderr,
            )
    cells = [name, shape, f"{count:,}", f"{cost.wall:.1f}", f"{cost.cpu * 1e6 / count:.1f}", f"{cost.memory >> 20}"]
    return "| " + " | ".join([*cells, str(cost.code)]) + " |"


if __name__ == "__main__":
    sys.exit(main())
