"""What people read when something is set wrongly: each message has the words that lead to the cause."""

import errno
import importlib.util
import re

import fsspec
import pytest
import urllib3

from cosv4fs.api.connection_errors import connection_failure
from cosv4fs.api.proxies import Proxy, is_loopback, proxy_for
from cosv4fs.api.request import Request
from cosv4fs.cli.failures import describe
from cosv4fs.config import resolve
from cosv4fs.emulator import CofferEmulator, Emulator, faults
from cosv4fs.errors import make_error
from cosv4fs.protocols import CDCS, V3, V4
from tests.support import RawServer, http_reply, raw_client

APPID = "1250000000"


@pytest.fixture(scope="module")
def service():
    with Emulator(buckets=["data"], secret_id="AKIDtests", secret_key="aKey") as running:
        yield running


@pytest.fixture(params=["cosv4", "cosv3"])
def make(request, service):
    """Make filesystems for the service, which differ from a right one in the given options."""
    return lambda **options: fsspec.filesystem(
        request.param, **{**service.storage_options, "max_retries": 0, **options}
    )


def told(action, kind=OSError):
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


class TestRegions:
    @pytest.mark.parametrize("spec", [V4, V3], ids=lambda spec: spec.name)
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("ap-guangzhou", "gz"),
            ("AP-Beijing", "bj"),
            ("ap-beijing-1", "tj"),
            ("ap-tianjin", "tj"),
            ("ap-shanghai", "sh"),
            ("ap-chengdu", "cd"),
            ("ap-singapore", "sgp"),
            ("ap-hongkong", "hk"),
            ("na-toronto", "ca"),
            ("eu-frankfurt", "ger"),
            ("cn-south", "gz"),
            ("sg", "sgp"),
            ("GZ", "gz"),
            ("Guangzhou", "gz"),
            ("new", "new"),
        ],
    )
    def test_codes_and_names(self, spec, name, code):
        assert resolve({"appid": APPID, "anon": True, "region": name}, protocol=spec).region == code

    def test_regions_that_this_api_never_had(self):
        text = told(lambda: resolve({"appid": APPID, "anon": True, "region": "ap-nanjing"}), ValueError)
        assert text.startswith("region must be a region that this API has, such as tj, bj, sh, gz")
        assert text.endswith("not 'ap-nanjing'")

    def test_the_place_of_the_setting(self, monkeypatch):
        monkeypatch.setenv("COSV4_REGION", "ap-nanjing")
        assert "(from the environment)" in told(lambda: resolve({"appid": APPID, "anon": True}), ValueError)

    def test_coffers_have_full_names(self):
        assert resolve({"anon": True, "region": "ap-guangzhou"}, protocol=CDCS).region == "ap-guangzhou"


OPERATIONS = {
    "ls": lambda fs, path: fs.ls(path),
    "cat": lambda fs, path: fs.cat(f"{path}/x"),
    "open": lambda fs, path: fs.open(f"{path}/x"),
    "pipe": lambda fs, path: fs.pipe(f"{path}/x", b"1"),
    "large": lambda fs, path: fs.pipe(f"{path}/x", bytes(5_000_000)),
    "rm": lambda fs, path: fs.rm(f"{path}/x"),
    "mkdir": lambda fs, path: fs.mkdir(f"{path}/x"),
}


@pytest.mark.parametrize("name", OPERATIONS)
class TestAccounts:
    def test_a_bucket_with_its_appid(self, make, name):
        text = told(lambda: OPERATIONS[name](make(), f"data-{APPID}"))
        assert "without the appid" in text
        assert f"'data' for 'data-{APPID}'" in text

    def test_another_bucket(self, make, name):
        text = told(lambda: OPERATIONS[name](make(), "nosuch"))
        assert "no such bucket" in text
        assert "without the appid" not in text

    def test_swapped_keys(self, make, name):
        text = told(lambda: OPERATIONS[name](make(secret_id="aKey", secret_key="AKIDtests"), "data"), PermissionError)
        assert text.count("swapped") == 1
        assert "aKey" not in text

    def test_anonymous_after_a_refusal(self, make, name):
        """As pandas does where botocore is installed."""

        def twice():
            try:
                OPERATIONS[name](make(secret_key="wrong"), "data")
            except PermissionError:
                OPERATIONS[name](make(secret_key="wrong", anon=True), "data")

        text = told(twice, PermissionError)
        assert text.count("a second attempt, without keys, which pandas makes in this case, was refused, too") == 1
        assert re.match(r"(\[Errno \d+\] )?the signature is wrong: check secret_id and secret_key", text)
        # nobody has to know what pandas passed
        assert "anon" not in text
        assert "no signature" not in text

    def test_anonymous_twice(self, make, name):
        """As pandas does although the caller has said so at once: the reason comes once."""

        def twice():
            try:
                OPERATIONS[name](make(anon=True), "data")
            except PermissionError:
                OPERATIONS[name](make(anon=True), "data")

        text = told(twice, PermissionError)
        assert text.count("leave out anon=True") + text.count("name a file in full") >= 1
        assert text.count("no signature") == 1
        assert "second attempt" not in text

    def test_anonymous_at_once(self, make, name):
        text = told(lambda: OPERATIONS[name](make(anon=True), "data"), PermissionError)
        assert "leave out anon=True" in text
        assert "second attempt" not in text
        assert "secret_id" not in text


def test_anonymous_after_missing_keys(monkeypatch):
    def connect(**options):
        return fsspec.filesystem("cosv4", **options)

    def twice():
        try:
            connect(region="gz")
        except PermissionError:
            connect(region="gz", anon=True)

    monkeypatch.delenv("COSV4_APPID", raising=False)
    text = told(twice)
    assert re.search("missing appid, secret_id, secret_key: set COSV4_APPID, .* with the name of a profile$", text)
    assert len(text) < 350


@pytest.mark.parametrize(
    "name", ["ls", "cat_file", "open", "rm", "exists", "info", "isdir", "find", "du", "get_mapper"]
)
@pytest.mark.parametrize(
    "url", ["s3://b/x", "http://host/x", "file:///x", "cosv5://data/x", "simplecache::cosv4://data/x"]
)
def test_urls_of_others(make, name, url):
    text = told(lambda: getattr(make(), name)(url), ValueError)
    assert "another protocol" in text or "chain of URLs" in text
    assert repr(url) in text


@pytest.mark.parametrize("call", ["cp", "mv", "cp_file"])
def test_targets_of_others(make, call):
    fs = make()
    fs.pipe("data/source", b"1")
    assert "another protocol" in told(lambda: getattr(fs, call)("data/source", "s3://b/x"), ValueError)
    assert fs.cat("data/source") == b"1"


@pytest.mark.parametrize("path", ["", "/", "cosv4://"])
def test_no_bucket(service, path):
    fs = fsspec.filesystem("cosv4", **service.storage_options)
    for action in (fs.cat_file, fs.open, lambda path: fs.pipe_file(path, b"1")):
        assert "names no bucket" in told(lambda action=action: action(path))


def test_pages_that_repeat_themselves(make, service):
    fs = make()
    for page, shown in (
        ("<html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>nginx</html>", "502 Bad Gateway nginx)"),
        ("<Error><Code>SlowDown</Code><Message>SlowDown</Message></Error>", "SlowDown)"),
        ("<Error><Code>SlowDown</Code><Message>Wait.</Message></Error>", "SlowDown: Wait.)"),
        ("<Error><Message>Wait.</Message></Error>", "Wait.)"),
    ):
        service.faults.add(action=faults.HttpError(502, body=page))
        assert f"HTTP 502, {shown}" in told(lambda: fs.ls("data"))


class TestLeftoverEndpoints:
    """A variable or a profile leads to another service than the caller has in mind: messages name it and its source."""

    @pytest.fixture(params=["cosv4", "cosv3", "cdcs"])
    def protocol(self, request):
        return request.param

    @pytest.fixture
    def running(self, protocol, service):
        with CofferEmulator() as coffers:
            yield coffers if protocol == "cdcs" else service

    @pytest.fixture
    def leftover(self, protocol, running, monkeypatch):
        monkeypatch.setenv(f"{protocol.upper()}_ENDPOINT", running.endpoint)
        return f"at {running.endpoint}, from {protocol.upper()}_ENDPOINT"

    def filesystem(self, protocol, **options):
        place = {"region": "ap-tianjin"} if protocol == "cdcs" else {"appid": "1251111111", "region": "sh"}
        mine = {**place, "secret_id": "AKIDmine", "secret_key": "x", "max_retries": 0, **options}
        return fsspec.filesystem(protocol, **mine)

    def test_another_account(self, protocol, leftover):
        fs = self.filesystem(protocol)
        for action in (lambda: fs.ls("data"), lambda: fs.cat_file("data/x"), lambda: fs.pipe_file("data/x", b"1")):
            assert leftover in told(action)

    def test_a_bucket_that_the_service_does_not_have(self, protocol, running, leftover):
        # a timeout that no other test has: with equal options it would share the client of theirs
        given = {**running.storage_options, "endpoint": None, "max_retries": 0, "read_timeout": 59}
        fs = fsspec.filesystem(protocol, **given)
        known, unknown = ("examplecoffer-1250000000", "none-1250000000") if protocol == "cdcs" else ("data", "none")
        assert leftover in told(lambda: fs.ls(unknown))
        assert leftover not in told(lambda: fs.ls(f"{known}/none"))

    def test_of_a_profile(self, service, monkeypatch, tmp_path):
        (tmp_path / "profiles.ini").write_text(f"[old]\nendpoint = {service.endpoint}\n")
        monkeypatch.setenv("COSV4_PROFILES", str(tmp_path / "profiles.ini"))
        # as above
        fs = self.filesystem("cosv4", profile="old", read_timeout=58)
        assert f"at {service.endpoint}, from profile 'old'" in told(lambda: fs.ls("data"))

    def test_nobody_listens(self, protocol, monkeypatch, nowhere):
        monkeypatch.setenv(f"{protocol.upper()}_ENDPOINT", f"http://{nowhere}")
        text = told(lambda: self.filesystem(protocol).ls("data"))
        assert f"check endpoint (from {protocol.upper()}_ENDPOINT) and network" in text

    def test_endpoints_that_the_caller_gives_are_not_repeated(self, make):
        assert "127.0.0.1" not in told(lambda: make(secret_key="wrong").ls("data"))


def test_local_targets_are_named_not_their_part_files(make, tmp_path):
    fs = make()
    fs.pipe("data/source", b"1")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        fs.get_file("data/source", str(tmp_path / "folder"))
    assert (
        str(caught.value)
        == f"[Errno {errno.EISDIR}] it is a local directory: name a file in it: {str(tmp_path / 'folder')!r}"
    )
    with pytest.raises(OSError, match="proc/nothing") as caught:
        fs.get_file("data/source", "/proc/nothing")
    assert "part" not in str(caught.value)


class TestSchemes:
    def test_https_to_http(self, make, service):
        text = told(lambda: make(endpoint=service.endpoint.replace("http:", "https:")).ls("data"), ConnectionError)
        assert "does not speak https" in text
        assert "http://" in text

    @pytest.mark.parametrize(
        "reply",
        [
            b"\x15\x03\x03\x00\x02\x02\x28",
            http_reply(b"<h1>The plain HTTP request was sent to HTTPS port</h1>", "400 Bad Request"),
            http_reply(b"Client sent an HTTP request to an HTTPS server.\n", "400 Bad Request"),
        ],
    )
    def test_http_to_https(self, reply):
        with RawServer(reply) as server:
            text = told(lambda: raw_client(server).stat("b", "/x"), ConnectionError)
        assert "speaks https only: use https://" in text


class TestProxies:
    """The target is no host of this machine, so that requests go to the proxy."""

    FAR = "http://far.example:81"
    VARIABLES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")

    @pytest.fixture(autouse=True)
    def no_exceptions(self, monkeypatch):
        for name in (*self.VARIABLES, "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

    def ask(self, make, endpoint=FAR, **options):
        return told(lambda: make(endpoint=endpoint, **options).ls("data"))

    @pytest.mark.parametrize("variable", VARIABLES)
    def test_one_that_is_away(self, make, nowhere, monkeypatch, variable):
        monkeypatch.setenv(variable, f"http://user:pass-word@{nowhere}")
        text = self.ask(make)
        assert f"cannot connect to the proxy http://{nowhere} for far.example:81" in text
        assert "HTTP_PROXY" in text
        assert "NO_PROXY" in text
        assert "pass-word" not in text

    def test_the_option(self, make, nowhere):
        text = self.ask(make, proxies={"http": f"http://user:pass-word@{nowhere}"})
        assert f"the proxy http://{nowhere} for far.example:81; it is set by the option proxies" in text
        assert "NO_PROXY" not in text
        assert "pass-word" not in text

    def test_behind_a_tunnel(self, make, nowhere):
        text = self.ask(make, "https://far.example", proxies={"https": f"http://{nowhere}"})
        assert f"cannot connect to the proxy http://{nowhere} for far.example" in text

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_one_that_wants_a_password(self, make, scheme):
        with RawServer(http_reply(b"<h1>Login</h1>", "407 Proxy Authentication Required")) as proxy:
            text = self.ask(make, f"{scheme}://far.example", proxies={scheme: proxy.endpoint})
            assert proxy.endpoint in text
        assert "the proxy wants a user name and a password" in text

    @pytest.mark.parametrize(
        ("status", "words"), [("403 Forbidden", "refuses"), ("502 Bad Gateway", "does not connect")]
    )
    def test_one_that_refuses_the_tunnel(self, make, status, words):
        with RawServer(http_reply(b"", status)) as proxy:
            text = self.ask(make, "https://far.example", proxies={"https": proxy.endpoint})
            assert proxy.endpoint in text
        assert words in text
        assert status[:3] in text

    @pytest.mark.parametrize(
        "reply", [b"", http_reply(b"<h1>blocked</h1>", "403 Forbidden"), http_reply(b"{", length=99)]
    )
    def test_whatever_comes_back(self, make, reply):
        with RawServer(reply) as proxy:
            assert f"through the proxy {proxy.endpoint}" in self.ask(make, proxies={"http": proxy.endpoint})

    @pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
    def test_socks_without_its_package(self, make):
        text = self.ask(make, proxies={"http": "socks5://user:pass-word@127.0.0.1:9"})
        assert "the proxy socks5://127.0.0.1:9: PySocks is not installed; run pip install pysocks; " in text
        assert "pass-word" not in text

    def test_a_corrected_environment(self, make, service, nowhere, monkeypatch):
        with RawServer(http_reply(b'{"code":0,"data":{"mtime":2}}')) as proxy:
            # of no other test: what it learns stays while its error is kept, and is known to all with the same options
            fs = make(endpoint="http://further.example:81")
            monkeypatch.setenv("http_proxy", f"http://{nowhere}")
            assert "cannot connect to the proxy" in told(lambda: fs.ls("data"))
            monkeypatch.setenv("http_proxy", proxy.endpoint)
            fs.client.stat("data", "/dir/")
            assert proxy.requests

    @pytest.mark.parametrize("variable", VARIABLES)
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_this_machine_is_reached_directly(self, service, nowhere, monkeypatch, variable, host):
        monkeypatch.setenv(variable, f"http://{nowhere}")
        options = {**service.storage_options, "endpoint": service.endpoint.replace("127.0.0.1", host)}
        fs = fsspec.filesystem("cosv4", **options, max_retries=0)
        fs.pipe("data/direct", b"1")
        assert fs.cat("data/direct") == b"1"

    def test_so_are_coffers(self, nowhere, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://{nowhere}")
        with CofferEmulator(coffers=["data-1250000000"]) as running:
            fs = fsspec.filesystem("cdcs", **running.storage_options, max_retries=0)
            assert fs.ls("data-1250000000") == []

    def test_the_password_is_not_shown(self):
        assert str(Proxy("http://user:secret@[::1]:3128", "the option proxies")) == "http://[::1]:3128"

    def test_what_a_socks_proxy_cannot_connect_to(self):
        """With SOCKS it is unknown which of the two cannot be reached."""
        fault = urllib3.exceptions.NewConnectionError(urllib3.connection.HTTPConnection("far"), "refused")
        request = Request("GET", "http://far.example/x", "list", "data", dict)
        proxy = Proxy("socks5://proxy:1080", "the option proxies")
        text = connection_failure(fault, request, proxy, handled=None).error.strerror
        assert text.startswith(
            "cannot connect to far.example through the proxy socks5://proxy:1080: check endpoint and network"
        )

    def test_unless_the_option_says_otherwise(self, service, nowhere):
        fs = fsspec.filesystem("cosv4", **service.storage_options, max_retries=0, proxies={"http": f"http://{nowhere}"})
        assert "cannot connect to the proxy" in told(lambda: fs.ls("data"))


def test_a_proxy_of_the_settings_of_windows_or_macos(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("requests.utils.getproxies", lambda: {"http": "http://proxy:1"})
    assert "it is set by the settings of this system" in proxy_for("http://far.example", None).advice


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.8.7", True),
        ("::1", True),
        ("localhost", True),
        ("data.localhost", True),
        ("0.0.0.0", True),
        ("128.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_loopback(host, is_here):
    assert is_loopback(host) is is_here


def test_the_command_line_shows_local_paths_as_they_are():
    assert describe(make_error(errno.EIO, "failed", "/local/file")) == "/local/file: failed"
    assert describe(make_error(errno.EIO, "failed", "data/file")) == "cosv4://data/file: failed"
