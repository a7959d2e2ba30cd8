"""The command ``cosv4fs``, built with click.

Modules:

* `group`: the list of all subcommands, and ``emulator`` and ``demo``
* `commands`: the classes of all commands, and the `examples` in their help texts
* `global_options`: options of all commands
* `filters`: options that select files
* `values`: values of options: sizes, rates, times
* `metadata`: options for what copies carry
* `session`: options and filesystems of one run
* `output`: lines and JSON on standard output, lines on standard error
* `rows`: any number of rows as lines or JSON
* `failures`: errors and exit codes
* `progress`: progress and summaries
* `logs`: logging
* `process`: standard streams and signals
* `listings`: ``ls``, ``tree``, ``find``, ``du``
* `details`: ``stat``, ``attrs``
* `contents`: ``cat``, ``sha1sum``, ``sign``
* `copy`: ``cp``
* `sync`: ``sync``
* `check`: ``check``
* `move`: ``mv``
* `transfers`: how ``cp``, ``sync`` and ``mv`` copy
* `remove`: ``rm``
* `create`: ``mkdir``, ``touch``
* `configure`, and `profiles`, which edits the profile file
* `migrate`, `uploads`, `doctor`: the subcommands of these names

``cosv4fs emulator`` needs only the core dependencies, all other subcommands the extra ``cli``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cosv4fs.cli.process import ending_on_signals, fill_closed_streams
from cosv4fs.missing_packages import missing_package

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with arguments, by default those of the process; return its exit code (`failures.EXIT_CODES`)."""
    fill_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["emulator"]:
        from cosv4fs.emulator.__main__ import main as serve  # noqa: PLC0415 - works without the extra

        return serve(arguments[1:], prog="cosv4fs emulator")
    received: list[int] = []
    code = 130
    try:
        with ending_on_signals(received):
            code = _run(arguments)
    except KeyboardInterrupt:
        if not received:
            print("cosv4fs: interrupted", file=sys.stderr)
    except OSError:
        # a signal may interrupt anything, such as a message to a terminal that was closed
        if not received:
            raise
    return 128 + received[0] if received else code


def _run(arguments: Sequence[str]) -> int:
    try:
        # Ctrl-C and signals end imports cleanly, too, which take most of the time of short commands
        from cosv4fs.cli.commands import run  # noqa: PLC0415 - needs the extra
        from cosv4fs.cli.group import cli  # noqa: PLC0415
    except ImportError as error:
        print(f"cosv4fs: {missing_package(error, 'click', 'tqdm')}", file=sys.stderr)
        return 2
    return run(cli, arguments)
