"""Parts: enough of them for any size, parts that grow, and large ones that no memory has to hold."""

import errno
import os
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosv4fs.transfer import plan
from cosv4fs.transfer.coffers import CofferUpload
from cosv4fs.transfer.pieces import FilePiece
from cosv4fs.transfer.plan import LARGEST_PART, LEAST_PART, MOST_PARTS, PartSizes, part_size
from cosv4fs.transfer.sources import MemorySource
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.upload import Uploader
from cosv4fs.transfer.writer import ObjectWriter
from tests.support import COFFER, MIB, Coffers, content, upload_source

TARGET = Target(COFFER, "/x", create=True)


@given(st.integers(0, MOST_PARTS * LARGEST_PART), st.integers(1, 64 * MIB))
def test_parts_of_a_known_size(size, wanted):
    part = part_size(size, wanted)
    assert LEAST_PART <= part <= max(LARGEST_PART, wanted)
    assert -(-size // part) <= MOST_PARTS
    assert part >= wanted
    # no larger than needed
    assert part == max(wanted, LEAST_PART) or (part - MIB) * MOST_PARTS < size


def test_what_no_parts_can_hold():
    with pytest.raises(ValueError, match="more than 10000 parts"):
        part_size(MOST_PARTS * LARGEST_PART + 1, MIB)
    with pytest.raises(OSError, match="more than 10000 parts") as caught:
        CofferUpload(None, None, TARGET, MIB, MOST_PARTS * LARGEST_PART + 1)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, f"{COFFER}/x")


@given(st.integers(LEAST_PART, 32 * MIB), st.booleans(), st.data())
def test_every_offset_lies_in_its_part(first, grow, data):
    sizes = PartSizes(first, grow)
    number = data.draw(st.integers(1, MOST_PARTS))
    begin = sum(sizes.size(before) for before in range(1, number))
    inside = data.draw(st.integers(0, sizes.size(number) - 1))
    assert sizes.number(begin + inside) == number
    assert sizes.size(number) == first if not grow else first <= sizes.size(number) <= LARGEST_PART


@pytest.mark.parametrize("first", [4 * MIB, 8 * MIB])
def test_ten_thousand_growing_parts_are_tens_of_terabytes(first):
    sizes = PartSizes(first, grow=True)
    every = [sizes.size(number) for number in range(1, MOST_PARTS + 1)]
    assert sum(every) > 20 * 10**12
    assert every == sorted(every)
    assert max(every) <= LARGEST_PART
    # half of a gigabyte is still in the smallest parts
    assert sum(every[:500]) >= 500 * first


class Vault(Coffers):
    """A service of coffers, and what writes to it."""

    def __init__(self, **dialect):
        super().__init__(options={"slice_size": MIB, "single_upload_limit": MIB, "spool_memory": MIB}, **dialect)
        self.uploader = Uploader(self.client, self.pool, CofferUpload)

    def writer(self, size=None):
        return ObjectWriter(self.uploader, TARGET, size)

    def content(self):
        return self.read("/x")[0]


@pytest.fixture
def make_vault(make_service):
    return partial(make_service, Vault)


@pytest.fixture
def soon_doubling(monkeypatch):
    """Parts that double after every third one."""
    monkeypatch.setattr(plan, "_DOUBLE_AFTER", 3)


def write(made, data, step=300_001):
    for start in range(0, len(data), step):
        made.write(memoryview(data)[start : start + step])


@pytest.mark.parametrize("length", [MIB + 1, 3 * MIB, 3 * MIB + 1, 9 * MIB, 20 * MIB + 5, 30 * MIB])
@pytest.mark.parametrize("step", [300_001, 40 * MIB])
def test_growing_parts(make_vault, soon_doubling, length, step):
    vault, data = make_vault(), content(length)
    made = vault.writer()
    write(made, data, step)
    made.finish()
    assert vault.content() == data
    assert vault.emulator.count()["CompleteMultipartUpload"] == 1


def test_large_parts_wait_in_files(make_vault, soon_doubling, tmp_path, monkeypatch):
    opened = []
    original = FilePiece.take

    def take(self, *arguments):
        opened.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(FilePiece, "take", take)
    vault, data = make_vault(), content(12 * MIB)
    made = vault.writer()
    write(made, data)
    made.finish()
    # those of 2 and 4 MiB: only 1 MiB may be in memory
    assert {piece._size for piece in opened} == {2 * MIB, 4 * MIB}
    assert all(piece.length == 0 for piece in opened)
    assert vault.content() == data


@pytest.mark.parametrize("way", ["sized", "source"])
@pytest.mark.parametrize("spool", [MIB, 16 * MIB])
def test_parts_are_larger_where_there_would_be_too_many(make_vault, monkeypatch, way, spool):
    monkeypatch.setattr(plan, "MOST_PARTS", 3)
    vault, data = make_vault(), content(20 * MIB + 5)
    vault.config = replace(vault.config, spool_memory=spool)
    if way == "source":
        upload_source(CofferUpload, vault, TARGET, MemorySource(data), MIB)
    else:
        made = vault.writer(len(data))
        write(made, data)
        made.finish()
    assert vault.emulator.count()["UploadPart"] == 3
    assert vault.content() == data


@pytest.mark.parametrize("moment", ["write", "finish"])
def test_giving_up_leaves_nothing(make_vault, soon_doubling, moment):
    vault = make_vault()
    made = vault.writer(None if moment == "write" else 13 * MIB)
    write(made, content(12 * MIB))
    if moment == "finish":
        with pytest.raises(OSError, match="announced"):
            made.finish()
    made.abort()
    assert list(vault.client.list_uploads(COFFER)) == []
    assert vault.client.list_page(COFFER).entries == ()


def test_a_file_piece_is_what_was_taken(tmp_path):
    piece = FilePiece(10, str(tmp_path), "coffer/x")
    assert piece.views == []
    assert (piece.take(memoryview(b"01234")), piece.is_full) == (5, False)
    assert (piece.take(memoryview(b"5678901")), piece.is_full) == (5, True)
    assert b"".join(piece.views) == b"0123456789"
    piece.release()
    assert os.listdir(tmp_path) == []


def test_a_file_piece_that_finds_no_folder_names_it(tmp_path):
    piece = FilePiece(10, str(tmp_path / "none"), "coffer/x")
    with pytest.raises(OSError, match="spool_dir") as caught:
        piece.take(memoryview(b"01234"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "none"))


@pytest.mark.parametrize(
    "dialect",
    [
        {"part_etag": "sha1"},
        {"part_etag": "encrypted"},
        {"etag_quotes": "bare"},
        {"complete_whitespace": True},
        {"second_complete": "NoSuchUpload"},
        {"missing_upload": "MultipartNotExists"},
        {"object_exists": "ObjectAlreadyExists"},
        {"object_uploading": "ObjectAlreadyUploading"},
        {"signed_parts": "everything"},
    ],
    ids=str,
)
def test_every_dialect_accepts_the_parts(make_vault, dialect):
    vault, data = make_vault(**dialect), content(5 * MIB + 1)
    upload_source(CofferUpload, vault, TARGET, MemorySource(data), MIB)
    assert vault.content() == data
    with pytest.raises(FileExistsError, match="write-once"):
        upload_source(CofferUpload, vault, TARGET, MemorySource(data), MIB)


def test_parts_that_are_missing_complete_nothing(make_vault):
    vault = make_vault()
    upload = CofferUpload(vault.client, vault.pool, TARGET, MIB, 3 * MIB)
    upload.open()
    for offset in (0, 2 * MIB):
        upload.send(range(offset, offset + MIB), memoryview(bytes(MIB)))
    with pytest.raises(OSError, match="2 parts of 2097152 bytes were sent for an object of 3145728 bytes"):
        upload.finish()
    upload.abort()
    assert vault.client.list_page(COFFER).entries == ()
    assert list(vault.client.list_uploads(COFFER)) == []
