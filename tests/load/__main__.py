"""``python -m tests.load --threads 64 --minutes 10 --seed 1``: exit code 1 when anything is wrong."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.load.runner import Outcome, Plan, Run
from tests.load.sampling import MIB, Sample, use_plain_memory


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Many threads against one service.")
    add = parser.add_argument
    add("--threads", type=int, default=64, help="clients (default: %(default)s)")
    add("--minutes", type=float, default=10.0, help="how long (default: %(default)s)")
    add("--operations", type=int, help="do so many per thread, however long that takes")
    add("--seed", type=int, default=1, help="the same seed gives the same contents and choices (default: %(default)s)")
    add("--folder", metavar="DIR", help="where all files go (default: the system's choice)")
    given = parser.parse_args()
    seconds = None if given.operations else given.minutes * 60
    plan = Plan(given.threads, given.seed, seconds, given.operations, say=lambda line: print(line, flush=True))
    use_plain_memory()
    # an ordered end, so that no process and no file stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="cosv4fs-load-", dir=given.folder) as folder:
        outcome = Run(plan, Path(folder)).go()
    print(table(plan, outcome))
    return 1 if outcome.failed else 0


def table(plan: Plan, out: Outcome) -> str:
    """Return the final table."""
    return "\n".join([*_operations(out), "", *_totals(plan, out), "", *_held(out), "", *_faults(out)])


def _operations(out: Outcome) -> list[str]:
    done: Counter[str] = Counter()
    for client in out.clients:
        done.update(client.done)
    rows = [f"{name:<18}{count:>10,}" for name, count in sorted(done.items(), key=lambda item: -item[1])]
    columns = -(-len(rows) // 3)
    return ["   ".join(rows[start::columns]) for start in range(columns)]


def _totals(plan: Plan, out: Outcome) -> list[str]:
    count = sum(client.done.total() for client in out.clients)
    sent, received = (sum(getattr(client, name) for client in out.clients) for name in ("sent", "received"))
    checked = sum(client.checked for client in out.clients)
    given_up = sum(client.done["fail_to_write"] for client in out.clients)
    return [
        f"threads {plan.threads}, seed {plan.seed}, {out.seconds:.1f} s",
        f"operations {count:,}, {count / out.seconds:.1f} per second; answers checked {checked:,}",
        f"bytes written {sent:,}, bytes read and compared {received:,}",
        f"at the end, by another process: {out.verified:,} objects verified, {out.verified_bytes:,} bytes",
        f"writes given up {given_up}, of these {out.complaints.abandoned} noticed by the collector",
        f"uploads interrupted and continued {sum(client.done['put_interrupted'] for client in out.clients)}",
    ]


def _held(out: Outcome) -> list[str]:
    samples = out.samples
    marks = {"before": out.baseline, "end": samples[-1] if samples else None, "closed": out.closed}
    if len(samples) >= 4:
        quarters = {f"{part * 25} %": samples[len(samples) * part // 4] for part in (1, 2, 3)}
        marks = {"before": out.baseline, **quarters, "end": samples[-1], "closed": out.closed}
    shown = {name: sample for name, sample in marks.items() if sample is not None}
    lines = [f"{'':<22}" + "".join(f"{name:>9}" for name in shown)]
    for process in ("client", "service"):
        for name in ("rss", "fds", "sockets", "threads"):
            values = [getattr(getattr(sample, process), name) for sample in shown.values()]
            lines.append(_row(f"{process} {name}", values, in_mib=name == "rss"))
    lines.append(_row("temporary files", [sample.files for sample in shown.values()]))
    lines.append(_row("service disk", [sample.disk for sample in shown.values()], in_mib=True))
    lines.append(_row("service database", [sample.database for sample in shown.values()], in_mib=True))
    lines.append(f"looks: {len(samples)}; growth {'judged' if out.judged else 'not judged: too short'}{_peak(samples)}")
    return lines


def _row(name: str, values: list[int], in_mib: bool = False) -> str:
    texts = [f"{value / MIB:.1f}" if in_mib else str(value) for value in values]
    return f"{name + (' MiB' if in_mib else ''):<22}" + "".join(f"{text:>9}" for text in texts)


def _peak(samples: list[Sample]) -> str:
    if not samples:
        return ""
    memory, disk = (max(values) for values in zip(*((look.client.rss, look.disk) for look in samples), strict=True))
    return f"; most RSS {memory / MIB:.0f} MiB of the client, disk {disk / MIB:.0f} MiB"


def _faults(out: Outcome) -> list[str]:
    return [*(f"FAILED: {text}" for text in out.complaints.failures), f"errors {out.complaints.count}"]


if __name__ == "__main__":
    sys.exit(main())
