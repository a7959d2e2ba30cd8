"""The cases: operations with fixed arguments, and the state that is set up before each.

``tests/faults`` plays every fault in every case; ``tests/crash`` makes random cases of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tests.catalogue.operations import CATALOGUE, PROTOCOLS, Effect, Place, Step, View
from tests.catalogue.state import Content, State

KIB = 1024
SMALL, LARGE = Content(1, 1000), Content(2, 1200 * KIB + 7)
OLD, OLD_LARGE = Content(3, 900), Content(4, 1100 * KIB + 3)
OTHER, OTHER_LARGE = Content(5, SMALL.size), Content(6, LARGE.size)
"""As large as `SMALL` and `LARGE`, and different."""

TREE = {name: Content(10 + number, 500) for number, name in enumerate(("d/0", "d/1", "d/2", "d/e/deep", "y"))}


@dataclass(frozen=True)
class Case:
    """A step, and what exists before it."""

    name: str
    step: Step
    files: Mapping[str, Content] = field(default_factory=dict)
    # directories that exist before, besides those of the files
    folders: tuple[str, ...] = ()
    # uploads that are unfinished before
    unfinished: Mapping[str, Content] = field(default_factory=dict)
    # what the same filesystem has done just before
    before: Step | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    # the client knows no SHA-1 of the bytes: a part of an object, or one that was never listed
    unverified: bool = False
    write_once: bool = False
    # it takes place in a whole bucket
    whole: bool = False

    @property
    def several(self) -> bool:
        """Whether the operation consists of several steps: after an error each path is as before or as after."""
        return CATALOGUE[self.step.name].several and self.options.get("max_concurrency") != 1

    @property
    def resumes(self) -> bool:
        """Whether a failure may leave an unfinished upload, which the same call continues."""
        return dict(self.step.arguments).get("way", "").startswith("put_file")

    @property
    def state(self) -> State:
        """The state before the step."""
        return State.of(dict(self.files), self.folders)

    @cached_property
    def effect(self) -> Effect:
        """What the step does without faults."""
        view = View(self.state, lambda: {*self.unfinished}, write_once=self.write_once, is_bucket=self.whole)
        effect = CATALOGUE.expect(view, self.step)
        assert effect is not None, f"{self.name} does not apply"
        return effect

    @property
    def expected(self) -> object:
        """What `run` has to return."""
        effect = self.effect
        return "refused" if effect.errors else effect.returns

    def prepare(self, at: Place) -> None:
        """Create the local files that the step needs."""
        CATALOGUE.prepare(at, self.step)

    def run(self, at: Place) -> object:
        """Carry out the step; return its result, or that it was refused as expected."""
        try:
            return CATALOGUE[self.step.name].call(at, **dict(self.step.arguments))
        except self.effect.errors:
            return "refused"


def case(name: str, operation: str, arguments: Mapping[str, Any], **more: Any) -> Case:
    """Return a case of an operation of the catalogue."""
    return Case(name, CATALOGUE[operation].step(**arguments), **more)


def _write(name: str, content: Content, way: str, old: Content | None = None, **more: Any) -> Case:
    files = {} if old is None else {"x": old}
    return case(name, "write", {"name": "x", "content": content, "way": way}, **{"files": files, **more})


def _read(name: str, content: Content, operation: str = "read", /, *, known: bool = False, **more: Any) -> Case:
    """Return a case of reading; `known`: the filesystem has asked for the object's metadata before."""
    arguments = {"name": "x", **more.pop("arguments", {})}
    before = CATALOGUE["info"].step(name="x") if known else None
    return case(name, operation, arguments, files={"x": content}, before=before, **more)


WRITING = [
    _write("pipe small", SMALL, "pipe_file"),
    _write("pipe small over", SMALL, "pipe_file", OLD),
    _write("pipe create", SMALL, "pipe_file create"),
    _write("pipe create sliced", LARGE, "pipe_file create"),
    case("pipe with attributes over", "write_with_attributes", {"name": "x", "content": SMALL}, files={"x": OLD}),
    case("pipe sliced with attributes", "write_with_attributes", {"name": "x", "content": LARGE}),
    _write("pipe sliced", LARGE, "pipe_file"),
    _write("pipe sliced over", LARGE, "pipe_file", OLD),
    _write("pipe instant", LARGE, "pipe_file", files={"y": LARGE}, options={"instant_upload": True}),
    _write("wb small over", SMALL, "open", OLD),
    _write("wb spooled", LARGE, "open"),
    _write("wb spooled over", LARGE, "open", OLD_LARGE),
    _write("wb probed", LARGE, "open", options={"spool_memory": 600 * KIB}),
    _write("wb sized", LARGE, "open sized"),
    _write("wb sized over", LARGE, "open sized", OLD),
    _write("wb rewritten over", LARGE, "open rewritten", OLD),
    _write("xb small", SMALL, "open create"),
    _write("xb spooled", LARGE, "open create"),
    _write("put small over", SMALL, "put_file", OLD),
    _write("put sliced", LARGE, "put_file"),
    _write("put sliced over", LARGE, "put_file", OLD),
    case("ab small over", "append", {"name": "x", "content": SMALL}, files={"x": OLD}),
    case("ab sliced over", "append", {"name": "x", "content": LARGE}, files={"x": OLD_LARGE}),
    case("put list", "put_list", {"contents": {"x": SMALL, "z": OTHER}}),
]

TRANSACTIONS = [
    case("transaction", "transaction", {"contents": {"x": SMALL, "z": LARGE}}, files={"x": OLD}),
    case(
        "transaction with one that fails",
        "nested_transaction",
        {"contents": {"x": SMALL}, "inner": {"z": LARGE}, "fails": True},
    ),
    case(
        "transaction without one", "incomplete_transaction", {"contents": {"x": SMALL, "z": LARGE}, "how": "discards"}
    ),
    case(
        "write beside a transaction",
        "write_beside_transaction",
        {"contents": {"x": SMALL}, "name": "z", "content": OTHER, "fails": True},
    ),
]


def _in_child(name: str, content: Content, moment: str, **more: Any) -> Case:
    """Return a case of writing, or without a way of reading, in a forked child."""
    if more:
        return case(name, "write_in_child", {"name": "x", "content": content, "moment": moment, **more})
    return case(name, "read_in_child", {"name": "x", "moment": moment}, files={"x": content}, unverified=True)


PROCESSES = [
    _in_child("wb in a child", SMALL, "as usual", way="open"),
    _in_child("wb without threads", LARGE, "without threads", way="open"),
    _in_child("pipe at exit", LARGE, "at exit", way="pipe_file"),
    _in_child("put after the main thread", LARGE, "after the main thread", way="put_file"),
    _in_child("cat in a child", SMALL, "as usual"),
    _in_child("cat without threads", LARGE, "without threads"),
    _in_child("cat at exit", LARGE, "at exit"),
    case("rb across a fork", "read_in_child", {"name": "x", "opened": True}, files={"x": LARGE}),
    case("wb across a fork", "write_across_fork", {"name": "x", "content": LARGE, "sized": True}),
]

READING = [
    _read("cat", SMALL, unverified=True),
    _read("cat known", SMALL, known=True),
    _read("cat verified", SMALL, options={"verify_downloads": "always"}),
    _read("cat large", LARGE, unverified=True),
    _read("cat large known", LARGE, known=True),
    _read("cat part", SMALL, "cat_file", arguments={"start": 100, "end": 300}, unverified=True),
    _read("cat large part", LARGE, "cat_file", arguments={"start": 9, "end": 700_000}, unverified=True),
    _read("cat tail", SMALL, "cat_file", arguments={"start": -300, "end": None}, unverified=True),
    _read("rb", SMALL, arguments={"way": "open"}),
    _read("rb large", LARGE, arguments={"way": "open"}),
    _read("rb mixed large", LARGE, arguments={"way": "mixed"}),
    _read("get_file", SMALL, "get_file", unverified=True),
    _read("get_file known", SMALL, "get_file", arguments={"existing": True}, known=True),
    _read("get_file large", LARGE, "get_file", arguments={"existing": True}, unverified=True),
    _read("get_file large known", LARGE, "get_file", known=True),
    case("get some", "get_many", {"names": ["d/0", "d/1", "d/2"]}, files=TREE, unverified=True),
    case("get tree", "get_tree", {"folder": "d"}, files=TREE),
]

_UNFINISHED: dict[str, Any] = {"files": {"y": OLD}, "unfinished": {"x": LARGE}}
_PAGES = {"page_size": 2}

QUERIES = [
    case("ls pages", "ls", {"name": "d"}, files=TREE, options=_PAGES),
    case("info", "info", {"name": "x"}, files={"x": SMALL}),
    case("info missing", "info", {"name": "nothing"}),
    case("exists", "exists", {"name": "x"}, files={"x": SMALL}),
    case("exists missing", "exists", {"name": "nothing"}),
    case("isfile", "exists", {"name": "x", "question": "isfile"}, files={"x": SMALL}),
    case("isdir", "exists", {"name": "d", "question": "isdir"}, files=TREE),
    case("scandir", "scandir", {"name": "", "recursive": True}, files=TREE, options=_PAGES),
    case("find", "find", {"name": ""}, files=TREE, options=_PAGES),
    case("uploads", "uploads", {"name": ""}, **_UNFINISHED),
    case("ls root", "ls", {"name": "", "detail": True}, files=TREE, options=_PAGES, whole=True),
    case("find root", "find", {"name": "", "withdirs": True}, files=TREE, options=_PAGES, whole=True),
    case("find empty root", "find", {"name": ""}, whole=True),
]

ONE_BY_ONE = {"max_concurrency": 1, "max_requests": 1}
"""Options with which the steps of an operation follow one another, so that it is known which of them have happened."""

CHANGING = [
    case("mkdir", "mkdir", {"folder": "new/dir"}),
    case("makedirs", "makedirs", {"folder": "new/dir", "exist_ok": True}),
    case("rmdir", "rmdir", {"folder": "d"}, folders=("d",)),
    case("rm_file", "rm_file", {"name": "x"}, files={"x": OLD}),
    case("rm list", "rm_list", {"names": ["d/0", "d/1"]}, files=TREE),
    case("rm tree", "rm_recursive", {"name": "d"}, files=TREE),
    case("cp_file", "cp_file", {"source": "y", "target": "x"}, files={"y": SMALL}),
    case("cp_file over", "cp_file", {"source": "d/0", "target": "y"}, files=TREE),
    case("cp list", "cp_list", {"pairs": {"d/0": "m/0", "d/1": "m/1"}}, files=TREE),
    case("cp list collides", "collide", {"how": "cp", "names": ["d/0", "d/1"], "target": "y"}, files=TREE),
    case("mv list collides", "collide", {"how": "mv", "names": ["d/0", "d/1"], "target": "y"}, files=TREE),
    case("get list collides", "collide", {"how": "get", "names": ["d/0", "d/1"], "target": "y"}, files=TREE),
    case("rm bucket", "empty_bucket", {}, files=TREE, whole=True),
    case("cp between buckets", "cp_between_buckets", {"name": "y"}, files={"y": SMALL}),
    case("mv", "mv_file", {"source": "y", "target": "x"}, files={"y": SMALL}),
    case("mv over", "mv_file", {"source": "d/0", "target": "y"}, files=TREE),
    case("mv list", "mv_list", {"pairs": {"d/0": "m/0", "d/1": "m/1"}}, files=TREE),
    case("mv tree", "mv_recursive", {"source": "d", "target": "m"}, files=TREE),
    case("mv between buckets", "mv_between_buckets", {"name": "y"}, files={"y": SMALL}),
    case("setxattrs", "setxattrs", {"name": "x", "text": "one"}, files={"x": OLD}),
    case("chmod", "chmod", {"name": "x", "acl": "public-read"}, files={"x": OLD}),
    case("abort_upload", "abort_upload", {"name": "x"}, **_UNFINISHED),
    case("clean_uploads", "clean_uploads", {}, **_UNFINISHED),
]

_LOCAL_TREE = {name: Content(20 + number, 500) for number, name in enumerate(("0", "1", "e/deep"))}

WRITE_ONCE = [
    _write("wb small", SMALL, "open"),
    _write("put small", SMALL, "put_file"),
    case("put tree", "put_tree", {"folder": "copy", "contents": _LOCAL_TREE}),
    _write("pipe taken", SMALL, "pipe_file", OTHER),
    _write("pipe sliced taken", LARGE, "pipe_file", OTHER_LARGE),
    _write("wb taken", SMALL, "open", OTHER),
    _write("put sliced taken", LARGE, "put_file", OTHER_LARGE),
    *(
        case(name, name, {})
        for name in (
            "coffers", "create_coffer", "delete_coffer", "lifecycle", "set_lifecycle", "policy", "set_policy",
            "delete_policy",
        )
    ),
    case("rm missing", "remove", {"name": "nothing", "recursive": True}, files=TREE),
    case("rm refused", "remove", {"name": "d", "recursive": True}, files=TREE),
    case("rm empty root", "remove", {"name": "", "recursive": True}, whole=True),
]  # fmt: skip
"""Cases of the protocol that replaces nothing."""

# what is seen of a write beside a transaction is a size, which replies to HEAD alone tell
_NOT_WRITE_ONCE = {"pipe instant", "wb probed", "cat verified", "write beside a transaction", "mv list collides"}


def _write_once() -> list[Case]:
    found = [*WRITING, *TRANSACTIONS, *PROCESSES, *READING, *QUERIES, *CHANGING, *WRITE_ONCE]
    # what is read or copied there has no SHA-1
    unverified = {made.name for made in (*READING, *CHANGING)}
    return [
        replace(
            made,
            files={} if made.name == "transaction" else made.files,
            unverified=made.unverified or made.name in unverified,
            write_once=True,
        )
        for made in found
        if "cdcs" in CATALOGUE[made.step.name].protocols
        and made.name not in _NOT_WRITE_ONCE
        and not made.name.endswith(" over")
        and not made.name.endswith("between buckets")
    ]


def _replacing(protocol: str) -> dict[str, Case]:
    found = (*WRITING, *TRANSACTIONS, *PROCESSES, *READING, *QUERIES, *CHANGING)
    return {made.name: made for made in found if protocol in CATALOGUE[made.step.name].protocols}


CASES: Mapping[str, Mapping[str, Case]] = {
    "cosv4": _replacing("cosv4"),
    "cosv3": _replacing("cosv3"),
    "cdcs": {made.name: made for made in _write_once()},
}
"""The cases of each protocol by name."""

assert set(CASES) == set(PROTOCOLS)
