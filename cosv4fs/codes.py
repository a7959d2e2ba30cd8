"""The table of error codes of the COS JSON API: one row per code, one place for what each means.

The client reads from it which exception to raise, whether a request may be retried, and whether it may have been
carried out; the emulator reads from it which name and HTTP status belong to a code. It is the only thing that both
know. `cosv4fs.api.cdcs.errors` has the codes of coffers, in rows of the same type.

Source: cos.md#codes, cos.md#codes-back-off and cos.md#codes-acted, the vendor's list "错误码定位" and the codes seen in
the vendor's own clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from errno import EACCES, EBUSY, EDQUOT, EEXIST, EFBIG, EINVAL, EIO, ENOENT, ENOTEMPTY, ESTALE, ETIMEDOUT, EXDEV


class Retry(Enum):
    """Whether, and how, a request may be retried."""

    NO = "no"
    """The same request will fail again."""
    YES = "yes"
    """A transient fault of the service: retry after a pause."""
    BACK_OFF = "back off"
    """The service asks for fewer requests: retry after a pause, with fewer requests in flight."""
    RESIGN = "resign"
    """The signature is used up or has expired: sign again and retry at once."""


@dataclass(frozen=True)
class Code:
    """One row of the table."""

    code: int | str
    """The number in the reply's ``code``; in the table of coffers, the name in ``Code``."""
    name: str
    """The symbolic name, which the service sends as ``message``."""
    meaning: str
    http: int = 400
    """The HTTP status that goes with it (observed or proposed, cos.md#codes)."""
    errno: int = EINVAL
    """That of the `OSError`; ESTALE where the upload session is unusable."""
    retry: Retry = Retry.NO
    may_have_acted: bool = False
    """Whether the operation may have been carried out all the same (cos.md#codes-acted)."""
    is_about_path: bool = False
    """Whether it says that nothing can have the path: then a request that only reads finds nothing there."""


def _transient(code: int, name: str, meaning: str, http: int = 500) -> Code:
    return Code(code, name, meaning, http, EIO, Retry.YES, may_have_acted=True)


def _timed_out(code: int, name: str, meaning: str) -> Code:
    return Code(code, name, meaning, 504, ETIMEDOUT, Retry.YES, may_have_acted=True)


def _refused(code: int, name: str, meaning: str, http: int = 400) -> Code:
    return Code(code, name, meaning, http, EACCES, Retry.NO)


def _session(code: int, name: str, meaning: str) -> Code:
    return Code(code, name, meaning, 400, ESTALE)


_ROWS = (
    # the proxy
    _transient(-99, "ERROR_PROXY_GET_CONFIG", "the service could not read its configuration"),
    _transient(-98, "ERROR_PROXY_AUTH_INVOKE", "the signing service could not be reached"),
    _refused(-97, "ERROR_PROXY_AUTH_FAILED", "the signature is wrong: check secret_id and secret_key"),
    Code(-96, "ERROR_PROXY_AUTH_EXPIRED", "the signature has expired: check the clock", 400, EACCES, Retry.RESIGN),
    Code(-95, "ERROR_PROXY_NO_SESSION", "the upload session is missing from the request"),
    _session(-94, "ERROR_PROXY_WRONG_SESSION", "the service no longer knows the upload session: begin again"),
    _transient(-89, "ERROR_PROXY_ROUTE_CMD", "the request could not be forwarded"),
    _transient(-88, "ERROR_PROXY_ENCODE_CMD", "the request could not be encoded"),
    _transient(-87, "ERROR_PROXY_DECODE_CMD", "the reply could not be decoded"),
    _transient(-86, "ERROR_PROXY_ROUTE_PROCESS", "the request could not be forwarded"),
    _transient(-85, "ERROR_PROXY_DECODE_PROCESS_RSP", "the reply could not be decoded"),
    _transient(-84, "ERROR_PROXY_GET_PROCESS_L5", "no storage server could be found"),
    _transient(-83, "ERROR_PROXY_AUTH_UNPACK", "the signing service's reply could not be read"),
    _refused(-82, "ERROR_PROXY_AUTH_APPID_NOEXIST", "there is no such appid"),
    _refused(-81, "ERROR_PROXY_AUTH_SIGN_EMPTY", "the request carries no signature"),
    _refused(-80, "ERROR_PROXY_INVALID_APPID", "the appid is malformed: it is a number"),
    _refused(-79, "ERROR_PROXY_AUTH_SECRETID_NOEXIST", "the secret_id is unknown"),
    _refused(-78, "ERROR_PROXY_INVALID_PROTOCOL", "the protocol does not match the API version of the account"),
    Code(-77, "ERROR_PROXY_AUTH_REPLAY_ATTACH", "a single-use signature was used twice", 400, EACCES, Retry.RESIGN,
         may_have_acted=True),
    _refused(-76, "ERROR_PROXY_AUTH_ONCESIGN_NOFILEID", "a single-use signature names no object"),
    _refused(-75, "ERROR_PROXY_AUTH_UNSUPPORTED_OP", "the operation is not allowed with this kind of signature"),
    _refused(-74, "ERROR_PROXY_AUTH_MULTISIGN_EXPIREDEMPTY", "the operation needs a signature with an expiry"),
    _refused(-73, "ERROR_PROXY_AUTH_ONCESIGN_EXPIREDNOTEMPTY", "the operation needs a single-use signature"),
    _refused(-72, "ERROR_PROXY_APP_SIGN_FAILED", "the service could not sign"),
    Code(-71, "ERROR_PROXY_FREQ_CONTROL", "too many requests", 503, EBUSY, Retry.BACK_OFF),
    _refused(-70, "ERROR_PROXY_APPID_USERID_NOTMATCH", "the appid differs from the one that was signed"),
    Code(-69, "ERROR_PROXY_INVALID_PARAM_DOWNLOAD_URL_EMPTY", "the download URL is empty"),
    _transient(-68, "ERROR_PROXY_ENCODE", "the request could not be packed"),
    _transient(-67, "ERROR_PROXY_DECODE", "the reply could not be unpacked"),
    _transient(-66, "ERROR_PROXY_NETWORK", "a network failure inside the service"),
    Code(-65, "ERROR_PROXY_CONTINUE_TRANSFER_WITH_DATA", "a resume request may carry no data"),
    _refused(-64, "ERROR_PROXY_FORBID_APPID", "the account is blocked", 403),
    _refused(-63, "ERROR_PROXY_FILEID_NOTMATCH", "the signature is bound to another path"),
    _refused(-62, "ERROR_PROXY_AUTH_APPID", "appid and secret_id do not belong together"),
    _refused(-61, "ERROR_PROXY_SIGN_BUCKET_NOTMATCH", "the bucket differs from the one that was signed"),
    _refused(-60, "ERROR_PROXY_AUTH_INVALID_TOKEN", "the token is invalid"),

    # the command layer
    Code(-199, "ERROR_CMD_FILE_MOVE_ERROR", "the move failed"),
    Code(-198, "ERROR_CMD_REDIRECT_ERROR", "a redirect failed"),
    Code(-197, "ERROR_CMD_FILE_NOTEXIST", "no such file or directory", 404, ENOENT),
    _transient(-196, "ERROR_CMD_BACKEND_NETWORK", "a network failure inside the service"),
    _transient(-195, "ERROR_CMD_BACKEND_RSP_DECODE", "a reply inside the service could not be decoded"),
    _transient(-194, "ERROR_CMD_BACKEND_REQ_ENCODE", "a request inside the service could not be encoded"),
    _transient(-193, "ERROR_CMD_RSP_ENCODE", "the reply could not be encoded"),
    _transient(-192, "ERROR_CMD_REQ_DECODE", "the request could not be decoded", 400),
    Code(-191, "ERROR_CMD_URL_PARAMS_NOTMATCH", "the parameters do not fit the URL"),
    _transient(-190, "ERROR_CMD_FILE_DEL_ERROR", "the deletion failed", 400),
    Code(-189, "ERROR_CMD_INVALID_PARAM_DOWNLOAD_URL_EMPTY", "the download URL is empty"),
    Code(-187, "ERROR_CMD_URL_PARSE_ERROR", "the URL could not be parsed", is_about_path=True),
    Code(-186, "ERROR_CMD_VIDEO_MOVE", "videos cannot be copied"),
    _transient(-185, "ERROR_CMD_PRE_PROCESS", "the service failed before the action"),
    _transient(-184, "ERROR_CMD_POST_PROCESS", "the service failed after the action"),
    _transient(-183, "ERROR_CMD_GET_ROUTE", "no route inside the service"),
    Code(-182, "ERROR_CMD_PARAM_INVALID", "a parameter is invalid"),
    _transient(-181, "ERROR_CMD_COS_ERROR", "the storage back end failed"),
    Code(-180, "ERROR_CMD_COS_INVALID_PATH",
         "the path is not allowed: use a shorter name, without ? * : | \\ < > and \"", is_about_path=True),
    Code(-179, "ERROR_CMD_COS_INVALID_MOD_FLAG", "the update flag is invalid"),
    Code(-178, "ERROR_CMD_COS_PATH_CONFLICT", "something exists at the path", 400, EEXIST),
    Code(-177, "ERROR_CMD_COS_FILE_EXIST", "the file exists", 400, EEXIST),
    Code(-176, "ERROR_CMD_COS_BUCKET_EXIST", "the bucket exists", 400, EEXIST),
    Code(-175, "ERROR_CMD_COS_FILE_SIZE_NOT_EQU", "the size differs from the declared one", 400, EIO),
    Code(-174, "ERROR_CMD_COS_SHA_NOT_EQU", "the content differs from the declared SHA-1", 400, EIO),
    Code(-173, "ERROR_CMD_COS_DIR_NOT_EMPTY", "the directory is not empty", 400, ENOTEMPTY),
    Code(-172, "ERROR_CMD_COS_BUCKET_NUM_LIMIT", "too many buckets", 400, EDQUOT),
    Code(-171, "ERROR_CMD_COS_INVALID_APP_TYPE", "the account's type does not allow it"),
    Code(-170, "ERROR_CMD_COS_INVALID_LIST_NUM", "the page size of the listing is not allowed"),
    Code(-169, "ERROR_CMD_COS_INVALID_QUERY_FLAG", "the query flag is not allowed"),
    Code(-168, "ERROR_CMD_COS_INVALID_SHA", "the SHA-1 is malformed"),
    Code(-167, "ERROR_CMD_COS_INVALID_CNAME", "the domain name is malformed"),
    Code(-166, "ERROR_CMD_COS_INDEX_ERROR", "no such file or directory", 404, ENOENT),
    Code(-165, "ERROR_CMD_COS_MAX_NUM", "the page size of the listing is too large"),
    Code(-164, "ERROR_CMD_PARAM_PATH_EMPTY", "the path is empty"),
    Code(-163, "ERROR_CMD_PARAM_PATH_ELEMENT_MISSING", "a part of the path is missing"),
    Code(-162, "ERROR_CMD_PARAM_PATH_ELEMENT_NOT_MATCH", "a part of the path does not match"),
    Code(-161, "ERROR_CMD_PARAM_PATH_DIR_MISSING_SLASH", "the directory's path lacks its final slash"),
    Code(-160, "ERROR_CMD_PARAM_PAHT_FILE_SURPLUS_SLASH", "the file's path ends in a slash"),
    Code(-159, "ERROR_CMD_PARAM_CNAME_ERROR", "too many domain names"),
    Code(-158, "ERROR_CMD_PARAM_AUTH_TYPE", "the kind of authority is unknown"),
    Code(-157, "ERROR_CMD_PARAM_MIN_NUM", "the page size of the listing is below 1"),
    Code(-156, "ERROR_CMD_PARAM_INVALID_VIDEO_NAME", "the video's name is not allowed"),
    Code(-155, "ERROR_CMD_PARAM_INVALID_FORMAT", "the format is not allowed"),
    Code(-154, "ERROR_CMD_APP_VIDEO_NOMATCH", "the video does not belong to the account"),
    Code(-153, "ERROR_CMD_INVALID_VIDEO_APP", "the account has no video service"),
    _timed_out(-152, "ERR_CMD_COS_TIMEOUT", "the storage back end timed out"),
    Code(-151, "ERROR_CMD_PARAM_REFER", "the referer setting is invalid"),
    Code(-150, "ERROR_CMD_PARAM_CNAME", "the domain setting is invalid"),
    Code(-149, "ERROR_CMD_PARAM_HOST", "the host setting is invalid"),
    Code(-148, "ERROR_CMD_PARAM_COVER", "the cover setting is invalid"),
    Code(-147, "ERROR_CMD_NOT_UTF8_ENCODING", "a parameter is not UTF-8"),
    Code(-146, "ERROR_CMD_PARAM_REFER_TYPE", "the referer setting is invalid"),
    Code(-145, "ERROR_CMD_PARAM_CNAME_TYPE", "the domain setting is invalid"),
    Code(-144, "ERROR_CMD_INDEX_NO_EXIST", "no such file or directory", 404, ENOENT),
    Code(-143, "ERROR_CMD_INDEX_ERROR", "the index failed, or one directory is written too fast", 500, EIO,
         Retry.BACK_OFF, may_have_acted=True),

    # the process layer
    Code(-300, "ERROR_PROCESS_OVERLOAD", "the service is overloaded", 503, EBUSY, Retry.BACK_OFF,
         may_have_acted=True),
    Code(-299, "ERROR_PROCESS_UNKNOWN_CMD", "the command is unknown"),
    _transient(-298, "ERROR_PROCESS_REQ2MSG", "a message could not be built"),
    _transient(-297, "ERROR_PROCESS_FRAME", "a failure inside the service"),
    _transient(-296, "ERROR_PROCESS_MSG2RSP", "a reply could not be packed"),
    _transient(-295, "ERROR_PROCESS_WRITEFILE", "a write inside the service failed"),
    _transient(-294, "ERROR_PROCESS_READFILE", "a read inside the service failed"),
    _transient(-293, "ERROR_PROCESS_NOTIFY", "a notification inside the service failed"),
    _transient(-292, "ERROR_PROCESS_CREATEFILE", "a file inside the service could not be created"),
    _transient(-291, "ERROR_PROCESS_ENCODE_SESSION", "the upload session could not be encoded"),
    _session(-290, "ERROR_PROCESS_OFFSET", "the upload session is invalid"),
    Code(-289, "ERROR_PROCESS_DENY", "the request is denied", 403, EACCES),
    Code(-288, "ERROR_PROCESS_ENCODE", "the request could not be encoded"),
    Code(-287, "ERROR_PROCESS_DECODE", "the request could not be decoded"),
    _session(-286, "ERROR_PROCESS_DECODE_SESSION", "the upload session could not be decoded"),
    Code(-285, "ERROR_PROCESS_FILE_TOO_LARGE", "the file is too large for the service: divide it", 413, EFBIG),
    Code(-284, "ERROR_PROCESS_WRONG_SLICE_SIZE", "the slice does not have the session's slice size"),
    Code(-283, "ERROR_PROCESS_SLICE_TOO_SMALL", "the slice is too small"),
    Code(-282, "ERROR_PROCESS_ANALYZE", "the request could not be analysed"),

    # the upload plugin
    _transient(-4000, "ErrDecodeReq", "the request could not be decoded"),
    _transient(-4001, "ErrEncodeRsp", "the reply could not be encoded"),
    Code(-4002, "ErrParamInvalid", "a parameter is invalid"),
    _transient(-4003, "ErrNoSetErrCode", "an unnamed fault of the service"),
    _transient(-4004, "ErrCosRspHeadCode", "the store failed"),
    _transient(-4005, "ErrInvalidOffset", "the store named an illegal offset"),
    _transient(-4006, "ErrInvalidHeadFlag", "the store sent an illegal flag"),
    _transient(-4007, "ErrTmemRspSsdError", "the service could not read its configuration"),
    _transient(-4008, "ErrParserShmError", "the service could not read its configuration"),
    _transient(-4010, "ErrCreateControlFile", "the control file could not be created"),
    _transient(-4011, "ErrReadControlFile", "the control file could not be read"),
    _transient(-4012, "ErrGetInputData", "the data could not be read"),
    _session(-4013, "ErrDecodeSession", "the upload session could not be decoded"),
    _transient(-4014, "ErrQueryOffset", "the slices could not be queried"),
    _session(-4015, "ErrTheSameOffset", "the same offset was returned repeatedly"),
    Code(-4016, "ErrNotSameSHA", "the content differs from the declared SHA-1", 400, EIO),
    _transient(-4017, "ErrHttpSvr", "the store failed"),
    Code(-4018, "ERROR_SAME_FILE_UPLOAD", "the file exists", 400, EEXIST),
    Code(-4019, "_ERROR_FILE_NOT_FINISH_UPLOAD", "an unfinished upload blocks the path", 400, EEXIST),
    Code(-4020, "ErrParamInvalidCheckTypeShouldBeSHA", "the check type must be SHA"),
    _session(-4021, "ErrParamInvalidSessionDecodeError", "the upload session could not be decoded"),
    Code(-4022, "ErrParamInvalidFilePathInvalid", "the bucket path is invalid", is_about_path=True),
    Code(-4023, "ErrParamInvalidCheckSumSizeInvalid", "the checksum has the wrong size"),
    _transient(-4024, "ErrOffGoBack", "the offset went back"),
    _timed_out(-4025, "ErrHttpTimeout", "the store timed out"),
    _session(-4026, "ErrOffsetBackTooMuch", "the upload has to start again"),
    _session(-4027, "ErrOffsetRedo", "the upload has to start again"),
    Code(-29094, "ERROR_FINISH_WITHOUT_SHA", "the upload was opened with a SHA-1 and has to be finished with it"),

    # the CGI
    Code(-5999, "ERROR_CGI_PARAM", "a parameter is invalid"),
    _refused(-5998, "ERROR_CGI_AUTHORIZATION", "the signature is malformed"),
    _transient(-5997, "ERROR_CGI_NETWORK", "a network failure inside the service"),
    Code(-5996, "ERROR_CGI_REQ_METHOD", "the HTTP method is not allowed", 405),
    Code(-5995, "ERROR_CGI_FILESIZE", "the file size is invalid"),
    Code(-5994, "ERROR_CGI_URL_NOTMATCH", "the URL does not match"),
    Code(-5993, "ERROR_CGI_FORM_ERR", "the form data is malformed"),
    Code(-5992, "ERROR_CGI_REQ_PARAM", "a request parameter is invalid"),
    Code(-5991, "ERROR_CGI_SLICE", "the slice is too large", 413),
    Code(-5990, "ERROR_CGI_MISSING_FILECONTENT", "the content is missing"),
    _transient(-5989, "ERROR_CGI_UPLOAD_FAIL", "the upload failed"),
    _transient(-5988, "ERROR_CGI_INIT", "the service is starting"),
    _transient(-5987, "ERROR_CGI_WUP_ENCODE", "a message could not be encoded"),
    _transient(-5986, "ERROR_CGI_WUP_DECODE", "a message could not be decoded"),
    _transient(-5985, "ERROR_CGI_NETWORK_L5", "no storage server could be found"),
    Code(-5984, "ERROR_CGI_SHA_NOT_MATCH", "the content differs from the declared SHA-1", 400, EIO),
    _session(-5983, "ERROR_CGI_WRONG_SESSION", "the service no longer knows the upload session: begin again"),
    _transient(-5982, "ERROR_CGI_SOCK_CREATE", "a socket could not be made inside the service"),
    _transient(-5981, "ERROR_CGI_SOCK_CONNECT", "a connection inside the service failed"),
    Code(-5980, "ERROR_CGI_PARAM_MISSING_OP", "the operation is missing"),
    Code(-5979, "ERROR_CGI_PARAM_MISSING_SHA", "the SHA-1 is missing"),
    _transient(-5978, "ERROR_CGI_PDU_ENCODE", "a message could not be encoded"),
    _transient(-5977, "ERROR_CGI_PDU_DECODE", "a message could not be decoded"),
    Code(-5976, "ERROR_CGI_REQ_PARAM_FLAG_NOTMATCH", "the flag does not fit the bucket"),
    Code(-5975, "ERROR_CGI_JSON_PARSE_ERROR", "the JSON body is malformed"),
    Code(-5974, "ERROR_CGI_VIDEO_FORMAT", "the video's format is not allowed"),
    Code(-5973, "ERROR_CGI_CROSS_BUCKET_COPY", "copies between buckets are not supported", 400, EXDEV),
    Code(-5972, "ERROR_CGI_UNSUPPORTED_METHOD", "the method is not supported"),
    Code(-5971, "ERROR_CGI_PARAM_MISSING_FILESIZE", "the file size is missing"),

    # the store and the download hosts
    _transient(-6999, "ERROR_OSS_UNKNOWN", "an unknown fault of the store"),
    Code(-6998, "ERROR_OSS_INVALID_PROTOCOL", "the protocol is invalid"),
    Code(-6997, "ERROR_OSS_INVALID_PARAM", "a parameter is invalid"),
    Code(-6996, "ERROR_OSS_FILESIZE", "the file is too large for the service: divide it", 413, EFBIG),
    _transient(-6995, "ERROR_OSS_MKDIR", "a directory could not be made inside the store"),
    Code(-6994, "ERROR_OSS_GZIP", "the content could not be unpacked"),
    _transient(-6993, "ERROR_OSS_WRITE_FILE", "a write inside the store failed"),
    Code(-6992, "ERROR_OSS_FILE_NOTEXIST", "no such file", 404, ENOENT),
    _transient(-6991, "ERROR_OSS_READ_FILE", "a read inside the store failed"),
    Code(6101, "ERROR_DOWNLOAD_FILE_NOTEXIST", "no such file", 404, ENOENT),
    Code(45062, "ERROR_DOWNLOAD_FILE_NOT_FINISHED", "the file is not completely uploaded", 404, ENOENT),
    _transient(-9999, "UNKOWN", "an unknown fault of the service"),
)  # fmt: skip

CODES: dict[int, Code] = {int(row.code): row for row in _ROWS}
"""Every known code, by number."""


def lookup(code: int) -> Code:
    """Return the row for `code`; one for "unknown, not retryable" when the table has none."""
    return CODES.get(code) or Code(code, "UNKNOWN_CODE", "an error code that is not in the vendor's list", 400, EIO)
