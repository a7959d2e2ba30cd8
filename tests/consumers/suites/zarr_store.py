"""zarr's own tests of stores: the methods of a store, and random sequences of operations on stores and hierarchies."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from zarr.core.buffer import cpu
from zarr.storage import FsspecStore
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine
from zarr.testing.store import StoreTests

from cosv4fs.emulator import Emulator

ROOTS = ("lab", "lab/z")
"""A bucket, and a directory in it."""

SEQUENCES = settings(
    max_examples=3,
    stateful_step_count=12,
    deadline=None,
    database=None,
    # the same ones in every run, as in the other tests
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class _Store(FsspecStore):
    """A store that is empty after `clear`.

    zarr's own method removes the entries one by one and stops at the first one that was already removed with its
    directory, on every filesystem that has directories.
    """

    async def clear(self) -> None:
        try:
            await self.fs._rm(self.path, recursive=True)
        except FileNotFoundError:
            return


@pytest.fixture(scope="module", params=ROOTS)
def shared(request):
    """One service and one filesystem for all tests: fsspec needs longer to wrap a filesystem than most tests take."""
    with Emulator(buckets=("lab",)) as emulator:
        yield _Store.from_url(f"cosv4://{request.param}", storage_options=emulator.storage_options)


@pytest.fixture
def opened(shared):
    """A store that is empty before and after a test."""
    yield shared
    synchronous = shared.fs.sync_fs
    if synchronous.exists(shared.path, refresh=True):
        synchronous.rm(shared.path, recursive=True)


class TestStore(StoreTests[_Store, cpu.Buffer]):
    store_cls = _Store
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, opened):
        return {"fs": opened.fs, "path": opened.path}

    @pytest.fixture
    def store(self, store_kwargs):
        return self.store_cls(**store_kwargs)

    async def get(self, store, key):
        return self.buffer_cls.from_bytes(store.fs.sync_fs.cat_file(f"{store.path}/{key}"))

    async def set(self, store, key, value):
        store.fs.sync_fs.pipe_file(f"{store.path}/{key}", value.to_bytes())

    def test_store_repr(self, store):
        assert str(store) == f"<FsspecStore(AsyncFileSystemWrapper, {store.path})>"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing


@pytest.mark.parametrize("machine", [ZarrStoreStateMachine, ZarrHierarchyStateMachine])
@pytest.mark.filterwarnings("ignore::zarr.core.dtype.common.UnstableSpecificationWarning")
def test_sequences(opened, machine):
    run_state_machine_as_test(lambda: machine(opened), settings=SEQUENCES)
