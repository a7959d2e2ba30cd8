"""The options that select files, and what each command does with them."""

import io
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import click
import pytest

from cosv4fs.cli.commands import Group, command, run
from cosv4fs.cli.filters import check_filters, filters
from cosv4fs.migrate.selection import EVERYTHING
from tests.cli.conftest import plant

PROTOCOLS = ("cosv4",)


@pytest.fixture
def select(monkeypatch, tmp_path):
    """Return the selection that a command gets from its arguments, or its exit code."""
    seen = []

    @command(name="go")
    @click.argument("sources", nargs=-1)
    @click.option("-j", "--jobs", type=int)
    @filters(links=True)
    def go(sources, jobs, selection):
        check_filters(selection, sources)
        seen.append(selection)

    group = Group("tool")
    group.add_command(go)

    def select(*arguments, data=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        seen.clear()
        code = run(group, ["go", *map(str, arguments)])
        return seen[0] if seen else code

    return select


def patterns(selection):
    return [("+ " if rule.includes else "- ") + rule.pattern for rule in selection.rules]


def test_patterns_keep_the_order_of_the_command_line(select, tmp_path):
    file = tmp_path / "patterns"
    file.write_bytes(b"\xef\xbb\xbf# comment\r\n; comment\n\n  \n  *.tmp \n/a/[#]\r\n")
    given = select("--include", "a", "x", "-j2", "--exclude=*", "--exclude-from", file, "y", "--include=--exclude")
    assert patterns(given) == ["+ a", "- *", "- *.tmp", "- /a/[#]", "+ --exclude"]
    assert patterns(select("--exclude", "*", "--include", "a", "--exclude", "b")) == ["- *", "+ a", "- b"]
    assert patterns(select("--", "--include", "a")) == []
    assert select() == EVERYTHING


def test_lists_of_names(select, tmp_path):
    file = tmp_path / "names"
    file.write_bytes(b"a/b\r\n\n \r\n./c\n/d \n#e\n\xff\n")
    assert select("--files-from", file, "x").names == {"a/b", "c", "d ", "#e", "\udcff"}
    assert select("--files-from", file, "--files-from", "-", "x", data=b"z").names >= {"a/b", "z"}
    assert select("--files-from", "-", data=b"").names == frozenset()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("7B", 7),
        ("1k", 1024),
        ("1.5M", 3 << 19),
        ("2G", 2 << 30),
        ("10MiB", 10 << 20),
        ("1t", 1 << 40),
    ],
)
def test_sizes(select, text, size):
    assert select("--min-size", text).min_size == size
    assert select("--max-size", text).max_size == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("36h", 129600), ("1.5d", 129600), ("2w", 1209600)]
)
def test_durations(select, text, seconds):
    before = time.time()
    found = select("--newer-than", text).newer_than
    assert before - seconds <= found <= time.time() - seconds


def test_times(select):
    local = datetime(2024, 1, 31).timestamp()
    exact = datetime(2024, 1, 31, 12, 30, tzinfo=timezone.utc).timestamp()
    found = select("--newer-than", "2024-01-31", "--older-than", "2025-01-31T12:30:00Z")
    assert (found.newer_than, found.older_than) == (local, exact + 366 * 86400)
    assert select("--older-than", "2024-01-31T14:30+02:00").older_than == exact


def test_links(select):
    assert [select(*given).links for given in ([], ["--skip-links"], ["--follow-links"])] == [
        "refuse directories",
        "skip",
        "follow",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--include", "a[b"], "Invalid value for '--include': the pattern 'a[b' is invalid: a [ has no ]"),
        (["--exclude", "{a"], "Invalid value for '--exclude': the pattern '{a' is invalid: a { has no }"),
        (["--exclude-from", "bad"], "'--exclude-from': line 2 of bad: the pattern 'a***' is invalid: there are more"),
        (["--exclude-from", "none"], "Invalid value for '--exclude-from': none: No such file or directory"),
        (
            ["--files-from", "bad"],
            "Invalid value for '--files-from': line 3 of bad: 'a/../b' is not the path of a file",
        ),
        (["--files-from", "-"], "Invalid value for '--files-from': line 2 of standard input: 'dir/' is not"),
        (["--exclude-from", "-", "--files-from", "-"], "standard input (-) can be read once only"),
        (["--min-size", "10MB"], "Invalid value for '--min-size': '10MB' is not a size such as"),
        (["--max-size", "-1"], "Invalid value for '--max-size': '-1' is not a size"),
        (["--newer-than", "yesterday"], "Invalid value for '--newer-than': 'yesterday' is neither a duration"),
        (["--older-than", "0001-01-01"], "Invalid value for '--older-than'"),
        (["--min-size", "2k", "--max-size", "1k"], "--min-size is larger than --max-size: no file could be selected"),
        (["--newer-than", "1d", "--older-than", "2d"], "--newer-than is later than --older-than"),
        (["--skip-links", "--follow-links"], "--skip-links and --follow-links contradict each other"),
        (["--min-size", "1k", "-"], "standard input (-) has no name, size and time to filter by"),
        (["--files-from", "good", "x", "y"], "--files-from lists paths in one directory"),
    ],
)
def test_usage_errors_name_the_option(select, here, capsys, arguments, message):
    (here / "bad").write_text("a\na***\na/../b\n")
    (here / "good").write_text("a\n")
    assert select(*arguments, data=b"a\ndir/") == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_help_has_a_section_for_filters(select, capsys):
    assert select("--help") == 0
    options, _, rest = capsys.readouterr().out.partition("\nFilters:\n")
    section = rest.partition("\n\n")[0]
    assert "--jobs" in options
    assert "--include" not in options
    assert all(
        name in section for name in ("--include PATTERN", "--files-from FILE", "--older-than TIME", "--skip-links")
    )


@pytest.fixture
def files(fs):
    """Files of the bucket and of a local directory, both the same."""
    fs.pipe({f"data/in/{name}": data for name, data in FILES.items()})


FILES = {
    "a.csv": b"12345",
    "b.tmp": b"",
    "sub/c.csv": bytes(2048),
    "sub/d.tmp": b"1",
    "tmp/e.tmp": b"1",
    "tmp/x/f": b"",
}


def left(fs):
    return sorted(name.removeprefix("data/in/") for name in fs.find("data/in"))


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        (["--include", "*.tmp"], ["b.tmp", "sub/d.tmp", "tmp/e.tmp"]),
        (["--exclude", "*", "--include", "/sub/*"], ["sub/c.csv", "sub/d.tmp"]),
        (["--exclude", "tmp/", "--max-size", "1"], ["b.tmp", "sub/d.tmp"]),
        (["--min-size", "1k"], ["sub/c.csv"]),
        (["--newer-than", "1d"], sorted(FILES)),
        (["--older-than", "1d"], []),
    ],
)
def test_rm_removes_only_selected_files(run, files, fs, options, removed):
    lines = [f"would remove cosv4://data/in/{name}" for name in removed]
    assert run("rm", "-rn", *options, "cosv4://data/in").out.splitlines() == lines
    assert left(fs) == sorted(FILES)
    assert run("rm", "-r", "--json", *options, "cosv4://data/in").json == [
        {"url": f"cosv4://data/in/{name}"} for name in removed
    ]
    assert left(fs) == sorted({*FILES} - {*removed})


def test_rm_removes_the_directories_that_it_empties(run, files, fs):
    fs.makedirs("data/in/empty")
    assert run("rm", "-r", "--include", "tmp/", "--include", "d.tmp", "cosv4://data/in").code == 0
    assert sorted(fs.find("data/in", withdirs=True)) == [
        "data/in",
        *(f"data/in/{name}" for name in ("a.csv", "b.tmp", "empty", "sub", "sub/c.csv")),
    ]
    # what is named stays, and be it a bucket
    assert run("rm", "-r", "--exclude", "x", "cosv4://data/in", "cosv4://data").code == 0
    assert sorted(fs.find("data", withdirs=True)) == ["data", "data/in", "data/in/empty"]
    assert run("rm", "-r", "cosv4://data").code == 2


def test_rm_of_single_files(run, files, fs):
    given = ["--include", "*.tmp", "cosv4://data/in/a.csv", "cosv4://data/in/b.tmp"]
    assert run("rm", "-n", *given).out == "would remove cosv4://data/in/b.tmp\n"
    assert left(fs) == sorted(FILES)
    assert run("rm", *given).code == 0
    assert run("rm", "--max-size", "1k", "cosv4://data/in/sub/*").code == 0
    assert left(fs) == ["a.csv", "sub/c.csv", "tmp/e.tmp", "tmp/x/f"]


def test_rm_of_listed_files(run, files, fs):
    done = run("rm", "-r", "--files-from", "-", "cosv4://data/in", data=b"a.csv\nnone\nsub/c.csv\n")
    assert (done.code, "data/in/none: it is in the list of files" in done.err) == (3, True)
    assert left(fs) == ["b.tmp", "sub/d.tmp", "tmp/e.tmp", "tmp/x/f"]
    assert run("rm", "-rf", "--files-from", "-", "cosv4://data/in", data=b"none\n").err == ""
    assert run("rm", "-r", "--files-from", "-", "cosv4://data/in", "cosv4://data/x", data=b"none\n").code == 2


def test_rm_of_local_links(run, here):
    (here / "in/dir").mkdir(parents=True)
    (here / "in/dir/x.tmp").write_text("kept")
    (here / "in/link.tmp").symlink_to(here / "in/dir")
    (here / "in/broken.tmp").symlink_to("nowhere")
    (here / "in/link").symlink_to(here / "in/dir")
    assert run("rm", "-r", "--include", "/*.tmp", "in").code == 0
    assert sorted(path.name for path in (here / "in").rglob("*")) == ["dir", "link", "x.tmp"]
    (here / "in/lost").symlink_to("nowhere")
    assert run("rm", "-r", "--max-size", "1k", "in").code == 0
    # the size of a link is unknown
    assert sorted(path.name for path in (here / "in").iterdir()) == ["link", "lost"]
    done = run("rm", "-r", "--files-from", "-", "in", data=b"none\n")
    assert (done.code, "in/none: it is in the list of files" in done.err) == (3, True)


def test_find_of_listed_files(run, files):
    done = run("find", "--files-from", "-", "cosv4://data/in", data=b"a.csv\nnone\nsub/c.csv\n")
    assert sorted(done.out.splitlines()) == ["cosv4://data/in/a.csv", "cosv4://data/in/sub/c.csv"]
    assert (done.code, "data/in/none: it is in the list of files" in done.err) == (3, True)
    assert run("find", "--files-from", "-", "cosv4://data/in", "cosv4://data/in/sub", data=b"a.csv").code == 2


TELLING = [
    (["--include", "*.csv"], ["a.csv", "sub/c.csv"]),
    (["--exclude", "*", "--include", "/sub/*", "--exclude", "*.tmp"], ["sub/c.csv"]),
    (["--exclude", "tmp/", "--max-size", "5"], ["a.csv", "b.tmp", "sub/d.tmp"]),
    (["--files-from", "-", "--newer-than", "1h"], ["sub/c.csv", "tmp/x/f"]),
    (["--older-than", "1h"], []),
]
LIST = b"sub/c.csv\ntmp/x/f\n"


@pytest.mark.parametrize(("options", "expected"), TELLING)
@pytest.mark.parametrize("name", ["cp", "sync", "migrate"])
def test_copies_of_selected_files(run, files, here, name, options, expected):
    arguments = [name, *(["-r"] if name == "cp" else []), *options, "cosv4://data/in/", "out"]
    assert run(*arguments, data=LIST).code == 0
    # not even directories of others
    assert {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()} == {*expected}
    folders = {str(folder) for path in expected for folder in Path(path).parents} - {"."}
    assert {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_dir()} == folders


@pytest.mark.parametrize(("options", "expected"), TELLING)
def test_listings_of_selected_files(run, files, options, expected):
    rows = run("ls", "-R", "--json", *options, "cosv4://data/in", data=LIST).json
    assert [row["url"].removeprefix("cosv4://data/in/") for row in rows if row["type"] == "file"] == expected
    [total] = run("du", "-s", "--json", *options, "cosv4://data/in", data=LIST).json
    assert (total["files"], total["size"]) == (len(expected), sum(len(FILES[name]) for name in expected))


@pytest.mark.parametrize("name", ["cp", "rm"])
def test_single_files_are_selected_by_name_size_and_time(run, files, fs, here, name):
    target = ["out/"] if name == "cp" else []
    assert run(name, "--max-size", "1k", "cosv4://data/in/sub/*", *target).code == 0
    assert run(name, "--exclude", "/in/*", "--exclude", "*.csv", "cosv4://data/in/a.csv", *target).code == 0
    assert run(name, "--newer-than", "1h", "cosv4://data/in/b.tmp", *target).code == 0
    if name == "cp":
        assert sorted(os.listdir("out")) == ["b.tmp", "d.tmp"]
    else:
        assert left(fs) == ["a.csv", "sub/c.csv", "tmp/e.tmp", "tmp/x/f"]


def test_listings_of_single_files(run, files):
    assert run("ls", "--max-size", "1k", "cosv4://data/in/sub/*").out == "cosv4://data/in/sub/d.tmp\n"
    assert run("ls", "-d", "--max-size", "1k", "cosv4://data/in/sub/*").out == "cosv4://data/in/sub/d.tmp\n"
    assert run("du", "--exclude", "*.csv", "cosv4://data/in/a.csv").out.split()[:2] == ["0", "0"]
    # deeper ones are not missing
    done = run("ls", "--files-from", "-", "cosv4://data/in", data=b"a.csv\nsub/none\nsub/c.csv\n")
    assert (done.code, done.out, done.err) == (0, "cosv4://data/in/a.csv\n", "")


@pytest.mark.parametrize("name", ["cp", "sync", "migrate", "check", "ls", "du"])
def test_listed_files_that_do_not_exist(run, files, here, name):
    (here / "out").mkdir()
    arguments = {"cp": ["-r"], "ls": ["-R"]}.get(name, [])
    target = [] if name in ("ls", "du") else ["out"]
    done = run(name, *arguments, "--files-from", "-", "cosv4://data/in/", *target, data=b"a.csv\nsub/none\n")
    assert done.code not in (0, 2)
    assert "sub/none: it is in the list of files to select, but there is no such file" in done.err
    if name in ("cp", "sync", "migrate"):
        assert (here / "out/a.csv").exists()


def test_delete_leaves_what_is_not_selected(run, fs, here):
    plant(here / "in", **{"a.csv": "new"}, keep__x="1")
    for name in ("gone.csv", "gone.tmp", "tmp/gone.csv", "large.csv"):
        fs.pipe_file(f"data/out/{name}", bytes(2000) if name == "large.csv" else b"1")
    # the source still has it, though it is not selected
    (here / "in/large.csv").write_bytes(bytes(5000))
    options = ["--include", "*.csv", "--exclude", "tmp/", "--max-size", "4k", "--delete"]
    done = run("sync", *options, "in", "cosv4://data/out")
    assert done.code == 0
    assert sorted(name.removeprefix("data/out/") for name in fs.find("data/out")) == [
        "a.csv",
        "gone.tmp",
        "large.csv",
        "tmp/gone.csv",
    ]


def test_delete_without_limits_of_size_and_time(run, fs, here):
    plant(here / "in", **{"a.csv": "new"})
    fs.pipe({"data/out/gone.csv": b"1", "data/out/gone.tmp": b"1"})
    assert run("sync", "--exclude", "*.tmp", "--delete", "in", "cosv4://data/out").code == 0
    assert sorted(fs.find("data/out")) == ["data/out/a.csv", "data/out/gone.tmp"]


def test_what_the_target_has_need_not_be_selected(run, fs, here):
    plant(here / "in", a="1", b="2")
    fs.pipe_file("data/out/a", bytes(5000))
    done = run("sync", "--max-size", "1k", "--files-from", "-", "in", "cosv4://data/out", "--json", data=b"a\nb\n")
    assert done.code == 0
    assert sorted((row["target"], row["reason"]) for row in done.json["copies"]) == [
        ("cosv4://data/out/a", "size"),
        ("cosv4://data/out/b", "new"),
    ]


def test_delete_of_copies_that_are_newer_than_their_sources(run, fs, here):
    plant(here / "in", old="1", new="2")
    os.utime(here / "in/old", (1, 1))
    assert run("sync", "in", "cosv4://data/out").code == 0
    assert run("sync", "--newer-than", "1d", "--delete", "in", "cosv4://data/out").code == 0
    assert sorted(fs.find("data/out")) == ["data/out/new", "data/out/old"]


@pytest.mark.parametrize(("options", "expected"), TELLING)
def test_checks_of_selected_files(run, files, here, options, expected):
    (here / "out").mkdir()
    done = run("check", "--json", *options, "cosv4://data/in", "out", data=LIST)
    assert done.code == (5 if expected else 0)
    assert sorted(row["path"] for row in done.json["differences"]) == expected


@pytest.mark.parametrize("command", ["check", "cp -r", "migrate", "migrate -n", "sync"])
def test_filters_that_select_nothing(run, here, command):
    plant(here / "d", a="1")
    plant(here / "e", a="2")
    message = "cosv4fs: the filters select no file of the source\n"
    done = run(*command.split(), "--include", "misspelled/", "d/", "e")
    assert (done.code, done.err.endswith(message)) == (0, True), done.err
    assert message not in run(*command.split(), "--include", "a", "d/", "e").err
    assert message not in run("-q", *command.split(), "--include", "misspelled/", "d/", "e").err
