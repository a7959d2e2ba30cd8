"""The keys that requests are signed with (of the configuration, or temporary ones from a provider), and the time."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cosv4fs.api.quirks import Quirks
from cosv4fs.api.responses import header_seconds
from cosv4fs.config import Config
from cosv4fs.errors import CosError, make_error
from cosv4fs.forking import renewed_after_fork, shared_lock
from cosv4fs.options import option_named
from cosv4fs.redaction import Secret

_BEFORE = 60.0
"""Seconds before they expire that keys are renewed; of short-lived ones at most a tenth of their life."""


@dataclass(frozen=True)
class Keys:
    """A key with its name; `expires` is in Unix seconds, or None, and `token` is sent with a temporary key."""

    secret_id: str
    secret_key: Secret
    expires: float | None = None
    token: Secret = field(default_factory=Secret)


class SignerBase:
    """What signs the requests of one account: valid keys, and the server's time.

    The provider of keys is the option ``credentials``: it returns a mapping with ``secret_id``, ``secret_key`` and
    perhaps ``security_token`` and ``expires`` (Unix seconds, or a datetime). It is called again before they expire.
    """

    _least_difference = 1.0
    """Seconds by which clocks have to differ before that may be why a signature was refused."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time, quirks: Quirks | None = None) -> None:
        self._config, self._clock = config, clock
        self._quirks = quirks or Quirks()
        self.after_fork()
        renewed_after_fork(self)
        self._keys = Keys(config.secret_id, Secret(config.secret_key), None, Secret(config.security_token))
        self._no_token = option_named("security_token").refused.get(config.protocol.name)
        self._renew_at = float("-inf") if config.credentials is not None else float("inf")

    def after_fork(self) -> None:
        """Make a new lock: a thread of the parent may have held the old one."""
        self._lock = shared_lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._config.api_root}>"

    def current_keys(self) -> Keys:
        """Return valid keys; raise `PermissionError` if the provider fails, or what it returns is unusable."""
        provider = self._config.credentials
        with self._lock:
            if self._clock() >= self._renew_at and provider is not None:
                keys = _call(provider)
                if keys.token and self._no_token is not None:
                    text = f"the provider of credentials returned a security_token: {self._no_token}"
                    raise make_error(errno.EACCES, text, None)
                self._keys = keys
                self._renew_at = self._time_to_renew(self._keys)
            return self._keys

    def _time_to_renew(self, keys: Keys) -> float:
        if keys.expires is None:
            return float("inf")
        return keys.expires - min(_BEFORE, max(0.0, keys.expires - self._clock()) / 10)

    def difference(self, date: str | None) -> float | None:
        """Return by how many seconds a ``Date`` header is ahead of this machine's clock; None when it is no date."""
        server = header_seconds(date)
        return None if server is None else server - self._clock()

    def adopt_server_date(self, date: str | None) -> bool:
        """Follow a ``Date`` header from now on; return whether that changes anything."""
        offset = self.difference(date)
        if offset is None or abs(offset - self._quirks.clock_offset) <= self._least_difference:
            return False
        self._quirks.learn(clock_offset=offset if abs(offset) > self._least_difference else 0.0)
        return True

    def _server_now(self) -> int:
        return int(self._clock() + self._quirks.clock_offset)


class _IncompleteError(Exception):
    """Raised when a provider did not return all keys; its text has names only."""


def _call(provider: Callable[[], Mapping[str, Any]]) -> Keys:
    try:
        # in no variable of this frame, which the error below refers to
        return _keys(provider())
    except CosError:
        raise
    except _IncompleteError as error:
        failed = str(error)
    except Exception as error:  # noqa: BLE001 - a provider may raise anything
        # neither its text nor its variables are shown: they may hold what it got from a vault
        failed = f"failed: {type(error).__name__}{_place(error)}"
    # outside the handler: chained, the error would be shown after all
    needed = "it has to return a mapping with secret_id, secret_key and, if they expire, expires"
    raise make_error(errno.EACCES, f"the provider of credentials {failed}; {needed}", None)


def _keys(answer: Mapping[str, Any]) -> Keys:
    missing = [name for name in ("secret_id", "secret_key") if not answer.get(name)]
    if missing:
        raise _IncompleteError(f"returned no {' and no '.join(missing)}")
    expires = answer.get("expires")
    when = expires.timestamp() if isinstance(expires, datetime) else None if expires is None else float(expires)
    token = Secret(answer.get("security_token") or "")
    return Keys(str(answer["secret_id"]), Secret(answer["secret_key"]), when, token)


def _place(error: Exception) -> str:
    """Return where the provider's own code failed, as far as that is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    if not frames:
        return ""
    return f" in {frames[-1].name} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
