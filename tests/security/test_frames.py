"""No frame of a traceback holds a secret as a plain text: tools that show variables would show it."""

import re
import traceback

import fsspec
import pytest

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.api import CofferClient, CosV4Client
from cosv4fs.config import resolve
from cosv4fs.filesystem import ObjectFileSystem
from cosv4fs.identity import restore
from cosv4fs.redaction import Secret

KEY = "nobodyMayReadThisKey000000000000"
TOKEN = "nobodyMayReadThisToken0000000000"
PASSWORD = "nobodysProxyPassword"
HERE = __file__


def frames(error):
    """Yield the frames of an error and of those that it is chained to, but for those of this file."""
    seen, waiting = set(), [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != HERE:
                yield frame


def texts(value, depth=6):
    """Yield all plain texts that a tool would show of a value."""
    if isinstance(value, Secret):
        return
    if isinstance(value, (str, bytes)):
        yield str(value)
        return
    yield repr(value)
    if depth and isinstance(value, dict):
        value = [*value, *value.values()]
    if depth and isinstance(value, (list, tuple, set)):
        for item in value:
            yield from texts(item, depth - 1)


def assert_quiet(error):
    for frame in frames(error):
        for name, value in frame.f_locals.items():
            for text in texts(value):
                for secret in (KEY, TOKEN, PASSWORD):
                    assert secret not in text, f"{frame.f_code.co_name}: {name}"
    shown = "".join(traceback.TracebackException.from_exception(error).format())
    for secret in (KEY, TOKEN, PASSWORD):
        assert secret not in shown


ACCOUNT = {"appid": "1250000000", "secret_id": "id", "secret_key": KEY, "region": "gz"}
COFFER = {"secret_id": "id", "secret_key": KEY, "security_token": TOKEN, "region": "ap-x"}
WRONG = [
    {"bad_option": 1},
    {"region": ""},
    {"region": "!"},
    {"endpoint": "nonsense"},
    {"slice_size": 7},
    {"max_retries": "x"},
    {"profile": "none"},
    {"proxies": {"http": f"http://user:{PASSWORD}@127.0.0.1:99999"}},
    {"verify": "/no/such/file"},
]
WAYS = {
    "v4": lambda more: CosV4FileSystem(**{**ACCOUNT, **more}),
    "v3": lambda more: CosV3FileSystem(**{**ACCOUNT, **more, "region": None, "bad_option": 1}),
    "coffers": lambda more: CofferFileSystem(**{**COFFER, **more}),
    "positional": lambda more: CosV4FileSystem("1250000000", "id", KEY, **{"region": "gz", **more}),
    "client": lambda more: CosV4Client.connect(**{**ACCOUNT, **more}),
    "coffer client": lambda more: CofferClient.connect(**{**COFFER, **more}),
    "resolve": lambda more: resolve({**ACCOUNT, **more, "bad_option": 1}),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
@pytest.mark.parametrize("way", WAYS)
def test_a_configuration_that_is_refused(way, wrong):
    with pytest.raises(Exception) as caught:  # of several kinds
        WAYS[way](wrong)
    assert isinstance(caught.value, (TypeError, ValueError, OSError))
    assert_quiet(caught.value)


def test_arguments_that_do_not_fit():
    with pytest.raises(TypeError) as caught:
        CosV4FileSystem("1", "id", KEY, "gz", "http://x", False, None, KEY)
    assert_quiet(caught.value)


def test_a_profile_with_a_wrong_option(tmp_path, monkeypatch):
    (tmp_path / "profiles.ini").write_text(f"[x]\nappid = 1\nsecret_id = i\nsecret_key = {KEY}\nwrong = 1\n")
    monkeypatch.setenv("COSV4_PROFILES", str(tmp_path / "profiles.ini"))
    with pytest.raises(TypeError) as caught:
        CosV4FileSystem(profile="x")
    assert_quiet(caught.value)


def test_a_filesystem_that_cannot_be_made_where_it_was_sent():
    made = CosV4FileSystem(**ACCOUNT, profile=None)
    for options, kind in (({"bad_option": 1}, TypeError), ({"verify": "/no/such/file"}, OSError)):
        with pytest.raises(kind) as caught:
            restore(type(made), made.storage_args, {**made.storage_options, **options}).ls("b")
        assert_quiet(caught.value)


def test_the_environment(monkeypatch):
    monkeypatch.setenv("COSV4_SECRET_KEY", KEY)
    with pytest.raises(TypeError) as caught:
        CosV4FileSystem(wrong=1)
    assert_quiet(caught.value)


def test_what_was_being_handled_keeps_its_variables():
    def fail():
        kept = "kept"
        raise KeyError(kept)

    try:
        fail()
    except KeyError as before:
        with pytest.raises(TypeError):
            CosV4FileSystem(**ACCOUNT, bad_option=1)
        [*_, (frame, _)] = traceback.walk_tb(before.__traceback__)
        assert frame.f_locals["kept"] == "kept"


def answered(answer):
    def provider():
        return answer

    return provider


def failing():
    answer = {"secret_key": KEY}
    raise RuntimeError(f"the vault said {answer}")


PROVIDERS = {
    "fails": failing,
    "no id": answered({"secret_key": KEY, "security_token": TOKEN}),
    "bad time": answered({"secret_id": "i", "secret_key": KEY, "expires": KEY}),
    "text": answered(KEY),
    "token": answered({"secret_id": "i", "secret_key": KEY, "security_token": TOKEN}),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_fails(provider):
    client = CosV4Client.connect(appid="1", region="gz", endpoint="http://127.0.0.1:1", credentials=PROVIDERS[provider])
    with pytest.raises(PermissionError) as caught:
        client.stat("b", "/x")
    assert_quiet(caught.value)
    assert re.search(r"provider of credentials", str(caught.value))


def test_where_a_provider_failed_is_told():
    client = CosV4Client.connect(appid="1", region="gz", credentials=failing)
    with pytest.raises(PermissionError, match=r"RuntimeError in failing \(test_frames.py, line \d+\)"):
        client.stat("b", "/x")


@pytest.mark.parametrize("kind", [CosV4FileSystem, CosV3FileSystem, CofferFileSystem, CosV4Client, CofferClient])
def test_what_was_only_half_made_can_be_shown(kind):
    half = kind.__new__(kind)
    assert kind.__name__ in repr(half)
    assert kind.__name__ in str(half)
    if isinstance(half, ObjectFileSystem):
        assert kind.__name__ in half._repr_html_()


def test_an_instance_that_failed_to_be_made_can_be_shown():
    made = []

    class Watched(CosV4FileSystem):
        cachable = False

        def __init__(self, **options):
            made.append(self)
            super().__init__(**options)

    with pytest.raises(TypeError):
        Watched(**ACCOUNT, bad_option=1)
    assert repr(made[0]) == "<Watched (not initialized)>"


def test_other_secrets_make_another_instance():
    options = {**ACCOUNT, "endpoint": "http://127.0.0.1:1"}
    one, other = (fsspec.filesystem("cosv4", **{**options, "secret_key": key}) for key in (KEY, TOKEN))
    assert one is not other
    assert one._fs_token != other._fs_token
