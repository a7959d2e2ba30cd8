"""Signatures: the published vectors, every refusal, every place where a signature may stand (cos.md#signature)."""

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest

from cosv4fs.emulator import Dialect

from .client import APPID, NOW, SECRET_ID, SECRET_KEY, Client, form, once, sign

VECTOR_ID, VECTOR_KEY = "AKIDTestSecretId0123456789", "TestSecretKey0123456789abcdef"
VECTOR_HMACS = {
    "unbound": ("9e7f2a7481752e60941bdc1f3008383e4510935c", "&e=1500000600", "", "aketerfb"),
    "other order": ("d6bb69d99809540a5af00825cf1d6de2afa593c1", "&e=1500000600", "", "php"),
    "prefix": ("c188dc1e52dfa2eb8885f67bd24ad4f3b3f30027", "&e=1500000600", "/1250000000/mybucket/dir/", "aketerfb"),
    "download": ("af294992aabb5c1010404731dbe5d30d41d25168", "&e=1500000600", "/dir/file.bin", "aketerfb"),
    "once": (
        "e33041f7c702cd544c42492e5ed9c9bbdf1386c7",
        "&e=0",
        "/1250000000/mybucket/dir/%E4%B8%AD%E6%96%87%20%E6%96%87%E4%BB%B6%2B~.txt",
        "aketerfb",
    ),
}


def vector(name):
    """Return a published vector: its HMAC as published, not computed."""
    digest, expiry, f, order = VECTOR_HMACS[name]
    middle = f"k={VECTOR_ID}{expiry}&t=1500000000&r=1234567890&f={f}"
    plain = f"a={APPID}&{middle}&b=mybucket" if order == "aketerfb" else f"a={APPID}&b=mybucket&{middle}"
    return base64.b64encode(bytes.fromhex(digest) + plain.encode()).decode()


VECTORS = {name: vector(name) for name in VECTOR_HMACS}
ONCE_VECTOR = VECTORS["once"]


@pytest.fixture
def vector_client(make_emulator, clock):
    clock.now = 1_500_000_000
    return Client(make_emulator(secret_id=VECTOR_ID, secret_key=VECTOR_KEY, buckets=("mybucket",)), "mybucket")


def test_vectors_for_many_uses(vector_client):
    assert vector_client.upload("/dir/file.bin", b"x", signature=VECTORS["unbound"]).code == 0
    assert vector_client.get("/dir/file.bin", "stat", signature=VECTORS["other order"]).code == 0
    assert vector_client.get("/dir/file.bin", "stat", signature=VECTORS["prefix"]).code == 0
    assert vector_client.get("/other", "stat", signature=VECTORS["prefix"]).code == -63
    assert vector_client.download("/dir/file.bin", signature=VECTORS["download"]).body == b"x"


def test_vector_for_one_use(vector_client):
    path = "/dir/中文 文件+~.txt"
    assert vector_client.upload(path, b"x", signature=VECTORS["unbound"]).code == 0
    assert vector_client.post(path, "delete", signature=ONCE_VECTOR).code == 0
    assert vector_client.post(path, "delete", signature=ONCE_VECTOR).code == -77


def test_vectors_expire(vector_client, clock):
    clock.now += 600
    assert vector_client.get("/", "stat", signature=VECTORS["unbound"]).code == -96


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("", -81),
        ("   ", -81),
        ("%%%", -5998),
        ("é", -5998),
        (base64.b64encode(b"short").decode(), -5998),
        (base64.b64encode(b"x" * 20 + b"a=1&b=2").decode(), -5998),
        (base64.b64encode(b"x" * 20 + b"\xff\xfe").decode(), -5998),
        (sign(e="soon"), -5998),
        (sign(e="1e400"), -5998),
        (sign(a="1250000001"), -70),
        (sign(k="AKIDnobody"), -79),
        (sign(k="AKIDnobodyé"), -79),
        (sign(key="wrong"), -97),
        (sign("other"), -61),
        (sign(e=0, f=f"/{APPID}/b/"), -74),
        (sign(e=NOW), -96),
        (sign(e=NOW + 100, t=NOW + 200), -96),
        (sign(e=NOW + 93 * 86400), -97),
        (sign(f=f"/{APPID}/b/somewhere"), -63),
        (sign(f="/x"), -63),
    ],
)
def test_refusals(client, signature, code):
    answer = client.raw("GET", client.target("/", op="stat"), headers={"Authorization": signature.encode()})
    assert (answer.status, answer.code) == (400, code)
    assert answer.headers["x-cos-request-id"] == answer.json["request_id"]


def test_order_of_the_checks(client):
    assert client.get("/", "stat", signature=sign(a="1", k="x", key="x", bucket="x", e=1)).code == -70
    assert client.get("/", "stat", signature=sign(k="x", key="x", bucket="x", e=1)).code == -79
    assert client.get("/", "stat", signature=sign(key="x", bucket="x", e=1)).code == -97
    assert client.get("/", "stat", signature=sign(bucket="x", e=1)).code == -61
    assert client.get("/", "stat", signature=sign(e=1, f="/no")).code == -96
    assert client.post("/x", "delete", signature=sign(e=1)).code == -73


def test_one_use(client, clock):
    assert client.post("/x", "delete", signature=sign()).code == -73
    assert client.post("/x", "delete", signature=sign(e=0)).code == -76
    assert client.post("/x", "delete", signature=once("b", "/y")).code == -63
    assert client.post("/x/y", "delete", signature=once("b", "/x/")).code == -63
    signature = once("b", "/x")
    assert client.post("/x", "delete", signature=signature).code == -197
    assert client.post("/x", "delete", signature=signature).code == -77
    clock.now += 100 * 86400
    assert client.post("/x", "delete", signature=signature).code == -96


def test_forms_that_clients_send(client):
    client.upload("/d/a+b~'.txt", b"x")
    fileid = f"/{APPID}/b/d/"
    for f in ("", fileid, fileid[:-2], fileid + "a%2Bb~%27.txt", fileid + "a%2bb%7E'.txt", f"/{APPID}/b/"):
        assert client.get("/d/a+b~'.txt", "stat", signature=sign(f=f)).code == 0
    assert client.get("/d/a+b~'.txt", "stat", signature=sign(order="php")).code == 0
    assert client.get("/d/a+b~'.txt", "stat", signature=sign(e=f"{NOW}.8", t=f"{NOW}.1", r=2**64 - 1)).code == 0
    assert client.get("/d/a+b~'.txt", "stat", signature="Authorization " + sign()).code == 0


def test_signature_in_the_query_with_raw_plus(client):
    client.upload("/f", b"x")
    for r in range(1000, 2000):
        signature = sign(r=r)
        if "+" in signature:
            break
    for text in (signature, quote(signature, safe=""), signature.replace("+", "%20")):
        answer = client.raw("GET", client.target("/f", op="stat") + "&sign=" + text)
        assert answer.code == 0
        answer = client.raw("GET", f"/f?sign={text}", headers={"Host": f"b-{APPID}.cosgz.myqcloud.com"})
        assert answer.body == b"x"


@pytest.mark.parametrize("f", ["", "/d/f%20x", "d/f%20x", f"/{APPID}/b/d/f%20x", f"/{APPID}/b/", "/d/"])
def test_download_shapes(client, f):
    client.upload("/d/f x", b"content")
    assert client.download("/d/f x", signature=sign(f=f)).body == b"content"


@pytest.mark.parametrize(
    ("signature", "code"),
    [("", -81), (sign(f="/elsewhere"), -63), (sign(key="x"), -97), (once("b", "/f"), -74), (sign(e=NOW - 1), -96)],
)
def test_refused_downloads_answer_403(client, signature, code):
    client.upload("/f", b"content")
    answer = client.download("/f", signature=signature)
    assert (answer.status, answer.code) == (403, code)


def test_public_files_need_no_signature(emulator):
    public, private = Client(emulator, "public"), Client(emulator)
    for client in (public, private):
        client.upload("/f", b"content")
    assert public.download("/f", signature="").body == b"content"
    assert private.download("/f", signature="").status == 403
    public.post("/f", "update", carrier="json", authority="eWRPrivate")
    private.post("/f", "update", carrier="json", authority="eWPrivateRPublic")
    assert public.download("/f", signature="").status == 403
    assert private.download("/f", signature="").body == b"content"


@pytest.mark.parametrize("op", ["move", "copy"])
def test_either_kind_for_move_and_copy(client, op):
    client.upload("/a", b"x")
    client.upload("/b", b"x")
    assert client.post("/a", op, dest_fileid="/a2", signature=sign()).code == 0
    signature = once("b", "/b")
    assert client.post("/b", op, dest_fileid="/b2", signature=signature).code == 0
    assert client.post("/b", op, dest_fileid="/b3", signature=signature).code == -77


CHANGES = {
    "move": {"dest_fileid": "/c"},
    "copy": {"dest_fileid": "/c"},
    "delete": {},
    "update": {"biz_attr": "new"},
}


@pytest.mark.parametrize("op", CHANGES)
@pytest.mark.parametrize(
    ("kind", "codes"), [("single", [-73, -73, 0]), ("multi", [-74, 0]), ("any", [0])], ids=lambda value: str(value)
)
def test_kinds_of_signatures(make_emulator, op, kind, codes):
    client = Client(make_emulator(dialect=Dialect(**{f"{op}_signature": kind})))
    client.upload("/a b", b"x")
    # one client binds it to the path, another leaves it unbound
    bound = sign(f=f"/{APPID}/b/a%20b", order="php")
    signatures = {"single": [bound, sign()], "multi": [once("b", "/a b")], "any": [bound]}[kind]
    signatures += [once("b", "/a b")] if kind == "single" else [sign()] if kind == "multi" else []
    assert [client.post("/a b", op, signature=one, **CHANGES[op]).code for one in signatures] == codes


def test_unless_the_dialect_says_else_deletes_and_updates_are_signed_for_one_use(client):
    client.upload("/a", b"x")
    for op in ("update", "delete"):
        assert client.post("/a", op, signature=sign(), **CHANGES[op]).code == -73
        assert client.post("/a", op, **CHANGES[op]).code == 0


@pytest.mark.parametrize("op", ["move", "copy"])
@pytest.mark.parametrize(("variant", "code"), [({}, 0), ({"double_encoding": "strict"}, -63)], ids=str)
def test_double_encoding(make_emulator, op, variant, code):
    client = Client(make_emulator(dialect=Dialect(**variant)))
    path = "/文 件/%41 a+b~*|.txt"
    client.upload(path, b"x")
    body, kind = form({"op": op, "dest_fileid": f"/{op}", "to_over_write": 0})
    # the PHP client encodes the path, and its signature encodes that again
    twice = sign(f=f"/{APPID}/b" + quote(quote(path)), e=0, order="php")
    headers = {"Authorization": twice, "Content-Type": kind, "Expect": "100-continue"}
    assert client.raw("POST", client.target(path), body=body, headers=headers).code == code
    other = sign(f=f"/{APPID}/b" + quote(quote("/other")), e=0)
    assert client.post("/文 件", op, dest_fileid="/x", signature=other).code == -63
    # it signs nothing else so
    assert client.post("/文 件", "delete", signature=sign(f=f"/{APPID}/b" + quote(quote("/文 件")), e=0)).code == -63


def test_bound_stat(make_emulator):
    client = Client(make_emulator(dialect=Dialect(bound_stat="refuse")))
    bound = sign(f=f"/{APPID}/b/d/")
    assert client.post("/d/", "create", signature=bound).code == -63
    assert client.post("/d/", "create").code == 0
    assert client.get("/d/", "stat", signature=bound).code == -63
    assert client.get("/d/", "list", num=1, signature=bound).code == -63
    assert client.upload("/d/f", b"x", signature=bound).code == 0


def test_secrets_are_not_shown(emulator):
    digest = hmac.new(SECRET_KEY.encode(), b"x", hashlib.sha1).hexdigest()
    for text in (repr(emulator), str(emulator), repr(emulator.requests)):
        assert SECRET_KEY not in text
        assert SECRET_ID not in text
        assert digest not in text
