"""Emulators and clients for the tests."""

import pytest

from cosv4fs.emulator import CofferEmulator, Emulator

from .client import NOW, SECRET_ID, SECRET_KEY, Client
from .coffers import Coffers


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
def make_emulator(clock):
    """Start emulators that end with the test."""
    running = []

    def make(root=None, **options):
        options = {
            "secret_id": SECRET_ID,
            "secret_key": SECRET_KEY,
            "buckets": ("b", "other"),
            "clock": clock,
        } | options
        emulator = Emulator(root, **options)
        running.append(emulator)
        emulator.start()
        return emulator

    yield make
    for emulator in running:
        emulator.close()


@pytest.fixture
def emulator(make_emulator):
    return make_emulator(public_buckets=("public",))


@pytest.fixture
def client(emulator):
    return Client(emulator)


@pytest.fixture
def make_coffers(clock):
    """Start emulators of coffers that end with the test, and return clients of them."""
    running = []

    def make(root=None, **options):
        options = {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "clock": clock} | options
        emulator = CofferEmulator(root, **options)
        running.append(emulator)
        emulator.start()
        return Coffers(emulator)

    yield make
    for emulator in running:
        emulator.close()


@pytest.fixture
def coffers(make_coffers):
    return make_coffers()
