"""Services for the tests of the client."""

from tests.support import coffers, make_coffers, make_service, service

__all__ = ["coffers", "make_coffers", "make_service", "service"]
