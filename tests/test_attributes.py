"""The table of attributes: one vocabulary for all services, without contradictions."""

import typing

import pytest

from cosv4fs.attributes import ATTRIBUTES, META, Attributes, attribute_in, attributes_in, headers_of, parsed_changes
from cosv4fs.protocols import CDCS, V3, V4

EXAMPLE: Attributes = {"content_type": "text/plain", "cache_control": "no-cache", "metadata": {"Who": "me", "b": "2"}}
HEADERS = {"Content-Type": "text/plain", "Cache-Control": "no-cache", "x-cos-meta-Who": "me", "x-cos-meta-b": "2"}


def test_every_name_is_a_keyword_with_a_type():
    assert set(ATTRIBUTES) == typing.get_type_hints(Attributes).keys()
    for column in ("name", "header", "s3"):
        names = [getattr(row, column) for row in ATTRIBUTES.values() if getattr(row, column)]
        assert len(set(names)) == len(names)
    for row in ATTRIBUTES.values():
        assert row.changed_by <= row.written_by <= {V4.name, V3.name, CDCS.name}
        assert V4.name in row.written_by


def test_headers_and_back():
    assert headers_of({**EXAMPLE, "biz_attr": "x", "authority": "eInvalid"}) == HEADERS
    assert attributes_in(HEADERS) == EXAMPLE
    shouted = {name.upper(): text for name, text in HEADERS.items()}
    assert attributes_in(shouted) == {**EXAMPLE, "metadata": {"WHO": "me", "B": "2"}}
    assert attributes_in({"Set-Cookie": "x", "Content-Language": ""}) == {"metadata": {}}


@pytest.mark.parametrize(("name", "value"), [("who", "me"), ("WHO", "me"), ("content_type", "text/plain"), ("c", None)])
def test_one_by_name(name, value):
    assert attribute_in(EXAMPLE, name) == value


def test_changes_keep_what_they_do_not_name():
    changes = parsed_changes({"WHO": "you", "cache_control": None, "b": None, "authority": "private"}, V4.name)
    assert changes.applied_to(HEADERS) == {"Content-Type": "text/plain", "x-cos-meta-WHO": "you"}
    assert changes.removed == ("Cache-Control", f"{META}b")
    assert (changes.biz_attr, changes.authority) == (None, "eWRPrivate")
