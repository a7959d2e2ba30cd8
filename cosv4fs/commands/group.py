"""The command itself: options before the subcommand, and all subcommands."""

from __future__ import annotations

import logging
import sys

import click

from cosv4fs._version import __version__
from cosv4fs.commands import changing, checking, migrating, serving, showing, unfinished
from cosv4fs.commands.failures import Group
from cosv4fs.commands.session import Session, options_from

__all__ = ["cli"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cosv4fs", message="%(prog)s %(version)s")
@click.option(
    "-o", "--option", "settings", multiple=True, metavar="NAME=VALUE",
    help="An option of the filesystem, such as region=gz; s3.anon=true is one of another protocol's. Repeatable.",
)  # fmt: skip
@click.option("--endpoint", metavar="URL", help="The same as -o endpoint=URL.")
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
    """Work with Tencent COS buckets behind the old JSON API, as cosv4://bucket/dir/name.

    Credentials come from COSV4_APPID, COSV4_SECRET_ID, COSV4_SECRET_KEY and COSV4_REGION, or from -o. Everything that
    fsspec knows can be the other side of cp and sync: local paths, s3://, gs://, sftp://.
    """
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s: %(message)s")
    options = options_from(settings)
    if endpoint:
        options.setdefault("cosv4", {})["endpoint"] = endpoint
    shown = sys.stderr.isatty() if progress is None else progress
    context.obj = Session(options, as_json, shown and not as_json)


for family in (showing, changing, migrating, unfinished, checking, serving):
    for command in family.COMMANDS:
        cli.add_command(command)
