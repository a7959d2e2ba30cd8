"""Where the cases are played: a service, the client under test, and a second instance that reads what is stored."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fsspec
from typing_extensions import Self

from cosv4fs import paths
from cosv4fs.api import CofferClient, CosV3Client, SliceSession
from cosv4fs.api.connections import Timeout
from cosv4fs.api.retry import RetryPolicy
from cosv4fs.emulator import CofferEmulator, Emulator, faults
from cosv4fs.emulator.cdcs import coffers
from tests.catalogue import Place
from tests.catalogue.cases import Case
from tests.catalogue.coffers import DAYS, OF_ONE_CASE, POLICY, own_coffer
from tests.support import KIB, MIB, Clock, elsewhere, taken

FAULTS: Mapping[str, Mapping[str, faults.Action]] = {"cosv4": faults.ALL, "cosv3": faults.ALL, "cdcs": faults.COFFER}
"""The rows of each protocol's table."""

ENDLESS = " (without its end)"
"""After the names of uploads that look like complete objects until they are read."""

RETRIES = 3
"""How often the client under test sends a request again."""

_OPTIONS = {"slice_size": 512 * KIB, "single_upload_limit": 512 * KIB, "range_size": 256 * KIB}
_PARTS = {**_OPTIONS, "slice_size": MIB, "single_upload_limit": 600 * KIB}
"""For coffers, whose parts have 1 MiB at least."""

_BUCKET, _BEYOND, _WHOLE, _ACCOUNT = "box", "crate", "whole", "-1250000000"
_numbers = itertools.count()

_TIMEOUT = 30.0
"""Seconds that a restart of the service may take."""

State = dict[str, "bytes | str | None"]
"""What is stored: bytes by name, None for a directory; ``local/…`` is the local disk, ``extra`` other state."""


class Bench:
    """One service, and a filesystem that shares nothing with the client under test; to be closed.

    `faults`: what can go wrong there, by name. `on_pause` is called while the client under test waits before it sends a
    request again.
    """

    def __init__(self, protocol: str = "cosv4") -> None:
        self.protocol = protocol
        self.faults = FAULTS[protocol]
        self.on_pause: Callable[[], None] = lambda: None
        self._writes_once = protocol == "cdcs"
        self._unlimited = patch.object(coffers, "MOST_COFFERS", sys.maxsize)
        self._pid = os.getpid()
        self._bucket = _BUCKET + _ACCOUNT if self._writes_once else _BUCKET
        self.emulator: Emulator | CofferEmulator = (
            CofferEmulator(coffers=(self._bucket,))
            if self._writes_once
            else Emulator(buckets=(self._bucket, _BEYOND, _WHOLE))
        )
        self.emulator.start()
        self._folder = Path(tempfile.mkdtemp(prefix="cosv4fs-faults-"))
        endpoint = elsewhere(self.emulator.storage_options)["endpoint"]
        self.second = self._filesystem(use_listings_cache=False, endpoint=endpoint)

    def __enter__(self) -> Self:
        # cells in whole coffers make one each, and those with objects in them stay
        self._unlimited.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._unlimited.stop()
        self.second.client.close()
        self.emulator.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _filesystem(self, **options: Any) -> Any:
        # a configuration of its own, and with it its own connections, caches and threads
        journal = str(self._folder / f"journal-{next(_numbers)}")
        sizes = _PARTS if self._writes_once else _OPTIONS
        given = {**self.emulator.storage_options, **sizes, "journal_dir": journal, **taken(self.protocol, options)}
        return fsspec.filesystem(self.protocol, **given, skip_instance_cache=True)

    def client(self, **options: Any) -> Any:
        """Return a fresh filesystem, whose pauses between attempts take no time."""
        fs, clock = self._filesystem(**options), Clock()

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            # a service that is being restarted is back when this returns
            if os.getpid() == self._pid:
                self.emulator.start()
            else:
                _wait_for_port(self.emulator.port)
            self.on_pause()

        fs.client._policy = RetryPolicy(RETRIES, 1e6, clock=clock, sleep=sleep)
        return fs

    @staticmethod
    def shorten_timeout(fs: Any, seconds: float) -> None:
        """Let a client wait for replies for this time only."""
        fs.client._transport._timeout = Timeout(10.0, seconds)

    @staticmethod
    def restore_timeout(fs: Any) -> None:
        """Let a client wait for replies as long as others do: what follows is not about time."""
        fs.client._transport._timeout = Timeout(10.0, 60.0)

    def place(self, *, whole: bool = False) -> Place:
        """Return a fresh directory, or an empty bucket, and a fresh local folder, for the second instance."""
        name = f"cell-{next(_numbers)}"
        (self._folder / name).mkdir()
        root = self._whole_bucket(name) if whole else f"{self._bucket}/{name}"
        if not self._writes_once and not whole:
            self.second.mkdir(root)
        return Place(self.second, root, self._folder / name, f"{_BEYOND}/{name}")

    def _whole_bucket(self, name: str) -> str:
        if not self._writes_once:
            self.second.rm(_WHOLE, recursive=True)
            return _WHOLE
        self.second.create_coffer(f"{OF_ONE_CASE}{name}{_ACCOUNT}")
        return f"{OF_ONE_CASE}{name}{_ACCOUNT}"

    def look(self, place: Place) -> tuple[State, list[str]]:
        """Return what readers see in a place, and what is hidden: unfinished uploads and temporary objects."""
        state: State = {}
        hidden: list[str] = []
        (self._look_at_names if self._writes_once else self._look)(place.root, "", state, hidden)
        for path in sorted(place.scratch.rglob("*")):
            state[f"local/{path.relative_to(place.scratch)}"] = None if path.is_dir() else path.read_bytes()
        return state, hidden

    def _look(self, folder: str, prefix: str, state: State, hidden: list[str]) -> None:
        for entry in self.second.namespace.everything(folder):
            path, name = f"{folder}/{entry.name}", prefix + entry.name
            if entry.is_directory:
                state[name] = None
                self._look(path, f"{name}/", state, hidden)
            elif entry.is_unfinished or paths.is_sibling(entry.name):
                hidden.append(name)
            else:
                self._read(path, name, state, hidden)

    def _look_at_names(self, folder: str, prefix: str, state: State, hidden: list[str]) -> None:
        """Look where directories are only what names have in common, and unfinished uploads are no entries."""
        for path in self.second.find(folder):
            self._read(path, prefix + path.removeprefix(f"{folder}/"), state, hidden)
        hidden += [found["name"].removeprefix(f"{folder}/") for found in self.second.uploads(folder)]

    def _read(self, path: str, name: str, state: State, hidden: list[str]) -> None:
        """Note the content as the second instance reads it."""
        try:
            state[name] = self.second.cat_file(path)
        except FileNotFoundError:
            # an upload that lacks only its end: it looks complete until it is read (reference/files.md#limits)
            hidden.append(name + ENDLESS)

    def unfinished(self, place: Place, name: str, data: bytes) -> None:
        """Leave an upload with its first slice sent."""
        bucket, key = paths.file_key(place / name)
        client, first = self.second.client, memoryview(data)[: 512 * KIB]
        if isinstance(client, CofferClient):
            client.upload_part(bucket, key, client.initiate(bucket, key), 1, memoryview(data)[:MIB])
        elif isinstance(client, CosV3Client):
            # content that the service has is recognised: this it has not
            opened = client.open_slices(bucket, key, filesize=len(data), sha="1" * 40, slice_size=len(first))
            assert isinstance(opened, SliceSession)
            client.send_slice(bucket, key, opened.session, 0, first)
        else:
            session = client.upload_slice_init(bucket, key, filesize=len(data), slice_size=len(first))
            client.upload_slice_data(bucket, key, session.session, 0, first)


# -- cases -----------------------------------------------------------------------------------------------------------


def _wait_for_port(port: int) -> None:
    """Wait in a forked child until the service, which runs in the parent, listens again."""
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return


def _attributes(fs: Any, at: Place) -> object:
    found = fs.attributes(at / "x")
    return found["biz_attr"], found.get("cache_control"), found.get("metadata"), found.get("authority")


def _hidden(fs: Any, at: Place) -> object:
    return at.names(found["place"] for found in fs.uploads(at.root))


def _of_coffer(ask: Callable[[Any, str], object]) -> Callable[[Any, Place], object]:
    return lambda fs, at: ask(fs, own_coffer(at)) if own_coffer(at) in fs.ls("", detail=False) else "none"


_EXISTS = _of_coffer(lambda fs, coffer: "there")
_LIFECYCLE = _of_coffer(lambda fs, coffer: fs.lifecycle(coffer))
_POLICY = _of_coffer(lambda fs, coffer: fs.policy(coffer))

EXTRA: dict[str, Callable[[Any, Place], object]] = {
    "setxattrs": _attributes,
    "chmod": _attributes,
    "uploads": _hidden,
    "abort_upload": _hidden,
    "clean_uploads": _hidden,
    "create_coffer": _EXISTS,
    "delete_coffer": _EXISTS,
    "lifecycle": _EXISTS,
    "set_lifecycle": _LIFECYCLE,
    "policy": _EXISTS,
    "set_policy": _POLICY,
    "delete_policy": _POLICY,
}
"""What else belongs to the state, by operation, as the second instance reads it."""

_ON_COFFERS = {name for name, extra in EXTRA.items() if extra in (_EXISTS, _LIFECYCLE, _POLICY)}


def extra_state(case: Case, place: Place) -> str | None:
    """Return what else belongs to the state of a case; None for most of them."""
    extra = EXTRA.get(case.step.name)
    return None if extra is None else str(extra(place.fs, place))


@contextmanager
def prepared(bench: Bench, case: Case) -> Iterator[tuple[Place, Place]]:
    """Set up a case; yield its place for the client under test, and for the second instance."""
    place = bench.place(whole=case.whole)
    fs = bench.client(**case.options)
    at = replace(place, fs=fs)
    try:
        set_up(bench, case, place)
        case.prepare(at)
        if case.before is not None:
            getattr(fs, case.before.name)(at / dict(case.before.arguments)["name"])
        yield at, place
    finally:
        bench.emulator.faults.clear()
        fs.client.close()
        if case.step.name in _ON_COFFERS and own_coffer(place) in bench.second.ls("", detail=False):
            bench.second.delete_coffer(own_coffer(place))


def set_up(bench: Bench, case: Case, place: Place) -> None:
    """Store what exists before a case."""
    if case.files:
        bench.second.pipe({place / name: content.data for name, content in case.files.items()})
    for folder in case.folders:
        bench.second.makedirs(place / folder)
    for name, content in case.unfinished.items():
        bench.unfinished(place, name, content.data)
    if case.step.name in _ON_COFFERS - {"create_coffer"}:
        bench.second.create_coffer(own_coffer(place))
        if case.step.name in ("lifecycle", "policy", "delete_policy"):
            bench.second.set_lifecycle(own_coffer(place), DAYS)
            bench.second.set_policy(own_coffer(place), POLICY)
