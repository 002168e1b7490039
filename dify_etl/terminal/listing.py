"""Show what stands in the published copy."""

import duckdb
from rich.console import Console
from rich.table import Table as RichTable

from dify_etl.connection import effective_settings, home_of
from dify_etl.errors import ActionableError
from dify_etl.warehouse.errors import translated
from dify_etl.warehouse.publish import COPY


class NothingPublished(ActionableError):
    """No sync has made the analysts' copy yet."""


def list_tables(console: Console) -> int:
    """Schema, table, rows and grain of everything published. NothingPublished before that."""
    copy = home_of(effective_settings()) / COPY
    if not copy.exists():
        raise NothingPublished(
            "nothing is published yet", where=str(copy), hint="Run `dify-etl sync` first."
        )
    try:
        with duckdb.connect(str(copy), read_only=True) as connection:
            _show(console, connection)
    except duckdb.Error as error:
        raise translated(copy, error) from error
    return 0


def _show(console: Console, connection: duckdb.DuckDBPyConnection) -> None:
    table = RichTable(title=str(connection.execute("SELECT current_database()").fetchall()[0][0]))
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("grain")
    found = connection.execute(
        """SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal
        ORDER BY 1, 2"""
    ).fetchall()
    for schema, name, comment in found:
        rows = connection.execute(f'SELECT count(*) FROM {schema}."{name}"').fetchall()[0][0]
        table.add_row(f"{schema}.{name}", f"{rows:,}", comment or "")
    console.print(table)
    published = connection.execute(
        "SELECT max(published_at), max(through_date) FROM ops.published"
    ).fetchall()
    console.print(f"published {published[0][0]:%Y-%m-%d %H:%M} UTC, through {published[0][1]}")
