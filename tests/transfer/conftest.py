"""Services for the tests of the transfers."""

from tests.support import make_coffers, make_service, service

__all__ = ["make_coffers", "make_service", "service"]
