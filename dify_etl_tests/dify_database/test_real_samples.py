"""Rows of three real servers, read from their database, beside what their consoles told.

`samples/<version>` has some conversations and runs of test workspaces: `database` as their
PostgreSQL had them, `api` as the console API told them at about the same time.
"""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from pydantic import SecretStr

from dify_etl.dify_database.connection import DifyDatabase
from dify_etl.feeds.table import FEEDS
from dify_etl.home import LIVE
from dify_etl.raw.tables import raw_table
from dify_etl_tests.dify_database.conftest import granted
from dify_etl_tests.dify_database.dify_tables import make_tables
from dify_etl_tests.dify_database.seen_both_ways import READ
from dify_etl_tests.postgres import READER, Postgres
from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import Workplace

SAMPLES = Path(__file__).parent / "samples"
AT = datetime(2026, 12, 5, tzinfo=UTC)
# Of logs of completions their list alone was read: no id and no figures.
OF_LOG = {
    *("message_id", "parent_message_id", "message", "status", "error", "message_tokens"),
    *("answer_tokens", "latency_seconds", "prompt_tokens", "prompt_unit_price"),
    *("prompt_price_unit", "prompt_price", "completion_tokens", "completion_unit_price"),
    *("completion_price_unit", "completion_price", "total_tokens", "total_price", "currency"),
    *("usage_latency_seconds", "time_to_first_token_seconds", "time_to_generate_seconds"),
    *("metadata", "message_source"),
}
# Why cells differ; a set of the tables' columns by reason, for all versions.
KNOWN = {
    "links and icons are looked up by the server": {
        ("message_files", "url"),
        ("node_executions", "extras"),
    },
    "the server asks another host for remote files": {
        *(("message_files", name) for name in ("filename", "mime_type", "size_bytes")),
    },
    "several first messages in one second": {("conversations", "summary")},
    "trigger metadata were not asked for": {("workflow_runs", "details")},
    "the record of then knew no such place": {("node_executions", "retry_index")},
    "a place in a list": {("message_feedbacks", "position")},
    "servers before 1.9.2 list no published runs": {
        ("workflow_runs", "triggered_from"),
        ("workflow_runs", "retry_index"),
        ("workflow_runs", "sequence_number"),
    },
    "servers before 1.10.1 export no feedback, and the export names no account": {
        *(("message_feedbacks", name) for name in ("feedback_id", "created_at")),
        ("message_feedbacks", "rows"),
    },
    "1.0 names no uploaded file": {("message_files", "upload_file_id")},
    "logs of completions were read as a list": {
        *(("messages", name) for name in OF_LOG),
        ("message_files", "rows"),
    },
    "somebody worked on the server of 1.0 between both readings": {
        ("conversations", "user_like_count"),
        ("conversations", "read_at"),
        ("message_feedbacks", "content"),
    },
}


def read_sample(version: str, postgres: Postgres, home: Path) -> Workplace:
    """The sample of a version, read into a home."""
    name = f"sample_{version.replace('.', '_')}"
    make_tables(postgres, name, version)
    for path in (SAMPLES / version / "database").glob("*.csv.gz"):
        table = path.name.removesuffix(".csv.gz")
        with gzip.open(path, "rt", newline="") as text, postgres.connected(name) as cursor:
            head = text.readline().strip()
            cursor.copy_expert(f"COPY {table} ({head}) FROM STDIN (FORMAT csv)", text)
    postgres.execute("; ".join(granted(version)), name)
    (tenant,) = postgres.execute("SELECT id::text FROM tenants", name)[0]
    world = quiet_world("chat")
    # The workspace of the API that answers here is looked for in the database before it is read.
    postgres.execute(
        f"""INSERT INTO tenants SELECT (jsonb_populate_record(
        t, '{{"id": "{world.workspace_id}"}}')).* FROM tenants t""",
        name,
    )
    world.set_now(AT)
    place = Workplace(world, home, version).with_rules(
        start_date=AT.date().replace(month=1),
        dify_database=DifyDatabase(SecretStr(postgres.url(name, READER))),
    )
    with place.opened() as sync:
        apps = SAMPLES / version / "api" / "apps.parquet"
        sync.database.execute("UPDATE ops.source SET workspace_id = ?", [tenant])
        sync.database.execute(f"INSERT INTO raw.apps BY NAME SELECT * FROM '{apps}'")
        reports = {feed.name: feed.read(sync) for feed in FEEDS if feed.name in READ}
    assert {name: set(one.states) for name, one in reports.items()} == {
        name: {"proven"} for name in READ
    }
    assert {one.requests for one in reports.values()} == {0}
    return place


def test_cells_are_what_the_console_told(postgres: Postgres, tmp_path: Path) -> None:
    """But for the reasons above, each of which is met; nothing waits in quarantine."""
    found: set[tuple[str, str]] = set()
    for version in ("1.0.0", "1.12.1", "1.16.1"):
        home = read_sample(version, postgres, tmp_path / version).home
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH '{home / LIVE}' AS b (READ_ONLY)")
            for path in sorted((SAMPLES / version / "api").glob("*.parquet")):
                if path.stem != "apps":
                    connection.execute(f"CREATE OR REPLACE TEMP TABLE a AS FROM '{path}'")
                    assert compare(connection, path.stem, found) > 0
            waiting = connection.execute("SELECT count(*) FROM b.ops.quarantine").fetchone()
        assert waiting == (0,)
    known = set[tuple[str, str]]().union(*KNOWN.values())
    assert (sorted(found - known), sorted(known - found)) == ([], [])


def compare(connection: duckdb.DuckDBPyConnection, table: str, found: set[tuple[str, str]]) -> int:
    """Add what differs; answers how many rows were compared."""
    known = raw_table(table)
    same = " AND ".join(f'a."{name}" IS NOT DISTINCT FROM b."{name}"' for name in known.key)
    # Older than the number of a citation, which was its position in all of them.
    same = same.replace('a."citation_number"', "a.position")
    if table == "messages":  # those of a list are known by their conversation alone
        same = (
            "a.conversation_id = b.conversation_id "
            "AND coalesce(a.message_id, b.message_id) = b.message_id"
        )
    joined = f"FROM a JOIN b.raw.{table} b ON {same}"
    held = {row[0] for row in connection.execute("DESCRIBE a").fetchall()}
    for column in (one.name for one in known.columns if one.name in held):
        differing = connection.execute(
            f'SELECT count(*) {joined} WHERE a."{column}"::VARCHAR '
            f'IS DISTINCT FROM b."{column}"::VARCHAR'
        ).fetchone()
        if differing != (0,):
            found.add((table, column))
    rows = [
        connection.execute(f"SELECT count(*) FROM {source}").fetchone()
        for source in ("a", f"b.raw.{table}", f"(SELECT 1 {joined})")
    ]
    if len(set(rows)) > 1:
        found.add((table, "rows"))
    (count,) = rows[-1] or (0,)
    return int(count)
