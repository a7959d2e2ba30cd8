"""Unfinished uploads: listed by `uploads`, invisible to every other call, removed on request."""

import pytest

from tests.filesystem.conftest import WIRES
from tests.matrix.ways import BUCKET, LIMIT
from tests.support import MIB

HALF, SIBLING = f"{BUCKET}/dir/half", "/dir/.bystander.cosv4-0123456789abcdef"
SIZE = MIB + LIMIT


@pytest.fixture
def stored(second, kept, protocol):
    """Return the bytes that the service has of three uploads: one begun, one half sent, one beside its object."""
    stored = {}
    for key, name, sent in (("/dir/half", HALF, 1), ("/dir/sub/begun", f"{BUCKET}/dir/sub/begun", 0)):
        stored[name] = begin(second, key, sent, protocol)
    stored[f"{BUCKET}/dir/bystander"] = begin(second, SIBLING, 1, protocol)
    return stored


def begin(fs, key, sent, protocol):
    fs.makedirs(BUCKET + key.rpartition("/")[0], exist_ok=True)
    return sent * WIRES[protocol].leave(fs, key, SIZE, LIMIT, bucket=BUCKET, whole_slices=sent)


def test_they_are_seen_and_not_seen(fs, stored, kept):
    found = {upload["name"]: upload for upload in fs.uploads(BUCKET)}
    assert {name: upload["stored"] for name, upload in found.items()} == stored
    assert {upload["size"] for upload in found.values()} == {SIZE}
    assert found[f"{BUCKET}/dir/bystander"]["place"] == BUCKET + SIBLING
    assert [upload["name"] for upload in fs.uploads(HALF)] == [HALF]
    assert fs.find(BUCKET) == [f"{BUCKET}/dir/bystander"]
    for path in (HALF, BUCKET + SIBLING):
        assert path not in fs.ls(f"{BUCKET}/dir", detail=False)
    assert not fs.exists(HALF)
    for action in (fs.info, fs.cat_file, fs.open, fs.attributes, lambda path: fs.cp_file(path, f"{BUCKET}/x")):
        with pytest.raises(FileNotFoundError):
            action(HALF)
    assert fs.uploads("other") == []
    assert fs.uploads(f"{BUCKET}/none/x") == []


def test_giving_one_up(fs, stored, kept):
    for name in stored:
        fs.abort_upload(name)
        with pytest.raises(FileNotFoundError):
            fs.abort_upload(name)
    kept.check_alone()


def test_cleaning(fs, emulator, stored, kept):
    assert fs.clean_uploads(BUCKET, older_than=3600) == []
    assert len(fs.uploads(BUCKET)) == len(stored)
    assert {upload["name"] for upload in fs.clean_uploads(BUCKET, older_than=-5)} == set(stored)
    kept.check_alone()


def test_what_expires_is_gone(fs, emulator, stored, kept, dialect):
    emulator.clock_offset = 120
    assert len(fs.uploads(BUCKET)) == (0 if dialect.session_ttl else len(stored))
    fs.clean_uploads(BUCKET, older_than=-300)
    kept.check_alone()


@pytest.mark.protocol("cosv4")
def test_an_upload_without_its_end_is_not_read_and_removed(fs, second, kept):
    key, path = "/dir/sub/almost", f"{BUCKET}/dir/sub/almost"
    second.makedirs(f"{BUCKET}/dir/sub")
    session = second.client.upload_slice_init(BUCKET, key, filesize=10, slice_size=LIMIT)
    second.client.upload_slice_data(BUCKET, key, session.session, 0, memoryview(bytes(10)))
    with pytest.raises(FileNotFoundError):
        fs.cat_file(path)
    fs.pipe_file(path, b"whole")
    assert second.cat_file(path) == b"whole"
    fs.rm(f"{BUCKET}/dir/sub", recursive=True)
    kept.check_alone()


def test_writing_puts_an_end_to_them(fs, second, stored, kept):
    fs.pipe_file(HALF, b"whole")
    kept.note(HALF, b"whole")
    assert second.cat_file(HALF) == b"whole"
    assert HALF not in {upload["name"] for upload in fs.uploads(BUCKET)}
    fs.clean_uploads(BUCKET, older_than=-5)
    kept.check_alone()
