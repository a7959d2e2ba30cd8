"""The README as a package index shows it."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from html.parser import HTMLParser
from pathlib import Path

from readme_renderer.markdown import render

_ADDRESS = "https://github.com/cosv4fs/cosv4fs/blob/main/"
_IMAGES = "https://raw.githubusercontent.com/cosv4fs/cosv4fs/main/"


class _Links(HTMLParser):
    """Collects the targets of links and images, and the anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.images: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the target of a link or image, and an anchor."""
        given = dict(attrs)
        for attribute, found in (("href", self.links), ("src", self.images), ("id", self.anchors)):
            if value := given.get(attribute):
                found.add(value)


def check_readme(sdist: Path, wheel: Path) -> None:
    """Render the long description of the wheel; fail at a warning, a relative link, or a target that is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = render(_description(wheel))
    assert html, "the README cannot be rendered"
    found = _Links()
    found.feed(html)
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive.getmembers()}
    present = files | {path.rpartition("/")[0] for path in files}
    assert found.links
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.anchors, link
        else:
            _check_target(link.partition("#")[0], _ADDRESS, present)
    for image in found.images:
        _check_target(image, _IMAGES, present)
    print(f"README: {len(html) // 1000} kB of HTML, {len(found.links)} links, {len(found.images)} images", flush=True)


def _description(wheel: Path) -> str:
    """Return the text behind the headers of the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers, _, text = archive.read(name).decode("utf-8").partition("\n\n")
    assert "Description-Content-Type: text/markdown" in headers.splitlines()
    return text


def _check_target(target: str, repository: str, present: set[str]) -> None:
    """Fail unless a target is an absolute address, and in the source distribution if it is in the repository."""
    assert target.startswith("https://"), target
    assert not target.startswith(repository) or target.removeprefix(repository).rstrip("/") in present, target
