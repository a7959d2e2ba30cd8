"""What editors, type checkers and `help` show of the package."""

import doctest
import inspect
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import jedi
import pytest

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.attributes import ATTRIBUTES, WriteKeywords
from cosv4fs.emulator import CofferEmulator, Emulator
from cosv4fs.emulator.emulators import Options
from cosv4fs.options import options_of

KINDS = [CosV4FileSystem, CosV3FileSystem, CofferFileSystem]
OF_OPEN = {"mode", "block_size", "cache_type", "size", "compression", "encoding", "errors", "newline", *ATTRIBUTES}

PROGRAM = """
import io
import json
from pathlib import PurePosixPath
from typing import Any
from zipfile import ZipFile

from typing_extensions import assert_type

from cosv4fs import CofferFileSystem, CosError, CosV3FileSystem, CosV4FileSystem
from cosv4fs.api import CosV3Client, CosV4Client
from cosv4fs.attributes import Attributes
from cosv4fs.emulator import Emulator, faults
from cosv4fs.info import CofferInfo, Info, UploadInfo
from cosv4fs.reader import CosReader
from cosv4fs.writer import CosWriter

with Emulator(buckets=["data"]) as emulator:
    assert_type(emulator, Emulator)
    emulator.faults.add(op="list", action=faults.DropReply())

fs = CosV4FileSystem(appid=1250000000, region="gz", streaming="never")
path = "data/x"
assert_type(fs, CosV4FileSystem)
assert_type(fs.client, CosV4Client)
assert_type(CosV3FileSystem().client, CosV3Client)
assert_type(CofferFileSystem().coffers(), list[CofferInfo])

assert_type(fs.open(path), CosReader)
assert_type(fs.open(path, "rb", cache_type="all"), CosReader)
assert_type(fs.open(path, "wb", size=3, content_type="text/plain"), CosWriter)
assert_type(fs.open(path, "ab").write(b""), int)
assert_type(fs.open(path, "r", encoding="utf-8").read(), str)
assert_type(fs.open(path, "xt", compression="infer").write(""), int)
mode: str = input()
assert_type(fs.open(path, mode, metadata={"owner": "me"}), Any)
with fs.open(path, "rb") as file:
    assert_type(file.read(), bytes)
    json.load(file)
    ZipFile(file)

posix = PurePosixPath(path)
assert_type(fs.open(posix), CosReader)
assert_type(fs.cat_file(posix), bytes)
fs.pipe_file(posix, bytearray(b"x"))
fs.pipe(path, memoryview(b"x"))
fs.touch(posix)
assert_type(fs.sizes([posix]), list[int])
fs.ls(posix), fs.find(posix), fs.walk(posix)
fs.open(path, "wb", autocommit=False).commit()

assert_type(fs.info(path), Info)
assert_type(fs.info(path)["size"], int)
assert_type(fs.exists(path), bool)
assert_type(fs.cat_file(path, 0, 10), bytes)
assert_type(fs.uploads("data"), list[UploadInfo])
assert_type(fs.attributes(path), Attributes)
assert_type(fs.sign(path), str)
assert_type(next(fs.walk("data"))[0], str)
fs.glob("data/*")[0].upper(), fs.find("data")[0].upper(), fs.ls("data", detail=False)[0].upper(), fs.du("data") // 2
fs.find("data", detail=True)[path]["size"], fs.ls("data")[0]["name"], fs.du("data", total=False).values()
fs.pipe_file(path, b"", **fs.attributes(path))
fs.put("here", "data", recursive=True, content_type="text/plain", resume=False)
try:
    fs.rm(path)
except CosError as error:
    assert_type(error.code, int | str | None)

fs.pipe_file(path, b"", content_typ="text/plain")  # wrong
fs.pipe_file(path, "text")  # wrong
fs.put("here", "data", overwrit=True)  # wrong
fs.open(path, "rb", content_type="text/plain")  # fits the signature for modes that are not known
fs.open(path, "rb", blocksize=5)  # wrong
CosV4FileSystem(regoin="gz")  # wrong
CosV4FileSystem(region=5)  # wrong
CosV3FileSystem(streaming="never")  # wrong
"""


@pytest.mark.parametrize("name", ["cosv4fs", "cosv4fs.api", "cosv4fs.emulator", "cosv4fs.errors"])
def test_modules_show_their_public_names(name):
    module = import_module(name)
    assert dir(module) == sorted(module.__all__)
    for one in dir(module):
        assert getattr(module, one) is not None


def test_type_checkers_know_what_methods_take_and_return(tmp_path):
    place = tmp_path / "program.py"
    place.write_text(PROGRAM, encoding="utf-8")
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nstrict = true\n[mypy-fsspec.*]\nignore_missing_imports = true\n", encoding="utf-8")
    repository = Path(__file__).resolve().parent.parent
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        settings,
        "--cache-dir",
        repository / ".mypy_cache",
        place,
    ]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    # what mypy has cached for the same program names it by the folder of an earlier run
    errors = {int(number) for number in re.findall(r"^\S*program\.py:(\d+): error: ", done.stdout, re.MULTILINE)}
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# wrong")}
    assert errors == wrong, done.stdout + done.stderr


def completed(source, **names):
    """Return the keywords that complete a call: in an editor, or with `names`, in a notebook that has these objects."""
    script = jedi.Interpreter(source, [names]) if names else jedi.Script(source)
    return {found.name.removesuffix("=") for found in script.complete() if found.name.endswith("=")}


def test_editors_complete_options():
    source = "from cosv4fs import {0}\nfs = {0}()\n"
    for kind in KINDS:
        options = {option.name for option in options_of(kind.service.protocol)}
        assert options <= completed(source.format(kind.__name__) + f"{kind.__name__}(")
    assert completed(source.format("CosV4FileSystem") + "fs.open(") >= OF_OPEN


@pytest.mark.parametrize(
    ("call", "keywords"),
    [
        ("open", OF_OPEN),
        ("pipe_file", {"mode", *get_type_hints(WriteKeywords)}),
        ("pipe", {"mode", "batch_size", *get_type_hints(WriteKeywords)}),
        ("put_file", {"resume", "callback", *get_type_hints(WriteKeywords)}),
        ("put", {"mode", "resume", "batch_size", *get_type_hints(WriteKeywords)}),
        ("touch", set(ATTRIBUTES)),
        ("get", {"max_concurrency", "batch_size"}),
        ("cat", {"start", "end", "max_concurrency"}),
        ("find", {"maxdepth", "prefix", "refresh"}),
    ],
)
def test_notebooks_complete_keywords(cosv4_storage_options, call, keywords):
    fs = CosV4FileSystem(**cosv4_storage_options)
    assert completed(f"fs.{call}(", fs=fs) >= keywords


@pytest.mark.parametrize("kind", [Emulator, CofferEmulator])
def test_notebooks_complete_options_of_the_local_services(kind):
    assert completed("Kind(", Kind=kind) >= {"root", "region", "dialect", *Options.__annotations__}
    assert inspect.signature(kind).parameters["port"].default == 0


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_have_the_options_with_their_types(kind):
    found = inspect.signature(kind).parameters
    for option in options_of(kind.service.protocol):
        assert "None" in found[option.name].annotation
        assert found[option.name].default is None


def test_the_examples_of_open_work():
    with Emulator(buckets=["bucket"]) as emulator:
        fs = CosV4FileSystem(**emulator.storage_options)
        (examples,) = doctest.DocTestFinder().find(fs.open, "open", globs={"fs": fs})
        assert doctest.DocTestRunner().run(examples) == (0, len(examples.examples))
    assert len(examples.examples) >= 4


def test_functions_that_are_methods_have_no_other_self():
    for method in (CosV4FileSystem.open, CosV4FileSystem.start_transaction, CosV4FileSystem.end_transaction):
        assert next(iter(inspect.signature(method).parameters.values())) == inspect.Parameter(
            "self", inspect.Parameter.POSITIONAL_OR_KEYWORD
        )


def test_open_documents_every_keyword(cosv4_storage_options):
    method = CosV4FileSystem(**cosv4_storage_options).open
    names = list(inspect.signature(method).parameters)
    assert names[0] == "path"
    assert [name for name in names if name in ATTRIBUTES] == list(ATTRIBUTES)
    shown = pydoc.plain(pydoc.render_doc(method))
    for name in names:
        assert name in shown, name
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"    {section}\n    {'-' * len(section)}\n" in shown
