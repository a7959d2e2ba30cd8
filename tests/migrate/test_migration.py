"""Migrations: what is copied, what is not copied again, what is refused, and what failures leave."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import time
import zipfile
from datetime import datetime, timedelta, timezone

import pytest
from fsspec.callbacks import Callback
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from fsspec.spec import AbstractFileSystem

from cosv4fs.emulator import CofferEmulator, Emulator, faults
from cosv4fs.migrate.copying import stream
from cosv4fs.migrate.locations import Location, open_location
from cosv4fs.migrate.manifest import FAILED, File, Manifest
from cosv4fs.migrate.metadata import CONTENT_ONLY, MetadataOptions
from cosv4fs.migrate.migration import Watcher, default_manifest, migrate
from cosv4fs.migrate.migrator import FileMigrator
from cosv4fs.migrate.report import write_rows
from cosv4fs.migrate.s3_parts import part_size
from cosv4fs.migrate.selection import Rule, Selection
from tests.support import MIB, content

FILES = {
    "a.bin": content(70_000, 1),
    "empty": b"",
    "sub/b.bin": content(5_000, 2),
    "sub/deep/c é [1] #%.bin": content(900, 3),
}


REPORTED = ["path", "state", "size", "modified", "sha1", "error", "not_carried", "attempts", "begun", "ended"]


@pytest.fixture
def source(fs):
    fs.pipe({f"data/in/{path}": value for path, value in FILES.items()})
    fs.makedirs("data/in/nothing/in it")
    return "cosv4://data/in"


@pytest.fixture
def run(source, options, tmp_path):
    """Migrate the source to a local folder, or as the keywords say."""

    def run(target=None, **more):
        given = {"options": options, "manifest": tmp_path / "manifest.sqlite"} | more
        return migrate(source, target or str(tmp_path / "out"), **given)

    return run


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def counts(report):
    return report.copied, report.found, report.before, report.verified, report.failed


def test_all_files_arrive_in_a_local_folder(run, fs, tmp_path):
    fs.client.upload_slice_init("data", "/in/half", filesize=5 * MIB, slice_size=MIB)
    report = run(verify=True)
    assert below(tmp_path / "out") == FILES
    assert counts(report) == (4, 0, 0, 4, 0)
    assert (report.files, report.bytes, report.copied_bytes) == (4, 75_900, 75_900)
    assert (report.empty_folders, report.empty_folders_kept) == (1, 1)
    assert (tmp_path / "out/nothing/in it").is_dir()


@pytest.mark.parametrize("verify", [False, True])
def test_all_files_arrive_in_s3(run, s3, bucket, verify):
    report = run(f"s3://{bucket}/pre/fix", verify=verify)
    assert {path: s3.cat_file(path) for path in s3.find(bucket)} == {
        f"{bucket}/pre/fix/{path}": value for path, value in FILES.items()
    }
    assert counts(report) == (4, 0, 0, 4 if verify else 0, 0)
    assert report.empty_folders_kept == 0


class Late(MemoryFileSystem):
    """Believes its cache, as a thread does that has listed a folder before another wrote there."""

    protocol = "late"

    def info(self, path, refresh=False):
        if not refresh:
            raise FileNotFoundError(errno.ENOENT, "not in the cached listing", path)
        return super().info(path)


def test_a_listing_that_is_cached_late_is_not_believed(source, fs):
    target = Late(skip_instance_cache=True)
    mover = FileMigrator(Location(fs, "data/in"), Location(target, "/late"), verify=True)
    (outcome,) = mover.migrate([File("a.bin", 70_000)], Callback)
    assert (outcome.state, outcome.error) == ("verified", "")
    assert target.cat_file("/late/a.bin") == FILES["a.bin"]


class Damaging(MemoryFileSystem):
    """Stores another content of the same size than it is given."""

    protocol = "damaging"

    def _open(self, path, mode="rb", **options):
        return io.BytesIO(bytes(self.size(path))) if mode == "rb" else super()._open(path, mode, **options)


@pytest.mark.parametrize(("verify", "state"), [(False, "copied"), (True, "failed")])
def test_a_copy_with_another_content_is_verified_as_none(source, fs, verify, state):
    target = Damaging(skip_instance_cache=True)
    mover = FileMigrator(Location(fs, "data/in"), Location(target, f"/damaged {verify}"), verify=verify)
    (outcome,) = mover.migrate([File("a.bin", 70_000)], Callback)
    assert (outcome.state, "differs from the source" in outcome.error) == (state, verify)


def test_a_second_run_reads_nothing(run, emulator):
    run()
    before = emulator.count().get("download", 0)
    assert counts(run()) == (0, 0, 4, 0, 0)
    assert emulator.count().get("download", 0) == before


def test_verification_of_what_was_copied_earlier_copies_nothing_but_what_differs(run, tmp_path, emulator):
    run()
    (tmp_path / "out/a.bin").write_bytes(content(70_000, 9))
    before = emulator.count()["download"]
    report = run(verify=True)
    assert counts(report) == (1, 3, 0, 4, 0)
    assert emulator.count()["download"] == before + 1
    assert below(tmp_path / "out") == FILES


def test_an_object_of_several_parts_is_read_back(run, fs, s3, bucket, options):
    fs.pipe_file("data/in/large", content(11 * MIB))
    options["s3"] |= {"default_block_size": 5 * MIB}
    report = run(f"s3://{bucket}", verify=True)
    assert "-" in s3.info(f"{bucket}/large")["ETag"]
    assert counts(report) == (5, 0, 0, 5, 0)
    assert s3.cat_file(f"{bucket}/large") == content(11 * MIB)


def test_changes_of_the_source_are_taken_over(run, fs, tmp_path):
    run()
    fs.pipe_file("data/in/sub/b.bin", b"other")
    fs.pipe_file("data/in/new", b"new")
    fs.rm_file("data/in/a.bin")
    report = run()
    assert counts(report)[:3] == (2, 0, 2)
    assert report.vanished == 1
    changed = {"sub/b.bin": b"other", "new": b"new"}
    assert below(tmp_path / "out") == FILES | changed, "what vanished stays at the target"
    fs.pipe_file("data/in/a.bin", FILES["a.bin"])
    assert run().vanished == 0


def test_equal_files_are_found_and_others_replaced(run, tmp_path):
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/a.bin").write_bytes(FILES["a.bin"])
    (tmp_path / "out/sub/b.bin").write_bytes(content(5_000, 99))
    report = run()
    assert counts(report) == (3, 1, 0, 1, 0)
    assert below(tmp_path / "out") == FILES


def test_without_overwriting_other_contents_are_failures_and_stay(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.bin").write_bytes(b"mine")
    (tmp_path / "out/empty").write_bytes(b"")
    report = run(overwrite=False)
    assert counts(report) == (2, 1, 0, 1, 1)
    assert report.failures[0][0] == "a.bin"
    assert "another content" in report.failures[0][1]
    assert (tmp_path / "out/a.bin").read_bytes() == b"mine"


@pytest.mark.parametrize("is_changed", [True, False])
def test_without_overwriting_edits_of_what_an_earlier_run_has_copied_stay(run, fs, tmp_path, is_changed):
    run()
    (tmp_path / "out/a.bin").write_bytes(b"edited")
    if is_changed:
        fs.pipe_file("data/in/a.bin", b"changed")
    report = run(overwrite=False, verify=not is_changed)
    assert (report.copied, [path for path, _ in report.failures]) == (0, ["a.bin"])
    assert (tmp_path / "out/a.bin").read_bytes() == b"edited"


def test_a_failure_lets_others_go_on_and_is_tried_again(run, tmp_path):
    (tmp_path / "out/a.bin").mkdir(parents=True)
    report = run()
    assert counts(report) == (3, 0, 0, 0, 1)
    (tmp_path / "out/a.bin").rmdir()
    assert counts(run()) == (1, 0, 3, 0, 0)
    assert below(tmp_path / "out") == FILES


@pytest.mark.parametrize("target", ["local", "s3"])
def test_damage_on_the_way_publishes_nothing(run, emulator, target, s3, bucket, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.bin").write_bytes(b"old")
    s3.pipe_file(f"{bucket}/a.bin", b"old")
    emulator.faults.add(op="download", path="/in/a.bin", action=faults.Corrupt(), times=None)
    report = run(f"s3://{bucket}" if target == "s3" else None)
    assert [path for path, _ in report.failures] == ["a.bin"]
    assert "SHA-1" in report.failures[0][1]
    left = s3.cat_file(f"{bucket}/a.bin") if target == "s3" else (tmp_path / "out/a.bin").read_bytes()
    assert left == b"old"
    assert not [name for name in os.listdir(tmp_path / "out") if name.endswith("part")]
    emulator.faults.clear()
    assert counts(run(f"s3://{bucket}" if target == "s3" else None))[:3] == (1, 0, 3)


@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_streaming_publishes_nothing_when_the_block_fails(fs, s3, bucket, s3_options, size):
    fs.pipe_file("data/in/x", content(size))
    s3.pipe_file(f"{bucket}/x", b"old")
    target = open_location(f"s3://{bucket}/x", {"s3": s3_options | {"default_block_size": 5 * MIB}})

    def refuse(count, sha):
        assert count == size
        raise OSError(5, "refused")

    with pytest.raises(OSError, match="refused"):
        stream(Location(fs, "data/in/x"), target, accept=refuse)
    assert s3.cat_file(f"{bucket}/x") == b"old"
    assert s3.list_multipart_uploads(bucket) == []


def test_large_files_go_to_s3_in_parts_of_8_mib_and_are_verified_by_their_etag(run, fs, s3, bucket):
    """Every part in flight is in memory about four times: those of s3fs have 50 MiB."""
    fs.pipe({"data/in/8": content(8 * MIB, 7), "data/in/20": content(20 * MIB, 8)})
    calls = []
    s3.connect()
    s3.s3.meta.events.register("before-call.s3", lambda event_name, **_: calls.append(event_name.rpartition(".")[2]))
    options = {"cosv4": fs.storage_options, "s3": s3.storage_options}
    assert counts(run(f"s3://{bucket}/to", verify=True, options=options)) == (6, 0, 0, 6, 0)
    assert (calls.count("UploadPart"), calls.count("PutObject")) == (4, 4)
    assert calls.count("GetObject") == 0
    assert s3.cat_file(f"{bucket}/to/20") == content(20 * MIB, 8)


@pytest.mark.parametrize("size", [0, 1, 80_000 * MIB, 80_000 * MIB + 1, 200 * 10**9, 5 * 2**40])
def test_parts_for_s3_are_few_enough_for_files_of_any_size(size):
    part = part_size(size)
    assert (part >= 8 * MIB, part % (4 * MIB), -(-size // part) <= 10_000) == (True, 0, True)
    # no larger than it has to be
    assert part == 8 * MIB or size > 10_000 * (part - 4 * MIB)


def test_what_a_kill_leaves_on_s3_is_aborted_by_the_next_run(run, emulator, fs, s3, bucket):
    fs.pipe_file("data/in/big", content(9 * MIB, 7))
    emulator.faults.add(op="download", path="/in/big", action=faults.Refuse(-289), times=None)
    assert run(f"s3://{bucket}/to").failed == 1
    for key in ("to/big", "to/big", "to/big.other"):
        s3.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    emulator.faults.clear()
    assert counts(run(f"s3://{bucket}/to")) == (1, 0, 4, 0, 0)
    # another client's, and never begun by the migration
    assert [each["Key"] for each in s3.list_multipart_uploads(bucket)] == ["to/big.other"]


def test_without_metadata_a_file_takes_one_request(run, emulator, fs, bucket):
    emulator.clear_requests()
    assert counts(run(f"s3://{bucket}/to", metadata=CONTENT_ONLY)) == (4, 0, 0, 0, 0)
    asked = [(each.op, each.path.removeprefix("/in/")) for each in emulator.requests if each.op in ("stat", "download")]
    assert sorted(each for each in asked if each[1] in FILES) == [
        *(("download", path) for path, value in sorted(FILES.items()) if value),
        ("stat", "empty"),
    ]


def test_a_file_of_another_size_than_listed_is_a_failure(source, fs, s3_options, bucket):
    target = open_location(f"s3://{bucket}/to", {"s3": s3_options})
    for options in (CONTENT_ONLY, MetadataOptions()):
        mover = FileMigrator(Location(fs, "data/in"), target, verify=True, metadata=options)
        (outcome,) = mover.migrate([File("a.bin", 69_999)], Callback)
        assert (outcome.state, "has changed" in outcome.error) == ("failed", True)
    assert not target.fs.exists(f"{bucket}/to/a.bin")


def test_an_expired_token_of_s3_ends_a_migration(run, fs, s3_options, bucket):
    fs.pipe({f"data/in/s/{number:03}": b"%d" % number for number in range(200)})
    given = {"cosv4": fs.storage_options, "s3": s3_options | {"default_block_size": 6 * MIB}}
    target = open_location(f"s3://{bucket}", given).fs
    target.connect()
    calls = []

    def expire(event_name, **_):
        calls.append(event_name)
        if len(calls) > 60:
            raise PermissionError("The provided token has expired.")

    target.s3.meta.events.register("before-call.s3", expire)
    with pytest.raises(PermissionError, match="no longer accepted") as caught:
        run(f"s3://{bucket}/to", options=given, jobs=2)
    assert caught.value.filename == f"s3://{bucket}/to"


def test_names_that_s3_cannot_have_fail_alone(run, fs, bucket):
    fs.pipe_file("data/in/" + "/".join(["x" * 200] * 5) + "/" + "y" * 100, b"deep")
    report = run(f"s3://{bucket}")
    assert counts(report) == (4, 0, 0, 0, 1)
    assert "1024 bytes" in report.failures[0][1]


def test_what_cannot_be_read_or_stored_is_named(tmp_path):
    here = tmp_path / "in"
    (here / "folder").mkdir(parents=True)
    (here / "file").write_bytes(b"1")
    (here / "link").symlink_to("file")
    (here / "loop").symlink_to(".")
    (here / "broken").symlink_to("nowhere")
    os.mkfifo(here / "pipe")
    report = migrate(str(here), str(tmp_path / "out"), manifest=tmp_path / "m")
    assert dict(report.failures) == {
        "loop": "links to directories are not followed: use --follow-links or --skip-links, or copy the directory",
        "broken": "it is a broken link, to nowhere",
        "pipe": "pipes, sockets and devices cannot be copied from a directory",
    }
    assert below(tmp_path / "out") == {"file": b"1", "link": b"1"}
    assert report.empty_folders_kept == 1


def test_names_that_are_no_text_are_failures(tmp_path):
    here = os.fsencode(tmp_path / "in")
    os.makedirs(here + b"/b\xff/deep")
    for name in (b"good", b"a\xff", b"b\xff/lost", b"b\xff/deep/lost"):
        with open(here + b"/" + name, "wb") as file:
            file.write(b"1")
    report = migrate(str(tmp_path / "in"), str(tmp_path / "out"), manifest=tmp_path / "m", rows=tmp_path / "rows")
    names = ("a\\udcff", "b\\udcff/deep/lost", "b\\udcff/lost")
    assert report.failures == tuple((name, "its name is not valid UTF-8") for name in names)
    assert below(tmp_path / "out") == {"good": b"1"}


def test_keys_with_empty_names_are_failures_and_marks_of_directories_are_not(s3, bucket, options, tmp_path):
    keys = ("d/a", "d//lost", "d/sub//lost", "d/sub/b", "d/mark/", "d/mark/c", "d/full/", "d/full/d", "d/")
    for key in keys:
        s3.call_s3("put_object", Bucket=bucket, Key=key, Body=b"x" if key == "d/full/" or key[-1] != "/" else b"")
    report = migrate(f"s3://{bucket}/d", str(tmp_path / "out"), options=options, manifest=tmp_path / "m", verify=True)
    assert [path for path, _ in report.failures] == ["/lost", "full/", "sub//lost"]
    assert all(error.endswith(f"cannot be used inside s3://{bucket}/d: a component is empty, '.' or '..'")
               for _, error in report.failures)  # fmt: skip
    assert below(tmp_path / "out") == dict.fromkeys(("a", "sub/b", "mark/c", "full/d"), b"x")
    assert counts(report) == (4, 0, 0, 4, 3)


def test_what_cannot_go_well_is_refused(run, source, options, tmp_path):
    def refused(kind, source, target):
        with pytest.raises(kind):
            migrate(source, target, options=options, manifest=tmp_path / "none")

    for one, other in ((source, f"{source}/sub"), (f"{source}/sub", source), (source, source)):
        with pytest.raises(OSError) as caught:
            migrate(one, other, options=options, manifest=tmp_path / "none")
        assert caught.value.errno == errno.EINVAL
    refused(NotADirectoryError, f"{source}/a.bin", str(tmp_path / "out"))
    refused(FileNotFoundError, "cosv4://data/not there", str(tmp_path / "out"))
    refused(FileNotFoundError, source, "s3://no-such-bucket-anywhere/x")
    assert not (tmp_path / "none").exists()


def test_a_target_in_the_source_is_refused_also_by_another_name(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x").write_bytes(b"1")
    (tmp_path / "link").symlink_to("in")
    for one, other in (("in", "link/sub"), ("link/sub", "in"), ("link", "in")):
        (tmp_path / "in/sub").mkdir(exist_ok=True)
        with pytest.raises(OSError) as caught:
            migrate(str(tmp_path / one), str(tmp_path / other), manifest=tmp_path / "m")
        assert caught.value.errno == errno.EINVAL
    assert below(tmp_path / "in") == {"x": b"1"}


def test_another_service_has_another_manifest(run, source, options, tmp_path, monkeypatch):
    run()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Emulator(buckets=("data",)) as other:
        elsewhere = {"cosv4": other.storage_options}
        open_location(source, elsewhere).fs.pipe_file("data/in/a.bin", b"x")
        with pytest.raises(ValueError, match="another migration"):
            migrate(source, str(tmp_path / "out"), options=elsewhere, manifest=tmp_path / "manifest.sqlite")
        target = open_location(str(tmp_path / "out"))
        one = default_manifest(open_location(source, options), target)
        assert one == default_manifest(open_location(source, options), target)
        assert one != default_manifest(open_location(source, elsewhere), target)
        assert one.parent == tmp_path / "state/cosv4fs"


def archive(**files):
    """Return a zip file with these files in the directory d."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as out:
        for name, value in files.items():
            # not of this second, in which another change could follow
            out.writestr(zipfile.ZipInfo(f"d/{name}"), value)
    return whole.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("wrap", ["", "simplecache::"])
def test_all_of_an_archive_arrives(tmp_path, fs, options, kind, wrap):
    for path, value in FILES.items():
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).write_bytes(value)
    # a tar file of shutil has an entry ".", below which everything would be
    if kind == "zip":
        shutil.make_archive(tmp_path / "x", "zip", tmp_path / "in")
    else:
        with tarfile.open(tmp_path / "x.tar", "w") as out:
            for name in sorted(os.listdir(tmp_path / "in")):
                out.add(tmp_path / "in" / name, name)
    fs.put_file(str(tmp_path / f"x.{kind}"), f"data/x.{kind}")
    url = f"{wrap}{kind}://::cosv4://data/x.{kind}"
    report = migrate(url, str(tmp_path / "out"), options=options, manifest=tmp_path / "m")
    assert counts(report) == (4, 0, 0, 0, 0)
    assert below(tmp_path / "out") == FILES


def test_a_file_of_another_time_in_an_archive_has_changed(tmp_path):
    for value, year, copied in (("1111", 2020, 1), ("2222", 2021, 1), ("2222", 2021, 0)):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
            out.writestr(zipfile.ZipInfo("x", (year, 1, 1, 0, 0, 0)), value)
        report = migrate(f"zip://::{tmp_path / 'x.zip'}", str(tmp_path / "out"), manifest=tmp_path / "m")
        assert (report.copied, below(tmp_path / "out")) == (copied, {"x": value.encode()})


class OneThread(AbstractFileSystem):
    """As most filesystems are: an instance is for the thread that has made it. It shows a local directory."""

    protocol = "onethread"
    # as of archives
    cachable = False
    made = 0

    def __init__(self, root, **options):
        super().__init__(**options)
        type(self).made += 1
        self._thread, self._shown = threading.get_ident(), DirFileSystem(root, LocalFileSystem())

    @property
    def _mine(self):
        assert self._thread == threading.get_ident(), "another thread's"
        return self._shown

    def ls(self, path, detail=True, **_):
        return self._mine.ls(path, detail=detail)

    def info(self, path, **_):
        return self._mine.info(path)

    def makedirs(self, path, exist_ok=False):
        return self._mine.makedirs(path, exist_ok=exist_ok)

    def _open(self, path, mode="rb", **_):
        return self._mine.open(path, mode)


@pytest.mark.parametrize("overwrite", [True, False])
def test_threads_use_filesystems_of_their_own(tmp_path, monkeypatch, overwrite):
    monkeypatch.setitem(_registry, "onethread", OneThread)
    options = {"onethread": {"root": str(tmp_path)}}
    for path, value in FILES.items():
        (tmp_path / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / path).write_bytes(value)
    (tmp_path / "in/nothing").mkdir()
    OneThread.made = 0
    for verify in (False, True):
        report = migrate(
            "onethread://in",
            "onethread://out",
            options=options,
            manifest=tmp_path / "m",
            verify=verify,
            overwrite=overwrite,
            jobs=1,
        )
        assert report.failures == ()
        assert below(tmp_path / "out") == FILES
    assert counts(report) == (0, 4, 0, 4, 0)
    assert OneThread.made <= 2 * (2 + 3), "two for this thread, one for that which lists, two for that which copies"


class Drop(io.FileIO):
    """A file that comes slowly, in small pieces."""

    count = 0

    def read(self, size=-1):
        time.sleep(0.01)
        Drop.count += 1
        return super().read(1000)


class Dropping(OneThread):
    """A filesystem with such files."""

    protocol = "dropping"

    def _open(self, path, mode="rb", **_):
        return Drop(self._mine._join(path))


class Interrupting(Watcher):
    """Ctrl-C as soon as a file is done."""

    def done(self, outcome):
        raise KeyboardInterrupt


def test_an_interrupt_does_not_wait_for_the_comparison_of_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setitem(_registry, "dropping", Dropping)
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "large").write_bytes(content(2_000_000))
    (tmp_path / "in/small").write_bytes(b"1")
    options = {"dropping": {"root": str(tmp_path)}}
    with pytest.raises(KeyboardInterrupt):
        migrate(
            "dropping://in", str(tmp_path / "out"), options=options, manifest=tmp_path / "m", watcher=Interrupting()
        )
    assert 0 < Drop.count < 1000, "the large file alone has 2000 pieces"
    assert (tmp_path / "out/small").read_bytes() == b"1"


def test_all_coffers_arrive(tmp_path):
    with CofferEmulator(coffers=("one-1250000000", "two-1250000000")) as running:
        options = {"cdcs": running.storage_options}
        coffers = open_location("cdcs://", options).fs
        coffers.pipe({"one-1250000000/a": b"1", "two-1250000000/b/c": b"2"})
        report = migrate("cdcs://", str(tmp_path / "out"), options=options, manifest=tmp_path / "m")
    assert counts(report) == (2, 0, 0, 0, 0)
    assert below(tmp_path / "out") == {"one-1250000000/a": b"1", "two-1250000000/b/c": b"2"}


@pytest.mark.parametrize("wrap", ["", "simplecache::"])
def test_every_archive_has_a_manifest_of_its_own(fs, options, tmp_path, monkeypatch, wrap):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fs.pipe({"data/one.zip": archive(x="1111"), "data/two.zip": archive(x="2222")})
    here = tmp_path / "two.zip"
    here.write_bytes(archive(x="3333"))

    def run(url):
        report = migrate(f"{wrap}zip://d::{url}", str(tmp_path / "out"), options=options)
        assert report.failed == 0
        return report.manifest, report.copied, (tmp_path / "out/x").read_text()

    urls = ("cosv4://data/one.zip", "cosv4://data/two.zip", str(here))
    manifests, *rest = zip(*map(run, urls), strict=True)
    assert rest == [(1, 1, 1), ("1111", "2222", "3333")]
    assert len(set(manifests)) == 3
    assert [run(url) for url in urls] == [(manifest, 0, "3333") for manifest in manifests]
    noted = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*.sqlite*"))
    assert b"one.zip" in noted
    assert not any(options["cosv4"][name].encode() in noted for name in ("secret_id", "secret_key"))


def test_a_password_or_a_signature_in_a_url_is_not_in_the_name_of_a_manifest(tmp_path):
    here = open_location(str(tmp_path))
    url = "http://me:hush@loud@127.0.0.1/x?signature="
    one, other = (default_manifest(open_location(url + text), here) for text in ("first", "second"))
    assert one != other
    assert not any(secret in one.name for secret in ("me-", "hush", "loud", "first"))


def test_no_secret_is_in_the_manifest_or_its_name(run, options, source, bucket, tmp_path):
    report = run(f"s3://{bucket}", rows=tmp_path / "rows")
    noted = b"".join(path.read_bytes() for path in tmp_path.glob("manifest*")) + (tmp_path / "rows").read_bytes()
    noted += repr(report).encode()
    assert b"a.bin" in noted
    assert options["cosv4"]["secret_key"].encode() not in noted
    assert options["cosv4"]["secret_id"].encode() not in noted


def test_rows_are_written_as_lines_of_json_or_as_csv(run, tmp_path):
    run(rows=tmp_path / "rows.csv")
    run(rows=tmp_path / "rows.jsonl")
    table = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text("utf-8"))))
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    for rows in (table, lines):
        assert {row["path"]: int(row["size"]) for row in rows} == {path: len(value) for path, value in FILES.items()}
        assert {(row["state"], int(row["attempts"])) for row in rows} == {("copied", 1)}
        assert all(list(row) == REPORTED for row in rows)


def test_rows_have_times_in_utc_checksums_and_vanished_files(tmp_path):
    here, rows = tmp_path / "in", tmp_path / "rows.jsonl"
    here.mkdir()
    for name, modified in (("a", 1_500_000_000.25), ("b", 0)):
        (here / name).write_bytes(b"1")
        os.utime(here / name, (modified, modified))

    def reported():
        migrate(str(here), str(tmp_path / "out"), manifest=tmp_path / "m", rows=rows, verify=True)
        return {row["path"]: row for row in map(json.loads, rows.read_text().splitlines())}

    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    found = reported()
    times = {name: row["modified"] for name, row in found.items()}
    assert times == {"a": "2017-07-14T02:40:00.250+00:00", "b": "1970-01-01T00:00:00.000+00:00"}
    assert before <= datetime.fromisoformat(found["a"]["begun"]) <= datetime.fromisoformat(found["a"]["ended"])
    assert found["a"]["sha1"] == hashlib.sha1(b"1").hexdigest()
    (here / "a").unlink()
    assert {name: row["state"] for name, row in reported().items()} == {"a": "vanished", "b": "verified"}


def test_a_row_with_a_time_that_no_calendar_has(tmp_path):
    with Manifest(tmp_path / "m", "source", "target") as book:
        book.begin_listing()
        book.list_page([File("late", 1, 300_000_000_000.0, "ab")], [])
        write_rows(book.rows(), tmp_path / "rows")
    row = json.loads((tmp_path / "rows").read_text())
    assert (row["modified"], row["begun"], row["sha1"], row["state"]) == (None, None, "ab", "pending")


def test_a_table_without_rows_has_its_columns(tmp_path):
    (tmp_path / "in").mkdir()
    migrate(str(tmp_path / "in"), str(tmp_path / "out"), manifest=tmp_path / "m", rows=tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines() == [",".join(REPORTED)]


def test_a_directory_that_cannot_be_listed_is_a_failure_and_its_files_keep_their_state(run, emulator, fs, tmp_path):
    run()
    fault = emulator.faults.add(op="list", path="/in/sub/deep/", action=faults.Refuse(-96), times=None)
    report = run()
    assert fault.hits
    assert (counts(report), report.vanished) == ((0, 0, 4, 0, 1), 0)
    [(path, error)] = report.failures
    assert path == "sub/deep/"
    assert "cannot be listed" in error
    emulator.faults.clear()
    later = {"new": b"new", "sub/new": b"also"}
    fs.pipe({f"data/in/{path}": value for path, value in later.items()})
    assert counts(run()) == (2, 0, 4, 0, 0)
    assert below(tmp_path / "out") == FILES | later


@pytest.mark.parametrize(("size", "sha", "said"), [(3, "0" * 40, "SHA-1"), (4, None, "4 were listed")])
def test_what_is_not_as_listed_is_not_published(tmp_path, size, sha, said):
    for folder, value in (("in", b"new"), ("out", b"old")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_bytes(value)
    mover = FileMigrator(open_location(str(tmp_path / "in")), open_location(str(tmp_path / "out")), verify=False)
    (outcome,) = mover.migrate([File("x", size, sha=sha)], Callback)
    assert (outcome.state, outcome.is_begun) == (FAILED, True)
    assert said in outcome.error
    assert below(tmp_path / "out") == {"x": b"old"}


def stored(tmp_path):
    return (tmp_path / "manifest.sqlite").read_bytes()


def test_a_dry_run_says_what_would_be_copied_and_changes_nothing(run, fs, tmp_path):
    out = tmp_path / "out"
    report = run(dry_run=True)
    assert (counts(report), report.reasons) == ((0, 0, 0, 0, 0), {"new": {"files": 4, "bytes": 75_900}})
    assert list(tmp_path.glob("manifest*")) == []
    assert not out.exists()
    run()
    before = stored(tmp_path)
    (out / "a.bin").write_bytes(b"another")
    fs.pipe({"data/in/sub/b.bin": content(5_000, 7), "data/in/new": b"new", "data/in/empty": b"no more"})
    report = run(dry_run=True, rows=tmp_path / "rows.csv")
    assert counts(report) == (0, 0, 2, 0, 0)
    assert report.reasons == {
        "new": {"files": 1, "bytes": 3},
        "size": {"files": 1, "bytes": 7},
        "content": {"files": 1, "bytes": 5_000},
    }
    assert below(out) == FILES | {"a.bin": b"another"}
    assert stored(tmp_path) == before
    assert (out / "nothing/in it").is_dir()


def test_a_dry_run_says_what_would_fail(run, tmp_path):
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/b.bin").write_bytes(b"mine")
    report = run(dry_run=True, overwrite=False)
    assert report.failures == run(overwrite=False).failures
    assert report.failed == 1


def test_names_that_a_disk_does_not_distinguish_are_failures(run, fs, tmp_path, monkeypatch):
    fs.pipe({f"data/in/sub/{name}": b"x" for name in ("README", "ReadMe", "É", "é", "Deep/other")})
    monkeypatch.setattr("cosv4fs.migrate.migration.ignores_case", lambda _path: True)
    report = run()
    assert {path for path, _ in report.failures} == {f"sub/{name}" for name in ("README", "ReadMe", "É", "é")}
    assert "another file has the same name otherwise" in report.failures[0][1]
    assert below(tmp_path / "out") == FILES | {"sub/Deep/other": b"x"}
    # one of them may stay
    fs.rm_file("data/in/sub/ReadMe")
    assert len(run().failures) == 2
    assert (tmp_path / "out/sub/README").read_bytes() == b"x"


def test_what_is_in_the_target_shows_whether_its_disk_ignores_case(run, fs, tmp_path, monkeypatch):
    """The names of folders show it for those above them: what is mounted there may be another disk."""
    stick = tmp_path / "stick"
    stick.mkdir()
    for name in ("1", "Label", "lABEL"):
        (stick / name).touch()
    fs.pipe({"data/in/a": b"x", "data/in/A": b"x"})
    # to a disk that ignores case, both names are one file's
    monkeypatch.setattr("cosv4fs.localnames.os.path.samestat", lambda one, other: True)
    for target in (stick, stick / "new"):
        assert run(str(target), dry_run=True).failed == 2


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_what_is_lost_or_damaged_is_found_and_copied_again(run, s3, bucket, tmp_path, kind):
    target = f"s3://{bucket}" if kind == "s3" else str(tmp_path / "out")
    run(target)
    there = s3 if kind == "s3" else LocalFileSystem()
    path = bucket if kind == "s3" else f"{tmp_path}/out"
    there.rm_file(f"{path}/a.bin")
    there.pipe_file(f"{path}/sub/b.bin", content(5_000, 9))
    assert counts(run(target)) == (0, 0, 4, 0, 0), "earlier runs are believed"
    found = {"missing": {"files": 1, "bytes": 70_000}, "damaged": {"files": 1, "bytes": 5_000}}
    report = run(target, reverify=True, dry_run=True)
    assert (report.reasons, report.damaged, report.found) == (found, 2, 2)
    assert not there.exists(f"{path}/a.bin")
    report = run(target, reverify=True)
    assert (report.reasons, report.damaged, counts(report)) == (found, 2, (2, 2, 0, 4, 0)), "new copies are verified"
    assert {name: there.cat_file(f"{path}/{name}") for name in FILES} == FILES
    assert run(target, reverify=True).damaged == 0


def test_an_edited_copy_is_not_replaced_without_overwriting(run, tmp_path):
    run()
    (tmp_path / "out/a.bin").write_bytes(b"edited")
    (tmp_path / "out/empty").unlink()
    report = run(reverify=True, overwrite=False)
    assert (counts(report), report.failures[0][0]) == ((1, 2, 0, 3, 1), "a.bin")
    assert (tmp_path / "out/a.bin").read_bytes() == b"edited"


def test_only_selected_files_are_migrated_and_others_keep_their_state(run, fs, tmp_path):
    run()
    fs.pipe({"data/in/sub/new.bin": b"new", "data/in/new.txt": b"new"})
    fs.rm("data/in/sub/b.bin")
    report = run(selection=Selection((Rule("*.bin"),)))
    assert (report.files, counts(report), report.vanished) == (3, (1, 0, 2, 0, 0), 1)
    assert not (tmp_path / "out/new.txt").exists()
    assert counts(run(selection=Selection(min_size=10_000)))[:3] == (0, 0, 1)
    report = run()
    assert (report.files, counts(report), report.vanished) == (5, (1, 0, 4, 0, 0), 1)


def test_a_new_directory_is_not_asked_for(run, fs, emulator, options, tmp_path):
    local = tmp_path / "in"
    for number in range(5):
        (local / f"d{number}/deep").mkdir(parents=True)
        (local / f"d{number}/deep/x").write_bytes(b"x")
    emulator.clear_requests()
    migrate(str(local), "cosv4://data/out/put", options=options, manifest=tmp_path / "m", jobs=1)
    listings = emulator.count()["list"]
    assert len(fs.find("data/out/put")) == 5
    assert listings == 1


def test_a_large_local_file_is_migrated_in_slices(fs, emulator, options, tmp_path):
    data = content(9 * MIB, 4)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_bytes(data)
    emulator.clear_requests()
    for verify in (False, True):
        given = {"options": options, "manifest": tmp_path / "m", "verify": verify}
        report = migrate(str(tmp_path / "in"), "cosv4://data/out", **given)
        assert report.failed == 0
    assert emulator.count()["upload_slice_data"] > 1
    assert fs.cat_file("data/out/x") == data


def test_what_a_batch_has_completed_before_an_interrupt_stays_known(fs, options, tmp_path):
    fs.pipe({f"data/many/{number:02}": b"x" for number in range(40)})
    given = {"options": options, "manifest": tmp_path / "m", "jobs": 1}

    class Interrupting(Watcher):
        count = 0

        def moved(self, size):
            self.count += 1
            if self.count == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate("cosv4://data/many", str(tmp_path / "out"), watcher=Interrupting(), **given)
    report = migrate("cosv4://data/many", str(tmp_path / "out"), **given)
    assert (report.before, report.copied + report.found) == (4, 36)


def test_links_and_pipes_in_the_place_of_files_are_replaced(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "out/a.bin").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "out/empty")
    assert counts(run()) == (4, 0, 0, 0, 0)
    assert below(tmp_path / "out") == FILES
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_file_that_is_replaced_after_the_listing_is_a_failure(run, fs, tmp_path):
    class Replacing(Watcher):
        def planned(self, files, size):
            fs.pipe_file("data/in/a.bin", content(70_000, 8))

    report = run(watcher=Replacing())
    assert (counts(report), report.failures[0][0]) == ((3, 0, 0, 0, 1), "a.bin")
    assert "replaced" in report.failures[0][1]
    assert below(tmp_path / "out") == {path: value for path, value in FILES.items() if path != "a.bin"}
    assert counts(run()) == (1, 0, 3, 0, 0)


def test_a_local_file_that_has_grown_after_the_listing_is_not_uploaded(fs, tmp_path):
    (tmp_path / "x").write_bytes(b"grown")
    mover = FileMigrator(open_location(str(tmp_path)), Location(fs, "data/out"), verify=False)
    (outcome,) = mover.migrate([File("x", 4)], Callback)
    assert (outcome.state, "4 were listed" in outcome.error) == (FAILED, True)
    assert not fs.exists("data/out/x")
