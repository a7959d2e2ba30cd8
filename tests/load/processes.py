"""The other two processes of a run: the service, and a fresh client that looks at what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tests.load.configurations import BUCKETS
from tests.load.sampling import PLAIN_MEMORY

if TYPE_CHECKING:
    from typing_extensions import Self

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_PATIENCE = 60.0


def _environment(temporary: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**plain, **PLAIN_MEMORY, "TMPDIR": str(temporary)}


class Service:
    """The emulator as a command, with a folder that outlives it.

    Parameters
    ----------
    folder : Path
        Empty; for all that is stored and for what it says.
    """

    account: ClassVar[dict[str, str]] = {
        "appid": "1250000000",
        "secret_id": "AKIDload",
        "secret_key": "load",
        "region": "gz",
    }

    def __init__(self, folder: Path) -> None:
        self.root, self._said = folder / "root", folder / "said"
        folder.mkdir()
        keys = ("--secret-id", self.account["secret_id"], "--secret-key", self.account["secret_key"])
        options = ("--root", str(self.root), "--bucket", *BUCKETS, *keys, "--no-fsync", "--quiet")
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cosv4fs.emulator", *options],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                cwd=REPOSITORY,
                env=_environment(folder),
            )
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip().rpartition(" ")[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def storage_options(self) -> dict[str, str]:
        """What a client needs."""
        return {**self.account, "endpoint": self.endpoint}

    @property
    def complaints(self) -> str:
        """What it wrote on standard error."""
        return self._said.read_text("utf-8", "replace")

    def stop(self) -> int:
        """End it in order; return its exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def verified_elsewhere(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Have another process read everything; see `tests.load.verify` for the plan and the answer."""
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(plan), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.load.verify", str(manifest)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        cwd=REPOSITORY,
        env=_environment(folder),
    )
    manifest.unlink()
    if done.returncode:
        return {"files": 0, "bytes": 0, "failures": [f"the verifying process failed: {done.stderr[-4000:]}"]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
