"""Files and directories of a bucket, as rows of the database.

Every function works inside a transaction of the caller and raises `ApiError` when a rule of the service is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosv4fs.emulator.call import ObjectPath
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.dialects import Dialect
    from cosv4fs.emulator.store import Database, Transaction

_FORBIDDEN = frozenset('?*:|\\<>"')
_KEY = "bucket = ? AND parent = ? AND name = ?"


def check_new_path(path: ObjectPath, dialect: Dialect) -> None:
    """Refuse the path of a new file or directory: −180.

    No name may be empty, blank, dotted, or too long (cos.md#paths). Forbidden characters are refused in the path of a
    directory, and in that of a file as the dialect says (cos.md#file-names).
    """
    names = path.text[1:].split("/")
    if path.is_directory:
        names.pop()
    for position, name in enumerate(names):
        if not name.strip(" \t\r\n\v\f") or name in {".", ".."} or "\0" in name:
            raise ApiError(-180)
        if dialect.max_name is not None and len(name.encode()) > dialect.max_name:
            raise ApiError(-180)
        is_file = position == len(names) - 1 and not path.is_directory
        if not _FORBIDDEN.isdisjoint(name) and not _may_be_odd(path, dialect, is_file=is_file):
            raise ApiError(-180)


def _may_be_odd(path: ObjectPath, dialect: Dialect, *, is_file: bool) -> bool:
    """Return whether the name of a new file, or one of the directories in its path, may have forbidden characters."""
    if path.is_directory or dialect.file_names == "strict":
        return False
    return is_file or dialect.parent_names == "as-file"


def find_node(db: Database, path: ObjectPath) -> sqlite3.Row | None:
    """Return the file or directory of this name, whichever it is."""
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM nodes WHERE {_KEY}", path.row_key).fetchone()  # noqa: S608
    return row


def existing_node(db: Database, path: ObjectPath) -> sqlite3.Row:
    """Return the file or directory at a path; −197 when there is none, or one of the other kind."""
    node = find_node(db, path)
    if node is None or bool(node["directory"]) != path.is_directory:
        raise ApiError(-197)
    return node


def find_upload(db: Database, path: ObjectPath) -> sqlite3.Row | None:
    """Return the unfinished upload at a path."""
    row: sqlite3.Row | None = db.execute(f"SELECT * FROM uploads WHERE {_KEY}", path.row_key).fetchone()  # noqa: S608
    return row


def directory_exists(db: Database, path: ObjectPath) -> bool:
    """Return whether there is a directory at the path; the root always exists."""
    if path.is_root:
        return True
    row = find_node(db, path)
    return row is not None and bool(row["directory"])


def has_children(db: Database, path: ObjectPath) -> bool:
    """Return whether a directory holds something directly, an unfinished upload included."""
    queries = (f"SELECT 1 FROM {table} WHERE bucket = ? AND parent = ? LIMIT 1" for table in ("nodes", "uploads"))  # noqa: S608
    return any(db.execute(query, (path.bucket, path.text)).fetchone() for query in queries)


def ensure_parents(db: Transaction, path: ObjectPath, dialect: Dialect, now: int) -> None:
    """Make the missing directories above a path (cos.md#directory-semantics).

    Codes: −178 when a file or an unfinished upload is in the way, −197 when the dialect wants them to exist.
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


def create_directory(db: Transaction, path: ObjectPath, dialect: Dialect, now: int, biz_attr: str) -> None:
    """Make a directory; −178 when something is there (cos.md#create)."""
    row = find_node(db, path)
    if row is not None and row["directory"] and not row["made"]:
        # until now it was only implied by what is below it
        db.execute(f"UPDATE nodes SET made = 1, biz_attr = ? WHERE {_KEY}", (biz_attr, *path.row_key))  # noqa: S608
        return
    if row is not None or find_upload(db, path) is not None:
        raise ApiError(-178)
    ensure_parents(db, path, dialect, now)
    _insert_directory(db, path, now, made=True, biz_attr=biz_attr)


def _insert_directory(db: Transaction, path: ObjectPath, now: int, *, made: bool, biz_attr: str) -> None:
    db.execute(
        "INSERT INTO nodes VALUES (?, ?, ?, 1, ?, 0, 0, NULL, NULL, NULL, '{}', 'eInvalid', 0, ?, ?, ?, NULL)",
        (*path.row_key, made, biz_attr, now, now),
    )


def add_file(db: Transaction, path: ObjectPath, values: dict[str, object]) -> None:
    """Put a file at a path whose parents exist, in place of the file that is there; −178 at a directory.

    `values` are the columns that differ from those of a plain file; size, ctime, mtime and blob always do.
    """
    remove_node(db, path)
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


def remove_node(db: Transaction, path: ObjectPath) -> None:
    """Remove the file or directory at a path if there is one; −178 when what is there is of the other kind."""
    row = find_node(db, path)
    if row is None:
        return
    if bool(row["directory"]) != path.is_directory:
        raise ApiError(-178)
    db.execute(f"DELETE FROM nodes WHERE {_KEY}", path.row_key)  # noqa: S608
    db.free(row["blob"])


def remove_upload(db: Transaction, upload: sqlite3.Row) -> None:
    """Remove the rows of an unfinished upload; its content stays."""
    db.execute("DELETE FROM slices WHERE session = ?", (upload["session"],))
    db.execute("DELETE FROM uploads WHERE session = ?", (upload["session"],))


def prune_parents(db: Transaction, path: ObjectPath, dialect: Dialect) -> None:
    """Remove the directories above a path that were only implied by what was below them, where the dialect does."""
    if dialect.parents != "virtual":
        return
    for directory in reversed(list(path.ancestors())):
        row = find_node(db, directory)
        if row is None or not row["directory"] or row["made"] or has_children(db, directory):
            return
        db.execute(f"DELETE FROM nodes WHERE {_KEY}", directory.row_key)  # noqa: S608


def rename_directory(db: Transaction, source: ObjectPath, target: ObjectPath) -> None:
    """Move a directory with everything below it; the parents of `target` exist, and `target` does not."""
    db.execute(
        f"UPDATE nodes SET parent = ?, name = ?, made = 1 WHERE {_KEY}",  # noqa: S608
        (target.parent, target.name, *source.row_key),
    )
    length = len(source.text)
    values = (target.text, length + 1, source.bucket, length, source.text)
    for table in ("nodes", "uploads"):
        db.execute(
            f"UPDATE {table} SET parent = ? || substr(parent, ?) WHERE bucket = ? AND substr(parent, 1, ?) = ?",  # noqa: S608
            values,
        )
