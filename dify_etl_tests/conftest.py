"""What tests have to tell stands at the end of a run; what `make test FAST=1` leaves out."""

from collections.abc import Callable
from pathlib import Path

import pytest

# Whole syncs one after another, nights of Dagster, processes, kills, generated histories.
SLOW = (
    "crashes",
    "fuzz",
    "histories",
    "cli",
    "defs",
    "operations/keys/sinks/test_no_token_leaks.py",
    "operations/keys/test_histories.py",
    "operations/test_app_deletion.py",
    "sql/test_simulated_workspace.py",
    "strangers",
    "sync/test_deletion.py",
    "sync/test_failures.py",
    "sync/test_feedback.py",
    "sync/test_generations.py",
    "sync/test_next_sync.py",
    "sync/test_source.py",
    "sync/test_time_zones.py",
    "test_readme.py",
    "ui/test_process_tree.py",
)

TOLD = "told"
Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """A line for the end of the run: counts, seeds, a row of a table."""
    return lambda line: record_property(TOLD, line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the slow folders and files."""
    here = Path(__file__).parent
    slow = [here / name for name in SLOW]
    moved = [str(path) for path in slow if not path.exists()]
    assert moved == [], "named as slow, and not there"
    is_slow: dict[Path, bool] = {}
    for item in items:
        if item.path not in is_slow:
            is_slow[item.path] = any(item.path.is_relative_to(path) for path in slow)
        if is_slow[item.path]:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests told, in the order of their names."""
    reports = [one for found in terminalreporter.stats.values() for one in found]
    told = {
        (report.nodeid, str(line))
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, line in report.user_properties
        if name == TOLD
    }
    if told:
        terminalreporter.section("told by tests")
    for _, line in sorted(told):
        terminalreporter.write_line(line)
