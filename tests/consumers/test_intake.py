"""intake: catalogues in the bucket, of data in the bucket."""

import pytest

from tests.consumers.registry import Tool, consumer

intake = Tool("intake", "2")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


@consumer("intake", "a catalogue in the bucket (`to_yaml_file`, `from_yaml_file`), readers of pandas and dask")
def test_catalogue(url, options, frame):
    frame.to_csv(f"{url}/t.csv", index=False, storage_options=options)
    frame.to_parquet(f"{url}/t.parquet", storage_options=options)
    types, readers = intake.datatypes, intake.readers
    catalogue = intake.entry.Catalog()
    catalogue["table"] = types.CSV(f"{url}/t.csv", storage_options=options).to_reader("pandas")
    catalogue["lazy"] = readers.DaskParquet(types.Parquet(f"{url}/t.parquet", storage_options=options))
    catalogue.to_yaml_file(f"{url}/catalogue.yaml", **options)
    again = intake.entry.Catalog.from_yaml_file(f"{url}/catalogue.yaml", **options)
    assert again["table"].read()["number"].tolist() == frame["number"].tolist()
    assert again["lazy"].read()["number"].sum().compute() == frame["number"].sum()
