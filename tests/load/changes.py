"""Copying, moving and removing, of files and trees; and what is left of uploads."""

from __future__ import annotations

from typing import Any

from cosv4fs.api import SliceSession
from tests.load.client import Client
from tests.load.contents import Piece
from tests.load.operations import operation

__all__: list[str] = []


@operation(5)
def cp(client: Client) -> None:
    source, target = client.taken(), client.anywhere()
    if source is None:
        return
    client.fs().cp_file(source, target)
    client.files[target] = client.files[source]


@operation(5)
def mv(client: Client) -> None:
    source, target = client.taken(), client.anywhere()
    if source is None:
        return
    client.fs().mv(source, target)
    client.files[target] = client.files.pop(source)


@operation(6)
def rm(client: Client) -> None:
    path = client.taken()
    if path is None:
        return
    fs = client.fs()
    fs.rm_file(path)
    del client.files[path]
    client.require(not fs.exists(path), f"{path} was removed, and exists")


@operation(2)
def rm_many(client: Client) -> None:
    names = client.chance.sample(sorted(client.files), min(5, len(client.files)))
    if not names:
        return
    client.fs().rm(names)
    for name in names:
        del client.files[name]


@operation(1)
def rm_tree(client: Client) -> None:
    path = client.taken()
    if path is None:
        return
    fs, folder = client.fs(), path.rpartition("/")[0]
    fs.rm(folder, recursive=True)
    client.files = {name: piece for name, piece in client.files.items() if not name.startswith(folder + "/")}
    client.require(not fs.exists(folder), f"{folder} was removed, and exists")


@operation(2)
def trees(client: Client) -> None:
    """Copy a directory, move the copy, read it, and remove it."""
    path = client.taken()
    if path is None:
        return
    fs, folder = client.fs(), path.rpartition("/")[0]
    inside = {name[len(folder) :]: piece for name, piece in client.files.items() if name.startswith(folder + "/")}
    copy, moved = client.fresh_folder(), client.fresh_folder()
    fs.cp(folder, copy, recursive=True)
    _same(client, fs, copy, inside)
    fs.mv(copy, moved, recursive=True)
    client.require(not fs.exists(copy), f"{copy} was moved, and exists")
    _same(client, fs, moved, inside)
    for name, data in fs.cat(moved, recursive=True).items():
        client.compare(name, data, client.bytes_of(inside[name[len(moved) :]]), "a moved copy")
    fs.rm(moved, recursive=True)


def _same(client: Client, fs: Any, folder: str, inside: dict[str, Piece]) -> None:
    found = {name[len(folder) :]: entry["size"] for name, entry in fs.find(folder, detail=True).items()}
    expected = {name: piece.size for name, piece in inside.items()}
    client.require(found == expected, f"{folder} holds {found}, not {expected}")


@operation(2)
def attributes(client: Client) -> None:
    path = client.taken()
    if path is None:
        return
    fs, text = client.fs(), f"note {client.number()}"
    fs.update_attributes(path, biz_attr=text)
    client.require(fs.attributes(path)["biz_attr"] == text, f"attributes of {path}")


@operation(2)
def folders(client: Client) -> None:
    fs, folder = client.fs(), client.fresh_folder()
    fs.makedirs(f"{folder}/deep")
    client.require(fs.isdir(f"{folder}/deep") and fs.ls(f"{folder}/deep") == [], f"{folder}/deep was made")
    fs.rmdir(f"{folder}/deep")
    fs.rmdir(folder)
    client.require(not fs.exists(folder), f"{folder} was removed, and exists")


@operation(3)
def uploads(client: Client) -> None:
    """Leave an unfinished upload as a dead process does, see it, and clean it up."""
    fs, path = client.fs(), f"{client.fresh_folder()}/dead"
    bucket, _, rest = path.partition("/")
    session = fs.client.upload_slice_init(bucket, "/" + rest, filesize=2_000_000, slice_size=1024 * 1024)
    client.require(isinstance(session, SliceSession), f"init at {path} opened no session")
    fs.client.upload_slice_data(bucket, "/" + rest, session.session, 0, memoryview(bytes(1024 * 1024)))
    client.sent += 1024 * 1024
    folder = path.rpartition("/")[0]
    found = [(upload["name"], upload["stored"]) for upload in fs.uploads(folder)]
    client.require(found == [(path, 1024 * 1024)], f"uploads in {folder}: {found}")
    client.require(not fs.exists(path) and fs.find(folder) == [], f"{path} is visible")
    if client.chance.random() < 0.5:
        fs.abort_upload(path)
    else:
        cleaned = fs.clean_uploads(client.homes[0], older_than=-5)
        client.require(path in [upload["name"] for upload in cleaned], f"{path} was not cleaned up")
    client.require(fs.uploads(folder) == [], f"{path} is still there")
    fs.rm(folder, recursive=True)
