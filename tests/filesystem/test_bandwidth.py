"""The bytes per second of a process are limited, wherever bytes are sent or received."""

import pytest

from cosv4fs.concurrency import cancellation
from cosv4fs.concurrency.limits import Bandwidth, receiving, sending
from cosv4fs.emulator import faults
from tests.filesystem.conftest import EVERY
from tests.support import MIB, Clock, content

BUCKET = "test-1250000000"
RATE = 1024 * 1024


class Steps:
    """Records what a limit was asked for. Its clock stands, and nothing waits: `seconds` is what it would take."""

    def __init__(self, monkeypatch, bandwidth):
        self.counts, take = [], bandwidth.take

        def record(count):
            self.counts.append(count)
            take(count)

        self._bandwidth = bandwidth
        monkeypatch.setattr(bandwidth, "_clock", lambda: 1000.0)
        monkeypatch.setattr(bandwidth, "_wait", lambda _seconds: None)
        monkeypatch.setattr(bandwidth, "_free", 999.8)
        monkeypatch.setattr(bandwidth, "_rate", RATE)
        monkeypatch.setattr(bandwidth, "take", record)

    @property
    def seconds(self):
        return self._bandwidth._free - 999.8


@pytest.fixture
def sent(monkeypatch):
    return Steps(monkeypatch, sending)


@pytest.fixture
def received(monkeypatch):
    return Steps(monkeypatch, receiving)


@pytest.mark.protocol(*EVERY)
def test_large_files(fs, sent, received, tmp_path):
    (tmp_path / "local").write_bytes(content(9 * MIB))
    fs.put_file(tmp_path / "local", f"{BUCKET}/large")
    # the rest are the heads of forms and the bodies of other calls
    assert sent.seconds == pytest.approx(9 * MIB / RATE, rel=0.01)
    assert max(sent.counts) <= RATE / 20
    assert received.seconds < 0.1
    assert fs.cat_file(f"{BUCKET}/large") == content(9 * MIB)
    assert received.seconds == pytest.approx(9 * MIB / RATE, rel=0.01)
    assert max(received.counts) <= RATE / 20


@pytest.mark.protocol(*EVERY)
def test_small_files(fs, sent, received):
    for number in range(4):
        fs.pipe_file(f"{BUCKET}/{number}", bytes(40_000))
        assert fs.cat_file(f"{BUCKET}/{number}") == bytes(40_000)
    assert sent.seconds == pytest.approx(160_000 / RATE, rel=0.1)
    assert received.seconds == pytest.approx(160_000 / RATE, rel=0.1)


def test_written_and_read_step_by_step(fs, sent, received):
    with fs.open(f"{BUCKET}/a", "wb") as file:
        file.write(content(6 * MIB))
    assert sent.seconds == pytest.approx(6 * MIB / RATE, rel=0.01)
    with fs.open(f"{BUCKET}/a", cache_type="none") as file:
        assert len(file.read(2 * MIB)) == 2 * MIB
    assert received.seconds == pytest.approx(2 * MIB / RATE, rel=0.01)


def test_what_is_sent_again_counts_again(fs, emulator, sent):
    emulator.faults.add(op="upload", action=faults.HttpError(500))
    fs.pipe_file(f"{BUCKET}/a", bytes(MIB))
    assert sent.seconds == pytest.approx(2 * MIB / RATE, rel=0.01)


class TestRate:
    """The limit alone, with a clock that passes only while somebody waits."""

    @pytest.fixture
    def clock(self):
        return Clock(1000.0)

    @pytest.fixture
    def limit(self, clock):
        limit = Bandwidth(clock, clock.sleep)
        limit.limit(100)
        return limit

    def test_holds_on_average(self, limit, clock):
        for _ in range(40):
            limit.take(25)
        assert clock.now - 1000.0 == pytest.approx(10.0 - 0.2)

    def test_catches_up_on_little(self, limit, clock):
        limit.take(100)
        clock.now += 60
        began = clock.now
        for _ in range(10):
            limit.take(100)
        assert clock.now - began == pytest.approx(10.0 - 0.2)

    def test_a_late_waker_catches_up(self, limit, clock):
        limit.take(10)
        for _ in range(10):
            clock.now += 0.15
            limit.take(10)
        assert clock.slept == []

    def test_steps(self, limit):
        assert [limit.step(most) for most in (10, 10_000)] == [10, 4096]
        limit.limit(2_000_000)
        assert limit.step(10**9) == 100_000
        limit.limit(None)
        assert limit.step(10**9) == 10**9

    def test_without_a_rate_nothing_waits(self, clock):
        Bandwidth(clock, clock.sleep).take(10**12)
        assert clock.slept == []

    @pytest.fixture
    def awake(self, monkeypatch):
        """Nothing may sleep."""

        def sleep(_seconds):
            raise AssertionError("slept")

        monkeypatch.setattr("time.sleep", sleep)

    def test_a_cancelled_thread_does_not_wait(self, awake):
        limit, owner = Bandwidth(), object()
        limit.limit(1)
        with cancellation.working_for(owner):
            cancellation.cancel(owner)
            with pytest.raises(InterruptedError):
                limit.take(1000)

    def test_cleaning_up_after_an_interrupt_does_not_wait(self, awake):
        limit, done = Bandwidth(), []
        limit.limit(1)
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            cancellation.clean_up(lambda: (limit.take(1000), done.append(True)))
        assert done == [True]
