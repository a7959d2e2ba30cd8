"""The options of the filesystems and clients: one table.

Each row of `OPTIONS` is one option. `cosv4fs.config.resolve` checks values by it; the signatures and docstrings of the
filesystems and the tables of reference/options.md are made from it, or compared with it by tests.
"""

from __future__ import annotations

import inspect
import json
import math
import operator
import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from difflib import get_close_matches
from functools import partial
from numbers import Real
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fsspec.caching import caches

from cosv4fs.arguments import hint_at
from cosv4fs.protocols import CDCS, V3, V4, ProtocolSpec
from cosv4fs.redaction import Secret

_C = TypeVar("_C", bound=type)

MIB = 1024 * 1024

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

_REGIONS = {
    "ap-tianjin": "tj",
    "ap-beijing": "bj",
    "ap-shanghai": "sh",
    "ap-guangzhou": "gz",
    "ap-chengdu": "cd",
    "ap-singapore": "sgp",
    "ap-hongkong": "hk",
    "na-toronto": "ca",
    "eu-frankfurt": "ger",
}
"""Names of regions in newer APIs of the vendor, and the short codes that host names use (cos.md#hosts)."""

_OTHER_NAMES = {
    "ap-beijing-1": "tj",
    "cn-north": "tj",
    "cn-east": "sh",
    "cn-south": "gz",
    "cn-southwest": "cd",
    "sg": "sgp",
}
"""Further names of the same regions."""

_WITH_PATH_OF_API = re.compile("/files/v[12](/|$)")
"""What the vendor's documentation adds to the host in its examples (cos.md#hosts)."""

_PROXIED = re.compile("(https?|all)(://.+)?")
"""What a proxy can be for."""

_OF_NEWER_APIS = re.compile("(ap|na|sa|eu|me|af|cn)-.+")


# -- kinds of values ---------------------------------------------------------------------------------------------------


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


def _matching(pattern: str, expected: str, annotation: str = "str") -> Kind:
    def read(value: object) -> str | None:
        text = _text(value)
        return text if text is not None and re.fullmatch(pattern, text) else None

    return Kind(read, annotation, expected)


def _region(value: object) -> str | None:
    """Read a region as the short code of its name (cos.md#hosts)."""
    text = _text(value)
    if text is None or not re.fullmatch("[A-Za-z0-9-]*", text):
        return None
    code = (_REGIONS | _OTHER_NAMES).get(text.lower())
    if code is not None:
        raise ValueError(f"must be the short code {code!r} for {text!r}, because it becomes part of a host name")
    if _OF_NEWER_APIS.fullmatch(text.lower()):
        codes = ", ".join(_REGIONS.values())
        raise ValueError(f"must be a short code such as {codes}, because it becomes part of a host name, not {text!r}")
    return {name.partition("-")[2]: code for name, code in _REGIONS.items()}.get(text.lower(), text)


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


def _integer(at_least: int = 0, at_most: int | None = None) -> Kind:
    def read(value: object) -> int | float | None:
        number = _number(value, int)
        is_valid = number is not None and number >= at_least and (at_most is None or number <= at_most)
        return number if is_valid else None

    bounds = f"at least {at_least}" if at_most is None else f"{at_least} to {at_most}"
    return Kind(read, "int", f"a number, {bounds}", bounds)


def _one_of(choices: Sequence[int]) -> Kind:
    def read(value: object) -> int | float | None:
        number = _number(value, int)
        return number if number in choices else None

    listed = ", ".join(map(str, choices))
    return Kind(read, "int", f"one of {listed}", listed)


def _seconds(*, may_be_zero: bool = True) -> Kind:
    def read(value: object) -> float | None:
        number = _number(value, float)
        is_valid = number is not None and math.isfinite(number) and (number > 0 or (may_be_zero and number == 0))
        return number if is_valid else None

    bounds = "at least 0" if may_be_zero else "above 0"
    return Kind(read, "float", f"a number, {bounds}", bounds)


def _words(*choices: str) -> Kind:
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
    return os.fspath(value) or None if isinstance(value, (str, os.PathLike)) else None


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


_FLAG = Kind(_flag, "bool", f"one of {', '.join(_TRUE)} (true) or {', '.join(_FALSE)} (false)", "true or false")
_FOLDER = Kind(_path, "str | os.PathLike[str]", "the path of a folder")
_KEY_NAME, _KEY = (
    Kind(read, "str", "printable text, without line breaks and control characters") for read in (_key_name, _key)
)
_URL, _URL_TEMPLATE = (
    Kind(read, "str", "a URL such as http://127.0.0.1:8080") for read in (_url, partial(_url, is_template=True))
)


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One option; `defaults`, `kinds`, `meanings` and `refused` are what differs in a protocol, by its name."""

    name: str
    kind: Kind
    meaning: str
    """What it does, in a sentence, as options.md shows it for all protocols."""
    _: KW_ONLY
    default: Any
    unit: str = ""
    """``bytes``, ``seconds`` or empty."""
    has_variable: bool = False
    """Whether an environment variable sets it."""
    is_secret: bool = False
    """Whether the value, or a part of it, is a secret."""
    is_stored: bool = True
    """Whether `cosv4fs.config.Config` has a field for it; other options only lead to values of fields."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What it does in one protocol, as the docstring of its filesystem shows it; `meaning` unless given."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a protocol does not take the option."""

    def kind_in(self, protocol: ProtocolSpec) -> Kind:
        """Return the kind of the values that a protocol takes."""
        return self.kinds.get(protocol.name, self.kind)

    def meaning_in(self, protocol: ProtocolSpec) -> str:
        """Return what the option does in a protocol."""
        return self.meanings.get(protocol.name, self.meaning)

    def default_in(self, protocol: ProtocolSpec) -> Any:
        """Return the default of a protocol."""
        return self.defaults.get(protocol.name, self.default)

    def default_text(self, protocol: ProtocolSpec) -> str:
        """Return the default as the documentation shows it; empty if there is none."""
        value = self.default_in(protocol)
        if value in ("", None):
            return ""
        return f"{value // MIB} MiB" if self.unit == "bytes" and value % MIB == 0 else str(value)

    def values_text(self, protocol: ProtocolSpec) -> str:
        """Return the choices, or the bounds and the unit; empty if the meaning tells them."""
        kind = self.kind_in(protocol)
        return f"{kind.listed} {self.unit}".strip() if kind.listed else ""

    def parse(self, value: object, protocol: ProtocolSpec) -> Any:
        """Return a given value as the configuration holds it; an error names the option and the valid values.

        An empty text for an option that the protocol does not take counts as not given.
        """
        if protocol.name in self.refused:
            if value == "":
                return self.default
            raise ValueError(f"{self.name} is not an option of {protocol.name}: {self.refused[protocol.name]}")
        kind = self.kind_in(protocol)
        try:
            found = kind.read(value)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.name} {error}") from None
        if found is None:
            given = "" if self.is_secret else f", not {value!r}"
            raise ValueError(f"{self.name} must be {kind.expected}{given}")
        return found


_BUCKETS = (V4.name, V3.name)
_KEYS = (
    "Function that returns a mapping with ``secret_id``, ``secret_key`` and, if they expire, ``expires`` (Unix seconds "
    "or a datetime){}. It is called at the first request and again before the keys expire, and takes the place of "
    "`secret_id` and `secret_key`."
)
_NO_TEMPORARY_KEYS = "the JSON API of COS has no temporary keys"

OPTIONS = (
    Option(
        "appid", _matching("[0-9]*", "a number", "str | int"), "Number of the account.",
        default="", has_variable=True,
        refused={CDCS.name: "coffers are named in full, as in name-1250000000"},
    ),
    Option("secret_id", _KEY_NAME, "Name of the key.", default="", has_variable=True, is_secret=True),
    Option("secret_key", _KEY, "The key.", default="", has_variable=True, is_secret=True),
    Option(
        "region", Kind(_region, "str", "a short code such as gz, because it becomes part of a host name"),
        "Region of the buckets: a short code such as ``gz``, or a name such as ``guangzhou``; for coffers a name such "
        "as ``ap-tianjin``. Not needed with `endpoint`, nor by COS v3, where it only fills in `download_endpoint`.",
        default="", has_variable=True,
        meanings={
            V4.name: "Region of the buckets: a short code such as ``gz``, or a name such as ``guangzhou``. Not needed "
            "with `endpoint`.",
            V3.name: "Region of the buckets, a short code such as ``gz``: it only fills in `download_endpoint`.",
            CDCS.name: "Region of the coffers, a name such as ``ap-tianjin``. Not needed with `endpoint`.",
        },
        kinds={CDCS.name: _matching("[A-Za-z0-9-]*", "a name like ap-tianjin, because it becomes part of a host name")},
    ),
    Option(
        "endpoint", _URL, "URL of another service that speaks the same API, such as the local service.",
        default="", has_variable=True,
    ),
    Option(
        "security_token", _KEY, "Token of temporary keys.", default="", has_variable=True, is_secret=True,
        refused={V4.name: _NO_TEMPORARY_KEYS, V3.name: _NO_TEMPORARY_KEYS},
    ),
    Option("endpoint_url", _URL, "The same as `endpoint`; the name that s3fs uses.", default="", is_stored=False),
    Option(
        "profile", Kind(_text, "str", "text"), "Section of the profile file whose options apply.",
        default="", is_stored=False,
    ),
    Option(
        "credentials", Kind(_provider, "Callable[[], Mapping[str, Any]]", "a function"),
        _KEYS.format(", for temporary keys of coffers also ``security_token``"),
        default=None, is_secret=True,
        meanings=dict.fromkeys(_BUCKETS, _KEYS.format(""))
        | {CDCS.name: _KEYS.format(", for temporary keys also ``security_token``")},
    ),
    Option("anon", _FLAG, "Send no signatures: only public objects can be read.", default=False),
    Option(
        "download_endpoint", _URL_TEMPLATE,
        "URL of downloads, such as ``https://{bucket}-{appid}.file.myqcloud.com`` for the CDN; ``{bucket}``, "
        "``{appid}`` and ``{region}`` are filled in.",
        default="",
        refused={CDCS.name: "downloads come from where everything else is served: set endpoint"},
    ),
    Option("use_ssl", _FLAG, "Use https for the vendor's hosts.", default=True),
    Option(
        "verify", Kind(_verification, "bool | str | os.PathLike[str]", "true, false or the path of a CA bundle"),
        "Verify certificates; a path names a CA bundle to verify with.", default=True,
    ),
    Option(
        "proxies",
        Kind(_proxies, "Mapping[str, str]", "a mapping of schemes to URLs, such as {'https': 'http://proxy:3128'}"),
        "URLs of proxies by scheme, such as ``{'https': 'http://proxy:3128'}``; those of the environment unless given, "
        "but none for services on this machine.",
        default=None, is_secret=True,
    ),
    Option(
        "connect_timeout", _seconds(may_be_zero=False),
        "Limit for connecting, and for each wait until the server accepts more of a body.",
        default=10.0, unit="seconds",
    ),
    Option(
        "read_timeout", _seconds(may_be_zero=False), "Limit for waiting for the next bytes of a reply.",
        default=60.0, unit="seconds",
    ),
    Option(
        "max_retries", _integer(),
        "How often a request is retried after a transient error; until `retry_deadline` unless given, 0: never.",
        default=None,
    ),
    Option(
        "retry_deadline", _seconds(),
        "Time for which transient errors are retried; 10 seconds at most for a host that has never answered.",
        default=120.0, unit="seconds",
    ),
    Option(
        "max_concurrency", _integer(1), "Slices, parts and ranges in flight at once.", default=12,
        meanings=dict.fromkeys(_BUCKETS, "Slices and ranges in flight at once.")
        | {CDCS.name: "Parts and ranges in flight at once."},
    ),
    Option(
        "max_requests", _integer(1),
        "Other requests in flight at once, each with a thread and a connection; on links with low latency far fewer "
        "are used.",
        default=128,
    ),
    Option(
        "slice_size", _one_of(V4.slice_sizes),
        "Size of a slice; for coffers, size of the first parts of an object.",
        default=3 * MIB, unit="bytes",
        meanings=dict.fromkeys(_BUCKETS, "Size of a slice.") | {CDCS.name: "Size of the first parts of an object."},
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: _integer(CDCS.slice_sizes[0], CDCS.slice_sizes[-1])},
    ),
    Option(
        "single_upload_limit", _integer(0, V4.max_single_upload), "Largest object that is uploaded in one request.",
        default=4 * MIB, unit="bytes",
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: _integer(0, CDCS.max_single_upload)},
    ),
    Option("range_size", _integer(1), "Size of a range of a large download.", default=4 * MIB, unit="bytes"),
    Option(
        "default_block_size", _integer(1),
        "The `block_size` of ``open`` unless given; without either, `range_size` is for reading and `slice_size` for "
        "writing.",
        default=None, unit="bytes",
    ),
    Option(
        "default_cache_type", Kind(cache_type, "str", "parallel or a cache of fsspec"),
        "The `cache_type` of ``open`` unless given: ``parallel``, or one of fsspec's.",
        default="parallel",
    ),
    Option(
        "cache_type", Kind(cache_type, "str", "parallel or a cache of fsspec"),
        "The same as `default_cache_type`; the name that other filesystems use.",
        default=None, is_stored=False,
    ),
    Option(
        "spool_memory", _integer(),
        "Memory of a writer that does not know the size of its object; at least `single_upload_limit` is kept. For "
        "coffers, the largest part that is kept in memory while it is written.",
        default=16 * MIB, unit="bytes",
        meanings=dict.fromkeys(
            _BUCKETS,
            "Memory of a writer that does not know the size of its object; at least `single_upload_limit` is kept.",
        )
        | {CDCS.name: "The largest part that is kept in memory while it is written."},
    ),
    Option(
        "spool_dir", _FOLDER,
        "Folder of the temporary files for what `spool_memory` does not hold; the system's unless given.",
        default=None,
    ),
    Option(
        "streaming", _words("auto", "never", "always"),
        "Whether objects of unknown size beyond `spool_memory` are uploaded while they are written: ``auto`` probes "
        "each bucket once to find out whether that is possible, ``never`` spools them, ``always`` skips the probe. "
        "The service's SHA-1 of what was uploaded in this way is compared, or its size if the service reports none.",
        default="auto",
        refused={
            V3.name: "the service needs the SHA-1 of the whole object before its first slice",
            CDCS.name: "objects of unknown size are always uploaded while they are written",
        },
    ),
    Option(
        "checksum", _FLAG,
        "Compute the SHA-1 of files and memory while they are uploaded in slices, and publish only if the service "
        "reports the same; takes half a second of CPU time per GB. Content is hashed first, and verified by the "
        "service, if the service reports no SHA-1 or a wrong one, or if the file has just changed. Spooled objects are "
        "always hashed.",
        default=True,
        refused={
            V3.name: "the service always needs the SHA-1 of the whole object",
            CDCS.name: "the service verifies every part by its MD5",
        },
    ),
    Option(
        "verify_downloads", _words("known", "always", "never"),
        "Whether whole objects are compared with their SHA-1 after reading: ``known`` if it is cached, ``always`` at "
        "the price of up to one more request per object, ``never``; takes half a second of processor time per GB.",
        default="known",
        refused={CDCS.name: "the service has no checksum that holds for every object"},
    ),
    Option(
        "instant_upload", _FLAG,
        "Describe large objects to the service first, in slices of 1 MiB, so that content it already has is not sent.",
        default=False,
        refused={
            V3.name: "the service always recognizes content that it already has",
            CDCS.name: "the service does not recognize content that it already has",
        },
    ),
    Option(
        "journal_dir", _FOLDER,
        "Folder of the journal, by which interrupted uploads of local files continue; in the user's folder for state "
        "unless given.",
        default=None,
    ),
    Option(
        "sign_expiry", _integer(1), "Validity of a signature that serves several requests.", default=900, unit="seconds"
    ),
    Option(
        "page_size", _integer(1), "Entries per page of a listing; at most 1000 are requested, from COS v3 199.",
        default=1000,
        meanings=dict.fromkeys((V4.name, CDCS.name), "Entries per page of a listing; at most 1000 are requested.")
        | {V3.name: "Entries per page of a listing; at most 199 are requested."},
    ),
    Option(
        "progress", _FLAG,
        "Show a progress bar of bytes for ``put``, ``get``, ``put_file`` and ``get_file`` without a callback. It needs "
        "tqdm, and is a widget in notebooks with ipywidgets. Files that pandas and others open show none.",
        default=False,
    ),
    Option("use_listings_cache", _FLAG, "Cache listings and statuses.", default=True),
    Option(
        "listings_expiry_time", _seconds(), "Time after which a cached listing or status is stale.",
        default=10.0, unit="seconds",
    ),
    Option(
        "max_paths", _integer(1), "Directories whose listings are cached; those unused for longest are dropped.",
        default=2048,
    ),
)  # fmt: skip
"""All options, in the order of the documentation."""

_BY_NAME = {option.name: option for option in OPTIONS}

_OF_S3FS = {
    "key": "use secret_id",
    "username": "use secret_id",
    "secret": "use secret_key",
    "password": "use secret_key",
    "token": "use security_token, which only coffers take",
    "client_kwargs": "use endpoint for its endpoint_url, region for its region_name, and verify",
    "config_kwargs": "use connect_timeout, read_timeout, max_retries, max_concurrency or proxies",
}
"""What takes the place of options of s3fs, for the text of errors."""


def option_named(name: str) -> Option:
    """Return an option; for an unknown one, raise a TypeError that names the most similar one."""
    if name not in _BY_NAME:
        hint = hint_at(name, _BY_NAME, "pydoc cosv4fs.CosV4FileSystem lists all options")
        raise TypeError(f"unknown option {name}: {_OF_S3FS.get(name, hint)}")
    return _BY_NAME[name]


def similar_region(region: str, protocol: ProtocolSpec) -> str | None:
    """Return the region that an unknown one may stand for; None for a known one, or if none is similar."""
    names = list(_REGIONS)
    if CDCS.name != protocol.name:
        names = [*_REGIONS.values(), *(name.partition("-")[2] for name in names)]
    return None if region in names else next(iter(get_close_matches(region.lower(), names, 1, 0.5)), None)


def long_region(region: str) -> str:
    """Return the name that newer APIs have for a region, such as ``ap-guangzhou`` for ``gz``; itself if unknown."""
    return {code: name for name, code in _REGIONS.items()}.get(region, region)


def options_of(protocol: ProtocolSpec) -> list[Option]:
    """Return the options that a protocol takes."""
    return [option for option in OPTIONS if protocol.name not in option.refused]


def variables_of(protocol: ProtocolSpec) -> dict[str, str]:
    """Return the environment variables of a protocol by the options that they set."""
    named = [option.name for option in options_of(protocol) if option.has_variable]
    return {name: f"{protocol.name.upper()}_{name.upper()}" for name in named}


# -- in docstrings -----------------------------------------------------------------------------------------------------

_SECTION = re.compile(r"^(?:Notes|Examples)\n-+$", re.MULTILINE)

_SOURCES = """\
Methods take paths with or without ``{protocol}://`` and return them without. Options that are not given come from the
environment, from a profile, or from the section ``{protocol}`` of fsspec's configuration."""

_RAISES = """\
Raises
------
MissingCredentialsError
    A part of the account is given nowhere; a `PermissionError` and `ValueError` that names the ways to set it.
TypeError
    An option is unknown, or has the wrong type.
ValueError
    An option has an invalid value, or is of no use for this protocol."""

_OF_FSSPEC = {
    "asynchronous, loop": "Accepted because fsspec passes them to every filesystem; this one is synchronous.",
    "skip_instance_cache": "Make a new instance even if fsspec has one with the same options.",
}


def lists_options(protocol: ProtocolSpec) -> Callable[[_C], _C]:
    """Decorate a filesystem: its docstring lists the options that the protocol takes, and what they may raise."""

    def decorate(filesystem: _C) -> _C:
        text = inspect.cleandoc(filesystem.__doc__ or "")
        found = _SECTION.search(text)
        place = found.start() if found else len(text)
        lines = ["Parameters", "----------"]
        for option in options_of(protocol):
            lines += [f"{option.name} : {option.kind_in(protocol).annotation}, optional", _described(option, protocol)]
        for name, meaning in _OF_FSSPEC.items():
            lines += [f"{name} : optional", _indented(meaning)]
        sources = _SOURCES.format(protocol=protocol.name)
        parts = [text[:place].rstrip(), sources, "\n".join(lines), _RAISES, text[place:]]
        filesystem.__doc__ = "\n\n".join(parts).rstrip()
        return filesystem

    return decorate


def _described(option: Option, protocol: ProtocolSpec) -> str:
    """Return what a docstring says of an option."""
    default, variable = option.default_text(protocol), variables_of(protocol).get(option.name)
    # the types of all others tell their values
    has_bounds = option.kind.annotation in ("int", "float")
    facts = [
        f"Values: {option.values_text(protocol)}." if has_bounds else "",
        f"Default: {default}." if default else "",
        f"Environment variable: {variable}." if variable else "",
    ]
    return _indented(" ".join([option.meaning_in(protocol), *filter(None, facts)]))


def _indented(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ")
