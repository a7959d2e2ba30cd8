"""fsspec's own test-suite for filesystems."""

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.filesystem import test_abstract as suite


class _Fixtures:
    @pytest.fixture(scope="class")
    def fs(self, dialect, protocol):
        with Emulator(buckets=(suite.BUCKET,), dialect=dialect) as emulator:
            yield fsspec.filesystem(protocol, **emulator.storage_options)


class TestCopy(_Fixtures, suite.TestCopy):
    pass


class TestGet(_Fixtures, suite.TestGet):
    pass


class TestPut(_Fixtures, suite.TestPut):
    pass


class TestPipe(_Fixtures, suite.TestPipe):
    pass


class TestOpen(_Fixtures, suite.TestOpen):
    pass
