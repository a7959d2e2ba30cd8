"""The error codes of the Data Coffer Service: what each means, and whether it may be retried (cdcs.md#errors).

Includes codes that only the pages of single operations or early drafts name. The HTTP status decides about others.
"""

from __future__ import annotations

import errno as _errno

from cosv4fs.codes import Code, Retry

_WRITE_ONCE = "the object exists, and coffers are write-once: what is in one is never replaced, choose another name"
_UNFINISHED = "or an unfinished upload blocks its name: complete or abort it"
_IN_FULL = "coffers are named in full, as in name-1250000000"


def _row(name: str, http: int, errno: int, meaning: str, retry: Retry = Retry.NO) -> Code:
    return Code(name, name, meaning, http, errno, retry)


def _missing(name: str, meaning: str) -> Code:
    return _row(name, 404, _errno.ENOENT, meaning)


def _no_upload(name: str, http: int, meaning: str) -> Code:
    return _row(name, http, _errno.ESTALE, meaning)


def _invalid(name: str, meaning: str) -> Code:
    return _row(name, 400, _errno.EINVAL, meaning)


def _exists(name: str, meaning: str) -> Code:
    return _row(name, 409, _errno.EEXIST, meaning)


def _refused(name: str, meaning: str, http: int = 401) -> Code:
    return _row(name, http, _errno.EACCES, meaning)


def _busy(name: str, meaning: str) -> Code:
    return _row(name, 409, _errno.EBUSY, meaning, Retry.BACK_OFF)


_ROWS = [
    _row("InternalError", 500, _errno.EIO, "the service failed", Retry.YES),
    _row("MethodNotAllowed", 405, _errno.ENOTSUP, "coffers have no such operation: nothing in one can be changed"),
    _missing("CofferNotFound", f"there is no such coffer: {_IN_FULL}"),
    _missing("NoSuchCoffer", f"there is no such coffer: {_IN_FULL}"),
    _missing("ObjectNotExists", "no such object"),
    _missing("NoSuchLifecycleConfiguration", "the coffer has no lifecycle"),
    _no_upload("MultipartNotExists", 404, "the upload or its part does not exist: begin again"),
    _no_upload("NoSuchUpload", 404, "the upload was completed or aborted, or never was: begin again"),
    _no_upload("MultipartAlreadyCompleted", 409, "the upload was completed before"),
    _invalid("EntityTooSmall", "a part other than the last is smaller than 1 MB"),
    _invalid("InvalidPart", "the parts are not those that were sent, or their numbers have gaps"),
    _invalid("InvalidPartOrder", "the parts are not in the order of their numbers"),
    _invalid("InvalidArgument", "the service refused a parameter, or the content differs from its MD5"),
    _invalid("InvalidCofferName", f"no coffer can have this name: {_IN_FULL}, of digits, lower-case letters and '-'"),
    _invalid("InvalidObjectKey", "no object can have this name"),
    _invalid("InvalidObjectPrefix", "no object's name can begin like this"),
    _invalid("InvalidLifeCycle", "objects can be kept for 1 to 3650 days"),
    _invalid("MalformedXML", "the service could not read the request's body"),
    _invalid("ObjectEmpty", "coffers take no empty objects"),
    _row("BadDigest", 400, _errno.EIO, "the content differs from its MD5: it was damaged on the way", Retry.YES),
    _exists("CofferAlreadyExists", "another account has a coffer of this name: choose another one"),
    _exists("CofferAlreadyOwnedByYou", "you have a coffer of this name"),
    _exists("ObjectAlreadyUploading", "an upload to this name is in progress: wait for it, or abort it"),
    _exists("ObjectAlreadyExists", f"{_WRITE_ONCE}; {_UNFINISHED}"),
    _exists("ObjectAlreadyExistsOwnedByYou", f"{_WRITE_ONCE}; {_UNFINISHED}"),
    _row("CofferNotEmpty", 409, _errno.ENOTEMPTY,
         "the coffer is not empty: its objects have to expire, and unfinished uploads have to be aborted"),
    _row("CofferCountExceedsLimit", 409, _errno.ENOSPC, "the account has as many coffers as it may have (20)"),
    _busy("DataSynchronization", "the data is being synchronised between regions: try again later"),
    _busy("AlreadyLock", "the service is busy with this object: try again later"),
    _refused("AssumeRoleFailed", "the service may not act for the account: grant it the role for coffers", 409),
    _refused("ErrAssumeRoleFailed", "the service may not act for the account: grant it the role for coffers", 409),
    _row("KMSFailed", 409, _errno.EIO, "the key of the coffer's encryption could not be used: check it in KMS"),
    _row("ErrKMSFailed", 409, _errno.EIO, "the key of the coffer's encryption could not be used: check it in KMS"),
    _row("PolicyFormatCheckFailed", 409, _errno.EINVAL, "the policy is malformed"),
    _refused("AuthFailed", "the signature is wrong: check secret_id, secret_key and this machine's clock"),
    _refused("PolicyCheckFailed", "a policy does not allow this: check the coffer's policy and the user's"),
    _refused("ServiceNotOpen", "the account may not use coffers: the vendor opens the service on request"),
    _refused("ConsoleAuthFailed", "the console's login is not valid"),
]  # fmt: skip

CODES: dict[str, Code] = {row.name: row for row in _ROWS}
"""Every known code, by name."""

NAME_TAKEN_CODES = ("ObjectAlreadyExists", "ObjectAlreadyExistsOwnedByYou", "ObjectAlreadyUploading")
"""Codes that say that a name is taken: by an object, or by an unfinished upload."""
