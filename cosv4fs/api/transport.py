"""Sends requests: where to and through which proxy, with which TLS context and timeouts; and the bodies of replies.

`requests` decides about proxies and certificate bundles, once per origin: its sessions do that work for every request.
"""

from __future__ import annotations

import errno
import logging
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import requests
import requests.adapters
import requests.utils
import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from cosv4fs._version import __version__
from cosv4fs.api.connection_errors import connection_failure
from cosv4fs.api.connections import FAULTS, Connections, Response, Timeout, stacked_pools
from cosv4fs.api.proxies import Proxy, proxy_for, through
from cosv4fs.api.request import Request
from cosv4fs.api.responses import compressed_reply, content_coding, content_length, quoted
from cosv4fs.api.retry import AttemptError, Outage
from cosv4fs.codes import Retry
from cosv4fs.concurrency import cancellation
from cosv4fs.config import Config
from cosv4fs.errors import CosTimeoutError, Origin, make_error
from cosv4fs.forking import renewed_after_fork

_log = logging.getLogger("cosv4fs")

_USER_AGENT = f"cosv4fs/{__version__}"

_REQUEST_IDS = ("x-cos-request-id", "x-cdcs-request-id")
"""Headers of replies that the vendor's support asks for."""

_CALLERS = 64
"""Connections that are kept for threads of the program itself, beside those of the pools."""

_POOLS = 32
"""Origins whose connections are kept: the API, and the download hosts of buckets."""

_MAX_JSON = 16 * 1024 * 1024
"""A reply to an API call larger than this many bytes is not read: a full listing page is far below 1 MiB."""

NEW_AFTER = 60.0
"""Seconds without a failure, and without a request, after which the next one begins a new outage."""

WARN_AFTER = 2.0
"""Seconds of an outage, or of retries, after which a warning is logged: a restart takes less."""


class _Hosts:
    """Which hosts have answered, and since when others do not; `timeout` is the longest that a request waits."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet, self._clock = NEW_AFTER + timeout, clock
        self._reached: set[str] = set()
        self._began: dict[str, float] = {}
        self._last: dict[str, float] = {}
        # by host: what warned of its outage
        self._warned: dict[str, object] = {}

    def note_answer(self, host: str, status: int) -> None:
        """Note that a host has answered; this ends its outage, unless the answer says that it fails (5xx)."""
        self._reached.add(host)
        if self._began and status < 500:
            began = self._began.pop(host, None)
            if began is not None:
                _log.info("%s answers again after %.1f seconds", host, self._clock() - began)
            self._warned.pop(host, None)

    def note_failure(self, host: str, pause: float = 0.0) -> Outage:
        """Note that a host has not answered, or that something else has answered for it (an error page).

        `pause` has the seconds until the next request if an error page says so.
        """
        now = self._clock()
        if now - self._last.get(host, now) > self._quiet:
            self._began.pop(host, None)
            self._warned.pop(host, None)
        self._last[host] = now
        age, was_reached = now - self._began.setdefault(host, now), host in self._reached
        is_news = False
        if not was_reached or age + pause > WARN_AFTER:
            # one step, which no other thread can come between: one of them warns
            warner = object()
            is_news = self._warned.setdefault(host, warner) is warner
        return Outage(age, was_reached, is_news)

    def forget_warnings(self) -> None:
        """Forget which outages were warned of, so that the next failure warns: somebody has interrupted the wait."""
        self._warned.clear()


class _Adapter(requests.adapters.HTTPAdapter):
    """Decides TLS, proxy and pool once per origin."""

    def __init__(self, config: Config, pool_size: int) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._routes: dict[str, Connections] = {}
        if any(root.startswith("https:") for root in (config.api_root, config.download_root("b")[0])):
            self._context = _tls_context(config)
        self._pool_size = pool_size
        super().__init__(pool_connections=_POOLS, pool_maxsize=pool_size)
        renewed_after_fork(self)

    def after_fork(self) -> None:
        """Use none of the parent's connections."""
        self._routes = {}
        self.proxy_manager = {}
        self.init_poolmanager(_POOLS, self._pool_size)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **pool_kwargs)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **proxy_kwargs)

    def close(self) -> None:
        # a pool closes its connections when it is no longer referenced
        self._routes = {}
        super().close()

    def _proxy_manager(self, proxy: Proxy) -> Any:
        try:
            return self.proxy_manager_for(proxy.url)
        except (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, ValueError) as fault:
            # neither the URL nor what quotes it is shown: it may hold a password
            text = f"the URL of the proxy cannot be used ({type(fault).__name__}): it must be like http://proxy:3128"
            if proxy.url.startswith("socks") and isinstance(fault, requests.exceptions.InvalidSchema):
                text = f"the proxy {proxy}: PySocks is not installed; run pip install pysocks; {proxy.advice}"
            raise make_error(errno.EINVAL, text, None) from None

    def known_proxy(self, url: str) -> Proxy | None:
        """Return the proxy that earlier requests for a URL went through."""
        route = self._routes.get(url[: url.index("/", 8)])
        return None if route is None else route.proxy

    def reconsider(self, url: str) -> None:
        """Decide about proxies anew at the next request for a URL: the user may correct the environment."""
        self._routes.pop(url[: url.index("/", 8)], None)

    def route(self, url: str) -> Connections:
        """Return the connections for a URL."""
        origin = url[: url.index("/", 8)]
        route = self._routes.get(origin)
        if route is None:
            proxy = proxy_for(url, self._config.proxies)
            manager = self._proxy_manager(proxy) if proxy else self.poolmanager
            manager.pool_classes_by_scheme = stacked_pools(manager)
            route = self._routes[origin] = Connections(manager.connection_from_url(origin), origin, proxy)
        return route


class Transport:
    """Connections to the service, shared by all threads, and pooled for all requests that may be in flight."""

    def __init__(self, config: Config) -> None:
        kept = config.max_concurrency + config.max_requests + _CALLERS
        self._adapter = _Adapter(config, kept)
        self._config = config
        self._hosts = _Hosts(config.read_timeout)
        self._timeout = Timeout(config.connect_timeout, config.read_timeout)

    def exchange(self, request: Request) -> Response:
        """Send a request once and return the reply; the caller has to read its body to its end, or close it.

        Without a reply, the outcome in the `AttemptError` is unknown if the request may have reached the server.
        """
        cancellation.check()
        headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
        headers |= request.sign()
        payload = None
        if request.body is not None:
            headers["Content-Type"] = request.body.content_type
            headers["Content-Length"] = str(len(request.body))
            payload = request.body.payload()
        elif request.method == "POST":
            headers["Content-Length"] = "0"
        began, timeout = time.perf_counter(), self._timeout_of(request)
        handled = sys.exc_info()[1]
        try:
            response = self._adapter.route(request.url).exchange(request.method, request.url, headers, payload, timeout)
        except FAULTS as fault:
            _log_exchange(request, began, "no reply")
            # in no variable of this frame, which it refers to
            raise self._failure(fault, request, handled) from fault
        if _log.isEnabledFor(logging.DEBUG):
            _log_exchange(request, began, f"HTTP {response.status}", response)
        self._hosts.note_answer(request.host, response.status)
        response.note_failure = partial(self._hosts.note_failure, request.host)
        coding = response.headers.get("Transfer-Encoding", "chunked")
        if coding.strip().lower() != "chunked":
            # read as it comes, its body would be taken for the content
            response.close()
            text = f"the reply to {request.operation} has an unsupported Transfer-Encoding: {quoted(coding, response)}"
            error = make_error(errno.EBADMSG, text, request.path, Origin(status=response.status))
            raise AttemptError(error, outcome_unknown=True)
        return response

    def missing_connections(self, url: str, wanted: int) -> int:
        """Return how many connections are to be opened so that `wanted` requests to a URL need not open any.

        One is not counted: that of the request which is sent meanwhile.
        """
        try:
            idle = self._adapter.route(url).idle
        except (OSError, ValueError):
            # the request will say what is wrong with the proxy
            return 0
        return max(0, wanted - max(1, idle))

    def open_connection(self, url: str) -> None:
        """Open a connection for a later request to a URL. A failure is silent: the request meets it, too."""
        with suppress(*FAULTS, ValueError):
            self._adapter.route(url).open(self._timeout)

    def _failure(self, fault: BaseException, request: Request, handled: BaseException | None) -> AttemptError:
        proxy, to_check = self._adapter.known_proxy(request.url), self._config.origin_of(request.url)
        failure = connection_failure(fault, request, proxy, to_check, handled=handled)
        if not failure.is_final:
            outage = self._hosts.note_failure(request.host)
            # what takes requests but does not answer in time may be the service: one reply may be lost
            is_slow = isinstance(failure.error, CosTimeoutError) and failure.outcome_unknown
            failure.outage = replace(outage, was_reached=True) if is_slow else outage
            self._adapter.reconsider(request.url)
        return failure

    def _timeout_of(self, request: Request) -> Timeout:
        usual, left = self._timeout, cancellation.seconds_left()
        if left is not None:
            return Timeout(min(left, usual.connect), min(left, usual.read))
        if request.timeout_factor == 1:
            return usual
        return Timeout(usual.connect, usual.read * request.timeout_factor)

    def forget_warnings(self) -> None:
        """Forget which outages were warned of."""
        self._hosts.forget_warnings()

    def close(self) -> None:
        """Close all pooled connections."""
        self._adapter.close()


def _log_exchange(request: Request, began: float, outcome: str, response: Response | None = None) -> None:
    """Log a request, and the head of its reply if there is one: neither URL nor headers, which have signatures."""
    sent = 0 if request.body is None else len(request.body)
    received, ids = "", ""
    if response is not None:
        length = content_length(response)
        received = f", {'unknown' if length is None else length} bytes to receive"
        found = next(filter(None, map(response.headers.get, _REQUEST_IDS)), "")
        ids = f", request id {quoted(found, response)[:200]}" if found else ""
    taken = (time.perf_counter() - began) * 1000
    template = "%s %s %s %r: %s after %.0f ms, %d bytes sent%s%s"
    _log.debug(
        template, request.method, request.host, request.operation, request.path, outcome, taken, sent, received, ids
    )


def read_body(response: Response, request: Request) -> bytes:
    """Read a small body whole; raise `AttemptError` if it broke off, is compressed, or too large (EMSGSIZE)."""
    handled = sys.exc_info()[1]
    try:
        body = response.read(_MAX_JSON + 1)
    except FAULTS as fault:
        response.close()
        raise connection_failure(fault, request, response.proxy, handled=handled) from fault
    if len(body) > _MAX_JSON:
        response.close()
        text = f"the reply to {request.operation} is larger than 16 MiB"
        raise AttemptError(make_error(errno.EMSGSIZE, text, request.path))
    response.release()
    length = content_length(response)
    if request.method != "HEAD" and length not in (None, len(body)):
        way = through(response.proxy)
        text = f"the reply to {request.operation}{way} broke off after {len(body)} of {length} bytes"
        error = make_error(errno.ECONNRESET, text, request.path, Origin(status=response.status))
        raise AttemptError(error, Retry.YES, outcome_unknown=True)
    if not body or content_coding(response) is None:
        return body
    status = response.status
    if status >= 500 or (status == 404 and request.absent_on_404):
        # the status is enough
        return b""
    raise compressed_reply(response, request)


def _tls_context(config: Config) -> ssl.SSLContext:
    """Return one context for all connections: loading the certificate bundle costs 20 ms, each time."""
    context = create_urllib3_context()
    if config.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.verify_mode = ssl.CERT_REQUIRED
    bundle = config.verify if isinstance(config.verify, str) else _environment_bundle(config)
    try:
        is_folder = Path(bundle).is_dir()
        context.load_verify_locations(None if is_folder else bundle, bundle if is_folder else None)
    except OSError as fault:
        raise make_error(fault.errno or errno.ENOENT, f"cannot load the CA bundle {bundle}: {fault}", None) from fault
    return context


def _environment_bundle(config: Config) -> str:
    with requests.Session() as session:
        settings = session.merge_environment_settings(config.api_root, {}, None, None, None)
    verify = settings.get("verify")
    return verify if isinstance(verify, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH
