"""What the configuration and the caller's situation make probable about an error, in words at the end of its text."""

from __future__ import annotations

from cosv4fs.config import Config
from cosv4fs.errors import CosError, CosPermissionError, refused_before

_ID_PREFIX = "AKID"
"""How the names of keys begin (cos.md#signature)."""


def add_hints(error: CosError, config: Config) -> None:
    """Add to the text of an error what helps to find its cause."""
    for hint in (_swapped_keys(error, config), _anonymous(error) if config.anon else ""):
        if hint and error.strerror and hint not in error.strerror:
            error.strerror += f"; {hint}"


def _anonymous(error: CosError) -> str:
    if isinstance(error, CosPermissionError):
        return refused_before() or "only public objects can be read without keys: leave out anon=True"
    return refused_before()


def _swapped_keys(error: CosError, config: Config) -> str:
    is_swapped = config.secret_key.startswith(_ID_PREFIX) and not config.secret_id.startswith(_ID_PREFIX)
    if isinstance(error, CosPermissionError) and is_swapped:
        return f"secret_id and secret_key are probably swapped: only a secret_id begins with {_ID_PREFIX}"
    return ""
