"""Who a filesystem is: credentials, instances, copies in other threads and processes, and what it never tells."""

import json
import logging
import os
import pickle
import signal
import threading
import traceback

import fsspec
import pytest
from fsspec.config import conf

from cosv4fs import CosV4FileSystem, MissingCredentialsError
from cosv4fs.emulator import CofferDialect
from cosv4fs.transfer.writer import wait_for_aborts

ANYWHERE = "test-1250000000"
BUCKET = "test-bucket"
SECRET = "the-secret-key-nobody-may-see"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("COSV4_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(conf, "cosv4", {})


@pytest.mark.parametrize("missing", ["appid", "secret_id", "secret_key", "region"])
def test_what_is_missing_is_named_with_the_ways_to_set_it(missing):
    options = {"appid": 1250000000, "secret_id": "id", "secret_key": SECRET, "region": "gz"}
    del options[missing]
    with pytest.raises(PermissionError) as caught:
        CosV4FileSystem(**options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MissingCredentialsError)
    assert f"{missing}=" in str(caught.value)
    assert f"COSV4_{missing.upper()}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_options_come_before_the_environment_before_the_configuration(emulator, monkeypatch):
    options = emulator.storage_options
    monkeypatch.setitem(conf, "cosv4", {"appid": 1, "secret_id": "configured", "secret_key": "c", "region": "sh"})
    assert CosV4FileSystem(endpoint="http://127.0.0.1:1").config.secret_id == "configured"
    for name in ("appid", "secret_id", "secret_key", "endpoint"):
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(options[name]))
    fs = fsspec.filesystem("cosv4")
    assert (fs.config.appid, fs.config.secret_id, fs.config.region) == (options["appid"], options["secret_id"], "sh")
    fs.pipe_file(f"{BUCKET}/x", b"from the environment")
    with fsspec.open(f"cosv4://{BUCKET}/x") as file:
        assert file.read() == b"from the environment"
    assert CosV4FileSystem(secret_id="given").config.secret_id == "given"
    monkeypatch.setenv("COSV4_ENDPOINT", "http://127.0.0.1:2")
    assert fsspec.filesystem("cosv4").config.endpoint == "http://127.0.0.1:2"


def test_unknown_and_impossible_options_are_refused():
    options = {"appid": "1250000000", "secret_id": "id", "secret_key": SECRET, "region": "gz"}
    for wrong, kind in (
        ({"no_such_option": 1}, TypeError),
        ({"slice_size": 12345}, ValueError),
        ({"single_upload_limit": 2**30}, ValueError),
        ({"max_concurrency": 0}, ValueError),
        ({"endpoint": "localhost:80"}, ValueError),
        ({"appid": "mine"}, ValueError),
        ({"read_timeout": 0}, ValueError),
    ):
        with pytest.raises(kind, match=next(iter(wrong))):
            CosV4FileSystem(**{**options, **wrong})


def test_wrong_credentials_and_buckets(emulator):
    options = emulator.storage_options
    for wrong, kind in (
        ({"secret_key": "wrong"}, PermissionError),
        ({"secret_id": "nobody"}, PermissionError),
        ({"appid": "1250000001"}, FileNotFoundError),
    ):
        fs = CosV4FileSystem(**{**options, **wrong})
        actions = [fs.ls, fs.cat_file, lambda path, fs=fs: fs.pipe_file(path + "/x", b"")]
        # another appid has other buckets: that nothing exists in them is true
        actions += [fs.exists, fs.isdir] if kind is PermissionError else []
        for action in actions:
            with pytest.raises(kind) as caught:
                action(f"{BUCKET}/d")
            assert caught.value.filename.startswith(BUCKET)
    fs = CosV4FileSystem(**options)
    for action in (fs.ls, fs.info, fs.cat_file, lambda path: fs.pipe_file(path, b"")):
        with pytest.raises(FileNotFoundError, match="no such bucket"):
            action("no-such-bucket/x")


def test_public_objects_are_read_without_credentials(tmp_path):
    from cosv4fs.emulator import Emulator

    with Emulator(tmp_path, buckets=("private",), public_buckets=("public",)) as emulator:
        owner = CosV4FileSystem(**emulator.storage_options)
        owner.pipe({"public/x": b"for all", "private/x": b"for me"})
        fs = CosV4FileSystem(appid=emulator.storage_options["appid"], endpoint=emulator.endpoint, anon=True)
        assert fs.cat_file("public/x") == b"for all"
        with pytest.raises(PermissionError):
            fs.cat_file("private/x")
        with pytest.raises(PermissionError):
            fs.pipe_file("public/y", b"")


def test_instances_are_shared_by_configuration_not_by_thread(emulator):
    mine = fsspec.filesystem("cosv4", **emulator.storage_options)
    others = []

    def make():
        others.append(fsspec.filesystem("cosv4", **emulator.storage_options))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(other.room is mine.room for other in others)
    assert CosV4FileSystem(**emulator.storage_options, page_size=10).room is not mine.room


def test_copies_by_pickle_and_json_work(fs):
    fs.pipe_file(f"{BUCKET}/x", b"data")
    for copy in (
        pickle.loads(pickle.dumps(fs)),
        CosV4FileSystem.from_json(fs.to_json()),
        CosV4FileSystem.from_dict(fs.to_dict()),
    ):
        assert copy == fs
        assert copy.cat_file(f"{BUCKET}/x") == b"data"
    with fs.open(f"{BUCKET}/x") as file:
        file.read(1)
        assert pickle.loads(pickle.dumps(file)).read() == b"ata"


def test_secrets_stay_secret(emulator, caplog):
    options = {**emulator.storage_options, "secret_key": SECRET}
    fs = CosV4FileSystem(**options)
    told = [repr(fs), str(fs), repr(fs.client), repr(fs.config), repr(vars(fs.config)["appid"])]
    described = [fs.to_json(include_password=False), json.dumps(fs.to_dict(include_password=False))]
    positional = CosV4FileSystem(options["appid"], options["secret_id"], SECRET, "gz", endpoint=options["endpoint"])
    described.append(positional.to_json(include_password=False))
    with caplog.at_level(logging.DEBUG):
        for action in (fs.exists, fs.cat_file, lambda path: fs.pipe_file(path, b"x")):
            try:
                action(f"{BUCKET}/x")
            except OSError as error:
                told.append("".join(traceback.format_exception(error)))
        good = CosV4FileSystem(**emulator.storage_options)
        good.pipe_file(f"{BUCKET}/x", b"x")
        signature = good.client._signer.multi(BUCKET)
        good.cat_file(f"{BUCKET}/x")
        good.rm(f"{BUCKET}/x")
    for text in [*told, *described, caplog.text]:
        assert SECRET not in text
        assert emulator.storage_options["secret_key"] not in text
        assert signature not in text
    for text in described:
        assert options["secret_id"] not in text


def test_a_forked_child_makes_its_own_room(fs):
    fs.pipe_file(f"{BUCKET}/x", b"parent")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, fs.cat_file(f"{BUCKET}/x"))
            fs.pipe({f"{BUCKET}/{number}": b"child" for number in range(10)})
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"parent"
    assert os.waitpid(child, 0)[1] == 0
    assert len(fs.ls(BUCKET, refresh=True)) == 11
    assert fs.cat_file(f"{BUCKET}/3") == b"child"


def test_threads_share_a_filesystem(small_fs):
    errors = []

    def work(number):
        try:
            for turn in range(5):
                path = f"{BUCKET}/{number}/{turn}"
                content = bytes([number]) * (400_000 + number * 50_000)
                with small_fs.open(path, "wb", size=len(content) if turn % 2 else None) as file:
                    file.write(content)
                assert small_fs.cat_file(path) == content
                small_fs.mv(path, path + "-moved")
            assert len(small_fs.ls(f"{BUCKET}/{number}")) == 5
            small_fs.rm(f"{BUCKET}/{number}", recursive=True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert small_fs.ls(BUCKET, refresh=True) == []


def test_a_forked_child_leaves_the_parents_upload_alone(fs, emulator):
    size = 6 * 1024 * 1024
    with fs.open(f"{BUCKET}/large", "wb", size=size) as file:
        file.write(bytes(size // 2))
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            # a writer whose last reference is lost gives its upload up
            file._dealloc_warn()
            wait_for_aborts()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        file.write(bytes(size // 2))
    assert fs.info(f"{BUCKET}/large")["size"] == size


class TestOneChangeManyInstances:
    """What one instance changes all see at once, however they were made; what one has seen it keeps to itself."""

    @pytest.mark.parametrize(
        "other",
        [
            {"progress": True},
            {"page_size": 10, "max_concurrency": 2},
            {"listings_expiry_time": 3600.0},
            {"use_ssl": False, "verify_downloads": "always"},
        ],
        ids=lambda other: next(iter(other)),
    )
    @pytest.mark.generation("cosv4", "cosv3", "cdcs")
    def test_another_configuration(self, emulator, generation, other):
        if generation == "cdcs":
            other = {name: value for name, value in other.items() if name != "verify_downloads"}
        mine = fsspec.filesystem(generation, **emulator.storage_options)
        theirs = fsspec.filesystem(generation, **emulator.storage_options, **other)
        mine.pipe_file(f"{ANYWHERE}/d/a", b"1")
        assert theirs.ls(f"{ANYWHERE}/d", detail=False) == [f"{ANYWHERE}/d/a"]
        mine.pipe_file(f"{ANYWHERE}/d/new", b"new")
        assert theirs.exists(f"{ANYWHERE}/d/new")
        assert len(theirs.ls(f"{ANYWHERE}/d")) == 2
        if generation != "cdcs":
            mine.pipe_file(f"{ANYWHERE}/d/new", b"longer")
            with theirs.open(f"{ANYWHERE}/d/new") as file:
                assert file.read() == b"longer"
            theirs.rm(f"{ANYWHERE}/d", recursive=True)
            assert not mine.exists(f"{ANYWHERE}/d")

    def test_another_generation_and_another_key_of_the_account(self, emulator, fs):
        options = emulator.storage_options
        predecessor = fsspec.filesystem("cosv3", **options)
        asked = fsspec.filesystem("cosv4", **{**options, "secret_id": None, "secret_key": None}, credentials=lambda: {
            "secret_id": options["secret_id"], "secret_key": options["secret_key"],
        })  # fmt: skip
        for other in (predecessor, asked):
            fs.rm(fs.find(BUCKET), recursive=True) if fs.find(BUCKET) else None
            assert other.find(BUCKET) == []
            fs.pipe_file(f"{BUCKET}/x", b"x")
            assert other.find(BUCKET) == [f"{BUCKET}/x"]

    @pytest.mark.generation("cdcs")
    @pytest.mark.parametrize("dialect", [CofferDialect(listing_lag=1000)])
    def test_a_listing_that_is_late(self, emulator, fs):
        theirs = fsspec.filesystem("cdcs", **emulator.storage_options, page_size=10)
        fs.pipe_file(f"{ANYWHERE}/d/a", b"1")
        assert theirs.find(ANYWHERE) == [f"{ANYWHERE}/d/a"]
