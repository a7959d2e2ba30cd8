"""``python -m tests.options``: write the tables of `cosv4fs/reference/options.md` from `cosv4fs.options.OPTIONS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cosv4fs.options import OPTIONS, Option, variables_of
from cosv4fs.protocols import CDCS, V3, V4

PAGE = Path(__file__).resolve().parent.parent / "cosv4fs" / "reference" / "options.md"
MARKS = "<!-- {name}: begin (written by python -m tests.options) -->\n", "<!-- {name}: end -->"
FIRST = {"access": "security_token", "requests": "use_ssl", "transfers": "max_concurrency", "listings": "sign_expiry"}
"""The tables of the options that are not the account's, by the first one of each."""
SERVICES = {"cosv4": "COS v4", "cosv3": "COS v3", "cdcs": "coffers"}


def tables() -> dict[str, str]:
    """Return the tables by the names of their places."""
    account = [option for option in OPTIONS if option.name in variables_of(V4)]
    rows: dict[str, list[tuple[str, ...]]] = {name: [] for name in FIRST}
    name = ""
    for option in (option for option in OPTIONS if option not in account):
        name = next((table for table, first in FIRST.items() if first == option.name), name)
        rows[name].append((f"`{option.name}`", _default(option), _values(option), _text(option)))
    return {
        "account": _table(
            ("option", "environment variable", "meaning"),
            ((f"`{option.name}`", f"`{variables_of(V4)[option.name]}`", _text(option)) for option in account),
        ),
        **{name: _table(("option", "default", "values", "meaning"), rows[name]) for name in FIRST},
    }


def _table(heads, rows) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("| --- ", "|---").replace("--- |", "---|") for line in lines)


def _text(option: Option) -> str:
    notes = [f"Not for {SERVICES[name]}: {why}." for name, why in option.refused.items()]
    if option.refused.keys() == {V4.name, V3.name}:
        notes = [f"For coffers only, from `{variables_of(CDCS)[option.name]}`."]
    return " ".join([option.meaning.replace("``", "`"), *notes])


def _default(option: Option) -> str:
    own = [f"{option.default_text(CDCS)} for coffers"] if CDCS.name in option.defaults else []
    usual = option.default_text(V4)
    return ", ".join(filter(None, [f"`{usual}`" if usual in ("True", "False") else usual, *own]))


def _values(option: Option) -> str:
    own = [f"for coffers {option.values_text(CDCS)}" for _ in option.kinds if option.values_text(CDCS)]
    return "; ".join(filter(None, [option.values_text(V4), *own]))


def places(text: str, name: str) -> tuple[int, int]:
    """Return where a table begins and ends in a text."""
    begin, end = (mark.format(name=name) for mark in MARKS)
    return text.index(begin) + len(begin), text.index(end)


def main(arguments: Sequence[str] = ()) -> int:
    """Write the tables; return the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        start, stop = places(text, name)
        text = text[:start] + table + text[stop:]
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
