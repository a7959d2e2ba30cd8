"""Memory for what will come: as much as was announced, and used as it arrives."""

from __future__ import annotations

import errno
import io

from cosv4fs.errors import make_error

__all__ = ["announced"]


def announced(size: int, path: str) -> io.BytesIO:
    """Return a buffer of so many zeros, to be filled through ``getbuffer`` and taken by ``getvalue``; neither copies.

    What a server announces need not come. The system lends zeros page by page, when they are written to: so a wrong
    announcement costs addresses, and no memory.

    Raises
    ------
    OSError
        ENOMEM when there are not even the addresses.
    """
    try:
        # `bytes` asks for zeros, `bytearray` and a seek in the buffer would write them
        return io.BytesIO(bytes(size))
    except (MemoryError, OverflowError):
        raise make_error(errno.ENOMEM, f"there is no memory for {size} bytes: read parts", path) from None
