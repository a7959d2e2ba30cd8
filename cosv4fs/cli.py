"""The command ``cosv4fs``: what can be tried without writing a program.

Only the standard library is imported here, so that ``cosv4fs --help`` works, and answers at once, with the core
dependencies alone; a subcommand imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cosv4fs._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130  # what shells report for a program that ended with Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; None: those of the process.

    Returns
    -------
    int
        0 when all went well, 1 when the demo found a difference, 2 for wrong arguments or missing packages.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["emulator"]:
        # everything behind the word belongs to the emulator, its --help included
        return _emulator(arguments[1:])
    options = _parser().parse_args(arguments)
    return _demo(options.rows, options.keep)


def _emulator(arguments: list[str]) -> int:
    from cosv4fs.emulator.__main__ import main as run  # noqa: PLC0415  see above

    return run(arguments, prog="cosv4fs emulator")


def _demo(rows: int | None, keep: str | None) -> int:
    try:
        from cosv4fs.demo import run  # noqa: PLC0415  see above

        return run(rows, keep)
    except ImportError as error:
        what = error.name or "a package"
        print(f"cosv4fs demo: {what} is not installed; pip install 'cosv4fs[demo]' brings it", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cosv4fs", description="fsspec filesystem for COS buckets (JSON API v4).")
    parser.add_argument("--version", action="version", version=f"cosv4fs {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("emulator", add_help=False, help="run a local COS service (emulator --help tells more)")
    about = "send a public data set through pandas and dask to a local service and back, and compare checksums"
    demo = commands.add_parser("demo", help=about, description=f"{about[0].upper()}{about[1:]}.")
    demo.add_argument("--rows", type=_positive, metavar="N", help="use the first N rows only (default: all 336,776)")
    demo.add_argument("--keep", metavar="DIR", help="folder for what the service stores (default: a temporary one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
