"""The tables of a published copy that the shared warehouse gets: columns, partitions, digests."""

import hashlib
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from string import ascii_lowercase, ascii_uppercase

from dify_etl.shared_warehouse.engines import WORKSPACE, SharedWarehouse
from dify_etl.warehouse.published_copy import identifier
from dify_etl.warehouse.tables import quoted

SCHEMAS = ("raw", "ops", "staging", "marts")
# Views of few rows without long texts that say what the ids of raw and marts mean. Other views
# would hold the texts of raw tables a second time.
VIEWS = ("stg_apps", "stg_datasets", "stg_documents", "stg_members")
MONTH_OF_NO_DAY = date(1, 1, 1)
NO_MONTH = f"DATE '{MONTH_OF_NO_DAY}'"
# What is before, after or infinite is no day of which a month could be told.
_FIRST_DAY, _LAST_DAY = "DATE '0001-01-01'", "DATE '9999-12-31'"
# By what rows are sorted within an app, where a table has it.
_TIMES = ("created_at", "message_created_at", "started_at", "read_at")

_TEXTS = ("VARCHAR", "JSON")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_NARROW = (
    *("BOOLEAN", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "DATE", "TIME", "TIMESTAMP"),
    "TIMESTAMP WITH TIME ZONE",
)


@dataclass(frozen=True)
class CopiedTable:
    """A table, or a view that is kept as one: its columns but workspace_id by name and type, and
    its comments (its own under "").
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    comments: Mapping[str, str]

    @property
    def qualified(self) -> str:
        """schema.name, for people and for the table of digests."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The same, as SQL wants it."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def day(self) -> str | None:
        """The local day by whose month rows lie in partitions; None: the table is one partition."""
        days = [name for name, kind in self.columns.items() if kind == "DATE"]
        return days[0] if days and "app_id" in self.columns else None

    @property
    def partition(self) -> tuple[str, str]:
        """App and month of a row `t`, as SQL."""
        if self.day is None:
            return "''", NO_MONTH
        day = f"t.{identifier(self.day)}"
        month = f"make_date(year({day}), month({day}), 1)"
        known = f"CASE WHEN {day} BETWEEN {_FIRST_DAY} AND {_LAST_DAY} THEN {month} END"
        return "coalesce(t.app_id, '')", f"coalesce({known}, {NO_MONTH})"

    def within(self, first: date | None, last: date | None) -> str:
        """Rows `t` of these months, as SQL; without, those of no day. Said of the column itself and
        with plain dates, so that no block and no file of other months is read.
        """
        if self.day is None:
            return "true"
        day = f"t.{identifier(self.day)}"
        if first is None or last is None:
            return f"({day} IS NULL OR {day} < {_FIRST_DAY} OR {day} > {_LAST_DAY})"
        last_day = last.replace(day=monthrange(last.year, last.month)[1])
        return f"{day} >= DATE '{first}' AND {day} <= DATE '{last_day}'"

    @property
    def order(self) -> str:
        """By what its rows `t` are sorted on their way."""
        times = [one for one in _TIMES if one in self.columns][:1]
        names = [*(["app_id"] if "app_id" in self.columns else []), *times]
        names += [self.day] if self.day and not times else []
        return ", ".join(f"t.{identifier(name)}" for name in names)

    def values(self, types: Mapping[str, str]) -> str:
        """Its columns of a row `t`, as SQL, with the types that the shared warehouse has."""
        return ", ".join(
            f"t.{identifier(name)}"
            if types.get(name, kind) == kind
            else f"CAST(t.{identifier(name)} AS {types[name]})"
            for name, kind in self.columns.items()
        )

    @property
    def bytes(self) -> str:
        """About how many bytes the values of rows `t` have, as SQL."""
        widths = ["8 * count(*)" for kind in self.columns.values() if kind in _NARROW]
        for name, kind in self.columns.items():
            if kind not in _NARROW:
                text = f"t.{identifier(name)}"
                text = text if kind in _TEXTS else f"CAST({text} AS VARCHAR)"
                widths.append(f"coalesce(sum(strlen({text})), 0)")
        return f"({' + '.join(widths)})::BIGINT"

    def digest(self, types: Mapping[str, str] | None = None) -> str:
        """Digest of rows `t` in any order, as SQL: names and types of columns, and all values."""
        named = hashlib.sha256(repr(list(self.columns.items())).encode()).hexdigest()[:12]
        hashed = f"hash({self.values(types or {})})"
        return f"'{named} ' || sum({hashed}) || ' ' || bit_xor({hashed})"


def compared_rows(
    warehouse: SharedWarehouse, workspace_id: str, table: CopiedTable, held: Mapping[str, str]
) -> tuple[int, int, bool]:
    """Rows of a table in the attached copy, those of the workspace in the shared warehouse, and
    whether every value of them is equal. Columns that the copy has no more are null there.
    """
    asked = f"SELECT count(*), coalesce({table.digest(held)}, '')"
    ((rows, digest),) = warehouse.rows(f"{asked} FROM home.{table.sql} t")
    ((there, other),) = warehouse.rows(
        f"{asked} FROM shared.{table.sql} t WHERE workspace_id = ?", [workspace_id]
    )
    return int(rows), int(there), (rows, digest) == (there, other)


def tables_of_copy(warehouse: SharedWarehouse) -> list[CopiedTable]:
    """The tables of the attached copy, by schema and name."""
    views = ", ".join(quoted(one) for one in VIEWS)
    schemas = ", ".join(quoted(one) for one in SCHEMAS)
    rows = warehouse.rows(
        f"""SELECT schema_name, table_name, column_name, data_type, comment
        FROM duckdb_columns() WHERE database_name = 'home' AND schema_name IN ({schemas})
            AND (schema_name, table_name) IN (
                SELECT (schema_name, table_name) FROM duckdb_tables() WHERE database_name = 'home'
                UNION ALL SELECT (schema_name, view_name) FROM duckdb_views()
                WHERE database_name = 'home' AND schema_name = 'staging' AND view_name IN ({views}))
        ORDER BY schema_name, table_name, column_index"""
    )
    told = {
        (schema, name): comment
        for schema, name, comment in warehouse.rows(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() "
            "WHERE database_name = 'home' UNION ALL "
            "SELECT schema_name, view_name, comment FROM duckdb_views() "
            "WHERE database_name = 'home'"
        )
    }
    return list(_gathered(rows, told))


def _gathered(
    rows: Iterable[tuple[str, str, str, str, str | None]],
    told: Mapping[tuple[str, str], str | None],
) -> Iterable[CopiedTable]:
    columns: dict[tuple[str, str], dict[str, str]] = {}
    comments: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind, comment in rows:
        of_table = columns.setdefault((schema, table), {})
        said = comments.setdefault((schema, table), {"": told.get((schema, table)) or ""})
        if folded(column) != WORKSPACE:
            of_table[column] = kind
            said[column] = comment or ""
    for key, of_table in columns.items():
        yield CopiedTable(*key, of_table, {name: one for name, one in comments[key].items() if one})


def folded(name: str) -> str:
    """A name as DuckDB tells names apart: A to Z are a to z, other letters are as they are."""
    return name.translate(_LOWER)


def spelled_as_held(
    tables: Iterable[CopiedTable], held: Mapping[str, Mapping[str, str]]
) -> list[CopiedTable]:
    """The same, with names of tables and columns as the shared warehouse spells them (`held`:
    columns by schema.name): to DuckDB `Total` and `total` are one.
    """
    names = {folded(name): name for name in held}
    found = []
    for one in tables:
        spelled = names.get(folded(one.qualified), one.qualified)
        columns = {folded(name): name for name in held.get(spelled, ())}
        of_table = {name: columns.get(folded(name), name) for name in one.columns}
        schema, _, bare = spelled.partition(".")
        said = {of_table.get(name, name): comment for name, comment in one.comments.items()}
        kinds = {of_table[name]: kind for name, kind in one.columns.items()}
        found.append(CopiedTable(schema, bare, kinds, said))
    return found


def shared_columns(warehouse: SharedWarehouse) -> dict[str, dict[str, str]]:
    """What the shared warehouse has: columns and types by schema.name."""
    held: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in warehouse.rows(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = 'shared' ORDER BY schema_name, table_name, column_index"
    ):
        held.setdefault(f"{schema}.{table}", {})[column] = kind
    return held
