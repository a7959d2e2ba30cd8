"""Copying many files at once, and copying one through this machine."""

from __future__ import annotations

from typing import Any

from cosv4fs import bulk
from cosv4fs.storing import Storing

__all__ = ["Copying"]


class Copying(Storing):
    """What copies have in common, whether or not the service can make one itself."""

    def _copy_through(self, source: str, target: str) -> None:
        """Copy a file through this machine."""
        with self.open(source, "rb") as reader, self._open(target, "wb", size=reader.size) as writer:
            while data := reader.read(self.config.slice_size):
                writer.write(data)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
    ) -> None:
        """Copy files, several at once; see fsspec for what goes where.

        Parameters
        ----------
        on_error : str, optional
            ``raise``, or ``ignore`` for sources that are not found; the latter is fsspec's default with `recursive`.

        Raises
        ------
        FileNotFoundError
            The bucket of a target does not exist, whatever `on_error` says; or a source, with ``raise``.
        """
        on_error = on_error or ("ignore" if recursive else "raise")
        pairs = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        # what planning has just listed as a directory need not be tried as a file
        folders = {source for source, _ in pairs if recursive and self._remembered.is_directory(source)}

        def one(pair: tuple[str, str]) -> None:
            try:
                if pair[0] in folders:
                    self.makedirs(pair[1], exist_ok=True)
                else:
                    self.cp_file(*pair)
            except FileNotFoundError as error:
                # of a target, such as one in a bucket that does not exist, it is never to be passed over
                if on_error == "raise" or error.filename != self._strip_protocol(pair[0]):
                    raise

        self.workers.each(one, pairs)
