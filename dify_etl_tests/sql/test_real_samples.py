"""Costs and figures of three test workspaces as real servers told them, beside their PostgreSQL.

`samples/<version>` holds the rows that the console API told, without texts, and of the database's
messages the sums by app, local day, actor, currency and `invoke_from`.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import open_database
from dify_etl_tests.conftest import Tell
from dify_etl_tests.sql.hand_written import HandWritten, models_behind
from dify_etl_tests.warehouse.good_models import build_models

SAMPLES = Path(__file__).parent / "samples"
ZONE = "America/New_York"
OF_DIFY = (
    *("apps", "conversations", "messages", "message_feedbacks", "node_executions"),
    *("workflow_runs", "daily_statistics"),
)
# App-days by why the database's rows cost more than ours say. The database of 1.16.1 was copied
# after the API was read, and has messages that Dify did not count then.
EQUAL, TWO, LEFT_OUT, LATER = (
    *("equal", "two currencies", "debugging, or nobody knows who called"),
    "more messages than Dify counted",
)
REASONS = {
    "1.0.0": {EQUAL: 134, TWO: 9},
    "1.12.1": {EQUAL: 104, TWO: 18, LEFT_OUT: 98},
    "1.16.1": {EQUAL: 97, LEFT_OUT: 55, LATER: 7},
}


class Sample(NamedTuple):
    """The marts of a sample, and what the database has."""

    version: str
    warehouse: HandWritten
    database_messages: Path


@pytest.fixture(scope="module", params=["1.0.0", "1.12.1", "1.16.1"])
def sample(
    request: pytest.FixtureRequest, empty_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sample]:
    """The rows of the API in their tables, all days read and settled, and the models of costs."""
    version = request.param
    path = tmp_path_factory.mktemp("sample") / "live.duckdb"
    path.write_bytes(empty_file.read_bytes())
    with open_database(path) as database:
        warehouse = HandWritten(database)
        for name in OF_DIFY:
            _load(warehouse, version, name)
        warehouse.add("ops.source", timezone=ZONE, server_version=version, workspace_id="ws")
        database.execute(
            """INSERT INTO ops.slices (feed, app_id, slice_date, state, is_settled, run_id, read_at)
            SELECT feed, app_id, day, 'proven', true, 'run', coalesce(
                CASE WHEN feed = 'daily_statistics' THEN (
                    SELECT max(s.read_at) FROM raw.daily_statistics s
                    WHERE s.app_id = apps.app_id AND s.statistic_date = days.day) END,
                (SELECT max(loaded_at) FROM raw.messages))
            FROM (SELECT DISTINCT app_id FROM raw.apps) AS apps,
            (SELECT DISTINCT statistic_date AS day FROM raw.daily_statistics
                UNION SELECT created_date FROM raw.messages) AS days,
            (SELECT unnest(['daily_statistics', 'conversations', 'messages', 'workflow_runs',
                'node_executions']) AS feed)"""
        )
        build_models(database, models_behind("marts.statistics_reconciliation"))
        yield Sample(version, warehouse, SAMPLES / version / "database_messages.parquet")


def _load(warehouse: HandWritten, version: str, name: str) -> None:
    table = raw_table(name)
    told = pl.read_parquet(SAMPLES / version / f"{name}.parquet")
    rows = with_local_days(table, told, zone_of(ZONE))
    warehouse.database.stage("_sample", rows, table)
    warehouse.execute(f"INSERT INTO {table.qualified} BY NAME FROM _sample")


def test_costs_are_the_figure_of_each_day_to_the_digit(sample: Sample, tell: Tell) -> None:
    """On all days but those with two currencies; of these all prices that are told are marked."""
    rows = sample.warehouse.database.rows(
        """WITH ours AS (
            SELECT app_id, usage_date, sum(total_price) AS price,
                bool_or(coalesce(difference_reason = 'mixed currencies', false)) AS is_mixed
            FROM marts.costs WHERE is_in_dify_figure GROUP BY ALL)
        SELECT app_mode, statistic_date, value, coalesce(price, 0), coalesce(is_mixed, false)
        FROM raw.daily_statistics
        JOIN staging.stg_apps USING (app_id)
        LEFT JOIN ours USING (app_id) WHERE metric = 'total_price' AND app_mode <> 'workflow'
        AND (usage_date = statistic_date)"""
    )
    alike = [row for row in rows if not row[4]]
    assert [row for row in alike if row[2] != row[3]] == []
    assert len(alike) > 100
    shares = sample.warehouse.database.rows(
        """SELECT price_source, sum(total_price) / sum(sum(total_price)) OVER ()
        FROM marts.costs WHERE is_in_dify_figure AND app_mode <> 'workflow' GROUP BY ALL
        HAVING sum(total_price) > 0 ORDER BY 2 DESC"""
    )
    told = ", ".join(f"{source} {100 * share:.1f} %" for source, share in shares)
    tell(f"costs of Dify {sample.version}: {len(alike)} days equal to its figure; {told}")


def test_differences_from_the_database_have_a_reason(sample: Sample, tell: Tell) -> None:
    """What the database's rows cost beyond the costs is debugging, or of callers that are not
    known, which Dify leaves out since 1.9; or the day has two currencies; or rows came later.
    """
    rows = sample.warehouse.database.rows(
        """WITH theirs AS (
            SELECT app_id, usage_date, sum(total_price) AS price,
                coalesce(sum(total_price) FILTER (is_left_out), 0) AS left_out,
                coalesce(sum(messages) FILTER (NOT is_left_out), 0) AS messages
            FROM (SELECT *, invoke_from IN ('debugger', 'null') AND ? <> '1.0.0' AS is_left_out
                FROM read_parquet(?)) GROUP BY ALL),
        ours AS (
            SELECT app_id, usage_date, sum(total_price) AS price,
                bool_or(difference_reason = 'mixed currencies') AS is_mixed
            FROM marts.costs WHERE is_in_dify_figure GROUP BY ALL),
        counted AS (
            SELECT app_id, statistic_date AS usage_date, max(value) AS messages
            FROM raw.daily_statistics WHERE metric = 'daily_messages' GROUP BY ALL)
        SELECT theirs.price, theirs.left_out, coalesce(ours.price, 0), coalesce(is_mixed, false),
            theirs.messages > coalesce(counted.messages, 0)
        FROM theirs JOIN staging.stg_apps USING (app_id) LEFT JOIN ours USING (app_id, usage_date)
        LEFT JOIN counted USING (app_id, usage_date)
        WHERE app_mode NOT IN ('workflow', 'agent')""",
        [sample.version, str(sample.database_messages)],
    )
    reasons = Counter(_reason(*row) for row in rows)
    assert reasons == REASONS[sample.version]
    tell(f"days of Dify {sample.version} beside its database: {dict(reasons)}")


def _reason(
    theirs: Decimal, left_out: Decimal, ours: Decimal, is_mixed: bool, has_more: bool
) -> str:
    if is_mixed:
        return TWO
    if theirs == ours:
        return EQUAL
    if theirs - left_out == ours:
        return LEFT_OUT
    return LATER if has_more else f"{theirs} in the database, {ours} here"


def test_costs_from_the_database_are_whose_they_are(
    sample: Sample, empty_file: Path, tmp_path: Path, tell: Tell
) -> None:
    """With the database as the source each actor of a real server pays what the database says, and
    the figure of the day is met: Explore is in it, debugging and old rows without a caller are not.
    """
    path = tmp_path / "live.duckdb"
    path.write_bytes(empty_file.read_bytes())
    with open_database(path) as database:
        warehouse = HandWritten(database)
        for name in ("apps", "daily_statistics"):
            _load(warehouse, sample.version, name)
        warehouse.add("ops.source", timezone=ZONE, server_version=sample.version, workspace_id="w")
        database.execute(
            """CREATE TEMP TABLE told AS
            SELECT app_id, usage_date, nullif(invoke_from, 'null') AS invoke_from, currency,
                coalesce(actor_id, '') AS actor_id, total_price,
                row_number() OVER () AS number
            FROM read_parquet(?) JOIN staging.stg_apps USING (app_id)
            WHERE total_price > 0 AND app_mode IN ('chat', 'agent-chat', 'completion')""",
            [str(sample.database_messages)],
        )
        database.execute(
            """INSERT INTO raw.messages BY NAME SELECT app_id, number AS conversation_id,
                number AS message_id, usage_date AS created_date, invoke_from, 'normal' AS status,
                if(is_account, 'console', 'api') AS from_source, actor_id AS from_end_user_id,
                total_price AS charged_price, currency AS charged_currency
            FROM (SELECT *, coalesce(invoke_from IN ('explore', 'debugger'), false) AS is_account
                FROM told)"""
        )
        database.execute(
            """INSERT INTO ops.slices (feed, app_id, slice_date, state, is_settled, read_at)
            SELECT feed, app_id, usage_date, 'proven', true, now()
            FROM (SELECT DISTINCT app_id, usage_date FROM told),
                (SELECT unnest(['daily_statistics', 'messages']) AS feed)"""
        )
        build_models(database, models_behind("marts.costs"))
        database.execute(
            """CREATE TEMP TABLE counted AS
            SELECT * FROM told WHERE ? = '1.0.0' OR invoke_from <> 'debugger'""",
            [sample.version],
        )
        # The database of 1.16.1 was copied after Dify had counted.
        database.execute(
            """CREATE TEMP TABLE days AS SELECT app_id, usage_date FROM counted
            JOIN raw.daily_statistics f USING (app_id)
            WHERE usage_date = statistic_date AND metric = 'total_price'
            GROUP BY ALL HAVING sum(total_price) = max(value)"""
        )
        (days,) = database.rows("SELECT count(*) FROM days")[0]
        assert days > 60
        theirs = database.rows(
            """SELECT app_id, usage_date, actor_id, currency, sum(total_price)
            FROM counted SEMI JOIN days USING (app_id, usage_date) GROUP BY ALL ORDER BY ALL"""
        )
        ours = database.rows(
            """SELECT app_id, usage_date, person_id, currency, sum(total_price) FROM marts.costs
            SEMI JOIN days USING (app_id, usage_date) WHERE is_in_dify_figure
            GROUP BY ALL ORDER BY ALL"""
        )
        assert ours == theirs
    tell(f"costs from the database of Dify {sample.version}: {days} days, each actor's own")


def test_every_figure_of_a_real_server_is_equal_or_explained(sample: Sample, tell: Tell) -> None:
    """But those of 1.0.0 whose rows changed after the figure was read: they are late, by name."""
    rows = sample.warehouse.database.rows(
        """SELECT verdict, count(*), count(*) FILTER (reason LIKE '%changed, came or were found%')
        FROM marts.statistics_reconciliation GROUP BY ALL"""
    )
    figures = {verdict: count for verdict, count, _ in rows}
    late = {verdict: changed for verdict, _, changed in rows if verdict == "late"}
    assert figures.keys() - {"equal", "explained"} == late.keys()
    assert late == ({"late": figures["late"]} if sample.version == "1.0.0" else {})
    assert figures["equal"] > figures["explained"] > 0
    tell(f"figures of Dify {sample.version}: {figures}")


def test_a_lost_message_of_a_real_server_differs(sample: Sample) -> None:
    """The rules that explain real figures leave no room for a row that is not there."""
    database = sample.warehouse.database
    database.execute("BEGIN")
    try:
        app_id, day, message_id = database.rows(
            """SELECT app_id, created_date, message_id FROM staging.stg_messages
            JOIN marts.statistics_reconciliation r USING (app_id)
            WHERE r.metric = 'daily_messages' AND r.verdict = 'equal' AND r.app_mode = 'chat'
            AND r.statistic_date = created_date AND from_source = 'api'
            ORDER BY created_at, message_id LIMIT 1"""
        )[0]
        database.execute("DELETE FROM raw.messages WHERE message_id = ?", [message_id])
        build_models(database, models_behind("marts.statistics_reconciliation"))
        found = database.rows(
            """SELECT DISTINCT app_id, statistic_date FROM marts.statistics_reconciliation
            WHERE verdict = 'differs' AND metric = 'daily_messages'"""
        )
        assert found == [(app_id, day)]
    finally:
        database.execute("ROLLBACK")
