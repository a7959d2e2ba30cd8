"""fsspec's own test-suite for filesystems, over real HTTP: v4, v3 where parents have to exist, and coffers.

`python -m tests.matrix` runs it under every dialect.

The suite tidies up between its phases with ``rm``, which coffers cannot. Here their objects expire instead.
"""

import fsspec
import fsspec.tests.abstract as abstract
import pytest
from fsspec.tests.abstract.common import GLOB_EDGE_CASES_TESTS

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator

BUCKET = "suite-1250000000"

IMPOSSIBLE = {
    "test_pipe_exclusive": "the second half overwrites: nothing is replaced (cdcs.md#immutability)",
    "test_put_directory_recursive": "the last phase puts a file twice: nothing is replaced (cdcs.md#immutability)",
}
"""Tests of the suite that need what coffers cannot do, and the rule that forbids it."""


def pytest_generate_tests(metafunc):
    """Run every test for all protocols, but the edge cases of patterns, most of the suite, for v4 alone.

    All protocols match patterns with the same code, and with other tests of the suite.
    """
    if "fs" in metafunc.fixturenames:
        protocols = ["cosv4", "cosv3", "cdcs"]
        if metafunc.function.__name__ in IMPOSSIBLE:
            protocols.remove("cdcs")
        if metafunc.function.__name__.endswith("glob_edge_cases"):
            protocols = ["cosv4"]
        metafunc.parametrize("fs", protocols, indirect=True, scope="class")


class Expiring(CofferFileSystem):
    """A filesystem whose paths expire when the suite removes them."""

    def attend(self, emulator):
        """Set the service whose objects expire."""
        self._emulator = emulator
        return self

    def rm(self, path, recursive=False, maxdepth=None):
        """Let what is at the path, or below it, expire; the lifecycle of a coffer would take everything."""
        with self._emulator._service.store.writing() as db:
            for gone in path if isinstance(path, list) else [path]:
                key = self._strip_protocol(gone).partition("/")[2]
                db.execute("DELETE FROM objects WHERE key = ? OR substr(key, 1, ?) = ?", (key, len(key) + 1, f"{key}/"))
        self.invalidate_cache()


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    def fs(self, request):
        if request.param == "cdcs":
            with CofferEmulator(coffers=(BUCKET,), dialect=CofferDialect(empty_objects="accept")) as emulator:
                yield Expiring(**emulator.storage_options).attend(emulator)
            return
        parents = "required" if request.param == "cosv3" else "implicit"
        with Emulator(buckets=(BUCKET,), dialect=Dialect(parents=parents)) as emulator:
            yield fsspec.filesystem(request.param, **emulator.storage_options)

    @pytest.fixture
    def fs_path(self):
        return BUCKET

    @pytest.fixture
    def supports_empty_directories(self, fs):
        return fs.protocol != "cdcs"


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    @pytest.mark.parametrize(GLOB_EDGE_CASES_TESTS["argnames"], GLOB_EDGE_CASES_TESTS["argvalues"][::3])
    def test_copy_glob_edge_cases(
        self, path, recursive, maxdepth, expected, fs, fs_join, fs_glob_edge_cases_files, fs_target, fs_sanitize_path
    ):
        """Every third of the cases: a copy finds its sources as `get` does, which runs all of them."""
        super().test_copy_glob_edge_cases(
            path, recursive, maxdepth, expected, fs, fs_join, fs_glob_edge_cases_files, fs_target, fs_sanitize_path
        )


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass
