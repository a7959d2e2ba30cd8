"""Moves to other filesystems: a source is removed only when its copy is proven."""

import os

import pytest

from cosv4fs.migrate import checksums, moving
from cosv4fs.migrate.locations import open_location
from cosv4fs.migrate.moving import move_file
from cosv4fs.migrate.removing import remove_emptied

CONTENT = b"content"


@pytest.fixture
def places(tmp_path, fs, s3, bucket, options):
    """A function that returns the locations of a source, with content, and of a target, by kinds of filesystems."""

    def make(source, target):
        urls = {"local": str(tmp_path / "{}"), "cosv4": "cosv4://data/{}", "s3": f"s3://{bucket}/{{}}"}
        old, new = (
            open_location(urls[source].format("old"), options),
            open_location(urls[target].format("new"), options),
        )
        old.fs.pipe_file(old.path, CONTENT)
        return old, new

    return make


@pytest.mark.parametrize(
    "kinds", [("local", "cosv4"), ("cosv4", "local"), ("cosv4", "s3"), ("s3", "local"), ("s3", "cosv4")]
)
def test_the_source_is_gone_and_the_target_there(places, kinds):
    source, target = places(*kinds)
    move_file(source, target)
    assert target.fs.cat_file(target.path) == CONTENT
    source.fs.invalidate_cache()
    assert not source.fs.exists(source.path)


@pytest.mark.parametrize("kinds", [("local", "cosv4"), ("cosv4", "s3"), ("s3", "local")])
@pytest.mark.parametrize(
    ("wrong", "said"), [(b"CONTENT", "the content of the copy differs"), (b"more content", "12 bytes instead of 7")]
)
def test_a_wrong_copy_keeps_the_source(places, kinds, wrong, said, monkeypatch):
    source, target = places(*kinds)
    monkeypatch.setattr(moving, "copy_file", lambda *_, **__: target.fs.pipe_file(target.path, wrong))
    with pytest.raises(OSError, match=f"{said}.*the source was not removed"):
        move_file(source, target)
    assert source.fs.cat_file(source.path) == CONTENT


def test_a_copy_that_is_read_before_it_is_believed(places, monkeypatch):
    source, target = places("cosv4", "s3")
    read = []
    monkeypatch.setattr(checksums, "read_sha1", lambda location: read.append(location.path) or "0" * 40)
    with pytest.raises(OSError, match="differs"):
        move_file(source, target)
    assert read == [target.path]


def test_a_source_that_changes_stays(places, monkeypatch):
    source, target = places("local", "cosv4")
    copy_file = moving.copy_file

    def copy(*args, **keywords):
        copy_file(*args, **keywords)
        with open(source.path, "r+b") as file:
            file.write(b"CHANGED")
        os.utime(source.path, (1, 1))

    monkeypatch.setattr(moving, "copy_file", copy)
    monkeypatch.setattr(moving, "_are_equal", lambda *_: True)
    with pytest.raises(OSError, match="move it again"):
        move_file(source, target)
    assert source.fs.cat_file(source.path) == b"CHANGED"


def test_pipes_are_no_files(tmp_path, places):
    _, target = places("local", "cosv4")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="only files and directories"):
        move_file(open_location(str(tmp_path / "pipe")), target)


def test_directories_with_files_stay(tmp_path, fs):
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "top/c").mkdir()
    (tmp_path / "top/c/file").write_text("")
    remove_emptied(open_location(str(tmp_path / "top")))
    assert sorted(path.name for path in (tmp_path / "top").rglob("*")) == ["c", "file"]
    (tmp_path / "top/c/file").unlink()
    remove_emptied(open_location(str(tmp_path / "top")))
    assert not (tmp_path / "top").exists()
