"""Run the tests on a simulated system: ``python -m tests.platforms [windows|macos] [arguments of pytest]``.

Without a system, both; without tests, those of the parts that deal with files, sockets, processes and the system:
for each system, about seven minutes of processor time.
What the tests themselves lack there is skipped: `plugin.py` lists it, and ``--expected`` runs it, and fails for what
passes.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.platforms import REPOSITORY, environment, run

SYSTEMS = {"windows": (("windows",), ("windows", "_hashlib", "ctypes")), "macos": (("macos",),)}
"""What is simulated, with and without optional modules."""

PARTS = (
    *("api", "filesystem", "transfer", "cli", "migrate", "emulator"),
    *("security/test_local_paths.py", "security/test_private_files.py", "security/test_tls.py"),
)


def main(arguments: list[str]) -> int:
    """Return 0 if everything passes."""
    chosen = [name for name in arguments if name in SYSTEMS] or list(SYSTEMS)
    given = [argument for argument in arguments if argument not in SYSTEMS]
    tests = given or [os.path.join("tests", part) for part in PARTS]
    failed = []
    for name in chosen:
        for system in SYSTEMS[name]:
            print(
                f"== {' without '.join([system[0], ', '.join(system[1:])]).removesuffix(' without ')}: the client",
                flush=True,
            )
            done = run("-m", "tests.platforms.client", system=system)
            print(done.stderr.decode("cp1252"), end="")
            failed += [f"the client on {' '.join(system)}"] if done.returncode else []
        print(f"== {name}: {' '.join(tests)}", flush=True)
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-p", "tests.platforms.plugin", *tests]
        code = subprocess.run(pytest, cwd=REPOSITORY, env=environment(name), check=False).returncode
        failed += [f"pytest on {name}"] if code else []
    print("== failed:", ", ".join(failed)) if failed else print("== all passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
