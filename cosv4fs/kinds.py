"""The kinds of values that options have: what is read as one, and how the documentation describes it."""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from numbers import Real
from urllib.parse import urlsplit

from fsspec.caching import caches

from cosv4fs.redaction import Secret
from cosv4fs.regions import short_code

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

_WITH_PATH_OF_API = re.compile("/files/v[12](/|$)")
"""What the vendor's documentation adds to the host in its examples (cos.md#hosts)."""

_PROXIED = re.compile("(https?|all)(://.+)?")
"""What a proxy can be for."""


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Profiles, environment variables, fsspec's configuration and the command line hold text, so every kind is read from
    text as well as from Python values.
    """

    read: Callable[[object], object]
    """Returns the value that the configuration holds, or None if the given one is invalid; raises a ValueError or
    TypeError where `expected` would not explain enough."""
    annotation: str
    """The type of the values that Python code passes, as signatures show it."""
    expected: str
    """The valid values, in words that follow "must be"."""
    listed: str = ""
    """The valid values as the documentation lists them; empty if the meaning of the option tells them."""


def _text(value: object) -> str | None:
    """Read text without surrounding blanks. Configuration files hold some texts, such as an appid, as numbers."""
    is_text = isinstance(value, (str, int)) and not isinstance(value, bool)
    return str(value).strip() if is_text else None


def matching(pattern: str, expected: str, annotation: str = "str") -> Kind:
    """Return the kind of texts that match a regular expression."""

    def read(value: object) -> str | None:
        text = _text(value)
        return text if text is not None and re.fullmatch(pattern, text) else None

    return Kind(read, annotation, expected)


def _region(value: object) -> str | None:
    """Read a region as the short code of its name (cos.md#hosts)."""
    text = _text(value)
    return short_code(text) if text is not None and re.fullmatch("[A-Za-z0-9-]*", text) else None


def _key_name(value: object) -> str | None:
    text = _text(value)
    return text if text is not None and text.isprintable() else None


def _key(value: object) -> Secret | None:
    text = _key_name(value)
    return None if text is None else Secret(text)


def _flag(value: object) -> bool | None:
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _number(value: object, kind: type[int | float]) -> int | float | None:
    """Read a number of a type, or of one like it, such as numpy's; integers count as floats."""
    if isinstance(value, bool) or not (isinstance(value, (str, Real)) or hasattr(value, "__index__")):
        return None
    with suppress(ValueError, TypeError):
        return kind(value) if isinstance(value, str) or kind is float else operator.index(value)
    return None


def integer(at_least: int = 0, at_most: int | None = None) -> Kind:
    """Return the kind of integers within bounds."""

    def read(value: object) -> int | float | None:
        number = _number(value, int)
        is_valid = number is not None and number >= at_least and (at_most is None or number <= at_most)
        return number if is_valid else None

    bounds = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
    return Kind(read, "int", f"a number, {bounds}", bounds)


def one_of(choices: Sequence[int]) -> Kind:
    """Return the kind of integers that are among some."""

    def read(value: object) -> int | float | None:
        number = _number(value, int)
        return number if number in choices else None

    listed = ", ".join(map(str, choices))
    return Kind(read, "int", f"one of {listed}", listed)


def seconds(*, may_be_zero: bool = True) -> Kind:
    """Return the kind of durations in seconds."""

    def read(value: object) -> float | None:
        number = _number(value, float)
        is_valid = number is not None and math.isfinite(number) and (number > 0 or (may_be_zero and number == 0))
        return number if is_valid else None

    bounds = "at least 0" if may_be_zero else "above 0"
    return Kind(read, "float", f"a number, {bounds}", bounds)


def words(*choices: str) -> Kind:
    """Return the kind of texts that are among some."""

    def read(value: object) -> str | None:
        return value if isinstance(value, str) and value in choices else None

    listed = ", ".join(choices)
    return Kind(read, f"Literal[{', '.join(map(repr, choices))}]", f"one of {listed}", listed)


def _url(value: object, *, is_template: bool = False) -> str | None:
    """Read a URL, without a slash at its end; empty means that there is none."""
    if not isinstance(value, str):
        return None
    url = value.rstrip("/")
    if "@" in url:
        # not shown: it may hold a password
        raise ValueError("must not contain a user name or password")
    if _WITH_PATH_OF_API.search(url):
        raise ValueError("must end before /files/, which begins the path of every request")
    with suppress(ValueError, LookupError, AttributeError):
        whole = url.format(bucket="b", appid="1", region="r") if is_template else url
        return url if not url or _names_a_host(whole) else None
    return None


def _names_a_host(url: str, *, any_scheme: bool = False) -> bool:
    try:
        parts = urlsplit(url)
        # asking for the port checks it
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        return False
    return usable and (any_scheme or parts.scheme in ("http", "https")) and url.isprintable() and " " not in url


def _path(value: object) -> str | None:
    """Read a local path. Outside of a shell, nobody else replaces its ``~``; `Path` would raise without a home."""
    return os.path.expanduser(value) or None if isinstance(value, (str, os.PathLike)) else None  # noqa: PTH111


def _verification(value: object) -> bool | str | None:
    flag = _flag(value)
    return _path(value) if flag is None else flag


def _proxies(value: object) -> tuple[tuple[str, str], ...] | None:
    """Read a mapping of schemes to URLs, as text in JSON; return sorted pairs, so that equal settings are equal."""
    with suppress(ValueError):
        value = json.loads(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for item in value.items() for part in item):
        return None
    for scheme, proxy in value.items():
        if not _PROXIED.fullmatch(scheme):
            raise ValueError(f"must be for http, https or all, perhaps of one host (http://host), not for {scheme!r}")
        if not _names_a_host(proxy if "://" in proxy else f"http://{proxy}", any_scheme=True):
            # not shown: it may hold a password
            raise ValueError(f"must have a URL such as http://proxy:3128 for {scheme!r}")
    return tuple(sorted(value.items()))


def _provider(value: object) -> object:
    if not callable(value):
        raise TypeError("must be a callable that returns secret_id, secret_key and, if they expire, expires")
    return value


def cache_type(value: object) -> str | None:
    """Return a type of cache for reading; None if it is invalid."""
    return value if isinstance(value, str) and (value == "parallel" or value in caches) else None


FLAG = Kind(_flag, "bool", f"one of {', '.join(_TRUE)} (true) or {', '.join(_FALSE)} (false)", "true or false")
FOLDER = Kind(_path, "str | os.PathLike[str]", "the path of a folder")
KEY_NAME, KEY = (
    Kind(read, "str", "printable text, without line breaks and control characters") for read in (_key_name, _key)
)
URL, URL_TEMPLATE = (
    Kind(read, "str", "a URL such as http://127.0.0.1:8080") for read in (_url, partial(_url, is_template=True))
)
CACHE_TYPE = Kind(cache_type, "str", "parallel or a cache of fsspec")
PROFILE = Kind(_text, "str", "text")
PROVIDER = Kind(_provider, "Callable[[], Mapping[str, Any]]", "a function")
PROXIES = Kind(_proxies, "Mapping[str, str]", "a mapping of schemes to URLs, such as {'https': 'http://proxy:3128'}")
REGION = Kind(_region, "str", "a code or name such as gz or ap-guangzhou, because it becomes part of a host name")
VERIFICATION = Kind(_verification, "bool | str | os.PathLike[str]", "true, false or the path of a CA bundle")
