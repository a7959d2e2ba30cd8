"""``python -m cosv4fs``: the command ``cosv4fs``."""

import sys

from cosv4fs.cli import main

if __name__ == "__main__":
    sys.exit(main())
