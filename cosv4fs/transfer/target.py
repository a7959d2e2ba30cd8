"""The targets of uploads, and the hidden siblings beside them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cosv4fs import paths
from cosv4fs.api import CosClient
from cosv4fs.attributes import Attributes
from cosv4fs.concurrency import cancellation
from cosv4fs.errors import CosFileNotFoundError

_log = logging.getLogger("cosv4fs")


@dataclass(frozen=True)
class Target:
    """Where an upload goes, and under which conditions.

    Parameters
    ----------
    bucket, key : str
        The object.
    create : bool
        Fail when it exists. In coffers that is always so; there it says that it matters who has created the object,
        even when the content is the same.
    content_type : str or None
        The Content-Type returned on download, sent along with the content.
    attributes : Attributes
        What the caller wants to be stored beside the content. A content type in it is set as an attribute as well, so
        that no server can miss it.
    deferred : bool
        Upload to a hidden sibling in any case, to be published later.
    """

    bucket: str
    key: str
    create: bool = False
    content_type: str | None = None
    attributes: Attributes = field(default_factory=Attributes)
    deferred: bool = False

    @property
    def path(self) -> str:
        """``bucket/dir/name``, for messages."""
        return paths.join(self.bucket, self.key)


def discard_sibling(client: CosClient, bucket: str, sibling: str) -> None:
    """Delete a hidden sibling, complete or not: its name is unique."""
    try:
        cancellation.clean_up(lambda: client.delete(bucket, sibling))
    except CosFileNotFoundError:
        # a clean-up was faster
        return
    except OSError as error:
        # it stays invisible; the caller needs the error that led here
        _log.warning("an unfinished upload could not be removed: %s", error)


@contextmanager
def naming(target: Target) -> Iterator[None]:
    """Replace the name of a hidden sibling in errors by that of the target."""
    try:
        yield
    except OSError as error:
        name_target(error, target)
        raise


def name_target(error: BaseException, target: Target) -> None:
    """Replace the name of a hidden sibling in an error by that of the target."""
    if isinstance(error, OSError) and isinstance(error.filename, str) and paths.is_sibling(error.filename):
        error.filename = target.path
