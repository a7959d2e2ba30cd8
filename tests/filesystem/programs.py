"""Programs that a test starts in processes of their own, without waiting for their imports."""

import os
import signal
import sys
import threading
import time
import warnings

from tests.processes import Forked


class Program(Forked):
    """A process that runs a script, with its arguments in ``sys.argv``; what it prints and complains of is one text."""

    def __init__(self, script, *arguments):
        super().__init__("tests.filesystem.programs", [script, *arguments], dict(os.environ))

    def wait_for(self, fault, hits):
        """Wait until a fault has struck so often, or the process has ended."""
        for _ in range(1500):
            if fault.hits >= hits or self.has_ended:
                break
            time.sleep(0.02)

    def interrupt(self):
        """Send it what Ctrl-C does."""
        if not self.has_ended:
            os.kill(self.pid, signal.SIGINT)

    def text(self, timeout=120.0):
        """Wait for its end and return what it has printed; it is killed when that takes too long."""
        killer = threading.Timer(timeout, self.kill)
        killer.start()
        with self.stdin, self.stdout:
            text = self.stdout.read().decode().replace("\r\n", "\n")
        self.wait()
        killer.cancel()
        return text

    @property
    def has_ended(self):
        return self._process.exitcode is not None

    @property
    def code(self):
        """The exit code; negative after a signal."""
        return self.wait()


def main():
    """Run the script, and end as an interpreter does: when all threads have ended."""
    os.dup2(1, 2)
    # newer versions of Python warn of every fork beside threads
    warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
    try:
        exec(compile(sys.argv.pop(1), "script", "exec"), {"__name__": "__main__"})
    finally:
        threading._shutdown()
