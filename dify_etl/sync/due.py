"""What is due, taken from the database some at a time: a first load has millions."""

from collections.abc import Iterator
from typing import Any

from dify_etl.warehouse.database import Database

TAKEN = 2_000


def take_due(
    database: Database, query: str, *, table: str = "_due"
) -> tuple[int, Iterator[tuple[Any, ...]]]:
    """How many rows the query has now, and these, in its order.

    They are kept in a temporary table, so the query's tables may change meanwhile. One at a time,
    unless the `table` has another name.
    """
    count = int(database.value(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}"))
    return count, _taken(database, table, count)


def _taken(database: Database, table: str, count: int) -> Iterator[tuple[Any, ...]]:
    for first in range(0, count, TAKEN):
        yield from database.rows(
            f"SELECT * FROM {table} WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [first, first + TAKEN],
        )
