"""What copies carry beside the content: between all kinds of filesystems, as other clients see it, and the reports."""

import csv
import errno
import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import boto3
import fsspec
import pytest
import requests
import s3fs
from fsspec.callbacks import Callback
from fsspec.implementations.memory import MemoryFileSystem

from cosv4fs.attributes import ATTRIBUTES
from cosv4fs.cli import main
from cosv4fs.emulator import CofferEmulator, Emulator
from cosv4fs.migrate import copying, metadata, s3_metadata, workers
from cosv4fs.migrate.copying import copy_file, receive, stream
from cosv4fs.migrate.details import Details, differing_attributes, has_other_time
from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.locations import open_location
from cosv4fs.migrate.manifest import File
from cosv4fs.migrate.metadata import MetadataOptions, NotCarried, attributes_held, not_carried_text
from cosv4fs.migrate.migration import migrate
from tests.support import MIB, content, elsewhere

VAULT = "vault-1250000000"
MTIME = 1_500_000_000.25
HEADERS = {
    "content_type": "text/x-mine",
    "cache_control": "max-age=60",
    "content_disposition": 'attachment; filename="a.csv"',
    "content_encoding": "identity",
    "content_language": "de",
}
ALL = {**HEADERS, "metadata": {"who": "me", "wo": "here"}, "biz_attr": "any\ntext, 100% 在", "authority": "private"}
BIZ_ATTR_ON_S3 = "any%0Atext,%20100%25%20%E5%9C%A8"
KINDS = ("cosv4", "cosv3", "cdcs", "s3", "local")
ROWS = ("content_type", "cache_control", "content_disposition", "content_encoding", "content_language", "metadata")

HAS = {
    "cosv4": set(ALL),
    "cosv3": {"content_type", "biz_attr"},
    "cdcs": {"content_type"},
    "s3": set(ALL) - {"authority"} | {"modified"},
    "local": {"modified"},
}
"""What a file of each kind has."""

UNSEEN = {("cosv4", "cdcs"), ("cosv4", "local"), ("cosv3", "cdcs"), ("cosv3", "local")}
"""Pairs for which the status is not requested, so that ``biz_attr`` and the permission are unknown."""


@pytest.fixture
def emulator():
    with Emulator(buckets=("data", "other")) as running:
        yield running


@pytest.fixture
def vault():
    with CofferEmulator(coffers=(VAULT,)) as running:
        yield running


class Places:
    """One folder of each kind: files are written and looked at by other clients than that which copies."""

    def __init__(self, emulator, vault, s3_options, bucket, folder):
        account = elsewhere(emulator.storage_options)
        self.options = {
            "cosv4": emulator.storage_options,
            "cosv3": emulator.storage_options,
            "cdcs": vault.storage_options,
            "s3": s3_options,
        }
        self.v4, self.v3 = (fsspec.filesystem(protocol, **account) for protocol in ("cosv4", "cosv3"))
        self.cdcs = fsspec.filesystem("cdcs", **elsewhere(vault.storage_options))
        self.boto = boto3.client(
            "s3",
            endpoint_url=s3_options["endpoint_url"],
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        self.bucket, self.folder = bucket, folder

    def location(self, kind, name):
        tops = {
            "cosv4": "cosv4://data",
            "cosv3": "cosv3://data",
            "cdcs": f"cdcs://{VAULT}",
            "s3": f"s3://{self.bucket}",
            "local": str(self.folder),
        }
        return open_location(f"{tops[kind]}/{name}", self.options)

    def write(self, kind, name, data=b"content"):
        """Write a file with everything that the kind can have."""
        path = self.location(kind, name).path
        if kind == "s3":
            keywords = {ATTRIBUTES[attribute].s3: value for attribute, value in HEADERS.items()}
            extra = {"mtime": str(MTIME), "biz-attr": BIZ_ATTR_ON_S3}
            self.boto.put_object(Bucket=self.bucket, Key=name, Body=data, Metadata=ALL["metadata"] | extra, **keywords)
        elif kind == "local":
            (self.folder / name).write_bytes(data)
            os.utime(path, (MTIME, MTIME))
        else:
            fs = {"cosv4": self.v4, "cosv3": self.v3, "cdcs": self.cdcs}[kind]
            fs.pipe_file(path, data, **{attribute: ALL[attribute] for attribute in HAS[kind]})

    def read(self, kind, name):
        """Return what a file has, by our names."""
        path = self.location(kind, name).path
        if kind == "s3":
            return self._on_s3(name)
        if kind == "local":
            return {"modified": os.stat(path).st_mtime}
        if kind == "cdcs":
            return self.cdcs.attributes(path)
        fs = self.v4 if kind == "cosv4" else self.v3
        headers = requests.get(fs.sign(path), timeout=30).headers
        shown = {
            row.name: headers[row.header] for row in ATTRIBUTES.values() if row.is_header and row.header in headers
        }
        return {**shown, **fs.attributes(path)}

    def _on_s3(self, name):
        head = self.boto.head_object(Bucket=self.bucket, Key=name)
        found = {row.name: head[row.s3] for row in ATTRIBUTES.values() if row.is_header and row.s3 in head}
        own = dict(head["Metadata"])
        found["modified"] = float(own.pop("mtime", "nan"))
        found["biz_attr"] = {BIZ_ATTR_ON_S3: ALL["biz_attr"]}.get(own.pop("biz-attr", ""), "")
        return found | {"metadata": own}


@pytest.fixture
def places(emulator, vault, s3_options, bucket, tmp_path):
    return Places(emulator, vault, s3_options, bucket, tmp_path)


def difference(source, target):
    return differing_attributes(Details(source, Entry("")), Details(target, Entry("")))


def copied(places, source, target, name="a.dat", to="b.dat", modified=None, **options):
    """Copy a file; return what was lost."""
    origin, destination = places.location(source, name), places.location(target, to)
    carried = MetadataOptions(**options).of(origin, destination, modified)
    copy_file(origin, destination, metadata=carried)
    return set(carried.lost)


@pytest.mark.parametrize("source", KINDS)
def test_a_copy_carries_what_the_target_can_hold_and_names_the_rest(places, source):
    places.write(source, "a.dat")
    values = ALL | {"modified": MTIME}
    for target in KINDS:
        lost = copied(places, source, target)
        found, carried = places.read(target, "b.dat"), HAS[source] & HAS[target]
        assert {name: found.get(name) for name in carried} == {name: values[name] for name in carried}, target
        unseen = {"biz_attr", "authority"} if (source, target) in UNSEEN else set()
        assert lost == HAS[source] - HAS[target] - {"modified"} - unseen, target


def test_the_tables_say_what_the_code_does(places):
    rows = [re.split(r"\s{2,}", line) for line in metadata.__doc__.splitlines()]
    table = {row[0].replace("modification time", "modified"): row[1:] for row in rows if len(row) == 5}
    assert table.keys() == {"attribute", *ATTRIBUTES, "modified"}
    for column, kind in enumerate(("cosv4", "cosv3", "cdcs", "s3")):
        assert {name for name, row in table.items() if row[column] != "no"} - {"attribute"} == HAS[kind]
        assert attributes_held(places.location(kind, "x")) == HAS[kind]
    for name in ROWS:
        assert f"``{ATTRIBUTES[name].s3}``" in table[name][3]


def test_everything_survives_a_way_through_s3(places):
    places.write("cosv4", "a.dat")
    copied(places, "cosv4", "s3")
    copied(places, "s3", "cosv4", "b.dat", "c.dat")
    expected = places.read("cosv4", "a.dat") | {"authority": "default"}
    assert places.read("cosv4", "c.dat") == expected
    places.write("local", "l")
    copied(places, "local", "s3", "l", "l")
    os.utime(places.folder / "l", (1, 1))
    copied(places, "s3", "local", "l", "l")
    assert places.read("local", "l") == {"modified": MTIME}


def test_times_are_those_of_the_service_where_the_file_names_none(places):
    places.v4.pipe_file("data/a.dat", b"x")
    places.boto.put_object(Bucket=places.bucket, Key="a.dat", Body=b"x")
    copied(places, "cosv4", "local", modified=1234.5)
    copied(places, "cosv4", "s3", modified=1234.5)
    assert (places.read("local", "b.dat"), places.read("s3", "b.dat")["modified"]) == ({"modified": 1234.5}, 1234.5)
    copied(places, "s3", "local")
    stored = places.boto.head_object(Bucket=places.bucket, Key="a.dat")["LastModified"].timestamp()
    assert places.read("local", "b.dat") == {"modified": stored}
    places.v4.pipe_file("data/named", b"x", metadata={"mtime": str(MTIME)})
    for options, expected in (({}, MTIME), ({"times": "listed"}, 1234.5)):
        copied(places, "cosv4", "local", "named", modified=1234.5, **options)
        assert places.read("local", "b.dat") == {"modified": expected}
    # as rclone writes it
    os.utime(places.folder / "b.dat", ns=(0, 1_234_567_890_000_000_100))
    copied(places, "local", "s3", "b.dat", "c.dat")
    assert places.boto.head_object(Bucket=places.bucket, Key="c.dat")["Metadata"] == {"mtime": "1234567890.0000001"}
    copied(places, "s3", "local", "c.dat")
    assert (places.folder / "b.dat").stat().st_mtime_ns == 1_234_567_890_000_000_100


def test_types_are_guessed_from_names_where_the_source_has_none(places):
    places.v4.pipe_file("data/none", b"x")
    places.boto.put_object(Bucket=places.bucket, Key="none", Body=b"x")
    (places.folder / "none").write_bytes(b"x")
    for source in ("cosv4", "s3", "local"):
        for target in ("cosv4", "cosv3", "cdcs", "s3"):
            to = f"from-{source}-{target}.csv"
            if source == target:
                # the service copies what it has
                continue
            assert copied(places, source, target, "none", to) == set()
            assert places.read(target, to)["content_type"] == "text/csv"


def test_a_type_that_the_name_gives_anyway_costs_nothing(places, emulator):
    places.boto.put_object(Bucket=places.bucket, Key="a.csv", Body=b"x", ContentType="text/csv")
    emulator.clear_requests()
    copied(places, "s3", "cosv4", "a.csv", "b.csv")
    assert emulator.count() == {"upload": 1}
    assert places.read("cosv4", "b.csv")["content_type"] == "text/csv"


def test_nothing_is_made_public(places):
    places.v4.pipe_file("data/a.dat", b"x", authority="public-read")
    places.v4.pipe_file("data/p.dat", b"x", authority="private")
    other = open_location("cosv4://other/b.dat", places.options)
    origin = places.location("cosv4", "a.dat")
    carried = MetadataOptions().of(origin, other)
    copy_file(origin, other, metadata=carried)
    assert carried.lost == ("authority",)
    assert places.v4.attributes("other/b.dat")["authority"] == "default"
    assert copied(places, "cosv4", "s3") == {"authority"}
    with fsspec.open(f"s3://{places.bucket}/b.dat", **places.options["s3"]) as file:
        assert file.read() == b"x"
    # within a bucket the service copies what it stores
    copied(places, "cosv4", "cosv4", "p.dat", "q.dat")
    assert places.v4.attributes("data/q.dat")["authority"] == "private"


def test_what_s3_refuses_is_lost_and_the_file_is_copied(places):
    fields = {"who": "me", "wo": "在", "long": "x" * 2000, "longer": "x" * 100}
    places.v4.pipe_file("data/a.dat", b"x", metadata=fields, content_disposition="attachment; filename=报告.pdf")
    assert copied(places, "cosv4", "s3", modified=1.0) == {"metadata", "content_disposition"}
    head = places.boto.head_object(Bucket=places.bucket, Key="b.dat")
    assert head["Metadata"] == {"mtime": "1", "who": "me", "long": "x" * 2000}
    assert "ContentDisposition" not in head
    places.v4.pipe_file("data/a.dat", b"x", biz_attr="x" * 3000, metadata={"biz-attr": "mine"})
    assert copied(places, "cosv4", "s3") == {"biz_attr"}
    places.v4.pipe_file("data/a.dat", b"x", biz_attr="short", metadata={"biz-attr": "mine", "mtime": "yesterday"})
    assert copied(places, "cosv4", "s3", modified=1.0) == {"metadata"}
    head = places.boto.head_object(Bucket=places.bucket, Key="b.dat")
    assert head["Metadata"] == {"biz-attr": "short", "mtime": "yesterday"}


def test_what_our_services_refuse_is_lost_and_the_file_is_copied(places):
    only_on_s3 = {"WebsiteRedirectLocation": "/b", "Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)}
    fields = {"who": "me", "empty": ""}
    places.boto.put_object(Bucket=places.bucket, Key="a.dat", Body=b"x", Metadata=fields, **only_on_s3)
    assert copied(places, "s3", "cosv4") == {"metadata", "expires", "website_redirect_location"}
    assert places.read("cosv4", "b.dat")["metadata"] == {"who": "me"}


def test_errors_of_s3_name_the_file(places):
    with pytest.raises(FileNotFoundError, match="metadata cannot be read") as caught:
        copied(places, "s3", "local", "missing")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, f"s3://{places.bucket}/missing")


def test_codings_of_transfers_are_no_attributes():
    assert s3_metadata.attributes_in({"ContentEncoding": "aws-chunked"}) == {}
    assert s3_metadata.attributes_in({"ContentEncoding": "gzip,aws-chunked"}) == {"content_encoding": "gzip"}


def test_metadata_of_others_stays_as_it_is(places):
    # neither a text of ours nor a time
    own = {"biz-attr": "100% mine", "mtime": "2017-09-24 19:53:52 +0000"}
    places.boto.put_object(Bucket=places.bucket, Key="a.dat", Body=b"x", Metadata=own)
    copied(places, "s3", "cosv4")
    found = places.read("cosv4", "b.dat")
    assert (found["metadata"], found["biz_attr"]) == (own, "")


@pytest.mark.parametrize("size", [0, 10, 12 * MIB])
def test_empty_sliced_and_multipart_uploads_have_all_of_it(places, size):
    data = content(size)
    places.write("cosv4", "a.dat", data)
    copied(places, "cosv4", "s3")
    copied(places, "s3", "cosv4", "b.dat", "c.dat")
    values = ALL | {"authority": "default"}
    assert places.read("cosv4", "c.dat") == values
    places.write("local", "l.csv", data)
    copied(places, "local", "s3", "l.csv", "l.csv")
    head = places.boto.head_object(Bucket=places.bucket, Key="l.csv")
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == ("text/csv", {"mtime": str(MTIME)}, size)


def test_between_two_s3_servers_everything_is_carried(places):
    places.write("s3", "a.dat")
    other = {
        **places.options["s3"],
        "endpoint_url": places.options["s3"]["endpoint_url"].replace("127.0.0.1", "localhost"),
    }
    origin, target = places.location("s3", "a.dat"), open_location(f"s3://{places.bucket}/b.dat", {"s3": other})
    carried = MetadataOptions().of(origin, target)
    copy_file(origin, target, metadata=carried)
    assert carried.lost == ()
    assert places.read("s3", "b.dat") == places.read("s3", "a.dat")


def test_copies_in_parts_on_one_s3_server_keep_it(places, monkeypatch):
    places.write("s3", "a.dat", content(12 * MIB))
    # as if it were larger than S3 copies at once
    monkeypatch.setattr(s3fs.core, "MANAGED_COPY_THRESHOLD", MIB)
    monkeypatch.setattr(copying, "_S3_WHOLE_COPY", MIB)
    copied(places, "s3", "s3")
    assert places.read("s3", "b.dat") == places.read("s3", "a.dat")
    assert places.boto.head_object(Bucket=places.bucket, Key="b.dat")["ETag"].endswith('-1"')


@pytest.mark.parametrize("source", KINDS)
def test_a_content_type_for_all_copies(places, source):
    places.write(source, "a.dat")
    values = ALL | {"modified": MTIME, "content_type": "text/x-other"}
    for target in ("cosv4", "cosv3", "cdcs", "s3"):
        copied(places, source, target, content_type="text/x-other")
        found, carried = places.read(target, "b.dat"), HAS[source] & HAS[target] | {"content_type"}
        assert {name: found.get(name) for name in carried} == {name: values[name] for name in carried}, target
        copied(places, source, target, to="c.dat", content_type="text/x-other", enabled=False)
        assert places.read(target, "c.dat")["content_type"] == "text/x-other", target


@pytest.mark.parametrize("source", KINDS)
def test_copies_do_not_differ_until_they_are_changed(places, source):
    places.write(source, "a.dat")
    origin = places.location(source, "a.dat")
    for target in KINDS:
        copied(places, source, target)
        copy, other = (places.location(target, name) for name in ("b.dat", "c.dat"))
        assert difference(origin, copy) == [], target
        # as if the copy had been made without anything
        if target == "s3":
            places.boto.put_object(Bucket=places.bucket, Key="c.dat", Body=b"content")
        else:
            copy.fs.pipe_file(other.path, b"content")
        unseen = {"authority"} if target != "cosv4" or source != "cosv4" else set()
        expected = HAS[source] & HAS[target] - {"modified"} - unseen
        assert difference(origin, other) == [name for name in ALL if name in expected], target


def test_differences_are_those_that_another_copy_would_mend(places):
    places.write("cosv4", "a.csv")
    copied(places, "cosv4", "s3", "a.csv", "b.csv")
    origin, copy = places.location("cosv4", "a.csv"), places.location("s3", "b.csv")
    places.v4.setxattrs("data/a.csv", metadata={"who": "you"}, cache_control="no-cache")
    assert difference(origin, copy) == ["cache_control", "metadata"]
    places.v4.setxattrs("data/a.csv", metadata={"who": "在"}, cache_control="max-age=60", WHOLE="x")
    # what cannot be carried is no difference
    assert difference(origin, copy) == []
    # a type that the name gives is the same as one that is set, and no permission is asked for
    places.v4.pipe_file("data/a.csv", b"x", authority="public-read")
    places.boto.put_object(Bucket=places.bucket, Key="b.csv", Body=b"x", ContentType="text/csv")
    assert difference(origin, copy) == []
    places.v4.pipe_file("data/b.csv", b"x", authority="private")
    assert difference(origin, places.location("cosv4", "b.csv")) == []
    assert difference(places.location("cosv4", "b.csv"), origin) == ["authority"]
    places.v4.pipe_file("data/a.csv", b"x")
    assert difference(origin, places.location("cosv4", "b.csv")) == []
    # names are the same in any case
    places.v4.pipe_file("data/a.csv", b"x", metadata={"Who": "me"})
    places.v4.pipe_file("data/b.csv", b"x", metadata={"who": "me"})
    assert difference(origin, places.location("cosv4", "b.csv")) == []
    places.boto.put_object(Bucket=places.bucket, Key="b.csv", Body=b"x", ContentType="text/csv", Metadata={"who": "me"})
    assert difference(origin, copy) == []


@pytest.fixture
def s3_calls(places):
    """The requests to S3 that copies send, by operation."""
    calls, fs = [], places.location("s3", "").fs
    fs.connect()
    fs.s3.meta.events.register("before-call.s3", lambda event_name, **_: calls.append(event_name.rpartition(".")[2]))
    return calls


NO_REQUEST = ({}, {}, [])


@pytest.mark.parametrize(
    ("source", "target", "expected", "alone"),
    [
        ("cosv4", "local", ({"download": 1}, {}, []), ({"download": 1}, {}, [])),
        ("cosv3", "local", ({"download": 1}, {}, []), ({"download": 1}, {}, [])),
        ("cdcs", "local", ({}, {"HeadObject": 1, "GetObject": 1}, []), ({}, {"HeadObject": 1, "GetObject": 1}, [])),
        ("cosv4", "s3", ({"stat": 1, "download": 1}, {}, ["PutObject"]),
         ({"stat": 1, "download": 1}, {}, ["PutObject"])),
        ("cosv3", "s3", ({"stat": 1, "list": 1, "download": 1}, {}, ["PutObject"]),
         ({"stat": 1, "list": 1, "download": 1}, {}, ["PutObject"])),
        ("cdcs", "s3", ({}, {"HeadObject": 1, "GetObject": 1}, ["PutObject"]),
         ({}, {"HeadObject": 1, "GetObject": 1}, ["PutObject"])),
        ("s3", "local", ({}, {}, ["HeadObject", "GetObject"]), ({}, {}, ["GetObject"])),
        ("s3", "cosv3", ({"upload": 1}, {}, ["HeadObject", "HeadObject", "GetObject"]),
         ({"upload": 1}, {}, ["HeadObject", "GetObject"])),
        ("s3", "s3", ({}, {}, ["HeadObject", "HeadObject", "CopyObject"]),
         ({}, {}, ["HeadObject", "HeadObject", "CopyObject"])),
        ("local", "s3", ({}, {}, ["PutObject"]), ({}, {}, ["PutObject"])),
        ("local", "cosv4", ({"upload": 1}, {}, []), ({"upload": 1}, {}, [])),
    ],
)  # fmt: skip
def test_it_costs_at_most_one_request_per_file(places, emulator, vault, s3_calls, source, target, expected, alone):
    """Without a listing: in trees, the listing saves the first status or HEAD of a source."""
    places.write(source, "a.dat")
    for enabled, wanted in ((False, alone), (True, expected)):
        for fs in (places.location(source, "").fs, places.location(target, "").fs):
            fs.invalidate_cache()
        emulator.clear_requests()
        vault.clear_requests()
        s3_calls.clear()
        copied(places, source, target, to=f"b{enabled}", enabled=enabled)
        assert (emulator.count(), vault.count(), s3_calls) == wanted


BUCKET, BUCKET_V3 = {"stat": 1, "download": 1}, {"stat": 1, "list": 1, "download": 1}


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("cosv4", "cosv4", ({"stat": 2, "download": 2}, {}, [])),
        ("cosv4", "s3", (BUCKET, {}, ["HeadObject"])),
        ("s3", "cosv3", (BUCKET_V3, {}, ["HeadObject"])),
        ("cdcs", "cosv4", (BUCKET, {"HeadObject": 1}, [])),
        ("cdcs", "s3", ({}, {"HeadObject": 1}, ["HeadObject"])),
        ("s3", "s3", ({}, {}, ["HeadObject", "HeadObject"])),
        ("local", "s3", ({}, {}, ["HeadObject"])),
        ("local", "cosv4", NO_REQUEST),
        # the listed time is another one
        ("cosv4", "local", ({"stat": 1}, {}, [])),
        ("cosv3", "local", NO_REQUEST),
        ("s3", "local", ({}, {}, ["HeadObject"])),
    ],
)
def test_a_comparison_sends_each_request_once(places, emulator, vault, s3_calls, source, target, expected):
    for kind, name in ((source, "a.dat"), (target, "b.dat")):
        if kind == "cosv4":
            # no status shows its type
            places.v4.pipe_file(f"data/{name}", b"x")
        else:
            places.write(kind, name)
    origin = Details(places.location(source, "a.dat"), Entry("", modified=1.5))
    copy = Details(places.location(target, "b.dat"), Entry("", modified=9.5))
    for fs in (origin.location.fs, copy.location.fs):
        fs.invalidate_cache()
    emulator.clear_requests()
    vault.clear_requests()
    s3_calls.clear()
    differing_attributes(origin, copy)
    has_other_time(origin, copy)
    assert (emulator.count(), vault.count(), s3_calls) == expected


def test_a_status_that_shows_the_type_spares_the_download(places, emulator):
    places.write("cosv4", "a.dat")
    places.v4.setxattrs("data/a.dat", content_type="text/x-mine")
    copied(places, "cosv4", "s3")
    origin, copy = places.location("cosv4", "a.dat"), places.location("s3", "b.dat")
    emulator.clear_requests()
    assert difference(origin, copy) == []
    assert emulator.count() == {"stat": 1}


def test_what_a_reader_without_keys_sees_is_compared(places):
    """The status is not: services show it to nobody else."""
    places.write("cosv4", "a.dat")
    places.v4.setxattrs("data/a.dat", authority="public-read", mtime=str(MTIME))
    copied(places, "cosv4", "s3")
    account = {name: value for name, value in places.options["cosv4"].items() if not name.startswith("secret")}
    origin = open_location("cosv4://data/a.dat", {"cosv4": {**account, "anon": True}})
    assert difference(origin, places.location("s3", "b.dat")) == []
    assert has_other_time(Details(origin, Entry("")), Details(places.location("s3", "b.dat"), Entry(""))) is False
    places.v4.setxattrs("data/a.dat", cache_control="no-store", mtime="5", biz_attr="")
    origin.fs.invalidate_cache()
    assert difference(origin, places.location("s3", "b.dat")) == ["cache_control"]
    assert has_other_time(Details(origin, Entry("")), Details(places.location("s3", "b.dat"), Entry(""))) is True


def other_time(places, source, target, modified, name="a.dat", copied=None, to="b.dat"):
    """Compare the listed times of two files."""
    origin, copy = places.location(source, name), places.location(target, to)
    return has_other_time(Details(origin, Entry("", modified=modified)), Details(copy, Entry("", modified=copied)))


@pytest.mark.parametrize("source", KINDS)
def test_times_are_compared_where_copies_have_those_of_their_sources(places, source):
    places.write(source, "a.dat")
    for target in KINDS:
        copied(places, source, target, modified=MTIME)
        listed = os.stat(places.folder / "b.dat").st_mtime if target == "local" else 1e9
        is_known = target in ("s3", "local")
        assert other_time(places, source, target, MTIME, copied=listed) is (False if is_known else None)
        # the user metadata of a source on S3 names its time, whatever the listing shows
        is_other = source != "s3"
        assert other_time(places, source, target, MTIME + 60, copied=listed) is (is_other if is_known else None)


def test_times_that_user_metadata_names(places):
    places.v4.pipe_file("data/a.dat", b"x", metadata={"mtime": str(MTIME)})
    places.boto.put_object(Bucket=places.bucket, Key="none", Body=b"x")
    copied(places, "cosv4", "local", modified=9.0)
    copied(places, "cosv4", "s3", modified=9.0)
    for target in ("local", "s3"):
        assert other_time(places, "cosv4", target, 9.0, copied=MTIME) is False
        places.v4.setxattrs("data/a.dat", metadata={"mtime": "7"})
        assert other_time(places, "cosv4", target, 9.0, copied=MTIME) is True
        places.v4.setxattrs("data/a.dat", metadata={"mtime": str(MTIME)})
    # an upload by another client; a source that shows no time
    assert other_time(places, "cosv4", "s3", 9.0, to="none") is None
    assert other_time(places, "cosv3", "s3", None) is None


@pytest.mark.parametrize(
    ("original", "copy", "is_other"),
    [
        (7.25, 7.25, False),
        (7.25, 7.255, False),
        (7.25, 7.27, True),
        # a copy with whole seconds
        (7.999, 7.0, False),
        (8.0, 7.0, True),
        # a copy with even seconds, as on FAT
        (7.999, 6.0, False),
        (8.0, 6.0, True),
        # a source with whole seconds
        (7.0, 7.999, False),
        (6.0, 7.0, True),
    ],
)
def test_times_are_compared_with_the_precision_of_both_sides(places, original, copy, is_other):
    assert other_time(places, "local", "local", original, copied=copy) is is_other


def test_without_metadata_only_the_content_is_copied(places):
    places.write("cosv4", "a.dat")
    places.write("s3", "a.dat")
    for source, target in (("cosv4", "s3"), ("s3", "cosv4"), ("s3", "local")):
        assert copied(places, source, target, modified=5.0, enabled=False) == set()
    assert places.boto.head_object(Bucket=places.bucket, Key="b.dat")["Metadata"] == {}
    assert places.v4.attributes("data/b.dat") == {"metadata": {}, "biz_attr": "", "authority": "default"}
    assert places.read("local", "b.dat")["modified"] > MTIME


def test_other_filesystems_have_none(places, s3_calls):
    places.write("cosv4", "a.dat")
    origin, target = places.location("cosv4", "a.dat"), open_location("memory://meta/b.dat")
    carried = MetadataOptions().of(origin, target)
    stream(origin, target, metadata=carried)
    assert set(carried.lost) == {*HEADERS, "metadata"}
    assert MemoryFileSystem().cat_file("/meta/b.dat") == b"content"
    # so that nothing is requested for them
    places.write("s3", "a.dat")
    stream(
        places.location("s3", "a.dat"), target, metadata=MetadataOptions().of(places.location("s3", "a.dat"), target)
    )
    assert s3_calls == ["HeadObject", "GetObject"]
    places.write("local", "a.dat")
    stream(places.location("local", "a.dat"), target)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_keep_their_times(places, tmp_path):
    places.write("cosv4", "a.dat")
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        reading = pool.submit((tmp_path / "pipe").read_bytes)
        copied(places, "cosv4", "local", to="pipe", modified=5.0)
        assert reading.result(60) == b"content"
    assert (tmp_path / "pipe").stat().st_mtime != 5.0


def test_streams_have_a_type_only(places, tmp_path):
    for kind, options, data in (
        ("s3", {}, b"data"),
        ("cosv4", {}, b"data"),
        ("s3", {"content_type": "a/b"}, b"data"),
        ("s3", {"content_type": "a/b"}, b""),
        ("cosv4", {"content_type": "a/b"}, b"data"),
    ):
        (tmp_path / "in").write_bytes(data)
        target = places.location(kind, "out.csv")
        with open(tmp_path / "in", "rb") as reader:
            receive(reader, target, metadata=MetadataOptions(**options).of(None, target))
        assert places.read(kind, "out.csv")["content_type"] == options.get("content_type", "text/csv")


def test_sources_without_keys_are_read_without_their_status(places):
    places.v4.pipe_file("data/a.dat", b"x", authority="public-read", cache_control="no-cache", metadata={"who": "me"})
    anonymous = {"cosv4": {**places.options["cosv4"], "anon": True}}
    origin, target = open_location("cosv4://data/a.dat", anonymous), places.location("s3", "b.dat")
    copy_file(origin, target, metadata=MetadataOptions().of(origin, target))
    found = places.read("s3", "b.dat")
    assert (found["cache_control"], found["metadata"]) == ("no-cache", {"who": "me"})


def test_counts_are_flat_and_thread_safe():
    lost = NotCarried()

    def work(number):
        for each in range(1000):
            lost.add(f"{number}/{each}", ("metadata", "biz_attr") if each % 2 else ("metadata",))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lost.as_dict()
    assert {name: one["files"] for name, one in found.items()} == {"metadata": 4000, "biz_attr": 2000}
    assert all(len(one["examples"]) == 3 for one in found.values())
    lost = {"metadata": {"files": 1200, "examples": ["a", "b", "c"]}, "biz_attr": {"files": 1, "examples": ["d"]}}
    assert not_carried_text(lost) == "not carried: metadata of 1,200 files, such as a; biz_attr of 1 file, such as d"
    assert not_carried_text({}) == ""


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(places):
    """A directory whose files have attributes that a local disk cannot hold."""
    places.v4.pipe_file("data/in/a.css", b"x", cache_control="max-age=1")
    places.v4.pipe_file("data/in/b.css", b"x", cache_control="max-age=1", metadata={"who": "me"})
    return "cosv4://data/in"


@pytest.fixture
def run(places, monkeypatch, tmp_path, capsys):
    for name, value in places.options["cosv4"].items():
        monkeypatch.setenv(f"COSV4_{name.upper()}", value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    given = [f"s3.{name}={value}" for name, value in places.options["s3"].items()]

    def run(*arguments):
        code = main([*(part for one in given for part in ("-o", one)), *map(str, arguments)])
        assert code == 0
        return capsys.readouterr()

    return run


def commands(target):
    return (("cp", "-r"), ("sync",), ("migrate", "--manifest", f"{target}.sqlite"))


def test_commands_report_what_was_not_carried_and_keep_times(places, run, tree, tmp_path):
    modified = places.v4.info("data/in/a.css")["mtime"]
    for number, command in enumerate(commands(tmp_path / "m")):
        for as_json in ((), ("--json",)):
            target = tmp_path / f"out{number}{len(as_json)}"
            name, *options = command
            options = [f"{option}{len(as_json)}" if option.endswith(".sqlite") else option for option in options]
            out, err = run(*as_json, name, *options, f"{tree}/", target)
            assert (target / "a.css").stat().st_mtime == modified
            if as_json:
                found = json.loads(out)["not_carried"]
                assert {one: found[one]["files"] for one in found} == {"cache_control": 2, "metadata": 1}
                assert found["metadata"]["examples"][0].endswith("b.css")
            else:
                assert re.search(r"not carried: .*cache_control of 2 files, such as .*\.css", err)
                assert re.search(r"metadata of 1 file, such as .*b\.css", err)


def test_migrations_remember_what_each_file_lost(places, run, tree, tmp_path):
    rows, command = tmp_path / "rows.csv", ("--json", "migrate", f"{tree}/", tmp_path / "out", "--report")
    lost = {
        "cache_control": {"files": 2, "examples": ["a.css", "b.css"]},
        "metadata": {"files": 1, "examples": ["b.css"]},
    }
    for run_again in ((), (), ("--verify",)):
        found = json.loads(run(*command, rows, *run_again).out)
        assert found["not_carried"] == lost
        with rows.open() as file:
            assert {row["path"]: row["not_carried"] for row in csv.DictReader(file)} == {
                "a.css": "cache_control", "b.css": "cache_control,metadata"
            }  # fmt: skip
    assert found["copied"] == 0
    places.v4.pipe_file("data/in/b.css", b"no attributes")
    found = json.loads(run(*command, rows).out)
    assert found["not_carried"] == {"cache_control": {"files": 1, "examples": ["a.css"]}}
    places.v4.rm("data/in/a.css")
    assert json.loads(run(*command, rows).out)["not_carried"] == {}


def test_sync_gives_local_copies_the_times_that_it_compares(places, run, bucket, tmp_path):
    places.write("s3", "in/a.dat")
    listed = places.boto.head_object(Bucket=bucket, Key="in/a.dat")["LastModified"].timestamp()
    for command, expected in ((("cp", "-r"), MTIME), (("sync",), listed)):
        target = tmp_path / command[0]
        run(*command, f"s3://{bucket}/in/", target)
        assert (target / "a.dat").stat().st_mtime == expected


def test_workers_of_a_cluster_report_it(places, tree, tmp_path):
    settings = workers.BatchSettings(
        tree, str(tmp_path / "out"), places.options, verify=False, overwrite=True, metadata=MetadataOptions()
    )
    [outcome] = settings.migrator().migrate([File("b.css", 1, 1234.5)], Callback)
    assert (outcome.lost, (tmp_path / "out/b.css").stat().st_mtime) == (("cache_control", "metadata"), 1234.5)


def test_commands_without_metadata_and_with_a_type(places, run, tree, tmp_path, bucket):
    for number, command in enumerate(commands(tmp_path / "n")):
        out, err = run(*command, "--no-metadata", f"{tree}/", tmp_path / f"out{number}")
        assert "not carried" not in out + err
        run(
            command[0],
            "--content-type",
            "text/x-all",
            "--no-metadata",
            *(("-r",) if number == 0 else ()),
            f"{tree}/",
            f"s3://{bucket}/{number}",
        )
        head = places.boto.head_object(Bucket=bucket, Key=f"{number}/b.css")
        assert (head["ContentType"], head["Metadata"]) == ("text/x-all", {})


def test_a_type_that_cannot_be_set_is_refused_before_anything_is_copied(places, tree, tmp_path, capsys):
    for target, text, kind in (
        (str(tmp_path / "out"), "no content type", NotImplementedError),
        ("cosv4://other/x", "must not have line breaks", ValueError),
    ):
        given = "text/x\r\ny" if kind is ValueError else "text/x"
        with pytest.raises(kind, match=text):
            migrate(
                tree, target, options=places.options, manifest=tmp_path / "m", metadata=MetadataOptions(True, given)
            )
    assert not (tmp_path / "out").exists()
    assert main(["cp", "--content-type", "text/x", "cosv4://data/in/a.css", "-"]) == 2
    assert "no content type" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a\r\nX: y", "a\0b", "a\x7f", " a", "a ", "a\t", "ä"])
def test_texts_that_no_header_carries_are_reported_and_not_sent(text):
    attributes = {"cache_control": text, "metadata": {"good": "a  b", "bad": text, f"n{text}": "1", "": "2"}}
    keywords, lost = s3_metadata.keywords_of(attributes, None, "x.csv")
    assert keywords == {"ContentType": "text/csv", "Metadata": {"good": "a  b"}}
    assert lost == {"cache_control", "metadata"}
