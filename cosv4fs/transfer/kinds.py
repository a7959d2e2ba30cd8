"""How objects go up, by the service that is spoken to: the one place of this floor that knows which there are."""

from __future__ import annotations

from typing import Any

from cosv4fs.protocols import CDCS, V3, V4, ProtocolSpec
from cosv4fs.transfer.ordered import OrderedUpload
from cosv4fs.transfer.parts import PartUpload
from cosv4fs.transfer.placed import PlacedUpload
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.single import CofferSingle, PlacedSingle, SingleUpload
from cosv4fs.transfer.slices import SliceUpload
from cosv4fs.transfer.status import Client

__all__ = ["single_upload", "upload_kind"]

_UPLOADS: dict[ProtocolSpec, type[PlacedUpload]] = {V4: SliceUpload, V3: OrderedUpload, CDCS: PartUpload}
_SINGLE: dict[ProtocolSpec, Any] = {V4: PlacedSingle, V3: PlacedSingle, CDCS: CofferSingle}


def upload_kind(client: Client) -> type[PlacedUpload]:
    """Return how large objects go up to the service that the client speaks to."""
    return _UPLOADS[client.config.protocol]


def single_upload(client: Client, target: Target) -> SingleUpload:
    """Return what puts a small object there in one request."""
    made: SingleUpload = _SINGLE[client.config.protocol](client, target)
    return made
