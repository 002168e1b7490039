"""`make audit` is green only when it knows something, and nothing bad."""

import sys
from pathlib import Path
from typing import Any

import pytest

from supply_chain.audit import (
    FOUND,
    GOOD,
    NO_DATA,
    Verdict,
    dependencies_verdict,
    exit_code,
    of_code,
    of_dependencies,
)

WEAKNESS = {"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"], "aliases": ["CVE-2014-1402"]}
KNOWN_WEAK = {"dependencies": [{"name": "jinja2", "version": "2.4.1", "vulns": [WEAKNESS]}]}
WELL = {"name": "httpx", "version": "0.28.1", "vulns": []}
PASSED_OVER = {"name": "httpx", "skip_reason": "Dependency not found on PyPI"}

# Asks a server that is not reachable, and ends as pip-audit does.
UNREACHABLE = "from urllib.request import urlopen; urlopen('http://127.0.0.1:9')"
# Writes the report of a pip-audit whose mirror knows no package, and is green.
BLIND = (
    "import sys, pathlib\n"
    "path = next(word for word in sys.argv if word.startswith('--output='))[9:]\n"
    'pathlib.Path(path).write_text(\'{"dependencies": [{"name": "a", "skip_reason": "?"}]}\')'
)


def of_lock(*dependencies: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(dependencies), "fixes": []}


def of_bandit(*found: tuple[str, str]) -> dict[str, Any]:
    results = [
        {"test_id": test, "filename": file, "line_number": 7, "issue_text": "doubtful"}
        for test, file in found
    ]
    return {"results": results, "errors": [], "metrics": {"_totals": {"loc": 100}}}


@pytest.mark.parametrize("program", [UNREACHABLE, BLIND])
def test_unreachable_database_is_no_data(program: str, tmp_path: Path) -> None:
    """A server that does not answer, or knows no package, ends with 3 and says so."""
    verdict = dependencies_verdict([sys.executable, "-c", program], tmp_path / "lock")
    assert verdict.no_data
    assert exit_code([Verdict(), verdict]) == NO_DATA


@pytest.mark.parametrize(
    ("ours", "of_known_weak", "code"),
    [
        (of_lock(WELL), KNOWN_WEAK, GOOD),
        (of_lock(WELL, WELL | {"vulns": [WEAKNESS]}), KNOWN_WEAK, FOUND),
        (of_lock(WELL, PASSED_OVER), KNOWN_WEAK, NO_DATA),
        (of_lock(WELL), of_lock(WELL), NO_DATA),
        (of_lock(WELL), None, NO_DATA),
        (of_lock(), KNOWN_WEAK, NO_DATA),
        (None, KNOWN_WEAK, NO_DATA),
    ],
)
def test_green_takes_data_of_every_package(ours: object, of_known_weak: object, code: int) -> None:
    """One package that was passed over, or a database without weaknesses, is no green."""
    assert exit_code([of_dependencies(ours, of_known_weak)]) == code


def test_finding_does_not_hide_that_data_are_missing() -> None:
    """What was found is told, and the code is that of missing data."""
    verdict = of_dependencies(of_lock(WELL | {"vulns": [WEAKNESS]}, PASSED_OVER), KNOWN_WEAK)
    assert verdict.found == ("httpx 0.28.1: PYSEC-2014-8, mended in 2.7.2",)
    assert exit_code([verdict]) == NO_DATA


def test_reviewed_findings_are_counted() -> None:
    """As many as a person looked at are quiet; one more tells all of the file, one less too."""
    report = of_bandit(("B608", "a.py"), ("B608", "a.py"))
    assert of_code(report, {"B608": {"a.py": 2}}) == Verdict()
    assert len(of_code(report, {"B608": {"a.py": 1}}).found) == 2
    assert "lower it" in of_code(report, {"B608": {"a.py": 3}}).found[0]
    assert of_code(report, {"B105": {"a.py": 2}}).found


def test_bandit_that_reads_nothing_has_no_data() -> None:
    """Neither an empty run nor a file that it cannot parse is green."""
    empty = {"results": [], "errors": [], "metrics": {"_totals": {"loc": 0}}}
    unread = of_bandit() | {"errors": [{"filename": "a.py", "reason": "syntax error"}]}
    for report in (None, empty, unread):
        assert exit_code([of_code(report, {})]) == NO_DATA
