"""Names of local files: which ones a system has, and which ones it takes for the same."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

_IS_WINDOWS = os.name == "nt"

_IGNORES_FORM = sys.platform == "darwin"
"""Whether a letter with an accent is the same in a name as the letter and the accent, two characters of Unicode."""

_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
"""Parts of names that Windows refuses, or gives another meaning: it takes ``a:b`` for a part of the file ``a``."""

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
"""Names that stand for a device in every directory of Windows."""

_MAX_FOLDERS = 10_000
"""Folders whose real paths are cached at once."""


def are_possible(parts: Iterable[str]) -> bool:
    """Return whether local files, and directories, can have some names, the components of a path; ``..`` is none.

    See https://learn.microsoft.com/windows/win32/fileio/naming-a-file for those of Windows.
    """
    if _IS_WINDOWS:
        names = (part for part in parts if part not in (".", ".."))
        return not any(_NOT_ON_WINDOWS.search(name) or _DEVICE.match(name) for name in names)
    return not any("\0" in part for part in parts)


def slashed(path: str) -> str:
    """Return a local path with slashes instead of the system's separators."""
    return path if os.sep == "/" else path.replace(os.sep, "/")


def folded(path: str, *, ignores_case: bool) -> str:
    """Return the same text for all spellings of a path that a disk takes for one; it may ignore case."""
    if _IGNORES_FORM:
        path = unicodedata.normalize("NFC", path)
    return path.casefold() if ignores_case else path


def ignores_case(folder: str | Path) -> bool:
    """Return whether a folder's disk ignores case, as those of Windows do.

    Elsewhere a name in the folder shows that, for a disk may be mounted there; if it has none with letters, its own, or
    that of the nearest folder above it. What does not exist has the disk of the nearest folder that does.
    """
    if _IS_WINDOWS:
        return True
    # pathlib raises where nothing may be asked
    existing = [each for each in (Path(folder), *Path(folder).parents) if os.path.isdir(each)]  # noqa: PTH112
    shown = next((each for each in chain(_entries(existing[0]), existing) if _other_case(each) != each), None)
    with suppress(OSError):
        return shown is not None and os.path.samestat(shown.lstat(), _other_case(shown).lstat())
    return False


def _entries(folder: Path) -> Iterator[Path]:
    # not a list: there may be very many
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries)


def _other_case(path: Path) -> Path:
    # others are longer in the other case, such as a sharp s
    return path.with_name(path.name.swapcase()) if path.name.isascii() and path.name else path


class LocalNames:
    """Recognizes the paths of one local file; symbolic links are followed in folders, and at `followed` paths."""

    def __init__(self, followed: Collection[str] = ()) -> None:
        self._followed = followed
        self._folders: dict[str, str] = {}
        self._folded: dict[str, str] = {}

    def identity(self, path: Any) -> str:
        """Return the same text for all paths of one file, which need not exist; it has slashes."""
        if not isinstance(path, str):
            # an open file
            return f"<{id(path)}>"
        real = slashed(self.real(path, follow=path in self._followed))
        other = self._folded.setdefault(real.casefold(), real)
        return other if other != real and ignores_case(Path(real).parent) else real

    def real(self, path: str, *, follow: bool) -> str:
        """Return the path of a file without symbolic links in its folder; with `follow`, not to it either."""
        folder, name = os.path.split(path)
        if folder not in self._folders:
            if len(self._folders) >= _MAX_FOLDERS:
                self._folders.clear()
            self._folders[folder] = os.path.realpath(folder)
        # os.path is faster than pathlib, and names may be many
        place = os.path.join(self._folders[folder], name)  # noqa: PTH118
        real = os.path.realpath(place) if follow and os.path.islink(place) else place  # noqa: PTH114
        return folded(os.path.normcase(real), ignores_case=False)
