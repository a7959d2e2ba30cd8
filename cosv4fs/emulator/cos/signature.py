"""Parsing and checking signatures, in the order of cos.md#signature-order."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from cosv4fs.emulator.call import folded
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    from cosv4fs.emulator.call import ObjectPath
    from cosv4fs.emulator.dialects import Dialect
    from cosv4fs.emulator.service import Account

LONGEST_VALIDITY = 92 * 86400
"""Seconds: "at most three months ahead" (cos.md#signature); no three months are longer than 92 days."""

Kind = Literal["multi", "single", "any"]
"""The kind of signature that an operation needs: for many requests, for one, or either."""

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?\Z")


@dataclass(frozen=True)
class _Signature:
    """A signature as it was received, taken apart.

    Its fields are the HMAC in front, the signed text as received (the order of its fields is not fixed), and of that
    the fields ``a``, ``b``, ``k``, ``f`` (still percent-encoded), ``e`` and ``t`` in Unix seconds.
    """

    digest: bytes = field(repr=False)
    plain: bytes = field(repr=False)
    appid: str
    bucket: str
    secret_id: str = field(repr=False)
    fileid: str
    expires: float
    signed: float

    @property
    def single(self) -> bool:
        """Whether it is good for one request only."""
        return self.expires == 0

    @property
    def key(self) -> bytes:
        """A short name under which its use is stored, from which it cannot be rebuilt."""
        return hashlib.sha256(self.digest + self.plain).digest()


def check_signature(
    text: str,
    path: ObjectPath,
    account: Account,
    dialect: Dialect,
    *,
    now: float,
    kind: Kind,
    bound: bool = True,
    download: bool = False,
    twice: bool = False,
) -> _Signature:
    """Return the signature of one request if it is good at `now`; a single-use one may have been used before.

    `bound` says whether a multi-effect signature may be bound to a path; `download` whether the short forms of ``f``
    are good: without appid and bucket, without leading slash; `twice` whether that path may be encoded twice, if the
    dialect accepts it.
    """
    signature = check_signer(text, path.bucket, account)
    if signature.single and kind == "multi":
        raise ApiError(-74)
    if not signature.single and kind == "single":
        raise ApiError(-73)
    _check_time(signature, now)
    if not signature.fileid:
        if signature.single:
            raise ApiError(-76)
        return signature
    full = f"/{account.appid}/{path.bucket}{path.text}"
    names = (full, path.text, path.text[1:]) if download else (full,)
    bindings = _bindings(signature, dialect, twice=twice)
    if not (bound or signature.single) or not _covers(signature, bindings, names):
        raise ApiError(-63)
    return signature


def check_signer(text: str, bucket: str, account: Account) -> _Signature:
    """Check that an account's keys have signed for a bucket; the head of the request is enough for that."""
    signature = _read_signature(text)
    if signature.appid != account.appid:
        raise ApiError(-70)
    if not account.has_id(signature.secret_id):
        raise ApiError(-79)
    if not hmac.compare_digest(signature.digest, hmac.digest(account.secret_key.encode(), signature.plain, "sha1")):
        raise ApiError(-97)
    if signature.bucket != bucket:
        raise ApiError(-61)
    return signature


def _read_signature(text: str) -> _Signature:
    """Take a signature apart: −81 when it is empty, −5998 when it is malformed.

    A space stands for ``+`` (cos.md#signature, the ``+`` hazard), and a leading word ``Authorization`` is tolerated
    (wire.md#tolerate, point 8).
    """
    text = text.strip()
    if text[:14].lower() == "authorization ":
        text = text[14:].strip()
    if not text:
        raise ApiError(-81)
    if len(text) % 4:
        # Python 3.10 takes padding that is too long
        raise ApiError(-5998)
    try:
        raw = base64.b64decode(text.replace(" ", "+"), validate=True)
        plain = raw[20:].decode()
    except (binascii.Error, ValueError):
        raise ApiError(-5998) from None
    fields = dict(pair.partition("=")[::2] for pair in plain.split("&"))
    missing = {"a", "b", "k", "e", "t", "r"} - fields.keys()
    if missing or not _NUMBER.match(fields["e"]) or not _NUMBER.match(fields["t"]):
        raise ApiError(-5998)
    return _Signature(
        digest=raw[:20],
        plain=raw[20:],
        appid=fields["a"],
        bucket=fields["b"],
        secret_id=fields["k"],
        fileid=fields.get("f", ""),
        expires=float(fields["e"]),
        signed=float(fields["t"]),
    )


def _check_time(signature: _Signature, now: float) -> None:
    if signature.single:
        # The documentation names no age limit. With this one, records of used signatures can expire.
        if signature.signed + LONGEST_VALIDITY < now:
            raise ApiError(-96)
    elif signature.expires <= now or signature.expires <= signature.signed:
        raise ApiError(-96)
    elif signature.expires > now + LONGEST_VALIDITY:
        raise ApiError(-97)


def _bindings(signature: _Signature, dialect: Dialect, *, twice: bool) -> list[str]:
    """Return the paths that a signature may be bound to, as its ``f`` can be read."""
    once = _decode(signature.fileid)
    decoded = [once, _decode(once)] if twice and dialect.double_encoding == "lenient" else [once]
    return [folded(text) for text in decoded] if dialect.final_slashes == "fold" else decoded


def _covers(signature: _Signature, bindings: list[str], names: tuple[str, ...]) -> bool:
    """Return whether a signature is bound to one of these names; only multi-effect signatures match by prefix."""
    return any(
        name == fileid if signature.single else name.startswith(fileid)
        for fileid in bindings
        if fileid
        for name in names
    )


def _decode(text: str) -> str:
    """Return a text percent-decoded; the empty text when that is not UTF-8, which names no path."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""
