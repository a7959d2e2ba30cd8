"""duckdb, with `register_filesystem`."""

import pytest

from tests.consumers.registry import Tool, consumer

duckdb = Tool("duckdb")
pa = Tool("pyarrow")


@pytest.fixture
def database(fs):
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        yield connection


@pytest.fixture
def table(columns):
    return pa.table(columns)


@consumer("duckdb", "`register_filesystem(fs)`: `COPY … TO` parquet, csv and JSON, and reading them")
@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_copy_and_read(database, url, table, form):
    if form == "json":
        database.execute("LOAD json")
    database.execute(f"COPY (SELECT * FROM \"table\") TO '{url}/t.{form}' (FORMAT {form})")
    read = database.execute(f"SELECT number, city, value FROM '{url}/t.{form}' ORDER BY number").fetchall()
    assert read == list(zip(*table.to_pydict().values(), strict=True))


@consumer("duckdb", "globs (8 files: 10 requests to count, 17 to read, as it opens every file twice), `filename`")
def test_glob(database, url, table, requests_of):
    for number in range(8):
        database.execute(f"COPY (SELECT * FROM \"table\" WHERE number % 8 = {number}) TO '{url}/d/{number}.parquet'")
    for what, expected, most in (
        ("count(*)", (4000,), 10),
        ("sum(value), count(DISTINCT filename)", (sum(table["value"].to_pylist()), 8), 17),
    ):
        query = f"SELECT {what} FROM read_parquet('{url}/d/*.parquet', filename=true)"
        found, requests = requests_of(lambda query=query: database.execute(query).fetchone())
        assert found == expected
        assert requests <= most


@consumer("duckdb", "Hive partitions: `COPY … TO (PARTITION_BY …)`, reading some; csv by glob (17)")
def test_partitions(database, url, table, fs, requests_of):
    query = 'SELECT *, number % 8 AS rest FROM "table"'
    database.execute(f"COPY ({query}) TO '{url}/p' (FORMAT csv, PARTITION_BY rest)")
    assert len(fs.find("lab/p")) == 8
    query = f"SELECT sum(number), count(*) FROM read_csv('{url}/p/*/*.csv', hive_partitioning=true) WHERE rest = 3"
    assert database.execute(query).fetchone() == (sum(range(3, 4000, 8)), 500)
    fs.pipe({f"lab/d/{number}.csv": f"a,b\n{number},x\n".encode() for number in range(8)})
    found, requests = requests_of(lambda: database.execute(f"SELECT sum(a) FROM '{url}/d/*.csv'").fetchone())
    assert found == (28,)
    assert requests <= 17
