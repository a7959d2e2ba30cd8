"""The classes of all commands: they take the global options, report errors, and group subcommands in the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from cosv4fs.cli.failures import parsing_error, reporting
from cosv4fs.cli.global_options import hidden_names, options_beside, start, value_of


class Command(click.Command):
    """A command that takes the global options, also after its name, and reports errors in one line or as JSON."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with the global options."""
        own = super().get_params(ctx)
        return [*own, *options_beside(own)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and the names of the global ones."""
        super().format_options(ctx, formatter)
        _format_global_options(super().get_params(ctx), formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn exceptions into an error message and an exit code."""
        with reporting(ctx, as_json=bool(value_of(ctx, "as_json")), debug=value_of(ctx, "verbose", 0) > 1):
            start(ctx)
            return super().invoke(ctx)


class Group(click.Group):
    """A group of commands, in sections; it takes the global options, too."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._sections: dict[str, list[str]] = {}

    def add_section(self, heading: str, *commands: click.Command) -> None:
        """Add subcommands, which the help lists under a heading."""
        for each in commands:
            self.add_command(each)
            self._sections.setdefault(heading, []).append(str(each.name))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with the global options."""
        own = super().get_params(ctx)
        return [*own, *options_beside(own)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and subcommands; in groups below the root, also the names of the global options."""
        super().format_options(ctx, formatter)
        if ctx.parent is not None:
            _format_global_options(super().get_params(ctx), formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands under their headings."""
        sections = self._sections or {"Commands": self.list_commands(ctx)}
        width = max(map(len, self.commands), default=0)
        for heading, names in sections.items():
            texts = [self.commands[name].get_short_help_str(formatter.width - width - 6) for name in names]
            with formatter.section(heading):
                # padded, so that the columns of all sections agree
                formatter.write_dl([(name.ljust(width), text) for name, text in zip(names, texts, strict=True)])


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a `Command` of a function, as `click.command` does."""
    return click.command(name, cls=Command, **settings)


def _format_global_options(own: Sequence[click.Parameter], formatter: click.HelpFormatter) -> None:
    names = []
    for option in options_beside(own):
        both = "/".join([option.opts[0], *option.secondary_opts])
        names.append(f"{both} {option.metavar}" if option.metavar else both)
    with formatter.section("Global options"):
        formatter.write_text(f"{', '.join(names)}: see cosv4fs --help")
        if hidden := hidden_names(own):
            formatter.write_text(f"{', '.join(hidden)}: described above; give the global one before the subcommand")


def run(group: click.Group, arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code."""
    try:
        code = group.main(list(arguments), prog_name="cosv4fs", standalone_mode=False)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except click.Abort:
        code = parsing_error(KeyboardInterrupt(), arguments)
    except (click.ClickException, OSError) as error:
        code = parsing_error(error, arguments)
    return code if isinstance(code, int) else 0
