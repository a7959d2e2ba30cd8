"""Every way to put bytes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback

from tests.load.client import Client
from tests.load.contents import Piece, large_size
from tests.load.operations import operation

__all__: list[str] = []

KIB = 1024


class _Stop(Callback):
    """Interrupts a transfer when so many slices have arrived."""

    def __init__(self, slices: int) -> None:
        super().__init__()
        self._slices = slices

    def relative_update(self, inc: int = 1) -> None:
        self._slices -= 1
        if self._slices < 0:
            raise InterruptedError("stopped by the load test")


class _GivenUpError(Exception):
    pass


@operation(14)
def pipe_file(client: Client) -> None:
    path, piece = client.anywhere(), client.piece()
    client.fs().pipe_file(path, client.bytes_of(piece))
    client.stored(path, piece)


@operation(2)
def pipe_create(client: Client) -> None:
    fs, path = client.fs(), client.anywhere()
    piece = client.piece()
    try:
        fs.pipe_file(path, client.bytes_of(piece), mode="create")
    except FileExistsError:
        client.require(path in client.files, f"{path} is said to exist")
    else:
        client.require(path not in client.files, f"{path} was created twice")
        client.stored(path, piece)


@operation(3)
def pipe_many(client: Client) -> None:
    pieces = {client.fresh(): client.piece(client.chance.randrange(64 * KIB)) for _ in range(4)}
    client.fs().pipe({path: client.bytes_of(piece) for path, piece in pieces.items()})
    for path, piece in pieces.items():
        client.stored(path, piece)


@operation(8)
def open_write(client: Client) -> None:
    _write(client, "wb", sized=False)


@operation(6)
def open_sized(client: Client) -> None:
    _write(client, "wb", sized=True)


@operation(3)
def open_large(client: Client) -> None:
    _write(client, "wb", sized=client.chance.random() < 0.5, piece=client.piece(large_size(client.chance)))


def _write(client: Client, mode: str, *, sized: bool, piece: Piece | None = None) -> None:
    path, piece = client.anywhere(), piece or client.piece()
    data = client.bytes_of(piece)
    with client.fs().open(path, mode, **({"size": len(data)} if sized else {})) as file:
        _in_parts(client, file, data)
    client.stored(path, piece)


def _in_parts(client: Client, file: Any, data: bytes) -> None:
    width = client.chance.choice((4 * KIB, 100_000, 1024 * KIB)) if len(data) < 512 * KIB else 700_000
    for start in range(0, len(data), width):
        part = data[start : start + width]
        file.write(part if client.chance.random() < 0.5 else bytearray(part))


@operation(3)
def open_create(client: Client) -> None:
    fs, path, piece = client.fs(), client.anywhere(), client.piece()
    try:
        with fs.open(path, "xb") as file:
            _in_parts(client, file, client.bytes_of(piece))
    except FileExistsError:
        client.require(path in client.files, f"{path} is said to exist")
    else:
        client.require(path not in client.files, f"{path} was created twice")
        client.stored(path, piece)


@operation(2)
def open_text(client: Client) -> None:
    path, piece = client.anywhere(), client.piece(client.chance.randrange(200 * KIB))
    text = client.bytes_of(piece).decode("latin-1")
    with client.fs().open(path, "w", encoding="latin-1", newline="") as file:
        file.write(text)
    client.stored(path, piece)


@operation(2)
def in_transaction(client: Client) -> None:
    fs = client.fs()
    pieces = {client.anywhere(): client.piece() for _ in range(2)}
    with fs.transaction:
        for path, piece in pieces.items():
            with fs.open(path, "wb") as file:
                _in_parts(client, file, client.bytes_of(piece))
    for path, piece in pieces.items():
        client.stored(path, piece)


@operation(3)
def discard(client: Client) -> None:
    fs, path = client.fs(), client.anywhere()
    data = client.bytes_of(client.piece(large_size(client.chance)))
    try:
        with fs.open(path, "wb", size=len(data)) as file:
            file.write(data[: client.chance.randrange(len(data))])
            raise _GivenUpError
    except _GivenUpError:
        _unchanged(client, fs, path)


@operation(1)
def abandon(client: Client) -> None:
    # a path of its own: whoever collects the file removes the upload at some later time
    data = client.bytes_of(client.piece(large_size(client.chance)))
    file = client.fs().open(f"{client.homes[0]}/abandoned/{client.number()}", "wb", size=len(data))
    file.write(data[: len(data) // 2])
    del file


def _unchanged(client: Client, fs: Any, path: str) -> None:
    if path in client.files:
        client.compare(path, fs.cat_file(path), client.bytes_of(client.files[path]), "what was kept")
    else:
        client.require(not fs.exists(path), f"{path} exists, but was given up")


def _unreadable(client: Client, fs: Any, path: str) -> None:
    """Read what an interrupted upload left alone; `exists` may take one that has all its slices for complete."""
    if path in client.files:
        _unchanged(client, fs, path)
        return
    try:
        fs.cat_file(path)
    except FileNotFoundError:
        return
    client.require(condition=False, text=f"{path} can be read, but is not complete")


def local_file(client: Client, piece: Piece, name: str = "source") -> Path:
    """Write a content to a local file."""
    source = client.local / name
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(client.bytes_of(piece))
    return source


@operation(6)
def put_file(client: Client) -> None:
    path, piece = client.anywhere(), client.piece()
    source = local_file(client, piece)
    client.fs().put_file(str(source), path)
    source.unlink()
    client.stored(path, piece)


@operation(2)
def put_tree(client: Client) -> None:
    folder, pieces = f"{client.homes[0]}/p{client.chance.randrange(2)}", {}
    for name in ("a", "b c.txt", "sub/c", "sub/deep/d"):
        pieces[name] = client.piece(client.chance.randrange(200 * KIB))
        local_file(client, pieces[name], f"tree/{name}")
    client.fs().put(f"{client.local}/tree/", folder, recursive=True)
    for name, piece in pieces.items():
        (client.local / "tree" / name).unlink()
        client.stored(f"{folder}/{name}", piece)


@operation(3)
def resume(client: Client) -> None:
    """Interrupt an upload of a local file, and continue it, perhaps through another configuration."""
    path, piece = client.anywhere(), client.piece(large_size(client.chance))
    source = local_file(client, piece)
    fs = client.fs()
    try:
        fs.put_file(str(source), path, callback=_Stop(client.chance.randrange(2)))
    except InterruptedError:
        _unreadable(client, fs, path)
        # the configuration that continues may use other slices: the session's own count
        client.fs().put_file(str(source), path)
        client.resumed += 1
    source.unlink()
    client.stored(path, piece)
