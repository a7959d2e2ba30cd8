"""Configuration: what a filesystem is told, where else it looks, and where requests go.

`resolve` turns options into one immutable `Config`. It is hashable: everything with an equal configuration in one
process shares connections, caches and limits.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cosv4fs.errors import MissingCredentialsError
from cosv4fs.profiles import FILE_VARIABLE, profile_options
from cosv4fs.protocols import V4, ProtocolSpec
from cosv4fs.redaction import Secret, clears_frames

MIB = 1024 * 1024

SLICE_SIZES = tuple(V4.slice_sizes)
"""The slice sizes, in bytes, that the JSON API documents (cos.md#upload_slice_init)."""

ENVIRONMENT = V4.environment
"""The environment variable behind each option of ``cosv4`` that has one."""

_REGION = re.compile(r"[A-Za-z0-9-]+")

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


@dataclass(frozen=True)
class Config:
    """Everything that decides how requests are made. Build it with `resolve`, which checks the values.

    Parameters
    ----------
    appid, secret_id, secret_key, region : str
        The account; `region` is a short code such as ``gz``. The secrets are empty when `anon`.
    security_token : str
        What belongs to temporary keys; only of use for coffers.
    credentials : callable, optional
        Returns a mapping with ``secret_id``, ``secret_key`` and perhaps ``security_token`` and ``expires`` (Unix
        seconds or a datetime); asked at first use and again before they expire. Takes the place of `secret_id` and
        `secret_key`.
    anon : bool
        Send no signatures; only public objects can be read.
    endpoint : str
        Where API calls and downloads are sent, e.g. ``http://127.0.0.1:8080``; empty for the vendor's hosts.
    download_endpoint : str
        Where downloads are sent instead, e.g. ``https://{bucket}-{appid}.file.myqcloud.com`` for the CDN.
    use_ssl, verify : bool, bool or str
        https or http, for the vendor's hosts; check certificates, or the path of a CA bundle to check them with.
    proxies : tuple of (str, str) pairs, or None
        Scheme and proxy URL; None takes the environment's.
    connect_timeout, read_timeout : float
        Seconds to wait for a connection and for the next bytes of a reply.
    max_retries, retry_deadline : int, float
        How often a request is retried, and the seconds after which nothing is retried.
    max_concurrency, max_requests : int
        Slices or ranges in flight at once; other requests in flight at once.
    slice_size, single_upload_limit : int
        Bytes per slice, or per part of a coffer's object; the largest object, in bytes, that is uploaded in one
        request.
    range_size : int
        Bytes per range of a large download.
    spool_memory, spool_dir : int, str or None
        Bytes that a writer of unknown size keeps in memory; the folder for the temporary file beyond that.
    streaming : str
        Whether objects of unknown size that outgrow `spool_memory` travel while they are written: ``auto`` asks each
        bucket once whether it can, ``never`` keeps them in the spool, ``always`` does not ask.
    verify_downloads : str
        Whether whole objects that were read are compared with their SHA-1: ``known`` where a cached listing or status
        tells it, ``always`` asks for it, ``never`` trusts what comes. It costs about a second of processor
        time per GB.
    checksum : bool
        Hash files and memory before they are sent in slices, so that the server verifies them; spooled contents are
        hashed on the way in any case. Costs half a second of processor time per GB.
    instant_upload : bool
        Describe large contents to the service before sending them, so that what it has already is not sent again.
    journal_dir : str or None
        The folder that remembers unfinished uploads of local files; None for the user's folder for state.
    sign_expiry : int
        Seconds that a signature for several requests is valid.
    page_size : int
        Entries asked for per listing page.
    progress : bool
        Whether ``put``, ``get``, ``put_file`` and ``get_file`` show a bar (tqdm's), where no callback is given.
    use_listings_cache, listings_expiry_time : bool, float
        Whether listings and statuses are cached, and for how many seconds.
    protocol : ProtocolSpec
        The protocol spoken; no option, but given by the class of the filesystem or client.
    """

    appid: str = ""
    secret_id: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    region: str = ""
    security_token: str = field(default="", repr=False)
    credentials: Callable[[], Mapping[str, Any]] | None = field(default=None, repr=False)
    anon: bool = False
    endpoint: str = ""
    download_endpoint: str = ""
    use_ssl: bool = True
    verify: bool | str = True
    proxies: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    max_retries: int = 5
    retry_deadline: float = 120.0
    max_concurrency: int = 12
    max_requests: int = 32
    slice_size: int = 3 * MIB
    single_upload_limit: int = 4 * MIB
    range_size: int = 4 * MIB
    spool_memory: int = 16 * MIB
    spool_dir: str | None = None
    streaming: str = "auto"
    verify_downloads: str = "known"
    checksum: bool = True
    instant_upload: bool = False
    journal_dir: str | None = None
    sign_expiry: int = 900
    page_size: int = 1000
    progress: bool = False
    use_listings_cache: bool = True
    listings_expiry_time: float = 10.0
    protocol: ProtocolSpec = V4

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


class EnvironmentToken:
    """The environment's part of the configuration, read anew at each access.

    A class attribute that fsspec hashes into the identity of instances: another environment is another filesystem. Its
    class says by ``spec`` which variables count.
    """

    def __get__(self, instance: object, owner: type) -> tuple[str | None, ...]:
        protocol: ProtocolSpec = getattr(owner, "spec", V4)
        names = (*protocol.environment.values(), protocol.profile_variable, FILE_VARIABLE)
        return tuple(os.environ.get(name) for name in names)


@clears_frames
def resolve(
    options: Mapping[str, Any], fallback: Mapping[str, Any] | None = None, protocol: ProtocolSpec = V4
) -> Config:
    """Return the configuration for `options`, completed from the environment and `fallback`.

    Parameters
    ----------
    options : mapping
        Fields of `Config`, ``endpoint_url`` for ``endpoint``, and ``profile``, the name of a profile (see
        `cosv4fs.profiles`); a value of None counts as not given. What is given wins over the profile that is named
        here, that over the environment, that over the profile that the environment names.
    fallback : mapping, optional
        Values from a configuration file. fsspec mixes them into the options before anyone sees them, so an option
        that equals its fallback gives way to the environment.
    protocol : ProtocolSpec
        The protocol whose defaults and environment variables apply.

    Raises
    ------
    MissingCredentialsError
        A needed value was found nowhere; names it and the ways to set it.
    ValueError
        A value cannot be used; names it.
    TypeError
        An option is unknown.
    """
    fallback = _renamed(fallback or {})
    given = _renamed(options)
    own = {name: value for name, value in given.items() if fallback.get(name) != value or name not in fallback}
    named = own.pop("profile", None)
    variables = protocol.environment.items()
    environment = {name: os.environ[variable] for name, variable in variables if os.environ.get(variable)}
    usual = os.environ.get(protocol.profile_variable) or fallback.pop("profile", None)
    layers = [own, profile_options(named)] if named else [own]
    layers += [environment, *([profile_options(usual)] if usual and not named else []), fallback]
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        if "secret_id" in layer:
            # a token belongs to the key it was handed out with, never to one from elsewhere
            merged.pop("security_token", None)
        merged |= _renamed(layer)
    _check_use(merged, protocol)
    config = Config(**(dict(protocol.defaults) | _normalised(merged, protocol)), protocol=protocol)
    _check(config)
    return config


def _renamed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given, under their own names."""
    given = {name: value for name, value in options.items() if value is not None}
    if "endpoint_url" in given:
        url = given.pop("endpoint_url")
        if given.setdefault("endpoint", url) != url:
            raise ValueError("endpoint and endpoint_url mean the same, and have different values")
    return given


def _check_use(given: Mapping[str, Any], protocol: ProtocolSpec) -> None:
    """Refuse options that would do nothing; an empty text is none."""
    for name, why in protocol.refused:
        if given.get(name, "") != "":
            raise ValueError(f"{name} is no option of {protocol.name}: {why}")


def _normalised(given: dict[str, Any], protocol: ProtocolSpec) -> dict[str, Any]:
    known = [name for name in Config.__dataclass_fields__ if name != "protocol"]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise TypeError(f"unknown option {', '.join(unknown)}; known are {', '.join(known)}")
    for name in ("appid", "secret_id", "secret_key", "region", "security_token"):
        # fsspec parses values of its config files as JSON: an appid arrives as an int
        given[name] = str(given.get(name, "")).strip()
    for name in ("secret_key", "security_token"):
        given[name] = Secret(given[name])
    if protocol.short_regions:
        given["region"] = REGIONS.get(given["region"].lower(), given["region"])
    for name in ("endpoint", "download_endpoint"):
        given[name] = str(given.get(name, "")).rstrip("/")
    if "proxies" in given:
        given["proxies"] = _pairs(given["proxies"])
    if isinstance(given.get("verify"), os.PathLike):
        given["verify"] = os.fspath(given["verify"])
    if given.get("anon"):
        given |= {"secret_id": "", "secret_key": Secret(), "security_token": Secret()}
    return given


def _pairs(proxies: object) -> tuple[tuple[str, str], ...]:
    items = list(proxies.items() if isinstance(proxies, Mapping) else proxies if isinstance(proxies, tuple) else [()])
    if not all(isinstance(item, tuple) and [type(part) for part in item] == [str, str] for item in items):
        raise ValueError("proxies must map a scheme to a URL, as in {'https': 'http://proxy:3128'}")
    for scheme, proxy in items:
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            # asking for the port checks it
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not proxy.isprintable() or " " in proxy:
            # not shown: it may hold a password
            raise ValueError(f"the proxies' URL for {scheme!r} cannot be used: it must be like http://proxy:3128")
    return tuple(sorted(items))


def _check(config: Config) -> None:
    given_later = config.anon or config.credentials is not None
    needed = ["appid"] if config.protocol.has_appid else []
    needed += [] if given_later else ["secret_id", "secret_key"]
    if config.protocol.has_regions and not config.endpoint:
        needed.append("region")
    missing = [name for name in needed if not getattr(config, name)]
    if missing:
        raise MissingCredentialsError(13, _how_to_set(missing, config.protocol), None)
    for name in ("endpoint", "download_endpoint"):
        _check_url(name, getattr(config, name))
    for name in ("secret_id", "secret_key", "security_token"):
        # not shown: it is the value that is secret
        if not getattr(config, name).isprintable():
            raise ValueError(f"{name} has characters that no key has, such as line breaks or control characters")
    if config.protocol.has_appid and not (config.appid.isascii() and config.appid.isdigit()):
        raise ValueError(f"appid must be a number, not {config.appid!r}")
    if config.streaming not in ("auto", "never", "always"):
        raise ValueError(f"streaming must be auto, never or always, not {config.streaming!r}")
    if config.verify_downloads not in ("known", "always", "never"):
        raise ValueError(f"verify_downloads must be known, always or never, not {config.verify_downloads!r}")
    if config.region and not _REGION.fullmatch(config.region):
        example = "a short code such as gz" if config.protocol.short_regions else "like ap-tianjin"
        raise ValueError(f"region must be {example}, not {config.region!r}: it becomes part of a host")
    if config.credentials is not None and not callable(config.credentials):
        raise TypeError("credentials must be a callable that returns secret_id, secret_key and expires")
    if not isinstance(config.verify, (bool, str)):
        raise TypeError(f"verify must be True, False or the path of a CA bundle, not {config.verify!r}")
    _check_numbers(config)


def _check_url(name: str, url: str) -> None:
    if not url:
        return
    if not url.isprintable() or " " in url:
        raise ValueError(f"{name} must be a URL without blanks and control characters, not {url!r}")
    if "@" in url:
        raise ValueError(f"{name} must not contain a user name or password")
    try:
        parts = urlsplit(url.format(bucket="b", appid="1", region="r") if name == "download_endpoint" else url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, LookupError):
        usable = False
    if not usable:
        raise ValueError(f"{name} must be a URL such as http://127.0.0.1:8080, not {url!r}")


def _check_numbers(config: Config) -> None:
    for name, kind in Config.__annotations__.items():
        value = getattr(config, name)
        if kind not in ("int", "float"):
            continue
        is_number = isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError(f"{name} must be a number, not {value!r}")
    sizes, most = config.protocol.slice_sizes, config.protocol.max_single_upload
    if config.slice_size not in sizes:
        allowed = f"{sizes[0]} to {sizes[-1]}" if isinstance(sizes, range) else f"one of {sizes}"
        raise ValueError(f"slice_size must be {allowed} bytes, not {config.slice_size}")
    if not 0 <= config.single_upload_limit <= most:
        raise ValueError(f"single_upload_limit must be 0 to {most} bytes: {config.single_upload_limit}")
    for name in ("max_concurrency", "max_requests", "range_size", "page_size", "sign_expiry"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")
    for name in ("max_retries", "spool_memory", "retry_deadline", "listings_expiry_time"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} must not be negative: {getattr(config, name)}")
    for name in ("connect_timeout", "read_timeout"):
        if getattr(config, name) <= 0:
            raise ValueError(f"{name} must be a positive number of seconds, not {getattr(config, name)}")


def _how_to_set(missing: list[str], protocol: ProtocolSpec) -> str:
    ways = [f"{name} (option {name}= or environment variable {protocol.environment[name]})" for name in missing]
    return (
        f"missing {', '.join(ways)}; storage_options= of pandas and dask pass options on, and an fsspec configuration "
        f"file may set them under {protocol.name!r}; profile= names a section of the profile file"
    )
