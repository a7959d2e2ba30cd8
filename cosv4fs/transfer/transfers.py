"""Moving the contents of objects: the one object behind which uploads, downloads and writers are made."""

from __future__ import annotations

from cosv4fs.api import Client, Version
from cosv4fs.transfer.download import Download, Progress
from cosv4fs.transfer.journal import NO_ENTRY, Entry
from cosv4fs.transfer.publish import Target
from cosv4fs.transfer.sources import Source
from cosv4fs.transfer.upload import upload_source
from cosv4fs.transfer.uploader import Uploader
from cosv4fs.transfer.workers import Workers
from cosv4fs.transfer.writer import ObjectWriter

__all__ = ["Transfers"]


class Transfers:
    """Uploads and downloads by one configuration.

    Parameters
    ----------
    client, workers : Client, Workers
        Send the requests; the client's configuration has limits and sizes.
    uploader : Uploader
        Begins uploads, of the kinds that the client's service takes.
    """

    def __init__(self, client: Client, workers: Workers, uploader: Uploader) -> None:
        self._client, self._workers, self._uploader, self._config = client, workers, uploader, client.config

    def upload(self, target: Target, source: Source, progress: Progress | None = None, entry: Entry = NO_ENTRY) -> None:
        """Upload what can be read again: in one request when it is small, else in slices or parts.

        Parameters
        ----------
        progress : callable, optional
            Called with a number of bytes whenever some have arrived; never from two threads at once.
        entry : Entry
            The journal's page, for a source that a later process can read again.

        Raises
        ------
        OSError
            The upload failed; nothing is published.
        """
        config = self._config
        if source.size > config.single_upload_limit:
            upload_source(self._uploader, self._workers, target, source, config.slice_size, progress, entry)
            return
        with source.slice(0, source.size, self._workers) as view:
            source.check()
            self._uploader.single(target).store(view)
        if progress is not None:
            progress(source.size)

    def download(
        self,
        bucket: str,
        key: str,
        *,
        sha: str | None = None,
        expected: Version | None = None,
        set_size: Progress | None = None,
        progress: Progress | None = None,
    ) -> Download:
        """Return the download of an object; see `Download` for the parameters."""
        size = self._config.range_size
        return Download(self._client, self._workers, bucket, key, size, set_size, progress, sha, expected)

    def writer(self, target: Target, size: int | None = None, block_size: int | None = None) -> ObjectWriter:
        """Return what takes the bytes of an object that is written over time.

        Parameters
        ----------
        size : int, optional
            Bytes that will be written, exactly, where they are known.
        block_size : int, optional
            Bytes per slice or part that the caller would like.
        """
        piece_size = None if block_size is None else self._config.protocol.piece_size(block_size)
        return ObjectWriter(self._uploader, self._workers, self._config, target, size, piece_size)
