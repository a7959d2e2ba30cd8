"""fsspec's own test-suite for filesystems, over real HTTP, whether or not parents have to exist."""

import fsspec
import fsspec.tests.abstract as abstract
import pytest

from cosv4fs.emulator import Dialect, Emulator

PROTOCOLS = ("cosv4", "cosv3")


class _Fixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class", params=["implicit", "required", "virtual"])
    def fs(self, request, protocol):
        with Emulator(buckets=("suite",), dialect=Dialect(parents=request.param)) as emulator:
            yield fsspec.filesystem(protocol, **emulator.storage_options)

    @pytest.fixture
    def fs_path(self):
        return "suite"

    @pytest.fixture
    def supports_empty_directories(self):
        return True


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
