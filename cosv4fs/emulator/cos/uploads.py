"""op=upload and the four operations of sliced uploads (cos.md#uploads)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from cosv4fs.emulator.call import ObjectPath, load_json
from cosv4fs.emulator.cos import namespace
from cosv4fs.emulator.cos.call import SHA1
from cosv4fs.emulator.errors import ApiError

if TYPE_CHECKING:
    import sqlite3

    from cosv4fs.emulator.cos.call import CosCall
    from cosv4fs.emulator.cos.service import CosService
    from cosv4fs.emulator.store import Database, Transaction

_LARGEST_UPLOAD = 20 * 1024 * 1024
"""Bytes that op=upload takes at most (cos.md#paths)."""

_SLICE_SIZES = frozenset({524288, 1048576, 2097152, 3145728})
"""The slice sizes in bytes that a client may ask for (cos.md#upload_slice_init)."""
_DEFAULT_SLICE = 1048576
_EMPTY_SHA = hashlib.sha1(b"", usedforsecurity=False).hexdigest()


def upload(service: CosService, call: CosCall) -> dict[str, Any]:
    """Store a whole file from one request (cos.md#upload).

    Codes: −5990 without content, −285 when it is too large, −174 when it differs from ``sha``, the code for "exists",
    −4019 at an unfinished upload, −158 for an unknown ``authority``, which only v3 documents.
    """
    namespace.check_new_path(call.path, service.dialect)
    authority = call.authority() if call.is_v3 else None
    insert_only = call.flag("insertOnly", default=True)
    biz_attr = call.text("biz_attr") or ""
    declared = call.sha()
    content = call.content
    if content is None:
        # One client sends no part at all for an empty file (cos.md#bodies).
        if not call.is_form or declared not in {None, _EMPTY_SHA}:
            raise ApiError(-5990)
        content = memoryview(b"")
    if len(content) > _LARGEST_UPLOAD:
        raise ApiError(-285)
    check_size(service, len(content))
    sha = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    if declared not in {None, sha}:
        raise ApiError(-174)
    with service.store.reading() as db:
        check_target(service, db, call.path, insert_only=insert_only, sliced=False)
    blob = service.store.new_blob(content)
    values = {
        "size": len(content),
        "sha": sha,
        "shown_sha": _shown(service, sha, len(content)),
        "content_type": _object_type(service, call),
        "biz_attr": biz_attr,
        "authority": authority or "eInvalid",
        "blob": blob,
    }
    _store_new(service, call.path, values, insert_only=insert_only, sliced=False)
    return service.links(call)


def slice_init(service: CosService, call: CosCall) -> dict[str, Any]:
    """Open a sliced upload, or store the file at once when its content is known (cos.md#upload_slice_init).

    Codes: −5971 and −5995 for the size, −182 for implausible ``uploadparts``, the code for "exists", −4019.
    """
    dialect = service.dialect
    namespace.check_new_path(call.path, dialect)
    size = call.whole("filesize", missing=-5971, bad=-5995)
    check_size(service, size)
    sha = call.sha()
    insert_only = call.flag("insertOnly", default=True)
    parts = call.text("uploadparts") or ""
    if sha is not None and parts.strip():
        _check_parts(parts, size, sha)
    slice_size = read_slice_size(service, call, _DEFAULT_SLICE)
    values = {"size": size, "slice_size": slice_size, "sha": sha, "biz_attr": call.text("biz_attr") or ""}
    with service.store.reading() as db:
        resumed = _resumable(service, db, call.path, values)
        if resumed is not None:
            return resumed
        check_target(service, db, call.path, insert_only=insert_only, sliced=True)
    provable = sha is not None and (parts.strip() or not dialect.instant_needs_parts)
    if provable and store_instantly(service, call, values, insert_only=insert_only):
        return service.links(call)
    session = open_session(service, call.path, new_session(call), values, insert_only=insert_only)
    reply: dict[str, Any] = {"session": session, "slice_size": slice_size}
    if dialect.serial_upload:
        reply["serial_upload"] = 1
    return reply


def slice_data(service: CosService, call: CosCall) -> dict[str, Any]:
    """Take one slice (cos.md#upload_slice_data).

    Codes: −95 and −94 for the session, −284 and −5991 for offset and length, −5990 without content, −174 when it
    differs from ``datamd5``.
    """
    content = call.content
    session = call.needed_session()
    offset = call.whole("offset", missing=-5992, bad=-5992)
    with service.locks.writing(session):
        upload_row = find_session(service, call, session)
        if content is None:
            raise ApiError(-5990)
        check_slice(service, upload_row, offset, content)
        declared = call.sha()
        if declared is not None and upload_row["sha"] not in {None, declared}:
            raise ApiError(-174)
        md5 = (call.text("datamd5") or "").strip()
        if md5 and md5.lower() != hashlib.md5(content, usedforsecurity=False).hexdigest():
            raise ApiError(-174)
        write_slice(service, call, upload_row, offset, content)
    reply = {"datalen": len(content), "offset": offset, "session": session}
    if md5:
        reply["datamd5"] = md5
    return reply


def slice_list(service: CosService, call: CosCall) -> dict[str, Any]:
    """Return what is stored of an unfinished upload, or that the file is complete (cos.md#upload_slice_list)."""
    with service.store.reading() as db:
        row = namespace.find_upload(db, call.path)
        node = namespace.find_node(db, call.path)
        if row is None:
            if node is None or node["directory"]:
                raise ApiError(-197)
            return service.links(call)
        slices = _slices(db, row).fetchall()
    data: dict[str, Any] = {
        "filesize": row["size"],
        "session": row["session"],
        "slice_size": row["slice_size"],
    }
    if row["sha"] is not None:
        data["sha"] = row["sha"]
    parts = [{"offset": part["position"], "datalen": part["length"]} for part in slices]
    if service.dialect.listparts == "string":
        data["listparts"] = json.dumps(parts)
    elif parts or service.dialect.listparts == "array":
        data["listparts"] = parts
    return data


def slice_finish(service: CosService, call: CosCall) -> dict[str, Any]:
    """Make a complete upload a file (cos.md#upload_slice_finish).

    Codes: −95 and −94 for the session, −5971, −5995 and −175 for the size, −29094 and −174 for the sha.
    """
    session = call.needed_session()
    with service.locks.closing(session):
        row = find_session(service, call, session)
        size = call.whole("filesize", missing=-5971, bad=-5995)
        declared = call.sha()
        if row["sha"] is not None and declared is None:
            raise ApiError(-29094)
        if row["sha"] is not None and declared != row["sha"]:
            raise ApiError(-174)
        _check_complete(service, row, size)
        publish(service, call.path, row, size, declared)
    return service.links(call)


def received(db: Database, row: sqlite3.Row) -> int:
    """Return how many bytes of an unfinished upload are there."""
    total = db.execute("SELECT coalesce(sum(length), 0) FROM slices WHERE session = ?", (row["session"],))
    return int(total.fetchone()[0])


def _slices(db: Database, row: sqlite3.Row) -> sqlite3.Cursor:
    return db.execute("SELECT position, length FROM slices WHERE session = ? ORDER BY position", (row["session"],))


def first_gap(db: Database, row: sqlite3.Row) -> int:
    """Return how many bytes of an unfinished upload are there without a gap."""
    end = 0
    for part in _slices(db, row):
        if part["position"] != end:
            break
        end += part["length"]
    return end


def discard(service: CosService, db: Transaction, row: sqlite3.Row | None) -> None:
    """Remove an unfinished upload with its content, if there is one."""
    if row is None:
        return
    service.hashes.drop(row["session"])
    namespace.remove_upload(db, row)
    db.free(row["blob"])


def remove_expired(service: CosService) -> None:
    """Remove the unfinished uploads that are older than the dialect's limit."""
    age = service.dialect.session_ttl
    if age is None:
        return
    with service.store.writing() as db:
        for row in db.execute("SELECT * FROM uploads WHERE ctime <= ?", (service.clock() - age,)).fetchall():
            discard(service, db, row)
            namespace.prune_parents(db, ObjectPath(row["bucket"], row["parent"] + row["name"]), service.dialect)


def check_size(service: CosService, size: int) -> None:
    """Refuse a file that is larger than the dialect's limit."""
    limit = service.dialect.max_object_size
    if limit is not None and size > limit:
        raise ApiError(-285)


def check_target(service: CosService, db: Database, path: ObjectPath, *, insert_only: bool, sliced: bool) -> None:
    """Refuse an upload to a path that is taken, or whose directory is missing where the dialect requires it."""
    dialect = service.dialect
    node = namespace.find_node(db, path)
    if node is not None and node["directory"]:
        raise ApiError(-178)
    refused = dialect.slice_overwrite if sliced else dialect.overwrite_upload
    if node is not None and (insert_only or refused == "refuse"):
        raise ApiError(dialect.exists_code)
    if namespace.find_upload(db, path) is not None and (insert_only or dialect.overwrite_unfinished == "refuse"):
        raise ApiError(-4019)
    if dialect.parents == "required" and not namespace.directory_exists(db, ObjectPath(path.bucket, path.parent)):
        raise ApiError(-197)


def _store_new(
    service: CosService, path: ObjectPath, values: dict[str, object], *, insert_only: bool, sliced: bool
) -> None:
    """Publish a content that is on disk, unless the path was taken meanwhile."""
    with service.store.writing(str(values["blob"])) as db:
        check_target(service, db, path, insert_only=insert_only, sliced=sliced)
        discard(service, db, namespace.find_upload(db, path))
        now = service.now()
        namespace.ensure_parents(db, path, service.dialect, now)
        namespace.add_file(db, path, {**values, "ctime": now, "mtime": now})


def _shown(service: CosService, sha: str | None, size: int) -> str | None:
    return "0" * 32 if size == 0 and service.dialect.empty_sha == "zeros32" else sha


def _object_type(service: CosService, call: CosCall) -> str | None:
    return call.content_type if service.dialect.part_content_type == "keep" else None


def read_slice_size(service: CosService, call: CosCall, usual: int, *, needed: bool = True) -> int:
    """Return the slice size of a new upload: the dialect's, else the requested one if it is allowed, else the usual."""
    if service.dialect.slice_size is not None:
        return service.dialect.slice_size
    if not needed and not call.text("slice_size"):
        return usual
    size = call.whole("slice_size", missing=-5992, bad=-5992)
    return size if size in _SLICE_SIZES else usual


def _check_parts(text: str, size: int, sha: str) -> None:
    try:
        parts = load_json(text)
        position = 0
        for part in parts:
            if int(part["offset"]) != position or int(part["datalen"]) < 0 or not SHA1.match(part["datasha"]):
                raise ApiError(-182)
            position += int(part["datalen"])
        last = parts[-1]["datasha"].lower() if parts else sha
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise ApiError(-182) from None
    if position != size or last != sha:
        raise ApiError(-182)


def _resumable(service: CosService, db: Database, path: ObjectPath, values: dict[str, Any]) -> dict[str, Any] | None:
    row = namespace.find_upload(db, path)
    if service.dialect.reinit != "matching" or row is None:
        return None
    if any(row[name] != values[name] for name in ("size", "slice_size", "sha")):
        return None
    return {"session": row["session"], "slice_size": row["slice_size"], "offset": first_gap(db, row)}


def store_instantly(service: CosService, call: CosCall, values: dict[str, Any], *, insert_only: bool) -> bool:
    """Store a file whose content is stored already; return False when it is not."""
    scope = service.dialect.instant
    if scope == "off":
        return False
    bucket = call.path.bucket if scope == "bucket" else None
    with service.store.reading() as db:
        known = db.execute(
            "SELECT * FROM nodes WHERE sha = ? AND size = ? AND bucket = coalesce(?, bucket) LIMIT 1",
            (values["sha"], values["size"], bucket),
        ).fetchone()
        if known is None:
            return False
        blob = service.store.copy_blob(known["blob"])
    new = {
        **values,
        "shown_sha": _shown(service, values["sha"], values["size"]),
        "content_type": known["content_type"],
        "blob": blob,
    }
    _store_new(service, call.path, new, insert_only=insert_only, sliced=True)
    return True


def open_session(
    service: CosService, path: ObjectPath, session: str, values: dict[str, Any], *, insert_only: bool
) -> str:
    """Begin an unfinished upload with a new session; return the session."""
    blob, now = service.store.new_blob(), service.now()
    key = {"bucket": path.bucket, "parent": path.parent, "name": path.name}
    with service.store.writing(blob) as db:
        check_target(service, db, path, insert_only=insert_only, sliced=True)
        discard(service, db, namespace.find_upload(db, path))
        if service.dialect.slice_overwrite == "at-init":
            namespace.remove_node(db, path)
        namespace.ensure_parents(db, path, service.dialect, now)
        db.execute(
            "INSERT INTO uploads VALUES (:bucket, :parent, :name, :session, :size, :slice_size, :sha, NULL,"
            " :biz_attr, :ctime, :blob)",
            {**values, **key, "session": session, "ctime": now, "blob": blob},
        )
    return session


def find_session(service: CosService, call: CosCall, session: str) -> sqlite3.Row:
    """Return the unfinished upload of a session; −94 when the session is not this path's, or of the other version."""
    with service.store.reading() as db:
        row = namespace.find_upload(db, call.path)
    if row is None or row["session"] != session or not is_session_of(session, call):
        raise ApiError(-94)
    return row


def new_session(call: CosCall) -> str:
    """Return a new session in the form of the call's version: the samples differ (cos.md#v3)."""
    if call.is_v3:
        return f"{uuid.uuid4()}+{base64.b64encode(secrets.token_bytes(10)).decode()}"
    return secrets.token_hex(48)


def is_session_of(session: str, call: CosCall) -> bool:
    """Return whether a session has the form of the call's version."""
    return ("-" in session) == call.is_v3


def check_slice(service: CosService, row: sqlite3.Row, offset: int, content: memoryview) -> None:
    """Refuse a slice that is not one of the upload's: −284 and −5991, or −290 where the dialect wants order."""
    slice_size, end = row["slice_size"], offset + len(content)
    if offset % slice_size:
        raise ApiError(-284)
    if service.dialect.finish_size == "declared":
        if end > row["size"]:
            raise ApiError(-5991)
        if end < row["size"] and (not len(content) or len(content) % slice_size):
            raise ApiError(-284 if len(content) < slice_size else -5991)
    if service.dialect.serial_upload:
        with service.store.reading() as db:
            if offset > received(db, row):
                raise ApiError(-290)


def write_slice(service: CosService, call: CosCall, row: sqlite3.Row, offset: int, content: memoryview) -> None:
    """Store a slice, in place of what was sent before for the same bytes."""
    session, slice_size = row["session"], row["slice_size"]
    pieces = [
        (session, start, min(slice_size, offset + len(content) - start))
        for start in range(offset, offset + len(content), slice_size)
    ]
    covered = (session, offset, offset + len(content))
    with service.store.reading() as db:
        again = db.execute(
            "SELECT 1 FROM slices WHERE session = ? AND position >= ? AND position < ? LIMIT 1", covered
        ).fetchone()
    if again:
        # Were the process to die while it overwrites a slice, that slice should not count as received.
        with service.store.writing() as db:
            db.execute("DELETE FROM slices WHERE session = ? AND position >= ? AND position < ?", covered)
    if not service.store.write_blob(row["blob"], content, offset):
        raise ApiError(-94)
    if _sha_is_needed(service, row):
        service.hashes.add(session, content, offset, service.store.blob_path(row["blob"]))
    with service.store.writing() as db:
        if db.execute("SELECT 1 FROM uploads WHERE session = ?", (session,)).fetchone() is None:
            service.hashes.drop(session)
            raise ApiError(-94)
        db.db.executemany("INSERT OR REPLACE INTO slices VALUES (?, ?, ?)", pieces)
        content_type = _object_type(service, call)
        if content_type is not None and row["content_type"] is None:
            db.execute(
                "UPDATE uploads SET content_type = ? WHERE session = ? AND content_type IS NULL",
                (content_type, session),
            )


def _check_complete(service: CosService, row: sqlite3.Row, size: int) -> None:
    if size != row["size"] and service.dialect.finish_size == "declared":
        raise ApiError(-175)
    with service.store.reading() as db:
        is_complete = first_gap(db, row) == received(db, row) == size
        # checked after its slices: a session that is removed meanwhile must not look like one without slices
        if db.execute("SELECT 1 FROM uploads WHERE session = ?", (row["session"],)).fetchone() is None:
            raise ApiError(-94)
    if not is_complete:
        raise ApiError(-175)


def _sha_is_needed(service: CosService, row: sqlite3.Row) -> bool:
    return row["sha"] is not None or service.dialect.slice_sha in {"real", "suffixed"}


def _content_sha(service: CosService, row: sqlite3.Row, size: int, declared: str | None) -> str | None:
    """Return the SHA-1 of a complete upload, if it is needed; −174 when it is not the declared one."""
    if declared is None and not _sha_is_needed(service, row):
        return None
    try:
        sha = service.hashes.finish(row["session"], service.store.blob_path(row["blob"]), size)
    except FileNotFoundError:
        raise ApiError(-94) from None
    if declared is not None and sha != declared:
        raise ApiError(-174)
    return sha


def publish(service: CosService, path: ObjectPath, row: sqlite3.Row, size: int, declared: str | None) -> None:
    """Make a complete upload the file at its path; −174 when its SHA-1 is not the declared one."""
    shown = sha = _content_sha(service, row, size, declared)
    if declared is None:
        variants = {"absent": None, "zeros": "0" * 40, "suffixed": f"{sha}_1234", "other": _EMPTY_SHA}
        shown = variants.get(service.dialect.slice_sha, sha)
    with service.store.writing() as db:
        current = namespace.find_upload(db, path)
        if current is None or current["session"] != row["session"]:
            raise ApiError(-94)
        service.store.resize_blob(row["blob"], size)
        namespace.remove_upload(db, current)
        now = service.now()
        values = {
            "size": size,
            "slice_size": row["slice_size"],
            "sha": sha,
            "shown_sha": _shown(service, shown, size),
            "content_type": current["content_type"],
            "biz_attr": row["biz_attr"],
            "ctime": now,
            "mtime": now,
            "blob": row["blob"],
        }
        namespace.add_file(db, path, values)
