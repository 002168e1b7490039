"""Samples read both ways, by the console API and from Dify's database: what they tell otherwise.

Of each app the newest conversations with their messages, or the newest runs with their nodes.
Values are told nowhere: they are texts of people.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from dify_etl.dify.app_modes import COMPLETION_MODES, WORKFLOW_MODES
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.conversations import CompletionConversation, Conversation
from dify_etl.dify.messages import Message
from dify_etl.dify.record import JsonRow, Record, parse
from dify_etl.dify.workflow_records import NodeExecution, WorkflowRunDetail
from dify_etl.dify_database.connection import DifyDatabase, Snapshot, uuids
from dify_etl.dify_database.conversations import AppTables, conversations
from dify_etl.dify_database.messages import messages
from dify_etl.dify_database.runs import nodes, runs
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.known_apps import IN_DATABASE
from dify_etl.warehouse.upsert import SIGNATURE

CONVERSATIONS, WITH_MESSAGES, RUNS = 20, 5, 5


@dataclass
class Compared:
    """One table: rows that both told, ids that one way alone knows, and by column the ids of rows
    whose cells differ.
    """

    table: str
    rows: int = 0
    only_api: list[str] = field(default_factory=list)
    only_database: list[str] = field(default_factory=list)
    differing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def is_equal(self) -> bool:
        """Whether both ways told the same."""
        return not (self.only_api or self.only_database or self.differing)


def compare(dify: DifyClient, database: DifyDatabase, workspace_id: str) -> list[Compared]:
    """Read samples of every app both ways. DifyError and DatabaseError as they come."""
    found = {
        name: Compared(name)
        for name in ("conversations", "messages", "workflow_runs", "node_executions")
    }
    apps = [app for app in dify.apps.list() if app.mode in IN_DATABASE]
    with database.snapshot(workspace_id) as shot:
        for app in apps:
            tables = AppTables(app.app_id, app.mode, dify.version)
            pairs = _runs if app.mode in WORKFLOW_MODES else _conversations
            for name, by_api, from_database in pairs(dify, shot, tables, app):
                _compare(found[name], by_api, from_database)
    return list(found.values())


Pairs = Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]


def _conversations(dify: DifyClient, shot: Snapshot, tables: AppTables, app: App) -> Pairs:
    room = dify.conversations
    kind: type[Conversation | CompletionConversation] = Conversation
    listed: Sequence[Conversation | CompletionConversation]
    if app.mode in COMPLETION_MODES:
        kind = CompletionConversation
        listed = room.completion_page(app.app_id, limit=CONVERSATIONS).records
    else:
        page = room.chat_page(app.app_id, limit=CONVERSATIONS, sort_by="-created_at")
        listed = page.records
    ids = [one.conversation_id for one in listed]
    if not ids:
        return
    where = f"c.id = ANY({uuids(ids)})"
    found = conversations(shot, tables, where, lambda chunk: list(chunk.answers()))
    rows = [one for some in found for one in some]
    yield (
        "conversations",
        _frame("conversations", kind, listed),
        _from_database("conversations", kind, rows, app),
    )
    if app.mode in COMPLETION_MODES:
        return  # to open a log marks it as read
    told = [one for some in ids[:WITH_MESSAGES] for one in _messages_of(dify, app, some)]
    where = f"m.conversation_id = ANY({uuids(ids[:WITH_MESSAGES])})"
    rows = [one for chunk in messages(shot, tables, where) for one in chunk.answers()]
    yield (
        "messages",
        _frame("messages", Message, told),
        _from_database("messages", Message, rows, app),
    )


def _messages_of(dify: DifyClient, app: App, conversation_id: str) -> Iterable[Message]:
    for page in dify.conversations.message_walk(app.app_id, conversation_id):
        yield from page.records


def _runs(dify: DifyClient, shot: Snapshot, tables: AppTables, app: App) -> Pairs:
    room = dify.workflows
    logs = room.app_logs_page(app.app_id, limit=RUNS).records
    ids = [one.workflow_run_id for one in logs if one.workflow_run_id is not None]
    if not ids:
        return
    details = [one for run_id in ids for one in room.run_detail(app.app_id, run_id) or ()]
    rows = [
        one for chunk in runs(shot, tables, f"r.id = ANY({uuids(ids)})") for one in chunk.details
    ]
    yield (
        "workflow_runs",
        _frame("workflow_runs", WorkflowRunDetail, details),
        # The detail does not tell what started the run; its log does.
        _from_database("workflow_runs", WorkflowRunDetail, rows, app).with_columns(
            pl.lit(None, pl.String).alias("triggered_from")
        ),
    )
    shown = [one for run_id in ids for one in room.node_executions(app.app_id, run_id)]
    where = f"n.workflow_run_id = ANY({uuids(ids)})"
    rows = [one for chunk in nodes(shot, tables, where) for one in chunk.nodes]
    yield (
        "node_executions",
        _frame("node_executions", NodeExecution, shown),
        _from_database("node_executions", NodeExecution, rows, app),
    )


def _from_database(
    name: str, kind: type[Record], rows: Sequence[JsonRow], app: App
) -> pl.DataFrame:
    batch = parse(kind, rows, endpoint=name, context={"app_id": app.app_id})
    return _frame(name, kind, batch.records)


def _frame(name: str, kind: type[Record], records: Sequence[Record]) -> pl.DataFrame:
    return records_frame(raw_table(name), kind, records)


def _compare(found: Compared, by_api: pl.DataFrame, from_database: pl.DataFrame) -> None:
    table = raw_table(found.table)
    key = table.key[-1]
    ids, others = set(by_api[key]), set(from_database[key])
    found.only_api += sorted(ids - others)
    found.only_database += sorted(others - ids)
    both = sorted(ids & others)
    found.rows += len(both)
    one, other = (
        rows.filter(pl.col(key).is_in(both)).unique(key).sort(key)
        for rows in (by_api, from_database)
    )
    for name in one.columns:
        column = table.column(name)
        if column.is_volatile or (column.keeps_last and not other[name].count()):
            continue
        plain: Callable[[pl.Series], pl.Series] = _unsigned if column.is_signed else _as_is
        differs = plain(one[name]).ne_missing(plain(other[name]))
        if column.keeps_last:  # what is looked up by the server, and not by us, stays as it is
            differs &= other[name].is_not_null()
        if differs.any():
            found.differing[name] += one.filter(differs)[key].to_list()


def _as_is(series: pl.Series) -> pl.Series:
    return series


def _unsigned(series: pl.Series) -> pl.Series:
    return series.str.replace_all(SIGNATURE, "")
