"""The dialects of a run, an emulator and filesystems for each test, and the check of what is declared impossible."""

from __future__ import annotations

import zlib
from fnmatch import fnmatchcase

import fsspec
import pytest

from cosv4fs.emulator import Dialect, Emulator
from tests.matrix import dialects, impossible
from tests.matrix.ways import BUCKET, OPTIONS, WAYS, Bench
from tests.support import elsewhere

_CORE_WAYS = ("put file", "open", "open sized", "stream")

NOT_CORE = [
    *(f"*/test_*/{way}" for way in WAYS if way not in _CORE_WAYS),
    *(f"round_trips/test_writing/{way}/*" for way in WAYS if way not in _CORE_WAYS),
    *(f"round_trips/test_reading/{way}" for way in ("ends", "sized", "lines", "mapper", "fsspec's caches")),
    *(f"overwrite/test_names_as_long_as_they_may_be/{way}/*" for way in ("pipe file", "instant")),
    "overwrite/test_names_as_long_as_they_may_be/*/64",
    *(f"resume/test_a_session_that_expires_on_the_way/{way}/*" for way in ("pipe file", "instant")),
    "rearranging/test_one_file/*/small",
    "rearranging/test_one_file/cp/*",
    *(f"listing/test_many_entries/{size}" for size in (999, 250, 100)),
    *(f"listing/test_directories_around_the_size_of_a_page/{count}" for count in (1, 2, 99, 101, 198, 199, 201)),
]
"""Patterns of ``group/test/parameter/…``: variants that only a whole run of the matrix has."""

TURNS = 5
"""When no dialect is named, each variant of a test of the core runs under every fifth of the dialects."""


def is_core(name):
    """Return whether a test belongs to the core: all that pytest runs by itself, or with ``--core``."""
    return not any(fnmatchcase(name, pattern) for pattern in NOT_CORE)


def is_whole(config):
    """Return whether more than the core is to run: a dialect is named, and no core asked for."""
    return bool(config.getoption("--dialect", default=None)) and not config.getoption("--core", default=False)


def pytest_ignore_collect(collection_path, config):
    """Leave fsspec's own suite out of the core: `tests/filesystem` runs it."""
    return True if collection_path.name == "test_abstract.py" and not is_whole(config) else None


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc):
    """Generate what is to run: all of the core under named dialects, else in turns."""
    result = yield
    if "dialect" in metafunc.fixturenames:
        wanted = wanted_dialects(metafunc)
        ids = [
            ("" if protocol == "cosv4" else f"{protocol}:") + dialects.label(dialect) for protocol, dialect in wanted
        ]
        metafunc.parametrize(("protocol", "dialect"), wanted, ids=ids, scope="session")
        if not is_whole(metafunc.config):
            name = metafunc.definition.originalname
            # pytest has no public way to choose among the products of parameters
            calls = [call for call in metafunc._calls if is_core(name_of(metafunc.module, name, call.params))]
            if not metafunc.config.getoption("--dialect", default=None):
                # the next variant of the same test takes the next dialects
                turns = (zlib.crc32(name.encode()) + i + i // len(wanted) for i in range(len(calls)))
                calls = [call for call, turn in zip(calls, turns, strict=True) if turn % TURNS == 0]
            metafunc._calls[:] = calls
    return result


def wanted_dialects(metafunc):
    """Return the protocols and dialects of a test; a marker may name its only protocols."""
    option = metafunc.config.getoption
    given, protocol = option("--dialect", default=None), option("--protocol", default=None)
    protocols = [protocol] if protocol else dialects.PROTOCOLS[:1] if given else dialects.PROTOCOLS
    marked = metafunc.definition.get_closest_marker("protocol")
    return [
        (protocol, dialect)
        for protocol in protocols
        if marked is None or protocol in marked.args
        for dialect in ([dialects.chosen(text) for text in given] if given else dialects.core(protocol))
    ]


def pytest_addoption(parser):
    parser.addoption(
        "--dialect",
        action="append",
        metavar="NAME=VALUE[,…]",
        help="run the dialect matrix under this variant of the API (several times: under each); 'default' is one",
    )
    parser.addoption("--protocol", choices=dialects.PROTOCOLS, help="run the dialect matrix for one protocol only")
    parser.addoption("--core", action="store_true", help="run only the core, under named dialects too")


def name_of(module, function, params):
    """Return ``group/test/parameter/…`` of a test, without its dialect."""
    group = module.__name__.rpartition(".")[2].removeprefix("test_")
    values = [str(value) for name, value in params.items() if name not in ("dialect", "protocol")]
    return "/".join([group, function, *values])


def pytest_itemcollected(item):
    """Tell the report of the command which dialect a test runs under."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    # a test that the only protocol does not have is skipped, and has none
    if isinstance(params.get("dialect"), Dialect):
        item.user_properties.append(("dialect", dialects.label(params["dialect"])))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Turn the declared error of an impossible test into a pass, and anything else into a failure."""
    if "dialect" not in pyfuncitem.funcargs:
        return (yield)
    name = name_of(pyfuncitem.module, pyfuncitem.originalname, pyfuncitem.callspec.params)
    rows = impossible.declared(pyfuncitem.funcargs["dialect"], name, pyfuncitem.funcargs["protocol"])
    if not rows:
        return (yield)
    try:
        yield
    except OSError as error:
        if not impossible.is_expected(error, rows):
            raise
    else:
        pytest.fail(f"declared as impossible, and it worked: {rows[0].reason}")
    pyfuncitem.funcargs["kept"].check_alone()
    pyfuncitem.user_properties.append(("impossible", rows[0].reason))
    return True


class Kept:
    """Objects that have to be there at the end as they were put, whatever a test does beside them.

    `fs` caches nothing, and shares nothing with the test's.
    """

    def __init__(self, fs):
        self._fs = fs
        self._contents = {}

    def put(self, path, content):
        """Store an object and remember it."""
        self._fs.pipe_file(path, content)
        self.note(path, content)

    def note(self, path, content):
        """Remember an object that the test has stored."""
        self._contents[path] = content

    def check(self):
        """Find every object as it was put."""
        with pytest.MonkeyPatch.context() as patch:
            # nobody replaces them now: nothing waits until another time would show it
            patch.setattr("cosv4fs.transfer.versions._TICK", 0.0)
            for path, content in self._contents.items():
                assert self._fs.cat_file(path) == content, path

    def check_alone(self):
        """Find every object as it was put, and nothing else, unfinished uploads included."""
        self.check()
        assert self._fs.find(BUCKET) == sorted(self._contents)
        assert self._fs.uploads(BUCKET) == []


@pytest.fixture
def emulator(dialect):
    with Emulator(buckets=(BUCKET, "other"), dialect=dialect) as running:
        yield running


@pytest.fixture
def bench(emulator, tmp_path, protocol):
    return Bench(emulator, tmp_path, protocol)


@pytest.fixture
def fs(bench):
    """A filesystem whose objects are sliced from 512 KiB on, and spooled to disk beyond 1 MiB."""
    return bench.fs()


@pytest.fixture
def second(emulator, tmp_path, protocol):
    """A filesystem that shares nothing with `fs`: what another process would see."""
    options = {**OPTIONS, "use_listings_cache": False, "journal_dir": str(tmp_path / "another journal")}
    return fsspec.filesystem(protocol, **elsewhere(emulator.storage_options), **options)


@pytest.fixture
def kept(second):
    kept = Kept(second)
    kept.put(f"{BUCKET}/dir/bystander", b"nobody touches this")
    yield kept
    kept.check()
