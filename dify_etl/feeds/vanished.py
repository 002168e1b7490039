"""What vanishes with an app or a run: its rows are marked too, and the ledger forgets their reads.

So an app or run that returns, from a backup or another role's sight, is read anew.
"""

from dify_etl.raw.tables import RAW_TABLES, raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.tables import frame

_GONE_APPS = "SELECT app_id FROM raw.apps WHERE absent_since IS NOT NULL"
APP_IS_GONE = "Dify has this app no more; what could not be read before is lost"


def mark_rows_of_gone_apps(loader: FeedLoader) -> None:
    """Mark every row of apps that are absent; nobody waits for their slices and what is in
    quarantine any more.

    Call it in the transaction that marks the apps.
    """
    if not loader.sync.database.value(f"SELECT count(*) FROM ({_GONE_APPS})"):
        return
    for name, raw in RAW_TABLES.items():
        if raw.goes_with_app:
            _mark(loader, name, f"t.app_id IN ({_GONE_APPS})")
    execute = loader.sync.database.execute
    execute(
        "UPDATE ops.conversation_reads SET state = 'absent', is_settled = true "
        f"WHERE state <> 'absent' AND app_id IN ({_GONE_APPS})"
    )
    forget_runs(loader, f"SELECT workflow_run_id FROM ops.run_reads WHERE app_id IN ({_GONE_APPS})")
    execute(
        "UPDATE ops.quarantine SET resolved_at = ? "
        f"WHERE resolved_at IS NULL AND app_id IN ({_GONE_APPS})",
        [utc_now()],
    )
    execute(
        "UPDATE ops.slices SET state = 'unproven', tries = 0, reason = ? || coalesce(reason, '') "
        f"WHERE state IN ('failed', 'incomplete') AND app_id IN ({_GONE_APPS})",
        [f"{APP_IS_GONE}: "],
    )


def mark_nodes_of_gone_runs(loader: FeedLoader) -> None:
    """Mark the nodes of runs that are absent, and their forms as far as no message shows them.

    Call it in the transaction that marks the runs.
    """
    gone = "SELECT workflow_run_id FROM raw.workflow_runs WHERE absent_since IS NOT NULL"
    _mark(loader, "node_executions", f"t.workflow_run_id IN ({gone})")
    _mark(loader, "human_inputs", f"t.message_id IS NULL AND t.workflow_run_id IN ({gone})")
    forget_runs(loader, gone)


def forget_runs(loader: FeedLoader, run_ids: str) -> None:
    """Let detail and nodes of runs be due again, once they are listed; `run_ids` is SQL."""
    loader.sync.database.execute(
        "UPDATE ops.run_reads SET is_detail_settled = false, is_nodes_settled = false, "
        "detail_tries = 0, nodes_tries = 0 "
        f"WHERE (is_detail_settled OR is_nodes_settled) AND workflow_run_id IN ({run_ids})"
    )


def _mark(loader: FeedLoader, name: str, scope: str) -> None:
    table = raw_table(name)
    loader.mark_absent(table, scope=scope, present=frame(table, [], table.key))
