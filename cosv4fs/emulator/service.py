"""The context of the operations of a service: the account, the store, the dialect and the clock."""

from __future__ import annotations

import contextlib
import hmac
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from .dialects import Switches
from .errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .store import Store

AnyDialect = TypeVar("AnyDialect", bound=Switches)

DEFAULT_SECRET_ID = "AKIDlocalEmulatorSecretId0123456789"  # noqa: S105
"""The account's id when none is given; it opens nothing but an emulator."""

DEFAULT_SECRET_KEY = "localEmulatorSecretKey0123456789"  # noqa: S105  it opens nothing but an emulator
"""The account's key when none is given."""


@dataclass(frozen=True)
class Account:
    """An account with its keys.

    Parameters
    ----------
    appid : str
        Its number, as text.
    secret_id, secret_key : str
        Its keys.
    region : str
        The region of its buckets: the short code in URLs, or the name that coffers show.
    token : str, optional
        The token of temporary keys; None: the keys are permanent.

    Raises
    ------
    EmulatorError
        The appid is not a number.
    """

    appid: str = "1250000000"
    secret_id: str = DEFAULT_SECRET_ID
    secret_key: str = field(default=DEFAULT_SECRET_KEY, repr=False)
    region: str = ""
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.appid.isascii() and self.appid.isdigit()):
            raise EmulatorError(f"an appid is a number, not {self.appid!r}")

    def has_id(self, secret_id: str) -> bool:
        """Return whether a secret id is the account's."""
        return hmac.compare_digest(secret_id.encode(), self.secret_id.encode())


class UploadLocks:
    """Lets many slices or parts into an upload at a time, but its completion only alone.

    A slice that comes twice could otherwise be written into a file that is published already.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writers: dict[str, int] = {}
        self._closing: set[str] = set()

    @contextlib.contextmanager
    def writing(self, upload: str) -> Iterator[None]:
        """Wait until no completion of the upload runs, and keep the next one waiting."""
        with self._changed:
            while upload in self._closing:
                self._changed.wait()
            self._writers[upload] = self._writers.get(upload, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._writers[upload] -= 1
                if not self._writers[upload]:
                    del self._writers[upload]
                    self._changed.notify_all()

    @contextlib.contextmanager
    def closing(self, upload: str) -> Iterator[None]:
        """Wait until the upload's slices are written, and keep further ones waiting."""
        with self._changed:
            while upload in self._closing:
                self._changed.wait()
            self._closing.add(upload)
            while upload in self._writers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closing.discard(upload)
                self._changed.notify_all()


@dataclass
class Service(Generic[AnyDialect]):
    """One account with what it has stored.

    Parameters
    ----------
    account : Account
        Whose service it is.
    store : Store
        The root folder.
    dialect : Dialect or CofferDialect
        The variant of each disputed point.
    clock : callable
        Returns Unix seconds.

    Attributes
    ----------
    locks : UploadLocks
        Keeps slices and completions of one upload apart.
    """

    account: Account
    store: Store
    dialect: AnyDialect
    clock: Callable[[], float]
    locks: UploadLocks = field(default_factory=UploadLocks, init=False)
