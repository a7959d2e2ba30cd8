"""`ObjectFileSystem`: fsspec's interface, as far as the filesystems for buckets and coffers share it.

The methods state the contract and delegate: to the namespace (what exists), to `Files` (one whole file), to `opening`
(opened files), and for many files to `expansion` (which), `pairing` (from where to where) and `bulk` (in parallel).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.config import conf
from fsspec.spec import AbstractFileSystem

from cosv4fs import bulk, expansion, opening, pairing, transactions
from cosv4fs.arguments import CatKeywords, GetKeywords, at_once, check_keywords, path_text, shows_keywords, whole
from cosv4fs.attributes import Attributes, WriteKeywords
from cosv4fs.concurrency import Pool, cancellation
from cosv4fs.config import resolve
from cosv4fs.display import Listing, address_of, filesystem_html, filesystem_text
from cosv4fs.identity import FilesystemType, description, restore, token
from cosv4fs.info import Info, InterruptedUpload, UploadInfo
from cosv4fs.namespace import error_handler, fingerprint_of, time_of
from cosv4fs.options import OPTIONS
from cosv4fs.paths import StrPath, check_protocol
from cosv4fs.progress import FileProgress, TreeProgress, with_progress
from cosv4fs.protocols import Capabilities
from cosv4fs.runtime import C_co, N_co, Runtime, Service, runtime_for

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack


class ObjectFileSystem(AbstractFileSystem, Generic[C_co, N_co], metaclass=FilesystemType):  # type: ignore[misc]
    """Base of the filesystems for buckets and coffers.

    Parameters
    ----------
    arguments : mapping
        The arguments of the constructor of a subclass, by name. Its keyword parameters are options, except those that
        fsspec passes to every filesystem; what its ``**unknown`` collects is checked, and refused with a reason.
    """

    protocol: str
    """What the URLs of its files begin with."""
    service: Service[C_co, N_co]
    transaction_type = transactions.CosTransaction
    root_marker = ""
    storage_options: dict[str, Any]
    """The options that were given by name."""
    # instances depend on the environment: without this a cached one would outlive a change of COSV4_ENDPOINT
    _extra_tokenize_attributes = ("_environment",)
    _no_update: ClassVar[str] = "the service can only store whole objects: read it and write it again with the new data"

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        opening.refuse_keywords(arguments["unknown"])
        options = {option.name: arguments.get(option.name) for option in OPTIONS} | arguments["unknown"]
        config = resolve(options, conf.get(self.protocol, {}), self.service.protocol)
        super().__init__(asynchronous=arguments["asynchronous"], loop=arguments["loop"])
        self.config, self.blocksize = config, config.range_size
        self._runtime, self._pid = runtime_for(self.service, config), os.getpid()

    # -- identity --------------------------------------------------------------------------------------------------

    @cached_property
    def _fs_token(self) -> str:
        # fsspec's token differs between processes and threads: dask would not recognize equal tasks
        return token(type(self), self.config)

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (type(self), self.storage_args, self.storage_options)

    @property
    def runtime(self) -> Runtime[C_co, N_co]:
        """The state that all instances with this configuration share in this process."""
        cancellation.check_interpreter()
        if self._pid != os.getpid():
            self._runtime, self._pid = runtime_for(self.service, self.config), os.getpid()
        return self._runtime

    @property
    def client(self) -> C_co:
        """The client of the API in `cosv4fs.api`, such as `CosV4Client`, for what a filesystem does not have."""
        return self.runtime.client

    @property
    def pool(self) -> Pool:
        """The threads that instances with this configuration share."""
        return self.runtime.pool

    @property
    def namespace(self) -> N_co:
        """Files and directories, seen through the caches."""
        return self.runtime.namespace

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        cancellation.check_interpreter()  # what fsspec imports later would fail
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        stripped: str = super()._strip_protocol(path_text(path))
        check_protocol(stripped, cls.protocol)
        return stripped.strip("/")

    @property
    def capabilities(self) -> Capabilities:
        """What the filesystem can do, for code that works on any two filesystems."""
        return self.service.protocol.capabilities

    @property
    def address(self) -> str:
        """The account, and the region or endpoint: what a URL does not say."""
        return address_of(self.config)

    def __repr__(self) -> str:
        return filesystem_text(type(self).__name__, vars(self).get("config"))

    def _repr_html_(self) -> str:
        return filesystem_html(type(self).__name__, vars(self).get("config"))

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return a description from which `from_dict` makes an equal filesystem; it can be written as JSON.

        With ``include_password=False`` it has no secrets: no keys, tokens and URLs of proxies.

        Raises
        ------
        TypeError
            The keys come from a function, which JSON cannot hold; a pickle can.
        """
        return description(self, secrets=include_password)

    def _path(self, path: StrPath, refresh: bool = False) -> str:
        """Return one path without its protocol; with `refresh`, invalidate what is cached for it."""
        stripped: str = self._strip_protocol(path_text(path))
        if refresh:
            self.namespace.cache.invalidate(stripped or None)
        return stripped

    # -- listing ---------------------------------------------------------------------------------------------------

    def info(self, path: StrPath, refresh: bool = False) -> Info:
        """Return the metadata of a file or directory.

        Parameters
        ----------
        refresh : bool
            Ask the service even if the answer is cached. This also invalidates what is cached for everything under the
            path, and the listings above it.

        Returns
        -------
        dict
            ``name``, ``size`` (bytes; 0 for a directory) and ``type`` (``file`` or ``directory``); if the service has
            them, also ``created`` and ``mtime`` (Unix seconds), for files in buckets ``sha`` (SHA-1 in hex, or None),
            and for objects in coffers ``etag`` (or None). ``content_type`` if it is known: no listing reports it.

        Raises
        ------
        FileNotFoundError
            Nothing exists at the path; an unfinished upload does not count. With ``anon=True`` only files are found.
        """
        return self.namespace.info(self._path(path, refresh))

    def exists(self, path: StrPath, refresh: bool = False) -> bool:
        """Return whether a file or directory exists; any failure but "not found" is raised (`refresh`: see `info`)."""
        return self.namespace.exists(self._path(path, refresh))

    def lexists(self, path: StrPath, refresh: bool = False) -> bool:
        """Return the same as `exists`: there are no links."""
        return self.exists(path, refresh=refresh)

    def isfile(self, path: StrPath, refresh: bool = False) -> bool:
        """Return whether the path is a file; any failure but "not found" is raised (`refresh`: see `info`)."""
        return self.namespace.is_file(self._path(path, refresh))

    def isdir(self, path: StrPath, refresh: bool = False) -> bool:
        """Return whether the path is a directory; any failure but "not found" is raised (`refresh`: see `info`)."""
        return self.namespace.is_directory(self._path(path, refresh))

    def ls(self, path: StrPath, detail: bool = True, refresh: bool = False) -> list[Any]:
        """List a directory or a file, by its path or URL; notebooks show the list as a table.

        Parameters
        ----------
        detail : bool
            Return dicts (see `info`) instead of paths.
        refresh : bool
            Ask the service even if the answer is cached.

        Raises
        ------
        FileNotFoundError
            Nothing exists at the path.
        NotImplementedError
            The path is empty, and the API cannot list buckets.
        """
        infos = self.namespace.ls(self._path(path, refresh))
        return Listing(infos if detail else (info["name"] for info in infos))

    def scandir(self, path: StrPath, recursive: bool = False) -> Iterator[Info]:
        """Yield the infos of a directory's entries, however many, as its pages arrive; see `os.scandir`.

        Nothing is read from the cache, or stored there. The order is that of the service.

        Parameters
        ----------
        recursive : bool
            Also yield everything under the directory. It costs one request after another: `find` is faster, but holds
            all infos in memory.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            The path is not a directory; raised by the first step of the iteration.
        OSError
            A page failed: what was yielded before is not the whole listing.
        """
        yield from self.namespace.scandir(self._path(path), recursive=recursive)

    def walk(
        self,
        path: StrPath,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        detail: bool = False,
        refresh: bool = False,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Yield the path, the directories and the files of each directory of a tree, as `os.walk` does.

        Parameters
        ----------
        maxdepth : int, optional
            Levels to descend.
        topdown : bool
            Begin with `path`; what is removed from the directories then is not visited. Else end with it.
        detail : bool
            Yield dicts of infos by name instead of lists of names.
        refresh : bool
            Ask the service even if the answer is cached.
        on_error : str or callable
            What happens if a directory cannot be listed, at any depth: ``omit`` skips those that are not found and
            raises any other error, ``raise`` raises every error, and a function is called with it and skips the
            directory.
        """
        start, handler = self._path(path, refresh), error_handler(on_error)
        # a generator, which fsspec's asynchronous wrapper tells from other methods
        yield from self.namespace.walk(start, maxdepth, topdown=topdown, detail=detail, on_error=handler)

    def find(
        self,
        path: StrPath,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str | None = "",
        refresh: bool = False,
        on_error: Any = "omit",
    ) -> Any:
        """List all files under a path or URL, several directories at once; costs one request per page of a directory.

        Parameters
        ----------
        maxdepth : int, optional
            Levels to descend.
        withdirs : bool
            Include directories and the path itself.
        detail : bool
            Return infos by path.
        prefix : str
            Return only paths that begin with ``path/prefix``, as in s3fs.
        refresh : bool
            Ask the service even if the answer is cached.
        on_error : str or callable
            See `walk`; a function is called from several threads, but not at the same time.

        Returns
        -------
        list of str, or dict
            The paths, sorted; with `detail`, infos (see `info`) by path.
        """
        start, handler = self._path(path, refresh), error_handler(on_error)
        found = self.namespace.find(start, maxdepth, prefix or "", withdirs=withdirs, on_error=handler)
        return found if detail else list(found)

    def glob(
        self, path: str, maxdepth: int | None = None, refresh: bool = False, detail: bool = False, withdirs: bool = True
    ) -> Any:
        """Return the paths that match a pattern: ``*`` and ``?`` within a name, ``[a-z]``, ``**`` for any directories.

        Only directories that can contain matches are listed. `maxdepth` is the number of levels for ``**``. With
        `refresh`, the service is asked even if the answer is cached; without `withdirs`, only files are returned.

        Returns
        -------
        list of str, or dict
            The paths; with `detail`, infos (see `info`) by path.
        """
        out = expansion.matches(self, path_text(path), super().glob, maxdepth, refresh=refresh, withdirs=withdirs)
        return out if detail else list(out)

    def du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, refresh: bool = False
    ) -> Any:
        """Return the size in bytes of all files under a path; costs as much as `find`.

        `maxdepth`, `withdirs` and `refresh` are those of `find`.

        Returns
        -------
        int, or dict
            The `total`; without it, sizes by path.
        """
        found = self.find(path, maxdepth, withdirs, detail=True, refresh=refresh)
        sizes = {name: int(info["size"]) for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def size(self, path: StrPath, refresh: bool = False) -> int:
        """Return the size of a file in bytes, 0 for a directory (`refresh`: see `info`)."""
        return int(self.info(path, refresh=refresh)["size"])

    def sizes(self, paths: Sequence[StrPath], refresh: bool = False) -> list[int]:
        """Return the sizes of several files in bytes, requested in parallel (`refresh`: see `info`)."""
        return self.pool.map(partial(self.size, refresh=refresh), paths)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        refresh: bool = False,
    ) -> list[str]:
        """Return the paths that match a path, a pattern or a list of them; see fsspec.

        A path that exists is taken literally even if it looks like a pattern, and with `assume_literal` any. With
        `recursive`, everything under them is added, `maxdepth` levels deep; `refresh`: see `info`.
        """
        return expansion.expand(self, path, recursive, maxdepth, assume_literal=assume_literal, refresh=refresh)

    def created(self, path: StrPath, refresh: bool = False) -> datetime:
        """Return when a file was created, in UTC (`refresh`: see `info`)."""
        return time_of(self.info(path, refresh=refresh), "created")

    def modified(self, path: StrPath, refresh: bool = False) -> datetime:
        """Return when a file was last modified, in UTC (`refresh`: see `info`)."""
        return time_of(self.info(path, refresh=refresh), "mtime")

    def ukey(self, path: StrPath, refresh: bool = False) -> str:
        """Return a hash of a path and its type, size, time and checksum, as cached unless `refresh` (see `info`)."""
        return fingerprint_of(self.info(path, refresh=refresh))

    def checksum(self, path: StrPath, refresh: bool = False) -> int:
        """Return the hash that `ukey` returns as a number (`refresh`: see `info`)."""
        return int(self.ukey(path, refresh=refresh)[:16], 16)

    def invalidate_cache(self, path: StrPath | None = None) -> None:
        """Invalidate the cache for a path and everything under it, or for all paths."""
        # fsspec's own only repeats this at the end of a transaction, which invalidates what it publishes anyway
        self.namespace.cache.invalidate(self._path(path or "") or None)

    # -- reading ---------------------------------------------------------------------------------------------------

    def cat_file(
        self, path: StrPath, start: int | None = None, end: int | None = None, max_concurrency: int | None = None
    ) -> bytes:
        """Return the content of a file, or a part of it; large ones are read in parallel ranges.

        Parameters
        ----------
        start, end : int, optional
            Offsets in bytes; negative ones count from the end of the file.
        max_concurrency : int, optional
            Ranges in flight at once; also limited by the option of this name.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            The path is not a file.
        """
        return self.runtime.files.share(max_concurrency).read(self._path(path), start, end)

    @shows_keywords(CatKeywords)
    def cat(
        self,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Unpack[CatKeywords],
    ) -> Any:
        """Return the content of one file, or a dict of contents by path; see fsspec.

        Files are read in parallel, at most `batch_size` at once; explicit paths cost one request each, and with
        `recursive`, directories stand for all their files. Further keywords are those of `cat_file`.
        """
        check_keywords("cat", kwargs, CatKeywords.__annotations__)
        pool = self.pool.share(at_once("batch_size", batch_size))
        return bulk.read_all(self, pool, path, {**kwargs}, recursive=recursive, on_error=on_error)

    def cat_ranges(
        self,
        paths: Sequence[StrPath],
        starts: int | Sequence[int | None] | None,
        ends: int | Sequence[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        batch_size: int | None = None,
    ) -> list[Any]:
        """Return the content of several ranges, read in parallel.

        Parameters
        ----------
        paths, starts, ends : sequences
            One entry per range, also as arrays of integers; a single start or end applies to all.
        max_gap : int, optional
            Merge ranges of a file that are at most this many bytes apart into one request.
        on_error : str
            ``return`` returns an `OSError` in place of its result; ``raise`` raises the first one. An invalid argument
            is always raised.
        batch_size : int, optional
            Ranges in flight at once.
        """
        pool = self.pool.share(at_once("batch_size", batch_size))
        return bulk.read_ranges(pool, self.cat_file, paths, starts, ends, max_gap, on_error)

    def head(self, path: StrPath, size: int = 1024) -> bytes:
        """Return the first `size` bytes of a file, in one request; all if negative."""
        return self.cat_file(path, 0, None if whole("size", size) < 0 else size)

    def tail(self, path: StrPath, size: int = 1024) -> bytes:
        """Return the last `size` bytes of a file, in one request; none if negative."""
        return self.cat_file(path, -size) if (size := whole("size", size)) > 0 else b""

    @with_progress(FileProgress.of_one)
    def get_file(
        self,
        rpath: StrPath,
        lpath: Any = None,
        callback: Callback = DEFAULT_CALLBACK,
        outfile: Any = None,
        max_concurrency: int | None = None,
        received: Callable[[Attributes], object] | None = None,
        sha1: str | None = None,
    ) -> None:
        """Download one file to a local path, or into a file-like `lpath` or `outfile`.

        A local file appears only when it is complete. It replaces the old one, even a read-only one, and keeps its
        permissions; other hard links keep the old content. Symbolic links are followed; pipes, devices and
        ``/dev/stdout`` are written into. A directory becomes a local directory.

        Parameters
        ----------
        callback, max_concurrency : Callback, int, optional
            Gets the size, and the bytes of each range that was received; see `cat_file`.
        received : callable, optional
            Called with the attributes that the download shows (see `CosReader.attributes`); local files have none.
        sha1 : str, optional
            The SHA-1 in hex that the content must have. If it has another, an OSError (EIO, or ESTALE if the file was
            replaced) is raised, and the local file is as before.
        """
        files = self.runtime.files.share(max_concurrency)
        files.get(self._path(rpath), lpath, outfile, callback, received, sha1)

    @with_progress(TreeProgress)
    @shows_keywords(GetKeywords)
    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Unpack[GetKeywords],
    ) -> None:
        """Download files, several at once; see fsspec for the rules on targets.

        Existing files are replaced. With `recursive`, whole directories, `maxdepth` levels deep; else they are left
        out. At most `batch_size` files are in flight, of each `max_concurrency` ranges. The `callback` counts files.

        Two files with one target are refused before anything is sent (EINVAL), and lists of different length
        (ValueError). Symbolic links to files are followed only where they are named as targets, not in directories.
        """
        check_keywords("get", kwargs, GetKeywords.__annotations__)
        pool = self.pool.share(at_once("batch_size", batch_size))
        pairs, named = pairing.plan_get(self, rpath, lpath, recursive=recursive, maxdepth=maxdepth)
        bulk.get_each(self, pool, pairs, named, callback, {**kwargs}, recursive=recursive)

    # -- writing ---------------------------------------------------------------------------------------------------

    @shows_keywords(WriteKeywords)
    def pipe_file(
        self, path: StrPath, value: Buffer, mode: str = "overwrite", **keywords: Unpack[WriteKeywords]
    ) -> None:
        """Write a file with its attributes, atomically. Nothing remains of the attributes of a file that is replaced.

        Parameters
        ----------
        value : bytes
            The content, or a contiguous buffer of bytes.
        mode : str
            ``overwrite``, or ``create`` to fail if the file exists, which the service checks atomically.
        **keywords
            ``overwrite=False`` (the same as ``mode="create"``), ``max_concurrency`` (slices or parts in flight), and
            the attributes that `open` takes, such as ``metadata`` and ``content_type`` (guessed unless given).

        Raises
        ------
        FileExistsError
            The file exists, and the mode is ``create``.
        NotImplementedError, ValueError, TypeError
            The value is not bytes, or an attribute is invalid, unknown, or cannot be stored; nothing was sent.
        """
        self.runtime.files.write(self._path(path), value, mode, keywords)

    @shows_keywords(WriteKeywords)
    def pipe(
        self,
        path: Any,
        value: Buffer | None = None,
        batch_size: int | None = None,
        mode: str = "overwrite",
        **keywords: Unpack[WriteKeywords],
    ) -> None:
        """Write one file, or several from a dict of contents by path, in parallel, at most `batch_size` at once.

        Nothing is written if a content is missing or not bytes (TypeError), if a path is invalid, or if two are the
        same (EINVAL). Further keywords are those of `pipe_file`.
        """
        self.runtime.files.check_keywords(mode, keywords)
        pool = self.pool.share(at_once("batch_size", batch_size))
        pool.map(lambda item: self.pipe_file(*item, mode, **keywords), pairing.plan_pipe(self, path, value))

    @with_progress(FileProgress.of_one)
    @shows_keywords(WriteKeywords)
    def put_file(
        self,
        lpath: Any,
        rpath: StrPath,
        callback: Callback = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        resume: bool = True,
        **keywords: Unpack[WriteKeywords],
    ) -> None:
        """Upload one local file, atomically; a local directory becomes a directory.

        A pipe or a device is read to its end.

        Parameters
        ----------
        callback : Callback
            Gets the size, and the bytes of each slice that was sent.
        mode, **keywords
            ``create`` fails if the file exists, as does ``overwrite=False``; for the others see `pipe_file`.
        resume : bool
            Continue an interrupted upload of the same file, also one by an earlier process, and keep an unfinished
            upload for a later call if the connection fails for good, or after Ctrl-C. Otherwise a failed upload is
            removed.
        """
        path = self._path(rpath)
        if bulk.put_folder(self, lpath, path, mode, keywords):
            return
        self.runtime.files.put(lpath, path, callback, mode, resume, keywords)

    @with_progress(TreeProgress)
    @shows_keywords(WriteKeywords)
    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        mode: str = "overwrite",
        resume: bool = True,
        **keywords: Unpack[WriteKeywords],
    ) -> None:
        """Upload local files, several at once; see fsspec for the rules on targets.

        With `recursive`, whole directories, `maxdepth` levels deep; else they are left out. At most `batch_size` files
        are in flight. Existing files are replaced; ``mode="create"`` or ``overwrite=False`` makes them errors. `resume`
        continues interrupted uploads of the same local files (see `put_file`). The `callback` counts files. Further
        keywords are attributes of all files (see `open`), and `max_concurrency`: slices of each file in flight.

        Two files with one target and invalid targets are refused before anything is sent (EINVAL), and lists of
        different length (ValueError). Links to directories, pipes and devices in a directory are left out, which raises
        an OSError (EINVAL) when all else was uploaded.
        """
        self.runtime.files.check_keywords(mode, keywords)
        pool = self.pool.share(at_once("batch_size", batch_size))
        pairs, left = pairing.plan_put(self, lpath, rpath, recursive=recursive, maxdepth=maxdepth)
        bulk.put_each(pool, pairs, left, callback, partial(self.put_file, mode=mode, resume=resume, **keywords))

    open: ClassVar[opening.Opens] = opening.open  # type: ignore[assignment]  # a function, bound as a method
    _open = opening.open_binary

    # -- copying ---------------------------------------------------------------------------------------------------

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Copy files, directories only with `recursive`, `maxdepth` levels deep; see fsspec for the rules on targets.

        Parameters
        ----------
        on_error : str, optional
            ``raise``, or ``ignore`` to skip sources that are not found, which is the default with `recursive`.
        batch_size : int, optional
            Files in flight at once.

        Raises
        ------
        FileNotFoundError
            The bucket of a target does not exist, whatever `on_error` is; or, with ``raise``, a source.
        OSError
            EINVAL, before anything is copied: one copy would replace the source or target of another.
        """
        pool = self.pool.share(at_once("batch_size", batch_size))
        pairs = pairing.plan_copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth)
        bulk.copy_each(self, pool, pairs, on_error or ("ignore" if recursive else "raise"), recursive=recursive)

    # -- transactions ----------------------------------------------------------------------------------------------

    transaction = property(transactions.transaction_of)
    start_transaction, end_transaction = transactions.start, transactions.end
    # fsspec's `open` reads it, and its constructor assigns it
    _intrans = property(transactions.is_begun, lambda self, value: None)

    # -- unfinished uploads ----------------------------------------------------------------------------------------

    def uploads(self, path: StrPath) -> list[UploadInfo]:
        """Return the unfinished uploads of one file, or under a directory.

        Returns
        -------
        list of dict
            ``name`` (the target), ``place`` (the path that holds the bytes: the same, or a hidden sibling), ``size``
            (bytes declared; None in coffers), ``stored`` (bytes received), ``mtime`` (Unix seconds of the last change,
            in coffers of the start; 0 if unknown) and, in coffers, ``upload_id``.
        """
        return self.namespace.uploads(self._path(path))

    def abort_upload(self, path: StrPath) -> None:
        """Remove the unfinished uploads of one file; a complete object is never removed.

        Raises
        ------
        FileNotFoundError
            The file has no unfinished upload.
        """
        self.namespace.abort_upload(self._path(path))

    def clean_uploads(self, path: StrPath, older_than: float = 86400.0) -> list[UploadInfo]:
        """Remove stale uploads under a directory, and return them as `uploads` does.

        Parameters
        ----------
        older_than : float
            Age in seconds since the upload began or last changed, by the clock of the service: newer uploads may be
            in flight.
        """
        return self.namespace.clean_uploads(self._path(path), older_than)

    def interrupted_uploads(self, path: StrPath = "") -> list[InterruptedUpload]:
        """Return the interrupted uploads of local files by earlier processes that `put_file` would continue.

        Parameters
        ----------
        path : str
            A file or directory; all of the account if empty.

        Returns
        -------
        list of dict
            ``source`` (the local file), ``name`` (the target) and ``size`` (bytes of the whole file).
        """
        return self.runtime.files.interrupted(self._path(path))
