"""What a forked child must not take over: nothing of that kind stands bare in a module or a class."""

import importlib
import os
import pkgutil
import queue
import threading
import weakref
from collections import deque
from concurrent.futures import Executor

import pytest

import cosv4fs
from cosv4fs.forking import PerProcess, Registry, holds_lock, renewed_after_fork, shared_lock
from tests.support import in_threads

BELONGS_TO_THREADS = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    threading.Thread,
    threading.local,
    Executor,
    queue.Queue,
    queue.SimpleQueue,
    weakref.WeakValueDictionary,
    weakref.WeakKeyDictionary,
    weakref.WeakSet,
)
REGISTRIES = (dict, list, set, deque, bytearray)
KNOWN = {
    # what is renewed, and by it
    "cosv4fs.forking._renewable",
    # fsspec's own, which it renews where it has to
    "cosv4fs.reader.caches",
    "cosv4fs.kinds.caches",
    "cosv4fs.layered.compr",
    "cosv4fs.filesystem.conf",
    # plain numbers, which are as true in a child
    "cosv4fs.emulator.http._earlier_ports",
    # what disks can do
    "cosv4fs.localfiles._unnamed_by_device",
    # the types of fields, resolved once
    "cosv4fs.emulator.dialects._known_hints",
    # says in which pool's thread one is, which stays true for the one thread of a child
    "cosv4fs.concurrency.threads._worker",
}


def modules():
    for found in pkgutil.walk_packages(cosv4fs.__path__, "cosv4fs."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def bare(module):
    """Yield the names of what a child of this process would share with a thread that it does not have."""
    for name, value in vars(module).items():
        where = f"{module.__name__}.{name}"
        if isinstance(value, BELONGS_TO_THREADS) or (isinstance(value, REGISTRIES) and _may_change(name)):
            yield where
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, held in vars(value).items():
                # fsspec gives every class a lock for making instances, and renews it
                if isinstance(held, BELONGS_TO_THREADS) and inner != "_instantiation_lock":
                    yield f"{where}.{inner}"


def _may_change(name):
    """Return whether a name is not that of a constant."""
    return not name.startswith("__") and name != name.upper()


def test_everything_of_that_kind_is_made_anew():
    assert {where for module in modules() for where in bare(module)} - KNOWN == set()


def test_the_walk_finds_what_stands_bare(monkeypatch):
    module = importlib.import_module("cosv4fs.runtime")
    for name, value in (("_lock", threading.Lock()), ("CACHE", weakref.WeakSet()), ("_seen", {})):
        monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setattr(module.Runtime, "_shared", threading.RLock(), raising=False)
    assert set(bare(module)) == {f"cosv4fs.runtime.{name}" for name in ("_lock", "CACHE", "_seen", "Runtime._shared")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_its_own(monkeypatch):
    registered = importlib.import_module("cosv4fs.forking")
    monkeypatch.setattr(registered, "_renewable", weakref.WeakSet())

    class Thing:
        renewed = False

        def after_fork(self):
            self.renewed = True

    value, registry, thing = PerProcess(list), Registry(), Thing()
    renewed_after_fork(thing)
    value().append("of the parent")
    shared = registry.get("key", Thing)
    assert registry.get("key", Thing) is shared
    child = os.fork()
    if child == 0:
        os._exit(0 if value() == [] and thing.renewed and registry.get("key", Thing) is not shared else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert value() == ["of the parent"]
    assert not thing.renewed


def test_locks_of_which_one_is_held():
    known = importlib.import_module("cosv4fs.forking")._locks()._known
    shared_lock()
    others = len(known)
    locks = [shared_lock() for _ in range(500)]
    assert not holds_lock()
    with locks[0], locks[0]:
        assert holds_lock()
        seen = []
        thread = threading.Thread(target=lambda: seen.append(holds_lock()))
        thread.start()
        thread.join()
        assert seen == [False]
    assert not holds_lock()
    del locks
    shared_lock()
    # beside those of filesystems that earlier tests have left to the collector
    assert len(known) < others + 400


def test_locks_that_threads_make_and_drop_at_once():
    many = [shared_lock() for _ in range(300)]

    def work(_):
        for _ in range(300):
            with shared_lock():
                assert holds_lock()

    in_threads(4, work)
    del many
