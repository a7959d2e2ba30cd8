"""The options of the filesystems and clients: one table.

Each row of `OPTIONS` is one option. `cosv4fs.config.resolve` checks values by it; the signatures and docstrings of the
filesystems and the tables of the README are made from it, or compared with it by tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from difflib import get_close_matches
from typing import Any

from cosv4fs.protocols import CDCS, V3, V4, ProtocolSpec
from cosv4fs.values import (
    Choice,
    Flag,
    Folder,
    Integer,
    Key,
    Kind,
    Number,
    Provider,
    Proxies,
    Region,
    Text,
    Url,
    Verification,
)

MIB = 1024 * 1024


@dataclass(frozen=True)
class Option:
    """One option.

    Parameters
    ----------
    name : str
        The keyword.
    kind : Kind
        The kind of its values, with their bounds or choices.
    meaning : str
        What it does, in a sentence, as the documentation shows it.
    default : object
        The value that applies unless another one is given.
    unit : str
        ``bytes``, ``seconds`` or empty.
    has_variable : bool
        Whether an environment variable sets it.
    is_secret : bool
        Whether the value, or a part of it, is a secret.
    is_stored : bool
        Whether `cosv4fs.config.Config` has a field for it; other options only lead to values of fields.
    defaults, kinds : mapping
        What differs in a protocol, by the protocol's name.
    refused : mapping
        Why a protocol does not take the option, by the protocol's name.
    """

    name: str
    kind: Kind
    meaning: str
    _: KW_ONLY
    default: Any
    unit: str = ""
    has_variable: bool = False
    is_secret: bool = False
    is_stored: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def kind_in(self, protocol: ProtocolSpec) -> Kind:
        """Return the kind of the values that a protocol takes."""
        return self.kinds.get(protocol.name, self.kind)

    def default_in(self, protocol: ProtocolSpec) -> Any:
        """Return the default of a protocol."""
        return self.defaults.get(protocol.name, self.default)

    def parse(self, value: object, protocol: ProtocolSpec) -> Any:
        """Return a given value as the configuration holds it.

        Raises
        ------
        ValueError, TypeError
            The value is invalid, or the protocol does not take the option; names the option and the valid values. An
            empty text for an option that is not taken counts as not given.
        """
        if protocol.name in self.refused:
            if value == "":
                return self.default
            raise ValueError(f"{self.name} is not an option of {protocol.name}: {self.refused[protocol.name]}")
        try:
            return self.kind_in(protocol).parse(value)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.name} {error}") from None


_NO_TEMPORARY_KEYS = "the JSON API of COS has no temporary keys"

OPTIONS = (
    Option(
        "appid", Text(r"[0-9]+", "a number", "str | int"), "Number of the account.",
        default="", has_variable=True,
        refused={CDCS.name: "coffers are named in full, as in name-1250000000"},
    ),
    Option("secret_id", Key(is_secret=False), "Name of the key.", default="", has_variable=True, is_secret=True),
    Option("secret_key", Key(), "The key.", default="", has_variable=True, is_secret=True),
    Option(
        "region", Region(),
        "Region of the buckets: a short code such as ``gz``, or a name such as ``guangzhou``; for coffers a name such "
        "as ``ap-tianjin``. Not needed with `endpoint`, nor by COS v3, where it only fills in `download_endpoint`.",
        default="", has_variable=True,
        kinds={CDCS.name: Text("[A-Za-z0-9-]+", "a name like ap-tianjin, because it becomes part of a host name")},
    ),
    Option(
        "endpoint", Url(), "URL of another service that speaks the same API, such as the local service.",
        default="", has_variable=True,
    ),
    Option(
        "security_token", Key(), "Token of temporary keys.", default="", has_variable=True, is_secret=True,
        refused={V4.name: _NO_TEMPORARY_KEYS, V3.name: _NO_TEMPORARY_KEYS},
    ),
    Option("endpoint_url", Url(), "The same as `endpoint`; the name that s3fs uses.", default="", is_stored=False),
    Option("profile", Text(), "Section of the profile file whose options apply.", default="", is_stored=False),
    Option(
        "credentials", Provider(),
        "Function that returns a mapping with ``secret_id``, ``secret_key`` and, if they expire, ``expires`` (Unix "
        "seconds or a datetime), for temporary keys of coffers also ``security_token``. It is called at the first "
        "request and again before the keys expire, and takes the place of `secret_id` and `secret_key`.",
        default=None, is_secret=True,
    ),
    Option("anon", Flag(), "Send no signatures: only public objects can be read.", default=False),
    Option(
        "download_endpoint", Url(is_template=True),
        "URL of downloads, such as ``https://{bucket}-{appid}.file.myqcloud.com`` for the CDN; ``{bucket}``, "
        "``{appid}`` and ``{region}`` are filled in.",
        default="",
        refused={CDCS.name: "downloads come from where everything else is served: set endpoint"},
    ),
    Option("use_ssl", Flag(), "Use https for the vendor's hosts.", default=True),
    Option("verify", Verification(), "Verify certificates; a path names a CA bundle to verify with.", default=True),
    Option(
        "proxies", Proxies(),
        "URLs of proxies by scheme, such as ``{'https': 'http://proxy:3128'}``; those of the environment unless given.",
        default=None, is_secret=True,
    ),
    Option("connect_timeout", Number(may_be_zero=False), "Limit for connecting.", default=10.0, unit="seconds"),
    Option(
        "read_timeout", Number(may_be_zero=False), "Limit for waiting for the next bytes of a reply.",
        default=60.0, unit="seconds",
    ),
    Option("max_retries", Integer(), "How often a request is retried after a transient error.", default=5),
    Option("retry_deadline", Number(), "Time after which nothing is retried.", default=120.0, unit="seconds"),
    Option("max_concurrency", Integer(1), "Slices, parts and ranges in flight at once.", default=12),
    Option("max_requests", Integer(1), "Other requests in flight at once.", default=32),
    Option(
        "slice_size", Integer(choices=tuple(V4.slice_sizes)),
        "Size of a slice; for coffers, size of the first parts of an object.",
        default=3 * MIB, unit="bytes",
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: Integer(CDCS.slice_sizes[0], CDCS.slice_sizes[-1])},
    ),
    Option(
        "single_upload_limit", Integer(0, V4.max_single_upload), "Largest object that is uploaded in one request.",
        default=4 * MIB, unit="bytes",
        defaults={CDCS.name: 8 * MIB}, kinds={CDCS.name: Integer(0, CDCS.max_single_upload)},
    ),
    Option("range_size", Integer(1), "Size of a range of a large download.", default=4 * MIB, unit="bytes"),
    Option(
        "spool_memory", Integer(),
        "Memory of a writer that does not know the size of its object; for coffers, the largest part that is kept in "
        "memory while it is written.",
        default=16 * MIB, unit="bytes",
    ),
    Option(
        "spool_dir", Folder(),
        "Folder of the temporary files for what `spool_memory` does not hold; the system's unless given.",
        default=None,
    ),
    Option(
        "streaming", Choice(("auto", "never", "always")),
        "Whether objects of unknown size beyond `spool_memory` are uploaded while they are written: ``auto`` asks "
        "each bucket once whether that is possible, ``never`` spools them, ``always`` does not ask.",
        default="auto",
        refused={
            V3.name: "the service needs the SHA-1 of the whole object before its first slice",
            CDCS.name: "objects of unknown size are always uploaded while they are written",
        },
    ),
    Option(
        "checksum", Flag(),
        "Hash files and memory before they are uploaded in slices, so that the service verifies what it stores; takes "
        "half a second of processor time per GB. Spooled objects are always hashed.",
        default=True,
        refused={
            V3.name: "the service always needs the SHA-1 of the whole object",
            CDCS.name: "the service verifies every part by its MD5",
        },
    ),
    Option(
        "verify_downloads", Choice(("known", "always", "never")),
        "Whether whole objects are compared with their SHA-1 after reading: ``known`` if it is cached, ``always`` at "
        "the price of up to one more request per object, ``never``; takes a second of processor time per GB.",
        default="known",
        refused={CDCS.name: "the service has no checksum that holds for every object"},
    ),
    Option(
        "instant_upload", Flag(),
        "Describe large objects to the service first, in slices of 1 MiB, so that content it already has is not sent.",
        default=False,
        refused={
            V3.name: "the service always recognizes content that it already has",
            CDCS.name: "the service does not recognize content that it already has",
        },
    ),
    Option(
        "journal_dir", Folder(),
        "Folder of the journal, by which interrupted uploads of local files continue; in the user's folder for state "
        "unless given.",
        default=None,
    ),
    Option(
        "sign_expiry", Integer(1), "Validity of a signature that serves several requests.", default=900, unit="seconds"
    ),
    Option(
        "page_size", Integer(1), "Entries per page of a listing; at most 1000 are requested, from COS v3 199.",
        default=1000,
    ),
    Option(
        "progress", Flag(),
        "Show a progress bar (tqdm) for ``put``, ``get``, ``put_file`` and ``get_file`` without a callback.",
        default=False,
    ),
    Option("use_listings_cache", Flag(), "Cache listings and statuses.", default=True),
    Option(
        "listings_expiry_time", Number(), "Time after which a cached listing or status is stale.",
        default=10.0, unit="seconds",
    ),
)  # fmt: skip
"""All options, in the order of the documentation."""

_BY_NAME = {option.name: option for option in OPTIONS}


def option_named(name: str) -> Option:
    """Return an option.

    Raises
    ------
    TypeError
        There is no such option; names the most similar one.
    """
    if name not in _BY_NAME:
        similar = get_close_matches(name, _BY_NAME, 1)
        hint = f"did you mean {similar[0]}?" if similar else f"the options are {', '.join(_BY_NAME)}"
        raise TypeError(f"unknown option {name}: {hint}")
    return _BY_NAME[name]


def options_of(protocol: ProtocolSpec) -> list[Option]:
    """Return the options that a protocol takes."""
    return [option for option in OPTIONS if protocol.name not in option.refused]


def variables_of(protocol: ProtocolSpec) -> dict[str, str]:
    """Return the environment variables of a protocol by the options that they set."""
    named = [option.name for option in options_of(protocol) if option.has_variable]
    return {name: f"{protocol.name.upper()}_{name.upper()}" for name in named}


def profile_variable(protocol: ProtocolSpec) -> str:
    """Return the environment variable that names a profile."""
    return f"{protocol.name.upper()}_PROFILE"


def parse_options(given: Mapping[str, object], places: Mapping[str, str], protocol: ProtocolSpec) -> dict[str, Any]:
    """Return the given options as the configuration holds them, and the defaults of all others.

    Parameters
    ----------
    given : mapping
        Values by name.
    places : mapping
        Where the values come from, by name, for errors; empty for values that the caller passed.
    protocol : ProtocolSpec
        The protocol that takes the options.

    Raises
    ------
    TypeError
        An option is unknown, or its value has the wrong type.
    ValueError
        A value is invalid, or the protocol does not take an option.
    """
    defaults = {option.name: option.default_in(protocol) for option in OPTIONS if option.is_stored}
    return defaults | {name: _parsed(name, value, places[name], protocol) for name, value in given.items()}


def _parsed(name: str, value: object, place: str, protocol: ProtocolSpec) -> Any:
    try:
        return option_named(name).parse(value, protocol)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (from {place})" if place else str(error)) from None
