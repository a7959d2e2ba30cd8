"""The commands uploads ls, resume, abort and clean."""

from __future__ import annotations

import errno

import click

from cosv4fs.cli.commands import Group
from cosv4fs.cli.failures import FailureLog
from cosv4fs.cli.progress import Progress
from cosv4fs.cli.session import CosFileSystem, Session
from cosv4fs.cli.values import duration
from cosv4fs.display import human_size
from cosv4fs.info import UploadInfo


@click.group(cls=Group)
def uploads() -> None:
    """List, resume, abort and clean up unfinished uploads."""


@uploads.command("ls")
@click.argument("url")
@click.pass_obj
def _list(session: Session, url: str) -> None:
    """List the unfinished uploads of a file or in a directory."""
    fs, path = _directory(session, url)
    session.show(fs.uploads(path), lambda row: _line(fs, row))


@uploads.command(short_help="Resume interrupted uploads of local files.")
@click.argument("url", required=False)
@click.pass_obj
def resume(session: Session, url: str | None) -> None:
    """Resume interrupted uploads that this user started with cp or put, in URL or in all buckets of cosv4://.

    cosv3:// stands for all buckets of COS v3, cdcs:// for all coffers. Only uploads of local files can be resumed,
    and only if the file has not changed.
    """
    fs, path = session.cos_filesystem(url or "cosv4://")
    pending = fs.interrupted_uploads(path)
    failures = FailureLog()
    done = []
    with Progress(session, "uploading", "uploaded", lines=False) as progress:
        progress.planned(len(pending), sum(upload["size"] for upload in pending))
        for upload in pending:
            text = f"uploaded {upload['source']} to {fs.unstrip_protocol(upload['name'])}"
            with failures.recording(upload), progress.file(text) as callback:
                fs.put_file(upload["source"], upload["name"], callback=callback)
                done.append(upload)
    session.show(done, lambda row: f"uploaded {row['source']} to {fs.unstrip_protocol(row['name'])}", failures)
    if not pending and not session.as_json:
        session.tell("there is nothing to resume")
    failures.exit()


@uploads.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.pass_obj
def abort(session: Session, urls: tuple[str, ...]) -> None:
    """Abort the unfinished uploads of files; complete files stay. In a coffer, this frees the name."""
    failures = FailureLog()
    aborted = []
    for url in urls:
        fs, path = session.cos_filesystem(url)
        if "/" not in path:
            raise click.UsageError(f"{url}: name the file whose upload is to be aborted; for directories, use clean")
        with failures.recording():
            try:
                fs.abort_upload(path)
            except FileNotFoundError as error:
                raise FileNotFoundError(errno.ENOENT, "there is no unfinished upload of this file", url) from error
            aborted.append({"name": path})
    session.show(aborted, lambda row: f"aborted {session.url(row['name'])}", failures)
    failures.exit()


@uploads.command()
@click.argument("url")
@click.option(
    "--older-than", type=duration, default="1d", show_default=True, metavar="DURATION",
    help="Keep younger ones, which may be in progress: 36h, 7d, 2w.",
)  # fmt: skip
@click.pass_obj
def clean(session: Session, url: str, older_than: float) -> None:
    """Remove old unfinished uploads in a directory."""
    fs, path = _directory(session, url)
    session.show(fs.clean_uploads(path, older_than=older_than), lambda row: f"removed {_line(fs, row)}")


def _directory(session: Session, url: str) -> tuple[CosFileSystem, str]:
    """Return the filesystem and the path of a URL that names at least a bucket or coffer."""
    fs, path = session.cos_filesystem(url)
    if not path:
        kind = fs.capabilities.container
        raise click.UsageError(f"{url}: name a {kind}, or a path in one")
    return fs, path


def _line(fs: CosFileSystem, row: UploadInfo) -> str:
    # uploads to coffers do not declare a size
    progress = f"{human_size(row['stored'])} " + ("so far" if row["size"] is None else f"of {human_size(row['size'])}")
    hidden = "" if row["place"] == row["name"] else f"  (hidden as {fs.unstrip_protocol(row['place'])})"
    return f"{fs.unstrip_protocol(row['name'])}  {progress}{hidden}"
