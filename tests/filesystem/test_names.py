"""Names: odd ones, those that look like patterns, and those that no object can have."""

import errno

import pytest

from tests.filesystem.conftest import EVERY

PROTOCOLS = ("cosv4", "cosv3")
BUCKET = "test-1250000000"
PATH = f"{BUCKET}/dir/object"


def test_odd_names(fs, tmp_path):
    odd = [
        "a b",
        "a+b",
        "a%b",
        "a#b",
        "a&b=c",
        "100%25",
        "日本語",
        "ünï",
        "[x]",
        "a'b",
        "a~b",
        "a;b",
        "a,b",
        "a@b",
        "{x}",
        "a^b`",
        "é\u0301",
    ]
    contents = {f"{BUCKET}/odd dir+é/{name}": name.encode() for name in odd}
    fs.pipe(contents)
    assert sorted(fs.find(f"{BUCKET}/odd dir+é")) == sorted(contents)
    for path, content in contents.items():
        assert fs.cat(path) == content
        assert fs.info(path)["size"] == len(content)
        fs.mv(path, path + "2")
        fs.cp(path + "2", path)
        assert fs.cat_file(path) == content
        fs.rm(path + "2")
    fs.get(f"{BUCKET}/odd dir+é", tmp_path / "out", recursive=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(odd)
    fs.rm(f"{BUCKET}/odd dir+é", recursive=True)
    assert not fs.exists(f"{BUCKET}/odd dir+é")


def test_names_that_look_like_patterns_are_tried_literally(fs):
    fs.pipe_file(f"{BUCKET}/d/x[1]", b"literal")
    fs.pipe_file(f"{BUCKET}/d/x1", b"match")
    assert fs.cat(f"{BUCKET}/d/x[1]") == b"literal"
    fs.rm(f"{BUCKET}/d/x[1]")
    assert fs.find(f"{BUCKET}/d") == [f"{BUCKET}/d/x1"]


@pytest.mark.protocol(*EVERY)
def test_paths_that_no_object_can_have(fs, tmp_path):
    fs.pipe_file(f"{BUCKET}/file", b"data")
    mapper = fs.get_mapper(BUCKET)
    # those that URLs cannot express, those that services refuse in different ways, and one below a file
    expressed = ["x\0y", "x\0y/z", "n" * 3000, "/".join(["n" * 200] * 40), "file/below", "file/below/it"]
    for key in ("a//b", "a/../b", "./a", "a/..", "a/.", "x\udc80", *expressed):
        path = f"{BUCKET}/{key}"
        assert not any(look(path) for look in (fs.exists, fs.lexists, fs.isfile, fs.isdir)), path
        assert not any(look(path) for look in (fs.find, fs.glob, fs.du)), path
        assert fs.glob(f"{path}/*") == fs.glob(f"{path}/**") == list(fs.walk(path)) == [], path
        assert key not in mapper
        assert mapper.get(key) is None
        assert mapper.getitems([key, "file"], on_error="omit") == {"file": b"data"}
        reads = [fs.info, fs.ls, fs.size, fs.cat_file, fs.cat, fs.open, fs.modified, fs.ukey]
        copies = [lambda path: fs.get(path, str(tmp_path / "x")), lambda path: fs.cp_file(path, f"{BUCKET}/y")]
        for read in [*reads, *copies]:
            with pytest.raises(FileNotFoundError) as caught:
                read(path)
            assert caught.value.filename.startswith(BUCKET)
        (found,) = fs.cat_ranges([path], 0, 1)
        assert isinstance(found, FileNotFoundError)
        if key not in expressed:
            copy, move = (lambda path, do=do: do(f"{BUCKET}/file", path) for do in (fs.cp_file, fs.mv))
            writes = [lambda path: fs.pipe_file(path, b""), lambda path: fs.open(path, "wb"), fs.touch, fs.makedirs]
            for write in (*writes, copy, *([move] if fs.protocol != "cdcs" else [])):
                with pytest.raises(OSError, match=r"empty components|UTF-8") as refused:
                    write(path)
                assert refused.value.errno == errno.EINVAL
    assert fs.find(BUCKET) == [f"{BUCKET}/file"]
    assert not list(tmp_path.iterdir())


@pytest.mark.protocol(*EVERY)
def test_a_bucket_that_does_not_exist_is_not_copied(fs, tmp_path):
    for read in (fs.cat_file, fs.cat, fs.open, lambda path: fs.get(path, tmp_path / "x"), fs.head):
        with pytest.raises(FileNotFoundError):
            read("nobucket-1250000000")
    assert not list(tmp_path.iterdir())


@pytest.mark.protocol(*EVERY)
def test_patterns_only_match_what_can_be_read(fs):
    fs.pipe({f"{BUCKET}/dir/a": b"a", f"{BUCKET}/dir/b/c": b"c"})
    for pattern in (
        "dir//*",
        "/dir/*//c",
        "dir/./*",
        "dir/../dir/*",
        "*/..",
        "dir//**",
        "*//*",
        "dir/[.][.]/*",
        "x\udc80*",
    ):
        for withdirs in (True, False):
            assert fs.glob(f"{BUCKET}/{pattern}", withdirs=withdirs) == [], pattern
    assert fs.glob(f"{BUCKET}/dir/*") == [f"{BUCKET}/dir/a", f"{BUCKET}/dir/b"]
    assert fs.glob(f"{BUCKET}/**/c", detail=True)[f"{BUCKET}/dir/b/c"]["size"] == 1
    with pytest.raises(TypeError, match="detial"):
        fs.glob(f"{BUCKET}/**", detial=True)


def test_characters_that_no_directory_is_created_with(fs, second):
    for action in (lambda: fs.mkdir(f"{BUCKET}/a:b"), lambda: fs.makedirs(f"{BUCKET}/x/a|b/c")):
        with pytest.raises(OSError, match="no directory can be created") as caught:
            action()
        assert caught.value.errno == errno.EINVAL
    assert fs.ls(BUCKET) == []
    # the service decides about files
    path = f'{BUCKET}/a<*>b/c"d:e/f'
    fs.pipe_file(path, b"one")
    with fs.open(path + "2", "wb") as file:
        file.write(b"two")
    fs.makedirs(f"{BUCKET}/a<*>b", exist_ok=True)
    with pytest.raises(OSError, match="no directory can be created"):
        fs.makedirs(f"{BUCKET}/a<*>b")
    assert second.find(BUCKET) == [path, path + "2"]
    fs.cp_file(path, path + "3")
    fs.mv(path + "2", path)
    assert second.cat(path) == b"two"
    assert second.cat(path + "3") == b"one"
    fs.rm(f"{BUCKET}/a<*>b", recursive=True)
    assert fs.ls(BUCKET) == []


def test_trees_with_directories_that_cannot_be_created(fs, second, tmp_path):
    local = tmp_path / "t"
    for name in ("a:b/f", "a:b/c*d/g", "plain/h"):
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_text(name)
    names = ["a:b/c*d/g", "a:b/f", "plain/h"]
    fs.put(str(local), f"{BUCKET}/put", recursive=True)
    fs.cp(f"{BUCKET}/put", f"{BUCKET}/cp", recursive=True)
    fs.mv(f"{BUCKET}/put", f"{BUCKET}/mv", recursive=True)
    assert second.find(BUCKET) == [f"{BUCKET}/{top}/{name}" for top in ("cp", "mv") for name in names]
    fs.get(f"{BUCKET}/mv", str(tmp_path / "back"), recursive=True)
    assert [(tmp_path / "back" / name).read_text() for name in names] == names
    mapper = fs.get_mapper(f"{BUCKET}/m:m")
    mapper["k"] = b"v"
    assert dict(mapper.items()) == {"k": b"v"}
    # an empty one is not left out in silence
    (local / "q?r").mkdir()
    for target in ("put", "again"):
        with pytest.raises(OSError, match=r"no directory can be created with \?") as caught:
            fs.put(str(local), f"{BUCKET}/{target}", recursive=True)
        assert caught.value.errno == errno.EINVAL
    fs.pipe_file(f"{BUCKET}/e/x:y/f", b"")
    fs.rm_file(f"{BUCKET}/e/x:y/f")
    for action in (fs.cp, fs.mv):
        with pytest.raises(OSError, match="no directory can be created with :"):
            action(f"{BUCKET}/e", f"{BUCKET}/target", recursive=True)
    assert second.isdir(f"{BUCKET}/e/x:y")
    fs.pipe_file(f"{BUCKET}/file:", b"")
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{BUCKET}/file:", exist_ok=True)


def test_lists_of_names_that_look_like_patterns(fs, tmp_path):
    names = [f"{BUCKET}/d/{name}" for name in ("a[1]", "a1", "b")]
    contents = {name: name.encode() for name in names}
    fs.pipe(contents)
    assert fs.cat(fs.find(f"{BUCKET}/d")) == contents
    fs.get(names, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a1", "a[1]", "b"]
    fs.mv([names[0]], f"{BUCKET}/e/")
    assert fs.find(BUCKET) == [*sorted([names[1], names[2]]), f"{BUCKET}/e/a[1]"]
    fs.rm([f"{BUCKET}/e/a[1]", f"{BUCKET}/d/b*"])
    assert fs.find(BUCKET) == [names[1]]
    mapper = fs.get_mapper(f"{BUCKET}/m")
    mapper["q[1]"], mapper["q1"] = b"x", b"y"
    assert mapper.getitems(["q[1]", "q1"]) == {"q[1]": b"x", "q1": b"y"}
    mapper.delitems(["q[1]"])
    assert list(mapper) == ["q1"]


def test_local_names_that_look_like_patterns(fs, tmp_path):
    (tmp_path / "u1").write_bytes(b"plain")
    (tmp_path / "u[1]").write_bytes(b"brackets")
    fs.put(str(tmp_path / "u[1]"), f"{BUCKET}/put")
    assert fs.cat_file(f"{BUCKET}/put") == b"brackets"


@pytest.mark.protocol(*EVERY)
def test_local_directories_whose_names_look_like_patterns(fs, tmp_path):
    """They are taken as others are: alone, into a directory, in a list, with files, and down to a depth."""
    for top in ("d[1]", "plain", "d1"):
        for name in ("a", "b*", "sub/\ue001", "sub/c[2]"):
            (tmp_path / top / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / top / name).write_bytes(b"x" if top == "d1" else name.encode())
    (tmp_path / "f[1]").write_bytes(b"f")

    def put(name, source, target, **keywords):
        fs.makedirs(f"{BUCKET}/{name}/there", exist_ok=True)
        fs.put(source, f"{BUCKET}/{name}/{target}", **keywords)
        return {path[len(f"{BUCKET}/{name}/") :]: fs.cat_file(path) for path in fs.find(f"{BUCKET}/{name}")}

    literal, plain, file = (str(tmp_path / name) for name in ("d[1]", "plain", "f[1]"))
    for number, (target, keywords) in enumerate(
        [("new", {"recursive": True}), ("there/", {"recursive": True, "maxdepth": 1}), ("none", {})]
    ):
        expected = put(f"plain{number}", plain, target, **keywords)
        expected = {name.replace("plain", "d[1]"): data for name, data in expected.items()}
        assert put(f"literal{number}", literal, target, **keywords) == expected
    assert list(put("one", file, "there/", recursive=True)) == ["there/f[1]"]
    found = {name.rpartition("/")[2] for name in put("list", [literal, file], "x/", recursive=True)}
    assert found == {"a", "b*", "\ue001", "c[2]", "f[1]"}


def test_names_of_hidden_uploads_are_reserved(fs, second):
    hidden = f"{BUCKET}/dir/.x.cosv4-0123456789abcdef"
    fs.pipe_file(PATH, b"x")
    for action in (
        lambda: fs.pipe_file(hidden, b""),
        lambda: fs.open(hidden, "wb"),
        lambda: fs.mkdir(hidden),
        lambda: fs.cp_file(PATH, hidden),
        lambda: fs.mv(PATH, hidden),
        lambda: fs.pipe_file(hidden + "/f", b""),
    ):
        with pytest.raises(OSError, match="reserved for uploads"):
            action()
    assert second.find(BUCKET) == [PATH]


@pytest.mark.protocol("cosv4", "cosv3")
def test_the_base_of_all_buckets_is_no_target(fs, tmp_path):
    fs.pipe_file(PATH, b"x")
    (tmp_path / "local").write_bytes(b"x")
    for base in (f"{fs.protocol}://", "/", ""):
        for action in (fs.cp, fs.mv, lambda path, base: fs.put(str(tmp_path / "local"), base)):
            with pytest.raises(IsADirectoryError, match="a bucket is not a file"):
                action(PATH, base)
    assert fs.find(BUCKET) == [PATH]


def test_nothing_can_be_below_a_file(fs):
    other = f"{BUCKET}/other"
    fs.pipe({PATH: b"x", other: b"y"})
    for action in (
        lambda: fs.pipe_file(f"{PATH}/y", b""),
        lambda: fs.pipe_file(f"{PATH}/y", bytes(5_000_000)),
        lambda: fs.pipe_file(f"{PATH}/y", b"", mode="create"),
        lambda: fs.open(f"{PATH}/y/z", "xb").close(),
        lambda: fs.makedirs(f"{PATH}/y", exist_ok=True),
        lambda: fs.pipe_file(f"{PATH}/y/z", b""),
        lambda: fs.pipe_file(f"{PATH}/y/z", bytes(5_000_000)),
        lambda: fs.mkdir(f"{PATH}/y/z"),
        lambda: fs.cp_file(other, f"{PATH}/y"),
        lambda: fs.cp(other, f"{PATH}/y/z"),
        lambda: fs.mv(other, f"{PATH}/y"),
        lambda: fs.mv(other, f"{PATH}/y/z"),
    ):
        with pytest.raises(NotADirectoryError) as caught:
            action()
        assert caught.value.filename == PATH
    source, target = f"{BUCKET}/source", PATH.rpartition("/")[0]
    fs.pipe_file(f"{source}/{PATH.rpartition('/')[2]}/y", b"z")
    for tree in (fs.copy, fs.mv):
        with pytest.raises(FileExistsError, match="a file of this name exists") as caught:
            # one by one: the file below the directory fails in its own way, and could be the first
            tree(f"{source}/", f"{target}/", recursive=True, batch_size=1)
        assert caught.value.filename == PATH
    assert fs.cat([PATH, other]) == {PATH: b"x", other: b"y"}
