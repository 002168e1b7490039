"""Bring a home's published copy into the shared warehouse: what differs, in one transaction.

Each table lies in partitions (app and month, where it has both; else it is one). The shared
warehouse keeps a digest of each partition as it was published; only those whose digest is another
one now are deleted and inserted anew. Whoever was cut off says it once more.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from dify_etl.shared_warehouse.column_types import Misfit, columns_to_change, described
from dify_etl.shared_warehouse.copied_tables import (
    MONTH_OF_NO_DAY,
    SCHEMAS,
    CopiedTable,
    compared_rows,
    folded,
    shared_columns,
    spelled_as_held,
    tables_of_copy,
)
from dify_etl.shared_warehouse.engines import (
    MAX_TRIES,
    WORKSPACE,
    SharedWarehouse,
    attach_copy,
    delete_left_files,
    opened,
    purge,
    write_catalog_anew,
)
from dify_etl.shared_warehouse.errors import SharedTableRefused, SharedWarehouseRefused
from dify_etl.shared_warehouse.inserts import insert_differing
from dify_etl.shared_warehouse.lake_files import lake_files, let_go, require_files
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.upkeep_lock import upkeep_lock
from dify_etl.warehouse.errors import NothingPublished
from dify_etl.warehouse.published_copy import identifier
from dify_etl.warehouse.tables import Column, Table, quoted, table_comment

PUBLICATIONS = Table(
    "ops",
    "publications",
    "One row per publication of a workspace into this shared warehouse.",
    ("publication_id",),
    (
        Column("workspace_id", "VARCHAR", "The workspace."),
        Column("publication_id", "VARCHAR", "The publication; the extra info of its snapshot."),
        Column("published_at", "TIMESTAMPTZ", "When it was written, UTC."),
        Column("run_id", "VARCHAR", "The run that asked for it."),
        Column("through_date", "DATE", "The last local day that the workspace's rows cover."),
        Column("partitions", "BIGINT", "How many partitions were replaced."),
        Column("rows", "BIGINT", "How many rows were inserted."),
    ),
    keeps_history=False,
)
# Not a column of the publications: homes of older releases write those without names of columns.
PUBLISHING_HOMES = Table(
    "ops",
    "publishing_homes",
    "One row per workspace: the home that publishes it.",
    ("workspace_id",),
    (
        Column("workspace_id", "VARCHAR", "The workspace."),
        Column("home_id", "VARCHAR", "The home, by the id in its folder."),
        Column("since_at", "TIMESTAMPTZ", "When it published for the first time, UTC."),
    ),
    keeps_history=False,
)
PUBLISHED_PARTITIONS = Table(
    "ops",
    "published_partitions",
    "One row per workspace, table, app and month: what was published last.",
    ("workspace_id", "table_name", "app_id", "month"),
    (
        Column("workspace_id", "VARCHAR", "The workspace."),
        Column("table_name", "VARCHAR", "The table, such as raw.messages."),
        Column("app_id", "VARCHAR", "Id of the app; empty: none, or the table has none."),
        Column("month", "DATE", "First day of the month; 0001-01-01: no day, or no such column."),
        Column("rows", "BIGINT", "How many rows it has."),
        Column("digest", "VARCHAR", "Digest of these rows by DuckDB's hash."),
        Column("duckdb_version", "VARCHAR", "The DuckDB that took it: hashes may change with it."),
    ),
    keeps_history=False,
)
OWN_TABLES = (PUBLICATIONS, PUBLISHING_HOMES, PUBLISHED_PARTITIONS)
_OURS = "workspace_id = ?"
_WORKSPACES = """CREATE OR REPLACE VIEW shared.staging.stg_workspaces AS
SELECT workspace_id, workspace_name, server_origin, timezone, server_version, role
FROM ops.source"""


@dataclass(frozen=True)
class Publication:
    """What was brought: partitions replaced and rows inserted, of so many tables; and tables that
    were left out, which have the names of others' tables and are other ones.
    """

    workspace_id: str
    publication_id: str
    tables: int
    partitions: int
    rows: int
    left_out: tuple[Misfit, ...] = ()


@dataclass(frozen=True)
class Workspace:
    """Whose rows a copy holds."""

    workspace_id: str
    server_origin: str
    through: date | None
    home_id: str | None = None


def publish_shared(
    place: SharedPlace,
    copy: Path,
    *,
    run_id: str,
    is_purged: bool = False,
    is_compared: bool = False,
    home_id: str | None = None,
    takes_over: bool = False,
) -> Publication:
    """Make the workspace's rows in the shared warehouse those of the copy. With `is_purged` nothing
    is kept of what they were before: no snapshot, no file, no free block. With `is_compared` rows
    that somebody changed or deleted there are found as well: all values are read, digests not
    believed; and a lake lets go of data files of the workspace that are gone. Call it under the
    home's lock: of two copies of a workspace the later call would win, not the newer copy.

    `home_id` tells the home from others of the same workspace, of which only the one that published
    last may publish again, unless this one `takes_over`.

    SharedTableRefused: all is published but the tables that it names, of which the last rows stay
    (with `is_purged`: none). SharedWarehouseBusy, SharedWarehouseUnavailable,
    SharedWarehouseRefused, SharedFilesLost: it is as it was before. NothingPublished: the copy is
    missing.
    """
    require_copy(copy)
    if is_compared:
        _let_go_of_lost_of(place, copy)
    with ExitStack() as stack:
        if is_purged:
            stack.enter_context(upkeep_lock(place))
        with opened(place, is_anew=is_purged) as warehouse:
            done = publish_into(
                warehouse,
                copy,
                run_id=run_id,
                is_compared=is_compared,
                is_purged=is_purged,
                home_id=home_id,
                takes_over=takes_over,
            )
            if is_purged:
                purge(warehouse)
                delete_left_files(warehouse, done.workspace_id)
        if is_purged:
            write_catalog_anew(place)
    if done.left_out:
        raise SharedTableRefused(
            f"{described(done.left_out)}, and neither type holds the values of both; all other "
            "tables are published",
            where=place.name,
            hint="Give the model of one of the homes another name (DIFY_ETL_SQL), then run "
            "`dify-etl sync` there.",
        )
    return done


def require_copy(copy: Path) -> None:
    """NothingPublished when there is no copy."""
    if not copy.exists():
        raise NothingPublished(
            "no sync has published a copy yet",
            where=str(copy),
            hint="There is nothing to bring to the shared warehouse: run `dify-etl sync`.",
        )


def publish_into(
    warehouse: SharedWarehouse,
    copy: Path,
    *,
    run_id: str,
    is_compared: bool = False,
    is_purged: bool = False,
    home_id: str | None = None,
    takes_over: bool = False,
) -> Publication:
    """The same into an open warehouse, before what a purge takes out; tables that are left out are
    in the answer.
    """
    attach_copy(warehouse, copy)
    try:
        workspace = replace(workspace_of_copy(warehouse, copy), home_id=home_id)
        require_files(warehouse, workspace.workspace_id, is_cheap=True)
        tables = tables_of_copy(warehouse)
        for _ in range(MAX_TRIES):
            fitting = _fitting(warehouse, workspace, tables)
            _measure(warehouse, [one for one, _ in fitting.tables])
            with suppress(_TypesMoved):
                return _published(
                    warehouse,
                    workspace,
                    fitting,
                    run_id,
                    kept=() if is_purged else [one.table for one in fitting.misfits],
                    is_compared=is_compared,
                    takes_over=takes_over,
                )
    except duckdb.Error as error:
        raise warehouse.clear(error) from None
    raise warehouse.busy()


class _TypesMoved(Exception):
    """Another writer made or changed tables since it was looked which values fit in them."""


@dataclass(frozen=True)
class _Fitting:
    """The tables that can be published, each with its columns whose type changes there (see
    `columns_to_change`); why others cannot; and the tables that were there when this was found.
    """

    tables: list[tuple[CopiedTable, dict[str, bool]]]
    misfits: tuple[Misfit, ...]
    held: Mapping[str, dict[str, str]]

    def still_held(self, warehouse: SharedWarehouse) -> Mapping[str, dict[str, str]]:
        """The tables that are there now; _TypesMoved when those to be published are others."""
        held = shared_columns(warehouse)
        names = [one.qualified for one, _ in self.tables]
        if any(held.get(name) != self.held.get(name) for name in names):
            raise _TypesMoved
        # Another one may have made a table meanwhile whose name differs in case alone.
        if {folded(name) for name in names if name not in held} & {folded(name) for name in held}:
            raise _TypesMoved
        return held


def _published(
    warehouse: SharedWarehouse,
    workspace: Workspace,
    fitting: _Fitting,
    run_id: str,
    *,
    kept: Collection[str],
    is_compared: bool,
    takes_over: bool,
) -> Publication:
    publication_id = str(uuid.uuid4())
    done = warehouse.transaction(
        lambda: _publish(
            warehouse,
            workspace,
            fitting,
            publication_id,
            run_id,
            kept,
            is_compared=is_compared,
            takes_over=takes_over,
        ),
        message=f"workspace {workspace.workspace_id}, publication {publication_id}",
        mark=publication_id,
    )
    return replace(done, left_out=fitting.misfits)


def _fitting(
    warehouse: SharedWarehouse, workspace: Workspace, tables: Sequence[CopiedTable]
) -> _Fitting:
    # Before the transaction: a value that cannot be cast would end it.
    held = shared_columns(warehouse)
    found, misfits = [], []
    for one in spelled_as_held(tables, held):
        there = held.get(one.qualified, {})
        changed = columns_to_change(warehouse, workspace.workspace_id, one, there)
        if isinstance(changed, Misfit):
            misfits.append(changed)
        else:
            found.append((one, changed))
    return _Fitting(found, tuple(misfits), held)


def workspace_of_copy(warehouse: SharedWarehouse, copy: Path) -> Workspace:
    """The workspace that the attached copy belongs to. NothingPublished: no run has told it."""
    rows = warehouse.rows(
        "SELECT workspace_id, server_origin, (SELECT max(through_date) FROM home.ops.published) "
        "FROM home.ops.source"
    )
    if not rows or rows[0][0] is None:
        raise NothingPublished(
            "the published copy does not say of which workspace it is",
            where=str(copy),
            hint="`dify-etl sync` makes it anew.",
        )
    return Workspace(str(rows[0][0]), str(rows[0][1]), rows[0][2])


def _measure(warehouse: SharedWarehouse, tables: Sequence[CopiedTable]) -> None:
    """Rows, bytes of their values and digest of each partition of the copy, in the temporary table
    `_partitions`.
    """
    warehouse.execute(
        "CREATE OR REPLACE TEMP TABLE _partitions "
        "(table_name VARCHAR, app_id VARCHAR, month DATE, rows BIGINT, bytes BIGINT, "
        "digest VARCHAR)"
    )
    for table in tables:
        app, month = table.partition
        counted = f"""SELECT {app} AS app_id, {month} AS month, count(*) AS rows,
                {table.bytes} AS bytes, {table.digest()} AS digest
            FROM home.{table.sql} t GROUP BY 1, 2"""
        warehouse.execute(
            f"""INSERT INTO _partitions
            SELECT {quoted(table.qualified)}, app_id, month, rows, bytes, digest
            FROM ({counted}) WHERE rows > 0"""
        )


def _publish(
    warehouse: SharedWarehouse,
    workspace: Workspace,
    fitting: _Fitting,
    publication_id: str,
    run_id: str,
    kept: Collection[str],
    *,
    is_compared: bool,
    takes_over: bool,
) -> Publication:
    tables = [one for one, _ in fitting.tables]
    held = fitting.still_held(warehouse)
    if PUBLICATIONS.qualified not in held:
        for schema in SCHEMAS:
            warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS shared.{schema}")
    for own in OWN_TABLES:
        _ensure_own(warehouse, own, held.get(own.qualified))
    _check_server(warehouse, workspace, is_new="ops.source" not in held)
    if not takes_over:
        _check_home(warehouse, workspace)
    types = {
        one.qualified: _ensure(warehouse, one, held.get(one.qualified), changed)
        for one, changed in fitting.tables
    }
    anew = _tables_anew(warehouse, workspace, fitting, held, is_compared=is_compared)
    if "ops.source" not in held:
        warehouse.execute(_WORKSPACES)
    differing = _find_differing(warehouse, workspace, anew, kept)
    by_name = {one.qualified: one for one in tables}
    rows = 0
    for name, _, is_all in differing:
        if (table := by_name.get(name)) is not None:
            rows += _replace(warehouse, workspace, table, types[name], is_all=is_all)
        elif name in held:  # a model that the home has no more
            schema, _, bare = name.partition(".")
            gone = f"shared.{identifier(schema)}.{identifier(bare)}"
            warehouse.execute(f"DELETE FROM {gone} WHERE {_OURS}", [workspace.workspace_id])
    _note(warehouse, workspace)
    replaced = sum(count for _, count, _ in differing)
    warehouse.execute(
        f"INSERT INTO shared.{PUBLICATIONS.qualified} SELECT ?, ?, now(), ?, ?, ?, ?",
        [workspace.workspace_id, publication_id, run_id, workspace.through, replaced, rows],
    )
    _note_home(warehouse, workspace)
    return Publication(workspace.workspace_id, publication_id, len(differing), replaced, rows)


def _tables_anew(
    warehouse: SharedWarehouse,
    workspace: Workspace,
    fitting: _Fitting,
    held: Mapping[str, Mapping[str, str]],
    *,
    is_compared: bool,
) -> set[str]:
    """The tables whose rows there are deleted and written anew whatever the digests say; `held` is
    what was there before.
    """
    if not _has_digests(warehouse, workspace):  # nothing tells what the workspace has there
        return {one.qualified for one, _ in fitting.tables}
    # A table that is made now is empty: somebody dropped it.
    anew = {
        one.qualified for one, changed in fitting.tables if changed or one.qualified not in held
    }
    if is_compared:
        anew |= {
            one.qualified
            for one, changed in fitting.tables
            if not (there := held.get(one.qualified))
            or {*one.columns} - {*there}
            or changed
            or not compared_rows(warehouse, workspace.workspace_id, one, there)[2]
        }
    return anew


def _ensure_own(warehouse: SharedWarehouse, table: Table, held: Mapping[str, str] | None) -> None:
    name = f"shared.{table.qualified}"
    if held is None:
        columns = ", ".join(f"{identifier(one.name)} {one.type}" for one in table.columns)
        warehouse.execute(f"CREATE TABLE {name} ({columns})")
        warehouse.partition(name, None)
        _comment(warehouse, name, {"": table_comment(table)})
    for one in table.columns:
        if held is None or one.name not in held:
            if held is not None:  # an older release made it
                warehouse.execute(
                    f"ALTER TABLE {name} ADD COLUMN {identifier(one.name)} {one.type}"
                )
            _comment(warehouse, name, {one.name: one.description})


def _check_server(warehouse: SharedWarehouse, workspace: Workspace, *, is_new: bool) -> None:
    """SharedWarehouseRefused when the rows of a workspace of this id came from another server: of
    two copies of a Dify each would delete the rows of the other, night after night.
    """
    held = None
    if not is_new:
        held = warehouse.value(
            f"SELECT server_origin FROM shared.ops.source WHERE {_OURS}", [workspace.workspace_id]
        )
    if held in (None, workspace.server_origin):
        return
    raise SharedWarehouseRefused(
        f"the shared warehouse has workspace {workspace.workspace_id} from {held}, this home has "
        f"it from {workspace.server_origin}",
        where=warehouse.place.name,
        hint="If the server moved, `dify-etl warehouse remove` takes the rows of before out. Of "
        "two copies of one Dify only one can be in it.",
    )


def _check_home(warehouse: SharedWarehouse, workspace: Workspace) -> None:
    """SharedWarehouseRefused when another home publishes the workspace: of two homes each
    would delete what the other one kept and Dify has no more, night after night. Homes that
    published before they had an id go on.
    """
    found = _publishing_home(warehouse, workspace)
    if found is None or found[0] == workspace.home_id:
        return
    held, since = found
    raise SharedWarehouseRefused(
        f"the shared warehouse has workspace {workspace.workspace_id} from another home (id "
        f"{held}, since {since} UTC); this home's id is {workspace.home_id}",
        where=warehouse.place.name,
        hint="Only one home of a workspace publishes. Where the workspace has another name now, "
        "name the home of before in its table of workspaces.toml, as home = "
        '"dify_data/workspaces/sales": it has what Dify deleted, and keys. Where two accounts read '
        "one workspace, take one out. Where this home replaces the other one for good: "
        "`dify-etl warehouse publish --take-over`.",
    )


def _publishing_home(warehouse: SharedWarehouse, workspace: Workspace) -> tuple[str, str] | None:
    """The id of the home that publishes the workspace, and since when; None: no home with an id."""
    found = warehouse.rows(
        f"""SELECT home_id, strftime(since_at, '%Y-%m-%d %H:%M')
        FROM shared.{PUBLISHING_HOMES.qualified} WHERE {_OURS} ORDER BY since_at DESC LIMIT 1""",
        [workspace.workspace_id],
    )
    return found[0] if found else None


def _note_home(warehouse: SharedWarehouse, workspace: Workspace) -> None:
    found = _publishing_home(warehouse, workspace)
    if workspace.home_id is None or (found is not None and found[0] == workspace.home_id):
        return
    name = f"shared.{PUBLISHING_HOMES.qualified}"
    warehouse.execute(f"DELETE FROM {name} WHERE {_OURS}", [workspace.workspace_id])
    warehouse.execute(
        f"INSERT INTO {name} SELECT ?, ?, now()", [workspace.workspace_id, workspace.home_id]
    )


def _has_digests(warehouse: SharedWarehouse, workspace: Workspace) -> bool:
    asked = f"SELECT count(*) FROM shared.{PUBLISHED_PARTITIONS.qualified} WHERE {_OURS}"
    return bool(warehouse.value(asked, [workspace.workspace_id]))


def _let_go_of_lost_of(place: SharedPlace, copy: Path) -> None:
    if not place.is_lake:
        return
    with opened(place) as warehouse:
        attach_copy(warehouse, copy)
        workspace_id = workspace_of_copy(warehouse, copy).workspace_id
    let_go_of_lost(place, workspace_id)


def let_go_of_lost(place: SharedPlace, workspace_id: str) -> None:
    """Have a lake name no data file of the workspace any more that is gone, so that what is left
    can be read; the next publication writes their rows anew. A file is as it was.
    """
    if not place.is_lake:
        return
    # In a connection of its own: DuckLake remembers what its catalog says.
    with opened(place) as warehouse:
        try:
            files = lake_files(warehouse, workspace_id)
            lost = [one for one in files if one.is_lost]
            tables = {one.table for one in lost}
            digests = PUBLISHED_PARTITIONS.qualified
            if digests in tables:  # without them all tables are written anew: without all of them
                lost += [one for one in files if one.table == digests and not one.is_lost]
            elif tables:
                # First: rows that are gone, while their digests are believed, would not come back.
                warehouse.transaction(
                    lambda: warehouse.execute(
                        f"UPDATE shared.{digests} SET digest = '' "
                        f"WHERE {_OURS} AND list_contains(?::VARCHAR[], table_name)",
                        [workspace_id, sorted(tables)],
                    )
                )
            let_go(warehouse, lost)
        except duckdb.Error as error:
            raise warehouse.clear(error) from None


def _ensure(
    warehouse: SharedWarehouse,
    table: CopiedTable,
    held: Mapping[str, str] | None,
    changed: Mapping[str, bool],
) -> dict[str, str]:
    """Make the table, or give it what it lacks; answers its columns and their types there. An older
    release has fewer columns, and is no step back.
    """
    name = f"shared.{table.sql}"
    wanted = {column: warehouse.stored_type(kind) for column, kind in table.columns.items()}
    if held is None:
        columns = ", ".join(f"{identifier(column)} {kind}" for column, kind in wanted.items())
        warehouse.execute(f"CREATE TABLE {name} ({WORKSPACE} VARCHAR, {columns})")
        warehouse.partition(name, table.day)
        said = {WORKSPACE: "The workspace, by which a published copy is told from others."}
        _comment(warehouse, name, said | dict(table.comments))
        return wanted
    kept = dict(held)
    for column, kind in wanted.items():
        if changed.get(column):
            warehouse.widen(name, column, kind)
        elif column in held and column not in changed:
            continue
        else:
            if column in held:
                warehouse.execute(f"ALTER TABLE {name} DROP COLUMN {identifier(column)}")
            warehouse.execute(f"ALTER TABLE {name} ADD COLUMN {identifier(column)} {kind}")
            told = {one: said for one, said in table.comments.items() if one == column}
            _comment(warehouse, name, told)
        kept[column] = kind
    return {column: kept.get(column, kind) for column, kind in wanted.items()}


def _comment(warehouse: SharedWarehouse, name: str, comments: Mapping[str, str]) -> None:
    for column, said in comments.items():
        what = f"COLUMN {name}.{identifier(column)}" if column else f"TABLE {name}"
        warehouse.execute(f"COMMENT ON {what} IS {quoted(said)}")


def published_tables(warehouse: SharedWarehouse, workspace_id: str) -> set[str]:
    """The tables there of which the workspace has published rows. What else stands in the shared
    warehouse is somebody's own.
    """
    held = shared_columns(warehouse)
    if PUBLISHED_PARTITIONS.qualified not in held:
        return set()
    digests = PUBLISHED_PARTITIONS.qualified
    files = lake_files(warehouse, workspace_id)
    names: set[str] = set()
    if not any(one.is_lost and one.table == digests for one in files):
        asked = f"SELECT DISTINCT table_name FROM shared.{digests} WHERE {_OURS}"
        names = {str(name) for (name,) in warehouse.rows(asked, [workspace_id])}
    if not names:  # they are lost; its files tell as well
        names = {one.table for one in files} - {one.qualified for one in OWN_TABLES}
    return {name for name in names if WORKSPACE in held.get(name, ())}


def _find_differing(
    warehouse: SharedWarehouse, workspace: Workspace, anew: Collection[str], kept: Collection[str]
) -> list[tuple[str, int, bool]]:
    """Per table with partitions that differ: how many, and whether these are all that it has there;
    the partitions are in the temporary table `_differing`. Of the tables `anew` all differ, of
    those `kept` none does.
    """
    warehouse.execute(
        f"""CREATE OR REPLACE TEMP TABLE _differing AS
        SELECT table_name, app_id, month, n.bytes, p.rows IS NOT NULL AS is_there,
            n.digest IS NOT DISTINCT FROM p.digest AND n.rows IS NOT DISTINCT FROM p.rows
                AND p.duckdb_version = {quoted(duckdb.__version__)} AS is_same
        FROM _partitions n FULL JOIN (
            SELECT * FROM shared.{PUBLISHED_PARTITIONS.qualified} WHERE {_OURS}
        ) p USING (table_name, app_id, month)""",
        [workspace.workspace_id],
    )
    warehouse.execute(
        "DELETE FROM _differing WHERE list_contains(?::VARCHAR[], table_name)", [[*kept]]
    )
    warehouse.execute(
        "UPDATE _differing SET is_same = false, is_there = true "
        "WHERE list_contains(?::VARCHAR[], table_name)",
        [sorted(anew)],
    )
    found = warehouse.rows(
        """SELECT table_name, count(*) FILTER (WHERE is_same IS NOT TRUE),
            count(*) FILTER (WHERE is_same AND is_there) = 0
        FROM _differing GROUP BY 1 HAVING bool_or(is_same IS NOT TRUE) ORDER BY 1"""
    )
    warehouse.execute("DELETE FROM _differing WHERE is_same")
    return [(str(name), int(count), bool(is_all)) for name, count, is_all in found]


def _replace(
    warehouse: SharedWarehouse,
    workspace: Workspace,
    table: CopiedTable,
    types: Mapping[str, str],
    *,
    is_all: bool,
) -> int:
    """Delete and insert the partitions of a table that differ; answers rows inserted."""
    app, month = table.partition
    of_table = f"FROM _differing WHERE table_name = {quoted(table.qualified)}"
    found = warehouse.rows(f"SELECT DISTINCT month {of_table} AND is_there ORDER BY month")
    months = [month for (month,) in found]
    if is_all and months:
        chosen = ["true"]
    else:
        of_partitions = f"({app}, {month}) IN (SELECT app_id, month {of_table})"
        chosen = [f"{of_partitions} AND {table.within(*span)}" for span in _spans(months)]
    for rows in chosen:
        warehouse.execute(
            f"DELETE FROM shared.{table.sql} t WHERE {_OURS} AND {rows}", [workspace.workspace_id]
        )
    return insert_differing(warehouse, workspace.workspace_id, table, types)


def _spans(months: Sequence[date]) -> list[tuple[date | None, date | None]]:
    """First and last of months that follow one another; no months for rows without a day, which
    count as of a month that a row may have all the same.
    """
    spans: list[tuple[date | None, date | None]] = []
    if MONTH_OF_NO_DAY in months:
        spans.append((None, None))
    for month in months:
        if spans and (last := spans[-1][1]) and (month - last).days <= 31:
            spans[-1] = (spans[-1][0], month)
        else:
            spans.append((month, month))
    return spans


def _note(warehouse: SharedWarehouse, workspace: Workspace) -> None:
    """Keep the digests of what was published; only of tables of which something differs."""
    digests = f"shared.{PUBLISHED_PARTITIONS.qualified}"
    of_tables = "table_name IN (SELECT table_name FROM _differing)"
    warehouse.execute(
        f"DELETE FROM {digests} WHERE {_OURS} AND {of_tables}", [workspace.workspace_id]
    )
    warehouse.execute(
        f"INSERT INTO {digests} SELECT ?, table_name, app_id, month, rows, digest, ? "
        f"FROM _partitions WHERE {of_tables} ORDER BY ALL",
        [workspace.workspace_id, duckdb.__version__],
    )
