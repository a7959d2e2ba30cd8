"""The notes on the protocols are beside the code, and whatever cites them leads somewhere."""

import re
from pathlib import Path

import pytest

import cosv4fs

PACKAGE = Path(cosv4fs.__file__).parent
NOTES = PACKAGE / "protocol"
REPOSITORY = PACKAGE.parent

ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
CITATION = re.compile(r"\b(cos|cdcs|wire|clients)\.md(?:#([\w.-]+\w))?")
CITING = [
    *sorted(PACKAGE.rglob("*.py")),
    *sorted((REPOSITORY / "tests").rglob("*.py")),
    *sorted(PACKAGE.rglob("*.md")),
    REPOSITORY / "README.md",
    REPOSITORY / "CHANGELOG.md",
]


def anchors(name):
    return ANCHOR.findall((NOTES / f"{name}.md").read_text("utf-8"))


@pytest.mark.parametrize("name", ["cos", "cdcs", "wire"])
def test_anchors_are_unique_and_for_every_section(name):
    text = (NOTES / f"{name}.md").read_text("utf-8")
    assert len(set(anchors(name))) == len(anchors(name))
    sections = re.findall(r"^##{1,2} \d.*$", text, re.MULTILINE)
    assert sections
    marked = re.findall(r'<a id="[^"]+"></a>\n+##{1,2} \d', text)
    assert len(marked) == len(sections)


def test_every_citation_leads_to_an_anchor():
    known = {name: set(anchors(name)) for name in ("cos", "cdcs", "wire", "clients")}
    found = 0
    for path in CITING:
        for name, anchor in CITATION.findall(path.read_text("utf-8")):
            found += bool(anchor)
            assert not anchor or anchor in known[name], f"{path}: {name}.md#{anchor}"
    assert found > 150


def test_nothing_is_cited_that_is_not_here():
    elsewhere = re.compile(r"(?<!f)\bspec sections?\b|\bCDCS spec\b|wire traces \d|vendor-pages", re.IGNORECASE)
    for path in CITING:
        assert path == Path(__file__) or not elsewhere.search(path.read_text("utf-8")), path
