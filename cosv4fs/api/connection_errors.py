"""What goes wrong below HTTP, in words: no connection, a wrong scheme or certificate, a proxy that refuses."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl

import urllib3
from urllib3.connection import CertificateError  # type: ignore[attr-defined]

from cosv4fs.api.proxies import Proxy, through
from cosv4fs.api.request import Request
from cosv4fs.api.responses import proxy_login
from cosv4fs.api.retry import AttemptError
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, make_error

_OTHER_NAME = (62, 64)
"""What OpenSSL says of a certificate for another host name or address (X509_V_ERR_HOSTNAME_MISMATCH, …)."""

_NOT_VALID_NOW = {9: "is not valid yet", 10: "has expired"}
"""The same of a certificate's period."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL says of a server that does not speak TLS."""

_TLS_ALERT = "\x15\x03"
"""How the answer of a server begins that expects TLS."""

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


def connection_failure(
    fault: BaseException,
    request: Request,
    proxy: Proxy | None,
    to_check: str = "endpoint",
    *,
    handled: BaseException | None,
) -> AttemptError:
    """Return the failure for something below HTTP: no connection, a timeout, a connection that broke.

    `to_check` is the option that the host's name comes from. `handled` is the exception that was being handled before:
    it is in the context of the fault, and says nothing of it.
    """
    if isinstance(fault, CosError):
        fault.filename = fault.filename or request.path
        return AttemptError(fault)
    host, causes = request.host, _causes_of(fault, handled)
    for cause in causes:
        # the frames of the libraries below hold what was sent: signature and content
        cause.__traceback__ = None
    where = f"({request.operation}{through(proxy)})"
    reason = _tls_problem(causes, host) or _proxy_refusal(causes, proxy, host)
    if reason is not None:
        return AttemptError(make_error(errno.ECONNABORTED, f"{reason} {where}", request.path))
    missing = _no_proxy(causes, proxy, host) or _no_connection(causes, proxy, host, to_check)
    if missing is not None:
        text = f"{missing} ({request.operation})"
        return AttemptError(make_error(errno.ECONNREFUSED, text, request.path), Retry.YES)
    number, text = _no_reply(causes, host)
    was_sent = not _has(causes, urllib3.exceptions.ConnectTimeoutError)
    return AttemptError(make_error(number, f"{text} {where}", request.path), Retry.YES, outcome_unknown=was_sent)


def _has(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _no_proxy(causes: list[BaseException], proxy: Proxy | None, host: str) -> str | None:
    """Return why a proxy gives no connection at the moment; None if it is not the proxy."""
    if proxy is None or not _has(causes, urllib3.exceptions.ProxyError):
        return None
    said = next((str(cause) for cause in causes if _TUNNEL.search(str(cause))), "")
    if said:
        return f"the proxy {proxy} does not connect to {host}: {said}; {proxy.advice}"
    if _has(causes, urllib3.exceptions.NewConnectionError):
        return f"cannot connect to the proxy {proxy} for {host}; {proxy.advice}"
    return None


def _no_connection(causes: list[BaseException], proxy: Proxy | None, host: str, to_check: str) -> str | None:
    """Return why there is no connection; None if there was one, or a timeout."""
    # to urllib3 a refused connection is a kind of timeout
    if not _has(causes, urllib3.exceptions.NewConnectionError):
        return None
    name = next((f": {cause.strerror}" for cause in causes if isinstance(cause, socket.gaierror)), "")
    return f"cannot connect to {host}{through(proxy)}{name}: check {to_check} and network"


def _no_reply(causes: list[BaseException], host: str) -> tuple[int, str]:
    """Return the errno and the reason for which there is no complete reply."""
    if _has(causes, urllib3.exceptions.TimeoutError, TimeoutError):
        return errno.ETIMEDOUT, f"{host} did not answer in time"
    if any(type(cause) is http.client.BadStatusLine for cause in causes):
        return errno.ECONNRESET, f"{host} did not answer in HTTP: check the port in the endpoint"
    numbers = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    number = next((n for n in numbers if n in (errno.EPIPE, errno.ECONNABORTED)), errno.ECONNRESET)
    return number, f"the connection to {host} broke"


def _tls_problem(causes: list[BaseException], host: str) -> str | None:
    """Return what is wrong with a certificate, or with the scheme of a URL, and what to do; None if it is neither."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            return _certificate_problem(cause, host)
        if isinstance(cause, CertificateError):
            # urllib3 1 compares host names itself
            return _other_host(host, str(cause))
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return f"{host} does not speak https: use http:// in the endpoint, or use_ssl=False"
        if isinstance(cause, http.client.BadStatusLine) and str(cause).startswith(_TLS_ALERT):
            return f"{host} speaks https only: use https:// in the endpoint"
    return None


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str) -> str:
    said = error.verify_message
    if error.verify_code in _OTHER_NAME:
        return _other_host(host, said)
    if error.verify_code in _NOT_VALID_NOW:
        when = _NOT_VALID_NOW[error.verify_code]
        return f"the certificate of {host} {when}: check this machine's clock, or have the certificate renewed"
    return f"the certificate of {host} is not trusted ({said}); verify= takes a CA bundle"


def _other_host(host: str, said: str) -> str:
    return f"the certificate of {host} is for another host ({said}): check the host name in the endpoint"


def _proxy_refusal(causes: list[BaseException], proxy: Proxy | None, host: str) -> str | None:
    """Return why a proxy does not connect to a host; None if that may change."""
    found = next(filter(None, (_TUNNEL.search(str(cause)) for cause in causes)), None)
    if proxy is None or found is None or found[1].startswith("5"):
        return None
    if found[1] == "407":
        return proxy_login(proxy.advice)
    return f"the proxy refuses to connect to {host} (HTTP {found[1]}): {proxy.advice}"


def _causes_of(fault: BaseException, handled: BaseException | None) -> list[BaseException]:
    """Return an exception, and those that it contains or was raised for, up to the one that was handled before."""
    found: list[BaseException] = []
    waiting: list[object] = [fault]
    while waiting and len(found) < 20:
        item = waiting.pop()
        if isinstance(item, BaseException) and item is not handled and item not in found:
            found.append(item)
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found
