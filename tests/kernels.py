"""Jupyter kernels, in which tests run cells."""

import queue

import pytest
from jupyter_client.manager import KernelManager

TIMEOUT = 60
"""Seconds to wait for what has to come."""


class Kernel:
    """A running kernel, one cell after another."""

    def __init__(self, folder):
        # ports are chosen some time before they are bound: others may take them
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/kernel")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def start(self, code):
        return self.client.execute(code)

    def finish(self, cell):
        """Wait for the end of a cell; return the name of its exception, and the exception's text."""
        while True:
            try:
                reply = self.client.get_shell_msg(timeout=TIMEOUT)
            except queue.Empty:
                pytest.fail("the cell does not end")
            if reply["parent_header"].get("msg_id") == cell:
                return reply["content"].get("ename"), reply["content"].get("evalue")

    def run(self, code):
        assert self.finish(self.start(code)) == (None, None)

    def outputs(self, code):
        """Run a cell; return what it displays, as (type of message, content)."""
        cell, found = self.start(code), []
        assert self.finish(cell) == (None, None)
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["content"] == {"execution_state": "idle"}:
                return found
            found.append((message["msg_type"], message["content"]))
