"""Checks of arguments. What they refuse is misuse, a `TypeError` or `ValueError`: it is never returned as a result."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from types import NoneType
from typing import Any, TypedDict, TypeVar

from fsspec.utils import stringify_path

_F = TypeVar("_F", bound=Callable[..., Any])


class GetKeywords(TypedDict, total=False):
    """Further keywords of `get`: those of `get_file`."""

    max_concurrency: int | None


class CatKeywords(GetKeywords, total=False):
    """Further keywords of `cat`: those of `cat_file`."""

    start: int | None
    end: int | None


def shows_keywords(keywords: type, *, others: bool = False, default: Any = None) -> Callable[[_F], _F]:
    """Decorate a method whose last parameter is ``**name: Unpack[keywords]``: its signature has every keyword.

    Type checkers know what `Unpack` means, but neither `help` nor the completion of notebooks does.

    Parameters
    ----------
    keywords : type
        The `TypedDict`.
    others : bool
        Whether the method takes keywords of any other name, too, and the signature keeps the last parameter.
    default : object
        The default of the keywords, as the signature shows it.
    """

    def decorate(method: _F) -> _F:
        *named, last = inspect.signature(method).parameters.values()
        kinds = {name: str(getattr(kind, "__forward_arg__", kind)) for name, kind in keywords.__annotations__.items()}
        shown = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_or_none(kind))
            for name, kind in kinds.items()
        ]
        shown += [last] if others else []
        method.__signature__ = inspect.signature(method).replace(parameters=[*named, *shown])  # type: ignore[attr-defined]
        return method

    return decorate


def is_method(function: _F) -> _F:
    """Decorate a function that classes take as a method: its signature begins with ``self``, as that of any other."""
    first, *others = inspect.signature(function).parameters.values()
    shown = [first.replace(name="self", annotation=inspect.Parameter.empty), *others]
    function.__signature__ = inspect.signature(function).replace(parameters=shown)  # type: ignore[attr-defined]
    return function


def _or_none(annotation: str) -> str:
    return annotation if "None" in annotation else f"{annotation} | None"


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return an argument as an `int`; it may be an integer of any kind, such as one of numpy.

    Raises
    ------
    TypeError
        It is no integer; a bool counts as none.
    ValueError
        It is less than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def whole_or_none(name: str, value: Any, least: int | None = None) -> int | None:
    """Return the same as `whole`; None for None."""
    return None if value is None else whole(name, value, least)


def path_text(path: Any) -> str:
    """Return one path as text.

    Raises
    ------
    TypeError
        It is neither a `str` nor an `os.PathLike` that stands for one, but a list or bytes, for example.
    """
    text = stringify_path(path)
    if not isinstance(text, str):
        raise TypeError(f"a path must be a str or an os.PathLike, not {path!r}")
    return text


def check_content(path: Any, value: Any) -> None:
    """Raise a TypeError unless a value is the content of a file: bytes, or a contiguous buffer of them."""
    try:
        with memoryview(value) as view:
            if view.itemsize == 1 and view.c_contiguous:
                return
    except (TypeError, ValueError, BufferError):
        pass
    text = "a file needs bytes as its content; encode text, and use tobytes() of arrays"
    raise TypeError(f"{path}: {text}: got {type(value).__name__}")


def limits(name: str, values: Any, count: int) -> list[int | None]:
    """Return `count` limits of ranges: those of a sequence or array, or one limit for all."""
    try:
        length = len(values)
    except TypeError:
        return [whole_or_none(name, values)] * count
    if length != count:
        raise ValueError(f"{name} must have one value for each path: {count}, not {length}")
    return [whole_or_none(name, value) for value in values]


def at_once(name: str, value: Any) -> int | None:
    """Return how many files or requests may be in flight; None, and fsspec's -1, set no limit of their own."""
    return None if value is None or whole(name, value) == -1 else whole(name, value, 1)


def write_mode(mode: str, overwrite: bool | None) -> str:
    """Return the mode ``overwrite`` or ``create``; ``overwrite=False`` is the same as ``mode="create"``."""
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be overwrite or create, not {mode!r}")
    if not isinstance(overwrite, (bool, NoneType)):
        raise TypeError(f"overwrite must be True or False, not {overwrite!r}")
    if overwrite and mode == "create":
        raise ValueError("mode='create' and overwrite=True contradict each other")
    return "create" if overwrite is False else mode


def check_keywords(method: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown keywords (TypeError); the error names the most similar one."""
    names = sorted(known)
    for name in given:
        if name not in names:
            hint = hint_at(name, names, f"it takes {', '.join(names)}")
            raise TypeError(f"{method} takes no keyword {name}: {hint}")


def hint_at(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return what helps to correct an unknown name: the most similar one, or the text for none."""
    similar = get_close_matches(name, list(names), 1)
    return f"did you mean {similar[0]}?" if similar else otherwise
