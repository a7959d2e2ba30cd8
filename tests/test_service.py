"""What each service is made of, and that its page tells what it can do."""

import inspect
import re
from contextlib import closing
from dataclasses import asdict, fields

import pytest

from cosv4fs import CofferFileSystem, CosV3FileSystem, CosV4FileSystem
from cosv4fs.cache import PathCache
from cosv4fs.concurrency import Pool
from cosv4fs.config import resolve
from cosv4fs.protocols import CDCS, V3, V4, Capabilities
from tests.support import BUCKET, Service
from tests.test_readme import table

PROTOCOLS = {CosV4FileSystem: V4, CosV3FileSystem: V3, CofferFileSystem: CDCS}
ACCOUNT = {"secret_id": "theId", "secret_key": "theKey", "region": "gz", "endpoint": "http://127.0.0.1:9"}


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_the_parts_of_a_filesystem_speak_its_protocol(kind):
    protocol = PROTOCOLS[kind]
    assert kind.service.protocol is protocol
    assert kind.protocol == protocol.name
    account = {"appid": "1250000000"} if protocol.has_appid else {}
    client = kind.service.client(resolve({**ACCOUNT, **account}, protocol=protocol))
    assert client.protocol is protocol
    assert "theKey" not in repr(client)
    client.close()


def test_a_namespace_needs_no_filesystem():
    with closing(Service()) as service:
        service.put("/dir/file", b"four")
        namespace = CosV4FileSystem.service.namespace(service.client, Pool(2, "test"), PathCache(0))
        assert namespace.info(f"{BUCKET}/dir/file")["size"] == 4
        assert list(namespace.find(BUCKET, None, "", withdirs=True)) == [BUCKET, f"{BUCKET}/dir", f"{BUCKET}/dir/file"]


def test_the_table_of_capabilities():
    heading, *rows = table("cosv4fs/reference/services.md", "Capabilities", heading=True)
    assert heading[1:4] == [protocol.name for protocol in PROTOCOLS.values()]
    shown = {True: "yes", False: "no"}
    can = [asdict(protocol.capabilities) for protocol in PROTOCOLS.values()]
    told = dict(re.findall(r"^(\w+) : \w+\n    (.*)$", inspect.cleandoc(Capabilities.__doc__), re.MULTILINE))
    for field, row in zip(fields(Capabilities), rows, strict=True):
        values = [shown.get(each[field.name], each[field.name]) for each in can]
        assert row == [field.name, *values, told[field.name].replace("``", "`").strip("`")]
