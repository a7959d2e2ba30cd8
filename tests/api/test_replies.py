"""What replies become: the vendor's own samples, and anything else that JSON can say."""

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosv4fs.api.cos.replies import (
    Entry,
    PathStatus,
    ReceivedSlice,
    SliceSession,
    UnfinishedUpload,
    UploadedObject,
)
from cosv4fs.api.fields import Fields
from cosv4fs.errors import CosError

# from the vendor's pages (cos.md#uploads to cos.md#files)
INIT = """{"code":0, "message":"SUCCESS", "request_id":"NTliNzhlOGRfMTliMjk0MGFDg0N1diY2E=",
 "data":{ "session":"8ad1d23f1b1f3452a1bda9bfbf5f810a3dac6a73371c632e47baf12d", "slice_size":1048576} }"""
DATA_OF_V1 = """{"code": 0, "message": "SUCCESS", "data": {
 "offset": 3145728, "session": "0e009a57-3eb7-4f9d-a651-5f3a294e5616+CtQT49EHAA==" } }"""
FINISH = """{ "code": 0, "message": "SUCCESS", "data": {
 "access_url": "http://jonnxu5-10000202.file.myqcloud.com/foldertest/test_slice_upload.pptx",
 "resource_path": "/foldertest/test_slice_upload.pptx",
 "source_url": "http://jonnxu5-10000202.cos.myqcloud.com/foldertest/test_slice_upload.pptx",
 "url": "http://web.file.myqcloud.com/files/v1/foldertest/test_slice_upload.pptx" } }"""
LIST = """{ "code": 0, "message": "SUCCESS", "request_id": "NTliODllYTZfYzlhMzNfM2E1Nl8xNTY4ZjE=",
 "data": { "filesize": 10485760, "listparts": [],
 "session": "85bac5e25b873ec432f945a3edd0965dc38ba4a73a4f2b6376e32e47836a732c5ae7dc", "slice_size": 1048576 } }"""
DATA = """{ "code": 0, "message": "SUCCESS", "data": { "datalen": 36864, "offset": 0,
 "session": "58ccd1b3120e85c4ebb7b786154408df4fe22230cb8f328d41599b237661855d6242793ba2481c1ac0b1277051003cab" } }"""
STAT = """{"message":"SUCCESS","code":0,"data":{"slicesize":0,"ctime":1503385091,"biz_attr":"","filelen":0,
"authority":"eInvalid","source_url":"http://test01-1252448703.costj.myqcloud.com/sample_file.txt","forbid":0,
"sha":"00000000000000000000000000000000","custom_headers":{"Cache-Control":"no","Content-Language":"ch",
"Content-Type":"application/pdf"},"filesize":0,"mtime":1503385091,
"access_url":"http://test01-1252448703.file.myqcloud.com/sample_file.txt"},
"request_id":"NTk5YmQ2MDNfYWRhYjM1MGFfMmVmZTdfZWFlODM="}"""
SHA = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def fields(values):
    return Fields(values, "stat", "b/x")


def data(text):
    return fields(json.loads(text)["data"])


class TestSamples:
    def test_init(self):
        session = SliceSession.parse(data(INIT))
        assert session == SliceSession(
            "8ad1d23f1b1f3452a1bda9bfbf5f810a3dac6a73371c632e47baf12d", 1048576, serial=False
        )
        assert "8ad1" not in repr(session)

    def test_data(self):
        slice_ = ReceivedSlice.parse(data(DATA), "mine")
        assert (slice_.offset, slice_.length, slice_.session[:4]) == (0, 36864, "58cc")
        slice_ = ReceivedSlice.parse(data(DATA_OF_V1), "mine")
        assert (slice_.offset, slice_.length, slice_.session[-2:]) == (3145728, None, "==")

    def test_finish(self):
        assert UploadedObject.parse(data(FINISH)).resource_path == "/foldertest/test_slice_upload.pptx"

    def test_list(self):
        upload = UnfinishedUpload.parse(data(LIST))
        assert (upload.slice_size, upload.filesize, upload.parts, upload.sha) == (1048576, 10485760, (), None)

    def test_stat(self):
        status = PathStatus.parse(data(STAT), is_directory=False)
        assert (status.size, status.stored, status.sha, status.modified) == (0, 0, None, 1503385091)
        assert status.custom_headers["Content-Type"] == "application/pdf"
        assert (status.authority, status.forbid, status.is_unfinished) == ("eInvalid", 0, False)


class TestLeniency:
    def test_numbers_as_text(self):
        texts = {"filesize": "10", "filelen": "4", "ctime": "1465875372", "mtime": "", "slicesize": None}
        status = PathStatus.parse(fields(texts), is_directory=False)
        assert (status.size, status.stored, status.created, status.modified) == (10, 4, 1465875372, 0)
        assert status.is_unfinished

    @pytest.mark.parametrize(
        "parts",
        [
            [{"offset": 10, "datalen": 5}, {"offset": 0, "datalen": 10}],
            '[{"offset":0,"datalen":10},{"offset":10,"datalen":5}]',
            [{"offset": "10", "datalen": "5"}, {"offset": "0"}],
        ],
    )
    def test_parts(self, parts):
        values = {"session": "s", "slice_size": "10", "filesize": 15, "listparts": parts}
        assert UnfinishedUpload.parse(fields(values)).parts == ((0, 10), (10, 5))

    @pytest.mark.parametrize("parts", [{"offset": 0}, '{"offset": 0}'])
    def test_a_row_is_no_list(self, parts):
        values = {"session": "s", "slice_size": 10, "filesize": 15, "listparts": parts}
        with pytest.raises(CosError, match="listparts is"):
            UnfinishedUpload.parse(fields(values))

    def test_what_is_missing(self):
        with pytest.raises(CosError, match="session is None"):
            UnfinishedUpload.parse(fields({"slice_size": 10}))
        with pytest.raises(CosError, match="data is None"):
            fields(None)

    @pytest.mark.parametrize("parts", [None, "", "  ", []])
    def test_no_parts(self, parts):
        values = {"session": "s", "slice_size": 10, "filesize": 15, "listparts": parts}
        assert UnfinishedUpload.parse(fields(values)).parts == ()

    @pytest.mark.parametrize(
        ("sha", "expected"),
        [
            (SHA, SHA),
            (SHA.upper(), SHA),
            (SHA + "_1234", SHA),
            ("0" * 32, None),
            ("0" * 40, None),
            ("", None),
            (None, None),
            (7, None),
            ("z" * 40, None),
        ],
    )
    def test_sha(self, sha, expected):
        assert fields({"sha": sha}).sha() == expected

    @pytest.mark.parametrize(
        ("serial", "expected"), [(1, True), ("1", True), (0, False), (None, False), ("", False), (2, False)]
    )
    def test_serial(self, serial, expected):
        values = {"session": "s", "slice_size": 10, "serial_upload": serial}
        assert SliceSession.parse(fields(values)).serial is expected

    @pytest.mark.parametrize(
        ("value", "expected"),
        [(True, True), (False, False), (1, True), (0, False), ("true", None), (None, None), ([], None)],
    )
    def test_flags(self, value, expected):
        assert fields({"listover": value}).flag("listover") is expected

    def test_entries(self):
        assert Entry.parse(fields({"name": "sub"})).is_directory
        assert Entry.parse(fields({"name": "sub/"})) == Entry("sub", is_directory=True)
        assert not Entry.parse(fields({"name": "x", "sha": "", "filesize": 0})).is_directory
        assert not Entry.parse(fields({"name": "x", "filelen": 3, "filesize": 5})).is_directory


class TestStrictness:
    @pytest.mark.parametrize("value", [-1, "-1", 1.5, math.inf, math.nan, True, [], {}, "ten", "１", 2**63, "9" * 30])
    def test_sizes(self, value):
        with pytest.raises(CosError, match="is invalid"):
            PathStatus.parse(fields({"filesize": value}), is_directory=False)

    def test_a_file_needs_its_size(self):
        with pytest.raises(CosError, match="filesize"):
            PathStatus.parse(fields({}), is_directory=False)
        with pytest.raises(CosError, match="filesize"):
            Entry.parse(fields({"name": "x", "sha": SHA}))

    @pytest.mark.parametrize("size", [0, None, -5])
    def test_slices_need_a_size(self, size):
        for values in ({"session": "s", "slice_size": size}, {"session": "s", "slice_size": size, "filesize": 5}):
            with pytest.raises(CosError, match="slice_size"):
                SliceSession.parse(fields(values))
            with pytest.raises(CosError, match="slice_size"):
                UnfinishedUpload.parse(fields(values))

    def test_the_error_names_all_there_is(self):
        with pytest.raises(CosError) as caught:
            fields({"filesize": "x" * 1000}).number("filesize")
        assert caught.value.filename == "b/x"
        assert "stat" in str(caught.value)
        assert len(str(caught.value)) < 300


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("[1]") | st.just("{}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = """name session slice_size serial_upload offset datalen filesize filelen listparts sha ctime mtime biz_attr
authority custom_headers slicesize forbid access_url url""".split()  # noqa: SIM905 - shorter
PARSERS = [
    UploadedObject.parse,
    SliceSession.parse,
    lambda values: ReceivedSlice.parse(values, "s"),
    UnfinishedUpload.parse,
    Entry.parse,
    lambda values: PathStatus.parse(values, is_directory=True),
    lambda values: PathStatus.parse(values, is_directory=False),
]


@settings(max_examples=40)
@given(ANYTHING | st.dictionaries(st.sampled_from(NAMES), ANYTHING | st.integers(0, 100)))
def test_anything_gives_a_value_or_an_oserror(values):
    for parse in PARSERS:
        with contextlib.suppress(CosError):
            parse(fields(values))
