"""What is due, taken from the database some at a time: a first load has millions."""

from collections.abc import Iterator
from typing import Any

from dify_etl.warehouse.database import Database

TAKEN = 2_000


def take_due(
    database: Database, query: str, *, table: str, is_more: bool = False
) -> tuple[int, Iterator[tuple[Any, ...]]]:
    """How many rows the query has now, and these, in its order.

    They are kept in a temporary table of this name, so the query's tables may change meanwhile.
    With `is_more` they come behind those that stand there.
    """
    held = int(database.value(f"SELECT count(*) FROM {table}")) if is_more else 0
    into = f"INSERT INTO {table}" if is_more else f"CREATE OR REPLACE TEMP TABLE {table} AS"
    count = int(database.value(f"{into} {query}"))
    return count, _taken(database, table, held, held + count)


def _taken(database: Database, table: str, first: int, end: int) -> Iterator[tuple[Any, ...]]:
    for place in range(first, end, TAKEN):
        yield from database.rows(
            f"SELECT * FROM {table} WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [place, min(place + TAKEN, end)],
        )
