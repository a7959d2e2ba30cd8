"""Both services behind the same calls, for the tests of what they have in common."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import MappingProxyType

from cosv4fs.emulator import CofferDialect, CofferEmulator, Dialect, Emulator, faults
from tests.platforms import environment

from .client import NOW, SECRET_ID, SECRET_KEY, Client, sign
from .coffers import COFFER, Coffers

PART = 1048576
"""Bytes of a slice or part."""


class BucketService:
    """A bucket of the JSON API."""

    kind = "buckets"
    emulator_class, dialect_class = Emulator, Dialect
    options = MappingProxyType({"buckets": ("b", "other")})
    put_op, get_op, list_op, send_op = "upload", "download", "list", "upload_slice_data"
    storage_failed, expired, busy = -6993, -96, -71
    faults = faults.ALL
    table = "nodes"

    def __init__(self, emulator, now=NOW):
        self.emulator = emulator
        self.client = Client(emulator)
        self.signature = sign(e=now + 600, t=now)

    def put(self, name, content=b"content"):
        return self.client.upload(f"/{name}", content, signature=self.signature)

    def get(self, name, **headers):
        return self.client.download(f"/{name}", signature=self.signature, **headers)

    def list(self):
        return self.client.get("/", "list", num=100, signature=self.signature)

    def names(self):
        return [entry["name"] for entry in self.list().data["infos"]]

    def begin(self, name, size):
        answer = self.client.begin(f"/{name}", size, slice_size=PART, signature=self.signature)
        return answer.data["session"]

    def send(self, name, upload, index, content):
        return self.client.piece(f"/{name}", upload, index * PART, content, signature=self.signature)

    def sent(self, name):
        """Return which slices are stored."""
        data = self.client.post(f"/{name}", "upload_slice_list", signature=self.signature).data
        return [part["offset"] // PART for part in data["listparts"]]

    def finish(self, name, upload, contents):
        content = b"".join(contents)
        sha = hashlib.sha1(content).hexdigest()
        return self.client.finish(f"/{name}", upload, len(content), sha=sha, signature=self.signature)


class CofferService:
    """A coffer of CDCS."""

    kind = "coffers"
    emulator_class, dialect_class = CofferEmulator, CofferDialect
    options = MappingProxyType({"coffers": (COFFER,)})
    put_op, get_op, list_op, send_op = "PutObject", "GetObject", "GetCoffer", "UploadPart"
    storage_failed, expired, busy = "InternalError", "AuthFailed", "DataSynchronization"
    faults = faults.COFFER
    table = "objects"

    def __init__(self, emulator, now=NOW):
        self.emulator = emulator
        self.client = Coffers(emulator, span=(now - 60, now + 600))
        self._uploads = {}

    def put(self, name, content=b"content"):
        return self.client.put(name, content)

    def get(self, name, **headers):
        return self.client.get(name, **headers)

    def list(self):
        return self.client.of_coffer("GET")

    def names(self):
        return self.client.names()

    def begin(self, name, size):
        self._uploads[name] = self.client.begin(name)
        return self._uploads[name]

    def send(self, name, upload, index, content):
        return self.client.part(name, upload, index + 1, content)

    def sent(self, name):
        """Return which parts are stored."""
        upload = next(found["UploadId"] for found in self.client.uploads().json["Upload"] if found["Key"] == name)
        return [part["PartNumber"] - 1 for part in self.client.parts(name, upload).json["Part"]]

    def finish(self, name, upload, contents):
        named = [(number, hashlib.md5(content).hexdigest()) for number, content in enumerate(contents, 1)]
        return self.client.finish(name, upload, named)


SERVICES = {service.kind: service for service in (BucketService, CofferService)}


def blobs(emulator):
    """Return the files of the stored contents."""
    return list((emulator.root / "blobs").iterdir())


class Standalone:
    """The command, running with the bucket ``b``, and with a coffer if `kind` says so; on a simulated `system`."""

    def __init__(self, root, *more, kind="buckets", with_keys=True, system=None):
        # those of a client are not taken for the keys of the service
        variables = {"COSV4_SECRET_ID": "another", "COSV4_SECRET_KEY": "another"}
        if system is not None:
            variables = environment(system, **variables)
        else:
            variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, "-m", "cosv4fs.emulator", "--root", str(root), "--bucket", "b", *more]
        command += ["--secret-id", SECRET_ID, "--secret-key", SECRET_KEY] if with_keys else []
        command += ["--coffer", COFFER] if kind == "coffers" else []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
        )
        count = {("buckets", None): 5, ("coffers", None): 8, ("coffers", "windows"): 17}[kind, system]
        impatience = threading.Timer(60, self.process.kill)
        impatience.start()
        self.lines = [self.process.stdout.readline().strip() for _ in range(count)]
        impatience.cancel()
        assert self.lines[0].startswith("listening on http://127.0.0.1:"), self.process.communicate()
        self.endpoints = [line.split()[-1] for line in self.lines if " on http://" in line]
        self.endpoint = self.endpoints[-1]

    def service(self, kind):
        return SERVICES[kind](self, int(time.time()))

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err
