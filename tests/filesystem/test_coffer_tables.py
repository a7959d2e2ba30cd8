"""pandas and dask on coffers: partitioned tables, written once and read as often as one likes."""

import pytest

from cosv4fs.emulator import CofferDialect

pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("pyarrow")

COFFER = "examplecoffer-1250000000"
TABLE = f"cdcs://{COFFER}/tables/t"

# what dask, pandas and their parts say of each other
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def frame():
    cities = ["Berlin", "上海", "Paris"]
    return pd.DataFrame({"number": range(3000), "city": [cities[number % 3] for number in range(3000)]})


@pytest.fixture
def options(vault):
    return vault.storage_options


def sorted_numbers(table):
    return sorted(table["number"])


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(), CofferDialect(listing_lag=1000)], ids=["prompt", "late"])
def test_a_partitioned_table_of_pandas(frame, options):
    frame.to_parquet(TABLE, partition_cols=["city"], storage_options=options)
    read = pd.read_parquet(TABLE, storage_options=options)
    assert sorted_numbers(read) == list(range(3000))
    only = pd.read_parquet(TABLE, storage_options=options, filters=[("city", "==", "上海")])
    assert sorted_numbers(only) == list(range(1, 3000, 3))


@pytest.mark.parametrize("coffer_dialect", [CofferDialect(), CofferDialect(listing_lag=1000)], ids=["prompt", "late"])
def test_a_partitioned_table_of_dask(frame, options):
    table = dd.from_pandas(frame, npartitions=4)
    table.to_parquet(TABLE, storage_options=options, partition_on=["city"])
    read = dd.read_parquet(TABLE, storage_options=options).compute(scheduler="threads")
    assert sorted_numbers(read) == list(range(3000))
    assert read.groupby("city", observed=True)["number"].count().to_dict() == {
        "Berlin": 1000,
        "上海": 1000,
        "Paris": 1000,
    }


def test_a_second_table_at_the_same_place_is_refused(frame, options):
    frame.to_parquet(f"{TABLE}.parquet", storage_options=options)
    with pytest.raises(FileExistsError, match="write-once"):
        frame.to_parquet(f"{TABLE}.parquet", storage_options=options)
    table = dd.from_pandas(frame, npartitions=2)
    table.to_parquet(TABLE, storage_options=options)
    with pytest.raises(FileExistsError, match="write-once"):
        table.to_parquet(TABLE, storage_options=options)
    with pytest.raises(NotImplementedError, match="write-once"):
        table.to_parquet(TABLE, storage_options=options, overwrite=True)
    assert sorted_numbers(dd.read_parquet(TABLE, storage_options=options).compute()) == list(range(3000))


def test_other_formats(frame, options):
    frame.to_csv(f"cdcs://{COFFER}/t.csv.gz", index=False, storage_options=options)
    assert pd.read_csv(f"cdcs://{COFFER}/t.csv.gz", storage_options=options).equals(frame)
    dd.from_pandas(frame, npartitions=3).to_csv(f"cdcs://{COFFER}/csv/*.csv", index=False, storage_options=options)
    read = dd.read_csv(f"cdcs://{COFFER}/csv/*.csv", storage_options=options).compute(scheduler="threads")
    assert sorted_numbers(read) == list(range(3000))
