"""Emulators and clients for the tests."""

import pytest

from cosv4fs.emulator import Emulator

from .client import NOW, SECRET_ID, SECRET_KEY, Client


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
