"""The classes of all commands: they take the global options, report errors, and group subcommands in the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from cosv4fs.cli.examples import EXAMPLES
from cosv4fs.cli.failures import NoSubcommandError, parsing_error, reporting
from cosv4fs.cli.global_options import hidden_names, options_beside, start, value_of
from cosv4fs.cli.process import OUTPUT
from cosv4fs.localfiles import naming_file


class SectionOption(click.Option):
    """An option that the help lists under a heading of its own."""

    def __init__(self, *args: Any, section: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return None, so that the option is not listed with the others."""
        return None

    def section_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the description."""
        return super().get_help_record(ctx)


_ARGUMENTS = "cosv4fs.cli.commands.arguments"
"""The key of the arguments of a command, as they were given, in `click.Context.meta`."""


class _Path(click.types.StringParamType):
    """A URL or local path; shells complete local paths."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave local paths to the shell; to complete remote ones would take requests."""
        return [] if "://" in incomplete else [CompletionItem(incomplete, type="file")]


class Command(click.Command):
    """A command that takes the global options, also after its name, and reports errors in one line or as JSON."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for argument in self.params:
            if isinstance(argument, click.Argument) and argument.type is click.STRING:
                argument.type = _Path()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and keep them for `given_in_order`."""
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with the global options."""
        own = super().get_params(ctx)
        return [*own, *options_beside(own)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of each section, and the names of the global ones."""
        super().format_options(ctx, formatter)
        own = super().get_params(ctx)
        _format_sections(ctx, own, formatter)
        _format_global_options(own, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        examples = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        if examples:
            with formatter.section("Examples"):
                for line in examples:
                    # not wrapped, so that they can be copied
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; none at all is an error that shows the help text, with every version of click."""
        if not (args or ctx.resilient_parsing):
            raise NoSubcommandError(ctx)
        return super().parse_args(ctx, args)

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


def given_in_order(ctx: click.Context, *names: str) -> list[tuple[str, Any]]:
    """Return the names and converted values of repeatable options, in the order in which they were given.

    Click collects the values of each option, without their order among those of other options.
    """
    _, _, order = ctx.command.make_parser(ctx).parse_args(list(ctx.meta[_ARGUMENTS]))
    values = {name: iter(ctx.params[name]) for name in names}
    return [(str(each.name), next(values[str(each.name)])) for each in order if each.name in values]


def _format_sections(ctx: click.Context, own: Sequence[click.Parameter], formatter: click.HelpFormatter) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    for option in own:
        if isinstance(option, SectionOption) and (record := option.section_record(ctx)):
            sections.setdefault(option.section, []).append(record)
    for heading, records in sections.items():
        with formatter.section(heading):
            formatter.write_dl(records)


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
        # commands report their errors: what is left is about help texts
        with naming_file(OUTPUT):
            code = group.main(list(arguments), prog_name="cosv4fs", standalone_mode=False)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except click.Abort:
        code = parsing_error(KeyboardInterrupt(), arguments)
    except (click.ClickException, OSError) as error:
        code = parsing_error(error, arguments)
    return code if isinstance(code, int) else 0
