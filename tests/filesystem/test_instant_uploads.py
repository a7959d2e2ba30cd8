"""Instant uploads: content that the service has already is not sent again."""

import hashlib
import os

import fsspec
import pytest

from cosv4fs.emulator import Dialect
from cosv4fs.transfer import sha1state

BUCKET = "test-1250000000"
MIB = 1024 * 1024
CONTENT = os.urandom(3 * MIB + 100)


@pytest.fixture
def instant(emulator):
    options = {"instant_upload": True, "streaming": "never", "single_upload_limit": MIB}
    return fsspec.filesystem("cosv4", **emulator.storage_options, **options)


def ways(fs, tmp_path):
    (tmp_path / "local").write_bytes(CONTENT)
    yield lambda path: fs.pipe_file(path, CONTENT)
    yield lambda path: fs.put_file(tmp_path / "local", path)

    def write(path):
        with fs.open(path, "wb") as file:
            file.write(CONTENT)

    yield write


@pytest.mark.parametrize(
    "dialect", [Dialect(), Dialect(instant="appid"), Dialect(instant="off"), Dialect(instant_needs_parts=False)]
)
def test_known_content_is_not_sent_again(instant, second, emulator, dialect, tmp_path):
    instant.pipe_file(f"{BUCKET}/first", CONTENT)
    for number, way in enumerate(ways(instant, tmp_path)):
        emulator.clear_requests()
        way(f"{BUCKET}/copy{number}")
        way(f"{BUCKET}/first")
        assert ("upload_slice_data" in emulator.count()) is (dialect.instant == "off")
        for name in ("first", f"copy{number}"):
            assert second.cat_file(f"{BUCKET}/{name}") == CONTENT
    assert second.uploads(BUCKET) == []


def test_new_content_is_sent(instant, second, emulator, tmp_path):
    for number, way in enumerate(ways(instant, tmp_path)):
        way(f"{BUCKET}/{number}")
        assert second.cat_file(f"{BUCKET}/{number}") == CONTENT
        second.rm(f"{BUCKET}/{number}")
    instant.pipe_file(f"{BUCKET}/a", CONTENT)
    emulator.clear_requests()
    instant.pipe_file(f"{BUCKET}/b", CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert emulator.count()["upload_slice_data"] == 4


def test_the_progress_is_complete(instant):
    callback = fsspec.callbacks.Callback()
    instant.pipe_file(f"{BUCKET}/a", CONTENT)
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile() as local:
        local.write(CONTENT)
        local.flush()
        instant.put_file(local.name, f"{BUCKET}/b", callback=callback)
    assert callback.size == callback.value == len(CONTENT)


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 2 * MIB + 100])
def test_states_end_in_the_sha1(size):
    content = bytes(i % 251 for i in range(size))
    blocks = [memoryview(content)[start : start + MIB] for start in range(0, size, MIB)]
    sha, parts = sha1state.upload_parts(blocks)
    assert sha == hashlib.sha1(content).hexdigest()
    assert parts.endswith(f'"datasha":"{sha}"}}]')
    if size == 2 * MIB + 100:
        assert "463935c7eea4ca2705d0f481ecedb31f4d0f3a96" in parts
        assert "657c72d675f1e792607e5c0a7405f66cbdb8c290" in parts


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_the_library_of_macos_is_not_loaded(system, monkeypatch):
    """It ends the process; of Python for macOS, hashlib may have the functions built in."""
    loaded = []
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("ctypes.util.find_library", loaded.append)
    monkeypatch.setattr(sha1state, "_hashlib", None)
    assert sha1state._library.__wrapped__() is None
    assert loaded == []


def test_without_the_library_contents_are_sent(instant, second, emulator, monkeypatch):
    monkeypatch.setattr(sha1state, "_library", lambda: None)
    for name in ("a", "b"):
        instant.pipe_file(f"{BUCKET}/{name}", CONTENT)
        assert second.cat_file(f"{BUCKET}/{name}") == CONTENT
    assert emulator.count()["upload_slice_data"] == 4
