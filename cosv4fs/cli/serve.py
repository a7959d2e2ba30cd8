"""The commands that run something: the local service and the demonstration."""

from __future__ import annotations

import sys

import click

__all__ = ["COMMANDS"]


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a local COS service (emulator --help tells more)."""
    from cosv4fs.emulator.__main__ import main  # noqa: PLC0415 - only needed here

    sys.exit(main(list(arguments), prog="cosv4fs emulator"))


@click.command(short_help="Send a data set to a local service and back, through pandas.")
@click.option("--rows", type=click.IntRange(1), help="Use the first N rows only (default: all 336,776).", metavar="N")
@click.option("--keep", metavar="DIR", help="Folder for what the service stores (default: a temporary one).")
def demo(rows: int | None, keep: str | None) -> None:
    """Send a public data set through pandas and dask to a local service and back, and compare checksums."""
    try:
        from cosv4fs.demo import run  # noqa: PLC0415 - needs pandas and dask

        # some packages are asked for only when they are needed
        sys.exit(run(rows, keep))
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed; pip install 'cosv4fs[demo]' brings it") from error


COMMANDS = (emulator, demo)
