"""The README as a package index shows it."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from email import message_from_bytes
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
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    payload = metadata.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode("utf-8") or metadata["Description"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = render(text)
    assert html, "the README cannot be rendered"
    found = _Links()
    found.feed(html)
    with tarfile.open(sdist) as archive:
        paths = {member.name.partition("/")[2] for member in archive.getmembers()}
    folders = {path.rpartition("/")[0] for path in paths}
    assert found.links
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.anchors, link
        else:
            assert link.startswith("https://"), link
            path = link.partition("#")[0].removeprefix(_ADDRESS).rstrip("/")
            assert not link.startswith(_ADDRESS) or path in paths | folders, link
    for image in found.images:
        assert image.startswith("https://"), image
        assert not image.startswith(_IMAGES) or image.removeprefix(_IMAGES) in paths, image
    print(f"README: {len(html) // 1000} kB of HTML, {len(found.links)} links, {len(found.images)} images", flush=True)
