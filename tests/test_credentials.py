"""Where an account comes from: options, profiles, the environment, fsspec's configuration, a function."""

import traceback
from datetime import datetime, timedelta, timezone

import fsspec
import pytest
from fsspec.config import conf, set_conf_env

from cosv4fs.api.credentials import SignerBase
from cosv4fs.config import resolve
from cosv4fs.emulator import Emulator
from cosv4fs.options import variables_of
from cosv4fs.protocols import CDCS, V3, V4

VARIABLES = variables_of(V4)
ACCOUNT = {"appid": "1250000000", "secret_id": "id", "secret_key": "key", "region": "gz"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    for name in (*VARIABLES.values(), "COSV4_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COSV4_PROFILES", str(tmp_path / "profiles.ini"))


@pytest.fixture
def profiles(tmp_path):
    def write(text):
        (tmp_path / "profiles.ini").write_text(text, encoding="utf-8")

    return write


ARCHIVE = """
[archive]
appid = 0125
secret_id = profile%id
secret_key = profile=key
region = shanghai
max_concurrency = 24
use_ssl = Off
"""


class TestProfiles:
    def test_a_named_one(self, profiles):
        profiles(ARCHIVE)
        config = resolve({"profile": "archive"})
        assert (config.appid, config.secret_id, config.secret_key) == ("0125", "profile%id", "profile=key")
        assert (config.region, config.max_concurrency, config.use_ssl) == ("sh", 24, False)

    def test_a_file_of_an_editor_of_windows(self, profiles):
        profiles("\ufeff" + ARCHIVE.lstrip().replace("\n", "\r\n"))
        assert resolve({"profile": "archive"}).secret_key == "profile=key"

    def test_the_environment_names_one(self, profiles, monkeypatch):
        profiles(ARCHIVE)
        monkeypatch.setenv("COSV4_PROFILE", "archive")
        assert resolve({}).appid == "0125"
        assert resolve({"appid": "7"}).appid == "7"

    def test_precedence(self, profiles, monkeypatch):
        profiles(ARCHIVE)
        monkeypatch.setenv("COSV4_APPID", "9")
        assert resolve({"profile": "archive", "appid": "7"}).appid == "7"
        assert resolve({"profile": "archive"}).appid == "0125"
        assert resolve({"profile": "archive"}, {"appid": "3"}).appid == "3"
        assert resolve({"profile": "archive", "appid": "7"}, {"appid": "3"}).appid == "7"
        monkeypatch.setenv("COSV4_PROFILE", "archive")
        assert resolve({}, {"appid": "3"}).appid == "3"
        monkeypatch.setenv("COSV4_REGION", "bj")
        assert (resolve({}).appid, resolve({}).region) == ("9", "bj")
        monkeypatch.delenv("COSV4_APPID")
        assert resolve({}).appid == "0125"

    def test_fsspecs_configuration_names_one(self, profiles):
        profiles(ARCHIVE)
        assert resolve({}, {"profile": "archive"}).appid == "0125"
        assert resolve({"profile": "archive"}, {"profile": "archive"}).appid == "0125"

    def test_an_option_that_equals_the_configuration_is_still_one(self, monkeypatch):
        monkeypatch.setitem(conf, "cosv4", {**ACCOUNT, "endpoint": "http://localhost:1"})
        monkeypatch.setenv("COSV4_ENDPOINT", "http://localhost:2")
        monkeypatch.setenv("COSV4_SECRET_ID", "another")
        for options in ({}, {"endpoint": "http://localhost:1", **ACCOUNT}):
            config = fsspec.filesystem("cosv4", **options, skip_instance_cache=True).config
            assert (config.endpoint, config.secret_id) == ("http://localhost:1", ACCOUNT["secret_id"])

    def test_the_section_default_completes_an_account(self, profiles, monkeypatch):
        profiles(ARCHIVE.replace("[archive]", "[default]") + "[other]\nappid = 8\n")
        assert resolve({}) == resolve({"profile": "default"})
        # it comes last
        monkeypatch.setenv("COSV4_APPID", "9")
        config = resolve({"secret_id": "mine", "secret_key": "mine"}, {"max_concurrency": 3})
        assert (config.appid, config.secret_id, config.max_concurrency, config.region) == ("9", "mine", 3, "sh")

    def test_the_section_default_changes_nothing_that_is_complete(self, profiles, monkeypatch):
        profiles("[default]\nappid = 8\nendpoint = http://elsewhere:1\nmax_concurrency = 24\nanon = true\n[other]\n")
        assert (resolve(ACCOUNT).endpoint, resolve(ACCOUNT).max_concurrency) == ("", 12)
        # nor one for which another profile is named
        partly = {name: value for name, value in ACCOUNT.items() if name != "appid"}
        with pytest.raises(PermissionError, match="missing appid"):
            resolve({**partly, "profile": "other"})
        with pytest.raises(PermissionError, match="missing appid"):
            resolve(partly, {"profile": "other"})
        monkeypatch.setenv("COSV4_PROFILE", "other")
        with pytest.raises(PermissionError, match="missing appid"):
            resolve(partly)

    def test_a_token_of_the_section_default_stays_with_its_key(self, profiles):
        profiles("[default]\nsecret_id = id\nsecret_key = key\nsecurity_token = token\nregion = ap-tianjin\n")
        assert resolve({}, protocol=CDCS).security_token == "token"
        assert resolve({"secret_id": "mine", "secret_key": "mine"}, protocol=CDCS).security_token == ""

    @pytest.mark.parametrize("text", [None, "", "[archive]\nappid = 1\n", "a folder"])
    def test_without_a_section_default(self, profiles, tmp_path, text):
        if text == "a folder":
            (tmp_path / "profiles.ini").mkdir()
        elif text is not None:
            profiles(text)
        with pytest.raises(PermissionError, match="missing appid, secret_id"):
            resolve({})

    def test_missing(self, profiles, tmp_path):
        with pytest.raises(ValueError, match=r"no profile 'archive'.*profiles.ini does not exist"):
            resolve({"profile": "archive"})
        profiles("[one]\n[two]\n")
        with pytest.raises(ValueError, match="there are: one, two"):
            resolve({"profile": "archive"})

    @pytest.mark.parametrize("text", ["no section = 1", "[a]\nsecret_key hidden\n", "[a]\nx=1\nx=hidden\n"])
    def test_a_broken_file_shows_no_secret(self, profiles, text):
        profiles(text)
        with pytest.raises(ValueError, match="cannot be read") as caught:
            resolve({"profile": "a"})
        assert "hidden" not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(ValueError, match="cannot be read") as caught:
            resolve({})
        assert "hidden" not in "".join(traceback.format_exception(caught.value))

    def test_errors_name_the_profile(self, profiles, monkeypatch):
        profiles("[a]\nnonsense = 1\n[b]\nuse_ssl = maybe\n")
        with pytest.raises(TypeError, match=r"nonsense.* \(from profile 'a'\)$"):
            resolve({"profile": "a"})
        monkeypatch.setenv("COSV4_PROFILE", "b")
        with pytest.raises(ValueError, match=r"use_ssl.*'maybe' \(from profile 'b'\)$"):
            resolve(ACCOUNT)
        assert resolve({**ACCOUNT, "use_ssl": True}).use_ssl is True


def test_errors_name_the_environment_and_the_configuration(monkeypatch):
    with pytest.raises(ValueError, match=r"max_retries.*\(from fsspec's configuration\)$"):
        resolve({**ACCOUNT, "max_retries": "many"}, {"max_retries": "many"})
    monkeypatch.setenv("COSV4_ENDPOINT", "localhost")
    with pytest.raises(ValueError, match=r"endpoint.*\(from the environment\)$"):
        resolve(ACCOUNT)


def test_endpoint_url():
    assert resolve({**ACCOUNT, "endpoint_url": "http://localhost:1"}).endpoint == "http://localhost:1"
    with pytest.raises(ValueError, match="endpoint_url"):
        resolve({**ACCOUNT, "endpoint_url": "http://localhost:1", "endpoint": "http://localhost:2"})


def test_variables_of_fsspec(monkeypatch):
    names = {f"FSSPEC_COSV4_{name.upper()}": value for name, value in ACCOUNT.items()}
    # as fsspec does when it is imported
    monkeypatch.setitem(conf, "cosv4", {})
    set_conf_env(conf, names)
    config = repr(fsspec.filesystem("cosv4").config)
    assert "appid='1250000000'" in config
    assert "key" not in config.replace("secret_key", "")


@pytest.mark.parametrize(
    ("protocol", "name", "advice"),
    [
        (V4, "COSV4_MAX_CONCURRENCY", "use FSSPEC_COSV4_MAX_CONCURRENCY, or a profile"),
        (V4, "COSV4_ENDPOINT_URL", "use COSV4_ENDPOINT"),
        (V4, "COSV4_SECRETKEY", "use COSV4_SECRET_KEY"),
        (V4, "COSV4_APP_ID", "use COSV4_APPID"),
        (V4, "COSV4_SECURITY_TOKEN", "the JSON API of COS has no temporary keys"),
        (V3, "COSV3_PROFILES", "use COSV4_PROFILES"),
        (V3, "COSV3_MAX_RETRY", "use FSSPEC_COSV3_MAX_RETRIES, or a profile"),
        (CDCS, "CDCS_APPID", "coffers are named in full, as in name-1250000000"),
    ],
)
def test_variables_that_are_ignored_are_warned_of_once(monkeypatch, caplog, protocol, name, advice):
    monkeypatch.setenv(name, "12")
    account = {name: value for name, value in ACCOUNT.items() if name in variables_of(protocol)}
    for _ in range(2):
        resolve(account, protocol=protocol)
    assert caplog.messages == [f"the environment variable {name} is ignored: {advice}"]


def test_variables_of_others_are_nobodys_business(monkeypatch, caplog):
    for name in ("COSV4_TEST_BUCKET", "COSV4_HOME", "COSV4_PROFILES", "CDCS_APPID", "COSV4_REGION"):
        monkeypatch.setenv(name, "gz")
    resolve(ACCOUNT)
    assert caplog.messages == []


class Provider:
    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def __call__(self):
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def ring(provider, clock):
    config = resolve({"appid": "1", "region": "gz", "credentials": provider})
    return SignerBase(config, lambda: clock[0])


def keys(number, expires=None):
    return {"secret_id": f"id{number}", "secret_key": f"key{number}", "expires": expires}


class TestProvider:
    def test_keys_that_never_expire_are_asked_for_once(self):
        provider, clock = Provider(keys(1)), [0.0]
        found = ring(provider, clock)
        assert provider.asked == 0
        assert found.current_keys().secret_key == "key1"
        clock[0] = 1e9
        assert found.current_keys().secret_id == "id1"
        assert provider.asked == 1

    def test_keys_are_renewed_before_they_expire(self):
        provider, clock = Provider(keys(1, 3600), keys(2, datetime.fromtimestamp(7200, timezone.utc))), [0.0]
        found = ring(provider, clock)
        assert found.current_keys().secret_id == "id1"
        clock[0] = 3500.0
        assert found.current_keys().secret_id == "id1"
        clock[0] = 3541.0
        assert found.current_keys().secret_id == "id2"
        clock[0] = 7000.0
        assert found.current_keys().secret_id == "id2"
        assert provider.asked == 2

    @pytest.mark.parametrize(
        ("answer", "missing"),
        [({}, "secret_id and no secret_key"), ({"secret_id": "hidden", "secret_key": ""}, "secret_key")],
    )
    def test_an_incomplete_answer(self, answer, missing):
        with pytest.raises(PermissionError, match=f"returned no {missing}; .* and, if they expire, expires") as caught:
            ring(Provider(answer), [0.0]).current_keys()
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("answer", [RuntimeError("hidden"), None, keys(1, "hidden"), "hidden"])
    def test_a_provider_that_fails(self, answer):
        with pytest.raises(PermissionError, match="provider of credentials failed") as caught:
            ring(Provider(answer), [0.0]).current_keys()
        assert "hidden" not in str(caught.value)

    def test_it_is_asked_again_after_a_failure(self):
        found = ring(Provider(RuntimeError(), keys(2)), [0.0])
        with pytest.raises(PermissionError):
            found.current_keys()
        assert found.current_keys().secret_id == "id2"

    def test_no_callable(self):
        with pytest.raises(TypeError, match="callable"):
            resolve({"appid": "1", "region": "gz", "credentials": {"secret_id": "x"}})

    def test_requests_are_signed_with_what_it_says(self):
        with Emulator(buckets=["box"]) as emulator:
            account = dict(emulator.storage_options)
            good = {name: account.pop(name) for name in ("secret_id", "secret_key")}
            soon = datetime.now(timezone.utc) + timedelta(hours=1)
            provider = Provider({**good, "expires": soon})
            fs = fsspec.filesystem("cosv4", **account, credentials=provider)
            fs.pipe_file("box/a", b"a")
            fs.rm_file("box/a")
            assert provider.asked == 1
            with pytest.raises(TypeError, match="pickle"):
                fs.to_json()
            assert good["secret_key"] not in repr(fs.config) + repr(fs) + str(fs.to_dict(include_password=False))
            wrong = fsspec.filesystem("cosv4", **account, credentials=Provider(keys(1)))
            with pytest.raises(PermissionError, match="secret_id"):
                wrong.ls("box")
