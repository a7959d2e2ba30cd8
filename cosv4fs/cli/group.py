"""The command itself: options before the subcommand, the subcommands emulator and demo, and the list of all."""

from __future__ import annotations

import logging
import re
import sys
from functools import partial
from typing import Any

import click

from cosv4fs._version import __version__
from cosv4fs.cli import show
from cosv4fs.cli.copy import cp, sync
from cosv4fs.cli.doctor import doctor
from cosv4fs.cli.failures import EPILOG, Group, printable
from cosv4fs.cli.migrate import migrate_command
from cosv4fs.cli.move import mv, rm
from cosv4fs.cli.session import Session, options_from
from cosv4fs.cli.uploads import uploads

_SECRET = re.compile(
    r"([?&][^=&\s\"]*(?:sign|sig|token|key|secret|credential|auth)[^=&\s\"]*=)[^&\s\"]+", re.IGNORECASE
)
"""Credentials in the query of a URL."""


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cosv4fs", message="%(prog)s %(version)s")
@click.option(
    "-o", "--option", "settings", multiple=True, metavar="NAME=VALUE",
    help="Set a filesystem option, such as region=gz, or for one protocol only: cdcs.region=ap-tianjin, s3.anon=true. "
    "Repeatable.",
)  # fmt: skip
@click.option("--endpoint", metavar="URL", help="Same as -o endpoint=URL.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
@click.option("--progress/--no-progress", default=None, help="Show progress bars; default: on a terminal.")
@click.option("--debug", is_flag=True, help="Log every request on stderr, and show tracebacks.")
@click.pass_context
def cli(
    context: click.Context,
    settings: tuple[str, ...],
    endpoint: str | None,
    as_json: bool,
    progress: bool | None,
    debug: bool,
) -> None:
    """Work with Tencent COS buckets behind the old JSON API: cosv4://bucket/dir/name, or cosv3:// for COS v3.

    Write-once coffers of the Data Coffer Service are cdcs://coffer-APPID/dir/name; cdcs:// alone lists them.

    Credentials come from COSV4_APPID, COSV4_SECRET_ID, COSV4_SECRET_KEY and COSV4_REGION, or from -o; for cosv3:// from
    COSV3_APPID, COSV3_SECRET_ID and COSV3_SECRET_KEY; for cdcs:// from CDCS_SECRET_ID, CDCS_SECRET_KEY and CDCS_REGION,
    and CDCS_SECURITY_TOKEN for temporary keys. cp, sync and migrate also accept all other fsspec URLs, such as local
    paths, s3://, gs:// and sftp://.
    """
    if debug:
        _log_requests(context)
    options = options_from([*settings, *([f"endpoint={endpoint}"] if endpoint else [])])
    shown = sys.stderr.isatty() if progress is None else progress
    context.obj = Session(options, as_json, shown and not as_json)


class _OneLine(logging.Formatter):
    """Formats a record as one line, and a traceback as indented lines, without control characters and signatures.

    File names and server messages are untrusted: they could otherwise forge records.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(_SECRET.sub(r"\1…", super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


def _log_requests(context: click.Context) -> None:
    """Log requests and the messages of this package on stderr while the command runs.

    Loggers of other filesystem packages stay off, because some log headers with signatures.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(name)s: %(message)s"))
    for name in ("urllib3.connectionpool", "cosv4fs"):
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        context.call_on_close(partial(logger.setLevel, before))
        context.call_on_close(partial(logger.removeHandler, handler))


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a local COS service; see emulator --help."""
    from cosv4fs.emulator.__main__ import main  # noqa: PLC0415 - only needed here

    sys.exit(main(list(arguments), prog="cosv4fs emulator"))


@cli.command(short_help="Write a data set to a local service with pandas, and read it back.")
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


for command in (
    show.ls, show.tree, show.du, show.stat, show.cat, show.sign, cp, sync, mv, rm, migrate_command, uploads, doctor,
):  # fmt: skip
    cli.add_command(command)
