"""Replies of the service: the documentation's samples, loose types, the XML of early drafts, and invalid ones."""

import errno
import json

import pytest

from cosv4fs.api import Coffer, CofferClient, Part, Version
from cosv4fs.api.cdcs.errors import CODES
from cosv4fs.api.connections import Connections
from cosv4fs.codes import Retry
from cosv4fs.errors import CosError, Origin, error_for_row, make_error
from tests.support import COFFER, RawServer, http_reply, raw_client

from .failures import failure_of

XML_TYPE = ("Content-Type: application/xml",)
IDS = ("x-cdcs-request-id: NTg3ZjIzZTZfOWIxZjRlXzZmMzhfMWRj", "x-cdcs-trace-id: " + "b1Rh" * 20)

SERVICE = (
    b'{"Owner":{"ID":"1234","DisplayName":"1234"},"Coffers":{"Coffer":[{"Name":"xh1592016477536259000-251010571",'
    b'"Locations":{"Location":["ap-tianjin"]},"CreationDate":"2020-06-13T10:47:58+08:00"}]}}'
)
SERVICE_XML = (
    b'<?xml version="1.0"?>\n<ListAllMyCoffersResult><Owner><ID>1</ID></Owner><Coffers><Coffer>'
    b"<Name>xh1592016477536259000-251010571</Name><Locations><Location>ap-tianjin</Location></Locations>"
    b"<CreationDate>2020-06-13T10:47:58+08:00</CreationDate></Coffer></Coffers></ListAllMyCoffersResult>"
)
ENTRY = {
    "Key": "test1.html",
    "LastModified": "2020-06-13T15:40:15+08:00",
    "ETag": '"f797031f3210ce6494466d619610926c"',
    "Size": 20,
    "Owner": {"ID": "1250000000", "DisplayName": "1250000000"},
}
PAGE = {
    "Name": COFFER,
    "EncodingType": "",
    "Prefix": "",
    "Marker": "",
    "MaxKeys": 1000,
    "IsTruncated": "false",
    "NextMarker": "",
    "EncryptType": 0,
    "KeyId": "",
    "KeyRegion": "",
    "Locations": {"Location": ["ap-tianjin"]},
    "Contents": [ENTRY],
}
PARTS = {
    "Coffer": COFFER,
    "Key": "a",
    "UploadId": "u",
    "PartNumberMarker": "1",
    "IsTruncated": "false",
    "NextPartNumberMarker": "1",
    "MaxParts": 0,
    "Part": [
        {"PartNumber": 1, "LastModified": "Tue Jan 17 16:43:37 2017", "ETag": f'"{"a1f8" * 10}"', "Size": 5242880}
    ],
}
UPLOADS = {
    "Coffer": COFFER,
    "IsTruncated": "false",
    "Upload": [{"Key": "a", "UploadId": "theUploadId", "Initiated": "2017-01-16T04:05:19.000Z"}],
}


def asked(ask, *replies, **options):
    """Return what a client makes of replies, one per request, and the heads of the requests."""
    with RawServer(*replies) as server:
        client = raw_client(server, CofferClient, **options)
        try:
            return ask(client), server.requests
        finally:
            client.close()


def said(ask, values, **options):
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    return asked(ask, http_reply(body, headers=(*XML_TYPE, "Connection: close")), **options)[0]


def failed(ask, reply):
    """Return how one attempt fails, below the retry loop."""
    return asked(lambda client: failure_of(client, ask), reply)[0]


def page(client):
    return client.list_page(COFFER)


def parts(client):
    return client.list_parts(COFFER, "/a", "u")


def complete(client):
    return client.complete(COFFER, "/a", "u", [Part(1, 5, "827ccb0eea8a706c4c34a16891f84e7b")])


class TestSamples:
    @pytest.mark.parametrize("body", [SERVICE, SERVICE_XML])
    def test_service(self, body):
        expected = Coffer("xh1592016477536259000-251010571", ("ap-tianjin",), 1592016478)
        assert said(CofferClient.list_coffers, body) == (expected,)

    @pytest.mark.parametrize(
        "coffers", [{"Coffer": []}, {"Coffer": None}, {}, "", None, {"Coffer": ""}], ids=json.dumps
    )
    def test_an_account_without_coffers(self, coffers):
        assert said(CofferClient.list_coffers, {"Owner": {}, "Coffers": coffers}) == ()

    def test_listing(self):
        found = said(page, PAGE)
        (entry,) = found.entries
        assert (entry.key, entry.size, entry.modified) == ("/test1.html", 20, 1592034015)
        assert (entry.etag, found.marker) == ("f797031f3210ce6494466d619610926c", None)

    def test_listing_in_xml(self):
        entry = b"<Contents><Key>%s</Key><ETag>&quot;f797&quot;</ETag><Size>20</Size></Contents>"
        body = b'<ListCofferResult xmlns="http://x/"><Name>c</Name>%s<IsTruncated>%s</IsTruncated></ListCofferResult>'
        one = said(page, body % (entry % b"a", b"false"))
        assert ([(e.key, e.size, e.etag) for e in one.entries], one.marker) == ([("/a", 20, "f797")], None)
        two = said(page, body % (entry % b"a" + entry % b"b &amp; c", b"true"))
        assert ([e.key for e in two.entries], two.marker) == (["/a", "/b & c"], "b & c")

    def test_parts(self):
        assert said(parts, PARTS) == (Part(1, 5242880, "a1f8" * 10),)

    def test_parts_in_xml(self):
        row = b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag><Size>7</Size></Part>"
        body = b"<ListPartsResult><UploadId>u</UploadId>%s<IsTruncated>FALSE</IsTruncated></ListPartsResult>"
        assert said(parts, body % (row % 1)) == (Part(1, 7, "e"),)
        assert said(parts, body % (row % 1 + row % 2)) == (Part(1, 7, "e"), Part(2, 7, "e"))

    def test_initiate(self):
        reply = {"Coffer": COFFER, "Key": "a", "UploadId": "1484727270323ddb"}
        found, (head,) = asked(lambda client: client.initiate(COFFER, "/a b"), http_reply(json.dumps(reply).encode()))
        assert found == "1484727270323ddb"
        assert head.startswith(f"POST /{COFFER}/a%20b?uploads HTTP/1.1\r\n".encode())
        assert b"content-length: 0" in head.lower()

    def test_complete_after_blanks(self):
        reply = {"Locations": {"Location": ["ap-beijing"]}, "Coffer": COFFER, "Key": "a", "ETag": '"3a0f1fd6"'}
        assert said(complete, b"  \r\n \n" + json.dumps(reply).encode()) == "3a0f1fd6"

    def test_complete_in_xml(self):
        assert said(complete, b" <CompleteMultipartUploadResult><ETag>&quot;3a-1&quot;</ETag><Key>a</Key>"
                              b"</CompleteMultipartUploadResult>") == "3a-1"  # fmt: skip

    @pytest.mark.parametrize("name", ["UploadId", "UploadID"])
    def test_uploads(self, name):
        row = {"Key": "a", name: "theUploadId", "Initiated": "2017-01-16T04:05:19.000Z"}
        (found,) = said(lambda client: list(client.list_uploads(COFFER)), {**UPLOADS, "Upload": [row]})
        assert (found.key, found.upload_id, found.initiated) == ("/a", "theUploadId", 1484539519)

    def test_lifecycle_and_policy(self):
        assert said(lambda client: client.get_lifecycle(COFFER), {"Rule": [{"Expiration": {"Days": 30}}]}) == 30
        assert said(lambda client: client.get_lifecycle(COFFER), {"Rule": [{"Expiration": {}}]}) is None
        lower = {"version": "2.0", "statement": [{"effect": "allow"}]}
        assert said(lambda client: client.get_policy(COFFER), lower) == lower


class TestLooseTypes:
    @pytest.mark.parametrize("value", [True, "true", "True", "TRUE", 1, "1", " true "])
    def test_true(self, value):
        assert said(page, {**PAGE, "IsTruncated": value}).marker == "test1.html"

    @pytest.mark.parametrize("value", [False, "false", "FALSE", 0, "0", "", None])
    def test_false(self, value):
        assert said(page, {**PAGE, "IsTruncated": value}).marker is None

    def test_a_full_page_that_does_not_say_whether_it_is_the_last(self):
        silent = {name: value for name, value in PAGE.items() if name != "IsTruncated"}
        size = len(PAGE["Contents"])
        assert said(lambda client: client.list_page(COFFER, max_keys=size), silent).marker is not None
        assert said(lambda client: client.list_page(COFFER, max_keys=size + 1), silent).marker is None

    def test_absent(self):
        bare = {"Name": COFFER, "Contents": [{"Key": "a", "Size": "7"}]}
        found = said(page, bare)
        assert (found.entries[0].size, found.entries[0].etag, found.entries[0].modified) == (7, "", 0)
        assert said(page, {"Name": COFFER}).entries == ()

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("2020-06-13T15:40:15+08:00", 1592034015),
            ("2020-06-13T07:40:15.123Z", 1592034015),
            ("2020-06-13T15:40:15", 1592034015),
            ("2020-06-13T07:40:15+0000", 1592034015),
            ("Sat, 13 Jun 2020 07:40:15 GMT", 1592034015),
            ("Sat Jun 13 15:40:15 2020", 1592034015),
            ("yesterday", 0),
            ("", 0),
            (7, 0),
            (None, 0),
            ("0001-01-01T00:00:00+14:00", 0),
            ("9" * 400, 0),
        ],
    )
    def test_times(self, text, seconds):
        assert said(page, {**PAGE, "Contents": [{**ENTRY, "LastModified": text}]}).entries[0].modified == seconds


NONSENSE = {
    "a page of something else": b"<html><body><p>Welcome</p></body></html>",
    "an array": b"[]",
    "nothing": b"",
    "an empty mapping": b"{}",
    "another mapping": b'{"a": 1}',
    "half": b'{"Name": "c", "Contents": [',
    "deep": b"[" * 100_000,
    "deep mappings": b'{"a":' * 100_000,
    "deep elements": b"<a>" * 50_000 + b"</a>" * 50_000,
    "entities": b'<!DOCTYPE a [<!ENTITY b "c">]><ListCofferResult><Name>&b;</Name></ListCofferResult>',
    "half an element": b"<ListCofferResult><Name>",
    "not UTF-8": b'{"Name": "\xff\xfe"}',
    "a long number": b'{"Name": "c", "Contents": [{"Key": "a", "Size": 1%s}]}' % (b"0" * 5000),
    "no number": b'{"Name": "c", "Contents": [{"Key": "a", "Size": NaN}]}',
    "endless": b'{"Name": "c", "Contents": [{"Key": "a", "Size": Infinity}]}',
    "too large": b'{"Name": "c", "Contents": [{"Key": "a", "Size": 99999999999999}]}',
    "negative": b'{"Name": "c", "Contents": [{"Key": "a", "Size": -1}]}',
    "no size": b'{"Name": "c", "Contents": [{"Key": "a"}]}',
    "no key": b'{"Name": "c", "Contents": [{"Size": 1}]}',
    "an empty key": b'{"Name": "c", "Contents": [{"Key": "", "Size": 1}]}',
    "a key of another type": b'{"Name": "c", "Contents": [{"Key": ["a"], "Size": 1}]}',
    "half a character": b'{"Name": "c", "Contents": [{"Key": "\\ud800", "Size": 1}]}',
    "contents that are a text": b'{"Name": "c", "Contents": "abc"}',
    "contents that are numbers": b'{"Name": "c", "Contents": [1, 2]}',
    "perhaps": b'{"Name": "c", "Contents": [], "IsTruncated": "perhaps"}',
    "perhaps, in a list": b'{"Name": "c", "Contents": [], "IsTruncated": [1]}',
    "more, but from where": b'{"Name": "c", "Contents": [], "IsTruncated": "true"}',
    "a marker of another type": b'{"Name": "c", "Contents": [], "IsTruncated": true, "NextMarker": {}}',
}


class TestNonsense:
    @pytest.mark.parametrize("name", NONSENSE)
    def test_a_listing(self, name):
        with pytest.raises(CosError) as caught:
            said(page, NONSENSE[name])
        assert caught.value.errno in (errno.EBADMSG, errno.EIO)
        assert caught.value.filename == COFFER

    @pytest.mark.parametrize(
        "ask",
        [
            CofferClient.list_coffers,
            parts,
            complete,
            lambda client: list(client.list_uploads(COFFER)),
            lambda client: client.get_lifecycle(COFFER),
            lambda client: client.initiate(COFFER, "/a"),
        ],
    )
    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"a":1}', b"<html><a/></html>", b"<a><b>c</b></a>"])
    def test_anything_else(self, ask, body):
        with pytest.raises(CosError) as caught:
            said(ask, body)
        assert caught.value.errno in (errno.EBADMSG, errno.EIO)

    def test_a_page_that_confirms_nothing(self):
        with pytest.raises(CosError, match="Welcome"):
            said(lambda client: client.put_object(COFFER, "/a", memoryview(b"x")), NONSENSE["a page of something else"])

    def test_pages_in_circles(self):
        more = {**PAGE, "IsTruncated": "true", "NextMarker": "test1.html"}
        with pytest.raises(OSError, match="round in circles"):
            said(lambda client: list(client.list(COFFER)), more)
        uploads = {**UPLOADS, "IsTruncated": "true", "NextUploadIdMarker": "x"}
        with pytest.raises(OSError, match="round in circles"):
            said(lambda client: list(client.list_uploads(COFFER)), uploads)
        for rows in (PARTS["Part"], []):
            with pytest.raises(OSError, match="round in circles"):
                said(parts, {**PARTS, "IsTruncated": "true", "Part": rows})

    def test_a_part_without_number(self):
        with pytest.raises(OSError, match="PartNumber is 0"):
            said(parts, {**PARTS, "Part": [{"PartNumber": 0, "Size": 1}]})

    @pytest.mark.parametrize(
        ("ask", "values", "text"),
        [
            (lambda client: client.initiate(COFFER, "/a"), {"UploadId": ["theUploadId"]}, "UploadId is a list"),
            (lambda client: list(client.list_uploads(COFFER)), {"Upload": "theUploadId"}, "Upload is a str"),
        ],
    )
    def test_an_upload_is_not_shown(self, ask, values, text):
        with pytest.raises(OSError, match=text) as caught:
            said(ask, values)
        assert "theUploadId" not in str(caught.value)

    def test_a_head_without_length(self):
        with pytest.raises(OSError, match="no usable Content-Length"):
            asked(lambda client: client.head(COFFER, "/a"), b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")


class TestErrors:
    @pytest.mark.parametrize("name", CODES)
    @pytest.mark.parametrize("form", ["json", "xml"])
    def test_every_code(self, name, form):
        row = CODES[name]
        values = {
            "Code": name,
            "Message": "it says",
            "Resource": f"/{COFFER}/a",
            "RequestId": "req-1",
            "TraceId": "tr-2",
        }
        members = "".join(f"<{key}>{text}</{key}>" for key, text in values.items())
        body = json.dumps(values) if form == "json" else f"<?xml version='1.0'?><Error>{members}</Error>"
        failure = failed(parts, http_reply(body.encode(), f"{row.http} X", XML_TYPE))
        error = failure.error
        # a request that only reads finds nothing where nothing can be
        number = errno.ENOENT if row.is_about_path else row.errno
        assert (error.code, error.errno, error.status, failure.retry) == (name, number, row.http, row.retry)
        assert type(error) is type(error_for_row(row, "", "", Origin(), is_lookup=True))
        assert (error.filename, error.request_id) == (f"{COFFER}/a", "req-1")
        assert str(error.strerror) == f"{row.meaning} (ListParts: {name}: it says, request req-1, trace tr-2)"

    def test_which_codes_are_retried(self):
        again = {name for name, row in CODES.items() if row.retry in (Retry.YES, Retry.BACK_OFF)}
        assert again == {"InternalError", "DataSynchronization", "AlreadyLock", "BadDigest"}
        assert {name for name, row in CODES.items() if row.may_have_acted} == {"InternalError"}

    @pytest.mark.parametrize("status", [400, 401, 404, 409, 418, 429, 500, 503])
    @pytest.mark.parametrize("body", [b'{"Code":"Novel","Message":"m"}', b"<Error><Code>Novel</Code></Error>"])
    def test_of_an_unknown_code_the_status_decides(self, status, body):
        failure = failed(parts, http_reply(body, f"{status} X", IDS))
        by_status = failed(parts, http_reply(b"", f"{status} X", IDS))
        assert (failure.error.code, by_status.error.code) == ("Novel", None)
        for name in ("retry", "outcome_unknown"):
            assert getattr(failure, name) == getattr(by_status, name)
        for error in (failure.error, by_status.error):
            assert (error.errno, error.status) == (by_status.error.errno, status)
            assert "request NTg3ZjIzZTZfOWIxZjRlXzZmMzhfMWRj, trace b1Rhb1Rh" in str(error)

    def test_the_head_has_no_body(self):
        for status, kind in ((404, FileNotFoundError), (401, PermissionError), (403, PermissionError)):
            with pytest.raises(kind):
                asked(lambda client: client.head(COFFER, "/a"), http_reply(b"", f"{status} X"))

    def test_late_in_a_200(self):
        with pytest.raises(OSError, match="smaller than 1 MB") as caught:
            said(complete, b"    " + json.dumps({"Code": "EntityTooSmall", "Message": ""}).encode())
        assert (caught.value.code, caught.value.status) == ("EntityTooSmall", 200)

    def test_a_refused_range_is_no_other_object(self):
        body = b'{"Code":"InvalidArgument"}'
        with pytest.raises(CosError) as caught:
            asked(
                lambda client: client.fetch(COFFER, "/a", lambda *_: memoryview(b""), 0, 5, Version(10)),
                http_reply(body, "416 X"),
            )
        assert caught.value.errno == errno.EINVAL

    def test_repeated_parts_of_the_request_are_not_shown(self):
        for body in (b"%s", b'{"Code":"AuthFailed","Message":"%s","RequestId":"theToken0","TraceId":"theToken0"}'):
            text = b"q-ak=theId theToken0"
            with pytest.raises(PermissionError) as caught:
                asked(page, http_reply(body % text, "401 X"), security_token="theToken0")
            assert "theToken0" not in f"{caught.value!r} {caught.value.request_id}"


class TestRequests:
    @pytest.mark.parametrize(
        ("ask", "line"),
        [
            (lambda c: c.list_coffers(), "GET https://service.cdcs.myqcloud.com/"),
            (lambda c: c.put_coffer("c-1", ["r"]), "PUT https://service.cdcs.myqcloud.com/c-1"),
            (lambda c: c.delete_coffer("c-1"), "DELETE https://service.cdcs.myqcloud.com/c-1"),
            (lambda c: c.list_page("c-1", prefix="/a b", marker="x"),
             "GET https://service.cdcs.myqcloud.com/c-1?prefix=a%20b&marker=x&max-keys=1000"),
            (lambda c: c.put_lifecycle("c-1", 1), "PUT https://service.cdcs.myqcloud.com/c-1?lifecycle"),
            (lambda c: c.get_lifecycle("c-1"), "GET https://cdcs.ap-tianjin.myqcloud.com/c-1?lifecycle"),
            (lambda c: c.put_policy("c-1", {}), "PUT https://service.cdcs.myqcloud.com/c-1?policy"),
            (lambda c: c.get_policy("c-1"), "GET https://service.cdcs.myqcloud.com/c-1?policy"),
            (lambda c: c.delete_policy("c-1"), "DELETE https://service.cdcs.myqcloud.com/c-1?policy"),
            (lambda c: c.put_object("c-1", "/k+?", memoryview(b"")),
             "PUT https://cdcs.ap-tianjin.myqcloud.com/c-1/k%2B%3F"),
            (lambda c: c.fetch("c-1", "/k", lambda *_: memoryview(b"")), "GET https://cdcs.ap-tianjin.myqcloud.com/c-1/k"),
            (lambda c: c.head("c-1", "/k"), "HEAD https://cdcs.ap-tianjin.myqcloud.com/c-1/k"),
            (lambda c: c.initiate("c-1", "/k"), "POST https://cdcs.ap-tianjin.myqcloud.com/c-1/k?uploads"),
            (lambda c: c.upload_part("c-1", "/k", "u/d", 3, memoryview(b"")),
             "PUT https://cdcs.ap-tianjin.myqcloud.com/c-1/k?partNumber=3&uploadId=u%2Fd"),
            (lambda c: c.list_parts("c-1", "/k", "u"),
             "GET https://cdcs.ap-tianjin.myqcloud.com/c-1/k?uploadId=u&max-parts=1000"),
            (lambda c: c.complete("c-1", "/k", "u", []), "POST https://cdcs.ap-tianjin.myqcloud.com/c-1/k?uploadId=u"),
            (lambda c: c.abort("c-1", "/k", "u"), "DELETE https://cdcs.ap-tianjin.myqcloud.com/c-1/k?uploadId=u"),
            (lambda c: list(c.list_uploads("c-1", "/a")),
             "GET https://cdcs.ap-tianjin.myqcloud.com/c-1?uploads&max-uploads=1000&prefix=a"),
        ],
    )  # fmt: skip
    def test_hosts_and_lines(self, monkeypatch, ask, line):
        """Of all 18 operations (cdcs.md#service); nothing is sent."""
        client = CofferClient.connect(secret_id="i", secret_key="k", region="ap-tianjin", endpoint=None)
        seen = []

        def exchange(request):
            seen.append(request)
            raise make_error(errno.EACCES, "stopped here", None)

        monkeypatch.setattr(client._transport, "exchange", exchange)
        with pytest.raises(PermissionError, match="stopped here"):
            ask(client)
        (request,) = seen
        assert f"{request.method} {request.url}" == line
        assert request.headers["Host"] == line.split("/")[2]
        if request.body is not None:
            assert len(request.headers["Content-MD5"]) == 24
        client.close()

    def test_what_is_signed_is_what_is_sent(self):
        _, (head,) = asked(
            lambda client: client.put_object(COFFER, "/a", memoryview(b"hello"), content_type="text/plain"),
            http_reply(),
            security_token="theToken",
        )
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        lists = dict(part.split("=", 1) for part in lines["Authorization"].split("&"))
        assert lists["q-header-list"] == "content-length;content-md5;content-type;host;x-cdcs-security-token"
        assert (lines["Content-Length"], lines["Content-MD5"]) == ("5", "XUFAKrxLKna5cZ2REBfFkg==")
        assert lines["x-cdcs-security-token"] == "theToken"

    def test_anonymous(self):
        _, (head,) = asked(page, http_reply(json.dumps(PAGE).encode()), anon=True)
        assert b"authorization" not in head.lower()

    @pytest.mark.parametrize(("ask", "seconds"), [(parts, 10.0), (complete, 50.0)])
    def test_only_a_completion_has_a_longer_timeout(self, monkeypatch, ask, seconds):
        client = CofferClient.connect(secret_id="i", secret_key="k", region="r", read_timeout=10.0, max_retries=0)
        waits = []

        def exchange(connections, method, url, headers, body, timeout):
            waits.append(timeout.read)
            raise ConnectionResetError

        monkeypatch.setattr(Connections, "exchange", exchange)
        with pytest.raises(ConnectionError):
            ask(client)
        # whether a completion succeeded is asked once more, with the usual timeout
        assert waits == [seconds, 10.0][: 1 + (ask is complete)]
        client.close()
