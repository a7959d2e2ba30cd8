"""Checking the signature of a request (cdcs.md#signing: the algorithm of COS's XML API)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cosv4fs.emulator.cdcs.call import CofferCall
    from cosv4fs.emulator.service import Account

_TIME = re.compile(r"(\d{1,12});(\d{1,12})\Z", re.ASCII)
_FIELDS = frozenset(
    {"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"}
)
_USUALLY_SIGNED = frozenset({"content-type", "content-md5", "content-length", "date"})


def http_string(
    method: str,
    path: str,
    parameters: Iterable[tuple[str, str]],
    headers: Iterable[tuple[str, str]],
    *,
    lower: bool = True,
) -> str:
    """Return the "HttpString" of decoded parts; `lower` says whether names are written in lower case."""
    return f"{method.lower()}\n{path}\n{_joined(parameters, lower=lower)}\n{_joined(headers, lower=lower)}\n"


def sign_key(secret_key: str, key_time: str) -> str:
    """Return the key that is good for a span of time, in hex."""
    return hmac.new(secret_key.encode(), key_time.encode(), "sha1").hexdigest()


def sign(key: str, sign_time: str, text: str) -> str:
    """Return the signature of an `http_string` in hex; `key` is the hex text of `sign_key`."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return hmac.new(key.encode(), f"sha1\n{sign_time}\n{digest}\n".encode(), "sha1").hexdigest()


def _joined(pairs: Iterable[tuple[str, str]], *, lower: bool) -> str:
    encoded = [(_encode(name.lower() if lower else name), _encode(value)) for name, value in pairs]
    if lower:
        encoded = [(name.lower(), value) for name, value in encoded]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def check_authorization(call: CofferCall, account: Account, now: float | None) -> None:
    """Check the signature and the token of a request; without `now`, in Unix seconds, the time is not checked."""
    headers = {name: text.encode("latin-1").decode(errors="replace") for name, text in call.head.headers.items()}
    fields = dict(pair.partition("=")[::2] for pair in headers.get("authorization", "").strip().split("&"))
    if fields.keys() != _FIELDS or fields["q-sign-algorithm"] != "sha1":
        raise ApiError("AuthFailed", "no signature, or one that is not of the form q-sign-algorithm=sha1&q-ak=…")
    if not account.has_id(fields["q-ak"]):
        raise ApiError("AuthFailed", "the SecretId is unknown")
    for name in ("q-sign-time", "q-key-time"):
        _check_time(fields[name], now)
    signed_headers, signed_parameters = _names(fields["q-header-list"]), _names(fields["q-url-param-list"])
    _check_coverage(call, headers, signed_headers, signed_parameters)
    key = sign_key(account.secret_key, fields["q-key-time"])
    if not any(
        hmac.compare_digest(sign(key, fields["q-sign-time"], text).encode(), fields["q-signature"].encode())
        for text in _candidates(call, headers, signed_headers, signed_parameters)
    ):
        raise ApiError("AuthFailed", "the signature is not the one of this request")
    if headers.get("x-cdcs-security-token") != account.token:
        raise ApiError("AuthFailed", "the keys are temporary ones of another x-cdcs-security-token, or of none")


def _check_coverage(
    call: CofferCall, headers: Mapping[str, str], signed_headers: Sequence[str], signed_parameters: Sequence[str]
) -> None:
    needed = call.dialect.signed_parts
    needed_headers = {"host"} if needed != "nothing" else set()
    if needed == "everything":
        needed_headers |= {name for name in headers if name in _USUALLY_SIGNED or name.startswith("x-cdcs-")}
    missing = needed_headers - {name.lower() for name in signed_headers}
    if needed != "nothing":
        needed_parameters = {_encode(name.lower()).lower() for name, _ in call.pairs}
        missing |= needed_parameters - {name.lower() for name in signed_parameters}
    if missing:
        raise ApiError("AuthFailed", f"the signature does not cover {', '.join(sorted(missing))}")


def _candidates(
    call: CofferCall, headers: Mapping[str, str], signed_headers: Sequence[str], signed_parameters: Sequence[str]
) -> Iterator[str]:
    """Yield every text that may have been signed."""
    sent = headers.get("host", "")
    bare = re.sub(r":\d*\Z", "", sent)
    parameters = list(_listed_parameters(signed_parameters, call.pairs))
    for host in {"both": [sent, bare], "as-sent": [sent], "bare": [bare]}[call.dialect.signed_host]:
        values = {**headers, "host": host}
        pairs = [(name, values.get(name.lower(), "")) for name in signed_headers]
        for lower in (True, False) if call.dialect.signature_names == "any" else (True,):
            yield http_string(call.head.method, call.resource, parameters, pairs, lower=lower)


def _listed_parameters(names: Sequence[str], parameters: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the listed parameters, under their listed names."""
    by_name: dict[str, list[str]] = {}
    for name, value in parameters:
        by_name.setdefault(_encode(name.lower()).lower(), []).append(value)
    sent = {_encode(name).lower(): name for name, _ in parameters}
    for name in dict.fromkeys(names):
        for value in by_name.get(name.lower(), [""]):
            yield (sent.get(name.lower(), name) if "%" in name else name), value


def _names(text: str) -> list[str]:
    return text.split(";") if text else []


def _check_time(text: str, now: float | None) -> None:
    match = _TIME.match(text)
    if match is None:
        raise ApiError("AuthFailed", "a span of time is start;end in Unix seconds")
    if now is not None and not int(match[1]) <= now <= int(match[2]):
        raise ApiError("AuthFailed", "the signature is not valid at this time")
