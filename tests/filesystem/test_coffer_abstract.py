"""fsspec's own test-suite on coffers, as far as write-once allows it.

The suite tidies up between its phases with ``rm``, which coffers cannot. Here somebody else does that, by the one way
in which objects vanish: the lifecycle runs, and what was to stay is stored again.
"""

import fsspec.tests.abstract as abstract
import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, CofferEmulator

COFFER = "suite-1250000000"
_DAY = 86400

IMPOSSIBLE = {
    "test_pipe_exclusive": "the second half overwrites: an object is never replaced (cdcs.md#immutability)",
    "test_put_directory_recursive": "the last phase puts a file twice: an object is never replaced (section 5.4)",
}
"""Tests of the suite that ask for what coffers cannot, and the rule that forbids it."""


class Expiring(CofferFileSystem):
    """A filesystem whose paths expire when the suite removes them."""

    def attend(self, emulator):
        """Say whose clock makes objects expire."""
        self._emulator = emulator
        return self

    def rm(self, path, recursive=False, maxdepth=None):
        """Let everything expire, and store again what is not below the path."""
        gone = tuple(f"{name}/" for name in self._strip_protocol(path if isinstance(path, list) else [path]))
        kept = [name for name in self.find(COFFER) if not f"{name}/".startswith(gone)]
        contents = {name: self.cat_file(name) for name in kept}
        self.set_lifecycle(COFFER, 1)
        self._emulator.clock_offset += 2 * _DAY
        self.invalidate_cache()
        self.pipe(contents)


class _Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, request):
        reason = IMPOSSIBLE.get(request.function.__name__)
        if reason is not None:
            pytest.skip(reason)
        dialect = CofferDialect(empty_objects="accept")
        with CofferEmulator(coffers=(COFFER,), dialect=dialect) as emulator:
            yield Expiring(**emulator.storage_options).attend(emulator)

    @pytest.fixture
    def fs_path(self):
        return COFFER

    @pytest.fixture
    def supports_empty_directories(self):
        return False


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
