"""Build models one by one: one that fails keeps its last table, and the ledger says so."""

import hashlib
import json
import logging
import uuid
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import NamedTuple

import duckdb

from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import MEMORY, Database
from dify_etl.warehouse.errors import ModelBroken, WarehouseUnwritable
from dify_etl.warehouse.models import FOLDERS, Catalog, Model, build, sql_folder
from dify_etl.warehouse.partial_builds import BY_CONTENT, PartialBuilds
from dify_etl.warehouse.partitions import last_change
from dify_etl.warehouse.published_copy import identifier
from dify_etl.warehouse.sql_files import LEFT_OUT, SqlFile
from dify_etl.warehouse.tables import Column, Table, frame
from dify_etl.warehouse.upsert import put

MODELS = Table(
    "ops",
    "models",
    "One row per model of sql/: how its last build ended.",
    ("model",),
    (
        Column("model", "VARCHAR", "The view or table, such as marts.app_daily_usage."),
        Column("state", "VARCHAR", "built, or failed: then the table of its last build stays."),
        Column("reason", "VARCHAR", "Why it failed; null when it did not."),
        Column("hint", "VARCHAR", "What to do about it; null when it did not."),
        Column("built_at", "TIMESTAMPTZ", "When it was built last, UTC; null: never."),
        Column("failed_since", "TIMESTAMPTZ", "Since when it fails, UTC; null: it does not."),
        Column("run_id", "VARCHAR", "The run that tried it last."),
        Column("fingerprint", "VARCHAR", "Of its SQL and of what it read; null: it failed."),
        Column(
            "whole_fingerprint",
            "VARCHAR",
            "Of its SQL and of what it read as a whole; null: it is not built in parts.",
        ),
        Column("change_number", "BIGINT", "The last change of ops.partitions that is in it."),
        Column("built_whole_at", "TIMESTAMPTZ", "When it was built last with all its rows, UTC."),
    ),
    keeps_history=False,
)


# A model is built whole at least so often, whatever says that a part of it is enough.
WHOLE_EVERY = timedelta(days=7)
log = logging.getLogger(__name__)
_LOOK = "The table of its last build stays; look at the query and its data."


class Built(NamedTuple):
    """How a model was built: what its columns in ops.models say."""

    fingerprint: str | None
    whole_fingerprint: str | None = None
    change_number: int | None = None
    built_whole_at: datetime | None = None


_NEVER = Built(None)


class BrokenModel(NamedTuple):
    """A model whose last build failed: its table is that of `built_at`; None: there is none."""

    model: str  # schema.name
    reason: str
    hint: str
    failed_since: datetime
    built_at: datetime | None

    @property
    def where(self) -> str:
        """The SQL file. What does not come with dify-etl stands in the folder of one's own."""
        schema, _, name = self.model.partition(".")
        if (sql_folder() / schema / f"{name}.sql").exists():
            return f"sql/{schema}/{name}.sql"
        own = "the folder of DIFY_ETL_SQL"
        return own if name.startswith(LEFT_OUT) else f"{name}.sql in {own}"


def build_all(
    database: Database,
    files: Sequence[SqlFile],
    *,
    run_id: str,
    chosen: Container[str] | None = None,
) -> Iterator[tuple[SqlFile, ModelBroken | None]]:
    """Build file after file, or those `chosen` by schema.name of all, and answer each with what is
    wrong with it.

    What was built of the same SQL and the same rows before stays as it is. ops.models says how
    each build ended. WarehouseUnwritable ends it.
    """
    database.bound_memory(MEMORY)
    database.expect_large_commits()
    models = {one.qualified: one.model for one in files if one.model is not None}
    prints = fingerprints(database, list(models.values()))
    built = _built(database)
    database.changed.clear()  # what is written from now on makes them stale once more
    ended: list[tuple[str, ModelBroken | None, Built]] = []
    builds = Builds(database, Catalog(database), PartialBuilds(database, models))
    if not builds.partial.pays:  # changes are not numbered: no table may go on from a number
        database.execute(
            "UPDATE ops.models SET change_number = NULL WHERE change_number IS NOT NULL"
        )
    unsure: set[str] = set()  # they failed, or read what failed and may change without a sign
    for one in files:
        is_same = built.get(one.qualified, _NEVER).fingerprint == prints.get(one.qualified, "")
        if chosen is not None and one.qualified not in chosen:
            unsure.update(() if is_same else (one.qualified,))
            continue
        error, how = one.error, _NEVER
        if error is None and one.model is not None:
            if is_same:
                yield one, None
                continue
            error, how = builds.build_or_keep(one.model, built.get(one.qualified))
        if error is not None or one.model is None or unsure & set(one.model.reads):
            unsure.add(one.qualified)
        how = _NEVER if one.qualified in unsure else how._replace(fingerprint=prints[one.qualified])
        ended.append((one.qualified, error, how))
        yield one, error
    _note_builds(database, ended, run_id=run_id)


@dataclass(frozen=True)
class Builds:
    """The builds of one night: whole, or of the partitions that changed."""

    database: Database
    catalog: Catalog
    partial: PartialBuilds

    def build_or_keep(self, model: Model, was: Built | None) -> tuple[ModelBroken | None, Built]:
        """Make a view or table anew or in part; or leave it as it was, and answer why.

        WarehouseUnwritable: then no other can be built either.
        """
        try:
            try:
                return None, self._build(model, was)
            except duckdb.OutOfMemoryException:
                log.warning("%s takes more than %s: all that there is", model.qualified, MEMORY)
                return None, self._build_with_all_memory(model, was)
        except ModelBroken as error:
            return error, _NEVER
        except WarehouseUnwritable as error:
            # A query of one's own may name a file that is not there, which looks like a home that
            # cannot be written; where that is so, the next statement says it again.
            if not model.is_own:
                raise
            return ModelBroken(error.what, where=model.where, hint=_LOOK), _NEVER
        except duckdb.Error as error:  # such as a query that takes more memory than there is
            return ModelBroken(str(error).splitlines()[0], where=model.where, hint=_LOOK), _NEVER

    def _build_with_all_memory(self, model: Model, was: Built | None) -> Built:
        self.database.free_memory()
        try:
            return self._build(model, was)
        finally:
            with suppress(duckdb.Error):  # more is in use than that: the next build says so
                self.database.bound_memory(MEMORY)

    def _build(self, model: Model, was: Built | None) -> Built:
        how = Built(None, built_whole_at=utc_now())
        if (model.partition is not None or model.group) and self.partial.pays:
            with self.database.transaction():
                self.partial.measure(model)
            how = how._replace(
                whole_fingerprint=self._whole_fingerprint(model),
                change_number=last_change(self.database),
            )
            if was is not None and self._is_built_in_part(model, was, how):
                return how._replace(built_whole_at=was.built_whole_at)
            if self._is_built_by_stretches(model):
                return how
        with self.database.transaction():
            was_there = self.partial.keep(model)
            build(self.database, model, self.catalog)
            self._note_whole(model, was_there=was_there)
        return how

    def _note_whole(self, model: Model, *, was_there: bool) -> None:
        self.partial.note_whole(model, was_there=was_there)
        # What is noted at the end may never be: then nobody knows what made the table.
        self.database.execute(
            "UPDATE ops.models SET fingerprint = NULL WHERE model = ?", [model.qualified]
        )

    def _is_built_by_stretches(self, model: Model) -> bool:
        """Build a large table whole, some days after others."""
        if not model.is_in_stretches or not self.partial.find_stretches(model):
            return False
        try:
            with self.partial.prepared(model), self.database.transaction():
                build(self.database, model, self.catalog, self.partial.by_stretches(model))
                self._note_whole(model, was_there=False)
        except (duckdb.Error, ModelBroken) as error:  # a whole build does without, or tells why
            log.warning("%s is built at once: %s", model.qualified, type(error).__name__)
            return False
        return True

    def _is_built_in_part(self, model: Model, was: Built, now: Built) -> bool:
        """Build what changed, if the rest of the table is as a whole build would make it."""
        if was.change_number is None or was.built_whole_at is None:
            return False
        if abs(utc_now() - was.built_whole_at) >= WHOLE_EVERY:
            return False
        if was.whole_fingerprint != now.whole_fingerprint:
            return False
        if not self.partial.can_build(model, was.change_number):
            return False
        try:
            with self.partial.prepared(model), self.database.transaction():
                self.partial.build(model)
        except duckdb.Error as error:  # a whole build does without, or fails with a word of its own
            log.warning("%s is built whole, not in part: %s", model.qualified, type(error).__name__)
            return False
        return True

    def _whole_fingerprint(self, model: Model) -> str:
        """Of all but the rows that lie in partitions: of SQL, and of what is read as a whole."""
        views = self.partial.views_of(model)
        sql = [_VERSIONS, *(f"{one.qualified} {one.query}" for one in views), model.query]
        sql += [
            str(model.partition),
            str(model.links),
            str(model.group),
            str(model.is_in_stretches),
            model.grain,
            *map(str, model.columns.items()),
        ]
        read = sorted(self.partial.tables_of(model))
        columns = _columns(self.database, read)
        changes = dict(self.database.rows("SELECT table_name, change_id FROM ops.table_changes"))
        shapes = [f"{name} {columns.get(name)}" for name in read]
        shapes += [f"{name} {changes.get(f'{name} (rewritten)')}" for name in read]
        rows = []
        for name in self.partial.whole(model):
            if name in BY_CONTENT:
                told = self.database.rows(
                    f"SELECT count(*), bit_xor(hash(t)), sum(hash(t) % 1000003) FROM {name} AS t"
                )
                rows.append(str(told))
            elif name.startswith("ops."):
                readers = [one for one in (*views, model) if name in one.reads]
                rows += [_digest_of_rows(self.database, one, name, columns) for one in readers]
            elif name.startswith("raw."):
                rows.append(changes.get(name, "never written"))
            else:  # a model's table, which nobody compares
                rows.append(str(uuid.uuid4()))
        return _digest([*sql, *shapes, *rows])


def _built(database: Database) -> dict[str, Built]:
    """The models whose last build was good, and that are still there."""
    rows = database.rows(
        """SELECT model, fingerprint, whole_fingerprint, change_number, built_whole_at
        FROM ops.models
        WHERE state = 'built' AND fingerprint IS NOT NULL AND model IN (
            SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL
            SELECT schema_name || '.' || view_name FROM duckdb_views())"""
    )
    return {model: Built(*told) for model, *told in rows}


def _note_builds(
    database: Database,
    ended: Sequence[tuple[str, ModelBroken | None, Built]],
    *,
    run_id: str,
) -> None:
    """Write into ops.models how builds ended."""
    now = utc_now()
    failed = dict(database.rows("SELECT model, failed_since FROM ops.models"))
    rows: list[dict[str, object]] = []
    for qualified, error, how in ended:
        row: dict[str, object] = {"model": qualified, "run_id": run_id, **how._asdict()}
        if error is None:
            row |= {"state": "built", "built_at": now}
        else:
            row |= {"state": "failed", "reason": error.what, "hint": error.hint}
            row["failed_since"] = failed.get(qualified) or now
        rows.append(row)
    # A model that failed keeps the time of its last good build.
    good, bad = [[row for row in rows if row["state"] == one] for one in ("built", "failed")]
    names = [column.name for column in MODELS.columns]
    with database.transaction():
        put(database, MODELS, frame(MODELS, good, names))
        names.remove("built_at")
        put(database, MODELS, frame(MODELS, bad, names))


def drop_tables_not_built(database: Database, built: Collection[str]) -> list[str]:
    """Drop the tables of models that are none of the `built`: which do not build, or whose file is
    gone. They hold rows as those were once. Answers their names, schema.name.
    """
    held = database.rows(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = 'live' AND list_contains(?, schema_name) ORDER BY ALL",
        [[*FOLDERS]],
    )
    unbuilt = [(schema, name) for schema, name in held if f"{schema}.{name}" not in built]
    for schema, name in unbuilt:
        database.execute(f"DROP TABLE {schema}.{identifier(name)}")
    return [f"{schema}.{name}" for schema, name in unbuilt]


def forget_models(database: Database, known: Sequence[str]) -> None:
    """Models whose file is gone are waited for no more; their last tables stay."""
    database.execute("DELETE FROM ops.models WHERE NOT list_contains(?, model)", [list(known)])


def broken_models(database: Database) -> list[BrokenModel]:
    """The models whose last build failed."""
    rows = database.rows(
        "SELECT model, reason, hint, failed_since, built_at FROM ops.models "
        "WHERE state = 'failed' ORDER BY model"
    )
    return [BrokenModel(*row) for row in rows]


def fingerprints(database: Database, models: Sequence[Model]) -> dict[str, str]:
    """Per model, of what its build depends on: by schema.name, as hexadecimal digits.

    A table depends on its SQL and on all that it reads: raw tables by the id of their last change,
    tables of ops by the columns that the SQL names, since nearly every run writes into them. A
    view depends on its SQL and on the columns of what it reads. `models` come after what they read.
    """
    columns = _columns(database)
    changes = dict(database.rows("SELECT table_name, change_id FROM ops.table_changes"))
    of_build: dict[str, str] = {}
    of_rows: dict[str, str] = {}
    for model in models:
        read = sorted(model.reads)
        sql = [_VERSIONS, model.kind, model.grain, *map(str, model.columns.items()), model.query]
        shape = [of_build.get(name, str(columns.get(name))) for name in read]
        rows = [
            of_rows.get(name)
            or changes.get(name)
            or _digest_of_rows(database, model, name, columns)
            for name in read
        ]
        of_rows[model.qualified] = _digest([*sql, *shape, *rows])
        is_view = model.kind == "VIEW"
        of_build[model.qualified] = _digest([*sql, *shape]) if is_view else of_rows[model.qualified]
    return of_build


def _columns(
    database: Database, tables: Sequence[str] | None = None
) -> dict[str, list[tuple[str, str, str | None]]]:
    """The columns of these tables (None: of every one of the file), with types and comments."""
    found: dict[str, list[tuple[str, str, str | None]]] = {}
    # To fetch and sort those of all tables takes several times as long as of a few.
    of_these = "" if tables is None else "AND list_contains($tables, name)"
    for name, *column in database.rows(
        f"""SELECT schema_name || '.' || table_name AS name, column_name, data_type, comment
        FROM duckdb_columns() WHERE database_name = 'live' {of_these} ORDER BY ALL""",
        None if tables is None else {"tables": list(tables)},
    ):
        found.setdefault(name, []).append((column[0], column[1], column[2]))
    return found


def _digest_of_rows(
    database: Database,
    model: Model,
    table: str,
    columns: Mapping[str, Sequence[tuple[str, str, str | None]]],
) -> str:
    """Of the columns of a table of ops that the model's query names."""
    if not table.startswith("ops.") or table not in columns:
        return "never written"
    words = model.words.get(table)
    names = [name for name, *_ in columns[table] if words is None or name in words]
    if not names:
        return str(database.value(f"SELECT count(*) FROM {table}"))
    listed = ", ".join(f'"{name}"' for name in names)
    row = f"hash(({listed}))"
    return str(database.rows(f"SELECT count(*), bit_xor({row}), sum({row} % 1000003) FROM {table}"))


# Another version of either may build otherwise.
_VERSIONS = f"dify-etl {version('dify-etl')}, DuckDB {duckdb.__version__}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]
