"""Listings with names that nobody would give: a recursive ``get`` stays below its target."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
from hypothesis import strategies as st

from tests.fuzz.mutations import NAMES
from tests.fuzz.targets import check_error, target
from tests.support import RawServer, http_reply

MOST_REQUESTS = 300
CONTENT = b"content"


class _Listings(RawServer):
    """Lists the same names at ``/d/``, a file in every other directory, and has every file."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.infos: list[Any] = []
        self.replies = self  # asked for a reply by its number

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, number: int) -> bytes:
        words = self.requests[number].split(b" ", 2)
        path, _, query = words[1].decode("latin-1").partition("?")
        path = unquote(path)
        if number > MOST_REQUESTS:
            return b""
        if "op=list" in query:
            infos = self.infos if path.endswith("/b/d/") else [{"name": "below", "filesize": len(CONTENT)}]
            return _envelope({"context": "", "listover": True, "infos": infos})
        if "op=stat" in query:
            seconds = next((info["mtime"] for info in self.infos if "mtime" in info), 1)
            return _envelope({"ctime": 1, "mtime": seconds, "filesize": len(CONTENT), "filelen": len(CONTENT)})
        names = {str(info["name"]).strip("/").rpartition("/")[2] for info in self.infos if "filesize" not in info}
        if path in {"/d", *(f"/d/{name}" for name in names)}:
            return http_reply(status="404 Not Found")  # a directory is no file
        head = words[2].lower()
        if b"range: bytes=0-" in head:
            span = f"Content-Range: bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
            return http_reply(CONTENT, "206 Partial", [span])
        return http_reply(CONTENT)


def _envelope(data: Any) -> bytes:
    return http_reply(json.dumps({"code": 0, "message": "SUCCESS", "data": data}).encode())


@contextmanager
def listings() -> Iterator[tuple[_Listings, Path]]:
    """Give a server and an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="cosv4fs-fuzz-"))
    try:
        with _Listings() as server:
            yield server, folder
    finally:
        shutil.rmtree(folder)


ENTRIES = st.lists(
    st.tuples(NAMES, st.booleans()).map(
        lambda pair: {"name": pair[0], **({} if pair[1] else {"filesize": len(CONTENT), "mtime": 1})}
    ),
    max_size=4,
)


@target(
    st.tuples(ENTRIES, st.sampled_from(["get", "get", "get-file", "find", "walk", "du", "glob", "ls"])),
    bench=listings,
    pinned=[
        ([{"name": "good", "filesize": 7}, {"name": "dir/"}], "get"),
        *(([{"name": name, "filesize": 7}], "get") for name in ("../x", "a/..", "a/../../x", "/abs", "a\0b", "\ud800")),
        *(([{"name": name}], "get") for name in ("..", "a/..", "../../", "\ud800", "~", "..\\x")),
        *(([{"name": "x", "filesize": 7, "mtime": seconds}], "get-file") for seconds in (1, 10**12, 2**62)),
    ],
    weight=2,
)
def check_folders(bench: tuple[_Listings, Path], case: Any) -> None:
    """Names of a listing become names below the directory, here and on the local disk, or an `OSError`."""
    (server, folder), (infos, action) = bench, case
    server.infos = infos
    server.requests.clear()
    target_folder = folder / "deep" / "er" / "target"
    target_folder.parent.mkdir(parents=True)
    fs = fsspec.filesystem(
        "cosv4",
        skip_instance_cache=True,
        use_listings_cache=False,
        max_retries=0,
        appid="1250000000",
        secret_id="id",
        secret_key="key",
        region="gz",
        endpoint=server.endpoint,
    )
    fault = None
    try:
        _act(fs, action, target_folder)
    except OSError as error:
        check_error(error, ours=False)
        fault = error
    finally:
        made = {path for path in folder.rglob("*") if path.is_file()}
        outside = {path for path in folder.rglob("*") if not path.is_relative_to(target_folder)}
        shutil.rmtree(folder / "deep")
    assert outside == {folder / "deep", folder / "deep" / "er"}
    assert all(path.is_relative_to(target_folder) for path in made)
    assert [entry.name for entry in folder.iterdir()] == []
    assert len(server.requests) < MOST_REQUESTS
    if action == "get" and infos == [{"name": "good", "filesize": 7}, {"name": "dir/"}]:
        assert {str(path.relative_to(target_folder)) for path in made} == {"good", "dir/below"}, fault


def _act(fs: Any, action: str, folder: Path) -> None:
    if action == "get":
        fs.get("b/d", str(folder), recursive=True)
    elif action == "get-file":
        for info in fs.ls("b/d"):
            fs.get_file(info["name"], folder / "file")
            fs.modified(info["name"])
    elif action == "walk":
        for root, folders, files in fs.walk("b/d"):
            assert root == "b/d" or root.startswith("b/d/")
            assert not any("/" in name or name in ("", ".", "..") for name in (*folders, *files))
    else:
        found = {"find": fs.find, "du": fs.du, "glob": fs.glob, "ls": fs.ls}[action](
            "b/d/*" if action == "glob" else "b/d"
        )
        names = found if action in ("find", "glob") else [info["name"] for info in found] if action == "ls" else []
        assert all(name.startswith("b/d/") and ".." not in name.split("/") for name in names)
