"""The options of all commands, given before or after the subcommand, and the session that they make.

To add one, append a `GlobalOption` to `GLOBAL_OPTIONS`, and read its value in `start`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from copy import copy
from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from cosv4fs.cli.logs import NORMAL, QUIET, start_log
from cosv4fs.cli.session import Session, options_from
from cosv4fs.cli.values import rate
from cosv4fs.concurrency.limits import receiving, sending

_VALUES = "cosv4fs.cli.global_options"
"""The key of the values in `click.Context.meta`, which a command shares with its group."""


_PREFIX = "global_"
"""The beginning of the names by which click knows these options: those of a command's own parameters differ."""


class GlobalOption(click.Option):
    """An option of all commands; the help text of the root describes it, those of subcommands name it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the description; None in subcommands."""
        return super().get_help_record(ctx) if ctx.parent is None else None


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a value for `start`; repeatable options after the subcommand add to those before it."""
    if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
        values, name = context.meta.setdefault(_VALUES, {}), str(option.name).removeprefix(_PREFIX)
        adds_up = isinstance(option, click.Option) and (option.multiple or option.count)
        values[name] = values[name] + value if adds_up and name in values else value


def _option(name: str, *names: str, **settings: Any) -> GlobalOption:
    return GlobalOption([_PREFIX + name, *names], callback=_keep, expose_value=False, **settings)


GLOBAL_OPTIONS = (
    _option(
        "settings", "-o", "--option", multiple=True, metavar="NAME=VALUE",
        help="Filesystem option: region=gz, s3.anon=true.",
    ),
    _option("endpoint", "--endpoint", metavar="URL", help="Same as -o endpoint=URL."),
    _option("as_json", "--json", is_flag=True, help="Print results and errors as JSON."),
    _option("progress", "--progress/--no-progress", default=None, help="Show progress bars; default: on a terminal."),
    _option(
        "bwlimit", "--bwlimit", type=rate, metavar="RATE",
        help="Limit bytes per second, each way: 500k, 10M.",
    ),
    _option(
        "verbose", "-v", "--verbose", count=True,
        help="Print files and retries; -vv: also requests.",
    ),
    _option(
        "quiet", "-q", "--quiet", is_flag=True,
        help="Print results and errors only.",
    ),
    _option(
        "log_file", "--log-file", metavar="FILE",
        help="Append the log of -v or -vv to FILE instead.",
    ),
)  # fmt: skip
"""All global options."""


def options_beside(own: Iterable[click.Parameter]) -> list[GlobalOption]:
    """Return the global options for a command that has options of its own, which keep the names that both have."""
    taken = {name for option in own for name in (*option.opts, *option.secondary_opts)}
    return [found for option in GLOBAL_OPTIONS if (found := _without(option, taken)) is not None]


def hidden_names(own: Iterable[click.Parameter]) -> list[str]:
    """Return the names of global options that mean something else in a command, because it has an option so named."""
    taken = {name for option in own for name in option.opts}
    return sorted(name for option in GLOBAL_OPTIONS for name in option.opts if name in taken)


def _without(option: GlobalOption, taken: set[str]) -> GlobalOption | None:
    """Return an option without some of its names, None if no name is left."""
    if taken.isdisjoint(option.opts) and taken.isdisjoint(option.secondary_opts):
        return option
    rest = copy(option)
    rest.opts = [name for name in option.opts if name not in taken]
    rest.secondary_opts = [name for name in option.secondary_opts if name not in taken]
    return rest if rest.opts else None


def value_of(context: click.Context, name: str, default: Any = None) -> Any:
    """Return the value of a global option, wherever it was given; `default` if it was not."""
    return context.meta.get(_VALUES, {}).get(name, default)


def start(context: click.Context) -> None:
    """Make the session of a command from the global options."""
    verbose, quiet = value_of(context, "verbose", 0), bool(value_of(context, "quiet"))
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other")
    verbosity = QUIET if quiet else NORMAL + verbose
    start_log(context, verbosity, value_of(context, "log_file"))
    for direction in (sending, receiving):
        direction.limit(value_of(context, "bwlimit"))
        context.call_on_close(partial(direction.limit, None))
    endpoint, as_json = value_of(context, "endpoint"), bool(value_of(context, "as_json"))
    settings = [*value_of(context, "settings", ()), *([f"endpoint={endpoint}"] if endpoint else [])]
    options = options_from(settings)
    shown = value_of(context, "progress", sys.stderr.isatty())
    session = Session(options, as_json, shown and not (as_json or quiet), verbosity)
    # error messages are made in the context of the group, too
    context.find_root().obj = context.obj = session
    # those with a protocol may be part of an alias for many commands
    bare = {name for name, _, _ in (setting.partition("=") for setting in settings) if "." not in name}
    context.call_on_close(partial(session.tell_unused, bare))
