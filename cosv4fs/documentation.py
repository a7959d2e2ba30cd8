"""The options as documentation shows them, from the table of options."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import TypeVar

from cosv4fs.options import MIB, Option, options_of, variables_of
from cosv4fs.protocols import ProtocolSpec
from cosv4fs.values import Choice, Flag, Integer, Number

C = TypeVar("C", bound=type)

_WIDTH = 100
"""Columns of a docstring."""

_SECTION = re.compile(r"^(?:Raises|Notes|Examples)\n-+$", re.MULTILINE)

_OF_FSSPEC = {
    "asynchronous, loop": "Accepted because fsspec passes them to every filesystem; this one is synchronous.",
    "skip_instance_cache": "Make a new instance even if fsspec has one with the same options.",
}


def shown_default(option: Option, protocol: ProtocolSpec) -> str:
    """Return the default of an option as readers see it; empty if there is none."""
    value = option.default_in(protocol)
    if value in ("", None):
        return ""
    if option.unit == "bytes" and value % MIB == 0:
        return f"{value // MIB} MiB"
    return str(value)


def valid_values(option: Option, protocol: ProtocolSpec) -> str:
    """Return the choices or the bounds and unit of an option; empty if its meaning tells them."""
    kind = option.kind_in(protocol)
    if isinstance(kind, Flag):
        return "true or false"
    if isinstance(kind, Choice):
        return ", ".join(kind.choices)
    return f"{kind.bounds} {option.unit}".strip() if isinstance(kind, (Integer, Number)) else ""


def lists_options(protocol: ProtocolSpec) -> Callable[[C], C]:
    """Decorate a filesystem: its docstring lists the options that the protocol takes, before its other sections."""

    def decorate(filesystem: C) -> C:
        text = inspect.cleandoc(filesystem.__doc__ or "")
        found = _SECTION.search(text)
        place = found.start() if found else len(text)
        filesystem.__doc__ = "\n\n".join([text[:place].rstrip(), _parameters(protocol), text[place:]]).rstrip()
        return filesystem

    return decorate


def _parameters(protocol: ProtocolSpec) -> str:
    lines = ["Parameters", "----------"]
    for option in options_of(protocol):
        lines += [f"{option.name} : {option.kind_in(protocol).annotation}, optional", _described(option, protocol)]
    for name, meaning in _OF_FSSPEC.items():
        lines += [f"{name} : optional", _indented(meaning)]
    return "\n".join(lines)


def _described(option: Option, protocol: ProtocolSpec) -> str:
    """Return what a docstring says of an option."""
    default, values = shown_default(option, protocol), valid_values(option, protocol)
    variable = variables_of(protocol).get(option.name)
    facts = [
        f"Values: {values}." if values and not isinstance(option.kind, (Choice, Flag)) else "",
        f"Default: {default}." if default else "",
        f"Environment variable: {variable}." if variable else "",
    ]
    return _indented(" ".join([option.meaning, *filter(None, facts)]))


def _indented(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")
