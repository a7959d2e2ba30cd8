"""The command doctor, which diagnoses credentials, clock and permissions."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import click

from cosv4fs import paths
from cosv4fs.buckets import CosV3FileSystem, CosV4FileSystem
from cosv4fs.cli.commands import command
from cosv4fs.cli.failures import DIFFERENT, describe
from cosv4fs.cli.session import CosFileSystem, Session
from cosv4fs.coffers import CofferFileSystem
from cosv4fs.display import counted, human_size
from cosv4fs.errors import CosConnectionError, CosFileNotFoundError, CosPermissionError, CosTimeoutError
from cosv4fs.info import Info
from cosv4fs.namespace import Levels
from cosv4fs.options import variables_of

_CLOCK_LIMIT = 60.0
"""Seconds of clock difference that are reported. The client corrects larger differences itself."""

_DAY = 86400.0


@dataclass(frozen=True)
class _Diagnosis:
    """The result of one check."""

    state: str
    """``ok``, ``note`` or ``problem``."""
    subject: str
    text: str


_Buckets: TypeAlias = CosV4FileSystem | CosV3FileSystem
_Check: TypeAlias = Callable[[Any, str, str], _Diagnosis]
"""Checks a filesystem, a bucket or coffer in it and a path in that. An OSError that it raises is a problem."""


@command(short_help="Diagnose credentials, clock and permissions.")
@click.argument("url")
@click.option(
    "--write",
    is_flag=True,
    help="Also write, move and delete a small file in URL; in a coffer, where files cannot be deleted, begin and "
    "abort an upload.",
)
@click.pass_obj
def doctor(session: Session, url: str, write: bool) -> None:
    """Check credentials, clock, region and permissions against a bucket, or a directory in it.

    URL is cosv4://bucket, cosv3://bucket or cdcs://coffer-APPID, with or without a directory.
    """
    rows = diagnose(session, url, write)
    if session.as_json:
        session.show_json(rows)
    if has_problem(rows):
        sys.exit(DIFFERENT)


def diagnose(session: Session, url: str, write: bool) -> list[dict[str, str]]:
    """Check credentials, clock, region and permissions; print the findings, and return them as JSON output has them."""
    rows = []
    for finding in _findings(session, url, write):
        rows.append(vars(finding))
        if not session.as_json:
            mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[finding.state]
            session.say(f"{mark}  {finding.subject}: {finding.text}")
    return rows


def has_problem(rows: list[dict[str, str]]) -> bool:
    """Return whether a check has found a problem."""
    return any(row["state"] == "problem" for row in rows)


def _findings(session: Session, url: str, write: bool) -> Iterator[_Diagnosis]:
    try:
        fs, path = session.cos_filesystem(url)
    except (ValueError, TypeError) as error:
        yield _Diagnosis("problem", "configuration", describe(error))
        return
    if not path:
        example = "coffer-APPID" if isinstance(fs, CofferFileSystem) else "bucket"
        raise click.UsageError(f"name a {fs.capabilities.container}: {fs.protocol}://{example}")
    yield _Diagnosis("ok", "configuration", _configuration(fs))
    bucket = paths.split(path)[0]
    first, last = _COFFER_CHECKS if isinstance(fs, CofferFileSystem) else _BUCKET_CHECKS
    yield (finding := _clock(fs, bucket))
    for subject, check in first:
        if finding.state != "problem":
            yield (finding := _result(subject, check, fs, bucket, path))
    if finding.state == "problem":
        # the later checks would fail, too, and hide the cause
        if finding.subject == "bucket":
            yield from _newer_api(fs, bucket)
        return
    for subject, check in last if write else last[:1]:
        yield _result(subject, check, fs, bucket, path)
    yield _result("unfinished uploads", _unfinished, fs, bucket, path)
    yield from (_Diagnosis("note", "quirk", line) for line in fs.client.quirks.learned())


def _result(subject: str, check: _Check, fs: CosFileSystem, bucket: str, path: str) -> _Diagnosis:
    try:
        return check(fs, bucket, path)
    except OSError as error:
        return _Diagnosis("problem", subject, describe(error))


def _configuration(fs: CosFileSystem) -> str:
    config = fs.config
    who = "no credentials (anon)" if config.anon else f"secret_id {config.secret_id[:4]}…"
    appid = f"appid {config.appid}, " if config.appid else ""
    region = f"region {config.region}, " if config.region else ""
    token = " with a token" if config.security_token else ""
    return f"{appid}{who}{token}, {region}API at {config.api_root}"


def _clock(fs: CosFileSystem, bucket: str) -> _Diagnosis:
    try:
        difference = fs.client.clock_difference(bucket)
    except (CosConnectionError, CosTimeoutError) as error:
        return _Diagnosis("problem", "connection", f"{error.strerror} ({fs.config.api_root})")
    if difference is None:
        return _Diagnosis("note", "clock", "the server sends no time to compare with")
    if abs(difference) < _CLOCK_LIMIT:
        return _Diagnosis("ok", "clock", "agrees with the server")
    way = "behind" if difference > 0 else "ahead of"
    text = f"the local clock is {abs(difference):.0f} seconds {way} the server's"
    return _Diagnosis("note", "clock", f"{text}: correct it; requests work, but the first one is repeated")


def _credentials(fs: CosFileSystem, bucket: str, path: str) -> _Diagnosis:
    config, kind = fs.config, fs.capabilities.container
    try:
        if isinstance(fs, CofferFileSystem):
            fs.client.list_page(bucket, max_keys=1)
        else:
            fs.client.stat(bucket, "/")
    except CosPermissionError as error:
        variables = variables_of(config.protocol)
        names = [variables[name] for name in ("appid", "secret_id", "secret_key") if name in variables]
        if config.security_token:
            names.append(variables["security_token"])
        return _Diagnosis("problem", "credentials", f"{error.strerror}. Compare {', '.join(names)} with the console")
    except CosFileNotFoundError as error:
        where = f"region {config.region}" if config.region and config.protocol.has_regions else config.api_root
        hint = f"Is there a bucket {bucket!r} of appid {config.appid} in {where}?"
        if isinstance(fs, CofferFileSystem):
            hint = f"List those in {where} with cosv4fs ls cdcs://"
        return _Diagnosis("problem", kind, f"{error.strerror}. {hint}")
    return _Diagnosis("ok", "credentials", f"accepted for {kind} {bucket}")


def _newer_api(fs: CosFileSystem, bucket: str) -> Iterator[_Diagnosis]:
    """Find out whether a bucket that the JSON API does not know answers the XML API."""
    assert not isinstance(fs, CofferFileSystem)  # their first check is not of a bucket
    if not (fs.config.region or fs.config.endpoint):
        return
    with suppress(OSError):
        if fs.client.has_xml_api(bucket):
            text = f"{bucket} answers the XML API (v5), which this package does not speak: use cos-python-sdk-v5, or "
            # s3fs uses path-style URLs with an endpoint, which the vendor refuses for buckets made since 2024
            s3 = f"s3fs with endpoint_url=https://{fs.config.xml_host} and addressing_style=virtual"
            yield _Diagnosis("problem", "API", text + s3)


def _listing(fs: _Buckets, bucket: str, path: str) -> _Diagnosis:
    found = fs.ls(path, detail=True, refresh=True)
    return _Diagnosis("ok", "listing", f"{counted(len(found), 'entry', 'entries')} in {path}")


def _downloads(fs: _Buckets, bucket: str, path: str) -> _Diagnosis:
    file = next((info["name"] for info in fs.ls(path, detail=True) if info["type"] == "file" and info["size"]), None)
    root = fs.config.download_root(bucket)[0]
    if file is None:
        text = f"not checked, because {path} itself has no file with content: name a directory that has one"
        return _Diagnosis("note", "reading", f"{text}; downloads come from {root}")
    try:
        fs.cat_file(file, 0, 1)
    except OSError as error:
        return _Diagnosis("problem", "reading", f"{describe(error)} (downloads come from {root})")
    return _Diagnosis("ok", "reading", f"{file} can be read from {root}")


def _writing(fs: _Buckets, bucket: str, path: str) -> _Diagnosis:
    name = f"{path}/cosv4fs-doctor-{secrets.token_hex(6)}"
    fs.pipe_file(name, b"cosv4fs doctor", mode="create")
    try:
        fs.mv(name, f"{name}-moved")
        name = f"{name}-moved"
        if fs.cat_file(name) != b"cosv4fs doctor":
            return _Diagnosis("problem", "writing", f"{name}: the content read differs from the content written")
    finally:
        fs.rm_file(name)
    return _Diagnosis("ok", "writing", "a file was written, moved, read and deleted")


# -- coffers: checks request one page at most, because a whole listing may take too long -------------------------------


def _region(fs: CofferFileSystem, coffer: str, path: str) -> _Diagnosis:
    """Compare the configured region with those of the coffer."""
    try:
        found = next((each for each in fs.client.list_coffers() if each.name == coffer), None)
    except OSError as error:
        return _Diagnosis("note", "region", f"the region of the coffer is unknown: {describe(error)}")
    if found is None:
        return _Diagnosis("note", "region", "the region of the coffer is unknown: it belongs to another account")
    where, mine = ", ".join(found.locations), fs.config.region
    if mine and mine not in found.locations:
        # a configured endpoint takes precedence over the region
        state = "note" if fs.config.endpoint else "problem"
        return _Diagnosis(state, "region", f"{coffer} is in {where}, not in {mine}: set CDCS_REGION")
    return _Diagnosis("ok", "region", f"{coffer} is in {where}")


def _coffer_listing(fs: CofferFileSystem, coffer: str, path: str) -> _Diagnosis:
    infos, is_all = _coffer_page(fs, coffer, path)
    count = f"{counted(len(infos), 'file')}{'' if is_all else ' and more'}"
    return _Diagnosis("ok", "listing", f"{count} in {path} and its subdirectories")


def _coffer_page(fs: CofferFileSystem, coffer: str, path: str) -> tuple[list[Info], bool]:
    """Return infos of a file, or of files in a directory, and whether these are all."""
    known = fs.info(path)
    if known["type"] == "file":
        return [known], True
    page = fs.client.list_page(coffer, prefix=paths.directory_key(path)[1])
    infos = Levels(path, page.entries).infos()
    return [info for info in infos if info["type"] == "file"], page.marker is None


def _coffer_downloads(fs: CofferFileSystem, coffer: str, path: str) -> _Diagnosis:
    file = next((info["name"] for info in _coffer_page(fs, coffer, path)[0] if info["size"]), None)
    if file is None:
        return _Diagnosis("note", "reading", f"not checked, because there is no file in {path}")
    fs.cat_file(file, 0, 1)
    return _Diagnosis("ok", "reading", f"{file} can be read")


def _coffer_writing(fs: CofferFileSystem, coffer: str, path: str) -> _Diagnosis:
    """Begin and abort an upload: a complete file could not be removed."""
    key = f"{paths.directory_key(path)[1]}cosv4fs-doctor-{secrets.token_hex(6)}"
    fs.client.abort(coffer, key, fs.client.initiate(coffer, key))
    text = "an upload was begun and aborted; no file was written, because files in coffers cannot be removed"
    return _Diagnosis("ok", "writing", text)


def _unfinished(fs: CosFileSystem, bucket: str, path: str) -> _Diagnosis:
    # an mtime of 0 means that the service reports no time
    old = [upload for upload in fs.uploads(path) if 0 < upload["mtime"] < time.time() - _DAY]
    if not old:
        return _Diagnosis("ok", "unfinished uploads", "none older than a day")
    size = human_size(sum(upload["stored"] for upload in old))
    return _Diagnosis("note", "unfinished uploads", f"{len(old)} older than a day, {size}: see cosv4fs uploads clean")


_Checks: TypeAlias = tuple[tuple[str, _Check], ...]

_BUCKET_CHECKS: tuple[_Checks, _Checks] = (
    (("bucket", _credentials), ("listing", _listing)),
    (("reading", _downloads), ("writing", _writing)),
)
_COFFER_CHECKS: tuple[_Checks, _Checks] = (
    (("coffer", _credentials), ("region", _region), ("listing", _coffer_listing)),
    (("reading", _coffer_downloads), ("writing", _coffer_writing)),
)
"""The checks, by their subjects: those without which the others would fail, and the others."""
