"""A small load, and whether a large one would notice what is wrong."""

import hashlib

import fsspec
import pytest

from cosv4fs.emulator import Emulator
from tests.catalogue import Content
from tests.load.client import BUCKETS, Client, draws, every
from tests.load.runner import Plan, Run
from tests.load.sampling import growth
from tests.load.verify import verify
from tests.processes import run_module

ALLOWED = (10, 0.1)
SEED = 5


def test_a_small_load(tmp_path):
    done = run_module("tests.load", "--threads", "2", "--operations", "10", "--folder", str(tmp_path), timeout=300)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "errors 0", "")
    assert "operations 20," in done.stdout
    assert list(tmp_path.iterdir()) == []


def run(tmp_path, monkeypatch, act, threads, patience=30.0):
    """Run threads that do nothing but `act`, once."""
    monkeypatch.setattr(Client, "work", act)
    return Run(Plan(threads, SEED, None, 1, rounds=1, patience=patience, say=str), tmp_path).go()


def test_every_operation_has_its_effect(tmp_path, monkeypatch):
    known = [name for name, entry in every().items() if entry.weight and "cosv4" in entry.protocols]
    # the buckets belong to all threads
    names = [name for name in known if name != "empty_bucket"]

    def act(client):
        # enough files for all of them
        for _ in range(12):
            client.carry_out(every()["write"].step(**arguments_of("write", client)))
        for name in names:
            while not client.carry_out(every()[name].step(**arguments_of(name, client))):
                pass
            client.done[name] += 1
        return "every operation"

    outcome = run(tmp_path, monkeypatch, act, 1)
    assert outcome.complaints.failures == []
    assert all(client.done[name] >= 1 for client in outcome.clients for name in names)


def arguments_of(name, client):
    return {argument: draw(draws(client.chance)) for argument, draw in every()[name].arguments.items()}


def leave_upload(client, path):
    bucket, _, rest = path.partition("/")
    client.fs().client.upload_slice_init(bucket, f"/{rest}.more", filesize=2_000_000, slice_size=1024 * 1024)


def test_what_is_wrong_is_noticed(tmp_path, monkeypatch):
    kept = []
    wrongs = [
        (lambda client, path: client.fs().pipe_file(path, bytes(1000)), "1000 bytes came that are not"),
        (lambda client, path: client.fs().rm_file(path), "missing:"),
        (lambda client, path: client.fs().pipe_file(path + "x", b""), "no client wrote"),
        (leave_upload, "left behind:"),
        (lambda client, path: client.compare(path, b"a", b"b", "a look"), "first difference at 0"),
        (lambda client, path: kept.append(client.fs()), "not let go of"),
        (lambda client, path: (client.local / "kept").touch(), "left on the local disk"),
    ]

    def act(client):
        client.carry_out(every()["write"].step(name="dir/a", content=Content(client.index, 1000)))
        wrongs[client.index][0](client, f"{client.home}/dir/a")
        return "act"

    outcome = run(tmp_path, monkeypatch, act, len(wrongs), patience=0.2)
    kept.clear()
    assert outcome.failed
    for _, text in wrongs:
        assert any(text in failure for failure in outcome.complaints.failures), (text, outcome.complaints.failures)
    # and the number of contents, because of the third and the fourth
    assert outcome.complaints.count == len(wrongs) + 1


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ([100, 101] * 20, False),
        (range(40), True),
        ([*range(10), *[100] * 30], False),
        ([100, 100, 100, 100, 9000, 100, 100, 100] * 3, False),
        ([1000 + 3 * n for n in range(40)], False),
        ([1000 + 10 * n for n in range(40)], True),
    ],
)
def test_growth_is_told_from_noise(values, grows):
    assert (growth(list(values), ALLOWED) is not None) is grows


def test_a_few_values_say_nothing():
    with pytest.raises(ValueError, match="eight"):
        growth([1] * 7, ALLOWED)


def test_another_process_sees_the_sizes_and_sums():
    right = Content(1, 100_000)
    with Emulator(buckets=BUCKETS) as emulator:
        options = emulator.storage_options
        fsspec.filesystem("cosv4", **options).pipe_file("data/a", right.data)
        files = {"data/a": (right.size, hashlib.sha1(right.data).hexdigest())}
        plan = {"options": options, "buckets": BUCKETS, "files": files}
        assert verify(plan) == {"files": 1, "bytes": 100_000, "failures": []}
        assert len(verify({**plan, "files": {"data/a": (100_000, "0" * 40)}})["failures"]) == 1
