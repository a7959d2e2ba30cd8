"""Where options come from, how they are checked, and where documentation gets them."""

import dataclasses
import inspect
import itertools
import re

import numpy as np
import pytest

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.config import Config, resolve
from cosv4fs.options import MIB, OPTIONS, options_of, variables_of
from cosv4fs.protocols import CDCS, V3, V4

VARIABLES = variables_of(V4)
FILESYSTEMS = [CosV4FileSystem, CosV3FileSystem, CofferFileSystem]
ACCOUNT = {"appid": "1250000000", "secret_id": "theId", "secret_key": "theKey", "region": "gz"}


class Five:
    """An integer of another library."""

    def __index__(self):
        return 5


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


class TestPrecedence:
    def test_options_come_first(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "sh")
        assert resolve(ACCOUNT, {"region": "bj"}).region == "gz"

    def test_then_fsspecs_configuration(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "sh")
        assert resolve({}, ACCOUNT) == resolve(ACCOUNT)

    def test_then_the_environment(self, monkeypatch):
        for name, value in ACCOUNT.items():
            monkeypatch.setenv(VARIABLES[name], value)
        assert resolve({}) == resolve(ACCOUNT)

    def test_fsspec_completes_the_options_with_its_configuration(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "sh")
        assert resolve({**ACCOUNT, "region": "bj"}, {"region": "bj"}).region == "bj"
        assert resolve({**ACCOUNT, "region": "bj"}, {"region": "cd"}).region == "bj"

    def test_an_option_may_have_another_name_in_fsspecs_configuration(self):
        first, second = "http://localhost:1", "http://localhost:2"
        for ours, theirs in itertools.permutations(("endpoint", "endpoint_url")):
            assert resolve({**ACCOUNT, ours: first, theirs: second}, {theirs: second}).endpoint == first
            with pytest.raises(ValueError, match="mean the same"):
                resolve({**ACCOUNT, ours: first, theirs: second})

    def test_none_is_not_given(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "sh")
        assert resolve({**ACCOUNT, "region": None, "slice_size": None}).region == "sh"

    def test_an_empty_variable_is_none(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "")
        assert resolve({}, ACCOUNT).region == "gz"


class TestNormalizing:
    def test_an_appid_from_json(self):
        assert resolve({**ACCOUNT, "appid": 1250000000}) == resolve(ACCOUNT)

    @pytest.mark.parametrize(
        ("long", "short"), [("guangzhou", "gz"), ("Shanghai", "sh"), ("GUANGZHOU", "gz"), ("xx", "xx")]
    )
    def test_regions(self, long, short):
        assert resolve({**ACCOUNT, "region": long}).region == short

    def test_blanks_around_secrets(self):
        assert resolve({**ACCOUNT, "secret_key": " theKey\n"}).secret_key == "theKey"

    def test_a_slash_at_the_end_of_the_endpoint(self):
        assert resolve({**ACCOUNT, "endpoint": "http://h:1/"}).api_root == "http://h:1"

    def test_anon_keeps_no_secrets(self):
        config = resolve({**ACCOUNT, "anon": True})
        assert (config.secret_id, config.secret_key) == ("", "")

    def test_equal_settings_are_equal_configurations(self):
        proxies = {"https": "http://p:1", "http": "http://p:2"}
        one = resolve({**ACCOUNT, "proxies": proxies})
        two = resolve({**ACCOUNT, "proxies": dict(reversed(proxies.items()))})
        assert one == two
        assert hash(one) == hash(two)
        assert one != resolve(ACCOUNT)


class TestText:
    """Profiles, the environment, fsspec's configuration and ``-o`` hold text."""

    @pytest.mark.parametrize("text", ["False", "false", "NO", "off", "0", " Off ", 0])
    def test_false(self, text):
        config = resolve({**ACCOUNT, "use_ssl": text, "verify": text}, {"checksum": text})
        assert (config.use_ssl, config.verify, config.checksum) == (False, False, False)

    @pytest.mark.parametrize("text", ["True", "true", "Yes", "ON", "1", 1])
    def test_true(self, text):
        config = resolve({**ACCOUNT, "anon": text, "verify": text}, {"progress": text})
        assert (config.anon, config.verify, config.progress) == (True, True, True)

    @pytest.mark.parametrize("text", ["", "maybe", "2", "y", 2, 1.0, None, []])
    def test_neither(self, text):
        if text is None:
            assert resolve({**ACCOUNT, "use_ssl": None}).use_ssl is True
            return
        with pytest.raises(ValueError, match=r"use_ssl must be one of true, yes, on, 1 \(true\) or false, no, off, 0 "):
            resolve({**ACCOUNT, "use_ssl": text})

    def test_numbers(self):
        config = resolve({**ACCOUNT, "slice_size": "524288", "read_timeout": "2.5", "max_retries": " 3 "})
        assert (config.slice_size, config.read_timeout, config.max_retries) == (524288, 2.5, 3)

    def test_numbers_of_any_kind(self):
        config = resolve({**ACCOUNT, "max_retries": np.int64(3), "read_timeout": np.float32(2.5), "page_size": Five()})
        assert (config.max_retries, config.read_timeout, config.page_size) == (3, 2.5, 5)
        assert [type(value) for value in (config.max_retries, config.read_timeout)] == [int, float]

    def test_proxies(self):
        assert resolve({**ACCOUNT, "proxies": '{"https": "http://p:1"}'}).proxies == (("https", "http://p:1"),)
        assert resolve({**ACCOUNT, "proxies": "{}"}).proxies == ()

    def test_paths(self, tmp_path):
        config = resolve({**ACCOUNT, "verify": tmp_path, "spool_dir": tmp_path, "journal_dir": "journal"})
        assert (config.verify, config.spool_dir, config.journal_dir) == (str(tmp_path), str(tmp_path), "journal")


class TestTable:
    def test_every_option_has_its_field(self):
        stored = [option.name for option in OPTIONS if option.is_stored]
        assert [field.name for field in dataclasses.fields(Config)] == [*stored, "protocol", "endpoint_source"]
        secret = {option.name for option in OPTIONS if option.is_secret and option.is_stored}
        assert {field.name for field in dataclasses.fields(Config) if not field.repr} == secret

    @pytest.mark.parametrize("protocol", [V4, V3, CDCS], ids=repr)
    def test_every_default_is_valid(self, protocol):
        for option in options_of(protocol):
            default = option.default_in(protocol)
            assert default is None or option.parse(default, protocol) == default, option.name

    def test_names_are_unique(self):
        assert len({option.name for option in OPTIONS}) == len(OPTIONS)

    @pytest.mark.parametrize("kind", FILESYSTEMS)
    def test_signatures_are_those_of_the_table(self, kind):
        *shown, unknown = inspect.signature(kind).parameters.values()
        expected = {
            option.name: f"{option.kind_in(kind.service.protocol).annotation} | None"
            for option in options_of(kind.service.protocol)
        }
        of_fsspec = {"asynchronous": "bool", "loop": "Any", "skip_instance_cache": "bool"}
        assert {parameter.name: parameter.annotation for parameter in shown} == expected | of_fsspec
        assert all(parameter.default is None for parameter in shown if parameter.name not in of_fsspec)
        # so type checkers refuse unknown options, which the constructor has to get to tell what was meant
        assert (unknown.kind, unknown.annotation) == (unknown.VAR_KEYWORD, "NoReturn")
        positional = [parameter.name for parameter in shown if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        assert positional == [name for name in variables_of(kind.service.protocol) if name != "security_token"]

    @pytest.mark.parametrize("kind", FILESYSTEMS)
    def test_help_describes_every_parameter(self, kind):
        section = kind.__doc__.partition("\nParameters\n----------\n")[2].partition("\nRaises\n------\n")[0]
        described = re.findall(r"^(\w.*?) : ", section, re.MULTILINE)
        *names, _unknown = inspect.signature(kind).parameters
        assert sorted(", ".join(described).split(", ")) == sorted(names)
        for option in options_of(kind.service.protocol):
            assert option.meaning_in(kind.service.protocol) in " ".join(section.split())

    @pytest.mark.parametrize("kind", FILESYSTEMS)
    def test_help_describes_no_other_service(self, kind):
        own, section = kind.service.protocol, kind.__doc__.partition("\nParameters\n")[2].partition("\nRaises\n")[0]
        assert ("coffers" in section.lower()) == (own is CDCS)
        assert own is V3 or "v3" not in section
        named = re.findall(r"`(\w+)`", section)
        assert {option.name for option in OPTIONS} & {*named} <= {option.name for option in options_of(own)}

    def test_a_subclass_has_its_own_signature(self):
        class Sub(CosV4FileSystem):
            def __init__(self, folder, **options):
                super().__init__(**options)

        assert str(inspect.signature(Sub)) == "(folder, **options)"


class TestRoots:
    def test_the_vendors_hosts(self):
        config = resolve(ACCOUNT)
        assert config.api_root == "https://gz.file.myqcloud.com"
        assert config.download_root("b") == ("https://b-1250000000.cosgz.myqcloud.com", None)
        assert resolve({**ACCOUNT, "use_ssl": False}).api_root == "http://gz.file.myqcloud.com"

    def test_an_endpoint(self):
        config = resolve({**ACCOUNT, "endpoint": "http://h:1"})
        assert config.download_root("b") == ("http://h:1", "b-1250000000.cosgz.myqcloud.com")

    def test_a_download_endpoint(self):
        config = resolve({**ACCOUNT, "download_endpoint": "https://{bucket}-{appid}.file.myqcloud.com"})
        assert config.download_root("b") == ("https://b-1250000000.file.myqcloud.com", None)


class TestRefusals:
    @pytest.mark.parametrize("missing", [["appid"], ["secret_key"], ["secret_id", "secret_key"], list(ACCOUNT)])
    def test_every_missing_value_is_named(self, missing):
        with pytest.raises(PermissionError, match="missing") as caught:
            resolve({name: value for name, value in ACCOUNT.items() if name not in missing})
        text = str(caught.value)
        for name in ACCOUNT:
            assert (f"{name}=" in text) == (name in missing)
            assert (VARIABLES[name] in text) == (name in missing)
        assert isinstance(caught.value, ValueError)
        assert "theKey" not in text

    def test_anon_needs_an_appid(self):
        resolve({"appid": 1, "region": "gz", "anon": True})
        with pytest.raises(PermissionError, match="appid"):
            resolve({"region": "gz", "anon": True})

    @pytest.mark.parametrize(
        ("region", "protocol", "told"),
        [
            ("guangzou", V4, "region 'guangzou' (did you mean guangzhou?)"),
            ("gx", V4, "region 'gx' (did you mean gz?)"),
            ("gz", V4, "region 'gz'"),
            ("ap-tianjn", CDCS, "region 'ap-tianjn' (did you mean ap-tianjin?)"),
        ],
    )
    def test_what_to_check_if_no_host_is_found(self, region, protocol, told):
        account = {name: value for name, value in ACCOUNT.items() if protocol.has_appid or name != "appid"}
        config = resolve({**account, "region": region}, protocol=protocol)
        assert config.origin_of(f"{config.api_root}/x") == told
        config = resolve({**account, "region": region, "endpoint": "http://h:1"}, protocol=protocol)
        assert config.origin_of(f"{config.api_root}/x") == "endpoint"

    def test_an_endpoint_needs_no_region(self):
        resolve({**ACCOUNT, "region": None, "endpoint": "http://h:1"})

    def test_an_unknown_option(self):
        with pytest.raises(TypeError, match=r"^unknown option slicesize: did you mean slice_size\?$"):
            resolve({**ACCOUNT, "slicesize": MIB})
        with pytest.raises(TypeError, match="slice_size"):
            resolve({**ACCOUNT, "slicesize": None})
        with pytest.raises(TypeError, match=r"^unknown option zzz: pydoc cosv4fs\.\w+ lists all options$"):
            resolve({**ACCOUNT, "zzz": 1})

    @pytest.mark.parametrize(
        ("name", "own"), [("key", "secret_id"), ("secret", "secret_key"), ("client_kwargs", "endpoint")]
    )
    def test_the_names_of_s3fs(self, name, own):
        with pytest.raises(TypeError, match=f"^unknown option {name}: use {own}"):
            resolve({**ACCOUNT, name: "x"})

    @pytest.mark.parametrize(
        ("name", "value", "why"),
        [
            ("security_token", "x", "no temporary keys"),
            ("streaming", "never", "SHA-1 of the whole object before its first slice"),
            ("checksum", True, "always needs the SHA-1"),
            ("instant_upload", False, "always recognizes content"),
        ],
    )
    def test_options_that_do_nothing_for_v3(self, name, value, why):
        with pytest.raises(ValueError, match=f"{name} is not an option of cosv3: .*{why}"):
            resolve({**ACCOUNT, name: value}, protocol=V3)
        assert resolve({**ACCOUNT, name: None}, protocol=V3) == resolve(ACCOUNT, protocol=V3)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("appid", "me"),
            ("endpoint", "h:1"),
            ("endpoint", "ftp://h"),
            ("endpoint", "http://"),
            ("endpoint", "http://h:99999"),
            ("endpoint", "http://h:port"),
            ("download_endpoint", "h"),
            ("download_endpoint", "https://{bukket}.h"),
            ("download_endpoint", "https://{bucket.h"),
            ("slice_size", 1000),
            ("slice_size", 0),
            ("single_upload_limit", -1),
            ("single_upload_limit", 21 * MIB),
            ("max_concurrency", 0),
            ("max_requests", -1),
            ("range_size", 0),
            ("page_size", 0),
            ("sign_expiry", 0),
            ("max_retries", -1),
            ("spool_memory", -1),
            ("retry_deadline", -0.1),
            ("listings_expiry_time", -1),
            ("connect_timeout", 0),
            ("read_timeout", -1),
            ("read_timeout", "soon"),
            ("max_concurrency", "many"),
            ("streaming", "sometimes"),
            ("max_retries", 1.5),
            ("max_retries", np.float64(1)),
            ("read_timeout", np.array([1.0, 2.0])),
            ("endpoint", "http://127.0.0.1:1/files/v2"),
            ("endpoint", "http://127.0.0.1:1?x=1"),
            ("endpoint", "http://127.0.0.1:1/#x"),
            ("download_endpoint", "http://{bucket.x}"),
            ("proxies", {"HTTP": "http://p:1"}),
            ("proxies", {"no_proxy": "p:1"}),
        ],
    )
    def test_invalid_values(self, name, value):
        with pytest.raises(ValueError, match=name):
            resolve({**ACCOUNT, name: value})


def test_nothing_secret_is_shown():
    config = resolve({**ACCOUNT, "proxies": {"http": "http://user:pass@p:1"}})
    for shown in (repr(config), str(config), f"{config}"):
        assert "theKey" not in shown
        assert "theId" not in shown
        assert "pass" not in shown
    assert isinstance(config, Config)
