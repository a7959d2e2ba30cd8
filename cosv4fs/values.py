"""The kinds of values that options take: how a value is read from Python or from text, and which are invalid.

Profiles, environment variables, fsspec's configuration and the command line hold text. Each kind therefore reads
text as well as Python values, in one way for all of these places.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from cosv4fs.redaction import Secret

TRUE = ("true", "yes", "on", "1")
"""Texts for True, in any case."""

FALSE = ("false", "no", "off", "0")
"""Texts for False, in any case."""

REGIONS = {
    "tianjin": "tj",
    "beijing": "bj",
    "shanghai": "sh",
    "guangzhou": "gz",
    "chengdu": "cd",
    "singapore": "sgp",
    "hongkong": "hk",
    "toronto": "ca",
    "frankfurt": "ger",
}
"""Long names of regions and the short codes that host names use (cos.md#hosts)."""


class Kind(Protocol):
    """A kind of value."""

    @property
    def annotation(self) -> str:
        """The type of the values that Python code passes, as signatures show it."""

    @property
    def expected(self) -> str:
        """The valid values, in words that follow "must be"."""

    def parse(self, value: object) -> object:
        """Return the value that the configuration holds.

        Raises
        ------
        ValueError, TypeError
            The value is invalid; the message goes on after the name of the option.
        """


@dataclass(frozen=True)
class Text:
    """Text without surrounding blanks; empty means that there is none.

    Parameters
    ----------
    pattern : str
        A regular expression that the text has to match.
    expected : str
        The valid texts, in words.
    annotation : str
        The type in signatures.
    """

    pattern: str = ""
    expected: str = "text"
    annotation: str = "str"

    def parse(self, value: object) -> str:
        """Return the text; configuration files are JSON and hold some texts, such as an appid, as numbers."""
        text = _text(value)
        if text is None or (text and self.pattern and not re.fullmatch(self.pattern, text)):
            raise _invalid(self, value)
        return text


@dataclass(frozen=True)
class Region:
    """The short code of a region, given as such or by the region's name (cos.md#hosts)."""

    annotation: str = "str"
    expected: str = "a short code such as gz, because it becomes part of a host name"

    def parse(self, value: object) -> str:
        """Return the short code."""
        text = _text(value)
        if text is None or not re.fullmatch(r"[A-Za-z0-9-]*", text):
            raise _invalid(self, value)
        return REGIONS.get(text.lower(), text)


@dataclass(frozen=True)
class Key:
    """A key, token or name of a key: never part of a message, and of no repr if it is secret.

    Parameters
    ----------
    is_secret : bool
        Whether the value is hidden in reprs.
    """

    is_secret: bool = True
    annotation: str = "str"
    expected: str = "printable text"

    def parse(self, value: object) -> str:
        """Return the text without surrounding blanks, which often come with a copied key."""
        text = _text(value)
        if text is None or not text.isprintable():
            raise ValueError("must be printable text, without line breaks and control characters")
        return Secret(text) if self.is_secret else text


@dataclass(frozen=True)
class Flag:
    """True or False."""

    annotation: str = "bool"
    expected: str = f"one of {', '.join(TRUE)} (true) or {', '.join(FALSE)} (false)"

    def parse(self, value: object) -> bool:
        """Return the truth value of a boolean, of 1 or 0, or of a text in `TRUE` or `FALSE`."""
        flag = _flag(value)
        if flag is None:
            raise _invalid(self, value)
        return flag


@dataclass(frozen=True)
class Integer:
    """A whole number.

    Parameters
    ----------
    at_least, at_most : int
        The bounds; `at_most` may be None.
    choices : tuple of int
        The only valid numbers, where there are few.
    """

    at_least: int = 0
    at_most: int | None = None
    choices: tuple[int, ...] = ()
    annotation: str = "int"

    @property
    def bounds(self) -> str:
        """The valid numbers, without the noun."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"at least {self.at_least}" if self.at_most is None else f"{self.at_least} to {self.at_most}"

    @property
    def expected(self) -> str:
        """The valid numbers in words."""
        return f"one of {self.bounds}" if self.choices else f"a number, {self.bounds}"

    def parse(self, value: object) -> int:
        """Return the number."""
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            raise _invalid(self, value) from None
        if not isinstance(number, int) or isinstance(number, bool):
            raise _invalid(self, value)
        too_large = self.at_most is not None and number > self.at_most
        if number < self.at_least or too_large or (self.choices and number not in self.choices):
            raise _invalid(self, value)
        return number


@dataclass(frozen=True)
class Number:
    """A finite number.

    Parameters
    ----------
    may_be_zero : bool
        Whether zero is valid; negative numbers never are.
    """

    may_be_zero: bool = True
    annotation: str = "float"

    @property
    def bounds(self) -> str:
        """The valid numbers, without the noun."""
        return "at least 0" if self.may_be_zero else "above 0"

    @property
    def expected(self) -> str:
        """The valid numbers in words."""
        return f"a number, {self.bounds}"

    def parse(self, value: object) -> float:
        """Return the number."""
        try:
            number = float(value) if isinstance(value, str) else value
        except ValueError:
            raise _invalid(self, value) from None
        if not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number):
            raise _invalid(self, value)
        if number < 0 or (number == 0 and not self.may_be_zero):
            raise _invalid(self, value)
        return number


@dataclass(frozen=True)
class Choice:
    """One of a few words.

    Parameters
    ----------
    choices : tuple of str
        The words.
    """

    choices: tuple[str, ...]

    @property
    def annotation(self) -> str:
        """The literal type of the words."""
        return f"Literal[{', '.join(map(repr, self.choices))}]"

    @property
    def expected(self) -> str:
        """The words."""
        return f"one of {', '.join(self.choices)}"

    def parse(self, value: object) -> str:
        """Return the word."""
        if not isinstance(value, str) or value not in self.choices:
            raise _invalid(self, value)
        return value


@dataclass(frozen=True)
class Url:
    """The URL of a service; empty means that there is none.

    Parameters
    ----------
    is_template : bool
        Whether ``{bucket}``, ``{appid}`` and ``{region}`` are replaced.
    """

    is_template: bool = False
    annotation: str = "str"
    expected: str = "a URL such as http://127.0.0.1:8080"

    def parse(self, value: object) -> str:
        """Return the URL without a slash at its end."""
        url = value.rstrip("/") if isinstance(value, str) else None
        if url is not None and "@" in url:
            # not shown: it may hold a password
            raise ValueError("must not contain a user name or password")
        if url is None or (url and not self._is_usable(url)):
            raise _invalid(self, value)
        return url

    def _is_usable(self, url: str) -> bool:
        try:
            return _names_a_host(url.format(bucket="b", appid="1", region="r") if self.is_template else url)
        except (ValueError, LookupError):
            return False


@dataclass(frozen=True)
class Folder:
    """A local folder."""

    annotation: str = "str | os.PathLike[str]"
    expected: str = "the path of a folder"

    def parse(self, value: object) -> str:
        """Return the path."""
        path = _path(value)
        if not path:
            raise _invalid(self, value)
        return path


@dataclass(frozen=True)
class Verification:
    """Whether certificates are verified, or the file or folder of the certificate authorities to trust."""

    annotation: str = "bool | str | os.PathLike[str]"
    expected: str = "true, false or the path of a CA bundle"

    def parse(self, value: object) -> bool | str:
        """Return a truth value, as `Flag` reads it, or a path."""
        flag = _flag(value)
        found = _path(value) if flag is None else flag
        if found is None or found == "":
            raise _invalid(self, value)
        return found


@dataclass(frozen=True)
class Proxies:
    """The URLs of proxies by scheme, which may contain passwords; as text in JSON."""

    annotation: str = "Mapping[str, str]"
    expected: str = "a mapping of schemes to URLs, such as {'https': 'http://proxy:3128'}"

    def parse(self, value: object) -> tuple[tuple[str, str], ...]:
        """Return pairs of scheme and URL, sorted, so that equal settings are equal."""
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, Mapping) or not all(isinstance(part, str) for item in found.items() for part in item):
            raise ValueError(f"must be {self.expected}")
        for scheme, proxy in found.items():
            if not _names_a_host(proxy if "://" in proxy else f"http://{proxy}", any_scheme=True):
                # not shown: it may hold a password
                raise ValueError(f"must have a URL such as http://proxy:3128 for {scheme!r}")
        return tuple(sorted(found.items()))


@dataclass(frozen=True)
class Provider:
    """A function that returns keys."""

    annotation: str = "Callable[[], Mapping[str, Any]]"
    expected: str = "a function that returns secret_id, secret_key and expires"

    def parse(self, value: object) -> object:
        """Return the function."""
        if not callable(value):
            raise TypeError("must be a callable that returns secret_id, secret_key and expires")
        return value


def _text(value: object) -> str | None:
    is_text = isinstance(value, (str, int)) and not isinstance(value, bool)
    return str(value).strip() if is_text else None


def _flag(value: object) -> bool | None:
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    return True if word in TRUE else False if word in FALSE else None


def _path(value: object) -> str | None:
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) else None


def _names_a_host(url: str, *, any_scheme: bool = False) -> bool:
    try:
        parts = urlsplit(url)
        # asking for the port checks it
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and (any_scheme or parts.scheme in ("http", "https")) and url.isprintable() and " " not in url


def _invalid(kind: Kind, value: object) -> ValueError:
    return ValueError(f"must be {kind.expected}, not {value!r}")
