"""Emulators and clients for the tests."""

import pytest

from .client import NOW, SECRET_ID, SECRET_KEY, Client
from .services import SERVICES


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start_service(clock):
    """Start emulators that end with the test, and return their services."""
    running = []

    def make(kind, root=None, **options):
        service = SERVICES[kind]
        options = {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "clock": clock} | service.options | options
        emulator = service.emulator_class(root, **options)
        running.append(emulator)
        emulator.start()
        return service(emulator)

    yield make
    for emulator in running:
        emulator.close()


@pytest.fixture(params=SERVICES)
def kind(request):
    """Run the test for buckets and for coffers."""
    return request.param


@pytest.fixture
def service(start_service, kind):
    return start_service(kind)


@pytest.fixture
def make_emulator(start_service):
    return lambda root=None, **options: start_service("buckets", root, **options).emulator


@pytest.fixture
def emulator(make_emulator):
    return make_emulator(public_buckets=("public",))


@pytest.fixture
def client(emulator):
    return Client(emulator)


@pytest.fixture
def make_coffers(start_service):
    return lambda root=None, **options: start_service("coffers", root, **options).client


@pytest.fixture
def coffers(make_coffers):
    return make_coffers()
