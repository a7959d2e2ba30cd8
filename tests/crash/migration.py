"""The scenario `migration`: a migration to an S3 service is killed again and again, and the same command goes on.

At the end both sides are compared without our code, and by ``check``, which then has to find what was changed at the
target.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import fsspec

from tests.crash.processes import Server
from tests.crash.scenarios import Plan, Summary
from tests.processes import Listened, run_module

SOURCE, BUCKET, TARGET = "bucket/data", "copy", "s3://copy/data"
FOLDERS = 20
LARGE = 3
BLOCK = 4 * 1024 * 1024
_STEP = 1024 * 1024

Moment = tuple[str, int, str]

ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {},
    {"content_type": "text/x-log; charset=utf-8", "metadata": {"owner": "zhang", "x-run": "7"}},
    {"cache_control": "max-age=60", "content_disposition": 'attachment; filename="a.bin"', "content_language": "zh"},
    {"content_type": "application/x-tar", "content_encoding": "gzip", "biz_attr": "50% done"},
)
"""What the files have beside their contents, in turn."""

HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Type": "application/octet-stream"},
    {"Content-Type": "text/x-log; charset=utf-8", "x-amz-meta-owner": "zhang", "x-amz-meta-x-run": "7"},
    {
        "Content-Type": "application/octet-stream",
        "Cache-Control": "max-age=60",
        "Content-Disposition": 'attachment; filename="a.bin"',
        "Content-Language": "zh",
    },
    {"Content-Type": "application/x-tar", "Content-Encoding": "gzip", "x-amz-meta-biz-attr": "50%25%20done"},
)
"""What S3 has to show of them."""

KEPT = ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage", "ContentEncoding", "Metadata")
"""What an object has beside its content, by the names of boto3."""


@dataclass(frozen=True)
class Stored:
    """A file of the source: its size, its checksums, and which of `ATTRIBUTES` it has."""

    size: int
    md5: str
    sha1: str
    kind: int


def migration(plan: Plan, files: int = 10_000) -> Summary:
    """Kill ``cosv4fs migrate`` at moments of its progress, run it to the end, and compare both sides.

    The plan's size is that of each of the few large files; `files` says how many small ones there are.
    """
    chance, summary = random.Random(plan.seed), Summary()
    with (
        Server(plan.folder / "service", fsync=plan.fsync, protocol=plan.protocol) as server,
        Listened("tests.migrate.bucket_server") as store,
    ):
        store.wait_for(lambda: bool(store.events))
        content = _fill(server, chance, files, plan)
        server.clear()
        plan.say(f"the source has {len(content):,} files, {sum(file.size for file in content.values()):,} bytes")
        run = Migration(plan, server, store, chance, content)
        run.prepare()
        for number in range(plan.moments):
            run.kill(number)
        run.finish()
        summary.moments, summary.kills, summary.resumed = plan.moments, run.kills, run.kills
        summary.repeated, summary.failures = run.repeated, run.failures
    return summary


def _fill(server: Server, chance: random.Random, files: int, plan: Plan) -> dict[str, Stored]:
    """Store the files; return them by path."""
    fs = server.filesystem()
    found: dict[str, Stored] = {}
    for folder in range(FOLDERS):
        parts: list[dict[str, bytes]] = [{} for _ in ATTRIBUTES]
        for number in range(folder, files, FOLDERS):
            path = f"d{folder:02}/sub {number % 3}/f{number:05} é.bin"
            kind = number // FOLDERS % len(ATTRIBUTES)
            parts[kind][path] = content = chance.randbytes(chance.choice((0, 1, 700, 5000, 20000)))
            found[path] = Stored(len(content), _hex("md5", content), _hex("sha1", content), kind)
        for part, attributes in zip(parts, ATTRIBUTES, strict=True):
            fs.pipe({f"bucket/data/{path}": content for path, content in part.items()}, **attributes)
    local = plan.folder / "large.bin"
    for number in range(LARGE):
        path = f"d{(number + 1) * FOLDERS // (LARGE + 1):02}/large.bin"
        found[path] = Stored(*_write(local, chance, plan.size), kind=number + 1)
        fs.put_file(str(local), f"bucket/data/{path}", **ATTRIBUTES[number + 1])
    local.unlink()
    return found


def _write(local: Path, chance: random.Random, size: int) -> tuple[int, str, str]:
    hashes = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    with local.open("wb") as file:
        for start in range(0, size, _STEP):
            block = chance.randbytes(min(_STEP, size - start))
            file.write(block)
            for one in hashes:
                one.update(block)
    return size, hashes[0].hexdigest(), hashes[1].hexdigest()


def _hex(name: str, content: bytes) -> str:
    return hashlib.new(name, content, usedforsecurity=False).hexdigest()


class Migration:
    """All runs of one migration.

    From `server` to `store`; `content` is what the source has, by path. `repeated` counts the bytes that were published
    again.
    """

    def __init__(
        self,
        plan: Plan,
        server: Server,
        store: Listened,
        chance: random.Random,
        content: dict[str, Stored],
    ) -> None:
        self._plan, self._server, self._store, self._chance, self._content = plan, server, store, chance, content
        self._endpoint = f"http://127.0.0.1:{store.events[0]['port']}"
        self._s3 = {"key": "key", "secret": "secret", "endpoint_url": self._endpoint}
        self._boto: Any = boto3.client(
            "s3", endpoint_url=self._endpoint, aws_access_key_id="key", aws_secret_access_key="secret",
            region_name="us-east-1",
        )  # fmt: skip
        self._manifest = plan.folder / "manifest.sqlite"
        options = {**{f"{plan.protocol}.{name}": value for name, value in server.options.items()}}
        options |= {f"s3.{name}": value for name, value in self._s3.items()}
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        self._both = [f"{plan.protocol}://{SOURCE}", TARGET]
        self._settings = [*settings, "--json"]
        self._arguments = [*self._settings, "migrate", *self._both, "--verify", "--manifest", str(self._manifest)]
        self._verified: list[tuple[int, set[str]]] = []
        self.kills = self.repeated = 0
        self.failures: list[str] = []

    def prepare(self) -> None:
        """Make the bucket of the target."""
        fsspec.filesystem("s3", **self._s3, skip_instance_cache=True).mkdir(BUCKET)

    def kill(self, number: int) -> None:
        """Run the command, and kill it at a moment."""
        moment = self._moment(number)
        with Listened("tests.crash.migrating", json.dumps(moment), *self._arguments) as child:
            reached = self._wait_for(child, lambda: bool(child.events))
            is_moment = reached and "reached" in child.events[0]
        if not is_moment:
            self.failures.append(f"moment {number + 1} {moment} was not reached: {child.events}")
            return
        self.kills += 1
        states = self._states()
        done = {path for path, state in states.items() if state == "verified"}
        self._verified.append((self._catch_up(), done))
        text = ", ".join(f"{name} {count:,}" for name, count in sorted(Counter(states.values()).items()))
        self._plan.say(f"{number + 1:>3} killed {moment[2]} {moment[0]} {moment[1]:,}: {text or 'nothing listed'}")

    def _wait_for(self, child: Listened, condition: Callable[[], bool]) -> bool:
        """Wait for something in a run, for as long as the store is still asked for things."""
        asked = -1
        while True:
            try:
                return child.wait_for(condition)
            except TimeoutError:
                if len(self._store.events) == asked:
                    raise
                asked = len(self._store.events)

    def _catch_up(self) -> int:
        """Wait until the store has told of everything that it answered so far; return how much that is."""
        marker = f"/{BUCKET}/marker-{self.kills}"
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{self._endpoint}{marker}", timeout=60):
            pass
        store = self._store
        store.wait_for(lambda: any(event.get("path") == marker for event in reversed(store.events)))
        with store.changed:
            return next(at for at, event in enumerate(store.events) if event.get("path") == marker)

    def _moment(self, number: int) -> Moment:
        """Choose a moment in the next part of what is left, so that all are spread over the whole work."""
        states, chance = self._states(), self._chance
        how = chance.choice(("before", "after", "seen"))
        if number == 0:
            return "page", chance.randint(2, FOLDERS * 3), how
        if number == 1:
            return "listed", 1, how
        left = sorted(path for path in self._content if states.get(path) != "verified")
        step = max(1, len(left) // (self._plan.moments - number + 1))
        blocks = self._plan.size // BLOCK
        if blocks and chance.random() < 0.8 and any(path.endswith("large.bin") for path in left[:step]):
            return "block", chance.randint(1, blocks), how
        # each is about several files: so many may never come
        kind = chance.choice(("begin", "record"))
        return kind, chance.randint(1, max(1, step // 40)), how

    def _states(self) -> dict[str, str]:
        if not self._manifest.exists():
            return {}
        base = sqlite3.connect(self._manifest)
        try:
            return dict(base.execute("SELECT path, state FROM files"))
        except sqlite3.OperationalError:
            # killed before the tables were made
            return {}
        finally:
            base.close()

    def finish(self) -> None:
        """Run the command to its end, and examine everything."""
        with Listened("tests.crash.migrating", "null", *self._arguments) as child:
            self._wait_for(child, lambda: child.ended)
        if child.events != [{"code": 0}]:
            self.failures.append(f"the last run ended with {child.events}")
        wrong = {path: state for path, state in self._states().items() if state != "verified"}
        if wrong or self._states().keys() != self._content.keys():
            self.failures.append(f"the manifest is wrong, as in {list(wrong.items())[:3]}")
        self._compare()
        self._count()
        self._check()

    def _compare(self) -> None:
        """Both sides have to be equal: what the store says of its objects, and the bytes of large ones."""
        fs = fsspec.filesystem("s3", **self._s3, skip_instance_cache=True, use_listings_cache=False)
        found: dict[str, Any] = fs.find(f"{BUCKET}/data", detail=True)
        there = {name.removeprefix(f"{BUCKET}/data/"): info for name, info in found.items()}
        if there.keys() != self._content.keys():
            self.failures.append(f"names differ: {sorted(there.keys() ^ self._content.keys())[:5]}")
        times = self._times()
        for path in there.keys() & self._content.keys():
            file = self._content[path]
            tag = there[path]["ETag"].strip('"')
            same = tag == file.md5 if "-" not in tag else self._digest(path) == file.sha1
            if there[path]["size"] != file.size or not same:
                self.failures.append(f"{path} differs")
            self._compare_headers(path, HEADERS[file.kind], times[path])

    def _times(self) -> dict[str, float]:
        """Return the modification times of the source by path."""
        found = self._server.filesystem().find(SOURCE, detail=True)
        return {name.removeprefix(f"{SOURCE}/"): info["mtime"] for name, info in found.items()}

    def _compare_headers(self, path: str, expected: Mapping[str, str], modified: float) -> None:
        headers = self._headers(path)
        wrong = {name: headers.get(name) for name, value in expected.items() if headers.get(name) != value}
        named = headers.get("x-amz-meta-mtime", "0")
        if wrong or float(named) != modified:
            self.failures.append(f"{path} has {wrong}, modified {named} instead of {modified}")

    def _headers(self, path: str) -> dict[str, str]:
        """Return the headers that S3 shows of an object, by the names that `HEADERS` has."""
        reply = self._boto.head_object(Bucket=BUCKET, Key=f"data/{path}")
        found: dict[str, str] = reply["ResponseMetadata"]["HTTPHeaders"]
        return {name.title() if not name.startswith("x-") else name: value for name, value in found.items()}

    def _check(self) -> None:
        """``check`` has to find nothing; and then one changed byte, one missing file and one changed header."""
        self._expect_differences({})
        small = [path for path in sorted(self._content) if 0 < self._content[path].size < _STEP]
        flipped, gone, changed = self._chance.sample(small, 3)
        for path in (flipped, changed):
            stored = self._boto.get_object(Bucket=BUCKET, Key=f"data/{path}")
            content = stored["Body"].read()
            if path == flipped:
                content = bytes([content[0] ^ 1]) + content[1:]
            else:
                stored["CacheControl"] = "no-store"
            kept = {name: stored[name] for name in KEPT if name in stored}
            self._boto.put_object(Bucket=BUCKET, Key=f"data/{path}", Body=content, **kept)
        self._boto.delete_object(Bucket=BUCKET, Key=f"data/{gone}")
        self._expect_differences({flipped: "*", gone: "+", changed: "*"})

    def _expect_differences(self, expected: Mapping[str, str]) -> None:
        done = run_module("cosv4fs", *self._settings, "check", "--download", *self._both, timeout=1200)
        found = {row["path"]: row["mark"] for row in json.loads(done.stdout).get("differences", [])}
        if found != expected or done.returncode != (5 if expected else 0):
            self.failures.append(f"check found {found} instead of {expected}: {done.returncode}, {done.stderr[-500:]}")
        self._plan.say(f"check found {len(found)} differences")

    def _digest(self, path: str) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        body = self._boto.get_object(Bucket=BUCKET, Key=f"data/{path}")["Body"]
        while block := body.read(_STEP):
            digest.update(block)
        return digest.hexdigest()

    def _count(self) -> None:
        """What was verified must not have been published again."""
        with self._store.changed:
            events = list(self._store.events)
        published = [(index, path) for index, event in enumerate(events) if (path := _published(event))]
        counts = Counter(path for _, path in published)
        self.repeated = sum((count - 1) * self._content[path].size for path, count in counts.items())
        again = sum(count - 1 for count in counts.values())
        for start, done in self._verified:
            self.failures += [
                f"{path} was verified, and copied again" for at, path in published if at >= start and path in done
            ]
        most = max(counts.values())
        self._plan.say(f"published {len(published):,} times, {again:,} of them again; no file more than {most} times")


def _published(event: dict[str, Any]) -> str | None:
    """Return the path of an object that a request has made visible."""
    if event.get("status") != 200 or not event["path"].startswith(f"/{BUCKET}/data/"):
        return None
    whole = event["method"] == "PUT" and "uploadId" not in event["query"]
    parts = event["method"] == "POST" and "uploadId" in event["query"]
    return event["path"].removeprefix(f"/{BUCKET}/data/") if whole or parts else None
