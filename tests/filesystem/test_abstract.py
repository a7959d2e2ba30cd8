"""fsspec's own test-suite for filesystems, over real HTTP: v4, v3 where parents have to exist, and coffers.

`python -m tests.matrix` runs it under every dialect.

The suite tidies up between its phases with ``rm``, which coffers cannot. Here their objects expire instead: the
lifecycle runs, and what has to stay is stored again.
"""

import fsspec
import fsspec.tests.abstract as abstract
import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator

BUCKET = "suite-1250000000"
_DAY = 86400

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
        """Set the service whose clock makes objects expire."""
        self._emulator = emulator
        return self

    def rm(self, path, recursive=False, maxdepth=None):
        """Let everything expire, and store again what is not below the path."""
        gone = tuple(f"{name}/" for name in self._strip_protocol(path if isinstance(path, list) else [path]))
        kept = [name for name in self.find(BUCKET) if not f"{name}/".startswith(gone)]
        contents = {name: self.cat_file(name) for name in kept}
        self.set_lifecycle(BUCKET, 1)
        self._emulator.clock_offset += 2 * _DAY
        self.invalidate_cache()
        self.pipe(contents)


class _Fixtures(abstract.AbstractFixtures):
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


class TestCopy(abstract.AbstractCopyTests, _Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, _Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, _Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, _Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, _Fixtures):
    pass
