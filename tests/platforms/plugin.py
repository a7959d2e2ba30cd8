"""A pytest plug-in for runs on simulated systems: it skips tests that themselves use what the system lacks.

A test may create a symbolic link, a file with a name that Windows refuses, or fork: that says nothing about our
package, whose own failures stay failures. So does a test that cannot remove a file, which the package may have left
open, and one whose assertion shows what the package said.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent
PACKAGE = TESTS.parent / "cosv4fs"

LACKING = ("A required privilege is not held", "Invalid argument (on Windows)", "cannot find context for", "'fork")
"""Parts of the messages for links, names, start methods of `multiprocessing`, and functions."""

EXPECTED: dict[str, dict[str, list[str]]] = {
    "windows": {
        "no permissions of POSIX": [
            "cli/test_configure.py::test_a_profile_works",
            "cli/test_configure.py::test_everything_else_in_the_file_stays",
            "cli/test_details.py::test_stat_of_other_filesystems",
            "cli/test_errors.py::test_local_files_that_cannot_be_removed",
            "cli/test_logs.py::TestFiles::test_is_private_appended_and_dated",
            "filesystem/test_local_files.py::test_hard_links_and_read_only_files",
            "filesystem/test_resume.py::test_the_journal_is_private",
            "migrate/test_local_targets.py::TestManifest::test_it_is_for_its_user_alone",
            "migrate/test_local_targets.py::test_unfinished_files_are_private_and_published_as_open_as_usual",
            "migrate/test_local_trees.py::test_an_unreadable_directory_is_a_refusal",
            "security/test_local_paths.py::test_files_are_private_while_they_are_replaced_and_as_open_as_before_then",
            "security/test_private_files.py::TestEmulator::test_its_folder_is_private",
            "security/test_private_files.py::TestForgedRecords::test_a_record_of_another_user_is_not_believed",
            "security/test_private_files.py::TestForgedRecords::test_a_record_that_others_can_write_is_not_believed",
            "security/test_private_files.py::test_a_wide_umask_makes_no_wide_journal",
            "transfer/test_download.py::TestToFile::test_replaces_only_when_complete",
        ],
        "no files without a name": [
            "migrate/test_local_targets.py::test_a_killed_one_leaves_nothing_where_files_need_no_name",
            "security/test_private_files.py::test_the_spool_has_no_name_and_is_removed",
            "transfer/test_spool.py::TestFile::test_it_has_no_name_and_goes",
        ],
        "no /dev, and no streams that can be closed before a program starts": [
            "cli/test_changing.py::TestStandardOutput::test_a_reader_that_goes_away_is_no_failure[cosv4-/dev/stdout]",
            "cli/test_changing.py::test_standard_streams_that_are_closed[cosv4-0-arguments4",
            "cli/test_changing.py::test_standard_streams_that_are_closed[cosv4-1-arguments2",
            "filesystem/test_local_files.py::test_a_process_that_can_open_no_more_files",
            "filesystem/test_local_files.py::test_files_that_are_not_open_for_writing",
            "transfer/test_download.py::TestToFile::test_a_full_disk",
        ],
        "no SIGHUP": [
            "cli/test_changing.py::test_signals_end_many_copies[cosv4-sync-down-1]",
            "cli/test_session.py::test_signals_while_modules_are_imported[1-129-]",
            "emulator/test_portability.py::test_the_end_of_a_terminal_stops_the_command",
        ],
        "no such names": ["cli/test_errors.py::test_local_names_with_colons"],
        "other shells": [
            "emulator/test_command.py::test_a_client_can_use_what_is_printed",
            "emulator/test_command.py::test_coffers",
        ],
        "no forks": [
            "filesystem/test_exceptions.py::test_a_program_that_closes_its_files_says_nothing",
            "filesystem/test_identity.py::test_a_forked_child_leaves_the_parents_upload_alone",
            "filesystem/test_lifetimes.py::test_a_child_needs_none_of_its_parents_locks_and_threads",
            "emulator/test_persistence.py::test_a_forked_child_keeps_no_service_from_starting_again",
            "transfer/test_connecting.py::test_a_forked_child_has_none_of_them",
        ],
        "none of the functions that the test replaces": [
            "emulator/test_fault_kinds.py::test_a_disk_that_is_really_full",
            "emulator/test_portability.py::test_a_system_without_locks",
            "emulator/test_portability.py::test_contents_reach_the_disk_on_macos",
        ],
        "by chance: more output, for other shells": [
            "emulator/test_command.py::test_start_and_stop",
            "emulator/test_persistence.py::test_kill_loses_nothing_that_was_acknowledged",
        ],
        "by chance: clocks that are too coarse for the test": [
            "cli/test_filters.py::test_durations",
            "emulator/test_faults.py::test_log",
            "transfer/test_sources.py::TestFile::test_may_change_unnoticed_right_after_it_was_written",
        ],
        "another error for directories that are opened": [
            "filesystem/test_like_others.py::test_reading",
            "transfer/test_sources.py::TestFile::test_missing",
        ],
    },
    "macos": {
        "no files without a name": [
            "migrate/test_local_targets.py::test_a_killed_one_leaves_nothing_where_files_need_no_name",
        ],
        "none of the functions that the test replaces": [
            "emulator/test_portability.py::test_a_system_without_locks",
            "emulator/test_portability.py::test_contents_reach_the_disk_on_macos",
        ],
    },
}
"""Tests whose subject a system lacks; each list after its reason. ``--expected`` shows those that pass after all."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--expected``."""
    parser.addoption("--expected", action="store_true", help="run only the tests that are expected to fail")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of what the system lacks; or run them, and no others, each of which has to fail."""
    runs = config.getoption("--expected")
    reasons = {item: reason for item in items if (reason := reason_of(item.nodeid.removeprefix("tests/")))}
    for item, reason in reasons.items():
        xfail = pytest.mark.xfail(reason=reason, strict=not reason.startswith("by chance"))
        item.add_marker(xfail if runs else pytest.mark.skip(reason=reason))
    if runs:
        items[:] = reasons


def reason_of(test: str) -> str | None:
    """Return why a test is expected to fail; None if it is not."""
    for reason, names in EXPECTED.get(os.environ["COSV4FS_TEST_PLATFORM"].split()[0], {}).items():
        for name in names:
            if test == name or test.startswith((f"{name}[", f"{name}::") if "[" not in name else name):
                return reason
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Report a test as skipped that failed when it, and not our package, used what the system lacks."""
    report = yield
    error = call.excinfo
    if report.failed and error is not None and is_about_the_system(error.value):
        own = [entry for entry in error.traceback if is_ours(Path(str(entry.path)))]
        if own and PACKAGE not in Path(str(own[-1].path)).parents:
            report.outcome = "skipped"
            report.longrepr = (str(own[-1].path), own[-1].lineno, f"the system lacks it: {error.value}")
    return report


def is_about_the_system(error: BaseException) -> bool:
    """Return whether an error says itself that the system lacks something; that of an assertion only quotes others."""
    return isinstance(error, (OSError, ValueError, AttributeError)) and any(text in str(error) for text in LACKING)


def is_ours(path: Path) -> bool:
    """Return whether a file belongs to our package or to the tests, but not to the simulation."""
    return (TESTS in path.parents or PACKAGE in path.parents) and path.parent.name not in ("platforms", "startup")
