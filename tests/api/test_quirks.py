"""What a client learns about a server: in the vocabulary of the emulator's dialects, once, and logged."""

import logging
import typing
from dataclasses import fields

import pytest

from cosv4fs.api.quirks import Quirks
from cosv4fs.emulator import CofferDialect, Dialect, faults
from tests.support import BUCKET, MIB, content, in_threads

NOT_OF_A_DIALECT = {"server", "clock_offset"}


def literals(hint):
    """Return the values that a type names, also inside a union or a mapping."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return {value for inner in typing.get_args(hint) for value in literals(inner)}


def test_names_and_values_are_those_of_the_dialects():
    switches = {**typing.get_type_hints(CofferDialect), **typing.get_type_hints(Dialect)}
    hints = typing.get_type_hints(Quirks)
    for name in {each.name for each in fields(Quirks)} - NOT_OF_A_DIALECT:
        assert literals(hints[name]) <= literals(switches[name]), name


def test_nothing_is_learned_from_a_server_as_documented(service):
    service.put("/x", b"x")
    service.client.update(BUCKET, "/x", biz_attr="note")
    service.client.copy(BUCKET, "/x", "/y")
    service.client.move(BUCKET, "/x", "/z")
    assert service.names() == ["y", "z"]
    assert list(service.client.quirks.learned()) == []


@pytest.mark.parametrize(
    ("dialect", "act"),
    [
        ({"move_signature": "multi"}, lambda service: service.client.move(BUCKET, "/x", "/y")),
        ({"copy_signature": "single"}, lambda service: service.client.copy(BUCKET, "/x", "/y")),
        ({"delete_signature": "multi"}, lambda service: service.client.delete(BUCKET, "/x")),
        ({"update_signature": "multi"}, lambda service: service.client.update(BUCKET, "/x", biz_attr="note")),
        ({"update_flag": "required"}, lambda service: service.client.update(BUCKET, "/x", biz_attr="note")),
        ({"max_list": 199}, lambda service: service.names()),
    ],
    ids=lambda value: next(iter(value), None) if isinstance(value, dict) else "",
)
def test_learning_of_buckets(make_service, caplog, dialect, act):
    service = make_service(**dialect)
    service.put("/x", b"content")
    with caplog.at_level(logging.DEBUG, "cosv4fs"):
        act(service)
    (name, value) = next(iter(dialect.items()))
    assert getattr(service.client.quirks, name) == value
    assert f"{service.client.config.api_root}: learned {name}={value}" in caplog.messages
    (line,) = service.client.quirks.learned()
    assert line.startswith(f"{name} = {value} (")


@pytest.mark.parametrize("dialect", [{"part_etag": "encrypted"}, {"etag_quotes": "quoted"}], ids=str)
def test_learning_of_coffers(make_coffers, caplog, dialect):
    coffers = make_coffers(**dialect)
    with caplog.at_level(logging.DEBUG, "cosv4fs"):
        coffers.put_parts("/a", content(MIB), b"end")
        coffers.put_parts("/b", content(MIB), b"end")
    (name, value) = next(iter(dialect.items()))
    assert getattr(coffers.client.quirks, name) == value
    assert [text for text in caplog.messages if "learned" in text] == [
        f"{coffers.client.config.api_root}: learned {name}={value}"
    ]


@pytest.mark.parametrize("kind", ["service", "coffers"])
def test_learning_the_time(request, kind):
    target = request.getfixturevalue(kind)
    target.emulator.clock_offset = 7200
    if kind == "service":
        target.fault(faults.Refuse(-96), op="stat")
        target.client.stat(BUCKET, "/")
    else:
        target.client.list_coffers()
    assert target.client.quirks.clock_offset == pytest.approx(7200, abs=3)
    (line,) = target.client.quirks.learned()
    assert line.startswith("clock_offset = +7")


def test_finish_sizes_are_told_by_bucket():
    quirks = Quirks()
    quirks.learn("b", finish_size="any")
    quirks.learn("a", finish_size="declared")
    (line,) = quirks.learned()
    assert line.startswith("finish_size = a: declared, b: any (")


def test_what_threads_learn_about_several_buckets_at_once():
    quirks = Quirks()

    def learn(number):
        for each in range(200):
            quirks.learn(f"{number}-{each}", slice_sha="real")

    in_threads(4, learn)
    assert len(quirks.slice_sha) == 4 * 200
