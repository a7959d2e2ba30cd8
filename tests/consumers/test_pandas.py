"""pandas, by URL with ``storage_options``."""

import pytest

from tests.consumers.registry import Tool, consumer

pd = Tool("pandas")
same = Tool("pandas.testing")


@consumer("pandas", "`read_csv` (2 requests), `to_csv`, compressed, `chunksize=`, `usecols=`")
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip", "t.csv.xz"])
def test_csv(url, options, frame, name, requests_of):
    frame.to_csv(f"{url}/{name}", index=False, storage_options=options)
    read, requests = requests_of(lambda: pd.read_csv(f"{url}/{name}", storage_options=options))
    same.assert_frame_equal(read, frame)
    assert requests <= 2
    with pd.read_csv(f"{url}/{name}", storage_options=options, chunksize=700, usecols=["value"]) as chunks:
        assert [len(chunk) for chunk in chunks] == [700] * 5 + [500]


@consumer("pandas", "`read_parquet` (3 requests), `to_parquet` (1 request), `columns=`, `filters=`")
def test_parquet(url, options, frame, requests_of):
    _, requests = requests_of(lambda: frame.to_parquet(f"{url}/t.parquet", storage_options=options))
    assert requests <= 1
    read, requests = requests_of(lambda: pd.read_parquet(f"{url}/t.parquet", storage_options=options))
    same.assert_frame_equal(read, frame)
    assert requests <= 3
    some = pd.read_parquet(
        f"{url}/t.parquet", storage_options=options, columns=["number"], filters=[("city", "==", "北京")]
    )
    assert list(some["number"]) == list(range(2, 4000, 4))


@consumer("pandas", "the same with `partition_cols=`")
def test_partitioned_parquet(fs, url, options, frame):
    frame.to_parquet(f"{url}/parts", storage_options=options, partition_cols=["city"])
    folders = {name.rpartition("/")[2] for name in fs.ls("lab/parts", detail=False)}
    assert folders >= {"city=Chengdu", "city=Shenzhen"}
    assert len(folders) == 4
    read = pd.read_parquet(f"{url}/parts", storage_options=options).sort_values("number", ignore_index=True)
    same.assert_frame_equal(read[["number", "value"]], frame[["number", "value"]])
    assert list(read["city"]) == list(frame["city"])
    one = pd.read_parquet(f"{url}/parts", storage_options=options, filters=[("city", "=", "São Paulo")])
    assert len(one) == 1000


@consumer("pandas", "`read_json`, `to_json`, also by lines")
@pytest.mark.parametrize("lines", [False, True])
def test_json(url, options, frame, lines):
    frame.to_json(f"{url}/t.json", orient="records", lines=lines, storage_options=options)
    read = pd.read_json(f"{url}/t.json", orient="records", lines=lines, storage_options=options)
    same.assert_frame_equal(read, frame, check_dtype=False)


@consumer("pandas", "`read_` and `to_` of pickle, feather and Stata")
@pytest.mark.parametrize("form", ["pickle", "feather", "stata"])
def test_other_formats(url, options, frame, form):
    data = frame.drop(columns="city") if form == "stata" else frame
    more = {"write_index": False} if form == "stata" else {}
    getattr(data, f"to_{form}")(f"{url}/t.{form}", storage_options=options, **more)
    read = getattr(pd, f"read_{form}")(f"{url}/t.{form}", storage_options=options)
    same.assert_frame_equal(read, data, check_dtype=form != "stata")


@consumer("pandas", "`read_orc`, `to_orc` (no `storage_options=` there: credentials from the environment)")
def test_orc(url, environment, frame):
    frame.to_orc(f"{url}/t.orc", index=False)
    same.assert_frame_equal(pd.read_orc(f"{url}/t.orc"), frame)


@consumer("pandas", "`read_excel`, `to_excel`, `ExcelWriter` (openpyxl)")
def test_excel(url, options, frame):
    Tool("openpyxl").__version__  # noqa: B018  skips where it is not installed
    small = frame.head(200)
    small.to_excel(f"{url}/t.xlsx", index=False, storage_options=options)
    same.assert_frame_equal(pd.read_excel(f"{url}/t.xlsx", storage_options=options), small)
    with pd.ExcelWriter(f"{url}/two.xlsx", storage_options=options) as book:
        small.to_excel(book, sheet_name="first", index=False)
        small.tail(3).to_excel(book, sheet_name="last", index=False)
    sheets = pd.read_excel(f"{url}/two.xlsx", storage_options=options, sheet_name=None)
    assert {name: len(sheet) for name, sheet in sheets.items()} == {"first": 200, "last": 3}


@consumer("pandas", '`to_csv(mode="a")`')
def test_append(url, options, frame):
    frame.head(10).to_csv(f"{url}/t.csv", index=False, storage_options=options)
    frame.tail(5).to_csv(f"{url}/t.csv", mode="a", header=False, index=False, storage_options=options)
    expected = pd.concat([frame.head(10), frame.tail(5)], ignore_index=True)
    same.assert_frame_equal(pd.read_csv(f"{url}/t.csv", storage_options=options), expected)
