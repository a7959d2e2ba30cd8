"""Several files appear together, or none does."""

import pytest

from tests.matrix.ways import BUCKET, LIMIT
from tests.support import MIB, content

NAMES = {f"{BUCKET}/dir/small": 10, f"{BUCKET}/dir/large": MIB + LIMIT + 7, f"{BUCKET}/new/empty": 0}


class _BoomError(Exception):
    pass


@pytest.mark.parametrize("old", ["free", "taken"])
@pytest.mark.parametrize("how", ["plain", "sized", "stream"])
def test_all_at_the_end(bench, second, kept, how, old):
    fs = bench.fs(streaming="always" if how == "stream" else "auto")
    if old == "taken":
        for name in NAMES:
            kept.put(name, b"old")
    with fs.transaction:
        write(fs, how)
        for name in NAMES:
            assert second.exists(name) is (old == "taken")
            assert old == "free" or second.cat_file(name) == b"old"
    for name, size in NAMES.items():
        kept.note(name, content(size))
        assert fs.info(name)["size"] == size
    kept.check_alone()


def write(fs, how):
    for name, size in NAMES.items():
        with fs.open(name, "wb", size=size if how == "sized" else None) as file:
            file.write(content(size))


@pytest.mark.parametrize("how", ["plain", "sized", "stream"])
def test_none_after_an_exception(bench, second, kept, how):
    fs = bench.fs(streaming="always" if how == "stream" else "auto")
    for name in NAMES:
        kept.put(name, b"old")
    with pytest.raises(_BoomError), fs.transaction:
        for name, size in NAMES.items():
            # the stream's end is where a service may refuse it: that is another test
            with fs.open(name, "wb", size=size if how == "sized" else None) as file:
                file.write(content(size if how != "stream" else size % LIMIT))
        raise _BoomError
    kept.check_alone()


def test_creating(fs, second, kept):
    with pytest.raises(FileExistsError), fs.transaction:
        file = fs.open(f"{BUCKET}/dir/x", "xb")
        file.write(b"mine")
        file.close()
        second.pipe_file(f"{BUCKET}/dir/x", b"faster")
    kept.note(f"{BUCKET}/dir/x", b"faster")
    kept.check_alone()
