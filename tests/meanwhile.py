"""Other clients that act between a request and its retry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator import faults

if TYPE_CHECKING:
    from cosv4fs.emulator.call import Call
    from cosv4fs.emulator.replies import Reply

BETWEEN = {
    "nothing wrong": None,
    "reply lost": faults.DropReply(),
    "500 without effect": faults.HttpError(500, kind="json"),
    "502 without effect": faults.HttpError(502),
}
"""What happens to a request while another client acts. Without a fault, it acts just before the request."""


PUBLISHING = ("upload", "move")
"""Operations of the API with which an object is replaced."""


def change(fs: Any, act: str, path: str, data: bytes = b"") -> None:
    """Do with a file what other clients do: ``creates``, ``replaces`` or ``removes``."""
    if act == "removes":
        fs.rm_file(path)
    else:
        fs.pipe_file(path, data, mode="create" if act == "creates" else "overwrite")


class Meanwhile(faults.Action):
    """Let another client act, once, after a fault has struck a request and before the client hears of it.

    The service has carried the request out, or refused it, when the other client acts; the client can only send its
    next request afterwards. So the order is always the same, and nothing has to wait.

    Parameters
    ----------
    act : callable
        What the other client does. Its own requests must not match the rule of this action.
    action : Action, optional
        The fault. None: nothing goes wrong, and the other client acts before the request is carried out.

    Attributes
    ----------
    done : threading.Event
        Set when the other client has acted. A client that does not wait for its replies can be done earlier.
    """

    def __init__(self, act: Callable[[], object], action: faults.Action | None = None) -> None:
        self._act, self._action = act, action
        self.done = threading.Event()
        self._begun = False

    def before(self, call: Call) -> Reply | None:
        """Strike before the request is carried out."""
        if self._action is None:
            self._act_once()
            return None
        try:
            reply = self._action.before(call)
        except faults.Disconnect:
            self._act_once()
            raise
        if reply is not None:
            self._act_once()
        return reply

    def after(self, call: Call, reply: Reply) -> Reply:
        """Strike after the request was carried out."""
        try:
            return reply if self._action is None else self._action.after(call, reply)
        finally:
            self._act_once()

    def _act_once(self) -> None:
        if self._begun:
            return
        self._begun = True
        try:
            self._act()
        finally:
            self.done.set()
