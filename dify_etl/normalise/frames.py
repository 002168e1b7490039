"""Records to Polars frames with the types of their table; an empty list makes the right frame."""

from collections.abc import Iterable, Sequence

import polars as pl

from dify_etl.dify.record import JsonText, Record
from dify_etl.normalise.columns import columns_of
from dify_etl.warehouse.tables import POLARS_TYPES, Table


def records_frame(
    table: Table, record_class: type[Record], records: Sequence[Record]
) -> pl.DataFrame:
    """A frame with the columns that this kind of record brings to `table`, one row per record."""
    wanted = {column.name for column in table.columns}
    names = [column.name for column in columns_of(record_class) if column.name in wanted]
    values = {name: _values(name, records) for name in names}
    schema = {name: POLARS_TYPES[table.column(name).type] for name in names}
    return pl.DataFrame(values, schema=schema)


def _values(name: str, records: Sequence[Record]) -> list[object]:
    if name == "extra":
        return [JsonText.of(record.extra) if record.extra else None for record in records]
    return [record.__dict__[name] for record in records]


def unknown_fields(records: Iterable[Record]) -> set[str]:
    """The names of fields that no known version sends, over all records: schema drift."""
    found: set[str] = set()
    for record in records:
        found.update(record.extra)
    return found
