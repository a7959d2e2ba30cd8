"""How a filesystem travels to another process: as the options it was made with, and never as an error on the way.

Whoever unpickles is often not who wants to use the filesystem: a scheduler passes it on, and a worker of dask that
fails while it reads its messages ends itself, so that a job waits for ever. What is missing, such as credentials that
were taken from the environment, is therefore told when the filesystem is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from cosv4fs.config import Config, discreet

__all__ = ["Expected", "arrive", "token"]


def token(kind: type, config: Config) -> str:
    """Return a hash, 32 hexadecimal digits, that is the same wherever a filesystem has this configuration."""
    described = [kind.__qualname__, *(getattr(config, field.name) for field in fields(config))]
    return hashlib.sha256(json.dumps(described, default=_name).encode()).hexdigest()[:32]


def _name(function: Any) -> str:
    """Return what a callable option is called where that tells everything, else what tells it from all others."""
    name = getattr(function, "__qualname__", "<")
    return repr(function) if "<" in name or hasattr(function, "__self__") else f"{function.__module__}.{name}"


@discreet
def arrive(make: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Return the filesystem of a pickle, or what stands for it where it cannot be made."""
    try:
        return make(*arguments, **options)
    except (TypeError, ValueError):
        return Expected(make, arguments, options)


class Expected:
    """Stands for a filesystem that could not be made here; every use tries again to make it, and raises the error.

    Parameters
    ----------
    make : callable
        Makes the filesystem.
    arguments, options : tuple, dict
        What it was made with.
    """

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        self._made_of = make, arguments, options

    def __getattr__(self, name: str) -> Any:
        # what Python and pickle look for is not a use
        if name.startswith("__") or name == "_made_of":
            raise AttributeError(name)
        return getattr(self._make(), name)

    @discreet
    def _make(self) -> Any:
        make, arguments, options = self._made_of
        return make(*arguments, **options)

    def __repr__(self) -> str:
        return f"<{self._made_of[0].__name__} that cannot be made here>"

    def __reduce__(self) -> tuple[Any, ...]:
        return arrive, self._made_of
