"""List trees on S3: as many keys per request as possible, past the cache of s3fs."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cosv4fs.migrate.entries import Entry
from cosv4fs.migrate.infos import check_directory, recorded_md5
from cosv4fs.migrate.locations import Location


def s3_keys(tree: Location, _: str) -> Iterator[Entry]:
    """Yield all objects under a directory in S3, or in all buckets: as many per request as possible, without cache."""
    if not tree.path:
        for bucket in tree.fs.ls("", detail=False, refresh=True):
            for entry in s3_keys(tree.at(bucket), ""):
                yield replace(entry, path=f"{bucket}/{entry.path}")
        return
    bucket, _, key = tree.path.partition("/")
    prefix, is_empty = f"{key}/" if key else "", True
    for page in s3_pages(tree, bucket, prefix):
        is_empty = is_empty and not page
        for found in page:
            # an empty object of such a name stands for a directory
            if found["Size"] or not found["Key"].endswith("/"):
                yield _entry(tree, found["Key"][len(prefix) :], found)
    if is_empty:
        check_directory(tree)


def s3_folder(tree: Location, folder: str) -> Iterator[Entry]:
    """Yield the entries of a directory in S3, or all buckets."""
    path = tree.prefix + folder if folder else tree.path
    if not path:
        yield from (Entry(bucket, is_directory=True) for bucket in tree.fs.ls("", detail=False, refresh=True))
        return
    bucket, _, key = path.partition("/")
    prefix, here, is_empty = f"{key}/" if key else "", f"{folder}/" if folder else "", True
    for page in s3_pages(tree, bucket, prefix, Delimiter="/"):
        is_empty = is_empty and not page
        for found in page:
            if "Prefix" in found:
                name = here + found["Prefix"][len(prefix) : -1]
                yield Entry(name, is_directory=True, refusal=tree.problem_with(name))
            elif found["Key"] != prefix or found["Size"]:
                yield _entry(tree, here + found["Key"][len(prefix) :], found)
    if is_empty and not folder:
        check_directory(tree)


def _entry(tree: Location, name: str, found: Mapping[str, Any]) -> Entry:
    modified = found["LastModified"].timestamp()
    return Entry(name, int(found["Size"]), modified, md5=recorded_md5(tree, found), refusal=tree.problem_with(name))


def s3_pages(location: Location, bucket: str, prefix: str, **options: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a listing of S3, past the cache; with a delimiter also common prefixes.

    Each row is one of ``Contents`` or ``CommonPrefixes`` as botocore returns them.

    Raises
    ------
    OSError
        EBADMSG: the pages go round in circles, or a page does not say where the next one begins. EIO: a key does not
        begin with the prefix: it must be neither copied nor removed.
    """
    options |= location.fs.req_kw
    seen: set[int] = set()
    while True:
        reply = location.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **options)
        rows = [*(reply.get("CommonPrefixes") or ()), *(reply.get("Contents") or ())]
        for name in (row.get("Key") or row["Prefix"] for row in rows):
            if not name.startswith(prefix):
                raise OSError(errno.EIO, f"its listing contains {name!r}, which is outside", location.url)
        yield rows
        if not reply.get("IsTruncated"):
            return
        token = reply.get("NextContinuationToken")
        if not token or hash(token) in seen:
            text = "the service cannot list in pages: it " + ("repeats" if token else "names no next")
            raise OSError(errno.EBADMSG, f"{text} page (list_objects_v2)", location.url)
        # hashes: pages may be many
        seen.add(hash(token))
        options["ContinuationToken"] = token
