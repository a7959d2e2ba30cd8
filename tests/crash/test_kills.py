"""Small versions of the scenarios `client` and `emulator`; and those who judge them notice what is wrong."""

from pathlib import Path

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.catalogue import Content, State, Step
from tests.crash.confirmed import Confirmed, inconsistent
from tests.crash.kills import client, emulator
from tests.crash.operations import Operation
from tests.crash.processes import Server
from tests.crash.readers import look
from tests.crash.scenarios import Plan
from tests.crash.uploads import uploads
from tests.filesystem.conftest import WIRES

MIB = 1024 * 1024
BUCKET = "bucket"
OLD, NEW = b"old content", b"the new one"


@pytest.mark.parametrize("protocol", ["cosv4", "cosv3", "cdcs"])
# by these seeds every moment is one at which a request is held: nothing is over before it is killed
@pytest.mark.parametrize(("scenario", "seed"), [(client, 43), (emulator, 6)])
def test_nothing_is_lost_and_no_part_is_seen_when_one_of_both_dies(scenario, seed, protocol, tmp_path):
    lines = []
    summary = scenario(Plan(tmp_path, seed, 3, 2 * MIB, fsync=True, say=lines.append, protocol=protocol))
    assert summary.failures == [], lines
    assert summary.kills == summary.moments == 3, lines


def test_what_a_coffer_has_acknowledged_is_not_sent_again(tmp_path):
    lines = []
    plan = Plan(tmp_path, 3, 6, 6 * MIB, slice_size=MIB, fsync=True, say=lines.append, protocol="cdcs")
    summary = uploads(plan)
    assert summary.failures == [], lines
    assert summary.moments == 6
    assert summary.kills >= 4, lines
    # of two more moments nothing is held: the process may be done before it is killed
    assert summary.resumed >= 1, lines


def test_a_complete_sibling_exists_for_nobody():
    with Emulator(buckets=(BUCKET,)) as service:
        fs = fsspec.filesystem("cosv4", **service.storage_options)
        reader = fsspec.filesystem("cosv4", **service.storage_options, use_listings_cache=False)
        with fs.transaction:
            with fs.open(f"{BUCKET}/dir/name", "wb") as file:
                file.write(NEW)
            [upload] = reader.uploads(BUCKET)
            place = upload["place"]
            assert upload["stored"] == len(NEW)
            assert not reader.exists(place)
            assert not reader.isfile(place)
            with pytest.raises(FileNotFoundError) as caught:
                reader.info(place)
            assert caught.value.filename == place
            assert reader.glob(f"{BUCKET}/dir/*") == reader.ls(f"{BUCKET}/dir") == []
        assert reader.cat_file(f"{BUCKET}/dir/name") == NEW


@pytest.fixture
def fs():
    with Emulator(buckets=(BUCKET,)) as service:
        yield fsspec.filesystem("cosv4", **service.storage_options, use_listings_cache=False)


def operation(before, after, moves=None):
    folder = f"{BUCKET}/dir"
    states = [State({path[len(folder) + 1 :]: content for path, content in part.items()}) for part in (before, after)]
    pairs = {source[len(folder) + 1 :]: target[len(folder) + 1 :] for source, target in (moves or {}).items()}
    return Operation("", folder, Path(), Step("", ()), *states, 1, (), pairs)


def test_readers_notice(fs):
    old, new = Content(1, 11), Content(2, 11)
    path, other = f"{BUCKET}/dir/path", f"{BUCKET}/dir/other"
    fs.pipe_file(path, old.data[:5])
    [read, size] = look(fs, operation({path: old}, {path: new}))
    assert "a reader of" in read
    assert "is listed, with 5 bytes" in size
    fs.pipe_file(path, new.data)
    assert look(fs, operation({path: old}, {path: new})) == []
    assert "not listed" in look(fs, operation({path: new, other: old}, {path: new, other: old}))[-1]
    moved = look(fs, operation({other: old}, {path: old}, moves={other: path}))
    assert moved[0] == f"{other} is neither there nor at {path}"
    assert "is listed" in look(fs, operation({}, {}))[0]


def events_of(server, act):
    start = server.mark("test")
    act()
    server.catch_up()
    return server.log(start)


def test_what_was_confirmed_is_missed(tmp_path):
    path, key = f"{BUCKET}/dir/path", "/dir/path"
    with Server(tmp_path) as server:
        fs = server.filesystem()
        stored = events_of(server, lambda: fs.pipe_file(path, NEW))
        assert Confirmed(stored).missing(fs, BUCKET) == []
        fs.pipe_file(path, OLD)
        assert Confirmed(stored).missing(fs, BUCKET) == [f"{key} is not what the service had confirmed"]
        fs.rm_file(path)
        assert Confirmed(stored).missing(fs, BUCKET) == [f"{key} is not what the service had confirmed"]
        unanswered = [event for event in stored if event["kind"] != "answered"]
        assert Confirmed(unanswered).missing(fs, BUCKET) == []


@pytest.mark.parametrize("protocol", ["cosv4", "cosv3"])
def test_slices_that_were_confirmed_are_missed(tmp_path, protocol):
    key, data = "/dir/path", bytes(MIB)
    with Server(tmp_path, protocol=protocol) as server:
        fs = server.filesystem()
        sent = events_of(server, lambda: WIRES[protocol].leave(fs, key, 2 * MIB, MIB, data, bucket=BUCKET))
        assert Confirmed(sent).missing(fs, BUCKET) == []
        fs.client.delete(BUCKET, key)
        assert Confirmed(sent).missing(fs, BUCKET) == [f"slices [0] of {key} had been confirmed, and are lost"]


def test_what_a_coffer_had_confirmed_is_missed(tmp_path):
    with Server(tmp_path, protocol="cdcs") as server:
        options = {"slice_size": MIB, "single_upload_limit": MIB}
        fs = fsspec.filesystem("cdcs", **server.options, **options, skip_instance_cache=True)
        for name, data in (("small", NEW), ("large", bytes(MIB) + NEW)):
            stored = events_of(server, lambda name=name, data=data: fs.pipe_file(f"{server.bucket}/dir/{name}", data))
            assert Confirmed(stored).missing(fs, server.bucket) == []
            elsewhere = [{**event, **({"path": "/other"} if "path" in event else {})} for event in stored]
            assert Confirmed(elsewhere).missing(fs, server.bucket) == ["/other is not what the service had confirmed"]
            others = [{**event, **({"sha": "0" * 32} if event.get("sha") else {})} for event in stored]
            wrong = Confirmed(others).missing(fs, server.bucket)
            assert wrong == [f"/dir/{name} is not what the service had confirmed"]
        assert inconsistent(tmp_path) == []
        for blob in (tmp_path / "blobs").iterdir():
            blob.rename(blob.with_name(f"{blob.name}-orphan"))
        assert len(inconsistent(tmp_path)) == 4


def test_parts_that_were_confirmed_are_missed(tmp_path):
    with Server(tmp_path, protocol="cdcs") as server:
        fs = server.filesystem()

        def leave():
            upload = fs.client.initiate(server.bucket, "/dir/path")
            fs.client.upload_part(server.bucket, "/dir/path", upload, 1, memoryview(bytes(MIB)))

        sent = events_of(server, leave)
        assert Confirmed(sent).missing(fs, server.bucket) == []
        ended = events_of(server, lambda: fs.abort_upload(f"{server.bucket}/dir/path"))
        assert Confirmed(sent).missing(fs, server.bucket) == [
            "slices [1] of /dir/path had been confirmed, and are lost"
        ]
        assert Confirmed(sent + ended).missing(fs, server.bucket) == []


def test_what_the_last_slice_of_v3_completed_is_missed(tmp_path):
    path, large = f"{BUCKET}/dir/path", bytes(MIB) + NEW
    with Server(tmp_path, protocol="cosv3") as server:
        fs = fsspec.filesystem("cosv3", **server.options, slice_size=MIB // 2, single_upload_limit=MIB // 2)
        stored = events_of(server, lambda: fs.pipe_file(path, large))
        assert Confirmed(stored).missing(fs, BUCKET) == []
        fs.pipe_file(path, large[::-1])
        assert Confirmed(stored).missing(fs, BUCKET) == ["/dir/path is not what the service had confirmed"]


def test_a_folder_that_is_out_of_order_is_noticed(tmp_path):
    with Server(tmp_path) as server:
        server.filesystem().pipe_file(f"{BUCKET}/a", NEW)
        assert inconsistent(tmp_path) == []
        [blob] = (tmp_path / "blobs").iterdir()
        blob.rename(blob.with_name("orphan"))
        assert inconsistent(tmp_path) == [
            f"content {blob.name} has None bytes of {len(NEW)}",
            "nobody needs content orphan",
        ]
