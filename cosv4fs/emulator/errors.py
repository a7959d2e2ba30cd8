"""Errors of the local service: a refused request, and a service that cannot start."""

from __future__ import annotations

from cosv4fs.codes import lookup

_COFFER_STATUS = {
    "InternalError": 500,
    "MethodNotAllowed": 405,
    **dict.fromkeys(
        (
            "CofferNotFound",
            "NoSuchCoffer",
            "ObjectNotExists",
            "MultipartNotExists",
            "NoSuchUpload",
            "NoSuchLifecycleConfiguration",
            "NoSuchBucketPolicy",
        ),
        404,
    ),
    **dict.fromkeys(
        (
            "EntityTooSmall",
            "InvalidPart",
            "InvalidPartOrder",
            "InvalidArgument",
            "InvalidCofferName",
            "InvalidObjectKey",
            "InvalidObjectPrefix",
            "InvalidLifeCycle",
            "MalformedXML",
            "ObjectEmpty",
            "BadDigest",
        ),
        400,
    ),
    **dict.fromkeys(
        (
            "CofferAlreadyExists",
            "CofferAlreadyOwnedByYou",
            "CofferNotEmpty",
            "CofferCountExceedsLimit",
            "MultipartAlreadyCompleted",
            "ObjectAlreadyUploading",
            "ObjectAlreadyExists",
            "ObjectAlreadyExistsOwnedByYou",
            "DataSynchronization",
            "AlreadyLock",
            "AssumeRoleFailed",
            "KMSFailed",
            "PolicyFormatCheckFailed",
        ),
        409,
    ),
    **dict.fromkeys(("AuthFailed", "PolicyCheckFailed", "ServiceNotOpen", "ConsoleAuthFailed"), 401),
}
"""The HTTP status of every code of CDCS (cdcs.md#errors), and of the few that operation pages or COS name."""


class ApiError(Exception):
    """A request is refused with an error code of the service.

    Parameters
    ----------
    code : int or str
        A number of the JSON API, whose name and HTTP status come from the code table, or a word of CDCS.
    message : str
        What is wrong, for a person; CDCS sends it.
    status : int, optional
        An HTTP status other than the code's.
    retry_after : int, optional
        Seconds for a ``Retry-After`` header.

    Raises
    ------
    ValueError
        CDCS has no such code.
    """

    def __init__(
        self, code: int | str, message: str = "", *, status: int | None = None, retry_after: int | None = None
    ) -> None:
        self.code = code
        self.retry_after = retry_after
        if isinstance(code, int):
            row = lookup(code)
            self.message, usual = row.name, row.http
        elif code in _COFFER_STATUS:
            self.message, usual = message or code, _COFFER_STATUS[code]
        else:
            raise ValueError(f"CDCS has no code {code!r}; there are: {', '.join(sorted(_COFFER_STATUS))}")
        self.status = usual if status is None else status
        self.has_own_status = status is not None
        super().__init__(f"{code} {self.message}")


class UnknownBucketError(ApiError):
    """The URL names a bucket or an appid that is not served here (cos.md#envelope: HTTP 400 with an XML body)."""

    def __init__(self) -> None:
        super().__init__(-1, status=400)


class EmulatorError(Exception):
    """The emulator cannot start: the root folder is locked or unusable, or the port is taken."""
