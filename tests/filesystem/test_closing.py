"""One file, two threads: it is finished once, and both learn what came of it."""

import gzip
import threading
from contextlib import nullcontext, suppress

import pytest

from cosv4fs.emulator.faults import Refuse, Stall
from tests.support import Do

PROTOCOLS = ("cosv4", "cdcs")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"
TIMEOUT = 30
LAYERS = {
    "binary": {"mode": "wb"},
    "text": {"mode": "w"},
    "compressed": {"mode": "wb", "compression": "gzip"},
    "compressed text": {"mode": "w", "compression": "gzip"},
}


class Noticed:
    """A lock that tells when a second thread comes to it."""

    def __init__(self, lock):
        self._lock, self._owner = lock, threading.get_ident()
        self.second = threading.Event()
        self.first = None

    def __enter__(self):
        self.first = self.first or threading.get_ident()
        if threading.get_ident() != self.first:
            self.second.set()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def binary_of(file):
    """Return the file that closing and writing meet at: the compressing one, or the object itself."""
    return getattr(file, "buffer", file)


def start(action, told):
    def run():
        try:
            told.append(action())
        except Exception as error:
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def both(file, emulator, wire, first, second):
    """Do two things with a file, the second while the first waits for the service; return what each came to."""
    lock = binary_of(file)._lock = Noticed(binary_of(file)._lock)
    stall, told = Stall(), ([], [])
    emulator.faults.add(op=wire.upload, action=stall)
    threads = [start(first, told[0])]
    assert stall.entered.wait(TIMEOUT)
    threads.append(start(second, told[1]))
    assert lock.second.wait(TIMEOUT)
    stall.release.set()
    for thread in threads:
        thread.join(TIMEOUT)
    return told[0][0], told[1][0]


def opened(fs, layer):
    file = fs.open(PATH, **LAYERS[layer])
    file.write("content" if "b" not in LAYERS[layer]["mode"] else b"content")
    return file


def uploads(emulator, wire):
    return [request for request in emulator.requests if request.op == wire.upload]


@pytest.mark.parametrize("layer", list(LAYERS))
def test_two_threads_close(fs, second, emulator, wire, layer):
    file = opened(fs, layer)
    assert both(file, emulator, wire, file.close, file.close) == (None, None)
    assert len(uploads(emulator, wire)) == 1
    found = second.cat_file(PATH)
    assert (gzip.decompress(found) if "compressed" in layer else found) == b"content"


@pytest.mark.parametrize("layer", list(LAYERS))
def test_two_threads_learn_of_the_same_failure(fs, second, emulator, wire, layer):
    file = opened(fs, layer)
    stall = Stall()
    refusal = Refuse("AuthFailed" if wire.upload == "PutObject" else -61)
    lock = binary_of(file)._lock = Noticed(binary_of(file)._lock)
    emulator.faults.add(op=wire.upload, action=Do(lambda: (stall.entered.set(), stall.release.wait(TIMEOUT))))
    emulator.faults.add(op=wire.upload, action=refusal)
    told = ([], [])
    threads = [start(file.close, told[0])]
    assert stall.entered.wait(TIMEOUT)
    threads.append(start(file.close, told[1]))
    assert lock.second.wait(TIMEOUT)
    stall.release.set()
    for thread in threads:
        thread.join(TIMEOUT)
    (first,), (other,) = told
    assert isinstance(first, PermissionError)
    assert (type(other), other.args) == (type(first), first.args)
    assert not second.exists(PATH)
    # closing it again raises nothing
    file.close()


@pytest.mark.parametrize("error", [None, PermissionError])
def test_text_is_closed_by_another_thread_between_two_steps(fs, second, emulator, wire, monkeypatch, error):
    if error:
        emulator.faults.add(op=wire.upload, action=Refuse("AuthFailed" if wire.upload == "PutObject" else -61))

    def flush():
        monkeypatch.undo()
        with suppress(PermissionError):
            file.close()
        if not error:
            raise ValueError

    with nullcontext() if error else fs.transaction:
        file = opened(fs, "text")
        monkeypatch.setattr(file, "flush", flush)
        with pytest.raises(error or ValueError):
            file.close()
    assert second.exists(PATH) == (not error)


@pytest.mark.parametrize("layer", ["binary", "compressed"])
def test_what_is_written_while_another_thread_closes_is_refused(fs, second, emulator, wire, layer):
    file = opened(fs, layer)
    closed, written = both(file, emulator, wire, file.close, lambda: file.write(b"late"))
    assert closed is None
    assert isinstance(written, ValueError)
    found = second.cat_file(PATH)
    assert (gzip.decompress(found) if "compressed" in layer else found) == b"content"


def test_a_discard_that_comes_too_late_changes_nothing(fs, second, emulator, wire):
    file = opened(fs, "binary")
    assert both(file, emulator, wire, file.close, file.discard) == (None, None)
    assert second.cat_file(PATH) == b"content"


@pytest.mark.protocol("cosv4")
def test_a_commit_after_a_discard_is_refused(fs, second):
    with fs.transaction:
        file = opened(fs, "binary")
        file.close()
        file.discard()
    with pytest.raises(OSError, match="was discarded"):
        file.commit()
    assert not second.exists(PATH)


@pytest.mark.protocol("cosv4")
def test_a_discard_after_a_commit_changes_nothing(fs, second):
    with fs.transaction:
        file = opened(fs, "binary")
        file.close()
    file.discard()
    assert second.cat_file(PATH) == b"content"
