"""Keys, signatures and session names are in nothing that is shown, logged, raised or described."""

import errno
import http.client
import json
import logging
import pickle
import re
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import fsspec
import pytest

from cosv4fs import CosV4FileSystem
from cosv4fs.api import CosV4Client, SliceSession
from cosv4fs.api.cos.signing import Signer
from cosv4fs.api.fields import Fields
from cosv4fs.api.request import Request
from cosv4fs.config import resolve
from cosv4fs.emulator import faults
from cosv4fs.transfer.journal import Record
from tests.security.conftest import BUCKET, SECRET_ID, SECRET_KEY
from tests.security.servers import http_reply
from tests.support import MIB, RawServer, content, raw_client, read_head

PAGE = Path(__file__).parents[2] / "cosv4fs" / "reference" / "options.md"


class Seen:
    """The signatures that were made; its repr shows none, so that a test may hold it in a variable."""

    def __init__(self):
        self.signatures = set()

    def assert_absent(self, text, *more):
        assert SECRET_KEY not in text
        for secret in (*self.signatures, *more):
            for form in (str(secret), quote(str(secret), safe="")):
                assert form not in text
            # nor the part of a signature that says what was signed, nor the part that signs it
            for part in (str(secret)[:28], str(secret)[28:60]):
                assert not part or part not in text


@pytest.fixture
def seen(monkeypatch):
    found, sign = Seen(), Signer._sign

    def remember(self, *args):
        made = sign(self, *args)
        found.signatures.add(str(made))
        return made

    monkeypatch.setattr(Signer, "_sign", remember)
    return found


def captured(error):
    """Return the traceback as tools print it that show variables."""
    text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Traceback" in text
    return text


def test_no_object_shows_a_secret(fs, seen, tmp_path):
    fs.pipe_file(f"{BUCKET}/x", b"data")
    (tmp_path / "local").write_bytes(b"x")
    reader, writer = fs.open(f"{BUCKET}/x"), fs.open(f"{BUCKET}/y", "wb")
    text, packed = fs.open(f"{BUCKET}/z", "w"), fs.open(f"{BUCKET}/z.gz", "wb", compression="gzip")
    client, session = fs.client, "nobodysSession00000000000000"
    things = [fs, fs.config, client, client._signer, fs.runtime, reader, writer, text, packed]
    things += [client._signer._cache, client._transport, fs.runtime.files, fs.runtime.uploader]
    things += [Request("GET", "http://x/", "stat", BUCKET, lambda: client._signer.multi(BUCKET))]
    things += [
        Record("/x", session, None),
        SliceSession(session, MIB),
        vars(fs.config),
        {"sign": client._signer.multi(BUCKET)},
    ]
    for thing in things:
        for shown in (repr(thing), str(thing), f"{thing}", str([thing])):
            seen.assert_absent(shown, session)
    assert len(seen.signatures) >= 1
    reader.close()
    for unfinished in (writer, text.buffer, packed):
        unfinished.discard()


def test_a_secret_is_still_a_text(fs):
    key = fs.config.secret_key
    assert (key, f"{key}", json.loads(json.dumps(key)), pickle.loads(pickle.dumps(key))) == (SECRET_KEY,) * 4
    assert repr(key) == "'(secret)'"
    assert repr(pickle.loads(pickle.dumps(key))) == "'(secret)'"


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
def test_no_logger_tells(fs, seen, emulator, caplog, tmp_path, level):
    caplog.set_level(level)
    for name in ("cosv4fs", "fsspec", "fsspec.cosv4", "urllib3", "requests"):
        caplog.set_level(level, logger=name)
    (tmp_path / "large").write_bytes(content(2 * MIB))
    fs.put_file(tmp_path / "large", f"{BUCKET}/d/large")
    with fs.open(f"{BUCKET}/d/spooled", "wb") as file:
        file.write(content(2 * MIB, 1))
    assert fs.cat_file(f"{BUCKET}/d/large") == content(2 * MIB)
    fs.get_file(f"{BUCKET}/d/large", tmp_path / "back")
    fs.mv(f"{BUCKET}/d/large", f"{BUCKET}/d/moved")
    fs.copy(f"{BUCKET}/d/moved", f"{BUCKET}/d/copy")
    assert len(fs.find(BUCKET)) == 3
    emulator.faults.add(op="upload_slice_data", nth=2, times=9, action=faults.DropBefore())
    with pytest.raises(ConnectionError):
        fs.put_file(tmp_path / "large", f"{BUCKET}/d/broken")
    emulator.faults.clear()
    fs.put_file(tmp_path / "large", f"{BUCKET}/d/broken")
    fs.clean_uploads(BUCKET, older_than=-5)
    fs.rm(BUCKET + "/d", recursive=True)
    sessions = {record.session for record in emulator.requests if record.session}
    assert len(sessions) >= 3
    if level == logging.DEBUG:
        assert "Starting new HTTP connection" in caplog.text  # of urllib3
        assert " upload_slice_data " in caplog.text
        assert " download " in caplog.text
    assert ("resumed" in caplog.text) is (level < logging.WARNING)
    seen.assert_absent(caplog.text, *sessions)
    for record in caplog.records:
        seen.assert_absent(repr(record.args), *sessions)
    assert "sign=" not in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTT",
        http_reply(b'{"code":-97,"message":"ERROR_PROXY_AUTH_FAILED"}', "400 Bad"),
        http_reply(b'{"code":0,"data":[]}'),
        http_reply(b'{"code":0,"data":{}}', length=1000),
        http_reply(b"<html>no</html>", "502 Bad"),
        http_reply(b"", "302 Found", ["Location: http://127.0.0.1:9/"]),
    ],
    ids=["closed", "cut", "refused", "nonsense", "short", "page", "redirect"],
)
def test_no_traceback_tells_not_even_one_with_variables(seen, reply):
    with RawServer(reply) as server:
        client = raw_client(server, secret_key=SECRET_KEY)
        actions = [
            lambda: client.stat("b", "/x/"),
            lambda: client.delete("b", "/x"),
            lambda: client.upload("b", "/x", b"content"),
            lambda: client.upload_slice_data("b", "/x", "s", 0, memoryview(content(MIB))),
            lambda: client.fetch("b", "/x", lambda count, _: memoryview(bytearray(count))),
            lambda: client.head("b", "/x"),
        ]
        errors = [error for error in map(failure, actions) if error is not None]
        assert len(errors) >= 2
        for error in errors:
            seen.assert_absent(captured(error))
            seen.assert_absent(
                " ".join(map(repr, (error, error.args, vars(error), error.__cause__, error.__context__)))
            )
        client.close()
    assert len(seen.signatures) >= 2
    assert all(any(signature.encode() in head for signature in seen.signatures) for head in server.requests)


def failure(action):
    """Return the error that an action raises; None where the reply is good enough for it."""
    try:
        action()
    except OSError as error:
        return error
    return None


def test_a_refused_connection_tells_nothing(seen):
    endpoint = "http://127.0.0.1:1"
    client = raw_client(_Gone(endpoint), secret_key=SECRET_KEY)
    with pytest.raises(ConnectionError) as caught:
        client.upload("b", "/x", b"content")
    assert endpoint[7:] in str(caught.value)
    seen.assert_absent(captured(caught.value))


def test_the_frames_of_libraries_that_hold_what_was_sent_are_dropped(seen, monkeypatch):
    def fail(self, data):
        self.connect()
        raise OSError(errno.ENETDOWN, "the network is down")

    monkeypatch.setattr(http.client.HTTPConnection, "send", fail)  # called with the head, as bytes
    with RawServer(b"") as server:
        client = raw_client(server, secret_key=SECRET_KEY)
        with pytest.raises(ConnectionError) as caught:
            client.stat("b", "/x/")
        client.close()
    assert isinstance(caught.value.__cause__, OSError)
    assert len(seen.signatures) == 1
    seen.assert_absent(captured(caught.value))


class _Gone:
    def __init__(self, endpoint):
        self.endpoint = endpoint


class Echo(RawServer):
    """Answers with what it was asked, as gateways and debugging proxies do."""

    def __init__(self, make):
        super().__init__(b"")
        self._make = make

    def _answer(self, connection):
        head = read_head(connection)
        if not head:
            return
        self.requests.append(head)
        sent = re.search(rb"(?i)authorization: (\S+)", head)[1].decode()
        connection.sendall(self._make(sent))


ESCAPE = "\x1b]0;title\x07\x1b[31m"
PAGES = {
    "page": lambda sent: http_reply(f"<html>Authorization: {sent}</html>".encode(), "400 Bad"),
    "encoded": lambda sent: http_reply(f"you asked /x?sign={quote(sent, safe='')}".encode(), "502 Bad"),
    "cut": lambda sent: http_reply(f"Authorization: {sent[:90]}".encode(), "400 Bad"),
    "late": lambda sent: http_reply(f"{'x ' * 80}{sent}".encode(), "400 Bad"),
    "xml": lambda sent: http_reply(f"<Code>No</Code><Message>{sent}</Message>".encode(), "403 No"),
    "json": lambda sent: http_reply(json.dumps({"code": -97, "message": f"bad {sent}"}).encode(), "400 Bad"),
    "id": lambda sent: http_reply(json.dumps({"code": -97, "message": "no", "request_id": sent}).encode(), "400 Bad"),
    "header": lambda sent: http_reply(b"no", "500 Bad", [f"x-cos-request-id: {sent}"]),
    "control": lambda sent: http_reply(f"{ESCAPE}\r\nERROR forged line {sent}\n".encode(), "400 Bad"),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("download", [False, True])
def test_what_a_page_repeats_is_not_repeated(seen, page, download):
    with Echo(PAGES[page]) as server:
        client = raw_client(server, secret_key=SECRET_KEY)
        with pytest.raises(OSError) as caught:
            if download:
                client.fetch("b", "/x", lambda count, _: memoryview(bytearray(count)))
            else:
                client.stat("b", "/x/")
        client.close()
    assert len(seen.signatures) == 1
    assert len(server.requests) == 1
    error = caught.value
    for text in (str(error), repr(error), repr(vars(error)), str(error.request_id)):
        seen.assert_absent(text)
    assert str(error).isprintable()
    if page in ("page", "encoded", "xml", "json"):
        assert "(signature)" in str(error)
    assert len(str(error)) < 600


def test_useful_words_of_a_server_survive():
    sha, number = "da39a3ee5e6b4b0d3255bfef95601890afd80709", "NTliNzhlOGRfMTliMjk0MGFDg0N1diY2E="
    body = json.dumps({"code": -97, "message": f"文件 {sha} wrong", "request_id": number}).encode()
    with RawServer(http_reply(body, "400 Bad")) as server:
        client = raw_client(server)
        with pytest.raises(PermissionError, match=f"文件 {sha} wrong") as caught:
            client.stat("b", "/x/")
        client.close()
    assert caught.value.request_id == number


@pytest.mark.parametrize("name", ["session", "data"])
def test_a_session_that_makes_no_sense_is_not_shown(name):
    error = Fields({}, "upload_slice_init", "b/x").bad(name, ["nobodysSession"])
    assert "nobodysSession" not in str(error)
    assert f"{name} is a list" in str(error)


PASSWORD = "nobodysProxyPassword"


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://user:{PASSWORD}@127.0.0.1:99999",
        f"http://user:{PASSWORD}@127.0.0.1:x",
        f"http://user:{PASSWORD}@",
        f"http://user:{PASSWORD} @127.0.0.1:1",
        f"http://user:{PASSWORD}@[::1",
    ],
)
def test_a_proxy_that_cannot_be_is_refused_without_its_password(proxy, monkeypatch):
    account = {"appid": "1", "secret_id": "i", "secret_key": "k", "endpoint": "http://far.example"}
    with pytest.raises(ValueError, match="proxies") as caught:
        resolve({**account, "proxies": {"http": proxy}})
    assert PASSWORD not in str(caught.value)
    monkeypatch.setenv("http_proxy", proxy)
    client = CosV4Client(resolve({**account, "max_retries": 0}))
    with pytest.raises(OSError) as caught:
        client.stat("b", "/x/")
    client.close()
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert caught.value.filename == "b/x"


def test_a_proxy_that_is_not_there_is_named_without_its_password(caplog):
    caplog.set_level(logging.DEBUG)
    options = {"appid": "1", "secret_id": "i", "secret_key": "k", "endpoint": "http://far.example", "max_retries": 0}
    proxy = f"http://user:{PASSWORD}@127.0.0.1:1"
    fs = CosV4FileSystem(**options, proxies={"http": proxy})
    with pytest.raises(ConnectionError) as caught:
        fs.ls("b")
    told = [captured_text(caught.value), caplog.text, repr(fs), repr(fs.config), fs.to_json(include_password=False)]
    for text in told:
        assert PASSWORD not in text


def captured_text(error):
    return "".join(traceback.format_exception(error))


class TestDescriptions:
    def test_without_passwords_there_is_no_secret(self, fs, seen):
        described = [fs.to_json(include_password=False), repr(fs.to_dict(include_password=False))]
        described += [json.dumps(CosV4FileSystem.from_json(fs.to_json()).to_dict(include_password=False))]
        for text in described:
            seen.assert_absent(text)
            assert SECRET_ID not in text
            assert BUCKET in text or "endpoint" in text

    def test_tokens_are_hashes(self, fs):
        from dask.base import tokenize

        for token in (fs._fs_token, tokenize(fs), fsspec.utils.tokenize(fs)):
            assert SECRET_KEY not in token
            assert re.fullmatch(r"[0-9a-f]{32,64}", token)

    def test_infos_hold_no_signature(self, fs, seen):
        fs.pipe_file(f"{BUCKET}/d/x", b"x")
        told = [
            fs.info(f"{BUCKET}/d/x"),
            fs.ls(f"{BUCKET}/d"),
            fs.find(BUCKET, detail=True),
            fs.attributes(f"{BUCKET}/d/x"),
        ]
        seen.assert_absent(repr(told))
        assert "http" not in repr(told)

    def test_what_the_environment_holds_is_in_no_copy(self, emulator, monkeypatch):
        for name, value in emulator.storage_options.items():
            monkeypatch.setenv(f"COSV4_{name.upper()}", str(value))
        fs = CosV4FileSystem()
        for text in (fs.to_json(), repr(fs.storage_options), repr(pickle.dumps(fs))):
            assert SECRET_KEY not in text
            assert SECRET_ID not in text
        fs.pipe_file(f"{BUCKET}/x", b"x")
        assert pickle.loads(pickle.dumps(fs)).cat_file(f"{BUCKET}/x") == b"x"

    def test_pickles_of_options_hold_the_key_and_the_page_says_so(self, fs):
        assert SECRET_KEY.encode() in pickle.dumps(fs)
        assert re.search(r"[Pp]ickle[^.]*contain[^.]*credentials", PAGE.read_text("utf-8"))


@pytest.mark.parametrize("wrong", ["nobodys\nKey", "nobodys\x00Key", "nobodysKey\udcff", "nobodys\rKey"])
@pytest.mark.parametrize("name", ["secret_id", "secret_key"])
def test_a_key_that_cannot_be_is_refused_without_being_shown(name, wrong):
    options = {"appid": "1", "secret_id": "i", "secret_key": "k", "region": "gz", name: wrong}
    with pytest.raises(ValueError, match=name) as caught:
        resolve(options)
    assert "nobodys" not in str(caught.value)
    assert not isinstance(caught.value, UnicodeError)


def test_the_emulator_logs_no_credentials(emulator, fs, seen, capfd):
    from cosv4fs.emulator.__main__ import _print_request

    fs.pipe_file(f"{BUCKET}/x", b"x")
    url = fs.sign(f"{BUCKET}/x")
    import requests

    assert requests.get(url, timeout=30).content == b"x"
    for record in emulator.requests:
        _print_request(record)
    told = capfd.readouterr().err
    assert "download" in told
    seen.assert_absent(told)
    seen.assert_absent(repr([vars(record) for record in emulator.requests]))
    assert sys.getsizeof(told) > 100
