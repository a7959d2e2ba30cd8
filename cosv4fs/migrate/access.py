"""Find out early whether S3 can be used, `check_access`, and later whether credentials still can: `Refusals`.

s3fs repeats requests for a long time if nothing answers, and reports missing credentials and refused access as missing
files, or without the URL.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from fsspec.spec import AbstractFileSystem

from cosv4fs.forking import PerProcess
from cosv4fs.migrate.infos import fresh_info
from cosv4fs.migrate.locations import S3, Location

_CONNECT_SECONDS, _READ_SECONDS = 5, 20

_MAX_REFUSALS = 100
"""Files in a row to which access is denied, after which a run ends if a directory is refused, too."""

_NO_CREDENTIALS = (
    "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with "
    "AWS_PROFILE; files that are public need none with the option s3.anon=true"
)

_reached: PerProcess[WeakKeyDictionary[AbstractFileSystem, set[str]]] = PerProcess(WeakKeyDictionary)
"""The buckets that were found to be there, by filesystem."""


def check_access(location: Location, *, must_exist: bool = False, is_target: bool = False) -> None:
    """Raise an error that names the cause if S3 cannot be used; one request, and none for other filesystems.

    Parameters
    ----------
    location : Location
        A path in the bucket.
    must_exist : bool
        Whether a missing bucket, or one to which access is refused, is an error, too.
    is_target : bool
        Whether files will be written there, so that a missing bucket could be created.

    Raises
    ------
    ConnectionError
        The endpoint cannot be reached; there are no retries.
    PermissionError
        There are no credentials, or access to the bucket is refused.
    FileNotFoundError
        The bucket does not exist.
    """
    bucket = location.path.partition("/")[0]
    if not (S3 & location.protocols and hasattr(location.fs, "call_s3")) or bucket in _reached().get(location.fs, ()):
        return
    probe = _impatient(location.fs)
    try:
        # the list of all buckets is often refused
        probe.call_s3("head_bucket", Bucket=bucket) if bucket else probe.call_s3("list_buckets")
    except Exception as error:
        failure = _failure(error, probe, location, must_exist, is_target)
        if failure is not None:
            raise failure from error
        return
    _reached().setdefault(location.fs, set()).add(bucket)


class AccessLostError(PermissionError):
    """The credentials of a run are no longer accepted."""


class Refusals:
    """Ends a run when its credentials have expired or were revoked: else every file would fail; thread-safe.

    Parameters
    ----------
    sides : iterable of Location
        What these credentials gave access to when the run began, such as the source and the target.
    """

    def __init__(self, sides: Iterable[Location]) -> None:
        self._sides = tuple(sides)
        self._count, self._mutex = 0, threading.Lock()

    def note(self, *, failed: bool, refused: bool) -> None:
        """Count the outcome of a file, which may have failed, maybe because access was denied.

        Raises
        ------
        AccessLostError
            Access was denied to many files in a row and is denied to one of the sides: else these files alone may be
            forbidden.
        """
        with self._mutex:
            self._count = self._count + refused if failed else 0
            if self._count < _MAX_REFUSALS:
                return
            self._count = 0
        for side in self._sides:
            if _is_refused(side):
                text = (
                    f"access has been denied {_MAX_REFUSALS} times in a row: the credentials are no longer accepted, "
                    "or have expired; renew them and repeat the command"
                )
                raise AccessLostError(errno.EACCES, text, side.url)


def one_of_each(locations: Iterable[Location]) -> list[Location]:
    """Return one location of each filesystem, since credentials are the same for all of its files."""
    return list({location.fs: location for location in locations}.values())


def _is_refused(location: Location) -> bool:
    """Return whether access to a file or directory is refused now, whatever caches say; at most two requests.

    False for filesystems that other threads may be using and that are not thread-safe.
    """
    if not (location.fs.async_impl or location.capabilities.is_thread_safe):
        return False
    try:
        if S3 & location.protocols and hasattr(location.fs, "call_s3"):
            bucket, _, key = location.path.partition("/")
            # replies to HEAD do not say why; a policy may allow listings below the directory only
            location.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{key}/" if key else "", MaxKeys=1)
        else:
            fresh_info(location)
    except PermissionError:
        return True
    except Exception:  # noqa: BLE001 - of any kind; it does not prove a refusal
        return False
    return False


def _impatient(fs: AbstractFileSystem) -> Any:
    """Return an instance with the same options that tries each request once."""
    patience = {"retries": {"max_attempts": 0}, "connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    options = dict(fs.storage_options)
    config = {**(options.pop("config_kwargs", None) or {}), **patience}
    probe = type(fs)(*fs.storage_args, **options, config_kwargs=config, skip_instance_cache=True)
    probe.retries = 1
    return probe


def _failure(error: Exception, probe: Any, location: Location, must_exist: bool, is_target: bool) -> OSError | None:
    """Return the error to raise; None if what follows will show whether it matters."""
    causes: Any = import_module("botocore.exceptions")
    if isinstance(error, (causes.NoCredentialsError, causes.PartialCredentialsError)):
        return PermissionError(errno.EACCES, _NO_CREDENTIALS, location.url)
    if isinstance(error, (causes.ConnectionError, causes.HTTPClientError, ConnectionError, TimeoutError)):
        text = f"the S3 endpoint {probe.s3.meta.endpoint_url} cannot be reached{_through(probe.s3)}: {_reason(error)}"
        return ConnectionError(errno.EHOSTUNREACH, text, location.url)
    bucket = location.at(location.path.partition("/")[0])
    if must_exist and isinstance(error, FileNotFoundError):
        advice = f": create it with cosv4fs mkdir {bucket.url}" if is_target else ""
        return FileNotFoundError(errno.ENOENT, f"the bucket does not exist{advice}", bucket.url)
    if must_exist and isinstance(error, PermissionError):
        text = "access to the bucket is refused: check its name, and what its policy allows these credentials"
        return PermissionError(errno.EACCES, text, bucket.url)
    return None


def _through(client: Any) -> str:
    """Return how an error names the proxy of a client, without a password; empty if there is none."""
    endpoint = client.meta.endpoint_url
    environment = import_module("botocore.utils").get_environ_proxies
    proxy = (client.meta.config.proxies or environment(endpoint)).get(urlsplit(endpoint).scheme)
    return f" through the proxy {proxy.partition('://')[2].rpartition('@')[2] or proxy}" if proxy else ""


def _reason(error: Exception) -> str:
    """Return the cause of a failed connection, without the words of the libraries in between."""
    inner = getattr(error, "kwargs", {}).get("error")
    cause = getattr(inner, "os_error", None)
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        # asyncio's text is the call that failed; Windows has texts for sockets in a table of their own
        return getattr(socket, "errorTab", {}).get(cause.errno) or os.strerror(cause.errno)
    if isinstance(cause, OSError):
        return str(cause.strerror or cause)
    return str(inner or error)
