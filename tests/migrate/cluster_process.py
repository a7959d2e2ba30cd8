"""A part of a dask cluster as a process: ``cluster``, or a worker without the package, or one that a file may kill.

It says its address as a line of JSON, and runs until standard input ends.
"""

import asyncio
import json
import os
import signal
import sys


class Blocker:
    """Hides the package from imports, as if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cosv4fs":
            raise ModuleNotFoundError("No module named 'cosv4fs'", name="cosv4fs")


def hide():
    for name in [name for name in sys.modules if name.partition(".")[0] == "cosv4fs"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Blocker())


def poison(path):
    """Let a file kill the process that migrates it."""
    from cosv4fs.migrate.migrator import FileMigrator

    real = FileMigrator.examine

    def examine(self, file, callback):
        if file.path == path:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, file, callback)

    FileMigrator.examine = examine


def say(address):
    print(json.dumps({"address": address}), flush=True)


async def work(scheduler, threads):
    from distributed import Worker

    async with Worker(scheduler, nthreads=threads, host="127.0.0.1", dashboard=False) as worker:
        say(worker.address)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main():
    role, *given = sys.argv[1:]
    if role == "cluster":
        from distributed import LocalCluster

        options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
        with LocalCluster(**options, protocol="tcp", host="127.0.0.1") as cluster:
            say(cluster.scheduler_address)
            sys.stdin.read()
        return
    if role == "bare":
        hide()
    else:
        poison(given[1])
    asyncio.run(work(given[0], int(given[2]) if given[2:] else 1))


if __name__ == "__main__":
    main()
