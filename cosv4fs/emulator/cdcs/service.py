"""What every operation on coffers needs: the account, the clock, the store, and the checks that several share."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.replies import RequestIds
from cosv4fs.emulator.uploading import Gate

from .errors import CofferError
from .signature import SignatureChecker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from .call import CofferCall
    from .dialect import CofferDialect
    from .store import CofferStore

__all__ = ["DAY", "MOST_COFFERS", "CofferService", "check_coffer_name"]

DAY = 86400
"""Seconds of a day of a lifecycle."""

MOST_COFFERS = 20
"""Coffers of one account (cdcs.md#transport)."""

_SHORT_NAME = re.compile(r"[0-9a-z-]{1,35}\Z")
_LONG_NAME = re.compile(r"[!-.0-~]{2,50}\Z")
_LONGEST_KEY = 850


class CofferService:
    """One account with its coffers.

    Parameters
    ----------
    store : CofferStore
        The root folder.
    appid, secret_id, secret_key : str
        The account.
    token : str, optional
        The token of the account's temporary keys.
    region : str
        Where the coffers are that it begins with.
    coffers : iterable of str
        Those coffers, by their full names.
    dialect : CofferDialect
        The reading of the disputed points.
    clock : callable
        Returns Unix seconds.
    """

    def __init__(
        self,
        store: CofferStore,
        *,
        appid: str,
        secret_id: str,
        secret_key: str,
        token: str | None,
        region: str,
        coffers: Iterable[str],
        dialect: CofferDialect,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.appid = appid
        self.dialect = dialect
        self.clock = clock
        self.request_ids = RequestIds()
        self.gate = Gate()
        self._token = token
        self._checker = SignatureChecker(secret_id, secret_key, dialect=dialect)
        self._uploading: set[tuple[str, str]] = set()
        self._mutex = threading.Lock()
        with store.writing() as db:
            for name in coffers:
                db.execute(
                    "INSERT OR IGNORE INTO coffers VALUES (?, ?, 0, '', '', NULL, NULL, ?)",
                    (name, json.dumps([region]), clock()),
                )

    @property
    def owner(self) -> dict[str, str]:
        """The account as answers show it."""
        return {"ID": self.appid, "DisplayName": self.appid}

    def authorize(self, call: CofferCall, *, timed: bool = True) -> None:
        """Check a request's signature and token; `timed` says whether the time matters.

        Raises
        ------
        CofferError
            AuthFailed.
        """
        headers = {name: _utf8(text) for name, text in call.head.headers.items()}
        target, now = call.target, self.clock() + call.skew
        authorization = headers.get("authorization", "")
        self._checker.check(
            authorization, call.head.method, target.path, target.parameters, headers, now if timed else None
        )
        if headers.get("x-cdcs-security-token") != self._token:
            raise CofferError("AuthFailed", "the keys are temporary ones of another x-cdcs-security-token, or of none")

    def claim(self, call: CofferCall) -> None:
        """Let a request that begins an object hold its key, while its body comes in and until it is answered.

        Raises
        ------
        CofferError
            ObjectAlreadyUploading when another one holds it.
        """
        place = (call.target.coffer, call.target.key)
        with self._mutex:
            if place in self._uploading:
                raise CofferError("ObjectAlreadyUploading", "another upload of the object is running")
            self._uploading.add(place)
            call.claimed = True

    def release(self, call: CofferCall) -> None:
        """End what `claim` began, if it did."""
        if call.claimed:
            call.claimed = False
            with self._mutex:
                self._uploading.discard((call.target.coffer, call.target.key))

    def expire(self) -> None:
        """Remove what is older than its coffer's lifecycle lets it grow (cdcs.md#lifecycle, cdcs.md#immutability)."""
        now = self.clock()
        with self.store.reading() as db:
            rows = db.execute("SELECT name, days, ctime FROM coffers WHERE days > 0").fetchall()
            ends = [(row["name"], now - row["days"] * DAY, row["ctime"]) for row in rows]
            if self.dialect.lifecycle_subject == "coffer":
                old = [name for name, end, made in ends if made <= end]
            else:
                old = [name for name, end, _ in ends if self._oldest(db, name, end)]
        for name, end, _ in ends:
            if name in old:
                self._remove(name, end)

    def _oldest(self, db: sqlite3.Connection, coffer: str, end: float) -> bool:
        found = db.execute("SELECT 1 FROM objects WHERE coffer = ? AND ctime <= ? LIMIT 1", (coffer, end))
        return found.fetchone() is not None

    def _remove(self, coffer: str, end: float) -> None:
        whole = self.dialect.lifecycle_subject == "coffer"
        freed: list[str] = []
        with self.store.writing() as db:
            limit = float("inf") if whole else end
            which = (coffer, limit)
            freed += [row[0] for row in db.execute("SELECT blob FROM objects WHERE coffer = ? AND ctime <= ?", which)]
            db.execute("DELETE FROM objects WHERE coffer = ? AND ctime <= ?", which)
            if whole:
                inside = "upload IN (SELECT upload FROM uploads WHERE coffer = ?)"
                freed += [row[0] for row in db.execute(f"SELECT blob FROM parts WHERE {inside}", (coffer,))]  # noqa: S608
                db.execute(f"DELETE FROM parts WHERE {inside}", (coffer,))  # noqa: S608  constant text
                for table in ("uploads", "completed"):
                    db.execute(f"DELETE FROM {table} WHERE coffer = ?", (coffer,))  # noqa: S608  constant names
                db.execute("DELETE FROM coffers WHERE name = ?", (coffer,))
        self.store.remove_blobs(*freed)

    def settle(self) -> None:
        """Let every object be listed that is still missing from listings."""
        with self.store.writing() as db:
            db.execute("UPDATE objects SET hidden = 0 WHERE hidden > 0")

    def coffer(self, db: sqlite3.Connection, name: str, code: str = "CofferNotFound") -> sqlite3.Row:
        """Return the row of a coffer.

        Parameters
        ----------
        db : sqlite3.Connection
            Open for reading or writing.
        name : str
            The coffer.
        code : str
            The code when it is not there, unless the dialect has one for all.

        Raises
        ------
        CofferError
            That code, or InvalidCofferName when no coffer can have this name.
        """
        row: sqlite3.Row | None = db.execute("SELECT * FROM coffers WHERE name = ?", (name,)).fetchone()
        if row is None:
            check_coffer_name(name, self.dialect)
            wish = self.dialect.missing_coffer
            raise CofferError(code if wish == "mixed" else wish, f"there is no coffer {name}")
        return row

    def check_free(self, db: sqlite3.Connection, coffer: str, key: str) -> None:
        """Refuse a key that is taken or that a multipart upload holds (cdcs.md#put-object and cdcs.md#initiate)."""
        if db.execute("SELECT 1 FROM objects WHERE coffer = ? AND key = ?", (coffer, key)).fetchone() is not None:
            raise CofferError(self.dialect.object_exists, "the object exists, and objects are never overwritten")
        if db.execute("SELECT 1 FROM uploads WHERE coffer = ? AND key = ?", (coffer, key)).fetchone() is not None:
            raise CofferError(self.dialect.object_uploading, "a multipart upload of the object is unfinished")

    def add_object(self, db: sqlite3.Connection, coffer: str, key: str, values: dict[str, Any]) -> None:
        """Add an object, in a transaction of the caller that has seen that its key is free."""
        lag = self.dialect.listing_lag
        db.execute(
            "INSERT INTO objects VALUES (:coffer, :key, :size, :etag, :content_type, :ctime, :hidden, :blob)",
            {**values, "coffer": coffer, "key": key, "ctime": self.clock(), "hidden": 0 if lag is None else lag + 1},
        )

    def check_key(self, key: str) -> None:
        """Refuse a key that no object can have (cdcs.md#transport)."""
        if "\0" in key or (self.dialect.object_keys == "cos" and not _is_usual(key)):
            raise CofferError("InvalidObjectKey", "the key is too long, begins with a slash or has control bytes")

    def check_prefix(self, prefix: str) -> None:
        """Refuse a prefix that no key can have."""
        if "\0" in prefix or (self.dialect.object_keys == "cos" and prefix and not _is_usual(prefix)):
            raise CofferError("InvalidObjectPrefix", "no key can have this prefix")


def check_coffer_name(name: str, dialect: CofferDialect, appid: str | None = None) -> None:
    """Refuse a name that no coffer can have.

    Parameters
    ----------
    name : str
        The full name.
    dialect : CofferDialect
        The reading of the disputed points.
    appid : str, optional
        The account that the coffer has to belong to; None: any.

    Raises
    ------
    CofferError
        InvalidCofferName.
    """
    short, _, number = name.rpartition("-")
    pattern = _SHORT_NAME if dialect.coffer_names == "short" else _LONG_NAME
    if not pattern.match(short) or not (number.isascii() and number.isdigit()) or appid not in {None, number}:
        raise CofferError(
            "InvalidCofferName", "a coffer is called <name>-<APPID>, in small letters, digits and hyphens"
        )


def _is_usual(key: str) -> bool:
    return (
        len(key.encode()) <= _LONGEST_KEY and key[0] not in "/\\" and not any("\x18" <= sign <= "\x1b" for sign in key)
    )


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode(errors="replace")
