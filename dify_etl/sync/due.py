"""What is due, taken from the database some at a time: a first load has millions."""

from collections.abc import Iterator
from typing import Any

from dify_etl.warehouse.database import Database

TAKEN = 2_000


def take_due(database: Database, query: str) -> tuple[int, Iterator[tuple[Any, ...]]]:
    """How many rows the query has now, and these, in its order.

    They are kept in a temporary table, so the query's tables may change meanwhile. One at a time.
    """
    database.execute(f"CREATE OR REPLACE TEMP TABLE _due AS {query}")
    count = int(database.value("SELECT count(*) FROM _due"))
    return count, _taken(database, count)


def _taken(database: Database, count: int) -> Iterator[tuple[Any, ...]]:
    for first in range(0, count, TAKEN):
        yield from database.rows(
            "SELECT * FROM _due WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [first, first + TAKEN],
        )
