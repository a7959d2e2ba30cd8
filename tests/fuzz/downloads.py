"""Downloads whose replies lie about ranges and lengths: what comes is what was asked for, or an error."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from hypothesis import strategies as st

from cosv4fs.api.download import Version
from tests.fuzz.mutations import Edit, edited, edits
from tests.fuzz.replies import FRAMES, HEADERS, MOST_REQUESTS, STATUS_LINES, Peer, framed, peer
from tests.fuzz.targets import check_error, target

CONTENT = bytes(range(100))
RANGES = [
    "bytes 0-9/100", "bytes 10-19/100", "bytes 0-99/100", "bytes 90-99/100", "bytes 10-19/50", "bytes 10-19/*",
    "bytes */100",
    "bytes 10-19/9223372036854775807", "bytes 10-19/9999999999999999999", "bytes 10-19/100000000000000000",
    "bytes 19-10/100",
    "bytes 5-19/100", "bytes 15-19/100", "bytes 10-19/0", "bytes 10-1999/100", "bytes -1-5/100", "items 10-19/100",
    "x", "",
    "bytes 10-19/1\xb2", "bytes 10-19/100, bytes 10-19/100", "bytes 9999999999999999999-9999999999999999999/100",
]  # fmt: skip


class Answer(NamedTuple):
    """One reply to a download: the bytes `begin` up to `end` of the content, and what is said about them."""

    status: bytes = b"HTTP/1.1 206 x"
    begin: int = 10
    end: int = 20
    said: str | None = "bytes 10-19/100"
    etag: str | None = None
    headers: tuple[bytes, ...] = ()
    frame: str = "length"
    number: int = 0
    raw: tuple[Edit, ...] = ()

    def reply(self) -> bytes:
        """Return its bytes."""
        headers = list(self.headers)
        headers += [f"Content-Range: {self.said}".encode("latin-1")] if self.said is not None else []
        headers += [f"ETag: {self.etag}".encode()] if self.etag is not None else []
        body = CONTENT[self.begin : self.end]
        return edited(framed(self.status, headers, body, self.frame, self.number), list(self.raw))

    @property
    def honest(self) -> bool:
        """Whether what is said about the range is what comes, in whatever frame."""
        whole = self.status.startswith(b"HTTP/1.1 200") and (self.begin, self.end) == (0, 100)
        part = self.status.startswith(b"HTTP/1.1 206") and self.said == f"bytes {self.begin}-{self.end - 1}/100"
        framed_well = self.frame in ("length", "none", "long") or (self.frame == "chunked" and not self.number)
        return (whole or part) and framed_well and not self.raw and not self.headers


ANSWERS = st.builds(
    Answer,
    st.sampled_from([b"HTTP/1.1 206 x"] * 20 + [b"HTTP/1.1 200 x"] * 10 + [b"HTTP/1.1 416 x"] * 3 + STATUS_LINES),
    st.sampled_from([0, 5, 10, 10, 10, 90]),
    st.sampled_from([0, 15, 20, 20, 20, 100]),
    st.none() | st.sampled_from([RANGES[1]] * 10 + RANGES),
    st.none() | st.sampled_from(['"a"', '"b"', ""]),
    st.lists(st.sampled_from(HEADERS), max_size=1).map(tuple),
    st.sampled_from(["length"] * 8 + FRAMES),
    st.integers(0, 60),
    edits(2).map(lambda changes: tuple(changes) if len(changes) == 2 else ()),
)
WANTED = [(10, 20), (10, None), (None, None), (0, 5), (-10, None), (10, 10), (95, 200), (200, 300), (0, 10**6)]


@target(
    st.tuples(st.sampled_from(WANTED), st.lists(ANSWERS, min_size=1, max_size=3), st.booleans()),
    bench=peer,
    pinned=[
        ((10, 20), [Answer()], False),
        ((None, None), [Answer(b"HTTP/1.1 200 OK", 0, 100, None)], False),
        ((10, 20), [Answer(begin=10, end=15, frame="length"), Answer(begin=15, end=20, said="bytes 15-19/100")], False),
        ((10, None), [Answer(said="bytes 10-19/9999999999999999999")], False),
        ((10, 20), [Answer(frame="chunked", number=1)], False),
        ((10, 20), [Answer(frame="chunked", number=7)], True),
    ],
    weight=5,
)
def check_ranges(other: Peer, case: Any) -> None:
    """A read brings as many bytes as it says, of the place that was asked for as far as replies are honest."""
    (start, stop), answers, known = case
    memory = bytearray()

    def allocate(length: int, version: Version) -> memoryview:
        assert 0 <= length <= version.size < 2**63
        assert stop is None or start < 0 or length <= stop - (start or 0)
        # a caller cannot lend more than it has
        if length > 10**6:
            raise OSError(errno.ENOMEM, "no memory")
        memory.extend(bytes(length))
        return memoryview(memory)

    client = other.client(*(answer.reply() for answer in answers))
    try:
        fetched = client.fetch("b", "/x", allocate, start, stop, Version(100) if known else None)
    except OSError as error:
        check_error(error, ours=error.errno != errno.ENOMEM)
    else:
        assert fetched.length == len(memory)
        if all(answer.honest for answer in answers):
            begin = max(0, 100 + start) if (start or 0) < 0 else (start or 0)
            assert bytes(memory) == CONTENT[begin:stop]
            assert fetched.version.size == 100
    finally:
        client.close()
    assert other.asked < MOST_REQUESTS


@target(ANSWERS, bench=peer, pinned=[Answer(b"HTTP/1.1 200 OK", frame="chunked"), Answer(b"HTTP/1.1 200 OK")], weight=2)
def check_heads(other: Peer, answer: Answer) -> None:
    """HEAD gives a version and headers, or an `OSError` of ours."""
    client = other.client(answer.reply())
    try:
        version, headers = client.head("b", "/x")
    except OSError as error:
        check_error(error)
    else:
        assert 0 <= version.size < 2**63
        assert int(headers["Content-Length"]) == version.size
    finally:
        client.close()
    assert other.asked < MOST_REQUESTS
