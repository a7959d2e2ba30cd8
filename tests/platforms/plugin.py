"""A pytest plug-in for runs on simulated systems: it skips tests that themselves use what the system lacks.

A test may create a symbolic link, a file with a name that Windows refuses, or fork: that says nothing about our
package, whose own failures stay failures.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent
PACKAGE = TESTS.parent / "cosv4fs"

LACKING = ("A required privilege is not held", "(on Windows)", "cannot find context for", "no attribute 'fork")
"""Parts of the messages of the simulation."""

EXPECTED: dict[str, dict[str, list[str]]] = {
    "windows": {
        "no permissions of POSIX": [
            "cli/test_configure.py::test_a_profile_works",
            "cli/test_configure.py::test_everything_else_in_the_file_stays",
            "cli/test_details.py::test_stat_of_other_filesystems",
            "cli/test_errors.py::test_local_files_that_cannot_be_removed",
            "cli/test_links.py::test_an_unreadable_directory_does_not_end_everything",
            "cli/test_links.py::test_rm_counts_what_cannot_be_removed",
            "cli/test_logs.py::TestFiles::test_is_private_appended_and_dated",
            "filesystem/test_local_files.py::test_hard_links_and_read_only_files",
            "migrate/test_local_targets.py::TestManifest::test_it_is_for_its_user_alone",
            "migrate/test_local_targets.py::test_unfinished_files_are_private_and_published_as_open_as_usual",
            "migrate/test_local_trees.py::test_an_unreadable_directory_is_a_refusal",
            "security/test_local_paths.py::test_files_are_private_while_they_are_replaced",
            "security/test_private_files.py::TestEmulator::test_its_folder_is_private",
            "security/test_private_files.py::TestForgedRecords",
            "security/test_private_files.py::test_a_wide_umask_makes_no_wide_journal",
            "transfer/test_download.py::TestToFile::test_replaces_only_when_complete",
        ],
        "no files without a name": [
            "migrate/test_local_targets.py::test_a_killed_one_leaves_nothing_where_files_need_no_name",
            "security/test_private_files.py::test_the_spool_has_no_name_and_is_removed",
            "transfer/test_spool.py::TestFile::test_it_has_no_name_and_goes",
        ],
        "no /dev, and no streams that can be closed before a program starts": [
            "cli/test_changing.py::test_standard_streams_that_are_closed",
            "cli/test_session.py::test_a_pipe_of_a_filesystem_that_breaks_is_a_failure",
            "filesystem/test_local_files.py::test_a_process_that_can_open_no_more_files",
            "filesystem/test_local_files.py::test_files_that_are_not_open_for_writing",
            "transfer/test_download.py::TestToFile::test_a_full_disk",
        ],
        "no SIGHUP": [
            "cli/test_changing.py::test_signals_end_many_copies",
            "cli/test_session.py::test_signals_while_modules_are_imported",
            "emulator/test_portability.py::test_the_end_of_a_terminal_stops_the_command",
        ],
        "other shells": [
            "emulator/test_command.py::test_a_client_can_use_what_is_printed",
            "emulator/test_command.py::test_coffers",
            "emulator/test_command.py::test_start_and_stop",
            "emulator/test_persistence.py::test_kill_loses_nothing_that_was_acknowledged",
        ],
        "no forks": [
            "emulator/test_persistence.py::test_a_forked_child_keeps_no_service_from_starting_again",
            "transfer/test_connecting.py::test_a_forked_child_has_none_of_them",
        ],
        "none of the functions that the test replaces": [
            "emulator/test_fault_kinds.py::test_a_disk_that_is_really_full",
            "emulator/test_portability.py::test_a_system_without_locks",
            "emulator/test_portability.py::test_contents_reach_the_disk_on_macos",
        ],
        "clocks that are too coarse for the test": [
            "cli/test_filters.py::test_durations",
            "emulator/test_faults.py::test_log",
            "transfer/test_sources.py::TestFile::test_may_change_unnoticed_right_after_it_was_written",
        ],
        "another error for directories that are opened": ["transfer/test_sources.py::TestFile::test_missing"],
    },
    "macos": {
        "none of the functions that the test replaces": [
            "emulator/test_portability.py::test_a_system_without_locks",
            "emulator/test_portability.py::test_contents_reach_the_disk_on_macos",
        ],
    },
}
"""Tests, by the beginning of their names in ``tests``, whose subject a system lacks; each list after its reason."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests of what the system lacks."""
    for reason, names in EXPECTED.get(os.environ["COSV4FS_TEST_PLATFORM"].split()[0], {}).items():
        for item in items:
            if item.nodeid.removeprefix("tests/").startswith(tuple(names)):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Report a test as skipped that failed when it, and not our package, used what the system lacks."""
    report = yield
    error = call.excinfo
    if report.failed and error is not None and any(text in str(error.value) for text in LACKING):
        own = [entry for entry in error.traceback if is_ours(Path(str(entry.path)))]
        if own and PACKAGE not in Path(str(own[-1].path)).parents:
            report.outcome = "skipped"
            report.longrepr = (str(own[-1].path), own[-1].lineno, f"the system lacks it: {error.value}")
    return report


def is_ours(path: Path) -> bool:
    """Return whether a file belongs to our package or to the tests, but not to the simulation."""
    return (TESTS in path.parents or PACKAGE in path.parents) and path.parent.name not in ("platforms", "startup")
