"""Services for the tests of the client."""

import pytest

from tests.api.coffers import Coffers
from tests.support import make_service, service

__all__ = ["coffers", "make_coffers", "make_service", "service"]


@pytest.fixture
def make_coffers():
    """Start services with coffers that end with the test; keywords are switches of the dialect."""
    running = []

    def make(**dialect):
        running.append(Coffers(**dialect))
        return running[-1]

    yield make
    for one in running:
        one.close()


@pytest.fixture
def coffers(make_coffers):
    return make_coffers()
