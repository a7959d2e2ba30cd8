"""The HTML reference: what pdoc makes of the public modules, and the pages about options, services, files and so on."""

from __future__ import annotations

import os
import re
import warnings
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from types import MethodDescriptorType, ModuleType

import pdoc.doc
import pdoc.render
from jinja2 import pass_context
from pdoc.render_helpers import to_html, to_markdown_with_context

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PACKAGE = REPOSITORY / "cosv4fs"
SOURCES = "https://github.com/cosv4fs/cosv4fs/blob/main/"
"""Where the files of the repository are to which pages link, and which are no part of the site."""

MODULES = (
    "cosv4fs",
    "cosv4fs.reader",
    "cosv4fs.writer",
    "cosv4fs.errors",
    "cosv4fs.info",
    "cosv4fs.attributes",
    "cosv4fs.protocols",
    "cosv4fs.api",
    "cosv4fs.emulator",
    "cosv4fs.emulator.faults",
    "cosv4fs.emulator.pytest_plugin",
    "cosv4fs.migrate.migration",
)
"""The public modules; their ``__all__`` has the names that are public."""

FIRST = (
    *("CosV4FileSystem", "CosV3FileSystem", "CofferFileSystem", "CosError"),
    *("CosV4Client", "CosV3Client", "CofferClient", "CosClient", "Client"),
    *("Emulator", "CofferEmulator", "Dialect", "CofferDialect", "Faults", "Fault", "ALL", "COFFER", "Action"),
    *("cosv4_emulator", "cosv4_emulator_options", "cosv4_storage_options"),
    *("Attributes", "WriteKeywords", "migrate", "Selection"),
)
"""The names that begin the pages of their modules; the others follow in alphabetical order."""

INTERNAL = frozenset(
    {
        *("namespace", "pool", "root_marker", "runtime", "service", "transaction_type"),
        *("check_complete", "discard_after", "end_well", "is_lost", "is_of_parent", "loss", "raise_failure"),
        *("parse", "parse_v3", "check", "of", "cache", "wait_for", "actions"),
    }
)
"""Members of filesystems, files, replies and others that only fsspec and other modules of the package use."""

INDEX = """\
# Reference of cosv4fs

The pages describe the options, the services, files, the command line, the local service and the errors. The modules
have every class, method and parameter: begin with [the filesystems](cosv4fs.html). The protocol notes are what is known
of the services' APIs.
"""

DECORATORS = ("@classmethod", "@staticmethod", "@abstractmethod", "@contextlib.contextmanager", "@pytest.fixture")
"""Decorators that tell users something."""

_PROTOCOL = re.compile(r"\b(cos|cdcs|wire|clients)\.md#([\w-]+)(?=[^<>]*<)")
"""An anchor of the protocol notes in a docstring."""

_TYPE_VARIABLE = re.compile(r'<span class="annotation">: \+?[A-Z]\w*_co</span>')
"""The type of a member that differs by class, which pdoc does not resolve."""

_TYPING = re.compile(r'<span class="n">typing(?:_extensions)?</span><span class="o">\.</span>')
"""The module of a type that every reader knows."""

_CLASS = re.compile(r"&lt;class &#x27;(\w+)&#x27;&gt;")
"""How pdoc shows a protocol of `typing`."""

_LINK = re.compile(r'(?<=href=")(?!\w+:|#)([^"#]+)')


def build(folder: Path) -> dict[str, pdoc.doc.Module]:
    """Write the site, and return the modules that it documents."""
    _configure()
    # before Python 3.12 the bases of a TypedDict are not known
    warnings.filterwarnings("ignore", "Cannot determine where cosv4fs.attributes.WriteKeywords")
    modules = {name: pdoc.doc.Module(_module(name)) for name in MODULES}
    pages = {_place(path): path for name in ("reference", "protocol") for path in sorted((PACKAGE / name).glob("*.md"))}
    titles = {place.as_posix(): _title(path) for place, path in pages.items()}
    pdoc.render.env.globals |= {"pages": titles, "public_classes": _public_classes(), "shown_decorators": DECORATORS}
    pdoc.render.env.globals["default_macro"] = _default_macro
    for name, module in modules.items():
        place = Path(f"{name.replace('.', '/')}.html")
        notes = os.path.relpath("protocol", place.parent)
        text = _TYPE_VARIABLE.sub("", pdoc.render.html_module(module, modules))
        text = _CLASS.sub(r"\1", _TYPING.sub("", text))
        _write(folder / place, _PROTOCOL.sub(rf'<a href="{notes}/\1.html#\2">\g<0></a>', text))
    page = pdoc.render.env.get_template("page.html.jinja2")
    for place, path in pages.items():
        content = _LINK.sub(partial(_linked, path, pages), to_html(_text(path)))
        title = titles[place.as_posix()]
        _write(folder / place, page.render(all_modules=modules, title=title, content=content, depth=1))
    index = to_html(INDEX)
    _write(folder / "index.html", page.render(all_modules=modules, title="Reference", content=index, depth=0))
    return modules


def _configure() -> None:
    templates = Path(__file__).parent / "templates"
    pdoc.render.configure(docformat="numpy", show_source=False, search=False, template_directory=templates)
    pdoc.render.env.filters["to_markdown"] = _markdown
    for name, members in (("members", _members), ("own_members", _own_members)):
        members.__set_name__(pdoc.doc.Class, name)
        setattr(pdoc.doc.Class, name, members)


@pass_context
def _markdown(context, docstring):
    """Convert a docstring as pdoc does, but take no parameter ``**options`` for bold type, and no sum for a list."""
    plain = re.sub(r"^([\w, ]*)\*\*(?=\w+( : .*)?$)", r"\1\\*\\*", docstring, flags=re.MULTILINE)
    return to_markdown_with_context(context, plain.replace("\n+ ", " + ").replace("  # doctest: +SKIP", ""))


@pass_context
def _default_macro(context, name, doc):
    """Return what pdoc's own macro makes of a name, for a macro of ours that replaces it."""
    return context[f"default_{name}"](doc)


_all_members = pdoc.doc.Namespace.members.func


@cached_property
def _members(kind: pdoc.doc.Class) -> dict[str, pdoc.doc.Doc]:
    """Return the members of a class that are public: those of ours, and what is documented of fsspec's."""

    def is_public(member: pdoc.doc.Doc) -> bool:
        if member.taken_from[0].startswith("fsspec."):
            is_of_filesystem = member.taken_from[1].startswith("AbstractFileSystem.")
            return is_of_filesystem and bool(member.docstring) and not isinstance(member, pdoc.doc.Variable)
        # files for reading have a `write` that is the builtin one, and raises
        return member.name not in INTERNAL and not isinstance(member.obj, MethodDescriptorType)

    members = {name: member for name, member in _all_members(kind).items() if is_public(member)}
    if constructor := members.get("__init__"):
        # the class describes it, and not the base that does have a text
        constructor.docstring = ""
    return members


@cached_property
def _own_members(kind: pdoc.doc.Class) -> list[pdoc.doc.Doc]:
    """Return the members that the page of a class describes: not those of bases that are public themselves."""

    def is_described(member: pdoc.doc.Doc) -> bool:
        module, qualname = member.taken_from
        base = (module, qualname.rpartition(".")[0])
        return module.startswith(("cosv4fs.", "fsspec.")) and (base == kind.taken_from or base not in _public_classes())

    found = filter(is_described, kind.members.values())
    return sorted(found, key=lambda member: member.taken_from[0].startswith("fsspec."))


@cache
def _public_classes() -> set[tuple[str, str]]:
    """Return where the public classes are defined: module and name."""
    values = [getattr(module, name) for module in map(import_module, MODULES) for name in module.__all__]
    return {(value.__module__, value.__qualname__) for value in values if isinstance(value, type)}


def _module(name: str) -> ModuleType:
    """Return a copy of a module with all its public names, also those made on use; fixtures are functions."""
    module = import_module(name)
    copy = ModuleType(name, module.__doc__)
    vars(copy).update(vars(module))
    for one in module.__all__:
        value = getattr(module, one)
        setattr(copy, one, getattr(value, "__wrapped__", value) if name.endswith("pytest_plugin") else value)
    copy.__all__ = [*(one for one in FIRST if one in module.__all__), *sorted(set(module.__all__) - {*FIRST})]
    return copy


def _place(path: Path) -> Path:
    return path.relative_to(PACKAGE).with_suffix(".html")


def _linked(path: Path, pages: dict[Path, Path], found: re.Match[str]) -> str:
    """Return the link of a page, relative to its place in the repository, as a link of the site."""
    target = (path.parent / found[0]).resolve()
    if target in pages.values():
        return Path(os.path.relpath(_place(target), _place(path).parent)).as_posix()
    return SOURCES + target.relative_to(REPOSITORY).as_posix() if target.exists() else found[0]


def _title(path: Path) -> str:
    return _text(path).partition("\n")[0].removeprefix("# ").replace("`", "")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
