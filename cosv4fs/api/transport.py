"""The only module that sends with `requests`: connections, timeouts, one exchange, and the bodies of replies.

A session's usual path does work per request that never changes (proxies from the environment, certificate bundles,
cookies). Here it is done once: the adapter below overrides the documented hooks of `requests.adapters.HTTPAdapter`,
and requests are handed to it ready-made.
"""

from __future__ import annotations

import errno
import http.client
import logging
import queue
import socket
import ssl
import time
import weakref
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
from cosv4fs.api.connection_errors import causes_of, connection_failure
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

_FAULTS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
"""What goes wrong below HTTP; `connection_failure` turns each into an error of this package."""

_WITHOUT_BODY = (204, 304)
"""Statuses of replies that end with their head."""

_REST = 64 * 1024
"""Bytes of an unwanted rest of a reply that are read to keep its connection; with more, it is closed."""

_REST_SECONDS = 1.0
"""Seconds to wait for those bytes."""

BODY_FAULTS = (*_FAULTS, ValueError, OverflowError)
"""What goes wrong while a body is read: `http.client` passes a negative length of a chunk on to its file."""


_NEW_OUTAGE_AFTER = 60.0
"""Seconds without a failure, and without a request, after which the next one begins a new outage."""

_WARN_AFTER = 2.0
"""Seconds of an outage after which a warning is logged: a restart takes less."""


class _Hosts:
    """Which hosts have answered, and since when others do not; `timeout` is the longest that a request waits."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet, self._clock = _NEW_OUTAGE_AFTER + timeout, clock
        self._reached: set[str] = set()
        self._began: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._warned: set[str] = set()

    def note_answer(self, host: str, status: int) -> None:
        """Note that a host has answered; this ends its outage, unless the answer says that it fails (5xx)."""
        self._reached.add(host)
        if self._began and status < 500:
            began = self._began.pop(host, None)
            if began is not None:
                _log.info("%s answers again after %.1f seconds", host, self._clock() - began)
            self._warned.discard(host)

    def note_failure(self, host: str) -> Outage:
        """Note that a host has not answered, or that something else has answered for it (an error page)."""
        now = self._clock()
        if now - self._last.get(host, now) > self._quiet:
            self._began.pop(host, None)
            self._warned.discard(host)
        self._last[host] = now
        age, was_reached = now - self._began.setdefault(host, now), host in self._reached
        is_news = host not in self._warned and (not was_reached or age > _WARN_AFTER)
        if is_news:
            self._warned.add(host)
        return Outage(age, was_reached, is_news)


class _Response(requests.Response):
    """A response that knows which proxy it came through.

    `note_failure` is to be called if it is an error page, and returns the outage that this belongs to.
    """

    proxy: Proxy | None = None
    note_failure: Callable[[], Outage] | None = None


class _Stack:
    """The idle connections of a pool, with the interface that urllib3 expects of `queue.LifoQueue`.

    The locks of that are held by methods written in Python: Ctrl-C can leave them held, and so can a fork.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._items: list[Any] = []

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Return the connection that was added last; never wait."""
        try:
            item = self._items.pop()
        except IndexError:
            raise queue.Empty from None
        if item is not None:
            item.read_tickets()
        return item

    def put(self, item: Any, block: bool = False, timeout: float | None = None) -> None:
        """Add a connection, if necessary in place of one that urllib3 would open when it is needed: of a None."""
        if len(self._items) >= self._most:
            try:
                self._items.remove(None)
            except ValueError:
                raise queue.Full from None
        self._items.append(item)

    def open_connections(self) -> int:
        """Return the number of connections, without those that are to be opened."""
        return len(self._items) - self._items.count(None)

    def qsize(self) -> int:
        """Return the number of connections."""
        return len(self._items)


class _HttpPool(urllib3.HTTPConnectionPool):
    QueueCls = _Stack  # type: ignore[assignment]  # all that the pool needs of a queue


class _HttpsPool(urllib3.HTTPSConnectionPool):
    QueueCls = _Stack  # type: ignore[assignment]


class _Adapter(requests.adapters.HTTPAdapter):
    """An adapter that decides TLS, proxy and pool once per origin."""

    def __init__(self, config: Config, pool_size: int) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None
        self._routes: dict[str, tuple[Any, Proxy | None]] = {}
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

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        return self.route(request.url or "")[0]

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the connection alone: its SSL context decides."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        url = request.url or ""
        proxy = self.route(url)[1]
        if proxy:
            return super().request_url(request, {"all": proxy.url})
        return url[url.index("/", 8) :]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = _Response()
        response.proxy = self.route(req.url or "")[1]
        response.status_code = resp.status
        response.headers = resp.headers  # an HTTPHeaderDict: case-insensitive, and never copied
        response.raw = resp
        response.url = req.url or ""
        response.request = req
        return response

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
                text = f"the proxy {proxy} needs the package PySocks (pip install pysocks); {proxy.advice}"
            raise make_error(errno.EINVAL, text, None) from None

    def known_proxy(self, url: str) -> Proxy | None:
        """Return the proxy that earlier requests for a URL went through."""
        return self._routes.get(url[: url.index("/", 8)], (None, None))[1]

    def reconsider(self, url: str) -> None:
        """Decide about proxies anew at the next request for a URL: the user may correct the environment."""
        self._routes.pop(url[: url.index("/", 8)], None)

    def route(self, url: str) -> tuple[Any, Proxy | None]:
        """Return the pool of connections for a URL, and the proxy that they go through."""
        origin = url[: url.index("/", 8)]
        route = self._routes.get(origin)
        if route is None:
            proxy = proxy_for(url, self._config.proxies)
            manager = self._proxy_manager(proxy) if proxy else self.poolmanager
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            pool = manager.connection_from_url(origin)
            if not hasattr(pool.ConnectionCls, "used_by"):
                pool.ConnectionCls = _own_connections(pool.ConnectionCls)
            route = self._routes[origin] = (pool, proxy)
        return route

    def open_connection(self, url: str, timeout: float) -> None:
        """Open a connection and add it to the idle ones."""
        pool = self.route(url)[0]
        connection = pool._new_conn()
        connection.timeout, connection.is_unused = timeout, True
        try:
            cancellation.register(connection)
            if isinstance(pool, _HttpsPool) and pool.proxy is not None:
                # through a tunnel
                pool._prepare_proxy(connection)
            else:
                connection.connect()
        except BaseException:
            connection.close()
            raise
        pool._put_conn(connection)


class _Reply(http.client.HTTPResponse):
    """A reply whose connection serves no other request unless the reply was read to its end, and that end is certain.

    `http.client` keeps a connection as soon as a reply is closed, also before its end: what is still to come would be
    read as the next reply, and could become the content of another object.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, sock: Any, debuglevel: int = 0, method: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method)
        self._connection, self._asked = weakref.ref(connection), method
        self._has_begun = False

    def begin(self) -> None:
        super().begin()
        self._has_begun = True
        if _may_go_on(self.status, self.headers, self._asked):
            # as if the server had said that it closes the connection: it is not kept
            self.will_close = True
        if self.status in _WITHOUT_BODY:
            self.chunked = False

    def close(self) -> None:
        # the reply of a proxy to CONNECT is never begun, and its connection goes on behind it
        is_cut = self._has_begun and not self.isclosed()
        super().close()
        connection = self._connection() if is_cut else None
        if connection is not None:
            connection.close()


def _own_connections(connection_class: type[Any]) -> type[Any]:
    """Return a connection class whose replies are `_Reply` objects, and that ends when its thread is cancelled."""

    class Connection(connection_class):  # type: ignore[misc]
        used_by = 0
        is_unused = False

        def putrequest(self, *args: Any, **kwargs: Any) -> Any:
            cancellation.register(self)
            self.is_unused = False
            return super().putrequest(*args, **kwargs)

        def read_tickets(self) -> None:
            """Read what follows a TLS handshake: urllib3 takes an idle connection with unread bytes as closed.

            A connection that has served a request has no unread bytes, unless it is closed.
            """
            if not self.is_unused or not isinstance(self.sock, ssl.SSLSocket):
                return
            try:
                self.sock.settimeout(0)
                self.sock.recv(1)
            except ssl.SSLWantReadError:
                self.sock.settimeout(self.timeout)
            except OSError:
                self.close()
            else:
                # its end, or a reply to nothing
                self.close()

        def response_class(self, *args: Any, **kwargs: Any) -> _Reply:
            return _Reply(self, *args, **kwargs)

        def shut_down(self) -> None:
            if self.sock is not None:
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)

    return Connection


def _may_go_on(status: int, headers: http.client.HTTPMessage, method: str | None) -> bool:
    """Return whether more bytes may come behind the place where `http.client` sees a reply's end."""
    coded, length = headers.get("Transfer-Encoding"), headers.get("Content-Length", "0").strip()
    if 100 <= status < 200:
        # the real reply is still to come
        return True
    if status in _WITHOUT_BODY or (method == "HEAD" and status >= 300):
        # it must not have the body that it announces
        return coded is not None or length != "0"
    return coded is not None and "Content-Length" in headers


class Transport:
    """Connections to the service, shared by all threads, and pooled for all requests that may be in flight."""

    def __init__(self, config: Config) -> None:
        kept = config.max_concurrency + config.max_requests + _CALLERS
        self._adapter = _Adapter(config, kept)
        self._config = config
        self._hosts = _Hosts(config.read_timeout)
        self._timeout = urllib3.Timeout(connect=config.connect_timeout, read=config.read_timeout)

    def exchange(self, request: Request) -> requests.Response:
        """Send a request once and return the reply; the caller has to read its body to its end, or close it.

        Without a reply, the outcome in the `AttemptError` is unknown if the request may have reached the server.
        """
        cancellation.check()
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = request.method, request.url
        headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
        headers |= request.sign()
        if request.body is not None:
            headers["Content-Type"] = request.body.content_type
            headers["Content-Length"] = str(len(request.body))
            prepared.body = request.body.payload()  # type: ignore[assignment]  # any iterable with a length will do
        elif request.method == "POST":
            headers["Content-Length"] = "0"
        prepared.headers = headers  # type: ignore[assignment]  # the adapter only iterates over them
        began = time.perf_counter()
        try:
            response = self._adapter.send(prepared, stream=True, timeout=self._timeout_of(request))  # type: ignore[arg-type]
        except _FAULTS as fault:
            # the frames of the libraries below hold what was sent: signature and content
            for cause in causes_of(fault):
                cause.__traceback__ = None
            failure = self._failure(fault, request)
            _log_exchange(request, began, "no reply")
            raise failure from fault
        if _log.isEnabledFor(logging.DEBUG):
            _log_exchange(request, began, f"HTTP {response.status_code}", response)
        self._hosts.note_answer(request.host, response.status_code)
        response.note_failure = partial(self._hosts.note_failure, request.host)  # type: ignore[attr-defined]
        coding = response.headers.get("Transfer-Encoding", "chunked")
        if coding.strip().lower() != "chunked":
            # read as it comes, its body would be taken for the content
            response.close()
            text = f"the reply to {request.operation} has an unsupported Transfer-Encoding: {quoted(coding, response)}"
            error = make_error(errno.EBADMSG, text, request.path, Origin(status=response.status_code))
            raise AttemptError(error, outcome_unknown=True)
        return response

    def missing_connections(self, url: str, wanted: int) -> int:
        """Return how many connections are to be opened so that `wanted` requests to a URL need not open any.

        One is not counted: that of the request which is sent meanwhile.
        """
        try:
            idle: int = self._adapter.route(url)[0].pool.open_connections()
        except (OSError, ValueError):
            # the request will say what is wrong with the proxy
            return 0
        return max(0, wanted - max(1, idle))

    def open_connection(self, url: str) -> None:
        """Open a connection for a later request to a URL. A failure is silent: the request meets it, too."""
        with suppress(*_FAULTS, ValueError):
            self._adapter.open_connection(url, self._config.connect_timeout)

    def _failure(self, fault: BaseException, request: Request) -> AttemptError:
        proxy, to_check = self._adapter.known_proxy(request.url), self._config.origin_of(request.url)
        failure = connection_failure(fault, request, proxy, to_check)
        if not failure.is_final:
            outage = self._hosts.note_failure(request.host)
            # what takes requests but does not answer in time may be the service: one reply may be lost
            is_slow = isinstance(failure.error, CosTimeoutError) and failure.outcome_unknown
            failure.outage = replace(outage, was_reached=True) if is_slow else outage
            self._adapter.reconsider(request.url)
        return failure

    def _timeout_of(self, request: Request) -> urllib3.Timeout:
        usual, left = self._timeout, cancellation.seconds_left()
        if left is not None:
            connect, read = self._config.connect_timeout, self._config.read_timeout
            return urllib3.Timeout(connect=min(left, connect), read=min(left, read))
        if request.timeout_factor == 1 or usual.read_timeout is None:
            return usual
        return urllib3.Timeout(connect=usual.connect_timeout, read=usual.read_timeout * request.timeout_factor)

    def close(self) -> None:
        """Close all pooled connections."""
        self._adapter.close()


def _log_exchange(request: Request, began: float, outcome: str, response: requests.Response | None = None) -> None:
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


def read_body(response: requests.Response, request: Request) -> bytes:
    """Read a small body whole; raise `AttemptError` if it broke off, is compressed, or too large (EMSGSIZE)."""
    try:
        body: bytes = response.raw.read(_MAX_JSON + 1)
    except BODY_FAULTS as fault:
        response.close()
        raise connection_failure(fault, request, proxy_of(response)) from fault
    if len(body) > _MAX_JSON:
        response.close()
        text = f"the reply to {request.operation} is larger than 16 MiB"
        raise AttemptError(make_error(errno.EMSGSIZE, text, request.path))
    give_back(response)
    length = content_length(response)
    if request.method != "HEAD" and length not in (None, len(body)):
        way = through(proxy_of(response))
        text = f"the reply to {request.operation}{way} broke off after {len(body)} of {length} bytes"
        error = make_error(errno.ECONNRESET, text, request.path, Origin(status=response.status_code))
        raise AttemptError(error, Retry.YES, outcome_unknown=True)
    if not body or content_coding(response) is None:
        return body
    status = response.status_code
    if status >= 500 or (status == 404 and request.absent_on_404):
        # the status is enough
        return b""
    raise compressed_reply(response, request)


def give_back(response: requests.Response) -> None:
    """Let the next request have the connection if the reply was read to its end; else close it.

    A short unwanted rest of the reply is read first.
    """
    raw = response.raw
    if not raw.closed:
        _read_rest(raw)
    if raw.closed:
        raw.release_conn()
    else:
        response.close()


def _read_rest(raw: Any) -> None:
    inner, socket = getattr(raw, "_fp", None), getattr(raw.connection, "sock", None)
    if socket is None or not isinstance(inner, http.client.HTTPResponse):
        # the connection is not kept in any case
        return
    if inner.length is None or inner.length <= _REST:
        with suppress(*BODY_FAULTS):
            socket.settimeout(_REST_SECONDS)
            inner.read(_REST + 1)


def read_some(response: requests.Response, view: memoryview) -> int:
    """Read a part of a large body straight into `view`; return how many bytes came, 0 at the end.

    It may raise any of `BODY_FAULTS`. urllib3's own ``readinto`` reads into a buffer of its own first, and copies; the
    reply of `http.client` below it does not.
    """
    raw = response.raw
    inner = getattr(raw, "_fp", None)
    if not isinstance(inner, http.client.HTTPResponse):
        return int(raw.readinto(view))
    return inner.readinto(view)


def proxy_of(response: requests.Response) -> Proxy | None:
    """Return the proxy that a response came through."""
    return response.proxy if isinstance(response, _Response) else None


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
