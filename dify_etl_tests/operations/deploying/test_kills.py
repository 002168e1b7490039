"""A deployment that dies anywhere: done again, the workspace is the same."""

from pathlib import Path

import pytest

from dify_etl.home import Home
from dify_etl.operations.applying import operator_of
from dify_etl.operations.audit import AuditEntry, AuditFile
from dify_etl.operations.deploying.deployment import DeployApps
from dify_etl_tests.operations.deploying.folders import (
    POLICY,
    WORKFLOW,
    deployed,
    folder_of,
    keys_in,
    planned,
    state_of_world,
)
from dify_etl_tests.operations.workbench import Workbench, applied


class Killed(BaseException):
    """The process is gone."""


class DyingAudit(AuditFile):
    """Keeps so many entries, and the process dies at the next: before a request, or after it."""

    def __init__(self, path: Path, entries: int) -> None:
        super().__init__(path)
        self._left = entries

    def record(self, entry: AuditEntry) -> None:
        if not self._left:
            raise Killed
        self._left -= 1
        super().record(entry)


def die_after(bench: Workbench, folder: Path, entries: int) -> bool:
    """Deploy, and die; answers whether it came to that."""
    with bench.client() as dify:
        trail = DyingAudit(Home(bench.home).audit, entries)
        operator = operator_of(dify, trail, clock=bench.clock)
        operation = DeployApps(folder=folder, tags=["from git"]).plan(bench.context(operator))
        try:
            applied(operator, operation)
        except Killed:
            return True
    return False


def made_after_a_kill(home: Path, entries: int) -> tuple[dict[str, object], bool]:
    """The world when a deployment died at this entry of its audit and was done again."""
    home.mkdir()
    bench = Workbench(home, policy=POLICY)
    folder = folder_of(home, WORKFLOW)
    is_killed = die_after(bench, folder, entries)
    bench.wait(600)
    results = deployed(bench, folder, "from git")
    assert all(result.is_good for result in results), (entries, results)
    assert not planned(bench, folder, "from git").plan.steps
    assert keys_in(bench).keys() == {"SHOP_KEY"}
    return state_of_world(bench), is_killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The world when nothing died."""
    state, is_killed = made_after_a_kill(tmp_path_factory.mktemp("whole") / "home", 10_000)
    assert not is_killed
    return state


# Entries that the audit has by then: before and after the requests that make tag, app, version and
# binding, and on the way of the key; a rotation has histories of its own.
@pytest.mark.parametrize("entries", [1, 3, 4, 5, 6, 7, 9, 11, 15, 17])
def test_kill_and_again_gives_the_same_workspace(
    tmp_path: Path, whole: dict[str, object], entries: int
) -> None:
    """Nothing is made twice, and the key is with its consumer."""
    state, is_killed = made_after_a_kill(tmp_path / "home", entries)
    assert is_killed
    assert state == whole
