"""A process of its own that reads what a run left behind: ``python -m tests.load.verify MANIFEST``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import fsspec

from tests.load.sampling import PLAIN_MEMORY
from tests.processes import run_module

_AT_ONCE = 32


def verified_elsewhere(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Have another process `verify`."""
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(plan), "utf-8")
    done = run_module("tests.load.verify", str(manifest), timeout=1800, **PLAIN_MEMORY, TMPDIR=str(folder))
    manifest.unlink()
    if done.returncode:
        return {"files": 0, "bytes": 0, "failures": [f"the verifying process failed: {done.stderr[-4000:]}"]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def verify(plan: dict[str, Any]) -> dict[str, Any]:
    """Read every object of a plan and look for what should not be there.

    The plan has ``options`` of the filesystem, ``buckets``, and ``files``: number of bytes and SHA-1 by path.
    Returned are ``files`` and ``bytes`` that were right, and ``failures``, a list of texts.
    """
    fs = fsspec.filesystem("cosv4", **plan["options"])
    expected: dict[str, tuple[int, str]] = plan["files"]
    infos: dict[str, Any] = {}
    failures: list[str] = []
    for bucket in plan["buckets"]:
        infos |= fs.find(bucket, detail=True)
        failures += [f"left behind: {upload}" for upload in fs.uploads(bucket)]
    failures += [f"missing: {path}" for path in expected if path not in infos]
    failures += [f"no client wrote {path}" for path in infos if path not in expected]
    right, size = 0, 0
    wanted = sorted(expected.keys() & infos.keys())
    for start in range(0, len(wanted), _AT_ONCE):
        names = wanted[start : start + _AT_ONCE]
        for name, data in fs.cat(names, on_error="return").items():
            fault = _fault(data, *expected[name], infos[name])
            if fault is None:
                right, size = right + 1, size + len(data)
            else:
                failures.append(f"{name}: {fault}")
    return {"files": right, "bytes": size, "failures": failures}


def _fault(data: bytes | Exception, size: int, sha: str, info: dict[str, Any]) -> str | None:
    """Say what is wrong with an object; None when nothing is."""
    if isinstance(data, Exception):
        return repr(data)
    if hashlib.sha1(data).hexdigest() != sha:
        return f"{len(data)} bytes came that are not the {size} that were written last"
    if info["size"] != size:
        return f"the listing says {info['size']} bytes, it has {size}"
    # the service shows the SHA-1 of nothing as zeros
    if size and info["sha"] != sha:
        return f"the listing says SHA-1 {info['sha']}"
    return None


if __name__ == "__main__":
    print(json.dumps(verify(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
