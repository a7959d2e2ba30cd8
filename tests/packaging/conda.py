"""Build the conda package from a source distribution with `recipe/recipe.yaml`, and run the tests in that recipe.

``python -I conda.py SDIST FOLDER [CHANNEL]``, in an environment with py-rattler-build. Solving, building, linking and
testing are real. Without a channel, such as ``conda-forge``, packages come from a local one that is made here: its
``python`` is a virtual environment of this interpreter, and the others are wheels from the package index, so that no
channel has to be reachable. Linux and macOS only.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from importlib.metadata import distributions
from pathlib import Path

from rattler_build import (
    ArchiveType,
    JinjaConfig,
    RenderConfig,
    Stage0Recipe,
    ToolConfiguration,
    assemble_package,
)

RECIPE = Path(__file__).with_name("recipe") / "recipe.yaml"
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

_PACKAGES = ("pip", "hatchling", "hatch-fancy-pypi-readme", "fsspec", "requests", "cachetools", "click", "tqdm")
"""What the recipe names, apart from python; in the local channel, each contains what it needs itself."""

_NEEDS = {"hatch-fancy-pypi-readme": "hatchling"}
"""A package that needs another one of these, which the same environment must not contain twice."""


def main(sdist: Path, folder: Path, channel: str = "") -> None:
    """Build the package from `sdist` and test it; ends with an error if anything fails."""
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    version = sdist.name.removeprefix("cosv4fs-").removesuffix(".tar.gz")
    config = RenderConfig(extra_context={"version": version, "url": sdist.as_uri(), "sha256": digest})
    channel = channel or local_channel(folder / "channel").as_uri()
    recipe = Stage0Recipe.from_file(RECIPE)
    (result,) = recipe.run_build(
        render_config=config,
        output_dir=folder / "built",
        channels=[channel],
        tool_config=ToolConfiguration(test_strategy="native"),
    )
    assert result.platform == "noarch"
    print(f"built and tested {result.packages[0].name} with packages of {channel}", flush=True)


def local_channel(folder: Path) -> Path:
    """Make a channel with the packages that the build and the tests need."""
    platform = JinjaConfig().target_platform
    for name in ("noarch", platform):
        (folder / name).mkdir(parents=True)
    packages = folder / platform
    version = sys.version.partition(" ")[0]
    assemble(packages, "python", version, _python(folder.parent / "python", version))
    for name in _PACKAGES:
        files = folder.parent / name
        needs = [_NEEDS[name]] if name in _NEEDS else []
        alone = ["--no-deps"] if needs else []
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        subprocess.run([*pip, "install", "--quiet", "--no-compile", "--target", files / SITE, *alone, name], check=True)
        (found,) = distributions(name=name, path=[str(files / SITE)])
        assemble(packages, name, found.version, files, "python", *needs)
    for name in ("noarch", platform):
        _index(folder / name)
    return folder


def assemble(folder: Path, name: str, version: str, files: Path, *depends: str) -> None:
    """Make a package of a tree of files."""
    archive = ArchiveType.TarBz2
    assemble_package(
        name, version, folder.name, "local_0", folder, files_dir=files, archive_type=archive, depends=depends
    )


def _python(folder: Path, version: str) -> Path:
    """Make the files of a virtual environment, wherever it will be linked to, for this interpreter."""
    binary = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        (folder / "bin" / name).symlink_to(binary)
    (folder / "pyvenv.cfg").write_text(f"home = {binary.parent}\nversion = {version}\n")
    return folder


def _index(folder: Path) -> None:
    """Write the index of the packages in a folder."""
    found = {}
    for path in folder.glob("*.tar.bz2"):
        content = path.read_bytes()
        with tarfile.open(path) as archive:
            record = json.loads(archive.extractfile("info/index.json").read())  # type: ignore[union-attr]
        found[path.name] = {**record, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "repodata.json").write_text(json.dumps({"info": {"subdir": folder.name}, "packages": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
