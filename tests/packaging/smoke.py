"""A first use of an installed package that has its core dependencies only: every kind of operation, once."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import fsspec

from cosv4fs.cli import main
from cosv4fs.emulator import Emulator

MIB = 1024 * 1024


def use(fs, folder):
    """Write, read, list, copy, move and remove."""
    content = os.urandom(9 * MIB + 7)
    local = folder / "local"
    local.write_bytes(content)
    fs.pipe_file("data/dir/small", b"small")
    fs.put_file(local, "data/dir/put")
    with fs.open("data/dir/sized", "wb", size=len(content)) as file:
        file.write(content)
    with fs.open("data/dir/unsized", "wb") as file:
        file.write(content)
    for name in ("put", "sized", "unsized"):
        assert fs.cat_file(f"data/dir/{name}") == content, name
        with fs.open(f"data/dir/{name}") as file:
            assert file.read() == content, name
    fs.get_file("data/dir/put", folder / "got")
    assert (folder / "got").read_bytes() == content
    fs.cp_file("data/dir/small", "data/dir/copy")
    fs.mv("data/dir/copy", "data/other/moved")
    names = ("dir/put", "dir/sized", "dir/small", "dir/unsized", "other/moved")
    assert fs.find("data") == [f"data/{name}" for name in names]
    with fs.open("cosv4://data/dir/text", "w") as file:
        file.write("text\n")
    assert fs.cat("data/dir/text") == b"text\n"
    many(fs, folder)
    fs.rm("data/dir", recursive=True)
    assert fs.ls("data", detail=False) == ["data/other"]


def many(fs, folder):
    """Patterns, lists and trees, which fsspec expands with other arguments in each version."""
    assert fs.glob("data/*/s*") == fs.expand_path("data/*/s*") == ["data/dir/sized", "data/dir/small"]
    assert fs.glob("data/**/moved") == ["data/other/moved"]
    assert fs.cat("data/dir/[st]*[lt]") == {"data/dir/small": b"small", "data/dir/text": b"text\n"}
    fs.get("data/other", str(folder / "tree"), recursive=True)
    assert (folder / "tree" / "moved").read_bytes() == b"small"
    fs.put(str(folder / "tree"), "data/dir/back", recursive=True)
    fs.cp("data/dir/back", "data/dir/again", recursive=True)
    fs.mv("data/dir/again/*", "data/dir/last/")
    assert fs.find("data/dir/last") == ["data/dir/last/moved"]
    with fs.transaction, fs.open("data/dir/late", "wb") as file:
        file.write(b"1")
    fs.rm("data/dir/s*")
    assert fs.exists("data/dir/late")


def command():
    """The local service runs without extras; the rest of the command says what it needs."""
    done = subprocess.run([sys.executable, "-m", "cosv4fs.emulator", "--help"], capture_output=True, check=True)
    assert b"--dialect" in done.stdout
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["ls", "cosv4://data"])
    assert code == 2, code
    assert said.getvalue() == "cosv4fs: click is not installed; run pip install click tqdm\n"


with Emulator(buckets=["data"]) as emulator, tempfile.TemporaryDirectory() as name:
    use(fsspec.filesystem("cosv4", **emulator.storage_options, journal_dir=name), Path(name))
command()
unwanted = {"pandas", "dask", "pyarrow", "numpy", "click", "tqdm"} & set(sys.modules)
assert not unwanted, unwanted
print(
    "works with "
    + ", ".join(f"{package} {version(package)}" for package in ("fsspec", "requests", "urllib3", "cachetools"))
)
