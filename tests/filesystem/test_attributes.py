"""Attributes: what services store beside the content, from every way of writing to every way of reading."""

import errno
import inspect
import os
import string
from urllib.parse import urlsplit

import pytest
import requests

from cosv4fs.attributes import ATTRIBUTES
from cosv4fs.emulator import Dialect, faults
from tests.filesystem.conftest import EVERY, unfinished
from tests.support import KIB

BUCKET = "test-1250000000"
FOLDER = f"{BUCKET}/dir"
PATH = f"{FOLDER}/object.csv"
SIZES = {"small": 10, "sliced": 1500 * KIB}

HEADERS = {
    "content_type": "text/x-mine",
    "cache_control": "max-age=60",
    "content_disposition": 'attachment; filename="a.csv"',
    "content_encoding": "identity",
    "content_language": "de",
}
ALL = {
    **HEADERS,
    "metadata": {"who": "me", "Wo_da": "hier, 在这里"},
    "biz_attr": "any\ntext",
    "authority": "private",
}
"""All attributes, as they are written and read."""


def test_every_attribute_is_tested():
    assert ALL.keys() == ATTRIBUTES.keys()


def stored_by(protocol):
    """Return the attributes that a protocol stores with the content."""
    return {name: value for name, value in ALL.items() if protocol in ATTRIBUTES[name].written_by}


def shown_by(protocol):
    """Return what `attributes` shows of them: the status of v3 has no headers."""
    return {name: value for name, value in stored_by(protocol).items() if protocol != "cosv3" or name == "biz_attr"}


def served(fs, path):
    """Return the headers of a download."""
    return requests.get(fs.sign(path), timeout=30).headers


def _text(fs, data, **attributes):
    with fs.open(PATH, "w", encoding="latin-1", newline="", **attributes) as file:
        file.write(data.decode("latin-1"))


def _transaction(fs, data, **attributes):
    with fs.transaction, fs.open(PATH, "wb", **attributes) as file:
        file.write(data)


def _opened(mode, size=None):
    def write(fs, data, **attributes):
        with fs.open(PATH, mode, size=len(data) if size else None, **attributes) as file:
            file.write(data)

    return write


def _local(method, target):
    def write(fs, data, tmp_path, **attributes):
        (tmp_path / "object.csv").write_bytes(data)
        getattr(fs, method)(str(tmp_path / "object.csv"), target, **attributes)

    return write


WAYS = {
    "pipe_file": lambda fs, data, **attributes: fs.pipe_file(PATH, data, **attributes),
    "create": lambda fs, data, **attributes: fs.pipe_file(PATH, data, mode="create", **attributes),
    "pipe": lambda fs, data, **attributes: fs.pipe({PATH: data}, **attributes),
    "write_bytes": lambda fs, data, **attributes: fs.write_bytes(PATH, data, **attributes),
    "put_file": _local("put_file", PATH),
    "put": _local("put", f"{FOLDER}/"),
    "wb": _opened("wb"),
    "wb sized": _opened("wb", size=True),
    "xb": _opened("xb"),
    "w": _text,
    "transaction": _transaction,
}


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_stores_them(small_fs, second, protocol, way, tmp_path):
    for size in SIZES.values():
        data = os.urandom(size)
        more = {"tmp_path": tmp_path} if way.startswith("put") else {}
        if protocol == "cdcs" and second.exists(PATH):
            return
        if way in ("create", "xb") and second.exists(PATH):
            second.rm_file(PATH)
        WAYS[way](small_fs, data, **more, **stored_by(protocol))
        assert second.cat_file(PATH) == data
        assert shown_by(protocol).items() <= second.attributes(PATH).items()
        if protocol != "cdcs":
            assert served(second, PATH)["Content-Type"] == HEADERS["content_type"]
        assert unfinished(second, FOLDER) == []


@pytest.mark.protocol(*EVERY)
def test_touching_and_texts(fs, second, protocol):
    fs.touch(PATH, **stored_by(protocol))
    fs.write_text(f"{PATH}2", "text", **stored_by(protocol))
    for path in (PATH, f"{PATH}2"):
        assert shown_by(protocol).items() <= second.attributes(path).items()


def test_downloads_have_them(fs):
    fs.pipe_file(PATH, b"x", **ALL)
    headers = served(fs, PATH)
    assert {name: headers[ATTRIBUTES[name].header] for name in HEADERS} == HEADERS
    assert headers["x-cos-meta-who"] == "me"
    with fs.open(PATH) as file:
        file.read()
        assert file.attributes == {**HEADERS, "metadata": ALL["metadata"]}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_no_reader_sees_the_object_without_them(small_fs, second, size, monkeypatch):
    second.pipe_file(PATH, b"old", metadata={"age": "old"})
    seen = []
    update = small_fs.client.update

    def look_and_update(bucket, key, **values):
        seen.append((key, second.cat_file(PATH), second.metadata(PATH), second.ls(FOLDER, detail=False)))
        update(bucket, key, **values)

    monkeypatch.setattr(small_fs.client, "update", look_and_update)
    small_fs.pipe_file(PATH, b"n" * size, metadata={"age": "new"})
    [(key, *before)] = seen
    assert key != "/dir/object.csv"
    assert before == [b"old", {"age": "old"}, [PATH]]
    assert (second.cat_file(PATH), second.metadata(PATH)) == (b"n" * size, {"age": "new"})


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("operation", ["upload", "upload_slice_init", "upload_slice_finish", "update", "move"])
def test_a_lost_reply_loses_no_attributes(small_fs, second, emulator, size, operation):
    second.pipe_file(PATH, b"old")
    for fault in (faults.DropReply(), faults.DropBefore()):
        data = os.urandom(size)
        emulator.faults.add(op=operation, action=fault)
        small_fs.pipe_file(PATH, data, **ALL)
        assert second.cat_file(PATH) == data
        assert second.attributes(PATH) == ALL
    assert unfinished(second, FOLDER) == []


@pytest.mark.protocol("cosv4", "cosv3")
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(overwrite_upload="refuse")])
def test_the_same_content_with_other_attributes_is_another_object(fs, second, emulator, protocol):
    for old, new in (({"biz_attr": "old"}, {"biz_attr": "new"}), ({"content_type": "text/x-old"}, {})):
        second.pipe_file(PATH, b"same", **old)
        # the same content at the path does not prove that the lost request has stored it
        emulator.faults.add(op="upload", action=faults.DropBefore())
        fs.pipe_file(PATH, b"same", **new)
        found = second.attributes(PATH)
        assert (found["biz_attr"], found.get("content_type")) == (new.get("biz_attr", ""), None)
    assert unfinished(second, FOLDER) == []


@pytest.mark.parametrize("way", ["pipe_file", "wb", "transaction"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_if_they_cannot_be_set_the_old_object_stays(small_fs, second, emulator, size, way):
    second.pipe_file(PATH, b"old", metadata={"age": "old"})
    emulator.faults.add(op="update", times=9, action=faults.Refuse(-182))
    with pytest.raises(OSError) as caught:
        WAYS[way](small_fs, os.urandom(size), metadata={"age": "new"})
    assert caught.value.filename == PATH
    assert (second.cat_file(PATH), second.metadata(PATH)) == (b"old", {"age": "old"})
    assert unfinished(second, FOLDER) == []


def test_creating_with_attributes_never_replaces(small_fs, second):
    second.pipe_file(PATH, b"old")
    for size in SIZES.values():
        with pytest.raises(FileExistsError) as caught:
            small_fs.pipe_file(PATH, b"n" * size, mode="create", metadata={"a": "b"})
        assert caught.value.filename == PATH
    second.mkdir(f"{FOLDER}/folder")
    with pytest.raises(IsADirectoryError) as caught:
        small_fs.pipe_file(f"{FOLDER}/folder", b"new", metadata={"a": "b"})
    assert caught.value.filename == f"{FOLDER}/folder"
    assert second.attributes(PATH)["metadata"] == {}
    assert unfinished(second, FOLDER) == []


def test_only_what_needs_a_further_request_costs_one(fs, emulator):
    for attributes, expected in (
        ({}, {"upload": 1}),
        ({"biz_attr": "note", "metadata": {}, "content_type": None}, {"upload": 1}),
        ({"content_type": "text/plain"}, {"upload": 1, "update": 1, "move": 1}),
        (ALL, {"upload": 1, "update": 1, "move": 1}),
    ):
        emulator.clear_requests()
        fs.pipe_file(PATH, b"x", **attributes)
        assert emulator.count() == expected


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_new_object_has_nothing_of_the_old_one(small_fs, second, size):
    small_fs.pipe_file(PATH, b"old", **ALL)
    small_fs.pipe_file(PATH, b"n" * size)
    assert second.attributes(PATH) == {"metadata": {}, "biz_attr": "", "authority": "default"}


def test_copies_and_moves_keep_them_and_make_nothing_public(fs, second):
    fs.pipe_file(PATH, b"x", **ALL)
    fs.cp_file(PATH, f"{FOLDER}/copy")
    fs.mv(PATH, f"{FOLDER}/moved")
    assert second.attributes(f"{FOLDER}/copy") == second.attributes(f"{FOLDER}/moved") == ALL
    # through this machine
    fs.cp_file(f"{FOLDER}/moved", "other/copy")
    assert second.attributes("other/copy") == ALL
    fs.chmod("other/copy", "public-read")
    fs.mv("other/copy", f"{FOLDER}/back")
    assert second.attributes(f"{FOLDER}/back") == ALL | {"authority": "default"}


@pytest.mark.protocol(*EVERY)
def test_copies_through_this_machine_keep_what_the_service_stores(fs, second, protocol):
    attributes, target = stored_by(protocol), PATH.replace("object", "copy")
    fs.pipe_file(PATH, b"content", **attributes)
    fs.pipe_file(f"{FOLDER}/plain.csv", b"content")
    fs.cp_file(PATH, target)
    fs.cp_file(f"{FOLDER}/plain.csv", f"{FOLDER}/second.csv")
    assert second.attributes(target) == second.attributes(PATH)
    for path, expected in ((target, "text/x-mine"), (f"{FOLDER}/second.csv", "text/csv")):
        with second.open(path) as file:
            assert file.attributes == {"metadata": {}}
            assert file.read() == b"content"
            assert file.attributes["content_type"] == expected


def test_one_object_can_have_those_of_another(fs, second):
    fs.pipe_file(PATH, b"x", **ALL)
    # as other clients set it
    fs.client.update(BUCKET, "/dir/object.csv", custom_headers={"Content-Disposition": "attachment; filename=报告.pdf"})
    every_name = dict.fromkeys(string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~", "x")
    fs.setxattrs(PATH, metadata=every_name)
    fs.pipe_file(f"{FOLDER}/other", b"y", **fs.attributes(PATH))
    changed = {"content_disposition": "attachment; filename=报告.pdf", "metadata": {**ALL["metadata"], **every_name}}
    assert second.attributes(f"{FOLDER}/other") == ALL | changed
    assert second.cat_file(f"{FOLDER}/other") == b"y"


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(custom_headers="replace"), Dialect(update_flag="required")])
def test_changing_them(fs, second, dialect):
    fs.pipe_file(PATH, b"x")
    fs.setxattrs(PATH, biz_attr="mine", cache_control="no-cache", who="me")
    fs.setxattr(PATH, content_type="text/x-mine", metadata={"other-name": "在"}, WHO="you")
    fs.chmod(PATH, "public-read")
    expected = {
        "biz_attr": "mine",
        "authority": "public-read",
        "cache_control": "no-cache",
        "content_type": "text/x-mine",
        "metadata": {"WHO": "you", "other-name": "在"},
    }
    assert second.attributes(PATH) == expected
    assert second.metadata(PATH) == fs.metadata(PATH, refresh=True) == expected["metadata"]
    assert [fs.getxattr(PATH, name) for name in ("who", "content_type", "biz_attr", "content_language", "no")] == [
        "you",
        "text/x-mine",
        "mine",
        None,
        None,
    ]
    fs.setxattrs(PATH, biz_attr=None, authority=None)
    assert (fs.getxattr(PATH, "biz_attr"), fs.getxattr(PATH, "authority")) == ("", "default")
    assert second.cat_file(PATH) == b"x"


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(custom_headers="replace")])
def test_removing_them(fs, second, dialect):
    fs.pipe_file(PATH, b"x", **ALL)
    change = {"who": None, "cache_control": None, "not-there": None, "biz_attr": "new"}
    if dialect.custom_headers == "replace":
        fs.setxattrs(PATH, **change)
        left = {name: value for name, value in ALL.items() if name != "cache_control"}
        assert second.attributes(PATH) == {**left, "metadata": {"Wo_da": "hier, 在这里"}, "biz_attr": "new"}
        fs.setxattrs(PATH, metadata={"wo_da": None})
        assert second.metadata(PATH) == {}
        return
    # a service that adds what is sent to what it has can remove nothing: never in silence
    with pytest.raises(OSError, match=r"not removed .*Cache-Control.*: the other attributes were changed; ") as caught:
        fs.setxattrs(PATH, **change)
    with pytest.raises(OSError, match="has not removed Cache-Control: to drop it, write the file again without it"):
        fs.setxattrs(PATH, cache_control=None)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOTSUP, PATH)
    assert second.attributes(PATH) == {**ALL, "biz_attr": "new"}


@pytest.mark.protocol("cosv4", "cosv3")
def test_directories_have_one(fs, second):
    fs.mkdir(FOLDER)
    fs.setxattrs(FOLDER, biz_attr="folder")
    assert second.attributes(FOLDER) == {"biz_attr": "folder"}
    assert second.metadata(FOLDER) == {}
    if fs.protocol == "cosv4":
        for change in ({"who": "me"}, {"authority": "private"}, {"content_type": "text/plain"}):
            with pytest.raises(IsADirectoryError, match="no attribute but biz_attr"):
                fs.setxattrs(FOLDER, biz_attr="new", **change)
        assert second.attributes(FOLDER) == {"biz_attr": "folder"}


def test_changing_permissions(fs, second, emulator):
    names = [f"{FOLDER}/{name}" for name in ("a", "b/c", "b/d/e")]
    fs.pipe(dict.fromkeys(names, b"x"))
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        fs.chmod(FOLDER, "public-read")
    fs.find(BUCKET)
    # cached listings do not show it
    second.pipe_file(f"{FOLDER}/b/new", b"x")
    names.append(f"{FOLDER}/b/new")
    fs.chmod(FOLDER, "public-read", recursive=True)
    assert {second.getxattr(name, "authority") for name in names} == {"public-read"}
    assert requests.get(fs.sign(names[0]).partition("?")[0], timeout=30).status_code == 200
    fs.chmod(names[0], "private")
    assert requests.get(fs.sign(names[0]).partition("?")[0], timeout=30).status_code == 403
    fs.chmod(names[1], "eInvalid", recursive=True)
    assert [second.getxattr(name, "authority") for name in names[:3]] == ["private", "default", "public-read"]
    emulator.clear_requests()
    for wrong in ("bucket-owner-read", "PRIVATE", 0o644, None):
        with pytest.raises(ValueError, match=r"private \(eWRPrivate\), public-read .*, default \(eInvalid\)"):
            fs.chmod(names[0], wrong)
    assert emulator.requests == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize(
    "ask",
    [
        lambda fs, path: fs.attributes(path),
        lambda fs, path: fs.metadata(path),
        lambda fs, path: fs.getxattr(path, "who"),
        lambda fs, path: fs.setxattrs(path, biz_attr="x"),
        lambda fs, path: fs.chmod(path, "private"),
        lambda fs, path: fs.chmod(path, "private", recursive=True),
    ],
)
def test_of_what_does_not_exist(fs, ask):
    fs.pipe_file(PATH, b"x")
    with pytest.raises((FileNotFoundError, NotImplementedError)) as caught:
        ask(fs, f"{FOLDER}/none")
    if fs.protocol == "cosv4":
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.filename == f"{FOLDER}/none"
        with pytest.raises(FileNotFoundError, match="'nobucket' for 'nobucket-1250000000'"):
            ask(fs, "nobucket-1250000000/dir/none")


@pytest.mark.protocol("cosv3", "cdcs")
def test_what_cannot_be_stored_is_refused_before_anything_is_sent(small_fs, emulator, protocol, tmp_path):
    (tmp_path / "object.csv").write_bytes(b"x")
    for name, value in ALL.items():
        if name in stored_by(protocol):
            continue
        emulator.clear_requests()
        for way in ("pipe_file", "put_file", "wb", "xb", "w", "transaction"):
            more = {"tmp_path": tmp_path} if way.startswith("put") else {}
            with pytest.raises(NotImplementedError, match=f"cannot store {name}: .*content_type"):
                WAYS[way](small_fs, b"x", **more, **{name: value})
        assert emulator.requests == []


@pytest.mark.protocol(*EVERY)
@pytest.mark.parametrize("method", ["put", "put_file"])
def test_directories_are_not_made_for_what_cannot_be_stored(fs, emulator, protocol, method, tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").write_bytes(b"x")
    wrong = {"contenttype": "text/plain"} if protocol == "cosv4" else {"cache_control": "no-cache"}
    more = {"recursive": True} if method == "put" else {}
    with pytest.raises((TypeError, NotImplementedError), match=next(iter(wrong))):
        getattr(fs, method)(str(tmp_path / "folder"), FOLDER, **more, **wrong)
    assert emulator.requests == []


@pytest.mark.protocol("cosv3", "cdcs")
def test_what_cannot_be_changed(fs, protocol):
    fs.pipe_file(PATH, b"x")
    changes = [lambda: fs.setxattrs(PATH, who="me"), lambda: fs.setxattrs(PATH, content_type="text/plain")]
    changes += [lambda: fs.setxattr(PATH, who="me"), lambda: fs.chmod(PATH, "private")]
    for change in changes:
        with pytest.raises(
            NotImplementedError,
            match=r"only; fs.client.update" if protocol == "cosv3" else "write-once|set_policy",
        ):
            change()
    if protocol == "cosv3":
        assert fs.attributes(PATH) == {"biz_attr": ""}
    if protocol == "cdcs":
        assert fs.attributes(PATH) == {"content_type": "text/csv"}
        assert (fs.metadata(PATH), fs.attributes(FOLDER), fs.attributes(BUCKET)) == ({}, {}, {})
        assert fs.getxattr(PATH, "content_type") == "text/csv"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"ContentType": "text/plain"}, "use content_type"),
        ({"Metadata": {"a": "b"}}, "use metadata"),
        ({"ACL": "private"}, "use authority"),
        ({"Cache-Control": "no"}, "use cache_control"),
        ({"contenttype": "text/plain"}, "use content_type"),
        ({"acl": "private"}, "use authority"),
        ({"frobnicate": 5}, "unexpected keyword 'frobnicate'"),
        ({"content_type": b"text/plain"}, "content_type must be a str"),
        ({"biz_attr": {}}, "biz_attr must be a str"),
        ({"metadata": "a=b"}, "metadata must be a mapping"),
        ({"metadata": ""}, "metadata must be a mapping"),
        ({"metadata": {"a": 1}}, "metadata 'a' must be a str"),
        ({"metadata": {"a": None}}, "metadata 'a' must be a str"),
        ({"metadata": {"a": ""}}, "metadata 'a' must not be empty"),
        ({"metadata": {"a b": "x"}}, r"metadata 'a b': .* letters, digits and !#\$%&'\*\+-\.\^_`\|~"),
        ({"metadata": {"é": "x"}}, "metadata 'é': a name"),
        ({"metadata": {"": "x"}}, "metadata '': a name"),
        ({"metadata": {"x-cos-meta-a": "x"}}, "leave out x-cos-meta-"),
        ({"metadata": {"a": "x", "A": "y"}}, "metadata 'A' is given twice"),
        ({"metadata": {"a": "\ud800"}}, "cannot be sent as UTF-8"),
        ({"biz_attr": "\ud800"}, "biz_attr cannot be sent as UTF-8"),
        ({"cache_control": " "}, "cache_control must not be empty"),
        ({"content_type": "text/plain; name=报告"}, "content_type must be ASCII"),
        ({"authority": "everybody"}, "a permission must be one of private"),
    ],
    ids=str,
)
def test_wrong_ones(fs, emulator, tmp_path, wrong, text):
    for write in (WAYS["pipe_file"], WAYS["wb"], _text):
        with pytest.raises((TypeError, ValueError), match=text):
            write(fs, b"x", **wrong)
    if not wrong.keys() & {"contenttype", "acl", "frobnicate"} and wrong != {"metadata": {"a": None}}:
        with pytest.raises((TypeError, ValueError), match=text):
            fs.setxattrs(PATH, **wrong)
    assert emulator.requests == []


@pytest.mark.parametrize(("name", "own"), [("content-type", "content_type"), ("acl", "authority")])
def test_other_names_of_attributes_are_no_user_metadata(fs, emulator, name, own):
    with pytest.raises(TypeError, match=f"unexpected keyword '{name}': use {own}; metadata="):
        fs.setxattrs(PATH, **{name: "x"})
    assert emulator.requests == []


@pytest.mark.protocol("cosv4", "cosv3")
@pytest.mark.parametrize(
    ("name", "own"), [("cache_contrl", "cache_control"), ("biz-atr", "biz_attr"), ("Metdata", "metadata")]
)
def test_names_that_look_like_attributes_are_no_user_metadata(fs, emulator, name, own):
    for change in (fs.setxattrs, fs.setxattr):
        with pytest.raises(
            TypeError, match=rf"'{name}': did you mean {own}\? metadata= takes user metadata of any name"
        ):
            change(PATH, **{name: "x"})
    assert emulator.requests == []


def test_names_of_any_kind_can_be_user_metadata(fs):
    fs.pipe_file(PATH, b"x")
    fs.setxattrs(PATH, author="me", content_id="1", metadata={"cache_contrl": "x"})
    assert fs.metadata(PATH) == {"author": "me", "content_id": "1", "cache_contrl": "x"}


@pytest.mark.parametrize("name", ["setxattrs", "setxattr"])
def test_the_signature_shows_what_can_be_changed(fs, name):
    parameters = inspect.signature(getattr(fs, name)).parameters
    assert {"path", "attributes", *ATTRIBUTES} == set(parameters)
    # None would remove
    assert all(parameters[name].default is ... for name in ATTRIBUTES)


@pytest.mark.protocol(*EVERY)
def test_reading_takes_none(fs):
    fs.pipe_file(PATH, b"x")
    with pytest.raises(TypeError, match="content_type: only files opened for writing"):
        fs.open(PATH, content_type="text/plain")
    with pytest.raises(TypeError, match="unexpected keyword 'version_id': for reading, open takes block_size, "):
        fs.open(PATH, "rb", version_id="x")
    with pytest.raises(TypeError, match=r"unexpected keyword 'blocksize': did you mean block_size\?"):
        fs.open(PATH, "r", blocksize=1)


@pytest.mark.protocol("cosv4", "cosv3")
@pytest.mark.parametrize("name", ["sign", "url"])
def test_urls_name_no_headers(fs, protocol, name):
    fs.pipe_file(PATH, b"x")
    instead = "setxattrs" if protocol == "cosv4" else "write the file with it"
    with pytest.raises(NotImplementedError, match=f"no parameter of a URL for content_type.*{instead}"):
        getattr(fs, name)(PATH, content_type="text/plain")
    with pytest.raises(NotImplementedError, match="content_disposition"):
        getattr(fs, name)(PATH, 60, content_disposition="attachment")
    with pytest.raises(TypeError, match="unexpected keyword 'client_method'"):
        getattr(fs, name)(PATH, client_method="put_object")
    assert urlsplit(getattr(fs, name)(PATH, 60)).path.endswith("/dir/object.csv")


@pytest.mark.protocol("cdcs")
def test_coffers_have_no_urls(fs):
    for name in ("sign", "url"):
        with pytest.raises(NotImplementedError, match="signatures in headers only"):
            getattr(fs, name)(PATH, content_type="text/plain")


@pytest.mark.protocol(*EVERY)
def test_info_has_the_type_where_it_is_reported(fs, second, emulator, protocol, downloads):
    fs.pipe_file(PATH, b"x", content_type="text/x-mine")
    emulator.clear_requests()
    infos = fs.ls(FOLDER), [fs.info(PATH)], list(fs.find(FOLDER, detail=True).values())
    assert not any("content_type" in info for found in infos for info in found)
    assert len(emulator.requests) <= 2
    asked = fs.info(PATH, refresh=True)
    assert asked.get("content_type") == (None if protocol == "cosv3" else "text/x-mine")
    # it is no part of what identifies a file
    assert fs.ukey(PATH) == second.ukey(PATH)
    assert "content_type" not in fs.info(FOLDER)
    if protocol == "cosv4":
        fs.pipe_file(f"{FOLDER}/guessed.csv", b"x")
        assert "content_type" not in fs.info(f"{FOLDER}/guessed.csv", refresh=True)
        fs.chmod(PATH, "public-read")
        public = type(fs)(**{**emulator.storage_options, "secret_id": None, "secret_key": None}, anon=True)
        assert public.info(PATH)["content_type"] == "text/x-mine"


@pytest.mark.protocol(*EVERY)
def test_files_know_their_objects(fs, protocol):
    stored = {"content_type": "text/x-mine"} if protocol != "cosv4" else ALL
    with fs.open(PATH, "wb", **stored) as writer:
        writer.write(b"content")
        with pytest.raises(ValueError, match="before the file is closed"):
            writer.info()
    with fs.open(PATH) as reader:
        for file in (reader, writer):
            assert file.full_name == f"{protocol}://{PATH}"
            assert (file.info()["name"], file.info()["size"]) == (PATH, 7)
            assert file.metadata() == file.metadata(refresh=True) == fs.metadata(PATH)
            assert file.getxattr("content_type") == fs.getxattr(PATH, "content_type")
            if protocol == "cdcs":
                with pytest.raises(NotImplementedError):
                    file.url()
            else:
                assert requests.get(file.url(expires=60), timeout=30).content == b"content"
    discarded = fs.open(f"{PATH}2", "wb")
    discarded.discard()
    with pytest.raises(ValueError, match="before the file is closed"):
        discarded.info()


@pytest.mark.protocol("cosv4", "cosv3")
def test_the_reply_that_an_empty_object_has_no_range_is_not_taken_for_its_attributes(fs, tmp_path):
    fs.pipe_file(PATH, b"")
    shown = []
    fs.get_file(PATH, tmp_path / "back", received=shown.append)
    assert shown == [{"metadata": {}}]
    with fs.open(PATH) as file:
        assert file.read() == b""
        assert file.attributes == {"metadata": {}}
