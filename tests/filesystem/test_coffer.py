"""Coffers: every way of writing and reading, and a clear refusal of what write-once forbids."""

import errno
import json
import pickle

import fsspec
import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, faults
from cosv4fs.errors import MissingCredentialsError
from tests.support import MIB, content

COFFER = "examplecoffer-1250000000"
PATH = f"{COFFER}/dir/object.bin"
OLD = b"what was there first"


DATA = content(3 * MIB + 7)


def write_open(fs, path, data, local, **options):
    with fs.open(path, "wb", **options) as file:
        for start in range(0, len(data), 333_333):
            file.write(data[start : start + 333_333])


def write_sized(fs, path, data, local):
    write_open(fs, path, data, local, size=len(data))


def write_created(fs, path, data, local):
    with fs.open(path, "xb") as file:
        file.write(data)


def write_put_file(fs, path, data, local):
    local.write_bytes(data)
    fs.put_file(local, path)


def write_put(fs, path, data, local):
    local.write_bytes(data)
    fs.put(str(local), path)


def write_pipe(fs, path, data, local):
    fs.pipe({path: data})


def write_copy(fs, path, data, local):
    fs.pipe_file(f"{COFFER}/source", data)
    fs.cp_file(f"{COFFER}/source", path)


def write_transaction(fs, path, data, local):
    with fs.transaction:
        write_open(fs, path, data, local)
        assert not fs.exists(path)


WRITES = [
    write_open,
    write_sized,
    write_created,
    write_put_file,
    write_put,
    write_pipe,
    write_copy,
    write_transaction,
]


def read_open(fs, path, local):
    with fs.open(path, "rb") as file:
        return b"".join(iter(lambda: file.read(777_777), b""))


def read_file(fs, path, local):
    fs.get_file(path, local)
    return local.read_bytes()


@pytest.mark.parametrize("write", [write_open, write_sized, write_put_file, write_pipe, write_transaction])
def test_an_object_of_many_default_parts(vault, onlooker, tmp_path, write):
    fs = CofferFileSystem(**vault.storage_options, journal_dir=str(tmp_path / "journal"))
    data = content(16 * MIB + 1)
    write(fs, PATH, data, tmp_path / "local")
    assert vault.count()["UploadPart"] == 3
    assert read_open(onlooker, PATH, None) == data
    assert read_file(onlooker, PATH, tmp_path / "back") == data


def test_parts_travel_while_the_caller_writes(coffers, vault):
    with coffers.open(PATH, "wb") as file:
        file.write(DATA)
        assert vault.count()["InitiateMultipartUpload"] == 1
        assert not coffers.exists(PATH)
    assert coffers.cat_file(PATH) == DATA


@pytest.mark.parametrize(("block_size", "parts"), [(None, 4), (1000, 4), (2 * MIB, 2), (10**12, 1)])
def test_the_callers_block_size(vault, onlooker, tmp_path, block_size, parts):
    fs = CofferFileSystem(**vault.storage_options, slice_size=MIB, single_upload_limit=0, spool_memory=MIB)
    with fs.open(PATH, "wb", block_size=block_size) as file:
        file.write(DATA)
    assert vault.count()["UploadPart"] == parts
    assert onlooker.cat_file(PATH) == DATA


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("length", [10, len(DATA)])
@pytest.mark.parametrize("taken", [10, len(DATA)])
def test_nothing_is_ever_replaced(coffers, onlooker, tmp_path, write, length, taken):
    old = DATA[::-1][:taken]
    onlooker.pipe_file(PATH, old)
    with pytest.raises(FileExistsError, match="write-once") as caught:
        write(coffers, PATH, DATA[:length], tmp_path / "local")
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, PATH)
    assert onlooker.cat_file(PATH) == old
    assert coffers.uploads(COFFER) == []


@pytest.mark.parametrize("mode", ["wb", "xb", "w"])
def test_opening_what_exists_fails_before_anything_is_written(coffers, onlooker, vault, mode):
    onlooker.pipe_file(PATH, OLD)
    vault.clear_requests()
    with pytest.raises(FileExistsError, match="write-once"):
        coffers.open(PATH, mode)
    assert vault.count() == {"HeadObject": 1}


@pytest.mark.parametrize("length", [10, len(DATA)])
def test_who_comes_second_hears_it_at_the_end(coffers, onlooker, length):
    file = coffers.open(PATH, "wb")
    onlooker.pipe_file(PATH, OLD)
    with pytest.raises(FileExistsError, match="write-once"), file:
        file.write(DATA[:length])
    assert onlooker.cat_file(PATH) == OLD
    assert onlooker.uploads(COFFER) == []


def test_an_upload_under_way_is_told_from_an_object(coffers, onlooker):
    first = coffers.open(PATH, "wb", size=len(DATA))
    first.write(DATA[: 2 * MIB])
    for length in (10, len(DATA)):
        with pytest.raises(FileExistsError, match="an unfinished upload blocks this name"):
            onlooker.pipe_file(PATH, DATA[:length])
    with first:
        first.write(DATA[2 * MIB :])
    assert onlooker.cat_file(PATH) == DATA


REFUSED = {
    "rm": lambda fs: fs.rm(PATH),
    "rm recursive": lambda fs: fs.rm(COFFER, recursive=True),
    "rm_file": lambda fs: fs.rm_file(PATH),
    "delete": lambda fs: fs.delete(PATH),
    "rmdir": lambda fs: fs.rmdir(f"{COFFER}/dir"),
    "mv": lambda fs: fs.mv(PATH, PATH + "2"),
    "rename": lambda fs: fs.rename(PATH, PATH + "2"),
    "append": lambda fs: fs.open(PATH, "ab"),
    "update": lambda fs: fs.open(PATH, "r+b"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_coffers_cannot_says_why_and_changes_nothing(coffers, vault, what):
    coffers.pipe_file(PATH, OLD)
    vault.clear_requests()
    with pytest.raises(NotImplementedError, match=r"write-once.*lifecycle"):
        REFUSED[what](coffers)
    # at most whether there is anything to refuse
    assert set(vault.count()) <= {"HeadObject", "GetCoffer"}
    assert coffers.cat_file(PATH) == OLD


def test_what_does_not_exist_is_not_found_rather_than_write_once(coffers):
    coffers.pipe_file(PATH, OLD)
    none = f"{COFFER}/none"
    actions = {
        "rm": lambda: coffers.rm(none),
        "rm recursive": lambda: coffers.rm(none, recursive=True),
        "rm of a list": lambda: coffers.rm([PATH, none]),
        "rm of a pattern": lambda: coffers.rm(f"{none}*"),
        "rm of a coffer": lambda: coffers.rm("none-1250000000", recursive=True),
        "rm_file": lambda: coffers.rm_file(none),
        "rmdir": lambda: coffers.rmdir(none),
        "mv": lambda: coffers.mv(none, f"{COFFER}/x"),
        "mv of a list": lambda: coffers.mv([PATH, none], f"{COFFER}/x/"),
    }
    for name, action in actions.items():
        with pytest.raises(FileNotFoundError) as caught:
            action()
        assert "none" in caught.value.filename, name
    with pytest.raises(NotADirectoryError):
        coffers.rmdir(PATH)
    # a list of another coffer, which is empty: there is nothing to remove
    empty = "other-1250000000"
    coffers.rm(empty, recursive=True)
    assert coffers.isdir(empty)
    coffers.get_mapper(empty).clear()
    with pytest.raises(NotImplementedError):
        coffers.rm([empty, COFFER], recursive=True)
    for remove in (coffers.rm, coffers.rmdir):
        with pytest.raises(NotImplementedError):
            remove(empty)


def test_there_are_no_signed_urls(coffers):
    with pytest.raises(NotImplementedError, match="signed"):
        coffers.sign(PATH)


def test_empty_objects_where_the_service_refuses_them(coffers, onlooker):
    empty = (
        lambda: coffers.touch(PATH),
        lambda: coffers.pipe_file(PATH, b""),
        lambda: coffers.open(PATH, "wb").close(),
    )
    for write in empty:
        with pytest.raises(OSError, match="empty") as caught:
            write()
        assert (caught.value.errno, caught.value.code) == (errno.EINVAL, "ObjectEmpty")
    assert not onlooker.exists(PATH)


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(empty_objects="accept")])
def test_empty_objects_where_the_service_takes_them(coffers, onlooker):
    coffers.touch(PATH)
    coffers.pipe_file(PATH + "2", b"")
    assert onlooker.cat_file(PATH) == onlooker.cat_file(PATH + "2") == b""
    assert onlooker.ls(f"{COFFER}/dir", detail=False) == [PATH, PATH + "2"]
    for truncate in (True, False):
        with pytest.raises(FileExistsError, match="write-once"):
            coffers.touch(PATH, truncate=truncate)


@pytest.mark.parametrize("fail", [1, 3, 4])
@pytest.mark.parametrize("write", [write_open, write_sized, write_pipe])
def test_a_failure_leaves_the_name_free(coffers, onlooker, vault, write, fail):
    vault.faults.add(op="UploadPart", nth=fail, action=faults.HttpError(403))
    with pytest.raises(PermissionError):
        write(coffers, PATH, DATA, None)
    assert onlooker.uploads(COFFER) == []
    vault.faults.clear()
    write(coffers, PATH, DATA, None)
    assert onlooker.cat_file(PATH) == DATA


@pytest.mark.parametrize("op", ["InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"])
@pytest.mark.parametrize("action", [faults.DropReply(), faults.DropBefore(), faults.HttpError(500)], ids=str)
@pytest.mark.parametrize("write", [write_open, write_pipe])
def test_lost_replies_are_no_failures(coffers, onlooker, vault, op, action, write):
    data = DATA[:1000] if op == "PutObject" else DATA
    fault = vault.faults.add(op=op, nth=1, times=1, action=action)
    write(coffers, PATH, data, None)
    assert fault.hits == 1
    assert onlooker.cat_file(PATH) == data
    assert onlooker.uploads(COFFER) == []


def test_a_transaction_that_fails_in_the_end_holds_no_names(coffers, onlooker):
    names = [f"{COFFER}/t/{number}" for number in range(4)]
    with pytest.raises(FileExistsError, match="write-once"), coffers.transaction:
        for name in names:
            write_open(coffers, name, DATA if name != names[1] else b"small", None)
        onlooker.pipe_file(names[1], b"faster")
    assert onlooker.find(COFFER) == names[:2]
    assert onlooker.cat_file(names[1]) == b"faster"
    assert onlooker.uploads(COFFER) == []


def count_of(vault, action):
    vault.clear_requests()
    action()
    return dict(vault.count())


def test_the_requests_of_writing(coffers, vault, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(DATA)
    parts = {"InitiateMultipartUpload": 1, "UploadPart": 4, "CompleteMultipartUpload": 1}
    assert count_of(vault, lambda: coffers.pipe_file(PATH + "1", b"small")) == {"PutObject": 1}
    assert count_of(vault, lambda: write_open(coffers, PATH + "2", b"small", None)) == {"HeadObject": 1, "PutObject": 1}
    assert count_of(vault, lambda: coffers.pipe_file(PATH + "3", DATA)) == parts
    assert count_of(vault, lambda: coffers.put_file(local, PATH + "4")) == parts
    assert count_of(vault, lambda: write_open(coffers, PATH + "5", DATA, None)) == parts | {"HeadObject": 1}
    assert count_of(vault, lambda: coffers.makedirs(f"{COFFER}/a/b", exist_ok=True)) == {}


def test_the_requests_of_reading(coffers, onlooker, vault):
    onlooker.pipe_file(PATH, b"small")
    assert count_of(vault, lambda: coffers.cat_file(PATH)) == {"HeadObject": 1, "GetObject": 1}
    assert count_of(vault, lambda: coffers.cat_file(PATH)) == {"GetObject": 1}
    assert count_of(vault, lambda: read_open(coffers, PATH, None)) == {"GetObject": 1}


def test_directories_are_only_what_names_have_in_common(coffers):
    coffers.makedirs(f"{COFFER}/new/dir", exist_ok=True)
    coffers.mkdir(f"{COFFER}/new/dir")
    assert not coffers.exists(f"{COFFER}/new")
    coffers.pipe_file(PATH, OLD)
    for make in (coffers.mkdir, coffers.makedirs):
        with pytest.raises(FileExistsError):
            make(f"{COFFER}/dir")
    coffers.makedirs(f"{COFFER}/dir", exist_ok=True)
    coffers.makedirs(COFFER, exist_ok=True)


def test_coffers_are_made_and_deleted(coffers, vault):
    name = "fresh-1250000000"
    assert [found["name"] for found in coffers.coffers()] == [COFFER, "other-1250000000"]
    coffers.mkdir(name, locations=["ap-shanghai"])
    assert coffers.ls("", detail=False) == [COFFER, name, "other-1250000000"]
    assert next(found for found in coffers.coffers() if found["name"] == name)["locations"] == ["ap-shanghai"]
    with pytest.raises(FileExistsError):
        coffers.create_coffer(name)
    coffers.pipe_file(f"{name}/x", OLD)
    with pytest.raises(OSError, match="not empty") as caught:
        coffers.delete_coffer(name)
    assert caught.value.errno == errno.ENOTEMPTY
    coffers.delete_coffer("other-1250000000")
    assert coffers.ls("", detail=False) == [COFFER, name]
    coffers.makedirs("again-1250000000")
    assert coffers.coffers()[0]["locations"] == ["ap-tianjin"]
    with pytest.raises(FileNotFoundError):
        coffers.delete_coffer("other-1250000000")
    for wrong in (PATH, ""):
        with pytest.raises(ValueError, match="in full"):
            coffers.create_coffer(wrong)
    with pytest.raises(ValueError, match="only coffers have locations"):
        coffers.mkdir(f"{COFFER}/new", locations=["ap-tianjin"])


def test_objects_vanish_by_the_lifecycle(coffers, vault):
    coffers.pipe_file(PATH, OLD)
    assert coffers.lifecycle(COFFER) is None
    coffers.set_lifecycle(COFFER, 3)
    assert coffers.lifecycle(COFFER) == 3
    vault.clock_offset += 4 * 86400
    coffers.invalidate_cache()
    assert not coffers.exists(PATH)
    assert coffers.find(COFFER) == []


def test_policies(coffers):
    statement = {
        "Principal": {"qcs": ["qcs::cam::uin/100000000001:uin/100000000011"]},
        "Effect": "allow",
        "Action": ["name/cdcs:GetCoffer"],
        "Resource": [f"qcs::cdcs::uid/1250000000:{COFFER}/*"],
    }
    policy = {"Statement": [statement], "version": "2.0"}
    coffers.set_policy(COFFER, policy)
    assert coffers.policy(COFFER) == policy
    coffers.delete_policy(COFFER)
    assert not (coffers.policy(COFFER) or {}).get("Statement")


def test_unfinished_uploads(coffers, onlooker, vault):
    client = onlooker.client
    for number, key in enumerate(["/dir/half", "/dir/sub/other", "/dirty"]):
        upload = client.initiate(COFFER, key)
        if number:
            client.upload_part(COFFER, key, upload, 1, memoryview(DATA[:MIB]))
    found = coffers.uploads(f"{COFFER}/dir")
    assert sorted((upload["name"], upload["stored"]) for upload in found) == [
        (f"{COFFER}/dir/half", 0),
        (f"{COFFER}/dir/sub/other", MIB),
    ]
    assert [upload["name"] for upload in coffers.uploads(f"{COFFER}/dir/half")] == [f"{COFFER}/dir/half"]
    assert coffers.uploads(f"{COFFER}/di") == []
    assert coffers.find(COFFER) == []
    coffers.abort_upload(f"{COFFER}/dir/half")
    with pytest.raises(FileNotFoundError):
        coffers.abort_upload(f"{COFFER}/dir/half")
    assert coffers.clean_uploads(COFFER, older_than=3600) == []
    assert len(coffers.clean_uploads(f"{COFFER}/dir", older_than=-5)) == 1
    assert [upload["name"] for upload in coffers.uploads(COFFER)] == [f"{COFFER}/dirty"]


def test_it_travels(coffers, vault):
    coffers.pipe_file(PATH, OLD)
    again = pickle.loads(pickle.dumps(coffers))
    assert again == coffers
    assert again.cat_file(PATH) == OLD
    assert CofferFileSystem.from_json(coffers.to_json()).cat_file(PATH) == OLD
    shown = json.dumps(coffers.to_dict(include_password=False)) + repr(coffers) + coffers._repr_html_()
    for secret in ("secret_id", "secret_key"):
        assert vault.storage_options[secret] not in shown
    assert vault.endpoint in shown


def test_it_is_found_by_its_protocol(vault):
    with fsspec.open(f"cdcs://{PATH}", "wb", **vault.storage_options) as file:
        file.write(OLD)
    fs, path = fsspec.url_to_fs(f"cdcs://{PATH}", **vault.storage_options)
    assert isinstance(fs, CofferFileSystem)
    assert fs.cat_file(path) == OLD
    assert fs is fsspec.filesystem("cdcs", **vault.storage_options)


def test_options(monkeypatch):
    keys = {"secret_id": "id", "secret_key": "key"}
    for name in ("SECRET_ID", "SECRET_KEY", "REGION", "ENDPOINT", "SECURITY_TOKEN"):
        monkeypatch.delenv(f"CDCS_{name}", raising=False)
    with pytest.raises(MissingCredentialsError, match="CDCS_REGION"):
        CofferFileSystem(**keys)
    for unused in (
        {"appid": 1},
        {"streaming": "never"},
        {"instant_upload": True},
        {"checksum": False},
        {"verify_downloads": "known"},
    ):
        with pytest.raises(ValueError, match="is not an option of cdcs"):
            CofferFileSystem(**keys, region="ap-tianjin", **unused)


WAYS = {
    "pipe_file": lambda fs, path: fs.pipe_file(path, b"locked", mode="create"),
    "xb": lambda fs, path: write_lock(fs, path),
}


def write_lock(fs, path):
    with fs.open(path, "xb") as file:
        file.write(b"locked")


@pytest.mark.parametrize("way", WAYS)
def test_who_wants_to_be_the_first_is_not_told_so_without_proof(coffers, vault, onlooker, way):
    path = f"{COFFER}/lock"
    vault.faults.add(op="PutObject", action=faults.DropReply())
    with pytest.raises(FileExistsError, match="may be its own work") as caught:
        WAYS[way](coffers, path)
    assert caught.value.filename == path
    assert onlooker.cat_file(path) == b"locked"
    # a call that does not insist on creating it succeeds
    vault.faults.add(op="PutObject", action=faults.DropReply())
    coffers.pipe_file(f"{COFFER}/other", b"content")
