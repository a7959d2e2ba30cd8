"""What identifies the two sides of a migration, without secrets: its manifest belongs to them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from fsspec import filesystem
from fsspec.core import url_to_fs

from cosv4fs.localfiles import state_folder
from cosv4fs.migrate.locations import Location

_LOCATION_OPTIONS = (
    "account_name", "base_url", "endpoint", "endpoint_url", "host", "org", "port", "project", "ref", "region",
    "region_name", "repo", "sha",
)  # fmt: skip
"""Options that identify a service. All others may be secret or irrelevant."""


def default_manifest(source: Location, target: Location) -> Path:
    """Return the manifest for a source and target in the user's state directory."""
    both = identity(source) + identity(target)
    names = "-to-".join(
        re.sub(r"[^A-Za-z0-9]+", "-", bare_url(location.url)).strip("-")[:40] for location in (source, target)
    )
    return state_folder() / f"migrate-{names}-{hashlib.sha256(both.encode()).hexdigest()[:16]}.sqlite"


def identity(location: Location) -> str:
    """Return the identity of a source or target as the manifest stores it."""
    return json.dumps(_url_and_service(location), sort_keys=True, default=str)


def _url_and_service(location: Location) -> tuple[str, dict[str, Any]]:
    """Return a URL and the options that identify its service, without secrets."""
    given = {**location.fs.storage_options, **(location.fs.storage_options.get("client_kwargs") or {})}
    where = {name: bare_url(given[name]) for name in _LOCATION_OPTIONS if given.get(name)}
    if "s3" in location.protocols and "endpoint_url" not in where:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        where["endpoint_url"] = bare_url(endpoint)
    # a filesystem that describes itself knows better than its options
    where = where if location.address is None else {"address": location.address}
    inner = _inner(location)
    return bare_url(location.url), where if inner is None else {**where, "within": _url_and_service(inner)}


def _inner(location: Location) -> Location | None:
    """Return what a wrapping filesystem is based on: an archive file, or a path of another filesystem."""
    given = location.fs.storage_options
    file, protocol = given.get("fo"), given.get("target_protocol")
    options = given.get("target_options") or {}
    if protocol is None:
        return Location(*url_to_fs(file, **options)) if isinstance(file, str) else None
    fs = filesystem(protocol, **options)
    return Location(fs, fs._strip_protocol(file if isinstance(file, str) else location.path))


def bare_url(url: Any) -> Any:
    """Return a URL without user name and password; its query, which may be a signature, is replaced by a digest."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return url
    front, _, query = re.sub("//[^/?#]*@", "//", url, count=1).partition("?")
    return f"{front}?{hashlib.sha256(query.encode()).hexdigest()[:16]}" if query else front
