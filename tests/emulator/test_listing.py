"""op=list: pages, prefixes, order (cos.md#list)."""

import pytest

from cosv4fs.emulator import Dialect

from .client import APPID, NOW, Client


def pages(client, path, **query):
    """Return the names page by page."""
    found, context = [], ""
    while True:
        data = client.get(path, "list", context=context, **query).data
        found.append([entry["name"] for entry in data["infos"]])
        if data["listover"]:
            return found, data["context"]
        assert data["context"]
        context = data["context"]


def flat(found):
    """Return the names of all pages."""
    return [name for page in found for name in page]


@pytest.fixture
def filled(client):
    for name in ("b", "a", "ab", "é", "Z", "abc"):
        client.upload(f"/d/{name}", b"x")
    client.post("/d/aa/", "create")
    client.begin("/d/unfinished", 10)
    return client


def test_entries(filled):
    infos = {entry["name"]: entry for entry in filled.get("/d/", "list", num=10).data["infos"]}
    assert list(infos) == ["Z", "a", "aa", "ab", "abc", "b", "unfinished", "é"]
    assert infos["aa"] == {"name": "aa", "ctime": NOW, "mtime": NOW}
    assert infos["a"] == {
        "name": "a",
        "ctime": NOW,
        "mtime": NOW,
        "filesize": 1,
        "filelen": 1,
        "sha": "11f6ad8ec52a2984abaafd7c3b516503785c2072",
        "access_url": f"http://b-{APPID}.file.myqcloud.com/d/a",
    }
    assert (infos["unfinished"]["filesize"], infos["unfinished"]["filelen"]) == (10, 0)


def test_pages(filled):
    names = ["Z", "a", "aa", "ab", "abc", "b", "unfinished", "é"]
    for num in (1, 2, 3, 7, 8, 9, 1000):
        found, context = pages(filled, "/d/", num=num)
        assert flat(found) == names
        assert all(len(page) == num for page in found[:-1])
        assert context == ""
    assert flat(pages(filled, "/d/", num=3, order=1)[0]) == names[::-1]


def test_prefix(filled):
    assert flat(pages(filled, "/d/a", num=2)[0]) == ["a", "aa", "ab", "abc"]
    assert flat(pages(filled, "/d/a", num=2, order=1)[0]) == ["abc", "ab", "aa", "a"]
    assert filled.names("/d/ab") == ["ab", "abc"]
    assert filled.names("/d/A") == []
    assert filled.names("/d/é") == ["é"]
    assert filled.names("/d") == ["d"]
    assert filled.names("/") == ["d"]
    assert filled.names("/x") == []


def test_patterns(filled):
    assert filled.names("/d/", pattern="eListDirOnly") == ["aa"]
    assert "aa" not in filled.names("/d/", pattern="eListFileOnly")
    assert len(filled.names("/d/", pattern="eListBoth", delimiter="/", list_flag=1)) == 8
    assert filled.get("/d/", "list", num=1, pattern="x").code == -182


def test_pages_survive_changes(filled):
    context = filled.get("/d/", "list", num=2).data["context"]
    filled.post("/d/a", "delete")
    filled.upload("/d/0", b"x")
    assert filled.names("/d/", context=context)[0] == "aa"


@pytest.mark.parametrize(("num", "code"), [(0, -157), (-1, -157), ("x", -157), (1001, -170), ("", -182)])
def test_page_sizes(filled, num, code):
    assert filled.get("/d/", "list", num=num).code == code


def test_refusals(filled):
    assert filled.get("/nothing/", "list", num=1).code == -197
    assert filled.get("/d/a/", "list", num=1).code == -197
    assert filled.get("/d/", "list").code == -182
    assert filled.get("/d/", "list", num=1, context="%%").code == -182
    assert filled.get("/d/", "list", num=1, context="_w").code == -182


def test_dialects(make_emulator):
    options = {
        "max_list": 199,
        "listover": "more",
        "last_context": "kept",
        "dir_slash": True,
        "short_pages": True,
        "times": "string",
    }
    client = Client(make_emulator(dialect=Dialect(**options)))
    for name in "abc":
        client.post(f"/{name}/", "create")
    assert client.get("/", "list", num=200).code == -165
    first = client.get("/", "list", num=3).data
    assert [entry["name"] for entry in first["infos"]] == ["a/", "b/"]
    assert first["infos"][0]["mtime"] == str(NOW)
    assert first["listover"] is True
    last = client.get("/", "list", num=3, context=first["context"]).data
    assert (last["listover"], last["context"]) == (False, first["context"])
    assert [entry["name"] for entry in last["infos"]] == ["c/"]
    assert len(client.get("/", "list", num=1).data["infos"]) == 1
    client = Client(make_emulator(dialect=Dialect(max_list=199, oversize_list="clamp")))
    assert client.get("/", "list", num=5000).code == 0


def test_a_context_may_be_a_position(make_emulator):
    client = Client(make_emulator(dialect=Dialect(context="position")))
    for name in "abcdef":
        client.post(f"/{name}/", "create")
    first = client.get("/", "list", num=2).data
    for name in "ab":
        client.post(f"/{name}/", "delete")
    second = client.get("/", "list", num=2, context=first["context"]).data
    shown = [[entry["name"] for entry in page["infos"]] for page in (first, second)]
    assert shown == [["a", "b"], ["e", "f"]]
    assert (second["context"], second["listover"]) == ("", True)
    assert client.get("/", "list", num=2, context="eA").code == -182


def test_without_mtime(make_emulator):
    client = Client(make_emulator(dialect=Dialect(missing_mtime=True)))
    created = client.post("/d/", "create").data
    client.upload("/d/a", b"x")
    client.begin("/d/unfinished", 10)
    client.post("/d/sub/", "create")
    infos = client.get("/d/", "list", num=10).data["infos"]
    assert [entry["name"] for entry in infos] == ["a", "sub", "unfinished"]
    replies = [*infos, *(client.get(path, "stat").data for path in ("/", "/d/", "/d/a", "/d/unfinished"))]
    for reply in (created, *replies):
        assert reply["ctime"] == NOW
        assert "mtime" not in reply
    # downloads have their own switch
    assert client.download("/d/a").headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_more_than_a_page(client):
    for number in range(30):
        client.post(f"/d/{number:03}/", "create")
    found, _ = pages(client, "/d/", num=7)
    assert [len(page) for page in found] == [7, 7, 7, 7, 2]
