"""The codes of CDCS and the exception that refuses a request with one."""

from __future__ import annotations

__all__ = ["STATUS", "CofferError"]

STATUS = {
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
"""The HTTP status of every code (cdcs.md#errors), and of the few that operation pages or COS name."""


class CofferError(Exception):
    """A request is refused with a code of CDCS.

    Parameters
    ----------
    code : str
        The code.
    message : str
        What is wrong, in words for a person; the documentation gives no texts.
    status : int, optional
        Another HTTP status than the code's.

    Raises
    ------
    ValueError
        There is no such code.
    """

    def __init__(self, code: str, message: str = "", *, status: int | None = None) -> None:
        if code not in STATUS:
            raise ValueError(f"CDCS has no code {code!r}; there are: {', '.join(sorted(STATUS))}")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message or code
        self.status = STATUS[code] if status is None else status
