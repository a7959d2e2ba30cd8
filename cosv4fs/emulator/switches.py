"""Sets of switches: one field per disputed point of a protocol, checked, and readable from a command line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Switches"]


_known_hints: dict[type, dict[str, Any]] = {}


@dataclass(frozen=True)
class Switches:
    """The base of dialects: every field has a fixed set of values, or is a positive number or None.

    Raises
    ------
    ValueError
        A value is not one of its switch's.
    """

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), hints[field.name])

    @classmethod
    def parse(cls, settings: list[str]) -> Self:
        """Return the dialect that a list of ``NAME=VALUE`` texts describes.

        Parameters
        ----------
        settings : list of str
            For example ``["parents=required", "slice_size=65536", "session_ttl=none"]``.

        Raises
        ------
        ValueError
            A name is unknown or a value is not one of the switch's; the message names the allowed ones.
        """
        hints = _hints(cls)
        values: dict[str, Any] = {}
        for setting in settings:
            name, sign, text = setting.partition("=")
            name = name.strip().replace("-", "_")
            if not sign:
                raise ValueError(f"dialect setting {setting!r} is not NAME=VALUE")
            if name not in hints:
                raise ValueError(f"unknown dialect switch {name!r}; there are: {', '.join(hints)}")
            values[name] = _read(name, text.strip(), hints[name])
        return cls(**values)

    @classmethod
    def choices(cls) -> dict[str, tuple[object, ...]]:
        """Return the values of every switch with a fixed set of them, by name, the default first."""
        fixed = {name: _allowed(hint) for name, hint in _hints(cls).items()}
        return {
            field.name: (field.default, *(value for value in fixed[field.name] if value != field.default))
            for field in dataclasses.fields(cls)
            if fixed[field.name]
        }


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _known_hints:
        # resolving them costs more than everything else that a new service does
        _known_hints[cls] = get_type_hints(cls)
    return _known_hints[cls]


def _allowed(hint: object) -> tuple[object, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (False, True) if hint is bool else ()


def _check(name: str, value: object, hint: object) -> None:
    allowed = _allowed(hint)
    if allowed:
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            raise ValueError(f"dialect switch {name} is one of {', '.join(map(str, allowed))}, not {value!r}")
    elif value is None and hint is not int:
        return
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        kind = "a" if hint is int else "None or a"
        raise ValueError(f"dialect switch {name} is {kind} positive number, not {value!r}")
    elif isinstance(value, float) and float not in get_args(hint):
        raise ValueError(f"dialect switch {name} is a whole number, not {value!r}")


def _read(name: str, text: str, hint: object) -> object:
    allowed = _allowed(hint)
    for choice in allowed:
        if text.lower() == str(choice).lower():
            return choice
    if allowed:
        raise ValueError(f"dialect switch {name} is one of {', '.join(map(str, allowed))}, not {text!r}")
    if text.lower() in {"none", ""}:
        return None
    try:
        return float(text) if float in get_args(hint) else int(text)
    except ValueError:
        raise ValueError(f"dialect switch {name} is a number or none, not {text!r}") from None
