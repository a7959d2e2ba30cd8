"""Which proxy requests go through, and what set it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import requests.utils

_VARIABLES = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; NO_PROXY exempts hosts, and proxies={} uses none"


@dataclass(frozen=True)
class Proxy:
    """The proxy of an origin; `source` is what set it, and how to do without it."""

    url: str
    source: str

    def __str__(self) -> str:
        # its password is not shown
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    @property
    def advice(self) -> str:
        """What to do if it is the wrong one."""
        return f"it is set by {self.source}"


def proxy_for(url: str, configured: tuple[tuple[str, str], ...] | None) -> Proxy | None:
    """Return the proxy of a URL: the configured one, else that of the environment, but not for this machine."""
    proxies: Mapping[str, str]
    if configured is not None:
        proxies, source = dict(configured), "the option proxies; proxies={} uses none"
    elif is_loopback(urlsplit(url).hostname or ""):
        return None
    else:
        proxies = requests.utils.get_environ_proxies(url, no_proxy=None)
        # without such variables, those in the settings of Windows and macOS
        source = _VARIABLES if getproxies_environment() else "the settings of this system; proxies={} uses none"
    found = requests.utils.select_proxy(url, dict(proxies))
    return Proxy(found if "://" in found else f"http://{found}", source) if found else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def through(proxy: Proxy | None) -> str:
    """Return how the text of an error names the proxy of a request, if it has one."""
    return f" through the proxy {proxy}" if proxy else ""
