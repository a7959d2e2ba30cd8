"""One request, as `cosv4fs.api.transport` sends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cosv4fs.api.bodies import Body


@dataclass(frozen=True)
class Request:
    """One request, complete but for its signature.

    Parameters
    ----------
    method, url : str
        As sent.
    operation, path : str
        For messages: ``upload_slice_data``, ``bucket/dir/name``.
    sign : callable
        Returns the value of the Authorization header, or all headers that identify the caller; nothing is added for an
        empty one. Called at every attempt.
    headers : mapping
        Further headers.
    body : Body, optional
        The body.
    timeout_factor : float
        Multiplies the read timeout.
    absent_on_404 : bool
        A 404 means that there is no such object, whatever its body (cos.md#envelope and cos.md#download).
    """

    method: str
    url: str
    operation: str
    path: str
    sign: Callable[[], str | Mapping[str, str]] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = field(default=None, repr=False)
    timeout_factor: float = 1.0
    absent_on_404: bool = False
