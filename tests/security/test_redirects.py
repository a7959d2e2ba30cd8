"""No request follows a redirect, and no other way leads a signature to another host."""

import errno

import pytest

from tests.security.servers import http_reply
from tests.support import RawServer, raw_client

JSON = b'{"code":0,"data":{"mtime":2,"session":"s","slice_size":1048576,"offset":0}}'
ACTIONS = {
    "stat": lambda client: client.stat("b", "/d/"),
    "list": lambda client: list(client.list("b", "/d/")),
    "delete": lambda client: client.delete("b", "/x"),
    "update": lambda client: client.update("b", "/x", biz_attr="x"),
    "move": lambda client: client.move("b", "/x", "/y"),
    "upload": lambda client: client.upload("b", "/x", b"content"),
    "slice": lambda client: client.upload_slice_data("b", "/x", "s", 0, memoryview(bytes(100_000))),
    "download": lambda client: client.fetch("b", "/x", lambda count, _: memoryview(bytearray(count))),
    "head": lambda client: client.head("b", "/x"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_error_that_says_so(action, status):
    with RawServer(http_reply(JSON)) as elsewhere:
        headers = [f"Location: {elsewhere.endpoint}/stolen", "Set-Cookie: session=1"]
        with RawServer(http_reply(b"", status, headers)) as server:
            client = raw_client(server, max_retries=3)
            with pytest.raises(OSError, match="redirects to another place") as caught:
                ACTIONS[action](client)
            assert len(server.requests) == 1
            client.close()
        assert elsewhere.requests == []
    assert caught.value.errno == errno.EIO
    assert caught.value.status == int(status[:3])
    assert caught.value.filename.startswith("b/")


def test_a_redirect_to_itself_ends_at_once():
    with RawServer(http_reply(b"", "302 Found", ["Location: /again"])) as server:
        client = raw_client(server, max_retries=5)
        with pytest.raises(OSError, match="redirects to another place"):
            client.stat("b", "/d/")
        client.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "header",
    ["Refresh: 0; url={}", "Location: {}", "Content-Location: {}", "Link: <{}>; rel=canonical", 'Alt-Svc: h2="{}"'],
)
def test_no_header_of_a_good_reply_leads_elsewhere(header):
    with (
        RawServer(http_reply(JSON)) as elsewhere,
        RawServer(http_reply(JSON, headers=[header.format(elsewhere.endpoint)])) as server,
    ):
        client = raw_client(server)
        assert client.stat("b", "/d/").modified == 2
        client.delete("b", "/x")
        client.close()
        assert len(server.requests) == 2
        assert elsewhere.requests == []


def test_urls_in_replies_are_never_asked():
    with RawServer(http_reply(JSON)) as elsewhere:
        urls = ",".join(
            f'"{name}":"{elsewhere.endpoint}/x"' for name in ("access_url", "source_url", "url", "resource_path")
        )
        with RawServer(http_reply(b'{"code":0,"data":{%s}}' % urls.encode())) as server:
            client = raw_client(server)
            assert client.upload("b", "/x", b"content").access_url == f"{elsewhere.endpoint}/x"
            client.close()
            assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_cookies_and_netrc_are_not_used(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password nobodysNetrc\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with RawServer(http_reply(JSON, headers=["Set-Cookie: a=b"])) as server:
        client = raw_client(server, anon=True)
        for _ in range(2):
            client.stat("b", "/d/")
        client.close()
        for head in server.requests:
            assert b"Authorization" not in head
            assert b"Cookie" not in head
        assert len(server.requests) == 2
