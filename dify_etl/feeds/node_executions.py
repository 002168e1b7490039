"""Feed node_executions: the nodes of every run that is due; again while the run is open, or nodes
of it may be written yet.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

from dify_etl.dify.app_modes import CHATFLOW_MODES, WORKFLOW_MODES
from dify_etl.dify.errors import DifyError, NoSuchEndpoint, NotFound
from dify_etl.dify.record import Batch
from dify_etl.dify.workflow_records import NodeExecution, WaitingForm
from dify_etl.feeds.human_inputs import NODE_TYPE, load_human_nodes, settle_states
from dify_etl.feeds.run_details import (
    GONE,
    LOOKAHEAD,
    app_list,
    in_commits,
    run_doubts,
    size_of_run,
)
from dify_etl.sync.days import days_to_read, is_due_again, is_over, rows_by_day
from dify_etl.sync.due import take_due
from dify_etl.sync.feed_loader import FeedLoader, First, nothing_first
from dify_etl.sync.fetching import Fetched, FetchLimits, attempt, fetch
from dify_etl.sync.known_apps import asked_apps
from dify_etl.sync.ledger import RUN_READS
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import Refusals, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.unfinished_runs import OPEN_NODES, may_lack_nodes
from dify_etl.warehouse.tables import frame, quoted

FEED = "node_executions"
NO_NODES = "gone: the run has steps, but Dify shows no nodes of it"
MOST_EMPTY = 3


@dataclass(frozen=True)
class DueRun:
    """A run whose nodes are read: how many steps it told, whether it had ended (at `ended_at`, or
    when it began or was read, where it tells no such time), and whether a message shows the forms
    that it waits for.
    """

    workflow_run_id: str
    app_id: str
    total_steps: int
    ended_at: datetime
    is_ended: bool
    tries: int
    has_message: bool


@dataclass(frozen=True)
class RunNodes:
    """The nodes of a run, and the forms that it waits for as far as its pause tells them: `error`
    is why it does not.
    """

    nodes: Batch[NodeExecution]
    waiting: Batch[WaitingForm] = field(default_factory=lambda: Batch(()))
    error: DifyError | None = None


def read_node_executions(sync: Sync, first: First = nothing_first) -> FeedReport:
    """GET node-executions of every due run."""
    with FeedLoader(sync, FEED) as loader:
        first(loader)
        count, due = due_nodes(sync)
        loader.expect(count)
        read = Refusals().asking(partial(_read, sync))
        limits = FetchLimits(sync.rules.workers, LOOKAHEAD)
        for outcomes in in_commits(loader, fetch(due, read, limits, size=_size), _size):
            _commit(loader, outcomes)
        with loader.commit():
            settle_states(loader)
            loader.close_slices(list(_slices(sync)))
        return loader.report()


def _size(read: RunNodes) -> int:
    return size_of_run(read.nodes)


def _read(sync: Sync, run: DueRun) -> RunNodes:
    """The nodes. What a workflow app's run waits for, its pause alone tells."""
    room = sync.dify.workflows
    nodes = room.node_executions(run.app_id, run.workflow_run_id)
    is_waiting = any(one.node_type == NODE_TYPE and one.status == "paused" for one in nodes)
    if run.has_message or not is_waiting:
        return RunNodes(nodes)
    forms = attempt(run.workflow_run_id, lambda: room.waiting_forms(run.workflow_run_id))
    if isinstance(forms.error, NotFound | NoSuchEndpoint):
        return RunNodes(nodes)  # ended meanwhile and removed, or a server that does not tell it
    return RunNodes(nodes, forms.result or Batch(()), forms.error)


# Details are read before nodes in a run, and again in another one. Within a run Dify's time may go
# back all the same: `Date` has whole seconds, and machines behind one address differ.
READ_AFTER_NODES = "r.detail_read_at > r.nodes_read_at + INTERVAL 1 MINUTE"

# A time of its end that lies ahead, by an odd clock, would be waited for.
ENDED_AT = "least(coalesce(w.finished_at, w.created_at), r.detail_read_at)"


def due_nodes(sync: Sync) -> tuple[int, Iterator[DueRun]]:
    """How many runs are due, and these, newest first: their detail was read and their nodes were
    not, or not since the run ended.
    """
    again = "true" if sync.plan.is_full else "false"
    count, rows = take_due(
        sync.database,
        f"""SELECT r.workflow_run_id, w.app_id, coalesce(w.total_steps, 0),
            {ENDED_AT},
            r.is_detail_settled,
            coalesce(r.nodes_tries, 0),
            w.workflow_run_id IN (SELECT workflow_run_id FROM raw.messages)
        FROM ops.run_reads r JOIN raw.workflow_runs w USING (workflow_run_id)
        WHERE w.absent_since IS NULL AND w.app_id IN ({app_list(sync)})
          AND coalesce(r.detail_reason, '') NOT LIKE 'gone%'
          AND r.status IS NOT NULL
          AND ({again} OR {is_due_again("r.nodes_tries", "r.nodes_read_at", sync.now)}
               OR {READ_AFTER_NODES})
          AND ({again} OR NOT coalesce(r.is_nodes_settled, false)
               OR {READ_AFTER_NODES})
        ORDER BY w.created_at DESC""",
        table="_due_nodes",
    )
    return count, (DueRun(*row) for row in rows)


def _commit(loader: FeedLoader, outcomes: Sequence[Fetched[DueRun, RunNodes]]) -> None:
    read = [(one.task, one.result) for one in outcomes if one.result is not None]
    nodes = [node for _, found in read for node in found.nodes]
    with loader.commit():
        loader.read_anew(run.workflow_run_id for run, _ in read)
        load_nodes(loader, nodes, [form for _, found in read for form in found.waiting.records])
        for run, found in read:
            loader.quarantine(
                run.app_id,
                (*found.nodes.rejected, *found.waiting.rejected),
                parent_id=run.workflow_run_id,
            )
        rows = [_ledger_row(loader.sync, one) for one in outcomes]
        if rows:
            loader.load_frame(RUN_READS, frame(RUN_READS, rows, tuple(rows[0])))


def load_nodes(
    loader: FeedLoader, nodes: Sequence[NodeExecution], waiting: Sequence[WaitingForm] = ()
) -> None:
    """Nodes, and what they tell of forms; call it inside a transaction."""
    loader.load(FEED, NodeExecution, nodes)
    load_human_nodes(loader, nodes, waiting)


def _ledger_row(sync: Sync, one: Fetched[DueRun, RunNodes]) -> dict[str, Any]:
    run, batch = one.task, one.result.nodes if one.result else None
    error = one.result.error if one.result else one.error
    is_empty = batch is not None and not len(batch) and not batch.rejected
    is_gone = is_empty and run.total_steps > 0
    is_odd = batch is not None and bool(batch.rejected)
    is_failed = error is not None or (is_gone and run.tries + 1 < MOST_EMPTY)
    is_missing = batch is not None and (
        len(batch) < run.total_steps or any(node.status in OPEN_NODES for node in batch)
    )
    is_whole = not may_lack_nodes(run.ended_at, sync.now, is_missing=is_missing)
    hidden = why_not_shown(sync, error)
    reason = hidden or (f"failed: {error}" if error else NO_NODES if is_gone else None)
    return {
        "workflow_run_id": run.workflow_run_id,
        # What waits in quarantine is asked again every night, until it is well.
        "is_nodes_settled": run.is_ended and is_whole and not is_failed and not is_odd,
        "nodes_reason": reason,
        "nodes_tries": run.tries + 1 if is_failed and not hidden else 0,
        "nodes_read_at": sync.dify.earlier_time(),
    }


def _slices(sync: Sync) -> Iterator[Slice]:
    """A day is as good as its list of runs, and as the worst of its runs' nodes."""
    doubts = run_doubts(sync, "nodes")
    hidden = run_doubts(sync, "nodes", is_shown=False)
    listed = _list_doubts(sync)
    held, gone = rows_by_day(sync.database, FEED), _gone(sync)
    apps = tuple(app.app_id for app in asked_apps(sync, *WORKFLOW_MODES, *CHATFLOW_MODES))
    for one in days_to_read(sync, FEED, apps, is_asked=False):
        for day in one.all:
            key = (one.app_id, day)
            doubt = doubts.get(key) or listed.get(key, {}).get("incomplete")
            weak = hidden.get(key) or gone.get(key) or listed.get(key, {}).get("unproven")
            yield Slice.judged(
                *key,
                held[key],
                missing=doubt,
                doubt=weak,
                is_settled=is_over(sync, day) and not (weak or "").endswith(GONE),
            )


def _list_doubts(sync: Sync) -> dict[tuple[str, date], dict[str, str]]:
    """Days whose runs are themselves in doubt: app and day -> state -> reason."""
    found: dict[tuple[str, date], dict[str, str]] = defaultdict(dict)
    rows = sync.database.rows(
        "SELECT app_id, slice_date, state, reason FROM ops.slices WHERE feed = 'workflow_runs' "
        "AND state <> 'proven' AND reason IS DISTINCT FROM in_quarantine"
    )
    for app_id, day, state, reason in rows:
        level = "unproven" if state == "unproven" else "incomplete"
        found[app_id, day][level] = f"runs: {reason}"
    return found


def _gone(sync: Sync) -> dict[tuple[str, date], str]:
    """Days with runs whose nodes Dify shows no more."""
    rows = sync.database.rows(
        f"""SELECT w.app_id, w.created_date, count(*)
        FROM ops.run_reads r JOIN raw.workflow_runs w USING (workflow_run_id)
        WHERE r.nodes_reason = {quoted(NO_NODES)} GROUP BY ALL"""
    )
    return {(app_id, day): f"{count} runs without nodes: {NO_NODES}" for app_id, day, count in rows}
