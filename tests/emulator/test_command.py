"""The command, the dialect's settings, and the pytest plug-in."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import fsspec
import pytest

from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator
from cosv4fs.emulator.__main__ import main
from cosv4fs.emulator.service import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY

from .client import SECRET_ID, SECRET_KEY, Client, sign
from .coffers import COFFER
from .services import Standalone

pytest_plugins = ["pytester"]


SIGNALLED_IN_A_THREAD = """
import signal, sys, threading
from cosv4fs.emulator.__main__ import main

def tell():
    # the command waits by then, or soon: only a signal that comes into its wait is no news
    while True:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if done.wait(0.5):
            break

done = threading.Event()
# a signal that comes before the command handles them, or after it has, ends nothing
signal.signal(signal.SIGTERM, lambda *_: None)
threading.Timer(0.2, tell).start()
main(["--port", "0"])
done.set()
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs pthread_kill")
def test_a_signal_that_another_thread_gets():
    done = subprocess.run([sys.executable, "-c", SIGNALLED_IN_A_THREAD], capture_output=True, timeout=60, check=True)
    assert b"listening on" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_start_and_stop(tmp_path, number):
    more = ["--public-bucket", "open", "--verbose", "--region", "sh", "--dialect", "slice_size=65536"]
    server = Standalone(tmp_path, "second", "--bucket", "third", "--dialect", "parents=required", *more)
    now = int(time.time())
    for bucket in ("b", "second", "third", "open"):
        client = Client(server, bucket)
        url = client.upload("/f", b"x", signature=sign(bucket, e=now + 600, t=now)).data["source_url"]
        assert ".cossh." in url
    assert client.download("/f", signature="").body == b"x"
    assert client.upload("/d/f", b"x", signature=sign(bucket, e=now + 600, t=now)).code == -197
    code, out, err = server.end(number)
    assert (code, out) == (0, "")
    assert "upload -> 200 code 0" in err
    assert SECRET_ID not in err
    assert SECRET_KEY not in err


def test_coffers(tmp_path):
    more = ["--coffer", "second-1250000000", "--verbose", "--coffer-dialect", "coffer_exists=CofferAlreadyExists"]
    server = Standalone(tmp_path, *more, kind="coffers")
    service = server.service("coffers")
    assert service.client.make("second-1250000000").code == "CofferAlreadyExists"
    assert service.put("f").ok
    buckets, coffers = server.endpoints
    assert server.lines[3::2] == [
        f"export COSV4_APPID=1250000000 COSV4_REGION=gz COSV4_ENDPOINT={buckets}",
        f"export COSV3_APPID=1250000000 COSV3_REGION=gz COSV3_ENDPOINT={buckets}",
        f"export CDCS_REGION=ap-tianjin CDCS_ENDPOINT={coffers}",
    ]
    assert (tmp_path / "coffers" / "emulator.sqlite").exists()
    code, out, err = server.end()
    assert (code, out) == (0, "")
    assert f"PUT {COFFER}:/f PutObject -> 200" in err
    assert SECRET_KEY not in err


def test_a_client_can_use_what_is_printed(tmp_path):
    server = Standalone(tmp_path, with_keys=False)
    assert server.lines[2] == (
        f"export COSV4_APPID=1250000000 COSV4_SECRET_ID={DEFAULT_SECRET_ID} COSV4_SECRET_KEY={DEFAULT_SECRET_KEY} "
        f"COSV4_REGION=gz COSV4_ENDPOINT={server.endpoint}"
    )
    for prefix, line in (("COSV4", server.lines[2]), ("COSV3", server.lines[4])):
        account = dict(pair.split("=", 1) for pair in line.split()[1:])
        options = {name.removeprefix(f"{prefix}_").lower(): value for name, value in account.items()}
        assert fsspec.filesystem(prefix.lower(), **options).ls("b") == []
    server.end()


def test_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    first, account, others, dialects, switches = re.split(r"\n\n(?=account|network|dialects|Dialect)", text)
    # what most people need is the first part, without the rest
    assert re.findall(r"^  (--\w+)", first.partition("options:")[2], re.MULTILINE) == [
        "--root", "--port", "--bucket", "--coffer", "--verbose", "--quiet"
    ]  # fmt: skip
    assert all(
        option in account for option in ("--appid", "--secret-id", "--secret-key", "--region", "--public-bucket")
    )
    assert all(option in others for option in ("--host", "--coffer-port", "--fsync", "--no-fsync"))
    assert all(option in dialects for option in ("--dialect", "--coffer-dialect"))
    assert "parents=implicit|virtual|required" in switches
    assert text.count("default") >= 11


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dialect", "nonsense=1"], "unknown dialect switch"),
        (["--dialect", "parents"], "NAME=VALUE"),
        (["--dialect", "parents=x"], "one of implicit, virtual, required"),
        (["--dialect", "slice_size=x"], "None or a positive number, not 'x'"),
        (["--dialect", "slice_size=-1"], "positive number"),
        (["--appid", "x"], "appid"),
        (["--bucket", "a/b"], "bucket"),
        (["--root", "/dev/null/x"], "cannot use the folder"),
        (["--host", "256.256.256.256"], "cannot listen"),
        (["--coffer", "Bad"], "names no coffer"),
        (["--coffer-port", "5"], "need --coffer"),
        (["--coffer", COFFER, "--coffer-dialect", "x=1"], "unknown dialect switch"),
        (["--coffer", COFFER, "--root", "/dev/null/x"], "cannot use the folder"),
    ],
)
def test_invalid_arguments(capsys, arguments, text):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err
    assert captured.err.count("\n") == 1


def test_port_and_folder_in_use(capsys, tmp_path):
    with Emulator(tmp_path) as emulator:
        assert main(["--port", str(emulator.port)]) == 2
        assert "cannot listen" in capsys.readouterr().err
        assert main(["--root", str(tmp_path)]) == 2
        assert "another emulator" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["--port", "65536"])
    assert caught.value.code == 2


def test_loopback():
    assert Emulator().is_loopback()
    assert Emulator(host="localhost").is_loopback()
    assert not Emulator(host="0.0.0.0").is_loopback()


@pytest.mark.parametrize(
    ("host", "found"),
    [("localhost", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("example.com", "example.com")],
)
def test_clients_on_windows_find_it(host, found):
    assert Emulator(host=host, port=9000).endpoint == f"http://{found}:9000"


def test_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with Emulator(host="::1", secret_id=SECRET_ID, secret_key=SECRET_KEY) as emulator:
        assert emulator.endpoint.startswith("http://[::1]:")
        now = int(time.time())
        assert Client(emulator, "data").upload("/f", b"x", signature=sign("data", e=now + 600, t=now)).code == 0


def test_dialect_settings():
    dialect = Dialect.parse(
        ["parents=virtual", "session-ttl=1.5", "serial_upload=true", "exists_code=-177", "max_name=none"]
    )
    assert dialect == Dialect(parents="virtual", session_ttl=1.5, serial_upload=True, exists_code=-177)
    coffers = CofferDialect.parse(["listing-lag=2", "open_ranges=ignore", "complete_whitespace=true"])
    assert coffers == CofferDialect(listing_lag=2, open_ranges="ignore", complete_whitespace=True)
    assert Dialect.choices()["bad_range"] == ("416", "200")
    assert all(values[0] == getattr(Dialect(), name) for name, values in Dialect.choices().items())


@pytest.mark.parametrize(
    ("dialect", "values"),
    [
        (Dialect, {"parents": "x"}),
        (Dialect, {"serial_upload": 1}),
        (Dialect, {"slice_size": 0}),
        (Dialect, {"slice_size": 1.5}),
        (Dialect, {"slice_size": True}),
        (Dialect, {"max_list": 200}),
        (CofferDialect, {"booleans": "maybe"}),
        (CofferDialect, {"listing_lag": 0}),
        (CofferDialect, {"listing_lag": 1.5}),
        (CofferDialect, {"smallest_part": None}),
    ],
)
def test_dialect_refuses_invalid_values(dialect, values):
    with pytest.raises(ValueError, match="dialect switch"):
        dialect(**values)


@pytest.mark.parametrize(
    ("kind", "dialect", "expected"),
    [
        (Emulator, {"times": "string"}, "a Dialect, .* not a dict"),
        (CofferEmulator, Dialect(), "a CofferDialect, "),
    ],
)
def test_a_service_refuses_what_is_no_dialect_of_its_own(kind, dialect, expected):
    with pytest.raises(TypeError, match=f"dialect must be {expected}"):
        kind(dialect=dialect)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Emulator(coffers=["a-1250000000"]), "Emulator takes no option coffers: it takes root, buckets, "),
        (lambda: Emulator(token="x"), "Emulator takes no option token"),
        (lambda: Emulator(bukets=["a"]), "did you mean buckets"),
        (lambda: CofferEmulator(secret="x"), "did you mean secret_"),
        (lambda: Emulator(buckets="data"), r"buckets must be a list of names, such as \['data'\], not a text"),
        (lambda: Emulator(public_buckets="data"), "public_buckets must be a list of names"),
        (lambda: CofferEmulator(coffers="data-1250000000"), "coffers must be a list of names"),
    ],
)
def test_a_service_refuses_what_is_no_option_of_it(make, message):
    with pytest.raises(TypeError, match=message):
        make()


PLUGIN_TESTS = """
import pytest

def test_default({prefix}_emulator, {prefix}_storage_options):
    assert {prefix}_storage_options["endpoint"] == {prefix}_emulator.endpoint
    assert {name!r} in repr({prefix}_emulator)

@pytest.mark.parametrize("{prefix}_emulator", [{{"region": "sh"}}], indirect=True)
def test_parameter({prefix}_storage_options):
    assert {prefix}_storage_options["region"] == "sh"

class TestOverride:
    @pytest.fixture
    def {prefix}_emulator_options(self):
        return {{{option!r}: ({mine!r},)}}

    def test_it(self, {prefix}_emulator):
        assert {mine!r} in repr({prefix}_emulator)

def test_environment({prefix}_emulator, {prefix}_environment):
    import fsspec

    for protocol in {protocols!r}:
        path = f"{{protocol}}://{name}/{{protocol}}"
        with fsspec.open(path, "wb") as file:
            file.write(b"content")
        with fsspec.open(path) as file:
            assert file.read() == b"content"
    assert {prefix}_emulator.endpoint in {prefix}_environment.values()

@pytest.mark.parametrize("{prefix}_emulator", [{{{mistyped!r}: ["mine"]}}], indirect=True)
def test_mistyped({prefix}_emulator):
    pass
"""


def run_with_plugin(pytester):
    installed = any(point.name == "cosv4fs" for point in entry_points(group="pytest11"))
    plugins = [] if installed else ["-p", "cosv4fs.emulator.pytest_plugin"]
    return pytester.runpytest_subprocess(*plugins, "-p", "no:cacheprovider", "-p", "no:zarr")


def test_plugin(pytester, monkeypatch):
    monkeypatch.setenv("CDCS_SECURITY_TOKEN", "of another account")
    monkeypatch.setenv("COSV4_PROFILE", "another")
    buckets = {"name": "test-bucket", "option": "buckets", "mine": "mine", "mistyped": "bucket"}
    coffers = {"name": "examplecoffer-1250000000", "option": "coffers", "mine": "mine-1250000000", "mistyped": "coffer"}
    pytester.makepyfile(
        test_buckets=PLUGIN_TESTS.format(prefix="cosv4", protocols=("cosv4", "cosv3"), **buckets),
        test_coffers=PLUGIN_TESTS.format(prefix="coffer", protocols=("cdcs",), **coffers),
    )
    result = run_with_plugin(pytester)
    result.assert_outcomes(passed=8, errors=2)
    result.stdout.fnmatch_lines(["*TypeError: Emulator takes no option bucket: did you mean buckets?"])
    result.stdout.fnmatch_lines(["*TypeError: CofferEmulator takes no option coffer: did you mean coffers?"])
    assert "raised in repr" not in result.stdout.str()


TESTS_WITH_FAULTS = """
from cosv4fs.emulator import faults

def test_of_a_path_that_is_never_used({prefix}_emulator):
    {prefix}_emulator.faults.add(path="/mistyped.csv", action=faults.DropReply())

def test_of_what_is_removed_or_only_watches({prefix}_emulator):
    fault = {prefix}_emulator.faults.add(op="upload", action=faults.DropReply())
    {prefix}_emulator.faults.remove(fault)
    {prefix}_emulator.faults.add(match=lambda call: False, action=faults.Action())
"""


def test_the_plugin_warns_of_faults_that_never_happened(pytester):
    buckets, coffers = TESTS_WITH_FAULTS.format(prefix="cosv4"), TESTS_WITH_FAULTS.format(prefix="coffer")
    pytester.makepyfile(test_buckets=buckets, test_coffers=coffers.replace('"upload"', '"PutObject"'))
    result = run_with_plugin(pytester)
    result.assert_outcomes(passed=4, warnings=2)
    result.stdout.fnmatch_lines(["*this fault never happened: Fault(*path='/mistyped.csv'*; the requests were {}"])


OTHER_PROJECT = """
import sys

SERVING = {serving!r}

def test_nothing_of_the_service_is_loaded():
    loaded = {{name for name in sys.modules if name.partition(".")[0] == "cosv4fs"}}
    assert "{plugin}" in loaded
    light = {{"cosv4fs", "cosv4fs._version", "cosv4fs.codes", "cosv4fs.errors", "cosv4fs.emulator"}}
    assert loaded <= light | {{"{plugin}"}}
    assert not [name for name in SERVING if sys.modules.get(name) is not None]
"""
SERVING = ["requests", "fsspec", "cachetools", "sqlite3", "http.server", "socketserver"]
"""What the package needs, and a run of pytest without other plug-ins does not."""
ONLY_POSIX = ["fcntl", "termios", "resource"]


@pytest.mark.parametrize("missing", [[], [*ONLY_POSIX, *SERVING]], ids=["whole", "bare"])
def test_the_plugin_costs_other_projects_nothing(tmp_path, missing):
    """Every run of pytest in the environment loads it, on every system."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    plugin = re.search(r'pytest11\]\ncosv4fs = "([\w.]+)"', project.read_text("utf-8"))[1]
    (tmp_path / "test_other.py").write_text(OTHER_PROJECT.format(serving=SERVING, plugin=plugin))
    program = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); import pytest; sys.exit(pytest.main())"
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": f"-p {plugin}",
    }
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


IN_A_PROGRAM = """
import sys
import cosv4fs
import pytest

class Installed:
    def pytest_configure(self):
        # what pytest does with the packages of plug-ins that are installed
        pytest.register_assert_rewrite("cosv4fs")

sys.exit(pytest.main(["-q", "-W", "error"], plugins=[Installed()]))
"""


def test_a_program_that_uses_the_package_can_run_pytest(tmp_path):
    """Such as a notebook: pytest warns of packages that it cannot rewrite any more, which may be an error there."""
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", IN_A_PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_package_shows_what_it_imports_late():
    import cosv4fs
    from cosv4fs import emulator

    for package in (cosv4fs, emulator):
        assert set(package.__all__) <= set(dir(package))
        assert all(getattr(package, name) is not None for name in package.__all__)
        with pytest.raises(AttributeError, match="nonsense"):
            package.nonsense  # noqa: B018
