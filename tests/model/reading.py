"""Steps that get bytes out: what they return has to be what the model holds."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.model.state import Change
from tests.model.steps import FOLDERS, NAMES, NOT_THERE, Plan, operation
from tests.model.world import World

KIB = 1024
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

offsets = st.one_of(st.integers(0, 1200 * KIB), st.sampled_from([0, 1, 999, 64 * KIB, 512 * KIB]))
limits = st.one_of(st.none(), offsets, offsets.map(lambda offset: -offset))
lengths = st.one_of(st.sampled_from([0, 1, 64 * KIB]), st.integers(0, 700 * KIB))


def read(world: World, name: str, act: Any, wanted: Any) -> Plan:
    """Return the plan of an operation that reads one file; `wanted` makes its result from the content."""
    if name not in world.state.files:
        return Plan(act, errors=MISSING)
    expected = wanted(world.state.files[name])

    def check(found: Any) -> None:
        assert found == expected, f"wrong bytes of {name}"

    return Plan(act, check=check)


def is_right(world: World, data: Any, expected: bytes | None) -> bool:
    """Judge one of several results, among which errors are handed back."""
    if world.disturbed and isinstance(data, OSError):
        return True
    return isinstance(data, MISSING) if expected is None else bool(data == expected)


@operation(name=NAMES, start=limits, end=limits)
def cat_file(world: World, name: str, start: int | None, end: int | None) -> Plan:
    planned = read(
        world, name, lambda: world.fs.cat_file(world.path(name), start, end), lambda data: data[span(data, start, end)]
    )
    # a range that is empty whatever the file is needs no request
    return Plan(planned.act, errors=planned.errors, may_succeed=bool(planned.errors), check=planned.check)


def span(data: bytes, start: int | None, end: int | None) -> slice:
    """Return a slice with limits that count from the end made plain; they stop at the beginning."""
    plain = [limit if limit is None or limit >= 0 else max(0, len(data) + limit) for limit in (start, end)]
    return slice(*plain)


@operation(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), on_error=st.sampled_from(["return", "raise"]))
def cat(world: World, names: list[str], on_error: str) -> Plan:
    files = world.state.files
    act = lambda: world.fs.cat([world.path(name) for name in names], on_error=on_error)  # noqa: E731

    # a pattern that matches nothing stands for nothing
    wanted = [name for name in names if name in files or "[" not in name]

    def check(found: dict[str, Any]) -> None:
        assert {world.name(path) for path in found} == set(wanted)
        for path, data in found.items():
            expected = files.get(world.name(path))
            assert is_right(world, data, expected), f"wrong bytes of {path}"

    fine = bool(wanted) and (on_error == "return" or all(name in files for name in wanted))
    return Plan(act, errors=() if fine else MISSING, check=check)


@operation(
    wanted=st.lists(st.tuples(NAMES, offsets, lengths), min_size=1, max_size=4),
    max_gap=st.sampled_from([None, 0, 100 * KIB]),
)
def cat_ranges(world: World, wanted: list[tuple[str, int, int]], max_gap: int | None) -> Plan:
    files = world.state.files
    wanted = [(name, start, start + length + 1) for name, start, length in wanted]

    def act() -> Any:
        paths, starts, ends = zip(*[(world.path(name), start, end) for name, start, end in wanted], strict=True)
        return world.fs.cat_ranges(list(paths), list(starts), list(ends), max_gap=max_gap)

    def check(found: list[Any]) -> None:
        for (name, start, end), data in zip(wanted, found, strict=True):
            expected = files.get(name)
            assert is_right(world, data, None if expected is None else expected[start:end]), f"wrong bytes of {name}"

    return Plan(act, check=check)


@operation(
    name=NAMES,
    parts=st.lists(st.tuples(offsets, lengths), min_size=1, max_size=4),
    cache_type=st.sampled_from(["parallel", "parallel", "readahead", "none"]),
    block_size=st.sampled_from([None, 10_000, 200_000]),
    copied=st.booleans(),
)
def open_to_read(
    world: World, name: str, parts: list[tuple[int, int]], cache_type: str, block_size: int | None, copied: bool
) -> Plan:
    def act() -> list[bytes]:
        with world.fs.open(world.path(name), block_size=block_size, cache_type=cache_type) as file:
            reader = pickle.loads(pickle.dumps(file)) if copied and cache_type == "parallel" else file
            with reader:
                return [part for offset, length in parts for part in read_part(reader, offset, length)]

    def read_part(file: Any, offset: int, length: int) -> tuple[bytes, bytes]:
        file.seek(offset)
        first = file.read(length)
        file.seek(-min(offset, file.size), io.SEEK_END)
        return first, file.read(length)

    def wanted(data: bytes) -> list[bytes]:
        ends = [(offset, len(data) - min(offset, len(data)), length) for offset, length in parts]
        return [data[at : at + length] for start, end, length in ends for at in (start, end)]

    return read(world, name, act, wanted)


@operation(name=NAMES, size=lengths, end=st.booleans())
def head_or_tail(world: World, name: str, size: int, end: bool) -> Plan:
    act = lambda: (world.fs.tail if end else world.fs.head)(world.path(name), size)  # noqa: E731
    planned = read(world, name, act, lambda data: data[max(0, len(data) - size) :] if end else data[:size])
    return Plan(act, errors=planned.errors, may_succeed=size == 0, check=planned.check)


@operation(name=NAMES, into=st.sampled_from(["file", "existing", "sink"]))
def get_file(world: World, name: str, into: str) -> Plan:
    local, sink = world.local() / "deep" / "file", io.BytesIO()
    if into == "existing":
        local.parent.mkdir(parents=True)
        local.write_bytes(b"old")

    def act() -> bytes:
        if into == "sink":
            world.fs.get_file(world.path(name), sink)
            return sink.getvalue()
        world.fs.get_file(world.path(name), local)
        return local.read_bytes()

    def aftermath() -> None:
        left = local.read_bytes() if local.is_file() else None
        assert left == (b"old" if into == "existing" else None), "a part of a file was left"

    planned = read(world, name, act, lambda data: data)
    if name in world.state.folders and into != "sink":
        return Plan(lambda: None)
    return Plan(act, errors=planned.errors, check=planned.check, aftermath=aftermath)


@operation(folder=FOLDERS)
def get(world: World, folder: str) -> Plan | None:
    local, state = world.local(), world.state
    if folder in state.files:
        return None
    expected = {name[len(folder) + 1 :]: data for name, data in state.files_below(folder).items()}

    def check(_: object) -> None:
        assert local_files(local) == expected
        inside = {name[len(folder) + 1 :] for name in state.folders_below(folder)}
        assert all((local / name).is_dir() for name in inside)

    def aftermath() -> None:
        for name, data in local_files(local).items():
            assert expected.get(name) == data, "a part of a file was left"

    act = lambda: world.fs.get(world.path(folder) + "/", f"{local}/", recursive=True)  # noqa: E731
    return Plan(act, Change(), () if folder in state.folders else NOT_THERE, check=check, aftermath=aftermath)


def local_files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
