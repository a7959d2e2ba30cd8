"""Pytest fixtures: an emulator for every test that uses one.

Options for `Emulator` come from the fixture ``cosv4_emulator_options``, which a project may override, and from an
indirect parameter:

>>> @pytest.mark.parametrize("cosv4_emulator", [{"region": "sh"}], indirect=True)  # doctest: +SKIP
... def test_something(cosv4_storage_options): ...

For code that has its credentials from the environment, ``cosv4_environment`` sets the variables.

A fault that never happened, and was not removed, is a warning: the test has not tried what it was to try.

Coffers come in the same way: ``coffer_emulator``, ``coffer_emulator_options``, ``coffer_storage_options`` and
``coffer_environment``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cosv4fs.emulator.emulators import CofferEmulator, Emulator

__all__ = [
    "coffer_emulator",
    "coffer_emulator_options",
    "coffer_environment",
    "coffer_storage_options",
    "cosv4_emulator",
    "cosv4_emulator_options",
    "cosv4_environment",
    "cosv4_storage_options",
]


@pytest.fixture
def cosv4_emulator_options() -> dict[str, Any]:
    """Options for the emulator of a test: override it to change them."""
    return {}


@pytest.fixture
def cosv4_emulator(request: pytest.FixtureRequest, cosv4_emulator_options: dict[str, Any]) -> Iterator[Emulator]:
    """Run an emulator of the test's own, with the bucket ``test-bucket``; see `cosv4_emulator_options`."""
    from cosv4fs.emulator.emulators import Emulator  # noqa: PLC0415  every run of pytest loads this plug-in

    options = {"buckets": ("test-bucket",), **cosv4_emulator_options, **(getattr(request, "param", None) or {})}
    with Emulator(**options) as emulator:
        yield emulator
    _warn_of_unused_faults(emulator)


@pytest.fixture
def cosv4_storage_options(cosv4_emulator: Emulator) -> dict[str, Any]:
    """Return the options of a client of the test's emulator."""
    return cosv4_emulator.storage_options


@pytest.fixture
def cosv4_environment(cosv4_storage_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of ``cosv4://`` and ``cosv3://`` for the test's emulator by `monkeypatch`, and return them."""
    return _set_variables("COSV4", cosv4_storage_options, monkeypatch) | _set_variables(
        "COSV3", cosv4_storage_options, monkeypatch
    )


@pytest.fixture
def coffer_emulator_options() -> dict[str, Any]:
    """Options for the coffers of a test: override it to change them."""
    return {}


@pytest.fixture
def coffer_emulator(
    request: pytest.FixtureRequest, coffer_emulator_options: dict[str, Any]
) -> Iterator[CofferEmulator]:
    """Run a service of the test's own, with the coffer ``examplecoffer-1250000000``; see `coffer_emulator_options`."""
    from cosv4fs.emulator.emulators import CofferEmulator  # noqa: PLC0415  every run of pytest loads this plug-in

    with CofferEmulator(**{**coffer_emulator_options, **(getattr(request, "param", None) or {})}) as emulator:
        yield emulator
    _warn_of_unused_faults(emulator)


@pytest.fixture
def coffer_storage_options(coffer_emulator: CofferEmulator) -> dict[str, Any]:
    """Return the options of a client of the test's coffers."""
    return coffer_emulator.storage_options


@pytest.fixture
def coffer_environment(coffer_storage_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of ``cdcs://`` for the test's coffers by `monkeypatch`, and return them."""
    return _set_variables("CDCS", coffer_storage_options, monkeypatch)


def _set_variables(prefix: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of a protocol; a profile or a token of the environment would not belong to them."""
    for name in ("PROFILE", "SECURITY_TOKEN"):
        monkeypatch.delenv(f"{prefix}_{name}", raising=False)
    variables = {f"{prefix}_{name.upper()}": str(value) for name, value in options.items()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def _warn_of_unused_faults(emulator: Emulator | CofferEmulator) -> None:
    for fault in emulator.faults.unused():
        text = f"this fault never happened: {fault!r}; the requests were {emulator.count()}"
        warnings.warn(pytest.PytestWarning(text), stacklevel=1)
