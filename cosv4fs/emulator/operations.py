"""The shape of the tables of operations: `cos.operations` has those of v4 and v3, `cdcs.operations` those of CDCS.

To add an operation, write a function of the service and the call, and name it in the table. The function returns the
data of the reply (None: no data) or a whole `Reply`, and raises `ApiError` to refuse the request. Everything else, such
as checking the signature or the method, follows from the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .replies import Reply

AnyService = TypeVar("AnyService")
AnyCall = TypeVar("AnyCall")


@dataclass(frozen=True)
class Operation(Generic[AnyService, AnyCall]):
    """One operation: what it does, and what a request for it has to be.

    Parameters
    ----------
    run : callable
        Does it. Returns the reply's data or the reply.
    methods : tuple of str
        HTTP methods.
    path : str
        What the path has to name. Buckets: a ``file``, a ``directory``, ``either`` of them, or ``any``, the bucket
        included. Coffers: the ``service``, a ``coffer`` or an ``object``.
    query : str
        Coffers: the parameter of the query that selects the operation; empty for none.
    signature : str
        Buckets: the kind of signature, ``single``, ``multi`` or ``any`` (cos.md#signature), or the dialect switch that
        names it; ``own``: the operation checks it.
    bound : bool
        Buckets: whether the dialect may refuse multi-effect signatures that are bound to a path.
    status : int
        The HTTP status of a reply without data.
    stored : bool
        Coffers: whether the body is a content, which goes into the store while it comes in.
    claims : bool
        Coffers: whether the request holds its key from its head until its reply.
    """

    run: Callable[[AnyService, AnyCall], dict[str, Any] | Reply | None]
    methods: tuple[str, ...] = ("POST",)
    path: Literal["file", "directory", "either", "any", "service", "coffer", "object"] = "file"
    query: str = ""
    signature: Literal["multi", "single", "any", "own", "move_signature", "copy_signature"] = "multi"
    bound: bool = False
    status: int = 200
    stored: bool = False
    claims: bool = False
