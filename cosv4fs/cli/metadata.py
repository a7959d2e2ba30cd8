"""The options for what copies carry beside the content, the same for cp, sync and migrate: `metadata_options`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import click

from cosv4fs.cli.commands import SectionOption
from cosv4fs.cli.session import Session
from cosv4fs.migrate.metadata import Lost, MetadataOptions, not_carried_text

_option = functools.partial(click.option, cls=SectionOption, section="Metadata")

_OPTIONS = (
    _option(
        "--no-metadata", is_flag=True,
        help="Copy the content alone, without types, headers, user metadata and times.",
    ),
    _option(
        "--content-type", metavar="TYPE",
        help="Set the type of all copies; default: as the source.",
    ),
)  # fmt: skip


def metadata_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as `metadata`."""

    @functools.wraps(function)
    def command(*args: Any, no_metadata: bool, content_type: str | None, **values: Any) -> Any:
        return function(*args, **values, metadata=MetadataOptions(not no_metadata, content_type))

    for option in reversed(_OPTIONS):
        option(command)
    return command


def tell_not_carried(session: Session, lost: Mapping[str, Lost]) -> None:
    """Print how many files lost attributes, if any did."""
    text = not_carried_text(lost)
    if text:
        session.tell(text)
