"""What homes of earlier versions need: the steps, in order. A step that was released never changes.

Version 0.1 kept live tokens in JSON, took talks with agents that it may not see for deleted, and
had no tables for calls of tools, forms and triggers, nor noted the day of what it set aside.
"""

from collections.abc import Iterable

import polars as pl

from dify_etl.dify.http.deny_list import SUSPICIOUS
from dify_etl.raw.frames import without_secrets
from dify_etl.sync.ledger import DAY_DIGESTS, QUARANTINE
from dify_etl.sync.unfinished_runs import OPEN_NODES
from dify_etl.warehouse.database import ArrowStream, Database
from dify_etl.warehouse.migrations import Migration
from dify_etl.warehouse.tables import quoted

ROWS_AT_A_TIME = 2_000
# The tables of talks as version 0.1 had them: steps run before newer tables are made.
_TALKS_0_1 = (
    *("conversations", "messages", "message_feedbacks", "message_citations", "message_files"),
    "agent_thoughts",
)

_AGENTS = "SELECT app_id FROM raw.apps WHERE mode = 'agent'"
_THERE = f"{_AGENTS} AND absent_since IS NULL"


def remove_secrets(database: Database) -> int:
    """Take what the deny list names out of every text and JSON column of every table.

    Rows count as unchanged: what Dify has is the same. Answers how many values were rewritten.
    """
    tables: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in database.rows(
        """SELECT c.schema_name, c.table_name, c.column_name, c.data_type
        FROM duckdb_columns() c
        JOIN duckdb_tables() t USING (database_name, schema_name, table_name)
        WHERE c.database_name = 'live' AND c.data_type IN ('JSON', 'VARCHAR')
        ORDER BY ALL"""
    ):
        tables.setdefault(f'{schema}."{table}"', {})[column] = kind
    return sum(
        _remove(database, table, column, kind)
        for table, columns in tables.items()
        if _is_suspicious(database, table, columns)
        for column, kind in columns.items()
    )


def _is_suspicious(database: Database, table: str, columns: Iterable[str]) -> bool:
    """Whether any text of the table is worth a closer look: one search instead of one a column."""
    row = ", ".join(f'"{column}"::VARCHAR' for column in columns)
    found = f"regexp_matches(concat_ws(chr(10), {row}), {quoted(SUSPICIOUS)})"
    return bool(database.value(f"SELECT 1 FROM {table} WHERE {found} LIMIT 1"))


def _remove(database: Database, table: str, column: str, kind: str) -> int:
    """The same for one column, some rows at a time."""
    found = f"""SELECT rowid AS row_number, "{column}"::VARCHAR AS held FROM {table}
        WHERE regexp_matches("{column}"::VARCHAR, {quoted(SUSPICIOUS)}) AND rowid > ?
        ORDER BY rowid LIMIT {ROWS_AT_A_TIME}"""
    changed, last = 0, -1
    while True:
        rows = pl.DataFrame(
            database.rows(found, [last]),
            schema={"row_number": pl.Int64(), "held": pl.String()},
            orient="row",
        )
        if rows.is_empty():
            return changed
        last = int(rows["row_number"][-1])
        kept = rows.with_columns(without_secrets(rows["held"], kind).alias("kept"))
        kept = kept.filter(kept["held"] != kept["kept"])
        changed += kept.height
        database.connection.register("_kept", ArrowStream(kept))
        database.execute(
            f"""UPDATE {table} SET "{column}" = CAST(k.kept AS {kind})
            FROM _kept k WHERE {table}.rowid = k.row_number"""
        )
        database.connection.unregister("_kept")


def forget_absent_agent_conversations(database: Database) -> int:
    """Talks with agents that chat-messages answered 404 for are there: they were in the lists.

    Version 0.1 took every 404 for a deletion, though Dify answers it for talks of other accounts.
    Those that are gone in truth are marked anew by the next proven list. Answers how many rows.
    """
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _false AS
        SELECT c.conversation_id, c.absent_since
        FROM raw.conversations c JOIN ops.conversation_reads r USING (conversation_id)
        WHERE c.absent_since IS NOT NULL AND r.state = 'absent' AND c.app_id IN ({_THERE})"""
    )
    changed = 0
    for name in _TALKS_0_1:
        # Parts that vanished before the talk did (a withdrawn rating) stay absent.
        scope = "t.conversation_id = f.conversation_id AND t.absent_since >= f.absent_since"
        counted = f"SELECT count(*) FROM raw.{name} t, _false f WHERE {scope}"
        changed += int(database.value(counted))
        database.execute(f"UPDATE raw.{name} t SET absent_since = NULL FROM _false f WHERE {scope}")
    return changed


def forget_reads_of_agents(database: Database) -> int:
    """Let everything of agent apps be due: version 0.1 read the caller's own talks alone."""
    changed = 0
    for table in ("ops.conversation_reads", "ops.slices"):
        scope = f"FROM {table} WHERE app_id IN ({_AGENTS})"
        changed += int(database.value(f"SELECT count(*) {scope}"))
        database.execute(f"DELETE {scope}")
    return changed


def let_newer_columns_be_read(database: Database) -> int:
    """Let be due once more what newer tables and columns are filled from: talks with calls of tools
    or forms for people, runs with tool nodes and with such forms, and the lists of runs, which
    tell what started each. Answers how many reads are due.
    """
    conversations = """app_id IN (SELECT app_id FROM raw.apps WHERE mode = 'agent-chat')
        OR conversation_id IN (SELECT conversation_id FROM raw.messages
            WHERE coalesce(extra_contents::VARCHAR, '[]') NOT IN ('[]', 'null'))"""
    nodes = """workflow_run_id IN (SELECT workflow_run_id FROM raw.node_executions
        WHERE node_type IN ('tool', 'human-input'))"""
    changed = 0
    for table, scope, change in (
        ("ops.conversation_reads", conversations, "DELETE FROM ops.conversation_reads"),
        ("ops.run_reads", nodes, "UPDATE ops.run_reads SET is_nodes_settled = false"),
        (
            "ops.slices",
            "feed = 'workflow_runs' AND slice_date IS NOT NULL",
            "UPDATE ops.slices SET is_settled = false",
        ),
    ):
        changed += int(database.value(f"SELECT count(*) FROM {table} WHERE {scope}"))
        database.execute(f"{change} WHERE {scope}")
    return changed


def let_quarantine_be_read(database: Database) -> int:
    """Let be due once more what holds objects in quarantine: entries of 0.1 do not tell their day
    and what lists them, so they would leave every day of their app unproven. Read again, each is
    loaded, or set aside with its day. Answers how many objects wait.
    """
    database.ensure(QUARANTINE)  # the column of what lists an object is new
    database.execute(
        """UPDATE ops.quarantine SET parent_id = CASE feed
            WHEN 'messages' THEN try_cast(raw_json AS JSON) ->> 'conversation_id'
            WHEN 'node_executions' THEN context ->> 'workflow_run_id' END
        WHERE resolved_at IS NULL AND parent_id IS NULL"""
    )
    parents = "SELECT parent_id FROM ops.quarantine WHERE resolved_at IS NULL"
    database.execute(f"DELETE FROM ops.conversation_reads WHERE conversation_id IN ({parents})")
    database.execute(
        f"UPDATE ops.run_reads SET is_nodes_settled = false WHERE workflow_run_id IN ({parents})"
    )
    database.execute(
        """UPDATE ops.slices s SET is_settled = false WHERE s.slice_date IS NOT NULL AND EXISTS (
            SELECT 1 FROM ops.quarantine q WHERE q.resolved_at IS NULL AND q.feed = s.feed
            AND q.app_id IS NOT DISTINCT FROM s.app_id)"""
    )
    return int(database.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") or 0)


def let_late_nodes_be_read(database: Database) -> int:
    """Let nodes of ended runs be due once more where some had not ended, or fewer were there than
    the run tells steps: they were settled as soon as their run had ended, and may be whole by now.
    Answers how many runs are due.
    """
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _lacking AS
        SELECT workflow_run_id FROM ops.run_reads r JOIN raw.workflow_runs w USING (workflow_run_id)
        LEFT JOIN (SELECT workflow_run_id, count(*) AS nodes,
                bool_or(status IN ({", ".join(map(quoted, OPEN_NODES))})) AS has_open
            FROM raw.node_executions WHERE absent_since IS NULL GROUP BY 1) n
            USING (workflow_run_id)
        WHERE r.is_nodes_settled AND w.absent_since IS NULL AND r.nodes_reason IS NULL
          AND (n.has_open OR coalesce(n.nodes, 0) < w.total_steps)"""
    )
    database.execute(
        "UPDATE ops.run_reads SET is_nodes_settled = false "
        "WHERE workflow_run_id IN (SELECT workflow_run_id FROM _lacking)"
    )
    return int(database.value("SELECT count(*) FROM _lacking"))


def number_citations(database: Database) -> int:
    """Give citations their place in the list of their message, by which they are known since then,
    and let be due once more what was known by Dify's own `position`: where that repeats, or is not
    told, all but one of its rows were lost. Answers how many messages are due.
    """
    held = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
    if not database.rows(held, ["message_citations"]):
        return 0
    database.execute(
        "ALTER TABLE raw.message_citations ADD COLUMN IF NOT EXISTS citation_number BIGINT"
    )
    database.execute(
        """UPDATE raw.message_citations t SET citation_number = n.place
        FROM (SELECT rowid AS number, CASE
                WHEN bool_and(position IS NOT NULL) OVER of_message THEN position
                ELSE row_number() OVER (of_message ORDER BY position) END AS place
            FROM raw.message_citations WINDOW of_message AS (PARTITION BY message_id)) n
        WHERE t.rowid = n.number"""
    )
    positions = "json_extract(metadata, '$.retriever_resources[*].position')::VARCHAR[]"
    size = "json_array_length(metadata, '$.retriever_resources')::BIGINT"
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _repeating AS
        SELECT app_id, conversation_id, created_at FROM raw.messages
        WHERE {positions} IS DISTINCT FROM range(1, {size} + 1)::VARCHAR[] AND {size} > 0"""
    )
    # In any zone the day of a message begins within two days of it.
    of_days = """feed = 'messages' AND EXISTS (SELECT 1 FROM _repeating r WHERE r.app_id = t.app_id
        AND abs(epoch(r.created_at) - epoch(t.slice_date)) < 2 * 86400)"""
    # Homes that were never read from Dify's database have no digests of whole days.
    if database.rows(held, [DAY_DIGESTS.name]):
        database.execute(f"DELETE FROM ops.day_digests t WHERE {of_days}")
    database.execute(f"UPDATE ops.slices t SET is_settled = false WHERE {of_days}")
    database.execute(
        "DELETE FROM ops.conversation_reads "
        "WHERE conversation_id IN (SELECT conversation_id FROM _repeating)"
    )
    return int(database.value("SELECT count(*) FROM _repeating"))


STEPS = (
    Migration(
        1,
        "tokens, keys and links that open something are removed",
        remove_secrets,
        removes_text=True,
        is_for_copy=True,
    ),
    Migration(2, "talks with agents are absent no more", forget_absent_agent_conversations),
    Migration(3, "agent apps are due, all their days", forget_reads_of_agents),
    Migration(
        4,
        "calls of tools, forms for people and triggers are due, for tables that are new",
        let_newer_columns_be_read,
    ),
    Migration(5, "what waits in quarantine is read again, for its day", let_quarantine_be_read),
    # The deny list knows more places since then: settings of tools by type and value, headers.
    Migration(
        6,
        "secrets in settings of tools and in headers are removed, too",
        remove_secrets,
        removes_text=True,
        is_for_copy=True,
    ),
    Migration(
        7, "nodes that came after the end of their run are read again", let_late_nodes_be_read
    ),
    # Forms of people passed no deny list at all, and it knows the looks of many more since then.
    Migration(
        8,
        "secrets in forms, requests, addresses and code are removed, too",
        remove_secrets,
        removes_text=True,
        is_for_copy=True,
    ),
    Migration(
        9,
        "citations are known by their place in the list of their message, and those whose "
        "positions repeat are read again",
        number_citations,
    ),
)
