"""Signatures of the Data Coffer Service: HMAC-SHA1 over one request, in its Authorization header (cdcs.md#signing).

The algorithm is that of COS XML v5; what is signed as the path is decoded and includes the coffer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

from cosv4fs.api.credentials import SignerBase
from cosv4fs.redaction import Secret

_TOKEN_HEADER = "x-cdcs-security-token"  # noqa: S105  # a header's name
"""Where the token of temporary keys goes (cdcs.md#request-headers)."""

_SIGNED = ("host", "content-type", "content-md5", "content-length", "date", _TOKEN_HEADER)
"""The headers that are signed where they are sent; all others may be changed on the way."""

_BACK_DATED = 60
"""Seconds that a signature is valid from before it is made: the clocks of two machines differ."""


def escape(text: str) -> str:
    """Percent-encode a text as UTF-8, all but letters, digits and ``-_.~`` (cdcs.md#signature)."""
    return quote(text, safe="-_.~")


def signing_key(secret_key: str, key_time: str) -> str:
    """Return the key that signs during `key_time`: hex digits, which are used as such (cdcs.md#signature)."""
    return _hmac(secret_key, key_time)


def signature(
    sign_key: str, key_time: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """Return the signature of one request (cdcs.md#signature, steps 3 to 7).

    `key_time` has the Unix seconds between which it is valid, as in ``1700000000;1700003600``. The path, which includes
    the coffer, is decoded; so are the query and the headers to be signed. A parameter without value has an empty one.
    """
    http = f"{method.lower()}\n{path}\n{_texts(query)}\n{_texts(headers)}\n"
    digest = hashlib.sha1(http.encode(), usedforsecurity=False).hexdigest()
    return _hmac(sign_key, f"sha1\n{key_time}\n{digest}\n")


def authorization(
    secret_id: str,
    secret_key: str,
    key_time: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Secret:
    """Return the Authorization header of one request; see `signature` (cdcs.md#signature, step 8)."""
    signed = signature(signing_key(secret_key, key_time), key_time, method, path, query, headers)
    return Secret(
        f"q-sign-algorithm=sha1&q-ak={secret_id}&q-sign-time={key_time}&q-key-time={key_time}"
        f"&q-header-list={_names(headers)}&q-url-param-list={_names(query)}&q-signature={signed}"
    )


class CofferSigner(SignerBase):
    """Signs requests for one account, each attempt separately."""

    _least_difference = 30.0

    def sign(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that identify the caller; see `signature`."""
        if self._config.anon:
            return {}
        keys = self.current_keys()
        token = {_TOKEN_HEADER: keys.token} if keys.token else {}
        now = self._server_now()
        key_time = f"{now - _BACK_DATED};{now + self._config.sign_expiry}"
        signed = {name: text for name, text in {**headers, **token}.items() if name.lower() in _SIGNED}
        text = authorization(keys.secret_id, keys.secret_key, key_time, method, path, query, signed)
        return {"Authorization": text, **token}


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()


def _pairs(values: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((escape(name.lower()).lower(), escape(text)) for name, text in values.items())


def _names(values: Mapping[str, str]) -> str:
    return ";".join(name for name, _ in _pairs(values))


def _texts(values: Mapping[str, str]) -> str:
    return "&".join(f"{name}={text}" for name, text in _pairs(values))
