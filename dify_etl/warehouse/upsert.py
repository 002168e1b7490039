"""Put a frame into a table by key, so that a second time changes nothing; mark what vanished."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from dify_etl.warehouse.database import Database, has_long_rows
from dify_etl.warehouse.tables import Column, Table, quoted

# What Dify appends to a link to let anybody read the file for a while; new on every read.
SIGNATURE = r"(timestamp|nonce|sign)=[A-Za-z0-9_=%.-]+"


@dataclass(frozen=True)
class Changes:
    """How many rows of a load were new, changed, unchanged; and how many were marked absent.

    Rows, by column, that were not loaded: those that are `foreign`, as their key is held for
    another owner, and those that a later row of the load has the key of and is not equal to
    (`overwritten`).
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    absent: int = 0
    foreign: tuple[Mapping[str, Any], ...] = ()
    overwritten: tuple[Mapping[str, Any], ...] = ()

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.new + other.new,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.absent + other.absent,
            self.foreign + other.foreign,
            self.overwritten + other.overwritten,
        )


def upsert(database: Database, table: Table, frame: pl.DataFrame, *, now: datetime) -> Changes:
    """Insert new rows, update changed ones, leave the rest; call it inside a transaction.

    `frame` holds the key and any of the table's columns; columns that it lacks keep their values,
    but for those that hold for other values of the columns they were told with. Of several rows
    with one key the last counts, and others that are not equal to it are told. A row that returns
    is absent no more. A row whose key is held for
    another owner is not loaded, but told. Volatile columns are stored but count as no change.
    Columns that a row names in `odd_fields` keep what is held.
    """
    if frame.is_empty():
        return Changes()
    foreign: tuple[Mapping[str, Any], ...] = ()
    overwritten: tuple[Mapping[str, Any], ...] = ()
    if frame.height > 1 and frame.select(table.key).n_unique() < frame.height:
        frame, foreign = _of_one_owner_each(table, frame)
        overwritten = _overwritten(table, frame)
        frame = frame.unique(list(table.key), keep="last")
    if database.is_empty(table):  # there is nothing to compare with
        moments = ("loaded_at", "changed_at") if table.keeps_history else ()
        database.append(table, frame, **dict.fromkeys(moments, _moment(now)))
        return Changes(frame.height, foreign=foreign, overwritten=overwritten)
    database.stage("_incoming", frame, table)
    columns = [table.column(name) for name in frame.columns if name not in table.key]
    if "odd_fields" in frame.columns and frame["odd_fields"].null_count() < frame.height:
        columns = [replace(column, keeps_odd=True) for column in columns]
    columns = [_with_columns_read(table, one, frame.columns) for one in columns]
    held = _find_held(database, table)
    received = frame.height
    actions = _compare(database, table, columns) if held else {}
    if actions.get("changed") or actions.get("volatile"):
        _update(database, table, columns, now, is_long=has_long_rows(frame))
    if held < received:
        _insert(database, table, columns, now=now, is_all=not held)
    if actions.get("foreign"):
        others = database.frame("SELECT * FROM _actions WHERE _action = 'foreign'")
        foreign += _once(table, others.drop("_action"))
    changed = actions.get("changed", 0)
    return Changes(
        received - held, changed, held - changed, foreign=foreign, overwritten=overwritten
    )


def _of_one_owner_each(
    table: Table, frame: pl.DataFrame
) -> tuple[pl.DataFrame, tuple[Mapping[str, Any], ...]]:
    """The rows without those whose key an earlier row of another owner has; these, too."""
    owners = [one for one in table.owners if one in frame.columns]
    if not owners:
        return frame, ()
    is_other = pl.any_horizontal(
        (pl.col(name) != pl.col(name).first().over(list(table.key))).fill_null(False)
        for name in owners
    )
    return frame.filter(~is_other), _once(table, frame.filter(is_other))


def _overwritten(table: Table, frame: pl.DataFrame) -> tuple[Mapping[str, Any], ...]:
    """Rows that differ from the last one of their key, by more than what moves by itself."""
    counted = [name for name in frame.columns if not table.column(name).is_volatile]
    different = frame.unique(counted, keep="last", maintain_order=True)
    is_last = pl.struct(list(table.key)).is_last_distinct()
    return tuple(different.filter(~is_last).iter_rows(named=True))


def _once(table: Table, rows: pl.DataFrame) -> tuple[Mapping[str, Any], ...]:
    return tuple(rows.unique(list(table.key), maintain_order=True).iter_rows(named=True))


def _is_foreign(table: Table, names: Collection[str]) -> str:
    """SQL over the held row t and the new row s: another owner has the key; empty without owners.

    `names` are the columns that the new row tells.
    """
    found = []
    for owner in (one for one in table.owners if one in names):
        sql = f't."{owner}" <> s."{owner}"'
        if table.moves_to is not None:
            sql += f' AND s."{owner}" IS DISTINCT FROM t."{table.moves_to}"'
            if table.moves_to in names:
                sql += f' AND t."{owner}" IS DISTINCT FROM s."{table.moves_to}"'
        found.append(f"({sql})")
    return " OR ".join(found)


def _find_held(database: Database, table: Table) -> int:
    """Find the incoming rows that are held already, by key alone: wide columns are not touched."""
    key = ", ".join(f's."{name}"' for name in table.key)
    made = database.value(
        f"""CREATE OR REPLACE TEMP TABLE _held AS
        SELECT {key}, t.rowid AS _row
        FROM _incoming s JOIN {table.qualified} t ON {_same_key(table)}"""
    )
    return int(made)


def _compare(database: Database, table: Table, columns: list[Column]) -> dict[str, int]:
    """Say per held row that differs whether it is changed or volatile; count each.

    Unchanged rows, nearly all of most nights, are neither copied nor asked about again.
    """
    counted = [_differs(column) for column in columns if not column.is_volatile]
    if table.keeps_history:
        counted.append("t.absent_since IS NOT NULL")
    volatile = [_differs(column) for column in columns if column.is_volatile]
    is_other = _is_foreign(table, [column.name for column in columns])
    foreign = f"WHEN t.absent_since IS NULL AND ({is_other}) THEN 'foreign'" if is_other else ""
    different = database.value(
        f"""CREATE OR REPLACE TEMP TABLE _actions AS
        SELECT * FROM (SELECT s.*, CASE {foreign}
            WHEN {" OR ".join(counted) or "false"} THEN 'changed'
            WHEN {" OR ".join(volatile) or "false"} THEN 'volatile' END AS _action
        FROM {table.qualified} t JOIN _held h ON t.rowid = h._row JOIN _incoming s
            ON {_same_key(table, "h")}) WHERE _action IS NOT NULL"""
    )
    if not different or not (volatile or foreign):
        return {"changed": int(different)}
    return dict(database.rows("SELECT _action, count(*) FROM _actions GROUP BY 1"))


def _update(
    database: Database, table: Table, columns: list[Column], now: datetime, *, is_long: bool
) -> None:
    """Apply what `_actions` says of held rows."""
    values = {column.name: _incoming(column) for column in columns} | _outdated(table, columns)
    if table.keeps_history:
        values |= {"changed_at": _moment(now), "absent_since": "NULL"}
    volatile = {column.name: _incoming(column) for column in columns if column.is_volatile}
    assigned = {"volatile": volatile} if volatile else {}
    if is_long:
        _write_anew(database, table, values)
    else:
        assigned = {"changed": values} | assigned
    clauses = [
        f"WHEN MATCHED AND s._action = '{action}' THEN UPDATE SET "
        + ", ".join(f'"{name}" = {value}' for name, value in found.items())
        for action, found in assigned.items()
    ]
    if clauses:
        database.execute(
            f"""MERGE INTO {table.qualified} t
            USING _actions s
            ON {_same_key(table)} {" ".join(clauses)}"""
        )


def _write_anew(database: Database, table: Table, values: Mapping[str, str]) -> None:
    """Take the changed rows out and put them, with these values, behind the others.

    An update in place makes the next checkpoint write the columns of all 122,880 rows of their row
    group anew: of long texts that is gigabytes, for a commit of some megabytes.
    """
    replaced = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
    of_changed = f"""_held h JOIN _actions s ON {_same_key(table, "h")}
        WHERE s._action = 'changed'"""
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _rewritten AS SELECT t.* REPLACE ({replaced})
        FROM {table.qualified} t JOIN (SELECT s.*, h._row FROM {of_changed}) s
            ON t.rowid = s._row"""
    )
    # That they are taken out is told by what they come back with: another changed_at.
    database.execute(
        f"DELETE FROM {table.qualified} WHERE rowid IN (SELECT h._row FROM {of_changed})",
        is_told=True,
    )
    database.execute(f"INSERT INTO {table.qualified} BY NAME SELECT * FROM _rewritten")


def _outdated(table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """Values that empty columns which the new row s does not tell, where it is other than the held
    row t in the columns that these were told with.
    """
    told = {column.name: column for column in columns}
    values = {}
    for column in table.columns:
        others = [_differs(told[name]) for name in column.told_with if name in told]
        if others and column.name not in told:
            is_other = " OR ".join(others)
            values[column.name] = f"""CASE WHEN {is_other} THEN NULL ELSE t."{column.name}" END"""
    return values


def _insert(
    database: Database, table: Table, columns: list[Column], *, now: datetime, is_all: bool
) -> None:
    """Insert the incoming rows that are not held."""
    names = [*table.key, *(column.name for column in columns)]
    values = [f's."{name}"' for name in names]
    if table.keeps_history:
        names += ["loaded_at", "changed_at"]
        values += [_moment(now), _moment(now)]
    missing = (
        "" if is_all else f"WHERE NOT EXISTS (SELECT 1 FROM _held h WHERE {_same_key(table, 'h')})"
    )
    into = ", ".join(f'"{name}"' for name in names)
    database.execute(
        f"INSERT INTO {table.qualified} ({into}) "
        f"SELECT {', '.join(values)} FROM _incoming s {missing}"
    )


def put(database: Database, table: Table, frame: pl.DataFrame) -> None:
    """Write rows over those of their keys, in one statement; call it inside a transaction.

    For tables without history, where nobody asks what changed: `upsert` compares first, so that a
    row which came as it was is not written. Columns that `frame` lacks keep their values.
    """
    if frame.is_empty():
        return
    columns = [table.column(name) for name in frame.columns if name not in table.key]
    updates = ", ".join(f'"{column.name}" = {_incoming(column)}' for column in columns)
    names = ", ".join(f'"{name}"' for name in frame.columns)
    values = ", ".join(f's."{name}"' for name in frame.columns)
    database.merge(
        table,
        frame.unique(list(table.key), keep="last"),
        f"""ON {_same_key(table)}
        WHEN MATCHED THEN UPDATE SET {updates}
        WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})""",
    )


def mark_absent(
    database: Database,
    table: Table,
    *,
    scope: str,
    present: pl.DataFrame,
    now: datetime,
    confirm: Callable[[], None] = lambda: None,
) -> Changes:
    """Mark the rows within `scope` (SQL over `t`) whose key is not in `present` as absent.

    Call it only for a scope that was proven to be read whole. `present` holds the key columns.
    `confirm` is called before any row is marked; it raises to prevent it.
    """
    database.stage("_present", present.select(table.key), table)
    condition = f"""t.absent_since IS NULL AND ({scope}) AND NOT EXISTS (
        SELECT 1 FROM _present s WHERE {_same_key(table)})"""
    count = database.value(f"SELECT count(*) FROM {table.qualified} t WHERE {condition}")
    if count:
        confirm()
        database.execute(
            f"UPDATE {table.qualified} t SET absent_since = {_moment(now)} WHERE {condition}"
        )
    return Changes(absent=count)


def _moment(now: datetime) -> str:
    return f"TIMESTAMPTZ '{now.isoformat()}'"


def _same_key(table: Table, side: str = "t") -> str:
    """Whether a row of `side` and one of `s` have the same key; null equals null."""
    return " AND ".join(f'{side}."{name}" IS NOT DISTINCT FROM s."{name}"' for name in table.key)


@dataclass(frozen=True)
class _OddFields(Column):
    """The column `odd_fields` of rows that tell nothing of the columns `others`."""

    others: tuple[str, ...] = ()


def _with_columns_read(table: Table, column: Column, told: Sequence[str]) -> Column:
    if column.name != "odd_fields":
        return column
    others = tuple(sorted(table.names.difference(told)))
    return _OddFields(column.name, column.type, column.description, others=others)


def _incoming(column: Column) -> str:
    """The value to store: a lookup that found nothing keeps what is held."""
    name = f'"{column.name}"'
    if isinstance(column, _OddFields):
        # A row has several sources, as a list and a detail: each speaks of its own columns.
        others = ", ".join(quoted(one) for one in column.others) or "NULL"
        both = f"""list_concat(
            list_filter(string_split(t.{name}, ','), lambda x: x IN ({others})),
            list_filter(string_split(coalesce(s.{name}, ''), ','), lambda x: x <> ''))"""
        joined = f"array_to_string(list_sort(list_distinct({both})), ',')"
        return f"CASE WHEN t.{name} IS NULL THEN s.{name} ELSE nullif({joined}, '') END"
    if column.keeps_odd and column.name != "odd_fields":
        field = column.local_of or column.name  # a local day is kept where its instant is
        is_odd = f"list_contains(string_split(coalesce(s.odd_fields, ''), ','), '{field}')"
        good = _incoming(replace(column, keeps_odd=False))
        return f"CASE WHEN {is_odd} THEN t.{name} ELSE {good} END"
    return f"coalesce(s.{name}, t.{name})" if column.keeps_last else f"s.{name}"


def _differs(column: Column) -> str:
    held, new = f't."{column.name}"', _incoming(column)
    if not column.is_signed:
        return f"{held} IS DISTINCT FROM {new}"
    plain = [f"regexp_replace({text}::VARCHAR, '{SIGNATURE}', '', 'g')" for text in (held, new)]
    return f"""CASE WHEN {held} IS NOT DISTINCT FROM {new} THEN false
        ELSE {plain[0]} IS DISTINCT FROM {plain[1]} END"""
