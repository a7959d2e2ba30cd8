"""What the configuration and the caller's situation make probable about an error, in words at the end of its text."""

from __future__ import annotations

from cosv4fs.config import Config
from cosv4fs.errors import CosError, CosPermissionError, refused_before

_ID_PREFIX = "AKID"
"""How the names of keys begin (cos.md#signature)."""


_NO_BUCKET = ("no such bucket", "there is no such coffer")
"""How the texts about a bucket or coffer that does not exist begin."""


def add_hints(error: CosError, config: Config) -> None:
    """Add to the text of an error what helps to find its cause."""
    text = error.strerror or ""
    first = refused_before() if config.anon else ""
    if first and first not in text:
        # what was wrong with the keys is the cause: people read the beginning
        error.strerror = first + _second_failure(error, first)
        return
    anonymous = _anonymous(error) if config.anon and not first else ""
    for hint in (_swapped_keys(error, config), anonymous, _other_service(error, config)):
        if hint and text and hint not in text:
            error.strerror = text = f"{text}; {hint}"


def _second_failure(error: CosError, first: str) -> str:
    """Return what to add to the text of a refusal about the attempt without keys that followed it.

    Most callers do not know of it: it was pandas that passed ``anon=True``.
    """
    text = error.strerror or ""
    if text.partition(" (")[0] in first:
        # the first one had no keys, either
        return ""
    also = "; a second attempt, without keys, which pandas makes in this case, "
    return f"{also}was refused, too" if isinstance(error, CosPermissionError) else f"{also}failed as well: {text}"


def _anonymous(error: CosError) -> str:
    is_refused = isinstance(error, CosPermissionError)
    return "only public objects can be read without keys: leave out anon=True" if is_refused else ""


def _swapped_keys(error: CosError, config: Config) -> str:
    is_swapped = config.secret_key.startswith(_ID_PREFIX) and not config.secret_id.startswith(_ID_PREFIX)
    if isinstance(error, CosPermissionError) and is_swapped:
        return f"secret_id and secret_key are probably swapped: only a secret_id begins with {_ID_PREFIX}"
    return ""


def _other_service(error: CosError, config: Config) -> str:
    """Name a service that the caller has not named, such as one that a variable is left over from."""
    if not config.endpoint_source:
        return ""
    is_unknown = isinstance(error, CosPermissionError) or (error.strerror or "").startswith(_NO_BUCKET)
    return f"at {config.endpoint}, from {config.endpoint_source}" if is_unknown else ""
