"""Costs beside Dify's own PostgreSQL, of three test workspaces as real servers told them.

`samples/<version>` holds the rows that the console API told, without texts, and of the database's
messages the sums by app, local day, actor, currency and `invoke_from`.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.models import build
from dify_etl_tests.conftest import Tell
from dify_etl_tests.sql.hand_written import HandWritten, models_behind

SAMPLES = Path(__file__).parent / "samples"
ZONE = "America/New_York"
RUN_ENDED = datetime(2026, 12, 1, tzinfo=UTC)
OF_DIFY = ("apps", "conversations", "messages", "node_executions", "workflow_runs")
# Days of which Dify's figure is no sum of the database's rows: the samples of both were taken one
# after the other, and rows came or went between.
CHANGED_BETWEEN = {"1.0.0": 0, "1.12.1": 0, "1.16.1": 7}


class Sample(NamedTuple):
    """The costs of a sample, and what the database has."""

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
        for name in (*OF_DIFY, "daily_statistics"):
            _load(warehouse, version, name)
        warehouse.add("ops.source", timezone=ZONE, server_version=version, workspace_id="ws")
        database.execute(
            """INSERT INTO ops.slices (feed, app_id, slice_date, state, is_settled, run_id, read_at)
            SELECT feed, app_id, day, 'proven', true, 'run', ?
            FROM (SELECT DISTINCT app_id FROM raw.apps),
            (SELECT DISTINCT statistic_date AS day FROM raw.daily_statistics
                UNION SELECT created_date FROM raw.messages),
            (SELECT unnest(['daily_statistics', 'conversations', 'messages', 'workflow_runs',
                'node_executions']) AS feed)""",
            [RUN_ENDED],
        )
        for model in models_behind("marts.costs"):
            build(database, model)
        yield Sample(version, warehouse, SAMPLES / version / "database_messages.parquet")


def _load(warehouse: HandWritten, version: str, name: str) -> None:
    table = raw_table(name)
    told = pl.read_parquet(SAMPLES / version / f"{name}.parquet")
    rows = with_local_days(table, told, zone_of(ZONE)).with_columns(
        loaded_at=pl.lit(RUN_ENDED), changed_at=pl.lit(RUN_ENDED)
    )
    warehouse.database.stage("_sample", rows, table)
    warehouse.database.execute(f"INSERT INTO {table.qualified} BY NAME FROM _sample")


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
    known, which Dify leaves out since 1.9; or the day has two currencies; or rows changed between.
    """
    rows = sample.warehouse.database.rows(
        """WITH theirs AS (
            SELECT app_id, usage_date, sum(total_price) AS price,
                coalesce(sum(total_price) FILTER (
                    invoke_from IN ('debugger', 'null') AND ? <> '1.0.0'), 0) AS left_out
            FROM read_parquet(?) GROUP BY ALL),
        ours AS (
            SELECT app_id, usage_date, sum(total_price) AS price,
                bool_or(difference_reason = 'mixed currencies') AS is_mixed
            FROM marts.costs WHERE is_in_dify_figure GROUP BY ALL)
        SELECT theirs.price, theirs.left_out, coalesce(ours.price, 0), coalesce(is_mixed, false)
        FROM theirs JOIN staging.stg_apps USING (app_id) LEFT JOIN ours USING (app_id, usage_date)
        WHERE app_mode NOT IN ('workflow', 'agent')""",
        [sample.version, str(sample.database_messages)],
    )
    reasons = Counter(
        "two currencies"
        if is_mixed
        else "equal"
        if theirs == ours
        else "debugging, or nobody knows who called"
        if theirs - left_out == ours
        else "changed between"
        for theirs, left_out, ours, is_mixed in rows
    )
    assert reasons["changed between"] == CHANGED_BETWEEN[sample.version]
    assert reasons["equal"] > 0
    tell(f"days of Dify {sample.version} beside its database: {dict(reasons)}")
