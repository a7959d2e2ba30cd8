"""The display of filesystems and listings, in notebooks and on terminals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from html import escape
from typing import Any

from cosv4fs.config import Config
from cosv4fs.options import OPTIONS

_MAX_ROWS = 50
"""Rows of a listing that a notebook displays."""

_SHOWN_APART = ("appid", "region", "endpoint", "anon")
"""Options that the first rows of the table contain."""


class Listing(list[Any]):
    """The list that `ls` returns; notebooks display it as a table."""

    def _repr_html_(self) -> str:
        # one zone for all rows, whatever the time of the year
        zone = datetime.now().astimezone().tzinfo
        headings = ("name", "size", f"changed ({zone})") if any(isinstance(item, dict) for item in self) else ("name",)
        rows = [_row(item, zone) for item in self[:_MAX_ROWS]]
        more = [(f"… and {len(self) - _MAX_ROWS} more",)] if len(self) > _MAX_ROWS else []
        return _table(headings, [*rows, *more])


def _row(item: object, zone: tzinfo | None) -> tuple[str, ...]:
    if not isinstance(item, dict):
        return (str(item),)
    if item.get("type") == "directory":
        return f"{item['name']}/", "", ""
    return str(item["name"]), human_size(item.get("size") or 0), human_time(item.get("mtime"), zone)


def address_of(config: Config) -> str:
    """Return the appid of a filesystem and its region or endpoint."""
    where = f"at {config.endpoint or config.region or config.api_root}"
    return f"{config.appid} {where}" if config.appid else where


def filesystem_text(name: str, config: Config | None) -> str:
    """Return the repr of a filesystem; `config` is None if the constructor failed."""
    if config is None:
        return f"<{name} (not initialized)>"
    return f"<{name} {'appid=' if config.appid else ''}{address_of(config)}>"


def filesystem_html(name: str, config: Config | None) -> str:
    """Return an HTML table with the account of a filesystem and its non-default options, without secrets."""
    if config is None:
        return escape(filesystem_text(name, config))
    account = [
        ("API", config.api_root),
        ("appid", config.appid),
        ("access", "anonymous" if config.anon else "signed"),
    ]
    shown = [option for option in OPTIONS if option.is_stored and not option.is_secret]
    changed = [
        (option.name, str(getattr(config, option.name)))
        for option in shown
        if option.name not in _SHOWN_APART and getattr(config, option.name) != option.default_in(config.protocol)
    ]
    return f"<b>{escape(name)}</b>" + _table((), [*(row for row in account if row[1]), *changed])


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        style = ' style="text-align: left"'
        return "<tr>" + "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = line(headings, "th")
    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Format a number of things: ``1 file``, ``1,200 files``; the plural adds an s unless it is given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def human_time(seconds: float | None, zone: tzinfo | None = None) -> str:
    """Format Unix seconds as time of a zone, or as local time: ``2024-05-06 07:08:09``; nothing if there are none."""
    return datetime.fromtimestamp(seconds, tz=zone).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


def human_size(count: float) -> str:
    """Format a number of bytes: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
