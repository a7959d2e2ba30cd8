"""Opening connections early: while the request is in flight that decides about those to follow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool, TaskGroup
from cosv4fs.concurrency.background import start_background


@contextmanager
def connecting(client: Client, pool: Pool, requests: int) -> Iterator[None]:
    """Open connections during a block that sends the request on which others wait; never wait for them, nor fail.

    A handshake takes as long as that request, with TLS twice as long. Each connection is opened in place of a request
    of the pool: there are never more than its window, and a request that finds none ready waits until one is.

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
            break
    try:
        yield
    except BaseException:
        start_background()
        group.lose()
        raise
