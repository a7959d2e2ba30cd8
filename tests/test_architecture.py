"""The shape of the house: arrows point down, the wire has one door, no module grows without end, nothing is unused."""

import ast
import dataclasses
import functools
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cosv4fs
from cosv4fs.config import Config
from cosv4fs.emulator import CofferDialect, Dialect

ROOT = Path(cosv4fs.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
FILESYSTEMS = [cosv4fs.CosV4FileSystem, cosv4fs.CosV3FileSystem, cosv4fs.CofferFileSystem]
MOST_LINES = 690

LEAVES = {
    "arguments",
    "attributes",
    "info",
    "codes",
    "errors",
    "protocols",
    "paths",
    "redaction",
    "kinds",
    "options",
    "regions",
    "config",
    "cache",
    "unclosed",
    "forking",
    "handled_exceptions",
    "localfiles",
    "localnames",
    "missing_packages",
    "objectfile",
    "portability",
    "collisions",
    "progress",
    "concurrency",
    "stack",
}
WIRE = {"api", *LEAVES, "_version"}
TRANSFER = {"transfer", *WIRE}
NAMESPACE = {"namespace", *TRANSFER}
SHARED = {
    "bulk",
    "expansion",
    "files",
    "pairing",
    "rearranging",
    "removing",
    "runtime",
    "stored_attributes",
    *NAMESPACE,
}
FILES = {"reader", "writer", "layered", "appending", "opening", "transactions", "display", "identity", *SHARED}
MAY_IMPORT = {
    "arguments": set(),
    "codes": set(),
    "errors": {"codes"},
    "paths": {"errors"},
    "protocols": set(),
    "attributes": {"arguments", "protocols"},
    "redaction": set(),
    "forking": set(),
    "handled_exceptions": set(),
    "unclosed": {"concurrency", "forking"},
    "regions": {"protocols"},
    "kinds": {"redaction", "regions"},
    "options": {"arguments", "kinds", "protocols"},
    "config": {"errors", "options", "protocols", "redaction", "regions"},
    "cache": {"forking", "info"},
    "info": set(),
    "localfiles": {"portability"},
    "localnames": set(),
    "missing_packages": set(),
    "portability": set(),
    "objectfile": set(),
    "collisions": {"paths"},
    "concurrency": {"concurrency", "errors", "forking"},
    "progress": {"collisions", "concurrency", "missing_packages"},
    "api": WIRE,
    "transfer": TRANSFER,
    "namespace": NAMESPACE,
    "expansion": LEAVES,
    "pairing": {"expansion", *LEAVES},
    "bulk": {"expansion", "pairing", *LEAVES},
    "files": NAMESPACE,
    "rearranging": {"removing", *NAMESPACE},
    "removing": NAMESPACE,
    "stack": {"forking"},
    "stored_attributes": NAMESPACE,
    "runtime": {"files", *NAMESPACE},
    "reader": SHARED,
    "writer": SHARED,
    "appending": {"reader", *SHARED},
    "layered": {"writer", *LEAVES},
    "opening": {"appending", "layered", "reader", "writer", *SHARED},
    "transactions": {"arguments", "writer"},
    "display": LEAVES,
    "identity": LEAVES,
    "filesystem": FILES,
    "buckets": {"filesystem", *FILES},
    "coffers": {"filesystem", *FILES},
    "migrate": {"migrate", "_version", *LEAVES},
    "emulator": {"emulator", "codes", "_version"},
}
"""What each part of the package may import of the package; the parts above may import all below them."""


def name_of(path):
    return ".".join(("cosv4fs", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@functools.cache
def imports(path, *, for_types=True):
    """Return the full names of the modules that a module imports, also inside functions."""
    return frozenset(_imports(path, for_types))


def _imports(path, for_types):
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"))
    hidden = set()
    if not for_types:
        guards = (
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        hidden = {inner for guard in guards for statement in guard.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def inside(names):
    """Return the parts of the package that are named: ``api``, ``paths``, …"""
    parts = {name.split(".")[1] for name in names if name.startswith("cosv4fs.")}
    return {part for part in parts if (ROOT / part).is_dir() or (ROOT / f"{part}.py").exists()}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_arrows_point_down(part):
    files = [path for path in MODULES if path.relative_to(ROOT).with_suffix("").parts[0] == part]
    assert files
    for path in files:
        assert inside(imports(path)) <= MAY_IMPORT[part], path


def test_no_module_needs_one_that_needs_it():
    """Also for types only: what cannot be read by itself cannot be understood by itself."""
    names = {name_of(path): path for path in MODULES}
    needs = {}
    for name, path in names.items():
        found = {needed for needed in imports(path) if needed in names} - {name}
        # a package is named on the way to its modules, too
        needs[name] = {one for one in found if not any(other.startswith(f"{one}.") for other in found)}
    while leaves := [name for name, known in needs.items() if not known & needs.keys()]:
        for name in leaves:
            del needs[name]
    # what is left is in a circle, or stands on one
    assert sorted(needs) == []


@pytest.mark.parametrize("kind", FILESYSTEMS)
def test_a_filesystem_is_no_chain_of_classes(kind):
    own = [one for one in kind.__mro__ if one.__module__.startswith("cosv4fs")]
    assert len(own) <= 3
    assert not issubclass(cosv4fs.CosV3FileSystem, cosv4fs.CosV4FileSystem)


def test_nothing_but_the_command_line_knows_the_emulator():
    allowed = {"cli", "demo"}
    for path in MODULES:
        part = path.relative_to(ROOT).with_suffix("").parts[0]
        if part not in ("emulator", *allowed):
            assert "emulator" not in inside(imports(path)), path


def test_one_door_to_the_wire():
    wire, door = {"requests", "urllib3", "http", "ssl"}, {"transport", "connections", "proxies", "connection_errors"}
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "emulator" or name_of(path) in {f"cosv4fs.api.{name}" for name in door}:
            continue
        used = {name.partition(".")[0] for name in imports(path, for_types=False)}
        assert not used & wire, path


def test_the_emulator_needs_nothing_of_others():
    for path in (ROOT / "emulator").rglob("*.py"):
        foreign = {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"cosv4fs"}
        assert foreign <= ({"pytest"} if path.name == "pytest_plugin.py" else {"typing_extensions"}), path


def test_no_module_is_large():
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


NOT_IN_CATALOGUE = {
    # info and listings by another name
    *("checksum", "created", "lexists", "modified", "ukey", "invalid_keys"),
    # other names of what it has: attributes, transactions, signed URLs, patterns, unfinished uploads
    *("setxattr", "start_transaction", "end_transaction", "url", "expand_path", "interrupted_uploads"),
    # no request at all
    "to_dict",
}
"""Methods of which nothing that a fault, a crash or another client does is of interest."""


def text_of(folder):
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.py")))


def test_every_option_does_something():
    code = text_of(ROOT)
    own = (ROOT / "config.py").read_text("utf-8")
    names = {field.name for field in dataclasses.fields(Config)}
    unread = {name for name in names if not re.search(rf"config\.{name}\b", code)}
    assert {name for name in unread if not re.search(rf"self\.{name}\b", own)} == set()


@pytest.mark.parametrize("dialect", [Dialect, CofferDialect])
def test_every_switch_does_something(dialect):
    code = text_of(ROOT / "emulator")
    names = {field.name for field in dataclasses.fields(dialect)}
    # the table of operations names those of signatures
    assert {name for name in names if not re.search(rf"dialect\.{name}\b|signature=\"{name}\"", code)} == set()


def test_every_method_is_in_the_catalogue():
    classes = {one for kind in FILESYSTEMS for one in kind.__mro__ if one.__module__.startswith("cosv4fs")}
    methods = {name for one in classes for name, member in vars(one).items() if inspect.isroutine(member)}
    catalogue = text_of(Path(__file__).parent / "catalogue")
    unnamed = {name for name in methods if name[0] != "_" and not re.search(rf"\b{name}\b", catalogue)}
    assert unnamed == NOT_IN_CATALOGUE


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("cosv4fs", ["pandas", "dask", "pyarrow", "numpy", "cosv4fs.emulator", "pytest"]),
        ("cosv4fs.api", ["fsspec.implementations", "cosv4fs.transfer", "cosv4fs.emulator"]),
        ("cosv4fs.emulator", ["requests", "cosv4fs.api", "cosv4fs.transfer"]),
    ],
)
def test_importing_stays_light(imported, unwanted):
    # the package's own __init__ brings the filesystem: leave it out to see what a layer needs by itself
    program = f"""
import sys, types
if {imported!r} != "cosv4fs":
    package = types.ModuleType("cosv4fs")
    package.__path__ = [{str(ROOT)!r}]
    sys.modules["cosv4fs"] = package
import {imported}
loaded = [name for name in {unwanted!r} if name in sys.modules]
sys.exit(", ".join(loaded) or None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
