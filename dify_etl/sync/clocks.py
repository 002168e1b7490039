"""Two clocks that disagree: what is said of it, and what days it made proven that had not come."""

from datetime import date, datetime, timedelta

from dify_etl.sync.run import SyncRules
from dify_etl.time_zones import local_date
from dify_etl.warehouse.database import Database

# What a slow answer and a badly kept clock may make up.
MOST_DIFFERENCE = timedelta(minutes=5)
_MARGIN = f"to_seconds({MOST_DIFFERENCE.total_seconds():.0f})"


def clock_difference(ahead: timedelta) -> str | None:
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
    are due once more, and so is what was read of single objects in such a run: the read's own
    clock was then ahead of the one by which its run ended, or is ahead of all clocks of now.
    """
    misread = database.value(
        f"""CREATE OR REPLACE TEMP TABLE _misread AS
        SELECT s.run_id, s.feed, s.app_id, s.slice_date, s.read_at
        FROM ops.slices s LEFT JOIN ops.runs r ON r.run_id = s.run_id AND r.feed = s.feed
        WHERE s.is_settled AND s.slice_date IS NOT NULL
          AND s.read_at > coalesce(r.ended_at, $latest) + {_MARGIN}
          AND coalesce(s.slice_date > r.ended_at - INTERVAL 3 DAY, true)""",
        {"latest": latest},
    )
    today = local_date(latest, rules.zone)
    if not misread and not _is_any_to_come(database, latest, today):
        return 0
    _heal_reads(database, latest)
    to_come = "slice_date > ?"
    deleted = int(database.value(f"SELECT count(*) FROM ops.slices WHERE {to_come}", [today]))
    if deleted:
        database.execute(f"DELETE FROM ops.slices WHERE {to_come}", [today])
    due = int(database.value("SELECT count(*) FROM _misread WHERE slice_date <= ?", [today]))
    if due:
        database.execute(
            """UPDATE ops.slices s SET is_settled = false FROM _misread m
            WHERE m.feed = s.feed AND m.app_id IS NOT DISTINCT FROM s.app_id
              AND m.slice_date = s.slice_date"""
        )
    _tell_times_that_were(database, latest)
    return deleted + due


def _is_any_to_come(database: Database, latest: datetime, today: date) -> bool:
    """Whether the ledger tells any day or time that has not come. Of most nights it tells none, and
    one look at its newest ones costs a fifth of the statements that would mend them.
    """
    read = "greatest(max(read_at), max(bad_since), max(deep_read_at))"
    to_come = database.value(
        f"""SELECT max(day) > $today OR max(newest) >= $latest + {_MARGIN} FROM (
            SELECT max(slice_date) AS day, {read} AS newest FROM ops.slices
            UNION ALL SELECT NULL, max(read_at) FROM ops.conversation_reads
            UNION ALL SELECT NULL, greatest(max(detail_read_at), max(nodes_read_at))
                FROM ops.run_reads)""",
        {"latest": latest, "today": today},
    )
    return bool(to_come)


def _tell_times_that_were(database: Database, latest: datetime) -> None:
    """No slice was read, or is bad, since a time to come: its run's own end is when it was. What is
    read again after a week or some nights would wait for that time, too.
    """
    columns = ("read_at", "bad_since", "deep_read_at")
    late = " OR ".join(f"{column} > $latest + {_MARGIN}" for column in columns)
    ended = "(SELECT max(ended_at) FROM ops.runs r WHERE r.run_id = s.run_id)"
    kept = ", ".join(f"{column} = if({column} > n.at, n.at, {column})" for column in columns)
    database.execute(
        f"""UPDATE ops.slices s SET {kept} FROM (
            SELECT rowid AS row_number, least($latest, coalesce({ended}, $latest)) AS at
            FROM ops.slices s WHERE {late}) n WHERE s.rowid = n.row_number""",
        {"latest": latest},
    )


def _heal_reads(database: Database, latest: datetime) -> None:
    """Talks and runs that such a run read were judged too old to change; so was what seems to have
    been read later than now.
    """
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _misreading AS
        SELECT max(m.read_at) - (max(r.ended_at) - min(r.started_at)) - {_MARGIN} AS since,
            max(m.read_at) + {_MARGIN} AS until
        FROM (SELECT run_id, max(read_at) AS read_at FROM _misread GROUP BY ALL) m
        JOIN ops.runs r USING (run_id) GROUP BY run_id
        UNION ALL SELECT $latest + {_MARGIN}, TIMESTAMPTZ 'infinity'""",
        {"latest": latest},
    )
    for table, column, settled in (
        ("conversation_reads", "read_at", "is_settled"),
        ("run_reads", "detail_read_at", "is_detail_settled"),
        ("run_reads", "nodes_read_at", "is_nodes_settled"),
    ):
        database.execute(
            f"""UPDATE ops.{table} SET {settled} = false, {column} = least({column}, $latest)
            WHERE EXISTS (
                SELECT 1 FROM _misreading m WHERE {column} BETWEEN m.since AND m.until)""",
            {"latest": latest},
        )
