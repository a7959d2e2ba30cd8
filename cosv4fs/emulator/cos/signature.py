"""Parsing and checking signatures (cos.md#signature)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    from cosv4fs.emulator.dialects import Dialect
    from cosv4fs.emulator.service import Account

LONGEST_VALIDITY = 92 * 86400
"""Seconds: "at most three months ahead" (cos.md#signature); no three months are longer than 92 days."""

Kind = Literal["multi", "single", "any"]
"""The kind of signature that an operation needs: for many requests, for one, or either."""

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?\Z")


@dataclass(frozen=True)
class Signature:
    """A signature as it was received, taken apart but not checked.

    Parameters
    ----------
    digest : bytes
        The HMAC in front.
    plain : bytes
        The signed text, as received: the order of its fields is not fixed.
    appid, bucket, secret_id, fileid : str
        The fields ``a``, ``b``, ``k`` and ``f``, the last one still percent-encoded.
    expires, signed : float
        The fields ``e`` and ``t``, Unix seconds; ``e`` is 0 for a single-use signature.
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


def read_signature(text: str) -> Signature:
    """Take a signature apart.

    Parameters
    ----------
    text : str
        The header or query value. A space stands for ``+`` (cos.md#signature, the ``+`` hazard), and a leading word
        ``Authorization`` is tolerated (wire.md#tolerate, point 8).

    Raises
    ------
    ApiError
        −81 when it is empty, −5998 when it is malformed.
    """
    text = text.strip()
    if text[:14].lower() == "authorization ":
        text = text[14:].strip()
    if not text:
        raise ApiError(-81)
    try:
        raw = base64.b64decode(text.replace(" ", "+"), validate=True)
        plain = raw[20:].decode()
    except (binascii.Error, ValueError):
        raise ApiError(-5998) from None
    fields = dict(pair.partition("=")[::2] for pair in plain.split("&"))
    missing = {"a", "b", "k", "e", "t", "r"} - fields.keys()
    if missing or not _NUMBER.match(fields["e"]) or not _NUMBER.match(fields["t"]):
        raise ApiError(-5998)
    return Signature(
        digest=raw[:20],
        plain=raw[20:],
        appid=fields["a"],
        bucket=fields["b"],
        secret_id=fields["k"],
        fileid=fields.get("f", ""),
        expires=float(fields["e"]),
        signed=float(fields["t"]),
    )


class SignatureChecker:
    """Checks signatures for one account, in the order of cos.md#signature-order.

    Parameters
    ----------
    account : Account
        Whose signatures are good.
    dialect : Dialect
        The variant of each disputed point.
    """

    def __init__(self, account: Account, dialect: Dialect) -> None:
        self._account = account
        self._dialect = dialect

    def check(
        self, text: str, bucket: str, path: str, *, now: float, kind: Kind, bound: bool = True, download: bool = False
    ) -> Signature:
        """Check the signature of one request, but not whether a single-use one was used before.

        Parameters
        ----------
        text : str
            The signature as received.
        bucket, path : str
            What the URL names, decoded; the path begins with ``/``.
        now : float
            Unix seconds.
        kind : Kind
            What the operation needs.
        bound : bool
            Whether a multi-effect signature may be bound to a path.
        download : bool
            Whether the short forms of ``f`` are good: without appid and bucket, without leading slash.

        Returns
        -------
        Signature
            The signature, which is good.

        Raises
        ------
        ApiError
            With the code of the first check that fails.
        """
        signature = self.check_signer(text, bucket)
        self._check_kind(signature, kind)
        self._check_time(signature, now)
        self._check_fileid(signature, bucket, path, bound=bound, download=download)
        return signature

    def check_signer(self, text: str, bucket: str) -> Signature:
        """Check that the account's keys have signed for a bucket; the head of the request is enough for that.

        Raises
        ------
        ApiError
            With the code of the first check that fails.
        """
        signature = read_signature(text)
        if signature.appid != self._account.appid:
            raise ApiError(-70)
        if not self._account.has_id(signature.secret_id):
            raise ApiError(-79)
        if not hmac.compare_digest(
            signature.digest, hmac.digest(self._account.secret_key.encode(), signature.plain, "sha1")
        ):
            raise ApiError(-97)
        if signature.bucket != bucket:
            raise ApiError(-61)
        return signature

    def _check_kind(self, signature: Signature, kind: Kind) -> None:
        if signature.single and kind == "multi":
            raise ApiError(-74)
        if not signature.single and kind == "single":
            raise ApiError(-73)

    def _check_time(self, signature: Signature, now: float) -> None:
        if signature.single:
            # The documentation names no age limit. With this one, records of used signatures can expire.
            if signature.signed + LONGEST_VALIDITY < now:
                raise ApiError(-96)
        elif signature.expires <= now or signature.expires <= signature.signed:
            raise ApiError(-96)
        elif signature.expires > now + LONGEST_VALIDITY:
            raise ApiError(-97)

    def _check_fileid(self, signature: Signature, bucket: str, path: str, *, bound: bool, download: bool) -> None:
        if not signature.fileid:
            if signature.single:
                raise ApiError(-76)
            return
        if not bound and not signature.single:
            raise ApiError(-63)
        full = f"/{self._account.appid}/{bucket}{path}"
        names = (full, path, path[1:]) if download else (full,)
        for fileid in self._decoded(signature.fileid):
            # Only multi-effect signatures match by prefix.
            if any(name == fileid if signature.single else name.startswith(fileid) for name in names):
                return
        raise ApiError(-63)

    def _decoded(self, fileid: str) -> tuple[str, ...]:
        once = _decode(fileid)
        decoded = [once] if self._dialect.double_encoding == "strict" else [once, fileid, _decode(once)]
        return tuple(text for text in decoded if text)


def _decode(text: str) -> str:
    """Return a text percent-decoded; the empty text when that is not UTF-8, which names no path."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""
