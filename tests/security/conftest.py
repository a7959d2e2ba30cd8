"""Services, a filesystem with a secret that is easy to find, and a clean environment."""

import os

import fsspec
import pytest
from fsspec.config import conf

from cosv4fs.emulator import Emulator
from tests.support import make_service, service  # noqa: F401  fixtures

BUCKET = "box"
SECRET_ID = "AKIDnobodyMayReadThisIdentifier00"
SECRET_KEY = "nobodyMayReadThisKey000000000000"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("COSV4_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(conf, "cosv4", {})


@pytest.fixture
def emulator():
    with Emulator(secret_id=SECRET_ID, secret_key=SECRET_KEY, buckets=(BUCKET, "other")) as running:
        yield running


@pytest.fixture
def fs(emulator, tmp_path):
    """A filesystem that slices early, spools early and keeps its journal here."""
    (tmp_path / "spool").mkdir()
    return fsspec.filesystem(
        "cosv4",
        **emulator.storage_options,
        slice_size=512 * 1024,
        single_upload_limit=512 * 1024,
        spool_memory=1024 * 1024,
        spool_dir=str(tmp_path / "spool"),
        journal_dir=str(tmp_path / "journal"),
        streaming="never",
        max_retries=1,
    )
