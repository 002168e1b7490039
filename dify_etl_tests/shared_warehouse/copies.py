"""Published copies of three whole workspaces, for the shared warehouse."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from dify_etl.assembly.night import read_night
from dify_etl.home import COPY
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import SyncPlan
from dify_etl_tests.sync.small_worlds import shortened
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import WorldPlan, build_world


def whole_copies(folder: Path) -> Sequence[Path]:
    """The copies of three workspaces: a simulated one that was read, with all models, and two that
    are made of it, with other ids, fewer rows and other texts.
    """
    world = shortened(
        build_world(
            WorldPlan(seed=3, apps=3, days=2, conversations_per_day=2, now=NOW, version="1.12.1")
        )
    )
    place = Workplace(world, folder / "home")
    with (
        place.client() as dify,
        open_home(
            dify,
            place.home,
            wait_seconds=1.0,
            rules=place.rules,
            run_id="night",
            watch=place.watch,
        ) as opened,
    ):
        assert read_night(opened, SyncPlan()).failure is None
    first = place.home / COPY
    return [first, *(_other(first, folder / f"{number}.duckdb", number) for number in (2, 3))]


def _other(first: Path, path: Path, number: int) -> Path:
    shutil.copy(first, path)
    with duckdb.connect(str(path)) as connection:
        columns = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() c "
            "SEMI JOIN duckdb_tables() t USING (schema_name, table_name) "
            "WHERE NOT c.internal AND regexp_matches(column_name, '_id$|^query$') "
            "AND data_type = 'VARCHAR'"
        ).fetchall()
        for schema, table, column in columns:
            connection.execute(
                f"UPDATE {schema}.{table} SET {column} = {column} || '-{number}' "
                f"WHERE {column} IS NOT NULL"
            )
        connection.execute(f"DELETE FROM raw.messages WHERE hash(message_id) % {number} = 0")
    return path
