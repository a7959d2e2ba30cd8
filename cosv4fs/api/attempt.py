"""A failed attempt, as the retry loop sees it: the error for the caller, and what is needed to decide about a retry.

`AttemptError` never leaves `cosv4fs.api.client.Client`. Callers of a client get the error in it, which carries what the
server said and nothing else.
"""

from __future__ import annotations

from cosv4fs.codes import Retry
from cosv4fs.errors import CosError


class AttemptError(Exception):
    """An attempt that failed.

    Parameters
    ----------
    error : CosError
        What the caller of the client gets when there is no further attempt.
    retry : Retry
        Whether the request may be retried.
    outcome_unknown : bool
        The server may have carried out the request: the reply was lost, or said 5xx.
    retry_after : float or None
        Seconds to wait at least, as the server says.
    server_date : str or None
        The ``Date`` header of the reply.

    Attributes
    ----------
    progressed : bool
        The attempt brought the operation forward, so retries are counted from here.
    """

    def __init__(
        self,
        error: CosError,
        retry: Retry = Retry.NO,
        *,
        outcome_unknown: bool = False,
        retry_after: float | None = None,
        server_date: str | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after
        self.server_date = server_date
        self.progressed = False

    @property
    def is_final(self) -> bool:
        """Whether no retry can help."""
        return self.retry is Retry.NO
