"""No module of the package needs what another system lacks."""

import ast
import functools
import re
from pathlib import Path

import pytest

import cosv4fs
from tests.platforms import absent

ROOT = Path(cosv4fs.__file__).parent
OPTIONAL = absent.WINDOWS_MODULES | absent.MACOS_MODULES | {"_ctypes", "_hashlib", "ctypes"}

NAMES = {name for names in (absent.WINDOWS, absent.MACOS) for each in names.values() for name in each}
MISSING = re.compile(rf"\b({'|'.join(NAMES | OPTIONAL)})\b")

GUARDED = {
    "localfiles._give_permissions": "called with a lock held, which Windows does not have",
    "localfiles._is_ours": "called where there is fcntl",
    "localfiles._without_links": "called where there is fcntl",
    "localfiles._unnamed_file": "called after _open_unnamed has found that there are such files",
    "forking": "asked for in the line above",
}
"""Functions and modules that use a missing name, and have no guard of their own, each with the reason."""


@functools.cache
def users():
    """Return (name of the function or module, its code, names used or imported) of all that use a missing name."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text("utf-8")
        if not MISSING.search(text):
            continue
        tree = ast.parse(text)
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inside = {id(each) for function in functions for each in ast.walk(function)}
        units = [(f"{name}.{function.name}", function, list(ast.walk(function))) for function in functions]
        units.append((name, tree, [node for node in ast.walk(tree) if id(node) not in inside]))
        for unit, code, nodes in units:
            names = {f"{node.value.id}.{node.attr}" for node in nodes if is_missing(node)}
            imports = {module for node in nodes for module in imported(node) if module in OPTIONAL}
            if names or imports:
                found.append((unit, code, names, imports))
    return found


def is_missing(node):
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return False
    return any(node.attr in names.get(node.value.id, ()) for names in (absent.WINDOWS, absent.MACOS))


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        names = [alias.name for alias in node.names if is_listed(node.module, alias.name)]
        # no guard could be seen where a name that was imported from a module is used
        assert not names, f"import {node.module}, and ask it for {names}"
        return [node.module.partition(".")[0]]
    return []


def is_listed(module, name):
    return name in absent.WINDOWS.get(module, ()) or name in absent.MACOS.get(module, ())


def is_guarded(code, names):
    text = ast.unparse(code)
    modules = {name.partition(".")[0] for name in names}
    asked = all(f"hasattr({module}, " in text for module in modules)
    return asked or "fcntl is None" in text or "AttributeError" in text


def test_what_is_missing_elsewhere_is_asked_for():
    bare = {unit: names for unit, code, names, _ in users() if names and not is_guarded(code, names)}
    assert {unit: names for unit, names in bare.items() if unit not in GUARDED} == {}


def test_the_list_of_guarded_functions_is_needed():
    assert {unit for unit, *_ in users()} >= GUARDED.keys()


def test_modules_that_are_missing_elsewhere_are_optional():
    for unit, code, _, modules in users():
        for module in modules:
            tries = [node for node in ast.walk(code) if isinstance(node, (ast.Try, ast.With))]
            holders = [node for node in tries if any(module in imported(each) for each in ast.walk(node))]
            assert holders, f"{unit} needs {module}"
            assert all("ImportError" in ast.unparse(node) for node in holders), f"{unit} needs {module}"


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import fcntl", "needs fcntl"),
        ("def f():\n    import pwd", "needs pwd"),
        ("try:\n    import fcntl\nexcept ImportError:\n    pass", None),
        ("import os\nos.fork()", "fork"),
        ("import os\nif hasattr(os, 'fork'):\n    os.fork()", None),
        ("from os import fork", "import os"),
    ],
)
def test_the_rules_find_what_they_are_for(tmp_path, monkeypatch, code, complaint):
    (tmp_path / "module.py").write_text(code)
    monkeypatch.setattr("tests.platforms.test_source.ROOT", tmp_path)
    monkeypatch.setattr("tests.platforms.test_source.GUARDED", {})
    monkeypatch.setattr("tests.platforms.test_source.users", users.__wrapped__)

    def check():
        test_what_is_missing_elsewhere_is_asked_for()
        test_modules_that_are_missing_elsewhere_are_optional()

    if complaint is None:
        check()
    else:
        with pytest.raises(AssertionError, match=complaint):
            check()
