"""Dify's figures beside ours: nothing differs in quiet workspaces, every planted error does."""

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dify_etl.cli.main import app as command_line
from dify_etl.home import LIVE
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.database import open_database
from dify_etl_tests.sql.reconciled_world import RECONCILED, read_world, reconcile
from dify_etl_tests.sync.workplace import Workplace

VERSIONS = ("1.0.0", "1.7.2", "1.12.1", "1.16.1", "main-2026-08")
# Rows of the slot with an error: {here} is its app and day, {uncounted} are talks that no figure of
# Dify's counts, so that nothing tells what is wrong in them.
ONE_MESSAGE = """(SELECT min(message_id) FROM raw.messages WHERE {here}
    AND conversation_id = (SELECT conversation_id FROM raw.messages
        WHERE {here} AND from_source = 'api' AND conversation_id NOT IN ({uncounted})
        GROUP BY ALL ORDER BY count(*) DESC, conversation_id LIMIT 1))"""
ONE_RUN = """(SELECT min(workflow_run_id) FROM raw.workflow_runs WHERE {here}
    AND coalesce(triggered_from, 'app-run') = 'app-run' AND total_tokens > 0)"""
A_SHARED_CREATOR = """(SELECT min(workflow_run_id) FROM raw.workflow_runs WHERE {here}
    AND triggered_from = 'app-run' AND created_by_end_user_id IN (
        SELECT created_by_end_user_id FROM raw.workflow_runs WHERE {here}
        AND triggered_from = 'app-run' GROUP BY ALL HAVING count(*) > 1))"""


@dataclass(frozen=True)
class Planted:
    """An error in the rows of an app of this mode, on this day of March, and the metric that must
    say so.
    """

    version: str
    mode: str
    day: int
    metric: str
    sql: str

    def __str__(self) -> str:
        return f"{self.version}-{self.mode}-{self.metric}"


def of_message(change: str) -> str:
    """A change of one message."""
    return f"UPDATE raw.messages SET {change} WHERE message_id = {ONE_MESSAGE}"


LOST_MESSAGE = f"DELETE FROM raw.messages WHERE message_id = {ONE_MESSAGE}"
DOUBLE_MESSAGE = f"""INSERT INTO raw.messages BY NAME SELECT * REPLACE ('double' AS message_id)
    FROM raw.messages WHERE message_id = {ONE_MESSAGE}"""
LOST_RUN = f"DELETE FROM raw.workflow_runs WHERE workflow_run_id = {ONE_RUN}"
RUN_TOKENS = f"""UPDATE raw.workflow_runs SET total_tokens = total_tokens + 1
    WHERE workflow_run_id = {ONE_RUN}"""
MORE_TOKENS = of_message("message_tokens = message_tokens + 7")
MORE_PRICE = of_message("total_price = total_price + 0.0000001")
STRANGER = of_message("from_end_user_id = 'stranger'")
INVENTED_TALK = of_message("conversation_id = 'invented'")
SLOWER = of_message("latency_seconds = latency_seconds + 1")
LOST_LIKE = "DELETE FROM raw.message_feedbacks WHERE rating = 'like' AND {there}"
MERGED_TALKS = """UPDATE raw.messages SET conversation_id = (
    SELECT max(conversation_id) FROM raw.messages WHERE {here}) WHERE {here}
    AND conversation_id = (SELECT min(conversation_id) FROM raw.messages WHERE {here})"""
LOST_TALK = """DELETE FROM raw.conversations WHERE conversation_id = (
    SELECT conversation_id FROM raw.messages WHERE {here} GROUP BY ALL
    ORDER BY count(*) DESC, conversation_id LIMIT 1)"""

PLANTED = (
    Planted("1.12.1", "chat", 10, "token_count", MORE_TOKENS),
    Planted("1.12.1", "chat", 11, "daily_end_users", STRANGER),
    Planted("1.12.1", "chat", 12, "daily_conversations", INVENTED_TALK),
    Planted("1.12.1", "agent-chat", 9, "user_satisfaction_rate", LOST_LIKE),
    Planted("1.12.1", "agent-chat", 11, "tokens_per_second", SLOWER),
    Planted("1.12.1", "advanced-chat", 9, "total_price", MORE_PRICE),
    Planted("1.12.1", "advanced-chat", 10, "average_session_interactions", LOST_TALK),
    Planted("1.12.1", "advanced-chat", 11, "workflow_daily_runs", LOST_RUN),
    Planted(
        "1.12.1",
        "completion",
        9,
        "average_response_time",
        """UPDATE raw.messages SET latency_seconds = latency_seconds + 1 WHERE {here}""",
    ),
    Planted(
        "1.12.1",
        "workflow",
        9,
        "workflow_daily_terminals",
        f"""UPDATE raw.workflow_runs SET created_by_end_user_id = 'stranger'
        WHERE workflow_run_id = {A_SHARED_CREATOR}""",
    ),
    Planted(
        "1.12.1",
        "workflow",
        12,
        "workflow_average_app_interactions",
        f"""UPDATE raw.workflow_runs SET triggered_from = 'webhook'
        WHERE workflow_run_id = {A_SHARED_CREATOR}""",
    ),
    Planted("1.12.1", "workflow", 11, "workflow_token_count", RUN_TOKENS),
    Planted("1.7.2", "chat", 9, "daily_messages", DOUBLE_MESSAGE),
    Planted("1.7.2", "chat", 12, "daily_conversations", MERGED_TALKS),
    Planted("1.7.2", "chat", 11, "daily_end_users", STRANGER),
    Planted("1.7.2", "agent-chat", 9, "token_count", MORE_TOKENS),
    Planted("1.7.2", "agent-chat", 11, "daily_conversations", INVENTED_TALK),
    Planted("1.7.2", "advanced-chat", 10, "daily_messages", LOST_MESSAGE),
    Planted("1.7.2", "advanced-chat", 9, "workflow_daily_runs", LOST_RUN),
    Planted("1.7.2", "workflow", 9, "workflow_daily_runs", LOST_RUN),
    Planted("1.16.1", "chat", 12, "daily_messages", LOST_MESSAGE),
    Planted("1.16.1", "agent", 9, "token_count", MORE_TOKENS),
    Planted("1.16.1", "agent", 10, "total_price", MORE_PRICE),
    Planted("1.16.1", "agent", 11, "daily_messages", LOST_MESSAGE),
    Planted("1.0.0", "chat", 9, "daily_messages", LOST_MESSAGE),
    Planted("1.0.0", "chat", 11, "daily_end_users", STRANGER),
    Planted("1.0.0", "agent-chat", 9, "token_count", MORE_TOKENS),
    Planted("1.0.0", "agent-chat", 11, "daily_conversations", INVENTED_TALK),
    Planted("1.0.0", "workflow", 11, "workflow_token_count", RUN_TOKENS),
    Planted("main-2026-08", "chat", 12, "daily_messages", LOST_MESSAGE),
    Planted("main-2026-08", "advanced-chat", 9, "total_price", MORE_PRICE),
    Planted("main-2026-08", "advanced-chat", 11, "workflow_daily_runs", LOST_RUN),
    Planted("main-2026-08", "agent", 10, "total_price", MORE_PRICE),
    Planted("main-2026-08", "agent", 11, "daily_messages", LOST_MESSAGE),
)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workplace]:
    """The workspace, read once per version."""
    places: dict[str, Workplace] = {}

    def read_once(version: str) -> Workplace:
        if version not in places:
            places[version] = read_world(version, tmp_path_factory.mktemp("home"))
        return places[version]

    return read_once


Row = dict[str, Any]


def rows_of(live: Path, spoil: Callable[[Callable[[str], Any]], None]) -> list[Row]:
    """The reconciliation of a live file in which something was spoiled first."""
    with open_database(live) as database:
        spoil(database.execute)
        reconcile(database)
        found = database.execute(f"SELECT * FROM {RECONCILED}")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_differs_in_a_quiet_workspace(
    read: Callable[[str], Workplace], version: str, tmp_path: Path
) -> None:
    """Of every version all figures are equal, or a rule says which rows the difference is of."""
    live = tmp_path / LIVE
    shutil.copy(read(version).home / LIVE, live)
    rows = rows_of(live, lambda execute: None)
    assert [row for row in rows if row["verdict"] not in ("equal", "explained")] == []
    equal = [row for row in rows if row["verdict"] == "equal"]
    assert len(equal) > len(rows) / 2 > 50
    explained = [row for row in rows if row["verdict"] == "explained"]
    counts = ("left_out_rows", "unlisted_rows", "untold_rows", "absent_rows")
    assert [row for row in explained if not any(row[name] for name in counts)] == []


@pytest.fixture(scope="module")
def spoiled(
    read: Callable[[str], Workplace], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[tuple[str, date], dict[str, Row]]]:
    """What differs by app and day, in a copy into which all errors of a version were planted."""
    found: dict[str, dict[tuple[str, date], dict[str, Row]]] = {}

    def spoil_once(version: str) -> dict[tuple[str, date], dict[str, Row]]:
        if version not in found:
            live = tmp_path_factory.mktemp("spoiled") / LIVE
            shutil.copy(read(version).home / LIVE, live)
            differing: dict[tuple[str, date], dict[str, Row]] = {}
            for row in rows_of(live, lambda execute: plant(read(version), execute)):
                if row["verdict"] == "differs":
                    slot = (row["app_mode"], row["statistic_date"])
                    differing.setdefault(slot, {})[row["metric"]] = row
            found[version] = differing
        return found[version]

    return spoil_once


def plant(place: Workplace, execute: Callable[[str], Any]) -> None:
    """All errors of a version; each changes rows."""
    uncounted = [
        f"'{row.id}'"
        for row in place.world.conversations.values()
        if row.invoke_from in (None, "debugger")
    ]
    for one in PLANTED:
        if one.version == place.version:
            app = f"app_id = (SELECT min(app_id) FROM raw.apps WHERE mode = '{one.mode}')"
            day = f"DATE '2026-03-{one.day:02}'"
            sql = one.sql.format(
                here=f"{app} AND created_date = {day}",
                there=f"{app} AND message_created_date = {day}",
                uncounted=", ".join(uncounted),
            )
            (changed,) = execute(sql).fetchone()
            assert changed > 0, one


@pytest.mark.parametrize("one", PLANTED, ids=str)
def test_planted_error_is_found_and_named(
    spoiled: Callable[[str], dict[tuple[str, date], dict[str, Row]]], one: Planted
) -> None:
    """The metric of its app and day differs, with both figures and what reads the app again."""
    row = spoiled(one.version)[one.mode, date(2026, 3, one.day)][one.metric]
    assert row["difference"] != 0
    assert row["reason"]
    assert f"--app {row['app_id']} " in str(row["command"])


@pytest.mark.parametrize("version", sorted({one.version for one in PLANTED}))
def test_errors_spread_to_no_other_day(
    spoiled: Callable[[str], dict[tuple[str, date], dict[str, Row]]], version: str
) -> None:
    """What differs is of the apps and days with an error, and of no other."""
    planted = {(one.mode, date(2026, 3, one.day)) for one in PLANTED if one.version == version}
    assert set(spoiled(version)) == planted


def test_command_reads_the_slice_again(read: Callable[[str], Workplace], tmp_path: Path) -> None:
    """What the row of a lost message names, run as it is, makes the figures equal."""
    place = read("1.12.1")
    again = Workplace(place.world, tmp_path / "home", place.version, place.rules)
    again.home.mkdir()
    shutil.copy(place.home / LIVE, again.home / LIVE)
    here = (
        "app_id = (SELECT min(app_id) FROM raw.apps WHERE mode = 'advanced-chat') "
        "AND created_date = DATE '2026-03-09'"
    )
    lost = f"""DELETE FROM raw.messages
        WHERE message_id = (SELECT min(message_id) FROM raw.messages WHERE {here})"""
    rows = rows_of(again.home / LIVE, lambda execute: execute(lost))
    (command,) = {
        row["command"]
        for row in rows
        if row["metric"] == "daily_messages" and row["verdict"] == "differs"
    }
    commands = typer.main.get_group(command_line).commands
    asked = commands["sync"].make_context("sync", shlex.split(command)[2:]).params
    assert not asked["from_"]
    assert not asked["to"]
    again.read(asked["feed"], SyncPlan(apps=tuple(asked["app_"]), is_full=asked["full"]))
    rows = rows_of(again.home / LIVE, lambda execute: None)
    assert [row for row in rows if row["verdict"] not in ("equal", "explained")] == []
