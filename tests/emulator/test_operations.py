"""create, list, stat, update, delete, move, copy (cos.md#directories and cos.md#files)."""

import hashlib
import json

import pytest

from cosv4fs.emulator import Dialect

from .client import APPID, NOW, Client, form, once, sign


def test_create_and_stat_a_directory(client, clock):
    answer = client.post("/d/", "create", carrier="json", biz_attr="attr")
    assert answer.data == {"ctime": NOW}
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Server"] == "tencent-cos"
    assert client.get("/d/", "stat").data == {"biz_attr": "attr", "ctime": NOW, "mtime": NOW}
    refused = client.post("/d/", "create")
    assert (refused.status, refused.code, refused.json["message"]) == (400, -178, "ERROR_CMD_COS_PATH_CONFLICT")
    missing = client.get("/e/", "stat")
    assert (missing.status, missing.code, missing.json["message"]) == (404, -197, "ERROR_CMD_FILE_NOTEXIST")


def test_stat_of_a_file(client, clock):
    client.upload("/d/f ü.txt", b"hello", biz_attr="why")
    assert client.get("/d/f ü.txt", "stat").data == {
        "slicesize": 0,
        "biz_attr": "why",
        "filelen": 5,
        "filesize": 5,
        "authority": "eInvalid",
        "forbid": 0,
        "custom_headers": {},
        "sha": hashlib.sha1(b"hello").hexdigest(),
        "ctime": NOW,
        "mtime": NOW,
        "source_url": f"http://b-{APPID}.cosgz.myqcloud.com/d/f%20%C3%BC.txt",
        "access_url": f"http://b-{APPID}.file.myqcloud.com/d/f%20%C3%BC.txt",
    }


def test_upload_returns_its_urls(client):
    assert client.upload("/d/f x", b"").data == {
        "access_url": f"http://b-{APPID}.file.myqcloud.com/d/f%20x",
        "resource_path": f"/{APPID}/b/d/f x",
        "source_url": f"http://b-{APPID}.cosgz.myqcloud.com/d/f%20x",
        "url": f"http://gz.file.myqcloud.com/files/v2/{APPID}/b/d/f%20x",
    }
    assert client.get("/d/f x", "stat").data["sha"] == "0" * 32


def test_stat_of_the_bucket(emulator):
    assert Client(emulator).get("/", "stat").data["authority"] == "eWRPrivate"
    assert Client(emulator, "public").get("/", "stat").data["authority"] == "eWPrivateRPublic"


def test_upload_does_not_overwrite_by_default(client):
    assert client.upload("/f", b"one").code == 0
    refused = client.upload("/f", b"two")
    assert (refused.code, refused.json["message"]) == (-4018, "ERROR_SAME_FILE_UPLOAD")
    assert client.upload("/f", b"two", insertOnly="").code == -4018
    assert client.upload("/f", b"two", insertOnly=1).code == -4018
    assert client.upload("/f", b"two", insertOnly="x").code == -182
    assert client.upload("/f", b"three", insertOnly=0).code == 0
    assert client.download("/f").body == b"three"


def test_upload_checks_the_sha(client):
    sha = hashlib.sha1(b"content").hexdigest()
    assert client.upload("/f", b"content", sha=sha.upper()).code == 0
    assert client.upload("/g", b"kontent", sha=sha).code == -174
    assert client.upload("/g", b"content", sha="abc").code == -168
    assert client.get("/g", "stat").code == -197


def test_upload_without_content(client):
    assert client.post("/empty", "upload").code == 0
    assert client.download("/empty").body == b""
    assert client.post("/f", "upload", sha=hashlib.sha1(b"x").hexdigest()).code == -5990
    assert client.post("/f", "upload", carrier="json").code == -5990


def test_upload_is_limited_to_20_mib(client):
    limit = 20 * 1024 * 1024
    assert client.upload("/f", bytes(limit)).code == 0
    refused = client.upload("/g", bytes(limit + 1))
    assert (refused.status, refused.code) == (413, -285)
    refused = client.upload("/g", bytes(limit + 8 * 1024 * 1024))
    assert refused.status == 413
    assert client.names() == ["f"]


@pytest.mark.parametrize(
    ("op", "path", "code"),
    [
        ("upload", "/d/", -160),
        ("upload", "/", -164),
        ("upload_slice_init", "/d/", -160),
        ("create", "/d", -161),
        ("create", "/", -164),
        ("delete", "/", -164),
        ("copy", "/d/", -160),
        ("move", "/d/", -160),
        ("stat", "/f", -5996),
        ("list", "/", -5996),
        ("nonsense", "/f", -299),
        ("", "/f", -5980),
    ],
)
def test_wrong_requests(client, op, path, code):
    assert client.post(path, op, b"x", dest_fileid="x").code == code


def test_wrong_method(client):
    assert client.get("/f", "delete").status == 405
    answer = client.raw("PUT", client.target("/f"), body=b"x", headers={"Authorization": sign()})
    assert (answer.status, answer.code) in {(405, -5996), (400, -5975)}


@pytest.mark.parametrize("path", ["/a//b", "/ /b", "/a/ ", "/../f", "/a/./f", "/a/\0"])
@pytest.mark.parametrize("op", ["upload", "upload_slice_init"])
def test_names_that_are_refused(client, op, path):
    assert client.post(path, op, b"x", filesize=1, slice_size=524288).code == -180
    assert client.names() == []


ODD_DIRECTORY = '/a*b\\"/c:<|>d'


def tried(client):
    """Return the codes of all requests that put a file into a directory with odd characters, and of two for it."""
    client.upload("/plain", b"x")
    content, sha = b"x", hashlib.sha1(b"x").hexdigest()
    return [
        client.upload(f"{ODD_DIRECTORY}/1", content).code,
        client.begin(f"{ODD_DIRECTORY}/2", 1).code,
        client.post("/plain", "copy", dest_fileid=f"{ODD_DIRECTORY}/3").code,
        client.post("/plain", "move", dest_fileid=f"{ODD_DIRECTORY}/4").code,
        client.raw(
            "POST",
            client.target(f"{ODD_DIRECTORY}/5").replace("/v2/", "/v1/"),
            body=b'{"op": "upload_slice", "filesize": 1, "sha": "%s"}' % sha.encode(),
            headers={"Authorization": sign(), "Content-Type": "application/json"},
        ).code,
        client.post("/x:y/", "create").code,
        client.post("/x:y/z/", "create").code,
    ]


def test_odd_directories_of_files(make_emulator):
    client = Client(make_emulator())
    # the vendor's PHP client sends this, in its tests
    body, kind = form({"op": "upload", "sha": hashlib.sha1(b"x").hexdigest(), "biz_attr": "", "filecontent": b"x"})
    headers = {"Authorization": sign(order="php"), "Content-Type": kind, "Expect": "100-continue"}
    assert client.raw("POST", f"/files/v2/{APPID}/b/a%2Ab/c", body=body, headers=headers).ok
    assert client.download("/a*b/c").body == b"x"
    assert tried(client) == [0, 0, 0, 0, 0, -180, -180]
    assert client.names(f"{ODD_DIRECTORY}/") == ["1", "2", "3", "4", "5"]
    assert client.post("/a*b/", "update", biz_attr="note").code == 0
    assert client.post("/a*b/c", "delete").code == client.post("/a*b/", "delete").code == 0


@pytest.mark.parametrize("switch", [{"parent_names": "as-directory"}, {"file_names": "strict"}], ids=str)
def test_odd_directories_that_are_refused(make_emulator, switch):
    client = Client(make_emulator(dialect=Dialect(**switch)))
    assert tried(client) == [-180] * 7
    assert client.names() == ["plain"]
    assert client.upload("/a*b", b"x").code == (-180 if "file_names" in switch else 0)


def test_odd_names(client):
    names = ["'", "%41", "+", '?*:|\\<>"', "a&b=c", "中文 a+b~(1)&'=%41.txt", "\u2028", "x" * 500, "~", "€", "🐢"]
    for name in names:
        assert client.upload("/d/" + name, name.encode()).code == 0
    assert client.names("/d/") == sorted(names, key=str.encode)
    for name in names:
        assert client.download("/d/" + name).body == name.encode()
        assert client.post("/d/" + name, "delete").code == 0
    assert client.names("/d/") == []


def test_file_against_directory(client):
    client.upload("/f", b"x")
    client.post("/d/", "create")
    client.begin("/u", 1)
    assert client.upload("/f/g", b"x").code == -178
    assert client.upload("/u/g", b"x").code == -178
    assert client.upload("/d", b"x").code == -178
    assert client.upload("/d", b"x", insertOnly=0).code == -178
    assert client.begin("/d", 1).code == -178
    assert client.post("/f/", "create").code == -178
    assert client.post("/u/", "create").code == -178
    assert client.get("/f/", "stat").code == -197
    assert client.get("/d", "stat").code == -197
    assert client.post("/f/", "delete").code == -197
    assert client.post("/d", "delete").code == -197
    assert client.post("/f/", "update").code == -197


def test_delete(client):
    client.upload("/d/f", b"x")
    assert client.post("/d/", "delete").code == -173
    assert client.post("/d/f", "delete", carrier="json").json.keys() == {"code", "message", "request_id"}
    assert client.post("/d/f", "delete").code == -197
    assert client.post("/d/", "delete").code == 0
    assert client.post("/d/", "delete").code == -197


def test_update(client, clock):
    client.upload("/f", b"x", biz_attr="old")
    clock.now += 10
    headers = {"Cache-Control": "no", "x-cos-meta-a": "1", "content-type": "text/csv"}
    assert client.post("/f", "update", carrier="json", custom_headers=headers, authority="eWRPrivate").code == 0
    data = client.get("/f", "stat").data
    assert data["custom_headers"] == {"Cache-Control": "no", "x-cos-meta-a": "1", "Content-Type": "text/csv"}
    assert (data["biz_attr"], data["authority"], data["mtime"]) == ("old", "eWRPrivate", NOW)
    # JSON text within JSON, and within a form.
    assert client.post("/f", "update", carrier="json", custom_headers=json.dumps({"x-cos-meta-b": "ü"})).code == 0
    assert client.post("/f", "update", custom_headers='{"X-Cos-Meta-A": "2"}', biz_attr="新", forbid=1).code == 0
    data = client.get("/f", "stat").data
    assert data["custom_headers"] == {
        "Cache-Control": "no",
        "Content-Type": "text/csv",
        "x-cos-meta-b": "ü",
        "X-Cos-Meta-A": "2",
    }
    assert (data["biz_attr"], data["forbid"]) == ("新", 1)
    answer = client.download("/f")
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["x-cos-meta-a"] == "2"
    assert answer.headers["Cache-Control"] == "no"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"authority": "everybody"}, -158),
        ({"custom_headers": {"Host": "x"}}, -182),
        ({"custom_headers": {"x-cos-meta-": "x"}}, -182),
        ({"custom_headers": {"x-cos-meta-a": ""}}, -182),
        ({"custom_headers": {"x-cos-meta-a b": "x"}}, -182),
        ({"custom_headers": {"x-cos-meta-a": "x\r\nSet-Cookie: y"}}, -182),
        ({"custom_headers": {"Cache-Control": ["x"]}}, -182),
        ({"custom_headers": {"Cache-Control": "\ud800"}}, -147),
        ({"custom_headers": ["x"]}, -182),
        ({"custom_headers": "{"}, -5975),
        ({"custom_headers": "[" * 100000}, -5975),
        ({"forbid": "x"}, -182),
        ({"biz_attr": {"a": 1}}, -182),
        ({"biz_attr": "\ud800"}, -147),
    ],
)
def test_updates_that_are_refused(client, fields, code):
    client.upload("/f", b"x")
    assert client.post("/f", "update", carrier="json", **fields).code == code


@pytest.mark.parametrize("headers", [b"[]", b'"[]"', b"{}"])
def test_an_empty_list_of_headers_is_an_empty_object(client, headers):
    client.upload("/f", b"x")
    client.post("/f", "update", carrier="json", custom_headers={"Cache-Control": "no"})
    # PHP's JSON of an empty array
    body = b'{"op":"update","biz_attr":"b","authority":"eWRPrivate","custom_headers":' + headers + b"}"
    sent = {"Authorization": once("b", "/f"), "Content-Type": "application/json", "Expect": "100-continue"}
    assert client.raw("POST", client.target("/f"), body=body, headers=sent).ok
    data = client.get("/f", "stat").data
    assert (data["biz_attr"], data["authority"]) == ("b", "eWRPrivate")
    assert data["custom_headers"] == {"Cache-Control": "no"}


def test_update_of_a_directory(client):
    client.post("/d/", "create")
    assert client.post("/d/", "update", carrier="json", authority="eWRPrivate").code == -182
    assert client.post("/d/", "update", carrier="json", custom_headers={"Cache-Control": "no"}).code == -182
    assert client.post("/d/", "update", carrier="json", biz_attr="y", custom_headers=[]).code == 0
    assert client.post("/d/", "update", carrier="json", biz_attr="x").code == 0
    assert client.get("/d/", "stat").data["biz_attr"] == "x"
    assert client.post("/e/", "update", carrier="json", biz_attr="x").code == -197


@pytest.mark.parametrize("carrier", ["json", "form", "query"])
@pytest.mark.parametrize("op", ["move", "copy"])
def test_move_and_copy(client, clock, op, carrier):
    client.upload("/d/f", b"content", biz_attr="x")
    client.post("/d/f", "update", custom_headers='{"x-cos-meta-a": "1"}')
    clock.now += 5
    answer = client.post("/d/f", op, carrier=carrier, dest_fileid="/e/g+ü", to_over_write="0")
    assert answer.code == 0
    assert "data" not in answer.json
    data = client.get("/e/g+ü", "stat").data
    assert (data["biz_attr"], data["custom_headers"], data["filesize"]) == ("x", {"x-cos-meta-a": "1"}, 7)
    assert data["mtime"] == (NOW if op == "move" else NOW + 5)
    assert client.download("/e/g+ü").body == b"content"
    assert client.get("/d/f", "stat").code == (-197 if op == "move" else 0)


@pytest.mark.parametrize("op", ["move", "copy"])
def test_targets_of_move_and_copy(client, op):
    def run(target, **fields):
        return client.post("/d/f", op, dest_fileid=target, **fields).code

    client.upload("/d/f", b"new")
    client.upload("/d/taken", b"old")
    client.post("/d/dir/", "create")
    client.begin("/d/unfinished", 10)
    assert run("") == -182
    assert run("/") == -160
    assert run("/x/") == -160
    assert run("/a//b") == -180
    assert run("taken") == -178
    assert run("unfinished") == -178
    assert run("dir", to_over_write=1) == -178
    assert run("taken/x") == -178
    assert run("f") == -178
    assert run("f", to_over_write=1) == 0
    assert client.download("/d/f").body == b"new"
    assert client.post("/d/nothing", op, dest_fileid="x").code == -197
    assert client.post("/d/unfinished", op, dest_fileid="x").code == -197
    assert run("taken", to_over_write=1) == 0
    assert client.download("/d/taken").body == b"new"
    if op == "copy":
        client.post("/d/f", "delete")
        assert client.download("/d/taken").body == b"new"


def test_relative_target(client):
    client.upload("/111/2.txt", b"x")
    assert client.post("/111/2.txt", "move", dest_fileid="333/2.txt").code == 0
    assert client.names("/111/333/") == ["2.txt"]


def test_move_over_an_unfinished_upload_ends_it(client):
    client.upload("/f", b"new")
    session = client.begin("/u", 4).data["session"]
    assert client.post("/f", "move", dest_fileid="u", to_over_write=1).code == 0
    assert client.piece("/u", session, 0, b"abcd").code == -94
    assert client.finish("/u", session, 4).code == -94
    assert client.download("/u").body == b"new"


def test_unknown_buckets(client):
    for target in ("/files/v2/1/b/x", f"/files/v2/{APPID}/nobody/x", "/files/v2/abc/b/"):
        answer = client.raw("GET", target + "?op=stat", headers={"Authorization": sign()})
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/xml")
        assert b"<Code>InvalidRequest</Code>" in answer.body
    answer = client.raw("GET", "/x", headers={"Host": f"nobody-{APPID}.cosgz.myqcloud.com"})
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/xml")
    assert client.raw("GET", "/x").code == -5994
    assert client.raw("GET", f"/files/v3/{APPID}/b/x").code == -5994
    assert client.raw("GET", f"/files/v2/{APPID}/b/%ff?op=stat").code == -147


def test_cors(client):
    answer = client.raw("OPTIONS", client.target("/x"), headers={"Access-Control-Request-Method": "POST"})
    assert answer.status == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for reply in (answer, client.get("/x", "stat"), client.raw("GET", "/"), client.raw("GET", "/files/v2/1/b/")):
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "x-cos-request-id" in reply.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "path", ["/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/emulator.sqlite"]
)
def test_paths_stay_within_the_root(client, path):
    for method in ("GET", "HEAD"):
        for host in (f"b-{APPID}.cosgz.myqcloud.com", "x"):
            target = path if host != "x" else f"/files/v2/{APPID}/b{path}"
            answer = client.raw(method, target, headers={"Host": host, "Authorization": sign()})
            assert answer.status == 404
    before = sorted(file.name for file in client.emulator.root.iterdir())
    body = b'--B\r\nContent-Disposition: form-data; name="op"\r\n\r\nupload\r\n--B--\r\n'
    headers = {"Authorization": sign(), "Content-Type": "multipart/form-data; boundary=B"}
    assert client.raw("POST", f"/files/v2/{APPID}/b{path}", body=body, headers=headers).code == -180
    assert sorted(file.name for file in client.emulator.root.iterdir()) == before
    client.upload("/ok", b"x")
    answer = client.post("/ok", "move", dest_fileid="../../../../tmp/x")
    assert answer.code == -180


def test_required_parents(make_emulator):
    client = Client(make_emulator(dialect=Dialect(parents="required")))
    assert client.upload("/d/f", b"x").code == -197
    assert client.begin("/d/f", 1).code == -197
    assert client.post("/d/e/", "create").code == -197
    assert client.post("/d/", "create").code == 0
    assert client.upload("/d/f", b"x").code == 0
    assert client.post("/d/f", "move", dest_fileid="/e/f").code == -197
    assert client.post("/d/f", "copy", dest_fileid="/e/f").code == -197
    assert client.upload("/top", b"x").code == 0


def test_implicit_parents_stay(client):
    client.upload("/a/b/f", b"x")
    client.post("/a/b/f", "delete")
    assert client.get("/a/b/", "stat").code == 0
    assert client.post("/a/", "create").code == -178


def test_virtual_parents_go(make_emulator):
    client = Client(make_emulator(dialect=Dialect(parents="virtual")))
    client.upload("/a/b/f", b"x")
    assert client.names() == ["a"]
    client.post("/a/b/f", "move", dest_fileid="/c/f")
    assert client.names() == ["c"]
    assert client.post("/c/", "create").code == 0  # it was only implied until now
    client.begin("/c/d/u", 1)
    client.post("/c/d/u", "delete")
    client.post("/c/f", "delete")
    assert client.get("/c/d/", "stat").code == -197
    assert client.get("/c/", "stat").code == 0


def test_directory_move(make_emulator):
    client = Client(make_emulator(dialect=Dialect(directory_move="accept")))
    client.upload("/a/b/f", b"x")
    session = client.begin("/a/u", 1).data["session"]
    client.upload("/ab/f", b"y")
    assert client.post("/a/", "move", dest_fileid="/a/inside").code == -199
    assert client.post("/a/", "move", dest_fileid="/ab").code == -178
    assert client.post("/a/", "move", dest_fileid="/c/d/").code == 0
    assert client.download("/c/d/b/f").body == b"x"
    assert client.download("/ab/f").body == b"y"
    assert client.get("/a/", "stat").code == -197
    assert client.piece("/c/d/u", session, 0, b"x").code == 0
    assert client.post("/nothing/", "move", dest_fileid="/x").code == -197


def test_cross_directory_move(make_emulator):
    client = Client(make_emulator(dialect=Dialect(cross_directory_move="refuse")))
    client.upload("/a/f", b"x")
    assert client.post("/a/f", "move", dest_fileid="/b/f").code == -199
    assert client.post("/a/f", "move", dest_fileid="g").code == 0


def test_update_dialects(make_emulator):
    client = Client(make_emulator(dialect=Dialect(custom_headers="replace", update_flag="required")))
    client.upload("/f", b"x")
    assert client.post("/f", "update", biz_attr="x").code == -179
    assert client.post("/f", "update", biz_attr="x", flag=2).code == -179
    assert client.post("/f", "update", biz_attr="x", flag=1).code == 0
    headers = {"Cache-Control": "no", "Content-Language": "de"}
    assert client.post("/f", "update", carrier="json", custom_headers=headers, flag=0x40).code == 0
    fields = {"custom_headers": {"x-cos-meta-a": "1"}, "authority": "eWRPrivate", "biz_attr": "", "flag": "193"}
    assert client.post("/f", "update", carrier="json", **fields).code == 0
    assert client.get("/f", "stat").data["custom_headers"] == {"x-cos-meta-a": "1"}


def test_smaller_dialects(make_emulator):
    options = {
        "overwrite_upload": "refuse",
        "exists_code": -177,
        "rmdir_nonempty": "ignore",
        "error_status": "always-200",
        "file_names": "strict",
        "max_name": 10,
        "max_object_size": 5,
        "empty_sha": "real",
        "resource_path": "short",
        "times": "string",
    }
    client = Client(make_emulator(dialect=Dialect(**options)))
    assert client.upload("/d/f", b"").data["resource_path"] == "/d/f"
    assert client.get("/d/f", "stat").data["sha"] == hashlib.sha1().hexdigest()
    assert client.get("/d/f", "stat").data["mtime"] == str(NOW)
    refused = client.upload("/d/f", b"", insertOnly=0)
    assert (refused.status, refused.code) == (200, -177)
    assert client.post("/d/", "delete").code == 0
    assert client.names("/d/") == ["f"]
    assert client.upload("/a:b", b"").code == -180
    assert client.upload("/12345678901", b"").code == -180
    assert client.upload("/g", b"123456").code == -285
    assert client.begin("/g", 6).code == -285


def test_error_status_400(make_emulator):
    client = Client(make_emulator(dialect=Dialect(error_status="always-400")))
    answer = client.get("/nothing", "stat")
    assert (answer.status, answer.code) == (400, -197)
    assert client.download("/nothing").status == 404


def test_a_second_use_is_refused_across_buckets(client):
    assert client.post("/f", "delete", signature=once("other", "/f")).code == -61


def of_browser(client, method, op, kind="once", folder="/333//", **fields):
    """Send a request as the browser client does, whose folders end with two slashes if its caller's end with one."""
    f = f"/{APPID}/b{folder}"
    signature = sign(f=f, e=0) if kind == "once" else sign(f=f if kind == "bound" else "")
    query = {"sign": signature, **({"op": op, **fields} if method == "GET" else {})}
    body, content_type = form({"op": op, **fields}) if method == "POST" else (None, "text/plain")
    headers = {"Content-Type": content_type, "Origin": "http://localhost:8000", "Referer": "http://localhost:8000/"}
    return client.raw(method, client.target("/333//", **query), body=body, headers=headers)


def in_turn(client, folder):
    """Return the codes of all requests for a folder."""
    listing = {"num": 20, "context": "", "order": 0, "pattern": "eListBoth"}
    return [
        of_browser(client, "POST", "create", "unbound", biz_attr="").code,
        client.upload("/333/f", b"x").code,
        of_browser(client, "GET", "list", "bound", folder, **listing).code,
        of_browser(client, "GET", "stat", "unbound").code,
        of_browser(client, "POST", "update", folder=folder, biz_attr="new").code,
        client.post("/333/f", "delete").code,
        of_browser(client, "POST", "delete", folder=folder).code,
    ]


@pytest.mark.parametrize("folder", ["/333//", "/333/"])
def test_final_slashes_that_are_folded(make_emulator, folder):
    client = Client(make_emulator(dialect=Dialect(final_slashes="fold")))
    assert in_turn(client, folder) == [0] * 7
    assert client.names() == []
    assert client.raw("GET", client.target("///", op="stat"), headers={"Authorization": sign()}).ok
    assert client.post("/a//b/", "create").code == -180
    assert client.upload("/f//", b"x").code == -160


def test_final_slashes_that_are_not(client):
    assert in_turn(client, "/333//") == [-180, 0, -197, -197, -197, 0, -197]
    assert client.names() == ["333"]
