"""Files and directories of a bucket, as rows of the database.

Every function works inside a transaction of the caller and raises `ApiError` when a rule of the service is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ApiError
from .paths import CosPath

if TYPE_CHECKING:
    import sqlite3

    from .dialect import Dialect

__all__ = [
    "add_file",
    "child_count",
    "create_directory",
    "directory_exists",
    "ensure_parents",
    "find_node",
    "find_upload",
    "prune_parents",
    "remove_node",
    "remove_upload",
    "rename_directory",
]

_KEY = "bucket = ? AND parent = ? AND name = ?"


def _key(path: CosPath) -> tuple[str, str, str]:
    return path.bucket, path.parent, path.name


def find_node(db: sqlite3.Connection, path: CosPath) -> sqlite3.Row | None:
    """Return the file or directory of this name, whichever it is."""
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM nodes WHERE {_KEY}", _key(path)).fetchone()  # noqa: S608
    return row


def find_upload(db: sqlite3.Connection, path: CosPath) -> sqlite3.Row | None:
    """Return the unfinished upload at a path."""
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM uploads WHERE {_KEY}", _key(path)).fetchone()  # noqa: S608
    return row


def directory_exists(db: sqlite3.Connection, path: CosPath) -> bool:
    """Whether a directory stands at the path; the root always does."""
    if path.is_root:
        return True
    row = find_node(db, path)
    return row is not None and bool(row["directory"])


def child_count(db: sqlite3.Connection, path: CosPath) -> int:
    """Return 1 when something, an unfinished upload included, stands directly in a directory, else 0."""
    place = (path.bucket, path.text)
    for query in (
        "SELECT 1 FROM nodes WHERE bucket = ? AND parent = ? LIMIT 1",
        "SELECT 1 FROM uploads WHERE bucket = ? AND parent = ? LIMIT 1",
    ):
        if db.execute(query, place).fetchone():
            return 1
    return 0


def ensure_parents(db: sqlite3.Connection, path: CosPath, dialect: Dialect, now: int) -> None:
    """See to it that the directories above a path exist (cos.md#directory-semantics).

    Raises
    ------
    ApiError
        −178 when a file or an unfinished upload stands in the way, −197 when the dialect wants them to exist.
    """
    missing = []
    for directory in reversed(list(path.ancestors())):
        row = find_node(db, directory)
        if row is not None and row["directory"]:
            break
        if row is not None or find_upload(db, directory) is not None:
            raise ApiError(-178)
        missing.append(directory)
    if missing and dialect.parents == "required":
        raise ApiError(-197)
    for directory in missing:
        _insert_directory(db, directory, now, made=dialect.parents == "implicit", biz_attr="")


def create_directory(db: sqlite3.Connection, path: CosPath, dialect: Dialect, now: int, biz_attr: str) -> None:
    """Make a directory; −178 when something is there (cos.md#create)."""
    row = find_node(db, path)
    if row is not None and row["directory"] and not row["made"]:
        # It was only implied by what is below it.
        db.execute(f"UPDATE nodes SET made = 1, biz_attr = ? WHERE {_KEY}", (biz_attr, *_key(path)))  # noqa: S608
        return
    if row is not None or find_upload(db, path) is not None:
        raise ApiError(-178)
    ensure_parents(db, path, dialect, now)
    _insert_directory(db, path, now, made=True, biz_attr=biz_attr)


def _insert_directory(db: sqlite3.Connection, path: CosPath, now: int, *, made: bool, biz_attr: str) -> None:
    db.execute(
        "INSERT INTO nodes VALUES (?, ?, ?, 1, ?, 0, 0, NULL, NULL, NULL, '{}', 'eInvalid', 0, ?, ?, ?, NULL)",
        (*_key(path), made, biz_attr, now, now),
    )


def add_file(db: sqlite3.Connection, path: CosPath, values: dict[str, object]) -> str | None:
    """Put a file at a path in place of the file that stands there, and return the blob that is free now.

    Parameters
    ----------
    db : sqlite3.Connection
        In a transaction.
    path : CosPath
        Where; its parents exist.
    values : dict
        The columns that differ from those of a plain file: size, slice_size, sha, shown_sha, content_type, headers,
        authority, forbid, biz_attr, ctime, mtime, blob.

    Raises
    ------
    ApiError
        −178 when a directory stands there.
    """
    freed = remove_node(db, path, directory=False)
    row = {
        "slice_size": 0,
        "sha": None,
        "shown_sha": None,
        "content_type": None,
        "headers": "{}",
        "authority": "eInvalid",
        "forbid": 0,
        "biz_attr": "",
        **values,
        "bucket": path.bucket,
        "parent": path.parent,
        "name": path.name,
    }
    db.execute(
        "INSERT INTO nodes VALUES (:bucket, :parent, :name, 0, 0, :size, :slice_size, :sha, :shown_sha, :content_type,"
        " :headers, :authority, :forbid, :biz_attr, :ctime, :mtime, :blob)",
        row,
    )
    return freed


def remove_node(db: sqlite3.Connection, path: CosPath, *, directory: bool) -> str | None:
    """Remove the file (or the directory) at a path if there is one, and return the blob that is free now.

    Raises
    ------
    ApiError
        −178 when what stands there is of the other kind.
    """
    row = find_node(db, path)
    if row is None:
        return None
    if bool(row["directory"]) is not directory:
        raise ApiError(-178)
    db.execute(f"DELETE FROM nodes WHERE {_KEY}", _key(path))  # noqa: S608
    blob: str | None = row["blob"]
    return blob


def remove_upload(db: sqlite3.Connection, upload: sqlite3.Row) -> str:
    """Forget an unfinished upload and return the blob that is free now."""
    db.execute("DELETE FROM slices WHERE session = ?", (upload["session"],))
    db.execute("DELETE FROM uploads WHERE session = ?", (upload["session"],))
    blob: str = upload["blob"]
    return blob


def prune_parents(db: sqlite3.Connection, path: CosPath) -> None:
    """Remove the directories above a path that were only implied by what was below them (parents="virtual")."""
    for directory in reversed(list(path.ancestors())):
        row = find_node(db, directory)
        if row is None or not row["directory"] or row["made"] or child_count(db, directory):
            return
        db.execute(f"DELETE FROM nodes WHERE {_KEY}", _key(directory))  # noqa: S608


def rename_directory(db: sqlite3.Connection, source: CosPath, target: CosPath) -> None:
    """Move a directory with everything below it; the parents of `target` exist, and `target` does not."""
    db.execute(
        f"UPDATE nodes SET parent = ?, name = ?, made = 1 WHERE {_KEY}",  # noqa: S608
        (target.parent, target.name, *_key(source)),
    )
    length = len(source.text)
    values = (target.text, length + 1, source.bucket, length, source.text)
    for table in ("nodes", "uploads"):
        db.execute(
            f"UPDATE {table} SET parent = ? || substr(parent, ?) WHERE bucket = ? AND substr(parent, 1, ?) = ?",  # noqa: S608
            values,
        )
