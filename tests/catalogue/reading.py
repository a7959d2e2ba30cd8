"""Operations that read objects, whole and in parts, into memory and into local files."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

from tests.catalogue.operations import NOT_FOUND, Draws, Effect, Place, View, operation, pick
from tests.catalogue.state import Content

KIB = 1024
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
OLD = b"old"
"""What a local file holds that is replaced."""

_EDGES = (0, 1, 999, 64 * KIB, 512 * KIB)


def _offset(draws: Draws) -> int:
    return draws.chance.choice((draws.chance.randint(0, 1200 * KIB), draws.chance.choice(_EDGES)))


def _limit(draws: Draws) -> int | None:
    return draws.chance.choice((lambda: None, lambda: _offset(draws), lambda: -_offset(draws)))()


def _length(draws: Draws) -> int:
    return draws.chance.choice((0, 1, 64 * KIB, draws.chance.randint(0, 700 * KIB)))


def _parts(draws: Draws) -> list[tuple[int, int]]:
    return [(_offset(draws), _length(draws)) for _ in range(draws.chance.randint(1, 4))]


def reads(view: View, name: str, wanted: Callable[[bytes], Any]) -> Effect:
    """Return the effect of reading one file; `wanted` makes the result from its bytes."""
    content = view.state.files.get(name)
    return Effect(errors=MISSING) if content is None else Effect(returns=wanted(content.data))


def _open(at: Place, path: str) -> bytes:
    with at.fs.open(path, "rb") as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def _lines(at: Place, path: str) -> bytes:
    with at.fs.open(path, "rb") as file:
        return b"".join(file)


def _mixed(at: Place, path: str) -> bytes:
    """Read by the methods of `io`, in turn."""
    pieces: list[bytes] = []
    memory = bytearray(70 * KIB)
    with at.fs.open(path, "rb") as file:
        while file.peek(1):
            pieces += [file.readline(500), file.read1(300 * KIB), file.read(20)]
            pieces.append(bytes(memory[: file.readinto(memory)]))
            file.seek(-min(10, len(pieces[-1])), 1)
            pieces[-1] = pieces[-1][:-10]
            pieces.append(file.read(10))
    return b"".join(pieces)


def _sink(at: Place, path: str) -> bytes:
    sink = io.BytesIO()
    at.fs.get_file(path, sink)
    return sink.getvalue()


def _mapper(at: Place, path: str) -> bytes:
    folder, _, name = path.rpartition("/")
    try:
        found: bytes = at.fs.get_mapper(folder)[name]
    except KeyError as error:
        raise FileNotFoundError(path) from error
    return found


WAYS: dict[str, Callable[[Place, str], bytes]] = {
    "cat_file": lambda at, path: at.fs.cat_file(path),
    "cat": lambda at, path: at.fs.cat([path])[path],
    "open": _open,
    "lines": _lines,
    "mixed": _mixed,
    "sink": _sink,
    "mapper": _mapper,
}
"""Ways to read a whole object, by name."""


@operation(8, name=Draws.name, way=pick("cat_file", "cat_file", "open", "lines", "mixed", "sink"))
def read(at: Place, name: str, way: str = "cat_file") -> bytes:
    """Read a whole object in one of the ways."""
    return WAYS[way](at, at / name)


@read.effect
def _(view: View, name: str, way: str = "cat_file") -> Effect:
    return reads(view, name, lambda data: data)


@operation(6, name=Draws.name, start=_limit, end=_limit)
def cat_file(at: Place, name: str, start: int | None, end: int | None) -> bytes:
    """Read a part of an object."""
    found: bytes = at.fs.cat_file(at / name, start, end)
    return found


@cat_file.effect
def _(view: View, name: str, start: int | None, end: int | None) -> Effect:
    effect = reads(view, name, lambda data: data[_span(data, start, end)])
    # a range that is empty for any file needs no request
    return Effect(returns=effect.returns, errors=effect.errors, may_succeed=bool(effect.errors), check=_any(effect))


def _any(effect: Effect) -> Callable[[Any, bool], None] | None:
    """Return a check for what may succeed although nothing is there: it brings no bytes."""

    def check(found: bytes, disturbed: bool) -> None:
        assert found == b"", f"{len(found)} bytes of nothing"

    return check if effect.errors else None


def _span(data: bytes, start: int | None, end: int | None) -> slice:
    """Return a slice whose limits count from the beginning and do not lie before it."""
    return slice(*[limit if limit is None or limit >= 0 else max(0, len(data) + limit) for limit in (start, end)])


def _is_right(data: object, expected: bytes | None, *, disturbed: bool) -> bool:
    """Return whether one of several results is right; errors are handed back among them."""
    if disturbed and isinstance(data, OSError):
        return True
    return isinstance(data, MISSING) if expected is None else data == expected


def _bytes(content: Content | None) -> bytes | None:
    return None if content is None else content.data


@operation(4, names=Draws.names, on_error=pick("return", "raise"))
def cat(at: Place, names: list[str], on_error: str = "raise") -> dict[str, Any]:
    """Read several objects."""
    return {at.name(path): data for path, data in at.fs.cat([at / name for name in names], on_error=on_error).items()}


@cat.effect
def _(view: View, names: list[str], on_error: str = "raise") -> Effect:
    files = view.state.files
    # a pattern that matches nothing stands for nothing
    wanted = [name for name in names if name in files or "[" not in name]

    def check(found: Any, disturbed: bool) -> None:
        assert set(found) == set(wanted), f"{sorted(found)} instead of {sorted(wanted)}"
        for name, data in found.items():
            assert _is_right(data, _bytes(files.get(name)), disturbed=disturbed), f"wrong bytes of {name}"

    fine = bool(wanted) and (on_error == "return" or all(name in files for name in wanted))
    return Effect(errors=() if fine else MISSING, check=check)


def _ranges(draws: Draws) -> list[tuple[str, int, int]]:
    return [(draws.name(), offset, offset + length + 1) for offset, length in _parts(draws)]


@operation(4, ranges=_ranges, max_gap=pick(None, 0, 100 * KIB))
def cat_ranges(at: Place, ranges: list[tuple[str, int, int]], max_gap: int | None = None) -> list[Any]:
    """Read ranges of several objects."""
    names, starts, ends = zip(*ranges, strict=True)
    found: list[Any] = at.fs.cat_ranges([at / name for name in names], list(starts), list(ends), max_gap=max_gap)
    return found


@cat_ranges.effect
def _(view: View, ranges: list[tuple[str, int, int]], max_gap: int | None = None) -> Effect:
    def check(found: list[Any], disturbed: bool) -> None:
        for (name, start, end), data in zip(ranges, found, strict=True):
            content = _bytes(view.state.files.get(name))
            wanted = None if content is None else content[start:end]
            assert _is_right(data, wanted, disturbed=disturbed), f"wrong bytes of {name}"

    return Effect(check=check)


@operation(
    6,
    name=Draws.name,
    parts=_parts,
    cache_type=pick("parallel", "parallel", "readahead", "bytes", "none"),
    block_size=pick(None, 10_000, 200_000),
    copied=Draws.flag,
)
def open_to_read(
    at: Place, name: str, parts: list[tuple[int, int]], cache_type: str, block_size: int | None, copied: bool
) -> list[tuple[bytes, bytes]]:
    """Read parts of an open file, from the beginning and from the end; perhaps through a copy of it."""
    with at.fs.open(at / name, block_size=block_size, cache_type=cache_type) as file:
        reader = pickle.loads(pickle.dumps(file)) if copied else file
        with reader:
            return [_read_part(reader, offset, length) for offset, length in parts]


def _read_part(file: Any, offset: int, length: int) -> tuple[bytes, bytes]:
    file.seek(offset)
    first = file.read(length)
    file.seek(-min(offset, file.size), io.SEEK_END)
    return first, file.read(length)


@open_to_read.effect
def _(
    view: View, name: str, parts: list[tuple[int, int]], cache_type: str, block_size: int | None, copied: bool
) -> Effect:
    def wanted(data: bytes) -> list[tuple[bytes, bytes]]:
        ends = [(offset, len(data) - min(offset, len(data)), length) for offset, length in parts]
        return [(data[start : start + length], data[end : end + length]) for start, end, length in ends]

    return reads(view, name, wanted)


@operation(name=Draws.name, size=_length, end=Draws.flag)
def head_or_tail(at: Place, name: str, size: int, end: bool) -> bytes:
    """Read the first or the last bytes."""
    found: bytes = (at.fs.tail if end else at.fs.head)(at / name, size)
    return found


@head_or_tail.effect
def _(view: View, name: str, size: int, end: bool) -> Effect:
    effect = reads(view, name, lambda data: data[max(0, len(data) - size) :] if end else data[:size])
    if effect.errors and not size:
        return Effect(errors=effect.errors, may_succeed=True, check=_any(effect))
    return effect


@operation(6, name=Draws.name, existing=Draws.flag)
def get_file(at: Place, name: str, existing: bool = False) -> None:
    """Download an object, perhaps over a local file."""
    at.fs.get_file(at / name, at.local("target"))


@get_file.before
def _(at: Place, name: str, existing: bool = False) -> None:
    if existing:
        at.local("target").write_bytes(OLD)


@get_file.effect
def _(view: View, name: str, existing: bool = False) -> Effect | None:
    if name in view.state.folders:
        return None
    content = view.state.files.get(name)
    return Effect(errors=MISSING, fetched={}) if content is None else Effect(fetched={"target": content})


@operation(several=True, names=Draws.names)
def get_many(at: Place, names: list[str]) -> None:
    """Download several objects to local paths."""
    at.fs.get([at / name for name in names], [str(at.local(f"many/{number}")) for number in range(len(names))])


@get_many.effect
def _(view: View, names: list[str]) -> Effect | None:
    if any(name not in view.state.files or "[" in name for name in names):
        return None
    return Effect(fetched={f"many/{number}": view.state.files[name] for number, name in enumerate(names)})


@operation(4, several=True, folder=Draws.folder)
def get_tree(at: Place, folder: str) -> None:
    """Download a directory."""
    # with slashes it means the same whether or not a first attempt has made the local directory
    at.fs.get(f"{at / folder}/", f"{at.local('copy')}/", recursive=True)


@get_tree.effect
def _(view: View, folder: str) -> Effect | None:
    state = view.state
    if folder in state.files:
        return None
    inside = {f"copy{name[len(folder) :]}": content for name, content in state.files_below(folder).items()}
    return Effect(fetched=inside, errors=() if folder in state.folders else NOT_FOUND)
