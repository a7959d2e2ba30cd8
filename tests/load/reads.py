"""Every way to get bytes out, and every question."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path

from tests.load.client import Client
from tests.load.operations import operation

__all__: list[str] = []


def _range(client: Client, size: int) -> tuple[int, int]:
    start = client.chance.randint(0, size)
    return start, client.chance.randint(start, min(size, start + client.chance.choice((100, 100_000, size))))


@operation(14)
def cat_file(client: Client) -> None:
    path, data = client.readable()
    client.compare(path, client.fs().cat_file(path), data, "cat_file")


@operation(8)
def cat_part(client: Client) -> None:
    path, data = client.readable()
    start, stop = _range(client, len(data))
    fs = client.fs()
    client.compare(path, fs.cat_file(path, start, stop), data[start:stop], f"bytes {start} to {stop}")
    count = client.chance.randint(0, 5000)
    client.compare(path, fs.tail(path, count), data[-count:] if count else b"", f"the last {count} bytes")
    client.compare(path, fs.head(path, count), data[:count], f"the first {count} bytes")


@operation(3)
def cat_many(client: Client) -> None:
    known = dict(client.readable() for _ in range(5))
    found = client.fs().cat(list(known))
    client.require(found.keys() == known.keys(), f"cat of {list(known)} brought {list(found)}")
    for path, data in known.items():
        client.compare(path, found[path], data, "cat")


@operation(6)
def cat_ranges(client: Client) -> None:
    known = [client.readable() for _ in range(3)]
    wanted = [(path, *_range(client, len(data)), data) for path, data in known for _ in range(3)]
    paths, starts, stops, _ = map(list, zip(*wanted, strict=True))
    gap = client.chance.choice((None, 0, 4096))
    found = client.fs().cat_ranges(paths, starts, stops, max_gap=gap, on_error="raise")
    for part, (path, start, stop, data) in zip(found, wanted, strict=True):
        client.compare(path, part, data[start:stop], f"cat_ranges {start} to {stop}, gap {gap}")


@operation(8)
def open_seek(client: Client) -> None:
    path, data = client.readable()
    with client.fs().open(path, "rb") as file:
        client.require(file.size == len(data), f"{path} is opened with {file.size} bytes")
        for _ in range(client.chance.randint(1, 8)):
            start, stop = _range(client, len(data))
            file.seek(start)
            client.compare(path, file.read(stop - start), data[start:stop], f"a jump to {start}")


@operation(5)
def open_read(client: Client) -> None:
    path, data = client.readable()
    width = client.chance.choice((8192, 100_000)) if len(data) < 300_000 else 500_000
    kind = client.chance.choice(("parallel", "parallel", "readahead", "bytes"))
    parts = []
    with client.fs().open(path, "rb", cache_type=kind) as file:
        while part := file.read(width):
            parts.append(part)
    client.compare(path, b"".join(parts), data, f"reading through {kind}")


@operation(2)
def open_unfinished(client: Client) -> None:
    """Read a little and close, while more is being fetched ahead."""
    path, data = client.readable()
    with client.fs().open(path, "rb") as file:
        client.compare(path, file.read(1000), data[:1000], "the beginning")


@operation(5)
def get_file(client: Client) -> None:
    path, data = client.readable()
    target = client.local / "target"
    client.fs().get_file(path, str(target))
    client.compare(path, target.read_bytes(), data, "get_file")
    target.unlink()
    sink = io.BytesIO()
    client.fs().get_file(path, sink)
    client.compare(path, sink.getvalue(), data, "get_file into a stream")


@operation(2)
def get_tree(client: Client) -> None:
    path = client.taken()
    if path is None:
        return
    folder = path.rpartition("/")[0]
    target = client.local / "got"
    client.fs().get(f"{folder}/", str(target), recursive=True)
    inside = {name[len(folder) :]: piece for name, piece in client.files.items() if name.startswith(folder + "/")}
    got = {os.path.join(where, name)[len(str(target)) :] for where, _, names in os.walk(target) for name in names}
    client.require(got == inside.keys(), f"get of {folder} brought {sorted(got)}, not {sorted(inside)}")
    for name, piece in inside.items():
        client.compare(folder + name, Path(f"{target}{name}").read_bytes(), client.bytes_of(piece), "get")
    shutil.rmtree(target)


@operation(8)
def info(client: Client) -> None:
    fs, (path, data) = client.fs(), client.readable()
    found = fs.info(path)
    client.require(found["size"] == len(data) and found["type"] == "file", f"info of {path}: {found}")
    client.require(not data or found["sha"] == hashlib.sha1(data).hexdigest(), f"SHA-1 in {found}")
    client.require(fs.exists(path) and fs.isfile(path) and not fs.isdir(path), f"{path} is no file")
    folder = path.rpartition("/")[0]
    client.require(fs.isdir(folder) and not fs.isfile(folder), f"{folder} is no directory")


@operation(4)
def missing(client: Client) -> None:
    fs, path = client.fs(), client.fresh()
    client.require(not (fs.exists(path) or fs.isfile(path) or fs.isdir(path)), f"{path} exists")
    for question in (fs.info, fs.cat_file, fs.rm_file, lambda name: fs.open(name, "rb")):
        try:
            question(path)
        except FileNotFoundError:
            continue
        client.require(condition=False, text=f"{path} was found")


@operation(6)
def ls(client: Client) -> None:
    fs, path = client.fs(), client.taken()
    if path is None:
        return
    folder = path.rpartition("/")[0]
    found = {entry["name"]: entry["size"] for entry in fs.ls(folder) if entry["type"] == "file"}
    expected = {name: piece.size for name, piece in client.files.items() if name.rpartition("/")[0] == folder}
    client.require(found == expected, f"ls of {folder}: {found}, not {expected}")


@operation(4)
def find(client: Client) -> None:
    fs = client.fs()
    for home in client.homes:
        expected = {name: piece.size for name, piece in client.files.items() if name.startswith(home + "/")}
        found = {name: entry["size"] for name, entry in fs.find(home, detail=True).items()}
        client.require(found == expected, f"find in {home}: {found}, not {expected}")
        client.require(fs.du(home) == sum(expected.values()), f"du of {home}")


@operation(2)
def glob(client: Client) -> None:
    fs, home = client.fs(), client.homes[0]
    expected = sorted(name for name in client.files if name.startswith(home + "/d") and name.endswith(".csv"))
    deep = sorted(fs.glob(f"{home}/d*/**/*.csv"))
    flat = sorted(fs.glob(f"{home}/d*/*.csv"))
    client.require(deep == expected, f"glob: {deep}, not {expected}")
    expected = [name for name in expected if name.count("/") == home.count("/") + 2]
    client.require(flat == expected, f"glob: {flat}, not {expected}")


@operation(2)
def walk(client: Client) -> None:
    home = client.homes[0]
    found = {f"{where}/{name}" for where, _, names in client.fs().walk(home) for name in names}
    expected = {name for name in client.files if name.startswith(home + "/")}
    client.require(found == expected, f"walk: {sorted(found)}, not {sorted(expected)}")
