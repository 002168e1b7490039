"""Records to Polars frames with the types of their table; an empty list makes the right frame."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from functools import cache
from operator import itemgetter
from typing import cast

import polars as pl

from dify_etl.dify.http.deny_list import SUSPICIOUS, json_without_secrets, text_without_secrets
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Record
from dify_etl.raw.columns import columns_of
from dify_etl.warehouse.tables import POLARS_TYPES, Table

# Up to so many records a search costs by the call, not by the text: all columns are searched at
# once, and one by one only when something was found.
FEW = 200


DECIMAL_DIGITS = 28
TEN_DECIMALS = Decimal("1e-10")


def records_frame(
    table: Table, record_class: type[Record], records: Sequence[Record]
) -> pl.DataFrame:
    """A frame with the columns that this kind of record brings to `table`, one row per record.

    What opens something for whoever has it (tokens, keys: `dify.deny_list`) is taken out here.
    """
    schema = frame_schema(table, record_class)
    if not records:
        return pl.DataFrame(schema=schema)
    names = [name for name in schema if name not in ("extra", "odd_fields")]
    take = itemgetter(*names)
    columns = zip(*(take(record.__dict__) for record in records), strict=True)
    values: dict[str, Sequence[object]] = dict(zip(names, columns, strict=True))
    if "extra" in schema:
        values["extra"] = [_extra(record) for record in records]
    if "odd_fields" in schema:
        # A record may fill two tables: each row is odd in what its own table has of it.
        values["odd_fields"] = [
            ",".join(one for one in record.odd_fields if one in schema) or None
            for record in records
        ]
    found_columns = [_series(name, values[name], schema[name]) for name in schema]
    return without_secrets_in(table, pl.DataFrame(found_columns))


def without_secrets_in(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of a raw table without what opens something for whoever has it."""
    if rows.height <= FEW and not _is_any_suspicious(rows.get_columns()):
        return rows
    return pl.DataFrame(
        [without_secrets(series, table.column(series.name).type) for series in rows]
    )


def _is_any_suspicious(found_columns: Sequence[pl.Series]) -> bool:
    """Whether any value of these columns may hold a secret: one search for all of them."""
    texts = [series.alias("text") for series in found_columns if _may_hold_secrets(series)]
    return bool(texts) and bool(_suspects(pl.concat(texts)).any())


def _suspects(texts: pl.Series) -> pl.Series:
    """Which of these texts may hold a secret.

    Polars compiles a pattern once per thread that searches with it, which takes 20 ms for this one,
    as long as a hundred searches. So one thread searches for all: workers come and go.
    """
    return _searcher().submit(texts.str.contains, SUSPICIOUS).result()


@cache
def _searcher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="secrets")


os.register_at_fork(after_in_child=_searcher.cache_clear)  # a child has none of the threads


def _may_hold_secrets(series: pl.Series) -> bool:
    return series.dtype == pl.String() and not series.name.endswith("_id")


def without_secrets(series: pl.Series, duckdb_type: str) -> pl.Series:
    """A column without secrets: texts as VARCHAR, JSON text as JSON; other types as they are.

    Polars looks at a whole column at once: Python's own search would take longer than all parsing.
    """
    if not _may_hold_secrets(series):
        return series
    suspects = _suspects(series)
    if not suspects.any():
        return series
    kept = json_without_secrets if duckdb_type == "JSON" else text_without_secrets
    pairs = zip(series, suspects, strict=True)
    return pl.Series(
        series.name, [kept(str(held)) if is_one else held for held, is_one in pairs], pl.String()
    )


def _series(name: str, values: Sequence[object], kind: pl.DataType) -> pl.Series:
    """A column. Polars takes numbers and text several times quicker than decimals and datetimes."""
    if isinstance(kind, pl.Decimal):
        texts = [None if value is None else decimal_text(cast(Decimal, value)) for value in values]
        return pl.Series(name, texts, pl.String()).cast(kind)
    if isinstance(kind, pl.Datetime):
        micros = [None if value is None else _micros(cast(datetime, value)) for value in values]
        return pl.Series(name, micros, pl.Int64()).cast(kind)
    return pl.Series(name, values, kind)


def decimal_text(value: Decimal) -> str:
    """Its digits, ten of them after the point at most where there are more than the column has."""
    text = str(value)
    if len(text) <= DECIMAL_DIGITS and "E" not in text:
        return text
    return f"{value.quantize(TEN_DECIMALS):f}"


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)  # exact: a float holds 1e15 with room to spare


@cache
def frame_schema(table: Table, record_class: type[Record]) -> dict[str, pl.DataType]:
    """The columns that both know, with their types; the same for every frame of a sync."""
    types = {column.name: column.type for column in table.columns}
    names = [column.name for column in columns_of(record_class) if column.name in types]
    return {name: POLARS_TYPES[types[name]] for name in names}


def _extra(record: Record) -> JsonText | None:
    found = record.extra
    return JsonText.of(found) if found else None


def unknown_fields(records: Iterable[Record]) -> set[str]:
    """The names of fields that no known version sends, over all records: schema drift."""
    found: set[str] = set()
    for record in records:
        found.update(record.extra)
    return found
