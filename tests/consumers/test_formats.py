"""Libraries that go back in a file while they write it, and read back what they wrote."""

import pytest

from tests.consumers.registry import Tool, consumer

np = Tool("numpy")
Image = Tool("PIL.Image")


@consumer(
    "h5py",
    '`with fs.open(path, "wb") as f, h5py.File(f, "w") as h:` (h5py and zipfile do not close `f`), and reading it',
)
def test_hdf5(fs):
    h5py = Tool("h5py")
    data = np.arange(700_000)
    with fs.open("lab/x.h5", "wb") as file, h5py.File(file, "w") as book:
        book.create_dataset("numbers", data=data, chunks=(50_000,), compression="gzip")
        book["numbers"][5] = -5
    with fs.open("lab/x.h5") as file, h5py.File(file, "r") as book:
        assert book["numbers"][4:7].tolist() == [4, -5, 6]
        assert (book["numbers"][6:] == data[6:]).all()


@consumer(
    "Pillow", "`Image.save(fs.open(…), format=)`, `Image.open`: TIFF (several frames too), PNG", distribution="pillow"
)
@pytest.mark.parametrize(
    ("name", "saving"),
    [
        ("x.png", {"format": "PNG"}),
        ("x.tif", {"format": "TIFF", "save_all": True}),
    ],
)
def test_images(fs, name, saving):
    frames = [Image.fromarray(np.full((300, 200), value, np.uint8)) for value in range(3)]
    if name == "x.tif":
        saving = {**saving, "append_images": frames[1:]}
    with fs.open(f"lab/{name}", "wb") as file:
        frames[0].save(file, **saving)
    with fs.open(f"lab/{name}") as file, Image.open(file) as image:
        count = getattr(image, "n_frames", 1)
        assert count == (3 if name == "x.tif" else 1)
        for number in range(count):
            image.seek(number)
            assert image.getpixel((7, 9)) == number
