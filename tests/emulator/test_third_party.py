"""The unmodified client qcloud_cos_py3 against the emulator, through a proxy setting in the environment."""

import hashlib
import io
import time
import warnings

import pytest

from .client import APPID, SECRET_ID, SECRET_KEY

CONTENT = bytes(range(251)) * 12000  # 2.9 MB: three slices
BUCKET = "b"


@pytest.fixture
def peer(make_emulator, monkeypatch):
    """The client's bucket object; its requests reach the emulator as a proxy would get them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = pytest.importorskip("qcloud_cos_py3.cos")
    emulator = make_emulator(clock=time.time, region="sh")
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", emulator.endpoint)
    return client.CosBucket(int(APPID), SECRET_ID, SECRET_KEY, BUCKET)


def test_files_and_folders(peer):
    assert peer.create_folder("folder", biz_attr="x")["code"] == 0
    assert peer.create_folder("folder")["message"] == "ERROR_CMD_COS_PATH_CONFLICT"
    assert peer.stat_folder("folder")["data"]["biz_attr"] == "x"
    assert peer.upload_file(io.BytesIO(b"hello"), "a+b (1).txt", dir_name="folder", mime="text/plain")["code"] == 0
    assert peer.upload_file(io.BytesIO(b"hello"), "b.txt", dir_name="folder", replace=False)["code"] == 0
    assert peer.upload_file(io.BytesIO(b"other"), "b.txt", dir_name="folder", replace=False)["code"] == -4018
    assert peer.upload_file(io.BytesIO(b"third"), "b.txt", dir_name="folder", replace=True)["code"] == 0
    stat = peer.stat_file("folder/b.txt")["data"]
    assert (stat["filesize"], stat["sha"]) == (5, hashlib.sha1(b"third").hexdigest())
    page = peer.list_folder("folder", num=1)["data"]
    assert ([info["name"] for info in page["infos"]], page["listover"]) == (["a+b (1).txt"], False)
    page = peer.list_folder("folder", num=1, context=page["context"])["data"]
    assert ([info["name"] for info in page["infos"]], page["listover"]) == (["b.txt"], True)
    assert [info["name"] for info in peer.list_folder("folder", prefix="b")["data"]["infos"]] == ["b.txt"]
    assert [info["name"] for info in peer.list_folder("")["data"]["infos"]] == ["folder"]
    assert peer.get_file("folder/b.txt") == b"third"
    assert peer.copy_file("folder/b.txt", "c.txt")["code"] == 0
    assert peer.move_file("folder/b.txt", "/moved/b.txt")["code"] == 0
    assert peer.move_file("folder/b.txt", "/moved/b.txt")["message"] == "ERROR_CMD_FILE_NOTEXIST"
    assert peer.get_file("moved/b.txt") == b"third"
    assert peer.delete_folder("folder")["code"] == -173
    for name in ("folder/a+b (1).txt", "folder/c.txt", "moved/b.txt"):
        assert peer.delete_file(name)["code"] == 0
    assert peer.delete_folder("folder")["code"] == 0
    assert peer.stat_folder("folder")["code"] == -197


def test_slices(peer, tmp_path):
    (tmp_path / "big").write_bytes(CONTENT)
    data = peer.upload_slice_file(str(tmp_path / "big"), 1048576, "大.bin", dir_name="folder")
    assert data["resource_path"] == f"/{APPID}/{BUCKET}/folder/大.bin"
    assert peer.stat_file("folder/大.bin")["data"]["sha"] == hashlib.sha1(CONTENT).hexdigest()
    assert peer.get_file("folder/大.bin") == CONTENT


def test_attributes(peer):
    peer.upload_file(io.BytesIO(b"hello"), "f", dir_name=None)
    update = next(name for name in dir(peer) if name.startswith("update_file"))
    answer = getattr(peer, update)("f", authority="eWRPrivate", custom_headers={"Cache-Control": "no"})
    assert answer["code"] == 0
    stat = peer.stat_file("f")["data"]
    assert (stat["authority"], stat["custom_headers"]) == ("eWRPrivate", {"Cache-Control": "no"})
