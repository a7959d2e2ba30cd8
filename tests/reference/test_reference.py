"""The reference is complete: every public name is documented, every link leads somewhere, and pdoc warns of nothing."""

import inspect
import re

import pytest

import cosv4fs

pytest.importorskip("pdoc")

from . import checks, site


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of the site, and its modules."""
    folder = tmp_path_factory.mktemp("reference")
    return folder, site.build(folder)


def text(folder, page):
    return (folder / page).read_text(encoding="utf-8")


def test_every_public_name_is_documented(reference):
    assert checks.undocumented(reference[1]) == []


def test_every_link_leads_somewhere(reference):
    assert checks.broken_links(reference[0]) == []


@pytest.mark.parametrize("name", ["CosV4FileSystem", "CosV3FileSystem", "CofferFileSystem"])
def test_a_filesystem_shows_all_that_can_be_called(reference, name):
    """Also what bases define that are not public, and fsspec."""
    shown = set(re.findall(rf'<div id="{name}\.(\w+)"', text(reference[0], "cosv4fs.html")))
    kind = getattr(cosv4fs, name)
    called = {one for one in dir(kind) if not one.startswith("_") and inspect.isroutine(getattr(kind, one))}
    assert called <= shown
    assert {"ls", "open", "uploads", "read_text", "client", "capabilities"} <= shown
    assert not shown & (site.INTERNAL | {one for one in dir(kind) if one.startswith("_") and one != "__init__"})


def test_the_pages_are_part_of_it(reference):
    index = text(reference[0], "index.html")
    for path in [*(site.PACKAGE / "reference").glob("*.md"), *(site.PACKAGE / "protocol").glob("*.md")]:
        place = f"{path.parent.name}/{path.stem}.html"
        assert f'href="{place}"' in index
        assert "<h1" in text(reference[0], place)


def test_pages_begin_with_what_readers_look_for(reference):
    firsts = {"cosv4fs": "CosV4FileSystem", "cosv4fs/emulator": "Emulator", "cosv4fs/errors": "CosError"}
    found = {name: re.search(r'<section id="(\w+)">', text(reference[0], f"{name}.html"))[1] for name in firsts}
    assert found == firsts
    assert {*site.FIRST} <= {name for module in reference[1].values() for name in module.members}


def test_no_value_is_that_of_one_build(reference):
    """Addresses differ, and a table of everything is a line that nobody can read."""
    for path in reference[0].rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert not re.search(r" at 0x|mappingproxy|&lt;class ", page), path


@pytest.mark.parametrize(
    ("text", "is_described"),
    [
        ("count : int", True),
        ("first, count : int", True),
        ("first, count\n    As there.", True),
        ("**count\n", True),
        ("Return `count` bytes.", True),
        ("Return ``f(count)``.", True),
        ("Return the count of files.", False),
        ("Return account : int", False),
    ],
)
def test_a_name_in_prose_describes_nothing(text, is_described):
    assert checks.is_described("count", text) is is_described


def test_docstrings_are_converted_as_a_whole(reference):
    """Neither roles of Sphinx nor sections nor anchors of the protocol remain as they are in the source."""
    for name in site.MODULES:
        page = text(reference[0], f"{name.replace('.', '/')}.html")
        plain = re.sub(r"<a [^>]*>.*?</a>|<[^>]*>", "", page[page.index("<main") :])
        assert not re.search(r"::\n|:\w+:`|-----|\*\*\*\*|(cos|cdcs|wire|clients)\.md#|``", plain), name
