"""Rows in key order, chunk after chunk, of bounded size; the next is read while one is loaded."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import polars as pl

from dify_etl.dify_database.connection import Snapshot

R = TypeVar("R")

FIRST_ROWS, MOST_ROWS = 500, 10_000
WANTED_BYTES = 8_000_000  # of a chunk as Arrow; parsed it is several times as large


@dataclass(frozen=True)
class Selection:
    """Rows of one table in the order of their creation, then of their ids."""

    columns: Sequence[str]
    source: str
    where: str
    at: str
    key: str

    @property
    def sql(self) -> str:
        """The SELECT."""
        return (
            f"SELECT {', '.join(self.columns)} FROM {self.source} WHERE {self.where} "
            f"ORDER BY {self.at}, {self.key}"
        )


def in_chunks(
    shot: Snapshot, selection: Selection, complete: Callable[[pl.DataFrame], R]
) -> Iterator[R]:
    """All rows of a selection; `complete` adds to each chunk what hangs on its rows, on the thread
    that asks the database. Until the last chunk is taken nobody else may ask this snapshot.
    """
    with (
        shot.walk(selection.sql) as fetch,
        ThreadPoolExecutor(1, thread_name_prefix="dify-database") as thread,
    ):
        # A cursor: the server sorts once, however many chunks there are, and each has its time.
        def read(rows: int) -> tuple[pl.DataFrame, R | None]:
            frame = fetch(rows)
            return frame, complete(frame) if frame.height else None

        wanted = FIRST_ROWS
        future = thread.submit(copy_context().run, read, wanted)
        while True:
            frame, completed = future.result()
            if completed is None:
                return
            is_last = frame.height < wanted
            if not is_last:
                wanted = _next_rows(frame)
                future = thread.submit(copy_context().run, read, wanted)
            yield completed
            if is_last:
                return


def _next_rows(frame: pl.DataFrame) -> int:
    """As many rows as the wanted size holds, at most four times as many as before."""
    per_row = max(1, round(frame.estimated_size() / frame.height))
    return max(50, min(MOST_ROWS, WANTED_BYTES // per_row, 4 * frame.height))


def moment(at: datetime) -> str:
    """An instant as a literal for Dify's columns, which are UTC without a zone."""
    plain = at.astimezone(UTC).replace(tzinfo=None)
    return f"TIMESTAMP '{plain.isoformat(sep=' ')}'"


def between(column: str, start: datetime, end: datetime) -> str:
    """SQL: whether a column lies in [start, end)."""
    return f"({column} >= {moment(start)} AND {column} < {moment(end)})"


def seconds(column: str) -> str:
    """An instant as the console API tells it: whole seconds since 1970, the fraction cut off."""
    return f"floor(extract(epoch FROM {column}))::bigint"
