"""A column is named, typed and described once: in its record."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from pydantic import Field

from dify_etl.dify.record import Id, Instant, JsonText, KeyRecord, Money, Record, optional
from dify_etl.raw.columns import EXTRA, columns_of


class Note(Record):
    """A record with every kind of field."""

    note_id: Id = Field(description="id of the note")
    title: str | None = optional(description="what it is called")
    is_open: bool | None = optional(description="whether it is open")
    size: int | None = optional(description="how long it is")
    score: float | None = optional(description="how good it is")
    written_at: Instant | None = optional(description="when it was written")
    day: date | None = optional(description="its day")
    price: Money | None = optional(description="what it cost")
    body: JsonText | None = optional(description="its text")
    children: tuple["Note", ...] = Field(default=(), description="notes below it")


class Secret(KeyRecord):
    """A record of which nothing unknown is kept."""

    secret_id: Id = Field(description="id of the secret")


def test_columns_follow_the_fields_of_the_record() -> None:
    """Names, order and types are those of the fields; lists of records are no columns."""
    assert [(column.name, column.type) for column in columns_of(Note)] == [
        ("note_id", "VARCHAR"),
        ("title", "VARCHAR"),
        ("is_open", "BOOLEAN"),
        ("size", "BIGINT"),
        ("score", "DOUBLE"),
        ("written_at", "TIMESTAMPTZ"),
        ("day", "DATE"),
        ("price", "DECIMAL(28, 10)"),
        ("body", "JSON"),
        ("extra", "JSON"),
    ]


def test_descriptions_become_comments() -> None:
    """Each column carries the sentence of its field."""
    found = {column.name: column.description for column in columns_of(Note)}
    assert found["note_id"] == "id of the note"
    assert found["extra"] == EXTRA.description


def test_record_of_secrets_has_no_column_for_the_rest() -> None:
    """Fields that no one knows could be secret: there is no place to put them."""
    assert [column.name for column in columns_of(Secret)] == ["secret_id"]


@pytest.mark.parametrize("kind", [str, bool, int, float, datetime, date, Decimal])
def test_every_plain_type_has_a_column_type(kind: type[object]) -> None:
    """No plain field is left out for want of a type."""
    field = (kind | None, Field(default=None, description="a value"))
    annotations = {"__annotations__": {"value": field[0]}, "value": field[1]}
    record = type("One", (Record,), {"__module__": __name__, **annotations})
    assert [column.name for column in columns_of(record)] == ["value", "extra"]
