"""The page of the consumers tells what the tests try, and what is meant to be installed is."""

from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.consumers import __main__ as command
from tests.consumers.__main__ import Outcomes
from tests.consumers.registry import Row, load
from tests.consumers.table import BEGIN, END, PASSED, README, between, render, version


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.strip().splitlines()[2:]]


def test_the_page_tells_what_is_tried():
    rows = load()
    shown = cells(between(README.read_text("utf-8"))[1])
    expected = cells(render(rows, dict.fromkeys(rows, PASSED), versions=False))
    assert [[tool, *rest] for tool, _, *rest in shown] == [[tool, *rest] for tool, _, *rest in expected]
    assert all(row[1][:1].isdigit() for row in shown)


def test_every_test_of_a_consumer_is_declared(request):
    collected = {
        f"{item.path.stem}::{item.originalname}"
        for item in request.session.items
        if item.path.parent == request.path.parent and item.path != request.path
    }
    assert collected <= set(load())


def test_everything_for_this_python_is_installed():
    for text in metadata.requires("cosv4fs") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or not marker.evaluate({"extra": "consumers"}) or marker.evaluate({"extra": ""}):
            continue
        assert requirement.specifier.contains(metadata.version(requirement.name), prereleases=True), text


def test_rendering():
    rows = {
        "b::one": Row("tool", "`a`", ""),
        "b::two": Row("tool", "`b`", "", "it has none; `c` works"),
        "b::three": Row("tool", "`d`", ""),
        "b::four": Row("tool", "`e`", ""),
    }
    outcomes = {"b::one": PASSED, "b::two": PASSED, "b::three": PASSED, "b::four": "failed"}
    assert cells(render(rows, outcomes)) == [
        ["tool", version(""), "`a`; `d`", PASSED],
        ["tool", version(""), "`e`", "failed"],
        ["tool", version(""), "`b`", "not possible: it has none; `c` works"],
    ]
    assert cells(render({"x": Row("t", "w", "")}, {})) == [["t", version(""), "w", "not tried"]]


def test_a_page_without_markers_is_not_written():
    with pytest.raises(ValueError, match="needs the lines"):
        between("# A page\n")


def report(name, outcome, when="call", longrepr=None):
    return pytest.TestReport(f"tests/consumers/test_x.py::{name}", ("", 0, ""), {}, outcome, longrepr, when)


def test_the_worst_outcome_of_a_function_counts():
    outcomes = Outcomes()
    for name in ("good", "setup", "skipped"):
        outcomes.pytest_runtest_logreport(report(name, "passed", "setup"))
    for name, outcome in (("good", "passed"), ("bad[1]", "passed"), ("bad[2]", "failed"), ("bad[3]", "passed")):
        outcomes.pytest_runtest_logreport(report(name, outcome))
    outcomes.pytest_runtest_logreport(report("setup", "failed", "setup", "no such tool"))
    outcomes.pytest_runtest_logreport(report("skipped", "skipped", "call", ("x.py", 1, "Skipped: no such tool")))
    expected = {"good": PASSED, "bad": "failed", "setup": "failed", "skipped": "not tried: no such tool"}
    assert outcomes.found == {f"test_x::{name}": outcome for name, outcome in expected.items()}


@pytest.mark.parametrize(("arguments", "outcome", "written"), [
    ([], PASSED, True), (["-k", "one"], PASSED, False), ([], "not tried: no such tool", False), ([], "failed", True),
])  # fmt: skip
def test_the_page_is_written_when_everything_was_tried(monkeypatch, tmp_path, capsys, arguments, outcome, written):
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\nThe rest\n", "utf-8")
    rows = {"b::one": Row("tool", "`a`", "")}

    def run(arguments, plugins):
        plugins[0].found["b::one"] = outcome
        return pytest.ExitCode.TESTS_FAILED if outcome == "failed" else pytest.ExitCode.OK

    monkeypatch.setattr(command, "README", page)
    monkeypatch.setattr(command, "load", lambda: rows)
    monkeypatch.setattr(command.pytest, "main", run)
    assert command.main(arguments) == (outcome == "failed")
    table = render(rows, {"b::one": outcome})
    assert table in capsys.readouterr().out
    inside = between(page.read_text("utf-8"))[1]
    assert inside == (f"\n{table}\n" if written else "\nold\n")
    assert page.read_text("utf-8").startswith("# Title\n")
    assert page.read_text("utf-8").endswith("\nThe rest\n")
