"""No column of any raw table takes a secret in, whichever record brings it."""

import json
import typing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Record
from dify_etl.raw.columns import columns_of
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import RAW_TABLES, RawTable

CANARY = "c4n4ry-0001"
PLACES = [(raw, record) for raw in RAW_TABLES.values() for record in raw.records]
VALUES: dict[str, Any] = {
    "BIGINT": 1,
    "DOUBLE": 1.0,
    "BOOLEAN": True,
    "DATE": date(2026, 3, 1),
    "TIMESTAMPTZ": datetime(2026, 3, 1, tzinfo=UTC),
    "DECIMAL(28, 10)": Decimal(1),
    "VARCHAR": json.dumps({"form_token": CANARY, "kept": "c3rtain"}),
    "JSON": JsonText.of([{"backstage_input_url": CANARY, "kept": "c3rtain"}]),
}


def leaky(record_class: type[Record]) -> Record:
    """A record with a secret in every text and all JSON, in unknown fields too."""
    values = {column.name: VALUES[column.type] for column in columns_of(record_class)}
    for name in record_class.model_fields:
        values.setdefault(name, ())  # child records: rows of other tables
    unknown: dict[str, Any] = {"brand_new": {"access_token": CANARY, "kept": "c3rtain"}}
    values.pop("extra", None)
    return record_class.model_construct(**values, **unknown)


def named(place: object) -> str:
    return place.table.name if isinstance(place, RawTable) else typing.cast(type, place).__name__


@pytest.mark.parametrize(("raw", "record_class"), PLACES, ids=named)
def test_no_column_takes_a_secret_in(raw: RawTable, record_class: type[Record]) -> None:
    """Every text and JSON column, also of fields that are made tomorrow, and `extra`."""
    frame = records_frame(raw.table, record_class, [leaky(record_class)])

    wide = [
        name
        for name, kind in frame.schema.items()
        if kind == pl.String() and not name.endswith("_id") and frame[name][0] is not None
    ]
    assert wide
    for name in wide:
        assert CANARY not in frame[name][0]
        assert REMOVED in frame[name][0]
        assert "c3rtain" in frame[name][0]
