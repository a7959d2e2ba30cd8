"""Plan copies: decide what goes where before anything is changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from fsspec.core import has_magic

from cosv4fs.collisions import check_copies, check_targets
from cosv4fs.localfiles import is_part
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.infos import entry_of, holds_files, info_of
from cosv4fs.migrate.locations import S3, Location
from cosv4fs.migrate.pairs import ListedCallback, Pair, Pairs, Row, key_of, range_below
from cosv4fs.migrate.selection import EVERYTHING, Selection
from cosv4fs.migrate.trees import scan

FILE_ABOVE = "the target cannot hold both this file and a directory of its name, with other files"
"""Why a file is not copied whose target is the directory of another file's."""


SPELLED_ALIKE = "the disk of the target ignores case, and another file has the same name otherwise: rename one"
"""Why a file is not migrated that would replace another one, or be replaced."""


@contextmanager
def plan_copies(
    sources: Iterable[Location],
    target: Location,
    selection: Selection = EVERYTHING,
    *,
    recursive: bool,
    jobs: int = 8,
    predicts: bool = False,
    listed: ListedCallback = lambda _count: None,
) -> Iterator[Pairs]:
    """Yield the files to copy, by the rules of ``cp``.

    Sources are copied into the target if there are several, if the target has a trailing slash, or if it is a
    directory. A source directory with a trailing slash stands for its contents. Empty directories are included if
    both filesystems support them and all files are selected. Copies of a file onto itself or onto another source, of a
    directory into itself and of two files to one path are refused (EINVAL). A source that is both a file and a
    directory is copied as both if `recursive`, else as a file. With `predicts`, a remote target that may refuse files
    is listed, as far as the sources have the same directories, and what it would refuse has a refusal.
    """
    expanded = [location for source in sources for location in expand_pattern(source)]
    is_there = target.fs.isdir(target.path)
    into = target.trailing_slash or len(expanded) > 1 or is_there
    _check_target(expanded, target, into=into)
    if not is_there:
        check_container(target)
    with Pairs(target, selection, follows_links=True, jobs=jobs, listed=listed) as pairs:
        for source in expanded:
            _add(pairs, source, selection, into=into, recursive=recursive)
        _settle(pairs)
        if predicts and not target.is_local and (target.has_directories or not target.capabilities.replaces_files):
            _predict(pairs)
        yield pairs


@contextmanager
def plan_update(
    source: Location,
    target: Location,
    selection: Selection = EVERYTHING,
    *,
    jobs: int = 8,
    listed: ListedCallback = lambda _count: None,
) -> Iterator[Pairs]:
    """Yield the files of a directory beside those of another one, by the rules of ``sync``.

    Raises
    ------
    NotADirectoryError
        One of the two is a file.
    OSError
        EINVAL: one is inside the other, or two files have one target.
    """
    if not holds_files(source, source.fs.info(source.path)):
        raise NotADirectoryError(errno.ENOTDIR, "sync compares directories: copy a file with cp", source.url)
    check_apart(source, target)
    is_there = is_existing_directory(target)
    with Pairs(target, selection, jobs=jobs, listed=listed) as pairs:
        pairs.add_tree(pairs.add_root(source, ""))
        if is_there:
            pairs.add_target()
        _settle(pairs)
        _refuse_obstacles(pairs)
        yield pairs


@contextmanager
def plan_check(
    source: Location,
    target: Location,
    selection: Selection = EVERYTHING,
    *,
    jobs: int = 8,
    listed: ListedCallback = lambda _count: None,
) -> Iterator[Pairs]:
    """Yield the files of a directory beside those of another one, or one file beside another, to be compared.

    Raises
    ------
    FileNotFoundError
        One of the two does not exist.
    OSError
        EINVAL: one is a directory and the other a file.
    """
    infos = [location.fs.info(location.path) for location in (source, target)]
    is_tree = [holds_files(location, info) for location, info in zip((source, target), infos, strict=True)]
    if is_tree[0] != is_tree[1]:
        raise OSError(errno.EINVAL, f"one is a directory, but not the other, {target.url}", source.url)
    with Pairs(target, selection, jobs=jobs, listed=listed) as pairs:
        root = pairs.add_root(source)
        if all(is_tree):
            pairs.add_tree(root)
            pairs.add_target()
            _refuse_unlisted(pairs)
        else:
            pairs.add(root, [entry_of(source, infos[0])])
            pairs.add_at_target([entry_of(target, infos[1])])
        yield pairs


def is_existing_directory(target: Location) -> bool:
    """Return whether a directory exists; raise if it is a file, or if its bucket does not exist."""
    try:
        info = target.fs.info(target.path)
    except FileNotFoundError:
        check_container(target)
        return False
    if not holds_files(target, info):
        raise NotADirectoryError(errno.ENOTDIR, "the target must be a directory, but is a file", target.url)
    return True


def check_container(target: Location) -> None:
    """Refuse a target in a bucket that does not exist: every single file would be refused."""
    if target.has_directories and not target.capabilities.container:
        return
    bucket = target.at(target.path.partition("/")[0])
    is_there = True
    with suppress(PermissionError):
        # who may write files need not be allowed to ask for their bucket
        is_there = target.fs.exists(bucket.path)
    if not is_there:
        advice = f": create it with cosv4fs mkdir {bucket.url}" if S3 & target.protocols else ""
        text = f"the bucket does not exist, or access to it is denied{advice}"
        raise FileNotFoundError(errno.ENOENT, text, bucket.url)


def _settle(pairs: Pairs) -> None:
    """Apply the rules for what is copied: drop what is there twice, and directories in which something is.

    A file whose target is the directory of others of its source is refused alone, if the target filesystem cannot
    hold both: refusing what is in the directory would be more.

    Raises
    ------
    OSError
        EINVAL: by the rules of `collisions`, or because source and target are one file.
    """
    with pairs.database.change() as database:
        database.execute("DELETE FROM ours WHERE kind = 1 AND refusal = '' AND key IN (SELECT key FROM our_folders)")
    for page in pairs.pages("o.kind = 1 AND o.refusal = ''"):
        for row in page:
            pairs.add_folders(row[4], [(key_of(row), True)])
    if pairs.target.has_directories:
        _refuse_files_above(pairs)
    _check_targets(pairs)
    if any(root.source.fs == pairs.target.fs for root in pairs.roots):
        _check_copies(pairs)


def _refuse_files_above(pairs: Pairs) -> None:
    own = "EXISTS (SELECT 1 FROM our_folders AS f WHERE f.key = o.key AND f.root = o.root AND f.holds)"
    for page in pairs.pages(f"o.kind = 0 AND o.refusal = '' AND {own}"):
        pairs.refuse((row, f"{FILE_ABOVE}: {pairs.pair(row).target.url}") for row in page)
    other = "EXISTS (SELECT 1 FROM our_folders AS f WHERE f.key = o.key AND f.holds)"
    for page in pairs.pages(f"o.kind = 0 AND o.refusal = '' AND {other}"):
        for below in pairs.pages("o.refusal = '' AND o.key > ? AND o.key < ?", *range_below(page[0][0])):
            _check_targets_of(pairs, [page[0], below[0]])


def _check_targets(pairs: Pairs) -> None:
    query = "SELECT key FROM ours WHERE kind != 2 AND refusal = '' AND key > ? GROUP BY key HAVING count(*) > 1 LIMIT ?"
    for keys in pairs.database.pages(query, after=(-1,)):
        for (key,) in keys:
            for page in pairs.pages("o.refusal = '' AND o.key = ?", key):
                _check_targets_of(pairs, page)
                pairs.remove(_repeated(pairs, page))


def _repeated(pairs: Pairs, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of files that were named before, for example because they match several patterns."""
    seen = set()
    for row in rows:
        pair = pairs.pair(row)
        if (pair.source.url, pair.is_directory) in seen:
            yield row
        seen.add((pair.source.url, pair.is_directory))


def _check_targets_of(pairs: Pairs, rows: Sequence[Row]) -> None:
    found = [pairs.pair(row) for row in rows]
    keys = {pair.target.url: key_of(row) for pair, row in zip(found, rows, strict=True)}
    check_targets(
        ((pair.source.url, pair.target.url) for pair in found),
        "copied",
        identity=keys.__getitem__,
        is_directory={pair.source.url for pair in found if pair.is_directory}.__contains__,
        may_nest=not pairs.target.has_directories,
    )


def _check_copies(pairs: Pairs) -> None:
    """Refuse targets that are sources of others, and copies of a file onto itself."""
    for page in pairs.pages("o.refusal = '' AND o.origin = o.key"):
        raise _same_file(pairs.pair(page[0]))
    other = "EXISTS (SELECT 1 FROM ours AS t WHERE t.key = o.origin AND t.kind != 2 AND t.refusal = '')"
    for page in pairs.pages(f"o.refusal = '' AND {other}"):
        for row in page:
            origin = "SELECT origin FROM ours WHERE (key, kind, number) = (?, ?, ?)"
            [(key,)] = pairs.database.all(origin, *row[:3])
            for rows in pairs.pages("o.refusal = '' AND o.key = ?", key):
                _check_copies_of([pairs.pair(each) for each in (row, *rows)])
    if pairs.follows_links and pairs.target.fs.exists(pairs.target.path):
        for pair in pairs.pairs():
            if not (pair.is_directory or pair.refusal) and _is_linked(pair):
                raise _same_file(pair)


def _check_copies_of(pairs: list[Pair]) -> None:
    """Check a pair, and others whose target is its source."""
    place = pairs[0].source.url
    places = {pair.target.url: place for pair in pairs[1:]}
    check_copies(
        [(pair.source.url, pair.target.url) for pair in pairs],
        "copied",
        identity=lambda url: places.get(url, url),
        is_directory={pair.source.url for pair in pairs if pair.is_directory}.__contains__,
    )


def _is_linked(pair: Pair) -> bool:
    """Return whether source and target are hard links of one local file."""
    with suppress(OSError):
        return pair.source.is_local and os.path.samestat(os.stat(pair.target.path), os.stat(pair.source.path))  # noqa: PTH116 - faster
    return False


def _same_file(pair: Pair) -> OSError:
    return OSError(errno.EINVAL, "source and target are the same file", pair.source.url)


def _predict(pairs: Pairs) -> None:
    """Refuse files that a remote target would refuse."""
    for root in pairs.roots:
        top = pairs.target.at(pairs.target.prefix + root.place if root.place else pairs.target.path)
        try:
            info = top.fs.info(top.path)
        except FileNotFoundError:
            continue
        if info["type"] != "directory":
            pairs.add_at_target([entry_of(top, info, root.place)])
        elif pairs.target.has_directories:
            pairs.add_at_target([Entry(root.place, is_directory=True)])
        if holds_files(top, info):
            # what else the target has may be much more; coffers list keys by their prefix only
            for found in scan(top, enters=partial(_is_shared, pairs, root.prefix)):
                pairs.add_at_target(replace(entry, path=root.prefix + entry.path) for entry in found)
    if not pairs.target.capabilities.replaces_files:
        with pairs.database.change() as database:
            database.execute(
                "UPDATE ours SET replaces = 2 WHERE kind = 0 AND refusal = '' "
                "AND EXISTS (SELECT 1 FROM theirs AS t WHERE t.key = ours.key AND t.kind != 1)"
            )
    _refuse_obstacles(pairs)
    for page in pairs.pages("o.replaces = 1"):
        pairs.refuse((row, f"a directory has the name of its copy, {pairs.pair(row).target.url}") for row in page)


def _is_shared(pairs: Pairs, prefix: str, folder: str) -> bool:
    """Return whether something is copied into a directory of the target, given by its path below a prefix."""
    return pairs.has_folder(prefix + folder)


def _refuse_obstacles(pairs: Pairs) -> None:
    """Refuse files if a file or link at the target has the name of their directory, or a directory their own name.

    Empty directories are refused if a file has their name. Writing through a link could leave the target. A directory
    that contains only directories is replaced.
    """
    _refuse_unlisted(pairs)
    if not pairs.target.has_directories:
        return
    query = (
        "SELECT t.key, t.refusal FROM theirs AS t JOIN our_folders AS f ON f.key = t.key "
        "WHERE t.kind != 1 AND t.key > ? ORDER BY t.key LIMIT ?"
    )
    for page in pairs.database.pages(query, after=(-1,)):
        for folder, refusal in page:
            what = "link, pipe or socket" if refusal else "file"
            pairs.refuse_below(folder, f"a {what} has the name of its directory in {pairs.target.url}: remove it")
    is_file = "o.kind = 1 AND o.refusal = '' AND EXISTS (SELECT 1 FROM theirs AS t WHERE t.key = o.key AND t.kind != 1)"
    for page in pairs.pages(is_file):
        pairs.refuse((row, f"a file has the name of its copy, {pairs.pair(row).target.url}: remove it") for row in page)
    is_there = "o.kind = 0 AND o.refusal = '' AND EXISTS (SELECT 1 FROM theirs AS t WHERE t.key = o.key AND t.kind = 1)"
    for page in pairs.pages(f"{is_there} AND o.key IN their_folders"):
        text = "a directory with files has the name of its copy, {}: remove it"
        pairs.refuse((row, text.format(pairs.pair(row).target.url)) for row in page)
    with pairs.database.change() as database:
        database.execute(
            "UPDATE ours SET replaces = 1 WHERE kind = 0 AND refusal = '' "
            "AND EXISTS (SELECT 1 FROM theirs AS t WHERE t.key = ours.key AND t.kind = 1)"
        )


def _refuse_unlisted(pairs: Pairs) -> None:
    """Refuse files in directories of the target that cannot be listed."""
    for folder, refusal in _unlisted(pairs):
        pairs.refuse_below(folder, f"its directory in {pairs.target.url}: {refusal}")


def unlisted(pairs: Pairs) -> Iterator[tuple[Location, OSError]]:
    """Yield the target's directories that cannot be listed, with the errors."""
    for folder, refusal in _unlisted(pairs):
        location = pairs.at_target(folder + b"/")
        yield location, OSError(errno.EIO, refusal, location.url)


def _unlisted(pairs: Pairs) -> Iterator[tuple[bytes, str]]:
    query = "SELECT key, refusal FROM theirs WHERE kind = 1 AND refusal != '' AND key > ? ORDER BY key LIMIT ?"
    for page in pairs.database.pages(query, after=(-1,)):
        yield from page


def _check_target(sources: list[Location], target: Location, *, into: bool) -> None:
    into = into or any(source.fs.isdir(source.path) for source in sources)
    if into and target.fs.exists(target.path) and not target.fs.isdir(target.path):
        raise NotADirectoryError(errno.ENOTDIR, "the target must be a directory, but is a file", target.url)


def expand_pattern(source: Location) -> list[Location]:
    """Return the matches of a glob pattern, at least one; a path that exists or has no wildcards matches itself.

    Patterns do not match local part files, which are incomplete.
    """
    if not has_magic(source.path) or source.fs.exists(source.path):
        return [source]
    found = (source.at(name.rstrip("/")) for name in source.fs.glob(source.path))
    matches = [location for location in found if not (location.is_local and is_part(location.name))]
    if not matches:
        raise FileNotFoundError(errno.ENOENT, "the pattern has no match", source.url)
    return matches


def _add(pairs: Pairs, source: Location, selection: Selection, *, into: bool, recursive: bool) -> None:
    info = info_of(source)
    is_file = info["type"] != "directory"
    if not (is_file or recursive):
        raise IsADirectoryError(errno.EISDIR, "it is a directory: copy it with -r", source.url)
    is_directory = recursive and holds_files(source, info)
    # the root of an archive has no name; a directory with a trailing slash stands for its contents
    place = source.name if into and not (is_directory and source.trailing_slash) else ""
    root = pairs.add_root(source, place, is_named=not into)
    if is_file and not (is_directory and source.trailing_slash):
        entry = entry_of(source, info)
        if selection.admits(source.name, entry.size, entry.modified):
            pairs.add(root, [entry])
    if is_directory:
        top = pairs.target.at(pairs.target.prefix + place if place else pairs.target.path)
        if top.is_within(source):
            raise OSError(errno.EINVAL, f"a directory cannot be copied into itself, as {top.url}", source.url)
        pairs.add_tree(root, with_directories=source.has_directories and top.has_directories)


def check_apart(source: Location, target: Location) -> None:
    """Refuse two directories (EINVAL) that are the same, or of which one is inside the other."""
    if source.is_same(target):
        raise OSError(errno.EINVAL, "source and target are the same directory", source.url)
    if target.is_within(source):
        raise OSError(errno.EINVAL, f"the target is inside the source, {source.url}", target.url)
    if source.is_within(target):
        raise OSError(errno.EINVAL, f"the source is inside the target, {target.url}", source.url)
