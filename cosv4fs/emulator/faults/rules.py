"""Rules: which connection or request goes wrong, and what an action may do to it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.replies import Reply

Stage = Literal["connection", "body", "request"]
"""When an action may step in: at a new connection, before a request's body is read, or after it is read."""


class Disconnect(Exception):  # noqa: N818  an order, not an error
    """Close the connection without a reply.

    Parameters
    ----------
    reset : bool
        Whether the client sees a reset instead of an orderly end.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("the connection is closed without a reply")
        self.reset = reset


class Action:
    """What a fault does. Subclasses override one or both methods.

    ``call`` is the request that goes wrong: what it asks for, and its connection. ``stage`` says when the action steps
    in: ``request``, when the request was read; ``body``, before its body is read; ``connection``, at a new connection.
    """

    stage: ClassVar[Stage] = "request"

    def before(self, call: Call) -> Reply | None:
        """Step in when the request is read and its operation has not run.

        Returns
        -------
        Reply or None
            A reply in place of running the operation; None lets the request through.

        Raises
        ------
        ApiError
            The request is refused with a code.
        Disconnect
            The connection is closed.
        """
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Step in when the operation ran; return the reply to send, such as this `reply`, or raise as `before` does."""
        return reply


@dataclass(eq=False)
class Fault:
    """A rule with its action, as `Faults.add` returned it.

    Parameters
    ----------
    op, path : str, optional
        Only requests with this operation and path (as in the request log); None: any.
    nth : int
        The first matching request that goes wrong, counted from 1.
    times : int, optional
        How many in a row go wrong; None: all from then on.
    action : Action
        What happens.
    match : callable, optional
        A further condition on the request.
    seen, hits : int
        How many requests matched, and how many went wrong.
    """

    op: str | None
    path: str | None
    nth: int
    times: int | None
    action: Action
    match: Callable[[Call], bool] | None = None
    seen: int = 0
    hits: int = 0

    @property
    def stage(self) -> Stage:
        """When the rule applies; a rule that only watches, with a `match` that is never true, needs no action."""
        return getattr(self.action, "stage", "request")

    def _fits(self, call: Call | None) -> bool:
        """Return whether the rule covers this request; None is a new connection."""
        if call is None:
            return True
        if self.op not in {None, call.op} or self.path not in {None, call.path.text}:
            return False
        return self.match is None or self.match(call)

    def _takes(self) -> bool:
        """Count a matching request, and return whether it goes wrong."""
        self.seen += 1
        hit = self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)
        self.hits += hit
        return hit


class Faults:
    """The faults of an emulator with the given `operations`, safe to change from any thread."""

    def __init__(self, operations: Collection[str]) -> None:
        self._operations = operations
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        *,
        action: Action,
        op: str | None = None,
        path: str | None = None,
        nth: int = 1,
        times: int | None = 1,
        match: Callable[[Call], bool] | None = None,
    ) -> Fault:
        """Add a fault.

        Parameters
        ----------
        action : Action
            What happens.
        op : str, optional
            Only this operation, by its name in `Emulator.count`: for buckets those of the API, ``download``, ``head``
            and ``options``.
        path : str, optional
            Only this path in the bucket or coffer, decoded. It begins with ``/``; that of a directory also ends with
            one.
        nth : int
            The first matching request that goes wrong, counted from 1 and from now on. For actions on connections: the
            first connection.
        times : int, optional
            How many in a row go wrong; None: all.
        match : callable, optional
            A further condition on the request.

        Returns
        -------
        Fault
            Its ``hits`` tells how often it happened.

        Raises
        ------
        ValueError
            The fault could never happen: the operation does not exist, the path has no slash at its beginning, `nth` or
            `times` is less than 1. Or there is a condition on requests for an action on connections, of which nothing
            is known yet.
        TypeError
            The action is a class.
        """
        self._check(op, path, nth, times, action)
        fault = Fault(op, path, nth, times, action, match)
        if fault.stage == "connection" and (op, path, match) != (None, None, None):
            raise ValueError("a new connection has no operation and no path yet: leave op, path and match out")
        with self._lock:
            self._faults.append(fault)
        return fault

    def _check(self, op: str | None, path: str | None, nth: int, times: int | None, action: Action) -> None:
        """Refuse a fault that could never happen: a test with it would prove nothing."""
        if isinstance(action, type):
            raise TypeError(f"action must be an Action, such as faults.{action.__name__}(), not the class")
        if op is not None and op not in self._operations:
            similar = get_close_matches(op, self._operations, 1)
            hint = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(sorted(self._operations))}"
            raise ValueError(f"there is no operation {op!r}: {hint}")
        if path is not None and not path.startswith("/"):
            raise ValueError(f"path must begin with a slash, without the bucket, as in '/dir/name', not {path!r}")
        for name, number in (("nth", nth), ("times", times)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")

    def unused(self) -> list[Fault]:
        """Return the faults that have not happened yet, except for those with a `match`, which may only watch."""
        with self._lock:
            return [fault for fault in self._faults if fault.hits == 0 and fault.match is None]

    def remove(self, fault: Fault) -> None:
        """Remove a `fault` that `add` returned; nothing happens when it is unknown."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def wait_for(self, stage: Stage) -> bool:
        """Return whether there are rules for a `stage`."""
        return any(fault.stage == stage for fault in tuple(self._faults))

    def actions(self, call: Call | None, stage: Stage = "request") -> list[Action]:
        """Return the actions on a request, or a new connection if `call` is None, at a `stage`, in their order."""
        if not self._faults:
            return []
        with self._lock:
            fitting = [fault for fault in self._faults if fault.stage == stage and fault._fits(call)]
            return [fault.action for fault in fitting if fault._takes()]
