"""The configuration: where options come from, and where requests go.

`resolve` turns options into one immutable `Config`. It is hashable: instances with an equal configuration share
connections, caches and limits in a process.

The profile file has the options of several accounts, one section each, in INI form::

    [archive]
    appid = 1250000001
    anon = true

Its section `DEFAULT_PROFILE` needs no name, and only completes an account of which a part is given nowhere else: where
all of it is given, nobody's profile file changes what a program does.
"""

from __future__ import annotations

import configparser
import errno
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cosv4fs.errors import MissingCredentialsError, refused_before
from cosv4fs.options import OPTIONS, option_named, options_of, variables_of
from cosv4fs.protocols import V4, ProtocolSpec
from cosv4fs.redaction import Secret, clears_frames
from cosv4fs.regions import long_region, similar_region

_log = logging.getLogger("cosv4fs")

_SAME = {"endpoint_url": "endpoint", "cache_type": "default_cache_type"}
"""Options that are other names of options."""

_PROFILE_FILE = "COSV4_PROFILES"
"""The environment variable that names another profile file."""

_ENVIRONMENT = "the environment"

DEFAULT_PROFILE = "default"
"""The section of the profile file that applies where no profile is named and a part of the account is missing."""


@dataclass(frozen=True)
class Config:
    """A value for every option of `cosv4fs.options.OPTIONS`, which describes them, the protocol, and a source.

    Build it with `resolve`, which checks the values. ``secret_id`` and ``secret_key`` are empty with `anon` and with
    `credentials`; ``region`` is the short code that host names use.
    """

    appid: str
    secret_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str
    endpoint: str
    security_token: str = field(repr=False)
    credentials: Callable[[], Mapping[str, Any]] | None = field(repr=False)
    anon: bool
    download_endpoint: str
    use_ssl: bool
    verify: bool | str
    proxies: tuple[tuple[str, str], ...] | None = field(repr=False)
    connect_timeout: float
    read_timeout: float
    max_retries: int | None
    retry_deadline: float
    max_concurrency: int
    max_requests: int
    slice_size: int
    single_upload_limit: int
    range_size: int
    default_block_size: int | None
    default_cache_type: str
    spool_memory: int
    spool_dir: str | None
    streaming: Literal["auto", "never", "always"]
    checksum: bool
    verify_downloads: Literal["known", "always", "never"]
    instant_upload: bool
    journal_dir: str | None
    sign_expiry: int
    page_size: int
    progress: bool
    use_listings_cache: bool
    listings_expiry_time: float
    max_paths: int
    protocol: ProtocolSpec
    endpoint_source: str = field(default="", compare=False)
    """Where `endpoint` was found, such as a variable; empty if there is none, or if the caller gave it."""

    @property
    def scheme(self) -> str:
        """``https`` or ``http``, for the vendor's hosts."""
        return "https" if self.use_ssl else "http"

    @property
    def api_root(self) -> str:
        """The URL before ``/files/…`` (cos.md#hosts)."""
        return self.endpoint or f"{self.scheme}://{self.protocol.api_host.format(region=self.region)}"

    @property
    def service_root(self) -> str:
        """The URL before the path of what concerns no single region (cdcs.md#service)."""
        host = self.protocol.service_host
        return f"{self.scheme}://{host}" if host and not self.endpoint else self.api_root

    def download_host(self, bucket: str) -> str:
        """Return the name of a bucket's origin download host (cos.md#hosts)."""
        return self.protocol.download_host.format(bucket=bucket, appid=self.appid, region=self.region)

    def download_root(self, bucket: str) -> tuple[str, str | None]:
        """Return (URL before the object's key, Host header or None) for downloads from `bucket`.

        With `endpoint` alone the request goes there and names the bucket in its Host header.
        """
        if self.download_endpoint:
            return self.download_endpoint.format(bucket=bucket, appid=self.appid, region=self.region), None
        if self.endpoint:
            return self.endpoint, self.download_host(bucket)
        return f"{self.scheme}://{self.download_host(bucket)}", None

    def xml_root(self, bucket: str) -> tuple[str, str]:
        """Return (URL, Host header) of a bucket in the XML API of newer clients, which this package does not speak."""
        name = bucket if bucket.endswith(f"-{self.appid}") else f"{bucket}-{self.appid}"
        host = f"{name}.{self.xml_host}"
        return self.endpoint or f"{self.scheme}://{host}", host

    @property
    def xml_host(self) -> str:
        """The host of a region in the XML API."""
        return f"cos.{long_region(self.region) or 'REGION'}.myqcloud.com"

    def origin_of(self, url: str) -> str:
        """Return the option that the host of a URL comes from, as errors name it, with the most similar region."""
        if self.endpoint and url.startswith(self.endpoint):
            return f"endpoint (from {self.endpoint_source})" if self.endpoint_source else "endpoint"
        if self.download_endpoint and urlsplit(url).netloc != urlsplit(self.api_root).netloc:
            return "download_endpoint"
        if not self.region or self.region not in urlsplit(url).netloc:
            return "proxies"
        similar = similar_region(self.region, self.protocol)
        return f"region {self.region!r}{f' (did you mean {similar}?)' if similar else ''}"


def _profile_variable(protocol: ProtocolSpec) -> str:
    """Return the environment variable that names a profile."""
    return f"{protocol.name.upper()}_PROFILE"


def environment_of(protocol: ProtocolSpec) -> tuple[str | None, ...]:
    """Return the values of all environment variables that can change the configuration of a protocol."""
    names = (*variables_of(protocol).values(), _profile_variable(protocol), _PROFILE_FILE)
    return tuple(os.environ.get(name) for name in names)


def _check_environment(protocol: ProtocolSpec) -> None:
    """Warn of variables that are probably meant for options of a protocol, but are ignored; once in a process."""
    prefix = f"{protocol.name.upper()}_"
    for name in os.environ:
        if name.startswith(prefix):
            _warn_if_ignored(name, protocol)


@cache
def _warn_if_ignored(name: str, protocol: ProtocolSpec) -> None:
    own = {**variables_of(protocol), "profile": _profile_variable(protocol), "profiles": _PROFILE_FILE}
    if name in own.values():
        return
    prefix = f"{protocol.name.upper()}_"
    others = {option.name: f"FSSPEC_{prefix}{option.name.upper()}, or a profile" for option in options_of(protocol)}
    refused = {option.name: option.refused[protocol.name] for option in OPTIONS if protocol.name in option.refused}
    given = name.removeprefix(prefix).lower()
    given = _SAME.get(given, given)
    advice = {option: f"use {text}" for option, text in (others | own).items()} | refused
    # further off, it may be a variable of the user's own
    similar = [given] if given in advice else get_close_matches(given, advice, 1, 0.8)
    if similar:
        _log.warning("the environment variable %s is ignored: %s", name, advice[similar[0]])


@clears_frames
def resolve(
    options: Mapping[str, Any], configured: Mapping[str, Any] | None = None, protocol: ProtocolSpec = V4
) -> Config:
    """Return the configuration for `options`, completed from profiles and the environment.

    The first of these places that has a value counts: `options`, `configured`, the profile that they name, the
    environment, the profile that the environment names, the profile `DEFAULT_PROFILE` if no other is named and a part
    of the account is in none of these, the default.

    Parameters
    ----------
    options : mapping
        Values by the names of `cosv4fs.options.OPTIONS`; None counts as not given.
    configured : mapping, optional
        Values from fsspec's configuration. fsspec completes the options with them before they get here.
    protocol : ProtocolSpec
        The protocol, which decides defaults and environment variables.

    Raises
    ------
    MissingCredentialsError
        A part of the account is given nowhere; names it and the ways to set it.
    ValueError
        A value is invalid, or the protocol does not take an option.
    TypeError
        An option is unknown, or a value has the wrong type.
    """
    _check_environment(protocol)
    config = _config(_merged(options, configured or {}, protocol), protocol)
    if _missing(config):
        config = _config(_merged(options, configured or {}, protocol, DEFAULT_PROFILE), protocol)
    if missing := _missing(config):
        if config.anon and refused_before():
            # the attempt before had no keys: without anon=True, these are missing as well
            missing = _missing(replace(config, anon=False))
        raise MissingCredentialsError(errno.EACCES, _how_to_set(missing, protocol), None)
    return config


def _config(given: Mapping[str, tuple[Any, str]], protocol: ProtocolSpec) -> Config:
    """Return the configuration of given values, which may lack a part of the account."""
    values = {option.name: option.default_in(protocol) for option in OPTIONS if option.is_stored}
    for name, (value, place) in given.items():
        values[name] = _parsed(name, value, place, protocol)
    if values["anon"]:
        values |= {"secret_id": "", "secret_key": Secret(), "security_token": Secret()}
    _, source = given.get("endpoint", ("", ""))
    source = variables_of(protocol)["endpoint"] if source == _ENVIRONMENT else source
    return Config(**values, protocol=protocol, endpoint_source=source)


def _merged(
    options: Mapping[str, Any], configured: Mapping[str, Any], protocol: ProtocolSpec, unnamed: str = ""
) -> dict[str, tuple[Any, str]]:
    """Return each given value from the first place that has one, with the name of the place; empty for the caller.

    The profile `unnamed` is the last of these places if no other profile is named.
    """
    # before other names are replaced: the configuration may have used one
    new = (name for name, value in options.items() if name not in configured or configured[name] != value)
    own = _given({name: options[name] for name in new})
    configured = _given(configured)
    environment = {
        name: os.environ[variable] for name, variable in variables_of(protocol).items() if os.environ.get(variable)
    }
    preset, named = configured.pop("profile", None), own.pop("profile", None)
    named = named or preset
    usual = None if named else os.environ.get(_profile_variable(protocol))
    merged: dict[str, tuple[Any, str]] = {}
    for place, layer in (
        (f"profile {unnamed!r}", _given(_section_if_any(unnamed)) if unnamed and not (named or usual) else {}),
        (f"profile {usual!r}", _profile(usual, protocol)),
        (_ENVIRONMENT, environment),
        (f"profile {named!r}", _profile(named, protocol)),
        ("fsspec's configuration", configured),
        ("", own),
    ):
        if "secret_id" in layer:
            # a token belongs to the key it was issued with, never to one from another place
            merged.pop("security_token", None)
        merged |= {name: (value, place) for name, value in layer.items()}
    return merged


def _parsed(name: str, value: object, place: str, protocol: ProtocolSpec) -> Any:
    try:
        return option_named(name).parse(value, protocol)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (from {place})" if place else str(error)) from None


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given, under their own names; also those that are not given have to exist."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in options.keys() - given.keys():
        option_named(name)
    for other, name in _SAME.items():
        if other in given:
            value = given.pop(other)
            if given.setdefault(name, value) != value:
                raise ValueError(f"{name} and {other} mean the same, but have different values")
    return given


def _profile(name: Any, protocol: ProtocolSpec) -> dict[str, Any]:
    """Return the options of a profile; none without a name."""
    return _given(_section(str(option_named("profile").parse(name, protocol)))) if name else {}


def _section(name: str) -> dict[str, str]:
    """Return a section of the profile file; a missing one is a ValueError that names the existing ones."""
    file = profile_file()
    try:
        parser = _profiles(file)
    except FileNotFoundError:
        raise ValueError(f"there is no profile {name!r}: the file {file} does not exist") from None
    except OSError as error:
        raise _unreadable(file, error) from None
    if name not in parser.sections():
        raise ValueError(f"there is no profile {name!r} in {file}; there are: {', '.join(parser.sections()) or 'none'}")
    return dict(parser[name])


def _section_if_any(name: str) -> dict[str, str]:
    """Return a section that nobody asked for: empty if there is none, no file that we may read, or no home folder."""
    try:
        parser = _profiles(profile_file())
    except (OSError, RuntimeError):
        return {}
    return dict(parser[name]) if name in parser.sections() else {}


def _profiles(file: Path) -> configparser.ConfigParser:
    """Return the content of the profile file; a ValueError if it is not one, an OSError if it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        # editors of Windows write a byte order mark
        with file.open(encoding="utf-8-sig") as lines:
            parser.read_file(lines)
    except (UnicodeError, configparser.Error) as error:
        raise _unreadable(file, error) from None
    return parser


def _unreadable(file: Path, error: Exception) -> ValueError:
    """Return the error for a profile file; it has only the type of `error`, which may quote a line with a secret."""
    return ValueError(f"the profile file {file} cannot be read ({type(error).__name__})")


def profile_file() -> Path:
    """Return the path of the profile file, which need not exist."""
    if named := os.environ.get(_PROFILE_FILE):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "cosv4fs" / "profiles.ini"


def _missing(config: Config) -> list[str]:
    """Return the names of the options without which no request can be sent."""
    needed = needed_options(
        config.protocol, has_endpoint=bool(config.endpoint), anon=config.anon or config.credentials is not None
    )
    return [name for name in needed if not getattr(config, name)]


def needed_options(protocol: ProtocolSpec, *, has_endpoint: bool, anon: bool) -> list[str]:
    """Return the names of the options of the account that a protocol needs; `anon`: without keys of its own."""
    needed = ["appid"] if protocol.has_appid else []
    if not anon:
        needed += ["secret_id", "secret_key"]
    if protocol.has_regions and not has_endpoint:
        needed.append("region")
    return needed


def _how_to_set(missing: list[str], protocol: ProtocolSpec) -> str:
    variables = variables_of(protocol)
    return (
        f"missing {', '.join(missing)}: set {', '.join(variables[name] for name in missing)}; or pass "
        f"{', '.join(f'{name}=' for name in missing)} (in storage_options= of pandas and dask), or profile= with the "
        "name of a profile"
    )
