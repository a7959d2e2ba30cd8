"""Pairs of source files and their targets, in a temporary database, so that memory does not grow with their number.

A *place* is the path of a target relative to that of the whole copy. Its *key* is the same for all places of one file:
local links may lead two places to one file, and so may the case of letters. Rows are in the order of their keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cosv4fs.localnames import LocalNames, folded, ignores_case, slashed
from cosv4fs.migrate.access import one_of_each
from cosv4fs.migrate.database import PAGE, Database
from cosv4fs.migrate.entries import Entry, is_utf8
from cosv4fs.migrate.locations import VERSION_MARK, Location
from cosv4fs.migrate.selection import EVERYTHING, Selection
from cosv4fs.migrate.trees import scan
from cosv4fs.paths import parents

if TYPE_CHECKING:
    from typing_extensions import Self

ListedCallback = Callable[[int], object]
"""Called with how many more files and directories were listed."""

_FILE, _DIRECTORY, _NOT_SELECTED = range(3)
"""Kinds of rows; a file that is not selected by its size or time shows that the other tree's file is no extra one."""

_UNUSUAL = re.compile(rf"(^|/)\.{{0,2}}(/|$)|\0|[\ud800-\udfff]|{re.escape(VERSION_MARK)}" if os.name != "nt" else "")
"""What a relative path has that may be invalid; everything may on Windows."""

_MAX_FOLDERS = 10_000
"""Directories that are known at once to be in the database."""

_TABLES = """
    CREATE TABLE ours (
        key BLOB NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL,
        place BLOB,             -- NULL if it is the key
        origin BLOB,            -- the key of the source, if it can be the target of others
        root INTEGER NOT NULL, size INTEGER NOT NULL, modified REAL, changed REAL, sha1 TEXT, md5 TEXT,
        refusal TEXT NOT NULL,
        replaces INTEGER NOT NULL,  -- 1: a directory without files, 2: a file of a write-once target
        reason TEXT NOT NULL,
        PRIMARY KEY (key, kind, number)
    ) WITHOUT ROWID;
    CREATE TABLE theirs (
        key BLOB NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL, place BLOB,
        size INTEGER NOT NULL, modified REAL, changed REAL, sha1 TEXT, md5 TEXT, refusal TEXT NOT NULL,
        PRIMARY KEY (key, kind, number)
    ) WITHOUT ROWID;
    -- the directories in which something is; holds: something that can be copied
    CREATE TABLE our_folders (
        key BLOB NOT NULL, root INTEGER NOT NULL, holds INTEGER NOT NULL, PRIMARY KEY (key, root)
    ) WITHOUT ROWID;
    -- those in which there are not only directories
    CREATE TABLE their_folders (key BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE VIEW extra AS SELECT key, coalesce(place, key) AS place FROM theirs WHERE kind = 0
        AND NOT EXISTS (SELECT 1 FROM ours WHERE ours.key = theirs.key AND ours.kind != 1);
"""
_COLUMNS = "o.key, o.kind, o.number, o.place, o.root, o.size, o.modified, o.refusal, o.replaces, o.reason"
_PAGED = "(o.key, o.kind, o.number) > (?, ?, ?) ORDER BY o.key, o.kind, o.number LIMIT ?"
_MATCHES = (
    "SELECT o.key, o.kind, o.number, o.place, o.root, o.size, o.modified, o.refusal, o.replaces, o.reason, "
    "o.changed, o.sha1, o.md5, t.key, t.size, t.modified, t.changed, t.sha1, t.md5, t.refusal "
    "FROM ours AS o LEFT JOIN theirs AS t ON t.key = o.key AND t.kind != 1 AND o.kind = 0 "
    "WHERE o.kind != 2 AND (o.key, o.kind, o.number) > (?, ?, ?) ORDER BY o.key, o.kind, o.number LIMIT ?"
)
_FIRST = (-1, -1, -1)
"""Before the first row: keys are blobs, and SQLite sorts numbers before them."""

Row = tuple[Any, ...]
"""Of a pair: the first three values identify it, the first is its key."""


class Pair(NamedTuple):
    """A source file and its target, with the size and the modification time of the source in Unix seconds."""

    source: Location
    target: Location
    size: int
    modified: float | None = None
    is_directory: bool = False
    """Whether the source is an empty directory, to be created at the target."""
    refusal: str = ""
    """Why the source cannot be copied, for example because it is a socket; empty if it can."""
    is_named: bool = False
    """Whether the caller has named the target itself, not only a directory above it."""
    replaces_directory: bool = False
    """Whether the target is a directory without files, which is removed before the file is copied."""
    replaces_file: bool = False
    """Whether the target is known to be a file that cannot be replaced."""
    reason: str = ""
    """Why the file is copied, where trees were compared."""


class Match(NamedTuple):
    """A source file, or directory that cannot be listed, and the file at its target; None if there is none."""

    row: Row
    ours: Entry
    theirs: Entry | None


@dataclass(frozen=True)
class _Root:
    """A source of a copy, and the place of its target; the prefixes are those of all paths and places in it."""

    source: Location
    place: str
    is_named: bool
    source_prefix: str
    prefix: str


class Pairs:
    """Source files and their targets, on disk; a context manager.

    Fill it with `add_root`, `add`, `add_tree` and `add_target`; the rules of `plan` decide then what is refused.

    Parameters
    ----------
    target : Location
        Above or at all targets.
    selection : Selection
        Files that it does not select are no pairs, and are not among those that only the target has.
    follows_links : bool
        Whether local links to directories at the target are followed, so that two places may be one file.
    jobs : int
        Directories that are listed at once.
    listed : callable, optional
        Called with how many more files and directories of either tree were listed.

    Attributes
    ----------
    skipped : int
        Number of links in the sources that are left out on request.
    """

    def __init__(
        self,
        target: Location,
        selection: Selection = EVERYTHING,
        *,
        follows_links: bool = False,
        jobs: int = 8,
        listed: ListedCallback = lambda _count: None,
    ) -> None:
        self.target, self._prefix = target, target.prefix
        self.roots: list[_Root] = []
        self.skipped = 0
        self._has_gaps = False
        self.database = Database.temporary("the plan of the copy", _TABLES)
        self._selection, self._jobs, self._listed = selection, jobs, listed
        self._is_limited = selection.by_path != selection
        self._count = 0
        self._folders: dict[tuple[bytes, int], bool] = {}
        self._reasons: list[Row] = []
        self._ignores_case = target.is_local and ignores_case(target.path)
        self._names = LocalNames() if follows_links and target.is_local else None
        self._base = "" if self._names is None else self._names.real(target.path, follow=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    @property
    def follows_links(self) -> bool:
        """Whether targets are local, and links to directories are followed."""
        return self._names is not None

    @property
    def sides(self) -> list[Location]:
        """What shows whether files can still be read and written: the target, and a source of each filesystem."""
        return [*one_of_each(root.source for root in self.roots), self.target]

    def add_root(self, source: Location, place: str = "", *, is_named: bool = False) -> int:
        """Add a source whose target is at a place, of which nothing is known yet; return its number."""
        self.roots.append(_Root(source, place, is_named, source.prefix, f"{place}/" if place else ""))
        return len(self.roots) - 1

    def add(self, number: int, entries: Iterable[Entry], *, with_directories: bool = False) -> None:
        """Add entries of a source, with paths relative to it; an empty one is the source itself."""
        root, rows, folders = self.roots[number], [], []
        prefix, is_same = root.prefix, root.source.fs == self.target.fs
        for entry in entries:
            path, refusal = entry.path, entry.refusal
            place = prefix + path if path else root.place
            self.skipped += entry.is_skipped
            self._has_gaps = self._has_gaps or bool(refusal)
            if not refusal and path and _UNUSUAL.search(path):
                refusal = self._problem(root, path)
            key, kind = self._key(place, follow=root.is_named and not path), self._kind(entry)
            folders.append((key, kind == _FILE and not refusal))
            if refusal or with_directories or kind != _DIRECTORY:
                origin = self._origin(root, path) if is_same else None
                rows.append((*self._row(key, kind, place), origin, number, *_values(entry, refusal), 0, ""))
        # sorted pages are added to the end of a table, which is fastest
        rows.sort()
        with self.database.change() as database:
            database.executemany("INSERT INTO ours VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        self.add_folders(number, folders)

    def add_folders(self, number: int, keys: Iterable[tuple[str, bool]]) -> None:
        """Record the directories above keys of a source, and whether what is at a key can be copied."""
        new = [
            (folder, number, holds)
            for folder, holds in _folders_above(keys).items()
            if self._is_news(folder, number, holds)
        ]
        with self.database.change() as database:
            database.executemany(
                "INSERT INTO our_folders VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET holds = max(holds, excluded.holds)",
                new,
            )

    def _is_news(self, folder: bytes, number: int, holds: bool) -> bool:
        if len(self._folders) > _MAX_FOLDERS:
            self._folders.clear()
        known = self._folders.get((folder, number))
        self._folders[folder, number] = holds or bool(known)
        return known is None or (holds and not known)

    def add_tree(self, number: int, *, with_directories: bool = False) -> None:
        """Add everything in the directory of a source; `with_directories`, also those directories that are empty."""
        # others only look empty if not all files are selected
        with_directories = with_directories and self._selection.is_everything
        if with_directories:
            self.add(number, [Entry("", is_directory=True)], with_directories=True)
        tree, selection = self.roots[number].source, self._selection.by_path
        for page in scan(tree, selection, jobs=self._jobs, refuses_vanished=True):
            self._listed(len(page))
            self.add(number, page, with_directories=with_directories)

    def add_target(self) -> None:
        """Add everything in the directory that is the target."""
        # links at the target are always of interest: nothing may be written through them
        for page in scan(self.target, self._selection.for_target, jobs=self._jobs):
            self._listed(len(page))
            self.add_at_target(page)

    def add_at_target(self, entries: Iterable[Entry]) -> None:
        """Add entries of the target, with paths relative to it; an empty one is the target itself."""
        rows, folders = [], []
        for entry in entries:
            key, kind = self._fold(entry.path), self._kind(entry)
            rows.append((*self._row(key, kind, entry.path), *_values(entry, entry.refusal)))
            if entry.refusal or kind != _DIRECTORY:
                folders.append((key, True))
        rows.sort()
        with self.database.change() as database:
            database.executemany("INSERT INTO theirs VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
            database.executemany(
                "INSERT OR IGNORE INTO their_folders VALUES (?)", [(folder,) for folder in _folders_above(folders)]
            )

    def _kind(self, entry: Entry) -> int:
        if entry.is_skipped:
            return _NOT_SELECTED
        if entry.is_directory:
            return _DIRECTORY
        if entry.refusal or not self._is_limited:
            return _FILE
        return _FILE if self._selection.admits(entry.path, entry.size, entry.modified) else _NOT_SELECTED

    def _row(self, key: str, kind: int, place: str) -> Row:
        self._count += 1
        return _blob(key), kind, self._count, None if key == place else _blob(place)

    def _problem(self, root: _Root, relative: str) -> str:
        """Return why a path cannot be used at the source or target; empty if it can."""
        try:
            root.source.join(relative)
            self.target.join(root.prefix + relative)
        except ValueError as error:
            return str(error)
        if not (self.target.is_here or is_utf8(relative)):
            return "its name is not valid UTF-8"
        return ""

    def _key(self, place: str, *, follow: bool) -> str:
        if self._names is None:
            return self._fold(place)
        target = self._prefix + place if place else self.target.path
        return self._within_base(self._names.real(target, follow=follow))

    def _origin(self, root: _Root, relative: str) -> bytes | None:
        """Return the key that a source has as a target of others; None if it cannot be one."""
        path = root.source_prefix + relative if relative else root.source.path
        if self._names is not None:
            return _blob(self._within_base(self._names.real(path, follow=True)))
        if path == self.target.path:
            return b""
        inside = self._prefix
        return _blob(self._fold(path.removeprefix(inside))) if path.startswith(inside) else None

    def _within_base(self, real: str) -> str:
        """Return the key of a real local path: relative to that of the target if it is inside."""
        relative = "" if real == self._base else real.removeprefix(self._base.rstrip(os.sep) + os.sep)
        return self._fold(slashed(relative))

    def _fold(self, place: str) -> str:
        return folded(place, ignores_case=self._ignores_case) if self.target.is_local else place

    def pages(self, condition: str = "1", *values: Any) -> Iterator[list[Row]]:
        """Yield the rows of pairs page by page, those that meet a condition in SQL on ``ours AS o``."""
        query = f"SELECT {_COLUMNS} FROM ours AS o WHERE o.kind != 2 AND {condition} AND {_PAGED}"  # noqa: S608 - constant
        return self.database.pages(query, *values, after=_FIRST)

    def pair(self, row: Row) -> Pair:
        """Return the pair in a row, which may be that of a match."""
        key, kind, _, place, number, size, modified, refusal, replaces, reason = row[:10]
        place, root = _text(key if place is None else place), self.roots[number]
        relative = place[len(root.prefix) :] if place != root.place else ""
        source = root.source.at(root.source_prefix + relative if relative else root.source.path)
        target = self.target.at(self._prefix + place if place else self.target.path)
        if kind == _DIRECTORY and refusal:
            # a file may have the same name
            source = source.at(f"{source.path}/")
        is_named = root.is_named and not relative and kind == _FILE
        is_directory = kind == _DIRECTORY and not refusal
        return Pair(
            source, target, size, modified, is_directory, refusal, is_named, replaces == 1, replaces == 2, reason
        )

    def pairs(self, *, with_reason: bool = False) -> Iterator[Pair]:
        """Yield the pairs, in the order of their keys; `with_reason`, only those that have one."""
        for page in self.pages("o.reason != ''" if with_reason else "1"):
            yield from map(self.pair, page)

    def totals(self, *, with_reason: bool = False) -> tuple[int, int]:
        """Return the number of files in `pairs`, and their size in bytes."""
        query = (
            "SELECT coalesce(sum(kind = 0 OR refusal != ''), 0), coalesce(sum(size), 0) FROM ours "
            "WHERE kind != 2 AND (reason != '' OR ?)"
        )
        [(count, size)] = self.database.all(query, not with_reason)
        return count, size

    def matches(self) -> Iterator[Match]:
        """Yield each pair of files with what is at its target, as far as it was added."""
        for page in self.database.pages(_MATCHES, after=_FIRST):
            for row in page:
                key, kind, _, place, _, size, modified, refusal = row[:8]
                path = _text(key if place is None else place)
                changed, sha1, md5, theirs, *rest = row[10:]
                ours = Entry(path, size, modified, changed, sha1, md5, kind == _DIRECTORY, refusal)
                yield Match(row, ours, None if theirs is None else _entry(path, *rest))

    def note(self, row: Row, reason: str) -> None:
        """Record why a file is copied; see `flush`."""
        self._reasons.append((reason, *row[:3]))
        if len(self._reasons) >= PAGE:
            self.flush()

    def flush(self) -> None:
        """Write what was noted."""
        with self.database.change() as database:
            database.executemany("UPDATE ours SET reason = ? WHERE (key, kind, number) = (?, ?, ?)", self._reasons)
        self._reasons.clear()

    def remove(self, rows: Iterable[Row]) -> None:
        """Remove pairs."""
        with self.database.change() as database:
            database.executemany("DELETE FROM ours WHERE (key, kind, number) = (?, ?, ?)", [row[:3] for row in rows])

    def refuse(self, rows: Iterable[tuple[Row, str]]) -> None:
        """Refuse pairs, each with the reason."""
        with self.database.change() as database:
            database.executemany(
                "UPDATE ours SET refusal = ? WHERE (key, kind, number) = (?, ?, ?)",
                [(refusal, *row[:3]) for row, refusal in rows],
            )

    def refuse_below(self, folder: bytes, refusal: str) -> None:
        """Refuse all pairs in a directory, given by its key."""
        with self.database.change() as database:
            database.execute(
                "UPDATE ours SET refusal = ? WHERE key > ? AND key < ? AND refusal = ''",
                (refusal, *range_below(folder)),
            )

    def extra(self) -> Iterator[Location]:
        """Yield the files that only the target has, in the order of their keys; not those below what is not listed."""
        query = "SELECT key, place FROM extra WHERE key > ? ORDER BY key LIMIT ?"
        for page in self.database.pages(query, after=_FIRST[:1]):
            for key, place in page:
                if not (self._has_gaps and any(map(self._is_gap, parents(_text(key))))):
                    yield self.at_target(place)

    def _is_gap(self, key: str) -> bool:
        """Return whether it is unknown what the source has at a key, because it is not listed or followed."""
        query = "SELECT 1 FROM ours WHERE key = ? AND (kind = 2 OR refusal != '')"
        return bool(self.database.all(query, _blob(key)))

    def has_folder(self, place: str) -> bool:
        """Return whether something is copied into a directory of the target, given by its place."""
        return bool(self.database.all("SELECT 1 FROM our_folders WHERE key = ?", _blob(self._fold(place))))

    def at_target(self, place: bytes) -> Location:
        """Return the location of a place, as the database has it."""
        path = _text(place)
        return self.target.at(self._prefix + path if path else self.target.path)

    def has_target(self, path: str) -> bool:
        """Return whether a path on the filesystem of the target is the target of a pair."""
        if path != self.target.path and not path.startswith(self._prefix):
            return False
        key = self._key("" if path == self.target.path else path.removeprefix(self._prefix), follow=False)
        return bool(self.database.all("SELECT 1 FROM ours WHERE key = ? AND kind = 0", _blob(key)))


def range_below(folder: bytes) -> tuple[bytes, bytes]:
    """Return the bounds, both exclusive, of the keys in a directory."""
    return (folder + b"/", folder + b"0") if folder else (b"", b"\xff")


def key_of(row: Row) -> str:
    """Return the key in a row."""
    return _text(row[0])


def _entry(path: str, size: int, modified: float, changed: float, sha1: str, md5: str, refusal: str) -> Entry:
    return Entry(path, size, modified, changed, sha1, md5, refusal=refusal)


def _values(entry: Entry, refusal: str) -> Row:
    return entry.size, entry.modified, entry.changed, entry.sha1, entry.md5, refusal


def _folders_above(keys: Iterable[tuple[str, bool]]) -> dict[bytes, bool]:
    """Return the directories above keys, and whether the flag of one of these is set."""
    nearest: dict[str, bool] = {}
    for key, holds in keys:
        folder = key.rpartition("/")[0]
        if key:
            nearest[folder] = holds or nearest.get(folder, False)
    above: dict[bytes, bool] = {}
    for folder, holds in nearest.items():
        for each in (folder, *parents(folder), ""):
            above[_blob(each)] = holds or above.get(_blob(each), False)
    return above


def _blob(text: str) -> bytes:
    # local names that are not UTF-8 have surrogates, which SQLite does not store as text
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")
