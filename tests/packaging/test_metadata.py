"""What pyproject.toml, the recipe for conda and the changelog say about the package: the same."""

import importlib.metadata
import re

import yaml

from cosv4fs import __version__
from tests.packaging.environments import REPOSITORY
from tests.packaging.requirements import pyproject, requirements

RECIPE = yaml.safe_load((REPOSITORY / "tests/packaging/recipe/recipe.yaml").read_text("utf-8"))
DEVELOPERS = {"consumers", "test"}


def spaced(names):
    """Return requirements as conda writes them."""
    return sorted(re.sub(r"^([\w-]+)>=", r"\1 >=", name) for name in names)


def test_the_recipe_needs_what_the_package_needs():
    python = f"python {pyproject()['project']['requires-python']}"
    needs = RECIPE["requirements"]
    assert sorted(needs["run"]) == sorted([python, *spaced(requirements())])
    assert sorted(needs["host"]) == sorted([python, "pip", *spaced(pyproject()["build-system"]["requires"])])
    assert sorted(needs["run_constraints"]) == spaced(requirements("cli"))


def test_the_recipe_has_the_same_command_and_description():
    project = pyproject()["project"]
    commands = [f"{name} = {target}" for name, target in project["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == commands
    about = RECIPE["about"]
    assert (about["summary"], about["license"]) == (project["description"], project["license"])
    assert (about["repository"], about["documentation"]) == tuple(
        project["urls"][name] for name in ("Repository", "Documentation")
    )


def test_all_has_every_extra_for_users():
    extras = set(pyproject()["project"]["optional-dependencies"]) - DEVELOPERS
    assert set(requirements("all")) == {one for extra in extras - {"all"} for one in requirements(extra)}


def test_the_core_is_small_and_no_extra_pins_a_release():
    assert {name.partition(">=")[0] for name in requirements()} == {"fsspec", "requests", "cachetools"}
    assert not [name for name in requirements("all") if "==" in name or "<" in name]


def test_addresses_lead_to_what_is_there():
    urls = pyproject()["project"]["urls"]
    for name in ("Documentation", "Changelog"):
        path = re.sub(r".*/(?:tree|blob)/main/", "", urls[name])
        assert (REPOSITORY / path).exists(), path


def test_the_changelog_begins_with_this_version_and_is_short():
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    version, changes = text.split("\n## ")[1].split("\n", 1)
    assert version.startswith(f"[{__version__}] - ")
    assert len(changes.encode()) < 14_000


def test_the_entry_points_are_those_of_fsspec_pytest_and_the_shell():
    project = pyproject()["project"]
    for entry in [*project["entry-points"]["fsspec.specs"].values(), *project["scripts"].values()]:
        assert importlib.metadata.EntryPoint("x", entry, "x").load()
