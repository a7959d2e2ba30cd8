"""Services for the tests of the client."""

from tests.support import make_service, service

__all__ = ["make_service", "service"]
