"""The commands ls, tree, du, cat and sign."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.process import standard_output
from cosv4fs.cli.session import Session
from cosv4fs.display import human_size, human_time
from cosv4fs.migrate.copying import BLOCK
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import expand_pattern
from cosv4fs.migrate.trees import holds_files, modification_time

_SPAN = re.compile(r"(-?\d{1,18})?:(-?\d{1,18})?")


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-l", "--long", "is_long", is_flag=True, help="Show size and time.")
@click.option("-h", "--human-readable", "human", is_flag=True, help="With -l, show sizes as 1.5 MiB.")
@click.option("-R", "--recursive", is_flag=True, help="List subdirectories, too.")
@click.option("-d", "--directory", "itself", is_flag=True, help="List the directory itself, not its contents.")
@click.pass_obj
def ls(session: Session, urls: tuple[str, ...], is_long: bool, human: bool, recursive: bool, itself: bool) -> None:
    """List files and directories. Patterns such as 'cosv4://bucket/*.csv' are expanded; cdcs:// lists the coffers."""

    def line(row: dict[str, Any]) -> str:
        name = str(row["url"]) + ("/" if row["type"] == "directory" else "")
        if not is_long:
            return name
        size = human_size(row["size"]) if human else str(row["size"])
        return f"{'-' if row['type'] == 'directory' else size:>14}  {human_time(row['modified']):19}  {name}"

    locations = [location for url in urls for location in expand_pattern(session.location(url))]
    session.show((row for location in locations for row in _listed(location, recursive, itself)), line)


@command()
@click.argument("url")
@click.option("-L", "--level", type=click.IntRange(1), metavar="N", help="Show at most N levels.")
@click.pass_obj
def tree(session: Session, url: str, level: int | None) -> None:
    """Show a directory tree."""
    location = session.location(url)
    if not holds_files(location, location.fs.info(location.path)):
        raise NotADirectoryError(20, "it is a file: use ls or stat", location.url)
    if session.as_json:
        session.show_json(_nested(location, level))
        return
    session.say(location.url)
    counts = {"directory": 0, "file": 0}
    for text, kind in _branches(location, "", level):
        counts["directory" if kind == "directory" else "file"] += 1
        session.say(text)
    directories = f"{counts['directory']} director{'y' if counts['directory'] == 1 else 'ies'}"
    session.say("")
    session.say(f"{directories}, {counts['file']} file{'' if counts['file'] == 1 else 's'}")


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-h", "--human-readable", "human", is_flag=True, help="Show sizes as 1.5 MiB.")
@click.option("-s", "--summarize", is_flag=True, help="Show one total per argument, without its subdirectories.")
@click.pass_obj
def du(session: Session, urls: tuple[str, ...], human: bool, summarize: bool) -> None:
    """Show the total size of the files in each directory."""

    def line(row: dict[str, Any]) -> str:
        size = human_size(row["size"]) if human else str(row["size"])
        return f"{size:>14}  {row['files']:>9} file{'s' if row['files'] != 1 else ' '}  {row['url']}"

    session.show((row for url in urls for row in _sums(session.location(url), summarize)), line)


@command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--range", "span", metavar="START:STOP", help="Print only these bytes; -100: means the last hundred.")
@click.pass_obj
def cat(session: Session, urls: tuple[str, ...], span: str | None) -> None:
    """Print the contents of files, one after another."""
    if session.as_json:
        raise click.UsageError("standard output has the files: --json cannot be used")
    start, stop = _span(span)
    with standard_output() as out:
        for location in (location for url in urls for location in expand_pattern(session.location(url))):
            if span is not None:
                out.write(location.fs.cat_file(location.path, start, stop))
                continue
            with location.fs.open(location.path, "rb") as reader:
                while block := reader.read(BLOCK):
                    out.write(block)
        out.flush()


@command(short_help="Print a URL that downloads one file without credentials.")
@click.argument("url")
@click.option(
    "--expires",
    type=click.IntRange(1),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Lifetime of the URL.",
)
@click.pass_obj
def sign(session: Session, url: str, expires: int) -> None:
    """Print an http(s) URL that downloads one file without credentials.

    Until it expires, anyone with the URL can read the file, and any file whose path begins with the path of this one.
    Coffers (cdcs://) do not support signed URLs.
    """
    location = session.location(url)
    info = location.fs.info(location.path)
    if info["type"] == "directory":
        raise IsADirectoryError(21, "only files can be signed", location.url)
    if not location.capabilities.signs_urls:
        text = f"{location.capabilities.container}s do not support signed URLs: use cp or cat"
        raise NotImplementedError(f"{location.url}: {text}")
    try:
        signed = location.fs.sign(location.path, expiration=expires)
    except NotImplementedError as error:
        raise click.UsageError(f"{url}: this filesystem does not support signed URLs") from error
    if session.as_json:
        session.show_json({"url": location.url, "signed": signed, "expires": expires})
    else:
        session.say(signed)


def _listed(location: Location, recursive: bool, itself: bool) -> list[dict[str, Any]]:
    if itself:
        return [_row(location, location.fs.info(location.path))]
    if not recursive:
        return [_row(location, info) for info in _children(location)]
    listed = location.fs.find(location.path, withdirs=True, detail=True)
    # a listing with directories has only one info of a path that is both
    files = [(name, info) for name, info in location.fs.find(location.path, detail=True).items()]
    directories = [(name, info) for name, info in listed.items() if info["type"] == "directory"]
    found = sorted(files + directories, key=lambda item: item[0])
    return [_row(location, info) for name, info in found if name.rstrip("/") != location.path]


def _row(location: Location, info: dict[str, Any]) -> dict[str, Any]:
    url = location.at(info["name"].rstrip("/")).url
    return {"url": url, "type": info["type"], "size": int(info.get("size") or 0), "modified": modification_time(info)}


def _children(location: Location) -> list[dict[str, Any]]:
    return sorted(location.fs.ls(location.path, detail=True), key=lambda info: str(info["name"]))


def _branches(location: Location, indent: str, level: int | None) -> Iterator[tuple[str, str]]:
    children = _children(location)
    for number, info in enumerate(children, 1):
        is_last = number == len(children)
        child = location.at(info["name"].rstrip("/"))
        yield f"{indent}{'└── ' if is_last else '├── '}{child.name}", info["type"]
        if info["type"] == "directory" and level != 1:
            deeper = None if level is None else level - 1
            yield from _branches(child, indent + ("    " if is_last else "│   "), deeper)


def _nested(location: Location, level: int | None) -> list[dict[str, Any]]:
    rows = []
    for info in _children(location):
        child = location.at(info["name"].rstrip("/"))
        row = _row(location, info) | {"name": child.name}
        if info["type"] == "directory" and level != 1:
            row["children"] = _nested(child, None if level is None else level - 1)
        rows.append(row)
    return rows


def _sums(location: Location, summarize: bool) -> list[dict[str, Any]]:
    files = location.fs.find(location.path, detail=True)
    if not files:
        # the total of an empty directory is 0, but a missing one is an error
        location.fs.info(location.path)
    sums: dict[str, list[int]] = {location.path: [0, 0]}
    for name, info in files.items():
        for folder in {location.path} if summarize else _folders(name, location.path):
            total = sums.setdefault(folder, [0, 0])
            total[0] += int(info["size"] or 0)
            total[1] += 1
    return [
        {"url": location.at(folder).url, "size": size, "files": count} for folder, (size, count) in sorted(sums.items())
    ]


def _folders(name: str, top: str) -> set[str]:
    found = {top}
    while len(name := name.rpartition("/")[0]) > len(top):
        found.add(name)
    return found


def _span(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not START:STOP", param_hint="--range")
    return int(found[1]) if found[1] else None, int(found[2]) if found[2] else None
