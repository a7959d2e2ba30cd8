"""Configuration of coffers: hosts, variables, profiles, tokens, and options that are refused."""

import pytest

from cosv4fs import CofferFileSystem
from cosv4fs.api.credentials import SignerBase
from cosv4fs.config import resolve
from cosv4fs.errors import MissingCredentialsError
from cosv4fs.options import MIB, variables_of
from cosv4fs.protocols import CDCS, V3, V4

ACCOUNT = {"secret_id": "theId", "secret_key": "theKey", "region": "ap-tianjin"}
COS_ACCOUNT = {**ACCOUNT, "region": "gz", "appid": "1250000000"}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch, tmp_path):
    for protocol in (V3, V4, CDCS):
        for name in (*variables_of(protocol).values(), f"{protocol.name.upper()}_PROFILE"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COSV4_PROFILES", str(tmp_path / "profiles.ini"))


def coffers(**options):
    return resolve({**ACCOUNT, **options}, protocol=CDCS)


def test_hosts():
    config = coffers()
    assert config.api_root == "https://cdcs.ap-tianjin.myqcloud.com"
    assert config.service_root == "https://service.cdcs.myqcloud.com"
    assert coffers(use_ssl=False).service_root == "http://service.cdcs.myqcloud.com"
    local = coffers(endpoint="http://127.0.0.1:8080/", region=None)
    assert local.api_root == local.service_root == "http://127.0.0.1:8080"


def test_other_services_have_one_host():
    assert resolve(COS_ACCOUNT).service_root == resolve(COS_ACCOUNT).api_root


def test_the_environment(monkeypatch):
    given = {**ACCOUNT, "endpoint": "http://h:1", "security_token": "theToken"}
    for name, value in given.items():
        monkeypatch.setenv(f"CDCS_{name.upper()}", value)
    monkeypatch.setenv("CDCS_APPID", "7")
    config = resolve({}, protocol=CDCS)
    assert {name: getattr(config, name) for name in given} == given
    with pytest.raises(MissingCredentialsError):
        resolve({})


def test_the_environment_is_a_part_of_the_identity(monkeypatch):
    first = CofferFileSystem(**ACCOUNT)
    monkeypatch.setenv("COSV4_REGION", "gz")
    assert CofferFileSystem(**ACCOUNT) is first
    monkeypatch.setenv("CDCS_SECURITY_TOKEN", "x")
    assert CofferFileSystem(**ACCOUNT) is not first


def test_a_profile(monkeypatch, tmp_path):
    lines = ["[vault]", *(f"{name} = {value}" for name, value in ACCOUNT.items()), "security_token = 0123"]
    (tmp_path / "profiles.ini").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("CDCS_PROFILE", "vault")
    assert resolve({}, protocol=CDCS) == coffers(security_token="0123")


def test_a_token_stays_with_its_key(monkeypatch):
    monkeypatch.setenv("CDCS_SECRET_ID", "temporary")
    monkeypatch.setenv("CDCS_SECRET_KEY", "key")
    monkeypatch.setenv("CDCS_SECURITY_TOKEN", "theToken")
    assert resolve({"region": "r"}, protocol=CDCS).security_token == "theToken"
    assert coffers().security_token == ""
    assert resolve({"region": "r", "security_token": "other"}, protocol=CDCS).security_token == "other"


def test_missing_credentials():
    with pytest.raises(MissingCredentialsError, match="missing secret_id, secret_key, region: set CDCS_") as caught:
        resolve({}, protocol=CDCS)
    assert "appid" not in str(caught.value)
    assert coffers(anon=True, security_token="x").security_token == ""


@pytest.mark.parametrize("region", ["ap-tianjin", "tianjin", "eu-frankfurt"])
def test_region_names_are_not_translated(region):
    assert coffers(region=region).region == region


def test_an_invalid_region():
    with pytest.raises(ValueError, match="like ap-tianjin"):
        coffers(region="a.b")


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("appid", "1250000000", "named in full, as in name-1250000000"),
        ("download_endpoint", "http://h:1", "set endpoint"),
        ("streaming", "auto", "unknown size"),
        ("checksum", False, "MD5"),
        ("instant_upload", True, "does not recognize"),
    ],
)
def test_refused_options(option, value, why):
    with pytest.raises(ValueError, match=f"{option} is not an option of cdcs: .*{why}"):
        coffers(**{option: value})
    assert coffers(**{option: None}) == coffers()


@pytest.mark.parametrize("protocol", [V3, V4])
def test_buckets_refuse_a_token(protocol):
    with pytest.raises(ValueError, match=f"security_token is not an option of {protocol.name}: .*no temporary keys"):
        resolve({**COS_ACCOUNT, "security_token": "x"}, protocol=protocol)
    answer = {"secret_id": "a", "secret_key": "b", "security_token": "theToken"}
    config = resolve({"appid": "1", "region": "gz", "credentials": lambda: answer}, protocol=protocol)
    with pytest.raises(PermissionError, match="no temporary keys") as caught:
        SignerBase(config, lambda: 0.0).current_keys()
    assert "theToken" not in str(caught.value)


def test_sizes():
    assert (coffers().slice_size, coffers().single_upload_limit) == (8 * MIB, 8 * MIB)
    assert (resolve(COS_ACCOUNT).slice_size, resolve(COS_ACCOUNT).single_upload_limit) == (3 * MIB, 4 * MIB)
    assert coffers(slice_size=5 * MIB + 1, single_upload_limit=5 * 10**9).slice_size == 5 * MIB + 1
    for option, value in (
        ("slice_size", MIB - 1),
        ("slice_size", 5 * 10**9 + 1),
        ("single_upload_limit", 5 * 10**9 + 1),
    ):
        with pytest.raises(ValueError, match=option):
            coffers(**{option: value})


def test_secrets_are_not_shown():
    config = coffers(security_token="theToken")
    assert "theToken" not in repr(config)
    assert "theToken" not in repr(config.security_token)
    for broken in ("the\nToken", "the\x00Token"):
        with pytest.raises(ValueError, match="security_token must be printable text") as caught:
            coffers(security_token=broken)
        assert "Token'" not in str(caught.value)
