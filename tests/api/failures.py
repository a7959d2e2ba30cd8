"""How an operation fails below the retry loop."""

import pytest

from cosv4fs.api.retry import AttemptError, RetryPolicy
from cosv4fs.errors import CosError


def failure_of(client, action):
    """Return the `AttemptError` of an action that is tried once."""
    seen = []

    class Recording(RetryPolicy):
        def run(self, attempt, settle=None, on_failure=None):
            try:
                return super().run(attempt, settle, on_failure)
            except AttemptError as failure:
                seen.append(failure)
                raise

    client._policy = Recording(0)
    with pytest.raises(CosError) as caught:
        action(client)
    seen[0].error = caught.value
    return seen[0]
