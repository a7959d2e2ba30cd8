"""The command that diagnoses credentials, clock and permissions: doctor."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from cosv4fs import paths
from cosv4fs.buckets import BucketFileSystem
from cosv4fs.cli.failures import DIFFERENT, describe
from cosv4fs.cli.session import Ours, Session
from cosv4fs.coffers import CofferFileSystem
from cosv4fs.display import human_size
from cosv4fs.errors import CosConnectionError, CosFileNotFoundError, CosPermissionError, CosTimeoutError
from cosv4fs.namespace import Levels
from cosv4fs.options import variables_of

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


@click.command(short_help="Diagnose credentials, clock and permissions.")
@click.argument("url")
@click.option(
    "--write",
    is_flag=True,
    help="Also try to write, move and delete a small file below URL; in a coffer, from which no file could be "
    "deleted, an upload is begun and given up.",
)
@click.pass_obj
def doctor(session: Session, url: str, write: bool) -> None:
    """Check credentials, clock, region and permissions against a bucket, or a directory in it.

    URL is cosv4://bucket, cosv3://bucket or cdcs://coffer-APPID, with or without a directory.
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
        needed = "a coffer: cdcs://coffer-APPID" if _is_coffer(fs) else f"a bucket: {fs.protocol}://bucket"
        raise click.UsageError(f"doctor needs {needed}")
    yield Finding("ok", "configuration", _configuration(fs))
    bucket = paths.split(path)[0]
    looks = _COFFER_LOOKS if _is_coffer(fs) else _BUCKET_LOOKS
    writing = _beginning if _is_coffer(fs) else _writing
    for check in (_clock, *looks, *([writing] if write else []), _unfinished):
        finding = check(fs, bucket, path)
        if finding is not None:
            yield finding
        if finding is not None and finding.state == "problem" and check in (_clock, *looks[:-1]):
            # without these nothing else can work: more lines would only hide the cause
            return


def _configuration(fs: Ours) -> str:
    config = fs.config
    who = "no credentials (anon)" if config.anon else f"secret_id {config.secret_id[:4]}…"
    appid = f"appid {config.appid}, " if config.appid else ""
    region = f"region {config.region}, " if _is_coffer(fs) and config.region else ""
    token = " with a token" if config.security_token else ""
    return f"{appid}{who}{token}, {region}API at {config.api_root}"


def _is_coffer(fs: Ours) -> bool:
    return fs.capabilities.container == "coffer"


def _clock(fs: Ours, bucket: str, path: str) -> Finding:
    try:
        difference = fs.client.clock_difference(bucket)
    except (CosConnectionError, CosTimeoutError) as error:
        known = fs.config.protocol.has_regions and not fs.config.endpoint
        where = f"is region={fs.config.region!r} right" if known else f"is {fs.config.api_root} right"
        return Finding("problem", "connection", f"{error.strerror}; {where}, and does a proxy stand in between?")
    if difference is None:
        return Finding("note", "clock", "the server tells no time to compare with")
    if abs(difference) < _CLOCK_LIMIT:
        return Finding("ok", "clock", "agrees with the server's")
    way = "behind" if difference > 0 else "ahead of"
    text = f"this machine's clock is {abs(difference):.0f} seconds {way} the server's; signatures follow the server's"
    return Finding("note", "clock", f"{text} after a first refusal, but set the clock right")


def _credentials(fs: BucketFileSystem, bucket: str, path: str) -> Finding | None:
    try:
        fs.client.stat(bucket, "/")
    except CosPermissionError as error:
        return _refused(fs, error)
    except CosFileNotFoundError as error:
        where = (
            f"region {fs.config.region}" if fs.config.region and fs.config.protocol.has_regions else fs.config.api_root
        )
        return Finding(
            "problem",
            "bucket",
            f"{error.strerror}. Is there a bucket {bucket!r} of appid {fs.config.appid} in {where}?",
        )
    except OSError as error:
        return Finding("problem", "bucket", describe(error))
    return Finding("ok", "credentials", f"accepted for bucket {bucket}")


def _refused(fs: Ours, error: CosPermissionError) -> Finding:
    told = variables_of(fs.config.protocol)
    names = [told[name] for name in ("appid", "secret_id", "secret_key") if name in told]
    if fs.config.security_token:
        names.append(told["security_token"])
    return Finding("problem", "credentials", f"{error.strerror}. Compare {', '.join(names)} with the console")


def _listing(fs: BucketFileSystem, bucket: str, path: str) -> Finding:
    try:
        found = fs.ls(path, detail=True, refresh=True)
    except OSError as error:
        return Finding("problem", "listing", describe(error))
    return Finding("ok", "listing", f"{len(found)} {'entry' if len(found) == 1 else 'entries'} in {path}")


def _downloads(fs: BucketFileSystem, bucket: str, path: str) -> Finding:
    file = next((info["name"] for info in fs.ls(path, detail=True) if info["type"] == "file" and info["size"]), None)
    root = fs.config.download_root(bucket)[0]
    if file is None:
        return Finding("note", "reading", f"there is no file in {path} to try it with; downloads come from {root}")
    try:
        fs.cat_file(file, 0, 1)
    except OSError as error:
        return Finding("problem", "reading", f"{describe(error)} (downloads come from {root})")
    return Finding("ok", "reading", f"{file} can be read from {root}")


def _writing(fs: BucketFileSystem, bucket: str, path: str) -> Finding:
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


# -- coffers: never asked for more than a page, which may be all that there is time for --------------------------------


def _coffer(fs: CofferFileSystem, coffer: str, path: str) -> Finding:
    try:
        fs.client.list_page(coffer, max_keys=1)
    except CosPermissionError as error:
        return _refused(fs, error)
    except CosFileNotFoundError as error:
        where = f"region {fs.config.region}" if fs.config.region else fs.config.api_root
        return Finding("problem", "coffer", f"{error.strerror}. cosv4fs ls cdcs:// lists those in {where}")
    except OSError as error:
        return Finding("problem", "coffer", describe(error))
    return Finding("ok", "credentials", f"accepted for coffer {coffer}")


def _region(fs: CofferFileSystem, coffer: str, path: str) -> Finding:
    """Compare the region that is asked for objects with those that hold them."""
    try:
        found = next((each for each in fs.client.list_coffers() if each.name == coffer), None)
    except OSError as error:
        return Finding("note", "region", f"where the coffer is cannot be told: {describe(error)}")
    if found is None:
        return Finding("note", "region", "where the coffer is cannot be told: it belongs to another account")
    where, mine = ", ".join(found.locations), fs.config.region
    if mine and mine not in found.locations:
        # an endpoint is asked whatever the region says
        state = "note" if fs.config.endpoint else "problem"
        return Finding(state, "region", f"{coffer} is in {where}, not in {mine}: set CDCS_REGION")
    return Finding("ok", "region", f"{coffer} is in {where}")


def _coffer_listing(fs: CofferFileSystem, coffer: str, path: str) -> Finding:
    try:
        infos, is_all = _coffer_page(fs, coffer, path)
    except OSError as error:
        return Finding("problem", "listing", describe(error))
    count = f"{len(infos)} file{'' if len(infos) == 1 else 's'}{'' if is_all else ' and more'}"
    return Finding("ok", "listing", f"{count} in {path} and below")


def _coffer_page(fs: CofferFileSystem, coffer: str, path: str) -> tuple[list[dict[str, Any]], bool]:
    """Return infos of files below a path, or of the file that it is, and whether these are all."""
    known = fs.info(path)
    if known["type"] == "file":
        return [known], True
    page = fs.client.list_page(coffer, prefix=paths.directory_key(path)[1])
    infos = Levels(path, page.entries).infos().values()
    return [info for info in infos if info["type"] == "file"], page.marker is None


def _coffer_downloads(fs: CofferFileSystem, coffer: str, path: str) -> Finding:
    file = next((info["name"] for info in _coffer_page(fs, coffer, path)[0] if info["size"]), None)
    if file is None:
        return Finding("note", "reading", f"there is no file below {path} to try it with")
    try:
        fs.cat_file(file, 0, 1)
    except OSError as error:
        return Finding("problem", "reading", describe(error))
    return Finding("ok", "reading", f"{file} can be read")


def _beginning(fs: CofferFileSystem, coffer: str, path: str) -> Finding:
    """Begin an upload and give it up: a file that was written could never be removed."""
    key = f"{paths.directory_key(path)[1]}cosv4fs-doctor-{secrets.token_hex(6)}"
    try:
        fs.client.abort(coffer, key, fs.client.initiate(coffer, key))
    except OSError as error:
        return Finding("problem", "writing", describe(error))
    text = "an upload could be begun and was given up; no file was written, because none could ever be removed"
    return Finding("ok", "writing", text)


def _unfinished(fs: Ours, bucket: str, path: str) -> Finding:
    try:
        # of some nobody knows when they were begun
        old = [upload for upload in fs.uploads(path) if 0 < upload["mtime"] < time.time() - _DAY]
    except OSError as error:
        return Finding("problem", "unfinished uploads", describe(error))
    if not old:
        return Finding("ok", "unfinished uploads", "none older than a day")
    size = human_size(sum(upload["stored"] for upload in old))
    return Finding("note", "unfinished uploads", f"{len(old)} older than a day, {size}: see cosv4fs uploads clean")


_BUCKET_LOOKS: tuple[Callable[[Any, str, str], Finding | None], ...] = (_credentials, _listing, _downloads)
_COFFER_LOOKS: tuple[Callable[[Any, str, str], Finding | None], ...] = (
    _coffer, _region, _coffer_listing, _coffer_downloads,
)  # fmt: skip
