"""Signatures of the COS JSON API (cos.md#signature).

``sign = base64(HMAC_SHA1(secret_key, plain) + plain)`` with
``plain = a=<appid>&k=<secret_id>&e=<expiry>&t=<now>&r=<random>&f=<fileid>&b=<bucket>``.

Three kinds are made: *multi-effect* (reusable until it expires, here never bound to a path), *single-use* (``e=0``,
bound to exactly one path) and *download* (multi-effect, for a URL, bound to the object).
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from urllib.parse import quote

from cosv4fs.api.credentials import Keys, SignerBase
from cosv4fs.api.quirks import Quirks
from cosv4fs.config import Config
from cosv4fs.errors import make_error
from cosv4fs.paths import join
from cosv4fs.redaction import Secret

_MOST_KEPT = 256
_RANDOM_LIMIT = 2**32  # at most 10 decimal digits are allowed (cos.md#signature, field r)


def encode_key(key: str) -> str:
    """Percent-encode a key as UTF-8, keeping ``/``: the one form that is sent, and the one that is signed."""
    return quote(key, safe="/~")


def plain_text(*, appid: str, secret_id: str, bucket: str, expires: int, now: int, nonce: int, fileid: str) -> str:
    """Return the text that is signed, in the field order of the vendor's own clients (cos.md#signature).

    `expires` is 0 for single use, and `fileid`, percent-encoded, is empty for an unbound signature.
    """
    return f"a={appid}&k={secret_id}&e={expires}&t={now}&r={nonce}&f={fileid}&b={bucket}"


def signature(plain: str, secret_key: str) -> Secret:
    """Return the signature of a plain text, standard base64 on one line (cos.md#signature)."""
    text = plain.encode()
    digest = hmac.new(secret_key.encode(), text, hashlib.sha1).digest()
    return Secret(base64.b64encode(digest + text), "ascii")


class Signer(SignerBase):
    """Makes signatures for one account; keeps multi-effect ones until shortly before they expire."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.time, quirks: Quirks | None = None) -> None:
        super().__init__(config, clock, quirks)
        # with the time when they are renewed. A plain dict: Ctrl-C between two steps of a `TTLCache` can stop its clock
        self._cache: dict[tuple[str, str], tuple[float, Secret]] = {}

    def multi(self, bucket: str) -> Secret:
        """Return an unbound multi-effect signature for `bucket`; the same one for many requests."""
        keys, now = self.current_keys(), self._clock()
        with self._lock:
            until, found = self._cache.get((bucket, keys.secret_id), (now, Secret()))
            if now >= until:
                if len(self._cache) >= _MOST_KEPT:
                    self._cache.clear()
                found = self._sign(bucket, self._config.sign_expiry, "", keys)
                # renewed after three quarters of its life, so that none expires in transit
                self._cache[bucket, keys.secret_id] = (now + self._config.sign_expiry * 0.75, found)
            return found

    def single(self, bucket: str, key: str) -> Secret:
        """Return a fresh single-use signature, bound to ``/<appid>/<bucket><key>``."""
        return self._sign(bucket, 0, f"/{self._config.appid}/{bucket}{encode_key(key)}")

    def download(self, bucket: str, key: str, seconds: int) -> Secret:
        """Return a download signature bound to one object, valid for `seconds`.

        The binding is the encoded key without appid and bucket, as the vendor's clients send it (cos.md#signature): so
        it is good for nothing but downloads. The service matches bindings by prefix, so a key that looks like the
        beginning of ``/<appid>/<bucket>/``, or begins with it, would be one for the API, writing included: it is
        refused (EINVAL).
        """
        root, fileid = f"/{self._config.appid}/{bucket}/", encode_key(key)
        if root.startswith(fileid) or fileid.startswith(root):
            text = "there is no safe URL for a name that looks like the account's number: rename the object"
            raise make_error(errno.EINVAL, text, join(bucket, key))
        return self._sign(bucket, seconds, fileid)

    def adopt_server_date(self, date: str | None) -> bool:
        """Follow a ``Date`` header, and drop all cached signatures; return whether that changes anything."""
        with self._lock:
            self._cache.clear()
            return super().adopt_server_date(date)

    def _sign(self, bucket: str, seconds: int, fileid: str, keys: Keys | None = None) -> Secret:
        if self._config.anon:
            return Secret()
        keys = keys or self.current_keys()
        now = self._server_now()
        plain = plain_text(
            appid=self._config.appid,
            secret_id=keys.secret_id,
            bucket=bucket,
            expires=now + seconds if seconds else 0,
            now=now,
            nonce=secrets.randbelow(_RANDOM_LIMIT),
            fileid=fileid,
        )
        return signature(plain, keys.secret_key)
