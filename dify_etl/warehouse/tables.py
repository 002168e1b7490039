"""What a table is: its columns, key and comments, and the DDL that follows from them.

Only portable DDL: no PRIMARY KEY, UNIQUE, CHECK or sequences, so that the same statements run
when the warehouse is DuckLake. Uniqueness is an asset check.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

POLARS_TYPES: dict[str, pl.DataType] = {
    "VARCHAR": pl.String(),
    "JSON": pl.String(),
    "BIGINT": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "BOOLEAN": pl.Boolean(),
    "DATE": pl.Date(),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
    "DECIMAL(28, 10)": pl.Decimal(28, 10),
}


@dataclass(frozen=True)
class Column:
    """One column: DuckDB type, sentence for its comment, and how changes of it count.

    is_volatile: the server changes it on every read; stored, but no change of the row.
    keeps_last: a lookup of the server; null never overwrites a value.
    told_with: null once one of these columns is another one by a read that does not tell it.
    keeps_odd: a row that names it in `odd_fields` keeps the value that is held.
    is_signed: holds links whose signature changes on every read; compared without signatures.
    local_of: it is the local day or hour of this instant of the row.
    is_text: what people wrote, were answered or uploaded (DIFY_ETL_TEXT).
    is_person: names a person: name, e-mail address, session id (DIFY_ETL_PEOPLE).
    """

    name: str
    type: str
    description: str
    is_volatile: bool = False
    keeps_last: bool = False
    is_signed: bool = False
    keeps_odd: bool = False
    local_of: str | None = None
    told_with: tuple[str, ...] = ()
    is_text: bool = False
    is_person: bool = False


HISTORY = (
    Column("loaded_at", "TIMESTAMPTZ", "When this row was first loaded, UTC."),
    Column("changed_at", "TIMESTAMPTZ", "When a value of this row last changed here, UTC."),
    Column(
        *("absent_since", "TIMESTAMPTZ"),
        "When Dify was proven to have it no more, UTC; null: there.",
    ),
)


@dataclass(frozen=True)
class Table:
    """One table: its grain (a sentence), its key columns, its columns.

    keeps_history adds loaded_at, changed_at and absent_since, which `upsert` maintains. `owners`
    are columns of what a row is of for ever, as its app, of which its key says nothing: a row that
    comes with another owner is another row. It is the same one when it comes for the owner in its
    column `moves_to`. `listed_by` is the column of the object in which Dify lists the row, where
    that is not its app. `day_column` is the local day to which a row belongs, where rows are read
    by days. ValueError when any of these names no column.
    """

    schema: str
    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    keeps_history: bool = True
    owners: tuple[str, ...] = ()
    listed_by: str | None = None
    moves_to: str | None = None
    day_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse names of columns that the table does not have."""
        named = {*self.key, *self.owners, self.listed_by, self.moves_to, self.day_column}
        named |= {column.local_of for column in self.columns}
        if unknown := named - self.names - {None}:
            told = ", ".join(sorted(map(str, unknown)))
            raise ValueError(f"{self.qualified} has no column {told}")

    @property
    def qualified(self) -> str:
        """schema.name, as SQL wants it."""
        return f"{self.schema}.{self.name}"

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns with those that the warehouse keeps by itself."""
        return (*self.columns, *HISTORY) if self.keeps_history else self.columns

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        return self._by_name[name]

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of its columns."""
        return frozenset(column.name for column in self.columns)

    @cached_property
    def local_columns(self) -> tuple[Column, ...]:
        """The columns that are the local day or hour of an instant."""
        return tuple(column for column in self.columns if column.local_of is not None)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.all_columns}


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def create_statement(table: Table) -> str:
    """CREATE TABLE IF NOT EXISTS with every column; key columns carry no constraint."""
    columns = ",\n  ".join(f'"{column.name}" {column.type}' for column in table.all_columns)
    return f"CREATE TABLE IF NOT EXISTS {table.qualified} (\n  {columns}\n)"


def table_comment(table: Table) -> str:
    """The table's comment: its grain and its key."""
    return f"{table.grain} Key: {', '.join(table.key)}."


def frame(
    table: Table, rows: Iterable[Mapping[str, Any]], names: Iterable[str] = ()
) -> pl.DataFrame:
    """A frame with the table's types from rows that hold `names` (default: all its columns).

    An empty list makes the right table too; a value that a row lacks is null.
    """
    wanted = tuple(names) or tuple(column.name for column in table.columns)
    held = list(rows)
    schema = {name: POLARS_TYPES[table.column(name).type] for name in wanted}
    return pl.DataFrame({name: [row.get(name) for row in held] for name in wanted}, schema=schema)
