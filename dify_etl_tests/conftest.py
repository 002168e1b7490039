"""What tests have to tell stands at the end of a run, whichever process they ran in."""

from collections.abc import Callable

import pytest

TOLD = "told"
Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """A line for the end of the run: counts, seeds, a row of a table."""
    return lambda line: record_property(TOLD, line)


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
