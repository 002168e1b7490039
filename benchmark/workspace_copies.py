"""A home as large as wanted: the rows of a small one, many times over, with texts of real length.

Each copy of a row has ids of its own and lies some months further back; runs, nodes and what
agents did are copied less often, as in a workspace of chat apps. Texts are words by chance:
questions of 60 and answers of 800 characters in the median, or short ones, where a disk has no
room for the texts of so many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from dify_etl.warehouse.database import Database

DAYS_APART, PERIODS = 30, 12
OF_TALK = ("conversations", "messages", "message_feedbacks", "message_files", "message_citations")
OF_RUNS = ("workflow_runs", "node_executions", "human_inputs", "agent_thoughts", "agent_tool_calls")
RUNS_SHARE = 10  # one copy of runs for so many of messages
PEOPLE_COPIES = 200
PEOPLE_A_PERIOD = PEOPLE_COPIES // math.gcd(PEOPLE_COPIES, PERIODS)

# Which rows they are, in all tables that are copied.
_IDS = (
    "conversation_id", "message_id", "parent_message_id", "workflow_run_id", "node_execution_id",
    "message_file_id", "agent_thought_id", "human_input_id", "feedback_id", "workflow_app_log_id",
)  # fmt: skip
_PEOPLE = (
    "from_end_user_id", "from_end_user_session_id", "created_by_end_user_id",
    "created_by_end_user_session_id",
)  # fmt: skip
_DAYS = ("created_date", "message_created_date", "asked_date", "statistic_date", "slice_date")
# Characters in the median.
TEXTS = {"query": 60, "answer": 800}
SHORT_TEXTS = {"query": 12, "answer": 20}


def multiply(
    database: Database, messages: int, *, texts: Mapping[str, int] = TEXTS
) -> dict[str, int]:
    """Copy rows until there are about so many messages; answers how many rows each table has."""
    held = int(database.value("SELECT count(*) FROM raw.messages"))
    a_period = max(1, messages // held // PERIODS)
    runs_a_period = max(1, a_period // RUNS_SHARE)
    database.execute(
        """CREATE OR REPLACE TEMP TABLE words AS SELECT n, array_to_string(list_transform(
            range(150), lambda x: substr(md5((n * 1000 + x)::varchar), 1, 1 + (n + x * 7)::int % 8)
        ), ' ') AS text FROM range(2048) AS numbers(n)"""
    )
    for table in (*OF_TALK, *OF_RUNS):
        many = PERIODS * (a_period if table in OF_TALK else runs_a_period)
        step = PERIODS * 500  # so many copies in a commit, of bounded memory
        _keep_originals(database, "raw", table)
        for period in reversed(range(PERIODS)):  # the oldest first, as nights bring them
            for first in range(period or PERIODS, many, step):
                copies = range(first, min(first + step, many), PERIODS)
                database.execute(_copied(database, table, copies, texts=texts))
    for schema, table in (("raw", "daily_statistics"), ("ops", "slices")):
        _keep_originals(database, schema, table)
        database.execute(_copied(database, table, range(1, PERIODS), texts=texts, schema=schema))
    database.execute(
        f"""UPDATE raw.daily_statistics SET value = value * CASE
            WHEN metric IN ('daily_messages', 'daily_conversations', 'token_count', 'total_price')
            THEN {a_period}
            WHEN metric IN ('workflow_daily_runs', 'workflow_token_count') THEN {runs_a_period}
            WHEN metric = 'daily_end_users' THEN {min(a_period, PEOPLE_A_PERIOD)} ELSE 1 END"""
    )
    database.execute("CHECKPOINT")
    return rows_held(database)


def rows_held(database: Database) -> dict[str, int]:
    """How many rows each of the copied tables has."""
    tables = (*OF_TALK, *OF_RUNS)
    return {one: int(database.value(f"SELECT count(*) FROM raw.{one}")) for one in tables}


def touch(database: Database) -> None:
    """Change one message in a hundred of the newest days, as a night does."""
    database.execute(
        """UPDATE raw.messages SET latency_seconds = latency_seconds + 0.001, changed_at = now()
        WHERE created_date > (SELECT max(created_date) - 30 FROM raw.messages)
            AND hash(message_id) % 100 < 12"""
    )


def touch_newest(database: Database) -> None:
    """Change the newest hundredth of all messages, in whole days, as those that a night brings."""
    database.execute(
        """UPDATE raw.messages SET latency_seconds = latency_seconds + 0.001, changed_at = now()
        WHERE created_date >= (
            SELECT max(created_date) FROM (
                SELECT created_date, sum(count(*)) OVER (ORDER BY created_date DESC) AS newer
                FROM raw.messages GROUP BY created_date)
            WHERE newer >= (SELECT count(*) // 100 FROM raw.messages))"""
    )


def _copied(
    database: Database,
    table: str,
    copies: range,
    *,
    texts: Mapping[str, int],
    schema: str = "raw",
) -> str:
    """INSERT of copies, a range in SQL, of the rows that were there before: day after day, since
    that is how DuckDB's file has rows that came night after night.
    """
    columns = _columns(database, schema, table)
    values = ", ".join(_value(table, name, kind, texts) for name, kind in columns)
    key = "t.message_id" if table == "messages" else "''"
    joined = f"JOIN words ON words.n = hash(copies.k, {key}) % 2048" if table == "messages" else ""
    held = int(database.value("SELECT count(*) FROM originals"))
    return (
        f"INSERT INTO {schema}.{table} SELECT {values} FROM (SELECT i // {len(copies)} AS place, "
        f"{copies.start} + i % {len(copies)} * {copies.step} AS k "
        f"FROM range({held * len(copies)}) AS numbers(i)) AS copies "
        f"JOIN originals t ON t.rowid = copies.place {joined}"
    )


def _keep_originals(database: Database, schema: str, table: str) -> None:
    """The rows to copy, day after day, in a table of their own: each copy would else look at all
    copies before, and sort them.
    """
    columns = dict(_columns(database, schema, table))
    order = ", ".join(
        f"t.{name}" for name in (*_DAYS, "rowid") if name in columns or name == "rowid"
    )
    database.execute(
        f"CREATE OR REPLACE TEMP TABLE originals AS SELECT * FROM {schema}.{table} t "
        f"WHERE {_original(columns)} ORDER BY {order}"
    )


def _columns(database: Database, schema: str, table: str) -> list[tuple[str, str]]:
    """Names and types, in their order."""
    return database.rows(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'live' "
        "AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, table],
    )


def _original(columns: dict[str, str]) -> str:
    """Which rows are no copies: ids say it; of days all are copied in one statement."""
    if ids := [f"t.{name}" for name in _IDS if name in columns]:
        return f"coalesce({', '.join(ids)}) NOT LIKE '%-copy-%'"
    return "t.slice_date IS NOT NULL" if "slice_date" in columns else "true"


def _value(table: str, name: str, kind: str, texts: Mapping[str, int]) -> str:
    back = f"INTERVAL {DAYS_APART} DAY * (copies.k % {PERIODS})::INT"
    if name in _IDS:
        return f"t.{name} || '-copy-' || copies.k"
    if name in _PEOPLE:
        return f"t.{name} || '-' || copies.k % {PEOPLE_COPIES}"
    if name in ("loaded_at", "changed_at", "absent_since", "read_at", "failed_since"):
        return f"t.{name}"
    if kind == "DATE":
        return f"(t.{name} - {back})::DATE"
    if kind.startswith("TIMESTAMP"):
        return f"t.{name} - {back}"
    if table == "messages" and name in texts:
        median = texts[name]
        length = f"{median} // 4 + hash(copies.k, t.message_id, '{name}') % {median * 3 // 2}"
        return f"CASE WHEN t.{name} = '' THEN '' ELSE substr(words.text, 1, ({length})::INT) END"
    return f"t.{name}"
