"""Errors of the local service: a refused request, and a service that cannot start."""

from __future__ import annotations

from cosv4fs.codes import lookup

_BY_STATUS = {
    400: "EntityTooSmall InvalidPart InvalidPartOrder InvalidArgument InvalidCofferName InvalidObjectKey"
    " InvalidObjectPrefix InvalidLifeCycle MalformedXML ObjectEmpty BadDigest",
    401: "AuthFailed PolicyCheckFailed ServiceNotOpen ConsoleAuthFailed",
    404: "CofferNotFound NoSuchCoffer ObjectNotExists MultipartNotExists NoSuchUpload NoSuchLifecycleConfiguration"
    " NoSuchBucketPolicy",
    405: "MethodNotAllowed",
    409: "CofferAlreadyExists CofferAlreadyOwnedByYou CofferNotEmpty CofferCountExceedsLimit MultipartAlreadyCompleted"
    " ObjectAlreadyUploading ObjectAlreadyExists ObjectAlreadyExistsOwnedByYou DataSynchronization AlreadyLock"
    " AssumeRoleFailed KMSFailed PolicyFormatCheckFailed",
    500: "InternalError",
}
"""Every code of CDCS (cdcs.md#errors), and the few that operation pages or COS name, by their HTTP status."""

_COFFER_STATUS = {code: status for status, codes in _BY_STATUS.items() for code in codes.split()}


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
        if isinstance(code, int):
            row = lookup(code)
            self.message, usual = row.name, row.http
        elif code in _COFFER_STATUS:
            self.message, usual = message or code, _COFFER_STATUS[code]
        else:
            raise ValueError(f"CDCS has no code {code!r}; there are: {', '.join(sorted(_COFFER_STATUS))}")
        self.status = usual if status is None else status
        self.headers: list[tuple[str, str]] = [] if retry_after is None else [("Retry-After", str(retry_after))]
        self.has_own_status = status is not None
        super().__init__(f"{code} {self.message}")


class UnknownBucketError(ApiError):
    """The URL names a bucket or an appid that is not served here (cos.md#envelope: HTTP 400 with an XML body)."""

    def __init__(self) -> None:
        super().__init__(-1, status=400)


class EmulatorError(Exception):
    """The emulator cannot start: the root folder is locked or unusable, or the port is taken."""
