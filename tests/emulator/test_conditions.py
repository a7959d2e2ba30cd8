"""Conditions of downloads, on GET and HEAD (cos.md#conditions)."""

import hashlib
import socket

import pytest

from cosv4fs.emulator import Dialect

from .client import Client, sign
from .services import BucketService

DATA = b"0123456789"
TAGS = {"buckets": f'"{hashlib.sha1(DATA).hexdigest()}"', "coffers": f'"{hashlib.md5(DATA).hexdigest()}"'}
BEFORE, TIME, AFTER = (f"Tue, 14 Nov 2023 22:13:{second} GMT" for second in (19, 20, 21))


@pytest.fixture
def get(service, clock):
    """Read an object on condition, whose own tag is written TAG, and return the reply."""
    service.put("f", DATA)
    clock.now += 5

    def get(method="GET", **headers):
        named = {name.replace("_", "-"): text.replace("TAG", TAGS[service.kind]) for name, text in headers.items()}
        if service.kind == "buckets":
            return service.client.download("/f", method=method, **named)
        return service.client.of_object(method, "f", headers=named)

    return get


CASES = [
    ({"If_Match": "TAG"}, 200),
    ({"If_Match": "*"}, 200),
    ({"If_Match": '"a", TAG,"b"'}, 200),
    ({"If_Match": '"a"'}, 412),
    ({"If_Match": "W/TAG"}, 412),
    ({"If_Match": "a"}, 412),
    ({"If_Match": '"a,TAG'}, 412),
    ({"If_None_Match": "TAG"}, 304),
    ({"If_None_Match": "W/TAG"}, 304),
    ({"If_None_Match": '"a", "b,c" , TAG'}, 304),
    ({"If_None_Match": "*"}, 304),
    ({"If_None_Match": '"a"'}, 200),
    ({"If_Modified_Since": BEFORE}, 200),
    ({"If_Modified_Since": TIME}, 304),
    ({"If_Modified_Since": AFTER}, 304),
    ({"If_Modified_Since": "yesterday"}, 200),
    ({"If_Unmodified_Since": BEFORE}, 412),
    ({"If_Unmodified_Since": TIME}, 200),
    ({"If_Unmodified_Since": "-1"}, 200),
    # tags are stronger than times, and what must be comes before what must not
    ({"If_None_Match": '"a"', "If_Modified_Since": AFTER}, 200),
    ({"If_None_Match": "TAG", "If_Modified_Since": BEFORE}, 304),
    ({"If_Match": "TAG", "If_Unmodified_Since": BEFORE}, 200),
    ({"If_Match": '"a"', "If_None_Match": "TAG"}, 412),
    ({"If_Match": "TAG", "If_None_Match": "TAG"}, 304),
    ({"If_None_Match": "TAG", "Range": "bytes=1-2"}, 304),
    ({"If_Match": '"a"', "Range": "bytes=99-100"}, 412),
    ({"If_Match": "TAG", "Range": "bytes=1-2"}, 206),
    ({"If_Range": "TAG", "Range": "bytes=1-2"}, 206),
    ({"If_Range": TIME, "Range": "bytes=1-2"}, 206),
    ({"If_Range": '"a"', "Range": "bytes=1-2"}, 200),
    ({"If_Range": '"a"', "Range": "bytes=99-100"}, 200),
    ({"If_Range": "W/TAG", "Range": "bytes=1-2"}, 200),
    ({"If_Range": AFTER, "Range": "bytes=1-2"}, 200),
    ({"If_Range": BEFORE, "Range": "bytes=1-2"}, 200),
    ({"If_Range": "soon", "Range": "bytes=1-2"}, 200),
    ({"If_Range": '"a"'}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CASES, ids=lambda value: str(value))
def test_conditions(get, service, headers, status):
    answer = get(**headers)
    assert answer.status == status
    # for HEAD there are no ranges
    assert get("HEAD", **headers).status == (200 if status == 206 else status)
    if status == 412:
        assert answer.code == (-182 if service.kind == "buckets" else "InvalidArgument")
        return
    assert answer.body == {200: DATA, 206: DATA[1:3], 304: b""}[status]
    assert answer.headers["ETag"] == TAGS[service.kind]
    assert answer.headers["Last-Modified"] == TIME
    assert (answer.headers["Content-Type"] is None) == (status == 304)


def test_a_time_within_its_own_second_proves_nothing(get, clock):
    clock.now -= 5
    assert get(If_Range=TIME, Range="bytes=1-2").status == 200
    clock.now += 1
    assert get(If_Range=TIME, Range="bytes=1-2").status == 206


def test_conditions_come_after_permission_and_existence(client):
    assert client.download("/f", If_None_Match="*").status == 404
    client.upload("/f", DATA)
    assert client.download("/f", signature="", If_None_Match="*").status == 403


def test_a_304_says_nothing_of_a_body_and_the_connection_goes_on(client):
    client.upload("/f", DATA)
    client.post("/f", "update", carrier="json", custom_headers={"Cache-Control": "max-age=9", "Content-Type": "text/x"})
    head = f"GET {client.target('/f')} HTTP/1.1\r\nHost: x\r\nAuthorization: {sign()}\r\n"
    with socket.create_connection(("127.0.0.1", client.emulator.port), timeout=30) as connection:
        connection.sendall(f"{head}If-None-Match: {TAGS['buckets']}\r\n\r\n{head}Connection: close\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            first, _, rest = stream.read().partition(b"\r\n\r\n")
    lines = first.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 304 Not Modified"
    assert b"Cache-Control: max-age=9" in lines
    assert not [line for line in lines if line.lower().startswith(b"content-")]
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(DATA)


@pytest.mark.parametrize(
    ("shown", "header", "statuses"),
    [
        ("weak", "ETag", (412, 304, 200)),
        ("modified", "Last-Modified", (412, 200, 206)),
        ("bare", "Date", (412, 200, 200)),
    ],
)
def test_only_what_downloads_show_counts(make_emulator, clock, shown, header, statuses):
    client = Client(make_emulator(dialect=Dialect(download_headers=shown)))
    client.upload("/f", DATA)
    headers = client.download("/f").headers
    tells = [name for name in ("ETag", "Last-Modified") if headers[name]]
    assert tells == {"weak": ["ETag", "Last-Modified"], "modified": ["Last-Modified"], "bare": []}[shown]
    known = headers[header]
    clock.now += 5
    match, none_match = (client.download("/f", **{name: known}).status for name in ("If_Match", "If_None_Match"))
    part = client.download("/f", If_Range=known, Range="bytes=1-2").status
    assert (match, none_match, part) == statuses


def test_v3(client):
    client.upload("/f", DATA)
    client.target = lambda path, **query: Client.target(client, path, **query).replace("/v2/", "/v1/", 1)
    headers = {"Authorization": sign(), "If-None-Match": TAGS["buckets"]}
    answer = client.raw("GET", client.target("/f"), headers=headers)
    assert (answer.status, answer.headers["Content-Type"], answer.headers["Server"]) == (304, None, "nginx")


def test_files_are_closed(start_service):
    import os

    service = start_service(BucketService.kind)
    service.put("f", DATA)
    service.get("f")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        assert service.get("f", **{"If-None-Match": "*"}).status == 304
        assert service.get("f", **{"If-Match": '"a"'}).status == 412
    assert not before or len(os.listdir("/proc/self/fd")) <= before + 5
