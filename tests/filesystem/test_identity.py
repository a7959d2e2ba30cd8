"""Identity of filesystems: options, credentials, instances, copies in other threads and processes, and secrets."""

import inspect
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

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem, MissingCredentialsError
from cosv4fs.emulator import CofferDialect, Dialect, Emulator
from tests.consumers.registry import Tool
from tests.support import wait_for_background

pd = Tool("pandas")
pq = Tool("pyarrow.parquet")

VARIANTS = [("download_headers", "bare"), ("ranges", "ignore"), ("bad_range", "200")]
BUCKET = "test-1250000000"
SECRET = "the-secret-key-nobody-may-see"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("COSV4_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(conf, "cosv4", {})


@pytest.mark.parametrize("missing", ["appid", "secret_id", "secret_key", "region"])
def test_missing_credentials_are_named_with_the_ways_to_set_them(missing):
    options = {"appid": 1250000000, "secret_id": "id", "secret_key": SECRET, "region": "gz"}
    del options[missing]
    with pytest.raises(PermissionError) as caught:
        CosV4FileSystem(**options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MissingCredentialsError)
    assert f"{missing}=" in str(caught.value)
    assert f"COSV4_{missing.upper()}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_options_come_before_the_configuration_before_the_environment(emulator, monkeypatch):
    options = emulator.storage_options
    for name in ("appid", "secret_id", "secret_key", "endpoint"):
        monkeypatch.setenv(f"COSV4_{name.upper()}", str(options[name]))
    monkeypatch.setitem(conf, "cosv4", {"region": "sh"})
    fs = fsspec.filesystem("cosv4")
    assert (fs.config.appid, fs.config.secret_id, fs.config.region) == (options["appid"], options["secret_id"], "sh")
    fs.pipe_file(f"{BUCKET}/x", b"from the environment")
    with fsspec.open(f"cosv4://{BUCKET}/x") as file:
        assert file.read() == b"from the environment"
    monkeypatch.setitem(conf, "cosv4", {"region": "sh", "endpoint": "http://127.0.0.1:2", "secret_id": "configured"})
    assert fsspec.filesystem("cosv4").config.endpoint == "http://127.0.0.1:2"
    assert fsspec.filesystem("cosv4").config.secret_id == "configured"
    assert CosV4FileSystem(secret_id="given").config.secret_id == "given"


def test_text_in_the_configuration_of_fsspec_is_parsed(monkeypatch):
    """Values of its INI files and variables are text."""
    account = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "region": "gz"}
    monkeypatch.setitem(conf, "cosv4", {**account, "use_ssl": "False", "max_retries": "2", "read_timeout": "1.5"})
    config = fsspec.filesystem("cosv4").config
    assert (config.use_ssl, config.max_retries, config.read_timeout) == (False, 2, 1.5)
    assert config.api_root == "http://gz.file.myqcloud.com"
    with pytest.raises(ValueError, match="anon must be one of true, yes, on"):
        fsspec.filesystem("cosv4", anon="perhaps")


def test_options_of_other_protocols_are_refused_with_the_reason():
    account = {"secret_id": "id", "secret_key": SECRET, "endpoint": "http://127.0.0.1:1"}
    for kind, given, reason in (
        (CosV4FileSystem, {"appid": 1, "security_token": "x"}, "no temporary keys"),
        (CosV3FileSystem, {"appid": 1, "checksum": False}, "always needs the SHA-1"),
        (CofferFileSystem, {"appid": 1}, "coffers are named in full"),
    ):
        with pytest.raises(ValueError, match=f"{list(given)[-1]} is not an option of {kind.protocol}: .*{reason}"):
            kind(**account, **given)
        with pytest.raises(TypeError, match=r"^unknown option read_timout: did you mean read_timeout\?$"):
            kind(**account, read_timout=1)


def test_invalid_options_are_named():
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


@pytest.mark.protocol("cosv4", "cosv3")
class TestWithoutKeys:
    """Public objects: whole files by their names, and nothing that needs a signature."""

    @pytest.fixture
    def emulator(self, dialect):
        with Emulator(buckets=("private",), public_buckets=("public",), dialect=dialect) as running:
            yield running

    @pytest.fixture(autouse=True)
    def owner(self, fs):
        fs.pipe({"public/d/x": b"a,b\n1,2\n", "public/empty": b"", "private/x": b"for me"})
        return fs

    @pytest.fixture
    def options(self, emulator):
        return {"appid": emulator.storage_options["appid"], "endpoint": emulator.endpoint, "anon": True}

    @pytest.fixture
    def anybody(self, protocol, options):
        return fsspec.filesystem(protocol, **options)

    def test_a_file_is_read_in_every_way(self, anybody, owner):
        path = "public/d/x"
        assert anybody.cat_file(path) == b"a,b\n1,2\n"
        with anybody.open(path) as file:
            assert (file.size, file.read()) == (8, b"a,b\n1,2\n")
        info = anybody.info(path)
        assert (info["name"], info["size"], info["type"]) == (path, 8, "file")
        assert info["mtime"] == owner.info(path)["mtime"]
        assert anybody.exists(path)
        assert anybody.isfile(path)
        assert anybody.sizes([path, "public/empty"]) == [8, 0]
        assert anybody.open("public/empty").read() == b""
        assert anybody.tail(path, 4) == b"1,2\n"

    def test_tables(self, protocol, owner, options, anybody):
        url, table = f"{protocol}://public", pd.DataFrame({"a": [1, 2]})
        assert pd.read_csv(f"{url}/d/x", storage_options=options)["b"].tolist() == [2]
        with owner.open("public/t.parquet", "wb") as file:
            table.to_parquet(file)
        pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/t.parquet", storage_options=options), table)
        assert pq.read_table("public/t.parquet", filesystem=anybody).num_rows == 2

    def test_a_table_costs_two_requests(self, protocol, options, emulator):
        emulator.clear_requests()
        pd.read_csv(f"{protocol}://public/d/x", storage_options=options)
        assert emulator.count() == {"download": 2}

    def test_a_file_that_is_not_there(self, anybody):
        for action in (anybody.open, anybody.info, anybody.cat_file):
            with pytest.raises(FileNotFoundError):
                action("public/none")
        # that there is no such file is known; of directories nothing is told
        assert not anybody.isfile("public/none")
        for question in (anybody.exists, anybody.isdir):
            with pytest.raises(PermissionError, match="anon=True"):
                question("public/none")
        with pytest.raises(FileNotFoundError, match="anon=True"):
            anybody.info("public/d")

    def test_the_rest_is_refused_with_a_hint(self, anybody):
        for action in (anybody.ls, anybody.find, anybody.isdir, anybody.info, anybody.du):
            with pytest.raises(PermissionError, match=r"anon=True.*name a file") as caught:
                action("public")
            assert caught.value.code == -81
        with pytest.raises(PermissionError, match="anon=True"):
            anybody.glob("public/d/*")
        for action in (anybody.cat_file, anybody.open, anybody.exists):
            with pytest.raises(PermissionError):
                action("private/x")
        with pytest.raises(PermissionError):
            anybody.pipe_file("public/y", b"")
        with pytest.raises(PermissionError, match="anon=True"):
            anybody.mkdir("public/d/new", create_parents=False)

    @pytest.mark.parametrize("dialect", [Dialect(**{name: value}) for name, value in VARIANTS], ids=str)
    def test_whatever_the_service_makes_of_ranges(self, anybody, dialect):
        assert anybody.sizes(["public/d/x", "public/empty"]) == [8, 0]
        assert anybody.open("public/d/x").read() == b"a,b\n1,2\n"


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
    assert all(other.runtime is mine.runtime for other in others)
    assert CosV4FileSystem(**emulator.storage_options, page_size=10).runtime is not mine.runtime


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


class Watched(CosV4FileSystem):
    """A filesystem that knows which of its attributes were changed after it was made."""

    changed = ()

    def __setattr__(self, name, value):
        self.__dict__["changed"] = (*self.changed, name)
        self.__dict__[name] = value


def provide():
    return {"secret_id": "id", "secret_key": SECRET}


def test_no_use_changes_an_instance_that_others_may_use_at_the_same_time(emulator, tmp_path):
    def use(fs):
        fs.pipe_file(f"{BUCKET}/d/x", bytes(5_000_000))
        assert fs.cat_file(f"{BUCKET}/d/x") == fs.open(f"{BUCKET}/d/x").read()
        fs.cp(f"{BUCKET}/d", f"{BUCKET}/e", recursive=True)
        fs.mv(f"{BUCKET}/e", f"{BUCKET}/f", recursive=True)
        fs.get(f"{BUCKET}/f", tmp_path, recursive=True)
        assert fs.find(BUCKET) == [f"{BUCKET}/d/x", f"{BUCKET}/f/x"]
        fs.rm(f"{BUCKET}/f", recursive=True)

    def describe(fs):
        fs.to_dict(include_password=False)
        fs.to_json(include_password=False)
        pickle.dumps(fs)
        fs._repr_html_()

    account = {name: emulator.storage_options[name] for name in ("appid", "region", "endpoint")}
    with_function = Watched(**account, credentials=provide, skip_instance_cache=True)
    with_keys = Watched(**emulator.storage_options, skip_instance_cache=True)
    for fs, actions in ((with_function, (describe,)), (with_keys, (use, describe))):
        made = fs.changed
        for action in actions:
            action(fs)
        assert fs.changed == made


@pytest.mark.parametrize("kind", [CosV4FileSystem, CosV3FileSystem, CofferFileSystem])
def test_a_description_holds_what_an_equal_filesystem_needs(kind):
    options = {"appid": 1250000000, "secret_id": "id", "secret_key": SECRET, "region": "gz", "endpoint": "http://x"}
    account = {name: value for name, value in options.items() if name in inspect.signature(kind).parameters}
    plain = kind(**account, page_size=77)
    ways = [plain, kind(*account.values(), page_size=77), kind(**account, page_size=77, security_token=None)]
    for fs in ways:
        assert kind.from_dict(fs.to_dict()) == plain
        assert kind.from_json(fs.to_json()) == plain
        bare = json.loads(fs.to_json(include_password=False))
        again = kind.from_dict({**bare, "secret_id": "id", "secret_key": SECRET})
        assert again == plain
        assert SECRET not in repr(bare)
        assert "secret_id" not in bare


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


def test_a_forked_child_makes_its_own_runtime(fs):
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
            wait_for_background()
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
    @pytest.mark.protocol("cosv4", "cosv3", "cdcs")
    def test_another_configuration(self, emulator, protocol, other):
        if protocol == "cdcs":
            other = {name: value for name, value in other.items() if name != "verify_downloads"}
        mine = fsspec.filesystem(protocol, **emulator.storage_options)
        theirs = fsspec.filesystem(protocol, **emulator.storage_options, **other)
        mine.pipe_file(f"{BUCKET}/d/a", b"1")
        assert theirs.ls(f"{BUCKET}/d", detail=False) == [f"{BUCKET}/d/a"]
        mine.pipe_file(f"{BUCKET}/d/new", b"new")
        assert theirs.exists(f"{BUCKET}/d/new")
        assert len(theirs.ls(f"{BUCKET}/d")) == 2
        if protocol != "cdcs":
            mine.pipe_file(f"{BUCKET}/d/new", b"longer")
            with theirs.open(f"{BUCKET}/d/new") as file:
                assert file.read() == b"longer"
            theirs.rm(f"{BUCKET}/d", recursive=True)
            assert not mine.exists(f"{BUCKET}/d")

    def test_another_protocol_and_another_key_of_the_account(self, emulator, fs):
        options = emulator.storage_options
        v3 = fsspec.filesystem("cosv3", **options)
        asked = fsspec.filesystem("cosv4", **{**options, "secret_id": None, "secret_key": None}, credentials=lambda: {
            "secret_id": options["secret_id"], "secret_key": options["secret_key"],
        })  # fmt: skip
        for other in (v3, asked):
            fs.rm(fs.find(BUCKET), recursive=True) if fs.find(BUCKET) else None
            assert other.find(BUCKET) == []
            fs.pipe_file(f"{BUCKET}/x", b"x")
            assert other.find(BUCKET) == [f"{BUCKET}/x"]

    @pytest.mark.protocol("cdcs")
    @pytest.mark.parametrize("dialect", [CofferDialect(listing_lag=1000)])
    def test_a_listing_that_is_late(self, emulator, fs):
        theirs = fsspec.filesystem("cdcs", **emulator.storage_options, page_size=10)
        fs.pipe_file(f"{BUCKET}/d/a", b"1")
        assert theirs.find(BUCKET) == [f"{BUCKET}/d/a"]
