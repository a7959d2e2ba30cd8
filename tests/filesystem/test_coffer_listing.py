"""What coffers show: levels out of a flat list of keys, one listing for all of them, no "no" from a late listing."""

import errno

import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.emulator import CofferDialect, faults
from tests.support import fill

COFFER = "examplecoffer-1250000000"
KEYS = [
    "a.txt",
    "dir/b.csv",
    "dir/c.csv",
    "dir/sub/d.csv",
    "dir/sub/deep/e.csv",
    "dir.x",
    "other/f*[x].csv",
    "示例/文件 1",
]
PATHS = sorted(f"{COFFER}/{key}" for key in KEYS)
FOLDERS = sorted(f"{COFFER}/{key}" for key in ["dir", "dir/sub", "dir/sub/deep", "other", "示例"])


@pytest.fixture
def filled(coffers, onlooker):
    """A coffer that somebody else has filled."""
    onlooker.pipe({path: path.encode() for path in PATHS})
    return coffers


def requests_of(vault, action):
    vault.clear_requests()
    result = action()
    return result, sum(vault.count().values())


def test_find(filled, vault):
    found, requests = requests_of(vault, lambda: filled.find(COFFER))
    assert (found, requests) == (PATHS, 1)
    assert filled.find(COFFER, withdirs=True) == sorted([COFFER, *PATHS, *FOLDERS])
    assert filled.find(f"{COFFER}/dir") == [path for path in PATHS if path.startswith(f"{COFFER}/dir/")]
    assert filled.find(COFFER, maxdepth=1) == [f"{COFFER}/a.txt", f"{COFFER}/dir.x"]
    assert filled.find(COFFER, maxdepth=2, withdirs=True, detail=True)[f"{COFFER}/dir/sub"]["type"] == "directory"
    assert filled.find(f"{COFFER}/a.txt") == [f"{COFFER}/a.txt"]
    assert filled.find(f"{COFFER}/none") == []
    sizes = {path: len(path.encode()) for path in PATHS}
    assert filled.du(COFFER, total=False) == sizes
    assert filled.du(f"{COFFER}/dir") == sum(size for path, size in sizes.items() if path.startswith(f"{COFFER}/dir/"))


@pytest.mark.parametrize("maxdepth", [None, 1, 2])
def test_find_what_begins_so(filled, maxdepth, vault):
    most = maxdepth or 9
    for prefix in ("d", "dir", "dir/", "dir/s", "dir/sub/d", "a.", "none/x", "示例/", ".", "/other"):
        start = f"{COFFER}/{prefix.lstrip('/')}"
        expected = [path for path in sorted(PATHS + FOLDERS) if path.startswith(start) and path.count("/") <= most]
        filled.invalidate_cache()
        for _ in range(2):
            assert filled.find(COFFER, maxdepth=maxdepth, withdirs=True, prefix=prefix) == expected
            vault.clear_requests()
            found = filled.find(COFFER, maxdepth=maxdepth, prefix=prefix)
            assert found == [path for path in expected if path in PATHS]
            assert len(vault.requests) <= 1
            filled.find(COFFER)
        assert filled.find("", prefix=start) == [path for path in PATHS if path.startswith(start)]


def test_one_listing_answers_for_all_below_it(filled, vault):
    filled.find(COFFER)
    vault.clear_requests()
    assert filled.ls(f"{COFFER}/dir", detail=False) == [
        f"{COFFER}/dir/b.csv",
        f"{COFFER}/dir/c.csv",
        f"{COFFER}/dir/sub",
    ]
    assert filled.info(f"{COFFER}/dir/sub/d.csv")["size"] == len(f"{COFFER}/dir/sub/d.csv")
    assert filled.isdir(f"{COFFER}/dir/sub/deep")
    assert filled.isfile(f"{COFFER}/a.txt")
    assert filled.find(f"{COFFER}/dir/sub") == [f"{COFFER}/dir/sub/d.csv", f"{COFFER}/dir/sub/deep/e.csv"]
    assert filled.glob(f"{COFFER}/dir/*.csv") == [f"{COFFER}/dir/b.csv", f"{COFFER}/dir/c.csv"]
    walked = list(filled.walk(COFFER))
    assert walked[0] == (COFFER, ["dir", "other", "示例"], ["a.txt", "dir.x"])
    assert len(walked) == 1 + len(FOLDERS)
    assert vault.count() == {}


def test_many_keys_are_three_pages(coffers, vault):
    count = 2500
    fill(vault, COFFER, [f"many/{number % 7}/{number:05}" for number in range(count)])
    found, requests = requests_of(vault, lambda: coffers.find(COFFER))
    assert (len(found), requests) == (count, 3)
    assert vault.count() == {"GetCoffer": 3}
    assert requests_of(vault, lambda: len(coffers.ls(f"{COFFER}/many/3")))[1] == 0
    assert requests_of(vault, lambda: len(coffers.du(f"{COFFER}/many", total=False))) == (count, 0)


def test_what_a_question_costs(filled, vault):
    info, requests = requests_of(vault, lambda: filled.info(f"{COFFER}/a.txt"))
    assert (info["type"], info["size"], requests) == ("file", len(f"{COFFER}/a.txt"), 1)
    assert info["mtime"] == info["created"] > 0
    assert requests_of(vault, lambda: filled.info(f"{COFFER}/dir")["type"]) == ("directory", 2)
    assert requests_of(vault, lambda: filled.isdir(f"{COFFER}/other")) == (True, 1)
    assert requests_of(vault, lambda: len(filled.ls(f"{COFFER}/other"))) == (1, 0)
    assert requests_of(vault, lambda: filled.exists(f"{COFFER}/nothing")) == (False, 2)


PATTERNS = {
    "*": [f"{COFFER}/a.txt", f"{COFFER}/dir", f"{COFFER}/dir.x", f"{COFFER}/other", f"{COFFER}/示例"],
    "*.txt": [f"{COFFER}/a.txt"],
    "dir/*": [f"{COFFER}/dir/b.csv", f"{COFFER}/dir/c.csv", f"{COFFER}/dir/sub"],
    "dir/[bc].csv": [f"{COFFER}/dir/b.csv", f"{COFFER}/dir/c.csv"],
    "d*/s*/*.csv": [f"{COFFER}/dir/sub/d.csv"],
    "dir/**": [f"{COFFER}/dir/{name}" for name in ("b.csv", "c.csv", "sub", "sub/d.csv", "sub/deep", "sub/deep/e.csv")],
    "**/*.csv": [path for path in PATHS if path.endswith(".csv")],
    "dir/b?csv": [f"{COFFER}/dir/b.csv"],
    "none/*": [],
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("known", [False, True])
def test_glob(filled, vault, pattern, known):
    if known:
        filled.find(COFFER)
    found, requests = requests_of(vault, lambda: filled.glob(f"{COFFER}/{pattern}"))
    assert [path for path in found if path != f"{COFFER}/dir"] == [
        path for path in PATTERNS[pattern] if path != f"{COFFER}/dir"
    ]
    assert requests <= (0 if known and PATTERNS[pattern] else 2)


def test_patterns_of_coffers(filled):
    assert filled.glob("*") == [COFFER, "other-1250000000"]
    assert filled.glob("example*/*.txt") == [f"{COFFER}/a.txt"]
    assert filled.find("") == PATHS


def test_names_that_look_like_patterns(filled):
    assert filled.cat(f"{COFFER}/other/f*[x].csv") == f"{COFFER}/other/f*[x].csv".encode()


def test_what_is_not_there(filled):
    for path in (f"{COFFER}/nothing", f"{COFFER}/di", "nocoffer-1250000000", "nocoffer-1250000000/x"):
        assert not filled.exists(path)
        assert not filled.isdir(path)
        assert not filled.isfile(path)
        for ask in (filled.info, filled.ls):
            with pytest.raises(FileNotFoundError):
                ask(path)
    assert filled.ls("other-1250000000") == []
    assert filled.isdir("other-1250000000")
    assert filled.ls(f"{COFFER}/a.txt", detail=False) == [f"{COFFER}/a.txt"]


def test_only_not_found_means_no(filled, vault):
    vault.faults.add(op="HeadObject", times=1000, action=faults.HttpError(403))
    for ask in (filled.exists, filled.isfile, filled.info):
        with pytest.raises(PermissionError):
            ask(f"{COFFER}/a.txt")


def test_keys_that_no_path_can_name_are_left_out(coffers, onlooker, tmp_path):
    client = onlooker.client
    for key in ("/folder/", "/x//y", "/z/../w", "/good", "/x/."):
        client.put_object(COFFER, key, memoryview(b"content"))
    assert coffers.find(COFFER) == [f"{COFFER}/good"]
    assert coffers.ls(COFFER, detail=False) == [f"{COFFER}/{name}" for name in ("folder", "good", "x", "z")]
    assert coffers.ls(f"{COFFER}/folder") == []
    assert coffers.isdir(f"{COFFER}/folder")
    assert len(list(coffers.walk(COFFER))) == 4
    assert coffers.glob(f"{COFFER}/*/*") == []
    with pytest.raises(OSError, match="support empty components"):
        coffers.info(f"{COFFER}/x//y")
    # copies of directories tell
    assert coffers.invalid_keys(COFFER) == [f"{COFFER}/{key}" for key in ("folder/", "x/.", "x//y", "z/../w")]
    assert coffers.invalid_keys("cdcs://") == coffers.invalid_keys(COFFER)
    assert coffers.invalid_keys(f"{COFFER}/x/") == [f"{COFFER}/x/.", f"{COFFER}/x//y"]
    for copy in (coffers.get, lambda *paths, **options: coffers.copy(paths[0], "other-1250000000", **options)):
        with pytest.raises(OSError, match="not 4 whose keys are not valid paths, such as") as caught:
            copy(COFFER, str(tmp_path), recursive=True)
        assert caught.value.errno == errno.EINVAL
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good"]
    assert onlooker.cat(onlooker.find("other-1250000000")[0]) == b"content"
    coffers.get(f"{COFFER}/good", str(tmp_path / "one"), recursive=True)


BOTH = {"both": b"1", "both/below": b"2", "both/deep": b"3", "both/deep/er": b"4", "file": b"5"}


def pairs(infos):
    return [(info["name"].removeprefix(COFFER), info["type"], info["size"]) for info in infos]


QUESTIONS = {
    "info": lambda fs: pairs([fs.info(f"{COFFER}/both")]),
    "is": lambda fs: [
        [ask(f"{COFFER}/{name}") for ask in (fs.exists, fs.isdir, fs.isfile)]
        for name in ("both", "both/deep", "file", "none")
    ],
    "ls of the parent": lambda fs: pairs(fs.ls(COFFER)),
    "ls": lambda fs: pairs(fs.ls(f"{COFFER}/both")),
    "find in the parent": lambda fs: pairs(fs.find(COFFER, detail=True).values()),
    "find": lambda fs: pairs(fs.find(f"{COFFER}/both", detail=True, withdirs=True).values()),
    "find with depth": lambda fs: pairs(fs.find(f"{COFFER}/both", maxdepth=1, detail=True).values()),
    "walk": lambda fs: [(top.removeprefix(COFFER), *names) for top, *names in fs.walk(COFFER)],
    "glob": lambda fs: [
        [name.removeprefix(COFFER) for name in fs.glob(f"{COFFER}/{pattern}")]
        for pattern in ("b*", "b*/", "*/*", "*/*/", "**")
    ],
    "du": lambda fs: (fs.du(COFFER), fs.du(f"{COFFER}/both"), fs.du(f"{COFFER}/both/deep")),
    "cat": lambda fs: fs.cat(f"{COFFER}/both", recursive=True),
    "cat_file": lambda fs: fs.cat_file(f"{COFFER}/both"),
    "expand": lambda fs: len(fs.expand_path(f"{COFFER}/both", recursive=True)),
    "keys": lambda fs: sorted(fs.get_mapper(COFFER)),
    "tree": lambda fs: fs.tree(COFFER).count("both"),
}
EXPECTED = {
    "info": [("/both", "file", 1)],
    "is": [[True, True, True], [True, True, True], [True, False, True], [False, False, False]],
    "ls of the parent": [("/both", "directory", 0), ("/both", "file", 1), ("/file", "file", 1)],
    "ls": [("/both/below", "file", 1), ("/both/deep", "directory", 0), ("/both/deep", "file", 1)],
    "find in the parent": [(f"/{key}", "file", 1) for key in BOTH],
    "find": [("/both", "directory", 0), *((f"/{key}", "file", 1) for key in BOTH if "/" in key)],
    "find with depth": [("/both/below", "file", 1), ("/both/deep", "file", 1)],
    "walk": [
        ("", ["both"], ["both", "file"]),
        ("/both", ["deep"], ["below", "deep"]),
        ("/both/deep", [], ["er"]),
    ],
    "glob": [
        ["/both"],
        ["/both"],
        ["/both/below", "/both/deep"],
        ["/both/deep"],
        ["", *(f"/{key}" for key in BOTH)],
    ],
    "du": (5, 3, 1),
    "cat": {f"{COFFER}/{key}": text for key, text in BOTH.items() if key != "file"},
    "cat_file": b"1",
    "expand": 4,
    "keys": sorted(BOTH),
    "tree": 2,
}


def test_a_name_that_is_an_object_and_a_directory(coffers, onlooker):
    onlooker.pipe({f"{COFFER}/{key}": text for key, text in BOTH.items()})
    answers = {name: ask(coffers) for name, ask in QUESTIONS.items()}
    assert answers == EXPECTED
    # whatever was asked first, and is cached
    for first in QUESTIONS.values():
        coffers.invalidate_cache()
        first(coffers)
        assert {name: ask(coffers) for name, ask in QUESTIONS.items()} == EXPECTED
    assert {name: ask(onlooker) for name, ask in QUESTIONS.items()} == EXPECTED


def test_copies_of_what_is_both(coffers, onlooker, tmp_path):
    onlooker.pipe({f"{COFFER}/{key}": text for key, text in BOTH.items()})
    coffers.copy(f"{COFFER}/both", "other-1250000000/copy", recursive=True)
    copied = {f"other-1250000000/copy{key.removeprefix('both')}": text for key, text in BOTH.items() if key != "file"}
    assert onlooker.cat("other-1250000000/copy", recursive=True) == copied
    with pytest.raises(OSError, match="/both/below needs as a directory") as caught:
        coffers.get(f"{COFFER}/both", str(tmp_path / "both"), recursive=True)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(tmp_path / "both"))
    assert list(tmp_path.iterdir()) == []
    coffers.get([f"{COFFER}/both", f"{COFFER}/both/below"], [str(tmp_path / "1"), str(tmp_path / "2")])
    assert [(tmp_path / name).read_bytes() for name in "12"] == [b"1", b"2"]


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(listing_lag=1000)])
def test_late_listings(coffers, onlooker, vault):
    coffers.pipe(dict.fromkeys(PATHS, b"content"))
    # its own objects are visible to it in every way
    assert coffers.find(COFFER) == PATHS
    coffers.invalidate_cache()
    assert len(coffers.ls(f"{COFFER}/dir")) == 3
    assert coffers.glob(f"{COFFER}/dir/*.csv") == [f"{COFFER}/dir/b.csv", f"{COFFER}/dir/c.csv"]
    assert coffers.isdir(f"{COFFER}/示例")
    assert coffers.info(f"{COFFER}/dir/sub/d.csv")["size"] == 7
    # others see the object, if not in listings
    assert onlooker.find(COFFER) == []
    for path in PATHS:
        assert onlooker.exists(path)
        assert onlooker.isfile(path)
        assert onlooker.cat_file(path) == b"content"
    vault.settle()
    assert onlooker.find(COFFER) == PATHS
    coffers.invalidate_cache()
    assert coffers.find(COFFER) == PATHS


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(listing_lag=1000)])
def test_a_cached_listing_is_no_proof_of_absence(coffers, onlooker):
    assert coffers.ls(COFFER) == []
    onlooker.pipe_file(f"{COFFER}/new", b"content")
    assert coffers.exists(f"{COFFER}/new")
    assert coffers.info(f"{COFFER}/new")["size"] == 7


def test_without_caches_everything_is_asked(vault, onlooker):
    fs = CofferFileSystem(**vault.storage_options, use_listings_cache=False)
    assert fs.find(COFFER) == []
    onlooker.pipe_file(f"{COFFER}/d/x", b"content")
    assert fs.find(COFFER) == [f"{COFFER}/d/x"]
    assert list(fs.walk(COFFER)) == [(COFFER, ["d"], []), (f"{COFFER}/d", [], ["x"])]


@pytest.mark.parametrize("pattern", ["missing/*", "missing/a/?", "dir/missing/[ab]"])
def test_looking_for_what_is_not_there_makes_no_directory(filled, pattern):
    assert filled.glob(f"{COFFER}/{pattern}") == []
    folder = f"{COFFER}/{pattern.rpartition('/')[0]}"
    assert not filled.isdir(folder)
    assert not filled.exists(folder)
    with pytest.raises(FileNotFoundError):
        filled.ls(folder)


def test_an_empty_coffer_is_there(coffers):
    assert coffers.glob(f"{COFFER}/*") == []
    assert coffers.isdir(COFFER)
    assert coffers.ls(COFFER) == []


DIALECTS = [
    CofferDialect(next_marker="empty"),
    CofferDialect(booleans="json", numbers="strings", empty_fields="omitted"),
    CofferDialect(booleans="upper-strings", content_type="application/xml", error_bodies="xml"),
    CofferDialect(missing_coffer="NoSuchCoffer", upload_id_field="UploadID", upload_marker="key"),
    CofferDialect(open_ranges="refuse", bad_range="200"),
    CofferDialect(signed_parts="everything", signed_host="as-sent", part_times="asctime"),
]


@pytest.mark.parametrize("coffer_dialect", DIALECTS, ids=str)
def test_every_reading_shows_the_same(vault, onlooker):
    fs = CofferFileSystem(**vault.storage_options, page_size=2, range_size=10)
    onlooker.pipe({path: path.encode() for path in PATHS})
    assert fs.find(COFFER) == PATHS
    assert vault.count()["GetCoffer"] == len(PATHS) // 2
    assert fs.cat(PATHS) == {path: path.encode() for path in PATHS}
    assert fs.isdir(f"{COFFER}/dir")
    assert not fs.exists(f"{COFFER}/nothing")
    with pytest.raises(FileNotFoundError):
        fs.ls("nocoffer-1250000000")
    fs.client.initiate(COFFER, "/pending")
    assert [upload["name"] for upload in fs.uploads(COFFER)] == [f"{COFFER}/pending"]
    fs.abort_upload(f"{COFFER}/pending")
