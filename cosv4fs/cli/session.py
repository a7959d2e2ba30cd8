"""The shared parts of all commands: filesystem options, output as text or JSON, progress and parallel work."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from typing import Any, TypeAlias, TypeVar

import click
from fsspec.spec import AbstractFileSystem
from fsspec.utils import get_protocol

from cosv4fs.buckets import CosV3FileSystem, CosV4FileSystem
from cosv4fs.cli.failures import FailureLog, error_row
from cosv4fs.cli.logs import NORMAL, QUIET
from cosv4fs.cli.output import (
    json_document,
    json_text,
    log,
    print_line,
    print_message,
    printable,
    printing,
    printing_json_list,
)
from cosv4fs.coffers import CofferFileSystem
from cosv4fs.concurrency import Pool
from cosv4fs.migrate.access import check_access
from cosv4fs.migrate.locations import Location, open_location
from cosv4fs.options import OPTIONS, variables_of
from cosv4fs.protocols import CDCS, V3, V4, ProtocolSpec

_A = TypeVar("_A")
CosFileSystem: TypeAlias = CosV4FileSystem | CosV3FileSystem | CofferFileSystem
"""Filesystems of this package."""

PROTOCOLS = {protocol.name: protocol for protocol in (V4, V3, CDCS)}
"""Those of this package, by name."""

_ACCOUNT = frozenset(option.name for option in OPTIONS if option.has_variable)

WRITE_ONCE = "because coffers are write-once: files are removed only by the lifecycle rules"
"""The end of messages that refuse to change a file in a coffer."""


@dataclass
class Session:
    """One run of the command: filesystem options by protocol, and what it prints.

    Parameters
    ----------
    options : dict
        Filesystem options, by protocol.
    as_json : bool
        Whether to print results as JSON.
    progress : bool
        Whether to show progress bars on stderr.
    verbosity : int
        `cosv4fs.cli.logs.QUIET`, ``NORMAL``, ``VERBOSE`` or ``DEBUG``.
    """

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    as_json: bool = False
    progress: bool = False
    verbosity: int = NORMAL
    has_answered: bool = False
    """Whether the JSON document of the command was printed."""
    _opening: str = ""
    """The URL that is being resolved, or could not be resolved."""
    _foreign: set[str] = field(default_factory=set, repr=False)
    """The URLs of filesystems of other packages."""
    _opened: list[tuple[str, str]] = field(default_factory=list, repr=False)
    _protocols: set[str] = field(default_factory=set, repr=False)
    """The protocols of all paths that were opened."""
    _filesystems: list[tuple[CosFileSystem, int]] = field(default_factory=list, repr=False)

    def location(self, url: str) -> Location:
        """Resolve a URL or local path."""
        self._opening = url
        self._protocols.update(get_protocol(part) for part in url.split("::"))
        location = open_location(url, self.options)
        check_access(location)
        self._opening = ""
        fs = own_filesystem(location.fs)
        if fs is None and not location.is_local:
            self._foreign.add(location.url)
        if fs is not None:
            self._opened.append((location.path, str(fs.protocol)))
            if all(fs.client is not known.client for known, _ in self._filesystems):
                # what later instances with its configuration share lives as long as it does
                self._filesystems.append((fs, fs.client.retries))
        return location

    @property
    def foreign_url(self) -> str | None:
        """The URL that an error of another package concerns; None if it could be any of several."""
        if self._opening:
            return self._opening if get_protocol(self._opening) not in {"file", "local", *PROTOCOLS} else None
        return next(iter(self._foreign)) if len(self._foreign) == 1 else None

    def url(self, path: str) -> str:
        """Return the URL of a path in a bucket, with the protocol of the most similar path among those opened."""

        def common_parts(opened: tuple[str, str]) -> int:
            pairs = zip(path.split("/"), opened[0].split("/"), strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        return f"{max(self._opened, key=common_parts, default=('', V4.name))[1]}://{path}"

    def cos_filesystem(self, url: str) -> tuple[CosFileSystem, str]:
        """Return the filesystem and the path of a ``cosv4://``, ``cosv3://`` or ``cdcs://`` URL; refuse others."""
        location = self.location(url)
        fs = own_filesystem(location.fs)
        if fs is None:
            raise click.UsageError(f"{url}: this command works on cosv4://, cosv3:// and cdcs:// URLs only")
        return fs, location.path

    def show(self, rows: Iterable[_A], line: Callable[[_A], str] | None, failures: FailureLog | None = None) -> None:
        """Print rows as they come, one per line, if there is a `line` for them, or all as one JSON list.

        The last rows of the list are the failures; also an error that ends it after it has begun.
        """
        if not self.as_json:
            for row in rows:
                if line is not None:
                    self.say(line(row))
            return
        found = iter(rows)
        first = list(islice(found, 1))
        self.has_answered = True
        with printing_json_list(error_row) as out:
            try:
                for row in chain(first, found):
                    out.add(row)
            finally:
                for failed in failures.rows if failures else ():
                    out.add(failed)

    def show_tree(self, rows: Iterable[tuple[int, dict[str, Any]]]) -> None:
        """Print rows, each with its level, as a nested JSON list, as they come.

        The rows after one that has an empty list ``children``, its last member, are printed in that list, as long as
        their level is deeper. An error that ends the rows becomes the last row of the outer list.
        """
        self.has_answered = True
        with printing_json_list(error_row) as out:
            for level, row in rows:
                out.close(level + 1)
                if row.get("children") == []:
                    out.begin(json_text(row).removesuffix("]}"), "]}")
                else:
                    out.add(row)

    def say(self, text: str) -> None:
        """Print a line; on a terminal, without control characters."""
        print_line(text)

    @property
    def retries(self) -> int:
        """The requests of this run that had to be repeated, by the filesystems of this package."""
        return sum(fs.client.retries - before for fs, before in self._filesystems)

    def tell(self, text: str, *, is_shown: bool = True) -> None:
        """Print a line on stderr, such as a summary, unless the command is quiet; a log file has it in any case."""
        log.info("%s", text)
        if is_shown and self.verbosity > QUIET:
            print_message(printable(text))

    def tell_unused(self, names: Collection[str]) -> None:
        """Print the options that were given without a protocol, if no path is one of this package's services."""
        if names and self._protocols and self._protocols.isdisjoint(PROTOCOLS):
            text = "name the protocol of the path, as in -o s3.endpoint_url=URL"
            self.tell(f"cosv4fs: no path uses -o {', '.join(sorted(names))}: {text}")

    def show_json(self, value: dict[str, Any] | list[Any]) -> None:
        """Print an object or a list as the JSON document of the command."""
        document = json_document(value)
        with printing() as put:
            self.has_answered = True
            put(document)


def own_filesystem(fs: AbstractFileSystem) -> CosFileSystem | None:
    """Return a filesystem if it is one of this package, None for any other."""
    return fs if isinstance(fs, CosFileSystem) else None


transfers = click.option(
    "-j", "--transfers", "jobs", type=click.IntRange(1, 64), default=8, show_default=True, metavar="N",
    help="Files in parallel.",
)  # fmt: skip
"""The option for the first argument of `for_each`."""


def for_each(
    jobs: int,
    action: Callable[[_A], None],
    items: Iterable[_A],
    failures: FailureLog,
    done: Callable[[_A, str | None], object] = lambda _item, _error: None,
) -> None:
    """Call `action` with every item, `jobs` in parallel; record failures and continue, unless access is lost.

    `done` is called, in the calling thread, with each item and its error message, or None, as soon as the item is done.
    Ctrl-C cancels the running calls and is raised when they have ended.
    """

    def attempt(item: _A) -> tuple[_A, Exception | None]:
        try:
            action(item)
        except Exception as error:  # noqa: BLE001 - one item must not stop the others
            return item, error
        return item, None

    def record(outcome: tuple[_A, Exception | None]) -> None:
        item, error = outcome
        done(item, None if error is None else failures.record(error, item))
        failures.end_item(error)

    Pool(jobs, "cosv4fs-command").map_unordered(attempt, items, record)


def options_from(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Parse options such as ``appid=1250000000`` and ``s3.anon=true``; return them by protocol.

    Options without a protocol apply to all services of this package; those of the account, such as an appid, only to
    services whose accounts have them. An option with a protocol takes precedence. The values of our options stay text,
    which the table of options parses; those of other filesystems are parsed as JSON where possible.
    """
    common: dict[str, dict[str, Any]] = {}
    named: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{setting!r} is not NAME=VALUE or PROTOCOL.NAME=VALUE")
        protocol, dot, option = name.rpartition(".")
        if dot:
            named.setdefault(protocol, {})[option] = text if protocol in PROTOCOLS else _from_json(text)
            continue
        for each in (each for each, spec in PROTOCOLS.items() if _has(spec, option)):
            common.setdefault(each, {})[option] = text
    return {protocol: common.get(protocol, {}) | named.get(protocol, {}) for protocol in {**common, **named}}


def _has(protocol: ProtocolSpec, option: str) -> bool:
    """Return whether accounts of a service have an option; other options are checked by the service."""
    return option not in _ACCOUNT or option in variables_of(protocol)


def _from_json(text: str) -> Any:
    """Parse a text as JSON, also ``True`` and ``False``; return the text itself if it is not JSON."""
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
