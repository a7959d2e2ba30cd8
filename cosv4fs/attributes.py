"""The attributes of files: what services store beside the content, by which names, and which of them store it.

`ATTRIBUTES` is the only table of names. Methods that write take its names as keywords, `setxattrs` changes the same
names, and `attributes` returns them, so that what one file has can be given to another.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, TypedDict, cast

from cosv4fs.arguments import hint_at
from cosv4fs.protocols import CDCS, V3, V4

__all__ = ["ACLS", "ATTRIBUTES", "Attribute", "Attributes", "WriteKeywords"]

META = "x-cos-meta-"
"""The beginning of the headers for user metadata (cos.md#update)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME_CHARACTERS = "!#$%&'*+-.^_`|~"
"""What names of headers may have beside letters and digits (RFC 9110, section 5.1)."""

_TOKEN = re.compile(rf"[0-9A-Za-z{re.escape(_NAME_CHARACTERS)}]+")

_V4 = frozenset({V4.name})
_BUCKETS = frozenset({V4.name, V3.name})
_EVERY = frozenset({V4.name, V3.name, CDCS.name})

ACLS: Mapping[str, str] = {"private": "eWRPrivate", "public-read": "eWPrivateRPublic", "default": "eInvalid"}
"""The permissions that a file can have, by their usual names; ``default`` is the permission of its bucket."""


class Attributes(TypedDict, total=False):
    """The attributes of a file, as methods that write take them and `attributes` returns them; see `ATTRIBUTES`.

    ``content_type`` (in ASCII), ``cache_control``, ``content_disposition``, ``content_encoding`` and
    ``content_language`` are headers of downloads. ``metadata`` is user metadata: its names are those of headers, so
    letters, digits and ``!#$%&'*+-.^_`|~``, in any case. None of these may be empty or have control characters.
    ``biz_attr`` is any text. ``authority`` is one of `ACLS`; methods that write take the service's names, too.
    """

    content_type: str
    cache_control: str
    content_disposition: str
    content_encoding: str
    content_language: str
    metadata: Mapping[str, str]
    biz_attr: str
    authority: str


class WriteKeywords(Attributes, total=False):
    """Keywords of methods that write files: the `Attributes`, and how to write.

    With ``overwrite=False``, the name of adlfs for ``mode="create"``, writing fails if the file exists.
    ``max_concurrency`` is the number of slices or parts of the file in flight at once; the option of this name limits
    those of all files.
    """

    overwrite: bool | None
    max_concurrency: int | None


@dataclass(frozen=True)
class Attribute:
    """One attribute, its names, and the services that store it.

    Parameters
    ----------
    name : str
        The keyword of methods that write, and the key in `attributes`.
    header : str
        The header of downloads, which is also the key in ``custom_headers`` (cos.md#update); for user metadata the
        beginning of all its headers. Empty for what downloads do not show.
    s3 : str
        The keyword of s3fs; empty if it has none.
    written_by, changed_by : set of str
        The protocols that store it with the content, and those that can change it later.
    """

    name: str
    header: str
    s3: str
    written_by: frozenset[str]
    changed_by: frozenset[str]

    @property
    def is_header(self) -> bool:
        """Whether it is one header of downloads."""
        return self.header not in ("", META)


ATTRIBUTES: Mapping[str, Attribute] = {
    row.name: row
    for row in (
        Attribute("content_type", "Content-Type", "ContentType", _EVERY, _V4),
        Attribute("cache_control", "Cache-Control", "CacheControl", _V4, _V4),
        Attribute("content_disposition", "Content-Disposition", "ContentDisposition", _V4, _V4),
        Attribute("content_encoding", "Content-Encoding", "ContentEncoding", _V4, _V4),
        Attribute("content_language", "Content-Language", "ContentLanguage", _V4, _V4),
        Attribute("metadata", META, "Metadata", _V4, _V4),
        Attribute("biz_attr", "", "", _BUCKETS, _BUCKETS),
        Attribute("authority", "", "ACL", _V4, _V4),
    )
}
"""All attributes by name (cos.md#update, cos.md#v3 and cdcs.md#immutability)."""

_FOREIGN = {foreign: row.name for row in ATTRIBUTES.values() for foreign in (row.s3, row.header) if foreign}
"""The names that s3fs and HTTP have for attributes, and ours: for the text of errors."""

_OTHERS = ("mode", "overwrite", "resume", "callback", "max_concurrency", "batch_size", "size", "block_size")
"""Other keywords of methods that write, which may be meant by a wrong one."""

_FOR_READING = ("block_size", "cache_type", "cache_options", "size", "compression", "encoding", "errors", "newline")
"""The keywords of `open` for reading."""

_SO_SIMILAR = 0.85
"""How similar to an attribute a name has to be to count as mistyped: less than ``author`` is to ``authority``."""

_ELSEWHERE = {
    V3.name: (
        "; fs.client.update(bucket, key, custom_headers=, authority=) sends headers and the permission of a file, but "
        "no reply shows them, so that it may remove headers unseen"
    )
}
"""What a client can do although its filesystem refuses it (cos.md#v3-update)."""

_DEFAULTS = {"biz_attr": "", "authority": "default"}
"""The values of attributes that are not headers where none was given, or it was removed."""

DEFAULT_TYPES = ("application/octet-stream", "binary/octet-stream")
"""The content types that services return for files without one."""


@dataclass(frozen=True)
class Changes:
    """Changes of attributes, as the service takes them; None is a header to remove, or an attribute to leave."""

    headers: Mapping[str, str | None]
    biz_attr: str | None = None
    authority: str | None = None

    @property
    def removed(self) -> tuple[str, ...]:
        """The headers to remove."""
        return tuple(name for name, value in self.headers.items() if value is None)

    def changes_more_than(self, names: Collection[str]) -> bool:
        """Return whether there are changes of anything but these headers."""
        return any(name not in names for name in self.headers) or (self.biz_attr, self.authority) != (None, None)

    def applied_to(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers with the changes made to them; names of headers are the same in any case."""
        changed = {name.lower() for name in self.headers}
        kept = {name: value for name, value in headers.items() if name.lower() not in changed}
        return kept | {name: value for name, value in self.headers.items() if value is not None}


@cache
def stored_by(protocol: str) -> frozenset[str]:
    """Return the names of the attributes that a service stores with new files; none for other protocols."""
    return frozenset(row.name for row in ATTRIBUTES.values() if protocol in row.written_by)


def parsed_attributes(given: Mapping[str, Any], protocol: str) -> Attributes:
    """Return the attributes for a new file; those that are None are left out.

    Raises
    ------
    TypeError
        An unknown name, or a value of the wrong type.
    ValueError
        An invalid value.
    NotImplementedError
        The service cannot store an attribute; the text says what it can store.
    """
    if not given:
        # what most files have
        return Attributes()
    _refuse_unknown(given)
    parsed = {name: _parsed(name, value) for name, value in given.items() if value is not None}
    # no user metadata, which every service can store
    attributes = {name: value for name, value in parsed.items() if value != {}}
    _check_stored(attributes, protocol, stored_by(protocol), "new")
    return cast(Attributes, attributes)


def parsed_changes(given: Mapping[str, Any], protocol: str) -> Changes:
    """Return changes of attributes; names that `ATTRIBUTES` does not have are those of user metadata.

    None removes what it names: the text of ``biz_attr`` becomes empty, and ``authority`` that of the bucket.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        See `parsed_attributes`.
    """
    known = {name: value for name, value in given.items() if name in ATTRIBUTES}
    others = {name: value for name, value in given.items() if name not in ATTRIBUTES}
    metadata = _changed_metadata(known.pop("metadata", None), others)
    named = [*known, *(["metadata"] if metadata else [])]
    _check_stored(named, protocol, {row.name for row in ATTRIBUTES.values() if protocol in row.changed_by}, "existing")
    values = {name: None if value is None else _parsed(name, value) for name, value in known.items()}
    headers = {ATTRIBUTES[name].header: value for name, value in values.items() if ATTRIBUTES[name].is_header}
    headers |= {META + name: value for name, value in metadata.items()}
    texts = {name: values[name] or _parsed(name, default) for name, default in _DEFAULTS.items() if name in values}
    return Changes(headers, texts.get("biz_attr"), texts.get("authority"))


def _changed_metadata(mapping: Any, keywords: Mapping[str, Any]) -> dict[str, str | None]:
    """Return changes of user metadata, from a mapping and from keywords; None removes."""
    for name in keywords:
        hint = f"use {ours};" if (ours := _known_as(name)) else _mistyped(name)
        if hint:
            raise TypeError(f"unexpected keyword {name!r}: {hint} metadata= takes user metadata of any name")
    mapping = {} if mapping is None else mapping
    _check_mapping(mapping)
    metadata = {**mapping, **keywords}
    _check_names(metadata)
    for name, value in metadata.items():
        if value is not None:
            _check_header(f"metadata {name!r}", value)
    return metadata


def parsed_authority(acl: object) -> str:
    """Return the service's name of a permission, from that or a usual name.

    Raises
    ------
    ValueError
        There is no such permission; the text names all.
    """
    for name, wire in ACLS.items():
        if acl in (name, wire):
            return wire
    known = ", ".join(f"{name} ({wire})" for name, wire in ACLS.items())
    raise ValueError(f"a permission must be one of {known}, not {acl!r}")


def acl_name(authority: str) -> str:
    """Return the usual name of a permission that the service reports; itself if there is none."""
    return next((name for name, wire in ACLS.items() if wire == authority), authority)


def refuse_for_reading(given: Mapping[str, Any]) -> None:
    """Refuse (TypeError) keywords of a file that is opened for reading: attributes, and unknown ones."""
    for name in given:
        if _known_as(name):
            raise TypeError(f"{name}: only files opened for writing take this keyword")
        hint = hint_at(name, _FOR_READING, f"for reading, open takes {', '.join(_FOR_READING)}")
        raise TypeError(f"unexpected keyword {name!r}: {hint}")


def refuse_in_url(given: Mapping[str, Any], protocol: str) -> None:
    """Refuse headers for the downloads of a signed URL: the APIs document no parameters for them (cos.md#download).

    Raises
    ------
    NotImplementedError
        An attribute; the text says what to do instead.
    TypeError
        Anything else.
    """
    for name in given:
        known = _known_as(name)
        if known is None:
            is_expiry = name.lower().startswith("expir")
            hint = "did you mean expiration?" if is_expiry else "a URL takes only expiration, in seconds"
            raise TypeError(f"unexpected keyword {name!r}: {hint}")
        instead = "setxattrs" if protocol in ATTRIBUTES[known].changed_by else "write the file with it"
        raise NotImplementedError(
            f"{protocol} documents no parameter of a URL for {known}: make it an attribute of the file ({instead})"
        )


def headers_of(attributes: Attributes) -> dict[str, str]:
    """Return the headers that attributes stand for, as ``custom_headers`` has them."""
    headers = {
        row.header: str(attributes[row.name])  # type: ignore[literal-required]
        for row in ATTRIBUTES.values()
        if row.name in attributes and row.is_header
    }
    return headers | {META + name: value for name, value in attributes.get("metadata", {}).items()}


_NAMES = {row.header.lower(): row.name for row in ATTRIBUTES.values() if row.is_header}
"""The names of attributes by their headers."""


def attributes_in(headers: Mapping[str, str]) -> Attributes:
    """Return the attributes that headers stand for; ``metadata`` is always there, others only if they are set."""
    found: dict[str, Any] = {"metadata": {}}
    for header, value in headers.items():
        name = header.lower()
        if name.startswith(META):
            found["metadata"][header[len(META) :]] = value
        elif name in _NAMES and value:
            found[_NAMES[name]] = value
    return cast(Attributes, found)


def without_defaults(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes without those that have the service's default, which a new file has anyway."""
    return {name: value for name, value in attributes.items() if value != _DEFAULTS.get(name)}


def guessed_type(path: str) -> str | None:
    """Return the content type that a file gets by its name unless one is given; None if its name says nothing."""
    return mimetypes.guess_type(path)[0]


def is_storable(name: str, value: Any, protocol: str) -> bool:
    """Return whether a service can store an attribute of this value with a new file."""
    try:
        parsed_attributes({name: value}, protocol)
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def attributes_of_copy(stored: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that a copy of a file should have, without defaults and empty ones.

    Parameters
    ----------
    stored : mapping
        What the status of the file says (see `attributes` of the filesystem).
    shown : mapping
        What its download shows: also a content type that was only sent along with the content, or is a default.
    """
    shown = {name: value for name, value in shown.items() if name != "content_type" or value not in DEFAULT_TYPES}
    return {name: value for name, value in without_defaults({**shown, **stored}).items() if value}


def written_with_copy(attributes: Mapping[str, Any], path: str, protocol: str) -> tuple[dict[str, Any], set[str]]:
    """Return the attributes to write with a copy, and the names of those that cannot be carried.

    A content type that the file gets by its name is left out, which saves requests. A permission is only carried if it
    makes the copy private: a file that was public in one place must not become public in another one unasked.

    Parameters
    ----------
    attributes : mapping
        See `attributes_of_copy`.
    path : str
        The target.
    """
    written: dict[str, Any] = {}
    lost = {name for name, value in attributes.items() if name == "authority" and value != "private"}
    for name, value in attributes.items():
        if name == "metadata":
            kept = {key: text for key, text in value.items() if is_storable(name, {key: text}, protocol)}
            written |= {name: kept} if kept else {}
            lost |= {name} if len(kept) < len(value) else set()
        elif name == "content_type" and value == guessed_type(path):
            continue
        elif not is_storable(name, value, protocol):
            lost.add(name)
        elif name not in lost:
            written[name] = value
    return written, lost


def attribute_in(attributes: Attributes, name: str) -> Any:
    """Return one attribute, or a value of user metadata, whose names are the same in any case; None if not there."""
    if name in ATTRIBUTES:
        return attributes.get(name)
    metadata = {key.lower(): value for key, value in attributes.get("metadata", {}).items()}
    return metadata.get(name.lower())


def _known_as(name: str) -> str | None:
    """Return the attribute that a name stands for: its own, or one of s3fs or HTTP in any spelling."""
    others = {**_FOREIGN, **{own: own for own in ATTRIBUTES}}
    return {_plain(other): known for other, known in others.items()}.get(_plain(name))


def _mistyped(name: str) -> str:
    """Return a question for a name that is probably a mistyped attribute, else nothing."""
    known = {_plain(own): own for own in ATTRIBUTES}
    similar = get_close_matches(_plain(name), known, 1, _SO_SIMILAR)
    return f"did you mean {known[similar[0]]}?" if similar else ""


def _refuse_unknown(names: Iterable[str]) -> None:
    for name in names:
        if name not in ATTRIBUTES:
            raise TypeError(f"unexpected keyword {name!r}: {_hint(name)}")


def _hint(name: str) -> str:
    if ours := _known_as(name):
        return f"use {ours}"
    if name in _OTHERS:
        return "this method does not take it"
    return hint_at(name, [*ATTRIBUTES, *_OTHERS], f"the attributes of a file are {', '.join(ATTRIBUTES)}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _check_stored(wanted: Collection[str], protocol: str, stored: Collection[str], which: str) -> None:
    """Refuse attributes that a service cannot store."""
    impossible = [name for name in ATTRIBUTES if name in wanted and name not in stored]
    if impossible:
        possible = ", ".join(name for name in ATTRIBUTES if name in stored)
        raise NotImplementedError(
            f"{protocol} cannot store {', '.join(impossible)}: "
            f"{f'of {which} files it stores {possible} only' if possible else f'{which} files cannot be changed'}"
            f"{_ELSEWHERE.get(protocol, '')}"
        )


def _parsed(name: str, value: Any) -> Any:
    if name == "metadata":
        _check_mapping(value)
        _check_names(value)
        for key, text in value.items():
            _check_header(f"metadata {key!r}", text)
        return dict(value)
    if name == "authority":
        return parsed_authority(value)
    if name == "biz_attr":
        # it is sent in JSON or between random boundaries: line breaks do no harm
        _check_text(name, value)
    else:
        _check_header(name, value)
    return value


def _check_mapping(value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"metadata must be a mapping of names to texts, not {value!r}")


def _check_names(metadata: Mapping[Any, Any]) -> None:
    for name in metadata:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(f"metadata {name!r}: a name must consist of letters, digits and {_NAME_CHARACTERS}")
        if name.lower().startswith(META):
            raise ValueError(f"metadata {name!r}: leave out {META} at the beginning of the name")
    for name in _repeated(metadata):
        raise ValueError(f"metadata {name!r} is given twice: its names are those of headers, in which case is ignored")


def _repeated(names: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            yield name
        seen.add(name.lower())


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} cannot be sent as UTF-8: {value[:80]!r}") from None


def _check_header(name: str, value: Any) -> None:
    """Refuse the value of a header that is empty or has control characters."""
    _check_text(name, value)
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    if _CONTROL.search(value):
        raise ValueError(f"{name} must not have line breaks or other control characters: {value[:80]!r}")
    if name == "content_type" and not value.isascii():
        # unlike others, which are sent in JSON, it is sent as a header itself
        raise ValueError(f"{name} must be ASCII: {value[:80]!r}")
