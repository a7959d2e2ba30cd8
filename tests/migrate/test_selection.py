"""Which files patterns, names, sizes and times select."""

import itertools
import pickle
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cosv4fs.migrate.selection import EVERYTHING, Rule, Selection
from cosv4fs.paths import parents


def included(*patterns):
    return Selection(tuple(map(Rule, patterns)))


def rules(*texts):
    """Return the selection of rules such as ``+ *.csv`` and ``- *``."""
    return Selection(tuple(Rule(text[2:], includes=text[0] == "+") for text in texts))


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        # the examples of rclone's documentation
        ("file.jpg", ["file.jpg", "directory/file.jpg"], ["afile.jpg", "directory/afile.jpg"]),
        ("/file.jpg", ["file.jpg"], ["afile.jpg", "directory/file.jpg"]),
        ("*.jpg", ["file.jpg", "dir/file.jpg"], ["file.png", "dir/file.png"]),
        ("/*.jpg", ["file.jpg", "file2.jpg"], ["file.png", "dir/file.jpg"]),
        ("*.{jpg,png}", ["file.jpg", "dir/file.png"], ["file.gif", "dir/file.gif"]),
        ("dir/**", ["dir/anyfile", "subdir/dir/subsubdir/anyfile"], ["file.png", "subdir/file.png"]),
        ("*.t?t", ["file.txt", "dir/file.tzt"], ["file.qxt", "dir/file.png"]),
        ("*.[a-z]", ["file.a", "dir/file.b"], ["file.0", "dir/file.1"]),
        (r"*.\?\?\?", ["file.???", "dir/file.???"], ["file.abc", "dir/file.def"]),
        ("potato", ["potato"], ["POTATO"]),
        ("/excl/**", ["excl/123.jpg", "excl/a/b"], ["incl/document.pdf", "data/excl/1", "excl"]),
        (r"*\[{JP,KR,HK}\]*", ["game [JP].zip", "d/[HK]"], ["game [US].zip", "JP"]),
        ("{dir1/**,dir2/**}", ["dir1/a", "x/dir2/a/b"], ["dir3/a", "dir1"]),
        # a slash at the end, in the middle, and stars beside slashes
        ("dir/", ["dir/a", "dir/a/b", "x/dir/a"], ["dir", "adir/a"]),
        ("/dir/", ["dir/a", "dir/a/b"], ["dir", "x/dir/a"]),
        ("/dir/*", ["dir/a"], ["dir/a/b", "x/dir/a"]),
        ("dir/file", ["dir/file", "x/dir/file"], ["dir/x/file", "xdir/file"]),
        ("*", ["a", "a/b", ".hidden"], []),
        ("/*", ["a"], ["a/b"]),
        ("/", ["a", "a/b"], []),
        ("/**", ["a", "a/b"], []),
        ("/**/", ["a", "a/b"], []),
        ("**/.git/**", [".git/x", "a/.git/x/y"], [".git", "a.git/x"]),
        ("/a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "a/bz", "x/a/z"]),
        ("/a**z", ["az", "abz", "a/b/z"], ["a", "xaz"]),
        ("*a**b*c*d", ["abcbd", "x/a/bcbd"], ["abd", "abc/d"]),
        ("a*/b?", ["a/b1", "ab/bb", "x/a/b1"], ["a/b", "a/x/b1", "a/b/1"]),
        # classes, alternatives and characters that are special to regular expressions
        ("[!a]", ["b", "x/c", "."], ["a", "bc"]),
        ("[^a]", ["b"], ["a"]),
        ("[]]", ["]"], ["[", "]]"]),
        ("[!]]", ["["], ["]"]),
        (r"[a\-z]", ["a", "-", "z"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("/a[!b]c", ["axc"], ["a/c", "abc"]),
        ("/a[+-9]c", ["a-c", "a5c"], ["a/c"]),
        ("{a,b{c,d}}{,1}", ["a", "a1", "bc", "bd1"], ["b", "b1", "ac"]),
        ("/{a,b/c}/d", ["a/d", "b/c/d"], ["b/d", "x/a/d"]),
        ("[{,}]", ["{", ",", "}"], ["a"]),
        (r"\{a,b\}", ["{a,b}"], ["a"]),
        (r"\{{a,b}", ["{a", "{b"], ["a"]),
        ("a,b", ["a,b"], ["a"]),
        ("a.c+$(1)|^", ["a.c+$(1)|^"], ["abc+$(1)|^"]),
        ("[&&--~~||]", ["&", "|", "~"], ["a"]),
        ("a?c", ["abc", "x/a.c"], ["a/c", "ac"]),
        ("/a/**c", ["a/b\nc", "a/b/c"], ["b\nc"]),
        ("*.txt", ["line\nbreak.txt", "字.txt", "\udcff.txt"], ["a.txt\n"]),
    ],
)
def test_patterns(pattern, matching, other):
    selection = included(pattern)
    assert {path: selection.admits_path(path) for path in matching + other} == {
        **dict.fromkeys(matching, True),
        **dict.fromkeys(other, False),
    }
    assert all(selection.may_contain(folder) for path in matching for folder in parents(path))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "it is empty"),
        ("a[b", r"a \[ has no \]"),
        ("a[]", r"a \[ \] is empty"),
        ("[!]", r"a \[ \] is empty"),
        ("[z-a]", "bad character range"),
        ("[[:digit:]]", "named classes"),
        ("{a,b", r"a \{ has no \}"),
        ("a}", r"a \} has no \{"),
        ("{" * 2000, "regular expressions"),
        ("{a," * 2000, "more than 20 levels of nested braces"),
        ("{a,b}" * 30, "more than 1000 alternatives"),
        ("a***", r"more than two \*"),
        ("a\\", "nothing follows"),
        (r"\d", "is not supported"),
        (r"a\/b", "is not supported"),
        ("{{a.*}}", "regular expressions"),
        ("./a", "no path has a component"),
        ("a/../b", "no path has a component"),
    ],
)
def test_invalid_patterns(pattern, reason):
    with pytest.raises(ValueError, match=f"(?s)the pattern .* is invalid: .*{reason}"):
        Rule(pattern)


def test_many_stars_take_no_time():
    """It would never end if all ways to divide the name between the stars were tried."""
    selection = included("*a" * 20 + "b", "/" + "*a" * 20 + "?/x", "{*,a}*{a,*}" * 3 + "b")
    assert not selection.admits_path("a" * 1000)
    assert not selection.may_contain("x") or not selection.admits_path("a" * 1000 + "/y")
    assert selection.admits_path("x/" + "a" * 100 + "/" + "xa" * 20 + "b")


def test_the_last_match_decides():
    selection = rules("- *.tmp", "+ keep.tmp", "- /old/keep.tmp")
    assert [path for path in ("a", "a.tmp", "x/keep.tmp", "old/keep.tmp") if selection.admits_path(path)] == [
        "a",
        "x/keep.tmp",
    ]


@pytest.mark.parametrize(
    ("given", "selected"),
    [
        ([], ["a.csv", "b.txt"]),
        (["+ *.csv"], ["a.csv"]),
        (["- *", "+ *.csv"], ["a.csv"]),
        (["- *.csv"], ["b.txt"]),
        (["- *.csv", "+ *.bin"], ["b.txt"]),
        (["+ *.csv", "- a.*"], []),
    ],
)
def test_without_a_match_the_first_rule_decides(given, selected):
    assert [path for path in ("a.csv", "b.txt") if rules(*given).admits_path(path)] == selected


@pytest.mark.parametrize(
    ("given", "listed", "pruned"),
    [
        ([], ["a", "a/b"], []),
        (["+ *.csv"], ["a", "a/b"], []),
        (["+ /a/b/*.csv"], ["a", "a/b"], ["x", "a/x", "a/b/c", "ab"]),
        (["+ /a/*/c/**"], ["a", "a/x", "a/x/c", "a/x/c/d"], ["x", "a/x/d"]),
        (["+ /{a,b}/**/c"], ["a", "b/x"], ["c"]),
        (["- cache/"], ["a"], ["cache", "cache/x", "a/cache", "a/cache/x"]),
        (["- cache/", "+ *.csv"], ["cache", "cache/x"], []),
        (["- cache/", "+ /cache/keep/*"], ["cache", "cache/keep"], ["cache/x", "a/cache", "cache/keep/x"]),
        (["- *", "+ /a/*"], ["a"], ["x", "a/x"]),
        (["+ /a/**", "- /a/x/"], ["a", "a/y"], ["a/x", "b"]),
        (["- cache", "- /a/*"], ["a", "cache", "a/x"], []),
    ],
)
def test_directories_without_selected_files_are_pruned(given, listed, pruned):
    selection = rules(*given)
    assert [folder for folder in (*listed, *pruned) if selection.may_contain(folder)] == listed


def test_names():
    selection = Selection(names=frozenset(["a/b/c", "d", "[x]"]))
    assert [path for path in ("a", "a/b/c", "b/c", "d", "x", "[x]") if selection.admits_path(path)] == [
        "a/b/c",
        "d",
        "[x]",
    ]
    assert [folder for folder in ("", "a", "a/b", "a/b/c", "d", "e") if selection.may_contain(folder)] == [
        "",
        "a",
        "a/b",
    ]
    both = Selection((Rule("*.csv"),), names=frozenset(["a.csv", "b.txt"]))
    assert [path for path in ("a.csv", "b.txt", "c.csv") if both.admits_path(path)] == ["a.csv"]
    assert not Selection(names=frozenset()).admits_path("a")


def test_sizes_and_times():
    sizes = Selection(min_size=10, max_size=20)
    assert [size for size in (9, 10, 20, 21) if sizes.admits("a", size, None)] == [10, 20]
    times = Selection(newer_than=100.0, older_than=200.0)
    assert [time for time in (99.9, 100.0, 199.9, 200.0, None) if times.admits("a", 0, time)] == [100.0, 199.9]
    assert not Selection(newer_than=100.0).admits("a", 0, None)
    assert not Selection(older_than=100.0).admits("a", 0, None)
    assert not Selection((Rule("b"),), min_size=1).admits("a", 5, None)


def test_by_path_leaves_sizes_and_times_out():
    selection = Selection((Rule("a"),), frozenset("ab"), 1, 2, 3.0, 4.0, links="skip")
    assert selection.by_path == Selection((Rule("a"),), frozenset("ab"), links="skip")
    assert selection.for_target == Selection((Rule("a"),), frozenset("ab"), names_must_exist=False)


def test_everything():
    assert EVERYTHING.is_everything
    assert Selection(links="follow").is_everything
    for other in (rules("+ **"), Selection(names=frozenset()), Selection(min_size=0), Selection(older_than=0.0)):
        assert not other.is_everything


def test_selections_can_be_pickled():
    selection = Selection((Rule("*.csv"), Rule("/a/", includes=False)), frozenset(["a/x.csv", "b/x.csv"]), 1, 2, 3.0)
    copy = pickle.loads(pickle.dumps(selection))
    assert copy == selection
    assert [path for path in ("a/x.csv", "b/x.csv", "b/y.csv") if copy.admits("" + path, 1, 4.0)] == ["b/x.csv"]
    assert not copy.may_contain("a")


NAMES = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(
    [
        "a",
        "b",
        "*",
        "**",
        "?",
        "a*",
        "*b",
        "a**",
        "**b",
        "[ab]",
        "[!a]",
        "*a*",
        "*a*b",
        "a*?*b*",
        "{a,b}",
        "{a,b/a}",
        "{,b}a",
    ]
)
PATTERNS = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)
RULES = st.lists(st.builds(Rule, PATTERNS, st.booleans()), max_size=4).map(tuple)


def matches(pattern, path):
    """Match a path name by name: slow, and without a regular expression for more than one name."""
    return any(_matches_one(each, path) for each in _alternatives(pattern))


def _alternatives(pattern):
    start, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    inside, _, end = rest.partition("}")
    return [start + each + other for each in inside.split(",") for other in _alternatives(end)]


def _matches_one(pattern, path):
    if not pattern.startswith("/"):
        starts = itertools.accumulate(path.split("/")[:-1], lambda start, name: f"{start}/{name}", initial="")
        tails = [path[len(start.lstrip("/")) :].lstrip("/") for start in starts]
        return any(_fits((pattern + "**" if pattern.endswith("/") else pattern).split("/"), tail) for tail in tails)
    return _fits((pattern + "**" if pattern.endswith("/") else pattern)[1:].split("/"), path)


def _fits(parts, path):
    """Match the whole path: each part of a pattern takes one name; with two stars in it, one or more."""
    first, rest = parts[0], parts[1:]
    names = path.split("/")
    if not rest:
        return _is_name(first, path)
    if first == "**" and _fits(rest, path):
        return True
    return any(
        _is_name(first, "/".join(names[:count])) and _fits(rest, "/".join(names[count:]))
        for count in range(1, len(names))
    )


def _is_name(part, text):
    return fnmatchcase(text, part) and ("/" not in text or "**" in part)


@given(PATTERNS, PATHS)
@example("**/a", "a")
@example("/a/**/a", "a/a")
@example("a**/b", "a/a/b")
def test_patterns_match_as_names_do_one_by_one(pattern, path):
    assert included(pattern).admits_path(path) == matches(pattern, path)


@given(RULES, PATHS)
def test_no_selected_file_is_in_a_pruned_directory(given, path):
    selection = Selection(given)
    if selection.admits_path(path):
        assert all(selection.may_contain(folder) for folder in parents(path))


@given(RULES, PATHS)
def test_what_a_pruned_directory_has_is_not_selected(given, folder):
    selection = Selection(given)
    if not selection.may_contain(folder):
        assert not any(selection.admits_path(f"{folder}/{name}") for name in ("a", "b", "a/b", "ab/a/b", "."))
