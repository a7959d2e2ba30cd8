"""A local service with coffers, and a client that does not wait between attempts."""

import time

from cosv4fs.api import CofferClient
from cosv4fs.api.retry import RetryPolicy
from cosv4fs.config import resolve
from cosv4fs.emulator import CofferDialect, CofferEmulator
from cosv4fs.protocols import CDCS
from tests.support import Clock

COFFER = "examplecoffer-1250000000"


class Coffers:
    def __init__(self, *, options=None, retries=5, emulator=None, clock=time.time, **dialect):
        self.emulator = CofferEmulator(coffers=(COFFER,), dialect=CofferDialect(**dialect), **(emulator or {}))
        self.emulator.start()
        self.clock = Clock()
        given = {**self.emulator.storage_options, "read_timeout": 30.0, **(options or {})}
        policy = RetryPolicy(retries, 120.0, clock=self.clock, sleep=self._pause)
        self.client = CofferClient(resolve(given, protocol=CDCS), policy, clock)

        self._meanwhile = []

    def _pause(self, seconds):
        self.clock.sleep(seconds)
        acts, self._meanwhile = self._meanwhile, []
        for act in acts:
            act()

    def meanwhile(self, act):
        """Let something happen in the client's next pause between two attempts."""
        self._meanwhile.append(act)

    def close(self):
        self.client.close()
        self.emulator.close()

    def fault(self, action, op=None, **rule):
        return self.emulator.faults.add(action=action, op=op, **rule)

    def ops(self):
        return [record.op for record in self.emulator.requests]

    def ranges(self):
        return [record.range for record in self.emulator.requests if record.op == "GetObject"]

    def let_go(self, stall, op):
        """Let a stalled request go on, and wait until it was answered."""
        before = self.ops().count(op)
        stall.release.set()
        for _ in range(20_000):
            if self.ops().count(op) > before:
                return
            time.sleep(0.001)

    def put(self, key, data=b"x", **more):
        return self.client.put_object(COFFER, key, memoryview(data), **more)

    def put_parts(self, key, *contents):
        upload = self.client.initiate(COFFER, key)
        parts = self.send(key, upload, *contents)
        self.client.complete(COFFER, key, upload, parts)

    def send(self, key, upload, *contents):
        for number, data in enumerate(contents, 1):
            self.client.upload_part(COFFER, key, upload, number, memoryview(data))
        return self.client.list_parts(COFFER, key, upload)

    def read(self, key, start=None, stop=None, expected=None):
        """Return the bytes and the result of `fetch`."""
        memory = bytearray()

        def allocate(length, version):
            memory.extend(bytes(length))
            return memoryview(memory)

        fetched = self.client.fetch(COFFER, key, allocate, start, stop, expected)
        assert fetched.length == len(memory)
        return bytes(memory), fetched

    def keys(self, prefix=""):
        return [entry.key for entry in self.client.list(COFFER, prefix)]


def raw(server, **options):
    """Return a client for a `RawServer` that tries once."""
    given = {"secret_id": "theId", "secret_key": "theSecretKey", "endpoint": server.endpoint}
    return CofferClient.connect(**{**given, "max_retries": 0, "read_timeout": 20.0, **options})
