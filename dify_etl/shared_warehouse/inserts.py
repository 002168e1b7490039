"""Insert the partitions of a table into the shared warehouse, so many at a time as fit in memory.

A lake's writer keeps the rows of every partition that it writes until the statement ends, whatever
bound DuckDB has: one INSERT of ten million messages takes several gigabytes. So each statement
takes some partitions, and a partition that is too large alone goes in parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from dify_etl.shared_warehouse.copied_tables import NO_MONTH, CopiedTable
from dify_etl.shared_warehouse.engines import WORKSPACE, SharedWarehouse
from dify_etl.warehouse.published_copy import identifier
from dify_etl.warehouse.tables import quoted

# Bytes of values in a statement. On their way into a lake they take a few times as much memory.
# What is sorted for a file spills, and small statements would leave row groups half full there.
LAKE_BYTES, FILE_BYTES = 200_000_000, 2_000_000_000


@dataclass(frozen=True)
class _Statement:
    """Some partitions of a table: how many bytes their values have, and the first and last month;
    None where one of them has no month.
    """

    number: int
    bytes: int
    first: date | None
    last: date | None


def insert_differing(
    warehouse: SharedWarehouse, workspace_id: str, table: CopiedTable, types: Mapping[str, str]
) -> int:
    """Insert the partitions of the attached copy that the temporary table `_differing` names for
    this table; answers how many rows. `types` are those of the columns there.
    """
    names = ", ".join(identifier(name) for name in (WORKSPACE, *table.columns))
    order = f" ORDER BY {table.order}" if table.order else ""
    rows = 0
    most = LAKE_BYTES if warehouse.is_lake else FILE_BYTES
    for statement in _statements(warehouse, table, most):
        for chosen in _parts(table, statement, most):
            inserted = warehouse.value(
                f"INSERT INTO shared.{table.sql} ({names}) SELECT ?, {table.values(types)} "
                f"FROM home.{table.sql} t WHERE {chosen}{order}",
                [workspace_id],
            )
            rows += int(inserted or 0)
    return rows


def _statements(warehouse: SharedWarehouse, table: CopiedTable, most: int) -> list[_Statement]:
    """The partitions by month and app, gathered until they have the most bytes of a statement: in
    the temporary table `_statement`.
    """
    warehouse.execute(
        f"""CREATE OR REPLACE TEMP TABLE _statement AS
        SELECT app_id, month, bytes, CAST((sum(bytes) OVER (ORDER BY month, app_id) - bytes)
            // {most} AS BIGINT) AS number
        FROM _differing WHERE table_name = {quoted(table.qualified)} AND bytes IS NOT NULL"""
    )
    found = warehouse.rows(
        f"""SELECT number, sum(bytes)::BIGINT, min(month), max(month), min(month) = {NO_MONTH}
        FROM _statement GROUP BY 1 ORDER BY 1"""
    )
    return [
        _Statement(number, size, None if has_none else first, None if has_none else last)
        for number, size, first, last, has_none in found
    ]


def _parts(table: CopiedTable, statement: _Statement, most: int) -> Iterator[str]:
    """SQL over rows t of the copy: those of a statement, in as many parts as it needs."""
    app, month = table.partition
    chosen = (
        f"({app}, {month}) IN (SELECT app_id, month FROM _statement "
        f"WHERE number = {statement.number})"
    )
    if statement.first is not None:
        chosen += f" AND {table.within(statement.first, statement.last)}"
    count = -(-statement.bytes // (2 * most))
    if count <= 1:
        yield chosen
        return
    for part in range(count):
        yield f"{chosen} AND hash(t) % {count} = {part}"
