"""Which type a column has for all workspaces: one in which no value of theirs is changed."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

import duckdb

from dify_etl.shared_warehouse.copied_tables import CopiedTable
from dify_etl.shared_warehouse.engines import WORKSPACE, SharedWarehouse
from dify_etl.warehouse.published_copy import identifier

# What DuckDB says of a cast that there is not, or of a value that cannot be cast. Its messages
# quote values.
_NO_CAST = (duckdb.BinderException, duckdb.ConversionException, duckdb.NotImplementedException)


@dataclass(frozen=True)
class Misfit:
    """A column that has a type here in which values of others are lost, and there the other way."""

    table: str
    column: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return (
            f"{self.table}.{self.column} is {self.ours} in this home and {self.theirs} in what "
            "others published"
        )


def columns_to_change(
    warehouse: SharedWarehouse, workspace_id: str, table: CopiedTable, held: Mapping[str, str]
) -> "dict[str, bool] | Misfit":
    """The columns whose type there has to become that of the attached copy, and whether they keep
    their values (or nobody else has any); a Misfit when values of others and of the copy fit in
    neither type. `held` is what the shared warehouse has: columns and types, committed.
    """
    found: dict[str, bool] = {}
    for column, kind in table.columns.items():
        ours, theirs = warehouse.stored_type(kind), held.get(column)
        if theirs is None or theirs == ours:
            continue
        if _stay(warehouse, f"home.{table.sql}", column, ours, theirs):
            continue
        found[column] = _stay(warehouse, f"shared.{table.sql}", column, theirs, ours)
        if not found[column] and _others_have_some(warehouse, workspace_id, table, column):
            return Misfit(table.qualified, column, ours, theirs)
    return found


def _others_have_some(
    warehouse: SharedWarehouse, workspace_id: str, table: CopiedTable, column: str
) -> bool:
    asked = f"SELECT count({identifier(column)}) FROM shared.{table.sql} WHERE {WORKSPACE} <> ?"
    return bool(warehouse.value(asked, [workspace_id]))


def described(misfits: Iterable[Misfit]) -> str:
    """What is said of tables that were left out."""
    return "; ".join(map(str, misfits))


def _stay(warehouse: SharedWarehouse, source: str, column: str, one: str, other: str) -> bool:
    """Whether every value of a column, of type `one`, is the same after a cast to `other`."""
    name = identifier(column)
    there_and_back = f"TRY_CAST(TRY_CAST({name} AS {other}) AS {one})"
    asked = f"SELECT count(*) FROM {source} WHERE {there_and_back} IS DISTINCT FROM {name}"
    with closing(warehouse.connection.cursor()) as aside:  # an error would end a transaction
        try:
            lost = aside.execute(asked).fetchone()
        except _NO_CAST:
            return False
    return lost == (0,)
