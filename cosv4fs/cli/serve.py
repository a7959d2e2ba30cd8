"""The commands emulator and demo."""

from __future__ import annotations

import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a local COS service; see emulator --help."""
    from cosv4fs.emulator.__main__ import main  # noqa: PLC0415 - only needed here

    sys.exit(main(list(arguments), prog="cosv4fs emulator"))


@click.command(short_help="Write a data set to a local service with pandas, and read it back.")
@click.option("--rows", type=click.IntRange(1), help="Use only the first N rows (default: all 336,776).", metavar="N")
@click.option("--keep", metavar="DIR", help="Directory for the files of the service (default: a temporary one).")
def demo(rows: int | None, keep: str | None) -> None:
    """Write a public data set to a local service with pandas and dask, read it back, and compare checksums."""
    try:
        from cosv4fs.demo import run  # noqa: PLC0415 - needs pandas and dask

        # some packages are imported only when they are needed
        sys.exit(run(rows, keep))
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed; run pip install 'cosv4fs[demo]'") from error


COMMANDS = (emulator, demo)
