"""`CosV4FileSystem`: what fsspec sees. Paths in, info dicts and bytes out; no HTTP and no threads of its own."""

from __future__ import annotations

import errno
import hashlib
import io
import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.compression import compr
from fsspec.config import conf
from fsspec.core import get_compression
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, merge_offset_ranges, stringify_path

from cosv4fs import bulk, paths, removal
from cosv4fs.api import CosV4Client, PathStatus
from cosv4fs.cache import PathCache
from cosv4fs.config import SLICE_SIZES, Config, environment_token, resolve
from cosv4fs.errors import CosError, CosFileExistsError, CosFileNotFoundError, CosIsADirectoryError, make_error
from cosv4fs.file import CompressedWriter, CosV4Reader, CosV4Writer, TextWriter
from cosv4fs.room import Room, room_for
from cosv4fs.transfer.directories import make_directory, with_parents
from cosv4fs.transfer.download import Download
from cosv4fs.transfer.readahead import ReadAhead
from cosv4fs.transfer.sources import FileSource, MemorySource
from cosv4fs.transfer.upload import Target, upload_single, upload_source
from cosv4fs.transfer.workers import Workers
from cosv4fs.transfer.writer import ObjectWriter
from cosv4fs.tree import missing

__all__ = ["CosV4FileSystem"]

T = TypeVar("T")
Info = dict[str, Any]

_SECRETS = ("secret_id", "secret_key", "proxies")
_MOVE_FAILED = -199


class CosV4FileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Buckets of Tencent Cloud COS behind the JSON API v4, as ``cosv4://bucket/dir/name``.

    Parameters
    ----------
    appid, secret_id, secret_key, region : str, optional
        The account, and the short code of the region (``gz``). Else from ``COSV4_APPID``, ``COSV4_SECRET_ID``,
        ``COSV4_SECRET_KEY`` and ``COSV4_REGION``, else from fsspec's configuration under ``cosv4``.
    endpoint : str, optional
        URL of another service that speaks the API, such as the emulator's; API calls and downloads both go there.
        Else from ``COSV4_ENDPOINT``.
    asynchronous, loop : optional
        What fsspec may hand to any filesystem; this one is synchronous.
    **options
        Every other field of `cosv4fs.config.Config`, among them ``anon``, ``use_ssl``, ``verify``, ``proxies``,
        ``max_concurrency``, ``slice_size``, ``spool_dir``, ``use_listings_cache`` and ``listings_expiry_time``.

    Raises
    ------
    MissingCredentialsError
        A `PermissionError` and `ValueError` that names what is missing and how to set it.
    TypeError, ValueError
        An option is unknown or has a value that cannot be.
    """

    protocol = "cosv4"
    root_marker = ""
    # another environment is another filesystem: without this an instance would outlive a change of COSV4_ENDPOINT
    _extra_tokenize_attributes = ("_environment",)
    _environment = environment_token

    def __init__(
        self,
        appid: str | int | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop)
        account = {
            "appid": appid, "secret_id": secret_id, "secret_key": secret_key, "region": region, "endpoint": endpoint,
        }  # fmt: skip
        self.config: Config = resolve({**account, **options}, conf.get("cosv4", {}))
        self.blocksize = self.config.range_size
        self._room = room_for(self.config)
        self._pid = os.getpid()

    def __repr__(self) -> str:
        where = self.config.endpoint or self.config.region
        return f"<{type(self).__name__} appid={self.config.appid} at {where}>"

    @property
    def room(self) -> Room:
        """What all instances with this configuration share in this process."""
        if self._pid != os.getpid():
            self._room, self._pid = room_for(self.config), os.getpid()
        return self._room

    @property
    def client(self) -> CosV4Client:
        """The typed client of the API, for what a filesystem cannot express."""
        return self.room.client

    @property
    def workers(self) -> Workers:
        """The threads that this configuration shares."""
        return self.room.workers

    @property
    def _remembered(self) -> PathCache:
        return self.room.cache

    # -- what exists -----------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        return super()._strip_protocol(stringify_path(path)).strip("/")

    def info(self, path: str, refresh: bool = False) -> Info:
        """Return what is known of a file or directory.

        Parameters
        ----------
        path : str
            The path.
        refresh : bool
            Ask the service even when the answer is remembered.

        Returns
        -------
        dict
            ``name``, ``size`` (bytes), ``type`` (``file`` or ``directory``) and, where the service tells them,
            ``created`` and ``mtime`` (Unix seconds) and ``sha`` (SHA-1 in hex, or None) of a file.

        Raises
        ------
        FileNotFoundError
            There is nothing; unfinished uploads do not count.
        """
        path = self._strip_protocol(path)
        if refresh:
            self._remembered.forget(path)
        return self.room.tree.info(path)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or directory; any failure but "not found" is raised."""
        return self._asked(lambda: self.room.tree.info(self._strip_protocol(path), trust_absence=True)) is not None

    def isfile(self, path: str) -> bool:
        """Tell whether there is a file; any failure but "not found" is raised."""
        info = self._asked(lambda: self.room.tree.info(self._strip_protocol(path), trust_absence=True))
        return info is not None and info["type"] == "file"

    def isdir(self, path: str) -> bool:
        """Tell whether there is a directory; any failure but "not found" is raised."""
        return self._asked(lambda: self.room.tree.directory(self._strip_protocol(path), trust_absence=True)) is not None

    @staticmethod
    def _asked(question: Callable[[], Info]) -> Info | None:
        try:
            return question()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def ls(self, path: str, detail: bool = True, refresh: bool = False) -> list[Any]:
        """List a directory, or one file.

        Parameters
        ----------
        path : str
            The path.
        detail : bool
            Return info dicts (see `info`) instead of paths.
        refresh : bool
            Ask the service even when the answer is remembered.

        Raises
        ------
        FileNotFoundError
            There is nothing.
        NotImplementedError
            For the empty path: the API cannot list buckets.
        """
        path = self._strip_protocol(path)
        if refresh:
            self._remembered.forget(path)
        try:
            infos = self.room.tree.entries(path)
        except FileNotFoundError:
            infos = [self.room.tree.info(path)]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = "omit", **kwargs: Any
    ) -> Iterator[Any]:
        """Walk a tree as `os.walk` does; see fsspec.

        ``on_error="omit"`` passes over what is not there, and only that: any other failure is raised.
        """

        def omit(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        handler = omit if on_error == "omit" else on_error
        yield from super().walk(path, maxdepth=maxdepth, topdown=topdown, on_error=handler, **kwargs)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False
    ) -> list[str] | dict[str, Info]:
        """Find all files below a path; one request per directory page, several directories at once.

        Parameters
        ----------
        path : str
            A directory, or one file.
        maxdepth : int, optional
            Levels to descend.
        withdirs : bool
            Return directories, and the path itself, too.
        detail : bool
            Return a dict of infos by path instead of a sorted list of paths.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            found = self.room.tree.find(path, maxdepth)
            if withdirs and path:
                found[path] = self._remembered.info(path) or {"name": path, "size": 0, "type": "directory"}
        except FileNotFoundError:
            info = self._asked(lambda: self.room.tree.info(path))
            found = {path: info} if info is not None and info["type"] == "file" else {}
        out = {name: found[name] for name in sorted(found) if withdirs or found[name]["type"] == "file"}
        return out if detail else list(out)

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> list[str] | dict[str, Info]:
        """Find what matches a pattern; see fsspec. Only directories that can match are listed."""
        stripped = self._strip_protocol(path)
        if "**" in stripped or not any(character in stripped for character in "*?["):
            found: list[str] | dict[str, Info] = super().glob(path, maxdepth=maxdepth, **kwargs)
            return found
        detail, withdirs = kwargs.pop("detail", False), kwargs.pop("withdirs", True)
        if kwargs:
            raise TypeError(f"glob takes no {', '.join(kwargs)}")
        matches = self.room.tree.glob(stripped)
        only_folders = path.endswith("/")
        out = {
            name: info
            for name, info in sorted(matches.items())
            if (info["type"] == "directory" or not only_folders) and (withdirs or info["type"] == "file")
        }
        return out if detail else list(out)

    def du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False
    ) -> int | dict[str, int]:
        """Return the bytes of all files below a path, in total or by path; costs what `find` costs."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        assert isinstance(found, dict)
        sizes = {name: int(info["size"]) for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def sizes(self, paths: Sequence[str]) -> list[int]:
        """Return the sizes of several files in bytes, asked for at once."""
        return self.workers.each(lambda path: int(self.info(path)["size"]), paths)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Return the paths that a path, a pattern or a list of them stands for; see fsspec.

        A name that exists is taken literally even when it looks like a pattern.
        """
        if isinstance(path, (str, os.PathLike)) and not assume_literal:
            literal = self._strip_protocol(path)
            if any(character in literal for character in "*?[") and self.exists(literal):
                expanded: list[str] = super().expand_path([literal], recursive, maxdepth, True, **kwargs)
                return expanded
        expanded = super().expand_path(path, recursive, maxdepth, assume_literal, **kwargs)
        return expanded

    def created(self, path: str) -> datetime:
        """Return when a file was created, in UTC."""
        return self._time(path, "created")

    def modified(self, path: str) -> datetime:
        """Return when a file was last changed, in UTC."""
        return self._time(path, "mtime")

    def _time(self, path: str, field: str) -> datetime:
        info = self.info(path)
        if field not in info:
            raise make_error(errno.ENOTSUP, "the service tells no time for this path", info["name"])
        return datetime.fromtimestamp(info[field], timezone.utc)

    def ukey(self, path: str) -> str:
        """Return a hash that changes when the file's size, time or content changes."""
        info = self.info(path)
        what = (info["name"], info["type"], info["size"], info.get("mtime"), info.get("sha"))
        return hashlib.sha256(repr(what).encode()).hexdigest()

    def checksum(self, path: str) -> int:
        """Return a number that changes when the file's size, time or content changes."""
        return int(self.ukey(path)[:16], 16)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what is remembered of a path and everything below it, or of all paths."""
        super().invalidate_cache(path)
        self._remembered.forget(None if path is None else self._strip_protocol(path))

    # -- reading ---------------------------------------------------------------------------------------------------

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes of a file, or of a part of it: one request, or parallel ranges for a large one.

        Parameters
        ----------
        path : str
            The file.
        start, end : int, optional
            Limits in bytes; negative ones count from the file's end.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        """
        path = self._strip_protocol(path)
        if end is not None and end < 0:
            size = self.info(path)["size"]
            start, end = max(0, size + start) if (start or 0) < 0 else start, size + end
        elif end is not None and (start or 0) < 0:
            start = max(0, self.info(path)["size"] + (start or 0))
        if end is not None and end <= (start or 0):
            return b""
        return self._download(path, lambda download: download.to_bytes(start, end))

    def _download(self, path: str, action: Callable[[Download], T], callback: Callback | None = None) -> T:
        bucket, key = paths.file_key(path)
        room, steps = self.room, bulk.step_counter(callback)
        try:
            return action(Download(room.client, room.workers, bucket, key, self.config.range_size, *steps))
        except CosFileNotFoundError as error:
            if self.isdir(path):
                raise make_error(errno.EISDIR, "this is a directory: name a file in it", path) from error
            raise

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Return the bytes of one file, or a dict of path to bytes for several; see fsspec.

        Explicit paths cost one request each; all are fetched at once.
        """
        if on_error not in ("raise", "omit", "return"):
            raise ValueError(f"on_error must be raise, omit or return, not {on_error!r}")
        found = self.expand_path(path, recursive=recursive)
        if recursive:
            found = [name for name in found if not self.isdir(name)]
        if not isinstance(path, list) and found == [self._strip_protocol(path)]:
            return self.cat_file(found[0], **kwargs)
        results = self.workers.each(self._kept(lambda name: self.cat_file(name, **kwargs), on_error), found)
        pairs = zip(found, results, strict=True)
        return {name: result for name, result in pairs if on_error != "omit" or not isinstance(result, Exception)}

    @staticmethod
    def _kept(function: Callable[[Any], T], on_error: str) -> Callable[[Any], T | Exception]:
        """Return the function with its errors raised, or handed back as results."""

        def kept(item: Any) -> T | Exception:
            try:
                return function(item)
            except Exception as error:
                if on_error == "raise":
                    raise
                return error

        return kept

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return the bytes of several ranges, fetched at once.

        Parameters
        ----------
        paths, starts, ends : lists
            One entry per range; a single start or end serves all.
        max_gap : int, optional
            Ranges of one file that lie at most so many bytes apart are fetched in one request.
        on_error : str
            ``return`` puts an exception in the place of its result; ``raise`` raises the first.
        """
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("paths, starts and ends must have the same length")
        wanted = list(zip(paths, first, last, strict=True))
        if max_gap is None:
            return self.workers.each(self._kept(lambda item: self.cat_file(*item, **kwargs), on_error), wanted)
        return self._cat_merged(wanted, max_gap, on_error, kwargs)

    def _cat_merged(self, wanted: list[Any], max_gap: int, on_error: str, kwargs: dict[str, Any]) -> list[Any]:
        if any(start is None or end is None or start < 0 or end < 0 for _, start, end in wanted):
            raise ValueError("max_gap needs explicit starts and ends that are not negative")
        merged = list(zip(*merge_offset_ranges(*map(list, zip(*wanted, strict=True)), max_gap=max_gap), strict=True))
        fetch = self._kept(lambda item: self.cat_file(*item, **kwargs), on_error)
        blocks = list(zip(merged, self.workers.each(fetch, merged), strict=True))

        def cut(path: str, start: int, end: int) -> Any:
            for (name, begin, stop), data in blocks:
                if name == path and begin <= start and end <= stop:
                    return data if isinstance(data, Exception) else data[start - begin : end - begin]
            return b""

        return [cut(*item) for item in wanted]

    def head(self, path: str, size: int = 1024) -> bytes:
        """Return the first `size` bytes of a file, in one request."""
        return self.cat_file(path, 0, size)

    def tail(self, path: str, size: int = 1024) -> bytes:
        """Return the last `size` bytes of a file, in one request."""
        return self.cat_file(path, -size) if size else b""

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Callback = DEFAULT_CALLBACK, outfile: Any = None
    ) -> None:
        """Copy one file to the local disk, or into a file-like `lpath` or `outfile`.

        A local file appears under its name only when it is complete. A directory becomes a local directory.

        Parameters
        ----------
        rpath, lpath : str, str or file-like
            Source and target.
        callback : Callback
            Told the size and every range that arrives.
        """
        path = self._strip_protocol(rpath)
        sink = outfile if outfile is not None else lpath if isfilelike(lpath) else None
        if sink is not None:
            self._download(path, lambda download: download.to_sink(sink), callback)
            return
        known, target = self._remembered.info(path), Path(os.fspath(lpath))
        try:
            if known is not None and known["type"] == "directory":
                target.mkdir(parents=True, exist_ok=True)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            self._download(path, lambda download: download.to_file(target), callback)
        except CosIsADirectoryError:
            target.mkdir(parents=True, exist_ok=True)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy files to the local disk, several at once; see fsspec for what goes where."""
        pairs = bulk.plan_get(self, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        bulk.each_pair(self, pairs, callback, lambda source, target, child: self.get_file(source, target, callback=child, **kwargs))

    def sign(self, path: str, expiration: int = 100) -> str:
        """Return a URL that reads one file without credentials, for `expiration` seconds."""
        return self.client.download_url(*paths.file_key(self._strip_protocol(path)), expiration)

    def url(self, path: str, expiration: int = 100) -> str:
        """Return the same as `sign`, under the name that s3fs uses."""
        return self.sign(path, expiration)

    # -- writing ---------------------------------------------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open a file; see fsspec for text mode and compression.

        Parameters
        ----------
        path, mode : str
            ``rb``, ``wb`` or ``xb`` (create only), also as text. There is no append: the service has none.
        block_size : int, optional
            Bytes per range when reading; when writing, the largest slice size not above it is used.
        size : int, optional
            Reading: the file's size, when known. Writing: how many bytes will come, exactly; with it slices travel
            while you write, without it a large object is kept in a spool until it is closed.
        content_type : str, optional
            What downloads shall say; guessed from the name unless given.
        cache_type, cache_options : str, dict
            How reading is cached: ``parallel`` (default), or any of fsspec's.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            Reading: there is no such file.
        NotImplementedError
            The mode is ``ab`` or one for updating.
        """
        text = "b" not in mode
        names = ("encoding", "errors", "newline") if text else ()
        text_options = {name: kwargs.pop(name) for name in names if name in kwargs}
        binary = mode.replace("t", "") + "b" if text else mode
        file = super().open(path, binary, block_size, cache_options, **kwargs)
        codec = get_compression(self._strip_protocol(path), compression)
        if codec is not None:
            outer = compr[codec](file, mode=mode[0].replace("x", "w"))
            file = outer if "r" in mode else CompressedWriter(outer, file)
        if not text:
            return file
        return io.TextIOWrapper(file, **text_options) if "r" in mode else TextWriter(file, **text_options)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        content_type: str | None = None,
        cache_type: str = ReadAhead.name,
    ) -> CosV4Reader | CosV4Writer:
        if mode == "rb":
            return CosV4Reader(self, path, block_size, cache_type, cache_options, size)
        if mode not in ("wb", "xb"):
            raise NotImplementedError(
                f"mode {mode!r} is not supported: the service can only store whole objects; "
                "read the object, and write it anew with what you want to add"
            )
        if mode == "xb" and self.exists(path):
            # the server decides at the end; who is late already should know before writing
            raise make_error(errno.EEXIST, "the file exists", path)
        target = self._target(path, mode == "xb", content_type, deferred=not autocommit)
        slice_size = max((valid for valid in SLICE_SIZES if valid <= (block_size or 0)), default=None)
        writer = ObjectWriter(self.client, self.workers, self.config, target, size, slice_size)
        return CosV4Writer(self, path, mode, writer, autocommit, lambda: self._remembered.forget(path))

    def _target(self, path: str, create: bool, content_type: str | None, deferred: bool = False) -> Target:
        bucket, key = paths.file_key(path)
        paths.check_directory_names(paths.parent(path))
        guessed = content_type or mimetypes.guess_type(path)[0]
        return Target(bucket, key, create, guessed, content_type is not None, deferred)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", content_type: str | None = None) -> None:
        """Write bytes to a file, whole or not at all.

        Parameters
        ----------
        path, value : str, bytes-like
            The file and its content.
        mode : str
            ``overwrite``, or ``create``: fail when the file exists, decided by the server in one step.
        content_type : str, optional
            What downloads shall say; guessed from the name unless given.

        Raises
        ------
        FileExistsError
            With ``create``.
        """
        path = self._strip_protocol(path)
        target = self._target(path, _is_create(mode), content_type)
        source = MemorySource(value)
        try:
            self._store(target, source, None)
        finally:
            self._remembered.forget(path)

    def _store(self, target: Target, source: MemorySource | FileSource, callback: Callback | None) -> None:
        _, progress = bulk.step_counter(callback)
        if source.size > self.config.single_upload_limit:
            upload_source(self.client, self.workers, target, source, self.config.slice_size, progress)
            return
        with source.slice(0, source.size, self.workers) as view:
            upload_single(self.client, target, view)
        if progress is not None:
            progress(source.size)

    def pipe(self, path: Any, value: bytes | None = None, **kwargs: Any) -> None:
        """Write bytes to one file, or a dict of path to bytes to several at once."""
        if isinstance(path, str):
            self.pipe_file(path, value if value is not None else b"", **kwargs)
        elif isinstance(path, Mapping):
            self.workers.each(lambda item: self.pipe_file(item[0], item[1], **kwargs), path.items())
        else:
            raise TypeError("path must be a str or a dict")

    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        content_type: str | None = None,
    ) -> None:
        """Copy one local file to the service, whole or not at all; a local directory becomes a directory.

        Parameters
        ----------
        lpath, rpath : path
            Source and target.
        callback : Callback
            Told the size and every slice that arrives.
        mode, content_type : str
            As for `pipe_file`.
        """
        path = self._strip_protocol(rpath)
        if Path(lpath).is_dir():
            self.makedirs(path, exist_ok=True)
            return
        target = self._target(path, _is_create(mode), content_type)
        try:
            with FileSource(lpath) as source:
                callback.set_size(source.size)
                self._store(target, source, callback)
        finally:
            self._remembered.forget(path)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy local files to the service, several at once; see fsspec for what goes where."""
        pairs = bulk.plan_put(self, lpath, rpath, recursive=recursive, maxdepth=maxdepth)
        bulk.each_pair(self, pairs, callback, lambda source, target, child: self.put_file(source, target, callback=child, **kwargs))

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty file, or empty an existing one.

        Raises
        ------
        NotImplementedError
            With ``truncate=False`` and an existing file: the service cannot set times.
        """
        try:
            self.pipe_file(path, b"", mode="overwrite" if truncate else "create", **kwargs)
        except CosFileExistsError as error:
            raise NotImplementedError("the service cannot set the time of an existing file") from error

    def mkdir(self, path: str, create_parents: bool = True) -> None:
        """Create a directory.

        Raises
        ------
        FileExistsError
            Something exists at the path.
        FileNotFoundError
            Without `create_parents`: the parent is missing.
        NotImplementedError
            For a bucket: the API cannot create one.
        """
        path = self._strip_protocol(path)
        if not create_parents and not self.isdir(paths.parent(path)):
            raise make_error(errno.ENOENT, "the parent directory does not exist", path)
        self._make_directory(path, exist_ok=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a directory and its parents.

        Raises
        ------
        FileExistsError
            A file exists at the path; or a directory, without `exist_ok`.
        """
        self._make_directory(self._strip_protocol(path), exist_ok)

    def _make_directory(self, path: str, exist_ok: bool) -> None:
        bucket, key = paths.directory_key(path)
        if key == "/" and exist_ok:
            # fsspec asks for this before every write into a bucket's root; a missing bucket shows at the write
            return
        known = self._remembered.info(path)
        is_there = known is not None and known["type"] == "directory"
        if not is_there and key == "/":
            is_there = self._bucket_exists(path)
        if not is_there and make_directory(self.client, bucket, key):
            self._remembered.forget(path)
            self._remembered.store_info({"name": path, "size": 0, "type": "directory"}, self._remembered.generation)
            return
        if not exist_ok or not (is_there or self.isdir(path)):
            raise make_error(errno.EEXIST, "a file or directory of this name exists", path)

    def _bucket_exists(self, path: str) -> bool:
        if not self.isdir(path):
            raise NotImplementedError(f"the JSON API cannot create bucket {path!r}: create it in the web console")
        return True

    # -- removing, copying, moving -----------------------------------------------------------------------------------

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Raises
        ------
        OSError
            ENOTEMPTY; FileNotFoundError or NotADirectoryError when it is none.
        """
        path = self._strip_protocol(path)
        bucket, key = self._removable(path)
        try:
            # some servers answer "removed" for a directory that is not empty (spec section 15-13)
            entries = self.client.list_page(bucket, key, num=1).entries
            if any(entry.name for entry in entries):
                raise make_error(errno.ENOTEMPTY, "the directory is not empty (unfinished uploads count)", path)
            self.client.delete(bucket, key)
        except CosFileNotFoundError as error:
            if self.isfile(path):
                raise make_error(errno.ENOTDIR, "this is a file: rm removes it", path) from error
            raise
        finally:
            self._remembered.forget(path)

    def _removable(self, path: str) -> tuple[str, str]:
        bucket, key = paths.directory_key(path)
        if key == "/":
            raise NotImplementedError(
                f"the JSON API cannot delete bucket {bucket!r}: use the web console; to empty it, remove {bucket}/*"
            )
        return bucket, key

    def rm_file(self, path: str) -> None:
        """Remove one file.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        """
        path = self._strip_protocol(path)
        bucket, key = paths.file_key(path)
        try:
            self.client.delete(bucket, key)
        except CosFileNotFoundError as error:
            if self.isdir(path):
                raise make_error(errno.EISDIR, "this is a directory: rmdir, or rm with recursive=True", path) from error
            raise
        finally:
            self._remembered.forget(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files; with `recursive` whole directories, their unfinished uploads included.

        Files go first, several at once, then directories, the deepest first.

        Parameters
        ----------
        path : str or list of str
            Paths or patterns.
        maxdepth : int, optional
            Levels below each path to remove; directories that are not empty then stay.

        Raises
        ------
        FileNotFoundError
            Nothing matches.
        """
        found = self.expand_path(path) if not recursive else self.expand_path(path, maxdepth=None)
        if not recursive:
            self.workers.each(self.rm_file, found)
            return
        for name in found:
            self._removable(name)
        self.workers.each(lambda name: removal.remove_tree(self, name, maxdepth), found)

    def cp_file(self, path1: str, path2: str) -> None:
        """Copy one file, on the server when both are in one bucket; an existing target is replaced.

        A directory becomes a directory, without what is in it.

        Raises
        ------
        FileNotFoundError
            There is no source.
        """
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        known = self._remembered.info(source)
        try:
            if known is not None and known["type"] == "directory":
                self.makedirs(target, exist_ok=True)
            elif source != target:
                self._copy(source, target)
        except CosFileNotFoundError:
            if not self.isdir(source):
                raise
            self.makedirs(target, exist_ok=True)
        finally:
            self._remembered.forget(target)

    def _copy(self, source: str, target: str) -> None:
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        paths.check_directory_names(paths.parent(target))
        if bucket == target_bucket:
            copy = lambda: self.client.copy(bucket, key, target_key, overwrite=True)  # noqa: E731
            with_parents(self.client, bucket, target_key, copy, source=key)
            return
        with self.open(source, "rb") as reader, self.open(target, "wb", size=reader.size) as writer:
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
        """
        on_error = on_error or ("ignore" if recursive else "raise")
        pairs = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)

        def one(pair: tuple[str, str]) -> None:
            try:
                self.cp_file(*pair)
            except FileNotFoundError:
                if on_error == "raise":
                    raise

        self.workers.each(one, pairs)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Move files, on the server, one by one; a source goes only when its own move succeeded.

        An existing target is replaced.

        Raises
        ------
        IsADirectoryError
            A directory is to be moved without `recursive`.
        """
        if isinstance(path1, (str, os.PathLike)) and not recursive:
            source = self._strip_protocol(path1)
            if not any(character in source for character in "*?["):
                into = str(path2).endswith("/") or self.isdir(path2)
                name = source.rpartition("/")[2]
                self._move(source, f"{self._strip_protocol(path2)}/{name}" if into else self._strip_protocol(path2))
                return
        pairs = bulk.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        removal.move_pairs(self, pairs)

    def _move(self, source: str, target: str) -> None:
        if source == target:
            return
        (bucket, key), (target_bucket, target_key) = paths.file_key(source), paths.file_key(target)
        paths.check_directory_names(paths.parent(target))
        try:
            if bucket != target_bucket:
                self._copy_and_remove(source, target)
                return
            move = lambda: self.client.move(bucket, key, target_key, overwrite=True)  # noqa: E731
            with_parents(self.client, bucket, target_key, move, source=key)
        except CosFileNotFoundError as error:
            if self.isdir(source):
                raise make_error(
                    errno.EISDIR, "this is a directory: mv moves it with recursive=True", source
                ) from error
            raise
        except CosError as error:
            if error.code != _MOVE_FAILED:
                raise
            # some servers may move only within one directory (spec section 15-23)
            self._copy_and_remove(source, target)
        finally:
            self._remembered.forget(source)
            self._remembered.forget(target)

    def _copy_and_remove(self, source: str, target: str) -> None:
        self._copy(source, target)
        self.rm_file(source)

    # -- attributes --------------------------------------------------------------------------------------------------

    def attributes(self, path: str) -> dict[str, Any]:
        """Return what the service keeps beside the content.

        Returns
        -------
        dict
            ``biz_attr`` (str), ``authority`` (``eInvalid``: as the bucket), ``custom_headers`` (dict of str),
            ``forbid`` (0 unless the file is blocked) and ``slice_size`` (bytes; 0 for a single upload).

        Raises
        ------
        FileNotFoundError
            There is no such file or directory.
        """
        status = self._attributes(self._strip_protocol(path))[1]
        names = ("biz_attr", "authority", "custom_headers", "forbid", "slice_size")
        return {name: getattr(status, name) for name in names}

    def update_attributes(
        self,
        path: str,
        biz_attr: str | None = None,
        authority: str | None = None,
        custom_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change what the service keeps beside the content; what is not given stays as it is.

        Parameters
        ----------
        path : str
            A file; for a directory only `biz_attr` can be set.
        biz_attr : str, optional
            A free text.
        authority : str, optional
            ``eInvalid`` (as the bucket), ``eWRPrivate`` or ``eWPrivateRPublic``.
        custom_headers : mapping, optional
            Headers of downloads to add or change: Cache-Control, Content-Type, Content-Disposition,
            Content-Language, Content-Encoding and ``x-cos-meta-*``. Others that were set before are kept.

        Raises
        ------
        FileNotFoundError
            There is no such file or directory.
        """
        path = self._strip_protocol(path)
        key, status = self._attributes(path)
        headers = None if custom_headers is None else {**status.custom_headers, **custom_headers}
        self.client.update(paths.split(path)[0], key, biz_attr=biz_attr, authority=authority, custom_headers=headers)
        self._remembered.forget(path)

    def _attributes(self, path: str) -> tuple[str, PathStatus]:
        bucket, rest = paths.split(path)
        for key in ("/" + rest, f"/{rest}/") if rest else ("/",):
            try:
                status = self.client.stat(bucket, key)
            except CosFileNotFoundError:
                continue
            if not status.is_unfinished:
                return key, status
        raise missing(path)

    # -- identity ----------------------------------------------------------------------------------------------------

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what `from_dict` makes this filesystem of again; without any secret unless `include_password`."""
        described: dict[str, Any] = super().to_dict(include_password=include_password)
        if not include_password:
            described["args"] = described["args"][:1]
            for name in _SECRETS:
                described.pop(name, None)
        return described


def _is_create(mode: str) -> bool:
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode must be overwrite or create, not {mode!r}")
    return mode == "create"
