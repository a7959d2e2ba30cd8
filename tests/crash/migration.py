"""The scenario `migration`: a migration to an S3 service is killed again and again, and the same command goes on."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec

from tests.crash.processes import Server
from tests.crash.scenarios import Plan, Summary
from tests.processes import Listened

SOURCE, BUCKET, TARGET = "bucket/data", "copy", "s3://copy/data"
FOLDERS = 20
LARGE = 3
BLOCK = 4 * 1024 * 1024
_STEP = 1024 * 1024

Moment = tuple[str, int, str]


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
        plan.say(f"the source has {len(content):,} files, {sum(size for size, *_ in content.values()):,} bytes")
        run = Migration(plan, server, store, chance, content)
        run.prepare()
        for number in range(plan.moments):
            run.kill(number)
        run.finish()
        summary.moments, summary.kills, summary.resumed = plan.moments, run.kills, run.kills
        summary.repeated, summary.failures = run.repeated, run.failures
    return summary


def _fill(server: Server, chance: random.Random, files: int, plan: Plan) -> dict[str, tuple[int, str, str]]:
    """Store the files; return size, MD5 and SHA-1 of each, by path."""
    fs = server.filesystem()
    found: dict[str, tuple[int, str, str]] = {}
    for folder in range(FOLDERS):
        part = {
            f"d{folder:02}/sub {number % 3}/f{number:05} é.bin": chance.randbytes(
                chance.choice((0, 1, 700, 5000, 20000))
            )
            for number in range(folder, files, FOLDERS)
        }
        fs.pipe({f"bucket/data/{path}": content for path, content in part.items()})
        for path, content in part.items():
            found[path] = len(content), _hex("md5", content), _hex("sha1", content)
    local = plan.folder / "large.bin"
    for number in range(LARGE):
        path = f"d{(number + 1) * FOLDERS // (LARGE + 1):02}/large.bin"
        found[path] = _write(local, chance, plan.size)
        fs.put_file(str(local), f"bucket/data/{path}")
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

    From `server` to `store`; `content` is what the source has: size, MD5 and SHA-1 by path. `repeated` counts the bytes
    that were published again.
    """

    def __init__(
        self,
        plan: Plan,
        server: Server,
        store: Listened,
        chance: random.Random,
        content: dict[str, tuple[int, str, str]],
    ) -> None:
        self._plan, self._store, self._chance, self._content = plan, store, chance, content
        self._endpoint = f"http://127.0.0.1:{store.events[0]['port']}"
        self._s3 = {"key": "key", "secret": "secret", "endpoint_url": self._endpoint}
        self._manifest = plan.folder / "manifest.sqlite"
        options = {**{f"{plan.protocol}.{name}": value for name, value in server.options.items()}}
        options |= {f"s3.{name}": value for name, value in self._s3.items()}
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        self._arguments = [*settings, "--json", "migrate", f"{plan.protocol}://{SOURCE}", TARGET,
                           "--verify", "--manifest", str(self._manifest)]  # fmt: skip
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

    def _compare(self) -> None:
        """Both sides have to be equal: what the store says of its objects, and the bytes of large ones."""
        fs = fsspec.filesystem("s3", **self._s3, skip_instance_cache=True, use_listings_cache=False)
        found: dict[str, Any] = fs.find(f"{BUCKET}/data", detail=True)
        there = {name.removeprefix(f"{BUCKET}/data/"): info for name, info in found.items()}
        if there.keys() != self._content.keys():
            self.failures.append(f"names differ: {sorted(there.keys() ^ self._content.keys())[:5]}")
        for path in there.keys() & self._content.keys():
            size, md5, sha = self._content[path]
            tag = there[path]["ETag"].strip('"')
            same = tag == md5 if "-" not in tag else self._digest(path) == sha
            if there[path]["size"] != size or not same:
                self.failures.append(f"{path} differs")

    def _digest(self, path: str) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        with urllib.request.urlopen(f"{self._endpoint}/{BUCKET}/data/{quote(path)}", timeout=60) as reply:
            while block := reply.read(_STEP):
                digest.update(block)
        return digest.hexdigest()

    def _count(self) -> None:
        """What was verified must not have been published again."""
        with self._store.changed:
            events = list(self._store.events)
        published = [(index, path) for index, event in enumerate(events) if (path := _published(event))]
        counts = Counter(path for _, path in published)
        self.repeated = sum((count - 1) * self._content[path][0] for path, count in counts.items())
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
