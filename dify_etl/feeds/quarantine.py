"""Bring quarantined objects back: parse what was kept once more, and load what is good now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson

from dify_etl.dify.app_modes import COMPLETION_MODES
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.conversations import CompletionConversation
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.messages import HumanInput, Message
from dify_etl.dify.record import Record, Rejected, parse
from dify_etl.dify.statistics import DailyStatistic
from dify_etl.dify.workflow_records import (
    ChatflowRun,
    NodeExecution,
    WorkflowAppLog,
    WorkflowRun,
    WorkflowRunDetail,
)
from dify_etl.feeds.apps import load_details as load_app_details
from dify_etl.feeds.apps import load_listed_apps
from dify_etl.feeds.chat_messages import load_messages
from dify_etl.feeds.completion_messages import load_opened
from dify_etl.feeds.conversations import load_completion_logs
from dify_etl.feeds.human_inputs import load_forms_again
from dify_etl.feeds.message_parts import CHILDREN, load_parts_again
from dify_etl.feeds.node_executions import load_nodes
from dify_etl.feeds.run_details import load_details as load_run_details
from dify_etl.feeds.statistics import load_figures
from dify_etl.feeds.workflow_runs import load_logs, load_runs
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.open_quarantine import restate_slices
from dify_etl.sync.run import Sync
from dify_etl.time_zones import day_start, utc_now, zone_of
from dify_etl.warehouse.database import Database

Load = Callable[[FeedLoader, Any], None]


def _load_messages_again(loader: FeedLoader, messages: Sequence[Message]) -> None:
    """Messages of chats, and of the opened logs of completion apps, whose list made a row of each
    without its id.
    """
    modes = dict(loader.sync.database.rows("SELECT app_id, mode FROM raw.apps"))
    for load, is_log in ((load_opened, True), (load_messages, False)):
        found = [one for one in messages if (modes.get(one.app_id) in COMPLETION_MODES) is is_log]
        if found:
            load(loader, found)


# Kinds of records that take more than an upsert into the table of their feed.
_LOADERS: Mapping[type[Record], Load] = {
    App: load_listed_apps,
    AppDetail: load_app_details,
    Message: _load_messages_again,
    HumanInput: load_forms_again,
    **{kind: partial(load_parts_again, name) for name, kind in CHILDREN.items()},
    CompletionConversation: load_completion_logs,
    DailyStatistic: load_figures,
    WorkflowAppLog: load_logs,
    WorkflowRun: load_runs,
    ChatflowRun: load_runs,
    WorkflowRunDetail: load_run_details,
    NodeExecution: load_nodes,
}


def _loader_of(feed: str, name: str) -> tuple[type[Record], Load] | None:
    """The kind of record of that name, and how it is loaded; None for kinds of which no table is
    made: they come anew with their next list.
    """
    kinds = RAW_TABLES[feed].records
    for kind in (*_LOADERS, *kinds):
        if kind.__name__ == name:
            return kind, _LOADERS.get(kind, partial(_upsert, feed, kind))
    return None


def _upsert(feed: str, kind: type[Record], loader: FeedLoader, rows: Sequence[Any]) -> None:
    loader.load(feed, kind, rows)


@dataclass(frozen=True)
class Quarantined:
    """One object that waits in ops.quarantine."""

    quarantine_id: str
    feed: str
    app_id: str | None
    rejected: Rejected
    parent_id: str | None = None
    at: datetime | None = None  # noon of the local day of its slice, as far as it is known


@dataclass(frozen=True)
class Retried:
    """What came of a retry: loaded, still wrong, or without an object that was kept."""

    loaded: int
    wrong: int
    without_object: int


def waiting_objects(database: Database) -> list[Quarantined]:
    """Everything in ops.quarantine that is not resolved, oldest first."""
    zone = zone_of(database.value("SELECT timezone FROM ops.source") or "UTC")
    rows = database.rows(
        """SELECT quarantine_id, feed, app_id, endpoint, position, record_id, error_path, message,
            raw_json, coalesce(record_class, ''), coalesce(context, '{}'), parent_id,
            slice_date
        FROM ops.quarantine WHERE resolved_at IS NULL ORDER BY seen_at, quarantine_id"""
    )
    return [
        Quarantined(
            quarantine_id=row[0],
            feed=row[1],
            app_id=row[2],
            rejected=Rejected(
                endpoint=row[3],
                position=row[4],
                record_id=row[5],
                error_path=row[6],
                message=row[7],
                raw=row[8],
                record_class=row[9],
                context=orjson.loads(row[10]),
            ),
            parent_id=row[11],
            at=None if row[12] is None else day_start(row[12], zone) + timedelta(hours=12),
        )
        for row in rows
    ]


def retry_quarantine(sync: Sync) -> Retried:
    """Parse every waiting object again; load the good ones, keep the others with their error.

    Slices of which nothing waits any more are whole again; the next night reads them once more.
    """
    counted = {"loaded": 0, "wrong": 0, "without_object": 0}
    waiting = waiting_objects(sync.database)
    for one in waiting:
        counted[_retry(sync, one)] += 1
    with sync.database.transaction():
        for (feed,) in sync.database.rows("SELECT DISTINCT feed FROM ops.slices"):
            restate_slices(sync.database, feed)
    return Retried(**counted)


def _retry(sync: Sync, one: Quarantined) -> str:
    held = one.rejected
    found = _loader_of(one.feed, held.record_class)
    if held.raw is None or found is None:
        return "without_object"
    record_class, load = found
    batch = parse(
        record_class, [decode(held.raw.encode())], endpoint=held.endpoint, context=held.context
    )
    with FeedLoader(sync, one.feed) as loader, loader.commit():
        if batch.rejected:
            again = [
                replace(wrong, position=held.position, record_id=held.record_id)
                for wrong in batch.rejected
            ]
            loader.quarantine(one.app_id, again, parent_id=one.parent_id, at=one.at)
            return "wrong"
        load(loader, batch.records)
        sync.database.execute(
            "UPDATE ops.quarantine SET resolved_at = ? WHERE quarantine_id = ?",
            [utc_now(), one.quarantine_id],
        )
    return "loaded"
