"""Use everything of the client that touches files, processes and the system: ``python -m tests.platforms.client``.

`test_client.py` runs it on simulated systems. Each step prints its name when it is done.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch

import fsspec

from cosv4fs.concurrency import cancellation
from cosv4fs.emulator import CofferEmulator, Emulator, faults
from cosv4fs.migrate.manifest import Manifest
from cosv4fs.portability import try_lock

BUCKET = "data"
MIB = 1 << 20
OPTIONS = {"slice_size": MIB // 2, "single_upload_limit": MIB, "spool_memory": MIB, "range_size": MIB // 2}
IS_WINDOWS = "windows" in os.environ.get("COSV4FS_TEST_PLATFORM", "")

DYING = """
import json, os, sys, fsspec
from fsspec.callbacks import Callback

class Dying(Callback):
    def relative_update(self, inc=1):
        super().relative_update(inc)
        if self.value >= 1 << 20:
            os._exit(9)

if __name__ == "__main__":
    options, source, target = json.loads(sys.argv[1])
    fs = fsspec.filesystem("cosv4", **options, max_concurrency=1)
    fs.put_file(source, target, callback=Dying())
"""
"""A program that ends, in the middle of an upload, as if it were killed."""


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


class Client:
    """A folder, the service and a filesystem on it."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder, self.emulator = folder, emulator
        self.options = {**emulator.storage_options, **OPTIONS, "spool_dir": str(self.make("spool"))}
        self.options["journal_dir"] = str(folder / "journal")
        self.fs = fsspec.filesystem("cosv4", **self.options)

    def make(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path

    def tree(self, name: str, files: dict[str, bytes]) -> Path:
        top = self.make(name)
        for path, data in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(data)
        return top

    def command(self, *arguments: str, code: int = 0) -> str:
        variables = {f"COSV4_{name.upper()}": str(value) for name, value in self.emulator.storage_options.items()}
        variables |= {"XDG_STATE_HOME": str(self.folder / "state"), "COSV4_PROFILES": str(self.folder / "profiles")}
        command = [sys.executable, "-m", "cosv4fs", *arguments]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, env={**os.environ, **variables})
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return (done.stdout + done.stderr).decode("cp1252" if IS_WINDOWS else "utf-8")


FILES = {"a": content(5), "sub/large": content(3 * MIB), "sub/deep/empty": b"", "sub/é ü": content(70_000)}


def contents(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def error_of(action: Callable[..., object], *arguments: Any, **options: Any) -> OSError | None:
    try:
        action(*arguments, **options)
    except OSError as error:
        return error
    return None


def whole_files(it: Client) -> None:
    source, fs = it.tree("whole", {"small": content(10), "large": content(3 * MIB + 1)}), it.fs
    for name in ("small", "large"):
        fs.put_file(source / name, f"{BUCKET}/whole/{name}")
        target = it.folder / f"back-{name}"
        # a new file, and one that is replaced
        for _ in range(2):
            fs.get_file(f"{BUCKET}/whole/{name}", target)
            assert target.read_bytes() == (source / name).read_bytes() == fs.cat_file(f"{BUCKET}/whole/{name}")
    with (it.folder / "open").open("wb") as file:
        fs.get_file(f"{BUCKET}/whole/large", file)
    assert (it.folder / "open").read_bytes() == (source / "large").read_bytes()


def replaced_in_use(it: Client) -> None:
    """A local file that a program has open cannot be replaced on Windows: the error names it, and nothing is left."""
    it.fs.pipe_file(f"{BUCKET}/used", b"new")
    target = it.make("used") / "file"
    target.write_bytes(b"old")
    with target.open("rb"):
        error = error_of(it.fs.get_file, f"{BUCKET}/used", target)
    assert (error and (type(error), error.filename)) == ((PermissionError, str(target)) if IS_WINDOWS else None)
    assert target.read_bytes() == (b"old" if IS_WINDOWS else b"new")
    assert list(target.parent.iterdir()) == [target]


def replaced_after_a_scan(it: Client) -> None:
    """A virus scanner has a file open for a moment: the download waits for its end."""
    it.fs.pipe_file(f"{BUCKET}/scanned", b"new")
    target = it.make("scanned") / "file"
    target.write_bytes(b"old")
    with target.open("rb") as scanner, patch("cosv4fs.portability.time.sleep", lambda _: scanner.close()):
        it.fs.get_file(f"{BUCKET}/scanned", target)
        assert scanner.closed is IS_WINDOWS
    assert target.read_bytes() == b"new"


def cancelled(it: Client) -> None:
    """A thread that is cancelled does not wait for a service that hangs: before a reply, or within one."""
    it.fs.pipe_file(f"{BUCKET}/hung", content(MIB))
    for fault in (faults.Stall(), faults.StallReply(100_000)):
        it.emulator.faults.add(action=fault, op="download")
        errors: list[BaseException | None] = []

        def read(errors: list[BaseException | None] = errors) -> None:
            with cancellation.working_for(errors):
                errors.append(error_of(it.fs.cat_file, f"{BUCKET}/hung"))

        thread = Thread(target=read, daemon=True)
        thread.start()
        assert fault.entered.wait(30)
        cancellation.cancel(errors)
        thread.join(30)
        assert [type(error).__name__ for error in errors] == ["CosInterruptedError"], errors
        fault.release.set()


def trees(it: Client) -> None:
    top = it.tree("tree", FILES)
    it.fs.put(str(top), f"{BUCKET}/tree/", recursive=True)
    it.fs.get(f"{BUCKET}/tree/tree", str(it.folder / "copy"), recursive=True)
    assert contents(it.folder / "copy") == FILES
    it.fs.get(f"{BUCKET}/tree/tree/sub/*", str(it.make("flat")) + "/")
    assert contents(it.folder / "flat") == {"large": FILES["sub/large"], "é ü": FILES["sub/é ü"]}


def impossible_names(it: Client) -> None:
    """Names that Windows gives another meaning are refused before anything is written."""
    for number, name in enumerate(["a:b", "NUL", "con.txt", "a.", "a ", "a?b", "x\\y", "sub/aux.h/c"]):
        it.fs.pipe({f"{BUCKET}/names{number}/{name}": b"x", f"{BUCKET}/names{number}/possible": b"y"})
        target = it.folder / f"names{number}"
        error = error_of(it.fs.get, f"{BUCKET}/names{number}", str(target), recursive=True)
        if IS_WINDOWS:
            assert error is not None, name
            assert (error.errno, "local files cannot have this name" in str(error)) == (errno.EINVAL, True), error
            assert not target.exists()
        else:
            assert (error, len(contents(target))) == (None, 2)
    said = it.command("cp", "-r", f"cosv4://{BUCKET}/names0/", f"{target}-2/", code=int(IS_WINDOWS))
    assert ("local files cannot have it" in said) is IS_WINDOWS, said
    assert len(contents(Path(f"{target}-2"))) == 2 - IS_WINDOWS


def other_spellings(it: Client) -> None:
    """Of files whose names differ only in case, Windows would keep one: none is copied."""
    it.fs.pipe({f"{BUCKET}/spellings/{name}": name.encode() for name in ("README", "ReadMe", "other")})
    source, target = f"cosv4://{BUCKET}/spellings/", it.folder / "spellings"
    for number, command in enumerate((["cp", "-r"], ["sync"], ["migrate"])):
        it.command(*command, source, f"{target}-{number}", code=int(IS_WINDOWS))
        copied = contents(Path(f"{target}-{number}"))
        assert len(copied.keys() & {"README", "ReadMe"}) == (0 if IS_WINDOWS else 2), copied


def streams(it: Client) -> None:
    """Beyond `spool_memory`, pieces are kept in temporary files; nothing is left of them."""
    data = content(5 * MIB + 3)
    with it.fs.open(f"{BUCKET}/stream", "wb") as file:
        for start in range(0, len(data), 300_000):
            file.write(data[start : start + 300_000])
    assert it.fs.cat_file(f"{BUCKET}/stream") == data
    with it.fs.open(f"{BUCKET}/stream", "ab") as file:
        file.write(b"more")
    with it.fs.open(f"{BUCKET}/stream", "rb") as file:
        assert file.read(10) == data[:10]
        file.seek(-6, 2)
        assert file.read() == data[-2:] + b"more"
    try:
        with it.fs.open(f"{BUCKET}/failed", "wb") as file:
            file.write(data)
            raise KeyError
    except KeyError:
        assert not it.fs.exists(f"{BUCKET}/failed")
    with it.fs.open(f"{BUCKET}/text", "w", newline="") as file:
        file.write("a\nb\n")
    assert it.fs.cat_file(f"{BUCKET}/text") == b"a\nb\n"
    assert list((it.folder / "spool").iterdir()) == []


def directories(it: Client) -> None:
    fs, top = it.fs, f"{BUCKET}/dirs"
    fs.pipe({f"{top}/a": b"1", f"{top}/sub/b": b"2"})
    assert sorted(fs.ls(top, detail=False)) == [f"{top}/a", f"{top}/sub"]
    assert sorted(fs.find(top)) == [f"{top}/a", f"{top}/sub/b"]
    fs.cp(f"{top}/a", f"{top}/c")
    fs.mv(f"{top}/c", f"{top}/sub/d")
    assert fs.cat(f"{top}/sub/*") == {f"{top}/sub/b": b"2", f"{top}/sub/d": b"1"}
    with fs.transaction:
        with fs.open(f"{top}/later", "wb") as file:
            file.write(b"3")
        assert not fs.exists(f"{top}/later")
    assert fs.cat_file(f"{top}/later") == b"3"
    fs.rm(top, recursive=True)
    assert not fs.exists(top)


def killed(it: Client) -> None:
    """What a killed process has sent is not sent again."""
    source, target = it.folder / "killed", f"{BUCKET}/killed"
    source.write_bytes(content(4 * MIB))
    child = [sys.executable, "-c", DYING, json.dumps([it.options, str(source), target])]
    done = subprocess.run(child, capture_output=True, check=False, timeout=60)
    assert done.returncode == 9, done.stderr
    [unfinished] = it.fs.uploads(BUCKET)
    assert 0 < unfinished["stored"] < unfinished["size"]
    assert [row["source"] for row in it.fs.interrupted_uploads()] == [os.path.realpath(source)]
    it.emulator.clear_requests()
    it.fs.put_file(source, target)
    # one more may have come since
    assert it.emulator.count()["upload_slice_data"] - 8 + unfinished["stored"] // (MIB // 2) in (-1, 0)
    assert it.fs.cat_file(target) == source.read_bytes()
    assert it.fs.uploads(BUCKET) == it.fs.interrupted_uploads() == []
    assert list((it.folder / "journal").iterdir()) == []


def verified(it: Client) -> None:
    """Uploads are compared with a SHA-1, and so are downloads."""
    fs = fsspec.filesystem("cosv4", **it.options, checksum=True, instant_upload=True, verify_downloads="always")
    source = it.folder / "verified"
    source.write_bytes(content(3 * MIB))
    fs.put_file(source, f"{BUCKET}/verified")
    fs.put_file(source, f"{BUCKET}/again")
    fs.get_file(f"{BUCKET}/again", it.folder / "verified-back")
    assert (it.folder / "verified-back").read_bytes() == source.read_bytes()


def coffers(it: Client) -> None:
    with CofferEmulator(coffers=("coffer-1250000000",)) as emulator:
        fs = fsspec.filesystem("cdcs", **emulator.storage_options)
        source, top = it.tree("coffer", {"a": content(3 * MIB), "sub/b": b"b"}), "coffer-1250000000/top"
        fs.put(str(source) + "/", top, recursive=True)
        fs.get(top, str(it.folder / "coffer-back"), recursive=True)
        assert contents(it.folder / "coffer-back") == contents(source)


def commands(it: Client) -> None:
    top, back = it.tree("command", FILES), it.folder / "command-back"
    it.command("cp", "-r", f"{top}/", f"cosv4://{BUCKET}/command/")
    assert "sub" in it.command("ls", f"cosv4://{BUCKET}/command")
    it.command("sync", f"cosv4://{BUCKET}/command/", str(back))
    assert contents(back) == FILES
    (back / "a").unlink()
    it.command("sync", "--delete", f"cosv4://{BUCKET}/command/", str(back))
    assert contents(back) == FILES
    it.command("rm", "-r", f"cosv4://{BUCKET}/command")
    assert not it.fs.exists(f"{BUCKET}/command")


def migrations(it: Client) -> None:
    top, target = it.tree("migration", FILES), f"cosv4://{BUCKET}/migration"
    arguments = ("migrate", str(top), target, "--manifest", str(it.folder / "manifest"))
    for _ in range(2):
        it.command(*arguments)
    it.fs.invalidate_cache()
    assert it.fs.cat_file(f"{BUCKET}/migration/sub/é ü") == FILES["sub/é ü"]
    back = it.make("migration-back")
    # what a killed process has left is removed, and what another one writes is not
    parts = [back / f".a.{digit * 16}.cosv4fs-part" for digit in "01"]
    for part in parts:
        part.touch()
    with migrating_into(parts[0]):
        it.command("migrate", target, str(back), "--report", str(it.folder / "report.csv"))
        assert contents(back) == {**FILES, parts[0].name: b""}
    with Manifest(it.folder / "lock", "s", "t"):
        assert isinstance(error_of(Manifest, it.folder / "lock", "s", "t"), BlockingIOError)


@contextmanager
def migrating_into(part: Path) -> Iterator[None]:
    """Hold a part file open, and locked where there are such locks; other processes do not see what is open here."""
    with part.open("r+b") as file:
        if not IS_WINDOWS:
            try_lock(file.fileno())
            yield
            return
        part.chmod(0o400)
        yield
        part.chmod(0o600)


STEPS: tuple[Callable[[Client], Any], ...] = (
    whole_files, replaced_in_use, replaced_after_a_scan, cancelled, trees, impossible_names, other_spellings, streams,
    directories, killed, verified, coffers, commands, migrations,
)  # fmt: skip


def main(names: list[str]) -> None:
    """Do some steps, or all of them."""
    with tempfile.TemporaryDirectory() as folder, Emulator(buckets=(BUCKET,)) as emulator:
        client = Client(Path(folder), emulator)
        for step in STEPS:
            if not names or step.__name__ in names:
                step(client)
                print(step.__name__, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
