"""Errors name the URL that they concern, also where another package raises one that names none."""

import json
import os
import sys

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from tests.cli.conftest import plant

PROTOCOLS = ("cosv4",)


@pytest.fixture
def account(monkeypatch, s3_options):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_options["secret"])


@pytest.mark.parametrize("command", [["ls", "URL"], ["rm", "URL"], ["touch", "URL"], ["cp", "URL", "copy"]])
def test_a_missing_bucket(run, account, command):
    done = run("--json", *("s3://no-such-bucket/x" if part == "URL" else part for part in command))
    rows = json.loads(done.out)
    row = rows[0] if isinstance(rows, list) else rows
    assert (done.code, row["path"]) == (3, "s3://no-such-bucket/x")
    assert done.err == f"cosv4fs {command[0]}: {row['error']}\n"
    assert row["error"] == "s3://no-such-bucket/x: The specified bucket does not exist"


@pytest.mark.parametrize("url", ["no-such-protocol://x", "zip://a::no-such-protocol://x"])
def test_what_cannot_be_opened(run, url):
    done = run("ls", url)
    assert (done.code, done.err) == (2, f"cosv4fs ls: {url}: Protocol not known: no-such-protocol\n")


@pytest.mark.parametrize("name", ["cos", "cosn", "cosv5", "cdc"])
def test_protocols_of_other_clients(run, name):
    done = run("ls", f"{name}://bucket/x")
    text = "use cosv4:// or cosv3:// for buckets and cdcs:// for coffers; for the XML API (v5), use s3:// with "
    text += "endpoint_url=https://cos.REGION.myqcloud.com and addressing_style=virtual"
    url = f"{name}://bucket/x"
    assert (done.code, done.err) == (2, f"cosv4fs ls: {url}: Protocol not known: {name}: {text}\n")


def test_a_protocol_that_another_package_provides(run, monkeypatch):
    monkeypatch.setitem(_registry, "cosn", MemoryFileSystem)
    assert run("ls", "cosn://none").code == 3


@pytest.mark.parametrize("command", ["cp", "migrate", "sync"])
@pytest.mark.parametrize(("target", "meant"), [("s3:bucket/x", "s3://bucket/x"), ("cosv4:/data", "cosv4://data")])
def test_a_url_without_its_slashes_is_no_local_target(run, here, command, target, meant):
    plant(here, tree__file="x")
    done = run(command, "tree/file" if command == "cp" else "tree", target)
    text = f"{target} is a local path, not a URL: use {meant}, or ./{target} if the path is meant"
    assert (done.code, done.err) == (2, f"cosv4fs {command}: {text}\n")
    assert os.listdir(here) == ["tree"]


def test_local_names_with_colons(run, here):
    plant(here, file="x")
    assert run("cp", "file", "./s3:copy").code == 0
    assert run("cp", "file", "report:2024").code == 0
    assert run("cat", "s3:copy", "report:2024", f"file:{here}/file").out == "xxx"


def test_an_option_that_the_filesystem_does_not_know(run, account):
    done = run("-o", "s3.nonsense=1", "ls", "s3://bucket/x")
    assert (done.code, done.err.startswith("cosv4fs ls: s3://bucket/x: ")) == (2, True)


def test_a_server_that_cannot_be_reached(run, nowhere):
    assert run("ls", f"http://{nowhere}/x").err.startswith(f"cosv4fs ls: http://{nowhere}/x: Connect call failed")


def test_a_path_alone_becomes_a_url(run, account):
    assert run("mkdir", "s3://named").code == 0
    assert run("sync", "s3://named/none", "copy").err == "cosv4fs sync: s3://named/none: No such file or directory\n"


def test_with_several_urls_none_is_guessed(run, account):
    done = run("ls", "s3://no-such-bucket/x", "s3://no-such-either/x")
    assert (done.code, done.err) == (3, "cosv4fs ls: The specified bucket does not exist\n")


def test_local_files_that_cannot_be_removed(run, here, monkeypatch):
    plant(here, tree__sub__file="x")
    unlink = os.unlink

    def refuse(path, *, dir_fd=None):
        if dir_fd is None:
            unlink(path)
        else:
            raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    text = f"{here}/tree: Permission denied: file"
    if sys.version_info >= (3, 13):
        # shutil names the directory
        text = f"{here}/tree/sub: Permission denied"
    assert run("rm", "-r", "tree").err == f"cosv4fs rm: {text}\n"
