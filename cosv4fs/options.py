"""The options of the filesystems and clients: one table.

Each row of `OPTIONS` is one option. `cosv4fs.config.resolve` checks values by it; the signatures and docstrings of the
filesystems and the tables of reference/options.md are made from it, or compared with it by tests.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

from cosv4fs.arguments import hint_at
from cosv4fs.kinds import (
    CACHE_TYPE,
    FLAG,
    FOLDER,
    KEY,
    KEY_NAME,
    PROFILE,
    PROVIDER,
    PROXIES,
    REGION,
    URL,
    URL_TEMPLATE,
    VERIFICATION,
    Kind,
    integer,
    matching,
    one_of,
    seconds,
    words,
)
from cosv4fs.protocols import CDCS, V3, V4, ProtocolSpec

_C = TypeVar("_C", bound=type)

MIB = 1024 * 1024


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
        "appid", matching("[0-9]*", "a number", "str | int"), "Number of the account.",
        default="", has_variable=True,
        refused={CDCS.name: "coffers are named in full, as in name-1250000000"},
    ),
    Option("secret_id", KEY_NAME, "Name of the key.", default="", has_variable=True, is_secret=True),
    Option("secret_key", KEY, "The key.", default="", has_variable=True, is_secret=True),
    Option(
        "region", REGION,
        "Region of the buckets: a short code such as ``gz``, or a name such as ``ap-guangzhou``; for coffers a name "
        "such as ``ap-tianjin``. Not needed with `endpoint`, nor by COS v3, where it only fills in "
        "`download_endpoint`.",
        default="", has_variable=True,
        meanings={
            V4.name: "Region of the buckets: a short code such as ``gz``, or a name such as ``ap-guangzhou``. Not "
            "needed with `endpoint`.",
            V3.name: "Region of the buckets, a short code such as ``gz``: it only fills in `download_endpoint`.",
            CDCS.name: "Region of the coffers, a name such as ``ap-tianjin``. Not needed with `endpoint`.",
        },
        kinds={CDCS.name: matching("[A-Za-z0-9-]*", "a name like ap-tianjin, because it becomes part of a host name")},
    ),
    Option(
        "endpoint", URL, "URL of another service that speaks the same API, such as the local service.",
        default="", has_variable=True,
    ),
    Option(
        "security_token", KEY, "Token of temporary keys.", default="", has_variable=True, is_secret=True,
        refused={V4.name: _NO_TEMPORARY_KEYS, V3.name: _NO_TEMPORARY_KEYS},
    ),
    Option("endpoint_url", URL, "The same as `endpoint`; the name that s3fs uses.", default="", is_stored=False),
    Option(
        "profile", PROFILE, "Section of the profile file whose options apply.",
        default="", is_stored=False,
    ),
    Option(
        "credentials", PROVIDER,
        _KEYS.format(", for temporary keys of coffers also ``security_token``"),
        default=None, is_secret=True,
        meanings=dict.fromkeys(_BUCKETS, _KEYS.format(""))
        | {CDCS.name: _KEYS.format(", for temporary keys also ``security_token``")},
    ),
    Option("anon", FLAG, "Send no signatures: only public objects can be read.", default=False),
    Option(
        "download_endpoint", URL_TEMPLATE,
        "URL of downloads, such as ``https://{bucket}-{appid}.file.myqcloud.com`` for the CDN; ``{bucket}``, "
        "``{appid}`` and ``{region}`` are filled in.",
        default="",
        refused={CDCS.name: "downloads come from where everything else is served: set endpoint"},
    ),
    Option("use_ssl", FLAG, "Use https for the vendor's hosts.", default=True),
    Option(
        "verify", VERIFICATION,
        "Verify certificates; a path names a CA bundle to verify with.", default=True,
    ),
    Option(
        "proxies", PROXIES,
        "URLs of proxies by scheme, such as ``{'https': 'http://proxy:3128'}``; those of the environment unless given, "
        "but none for services on this machine.",
        default=None, is_secret=True,
    ),
    Option(
        "connect_timeout", seconds(may_be_zero=False),
        "Limit for connecting, and for each wait until the server accepts more of a body.",
        default=10.0, unit="seconds",
    ),
    Option(
        "read_timeout", seconds(may_be_zero=False), "Limit for waiting for the next bytes of a reply.",
        default=60.0, unit="seconds",
    ),
    Option(
        "max_retries", integer(),
        "How often a request is retried after a transient error; until `retry_deadline` unless given, 0: never.",
        default=None,
    ),
    Option(
        "retry_deadline", seconds(),
        "Time for which transient errors are retried; 10 seconds at most for a host that has never answered.",
        default=120.0, unit="seconds",
    ),
    Option(
        "max_concurrency", integer(1), "Slices, parts and ranges in flight at once.", default=12,
        meanings=dict.fromkeys(_BUCKETS, "Slices and ranges in flight at once.")
        | {CDCS.name: "Parts and ranges in flight at once."},
    ),
    Option(
        "max_requests", integer(1),
        "Other requests in flight at once, each with a thread and a connection; on links with low latency far fewer "
        "are used.",
        default=128,
    ),
    Option(
        "slice_size", one_of(V4.slice_sizes),
        "Size of a slice; for coffers, size of the first parts of an object.",
        default=3 * MIB, unit="bytes",
        meanings=dict.fromkeys(_BUCKETS, "Size of a slice.") | {CDCS.name: "Size of the first parts of an object."},
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: integer(CDCS.slice_sizes[0], CDCS.slice_sizes[-1])},
    ),
    Option(
        "single_upload_limit", integer(0, V4.max_single_upload), "Largest object that is uploaded in one request.",
        default=4 * MIB, unit="bytes",
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: integer(0, CDCS.max_single_upload)},
    ),
    Option("range_size", integer(1), "Size of a range of a large download.", default=4 * MIB, unit="bytes"),
    Option(
        "default_block_size", integer(1),
        "The `block_size` of ``open`` unless given; without either, `range_size` is for reading and `slice_size` for "
        "writing.",
        default=None, unit="bytes",
    ),
    Option(
        "default_cache_type", CACHE_TYPE,
        "The `cache_type` of ``open`` unless given: ``parallel``, or one of fsspec's.",
        default="parallel",
    ),
    Option(
        "cache_type", CACHE_TYPE,
        "The same as `default_cache_type`; the name that other filesystems use.",
        default=None, is_stored=False,
    ),
    Option(
        "spool_memory", integer(),
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
        "spool_dir", FOLDER,
        "Existing folder for the temporary files of what `spool_memory` does not hold; the system's unless given.",
        default=None,
    ),
    Option(
        "streaming", words("auto", "never", "always"),
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
        "checksum", FLAG,
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
        "verify_downloads", words("known", "always", "never"),
        "Whether whole objects are compared with their SHA-1 after reading: ``known`` if it is cached, ``always`` at "
        "the price of up to one more request per object, ``never``; takes half a second of processor time per GB.",
        default="known",
        refused={CDCS.name: "the service has no checksum that holds for every object"},
    ),
    Option(
        "instant_upload", FLAG,
        "Describe large objects to the service first, in slices of 1 MiB, so that content it already has is not sent.",
        default=False,
        refused={
            V3.name: "the service always recognizes content that it already has",
            CDCS.name: "the service does not recognize content that it already has",
        },
    ),
    Option(
        "journal_dir", FOLDER,
        "Folder of the journal, by which interrupted uploads of local files continue; in the user's folder for state "
        "unless given.",
        default=None,
    ),
    Option(
        "sign_expiry", integer(1), "Validity of a signature that serves several requests.", default=900, unit="seconds"
    ),
    Option(
        "page_size", integer(1), "Entries per page of a listing; at most 1000 are requested, from COS v3 199.",
        default=1000,
        meanings=dict.fromkeys((V4.name, CDCS.name), "Entries per page of a listing; at most 1000 are requested.")
        | {V3.name: "Entries per page of a listing; at most 199 are requested."},
    ),
    Option(
        "progress", FLAG,
        "Show a progress bar of bytes for ``put``, ``get``, ``put_file`` and ``get_file`` without a callback. It needs "
        "tqdm, and is a widget in notebooks with ipywidgets. Files that pandas and others open show none.",
        default=False,
    ),
    Option("use_listings_cache", FLAG, "Cache listings and statuses.", default=True),
    Option(
        "listings_expiry_time", seconds(), "Time after which a cached listing or status is stale.",
        default=10.0, unit="seconds",
    ),
    Option(
        "max_paths", integer(1), "Directories whose listings are cached; those unused for longest are dropped.",
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
