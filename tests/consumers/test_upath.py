"""universal_pathlib: a `pathlib.Path` for any filesystem.

Its general class has no anchor, so ``joinpath("/other")`` leaves the bucket. An entry point that names its `CloudPath`
would not help: the protocols whose anchor is a bucket are a private list of its parser (0.3.10), and for any other
`CloudPath` loses parts of a path.
"""

import pytest

from tests.consumers.registry import Tool, consumer

upath = Tool("upath")

# it says of every protocol that has no class of its own that it uses the general one
pytestmark = pytest.mark.filterwarnings("ignore:UPath .* not explicitly implemented:UserWarning")


@pytest.fixture
def root(url, options):
    return upath.UPath(f"{url}/d", **options)


@consumer(
    "universal_pathlib",
    '`UPath("cosv4://…", …)` without registration (it warns that it has no class of its own for it): '
    "reading, writing, `/`, `parent`, `mkdir`, `glob`, `iterdir`, `stat`",
)
def test_paths(root, fs):
    path = root / "a" / "notes.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert path.write_text("Take an umbrella. 北京", encoding="utf-8") > 0
    (root / "b.bin").write_bytes(b"12345")
    assert fs.cat_file("lab/d/b.bin") == b"12345"
    assert path.read_text(encoding="utf-8").endswith("北京")
    assert str(path).endswith("lab/d/a/notes.txt")
    assert (path.name, path.suffix, path.parent.name) == ("notes.txt", ".txt", "a")
    assert sorted(item.name for item in root.iterdir()) == ["a", "b.bin"]
    assert [item.name for item in root.glob("*/*.txt")] == ["notes.txt"]
    assert [item.name for item in root.rglob("*.txt")] == ["notes.txt"]
    assert (root / "b.bin").stat().st_size == 5
    assert root.is_dir()
    assert path.is_file()
    assert not (root / "none").exists()


@consumer("universal_pathlib", "`open`, `rename`, `unlink`, `rmdir`, `touch`, pickles")
def test_changes(root, fs, url, environment):
    import pickle

    with (root / "x").open("wb") as file:
        file.write(b"1")
    moved = (root / "x").rename(root / "y")
    assert moved.read_bytes() == b"1"
    assert not (root / "x").exists()
    assert pickle.loads(pickle.dumps(moved)).read_bytes() == b"1"
    (root / "empty").touch()
    assert (root / "empty").stat().st_size == 0
    assert upath.UPath(f"{url}/d/y").read_bytes() == b"1"
    moved.unlink()
    (root / "empty").unlink()
    root.rmdir()
    assert not fs.exists("lab/d")
