"""Metadata of files on S3: headers and user metadata, by the names of s3fs, and attributes, by ours.

User metadata has what S3 has no field for: `MTIME`, as rclone writes it, and `BIZ_ATTR`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

from cosv4fs.attributes import ATTRIBUTES, DEFAULT_TYPES, guessed_type
from cosv4fs.migrate.locations import Location

MTIME = "mtime"
"""The user metadata that holds the modification time in Unix seconds."""

BIZ_ATTR = "biz-attr"
"""The user metadata that holds ``biz_attr``, with all but visible ASCII percent-encoded."""

_LIMIT = 2048
"""Bytes of user metadata that S3 stores for one file, names and values together."""

_OTHERS = {
    "Expires": "expires",
    # newer versions of botocore
    "ExpiresString": "expires",
    "WebsiteRedirectLocation": "website_redirect_location",
}
"""What only S3 stores."""

_ERRNOS = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Names of headers."""

_SECONDS = re.compile(r"-?\d{1,12}(\.\d{1,18})?")


@dataclass(frozen=True)
class S3Metadata:
    """What a file on S3 has beside its content.

    Parameters
    ----------
    attributes : mapping
        See `attributes_in`.
    named_time : int or None
        The modification time in nanoseconds that user metadata names.
    uploaded : int or None
        The time of the upload in nanoseconds.
    others : set of str
        What only S3 stores.
    """

    attributes: Mapping[str, Any]
    named_time: int | None
    uploaded: int | None
    others: frozenset[str]

    @property
    def modified(self) -> int | None:
        """The modification time in nanoseconds: that which user metadata names, or else the time of the upload."""
        return self.uploaded if self.named_time is None else self.named_time


def read(location: Location) -> S3Metadata:
    """Request what a file has beside its content (HEAD).

    Raises
    ------
    OSError
        The file cannot be read.
    """
    reply = head(location)
    uploaded = reply.get("LastModified")
    return S3Metadata(
        attributes_in(reply),
        named_time(reply.get("Metadata", {})),
        None if uploaded is None else int(uploaded.timestamp()) * 10**9,
        frozenset(name for key, name in _OTHERS.items() if reply.get(key)),
    )


def head(location: Location) -> Mapping[str, Any]:
    """Return what S3 replies to HEAD, by the names of its API.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    bucket, key, version = location.fs.split_path(location.path)
    more = {"VersionId": version} if version else {}
    try:
        reply: Mapping[str, Any] = location.fs.call_s3("head_object", Bucket=bucket, Key=key, **more)
    except OSError as error:
        # s3fs names neither the path nor an errno
        number = error.errno or next((code for kind, code in _ERRNOS.items() if isinstance(error, kind)), errno.EIO)
        text = f"its metadata cannot be read (HEAD: {error.strerror or error})"
        raise OSError(number, text, location.url) from error
    return reply


def attributes_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes, by our names, in a reply or in keywords of s3fs; defaults and what is empty left out.

    A modification time in the user metadata is no attribute.
    """
    found = {row.name: fields[row.s3] for row in ATTRIBUTES.values() if row.is_header and fields.get(row.s3)}
    # clients add this coding for the transfer alone, and some servers store it
    codings = [one.strip() for one in found.pop("content_encoding", "").split(",")]
    found["content_encoding"] = ", ".join(one for one in codings if one != "aws-chunked")
    if found.get("content_type") in DEFAULT_TYPES:
        del found["content_type"]
    metadata = dict(fields.get("Metadata", {}))
    if nanoseconds(metadata.get(MTIME, "")) is not None:
        del metadata[MTIME]
    if BIZ_ATTR in metadata and _encoded(unquote(metadata[BIZ_ATTR])) == metadata[BIZ_ATTR]:
        found["biz_attr"] = unquote(metadata.pop(BIZ_ATTR))
    return {name: value for name, value in {**found, "metadata": metadata}.items() if value}


def keywords_of(attributes: Mapping[str, Any], modified: int | None, path: str) -> tuple[dict[str, Any], set[str]]:
    """Return keywords of s3fs for a file at a path, and the names of the attributes that it cannot store.

    Parameters
    ----------
    attributes : mapping
        By our names; without a content type, the name of the file gives it one.
    modified : int, optional
        The modification time in nanoseconds.
    """
    headers = {name: value for name, value in attributes.items() if ATTRIBUTES[name].is_header}
    headers.setdefault("content_type", guessed_type(path))
    keywords = {ATTRIBUTES[name].s3: value for name, value in headers.items() if value and _is_sendable(value)}
    lost = {name for name, value in headers.items() if value and not _is_sendable(value)}
    # buckets often refuse permissions of files
    lost |= {"authority"} & attributes.keys()
    carried: dict[str, str] = {}
    room = _LIMIT
    for name, value, attribute in _user_metadata(attributes, modified):
        size = len(name) + len(value)
        if name in carried or not (_NAME.fullmatch(name) and _is_sendable(value)) or size > room:
            lost.add(attribute)
        else:
            room, carried[name] = room - size, value
    return keywords | ({"Metadata": carried} if carried else {}), lost


def _is_sendable(value: str) -> bool:
    """Return whether a header can carry a text unchanged."""
    return value.isascii() and value.isprintable() and value == value.strip()


def _user_metadata(attributes: Mapping[str, Any], modified: int | None) -> list[tuple[str, str, str]]:
    """Return names and values of user metadata, and the attribute that each stands for; the first of a name counts."""
    metadata = {name.lower(): value for name, value in attributes.get("metadata", {}).items()}
    found = [(BIZ_ATTR, _encoded(attributes["biz_attr"]), "biz_attr")] if "biz_attr" in attributes else []
    if modified is not None and MTIME not in metadata:
        found.append((MTIME, _seconds(modified), "modified"))
    return [*found, *((name, value, "metadata") for name, value in metadata.items())]


def _encoded(text: str) -> str:
    """Return a text in which all but visible ASCII is percent-encoded, and so are percent signs."""
    return quote(text, safe="".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%"))


def _seconds(time: int) -> str:
    """Return nanoseconds as rclone writes a time: seconds, with as many decimals as it has."""
    whole, rest = divmod(abs(time), 10**9)
    return f"{'-' if time < 0 else ''}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def named_time(metadata: Mapping[str, str]) -> int | None:
    """Return the modification time in nanoseconds that user metadata names, in any case; None if it names none."""
    return nanoseconds(next((text for name, text in metadata.items() if name.lower() == MTIME), ""))


def nanoseconds(seconds: str) -> int | None:
    """Return a time that user metadata has in seconds, in nanoseconds; None if it is something else."""
    return int(Decimal(seconds) * 10**9) if _SECONDS.fullmatch(seconds) else None
