"""The commands stat and attrs, which show what is stored for single paths."""

from __future__ import annotations

import stat as modes
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from cosv4fs.attributes import ATTRIBUTES
from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.session import WRITE_ONCE, Session, own_filesystem
from cosv4fs.display import human_size
from cosv4fs.migrate.infos import info_of
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.s3_metadata import head

_TIMES = ("created", "mtime", "modified", "ctime", "atime")

_ON_S3 = [row.s3 for row in ATTRIBUTES.values() if row.s3]
"""What S3 stores beside the content, by the names of its replies; they do not show permissions."""


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.pass_obj
def stat(session: Session, urls: tuple[str, ...]) -> None:
    """Show everything that is known about files or directories.

    In buckets this includes the attributes (content type, headers, user metadata, permission) and an unfinished upload.
    """
    failures = FailureLog()

    def found() -> Iterator[dict[str, Any]]:
        is_first = True
        for location in matches(session, urls, failures):
            with failures.recording(location):
                row = _details(location)
                if not session.as_json:
                    _say_details(session, row, is_first=is_first)
                is_first = False
                yield row

    session.show(found(), None, failures)
    failures.exit()


@command(short_help="Show or change the attributes of a file.")
@click.argument("url")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--remove", multiple=True, metavar="NAME", help="Remove an attribute. Repeatable.")
@click.pass_obj
def attrs(session: Session, url: str, settings: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Show the attributes of a file, or change some of them.

    The names are content_type, cache_control, content_disposition, content_encoding, content_language, biz_attr and
    authority (private, public-read or default); any other name is that of user metadata. In coffers and on S3,
    attributes can only be shown.
    """
    location = session.location(url)
    changes: dict[str, str | None] = dict.fromkeys(remove)
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{setting!r} is not NAME=VALUE")
        if name in changes:
            raise click.UsageError(f"{name} is given twice")
        changes[name] = value
    if changes:
        _change_attributes(location, changes)
    found = _attributes(location, info_of(location))
    if session.as_json:
        session.show_json({"url": location.url, "attributes": found})
    else:
        for line in _lines(found or {}):
            session.say(line)


def matches(session: Session, urls: Iterable[str], failures: FailureLog) -> Iterator[Location]:
    """Yield the locations of URLs and patterns; record those that do not exist."""
    for url in urls:
        with failures.recording():
            yield from expand_pattern(session.location(url))


def _details(location: Location) -> dict[str, Any]:
    """Return the info of a path, with attributes, account and unfinished uploads where the filesystem has such."""
    uploads = _uploads(location)
    row: dict[str, Any] = {"url": location.url}
    try:
        info = info_of(location)
    except FileNotFoundError:
        if not uploads:
            raise
        row["type"] = "unfinished upload"
    else:
        row |= info
        if (attributes := _attributes(location, info)) is not None:
            row["attributes"] = attributes
    if location.address:
        row["address"] = location.address
    elif location.protocols & S3:
        region = location.fs.client_kwargs.get("region_name")
        row |= {name: value for name, value in (("endpoint", location.fs.endpoint_url), ("region", region)) if value}
    return row | ({"uploads": uploads} if uploads else {})


def _attributes(location: Location, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is stored beside the content; None if there is nothing, or if nothing is shown without keys."""
    fs = own_filesystem(location.fs)
    if fs is not None:
        if "/" not in location.path or fs.config.anon:
            return None
        return dict(fs.attributes(location.path))
    if location.protocols & S3 and info["type"] == "file":
        reply = head(location)
        return {name: reply[name] for name in _ON_S3 if name in reply}
    metadata = getattr(location.fs, "metadata", None)
    return {"metadata": dict(metadata(location.path))} if metadata and info["type"] == "file" else None


def _uploads(location: Location) -> list[dict[str, Any]]:
    """Return the unfinished uploads of a file itself; those below a directory would cost a listing of the tree."""
    fs = own_filesystem(location.fs)
    if fs is None or "/" not in location.path or fs.config.anon or fs.isdir(location.path):
        return []
    return [dict(row) for row in fs.uploads(location.path) if row["name"] == location.path]


def _change_attributes(location: Location, changes: Mapping[str, str | None]) -> None:
    change = getattr(location.fs, "setxattrs", None)
    if not location.capabilities.replaces_files:
        raise NotImplementedError(f"{location.url}: its attributes cannot be changed, {WRITE_ONCE}")
    if change is None:
        text = "its filesystem cannot change the attributes of an existing file: write the file again with them"
        raise NotImplementedError(f"{location.url}: {text}")
    change(location.path, **changes)


def _say_details(session: Session, row: Mapping[str, Any], *, is_first: bool) -> None:
    if not is_first:
        session.say("")
    attributes = row.get("attributes") or {}
    for name, value in row.items():
        if name in attributes:
            # the attributes follow, and are newer than the info
            continue
        if name == "attributes":
            for line in _lines(value):
                session.say(line)
        elif name == "uploads":
            for upload in value:
                total = "" if upload["size"] is None else f" of {human_size(upload['size'])}"
                session.say(f"unfinished upload: {human_size(upload['stored'])}{total}, {_time(upload['mtime'])}")
        else:
            session.say(f"{name}: {_readable(name, value)}")


def _lines(attributes: Mapping[str, Any]) -> Iterator[str]:
    for name, value in attributes.items():
        if isinstance(value, Mapping):
            yield from (f"{name.lower()} {key}: {text}" for key, text in value.items())
        elif value not in ("", None):
            yield f"{name}: {value}"


def _readable(name: str, value: Any) -> str:
    """Format a value; times are in Unix seconds."""
    if name in _TIMES and isinstance(value, (int, float)):
        return _time(value)
    return modes.filemode(value) if name == "mode" and isinstance(value, int) else str(value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
