"""Columns from records: a column is named, typed and described once, in its record."""

import types
import typing
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

from pydantic.fields import FieldInfo

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Record, marks_of
from dify_etl.warehouse.tables import Column

DUCKDB_TYPES: dict[object, str] = {
    JsonText: "JSON",
    str: "VARCHAR",
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    datetime: "TIMESTAMPTZ",
    date: "DATE",
    Decimal: "DECIMAL(28, 10)",
}

EXTRA = Column(
    "extra", "JSON", "Fields that Dify sent and no known version has; null: none.", is_text=True
)
ODD_FIELDS = Column(
    "odd_fields",
    "VARCHAR",
    "Columns that keep the last good value, since Dify's last was odd, separated by commas; "
    "null: none.",
)


def columns_of(record_class: type[Record]) -> Iterator[Column]:
    """The columns of a record in the order of its fields, with the marks that stand there; lists of
    child records are no columns.
    """
    for name, field in record_class.model_fields.items():
        duckdb_type = DUCKDB_TYPES.get(plain_type(field))
        if duckdb_type is not None:
            yield Column(name, duckdb_type, field.description or "", **marks_of(field))
    if record_class.needs:
        yield ODD_FIELDS
    if record_class.model_config.get("extra") == "allow":
        yield EXTRA


def plain_type(field: FieldInfo) -> object:
    """The type behind `X | None` and `Annotated[X, …]`; enums of text count as text."""
    annotation: object = field.annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        inner = [one for one in typing.get_args(annotation) if one is not type(None)]
        annotation = inner[0] if len(inner) == 1 else None
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation
