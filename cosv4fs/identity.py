"""What a filesystem is told by, and how it travels to another process: as its options, never as an error on the way.

The process that unpickles often does not use the filesystem: a scheduler passes it on, and a worker of dask that
fails while it reads its messages ends itself, so that a job waits for ever. What is missing, such as credentials that
were taken from the environment, is therefore told when the filesystem is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from fsspec.spec import AbstractFileSystem

from cosv4fs.config import Config
from cosv4fs.options import OPTIONS
from cosv4fs.redaction import clears_frames


def token(kind: type, config: Config) -> str:
    """Return a hash, 32 hexadecimal digits, that is the same wherever a filesystem has this configuration."""
    described = [kind.__qualname__, *(getattr(config, field.name) for field in fields(config))]
    return hashlib.sha256(json.dumps(described, default=_name).encode()).hexdigest()[:32]


def _name(function: Any) -> str:
    """Return what a callable option is called where that tells everything, else what tells it from all others."""
    name = getattr(function, "__qualname__", "<")
    return repr(function) if "<" in name or hasattr(function, "__self__") else f"{function.__module__}.{name}"


_SECRETS = {option.name for option in OPTIONS if option.is_secret}


class Discreet(type(AbstractFileSystem)):  # type: ignore[misc]
    """Makes filesystems; where that fails, no frame of the error keeps the secrets that were given."""

    @clears_frames
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return an instance, perhaps one that fsspec keeps."""
        return super().__call__(*args, **kwargs)


def described(fs: Any, positional: Sequence[str], *, secrets: bool) -> dict[str, Any]:
    """Return a description from which ``from_dict`` makes an equal filesystem; JSON can hold it.

    Parameters
    ----------
    fs : filesystem
        It is not changed: other threads use it meanwhile.
    positional : sequence of str
        The names of the options that may be given by position.
    secrets : bool
        Whether the description contains keys, tokens and the URLs of proxies.

    Raises
    ------
    TypeError
        The keys come from a function, which JSON cannot hold; a pickle can.
    """
    from fsspec.json import FilesystemJSONEncoder  # noqa: PLC0415 - the oldest fsspec has no such module

    given = {**dict(zip(positional, fs.storage_args, strict=False)), **fs.storage_options}
    # the encoder of fsspec refuses None, which is the default of every option
    options = {name: value for name, value in given.items() if value is not None}
    if not secrets:
        options = {name: value for name, value in options.items() if name not in _SECRETS}
    elif "credentials" in options:
        raise TypeError("credentials=function cannot be written as JSON: pickle the filesystem instead")
    fields = FilesystemJSONEncoder().make_serializable(options)
    return {"cls": f"{type(fs).__module__}:{type(fs).__name__}", "protocol": fs.protocol, "args": [], **fields}


@clears_frames
def restore(make: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
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

    @clears_frames
    def _make(self) -> Any:
        make, arguments, options = self._made_of
        return make(*arguments, **options)

    def __repr__(self) -> str:
        return f"<{self._made_of[0].__name__} that cannot be made here>"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, self._made_of
