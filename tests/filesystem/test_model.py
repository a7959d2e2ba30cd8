"""Random sequences of operations, compared with an in-memory model through a second, independent instance."""

import contextlib

import fsspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cosv4fs.emulator import Emulator

BUCKET = "model"
KIB = 1024

names = st.sampled_from(["a", "b", "dir/a", "dir/b", "dir/sub/a", "other/a"])
folders = st.sampled_from(["dir", "dir/sub", "other"])
contents = st.builds(
    lambda seed, size: bytes([seed]) * size, st.integers(0, 255), st.sampled_from([0, 1, 1000, 600 * KIB, 1100 * KIB])
)


class _BoomError(Exception):
    pass


class Model(RuleBasedStateMachine):
    """The model is a dict of files and a set of directories; parents are implicit."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.files = {}
        self.folders = set()

    @initialize()
    def connect(self):
        emulator = self.stack.enter_context(Emulator(buckets=(BUCKET,)))
        options = {"slice_size": 512 * KIB, "single_upload_limit": 512 * KIB, "range_size": 256 * KIB}
        self.fs = fsspec.filesystem("cosv4", **emulator.storage_options, **options)
        self.other = fsspec.filesystem("cosv4", **emulator.storage_options, use_listings_cache=False)

    def teardown(self):
        self.stack.close()

    def _add(self, name, content):
        self.files[name] = content
        while "/" in name:
            name = name.rpartition("/")[0]
            self.folders.add(name)

    def _path(self, name):
        return f"{BUCKET}/{name}"

    @rule(name=names, content=contents)
    def pipe(self, name, content):
        self.fs.pipe_file(self._path(name), content)
        self._add(name, content)

    @rule(name=names, content=contents)
    def create(self, name, content):
        try:
            self.fs.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            assert name in self.files
        else:
            assert name not in self.files
            self._add(name, content)

    @rule(name=names, content=contents, sized=st.booleans(), fails=st.booleans())
    def write(self, name, content, sized, fails):
        try:
            with self.fs.open(self._path(name), "wb", size=len(content) if sized else None) as file:
                for start in range(0, len(content), 300 * KIB):
                    file.write(content[start : start + 300 * KIB])
                if fails:
                    raise _BoomError
        except _BoomError:
            # the server may have made the directories when the upload began
            self.folders |= {folder for folder in ("dir", "dir/sub", "other") if self.other.isdir(self._path(folder))}
            return
        self._add(name, content)

    @rule(source=names, goal=names)
    def copy(self, source, goal):
        try:
            self.fs.cp_file(self._path(source), self._path(goal))
        except FileNotFoundError:
            assert source not in self.files
        else:
            self._add(goal, self.files[source])

    @rule(source=names, goal=names)
    def move(self, source, goal):
        try:
            self.fs.mv(self._path(source), self._path(goal))
        except FileNotFoundError:
            assert source not in self.files
        else:
            content = self.files.pop(source)
            self._add(goal, content)

    @rule(name=names)
    def remove(self, name):
        try:
            self.fs.rm_file(self._path(name))
        except FileNotFoundError:
            assert name not in self.files
        else:
            del self.files[name]

    @rule(folder=folders)
    def make_directory(self, folder):
        self.fs.makedirs(self._path(folder), exist_ok=True)
        self._add(f"{folder}/x", b"")
        del self.files[f"{folder}/x"]

    @rule(folder=folders)
    def remove_tree(self, folder):
        try:
            self.fs.rm(self._path(folder), recursive=True)
        except FileNotFoundError:
            assert folder not in self.folders
        else:
            assert folder in self.folders
        self.files = {name: data for name, data in self.files.items() if not name.startswith(folder + "/")}
        self.folders = {name for name in self.folders if name != folder and not name.startswith(folder + "/")}

    @rule(name=names, start=st.integers(0, 1200 * KIB), count=st.integers(0, 700 * KIB))
    def read(self, name, start, count):
        if name in self.files:
            assert self.fs.cat_file(self._path(name), start, start + count) == self.files[name][start : start + count]
            with self.fs.open(self._path(name)) as file:
                file.seek(start)
                assert file.read(count) == self.files[name][start : start + count]
        else:
            assert not self.fs.exists(self._path(name))

    @invariant()
    def both_instances_see_the_model(self):
        if not hasattr(self, "fs"):
            return
        files = {self._path(name): len(data) for name, data in self.files.items()}
        folders = {self._path(name) for name in self.folders}
        for instance in (self.fs, self.other):
            found = instance.find(BUCKET, withdirs=True, detail=True)
            assert {name: info["size"] for name, info in found.items() if info["type"] == "file"} == files
            assert {name for name, info in found.items() if info["type"] == "directory"} - {BUCKET} == folders


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
