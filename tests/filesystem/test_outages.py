"""A service that is away for some seconds costs no failure, and one that was never there is reported soon."""

import itertools
import logging
import socket
import threading

import fsspec
import pytest

from cosv4fs.api.retry import RetryPolicy
from cosv4fs.api.transport import _Hosts
from cosv4fs.emulator import faults
from tests.filesystem.conftest import BUCKET, EVERY
from tests.support import MIB, Clock, content

AWAY = 8.0
"""Seconds of the client's clock that the service is away for."""


class Absent:
    """Stops a service, and starts it again when the pauses of the client's threads have taken so long."""

    def __init__(self, emulator, fs):
        self._emulator, self._lock = emulator, threading.Lock()
        self.clock = Clock()
        config = fs.config
        fs.client._policy = RetryPolicy(config.max_retries, config.retry_deadline, self.clock, self._sleep)
        self._until = None

    def leave(self):
        with self._lock:
            self._emulator.stop()
            self._until = self.clock.now + AWAY

    def _sleep(self, seconds):
        with self._lock:
            self.clock.sleep(seconds)
            if self._until is not None and self.clock.now >= self._until:
                self._emulator.start()
                self._until = None


@pytest.mark.protocol(*EVERY)
def test_many_files(fs, emulator, tmp_path):
    fs.pipe(f"{BUCKET}/before", b"1")
    absent = Absent(emulator, fs)
    for index in range(30):
        (tmp_path / str(index)).write_bytes(b"%d" % index)
    absent.leave()
    fs.put(f"{tmp_path}/", f"{BUCKET}/many/", recursive=True)
    assert len(fs.find(f"{BUCKET}/many")) == 30
    absent.leave()
    fs.get(f"{BUCKET}/many/", f"{tmp_path / 'back'}/", recursive=True)
    assert len(list((tmp_path / "back").iterdir())) == 30


@pytest.mark.protocol(*EVERY)
def test_in_the_middle_of_a_large_file(small_fs, emulator, wire, monkeypatch):
    fs, data = small_fs, content(8 * MIB)
    absent, lock = Absent(emulator, fs), threading.Lock()
    exchange, left = fs.client._transport.exchange, []

    def exchange_and_leave(request):
        with lock:
            if request.operation in (wire.slice, wire.download) and request.operation not in left and begun(request):
                left.append(request.operation)
                absent.leave()
        return exchange(request)

    counts = {}

    def begun(request):
        counts[request.operation] = counts.get(request.operation, 0) + 1
        return counts[request.operation] > wire.before + 2

    monkeypatch.setattr(fs.client._transport, "exchange", exchange_and_leave)
    fs.pipe_file(f"{BUCKET}/large", data)
    assert fs.cat_file(f"{BUCKET}/large") == data
    assert len(left) == 2


class TestNeverThere:
    def test_is_reported_at_once_and_given_up_soon(self, emulator, nowhere, caplog):
        given = {**emulator.storage_options, "endpoint": f"http://{nowhere}"}
        fs, clock = fsspec.filesystem("cosv4", **given), Clock()
        told = []

        def sleep(seconds):
            told.append(len(caplog.records))
            clock.sleep(seconds)

        began = clock.now
        fs.client._policy = RetryPolicy(None, fs.config.retry_deadline, clock, sleep)
        with caplog.at_level(logging.WARNING, "cosv4fs"), pytest.raises(ConnectionError, match="cannot connect") as end:
            fs.ls(BUCKET)
        # a longer retry_deadline would change nothing
        assert end.value.strerror.endswith("; retried for 10 seconds, the limit for a host that has never answered")
        assert clock.now - began == pytest.approx(10)
        # before the first pause, and once
        assert set(told) == {1}
        assert "check endpoint and network" in caplog.text

    def test_silence_is_reported_at_once(self, emulator, caplog):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(16)
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            given = {**emulator.storage_options, "endpoint": endpoint, "read_timeout": 0.05}
            fs, clock = fsspec.filesystem("cosv4", **given, retry_deadline=20), Clock()
            fs.client._policy = RetryPolicy(None, fs.config.retry_deadline, clock, clock.sleep, max)
            began = clock.now
            with pytest.raises(TimeoutError, match="did not answer in time"):
                fs.ls(BUCKET)
        # it may be a reply that was lost
        assert clock.now - began == pytest.approx(20)
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_max_retries_0_never_waits(self, emulator, nowhere, caplog):
        given = {**emulator.storage_options, "endpoint": f"http://{nowhere}", "max_retries": 0}
        with pytest.raises(ConnectionError, match="cannot connect"):
            fsspec.filesystem("cosv4", **given).ls(BUCKET)
        assert caplog.records == []


@pytest.mark.protocol("cosv4", "cdcs")
def test_error_pages_are_an_outage(fs, emulator, caplog):
    """The user learns why a call takes so long, once, and the calls after it do not take as long again."""
    clock = Clock()
    fs.client._policy = RetryPolicy(None, fs.config.retry_deadline, clock, clock.sleep)
    fs.client._transport._hosts = _Hosts(0.0, clock)
    emulator.faults.add(action=faults.HttpError(502), times=None)
    for expected in (120, 0):
        began = clock.now
        with pytest.raises(OSError, match="HTTP 502"):
            fs.ls(BUCKET)
        assert clock.now - began == pytest.approx(expected)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "HTTP 502" in caplog.text
    emulator.faults.clear()
    assert fs.ls(BUCKET) == []
    emulator.faults.add(action=faults.HttpError(502), times=3)
    assert fs.ls(BUCKET, refresh=True) == []


class TestRefusals:
    """The service answers, but refuses with a code that may pass: the user learns why a call takes so long."""

    @pytest.fixture(params=["throttling", "failing store"])
    def refusal(self, fs, emulator, protocol, request):
        self.clock = Clock()
        fs.client._policy = RetryPolicy(None, fs.config.retry_deadline, self.clock, self.clock.sleep, max)
        codes = ("AlreadyLock", "InternalError") if protocol == "cdcs" else (-71, -6993)
        code = codes[request.param == "failing store"]
        emulator.faults.add(action=faults.Refuse(code), times=None)
        return str(code)

    @pytest.mark.protocol(*EVERY)
    def test_warns_once_per_call_and_says_at_the_end_how_long(self, fs, refusal, caplog):
        for calls in (1, 2):
            with pytest.raises(OSError, match=r"; retried for 120 seconds \(retry_deadline\)") as caught:
                fs.pipe_file(f"{BUCKET}/a", b"x")
            assert refusal in str(caught.value)
            warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
            assert len(warned) == calls
            assert refusal in warned[-1]
            assert warned[-1].endswith("; retrying")

    def test_many_files_are_one_warning(self, fs, refusal, caplog):
        waiting = threading.Barrier(8, timeout=30)
        clock, lock = self.clock, threading.Lock()

        def sleep(seconds):
            # the clock of all of them goes on when each has failed
            if waiting.wait() == 0:
                with lock:
                    clock.sleep(1.0)
            waiting.wait()

        fs.client._policy = RetryPolicy(5, 1e6, clock, sleep, max)
        with pytest.raises(OSError, match=r"retried 5 times \(max_retries\)"):
            fs.pipe({f"{BUCKET}/{number}": b"x" for number in range(8)}, batch_size=8)
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_interrupted_calls_are_warned_of_again(self, fs, refusal, caplog):
        def interrupt(seconds):
            self.clock.sleep(seconds)
            if self.clock.now > 10:
                self.clock.now = 0.0
                raise KeyboardInterrupt

        fs.client._policy = RetryPolicy(None, 120.0, self.clock, interrupt, max)
        for calls in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                fs.pipe_file(f"{BUCKET}/a", b"x")
            assert [record.levelname for record in caplog.records] == ["WARNING"] * calls

    def test_short_ones_are_no_news(self, fs, emulator, caplog):
        clock = Clock()
        fs.client._policy = RetryPolicy(None, 120.0, clock, clock.sleep, max)
        emulator.faults.add(action=faults.Refuse(-6993), times=3)
        fs.pipe_file(f"{BUCKET}/a", b"x")
        assert caplog.records == []


def test_a_long_pause_that_a_gateway_demands_is_told_before_it(fs, emulator, caplog):
    clock = Clock()
    told = []

    def sleep(seconds):
        told.append(len(caplog.records))
        clock.sleep(seconds)

    fs.client._policy = RetryPolicy(None, 120.0, clock, sleep)
    fs.client._transport._hosts = _Hosts(0.0, clock)
    for action in (faults.HttpError(503, retry_after=30), faults.Refuse(-71, retry_after=30)):
        caplog.clear()
        told.clear()
        emulator.faults.add(action=action)
        assert fs.ls(BUCKET, refresh=True) == []
        assert told == [1]


def test_a_short_outage_is_no_news(fs, emulator, caplog):
    # by this clock it takes no time, whatever a busy machine makes of it
    fs.client._transport._hosts = _Hosts(0.0, Clock())
    fs.pipe(f"{BUCKET}/before", b"1")
    absent = Absent(emulator, fs)
    absent.leave()
    assert fs.cat(f"{BUCKET}/before") == b"1"
    assert caplog.records == []


class Crowd(faults.Action):
    """Lets the first requests go on when `first` are there, refuses the next three, and counts those at once at last.

    The others wait until the client has taken notice of the refusals, by `pause`. Those that come later wait until all
    of these are answered, and then a moment for more than `few` at once.
    """

    def __init__(self, first, few):
        self._first, self._few = first, few
        self._refusal, self._lock = faults.Refuse(-71), threading.Lock()
        self._all_there, self._many = threading.Barrier(first, timeout=30), threading.Event()
        self._refusals, self._noticed = itertools.count(1), threading.Event()
        self._number, self._running, self.most = 0, set(), 0
        # in flight at the refusals, or soon after
        self._early, self._answered = set(), threading.Event()

    def pause(self, seconds):
        """Stand in for the pause before a retry."""
        if next(self._refusals) == 3:
            self._noticed.set()

    def before(self, call):
        with self._lock:
            self._number += 1
            number = self._number
            self._running.add(id(call))
            if number <= 3 * self._first:
                self._early.add(id(call))
        if number <= self._first:
            self._all_there.wait()
        elif number <= self._first + 3:
            with self._lock:
                self._running.discard(id(call))
            return self._refusal.before(call)
        else:
            assert self._noticed.wait(30)
            if number > 3 * self._first:
                assert self._answered.wait(30)
                self._count()
        return None

    def _count(self):
        with self._lock:
            self.most = max(self.most, len(self._running))
            if self.most > self._few:
                self._many.set()
        self._many.wait(0.05)

    def after(self, call, reply):
        with self._lock:
            self._running.discard(id(call))
            self._early.discard(id(call))
            if not self._early and self._number >= 3 * self._first:
                self._answered.set()
        return reply


@pytest.mark.parametrize("batch_size", [None, 12])
def test_a_service_that_throttles_gets_fewer_small_requests(emulator, batch_size):
    fs = fsspec.filesystem("cosv4", **emulator.storage_options, max_requests=16, use_listings_cache=False)
    crowd = Crowd(first=8, few=4)
    fs.client._policy = RetryPolicy(None, 120.0, sleep=crowd.pause)
    emulator.faults.add(action=crowd, op="upload", times=None)
    names = [f"{BUCKET}/{number}" for number in range(48)]
    fs.pipe(dict.fromkeys(names, b"x"), batch_size=batch_size)
    assert set(fs.find(BUCKET)) == set(names)
    # two, and one more for every twenty that went well
    assert 2 <= crowd.most <= 4
    assert fs.client.retries == 3
