"""Programs that a test starts in processes of their own, without waiting for their imports."""

import os
import sys
import threading

from tests.processes import Forked


class Program(Forked):
    """A process that runs a script, with its arguments in ``sys.argv``; what it prints and complains of is one text."""

    def __init__(self, script, *arguments):
        super().__init__("tests.filesystem.programs", [script, *arguments], dict(os.environ))

    def text(self, timeout=120.0):
        """Wait for its end and return what it has printed; it is killed when that takes too long."""
        killer = threading.Timer(timeout, self.kill)
        killer.start()
        with self.stdin, self.stdout:
            text = self.stdout.read().decode()
        self.wait()
        killer.cancel()
        return text

    @property
    def code(self):
        """The exit code; negative after a signal."""
        return self.wait()


def main():
    """Run the script, and end as an interpreter does: when all threads have ended."""
    os.dup2(1, 2)
    try:
        exec(compile(sys.argv.pop(1), "script", "exec"), {"__name__": "__main__"})
    finally:
        threading._shutdown()
