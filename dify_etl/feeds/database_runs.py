"""Feeds workflow_runs and node_executions of the apps that are read from Dify's database."""

from collections.abc import Iterator, Sequence

import polars as pl

from dify_etl.dify.record import parse
from dify_etl.dify.workflow_records import (
    NodeExecution,
    WaitingForm,
    WorkflowAppLog,
    WorkflowRunDetail,
)
from dify_etl.dify_database.connection import Snapshot, uuids
from dify_etl.dify_database.conversations import AppTables
from dify_etl.dify_database.runs import (
    LOGS,
    NODES,
    RUNS,
    NodeChunk,
    RunChunk,
    answered_forms,
    nodes,
    of_app,
    run_nodes,
    runs,
)
from dify_etl.feeds.database_days import (
    DaysOfApp,
    SeenRows,
    counted_by_day,
    dates_of,
    load_chunks,
    read_apps,
    slices_of_days,
)
from dify_etl.feeds.human_inputs import note_answers
from dify_etl.feeds.node_executions import ENDED_AT, load_nodes
from dify_etl.feeds.run_details import detail_read
from dify_etl.feeds.run_lists import logs_frame
from dify_etl.feeds.vanished import mark_nodes_of_gone_runs
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.ledger import RUN_READS
from dify_etl.sync.run import Sync
from dify_etl.sync.unfinished_runs import MISSING_FOR, OPEN_NODES, WRITTEN_AFTER
from dify_etl.warehouse.tables import frame, quoted

MOST_IDS = 1_000
TABLE = "workflow_runs"


def read_runs_in_database(loader: FeedLoader, apps: Sequence[KnownApp]) -> None:
    """The runs of the days that are due, and older ones that had not ended."""
    read_apps(loader, apps, _read_runs)


def _read_runs(loader: FeedLoader, shot: Snapshot, app: AppTables, days: DaysOfApp) -> None:
    sync, seen = loader.sync, SeenRows("workflow_runs")
    source = f"FROM workflow_runs r WHERE {of_app(shot, app, 'r')}"
    counted = counted_by_day(sync, shot, days, "r.created_at", source)

    def load(where: str, noted: SeenRows) -> None:
        chunks = runs(shot, app, where)
        load_chunks(loader, app, chunks, lambda one: _load_runs(loader, app, one, noted))

    load(days.within("r.created_at"), seen)
    for ids in _open_runs(sync, app, days):
        load(f"r.id = ANY({uuids(ids)})", SeenRows("workflow_runs"))
    with loader.commit():
        scope = f"t.app_id = {quoted(app.app_id)} AND t.created_date IN ({dates_of(days)})"
        loader.mark_absent(raw_table(TABLE), scope=scope, present=seen.present)
        mark_nodes_of_gone_runs(loader)
        loader.close_slices(list(slices_of_days(sync, days, seen.by_day, counted)))


def _open_runs(sync: Sync, app: AppTables, days: DaysOfApp) -> Iterator[list[str]]:
    """Runs of other days that had not ended when they were read last."""
    rows = sync.database.rows(
        f"""SELECT w.workflow_run_id FROM raw.workflow_runs w
        LEFT JOIN ops.run_reads r USING (workflow_run_id)
        WHERE w.app_id = {quoted(app.app_id)} AND w.absent_since IS NULL
          AND w.created_date NOT IN ({dates_of(days)})
          AND NOT coalesce(r.is_detail_settled, false)"""
    )
    for start in range(0, len(rows), MOST_IDS):
        yield [run_id for (run_id,) in rows[start : start + MOST_IDS]]


def _load_runs(loader: FeedLoader, app: AppTables, chunk: RunChunk, seen: SeenRows) -> None:
    context = {"app_id": app.app_id}
    details = parse(WorkflowRunDetail, chunk.details, endpoint=RUNS, context=context)
    logs = parse(WorkflowAppLog, chunk.logs, endpoint=LOGS, context=context)
    table = raw_table(TABLE)
    rows = records_frame(table, WorkflowRunDetail, details.records)
    logged = logs_frame(logs.records)
    of_log = [name for name in logged.columns if name not in rows.columns]
    found = (
        rows.rename({"extra": "detail_extra"})
        .join(chunk.messages, on="workflow_run_id", how="left", maintain_order="left")
        .join(
            logged.select("workflow_run_id", *of_log),
            on="workflow_run_id",
            how="left",
            maintain_order="left",
        )
    )
    loader.note_drift(details.records)
    loader.note_drift(logs.records)
    loader.load_frame(table, found)
    loader.quarantine(app.app_id, (*details.rejected, *logs.rejected))
    reads = [detail_read(loader.sync, one) for one in details.records]
    if reads:
        loader.load_frame(RUN_READS, frame(RUN_READS, reads, tuple(reads[0])))
    seen.note(loader.sync, rows, details.rejected)


def read_nodes_in_database(loader: FeedLoader, apps: Sequence[KnownApp]) -> None:
    """The nodes of the days that are due, and those of runs that went on since they were read."""
    read_apps(loader, apps, _read_nodes)


def _read_nodes(loader: FeedLoader, shot: Snapshot, app: AppTables, days: DaysOfApp) -> None:
    sync, seen = loader.sync, SeenRows("node_executions")
    source = f"FROM workflow_node_executions n WHERE {run_nodes(shot, app)}"
    counted = counted_by_day(sync, shot, days, "n.created_at", source)
    due = _runs_with_due_nodes(sync, app)

    def load(where: str, noted: SeenRows) -> None:
        chunks = nodes(shot, app, where)
        load_chunks(loader, app, chunks, lambda one: _load_nodes(loader, app, one, noted))

    load(days.within("n.created_at"), seen)
    for start in range(0, len(due), MOST_IDS):
        of_runs = f"n.workflow_run_id = ANY({uuids(due[start : start + MOST_IDS])})"
        load(f"{of_runs} AND {days.without('n.created_at')}", SeenRows("node_executions"))
    with loader.commit():
        scope = f"t.app_id = {quoted(app.app_id)} AND t.created_date IN ({dates_of(days)})"
        loader.mark_absent(raw_table("node_executions"), scope=scope, present=seen.present)
        note_answers(loader, answered_forms(shot, app))
        _note_reads(loader, due)
        loader.close_slices(list(slices_of_days(sync, days, seen.by_day, counted)))


def _runs_with_due_nodes(sync: Sync, app: AppTables) -> list[str]:
    rows = sync.database.rows(
        f"""SELECT r.workflow_run_id FROM ops.run_reads r
        JOIN raw.workflow_runs w USING (workflow_run_id)
        WHERE w.app_id = {quoted(app.app_id)} AND w.absent_since IS NULL
          AND (NOT coalesce(r.is_nodes_settled, false)
            OR coalesce(r.detail_read_at > r.nodes_read_at, true))"""
    )
    return [run_id for (run_id,) in rows]


def _load_nodes(loader: FeedLoader, app: AppTables, chunk: NodeChunk, seen: SeenRows) -> None:
    context = {"app_id": app.app_id}
    batch = parse(NodeExecution, chunk.nodes, endpoint=NODES, context=context)
    waiting = [
        form
        for one in chunk.waiting
        for form in parse(
            WaitingForm, [one], endpoint=NODES, context={"workflow_run_id": one["workflow_run_id"]}
        )
    ]
    loader.read_anew({one["workflow_run_id"] for one in chunk.nodes})
    load_nodes(loader, batch.records, _without_message(loader.sync, waiting))
    run_of = {one["id"]: one["workflow_run_id"] for one in chunk.nodes}
    for one in batch.rejected:
        loader.quarantine(app.app_id, [one], parent_id=run_of.get(one.record_id or ""))
    rows = records_frame(raw_table("node_executions"), NodeExecution, batch.records)
    seen.note(loader.sync, rows, batch.rejected)


def _without_message(sync: Sync, forms: Sequence[WaitingForm]) -> list[WaitingForm]:
    """Those whose run no message tells of, which would show them itself."""
    if not forms:
        return []
    asked = ", ".join(quoted(one.workflow_run_id) for one in forms)
    rows = sync.database.rows(
        f"SELECT DISTINCT workflow_run_id FROM raw.messages WHERE workflow_run_id IN ({asked})"
    )
    told = {run_id for (run_id,) in rows}
    return [one for one in forms if one.workflow_run_id not in told]


def _note_reads(loader: FeedLoader, run_ids: Sequence[str]) -> None:
    """As the API's own reads would have left it, so that its next night begins here."""
    if not run_ids:
        return
    sync = loader.sync
    runs_read = pl.DataFrame({"workflow_run_id": run_ids}, {"workflow_run_id": pl.String})
    sync.database.stage("_nodes_read", runs_read, RUN_READS)
    missing, written = (
        f"TIMESTAMPTZ {quoted((sync.now - span).isoformat())}"
        for span in (MISSING_FOR, WRITTEN_AFTER)
    )
    rows = sync.database.frame(
        f"""WITH reads AS (
            SELECT r.workflow_run_id, r.is_detail_settled, {ENDED_AT} AS ended_at, w.total_steps
            FROM ops.run_reads r JOIN _nodes_read USING (workflow_run_id)
            JOIN raw.workflow_runs w USING (workflow_run_id)),
        held AS (
            SELECT workflow_run_id, count(*) AS nodes,
                count(*) FILTER (status IN ({", ".join(map(quoted, OPEN_NODES))})) AS open_nodes
            FROM raw.node_executions n
            SEMI JOIN (FROM reads WHERE ended_at > {missing}) USING (workflow_run_id)
            WHERE absent_since IS NULL GROUP BY 1)
        SELECT workflow_run_id, is_detail_settled AND (ended_at <= {missing}
                OR (ended_at <= {written} AND coalesce(open_nodes, 0) = 0
                    AND coalesce(nodes, 0) >= coalesce(total_steps, 0))) AS is_nodes_settled,
            NULL::VARCHAR AS nodes_reason, 0::BIGINT AS nodes_tries,
            TIMESTAMPTZ {quoted(sync.dify.earlier_time().isoformat())} AS nodes_read_at
        FROM reads LEFT JOIN held USING (workflow_run_id)"""
    )
    loader.load_frame(RUN_READS, rows)
