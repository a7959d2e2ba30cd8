"""The account that a local service serves: the only one it knows."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from .errors import EmulatorError

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
