"""The client works on simulated systems, with all that it does with files, processes and the system."""

import pytest

from tests.platforms import run
from tests.platforms.client import STEPS

EVERY = [step.__name__ for step in STEPS]
ON_MACOS = ["whole_files", "trees", "streams", "killed"]
"""What has code of its own where files need a name; ``python -m tests.platforms`` runs the others, too."""


@pytest.mark.parametrize(
    ("system", "steps"), [(("windows", "_hashlib", "ctypes"), EVERY), (("macos",), ON_MACOS)], ids=["windows", "macos"]
)
def test_the_client_works(system, steps):
    done = run("-m", "tests.platforms.client", *steps, system=system)
    assert (done.returncode, done.stderr.decode("cp1252")) == (0, "")
    assert done.stdout.decode().split() == steps
