"""What the benchmarks compute from their samples, and that all clients get the same; speed itself is not tested."""

import dataclasses
import hashlib
import sys

import pytest
from matplotlib.image import imread

from tests.benchmarks.__main__ import chosen
from tests.benchmarks.clients import MIB, OurClient, Task, pieces, written_sha1
from tests.benchmarks.plot import draw, finding, groups
from tests.benchmarks.processes import SinkProcess
from tests.benchmarks.report import disturbed, rows
from tests.benchmarks.results import Figure, Missing, Results
from tests.benchmarks.runner import Run, samples_to_take
from tests.benchmarks.scenarios import GROUPS, OURS, PLAIN, SIZED, STREAMED, Scale, Scenario, Variant
from tests.benchmarks.summary import headlines, insert, losses, pages, short
from tests.benchmarks.targets import Goal, best_share, goals
from tests.benchmarks.uploads import STREAMING
from tests.processes import REPOSITORY

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sink needs memfd_create")


def figure(variant=OURS, wall=1.0, **fields):
    """Return a figure of `put_file` of 256 MiB."""
    given = {
        "group": "peers", "title": "put_file 256 MiB", "variant": variant, "client": variant.partition(",")[0],
        "operation": "put_file", "size": 256 * MIB, "count": 1, "threads": 1, "buffer": False, "rtt_ms": 0.0,
        "rate_mbps": 0.0, "in_flight": 0, "wall": wall, "cpu": wall, "growth": MIB, "requests": 89, "connections": 0,
        "foreign": 0.0, "walls": (wall, 1.25 * wall, 0.8 * wall),
    }  # fmt: skip
    return Figure(**{**given, **fields})


def results(*figures):
    return Results("a machine; libraries", quick=False, figures=list(figures))


def scenarios():
    return [scenario for group in GROUPS.values() for scenario in group(Scale.full())]


# -- scenarios ---------------------------------------------------------------------------------------------------------


def test_figures_of_a_scenario_have_the_same_bytes():
    for scenario in scenarios():
        assert len({variant.task.volume for variant in scenario.variants}) == 1, scenario.title
        assert len({variant.task.buffer for variant in scenario.variants}) == 1, scenario.title


def test_titles_and_labels_identify_a_figure():
    found = [(scenario.title, variant.name) for scenario in scenarios() for variant in scenario.variants]
    assert len(set(found)) == len(found)


def test_labels_say_which_writer_ran():
    labels = {"write_sized": SIZED, "write_streaming": STREAMED, "write": OURS}
    for scenario in scenarios():
        for variant in scenario.variants:
            if scenario.group in ("peers", "far") and variant.client == OURS and "wb" in scenario.title:
                assert variant.name == labels[variant.task.operation]


def test_peers_are_measured_or_missing_for_a_reason():
    for scenario in scenarios():
        if scenario.rtt_ms:
            known = {variant.client for variant in scenario.variants} | {
                name for name, why in scenario.missing.items() if why
            }
            assert {"s3fs", "obstore.fsspec"} <= known, scenario.title


@pytest.mark.parametrize("buffer", [False, True])
def test_written_pieces_have_the_size_and_the_sha1_of_their_name(buffer):
    task = Task("write", 2 * MIB + 5, buffer=buffer)
    content = b"".join(map(bytes, pieces(task)))
    assert len(content) == task.size
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == written_sha1(task.size)


# -- results -----------------------------------------------------------------------------------------------------------


def test_file_has_everything(tmp_path):
    before = results(figure(), figure("s3fs", foreign=0.5))
    before.put([], [Missing("peers", "put_file 256 MiB", "obstore.fsspec", "no reason")])
    before.save(tmp_path / "run.json")
    assert Results.load(tmp_path / "run.json") == before


def test_spread_has_the_slowest_and_the_fastest_sample():
    assert figure(wall=2.0).spread == (0.8, 1.25)


def test_figures_replace_those_of_the_same_variant():
    run = results(figure(), figure("s3fs", foreign=0.5), figure("obstore.fsspec"))
    run.put([figure("s3fs", wall=3.0, repeated=True)])
    assert [(it.variant, it.wall, it.repeated) for it in run.figures] == [
        (OURS, 1.0, False), ("s3fs", 3.0, True), ("obstore.fsspec", 1.0, False)
    ]  # fmt: skip


def test_repeated_figures_replace_those_that_were_disturbed_more():
    run = results(figure(foreign=0.5), figure("s3fs", foreign=0.5))
    run.improve([figure(foreign=0.6, repeated=True), figure("s3fs", foreign=0.1, repeated=True)])
    assert [(it.variant, it.foreign, it.repeated) for it in run.figures] == [(OURS, 0.5, False), ("s3fs", 0.1, True)]


def test_disturbed_figures_are_named_and_chosen():
    wanted = {"put_file 256 MiB": {"s3fs"}}
    run = results(figure(), figure("s3fs", foreign=0.5), figure(title="get_file 256 MiB", operation="get_file"))
    assert run.disturbed() == wanted
    assert "put_file 256 MiB: s3fs" in disturbed(run)
    assert [it.title for it in chosen(Scale.full(), None, None, wanted)] == ["put_file 256 MiB"]
    assert list(chosen(Scale.full(), None, None, {})) == []


def test_rows_mark_what_is_disturbed_repeated_or_missing():
    found = rows([figure(), figure("s3fs", wall=2.0, foreign=0.5, repeated=True)], [Missing("", "", "obstore", "why")])
    assert found[1][0] == "s3fs (repeated) (DISTURBED)"
    assert found[1][1:4] == ("134 MB/s", "107–168", "2.00 ×")
    assert found[2][:2] == ("obstore", "not measured: why")


# -- goals -------------------------------------------------------------------------------------------------------------


def test_goals_compare_with_the_peer_of_the_same_scenario():
    other = figure("obstore.fsspec", wall=9.0, title="put_file 32 MiB", size=32 * MIB)
    found = goals(results(other, figure(), figure("obstore.fsspec", wall=1.5)))
    costs = "CPU s/GB: cosv4fs 3.73, obstore.fsspec 5.59"
    assert found[0] == Goal("put_file, 256 MiB", "× obstore.fsspec", 1.2, 1.5, cause=costs)
    assert found[0].outcome == "reached"


@pytest.mark.parametrize(
    ("wall", "outcome"),
    [
        (0.80, "missed (SHA-1 of one stream: 1.25)"),
        (0.85, "out of reach here (SHA-1 of one stream: 1.18)"),
        (2.00, "missed"),
    ],
)
def test_missed_goal_tells_what_limits_it(wall, outcome):
    sha1 = figure(PLAIN, wall=wall, group="raw", operation="sha1", title="SHA-1 of one stream")
    assert goals(results(figure(), figure("obstore.fsspec"), sha1))[0].outcome == (
        f"{outcome}: CPU s/GB: cosv4fs 3.73, obstore.fsspec 3.73"
    )


def test_missed_goal_of_many_objects_tells_what_each_costs():
    fields = {"group": "small", "operation": "put_many", "title": "put 10 × 4 KiB", "size": 4096, "count": 10}
    found = goals(results(figure(**fields), figure("obstore.fsspec", wall=0.5, **fields)))
    assert found[0].outcome == "missed: µs of CPU per object: cosv4fs 100,000, obstore.fsspec 50,000"


def test_tightest_limit_counts():
    limits = (("a", 1.5), ("b", 1.1), ("c", 0.8))
    assert Goal("x", "×", 1.2, 1.0, limits).outcome == "out of reach here (b: 1.10)"
    assert Goal("x", "×", 0.7, 1.2, limits, at_most=True).outcome == "out of reach here (b: 1.10)"


def test_goals_with_an_upper_bound():
    assert Goal("x", "MiB", 64, 64.0, at_most=True).is_reached
    assert not Goal("x", "MiB", 64, 65.0, at_most=True).is_reached
    assert not Goal("x", "×", 64, 63.0).is_reached


def test_share_of_the_line():
    fields = {"rtt_ms": 30.0, "rate_mbps": 20.0, "in_flight": 12, "size": 36 * MIB}
    wave = 0.03 + 3 * MIB / 20e6
    assert figure(wall=wave, **fields).share_of_line == pytest.approx(1)
    assert best_share(figure(**fields)) == pytest.approx(wave / (wave + 4 * 0.03))
    assert best_share(figure(**{**fields, "size": 37 * MIB})) == pytest.approx(37 / 36 * wave / (2 * wave + 4 * 0.03))


# -- pages -------------------------------------------------------------------------------------------------------------


def test_short_page_has_ratios_and_says_what_is_not_measured():
    text = short(results(figure(), figure("s3fs", wall=4.0)))
    assert "| `put_file` | 268 MB/s · 4.0 · not measured | not measured |" in text


def test_the_main_readme_has_the_usual_operations_over_a_link():
    far = results(*(figure(name, group="far", wall=wall) for name, wall in ((OURS, 1.0), ("s3fs", 4.0))))
    assert headlines(far).splitlines()[2:] == ["| `put_file`, 256 MiB | 268 MB/s | 4.0 | not measured |"]


def test_losses_are_named():
    slower = results(figure(), figure("obstore.fsspec", wall=0.5), figure("s3fs", wall=2.0))
    assert losses(slower) == "With its defaults cosv4fs is slower than obstore.fsspec: `put_file 256 MiB` (0.50)."
    assert losses(results(figure())) == "No default is slower than another client's."


def test_text_is_inserted_between_the_marks():
    begin, end = "<!-- made by python -m tests.benchmarks.summary -->", "<!-- end -->"
    assert insert(f"a\n{begin}\nold\n{end}\nz", "new") == f"a\n{begin}\n\nnew\n\n{end}\nz"
    with pytest.raises(ValueError, match="marks"):
        insert("a page without marks", "new")


def test_pages_are_made_from_the_file_that_the_notebook_draws():
    for page, text in pages(Results.load(REPOSITORY / "notebooks" / "performance.json")).items():
        assert page.read_text("utf-8") == text, f"{page}: run python -m tests.benchmarks.summary"


# -- picture -----------------------------------------------------------------------------------------------------------


def test_titles_of_the_picture_count_the_operations_where_cosv4fs_is_fastest():
    measured = results(
        figure(wall=2.0), figure("obstore.fsspec", 3.0), figure("s3fs", 4.0),
        *(figure(name, wall, operation="write", title="write")
          for name, wall in ((OURS, 2.0), ("obstore.fsspec", 3.0), ("s3fs", 1.0))),
        figure(operation="read", title="read"),
    )  # fmt: skip
    operations = [
        ("put", "put_file", OURS),
        ("write", "write", OURS),
        ("read", "read", OURS),
        ("get", "get_file", OURS),
    ]
    bars = groups(measured, "peers", operations, 256 * MIB)
    assert [it.label for it in bars] == ["put", "write", "read"]
    assert finding(bars) == "cosv4fs is fastest in 1 of 3"


def test_picture_is_that_of_the_file(tmp_path):
    folder = REPOSITORY / "notebooks"
    draw(Results.load(folder / "performance.json"), tmp_path / "performance.png")
    drawn, kept = (imread(place / "performance.png") for place in (tmp_path, folder))
    assert drawn.shape == kept.shape
    with pytest.raises(ValueError, match="none of the groups"):
        draw(results(figure(group="raw")), tmp_path / "nothing.png")


# -- the server and a run ----------------------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path):
    with SinkProcess() as sink:
        yield OurClient(sink.endpoint, str(tmp_path / "client"), {"spool_memory": MIB, "single_upload_limit": MIB})


@linux
@pytest.mark.parametrize("operation", ["put_file", "write_sized", "write", "write_streaming"])
def test_sink_tells_size_and_sha1_of_what_was_uploaded(client, operation):
    client.clean()
    names = []
    client.new_name = lambda *given: names.append(OurClient.new_name(client, *given)) or names[-1]
    client.prepare(Task(operation, 7 * MIB + 5))()
    info = client.fs.info(names[0])
    assert info["size"] == 7 * MIB + 5
    assert names[0].endswith(f"-h{info['sha']}")
    assert client.fs.client.quirks.finish_size == {
        "write": {"data": "declared"},
        "write_streaming": {STREAMING: "any"},
    }.get(operation, {})


@pytest.mark.parametrize(("wall", "expected"), [(0.1, 5), (6, 5), (10, 3), (40, 2)])
def test_slow_figures_have_fewer_samples(wall, expected):
    assert samples_to_take(5, wall) == expected
    assert samples_to_take(1, wall) == 1


@linux
def test_run_measures_a_scenario(tmp_path):
    task = Task("put_file", 4096, 2)
    variants = (
        Variant(OURS, task),
        Variant(OURS, task, label="fresh", fresh=True),
        Variant(PLAIN, dataclasses.replace(task, operation="sha1")),
    )
    run = Run(tmp_path, 1)
    try:
        measured = run.figures(Scenario("peers", "title", variants))
        assert [it.variant for it in measured] == [OURS, "fresh", PLAIN]
        assert [it.requests for it in measured] == [2, 2, 0]
        assert [it.connections > 0 for it in measured] == [False, True, False]
        assert not any(it.repeated for it in measured)
        again = run.figures(Scenario("peers", "title", variants), {PLAIN})
        assert [(it.variant, it.repeated) for it in again] == [(PLAIN, True)]
    finally:
        run.close()
