"""Uploads: complete or not at all, and the old object readable until the new one is."""

import errno
import hashlib
import threading
from contextlib import contextmanager

import pytest

from cosv4fs import paths
from cosv4fs.concurrency import cancellation
from cosv4fs.emulator import faults
from cosv4fs.transfer.sources import FileSource, MemorySource
from cosv4fs.transfer.target import Target
from cosv4fs.transfer.upload import Uploader
from cosv4fs.transfer.v4 import V4Upload
from tests.support import BUCKET, KIB, MIB, Do, content, upload_source

HALF = MIB // 2
DATA = content(2 * MIB + 7)
SIZE = len(DATA)
OLD = b"the old content"


def send(service, data=DATA, key="/x", slice_size=HALF, progress=None, **target):
    target = Target(BUCKET, key, **target)
    return upload_source(V4Upload, service, target, MemorySource(data), slice_size, progress)


def offsets(service):
    return sorted(r.offset for r in service.emulator.requests if r.op == "upload_slice_data" and r.code == 0)


class TestSliced:
    def test_a_new_path_costs_slices_and_four(self, service):
        send(service)
        assert service.read("/x") == DATA
        assert service.ops()[:1] == ["upload_slice_init"]
        service.emulator.clear_requests()
        send(service, key="/y", data=DATA[::-1])
        assert service.emulator.count() == {
            "upload_slice_init": 1,
            "upload_slice_data": 5,
            "upload_slice_finish": 1,
            "stat": 1,
            "move": 1,
        }

    def test_nothing_is_at_the_path_until_the_end(self, service):
        """All slices but no end is what `stat` and listings cannot tell from an object: so it is never there."""
        seen = []
        for op in ("upload_slice_init", "upload_slice_data", "upload_slice_finish", "move"):
            service.fault(Do(lambda: seen.append("x" in service.names())), op=op, times=None)
        send(service)
        assert len(seen) == 8
        assert not any(seen)
        assert service.names() == ["x"]

    def test_progress(self, service):
        steps = []
        send(service, progress=steps.append)
        assert sum(steps) == len(DATA)
        assert sorted(steps) == [7, HALF, HALF, HALF, HALF]

    def test_the_old_object_is_readable_until_the_end(self, service):
        service.put("/x", OLD)
        seen = []
        for op in ("upload_slice_init", "upload_slice_data", "upload_slice_finish", "move"):
            service.fault(Do(lambda: seen.append(service.read("/x"))), op=op, times=None)
        send(service)
        assert len(seen) >= 8
        assert set(seen) == {OLD}
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    @pytest.mark.parametrize("slice_overwrite", ["at-finish", "at-init", "refuse"])
    @pytest.mark.parametrize("exists_code", [-4018, -177, -178])
    def test_overwriting_under_every_dialect(self, make_service, slice_overwrite, exists_code):
        service = make_service(slice_overwrite=slice_overwrite, exists_code=exists_code)
        service.put("/x", OLD)
        send(service)
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_serial(self, make_service):
        service = make_service(serial_upload=True)
        send(service)
        assert service.read("/x") == DATA
        sent = [r for r in service.emulator.requests if r.op == "upload_slice_data"]
        assert [r.offset for r in sent] == sorted(r.offset for r in sent)
        assert {r.code for r in sent} == {0}

    @pytest.mark.parametrize("slice_size", [100_000, MIB, 3 * MIB])
    def test_the_server_decides_the_slice_size(self, make_service, slice_size):
        service = make_service(slice_size=slice_size)
        send(service)
        assert service.read("/x") == DATA
        assert offsets(service) == list(range(0, len(DATA), slice_size))

    def test_create(self, service):
        send(service, create=True)
        with pytest.raises(FileExistsError) as caught:
            send(service, data=DATA[::-1], create=True)
        assert caught.value.filename == f"{BUCKET}/x"
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    @pytest.mark.parametrize("create", [False, True])
    def test_a_directory_has_the_name(self, service, create):
        service.client.create(BUCKET, "/x/")
        kind = FileExistsError if create else IsADirectoryError
        with pytest.raises(kind) as caught:
            send(service, create=create)
        assert caught.value.filename == f"{BUCKET}/x"
        assert service.client.stat(BUCKET, "/x/").is_directory
        assert [entry.is_directory for entry in service.client.list(BUCKET, "/")] == [True]

    def test_parents(self, make_service):
        service = make_service(parents="required")
        send(service, key="/a/b/x")
        assert service.read("/a/b/x") == DATA

    def test_content_type(self, make_service):
        service = make_service(part_content_type="ignore")
        send(service, content_type="image/png", attributes={"content_type": "image/png"})
        assert service.client.head(BUCKET, "/x")[1]["Content-Type"] == "image/png"

    def test_content_that_is_already_stored(self, make_service):
        service = make_service(instant_needs_parts=False, options={"instant_upload": True})
        service.put("/there", DATA)
        send(service)
        assert service.read("/x") == DATA
        assert "upload_slice_data" not in service.emulator.count()

    def test_describing_content_ends_when_the_thread_is_cancelled(self, make_service):
        read = []

        class Counting(MemorySource):
            def lend(self, offset, length, buffers):
                read.append(offset)
                return super().lend(offset, length, buffers)

        service = make_service(options={"instant_upload": True})
        with cancellation.working_for("owner"):
            cancellation.cancel("owner")
            with pytest.raises(InterruptedError):
                upload_source(V4Upload, service, Target(BUCKET, "/x"), Counting(DATA), HALF)
        assert read == []


class TestUnfinishedUploadsOfOthers:
    def begin(self, service, size=SIZE, sha=None, key="/x"):
        return service.client.upload_slice_init(BUCKET, key, filesize=size, slice_size=HALF, sha=sha).session

    def test_that_of_another_client_is_left_alone(self, service):
        session = self.begin(service, size=999_999)
        alive = []

        def look():
            found = service.client.upload_slice_list(BUCKET, "/x")
            alive.append(found is not None and found.session == session)

        for op in ("upload_slice_data", "upload_slice_finish", "move"):
            service.fault(Do(look), op=op, times=None)
        send(service)
        assert alive == [True] * 7
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_even_one_of_the_same_size(self, service):
        session = self.begin(service)
        service.client.upload_slice_data(BUCKET, "/x", session, 0, memoryview(bytes(HALF)))
        send(service)
        assert service.read("/x") == DATA

    def test_even_one_of_the_same_content(self, service):
        """What another client has begun is its own to finish, and to give up."""
        session = self.begin(service, sha=hashlib.sha1(DATA).hexdigest())
        service.fault(faults.Refuse(-4002), op="upload_slice_finish")
        with pytest.raises(OSError, match="invalid"):
            send(service)
        assert service.client.upload_slice_list(BUCKET, "/x").session == session

    @pytest.mark.parametrize("reinit", ["refuse", "matching"])
    def test_our_own_whose_reply_was_lost(self, make_service, reinit):
        service = make_service(reinit=reinit)
        service.fault(faults.DropReply(), op="upload_slice_init")
        send(service)
        assert service.read("/x") == DATA
        assert service.names() == ["x"]
        assert len({record.path for record in service.emulator.requests if record.op == "upload_slice_init"}) == 1

    def test_replacing_under_every_dialect(self, make_service):
        service = make_service(overwrite_unfinished="replace", reinit="matching")
        self.begin(service)
        send(service)
        assert service.read("/x") == DATA

    @pytest.mark.parametrize("op", ["upload_slice_data", "upload_slice_finish"])
    @pytest.mark.parametrize("code", [-94, -290, -4026])
    def test_a_lost_session_starts_again_elsewhere(self, service, op, code):
        service.fault(faults.Refuse(code), op=op, nth=1)
        send(service)
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_a_sibling_that_someone_cleaned_away(self, service):
        def clean():
            for name in service.names():
                service.client.delete(BUCKET, f"/{name}")

        service.fault(Do(clean), op="upload_slice_finish")
        send(service)
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_slices_that_the_service_has_lost(self, service):
        """The session is still there, and ours: to begin again elsewhere would not help."""
        service.fault(faults.Refuse(-175), op="upload_slice_finish")
        with pytest.raises(OSError, match="the size differs") as caught:
            send(service)
        assert caught.value.code == -175
        assert service.ops().count("upload_slice_init") == 1
        assert service.names() == []


class TestFailures:
    @pytest.mark.parametrize("op", ["upload_slice_init", "upload_slice_data", "upload_slice_finish"])
    def test_nothing_stays(self, service, op):
        service.fault(faults.Refuse(-4002), op=op)
        with pytest.raises(OSError, match="invalid"):
            send(service)
        assert service.names() == []

    @pytest.mark.parametrize("op", ["upload_slice_data", "upload_slice_finish", "move"])
    def test_the_old_object_stays(self, service, op):
        service.put("/x", OLD)
        service.fault(faults.Refuse(-4002), op=op)
        with pytest.raises(OSError, match="invalid"):
            send(service)
        assert service.names() == ["x"]
        assert service.read("/x") == OLD

    @pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()], ids=["error", "interrupt"])
    def test_the_source_fails(self, service, error):
        class Broken(MemorySource):
            def lend(self, offset, length, buffers):
                if offset >= HALF:
                    raise error
                return super().lend(offset, length, buffers)

        with pytest.raises(type(error)):
            upload_source(V4Upload, service, Target(BUCKET, "/x"), Broken(DATA), HALF)
        assert service.names() == []

    def test_a_piece_that_cannot_be_read_ends_those_that_wait_until_it_is_hashed(self, service):
        others, raised = threading.Semaphore(0), []

        class Broken(MemorySource):
            @contextmanager
            def lend(self, offset, length, buffers):
                if offset == 0:
                    assert all(others.acquire(timeout=30) for _ in range(4))
                    raise OSError("disk")
                with super().lend(offset, length, buffers) as view:
                    others.release()
                    yield view

        def upload():
            try:
                upload_source(V4Upload, service, Target(BUCKET, "/x"), Broken(DATA), HALF)
            except OSError as error:
                raised.append(str(error))

        thread = threading.Thread(target=upload, daemon=True)
        thread.start()
        thread.join(30)
        assert raised == ["disk"]
        assert service.names() == []

    def test_the_first_error_is_raised_when_cleaning_up_fails_too(self, service):
        service.fault(faults.Refuse(-4002), op="upload_slice_data")
        service.fault(faults.Refuse(-97), op="delete", times=None)
        with pytest.raises(OSError, match="invalid"):
            send(service)

    def test_content_that_changes_after_it_was_hashed_is_noticed(self, service):
        class Changing(MemorySource):
            hashes_itself = True

            def sha1(self):
                return hashlib.sha1(b"before").hexdigest()

        with pytest.raises(OSError, match="SHA-1"):
            upload_source(V4Upload, service, Target(BUCKET, "/x"), Changing(DATA), HALF)
        assert service.names() == []

    @pytest.mark.parametrize("op", ["upload_slice_data", "upload_slice_finish", "move"])
    @pytest.mark.parametrize("action", [faults.DropReply(), faults.DropBefore(reset=True)], ids=["lost", "cut"])
    def test_transient_faults(self, service, op, action):
        service.put("/x", OLD)
        fault = service.fault(action, op=op)
        send(service)
        assert fault.hits == 1
        assert service.read("/x") == DATA
        assert service.names() == ["x"]


class TestDeferred:
    def test_publish(self, service):
        service.put("/x", OLD)
        upload = send(service, deferred=True)
        assert service.read("/x") == OLD
        upload.publish()
        assert service.read("/x") == DATA
        upload.publish()
        upload.abort()
        assert service.read("/x") == DATA
        assert service.names() == ["x"]

    def test_abort(self, service):
        service.put("/x", OLD)
        upload = send(service, deferred=True)
        upload.abort()
        upload.abort()
        assert service.read("/x") == OLD
        assert service.names() == ["x"]


class TestAbort:
    def open(self, service):
        upload = V4Upload(service.client, service.pool, Target(BUCKET, "/x"), HALF, len(DATA))
        upload.open()
        return upload

    def test_removes_our_session(self, service):
        self.open(service).abort()
        assert service.names() == []

    def test_spares_a_session_of_another_client(self, service):
        upload = self.open(service)
        theirs = service.client.upload_slice_init(BUCKET, "/x", filesize=5, slice_size=HALF).session
        upload.abort()
        assert service.client.upload_slice_list(BUCKET, "/x").session == theirs

    def test_spares_a_complete_object(self, service):
        upload = self.open(service)
        service.put("/x", OLD)
        upload.abort()
        assert service.read("/x") == OLD
        assert service.names() == ["x"]

    def test_recovering_spares_a_complete_object(self, service):
        """What an upload was moved to may be another client's object by now."""
        service.put("/x", OLD)
        upload = V4Upload(service.client, service.pool, Target(BUCKET, "/x"), HALF, len(DATA))
        upload.recover()
        assert service.read("/x") == OLD
        upload.abort()
        assert service.names() == ["x"]

    def test_names_only_its_own_sibling(self, service):
        """A request that removes is carried out whenever it arrives: its path must never be anybody else's."""
        service.fault(faults.Refuse(-4002), op="upload_slice_finish")
        with pytest.raises(OSError, match="invalid"):
            send(service)
        removed = [record.path for record in service.emulator.requests if record.op == "delete"]
        assert removed
        assert all(paths.is_sibling(path) for path in removed)

    def test_of_nothing(self, service):
        V4Upload(service.client, service.pool, Target(BUCKET, "/x"), HALF, 5).abort()
        assert service.ops() == []


def single(service, data=b"content", key="/x", **target):
    upload = V4Upload(service.client, service.pool, Target(BUCKET, key, **target), HALF)
    upload.store(memoryview(data))
    return upload


class TestSingle:
    def test_one_request(self, service):
        single(service)
        single(service, b"newer")
        assert service.read("/x") == b"newer"
        assert service.ops()[:2] == ["upload", "upload"]

    def test_create(self, service):
        single(service, b"", create=True)
        with pytest.raises(FileExistsError):
            single(service, create=True)
        assert service.read("/x") == b""

    @pytest.mark.parametrize("code", [-4018, -177, -178])
    def test_a_server_that_refuses_to_overwrite(self, make_service, code):
        service = make_service(overwrite_upload="refuse", exists_code=code)
        single(service, OLD)
        seen = []
        service.fault(Do(lambda: seen.append(service.read("/x"))), op="move")
        single(service)
        assert seen == [OLD]
        assert service.read("/x") == b"content"
        assert service.names() == ["x"]

    def test_an_unfinished_upload_in_the_way(self, service):
        service.client.upload_slice_init(BUCKET, "/x", filesize=MIB, slice_size=MIB)
        single(service)
        assert service.read("/x") == b"content"
        assert service.names() == ["x"]

    def test_a_file_that_changes_while_it_is_read_is_not_stored(self, service, tmp_path):
        local = tmp_path / "local"
        local.write_bytes(OLD)

        class Changing(FileSource):
            @contextmanager
            def lend(self, offset, length, buffers):
                with super().lend(offset, length, buffers) as view:
                    local.write_bytes(OLD + b", and more")
                    yield view

        with Changing(local) as source, pytest.raises(OSError, match="changed while it was being uploaded"):
            Uploader(service.client, service.pool, V4Upload).upload(Target(BUCKET, "/x"), source)
        assert service.names() == []

    def test_a_directory_has_the_name(self, service):
        service.client.create(BUCKET, "/x/")
        with pytest.raises(IsADirectoryError) as caught:
            single(service)
        assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, f"{BUCKET}/x")

    def test_deferred(self, service):
        upload = single(service, deferred=True)
        [name] = service.names()
        assert paths.is_sibling(name)
        upload.publish()
        upload.publish()
        assert service.names() == ["x"]

    def test_a_deferred_one_that_is_discarded(self, service):
        single(service, deferred=True).abort()
        assert service.names() == []

    @pytest.mark.parametrize("deferred", [False, True])
    def test_no_sibling_stays_behind(self, make_service, deferred):
        service = make_service(overwrite_upload="refuse")
        service.put("/x", OLD)
        service.fault(faults.Refuse(-97), op="update", times=None)
        with pytest.raises(PermissionError):
            single(service, deferred=deferred, content_type="image/png", attributes={"content_type": "image/png"})
        assert service.names() == ["x"]
        assert service.read("/x") == OLD

    def test_a_failed_publication(self, make_service):
        service = make_service(overwrite_upload="refuse")
        service.put("/x", OLD)
        service.fault(faults.Refuse(-199), op="move")
        with pytest.raises(OSError, match="move failed"):
            single(service)
        assert service.names() == ["x"]
        assert service.read("/x") == OLD

    def test_parents(self, make_service):
        service = make_service(parents="required")
        single(service, key="/a/b/x")
        assert service.read("/a/b/x") == b"content"


def test_small_slices_of_a_small_object(service):
    send(service, data=content(100 * KIB))
    assert service.read("/x") == content(100 * KIB)
