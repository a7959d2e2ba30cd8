"""Make this interpreter behave like one on another system: ``PYTHONPATH`` has every interpreter load this module first.

The environment variable ``COSV4FS_TEST_PLATFORM`` names the system, and what else is missing; see `tests.platforms`.
"""

import os
import sys
import traceback

try:
    from tests.platforms import simulation

    simulation.install(os.environ["COSV4FS_TEST_PLATFORM"].split())
except BaseException:
    # the interpreter would print the error, and go on as if nothing were missing
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(70)
