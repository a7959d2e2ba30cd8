"""Local paths of Windows: drives, backslashes, shares, names that ignore case, and names that no file has."""

import errno
import ntpath
import os

import pytest

from cosv4fs import localnames, pairing
from cosv4fs.collisions import check_targets
from cosv4fs.localnames import LocalNames, are_possible
from cosv4fs.migrate import locations
from cosv4fs.migrate.locations import open_location
from tests.platforms.simulation import Twin


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    """Have what deals with local paths, ours and fsspec's, use those of Windows."""
    twin = Twin(os, (), {"path": ntpath, "sep": "\\", "name": "nt", "getcwd": lambda: "C:\\work"})
    monkeypatch.setattr("fsspec.implementations.local.osp", ntpath)
    monkeypatch.setattr("fsspec.implementations.local.os", twin)
    monkeypatch.setattr(localnames, "_IS_WINDOWS", True)
    for module in (localnames, pairing, locations):
        monkeypatch.setattr(module, "os", twin)


@pytest.mark.parametrize(
    ("url", "path", "is_directory"),
    [
        ("C:\\data\\x.csv", "C:/data/x.csv", False),
        ("C:/data/x.csv", "C:/data/x.csv", False),
        ("C:\\data\\", "C:/data", True),
        ("C:\\", "C:/", True),
        ("file:///C:/data/x.csv", "C:/data/x.csv", False),
        ("\\\\server\\share\\data\\x.csv", "//server/share/data/x.csv", False),
        ("data\\x.csv", "C:/work/data/x.csv", False),
    ],
)
def test_a_local_path_is_no_url(url, path, is_directory):
    location = open_location(url)
    assert (location.is_local, location.path, location.trailing_slash) == (True, path, is_directory)
    assert location.url == location.path


def test_paths_inside_others():
    top = open_location("C:\\Data")
    assert open_location("c:\\data\\sub\\x").is_within(top)
    assert not open_location("C:\\Database").is_within(top)
    assert open_location("C:\\Data").is_within(open_location("C:\\"))
    assert open_location("\\\\server\\share\\d").is_within(open_location("\\\\server\\share"))
    assert top.join("sub/x").path == "C:/Data/sub/x"
    assert open_location("C:\\").join("x").path == "C:/x"
    assert open_location("\\\\server\\share").join("x").path == "//server/share/x"


IMPOSSIBLE = [
    "a:b",
    "a\\b",
    "..\\b",
    "a?",
    "a*",
    "a|b",
    "<a>",
    'a"',
    "a\tb",
    "a.",
    "a ",
    "nul",
    "CON",
    "com1.txt",
    "lpt9 .c",
]
POSSIBLE = ["a", "a.b", ".a", "a b", "console", "nul_", "com.txt", "com10", "é ü", "a..b"]


def test_names_that_no_file_has():
    assert [name for name in IMPOSSIBLE if are_possible(["d", name, "e"])] == []
    assert [name for name in POSSIBLE if not are_possible(["d", name, "e"])] == []
    top = open_location("C:\\data")
    assert all("local files cannot have it" in top.problem_with(f"sub/{name}") for name in IMPOSSIBLE)
    assert [top.problem_with(f"sub/{name}") for name in POSSIBLE] == [""] * len(POSSIBLE)


def test_downloads_of_names_that_no_file_has_are_refused():
    for root in ("C:/data", "C:/data/", "//server/share", "C:/"):
        top = root.rstrip("/")
        pairing._check_contained(root, [root, *(f"{top}/sub/{name}" for name in POSSIBLE)])
        for name in IMPOSSIBLE:
            with pytest.raises(OSError, match=r"local files cannot have this name|outside") as caught:
                pairing._check_contained(root, [f"{top}/{name}/x"])
            assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, f"{top}/{name}/x")


def test_what_leads_outside_is_refused():
    pairing._check_contained("C:/data", ["C:/data/a/../b", "C:/data/./b"])
    for target in ("C:/data/..\\x", "C:/data/../x", "D:/data/x", "C:/database/x"):
        with pytest.raises(OSError, match="outside"):
            pairing._check_contained("C:/data", [target])


def test_two_spellings_are_one_file():
    identity = LocalNames().identity
    assert identity("C:/Data/x.CSV") == identity("c:\\data\\X.csv")
    assert identity("//Server/share/x") == identity("\\\\server\\share\\X")
    with pytest.raises(OSError, match="would both be downloaded"):
        check_targets([("b/X", "C:/d/X"), ("b/x", "C:/d/x")], "downloaded", identity=identity)
    # a file where another one needs a directory
    with pytest.raises(OSError, match="needs as a directory"):
        check_targets([("b/X", "C:/d/X"), ("b/x/y", "C:/d/x/y")], "downloaded", identity=identity)


@pytest.mark.parametrize("folder", ["C:/Data", "D:/", "D:/2024", "//server/share"])
def test_every_disk_ignores_case(folder):
    assert localnames.ignores_case(folder)


def test_two_forms_of_an_accent_are_one_file_on_macos(monkeypatch):
    monkeypatch.setattr(localnames, "_IGNORES_FORM", True)
    identity = LocalNames().identity
    assert identity("/d/\u00e9") == identity("/d/e\u0301")
    monkeypatch.setattr(localnames, "_IGNORES_FORM", False)
    assert identity("/d/\u00e9") != identity("/d/e\u0301")
