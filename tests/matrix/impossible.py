"""What a dialect of the API makes impossible, declared: there the client has to say so, and to damage nothing.

A test that is declared here passes only if exactly the declared error came, it names the path, and everything that the
test had put aside (fixture `kept`) is there as it was, alone. Everything that is not declared has to work.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cosv4fs import paths
from cosv4fs.emulator import Dialect
from cosv4fs.errors import CosError, CosUploadSessionError


@dataclass(frozen=True)
class Impossible:
    """One thing that cannot be done."""

    # under these values of these switches
    switches: Mapping[str, object]
    tests: str
    # the exact class of the error, and its errno
    error: type[OSError]
    number: int
    # a regular expression that is found in the message
    says: str
    reason: str
    protocols: tuple[str, ...] = ("cosv4", "cosv3")

    def applies(self, dialect: Dialect, test: str, protocol: str) -> bool:
        """Return whether a test is impossible under a dialect of a protocol."""
        agrees = all(getattr(dialect, name) == value for name, value in self.switches.items())
        return protocol in self.protocols and fnmatchcase(test, self.tests) and agrees


_STREAM = "streaming='always' asks for an end of another size than was declared, and this service takes none"
_SMALL = {"max_object_size": 2 * 1024 * 1024}
_GONE = "what was streamed is gone with the session, and the writer has not kept it"
_EXPIRES = "resume/test_a_session_that_expires_on_the_way"
_LONG = "overwrite/test_names_as_long_as_they_may_be"

IMPOSSIBLE: list[Impossible] = [
    *(
        # v3 streams nothing: there everything waits in the spool
        Impossible(switches, tests, CosError, errno.ENOTSUP,
            "pass size= to open, or set streaming='auto'", _STREAM, ("cosv4",))
        for switches in ({"finish_size": "declared"}, _SMALL)
        for tests in (
            "round_trips/test_writing/*stream*/slices",
            "round_trips/test_writing/*stream*/large",
            "overwrite/test_the_old_object_is_there_until_the_new_one_is_whole/stream",
            "transactions/test_all_at_the_end/*stream*",
        )
    ),
    Impossible(_SMALL, "round_trips/test_writing/*/large", CosError, errno.EFBIG,
        "too large for the service", "the service takes no object of this size, in whatever way it comes"),
    Impossible({"file_names": "strict"}, "rearranging/test_names_with_forbidden_characters/*", CosError, errno.EINVAL,
        "not allowed: use .* without", "the service takes no file of this name"),
    *(
        Impossible(switches, "rearranging/test_directories_with_forbidden_characters/*", CosError, errno.EINVAL,
            says, "the service takes no file in a directory of this name")
        for switches, says in (
            ({"file_names": "strict"}, "not allowed: use .* without"),
            ({"parent_names": "as-directory"}, "not allowed: use .* without"),
            ({"parents": "required"}, "no directory can be created with"),
        )
    ),
    Impossible({"max_name": 64}, f"{_LONG}/*/255", CosError, errno.EINVAL,
        "not allowed: use a shorter name", "the service takes no file of this name"),
    Impossible({"max_name": 64}, f"{_LONG}/*/64", CosError, errno.EINVAL,
        "not allowed: use a shorter name",
        "a large object is replaced by way of a hidden sibling, whose name is up to 24 bytes longer"),
    Impossible({"session_ttl": 60.0}, f"{_EXPIRES}/*open sized*", CosUploadSessionError, errno.ESTALE,
        "begin again", _GONE, ("cosv4",)),
    # without a limit on sizes the service also lets objects of unknown size be streamed
    Impossible({"session_ttl": 60.0, "finish_size": "any", "max_object_size": None}, f"{_EXPIRES}/open/*",
        CosUploadSessionError, errno.ESTALE, "begin again", _GONE, ("cosv4",)),
]  # fmt: skip
"""All of them."""


def declared(dialect: Dialect, test: str, protocol: str = "cosv4") -> list[Impossible]:
    """Return what makes a test impossible under a dialect of a protocol; usually nothing."""
    return [row for row in IMPOSSIBLE if row.applies(dialect, test, protocol)]


def is_expected(error: BaseException, rows: list[Impossible]) -> bool:
    """Return whether an error is exactly one that is declared, and names the path."""
    return any(
        type(error) is row.error
        and isinstance(error, OSError)
        and error.errno == row.number
        # the path as the user knows it, not that of a hidden sibling
        and bool(error.filename)
        and not paths.is_sibling(error.filename)
        and re.search(row.says, str(error)) is not None
        for row in rows
    )
