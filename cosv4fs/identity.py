"""Identity of filesystems: signatures, tokens, descriptions in JSON, and pickles that always load.

The process that unpickles a filesystem often does not use it: a scheduler passes it on, and a worker of dask that fails
while reading its messages ends itself, so that a job hangs. An error of the constructor, such as missing credentials,
is therefore raised when the filesystem is used.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from fsspec.spec import AbstractFileSystem

from cosv4fs.config import Config, environment_of
from cosv4fs.options import OPTIONS
from cosv4fs.redaction import clears_frames

_T = TypeVar("_T")

_SECRETS = {option.name for option in OPTIONS if option.is_secret}


class FilesystemType(type(AbstractFileSystem)):  # type: ignore[misc]
    """The metaclass of the filesystems: its constructors leave no secrets in frames, and show their parameters."""

    # it has no docstring, so that tools show that of the class, and the signature of its constructor
    @clears_frames
    def __call__(cls: type[_T], *args: Any, **kwargs: Any) -> _T:  # noqa: D102
        made: _T = super().__call__(*args, **kwargs)  # type: ignore[misc]  # fsspec is not typed
        return made

    @property
    def _environment(cls) -> tuple[str | None, ...]:
        """The environment that options come from; fsspec hashes it into the identity of instances."""
        return environment_of(cls.service.protocol)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's signature, which the metaclass of fsspec hides."""
        constructor = inspect.signature(cls.__init__)  # type: ignore[misc]  # it is the class's own
        return inspect.Signature(list(constructor.parameters.values())[1:])


def token(kind: type, config: Config) -> str:
    """Return a hash, 32 hexadecimal digits, that is equal in all processes for equal configurations."""
    values = [kind.__qualname__, *(getattr(config, field.name) for field in fields(config))]
    return hashlib.sha256(json.dumps(values, default=_name).encode()).hexdigest()[:32]


def _name(value: Any) -> str:
    """Return the qualified name of a function if that identifies it, else its repr."""
    name = getattr(value, "__qualname__", "<")
    return repr(value) if "<" in name or hasattr(value, "__self__") else f"{value.__module__}.{name}"


def description(fs: Any, *, secrets: bool) -> dict[str, Any]:
    """Return a description of a filesystem, with or without `secrets`; see its method `to_dict`.

    The filesystem is not modified, because other threads may use it.
    """
    from fsspec.json import FilesystemJSONEncoder  # noqa: PLC0415 - the oldest fsspec has no such module

    given = {**inspect.signature(type(fs)).bind_partial(*fs.storage_args).arguments, **fs.storage_options}
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
    """Return the filesystem of a pickle, or a stand-in if it cannot be made in this process."""
    try:
        return make(*arguments, **options)
    except (TypeError, ValueError):
        return _Unavailable(make, arguments, options)


class _Unavailable:
    """Stand-in for a filesystem that could not be made: every use tries to make it again, and raises the error."""

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
