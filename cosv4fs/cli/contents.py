"""The commands cat, sha1sum and sign, which need the contents of files, or give access to them."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.details import matches
from cosv4fs.cli.failures import DIFFERENT, FailureLog
from cosv4fs.cli.process import standard_input, standard_output
from cosv4fs.cli.session import Session
from cosv4fs.migrate.copying import BLOCK, read_sha1
from cosv4fs.migrate.infos import info_of, recorded_sha1
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.plan import expand_pattern

_SPAN = re.compile(r"(-?\d{1,18})?:(-?\d{1,18})?")
_SUM_LINE = re.compile(r"(\\?)([0-9a-fA-F]{40}) [ *](.+)")


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


@command(short_help="Print or check the SHA-1 of files.")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("-c", "--check", is_flag=True, help="Read sums from files (- is standard input), and check them.")
@click.pass_obj
def sha1sum(session: Session, urls: tuple[str, ...], check: bool) -> None:
    """Print the SHA-1 of files, in the format of sha1sum(1): the one stored by the service, or else of what is read.

    With --check, exit code 5 says that a file differs.
    """
    failures, different = FailureLog(), []

    def checked() -> Iterator[dict[str, Any]]:
        # a line that is none refuses all of them
        for sums in [_sums_in(session, url) for url in urls]:
            for row in _checked(session, sums, failures):
                if not row["same"]:
                    different.append(row)
                yield row

    session.show(checked() if check else _summed(session, urls, failures), None, failures)
    failures.exit()
    if different:
        sys.exit(DIFFERENT)


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
        raise IsADirectoryError(errno.EISDIR, "only files can be signed", location.url)
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


def _span(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not START:STOP", param_hint="--range")
    return int(found[1]) if found[1] else None, int(found[2]) if found[2] else None


def _sha1(location: Location) -> str:
    info = info_of(location)
    if info["type"] == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a directory: name files", location.url)
    return recorded_sha1(location, info) or read_sha1(location)


def _summed(session: Session, urls: Iterable[str], failures: FailureLog) -> Iterator[dict[str, Any]]:
    for location in matches(session, urls, failures):
        with failures.recording(location):
            digest = _sha1(location)
            if not session.as_json:
                name = location.url.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
                session.say(f"{'' if name == location.url else chr(92)}{digest}  {name}")
            yield {"url": location.url, "sha1": digest}


def _sums_in(session: Session, url: str) -> list[tuple[str, str]]:
    """Return the SHA-1 and the name of each line of a file with sums."""
    if url == "-":
        data = standard_input().read()
    else:
        location = session.location(url)
        data = Path(location.path).read_bytes() if location.is_local else location.fs.cat_file(location.path)
    sums = []
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
        found = _SUM_LINE.fullmatch(line)
        if found is None:
            raise click.UsageError(f"{url}, line {number}: this is not a line of sha1sum")
        name = found[3]
        if found[1]:
            name = re.sub(r"\\(.)", lambda escape: {"n": "\n", "r": "\r"}.get(escape[1], escape[1]), name)
        sums.append((found[2].lower(), name))
    return sums


def _checked(session: Session, sums: Iterable[tuple[str, str]], failures: FailureLog) -> Iterator[dict[str, Any]]:
    for digest, name in sums:
        with failures.recording():
            location = session.location(name)
            is_same = _sha1(location) == digest
            if not session.as_json:
                session.say(f"{name}: {'OK' if is_same else 'FAILED'}")
            yield {"url": location.url, "same": is_same}
