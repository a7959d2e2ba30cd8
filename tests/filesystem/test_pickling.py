"""Filesystems sent to other processes: named alike everywhere, and never an error while they are unpickled."""

import pickle
import threading

import fsspec
import pytest

from cosv4fs import CosV4FileSystem, MissingCredentialsError
from cosv4fs.config import resolve
from cosv4fs.identity import _Unavailable, restore, token
from cosv4fs.options import variables_of
from cosv4fs.protocols import V4

BUCKET = "test-1250000000"
VARIABLES = variables_of(V4)
ACCOUNT = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "region": "gz"}


@pytest.fixture
def without_account(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def test_instances_of_all_threads_are_equal(fs, emulator):
    others = []
    thread = threading.Thread(target=lambda: others.append(CosV4FileSystem(**emulator.storage_options)))
    thread.start()
    thread.join()
    assert others[0] is not fs
    assert others == [fs]
    assert hash(others[0]) == hash(fs)
    assert others[0].__dask_tokenize__() == fs.__dask_tokenize__()
    assert CosV4FileSystem(**emulator.storage_options, page_size=10) != fs


def test_tokens_are_the_same_in_every_process():
    # written down: it is no other one tomorrow, nor in another process
    assert token(CosV4FileSystem, resolve(ACCOUNT)) == token(CosV4FileSystem, resolve({**ACCOUNT, "appid": 1250000000}))
    tokens = {
        token(CosV4FileSystem, resolve({**ACCOUNT, **change}))
        for change in ({}, {"secret_key": "other"}, {"secret_id": "other"}, {"endpoint": "http://x"}, {"anon": True})
    }
    assert len(tokens) == 5
    assert all(len(one) == 32 for one in tokens)
    assert not any("key" in one for one in tokens)


def credentials():
    return None


def test_callables_are_told_apart():
    class Described:
        pass

    from dataclasses import dataclass

    @dataclass
    class Options:
        function: object

    first, second = (lambda: None), (lambda: None)
    assert token(Described, Options(credentials)) == token(Described, Options(credentials))
    assert len({token(Described, Options(function)) for function in (credentials, first, second, None)}) == 4


def test_missing_credentials_are_told_at_the_first_use(emulator, monkeypatch, without_account):
    for name, value in emulator.storage_options.items():
        monkeypatch.setenv(VARIABLES[name], str(value))
    fs = fsspec.filesystem("cosv4")
    fs.pipe_file(f"{BUCKET}/x", b"data")
    message = pickle.dumps([fs, fs.open(f"{BUCKET}/x", "rb").fs, fsspec.open(f"cosv4://{BUCKET}/x")])
    with monkeypatch.context() as elsewhere:
        for variable in VARIABLES.values():
            elsewhere.delenv(variable, raising=False)
        arrived = pickle.loads(message)
        assert isinstance(arrived[0], _Unavailable)
        assert "cannot be made" in repr(arrived[0])
        for use in (lambda: arrived[0].cat_file(f"{BUCKET}/x"), lambda: arrived[0].protocol, arrived[2].open):
            with pytest.raises(MissingCredentialsError, match="missing appid"):
                use()
        passed_on = pickle.dumps(arrived)
    assert arrived[0].cat_file(f"{BUCKET}/x") == b"data"
    assert [type(one) for one in pickle.loads(passed_on)[:2]] == [CosV4FileSystem] * 2
    assert pickle.loads(passed_on)[0] == fs


def test_the_protocols_of_python_are_no_use_of_a_filesystem(without_account):
    # libraries look for them in arguments of any kind
    stand_in, equal = (restore(CosV4FileSystem, (), {}) for _ in range(2))
    assert not hasattr(stand_in, "__array__")
    tokenize = pytest.importorskip("dask.base").tokenize
    assert tokenize(stand_in) == tokenize(equal)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_files_opened_for_writing_stay_in_their_process(fs, compression):
    with fs.open(f"{BUCKET}/x", "wb", compression=compression) as file:
        with pytest.raises(TypeError, match=f"cannot pickle {BUCKET}/x: a file opened for writing"):
            pickle.dumps(file)
        file.write(b"data")
    with fs.open(f"{BUCKET}/x", compression=compression) as file:
        assert file.read() == b"data"


def test_other_failures_are_not_kept():
    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(fails, (), {})
