"""Different credentials share nothing; no credentials means no signature."""

from contextlib import suppress

import fsspec
import pytest

from cosv4fs import CosV4FileSystem
from cosv4fs.api import CosV4Client
from cosv4fs.config import resolve
from tests.security.conftest import BUCKET, SECRET_KEY
from tests.security.servers import http_reply
from tests.security.test_redirects import ACTIONS, JSON
from tests.support import RawServer


@pytest.mark.parametrize(
    "other",
    [
        {"secret_key": "another"},
        {"secret_id": "another"},
        {"appid": "1250000001"},
        {"anon": True},
        {"verify": False},
        {"proxies": {}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_configuration_has_another_runtime(emulator, other):
    mine = fsspec.filesystem("cosv4", **emulator.storage_options)
    theirs = fsspec.filesystem("cosv4", **{**emulator.storage_options, **other})
    assert theirs is not mine
    for part in ("client", "pool", "namespace", "uploader", "files"):
        assert getattr(theirs.runtime, part) is not getattr(mine.runtime, part)
    assert theirs.client._signer is not mine.client._signer
    assert theirs.client._transport is not mine.client._transport
    assert mine.config != theirs.config
    assert fsspec.filesystem("cosv4", **emulator.storage_options).runtime is mine.runtime


@pytest.mark.parametrize("other", [{"secret_key": "wrong"}, {"secret_id": "nobody"}, {"anon": True}])
def test_what_one_has_seen_another_does_not_see(emulator, other):
    mine = CosV4FileSystem(**emulator.storage_options)
    mine.pipe_file(f"{BUCKET}/d/x", b"mine")
    assert mine.ls(f"{BUCKET}/d", detail=False) == [f"{BUCKET}/d/x"]
    assert mine.exists(f"{BUCKET}/d/x")
    theirs = CosV4FileSystem(**{**emulator.storage_options, **other})
    for action in (theirs.ls, theirs.info, theirs.exists, theirs.isdir, theirs.cat_file, theirs.find):
        with pytest.raises(PermissionError):
            action(f"{BUCKET}/d" if action in (theirs.ls, theirs.isdir, theirs.find) else f"{BUCKET}/d/x")


def test_another_environment_is_another_filesystem(emulator, monkeypatch):
    for name, value in emulator.storage_options.items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(value))
    mine = fsspec.filesystem("cosv4")
    monkeypatch.setenv("COSV4_SECRET_KEY", "wrong")
    theirs = fsspec.filesystem("cosv4")
    assert theirs.runtime is not mine.runtime
    assert (mine.config.secret_key, theirs.config.secret_key) == (SECRET_KEY, "wrong")
    with pytest.raises(PermissionError):
        theirs.ls(BUCKET)
    assert mine.ls(BUCKET) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_anonymous_use_never_signs(action, monkeypatch, emulator):
    for name, value in emulator.storage_options.items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(value))
    with RawServer(http_reply(JSON)) as server:
        client = CosV4Client(resolve({"anon": True, "endpoint": server.endpoint, "max_retries": 0}))
        with suppress(OSError):  # the reply is not right for every action
            ACTIONS[action](client)
        client.close()
        assert len(server.requests) >= 1
        for head in server.requests:
            assert b"authorization" not in head.lower()
            assert b"sign=" not in head
            assert b"AKID" not in head


@pytest.mark.parametrize("action", ACTIONS)
def test_signatures_travel_in_a_header_never_in_a_url(action, emulator):
    with RawServer(http_reply(JSON)) as server:
        options = {**emulator.storage_options, "endpoint": server.endpoint, "max_retries": 0}
        client = CosV4Client(resolve(options))
        with suppress(OSError):  # the reply is not right for every action
            ACTIONS[action](client)
        client.close()
        for head in server.requests:
            line, _, rest = head.partition(b"\r\n")
            assert b"sign" not in line
            assert rest.count(b"Authorization: ") == 1
        assert len(server.requests) >= 1
