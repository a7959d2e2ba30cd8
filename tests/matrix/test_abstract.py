"""fsspec's own test-suite for filesystems."""

import fsspec
import fsspec.tests.abstract as abstract
import pytest

from cosv4fs.emulator import Emulator
from tests.filesystem import test_abstract as suite


class _Fixtures(suite.Fixtures):
    @pytest.fixture(scope="class")
    def fs(self, dialect, protocol):
        with Emulator(buckets=(suite.BUCKET,), dialect=dialect) as emulator:
            yield fsspec.filesystem(protocol, **emulator.storage_options)


class TestCopy(_Fixtures, abstract.AbstractCopyTests):
    pass


class TestGet(_Fixtures, abstract.AbstractGetTests):
    pass


class TestPut(_Fixtures, abstract.AbstractPutTests):
    pass


class TestPipe(_Fixtures, abstract.AbstractPipeTests):
    pass


class TestOpen(_Fixtures, abstract.AbstractOpenTests):
    pass
