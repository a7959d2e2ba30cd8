"""What fsspec itself builds on a filesystem: chains of protocols, mappings, folders, references."""

import json
import zipfile

import fsspec
import pytest

from tests.consumers.registry import Tool, consumer

CONTENT = bytes(range(256)) * 400


@consumer("fsspec", "`simplecache::`, `filecache::`, `blockcache::` (a second reading asks for no bytes)")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of the cache's local file
@pytest.mark.parametrize("cache", ["simplecache", "filecache", "blockcache"])
def test_caches(emulator, fs, url, options, tmp_path, cache):
    fs.pipe_file("lab/d/x", CONTENT)
    settings = {"cosv4": options, cache: {"cache_storage": str(tmp_path / "cache")}}
    for _ in range(2):
        with fsspec.open(f"{cache}::{url}/d/x", **settings) as file:
            assert file.read() == CONTENT
        downloads = emulator.count().get("download", 0)
        emulator.clear_requests()
    assert downloads == 0


@consumer("fsspec", "`filecache::…` that decompresses: another cache in a file's place")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of the cache's local file
@pytest.mark.parametrize("cache", ["simplecache", "filecache"])
def test_decompressing_cache(fs, url, options, tmp_path, cache):
    with fs.open("lab/x", "wb", compression="gzip") as file:
        file.write(CONTENT)
    own = {"cache_storage": str(tmp_path), "compression": "gzip", "same_names": True}
    with fsspec.open(f"{cache}::{url}/x", **{"cosv4": options, cache: own}) as file:
        assert file.read() == CONTENT
    assert (tmp_path / "x").read_bytes() == CONTENT


@consumer("fsspec", "`filecache::…` with `check_files=True` notices a new version")
def test_checked_cache(fs, url, options, tmp_path):
    settings = {"cosv4": options, "filecache": {"cache_storage": str(tmp_path / "cache"), "check_files": True}}
    for content in (b"first", b"second"):
        fs.pipe_file("lab/x", content)
        with fsspec.open(f"filecache::{url}/x", **settings) as file:
            assert file.read() == content


@consumer("fsspec", "`open_local`, writing through `simplecache::`")
def test_local_copies(fs, url, options, tmp_path):
    settings = {"cosv4": options, "simplecache": {"cache_storage": str(tmp_path / "cache")}}
    with fsspec.open(f"simplecache::{url}/d/new", "wb", **settings) as file:
        file.write(CONTENT)
    assert fs.cat_file("lab/d/new") == CONTENT
    with open(fsspec.open_local(f"simplecache::{url}/d/new", **settings), "rb") as file:
        assert file.read() == CONTENT


@consumer("fsspec", '`zip://*::cosv4://…`, `zip://` for writing (`zip={"mode": "w"}`), `tar://`')
def test_archives(emulator, fs, url, options, tmp_path):
    with fs.open("lab/a.zip", "wb") as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("one.txt", "two.txt", "d/three.bin"):
            archive.writestr(name, name * 100)
    files = fsspec.open_files(f"zip://*.txt::{url}/a.zip", mode="rt", cosv4=options)
    with files as opened:
        assert [file.read() for file in opened] == ["one.txt" * 100, "two.txt" * 100]
    with fsspec.open(f"zip://d/three.bin::simplecache::{url}/a.zip", cosv4=options) as file:
        assert file.read() == b"d/three.bin" * 100
    with fsspec.open(f"zip://new.txt::{url}/b.zip", "wb", zip={"mode": "w"}, cosv4=options) as file:
        file.write(b"written into an archive")
    with fs.open("lab/b.zip") as source, zipfile.ZipFile(source) as archive:
        assert archive.read("new.txt") == b"written into an archive"
    with fs.open("lab/a.tar.gz", "wb") as target:
        import tarfile

        with tarfile.open(fileobj=target, mode="w:gz") as archive:
            (tmp_path / "member").write_bytes(CONTENT)
            archive.add(tmp_path / "member", "member")
    with fsspec.open(f"tar://member::{url}/a.tar.gz", cosv4=options) as file:
        assert file.read() == CONTENT


@consumer("fsspec", "`get_mapper`")
def test_mapping(fs, url, options):
    mapping = fsspec.get_mapper(f"{url}/m", **options)
    mapping["a/b"] = b"1"
    mapping.setitems({"c": b"2", "d": b"3"})
    assert dict(mapping) == {"a/b": b"1", "c": b"2", "d": b"3"}
    assert mapping.getitems(["c", "none"], on_error="omit") == {"c": b"2"}
    assert "a/b" in mapping
    assert "a/none" not in mapping
    with pytest.raises(KeyError):
        mapping["none"]
    del mapping["c"]
    mapping.delitems(["d"])
    assert list(mapping) == ["a/b"]
    mapping.clear()
    assert len(fs.get_mapper("lab/m")) == 0


@consumer("fsspec", "`open_files` for writing and reading, with `expand`, compression and text")
def test_open_files(fs, url, options):
    with fsspec.open_files(f"{url}/f/*.txt.gz", "wt", num=3, compression="infer", encoding="utf-8", **options) as files:
        for number, file in enumerate(files):
            file.write(f"北京 {number}\n")
    assert fs.ls("lab/f", detail=False) == [f"lab/f/{number}.txt.gz" for number in range(3)]
    with fsspec.open_files(f"{url}/f/*.txt.gz", "rt", compression="infer", encoding="utf-8", **options) as files:
        assert [file.read() for file in files] == [f"北京 {number}\n" for number in range(3)]


@consumer("fsspec", "`DirFileSystem`")
def test_folder(fs):
    from fsspec.implementations.dirfs import DirFileSystem

    folder = DirFileSystem("lab/home", fs)
    folder.pipe({"a/b": b"1", "c": b"2"})
    assert fs.find("lab/home") == ["lab/home/a/b", "lab/home/c"]
    assert folder.find("") == ["a/b", "c"]
    assert folder.glob("*/b") == ["a/b"]
    folder.mv("c", "d")
    assert folder.cat("d") == b"2"
    assert [(path, files) for path, _, files in folder.walk("a")] == [("a", ["b"])]
    folder.rm("a", recursive=True)
    assert not folder.exists("a")
    assert fs.isfile("lab/home/d")


@consumer("fsspec", "`ReferenceFileSystem` (kerchunk): parts that touch come in one request")
def test_references(emulator, fs, url, options):
    fs.pipe_file("lab/big", CONTENT)
    references = {"inline": "a text", "whole": [f"{url}/big"]}
    references |= {f"part/{number}": [f"{url}/big", number * 1000, 1000] for number in range(4)}
    fs.pipe_file("lab/references.json", json.dumps({"version": 1, "refs": references}).encode())
    view = fsspec.filesystem(
        "reference", fo=f"{url}/references.json", target_options=options, remote_protocol="cosv4",
        remote_options=options, asynchronous=False,
    )  # fmt: skip
    assert view.cat("inline") == b"a text"
    assert view.cat("whole") == CONTENT
    emulator.clear_requests()
    parts = view.cat([f"part/{number}" for number in range(4)])
    assert parts == {f"part/{number}": CONTENT[number * 1000 : number * 1000 + 1000] for number in range(4)}
    assert emulator.count() == {"download": 1}
    assert view.ls("part", detail=False) == [f"part/{number}" for number in range(4)]


@consumer("fsspec", "`generic.rsync` between folders of the machine and the bucket")
def test_rsync(fs, url, options, tmp_path, environment):
    from fsspec.generic import rsync

    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    rsync(f"file://{tmp_path}", f"{url}/copy")
    assert fs.cat("lab/copy", recursive=True) == {"lab/copy/b": b"2", "lab/copy/d/a": b"1"}
    (tmp_path / "b").unlink()
    rsync(f"file://{tmp_path}", f"{url}/copy", delete_missing=True)
    fs.invalidate_cache()
    assert fs.find("lab/copy") == ["lab/copy/d/a"]


@consumer(
    "numpy",
    "`save`, `load` with `fs.open(…)`; `savez`",
)
def test_numpy(fs):
    np = Tool("numpy")
    with fs.open("lab/a.npy", "wb") as file:
        np.save(file, np.arange(1000))
    with fs.open("lab/a.npy") as file:
        assert np.load(file).tolist() == list(range(1000))
    with fs.open("lab/a.npz", "wb") as file:
        np.savez_compressed(file, one=np.arange(5), two=np.eye(2))
    with fs.open("lab/a.npz") as file, np.load(file) as archive:
        assert archive["two"].tolist() == [[1, 0], [0, 1]]
