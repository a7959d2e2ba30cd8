"""Opening connections early: while the request is in flight that decides about those to follow."""

from __future__ import annotations

import threading

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool, TaskGroup


def start_connecting(client: Client, pool: Pool, requests: int) -> None:
    """Start opening connections for the requests after the next one; neither waits nor fails.

    A handshake takes as long as that request, twice as long with TLS. Each connection uses a permit of the pool, so the
    window is never exceeded. A handshake that hangs ends after `connect_timeout` and delays the requests that wait for
    its permit.

    Parameters
    ----------
    client : Client
        Opens connections to the API.
    pool : Pool
        Will run the requests that follow.
    requests : int
        How many follow.
    """
    group, caller = TaskGroup(pool), threading.get_ident()

    def connect() -> None:
        # where no other thread can do it, it would only delay the request
        if threading.get_ident() != caller:
            client.open_connection()

    for _ in range(client.missing_connections(min(requests, pool.window.limit))):
        if group.try_start(connect, detached=True) is None:
            return
