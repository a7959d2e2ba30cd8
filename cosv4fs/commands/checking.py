"""The command that says in words what is wrong: doctor."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from cosv4fs import paths
from cosv4fs.commands.failures import DIFFERENT, describe
from cosv4fs.commands.session import Session
from cosv4fs.display import human_size
from cosv4fs.errors import CosConnectionError, CosFileNotFoundError, CosPermissionError, CosTimeoutError
from cosv4fs.filesystem import CosV4FileSystem

__all__ = ["COMMANDS"]

_CLOCK_LIMIT = 60.0
"""Seconds of difference from which on it is worth a remark; the client copes with more."""

_DAY = 86400.0


@dataclass(frozen=True)
class Finding:
    """What one look has shown: ``ok``, ``note`` or ``problem``, about what, and in words."""

    state: str
    subject: str
    text: str


@click.command(short_help="Say in words what is wrong with credentials, clock or bucket.")
@click.argument("url")
@click.option("--write", is_flag=True, help="Also try to write, move and delete a small file below URL.")
@click.pass_obj
def doctor(session: Session, url: str, write: bool) -> None:
    """Check credentials, clock, region and permissions against a bucket, or a directory in it.

    URL is cosv4://bucket or cosv3://bucket, with or without a directory.
    """
    findings: list[Finding] = []
    for finding in _findings(session, url, write):
        findings.append(finding)
        if not session.as_json:
            mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[finding.state]
            session.say(f"{mark}  {finding.subject}: {finding.text}")
    if session.as_json:
        session.show_json([vars(finding) for finding in findings])
    if any(finding.state == "problem" for finding in findings):
        sys.exit(DIFFERENT)


COMMANDS = (doctor,)


def _findings(session: Session, url: str, write: bool) -> Iterator[Finding]:
    try:
        fs, path = session.ours(url)
    except (ValueError, TypeError) as error:
        yield Finding("problem", "configuration", describe(error))
        return
    if not path:
        raise click.UsageError(f"doctor needs a bucket: {fs.protocol}://bucket")
    yield Finding("ok", "configuration", _configuration(fs))
    bucket = paths.split(path)[0]
    for check in (_clock, _credentials, _listing, _downloads, *([_writing] if write else []), _unfinished):
        finding = check(fs, bucket, path)
        if finding is not None:
            yield finding
        if finding is not None and finding.state == "problem" and check in (_clock, _credentials, _listing):
            # without these nothing else can work: more lines would only hide the cause
            return


def _configuration(fs: CosV4FileSystem) -> str:
    config = fs.config
    who = "no credentials (anon)" if config.anon else f"secret_id {config.secret_id[:4]}…"
    return f"appid {config.appid}, {who}, API at {config.api_root}"


def _clock(fs: CosV4FileSystem, bucket: str, path: str) -> Finding:
    try:
        difference = fs.client.clock_difference(bucket)
    except (CosConnectionError, CosTimeoutError) as error:
        known = fs.config.generation.has_regions and not fs.config.endpoint
        where = f"is region={fs.config.region!r} right" if known else f"is {fs.config.api_root} right"
        return Finding("problem", "connection", f"{error.strerror}; {where}, and does a proxy stand in between?")
    if difference is None:
        return Finding("note", "clock", "the server tells no time to compare with")
    if abs(difference) < _CLOCK_LIMIT:
        return Finding("ok", "clock", "agrees with the server's")
    way = "behind" if difference > 0 else "ahead of"
    text = f"this machine's clock is {abs(difference):.0f} seconds {way} the server's; signatures follow the server's"
    return Finding("note", "clock", f"{text} after a first refusal, but set the clock right")


def _credentials(fs: CosV4FileSystem, bucket: str, path: str) -> Finding | None:
    try:
        fs.client.stat(bucket, "/")
    except CosPermissionError as error:
        names = ", ".join(fs.config.generation.environment[name] for name in ("appid", "secret_id", "secret_key"))
        return Finding("problem", "credentials", f"{error.strerror}. Compare {names} with the console")
    except CosFileNotFoundError as error:
        where = (
            f"region {fs.config.region}"
            if fs.config.region and fs.config.generation.has_regions
            else fs.config.api_root
        )
        return Finding(
            "problem",
            "bucket",
            f"{error.strerror}. Is there a bucket {bucket!r} of appid {fs.config.appid} in {where}?",
        )
    except OSError as error:
        return Finding("problem", "bucket", describe(error))
    return Finding("ok", "credentials", f"accepted for bucket {bucket}")


def _listing(fs: CosV4FileSystem, bucket: str, path: str) -> Finding:
    try:
        found = fs.ls(path, detail=True, refresh=True)
    except OSError as error:
        return Finding("problem", "listing", describe(error))
    return Finding("ok", "listing", f"{len(found)} entries in {path}")


def _downloads(fs: CosV4FileSystem, bucket: str, path: str) -> Finding:
    file = next((info["name"] for info in fs.ls(path, detail=True) if info["type"] == "file" and info["size"]), None)
    root = fs.config.download_root(bucket)[0]
    if file is None:
        return Finding("note", "reading", f"there is no file in {path} to try it with; downloads come from {root}")
    try:
        fs.cat_file(file, 0, 1)
    except OSError as error:
        return Finding("problem", "reading", f"{describe(error)} (downloads come from {root})")
    return Finding("ok", "reading", f"{file} can be read from {root}")


def _writing(fs: CosV4FileSystem, bucket: str, path: str) -> Finding:
    name = f"{path}/cosv4fs-doctor-{secrets.token_hex(6)}"
    try:
        fs.pipe_file(name, b"cosv4fs doctor", mode="create")
        try:
            fs.mv(name, f"{name}-moved")
            name = f"{name}-moved"
            if fs.cat_file(name) != b"cosv4fs doctor":
                return Finding("problem", "writing", f"{name}: what was read is not what was written")
        finally:
            fs.rm_file(name)
    except OSError as error:
        return Finding("problem", "writing", describe(error))
    return Finding("ok", "writing", "a file could be written, moved, read and deleted")


def _unfinished(fs: CosV4FileSystem, bucket: str, path: str) -> Finding:
    try:
        old = [upload for upload in fs.uploads(path) if upload["mtime"] < time.time() - _DAY]
    except OSError as error:
        return Finding("problem", "unfinished uploads", describe(error))
    if not old:
        return Finding("ok", "unfinished uploads", "none older than a day")
    size = human_size(sum(upload["stored"] for upload in old))
    return Finding("note", "unfinished uploads", f"{len(old)} older than a day, {size}: see cosv4fs uploads clean")
