"""A first use of what an extra adds, or of what needs a package; ``python -I uses.py NAME``.

It runs in fresh environments that have this package from its wheel.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import fsspec

from cosv4fs.emulator import Emulator

COMMAND = Path(sys.executable).with_name("cosv4fs")


def command(*arguments: str | Path, code: int = 0) -> str:
    """Run the command cosv4fs and return what it prints, also on standard error."""
    done = subprocess.run(
        [str(part) for part in (COMMAND, *arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=240, env={**os.environ, **SETTINGS}, cwd=FOLDER,
    )  # fmt: skip
    print(done.stdout, end="", flush=True)
    if done.returncode != code:
        sys.exit(done.returncode)
    return done.stdout


def cli() -> None:
    """List and copy with the command."""
    assert command("ls", "cosv4://data/dir") == "cosv4://data/dir/a.txt\n"
    command("--progress", "cp", "-r", "cosv4://data/dir", FOLDER / "copy")
    assert (FOLDER / "copy" / "a.txt").read_bytes() == b"content\n"


def migrate(*options: str) -> None:
    """Migrate to a local directory, and reach out for S3."""
    out = FOLDER / "out"
    command("migrate", "cosv4://data/dir", out, "--manifest", FOLDER / "manifest", *options)
    assert (out / "a.txt").read_bytes() == b"content\n"


def s3() -> None:
    """List a bucket of S3, where no service is."""
    options = [f"--option=s3.{name}" for name in ("endpoint_url=http://127.0.0.1:1", "key=k", "secret=s")]
    assert "cannot be reached" in command(*options, "ls", "s3://bucket", code=1)


def http() -> None:
    """Read by HTTP what the local service refuses to tell without a signature."""
    command("cat", f"{SERVICE.endpoint}/x", code=3)


def cluster() -> None:
    """Migrate on a cluster of this machine."""
    migrate("--scheduler", "local")


def demo() -> None:
    """Run the demonstration with a part of its data."""
    assert "all checksums agree" in command("demo", "--rows", "20000")


def progress() -> None:
    """Show a bar for an upload."""
    fs = fsspec.filesystem("cosv4", **SERVICE.storage_options, progress=True)
    fs.put_file(FOLDER / "local", "data/dir/put")


def socks() -> None:
    """Write and read through a proxy."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Socks) as server:
        # the filesystem keeps connections open
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxies = {"http": f"socks5://127.0.0.1:{server.server_address[1]}"}
        fs = fsspec.filesystem("cosv4", **SERVICE.storage_options, proxies=proxies)
        content = os.urandom(9 << 20)
        fs.pipe_file("data/dir/proxied", content)
        assert fs.cat_file("data/dir/proxied") == content
        server.shutdown()
    assert Socks.connections


class Socks(socketserver.BaseRequestHandler):
    """A proxy for SOCKS 5 that needs no password and connects to IPv4 addresses (RFC 1928)."""

    connections = 0

    def handle(self) -> None:
        """Connect, and relay bytes until one side ends."""
        self.request.recv(64)
        self.request.sendall(b"\5\0")
        request = self.request.recv(512)
        host, port = socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:10], "big")
        with socket.create_connection((host, port)) as other:
            Socks.connections += 1
            self.request.sendall(b"\5\0\0\1" + bytes(6))
            sides = {self.request: other, other: self.request}
            while True:
                for side in select.select(list(sides), [], [])[0]:
                    if not (received := side.recv(1 << 16)):
                        return
                    sides[side].sendall(received)


def notebooks(folder: str) -> None:
    """Execute copies of all notebooks in a folder."""
    work = shutil.copytree(folder, FOLDER / "notebooks")
    environment = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    nbconvert = [sys.executable, "-m", "nbconvert", "--log-level=WARN", "--to=notebook", "--execute", "--inplace"]
    for file in sorted(work.glob("*.ipynb")):
        subprocess.run([*nbconvert, file.name], check=True, timeout=300, cwd=work, env=environment)
        print(f"executed {file.name}", flush=True)


with Emulator(buckets=["data"]) as SERVICE, tempfile.TemporaryDirectory() as folder:
    FOLDER = Path(folder)
    (FOLDER / "local").write_bytes(b"content\n")
    SETTINGS = {f"COSV4_{name.upper()}": str(value) for name, value in SERVICE.storage_options.items()}
    fsspec.filesystem("cosv4", **SERVICE.storage_options).pipe_file("data/dir/a.txt", b"content\n")
    uses = (cli, migrate, s3, http, cluster, demo, progress, socks, notebooks)
    {use.__name__: use for use in uses}[sys.argv[1]](*sys.argv[2:])
