"""A column is named, typed and described once: in its record."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import Field

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Id, Instant, KeyRecord, Money, Record, aliased, optional
from dify_etl.raw.columns import EXTRA, columns_of
from dify_etl.raw.tables import raw


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


class Marked(Record):
    """A record with a field of each mark."""

    note_id: Id = Field(description="id of the note")
    address: str | None = optional(description="its address", is_volatile=True)
    owner_name: str | None = optional("owner", description="its owner", keeps_last=True)
    files: JsonText | None = optional(description="its files", is_signed=True)


class Forgetful(Record):
    """A record of the same table without the mark."""

    owner_name: str | None = optional("owner", description="its owner")


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


def test_marks_of_a_field_are_those_of_its_column() -> None:
    """How changes of a column count stands where the column is named."""
    found = {one.name: one for one in columns_of(Marked)}
    assert [one.name for one in found.values() if one.is_volatile] == ["address"]
    assert [one.name for one in found.values() if one.keeps_last] == ["owner_name"]
    assert [one.name for one in found.values() if one.is_signed] == ["files"]


@pytest.mark.parametrize("make", [optional, aliased])
def test_misspelt_mark_is_refused(make: Callable[..., object]) -> None:
    """A mark that no column knows ends the import of the record, instead of marking nothing."""
    with pytest.raises(TypeError, match="keps_last"):
        make("name", description="name of the owner", keps_last=True)


def test_records_of_one_table_agree_about_a_column() -> None:
    """A mark that one of two records forgets would hang on which of them comes first."""
    with pytest.raises(ValueError, match="owner_name of Forgetful is another one"):
        raw("notes", "One row per note.", ("note_id",), (Marked, Forgetful), sources=())


@pytest.mark.parametrize("told", [{"clocks": ("creatd_at",)}, {"day_column": "creatd_date"}])
def test_name_that_is_no_column_is_refused(told: dict[str, Any]) -> None:
    """Day, owner and instants of a table are columns of it."""
    with pytest.raises(ValueError, match="has no column creatd"):
        raw("notes", "One row per note.", ("note_id",), (Marked,), sources=(), **told)


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
