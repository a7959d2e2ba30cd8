"""A request whose reply was lost is recognised when it was carried out, and never hits what came after it."""

import hashlib
import time

import pytest

from cosv4fs.api import SliceSession
from cosv4fs.emulator import faults
from cosv4fs.errors import CosPossiblyCreatedError, CosPossiblyMovedError
from tests.support import BUCKET, MIB, Do, content, hurry

LOST = faults.DropReply()
LOST_BY_RESET = faults.DropReply(reset=True)
LOST_BY_502 = faults.HttpError(502, acted=True)
LOST_BY_CUT = faults.CutReply(10)
CUT_BEFORE = faults.DropBefore()

CARRIED_OUT = {
    "dropped": LOST,
    "reset": LOST_BY_RESET,
    "502": LOST_BY_502,
    "cut": LOST_BY_CUT,
    "index": faults.Refuse(-143, acted=True),
}
NOT_CARRIED_OUT = {"before": CUT_BEFORE, "500": faults.HttpError(500), "replayed": faults.Refuse(-77)}
ACTIONS = {**CARRIED_OUT, **NOT_CARRIED_OUT}
SIBLING = "/.x.cosv4-0123456789abcdef"
DATA = content(MIB + 5)
SHA = hashlib.sha1(DATA).hexdigest()


@pytest.fixture(params=ACTIONS.values(), ids=ACTIONS)
def action(request):
    return request.param


@pytest.fixture(params=CARRIED_OUT.values(), ids=CARRIED_OUT)
def carried_out(request):
    return request.param


@pytest.fixture(params=NOT_CARRIED_OUT.values(), ids=NOT_CARRIED_OUT)
def not_carried_out(request):
    return request.param


@pytest.fixture
def signatures(service):
    """All signatures that were sent, and the check that no single-use one was sent twice."""
    seen = []
    service.watch(lambda call: seen.append((call.op, call.signature)))
    yield seen
    single = [signature for op, signature in seen if op in ("delete", "update", "move")]
    assert len(single) == len(set(single))


def wait_for(condition):
    for _ in range(30_000):
        if condition():
            return
        time.sleep(0.001)


def begin(service, **more):
    session = service.client.upload_slice_init(BUCKET, "/x", filesize=len(DATA), slice_size=MIB, **more)
    assert isinstance(session, SliceSession)
    return session.session


def send(service, session):
    view = memoryview(DATA)
    for offset in (0, MIB):
        service.client.upload_slice_data(BUCKET, "/x", session, offset, view[offset : offset + MIB])


@pytest.mark.usefixtures("signatures")
class TestOnce:
    def test_upload(self, service, action):
        fault = service.fault(action, op="upload")
        service.client.upload(BUCKET, SIBLING, b"content")
        assert fault.hits == 1
        assert service.read(SIBLING) == b"content"
        assert service.names() == [SIBLING[1:]]

    def test_upload_over_an_object(self, service, action):
        service.put("/x", b"old")
        service.fault(action, op="upload")
        service.put("/x", b"newer")
        assert service.read("/x") == b"newer"

    def test_slice_data(self, service, action):
        session = begin(service)
        fault = service.fault(action, op="upload_slice_data", nth=2)
        send(service, session)
        service.client.upload_slice_finish(BUCKET, "/x", session, len(DATA))
        assert fault.hits == 1
        assert service.read("/x") == DATA

    @pytest.mark.parametrize("sha", [None, SHA])
    def test_finish(self, service, action, sha):
        session = begin(service, sha=sha)
        view = memoryview(DATA)
        for offset in (0, MIB):
            service.client.upload_slice_data(BUCKET, "/x", session, offset, view[offset : offset + MIB], sha=sha)
        fault = service.fault(action, op="upload_slice_finish")
        service.client.upload_slice_finish(BUCKET, "/x", session, len(DATA), sha=sha)
        assert fault.hits == 1
        assert service.read("/x") == DATA

    def test_delete(self, service, action):
        seen = service.put_before("/x", b"content")
        fault = service.fault(action, op="delete")
        service.client.delete(BUCKET, "/x", seen=seen)
        assert fault.hits == 1
        assert service.names() == []

    def test_delete_a_directory(self, service, action):
        service.emulator.clock_offset = -60
        service.client.create(BUCKET, "/dir/")
        service.emulator.clock_offset = 0
        service.fault(action, op="delete")
        service.client.delete(BUCKET, "/dir/")
        assert service.names() == []

    def test_delete_a_sibling(self, service, action):
        service.put(SIBLING, b"content")
        service.fault(action, op="delete")
        service.client.delete(BUCKET, SIBLING)
        assert service.names() == []

    def test_update(self, service, action):
        service.put("/x", b"content")
        service.fault(action, op="update")
        service.client.update(BUCKET, "/x", biz_attr="note")
        assert service.client.stat(BUCKET, "/x").biz_attr == "note"

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_move(self, service, action, overwrite):
        seen = service.put_before("/x", b"content")
        if overwrite:
            service.put("/y", b"old")
        fault = service.fault(action, op="move")
        service.client.move(BUCKET, "/x", "/y", overwrite=overwrite, seen=seen)
        assert fault.hits == 1
        assert service.names() == ["y"]
        assert service.read("/y") == b"content"

    @pytest.mark.parametrize("expected", [None, (7, None), (7, hashlib.sha1(b"content").hexdigest())])
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_move_a_sibling(self, service, action, overwrite, expected):
        service.put(SIBLING, b"content")
        if overwrite:
            service.put("/y", b"content")
        service.fault(action, op="move")
        service.client.move(BUCKET, SIBLING, "/y", overwrite=overwrite, expected=expected)
        assert service.names() == ["y"]
        assert service.read("/y") == b"content"

    def test_move_to_a_free_place(self, service, action):
        service.put("/x", b"content")
        service.fault(action, op="move")
        service.client.move(BUCKET, "/x", "/y")
        assert service.names() == ["y"]

    def test_copy(self, service, action):
        service.put("/x", b"content")
        service.put("/y", b"old")
        service.fault(action, op="copy")
        service.client.copy(BUCKET, "/x", "/y", overwrite=True)
        assert service.read("/x") == service.read("/y") == b"content"


class Creations:
    """What creates something and fails where something is; each with what is there afterwards."""

    upload = staticmethod(lambda service: service.client.upload(BUCKET, "/x", b"content"))
    create = staticmethod(lambda service: service.client.create(BUCKET, "/x/"))
    copy = staticmethod(lambda service: service.client.copy(BUCKET, "/from", "/x"))


@pytest.fixture(params=["upload", "create", "copy"])
def creation(request, service):
    """An operation that fails where something is."""
    service.put("/from", b"content")
    act = getattr(Creations, request.param)
    act.op = request.param
    return act


class TestCreating:
    """Of several clients that create the same, one succeeds."""

    def test_it_was_not_carried_out(self, service, creation, not_carried_out):
        service.fault(not_carried_out, op=creation.op)
        creation(service)
        assert service.names() == ["from", "x"]

    def test_the_lost_attempt_may_have_created_it(self, service, creation, carried_out):
        service.fault(carried_out, op=creation.op)
        with pytest.raises(FileExistsError, match="may be its own work") as caught:
            creation(service)
        assert isinstance(caught.value, CosPossiblyCreatedError)
        assert service.names() == ["from", "x"]

    def test_another_was_faster(self, service, creation, not_carried_out):
        service.fault(not_carried_out, op=creation.op)
        service.clock.meanwhile(lambda: creation(service))
        with pytest.raises(FileExistsError):
            creation(service)

    def test_it_was_there_long_ago(self, service, creation, not_carried_out):
        service.emulator.clock_offset = -60
        creation(service)
        service.emulator.clock_offset = 0
        service.fault(not_carried_out, op=creation.op)
        with pytest.raises(FileExistsError) as caught:
            creation(service)
        assert not isinstance(caught.value, CosPossiblyCreatedError)

    def test_other_content_was_created_by_another_client(self, service, not_carried_out):
        service.put("/x", b"theirs!")
        service.fault(not_carried_out, op="upload")
        with pytest.raises(FileExistsError) as caught:
            service.client.upload(BUCKET, "/x", b"content")
        assert not isinstance(caught.value, CosPossiblyCreatedError)
        assert service.read("/x") == b"theirs!"

    def test_a_file_is_no_directory(self, service, not_carried_out):
        service.put("/x", b"theirs")
        service.fault(not_carried_out, op="create")
        with pytest.raises(FileExistsError) as caught:
            service.client.create(BUCKET, "/x/")
        assert not isinstance(caught.value, CosPossiblyCreatedError)

    def test_overwriting_needs_no_check(self, service, carried_out):
        service.emulator.clock_offset = -60
        service.put("/x", b"old")
        service.emulator.clock_offset = 0
        service.fault(carried_out, op="upload")
        service.put("/x", b"content")
        assert "stat" not in service.ops()


class TestOtherClients:
    """Other clients create, replace and remove between a request and its retry."""

    @pytest.mark.parametrize("data", [b"new", b"content"], ids=["another", "equal"])
    def test_a_deleted_file_is_there_again(self, service, carried_out, data):
        seen = service.put_before("/x", b"content")
        service.fault(carried_out, op="delete")
        service.clock.meanwhile(lambda: service.put("/x", data))
        service.client.delete(BUCKET, "/x", seen=seen)
        assert service.read("/x") == data
        assert service.ops().count("delete") == 1

    def test_a_file_of_the_same_second_is_there_again(self, service, carried_out):
        service.put("/x", b"content")
        seen = service.client.stat(BUCKET, "/x")
        service.fault(carried_out, op="delete")
        service.clock.meanwhile(lambda: service.put("/x", b"content"))
        try:
            # another second may have begun meanwhile
            service.client.delete(BUCKET, "/x", seen=seen)
        except OSError as error:
            assert "may be newer" in str(error)  # noqa: PT017
        assert service.read("/x") == b"content"

    def test_a_file_from_elsewhere_is_there_again(self, service, carried_out):
        # a move keeps the times of its source
        seen = service.put_before("/x", b"content")
        service.put_before("/tmp", b"another", 30)
        service.fault(carried_out, op="delete")
        service.clock.meanwhile(lambda: service.client.move(BUCKET, "/tmp", "/x"))
        with pytest.raises(OSError, match="may be newer"):
            service.client.delete(BUCKET, "/x", seen=seen)
        assert service.read("/x") == b"another"

    def test_without_a_snapshot_the_outcome_is_unknown(self, service, action):
        service.put_before("/x", b"content")
        service.fault(action, op="delete")
        service.clock.meanwhile(lambda: service.put("/x", b"new"))
        with pytest.raises(OSError, match="may be newer") as caught:
            service.client.delete(BUCKET, "/x")
        assert caught.value.filename == f"{BUCKET}/x"
        assert service.read("/x") == b"new"

    def test_a_recent_directory_may_be_another_one(self, service, carried_out):
        service.client.create(BUCKET, "/dir/")
        service.fault(carried_out, op="delete")
        service.clock.meanwhile(lambda: service.client.create(BUCKET, "/dir/"))
        with pytest.raises(OSError, match="may be newer"):
            service.client.delete(BUCKET, "/dir/")
        assert service.names() == ["dir"]

    def test_it_is_deleted_late(self, service):
        """The first attempt is still in progress when the second one is made."""
        seen = service.put_before("/x", b"content")
        stall = faults.Stall(timeout=30)
        fault = service.fault(stall, op="delete")

        def meanwhile():
            # the next one to come finds it done
            stall.release.set()
            service.fault(Do(lambda: wait_for(lambda: service.names() == [])), op="delete")

        service.clock.meanwhile(hurry(service.client))
        service.clock.meanwhile(meanwhile)
        service.client.delete(BUCKET, "/x", seen=seen)
        assert fault.hits == 1
        assert service.names() == []

    @pytest.mark.parametrize("data", [b"second", b"content"], ids=["another", "equal"])
    @pytest.mark.parametrize("known", ["seen", "expected", "nothing"])
    def test_a_moved_file_is_there_again(self, service, carried_out, data, known):
        seen = service.put_before("/x", b"content")
        evidence = {"seen": {"seen": seen}, "expected": {"expected": (seen.size, seen.sha)}, "nothing": {}}[known]
        service.fault(carried_out, op="move")
        service.clock.meanwhile(lambda: service.put("/x", data))
        if data == b"second" and known != "nothing":
            service.client.move(BUCKET, "/x", "/y", overwrite=True, **evidence)
        else:
            with pytest.raises(OSError, match=f"may have been moved to {BUCKET}/y"):
                service.client.move(BUCKET, "/x", "/y", overwrite=True, **evidence)
        assert (service.read("/x"), service.read("/y")) == (data, b"content")

    def test_a_moved_file_is_replaced_from_elsewhere(self, service, carried_out):
        service.put_before("/x", b"first")
        service.put_before("/tmp", b"other", 30)
        service.fault(carried_out, op="move")
        service.clock.meanwhile(lambda: service.client.move(BUCKET, "/tmp", "/x"))
        with pytest.raises(OSError, match="may be newer"):
            service.client.move(BUCKET, "/x", "/y", overwrite=True)
        assert (service.read("/x"), service.read("/y")) == (b"other", b"first")

    def test_a_moved_file_is_taken_away(self, service, carried_out):
        seen = service.put_before("/x", b"content")
        service.fault(carried_out, op="move")
        service.clock.meanwhile(lambda: service.client.move(BUCKET, "/y", "/z"))
        with pytest.raises(FileNotFoundError, match=f"not at {BUCKET}/y") as caught:
            service.client.move(BUCKET, "/x", "/y", seen=seen)
        assert type(caught.value) is CosPossiblyMovedError
        assert caught.value.filename == f"{BUCKET}/x"
        assert service.names() == ["z"]

    def test_a_moved_file_is_taken_away_and_there_again(self, service, carried_out):
        seen = service.put_before("/x", b"content")
        service.fault(carried_out, op="move")

        def others():
            service.client.move(BUCKET, "/y", "/z")
            service.put("/x", b"second")

        service.clock.meanwhile(others)
        with pytest.raises(OSError, match="may be newer"):
            service.client.move(BUCKET, "/x", "/y", seen=seen)
        assert service.names() == ["x", "z"]

    def test_it_is_moved_late(self, service):
        seen = service.put_before("/x", b"content")
        service.put("/y", b"old")
        stall = faults.Stall(timeout=30)
        service.fault(stall, op="move")

        def meanwhile():
            stall.release.set()
            service.fault(Do(lambda: wait_for(lambda: service.names() == ["y"])), op="move")

        service.clock.meanwhile(hurry(service.client))
        service.clock.meanwhile(meanwhile)
        service.client.move(BUCKET, "/x", "/y", overwrite=True, seen=seen)
        assert service.read("/y") == b"content"

    @pytest.mark.parametrize("operation", ["delete", "move"])
    def test_a_failed_check_names_the_lost_request(self, service, carried_out, operation):
        seen = service.put_before("/x", b"content")
        service.fault(carried_out, op=operation)
        service.fault(faults.Refuse(-5997), op="stat", times=None)
        with pytest.raises(OSError, match=f"{operation}.*outcome could not be checked") as caught:
            getattr(service.client, operation)(BUCKET, "/x", *["/y"] * (operation == "move"), seen=seen)
        assert caught.value.filename == f"{BUCKET}/x"


class TestNoFalseSuccess:
    """After an attempt that was lost before it acted, what another client created is not taken for its own."""

    def test_upload_beside_an_unfinished_one(self, service):
        begin(service)
        service.fault(CUT_BEFORE, op="upload")
        with pytest.raises(FileExistsError) as caught:
            service.client.upload(BUCKET, "/x", DATA)
        assert caught.value.code == -4019

    def test_move_to_a_taken_place(self, service):
        service.put("/x", b"content")
        service.put("/y", b"content")
        service.fault(CUT_BEFORE, op="move")
        with pytest.raises(FileExistsError):
            service.client.move(BUCKET, "/x", "/y")
        assert service.names() == ["x", "y"]

    @pytest.mark.parametrize("expected", [None, (7, None)])
    def test_move_of_nothing(self, service, expected):
        service.fault(CUT_BEFORE, op="move")
        with pytest.raises(FileNotFoundError):
            service.client.move(BUCKET, "/x", "/y", expected=expected)

    def test_move_of_nothing_onto_something_else(self, service):
        service.put("/y", b"theirs")
        service.fault(CUT_BEFORE, op="move")
        with pytest.raises(FileNotFoundError):
            service.client.move(BUCKET, "/x", "/y", overwrite=True, expected=(7, None))

    def test_finish_of_a_session_that_was_never_there(self, service):
        service.put("/x", b"theirs")
        service.fault(CUT_BEFORE, op="upload_slice_finish")
        with pytest.raises(OSError) as caught:
            service.client.upload_slice_finish(BUCKET, "/x", "gone", len(DATA), sha=SHA)
        assert caught.value.code in (-94, -95)

    def test_without_a_lost_reply_refusals_stay_errors(self, service):
        service.put("/x", b"content")
        with pytest.raises(FileExistsError):
            service.client.upload(BUCKET, "/x", b"content")
        service.client.delete(BUCKET, "/x")
        with pytest.raises(FileNotFoundError):
            service.client.delete(BUCKET, "/x")
        service.client.create(BUCKET, "/dir/")
        with pytest.raises(FileExistsError):
            service.client.create(BUCKET, "/dir/")


@pytest.mark.parametrize("action", [LOST, CUT_BEFORE], ids=["dropped", "before"])
def test_init_never_takes_a_session_of_another_client(service, action):
    service.fault(action, op="upload_slice_init")
    if action is CUT_BEFORE:
        begin(service)
    else:
        # its owner is unknown here: the caller uses another path, or proves it by the SHA-1
        with pytest.raises(FileExistsError) as caught:
            begin(service)
        assert caught.value.code == -4019
    assert service.client.upload_slice_list(BUCKET, "/x").parts == ()


CHANGES = {
    "move": lambda client: client.move(BUCKET, "/x", "/y", overwrite=True, expected=(7, None)),
    "copy": lambda client: client.copy(BUCKET, "/x", "/y", overwrite=True),
    "update": lambda client: client.update(BUCKET, "/x", biz_attr="y"),
    "delete": lambda client: client.delete(BUCKET, "/x", seen=client.stat(BUCKET, "/x")),
}


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_with_the_other_kind_of_signature(make_service, operation, kind):
    service = make_service(**{f"{operation}_signature": kind})
    service.put("/x", b"content")
    service.fault(LOST, op=operation, nth=2)  # the first is refused where the kind is wrong
    if (operation, kind) != ("delete", "multi"):
        # a file that is still there may be a newer one: it is not deleted again
        service.fault(LOST, op=operation, nth=1)
    CHANGES[operation](service.client)
    assert service.names() == {"move": ["y"], "copy": ["x", "y"], "update": ["x"], "delete": []}[operation]
    if operation == "update":
        assert service.client.stat(BUCKET, "/x").biz_attr == "y"
    elif operation != "delete":
        assert service.read("/y") == b"content"
    assert -77 not in service.codes()


class TestGivingUp:
    def test_after_so_many_retries(self, make_service):
        service = make_service(retries=3)
        fault = service.fault(faults.Refuse(-181), op="stat", times=None)
        with pytest.raises(OSError, match="back end failed") as caught:
            service.client.stat(BUCKET, "/x")
        assert caught.value.code == -181
        assert caught.value.request_id
        assert fault.hits == 4
        assert len(service.clock.slept) == 3

    def test_at_the_deadline(self, make_service):
        service = make_service(retries=1000)
        fault = service.fault(CUT_BEFORE, op="stat", times=None)
        with pytest.raises(ConnectionError) as caught:
            service.client.stat(BUCKET, "/x")
        assert caught.value.filename == f"{BUCKET}/x"
        assert service.clock.now <= 120
        assert fault.hits == len(service.clock.slept) + 1 < 100

    @pytest.mark.parametrize("code", [-97, -5995, -289, -4002, -12345])
    def test_permanent_errors_at_once(self, service, code):
        fault = service.fault(faults.Refuse(code), op="stat", times=None)
        with pytest.raises(OSError) as caught:
            service.client.stat(BUCKET, "/x")
        assert caught.value.code == code
        assert fault.hits == 1
        assert service.clock.slept == []

    def test_retry_after_is_respected(self, service):
        service.fault(faults.HttpError(503, retry_after=7), op="stat")
        service.client.stat(BUCKET, "/")
        assert len(service.clock.slept) == 1
        assert service.clock.slept[0] >= 7

    def test_a_used_signature_is_replaced(self, service):
        service.fault(faults.Refuse(-77), op="create")
        service.client.create(BUCKET, "/x/")
        assert service.names() == ["x"]
