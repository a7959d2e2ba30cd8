"""The context of all transfers of one configuration: the client, the threads for slices and ranges, and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosv4fs.api import Client
from cosv4fs.concurrency import Pool
from cosv4fs.config import Config
from cosv4fs.transfer.buffers import Buffers

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class TransferContext:
    """Shared by all transfers of one configuration.

    Parameters
    ----------
    client : Client
        Sends the requests.
    pool : Pool
        Runs slices and ranges; its window bounds how many are in flight.
    buffers : Buffers
        Memory for them.
    """

    client: Client
    pool: Pool
    buffers: Buffers

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return the context for a client, sized by its option ``max_concurrency``."""
        count = client.config.max_concurrency
        return cls(client, Pool(count, "cosv4fs-transfer"), Buffers(count))

    @property
    def config(self) -> Config:
        """The client's configuration: limits and sizes."""
        return self.client.config
