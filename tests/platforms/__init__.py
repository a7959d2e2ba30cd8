"""Other systems, simulated: an interpreter on Linux that lacks what Windows or macOS lacks, with its rules for files.

`run` starts one. `absent.py` lists what is missing, `disk.py` holds the rules for files, and `simulation.py` puts both
in force. What cannot be simulated is written there, too. ``python -m tests.platforms`` runs a part of the tests in such
an interpreter.

The modules of this folder that the interpreter loads at its start need nothing but the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys

# not pathlib, which in Python 3.10 would keep functions of `os` that the simulation replaces
_HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(_HERE))


def environment(*system: str, **more: str) -> dict[str, str]:
    """Return the environment in which an interpreter, and all that it starts, behave as on another system.

    Parameters
    ----------
    *system : str
        ``windows`` or ``macos``; then modules that our package cannot import either: ``_hashlib`` (which `hashlib`
        does without, too) and ``ctypes`` (which fsspec needs).
    **more : str
        Further variables.
    """
    folders = [os.path.join(_HERE, "startup"), REPOSITORY, os.environ.get("PYTHONPATH", "")]
    own = {"COSV4FS_TEST_PLATFORM": " ".join(system), "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    if system[0] == "windows":
        # what pipes and files of text have there, where no program chooses another
        own["PYTHONIOENCODING"] = "cp1252"
    return {**os.environ, **own, **more}


def run(
    *arguments: str, system: tuple[str, ...] = ("windows",), timeout: float = 120.0, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run Python with some arguments on another system and return what it said; `more` goes to its environment."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, timeout=timeout, cwd=REPOSITORY, env=environment(*system, **more)
    )
