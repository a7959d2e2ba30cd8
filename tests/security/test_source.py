"""What the package never does, whatever a server says: run programs, evaluate texts, unpickle, predictable names."""

import ast
from pathlib import Path

import pytest

import cosv4fs

MODULES = sorted(Path(cosv4fs.__file__).parent.rglob("*.py"))
FORBIDDEN_MODULES = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "yaml",
    "subprocess",
    "pty",
    "xmlrpc",
    "telnetlib",
}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnv", "os.posix_spawn",
    "tempfile.mktemp", "pickle.loads", "shutil.unpack_archive", "ssl._create_unverified_context",
}  # fmt: skip


def called(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_the_question_can_be_answered_with_yes():
    tree = ast.parse("import pickle as p\nfrom subprocess import run\neval('1')\nos.system('x')")
    assert set(imported(tree)) & FORBIDDEN_MODULES == {"pickle", "subprocess"}
    assert set(called(tree)) & FORBIDDEN_CALLS == {"eval", "os.system"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_of_that_kind(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert not set(imported(tree)) & FORBIDDEN_MODULES
    assert not set(called(tree)) & FORBIDDEN_CALLS


def test_no_program_is_run_for_a_hash(monkeypatch):
    import subprocess

    from cosv4fs.transfer import sha1state

    def run(*args, **kwargs):
        raise AssertionError(f"{args} was run")

    monkeypatch.setattr(subprocess, "Popen", run)
    sha1state._library.cache_clear()
    assert sha1state.upload_parts([memoryview(b"content")])
