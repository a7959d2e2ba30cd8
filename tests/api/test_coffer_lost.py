"""Replies that were lost, refused for a while, or damaged: what succeeded is done once, and reported as success."""

import hashlib

import pytest

from cosv4fs.emulator import faults
from cosv4fs.errors import CosError, CosPossiblyCreatedError, CosUploadSessionError
from tests.support import COFFER, MIB, content, hurry

LOST = {
    "nothing": faults.DropReply(),
    "a reset": faults.DropReply(reset=True),
    "502": faults.HttpError(502, acted=True),
    "a code": faults.Refuse("InternalError", acted=True),
}
TAKEN = ["ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyExists", "ObjectAlreadyUploading"]


@pytest.fixture(params=LOST)
def lost(request):
    return LOST[request.param]


class TestPutObject:
    @pytest.mark.parametrize("code", TAKEN)
    def test_it_was_stored(self, make_coffers, code, lost):
        coffers = make_coffers(object_exists=code)
        coffers.fault(lost, "PutObject")
        stored = coffers.put("/a", b"hello")
        assert (stored.size, stored.etag) == (5, hashlib.md5(b"hello").hexdigest())
        assert coffers.ops() == ["PutObject", "PutObject", "HeadObject"]
        assert coffers.read("/a")[0] == b"hello"

    def test_it_was_stored_encrypted(self, coffers):
        coffers.fault(faults.DropReply(), "PutObject")
        for op in ("HeadObject", "GetObject"):
            coffers.fault(faults.WrongHeader("ETag", f'"{"0" * 32}"'), op, times=None)
        assert coffers.put("/a", b"hello").etag == "0" * 32
        assert coffers.ops() == ["PutObject", "PutObject", "HeadObject", "GetObject"]

    def test_exclusive_creation(self, coffers, lost):
        coffers.fault(lost, "PutObject")
        with pytest.raises(FileExistsError, match="may be its own work") as caught:
            coffers.put("/a", b"hello", exclusive=True)
        assert isinstance(caught.value, CosPossiblyCreatedError)
        assert coffers.read("/a")[0] == b"hello"
        coffers.fault(faults.HttpError(502), "PutObject")
        coffers.put("/b", b"hello", exclusive=True)
        coffers.fault(faults.HttpError(502), "PutObject")
        coffers.emulator.clock_offset = 60
        with pytest.raises(FileExistsError) as caught:
            coffers.put("/a", b"hello", exclusive=True)
        assert not isinstance(caught.value, CosPossiblyCreatedError)

    @pytest.mark.parametrize("theirs", [b"other", b"another size"])
    def test_another_was_faster(self, coffers, theirs):
        coffers.fault(faults.DropBefore(), "PutObject")
        coffers.meanwhile(lambda: coffers.put("/a", theirs))
        with pytest.raises(FileExistsError, match="write-once"):
            coffers.put("/a", b"hello")
        assert coffers.read("/a")[0] == theirs

    @pytest.mark.parametrize("code", TAKEN)
    def test_the_first_attempt_is_still_in_progress(self, make_coffers, code):
        coffers = make_coffers(object_uploading=code)
        stall = faults.Stall()
        coffers.fault(stall, "PutObject")
        coffers.meanwhile(hurry(coffers.client))
        # after the timeout, and the refusal of the second attempt
        coffers.meanwhile(lambda: coffers.meanwhile(lambda: coffers.let_go(stall, "PutObject")))
        assert coffers.put("/a", b"hello").size == 5
        # the second attempt was refused although nothing had the name yet
        assert coffers.ops() == [
            "PutObject",
            "HeadObject",
            "HeadObject",
            "ListMultipartUploads",
            "PutObject",
            "HeadObject",
        ]
        assert coffers.read("/a")[0] == b"hello"

    def test_it_is_refused_as_long_as_it_is_tried(self, coffers):
        coffers.fault(faults.DropBefore(), "PutObject")
        coffers.fault(faults.Refuse("ObjectAlreadyUploading"), "PutObject", nth=1, times=None)
        with pytest.raises(FileExistsError) as caught:
            coffers.put("/a", b"hello")
        assert caught.value.is_transient

    def test_nothing_was_lost(self, coffers):
        coffers.put("/a", b"hello")
        with pytest.raises(FileExistsError):
            coffers.put("/a", b"hello")
        assert coffers.ops() == ["PutObject", "PutObject"]


class TestInitiate:
    @pytest.mark.parametrize("code", TAKEN)
    def test_it_was_opened(self, make_coffers, code, lost):
        coffers = make_coffers(object_uploading=code)
        coffers.client.initiate(COFFER, "/ab")
        coffers.fault(lost, "InitiateMultipartUpload")
        upload = coffers.client.initiate(COFFER, "/a")
        pending = {upload.key: upload.upload_id for upload in coffers.client.list_uploads(COFFER)}
        assert pending["/a"] == upload
        coffers.client.complete(COFFER, "/a", upload, coffers.send("/a", upload, b"hello"))
        assert coffers.read("/a")[0] == b"hello"

    def test_the_first_attempt_is_still_in_progress(self, coffers):
        stall = faults.Stall()
        coffers.fault(stall, "InitiateMultipartUpload")
        coffers.meanwhile(hurry(coffers.client))
        coffers.meanwhile(lambda: coffers.meanwhile(lambda: coffers.let_go(stall, "InitiateMultipartUpload")))
        upload = coffers.client.initiate(COFFER, "/a")
        assert [pending.upload_id for pending in coffers.client.list_uploads(COFFER)] == [upload]

    def test_an_upload_without_a_reply_is_aborted(self, make_coffers, lost):
        coffers = make_coffers(retries=0)
        coffers.client.initiate(COFFER, "/ab")
        coffers.fault(lost, "InitiateMultipartUpload")
        with pytest.raises(CosError):
            coffers.client.initiate(COFFER, "/a")
        assert [pending.key for pending in coffers.client.list_uploads(COFFER)] == ["/ab"]

    def test_an_upload_of_another_client_is_not_aborted(self, make_coffers):
        coffers = make_coffers(retries=2)
        coffers.emulator.clock_offset = -3600
        upload = coffers.client.initiate(COFFER, "/a")
        coffers.emulator.clock_offset = 0
        coffers.fault(faults.DropBefore(), "InitiateMultipartUpload", times=3)
        with pytest.raises(ConnectionError):
            coffers.client.initiate(COFFER, "/a")
        assert [pending.upload_id for pending in coffers.client.list_uploads(COFFER)] == [upload]

    def test_an_older_upload_of_another_client(self, coffers):
        coffers.emulator.clock_offset = -3600
        coffers.client.initiate(COFFER, "/a")
        coffers.emulator.clock_offset = 0
        coffers.fault(faults.DropBefore(), "InitiateMultipartUpload", nth=2)
        with pytest.raises(FileExistsError):
            coffers.client.initiate(COFFER, "/a")

    def test_an_upload_of_another_client_has_parts(self, coffers):
        coffers.fault(faults.DropBefore(), "InitiateMultipartUpload")

        def other():
            upload = coffers.client.initiate(COFFER, "/a")
            coffers.send("/a", upload, b"theirs")

        coffers.meanwhile(other)
        with pytest.raises(FileExistsError):
            coffers.client.initiate(COFFER, "/a")

    def test_there_is_an_object(self, coffers):
        coffers.put("/a", b"theirs")
        coffers.fault(faults.DropBefore(), "InitiateMultipartUpload")
        with pytest.raises(FileExistsError, match="write-once"):
            coffers.client.initiate(COFFER, "/a")


class TestParts:
    def test_a_part(self, coffers, lost):
        coffers.fault(lost, "UploadPart")
        upload = coffers.client.initiate(COFFER, "/a")
        assert len(coffers.send("/a", upload, b"hello")) == 1

    def test_a_part_with_another_content_on_the_server(self, coffers):
        for number in range(1, 13):
            coffers.fault(faults.WrongHeader("ETag", f'"{number:032x}"'), "UploadPart", nth=number)
        upload = coffers.client.initiate(COFFER, "/a")
        with pytest.raises(OSError, match="another content of part 1"):
            coffers.send("/a", upload, b"hello")
        assert coffers.ops().count("UploadPart") == 12

    def test_parts_that_are_encrypted(self, make_coffers):
        """The same name for the same part is no damage; that is learned from the first."""
        coffers = make_coffers(part_etag="encrypted", retries=0)
        coffers.put_parts("/a", content(MIB), b"end")
        assert coffers.ops().count("UploadPart") == 3
        assert coffers.read("/a")[0] == content(MIB) + b"end"

    def test_a_part_that_was_damaged_once(self, coffers):
        coffers.fault(faults.WrongHeader("ETag", f'"{"0" * 32}"'), "UploadPart")
        upload = coffers.client.initiate(COFFER, "/a")
        (part,) = coffers.send("/a", upload, b"hello")
        assert part.etag == hashlib.md5(b"hello").hexdigest()
        assert coffers.ops().count("UploadPart") == 2

    @pytest.mark.parametrize("code", ["MultipartAlreadyCompleted", "NoSuchUpload"])
    def test_it_was_completed(self, make_coffers, code, lost):
        coffers = make_coffers(second_complete=code, complete_whitespace=True)
        coffers.fault(lost, "CompleteMultipartUpload")
        coffers.put_parts("/a", content(MIB), b"end")
        assert coffers.read("/a")[0] == content(MIB) + b"end"
        assert coffers.ops()[-3:-1] == ["CompleteMultipartUpload", "HeadObject"]

    def test_it_was_completed_when_there_was_no_time_left(self, make_coffers, lost):
        coffers = make_coffers(retries=0)
        coffers.fault(lost, "CompleteMultipartUpload")
        coffers.put_parts("/a", content(MIB), b"end")
        assert coffers.ops()[-2:] == ["CompleteMultipartUpload", "HeadObject"]
        assert coffers.read("/a")[0] == content(MIB) + b"end"

    def test_it_was_not_completed_when_there_was_no_time_left(self, make_coffers):
        coffers = make_coffers(retries=0)
        coffers.fault(faults.DropBefore(), "CompleteMultipartUpload")
        with pytest.raises(ConnectionError, match="CompleteMultipartUpload"):
            coffers.put_parts("/a", b"hello")

    def test_what_was_completed_is_another_object(self, coffers):
        upload = coffers.client.initiate(COFFER, "/a")
        parts = coffers.send("/a", upload, b"hello")

        def other():
            coffers.client.abort(COFFER, "/a", upload)
            coffers.put("/a", b"another size")

        coffers.fault(faults.DropBefore(), "CompleteMultipartUpload")
        coffers.meanwhile(other)
        with pytest.raises(CosUploadSessionError, match="begin again"):
            coffers.client.complete(COFFER, "/a", upload, parts)

    def test_it_failed_late(self, make_coffers):
        coffers = make_coffers(complete_whitespace=True)
        coffers.fault(faults.Refuse("InternalError", status=200), "CompleteMultipartUpload")
        coffers.put_parts("/a", b"hello")
        assert coffers.read("/a")[0] == b"hello"
        assert coffers.ops().count("CompleteMultipartUpload") == 2

    def test_it_failed_late_for_good(self, coffers):
        coffers.fault(faults.Refuse("KMSFailed", status=200), "CompleteMultipartUpload", times=None)
        with pytest.raises(OSError, match="check it in KMS") as caught:
            coffers.put_parts("/a", b"hello")
        assert (caught.value.code, caught.value.status) == ("KMSFailed", 200)
        assert coffers.ops().count("CompleteMultipartUpload") == 1

    def test_quoted_etags_are_learned(self, make_coffers):
        coffers = make_coffers(etag_quotes="quoted")
        coffers.put_parts("/a", b"one")
        coffers.put_parts("/b", b"two")
        assert coffers.ops().count("CompleteMultipartUpload") == 3

    def test_it_was_aborted(self, coffers, lost):
        upload = coffers.client.initiate(COFFER, "/a")
        coffers.fault(lost, "AbortMultipartUpload")
        coffers.client.abort(COFFER, "/a", upload)
        assert list(coffers.client.list_uploads(COFFER)) == []


class TestCoffers:
    NAME = "second-1250000000"

    @pytest.fixture(params=["CofferAlreadyOwnedByYou", "CofferAlreadyExists"])
    def coffers(self, make_coffers, request):
        return make_coffers(coffer_exists=request.param)

    def test_one_was_made(self, coffers, lost):
        coffers.fault(lost, "PutCoffer")
        with pytest.raises(FileExistsError, match="may be its own work") as caught:
            coffers.client.put_coffer(self.NAME, ["ap-tianjin"])
        assert isinstance(caught.value, CosPossiblyCreatedError)
        assert len(coffers.client.list_coffers()) == 2

    def test_one_was_not_made(self, coffers):
        coffers.fault(faults.HttpError(502), "PutCoffer")
        coffers.client.put_coffer(self.NAME, ["ap-tianjin"])
        coffers.fault(faults.HttpError(502), "PutCoffer")
        coffers.emulator.clock_offset = 60
        with pytest.raises(FileExistsError) as caught:
            coffers.client.put_coffer(self.NAME, ["ap-tianjin"])
        assert not isinstance(caught.value, CosPossiblyCreatedError)

    def test_one_was_deleted(self, coffers, lost):
        coffers.fault(lost, "DeleteCoffer")
        coffers.client.delete_coffer(COFFER)
        assert coffers.client.list_coffers() == ()
        assert coffers.ops().count("DeleteCoffer") == 1

    def test_one_was_not_deleted(self, coffers):
        coffers.emulator.clock_offset = 60
        coffers.fault(faults.HttpError(502), "DeleteCoffer")
        coffers.client.delete_coffer(COFFER)
        assert coffers.client.list_coffers() == ()

    def test_a_new_one_stays(self, coffers, lost):
        coffers.fault(lost, "DeleteCoffer")
        coffers.meanwhile(lambda: coffers.client.put_coffer(COFFER, ["ap-tianjin"]))
        with pytest.raises(OSError, match="may be newer"):
            coffers.client.delete_coffer(COFFER)
        assert [coffer.name for coffer in coffers.client.list_coffers()] == [COFFER]


@pytest.mark.parametrize("code", ["DataSynchronization", "AlreadyLock"])
def test_busy_objects_are_retried(coffers, code):
    narrowed = []
    coffers.client.on_throttle = lambda: narrowed.append(code)
    coffers.fault(faults.Refuse(code), "PutObject", times=3)
    coffers.put("/a", b"hello")
    assert coffers.ops() == ["PutObject"] * 4
    assert len(narrowed) == len(coffers.clock.slept) == 3


def test_a_conflict_of_head_is_retried(coffers):
    """The reply to HEAD has no body: it cannot say why."""
    coffers.put("/a", b"hello")
    coffers.fault(faults.Refuse("DataSynchronization"), "HeadObject", times=3)
    assert coffers.client.head(COFFER, "/a").size == 5
    assert coffers.ops() == ["PutObject"] + ["HeadObject"] * 4


@pytest.mark.parametrize(
    "code", ["AssumeRoleFailed", "KMSFailed", "PolicyCheckFailed", "ServiceNotOpen", "ObjectEmpty"]
)
def test_final_refusals_are_not_retried(coffers, code):
    coffers.fault(faults.Refuse(code), "PutObject", times=None)
    with pytest.raises(OSError, match=code) as caught:
        coffers.put("/a", b"hello")
    assert caught.value.code == code
    assert coffers.ops() == ["PutObject"]


def test_a_body_that_breaks_goes_on(coffers):
    data = content(300_000)
    coffers.put("/a", data)
    coffers.fault(faults.CutReply(100_000), "GetObject", times=2)
    assert coffers.read("/a")[0] == data
    assert coffers.ranges()[1:] == ["bytes=100000-299999", "bytes=200000-299999"]
    coffers.fault(faults.CutReply(100_000), "GetObject")
    assert coffers.read("/a", 50_000, 250_000)[0] == data[50_000:250_000]
    assert coffers.ranges()[-1] == "bytes=150000-249999"


def whole(coffers, key, *parts):
    coffers.put_parts(key, *parts)
    return coffers.read(key)[0] == b"".join(parts)


ASKED = {
    "GetService": lambda coffers: [coffer.name for coffer in coffers.client.list_coffers()] == [COFFER],
    "GetCoffer": lambda coffers: coffers.keys() == ["/there"],
    "HeadObject": lambda coffers: coffers.client.head(COFFER, "/there").size == 300,
    "GetObject": lambda coffers: coffers.read("/there", 10, 290)[0] == content(300)[10:290],
    "PutObject": lambda coffers: coffers.put("/new", b"new").size == coffers.client.head(COFFER, "/new").size,
    "InitiateMultipartUpload": lambda coffers: whole(coffers, "/a", b"end"),
    "UploadPart": lambda coffers: whole(coffers, "/b", b"end"),
    "ListParts": lambda coffers: whole(coffers, "/c", content(MIB), b"end"),
    "CompleteMultipartUpload": lambda coffers: whole(coffers, "/d", b"end"),
}
"""A call for every operation, which returns whether the result was right."""

CORRUPTED = {"first byte corrupted", "last byte corrupted"}
"""What only a checksum shows, which the layer above compares."""

UNKNOWABLE = {"length too long", "length too short", "internal error within a 200"}
"""What the head of an object cannot show, as it is all that there is."""


@pytest.mark.parametrize("name", [name for name in faults.COFFER if name not in CORRUPTED])
def test_any_fault(make_coffers, name):
    """Whatever goes wrong once, the answer is right, or an error of ours; and then everything is well again."""
    coffers = make_coffers(options={"read_timeout": 1.0})
    coffers.put("/there", content(300))
    action = faults.COFFER[name]
    for op, ask in ASKED.items():
        if op == "HeadObject" and name in UNKNOWABLE:
            continue
        coffers.client.close()
        coffers.fault(action, None if action.stage == "connection" else op)
        try:
            assert ask(coffers), op
        except OSError as error:
            assert isinstance(error, CosError), (op, error)  # noqa: PT017  # either is well
        coffers.emulator.faults.clear()
        # a service that is being restarted is back when this returns; nothing happens when it runs
        coffers.emulator.start()
    assert ASKED["GetObject"](coffers)
