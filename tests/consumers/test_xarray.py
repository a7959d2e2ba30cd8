"""xarray: zarr stores by URL and as mappings, netCDF in open files."""

import fsspec
import pytest

from tests.consumers.registry import Tool, consumer

np = Tool("numpy")
xr = Tool("xarray")
zarr = Tool("zarr", "3")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture
def weather():
    """A data set of 30 days, 8 × 12 places."""
    temperature = np.arange(30 * 8 * 12, dtype="float64").reshape(30, 8, 12)
    coordinates = {"day": np.arange(30), "y": np.arange(8.0), "x": np.arange(12.0)}
    return xr.Dataset({"t": (("day", "y", "x"), temperature)}, coords=coordinates, attrs={"place": "北京"})


@consumer("xarray", '`to_zarr("cosv4://…", storage_options=)`, `open_zarr`, `append_dim=`, `region=`')
def test_zarr(url, options, weather):
    zarr.open  # noqa: B018  skips where it is not installed
    address = {"store": f"{url}/w.zarr", "storage_options": options}
    weather.isel(day=slice(0, 20)).to_zarr(**address)
    weather.isel(day=slice(20, 30)).to_zarr(**address, append_dim="day")
    xr.testing.assert_identical(xr.open_zarr(**address).load(), weather)
    changed = weather.isel(day=slice(0, 20)) * 2
    changed[["t"]].drop_vars(["x", "y"]).to_zarr(**address, region={"day": slice(0, 20)})
    read = xr.open_zarr(**address).load()
    assert read["t"].sel(day=19, x=3, y=2).item() == weather["t"].sel(day=19, x=3, y=2).item() * 2
    assert read["t"].sel(day=20, x=3, y=2).item() == weather["t"].sel(day=20, x=3, y=2).item()


@consumer("xarray", "`fs.get_mapper(…)` as a store, in chunks of dask, `open_mfdataset`")
def test_mapper(fs, weather):
    zarr.open  # noqa: B018  skips where it is not installed
    for number in range(3):
        part = weather.isel(day=slice(10 * number, 10 * number + 10)).chunk({"day": 5})
        part.to_zarr(fs.get_mapper(f"lab/w/{number}.zarr"))
    stores = [fs.get_mapper(f"lab/w/{number}.zarr") for number in range(3)]
    read = xr.open_mfdataset(stores, engine="zarr", combine="nested", concat_dim="day")
    xr.testing.assert_identical(read.load(), weather)


@consumer(
    "xarray", "netCDF 4 (h5netcdf): `open_dataset` from `fs.open(…)`; `to_netcdf` into "
    '`fs.open(…)`, `fsspec.open("simplecache::cosv4://…", "wb")`, or `fs.open(…).write(weather.to_netcdf())`',
)  # fmt: skip
def test_netcdf(fs, url, options, weather):
    Tool("h5netcdf").File  # noqa: B018  skips where it is not installed
    with fsspec.open(f"simplecache::{url}/a.nc", "wb", cosv4=options) as file:
        weather.to_netcdf(file, engine="h5netcdf")
    with fs.open("lab/b.nc", "wb") as file:
        file.write(weather.to_netcdf(engine="h5netcdf"))
    with fs.open("lab/c.nc", "wb") as file:
        weather.to_netcdf(file, engine="h5netcdf")
    for path in ("lab/a.nc", "lab/b.nc", "lab/c.nc"):
        with fs.open(path) as file, xr.open_dataset(file, engine="h5netcdf") as read:
            xr.testing.assert_identical(read.load(), weather)
