"""Select files of a tree by patterns, names, sizes and times: `Selection`.

Paths are relative to the tree. The last pattern that matches a path decides. A path that no pattern matches is
selected, unless the first rule includes: ``--include '*.csv'`` alone selects only what it matches, as in rclone, and
``--exclude '*' --include '*.csv'`` selects the same, as in aws. Names, sizes and times select further: all must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from cosv4fs.migrate.globs import Glob, compile_globs
from cosv4fs.paths import parents

Links = Literal["refuse directories", "skip", "follow", "list"]
"""How symbolic links in a local tree are treated: see `Selection`."""


@dataclass(frozen=True)
class Rule:
    """A pattern, see `globs`, and whether the files that it matches are selected.

    Raises
    ------
    ValueError
        The pattern is invalid; the message names it.
    """

    pattern: str
    includes: bool = True
    _globs: tuple[Glob, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_globs", compile_globs(self.pattern))
        except ValueError as error:
            raise ValueError(f"the pattern {self.pattern!r} is invalid: {error}") from None

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches the path of a file."""
        return any(glob.whole.fullmatch(path) for glob in self._globs)

    def may_match_in(self, folder: str) -> bool:
        """Return whether the pattern may match a path somewhere in a directory."""
        return any(glob.may_match_in(folder) for glob in self._globs)

    def matches_all_in(self, folder: str) -> bool:
        """Return whether the pattern is known to match every path in a directory."""
        return any(glob.matches_all_in(folder) for glob in self._globs)


@dataclass(frozen=True)
class Selection:
    """Which files of a tree a command works on; immutable and picklable.

    Parameters
    ----------
    rules : tuple of Rule
        Patterns in their order: the last one that matches decides.
    names : frozenset of str, optional
        The only paths to select.
    min_size, max_size : int, optional
        Limits of the size in bytes, both inclusive.
    newer_than, older_than : float, optional
        Select files last modified at this Unix time or later, and before this one. A file without a modification time
        is neither newer nor older.
    links : str
        For symbolic links in a local tree. ``refuse directories``: links to files stand for these files, links to
        directories are refused. ``skip``: all links are left out. ``follow``: links to directories are followed, too.
        ``list``: the same as ``refuse directories``, but a link to a directory is selected by its own name, not by
        what the directory may contain.
    names_must_exist : bool
        Whether a scan reports each of `names` that does not exist.
    """

    rules: tuple[Rule, ...] = ()
    names: frozenset[str] | None = field(default=None, repr=False)
    min_size: int | None = None
    max_size: int | None = None
    newer_than: float | None = None
    older_than: float | None = None
    links: Links = "refuse directories"
    names_must_exist: bool = True
    _folders: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        folders = frozenset(folder for name in self.names or () for folder in parents(name))
        object.__setattr__(self, "_folders", folders)

    @property
    def is_everything(self) -> bool:
        """Whether all files are selected."""
        return not self.rules and {self.names, *self._limits} == {None}

    @property
    def by_path(self) -> Selection:
        """The same without sizes and times, which selects a path whatever file is there.

        To remove what only the target has, compare all such paths: a file that the source still has, though it is too
        large or too old to be copied, must not be removed at the target.
        """
        return replace(self, min_size=None, max_size=None, newer_than=None, older_than=None)

    @property
    def for_target(self) -> Selection:
        """What `by_path` selects at the target of a copy: names need not exist, and links are treated as by default."""
        return replace(self.by_path, links=EVERYTHING.links, names_must_exist=False)

    def admits(self, path: str, size: int, modified: float | None) -> bool:
        """Return whether a file is selected.

        Parameters
        ----------
        path : str
            Relative to the tree, such as ``a/b.txt``.
        size : int
            In bytes.
        modified : float or None
            Modification time in Unix seconds; None if it is unknown.
        """
        return self.admits_path(path) and self._admits_size(size) and self._admits_time(modified)

    def admits_path(self, path: str) -> bool:
        """Return whether a file of this path is selected if its size and time are."""
        if self.names is not None and path not in self.names:
            return False
        if not self.rules:
            return True
        deciding = next((rule for rule in reversed(self.rules) if rule.matches(path)), None)
        return self._is_default if deciding is None else deciding.includes

    def may_contain(self, folder: str) -> bool:
        """Return whether a directory, `folder`, may have selected files, also deeper; others need no listing."""
        if not folder:
            return True
        if self.names is not None and folder not in self._folders:
            return False
        for rule in reversed(self.rules):
            if rule.includes and rule.may_match_in(folder):
                return True
            if not rule.includes and rule.matches_all_in(folder):
                return False
        return self._is_default

    @property
    def _limits(self) -> tuple[float | None, ...]:
        return self.min_size, self.max_size, self.newer_than, self.older_than

    @property
    def _is_default(self) -> bool:
        """Whether files that no rule matches are selected."""
        return not (self.rules and self.rules[0].includes)

    def _admits_size(self, size: int) -> bool:
        return (self.min_size is None or size >= self.min_size) and (self.max_size is None or size <= self.max_size)

    def _admits_time(self, modified: float | None) -> bool:
        if modified is None:
            return self.newer_than is None and self.older_than is None
        is_new = self.newer_than is None or modified >= self.newer_than
        return is_new and (self.older_than is None or modified < self.older_than)


EVERYTHING = Selection()
"""Selects all files."""
