"""What tests have to tell stands at the end of a run; what `make test FAST=1` leaves out."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Whole syncs one after another, nights of Dagster, processes, kills, generated histories, replays
# of all that was recorded. What remains ends within a minute on two cores and touches every area.
SLOW = (
    "alerts/test_delivery.py",
    "alerts/test_kinds.py",
    "alerts/test_usage.py",
    "alerts/test_week.py",
    "assembly/test_forgetting.py",
    "assembly/test_night.py",
    "assembly/test_privacy.py",
    "assembly/test_status.py",
    "benchmark/test_readers.py",
    "cli",
    "cluster",
    "crashes",
    "defs",
    "dify/test_recorded_answers.py",
    "dify/test_simulated_dify.py",
    "dify_database",
    "fuzz",
    "histories",
    "homes",
    "operations/deploying/test_deployment.py",
    "operations/deploying/test_kills.py",
    "operations/keys/sinks/test_no_token_leaks.py",
    "operations/keys/test_histories.py",
    "operations/keys/test_planted_faults.py",
    "operations/keys/test_rotation.py",
    "operations/test_app_deletion.py",
    "operations/test_exchange.py",
    "operations/test_no_accident.py",
    "operations/test_no_form_token.py",
    "operations/test_publishing.py",
    "raw/test_local_days.py",
    "report/test_page.py",
    "report/test_writing.py",
    "shared_warehouse",
    "simulated/test_contract.py",
    "simulated/test_releases.py",
    "sql/test_app_daily_usage.py",
    "sql/test_busy_cookbook.py",
    "sql/test_cookbook.py",
    "sql/test_costs.py",
    "sql/test_data_dictionary.py",
    "sql/test_first_days.py",
    "sql/test_money_of_a_world.py",
    "sql/test_partial_builds.py",
    "sql/test_real_samples.py",
    "sql/test_recomputed_statistics.py",
    "sql/test_reconciled_worlds.py",
    "sql/test_retention.py",
    "sql/test_simulated_workspace.py",
    "sql/test_statistics_reconciliation.py",
    "strangers",
    "supply_chain/test_distributions.py",
    "sync",
    "test_readme.py",
    "test_running.py",
    "ui/test_process_tree.py",
    "warehouse/test_model_builds.py",
    "warehouse/test_publish.py",
)
# What stands among the slow and is quick.
QUICK = (
    "cli/test_consoles.py",
    "cli/test_exporting.py",
    "defs/test_asset_keys.py",
    "defs/test_schedule_tokens.py",
    "sync/test_causes.py",
    "sync/test_fetching.py",
    "sync/test_lock.py",
    "sync/test_windows.py",
)
HERE = Path(__file__).parent
NOT_SLOW = "not slow"

# Folders whose files share a loaded home, a stage or a server: one worker runs them in a row, and
# makes it once. They are short enough that the other workers have the rest to do meanwhile.
TOGETHER = ("alerts", "cli", "crashes", "dify_database", "report", "shared_warehouse")

MEMORY_DISK = Path("/dev/shm")
# What a run keeps there at most is a quarter of the room, and workers and their processes need
# memory beside it.
ROOM_BYTES, MACHINE_BYTES = 4 << 30, 12 << 30
ITS_FOLDER = "PYTEST_DEBUG_TEMPROOT"

TOLD = "told"
Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """A line for the end of the run: counts, seeds, a row of a table."""
    return lambda line: record_property(TOLD, line)


def pytest_configure() -> None:
    """Thousands of homes are written and thrown away: in memory, where there is room for them, no
    commit waits for a disk, which is a quarter of the time. Whoever names a folder gets that.

    Hypothesis would call an example that takes 200 ms a failure: of a busy machine, it is none.
    """
    settings.register_profile("patient", settings.default, deadline=None)
    settings.load_profile("patient")
    is_named = any(name in os.environ for name in (ITS_FOLDER, "TMPDIR"))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if not is_named and memory >= MACHINE_BYTES and _has_room(MEMORY_DISK):
        os.environ[ITS_FOLDER] = str(MEMORY_DISK)


def _has_room(folder: Path) -> bool:
    """Whether it is there, holds all of a run, and programs may be started from it."""
    try:
        bits = os.statvfs(folder).f_flag
        return not bits & os.ST_NOEXEC and shutil.disk_usage(folder).free >= ROOM_BYTES
    except OSError:
        return False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What workers are given where whole files are asked for: of some folders all files at once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling  # pytest runs without it as well

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = _unit_of
    return scheduler


def _unit_of(nodeid: str) -> str:
    """The file of a test, or its folder."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder.rpartition("/")[2] in TOGETHER else file


def is_slow(path: Path) -> bool:
    """Whether a file, or all of a folder, is named as slow."""
    is_named = any(path.is_relative_to(HERE / name) for name in SLOW)
    return is_named and not any((HERE / name).is_relative_to(path) for name in QUICK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is left out is not imported either: Dagster and the servers of others take seconds."""
    is_left_out = config.option.markexpr == NOT_SLOW and is_slow(collection_path)
    return True if is_left_out else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Half a million objects come with the imports and stay: a collector that looks through them
    again and again takes a second here, and a third of one each time later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the slow folders and files."""
    moved = [name for name in (*SLOW, *QUICK) if not (HERE / name).exists()]
    assert moved == [], "named as slow or quick, and not there"
    marked: dict[Path, bool] = {}
    for item in items:
        if item.path not in marked:
            marked[item.path] = is_slow(item.path)
        if marked[item.path]:
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
