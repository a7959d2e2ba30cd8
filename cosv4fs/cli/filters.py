"""The options that select files, the same for all commands that work on trees: `filters`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from cosv4fs.cli.commands import SectionOption, given_in_order
from cosv4fs.cli.process import standard_input
from cosv4fs.cli.session import Session
from cosv4fs.cli.values import point_in_time, size
from cosv4fs.migrate.selection import EVERYTHING, Links, Rule, Selection

_STDIN_USED = "cosv4fs.cli.filters.stdin"
"""The key in `click.Context.meta` that is set when an option has read standard input."""


def _include(pattern: str) -> tuple[Rule, ...]:
    return (_rule(pattern, includes=True),)


def _exclude(pattern: str) -> tuple[Rule, ...]:
    return (_rule(pattern, includes=False),)


def _rule(pattern: str, *, includes: bool, where: str = "") -> Rule:
    try:
        return Rule(pattern, includes)
    except ValueError as error:
        raise click.BadParameter(f"{where}{error}") from None


def _excludes_in(file: str) -> tuple[Rule, ...]:
    """Return the patterns in a text file, one per line."""
    lines = ((line.strip(), where) for line, where in _lines(file))
    return tuple(_rule(line, includes=False, where=f"{where}: ") for line, where in lines if line[0] not in "#;")


def _names_in(file: str) -> frozenset[str]:
    """Return the relative paths in a text file, one per line."""
    names = set()
    for line, where in _lines(file):
        path = line.removeprefix("./").lstrip("/")
        if {"", ".", ".."} & set(path.split("/")):
            raise click.BadParameter(f"{where}: {line!r} is not the path of a file in the source")
        names.add(path)
    return frozenset(names)


def _lines(file: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a text file that is not blank, and where it is; ``-`` is standard input."""
    name = "standard input" if file == "-" else file
    if file == "-":
        meta = click.get_current_context().meta
        if _STDIN_USED in meta:
            raise click.BadParameter("standard input (-) can be read once only")
        meta[_STDIN_USED] = True
    try:
        data = standard_input().read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{name}: {error.strerror}") from None
    # names of local files need not be UTF-8
    for number, line in enumerate(data.decode("utf-8-sig", "surrogateescape").split("\n"), 1):
        if line.strip():
            yield line.removesuffix("\r"), f"line {number} of {name}"


_option = functools.partial(click.option, cls=SectionOption, section="Filters")

_FILTERS = {
    "include": _option(
        "--include", multiple=True, type=_include, metavar="PATTERN",
        help="Select files that match; rules: cosv4fs find --help.",
    ),
    "exclude": _option(
        "--exclude", multiple=True, type=_exclude, metavar="PATTERN",
        help="Leave out files that match.",
    ),
    "exclude_from": _option(
        "--exclude-from", multiple=True, type=_excludes_in, metavar="FILE",
        help="Read --exclude patterns from FILE (-: standard input).",
    ),
    "files_from": _option(
        "--files-from", multiple=True, type=_names_in, metavar="FILE",
        help="Select only the paths in FILE (-: standard input).",
    ),
    "min_size": _option(
        "--min-size", type=size, metavar="SIZE",
        help="Select files of at least SIZE: 500, 10k, 1.5M.",
    ),
    "max_size": _option("--max-size", type=size, metavar="SIZE", help="Select files of at most SIZE."),
    "newer_than": _option(
        "--newer-than", type=point_in_time, metavar="TIME",
        help="Select files modified since TIME: 36h, 7d or 2w ago, or a date such as 2024-01-31T12:00Z or 2024-01-31.",
    ),
    "older_than": _option(
        "--older-than", type=point_in_time, metavar="TIME",
        help="Select files modified before TIME.",
    ),
}  # fmt: skip

FILTER_RULES = """
\b
Patterns of --include and --exclude match paths relative to the named URL:
  *.csv       files of this name, in any directory
  /a/*.csv    files in directory a of the named URL
  tmp/        all files below any directory tmp
  * ?         any characters, any one character, except slashes
  **          any characters
  [a-z] [!a]  one of these characters, none of them
  {a,b}       either of these texts

The last match of --include and --exclude decides. What matches none is selected, unless an --include comes first.

FILE has one pattern of --exclude-from per line, where # and ; begin comments, or one relative path of --files-from,
where a missing one is an error. 1k is 1024 bytes. Files without a time are neither newer nor older.
"""
"""What the help texts of the options do not say; that of ``find`` does."""

_LINKS = {
    "skip_links": _option(
        "--skip-links", is_flag=True, help="Leave out symbolic links in a local source."
    ),
    "follow_links": _option(
        "--follow-links", is_flag=True,
        help="Follow links to directories; default: refuse them.",
    ),
}  # fmt: skip


def filters(*, links: bool = False, follow: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options that select files; the command gets them as `selection`.

    Parameters
    ----------
    links : bool
        Add the options for symbolic links in a local source, too; without them, links are listed as such.
    follow : bool
        Add --follow-links with them; not for commands that remove what they follow.
    """
    options = {**_FILTERS, **(_LINKS if links else {})}
    if not follow:
        options.pop("follow_links", None)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*args: Any, **values: Any) -> Any:
            chosen = {name: values.pop(name) for name in options}
            return function(*args, **values, selection=_selection(click.get_current_context(), chosen))

        for option in reversed(options.values()):
            option(command)
        return command

    return decorate


def check_filters(selection: Selection, sources: Sequence[str]) -> None:
    """Refuse filters that mean nothing for the sources of a command.

    Raises
    ------
    click.UsageError
        Standard input cannot be filtered, and the paths of --files-from cannot be in several directories.
    """
    if "-" in sources and not selection.is_everything:
        raise click.UsageError("standard input (-) has no name, size and time to filter by")
    if selection.names is not None and len(sources) > 1:
        raise click.UsageError("--files-from lists paths in one directory: name one instead of several")


def tell_if_none_selected(session: Session, selection: Selection, files: int) -> None:
    """Say that the filters select no file of the source: with a misspelled pattern, a run looks like a success."""
    if not (files or selection.is_everything):
        session.tell("cosv4fs: the filters select no file of the source")


def _selection(context: click.Context, chosen: dict[str, Any]) -> Selection:
    _check_limits(chosen, "min_size", "max_size", "is larger than")
    _check_limits(chosen, "newer_than", "older_than", "is later than")
    given = given_in_order(context, "include", "exclude", "exclude_from")
    names: tuple[frozenset[str], ...] = chosen["files_from"]
    return Selection(
        tuple(rule for _, rules in given for rule in rules),
        frozenset().union(*names) if names else None,
        chosen["min_size"],
        chosen["max_size"],
        chosen["newer_than"],
        chosen["older_than"],
        links=_links(**chosen) if "skip_links" in chosen else "list",
    )


def _links(*, skip_links: bool, follow_links: bool = False, **_: Any) -> Links:
    if skip_links and follow_links:
        raise click.UsageError("--skip-links and --follow-links contradict each other")
    if skip_links:
        return "skip"
    return "follow" if follow_links else EVERYTHING.links


def _check_limits(chosen: dict[str, Any], lower: str, upper: str, relation: str) -> None:
    if None not in (chosen[lower], chosen[upper]) and chosen[lower] > chosen[upper]:
        low, high = (f"--{name.replace('_', '-')}" for name in (lower, upper))
        raise click.UsageError(f"{low} {relation} {high}: no file could be selected")
