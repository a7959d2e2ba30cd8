"""The running state of SHA-1 at every MiB, which instant uploads ask for (cos.md#upload_slice_init, ``uploadparts``).

`hashlib` does not show its inner state. The library that it is built on does: libcrypto's ``SHA1_Init`` and
``SHA1_Update`` keep it in a structure whose first five 32-bit words are the chaining value. Where these symbols cannot
be reached, as in a Python without `ctypes`, there is no ``uploadparts``, and contents are simply sent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

# both are optional parts of Python
_hashlib: Any
ctypes: Any
try:
    import _hashlib
except ImportError:
    _hashlib = None
try:
    import ctypes
    import ctypes.util
except ImportError:
    ctypes = None

_EMPTY_STATE = "0123456789abcdeffedcba9876543210f0e1d2c3"
"""The five initial words of SHA-1, dumped little-endian: what a new state has to show."""


@lru_cache(maxsize=1)
def _state_class() -> Any:
    class State(ctypes.Structure):  # type: ignore[misc]
        # SHA_CTX of <openssl/sha.h>: h0..h4, Nl, Nh, data[16], num
        _fields_ = (
            ("words", ctypes.c_uint32 * 5),
            ("length", ctypes.c_uint32 * 2),
            ("block", ctypes.c_uint32 * 16),
            ("count", ctypes.c_uint),
        )

    return State


def _hex(state: Any) -> str:
    return b"".join(int(word).to_bytes(4, "little") for word in state.words).hex()


@lru_cache(maxsize=1)
def _library() -> Any:
    """Return the libcrypto that `hashlib` uses, or another one; None when none has the symbols."""
    if ctypes is None:
        return None
    finders: list[Callable[[], Any]] = [lambda: getattr(_hashlib, "__file__", None)]
    if sys.platform not in ("darwin", "win32"):
        # macOS ends a process that loads this one, and on Windows it may be anything; it runs programs of the system:
        # only where the first one does not serve
        finders.append(lambda: ctypes.util.find_library("crypto"))
    for find in finders:
        name = find()
        if not name:
            continue
        try:
            library, state = ctypes.CDLL(name), _state_class()()
            library.SHA1_Update.argtypes = (ctypes.POINTER(_state_class()), ctypes.c_void_p, ctypes.c_size_t)
            library.SHA1_Final.argtypes = (ctypes.c_char_p, ctypes.POINTER(_state_class()))
            library.SHA1_Init(ctypes.byref(state))
        except (OSError, AttributeError):
            continue
        if _hex(state) == _EMPTY_STATE:
            return library
    return None


def upload_parts(blocks: Iterable[memoryview]) -> tuple[str, str] | None:
    """Return (SHA-1 of everything in hex, JSON text of ``uploadparts``), or None where it cannot be computed.

    The blocks are the content in pieces of exactly 1 MiB; the last may be shorter.
    """
    library = _library()
    if library is None:
        return None
    state, parts, offset = _state_class()(), [], 0
    library.SHA1_Init(ctypes.byref(state))
    for block in blocks:
        library.SHA1_Update(ctypes.byref(state), _address(block), len(block))
        parts.append({"offset": offset, "datalen": len(block), "datasha": _hex(state)})
        offset += len(block)
    digest = ctypes.create_string_buffer(20)
    library.SHA1_Final(digest, ctypes.byref(state))
    sha: str = digest.raw.hex()
    if not parts:
        return None
    # the last part shows the SHA-1 of the whole content instead of a state
    parts[-1]["datasha"] = sha
    return sha, json.dumps(parts, separators=(",", ":"))


def _address(block: memoryview) -> object:
    """Return something that ctypes passes as a pointer to the block's bytes; writable memory is not copied."""
    return bytes(block) if block.readonly else (ctypes.c_char * len(block)).from_buffer(block)
