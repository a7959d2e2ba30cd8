"""The emulator as a command: ``python -m cosv4fs.emulator``."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.dialects import CofferDialect, Dialect
from cosv4fs.emulator.emulators import CofferEmulator, Emulator, Options
from cosv4fs.emulator.errors import EmulatorError
from cosv4fs.emulator.portability import ENDING_SIGNALS
from cosv4fs.emulator.service import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cosv4fs.emulator.log import RequestRecord


def main(argv: Sequence[str] | None = None, prog: str = "python -m cosv4fs.emulator") -> int:
    """Run the emulator until Ctrl-C, SIGTERM, SIGHUP or, on Windows, Ctrl-Break.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; None: those of the process.
    prog : str
        The command's name, for messages.

    Returns
    -------
    int
        0 after a clean stop, 2 when it cannot start.
    """
    parser = _parser(prog)
    options = parser.parse_args(argv)
    try:
        emulator, coffers = _emulator(options), _coffers(options)
        # not an event: its lock may be held by the wait that the signal comes into
        stop: SimpleQueue[int] = SimpleQueue()
        # nohup ignores SIGHUP, and that stays; shells ignore SIGINT for commands in the background, which can be ended
        ignored = {number for number in ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_IGN}
        numbers = [number for number in ENDING_SIGNALS if number == signal.SIGINT or number not in ignored]
        previous = {number: signal.signal(number, lambda number, _: stop.put(number)) for number in numbers}
        try:
            _run(emulator, coffers, stop)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    except (EmulatorError, ValueError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(emulator: Emulator, coffers: CofferEmulator | None, stop: SimpleQueue[int]) -> None:
    with contextlib.ExitStack() as running:
        running.enter_context(emulator)
        if coffers is not None:
            running.enter_context(coffers)
        if not emulator.is_loopback():
            print(f"warning: {emulator.host} can be reached from other machines", file=sys.stderr, flush=True)
        print(f"listening on {emulator.endpoint}", flush=True)
        if coffers is not None:
            print(f"coffers on {coffers.endpoint}", flush=True)
        print("in another shell, for cosv4://:", flush=True)
        _print_settings("COSV4", emulator.storage_options)
        print("and for cosv3://:", flush=True)
        _print_settings("COSV3", emulator.storage_options)
        if coffers is not None:
            print("and for cdcs://:", flush=True)
            _print_settings("CDCS", coffers.storage_options)
        _wait(stop)


def _wait(stop: SimpleQueue[int]) -> None:
    """Wait for a signal, which may reach a thread that serves a connection: the main thread runs its handler."""
    while True:
        with contextlib.suppress(Empty):
            stop.get(timeout=0.2)
            return


def _print_settings(prefix: str, options: dict[str, Any]) -> None:
    """Print the shell commands that set the options of clients; keys other than the public defaults are left out."""
    keys = {"secret_id": DEFAULT_SECRET_ID, "secret_key": DEFAULT_SECRET_KEY}
    shown = {name: value for name, value in options.items() if value and value == keys.get(name, value)}
    variables = {f"{prefix}_{name.upper()}": value for name, value in shown.items()}
    for line in _windows_commands(variables) if os.name == "nt" else [f"  {_posix_command(variables)}"]:
        print(line, flush=True)


def _posix_command(variables: dict[str, str]) -> str:
    return " ".join(["export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())])


def _windows_commands(variables: dict[str, str]) -> list[str]:
    """Return the commands for both shells: a process does not know which of them another window has."""
    quoted = {name: value.replace("'", "''") for name, value in variables.items()}
    powershell = "; ".join(f"$env:{name}='{value}'" for name, value in quoted.items())
    cmd = " & ".join(f'set "{name}={value}"' for name, value in variables.items())
    return [" PowerShell:", f"  {powershell}", " cmd:", f"  {cmd}"]


def _emulator(options: argparse.Namespace) -> Emulator:
    names = [name for group in options.bucket or [["data"]] for name in group]
    public = [name for group in options.public_bucket or [] for name in group]
    return Emulator(
        options.root,
        buckets=names,
        public_buckets=public,
        region=options.region,
        dialect=Dialect.parse(options.dialect or []),
        **_shared(options, options.port),
    )


def _coffers(options: argparse.Namespace) -> CofferEmulator | None:
    """Return the second service, if a coffer is named; it has a folder of its own within the root."""
    names = [name for group in options.coffer or [] for name in group]
    if not names:
        if options.coffer_port or options.coffer_dialect:
            raise EmulatorError("--coffer-port and --coffer-dialect need --coffer: name the coffers to serve")
        return None
    return CofferEmulator(
        None if options.root is None else Path(options.root) / "coffers",
        coffers=names,
        dialect=CofferDialect.parse(options.coffer_dialect or []),
        **_shared(options, options.coffer_port),
    )


def _shared(options: argparse.Namespace, port: int) -> Options:
    return {
        "port": port,
        "host": options.host,
        "appid": options.appid,
        "secret_id": options.secret_id,
        "secret_key": options.secret_key,
        "fsync": options.fsync,
        "listener": _print_request if options.verbose else None,
        "keep_requests": 0,  # nothing can read them in a process of its own
    }


def _print_request(record: RequestRecord) -> None:
    milliseconds = (record.finished - record.started) * 1000
    line = (
        f"{record.method} {record.bucket}:{record.path} {record.op or '-'} -> {record.status}"
        f" code {record.code}, {record.bytes_in} in, {record.bytes_out} out, {milliseconds:.1f} ms"
    )
    # most of it comes from a client, and could forge further lines or control a terminal
    print(line.encode("unicode_escape").decode("ascii"), file=sys.stderr, flush=True)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number (0 to 65535)")
    return int(text)


def _switches(dialect: type[Dialect | CofferDialect]) -> str:
    return "".join(f"\n  {name}={'|'.join(map(str, values))}" for name, values in dialect.choices().items())


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [OPTION]...",
        description="A local COS service, stored in a folder: buckets with the JSON APIs v4\n"
        "and v3, and coffers (CDCS). It runs until Ctrl-C. For example:\n\n"
        "  %(prog)s --root ./cos-data --port 9000 --bucket photos backups",
        epilog=f"Dialect switches:{_switches(Dialect)}\n\nCoffer dialect switches:{_switches(CofferDialect)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--root", metavar="DIR", help="folder for all stored data (default: a temporary one, removed at exit)")
    add("--port", type=_port, default=0, help="port to listen on, 0 for a free one (default: %(default)s)")
    add("--bucket", nargs="+", action="append", metavar="NAME", help="private buckets (default: data)")
    add("--coffer", nargs="+", action="append", metavar="NAME", help="coffers, on a second port (default: none)")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--verbose", action="store_true", default=False, help="log every request on standard error")
    loudness.add_argument(
        "--quiet", action="store_false", dest="verbose", default=False, help="log no requests (default)"
    )
    _add_account(parser)
    _add_network_and_disk(parser)
    _add_dialects(parser)
    return parser


def _add_account(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("account and buckets").add_argument
    add("--appid", default="1250000000", help="the account's number (default: %(default)s)")
    add("--secret-id", metavar="ID", default=DEFAULT_SECRET_ID, help="name of the key (default: %(default)s)")
    add("--secret-key", metavar="KEY", default=DEFAULT_SECRET_KEY, help="the key (default: %(default)s)")
    add("--region", default="gz", help="short code of the region, as it appears in URLs (default: %(default)s)")
    add("--public-bucket", nargs="+", action="append", metavar="NAME", help="public buckets (default: none)")


def _add_network_and_disk(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("network and disk").add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--coffer-port", type=_port, default=0, metavar="PORT", help="the second port (default: a free one)")
    add(
        "--fsync",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether writes survive a loss of power (default: yes)",
    )


def _add_dialects(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dialects", "Where the documentation is unclear; the switches are listed below.")
    add = group.add_argument
    add("--dialect", action="append", metavar="NAME=VALUE", help="another variant of a disputed point (default: none)")
    add("--coffer-dialect", action="append", metavar="NAME=VALUE", help="the same for coffers (default: none)")


if __name__ == "__main__":
    sys.exit(main())
