"""The command itself: the list of all subcommands, and emulator and demo."""

from __future__ import annotations

import sys

import click

from cosv4fs._version import __version__
from cosv4fs.cli import create, details, show
from cosv4fs.cli.commands import Group, command
from cosv4fs.cli.configure import configure
from cosv4fs.cli.copy import cp, sync
from cosv4fs.cli.doctor import doctor
from cosv4fs.cli.failures import EPILOG
from cosv4fs.cli.find import find
from cosv4fs.cli.migrate import migrate_command
from cosv4fs.cli.move import mv, rm
from cosv4fs.cli.uploads import uploads


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cosv4fs", message="%(prog)s %(version)s")
def cli() -> None:
    """Work with Tencent COS buckets behind the old JSON API: cosv4://bucket/dir/name, or cosv3:// for COS v3.

    Write-once coffers of the Data Coffer Service are cdcs://coffer-APPID/dir/name; cdcs:// alone lists them.

    Credentials come from COSV4_APPID, COSV4_SECRET_ID, COSV4_SECRET_KEY and COSV4_REGION, or from -o; for cosv3:// from
    COSV3_APPID, COSV3_SECRET_ID and COSV3_SECRET_KEY; for cdcs:// from CDCS_SECRET_ID, CDCS_SECRET_KEY and CDCS_REGION,
    and CDCS_SECURITY_TOKEN for temporary keys. cp, sync and migrate also accept all other fsspec URLs, such as local
    paths, s3://, gs:// and sftp://.
    """


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a local COS service; see emulator --help."""
    from cosv4fs.emulator.__main__ import main  # noqa: PLC0415 - only needed here

    sys.exit(main(list(arguments), prog="cosv4fs emulator"))


@command(short_help="Write a data set to a local service with pandas, and read it back.")
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


cli.add_section("Looking", show.ls, show.tree, find, show.du, show.cat, details.stat, details.sha1sum, show.sign)
cli.add_section("Copying", cp, sync, migrate_command)
cli.add_section("Changing", mv, rm, create.mkdir, create.touch, details.attrs, uploads)
cli.add_section("Accounts", configure, doctor)
cli.add_section("Local service", emulator, demo)
