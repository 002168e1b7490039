"""Rows that are bad in every way and in every field: set aside one by one, the rest is loaded."""

import json
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from dify_etl_tests.crashes.spoiled_answers import SpoiledAnswers
from dify_etl_tests.sync.conftest import Open, empty_file, workplace
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW
from dify_simulated import World

__all__ = ["empty_file", "workplace"]


@dataclass(frozen=True)
class Case:
    """One kind of record: the list that brings it, the feeds to read, the table and its id."""

    path_end: str
    feeds: tuple[str, ...]
    id_column: str
    rows: str = "data"
    most: int = 1000

    @property
    def table(self) -> str:
        """The raw table that the list fills: that of the last feed."""
        return self.feeds[-1]


TALKS = ("apps", "conversations")
RUNS = ("apps", "workflow_runs")
CASES = {
    "apps": Case("/console/api/apps", ("apps",), "app_id"),
    "members": Case("/members", ("members",), "account_id", rows="accounts"),
    "app keys": Case("/api-keys", ("apps", "app_api_keys"), "api_key_id"),
    "dataset keys": Case("/datasets/api-keys", ("dataset_api_keys",), "api_key_id"),
    "datasets": Case("/console/api/datasets", ("members", "datasets"), "dataset_id"),
    "documents": Case("/documents", ("members", "datasets", "documents"), "document_id"),
    "segments": Case("/segments", ("datasets", "documents", "document_segments"), "segment_id"),
    "annotations": Case("/annotations", ("apps", "annotations"), "annotation_id"),
    "conversations": Case("/chat-conversations", TALKS, "conversation_id"),
    "completion logs": Case("/completion-conversations", TALKS, "conversation_id"),
    "messages": Case("/chat-messages", (*TALKS, "messages"), "message_id", most=90),
    "log rows": Case("/workflow-app-logs", RUNS, "workflow_run_id"),
    "chatflow runs": Case("/advanced-chat/workflow-runs", RUNS, "workflow_run_id", most=90),
    "nodes": Case("/node-executions", (*RUNS, "node_executions"), "node_execution_id"),
}


# A log row whose run is null tells that the run is gone: no row, and nothing wrong.
ABSENCES = {(("workflow_run",), "null")}


def one_of_each() -> World:
    """A world with one row of each kind."""
    world = quiet_world("chat", "completion", "workflow", "advanced-chat")
    for number in range(5):  # their messages take the spoiled twins, a page full each
        talk(world, at=NOW - timedelta(days=2, minutes=number), messages=1)
    for mode in ("chat", "completion"):
        row = talk(world, at=NOW - timedelta(days=1), messages=1, mode=mode)
        message = next(iter(world.messages_of_conversation[row.id]))
        world.give_feedback(message, "like", at=NOW)
        world.annotate(message, at=NOW, content="better")
    for mode in ("workflow", "advanced-chat"):
        run(world, at=NOW - timedelta(days=1), mode=mode)
    world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_of(world).id)
    return world


@pytest.mark.parametrize("kind", CASES)
def test_every_spoiled_row_is_loaded_or_quarantined_alone(workplace: Open, kind: str) -> None:
    """Each twin is a row, or stands in quarantine with the path of its error and its raw JSON."""
    case, place = CASES[kind], workplace(one_of_each()).with_rules(segments=True)
    inner = httpx.WSGITransport(app=place.server)
    spoiled = SpoiledAnswers(inner, case.path_end, rows=case.rows, most=case.most)
    place.transport = spoiled
    place.read(case.feeds)
    aside = place.rows(
        f"SELECT record_id, error_path, raw_json FROM ops.quarantine "
        f"WHERE feed = '{case.table}' AND coalesce(record_id NOT LIKE '%/%', true)"  # parts
    )
    loaded = {row[0] for row in place.rows(f"SELECT {case.id_column} FROM raw.{case.table}")}
    quarantined = {row[0] for row in aside}
    lost = {spoiled.twins[one] for one in spoiled.twins.keys() - loaded - quarantined} - ABSENCES
    assert sorted(lost) == []
    assert {(good.get("workflow_run") or good)["id"] for good in spoiled.good} <= loaded
    assert all(path for _, path, _ in aside)
    assert all((json.loads(raw)["id"] == key) if raw else "keys" in kind for key, _, raw in aside)
    assert len(quarantined) > 5
