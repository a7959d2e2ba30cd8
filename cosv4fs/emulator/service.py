"""What every operation needs: the account, the clock, the store, and the check of a request's signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ApiError
from .paths import CosPath, encode_path
from .replies import RequestIds
from .signature import LONGEST_VALIDITY, Kind, SignatureChecker
from .uploading import Gate, PrefixHashes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from .bucketstore import BucketStore
    from .call import Call
    from .dialect import Dialect

__all__ = ["Service"]


class Service:
    """One account with its buckets.

    Parameters
    ----------
    store : BucketStore
        The root folder.
    appid, secret_id, secret_key : str
        The account.
    region : str
        The short code in URLs.
    buckets : dict
        The buckets by name; True for those whose files anybody may read.
    dialect : Dialect
        The reading of the disputed points.
    clock : callable
        Returns Unix seconds.
    """

    def __init__(
        self,
        store: BucketStore,
        *,
        appid: str,
        secret_id: str,
        secret_key: str,
        region: str,
        buckets: dict[str, bool],
        dialect: Dialect,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.appid = appid
        self.region = region
        self.buckets = buckets
        self.dialect = dialect
        self.clock = clock
        self.request_ids = RequestIds()
        self.gate = Gate()
        self.hashes = PrefixHashes()
        self._checker = SignatureChecker(appid, secret_id, secret_key, dialect=dialect)
        with store.writing() as db:
            for name in buckets:
                db.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?)", (name, self.now()))

    def now(self) -> int:
        """Return the time in whole Unix seconds."""
        return int(self.clock())

    def authorize(self, call: Call, kind: Kind, *, bound: bool = True, download: bool = False) -> None:
        """Check a request's signature, and use it up if it is a single-use one (cos.md#signature).

        Raises
        ------
        ApiError
            The first check that fails; −77 for a single-use signature that was used before.
        """
        path, now = call.path, self.clock() + call.skew
        signature = self._checker.check(
            call.signature, path.bucket, path.text, now=now, kind=kind, bound=bound, download=download
        )
        if signature.single:
            until = signature.signed + LONGEST_VALIDITY
            if not self.store.use_signature(signature.key, until, self.clock()):
                raise ApiError(-77)

    def check_signer(self, call: Call) -> None:
        """Check that a request comes from the account, before its body is read; `authorize` checks all the rest.

        Raises
        ------
        ApiError
            The first check that fails.
        """
        self._checker.check_signer(call.signature, call.path.bucket)

    def time(self, seconds: int) -> int | str:
        """Return a time as replies show it."""
        return seconds if self.dialect.times == "number" else str(seconds)

    def source_url(self, path: CosPath, *, v3: bool = False) -> str:
        """Return the URL of a file on the origin host, which names no region for v3 (cos.md#hosts)."""
        region = "" if v3 else self.region
        return f"http://{path.bucket}-{self.appid}.cos{region}.myqcloud.com{encode_path(path.text)}"

    def access_url(self, path: CosPath) -> str:
        """Return the URL of a file on the CDN host (cos.md#hosts)."""
        return f"http://{path.bucket}-{self.appid}.file.myqcloud.com{encode_path(path.text)}"

    def links(self, call: Call) -> dict[str, Any]:
        """Return what a finished upload answers: where the file is (cos.md#upload and cos.md#v3)."""
        path, dialect, old = call.path, self.dialect, call.is_v3
        full = f"/{self.appid}/{path.bucket}{path.text}"
        resource = full if (dialect.v1_resource_path if old else dialect.resource_path) == "full" else path.text
        # v3's sample leaves appid and bucket out of both
        url = f"web.file.myqcloud.com/files/v1{encode_path(resource)}" if old else ""
        return {
            "access_url": self.access_url(path),
            "resource_path": resource,
            "source_url": self.source_url(path, v3=old),
            "url": f"http://{url or f'{self.region}.file.myqcloud.com/files/v2{encode_path(full)}'}",
        }

    def public(self, path: CosPath, node: sqlite3.Row | None) -> bool:
        """Whether anybody may read a file: its own authority, else its bucket's (cos.md#directory-semantics)."""
        authority = node["authority"] if node is not None else "eInvalid"
        if authority == "eInvalid":
            return self.buckets[path.bucket]
        return bool(authority == "eWPrivateRPublic")
