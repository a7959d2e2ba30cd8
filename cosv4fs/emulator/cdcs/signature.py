"""Checking the signature of a request (cdcs.md#signing: the algorithm of COS's XML API)."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cosv4fs.emulator.dialects import CofferDialect
    from cosv4fs.emulator.service import Account

    from .call import CofferCall

_TIME = re.compile(r"(\d{1,12});(\d{1,12})\Z", re.ASCII)
_FIELDS = frozenset(
    {"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"}
)
_USUALLY_SIGNED = frozenset({"content-type", "content-md5", "content-length", "date"})


@dataclass(frozen=True)
class Signed:
    """The signed parts of a request.

    Parameters
    ----------
    method, path : str
        Of the request; the path is decoded and begins with the coffer.
    parameters, headers : iterable of pairs
        Decoded names and values.
    """

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]

    def text(self, *, lower: bool = True) -> str:
        """Return the "HttpString"; `lower` says whether names are written in lower case."""
        parameters, headers = _joined(self.parameters, lower=lower), _joined(self.headers, lower=lower)
        return f"{self.method.lower()}\n{self.path}\n{parameters}\n{headers}\n"


def sign_key(secret_key: str, key_time: str) -> str:
    """Return the key that is good for a span of time, in hex."""
    return hmac.new(secret_key.encode(), key_time.encode(), "sha1").hexdigest()


def sign(key: str, sign_time: str, signed: Signed, *, lower: bool = True) -> str:
    """Return a signature in hex; `key` is the hex text of `sign_key`."""
    digest = hashlib.sha1(signed.text(lower=lower).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(key.encode(), f"sha1\n{sign_time}\n{digest}\n".encode(), "sha1").hexdigest()


def _joined(pairs: Iterable[tuple[str, str]], *, lower: bool) -> str:
    encoded = [(_encode(name.lower() if lower else name), _encode(value)) for name, value in pairs]
    if lower:
        encoded = [(name.lower(), value) for name, value in encoded]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


class AuthorizationChecker:
    """Checks the ``Authorization`` of requests for one account.

    Parameters
    ----------
    account : Account
        Whose signatures are good.
    dialect : CofferDialect
        The variant of each disputed point.
    """

    def __init__(self, account: Account, dialect: CofferDialect) -> None:
        self._account = account
        self._dialect = dialect

    def check(self, call: CofferCall, now: float | None) -> None:
        """Check the signature and the token of a request.

        Parameters
        ----------
        call : CofferCall
            The request.
        now : float, optional
            Unix seconds; None: the time is not checked.

        Raises
        ------
        ApiError
            AuthFailed.
        """
        headers = {name: text.encode("latin-1").decode(errors="replace") for name, text in call.head.headers.items()}
        fields = dict(pair.partition("=")[::2] for pair in headers.get("authorization", "").strip().split("&"))
        if fields.keys() != _FIELDS or fields["q-sign-algorithm"] != "sha1":
            raise ApiError("AuthFailed", "no signature, or one that is not of the form q-sign-algorithm=sha1&q-ak=…")
        if not self._account.has_id(fields["q-ak"]):
            raise ApiError("AuthFailed", "the SecretId is unknown")
        for name in ("q-sign-time", "q-key-time"):
            _check_time(fields[name], now)
        listed = _names(fields["q-header-list"]), _names(fields["q-url-param-list"])
        self._check_coverage(listed, call.pairs, headers)
        if not any(
            hmac.compare_digest(candidate, fields["q-signature"].encode())
            for candidate in self._candidates(fields, listed, call, headers)
        ):
            raise ApiError("AuthFailed", "the signature is not the one of this request")
        if headers.get("x-cdcs-security-token") != self._account.token:
            raise ApiError("AuthFailed", "the keys are temporary ones of another x-cdcs-security-token, or of none")

    def _check_coverage(
        self, listed: tuple[list[str], list[str]], parameters: list[tuple[str, str]], headers: Mapping[str, str]
    ) -> None:
        needed = self._dialect.signed_parts
        needed_headers = {"host"} if needed != "nothing" else set()
        if needed == "everything":
            needed_headers |= {name for name in headers if name in _USUALLY_SIGNED or name.startswith("x-cdcs-")}
        signed_headers, signed_parameters = ({name.lower() for name in names} for names in listed)
        missing = needed_headers - signed_headers
        if needed != "nothing":
            missing |= {_encode(name.lower()).lower() for name, _ in parameters} - signed_parameters
        if missing:
            raise ApiError("AuthFailed", f"the signature does not cover {', '.join(sorted(missing))}")

    def _candidates(
        self,
        fields: Mapping[str, str],
        listed: tuple[list[str], list[str]],
        call: CofferCall,
        headers: Mapping[str, str],
    ) -> Iterable[bytes]:
        key = sign_key(self._account.secret_key, fields["q-key-time"])
        header_names, parameter_names = listed
        for host in self._hosts(headers.get("host", "")):
            values = {**headers, "host": host}
            signed = Signed(
                call.head.method,
                call.resource,
                tuple(_listed_parameters(parameter_names, call.pairs)),
                tuple((name, values.get(name.lower(), "")) for name in header_names),
            )
            for lower in (True, False) if self._dialect.signature_names == "any" else (True,):
                yield sign(key, fields["q-sign-time"], signed, lower=lower).encode()

    def _hosts(self, host: str) -> list[str]:
        bare = re.sub(r":\d*\Z", "", host)
        return {"both": [host, bare], "as-sent": [host], "bare": [bare]}[self._dialect.signed_host]


def _listed_parameters(names: list[str], parameters: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
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
