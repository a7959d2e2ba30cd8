"""Paths and keys: there and back again."""

import errno

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cosv4fs import paths

NAME = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
BUCKET = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
PARTS = st.lists(NAME, min_size=1, max_size=4)


@given(BUCKET, PARTS)
def test_there_and_back(bucket, parts):
    path = "/".join([bucket, *parts])
    assert paths.split(path) == (bucket, "/".join(parts))
    assert paths.file_key(path) == (bucket, "/" + "/".join(parts))
    assert paths.directory_key(path) == (bucket, "/" + "/".join(parts) + "/")
    assert paths.join(*paths.file_key(path)) == paths.join(*paths.directory_key(path)) == path
    assert paths.parent(path) == "/".join([bucket, *parts][:-1])


@given(BUCKET)
def test_a_bucket(bucket):
    assert paths.split(bucket) == paths.split(f"/{bucket}/") == (bucket, "")
    assert paths.directory_key(bucket) == (bucket, "/")
    assert paths.join(bucket, "/") == bucket
    assert paths.parent(bucket) == ""
    with pytest.raises(IsADirectoryError) as caught:
        paths.file_key(bucket)
    assert caught.value.filename == bucket


@pytest.mark.parametrize("path", ["b/a//x", "b/./x", "b/../x", "b/a/..", "b/."])
def test_parts_that_no_url_can_carry(path):
    for look_up in (paths.split, paths.file_key, paths.directory_key):
        with pytest.raises(FileNotFoundError, match="support empty components") as caught:
            look_up(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, path)
    for create in (paths.check_valid, paths.check_new):
        with pytest.raises(OSError, match="support empty components") as refused:
            create(path)
        assert (refused.value.errno, refused.value.filename) == (errno.EINVAL, path)


@pytest.mark.parametrize("path", ["b/x\udc80", "b\ud800/x"])
def test_names_that_are_no_text(path):
    # from the name of a local file that is not UTF-8
    for check, number in ((paths.split, errno.ENOENT), (paths.check_valid, errno.EINVAL)):
        with pytest.raises(OSError, match="UTF-8") as caught:
            check(path)
        assert caught.value.errno == number
        # so that it can be printed
        str(caught.value).encode()


@given(BUCKET, PARTS)
def test_directory_names(bucket, parts):
    path = "/".join([bucket, *parts])
    bad = set("".join(parts)) & set('?*:|\\<>"')
    if bad:
        with pytest.raises(OSError, match="no directory can be created") as caught:
            paths.check_directory_names(path)
        assert all(character in str(caught.value) for character in bad)
    else:
        paths.check_directory_names(path)


class TestSiblings:
    @given(PARTS)
    def test_there_and_back(self, parts):
        key = "/" + "/".join(parts)
        sibling = paths.sibling(key)
        assert paths.is_sibling(sibling)
        assert paths.sibling_target(sibling) == paths.shortened(key)
        assert sibling.rpartition("/")[0] == key.rpartition("/")[0]
        assert paths.sibling(key) != sibling
        assert paths.sibling(key, "0" * 16).endswith(".cosv4-" + "0" * 16)

    @pytest.mark.parametrize("letter", ["x", "é", "中", "\N{GRINNING FACE}"])
    def test_no_longer_than_names_may_be(self, letter):
        for count in range(1, 256 // len(letter.encode()) + 1):
            key = f"/dir/{letter * count}"
            name = paths.sibling(key).rpartition("/")[2]
            assert len(name.encode()) <= 255
            assert paths.is_sibling(name)
            assert paths.sibling_target(f"/dir/{name}") == paths.shortened(key)
            # what begins alike is still told apart
            assert paths.shortened(key) != paths.shortened(key + letter)
        assert paths.shortened("/dir/short") == "/dir/short"

    @given(NAME)
    def test_other_names_are_none(self, name):
        assume(".cosv4-" not in name)
        assert not paths.is_sibling(name)
        assert paths.sibling_target(f"b/{name}") is None

    @pytest.mark.parametrize(
        "name",
        [
            ".x.cosv4-",
            ".x.cosv4-12",
            "x.cosv4-0123456789abcdef",
            ".x.cosv4-0123456789ABCDEF",
            ".x.cosv4-0123456789abcdef0",
        ],
    )
    def test_nearly(self, name):
        assert not paths.is_sibling(name)
