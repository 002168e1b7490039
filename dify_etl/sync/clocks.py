"""Two clocks that disagree: what is said of it, and what days it made proven that had not come."""

from datetime import datetime, timedelta

from dify_etl.sync.run import SyncRules
from dify_etl.time_zones import local_date
from dify_etl.warehouse.database import Database

# What a slow answer and a badly kept clock may make up.
MOST_DIFFERENCE = timedelta(minutes=5)


def told_difference(ahead: timedelta) -> str | None:
    """A sentence when the clocks are far from each other; None when they agree."""
    if abs(ahead) <= MOST_DIFFERENCE:
        return None
    seconds = timedelta(seconds=round(abs(ahead).total_seconds()))
    side = "ahead of" if ahead > timedelta() else "behind"
    return f"Dify's clock (Date header) is {seconds} {side} this machine's"


def heal_days_to_come(database: Database, rules: SyncRules, latest: datetime) -> int:
    """Undo what a clock ahead of its time made proven; answers how many slices. `latest` is the
    later of both clocks, UTC. Call it inside a transaction.

    Days that have not come yet lose their slices. Days that had not been over when they were read
    are due once more: the read's own clock was then ahead of the one by which its run ended.
    """
    to_come = "slice_date > ?"
    today = local_date(latest, rules.zone)
    deleted = int(database.value(f"SELECT count(*) FROM ops.slices WHERE {to_come}", [today]))
    if deleted:
        database.execute(f"DELETE FROM ops.slices WHERE {to_come}", [today])
    margin = f"to_seconds({MOST_DIFFERENCE.total_seconds():.0f})"
    late = f"""is_settled AND slice_date IS NOT NULL AND EXISTS (
        SELECT 1 FROM ops.runs r WHERE r.run_id = s.run_id AND r.feed = s.feed
          AND s.read_at > r.ended_at + {margin}
          AND s.slice_date >= r.ended_at::DATE - 2)"""
    due = int(database.value(f"SELECT count(*) FROM ops.slices s WHERE {late}"))
    if due:
        database.execute(f"UPDATE ops.slices s SET is_settled = false WHERE {late}")
    _heal_reads(database, latest + MOST_DIFFERENCE)
    return deleted + due


def _heal_reads(database: Database, latest: datetime) -> None:
    """Talks and runs that were read later than now were judged too old to change."""
    for table, column, settled in (
        ("conversation_reads", "read_at", "is_settled"),
        ("run_reads", "detail_read_at", "is_detail_settled"),
        ("run_reads", "nodes_read_at", "is_nodes_settled"),
    ):
        database.execute(
            f"UPDATE ops.{table} SET {settled} = false, {column} = $at WHERE {column} > $at",
            {"at": latest},
        )
