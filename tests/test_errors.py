"""Errors: builtin classes, complete, and able to travel between processes."""

import copy
import errno
import os
import pickle

import pytest

from cosv4fs import errors
from cosv4fs.codes import CODES, Retry, lookup

CLASSES = {
    errno.ENOENT: (errors.CosFileNotFoundError, FileNotFoundError),
    errno.EEXIST: (errors.CosFileExistsError, FileExistsError),
    errno.EACCES: (errors.CosPermissionError, PermissionError),
    errno.EPERM: (errors.CosPermissionError, PermissionError),
    errno.EISDIR: (errors.CosIsADirectoryError, IsADirectoryError),
    errno.ENOTDIR: (errors.CosNotADirectoryError, NotADirectoryError),
    errno.ETIMEDOUT: (errors.CosTimeoutError, TimeoutError),
    errno.ECONNREFUSED: (errors.CosConnectionError, ConnectionError),
    errno.ECONNRESET: (errors.CosConnectionError, ConnectionError),
    errno.ECONNABORTED: (errors.CosConnectionError, ConnectionError),
    errno.EPIPE: (errors.CosConnectionError, ConnectionError),
    errno.EHOSTUNREACH: (errors.CosConnectionError, ConnectionError),
    errno.EIO: (errors.CosError, OSError),
    errno.ESTALE: (errors.CosError, OSError),
}
ORIGIN = errors.Origin(code=-197, request_id="abc=", status=404, is_transient=True)


@pytest.mark.parametrize(("number", "classes"), CLASSES.items(), ids=lambda value: str(value)[:40])
def test_class_by_errno(number, classes):
    error = errors.make_error(number, "text", "b/x")
    assert type(error) is classes[0]
    assert isinstance(error, classes)
    assert isinstance(error, errors.CosError)
    assert (error.errno, error.strerror, error.filename) == (number, "text", "b/x")
    assert (error.code, error.request_id, error.status) == (None, None, None)


@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
@pytest.mark.parametrize("number", CLASSES)
def test_errors_travel_whole(travel, number):
    error = errors.make_error(number, "text", "b/x", ORIGIN)
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    for name in ("errno", "strerror", "filename", *vars(ORIGIN)):
        assert getattr(arrived, name) == getattr(error, name)


def test_missing_credentials():
    error = errors.MissingCredentialsError(errno.EACCES, "text", None)
    assert isinstance(error, PermissionError)
    assert isinstance(error, ValueError)
    assert isinstance(pickle.loads(pickle.dumps(error)), errors.MissingCredentialsError)


def test_every_code_is_an_oserror():
    for code, row in CODES.items():
        assert row.code == code
        error = errors.error_for_code(code, row.name, "stat", "b/x", ORIGIN)
        assert isinstance(error, OSError), code
        assert os.strerror(error.errno), code
        assert (error.code, error.filename, error.request_id, error.status) == (code, "b/x", "abc=", 404)
        for part in (row.meaning, str(code), row.name, "stat", "abc="):
            assert part in str(error), code


def test_codes_that_decide_what_a_path_is():
    def classes(*codes):
        return {type(errors.error_for_code(code, "", "stat", "b/x", ORIGIN)) for code in codes}

    assert classes(-197, -166, -144, -6992, 6101, 45062) == {errors.CosFileNotFoundError}
    assert classes(-178, -177, -4018, -4019) == {errors.CosFileExistsError}
    assert classes(-97, -96, -81, -79, -77, -70, -63, -61, -289, -5998) == {errors.CosPermissionError}
    assert classes(-152, -4025) == {errors.CosTimeoutError}
    assert classes(-94, -290, -286, -4013, -4021, -4026, -4027, -5983) == {errors.CosUploadSessionError}


@pytest.mark.parametrize(
    ("retry", "codes"),
    [
        (Retry.BACK_OFF, [-71, -300, -143]),
        (Retry.RESIGN, [-96, -77]),
        (Retry.YES, [-99, -98, -66, -181, -152, -190, -4017, -4024, -5997, -5989, -9999]),
        (Retry.NO, [-97, -197, -178, -173, -174, -290, -4016, -4018, -4019, -5995, -29094, 45062]),
    ],
)
def test_what_may_be_retried(retry, codes):
    assert {lookup(code).retry for code in codes} == {retry}


def test_what_may_have_been_carried_out():
    acted = {code for code, row in CODES.items() if row.may_have_acted}
    assert acted >= {code for code, row in CODES.items() if row.retry is Retry.YES}
    assert {code for code in acted if CODES[code].retry is not Retry.YES} == {-77, -143, -300}


def test_an_unknown_code():
    error = errors.error_for_code(-31337, "ERROR_NEW", "stat", "b/x", errors.Origin())
    assert (error.errno, error.code) == (errno.EIO, -31337)
    assert "ERROR_NEW" in str(error)


def test_a_long_message_is_cut():
    assert len(str(errors.error_for_code(-97, "x" * 10_000, "stat", "b/x", ORIGIN))) < 500
