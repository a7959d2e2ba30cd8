"""What is wrong with the reference: public names without documentation, and links that lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

import pdoc.doc

PATHS = frozenset({"path", "paths", "path1", "path2", "rpath", "lpath"})
"""Parameters that mean the same everywhere; the filesystems describe them once."""

_REFERENCE = re.compile(r"(?<!`)`([\w.]+)`(?!`)")


def undocumented(modules: Mapping[str, pdoc.doc.Module]) -> list[str]:
    """Return the public names that have no documentation, parameters among them."""
    return [
        f"{name} is not documented" for module in modules.values() for name in _Checks(module, modules).undocumented()
    ]


class _Checks:
    """The checks of one module.

    Fields and parameters may be described by their own text, by that of their class, by what a text refers to, or by
    the method that is overridden.
    """

    def __init__(self, module: pdoc.doc.Module, modules: Mapping[str, pdoc.doc.Module]) -> None:
        self._module, self._modules = module, modules

    def undocumented(self) -> Iterator[str]:
        if not self._module.docstring:
            yield self._module.fullname
        for member in self._module.own_members:
            yield from self._of(member, None)

    def _of(self, doc: pdoc.doc.Doc, owner: pdoc.doc.Class | None) -> Iterator[str]:
        if doc.name.startswith("_") and doc.name not in ("__init__", "__version__"):
            return
        is_field = (
            isinstance(doc, pdoc.doc.Variable)
            and owner is not None
            and is_described(doc.name, self._text(owner, owner))
        )
        if not (doc.docstring or is_field or doc.name in ("__init__", "__version__")):
            yield doc.fullname
        if isinstance(doc, pdoc.doc.Class):
            yield from (found for member in doc.own_members for found in self._of(member, doc))
        if isinstance(doc, pdoc.doc.Function) and not doc.taken_from[0].startswith("fsspec."):
            yield from (f"{doc.fullname}({name})" for name in self._parameters(doc, owner))

    def _parameters(self, doc: pdoc.doc.Function, owner: pdoc.doc.Class | None) -> Iterator[str]:
        signature = doc.signature_without_self
        names = set(signature.parameters)
        if signature.return_annotation is NoReturn or names <= {"args", "kwargs"}:
            return
        text = self._text(doc, owner)
        fields = (
            {name for name, member in owner.members.items() if member.docstring} if doc.name == "__init__" else set()
        )
        yield from sorted(name for name in names - PATHS - fields if not is_described(name, text))

    def _text(self, doc: pdoc.doc.Doc, owner: pdoc.doc.Class | None, depth: int = 3) -> str:
        """Return the text about a name, and those to which it refers."""
        texts = [doc.docstring]
        for base in owner.obj.__mro__ if owner else ():
            texts += [base.__doc__ or "", getattr(vars(base).get(doc.name), "__doc__", None) or ""]
        if depth:
            found = {name: self._found(name, owner) for name in _REFERENCE.findall(doc.docstring)}
            texts += [self._text(other, owner, depth - 1) for other in found.values() if other is not None]
        return "\n".join(texts)

    def _found(self, name: str, owner: pdoc.doc.Class | None) -> pdoc.doc.Doc | None:
        if owner is not None and name in owner.members:
            return owner.members[name]
        return next((found for module in self._modules.values() if (found := module.get(name))), None)


def is_described(name: str, text: str) -> bool:
    """Return whether a text describes a name: in a list of parameters or attributes, or as code."""
    listed, code = rf"^[*\w, ]*\b{name}\b[*\w, ]*( :|$)", rf"`[^`\n]*\b{name}\b[^`\n]*`"
    return re.search(f"{listed}|{code}", text, re.MULTILINE) is not None


class _Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])


def broken_links(folder: Path) -> list[str]:
    """Return the links within a site that have no page or no anchor."""
    pages = {path.resolve(): _Page(path) for path in folder.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = unquote(link).partition("#")
            found = pages.get((path.parent / target).resolve() if target else path)
            is_elsewhere = re.match(r"\w+:", link) is not None
            if not is_elsewhere and (found is None or (anchor and anchor not in found.anchors)):
                broken.append(f"{path.relative_to(folder.resolve())}: {link} leads nowhere")
    return broken
