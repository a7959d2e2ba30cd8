"""A request that was carried out although its reply was lost ends as success, once, and damages nothing."""

import hashlib

import pytest

from cosv4fs.api import SliceSession
from cosv4fs.emulator import faults
from tests.support import BUCKET, MIB, content

LOST = faults.DropReply()
LOST_BY_RESET = faults.DropReply(reset=True)
LOST_BY_502 = faults.HttpError(502, acted=True)
LOST_BY_CUT = faults.CutReply(10)
CUT_BEFORE = faults.DropBefore()

ACTIONS = {"dropped": LOST, "reset": LOST_BY_RESET, "502": LOST_BY_502, "cut": LOST_BY_CUT, "before": CUT_BEFORE}
DATA = content(MIB + 5)
SHA = hashlib.sha1(DATA).hexdigest()


@pytest.fixture(params=ACTIONS.values(), ids=ACTIONS)
def action(request):
    return request.param


@pytest.fixture
def signatures(service):
    """All signatures that were sent, and the check that no single-use one was sent twice."""
    seen = []
    service.watch(lambda call: seen.append((call.op, call.signature)))
    yield seen
    single = [signature for op, signature in seen if op in ("delete", "update", "move")]
    assert len(single) == len(set(single))
    assert -77 not in service.codes()


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
        service.client.upload(BUCKET, "/x", b"content")
        assert fault.hits == 1
        assert service.read("/x") == b"content"
        assert service.names() == ["x"]

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

    def test_create(self, service, action):
        service.fault(action, op="create")
        service.client.create(BUCKET, "/dir/")
        assert service.client.stat(BUCKET, "/dir/").is_directory

    def test_delete(self, service, action):
        service.put("/x", b"content")
        fault = service.fault(action, op="delete")
        service.client.delete(BUCKET, "/x")
        assert fault.hits == 1
        assert service.names() == []

    def test_update(self, service, action):
        service.put("/x", b"content")
        service.fault(action, op="update")
        service.client.update(BUCKET, "/x", biz_attr="note")
        assert service.client.stat(BUCKET, "/x").biz_attr == "note"

    @pytest.mark.parametrize("expected", [None, (7, None), (7, hashlib.sha1(b"content").hexdigest())])
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_move(self, service, action, overwrite, expected):
        service.put("/x", b"content")
        if overwrite:
            service.put("/y", b"old")
        fault = service.fault(action, op="move")
        service.client.move(BUCKET, "/x", "/y", overwrite=overwrite, expected=expected)
        assert fault.hits == 1
        assert service.names() == ["y"]
        assert service.read("/y") == b"content"

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_copy(self, service, action, overwrite):
        service.put("/x", b"content")
        if overwrite:
            service.put("/y", b"old")
        service.fault(action, op="copy")
        service.client.copy(BUCKET, "/x", "/y", overwrite=overwrite)
        assert service.read("/x") == service.read("/y") == b"content"


class TestNoFalseSuccess:
    """An attempt that was lost before it acted makes nothing of someone else's into ours."""

    def test_upload_beside_another_object(self, service):
        service.put("/x", b"theirs!")
        service.fault(CUT_BEFORE, op="upload")
        with pytest.raises(FileExistsError):
            service.client.upload(BUCKET, "/x", b"content")
        assert service.read("/x") == b"theirs!"

    def test_upload_beside_an_unfinished_one(self, service):
        begin(service)
        service.fault(CUT_BEFORE, op="upload")
        with pytest.raises(FileExistsError) as caught:
            service.client.upload(BUCKET, "/x", DATA)
        assert caught.value.code == -4019

    def test_copy_to_a_taken_place(self, service):
        service.put("/x", b"content")
        service.put("/y", b"theirs!")
        service.fault(CUT_BEFORE, op="copy")
        with pytest.raises(FileExistsError):
            service.client.copy(BUCKET, "/x", "/y")
        assert service.read("/y") == b"theirs!"

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

    def test_nothing_is_forgiven_without_a_lost_reply(self, service):
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
def test_init_never_takes_a_session_that_may_be_a_strangers(service, action):
    service.fault(action, op="upload_slice_init")
    if action is CUT_BEFORE:
        begin(service)
    else:
        # whose it is cannot be told here: the caller goes elsewhere, or proves it by the sha
        with pytest.raises(FileExistsError) as caught:
            begin(service)
        assert caught.value.code == -4019
    assert service.client.upload_slice_list(BUCKET, "/x").parts == ()


@pytest.mark.parametrize("operation", ["move", "copy"])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_with_the_other_kind_of_signature(make_service, operation, kind):
    service = make_service(move_signature=kind, copy_signature=kind)
    service.put("/x", b"content")
    service.fault(LOST, op=operation, nth=2)  # the first is refused where the kind is wrong
    service.fault(LOST, op=operation, nth=1)
    getattr(service.client, operation)(BUCKET, "/x", "/y")
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

    def test_the_server_names_the_pause(self, service):
        service.fault(faults.HttpError(503, retry_after=7), op="stat")
        service.client.stat(BUCKET, "/")
        assert len(service.clock.slept) == 1
        assert service.clock.slept[0] >= 7

    def test_a_used_up_signature_is_replaced(self, service):
        service.put("/x", b"content")
        service.fault(faults.Refuse(-77), op="delete")
        service.client.delete(BUCKET, "/x")
        assert service.names() == []
