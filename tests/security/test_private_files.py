"""What is kept on this machine is for its user alone, under names nobody can prepare, and goes away."""

import json
import os
import stat

import pytest

from cosv4fs.emulator import Emulator, faults
from cosv4fs.transfer.journal import Journal, JournalEntry, Record
from tests.security.conftest import BUCKET
from tests.support import MIB, content, wait_for_background

SIZE = 2 * MIB


def descriptors(folder):
    """Return the permissions and the targets of the open files below a folder."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target, mode = os.readlink(f"/proc/self/fd/{number}"), os.stat(f"/proc/self/fd/{number}").st_mode
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append((target, stat.S_IMODE(mode)))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to see files without a name")
@pytest.mark.parametrize("end", ["close", "discard", "forget", "raise"])
def test_the_spool_has_no_name_and_is_removed(fs, tmp_path, end):
    spool, before = tmp_path / "spool", os.umask(0)
    try:
        file = fs.open(f"{BUCKET}/d/x", "wb")
        file.write(content(SIZE))
    finally:
        os.umask(before)
    [(target, mode)] = descriptors(spool)
    assert target.endswith("(deleted)") or "/#" in target
    assert mode == 0o600
    assert list(spool.iterdir()) == []
    if end == "forget":
        with pytest.warns(RuntimeWarning, match="never closed"):
            del file
            wait_for_background()
    elif end == "raise":
        with pytest.raises(KeyError), file:
            raise KeyError
    else:
        getattr(file, end)()
    # another thread removes what was uploaded
    wait_for_background()
    assert descriptors(spool) == []
    assert list(spool.iterdir()) == []


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "local"
    path.write_bytes(content(SIZE))
    return path


@pytest.fixture
def record(fs, emulator, local, tmp_path):
    """The journal's file of an upload that broke off."""
    rule = emulator.faults.add(op="upload_slice_data", nth=3, times=1000, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        fs.put_file(local, f"{BUCKET}/d/x")
    assert rule.hits
    emulator.faults.clear()
    [found] = (tmp_path / "journal").iterdir()
    return found


def test_the_journal_is_removed_with_the_last_upload(fs, local, record):
    fs.put_file(local, f"{BUCKET}/d/x")
    assert list(record.parent.iterdir()) == []
    assert fs.cat_file(f"{BUCKET}/d/x") == content(SIZE)


def test_a_wide_umask_makes_no_wide_journal(tmp_path, local):
    before = os.umask(0)
    try:
        with Journal(str(tmp_path / "j"), "account").claim(local, local.stat(), "b/x", {}) as entry:
            entry.save(Record("/x", "session", None))
    finally:
        os.umask(before)
    [found] = (tmp_path / "j").iterdir()
    assert (found.stat().st_mode & 0o777, found.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert entry.load() == Record("/x", "session", None)


class TestForgedRecords:
    def test_a_key_that_is_not_this_uploads_is_ignored(self, fs, record, local):
        fs.pipe_file(f"{BUCKET}/precious", content(SIZE))
        stored = json.loads(record.read_text())
        record.write_text(json.dumps({**stored, "key": "/precious"}))
        fs.put_file(local, f"{BUCKET}/d/x")
        fs.invalidate_cache()
        assert fs.cat_file(f"{BUCKET}/precious") == content(SIZE)
        assert fs.cat_file(f"{BUCKET}/d/x") == content(SIZE)

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_a_record_that_others_can_write_is_not_believed(self, record, local, mode):
        entry = self.entry(record, local)
        assert entry.load() is not None
        record.chmod(mode)
        assert entry.load() is None

    def test_a_record_of_another_user_is_not_believed(self, record, local, monkeypatch):
        entry = self.entry(record, local)
        assert entry.load() is not None
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
        assert entry.load() is None

    def test_a_link_is_not_followed(self, record, local, tmp_path):
        entry = self.entry(record, local)
        record.rename(tmp_path / "elsewhere")
        record.symlink_to(tmp_path / "elsewhere")
        assert entry.load() is None
        entry.save(Record("/x", "new", None))
        assert not record.is_symlink()
        assert "new" not in (tmp_path / "elsewhere").read_text()

    def test_a_pipe_is_not_waited_for(self, record, local):
        entry = self.entry(record, local)
        record.unlink()
        os.mkfifo(record)
        assert entry.load() is None

    @pytest.mark.parametrize("text", ["", "[]", "null", "[" * 1000, '{"identity":1}', "\x00", '"x"', "{}"])
    def test_nonsense_is_not_believed(self, record, local, text):
        entry = self.entry(record, local)
        record.write_text(text)
        assert entry.load() is None

    @staticmethod
    def entry(record, local):
        """Return the entry for the record, whatever its name."""
        identity = json.loads(record.read_text())["identity"]
        assert identity["path"] == str(local)
        return JournalEntry(record, identity)


class TestEmulator:
    @pytest.mark.parametrize("given", [True, False])
    def test_its_folder_is_private(self, tmp_path, given):
        before = os.umask(0)
        try:
            with Emulator(tmp_path / "new" if given else None, buckets=(BUCKET,)) as emulator:
                from cosv4fs import CosV4FileSystem

                CosV4FileSystem(**emulator.storage_options).pipe_file(f"{BUCKET}/x", b"content")
                root = emulator.root
                modes = {path.name: path.stat().st_mode & 0o777 for path in (root, *root.iterdir())}
        finally:
            os.umask(before)
        assert modes.pop(root.name) == 0o700
        assert modes.pop("blobs") == 0o700
        assert len(modes) >= 2
        assert set(modes.values()) == {0o600}
        assert root.exists() is given

    def test_names_of_objects_are_no_names_of_files(self, fs, emulator):
        names = [
            "x",
            "-rf",
            "emulator.sqlite",
            "%2e%2e%2fx",
            "~",
            "d/blobs",
            "a" * 200,
            "\u2025",
            "C:x",
            "d\\x",
            "new\nline",
        ]
        fs.pipe({f"{BUCKET}/d/{name}": b"content" for name in names})
        found = {str(path.relative_to(emulator.root)) for path in emulator.root.rglob("*") if path.is_file()}
        blobs = {name for name in found if name.startswith("blobs/")}
        assert len(blobs) == len(names)
        assert all(set(name[6:]) <= set("0123456789abcdef") and len(name) == 38 for name in blobs)
        assert all(name.startswith("emulator.") for name in found - blobs)
