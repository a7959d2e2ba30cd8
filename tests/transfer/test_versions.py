"""One version of an object is read where replies do not identify it: by its status before and after each range."""

from types import SimpleNamespace

import pytest

from cosv4fs.concurrency import cancellation
from cosv4fs.transfer import versions
from cosv4fs.transfer.versions import VersionGuard

SIZE, NOW = 10, 1_000_000


class Service:
    """A service whose clock, like the client's, only advances when the client waits."""

    def __init__(self, monkeypatch):
        self.now = float(NOW)
        self.modified, self.sha, self.size = NOW, None, SIZE
        monkeypatch.setattr(versions, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(cancellation, "sleep", self.sleep)

    def sleep(self, seconds):
        self.now += seconds

    def file_status(self, bucket, key):
        assert (bucket, key) == ("box", "/x")
        identifies = self.sha is not None
        return SimpleNamespace(size=self.size, modified=self.modified, sha=self.sha, identifies_content=identifies)

    def reply(self):
        return SimpleNamespace(date=self.now)


@pytest.fixture
def service(monkeypatch):
    return Service(monkeypatch)


def test_an_old_object_is_accepted_at_once(service):
    service.modified = NOW - 3600
    guard = VersionGuard("box/x", SIZE)
    assert guard.accepts(service, service.reply(), service.now)
    assert service.now == NOW


def test_a_range_read_before_the_first_status_is_read_again_though_that_has_a_sha(service):
    """The object may have been replaced between the two."""
    service.sha = "a" * 40
    guard = VersionGuard("box/x", SIZE)
    assert not guard.accepts(service, service.reply(), service.now)
    assert guard.accepts(service, service.reply(), service.now)
    assert service.now == NOW


def test_a_sha_that_was_known_before_identifies_the_content(service):
    service.sha = "a" * 40
    guard = VersionGuard("box/x", SIZE, {"sha": service.sha})
    assert guard.accepts(service, service.reply(), service.now)


def test_a_young_object_without_a_sha_is_read_again_after_a_pause(service):
    guard = VersionGuard("box/x", SIZE, {"mtime": NOW})
    assert not guard.accepts(service, service.reply(), service.now)
    assert service.now > NOW + 1
    assert guard.accepts(service, service.reply(), service.now)


@pytest.mark.parametrize("change", [{"modified": NOW + 1}, {"sha": "b" * 40}, {"size": SIZE + 1}])
def test_a_replaced_object_is_refused(service, change):
    service.sha = "a" * 40
    guard = VersionGuard("box/x", SIZE)
    guard.check(service)
    vars(service).update(change)
    with pytest.raises(OSError, match="replaced") as caught:
        guard.accepts(service, service.reply(), service.now)
    assert caught.value.filename == "box/x"
