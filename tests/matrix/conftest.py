"""The dialects of a run, an emulator and filesystems for each test, and the check of what is declared impossible."""

from __future__ import annotations

import zlib
from fnmatch import fnmatchcase
from pathlib import Path

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.matrix import dialects, impossible
from tests.matrix.ways import BUCKET, OPTIONS, WAYS, Bench
from tests.support import elsewhere

_DAILY_WAYS = ("put file", "open", "open sized", "stream")

NOT_DAILY = [
    # tests/filesystem runs it, under the readings that matter to it
    "abstract/*",
    *(f"*/test_*/{way}" for way in WAYS if way not in _DAILY_WAYS),
    *(f"round_trips/test_writing/{way}/*" for way in WAYS if way not in _DAILY_WAYS),
    *(f"round_trips/test_reading/{way}" for way in ("ends", "sized", "lines", "mapper", "fsspec's caches")),
    *(f"overwrite/test_names_as_long_as_they_may_be/{way}/*" for way in ("pipe file", "instant")),
    "overwrite/test_names_as_long_as_they_may_be/*/64",
    *(f"resume/test_a_session_that_expires_on_the_way/{way}/*" for way in ("pipe file", "instant")),
    "rearranging/test_one_file/*/small",
    "rearranging/test_one_file/cp/*",
    *(f"listing/test_many_entries/{size}" for size in (999, 250, 100)),
    *(f"listing/test_directories_around_the_size_of_a_page/{count}" for count in (1, 2, 101, 199, 201)),
]
"""Patterns of tests that are run only when a dialect is named: every day there is a core of them."""

DAILY = ["resume/test_an_upload_of_another_client_is_not_continued/no checksum"]
"""Patterns of tests that are run every day although one of the above fits."""


TURNS = 3
"""When no dialect is named, a test runs under one of so many dialects, and each dialect runs one of so many tests."""


def is_core(name):
    """Return whether a test is of the core, which ``--core`` runs under every dialect."""
    if any(fnmatchcase(name, pattern) for pattern in DAILY):
        return True
    return not any(fnmatchcase(name, pattern) for pattern in NOT_DAILY)


def is_in_turn(name, label):
    """Return whether a test of the core is run under a dialect when none is named."""
    return zlib.crc32(f"{name} {label}".encode()) % TURNS == 0


def pytest_collection_modifyitems(config, items):
    """Leave the core of the matrix when no dialect is named, or when it is asked for; and what a protocol has."""
    named = bool(config.getoption("--dialect", default=None))
    whole = named and not config.getoption("--core", default=False)

    def is_wanted(item):
        name = name_of(item)
        return is_meant(item) and (whole or (is_core(name) and (named or is_in_turn(name, label_of(item)))))

    matrix = [item for item in items if is_of_matrix(item)]
    wanted = {item for item in matrix if is_wanted(item)}
    left_out = [item for item in matrix if item not in wanted]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def is_meant(item):
    """Return whether a test is for the protocol that it was made for: a marker may name the only ones."""
    marked = item.get_closest_marker("protocol")
    return marked is None or item.callspec.params["protocol"] in marked.args


def is_of_matrix(item):
    return "dialect" in getattr(item, "fixturenames", ()) and item.path.parent == Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption(
        "--dialect",
        action="append",
        metavar="NAME=VALUE[,…]",
        help="run the dialect matrix under this reading of the API (several times: under each); 'default' is one",
    )
    parser.addoption("--protocol", choices=dialects.PROTOCOLS, help="run the dialect matrix for one protocol only")
    parser.addoption("--core", action="store_true", help="run a core of the dialect matrix, also under named dialects")
    parser.addoption("--library", metavar="DIR", help="the folder of a service with large directories, made before")


def pytest_generate_tests(metafunc):
    if "dialect" in metafunc.fixturenames:
        given = metafunc.config.getoption("--dialect", default=None)
        named = metafunc.config.getoption("--protocol", default=None)
        wanted = [
            (protocol, dialect)
            for protocol in ([named] if named else [dialects.PROTOCOLS[0]] if given else dialects.PROTOCOLS)
            for dialect in ([dialects.chosen(text) for text in given] if given else dialects.core(protocol))
        ]
        ids = [
            dialects.label(dialect) if protocol == "cosv4" else f"{protocol}:{dialects.label(dialect)}"
            for protocol, dialect in wanted
        ]
        metafunc.parametrize(("protocol", "dialect"), wanted, ids=ids, scope="session")


def label_of(item):
    """Return the protocol and the dialect of a test as a text."""
    return f"{item.callspec.params['protocol']}:{dialects.label(item.callspec.params['dialect'])}"


def name_of(item):
    """Return ``group/test/parameter/…`` of a test, without its dialect."""
    group = item.module.__name__.rpartition(".")[2].removeprefix("test_")
    spec = getattr(item, "callspec", None)
    values = [str(value) for name, value in spec.params.items() if name not in ("dialect", "protocol")] if spec else []
    return "/".join([group, item.originalname, *values])


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Turn the declared error of an impossible test into a pass, and anything else into a failure."""
    dialect = pyfuncitem.funcargs.get("dialect")
    rows = (
        impossible.declared(dialect, name_of(pyfuncitem), pyfuncitem.funcargs["protocol"])
        if dialect is not None
        else []
    )
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

    Parameters
    ----------
    fs : filesystem
        Remembers nothing, and shares nothing with the test's.
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
