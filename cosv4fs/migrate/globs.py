r"""Glob patterns of paths, as rclone has them, translated to regular expressions.

``*`` and ``?`` match within a name, ``**`` across directories, ``[a-z]`` and ``[!a-z]`` one character, ``{a,b}`` either
alternative, and ``\`` takes the next character literally. A pattern without a leading slash matches the end of a path,
from any directory on; with one, the whole path. A trailing slash stands for everything in a directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

_PIECES = re.compile(r"\\.|\[[!^]?\]?(?:\\.|[^\]\\])*\]|\*+|.", re.DOTALL)
"""A character that is taken literally, a class, stars, or any other character."""

_RANGES = re.compile(r"(\\.|[^\\])-(\\.|.)|(\\.|.)", re.DOTALL)
"""A range, or a character, in a class."""

_DEEPEST = 20
"""Levels of nested braces."""

_MOST_ALTERNATIVES = 1000
"""Alternatives of one pattern, after nested and repeated braces are expanded."""


@dataclass(frozen=True)
class Glob:
    """One pattern without alternatives, compiled."""

    whole: re.Pattern[str]
    """Matches the paths."""
    heads: tuple[re.Pattern[str], ...]
    """Match the names from the top of the tree on, as far as each name has a part of the pattern."""
    spans: bool
    """Whether any number of names may follow those that `heads` match."""
    matches_everything_below: bool
    """Whether the pattern also matches all longer paths that begin with what it matches."""

    def may_match_in(self, folder: str) -> bool:
        """Return whether the pattern may match a path somewhere in a directory."""
        names = folder.split("/")
        are_fitting = all(head.fullmatch(name) for head, name in zip(self.heads, names, strict=False))
        return are_fitting and (self.spans or len(names) < len(self.heads))

    def matches_all_in(self, folder: str) -> bool:
        """Return whether the pattern is known to match every path in a directory."""
        return self.matches_everything_below and self.whole.fullmatch(f"{folder}/") is not None


def compile_globs(pattern: str) -> tuple[Glob, ...]:
    """Compile a pattern to one glob for each of its alternatives.

    Raises
    ------
    ValueError
        The pattern is invalid, or can match no path.
    """
    if not pattern:
        raise ValueError("it is empty")
    if re.search(r"(?<!\\)\{\{", pattern):
        raise ValueError("regular expressions in {{ }} are not supported")
    return tuple(_compiled(pieces) for pieces in _alternatives(iter(_PIECES.findall(pattern)), depth=0))


_Pieces = tuple[str, ...]


def _alternatives(pieces: Iterator[str], depth: int) -> list[_Pieces]:
    """Expand braces: return the pieces of each alternative, up to the brace that closes the current one."""
    done: list[_Pieces] = []
    current: list[_Pieces] = [()]
    for piece in pieces:
        if piece == "{" and depth == _DEEPEST:
            raise ValueError(f"it has more than {_DEEPEST} levels of nested braces")
        if piece == "{":
            inner = _alternatives(pieces, depth + 1)
            current = [(*before, *after) for before in current for after in inner]
        elif piece == "}" and depth:
            return done + current
        elif piece == "," and depth:
            done, current = done + current, [()]
        elif piece == "}":
            raise ValueError("a } has no {")
        else:
            current = [(*before, piece) for before in current]
        if len(done) + len(current) > _MOST_ALTERNATIVES:
            raise ValueError(f"it has more than {_MOST_ALTERNATIVES} alternatives in braces")
    if depth:
        raise ValueError("a { has no }")
    return current


def _compiled(pieces: _Pieces) -> Glob:
    is_anchored = pieces[:1] == ("/",)
    pieces = pieces[1:] if is_anchored else pieces
    if pieces == ("*",) and not is_anchored:
        # any name in any directory
        pieces = ("**",)
    if not pieces or pieces[-1] == "/":
        pieces = (*pieces, "**")
    components: list[list[str]] = [[]]
    for piece in pieces:
        if piece == "/":
            components.append([])
        else:
            components[-1].append(_translated(piece))
    numbers = count()
    parts = [_joined(component, numbers) for component in components]
    for part in parts:
        if part in (r"\.", r"\.\."):
            raise ValueError("no path has a component . or ..: patterns are relative to the source")
    spanning = [number for number, part in enumerate(parts) if _ANY in part]
    heads = parts[: spanning[0]] if spanning else parts
    # a component ** also stands for no directory
    joined = "".join(_ANY_DIRECTORIES if part == _ANY else f"{part}/" for part in parts[:-1]) + parts[-1]
    return Glob(
        whole=_regex(joined if is_anchored else _ANY_DIRECTORIES + joined),
        heads=tuple(map(_regex, heads)) if is_anchored else (),
        spans=bool(spanning) or not is_anchored,
        matches_everything_below=pieces[-1] == "**",
    )


_ANY, _ANY_DIRECTORIES, _IN_NAME = ".*", "(?:.*/)?", "[^/]"
_STAR = f"{_IN_NAME}*"


def _joined(texts: list[str], numbers: Iterator[int]) -> str:
    """Join the regular expressions of one component.

    Each star but the last takes the first match of what follows it: to try the others would find nothing else, and
    take a time that grows with a power of the length of the name. A group in a lookahead is not tried again.
    """
    stars = [] if _ANY in texts else [index for index, text in enumerate(texts) if text == _STAR]
    if len(stars) < 2:
        return "".join(texts)
    found = "".join(texts[: stars[0]])
    for star, following in pairwise(stars):
        name = f"star{next(numbers)}"
        found += f"(?=(?P<{name}>{_STAR}?{''.join(texts[star + 1 : following])}))(?P={name})"
    return found + "".join(texts[stars[-1] :])


def _translated(piece: str) -> str:
    """Return the regular expression for what is between two slashes."""
    if piece == "**":
        return _ANY
    if piece == "*":
        return _STAR
    if piece == "?":
        return _IN_NAME
    if piece.startswith("**"):
        raise ValueError("there are more than two * in a row")
    if len(piece) > 1 and piece[0] == "[":
        return _class(piece[1:-1])
    if len(piece) > 1:
        return re.escape(_unescaped(piece))
    if piece in ("[", "\\"):
        raise ValueError("a [ has no ]" if piece == "[" else "nothing follows the last \\")
    return re.escape(piece)


def _class(content: str) -> str:
    """Return the regular expression for a class, of which the content between the brackets is given."""
    is_negated = content[:1] in ("!", "^")
    content = content[1:] if is_negated else content
    if not content:
        raise ValueError("a [ ] is empty")
    if "[:" in content:
        raise ValueError("named classes such as [:digit:] are not supported")
    ranges = ([char for char in found if char] for found in _RANGES.findall(content))
    characters = "".join("-".join(re.escape(_unescaped(char)) for char in found) for found in ranges)
    return f"(?!/)[{'^' if is_negated else ''}{characters}]"


def _unescaped(piece: str) -> str:
    if len(piece) == 1:
        return piece
    if piece[1].isalnum() or piece[1] == "/":
        raise ValueError(f"{piece} is not supported: \\ precedes special characters only")
    return piece[1]


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise ValueError(error.msg) from error
