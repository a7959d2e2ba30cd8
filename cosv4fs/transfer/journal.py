"""The journal: how an upload of a local file is continued by a later process.

One small private file per local file and remote path says where the upload was going and which session was opened
there. It is only believed for the same file: see `Record.matches`. Without the journal an upload starts afresh; a
journal that cannot be written never makes one fail.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cosv4fs.forking import PerProcess
from cosv4fs.info import InterruptedUpload
from cosv4fs.localfiles import state_folder
from cosv4fs.portability import open_private, replace_file

_log = logging.getLogger("cosv4fs")


@dataclass(frozen=True)
class Record:
    """The record of an unfinished upload.

    Parameters
    ----------
    key : str
        The key that the slices go to: the target's, or a hidden sibling's.
    session : str or None
        The session there; None while it is being opened.
    sha : str or None
        SHA-1 of the file in hex, where the session was opened with it.
    matches : bool
        Whether the local file is still the recorded one: real path, size, modification and status change time, and
        inode are what they were. A copy that keeps size and modification time changes one of the others. The object
        must also get the same attributes, of which the upload has some already.
    """

    key: str
    session: str | None = field(repr=False)
    sha: str | None
    matches: bool = field(default=True, compare=False)


_claimed: PerProcess[dict[str, object]] = PerProcess(dict)
"""The entries that uploads of this process use, and what holds each."""


class JournalEntry:
    """The record of one local file and one remote path, in a private file.

    Its `identity` is what tells versions of the local file apart, and the account and remote path.
    """

    def __init__(self, file: Path, identity: dict[str, object]) -> None:
        self._file, self._identity = file, identity

    def load(self) -> Record | None:
        """Return the record of an earlier process, also of a file that has changed since."""
        try:
            stored = json.loads(_text_of(self._file))
            identity = stored.pop("identity")
            if any(identity[name] != self._identity[name] for name in ("path", "account", "remote")):
                return None
            return Record(**stored, matches=identity == self._identity)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def save(self, record: Record) -> None:
        """Record the state of the upload."""
        stored = {"key": record.key, "session": record.session, "sha": record.sha}
        text = json.dumps({"identity": self._identity, **stored})
        temporary = self._file.with_suffix(f".{secrets.token_hex(8)}")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(temporary, "x", encoding="utf-8", opener=open_private) as new:
                new.write(text)
            replace_file(temporary, self._file)
        except OSError as error:
            _log.info("no journal, so this upload cannot be resumed: %s", error)
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the record: the upload is complete, or was aborted."""
        try:
            self._file.unlink(missing_ok=True)
            # what a process left that was killed while it saved
            for left in self._file.parent.glob(f"{self._file.stem}.*"):
                left.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("the entry in the journal stays: %s", error)


def _identity(status: os.stat_result) -> dict[str, int]:
    """Return what the system knows, without reading, to tell versions of a file apart."""
    return {
        "size": status.st_size,
        "modified": status.st_mtime_ns,
        "changed": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def _text_of(file: Path) -> str:
    """Return the text of a file that can only be this user's own, as it decides what is moved and removed."""
    status = file.lstat()
    is_private = not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)
    if not (stat.S_ISREG(status.st_mode) and is_private):
        raise ValueError("not a private file")
    return file.read_text("utf-8")


class Journal:
    """All entries of one account (of one service), in files of a folder; by default in the user's folder for state."""

    def __init__(self, folder: str | None, account: str) -> None:
        self._folder = Path(folder) if folder else state_folder()
        self._account = account

    @contextmanager
    def claim(
        self, path: str | os.PathLike[str], status: os.stat_result, remote: str, attributes: Mapping[str, object]
    ) -> Iterator[JournalEntry | None]:
        """Lend the entry for a local file and a remote path; None while another thread uploads the same.

        Two threads that share an entry would each take the other's upload for that of a killed process.

        Parameters
        ----------
        path, status : path, os.stat_result
            The local file, and its status when it was opened.
        remote : str
            ``bucket/dir/name``.
        attributes : mapping
            Those that the object gets.
        """
        real = os.path.realpath(path)
        name = hashlib.sha256("\0".join((self._account, remote, real)).encode("utf-8", "surrogatepass")).hexdigest()
        wanted = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode()).hexdigest()
        identity = {"path": real, "account": self._account, "remote": remote, "attributes": wanted, **_identity(status)}
        file, holder, claimed = self._folder / f"{name[:32]}.json", object(), _claimed()
        # one step, which no other thread can come between
        is_ours = claimed.setdefault(str(file), holder) is holder
        try:
            yield JournalEntry(file, identity) if is_ours else None
        finally:
            if is_ours:
                # in a forked child the parent's claim is not known
                claimed.pop(str(file), None)

    def interrupted(self) -> list[InterruptedUpload]:
        """Return the uploads that can be continued: recorded for this account, of files that are unchanged."""
        found = (self._interrupted(file) for file in sorted(self._folder.glob("*.json")))
        return [upload for upload in found if upload is not None]

    def _interrupted(self, file: Path) -> InterruptedUpload | None:
        try:
            stored = json.loads(_text_of(file))["identity"]
            if stored["account"] != self._account:
                return None
            status = Path(stored["path"]).stat()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if any(stored.get(name) != value for name, value in _identity(status).items()):
            return None
        return {"source": stored["path"], "name": stored["remote"], "size": status.st_size}
