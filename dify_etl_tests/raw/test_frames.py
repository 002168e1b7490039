"""Records become frames with the types of their table, also when there is none."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from dify_etl.dify.messages import Message
from dify_etl.dify.record import Record, parse
from dify_etl.raw.frames import records_frame, unknown_fields
from dify_etl.raw.tables import RAW_TABLES, raw_table
from dify_etl.warehouse.tables import POLARS_TYPES

MESSAGE: dict[str, Any] = {
    "id": "m1",
    "conversation_id": "c1",
    "query": "q",
    "answer": "a",
    "status": "normal",
    "from_source": "api",
    "created_at": 1_770_000_000,
    "metadata": {"usage": {"total_price": "0E-7", "total_tokens": 9}},
    "feedbacks": [{"rating": "like", "from_source": "user"}],
}


def messages(**changes: object) -> tuple[Message, ...]:
    """One message, as Dify sends it, with changes."""
    context = {"app_id": "a1"}
    batch = parse(Message, [MESSAGE | changes], endpoint="GET /test", context=context)
    assert batch.rejected == ()
    return batch.records


@pytest.mark.parametrize("name", RAW_TABLES)
def test_empty_list_makes_the_right_frame(name: str) -> None:
    """No record at all still gives every column with its type, for each kind of record."""
    raw = RAW_TABLES[name]
    for kind in raw.records:
        frame = records_frame(raw.table, kind, [])
        types = [POLARS_TYPES[raw.table.column(column).type] for column in frame.columns]
        assert frame.dtypes == types
        assert frame.is_empty()


def test_instants_keep_their_zone() -> None:
    """Epoch seconds become instants in UTC, to the microsecond."""
    frame = records_frame(raw_table("messages"), Message, messages())
    assert frame.schema["created_at"] == pl.Datetime("us", "UTC")
    assert frame["created_at"].to_list() == [datetime(2026, 2, 2, 2, 40, tzinfo=UTC)]


def test_prices_are_decimals() -> None:
    """The zero that Dify prints as 0E-7 is a number with ten decimals."""
    frame = records_frame(raw_table("messages"), Message, messages())
    assert frame.schema["total_price"] == pl.Decimal(28, 10)
    assert frame["total_price"].to_list()[0] == 0


def test_children_are_no_columns() -> None:
    """Feedbacks and the like have tables of their own."""
    frame = records_frame(raw_table("messages"), Message, messages())
    assert {"feedbacks", "citations", "message_files"} & set(frame.columns) == set()


def test_unknown_fields_are_json_in_extra() -> None:
    """What no version is known to send is kept as JSON; nothing unknown is null."""
    known = records_frame(raw_table("messages"), Message, messages())
    new = records_frame(raw_table("messages"), Message, messages(mood="好"))
    assert known["extra"].to_list() == [None]
    assert new["extra"].to_list() == ['{"mood":"好"}']


def test_unknown_fields_are_named() -> None:
    """Schema drift lists the names over all records."""
    records: list[Record] = [*messages(mood=1), *messages(tempo=2), *messages()]
    assert unknown_fields(records) == {"mood", "tempo"}
