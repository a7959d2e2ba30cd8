"""Plan copies: pair the files of sources with their targets."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fsspec.core import has_magic

from cosv4fs.collisions import check_copies, check_targets
from cosv4fs.localfiles import LocalNames, is_part
from cosv4fs.migrate.locations import Location
from cosv4fs.migrate.trees import find_tree, holds_files, info_of, modification_time
from cosv4fs.paths import parents

FILE_ABOVE = "the target cannot hold both this file and a directory of its name, with other files"
"""Why a file is not copied whose target is the directory of another file's."""


@dataclass(frozen=True)
class Pair:
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


def pair_files(sources: Iterable[Location], target: Location, *, recursive: bool) -> list[Pair]:
    """Return the files to copy, by the rules of ``cp``.

    Sources are copied into the target if there are several, if the target has a trailing slash, or if it is a
    directory. A source directory with a trailing slash stands for its contents. Empty directories are included if
    both filesystems support them. Copies of a file onto itself or onto another source, of a directory into itself and
    of two files to one path are refused (EINVAL). A source that is both a file and a directory is copied as both if
    `recursive`, else as a file; see `refuse_files_above`.
    """
    expanded = [location for source in sources for location in expand_pattern(source)]
    into = target.trailing_slash or len(expanded) > 1 or target.fs.isdir(target.path)
    _check_target(expanded, target, into=into)
    found = (pair for source in expanded for pair in _pairs(source, target, into=into, recursive=recursive))
    # a file that matches several patterns is copied once
    pairs = list({(pair.source.url, pair.target.url, pair.is_directory): pair for pair in found}.values())
    _check_pairs([pair for pair in pairs if not pair.refusal], target)
    return pairs


def refuse_files_above(pairs: list[Pair]) -> list[Pair]:
    """Refuse each file whose target is the directory of another, if the target filesystem cannot hold both.

    Files are refused rather than what is in their directories, because that is usually more.
    """
    folders = {
        folder
        for pair in pairs
        if pair.target.has_directories and not pair.refusal
        for folder in parents(pair.target.path)
    }
    return [
        replace(pair, refusal=f"{FILE_ABOVE}: {pair.target.url}")
        if pair.target.path in folders and not (pair.refusal or pair.is_directory)
        else pair
        for pair in pairs
    ]


def _check_pairs(pairs: list[Pair], target: Location) -> None:
    # what contains other sources is a pair only if it is a file, too
    is_directory = {pair.source.url for pair in pairs if pair.is_directory}.__contains__
    followed = {pair.source.path for pair in pairs} | {pair.target.path for pair in pairs if pair.is_named}
    identity = LocalNames(followed).identity if target.is_local else str
    urls = check_targets(
        ((pair.source.url, pair.target.url) for pair in pairs),
        "copied",
        identity=identity,
        is_directory=is_directory,
        may_nest=not target.has_directories,
    )
    check_copies(urls, "copied", identity=identity, is_directory=is_directory)
    same = next((pair for pair in pairs if pair.source.is_same(pair.target)), None)
    if same is not None:
        raise OSError(errno.EINVAL, "source and target are the same file", same.source.url)


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


def _pairs(source: Location, target: Location, *, into: bool, recursive: bool) -> list[Pair]:
    info = info_of(source)
    is_file = info["type"] != "directory"
    if not (is_file or recursive):
        raise IsADirectoryError(errno.EISDIR, "it is a directory: copy it with -r", source.url)
    is_directory = recursive and holds_files(source, info)
    # the root of an archive has no name
    root = target.join(source.name) if into and source.name else target.at(target.path)
    found: list[Pair] = []
    if is_file and not (is_directory and source.trailing_slash):
        found.append(Pair(source, root, int(info["size"] or 0), modification_time(info), is_named=not into))
    if is_directory:
        found += _pairs_below(source, target if source.trailing_slash else root)
    return refuse_files_above(found)


def _pairs_below(source: Location, root: Location) -> Iterator[Pair]:
    """Yield the pairs for everything in a directory."""
    if root.is_within(source):
        raise OSError(errno.EINVAL, f"a directory cannot be copied into itself, as {root.url}", source.url)
    tree = find_tree(source)
    for relative, found, refusal in tree.entries():
        yield pair_in(source, root, relative, found, refusal)
    if source.has_directories and root.has_directories:
        for relative in tree.empty_directories:
            old, new = (location.join(relative) if relative else location for location in (source, root))
            yield Pair(old, new.at(new.path), 0, is_directory=True)


def pair_in(source: Location, target: Location, relative: str, info: Mapping[str, Any], refusal: str) -> Pair:
    """Return the pair for a relative path; an unusable name becomes its refusal."""
    try:
        old, new = source.join(relative), target.join(relative)
    except ValueError as error:
        old, new, refusal = source.at(source.prefix + relative), target, refusal or str(error)
    return Pair(old, new, int(info["size"] or 0), modification_time(info), refusal=refusal)


def check_apart(source: Location, target: Location) -> None:
    """Refuse two directories (EINVAL) that are the same, or of which one is inside the other."""
    if source.is_same(target):
        raise OSError(errno.EINVAL, "source and target are the same directory", source.url)
    if target.is_within(source):
        raise OSError(errno.EINVAL, f"the target is inside the source, {source.url}", target.url)
    if source.is_within(target):
        raise OSError(errno.EINVAL, f"the source is inside the target, {target.url}", source.url)
