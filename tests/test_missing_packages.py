"""Errors about packages that are not installed."""

import pytest

from cosv4fs.missing_packages import missing_package


def test_the_module_that_failed_and_all_others_that_are_missing_are_in_one_command():
    try:
        import no_such_module.part  # noqa: F401
    except ImportError as error:
        found = missing_package(error, "libarchive", "json", "another_one")
    assert str(found) == "no_such_module is not installed; run pip install another_one libarchive-c no_such_module"
    assert found.name == "no_such_module"


def test_the_cause_of_an_import_error_counts():
    with pytest.raises(ImportError) as caught:
        try:
            import no_such_module  # noqa: F401
        except ImportError as error:
            raise ImportError("install something") from error
    assert "pip install no_such_module" in str(missing_package(caught.value))


def test_what_no_installation_helps_against_is_left_as_it_is():
    error = ImportError("cannot import name 'x' from 'y'")
    assert missing_package(error) is error
