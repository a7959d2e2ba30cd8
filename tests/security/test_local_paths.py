"""Names that a server sends never decide where something is written on this machine."""

import errno
import json
import os
from contextlib import suppress
from urllib.parse import unquote

import pytest
from fsspec.callbacks import Callback
from fsspec.implementations.local import LocalFileSystem

from cosv4fs import CosV4FileSystem
from cosv4fs.api.cos.replies import Entry
from cosv4fs.api.fields import Fields
from cosv4fs.pairing import _check_contained
from tests.security.conftest import BUCKET
from tests.security.servers import http_reply
from tests.support import MIB, RawServer, content, read_head

BAD = b'{"code":-197,"message":"ERROR_CMD_FILE_NOTEXIST"}'


class HostileBucket(RawServer):
    """A server whose directory ``/d/`` lists what it is told, and which has every file that is asked for."""

    def __init__(self, *names, folders=()):
        super().__init__(b"")
        self._rows = [{"name": name, "filesize": 4, "filelen": 4, "sha": ""} for name in names]
        self._rows += [{"name": name} for name in folders]

    def _answer(self, connection):
        head = read_head(connection)
        if not head:
            return
        self.requests.append(head)
        path, _, query = unquote(head.split()[1].decode()).partition("?")
        connection.sendall(self._reply(path, query))

    def _reply(self, path, query):
        if query.startswith("op=list"):
            rows = self._rows if path.endswith("/b/d/") else []
            return http_reply(
                json.dumps({"code": 0, "data": {"infos": rows, "context": "", "listover": True}}).encode()
            )
        if query.startswith("op=stat"):
            size = {} if path.endswith("/") else {"filesize": 4, "filelen": 4}
            found = not path.endswith("/") or path.endswith("/b/d/")
            return http_reply(json.dumps({"code": 0, "data": {"mtime": 2, **size}}).encode() if found else BAD)
        headers = ['ETag: "1"', 'Content-Disposition: attachment; filename="/etc/evil"']
        return http_reply(b"evil", headers=headers)


def hostile(server):
    account = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "endpoint": server.endpoint}
    return CosV4FileSystem(**account, max_retries=0, download_endpoint=f"{server.endpoint}")


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


NAMES = [
    "..", ".", "../evil", "../../evil", "/etc/evil", "a/../../evil", "evil/..", "x/../", "./evil", "..\\evil",
    "..\\..\\evil", "C:\\evil", "C:evil", "\\\\host\\share\\evil", "a\x00b", "evil\x00", "~/evil", "~", "$HOME",
    "con", "-rf", "\u2025/evil", "．．／evil", "..%2fevil", "%2e%2e%2fevil", "file:///tmp/evil",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_listing_names_stays_below_the_target(tmp_path, monkeypatch, name, is_folder):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    target = tmp_path / "deep" / "er" / "target"
    target.mkdir(parents=True)
    monkeypatch.chdir(target)
    with HostileBucket(*([] if is_folder else [name, "good"]), folders=[name] if is_folder else []) as server:
        fs = hostile(server)
        for action in (
            lambda: fs.get("b/d", str(target), recursive=True),
            lambda: fs.get("b/d/", f"{target}/", recursive=True),
            lambda: fs.get("b/d/*", f"{target}/"),
            lambda: fs.download("b/d", str(target / "new"), recursive=True),
            lambda: fs.get("b/d", "relative", recursive=True),
        ):
            # an error is as good as a file in the right place
            with suppress(OSError, ValueError):
                action()
        assert server.requests
    found = below(tmp_path)
    assert {path for path in found if not path.startswith("deep/er/target")} == {"deep", "deep/er"}
    assert not any("\x00" in path for path in found)


@pytest.mark.parametrize("name", ["..", ".", "../", "/..", "x/..", "x/../", "a/b/.", "a\x00b", "x/\x00"])
def test_names_that_name_something_else_are_refused(name):
    with pytest.raises(OSError, match="is invalid") as caught:
        Entry.parse(Fields({"name": name, "filesize": 1}, "list", "b/d"))
    assert (caught.value.errno, caught.value.filename) == (errno.EBADMSG, "b/d")


def test_a_header_does_not_name_the_file(tmp_path):
    with HostileBucket("good") as server:
        hostile(server).get_file("b/d/good", tmp_path / "mine")
    assert below(tmp_path) == ["mine"]
    assert (tmp_path / "mine").read_bytes() == b"evil"


@pytest.mark.parametrize("path", ["box/../x", "box/d/../../x", "box/./x", "../box/x", "box//x"])
def test_paths_of_users_do_not_climb(fs, emulator, path, tmp_path):
    emulator.clear_requests()
    for action in (
        fs.cat_file,
        fs.ls,
        fs.rm_file,
        lambda path: fs.pipe_file(path, b""),
        lambda path: fs.get_file(path, tmp_path / "x"),
    ):
        with pytest.raises(OSError) as caught:
            action(path)
        assert caught.value.errno in (errno.EINVAL, errno.ENOENT)
    assert emulator.requests == []
    assert below(tmp_path / "spool") == []


@pytest.mark.parametrize("target", ["/t/../x", "/tx", "/", "/t/a/../../x", "/t/.."])
def test_targets_are_checked_whatever_fsspec_does(target):
    _check_contained("/t", ["/t", "/t/a", "/t/a/../b"])
    _check_contained("/", ["/anything"])
    with pytest.raises(OSError, match="outside") as caught:
        _check_contained("/t", ["/t/a", target])
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, target)


class TestLinks:
    @pytest.fixture
    def outside(self, tmp_path):
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "victim").write_bytes(b"untouched")
        return tmp_path / "outside"

    @pytest.mark.parametrize("source", [f"{BUCKET}/d", f"{BUCKET}/d/*", [f"{BUCKET}/d/name", f"{BUCKET}/d/other"]])
    def test_a_link_whose_name_comes_from_the_service_is_replaced_not_followed(self, fs, tmp_path, outside, source):
        fs.pipe({f"{BUCKET}/d/name": content(3 * MIB), f"{BUCKET}/d/other": b"new"})
        (tmp_path / "t" / "d").mkdir(parents=True)
        for folder in (tmp_path / "t", tmp_path / "t" / "d"):
            (folder / "name").symlink_to(outside / "victim")
            (folder / "other").symlink_to(outside / "none")
        fs.get(source, f"{tmp_path / 't'}/", recursive=True)
        written = tmp_path / "t" / "d" if source == f"{BUCKET}/d" else tmp_path / "t"
        assert not any((written / name).is_symlink() for name in ("name", "other"))
        assert [(written / name).read_bytes() for name in ("name", "other")] == [content(3 * MIB), b"new"]
        assert below(outside) == ["victim"]
        assert (outside / "victim").read_bytes() == b"untouched"

    def test_linked_folders_are_the_users_and_followed_as_fsspec_does(self, fs, tmp_path, outside):
        fs.pipe({f"{BUCKET}/d/sub/name": b"x", f"{BUCKET}/d/name": b"y"})
        (tmp_path / "source" / "sub").mkdir(parents=True)
        (tmp_path / "source" / "sub" / "name").write_bytes(b"x")
        (tmp_path / "source" / "name").write_bytes(b"y")
        results = []
        for system, source in ((fs, f"{BUCKET}/d"), (LocalFileSystem(), str(tmp_path / "source"))):
            target, other = tmp_path / f"t{len(results)}", tmp_path / f"o{len(results)}"
            target.mkdir()
            other.mkdir()
            (target / "sub").symlink_to(other)
            system.get(f"{source}/", f"{target}/", recursive=True)
            results.append((below(target), below(other)))
        assert results[0] == results[1] == (["name", "sub"], ["name"])

    @pytest.mark.parametrize("parts", ["named_parts", "tmp_path"])
    def test_a_temporary_name_that_is_taken_is_not_followed(self, fs, tmp_path, outside, monkeypatch, request, parts):
        request.getfixturevalue(parts)
        fs.pipe_file(f"{BUCKET}/d/name", b"new")
        # what the disk can do is found out before
        fs.get_file(f"{BUCKET}/d/name", tmp_path / "first")
        monkeypatch.setattr("cosv4fs.localfiles.secrets.token_hex", lambda count: "0" * 2 * count)
        (tmp_path / "t").mkdir()
        (tmp_path / "t" / "name").write_bytes(b"old")
        (tmp_path / "t" / f".name.{'0' * 16}.cosv4fs-part").symlink_to(outside / "none")
        with pytest.raises(FileExistsError):
            fs.get_file(f"{BUCKET}/d/name", tmp_path / "t" / "name")
        assert len(below(tmp_path / "t")) == 2
        assert (tmp_path / "t" / "name").read_bytes() == b"old"
        assert below(outside) == ["victim"]


class Watch(Callback):
    """Notes the permissions of the files in a folder whenever something arrives."""

    def __init__(self, folder):
        super().__init__()
        self._folder, self.modes = folder, {}

    def relative_update(self, inc=1):
        for path in self._folder.iterdir():
            self.modes.setdefault(path.name.partition(".")[0] or "part", set()).add(path.stat().st_mode & 0o7777)


@pytest.mark.parametrize(
    ("mode", "kept"), [(0o600, 0o600), (0o640, 0o640), (0o4755, 0o755), (0o2775, 0o775), (0o400, 0o400)]
)
@pytest.mark.usefixtures("named_parts")
def test_files_are_private_while_they_are_replaced_and_as_open_as_before_then(fs, tmp_path, mode, kept):
    fs.pipe_file(f"{BUCKET}/d/name", content(3 * MIB))
    target = tmp_path / "t" / "name"
    target.parent.mkdir()
    target.write_bytes(b"old")
    target.chmod(mode)
    watch, before = Watch(target.parent), os.umask(0)
    try:
        fs.get_file(f"{BUCKET}/d/name", target, callback=watch)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o7777 == kept
    assert target.read_bytes() == content(3 * MIB)
    assert watch.modes["part"] == {0o600}
