"""Opening connections early: while the request is in flight that decides about those to follow."""

from __future__ import annotations

import threading

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool, TaskGroup


def start_connecting(client: Client, pool: Pool, requests: int) -> None:
    """Begin to open the connections for requests that will follow the next one; never wait for them, nor fail.

    A handshake takes as long as that request, with TLS twice as long. Each connection is opened in place of a request
    of the pool: there are never more than its window, and a request that finds none ready waits until one is. A
    handshake that hangs ends with the option ``connect_timeout``.

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
