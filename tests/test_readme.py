"""What the pages say is so: their programs run, their tables are those of the code, their commands exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from cosv4fs import errors
from cosv4fs.attributes import ATTRIBUTES, META
from cosv4fs.cli import main
from cosv4fs.cli.failures import EXIT_CODES
from cosv4fs.emulator import CofferEmulator, Emulator
from cosv4fs.options import OPTIONS, variables_of
from cosv4fs.protocols import CDCS, V3, V4

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from . import __main__ as checks
from .options import places, tables
from .test_architecture import MODULES, ROOT, imports, inside

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("README.md", "cosv4fs/*.md", "cosv4fs/reference/*.md", "tests/**/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
}
OTHERS = ["CHANGELOG.md", *(f"cosv4fs/protocol/{name}.md" for name in ("cos", "cdcs", "wire", "clients"))]
NOTEBOOKS = [path.relative_to(REPOSITORY).as_posix() for path in sorted(REPOSITORY.glob("notebooks/*.ipynb"))]
REFERENCE = "cosv4fs/reference/"

RUN_BLOCKS = """
import contextlib, io, json, os, sys, traceback
for place, text in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            exec(compile(text, place, "exec"), {"__name__": "__main__"})
        except Exception:
            traceback.print_exc()
    print(json.dumps([place, out.getvalue(), err.getvalue()]), flush=True)
# pyarrow's threads may abort an interpreter that ends (reference/files.md#limits)
os._exit(0)
"""
"""A program that runs each program of the pages with names of its own, and tells what it wrote."""


def blocks(language):
    """Return the blocks of all pages by page and line."""
    return {
        f"{name}:{text[: found.start()].count(chr(10)) + 1}": found[1]
        for name, text in PAGES.items()
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    }


def table(page, title, *, heading=False):
    """Return the rows of the first table below a title, each as a list of cells without backticks at the ends."""
    section = PAGES[page].partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| .*\|$", section, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[0 if heading else 1 :]]


@contextmanager
def account():
    """Put a running service's account into the environment."""
    with (
        Emulator(buckets=["data"]) as emulator,
        CofferEmulator(coffers=["examplecoffer-1250000000"]) as coffers,
        pytest.MonkeyPatch.context() as patch,
    ):
        for service, protocol in ((emulator, V4), (emulator, V3), (coffers, CDCS)):
            variables = variables_of(protocol)
            for name in variables.keys() & service.storage_options.keys():
                patch.setenv(variables[name], service.storage_options[name])
        yield emulator


PROGRAMS = {place: text for place, text in blocks("python").items() if "def test_" not in text}
TESTS = {place: text for place, text in blocks("python").items() if "def test_" in text}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each program wrote; they run one after another, as in an interpreter that somebody pastes them into."""
    command = [sys.executable, "-c", RUN_BLOCKS]
    folder = tmp_path_factory.mktemp("blocks")
    with account():
        done = subprocess.run(
            command, input=json.dumps(list(PROGRAMS.items())), cwd=folder, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("cosv4fs|Exception ignored|Traceback", done.stderr), done.stderr
    return {place: (out, err) for place, out, err in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("place", PROGRAMS)
def test_python(place, outputs):
    out, err = outputs[place]
    # dask's threads may print warnings that pandas has for dask
    assert not re.search("cosv4fs|Exception ignored|Traceback", err), err
    for line, said in re.findall(r"^(.*\S)  # (\{.*\})$", PROGRAMS[place], re.MULTILINE):
        assert said in out, line


@pytest.mark.parametrize("place", TESTS)
def test_tests(place, tmp_path):
    (tmp_path / "test_block.py").write_text(TESTS[place], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:zarr"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_command_line(tmp_path, monkeypatch, capfd):
    """The first command is run by a shell, the others by the same function in this process."""
    (block,) = (block for block in blocks("sh").values() if "cosv4fs ls" in block)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "index.csv").write_text("name,taken\n")
    monkeypatch.chdir(tmp_path)
    first, *others = block.splitlines()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with account() as emulator:
        subprocess.run(["bash", "-e", "-c", first], env={**os.environ, "PATH": path}, check=True)
        for line in others:
            name, *arguments = shlex.split(line, comments=True)
            assert (name, main(arguments)) == ("cosv4fs", 0), line
        assert emulator.count()["move"] >= 1
    told = capfd.readouterr().out
    assert "PROBLEM" not in told
    assert "1 file " in told


def test_exit_codes():
    rows = table(f"{REFERENCE}command_line.md", "Exit codes")
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


@pytest.mark.parametrize("name", tables())
def test_options(name):
    """`python -m tests.options` writes them."""
    page = PAGES[f"{REFERENCE}options.md"]
    start, stop = places(page, name)
    assert page[start:stop] == tables()[name]


def test_refused_options():
    page = PAGES[f"{REFERENCE}services.md"]
    for protocol, place in ((V3, page.partition("## COS v3")[2]), (CDCS, page.partition("## Coffers")[2])):
        refused = [option.name for option in OPTIONS if protocol.name in option.refused]
        if protocol is V3:
            # not said there: that is for coffers alone
            refused.remove("security_token")
        sentence = next(line for line in re.split(r"\.\s", place) if "refused" in line)
        assert set(re.findall(r"`(\w+)`", sentence)) == set(refused)


def test_attributes():
    def stored(row, protocol):
        return "yes" if protocol in row.changed_by else "when written" if protocol in row.written_by else "no"

    page = f"{REFERENCE}files.md"
    protocols = [spec.name for spec in (V4, V3, CDCS)]
    assert table(page, "Attributes", heading=True)[0][3:] == [f"{name}" for name in protocols]
    assert table(page, "Attributes") == [
        [
            row.name,
            row.header.replace(META, f"{META}*") or "–",
            row.s3 or "–",
            *(stored(row, name) for name in protocols),
        ]
        for row in ATTRIBUTES.values()
    ]


def test_every_module_has_a_row():
    named = {name for row in table("cosv4fs/README.md", "The layers") for name in re.findall(r"\w+\.py", row[0])}
    assert named == {path.name for path in (REPOSITORY / "cosv4fs").glob("[!_]*.py")}


def test_layers_are_in_order():
    """Each row of the map uses only those below it; the local service knows the error codes, as its row says."""
    rows = [re.findall(r"\w+", row[0].replace("cosv4fs/", "")) for row in table("cosv4fs/README.md", "The layers")]
    order = {part: number for number, row in enumerate(rows) for part in row if part != "py"}
    for path in MODULES:
        part = path.relative_to(ROOT).with_suffix("").parts[0]
        used = inside(imports(path)) & order.keys() - {"codes"}
        assert part.startswith("_") or all(order[part] <= order[each] for each in used), path


def test_errors():
    public = {name: cls for name, cls in vars(errors).items() if getattr(cls, "__module__", "") == errors.__name__}
    classes = {name for name, cls in public.items() if isinstance(cls, type) and issubclass(cls, OSError)}
    rows = table(f"{REFERENCE}errors.md", "Errors")
    assert {row[0] for row in rows} == classes
    for name, base, _ in rows:
        assert base in {parent.__name__ for parent in public[name].__mro__[1:]}


def commands():
    """Return the README's blocks for a shell."""
    return [block for place, block in blocks("sh").items() if place.startswith("README.md:")]


def test_the_two_commands():
    demo, check = (block for block in commands() if "&& .venv/bin/pip install -q" in block)
    assert demo == "python3 -m venv .venv && .venv/bin/pip install -q '.[demo]' && .venv/bin/cosv4fs demo\n"
    assert check == (REPOSITORY / ".ci" / "run").read_text().splitlines()[-1] + "\n"
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111


def test_the_local_service_in_two_commands(tmp_path):
    """The README's commands, in the environment of this interpreter and with a free port."""
    serve, diagnose = (
        block.replace(".venv/bin", str(Path(sys.executable).parent)).replace("9000", "0")
        for block in commands()
        if re.match(r"\.venv/bin/cosv4fs (emulator|doctor)", block)
    )
    with subprocess.Popen(shlex.split(serve), stdout=subprocess.PIPE, cwd=tmp_path, text=True) as service:
        try:
            variables = next(line for line in service.stdout if line.strip().startswith("export "))
            done = subprocess.run(
                ["bash", "-ec", variables + diagnose], cwd=tmp_path, capture_output=True, text=True, check=False
            )
        finally:
            service.terminate()
    assert (done.returncode, done.stderr) == (0, "")
    (shown,) = (block for block in blocks("text").values() if block.startswith("ok  "))
    told = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9000", done.stdout)
    assert set(shown.splitlines()) - {"…"} <= set(told.splitlines())


def test_the_output_of_the_demonstration_has_its_steps():
    (shown,) = (block for block in blocks("text").values() if block.startswith("step  "))
    source = (REPOSITORY / "cosv4fs" / "demo.py").read_text("utf-8")
    steps = [line[:30].rstrip() for line in shown.partition("\n\n")[0].splitlines()[2:]]
    assert len(steps) == 8
    for text in (*steps, "tables read back through pandas and dask", "all checksums agree"):
        assert text in source, text


def test_the_first_page_is_short_and_in_order():
    text = PAGES["README.md"]
    assert len(text.encode()) <= 14_000
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Is this for you?",
        "Beta, and never tried against the live service",
        "Install",
        "Use it with pandas",
        "The local service",
        "Credentials",
        "Guides",
        "Two commands",
        "Works with",
        "Speed",
        "Limits",
        "Contributing",
    ]


def badges():
    """Return the label and the message of each badge below the title, by the text that stands for the picture."""
    below = PAGES["README.md"].split("\n\n")[1]
    shown = re.findall(r"!\[([^\]]*)\]\(https://img\.shields\.io/badge/(\w+)-(\S+)-\w+\)", below)
    assert len(shown) == len(below.splitlines())
    return {text: (label, unquote(message).replace("--", "-")) for text, label, message in shown}


def test_facts_of_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    package, extras = project["project"], project["project"]["optional-dependencies"]
    python = package["requires-python"].removeprefix(">=")
    assert badges() == {
        f"Python {python}+": ("python", f"{python}+"),
        f"Licence: {package['license']}": ("licence", package["license"]),
        "Typed": ("typing", "typed"),
        "Status: beta": ("status", "beta"),
    }
    assert {"Development Status :: 4 - Beta", "Typing :: Typed"} < set(package["classifiers"])
    shown = [row[0] for row in table("README.md", "Install")]
    assert shown == ["none", *(name for name in extras if name not in ("consumers", "test"))]
    for name, tools in zip(shown, (row[1] for row in table("README.md", "Install")), strict=True):
        needed = set(extras.get(name, package["dependencies"]))
        for tool in re.findall(r"`?(\w+)`", tools):
            assert tool == "cosv4fs" or any(re.match(rf"cosv4fs\[.*\b{tool}\b", each) for each in needed), tool


def test_credentials():
    variables = variables_of(V4)
    shown = [row[:2] for row in table("README.md", "Credentials")]
    assert shown == [[variables[name], name] for name in variables if name != "profile"]


def anchors(text):
    """Return the anchors of a page as GitHub makes them from the headings, and those that are written out."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings} | set(
        re.findall(r'<a id="([^"]+)">', text)
    )


def prose(path):
    """Return the text of a page, or of the cells of a notebook that are no code."""
    text = path.read_text("utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("name", [*PAGES, *OTHERS, *NOTEBOOKS])
def test_links_lead_somewhere(name):
    page = REPOSITORY / name
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(prose(place)), target


def test_every_notebook_is_named():
    section = PAGES["README.md"].partition("\n## Guides\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"\((notebooks/.*)\)", section)) == NOTEBOOKS


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_exist(name):
    for found in re.findall(r"`((?:cosv4fs|tests|notebooks)/[\w/.*]*)`", PAGES[name]):
        assert list(REPOSITORY.glob(found)), found


@pytest.mark.parametrize("name", PAGES)
def test_lines_of_prose_are_short(name):
    text = re.sub(r"^```.*?^```$|<!-- made by .*?<!-- end -->", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_commands_that_are_named_exist():
    modules = {module for text in PAGES.values() for module in re.findall(r"python -m (tests(?:\.\w+)*)", text)}
    assert len(modules) > 8
    for module in modules:
        place = REPOSITORY.joinpath(*module.split("."))
        assert (place / "__main__.py").exists() or place.with_suffix(".py").exists(), module
    guide = PAGES["tests/README.md"]
    for command in REPOSITORY.glob("tests/*/__main__.py"):
        assert f"python -m tests.{command.parent.name}" in guide, command


@pytest.mark.parametrize(
    ("failing", "code"),
    [({}, 0), ({"mypy": 2}, 2), ({"ruff": 1, "pytest": 5}, 1), ({"tests.packaging": 3}, 3)],
)
def test_every_check_runs_and_the_first_failure_is_told(monkeypatch, capsysbinary, failing, code):
    """What is printed beside is shown whatever its encoding."""
    ran = []

    def run(arguments, output):
        if output:
            output.write(b"built \xff\n")
        else:
            ran.append(arguments)
        return failing.get(arguments[0], 0)

    monkeypatch.setattr(checks, "run", run)
    assert checks.main(["-k", "demo"]) == code
    assert [arguments[0] for arguments in ran] == ["ruff", "ruff", "mypy", "pytest"]
    assert ran[3][-2:] == ["-k", "demo"]
    shown = capsysbinary.readouterr().out
    assert b"\n== package: tests.packaging --quick\nbuilt \xff\n== summary\n" in shown
    assert (b"FAILED" in shown) == bool(code)


def test_quick_checks_leave_out_tests_that_exist(monkeypatch):
    ran = []
    monkeypatch.setattr(checks, "run", lambda arguments, output: ran.append(arguments) or 0)
    assert checks.main(["--quick", "-x"]) == 0
    assert [arguments[0] for arguments in ran] == ["ruff", "ruff", "mypy", "pytest"]
    left_out = [Path(argument.removeprefix("--ignore=")) for argument in ran[3] if argument.startswith("--ignore=")]
    assert len(left_out) == len(checks.SLOW)
    assert all(path.exists() for path in left_out)
    assert ran[3][-1] == "-x"
