"""fsspec's wrapper that makes a synchronous filesystem look asynchronous."""

import asyncio

from tests.consumers.registry import Tool, consumer

wrapper = Tool("fsspec.implementations.asyn_wrapper")


@consumer("fsspec", "`AsyncFileSystemWrapper(fs)`: many calls at once in an event loop")
def test_in_a_loop(fs):
    async def work():
        wrapped = wrapper.AsyncFileSystemWrapper(fs, asynchronous=True)
        await asyncio.gather(*(wrapped._pipe_file(f"lab/d/{number}", bytes([number])) for number in range(20)))
        contents = await asyncio.gather(*(wrapped._cat_file(f"lab/d/{number}") for number in range(20)))
        assert b"".join(contents) == bytes(range(20))
        found = [(path, sorted(files)) async for path, _, files in wrapped._walk("lab")]
        assert found == [("lab", []), ("lab/d", sorted(map(str, range(20))))]
        assert await wrapped._exists("lab/d/3")
        await wrapped._rm("lab/d", recursive=True)
        assert not await wrapped._exists("lab/d/3")

    asyncio.run(work())


@consumer("fsspec", "`AsyncFileSystemWrapper(fs)`: the same without a loop")
def test_without_a_loop(fs, tmp_path):
    wrapped = wrapper.AsyncFileSystemWrapper(fs)
    wrapped.pipe({"lab/d/a": b"1", "lab/d/b/c": b"2"})
    assert wrapped.find("cosv4://lab/d") == ["lab/d/a", "lab/d/b/c"]
    assert wrapped.cat(["lab/d/a", "lab/d/b/c"]) == {"lab/d/a": b"1", "lab/d/b/c": b"2"}
    wrapped.get("lab/d", str(tmp_path / "got"), recursive=True)
    assert (tmp_path / "got" / "b" / "c").read_bytes() == b"2"
    with wrapped.open("lab/d/a") as file:
        assert file.read() == b"1"


@consumer(
    "fsspec", '`AsyncFileSystemWrapper(fs).open(…, "wb")`',
    impossible="the wrapper silently drops what is written to its files; `pipe_file`, or `fs.open(…)` itself",
)  # fmt: skip
def test_wrapped_writers(fs):
    with wrapper.AsyncFileSystemWrapper(fs).open("lab/x", "wb") as file:
        file.write(b"into nothing")
    assert not fs.exists("lab/x")
    with fs.open("lab/x", "wb") as file:
        file.write(b"into the bucket")
    assert fs.cat_file("lab/x") == b"into the bucket"
