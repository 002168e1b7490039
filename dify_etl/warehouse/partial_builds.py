"""Build of a model's table only the app and local days in which something changed.

The query of such a model is the same as that of a whole build. It is asked in a second catalog,
`part`, in which tables hold the affected partitions, and the staging views are made of these.

A large table is built whole in the same way, some days after others: what is joined and sorted at
a time stays in memory.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from dify_etl.warehouse.database import SCHEMAS, Database
from dify_etl.warehouse.models import Model
from dify_etl.warehouse.partitions import (
    BY_APP,
    BY_DAY,
    LOOKUPS,
    NO_DAY,
    affected,
    hash_of,
    joined_by,
    last_change,
    measure,
    measure_linked,
    number_all_groups,
    number_changed,
    number_groups,
    number_joined,
    other_groups,
    visible,
)
from dify_etl.warehouse.published_copy import identifier

_NESTED = re.compile(r"\]$|^(STRUCT|MAP|UNION)\b")  # types of columns
# Small tables of models that are compared as a whole: they change on few nights.
BY_CONTENT = ("staging.stg_model_currencies", "staging.stg_citing_apps")
_MOST = 0.5  # of all partitions: beyond that a whole build takes less
# Fewer messages and node executions than these are built whole in seconds: to look for what
# changed takes as long.
LEAST_ROWS = 250_000
_COUNTED = ("raw.messages", "raw.node_executions")
# So many of these at a time, when a table is built whole.
ROWS_AT_A_TIME = 1_000_000


@dataclass
class PartialBuilds:
    """The builds of one night over the models of a file, by schema.name."""

    database: Database
    models: Mapping[str, Model]
    _attached: set[str] = field(default_factory=set)

    @cached_property
    def pays(self) -> bool:
        """Whether the workspace is so large that parts are built."""
        held = dict(
            self.database.rows(
                "SELECT schema_name || '.' || table_name, estimated_size FROM duckdb_tables() "
                "WHERE database_name = 'live'"
            )
        )
        return sum(int(held.get(table, 0)) for table in _COUNTED) >= LEAST_ROWS

    def tables_of(self, model: Model) -> frozenset[str]:
        """The tables behind the views that a model reads, and those that it reads itself."""
        found: set[str] = set()
        for name in model.reads:
            read = self.models.get(name)
            if read is not None and read.kind == "VIEW":
                found |= self.tables_of(read)
            else:
                found.add(name)
        return frozenset(found)

    def views_of(self, model: Model) -> list[Model]:
        """The views that a model reads, each after those that it reads."""
        found: dict[str, Model] = {}
        for name in model.reads:
            read = self.models.get(name)
            if read is not None and read.kind == "VIEW":
                found |= {one.qualified: one for one in self.views_of(read)}
                found[name] = read
        return list(found.values())

    def grouped(self, model: Model) -> list[str]:
        """The tables of models that a model built by groups names, and that have its groups."""
        read = [self.models[name] for name in model.reads if name in self.models]
        return [
            one.qualified
            for one in read
            if model.group and one.kind == "TABLE" and {*model.group} <= {*one.selects}
        ]

    def _group_of(self, table: str) -> tuple[str, ...]:
        """The columns of the groups of a table that a model built by groups asks."""
        found = (one.group for one in self.models.values() if table in self.grouped(one))
        return next(found, ())

    def by_day(self, table: str) -> tuple[str | None, str] | None:
        """The columns of app and day by which a table lies in partitions; None: it does not."""
        if table in BY_DAY:
            return "app_id", BY_DAY[table].day
        model = self.models.get(table)
        return None if model is None else model.partition

    def whole(self, model: Model) -> list[str]:
        """The tables that a model reads as a whole: when one changes, all of it is built anew."""
        tables = self.tables_of(model)
        return sorted(
            table
            for table in tables
            if self.by_day(table) is None
            and table not in BY_APP
            and not (table in LOOKUPS and tables & LOOKUPS[table].users.keys())
            and table not in self.grouped(model)
        )

    def measure(self, model: Model) -> None:
        """Number what changed in the tables that a model reads, and in those linked with them."""
        for table in sorted(self.tables_of(model)):
            measure(self.database, table)
        for link in model.links:
            measure_linked(self.database, link)

    def can_build(self, model: Model, seen: int) -> bool:
        """Whether a part of the table is to be built; fills `_affected` and `_visible`, or of a
        model that is built by groups `_groups` with their hashes.
        """
        if model.group:
            return self._can_build_groups(model, seen)
        parts = self._parts(model)
        if seen > last_change(self.database) or self._has_rows_without_day(parts, seen):
            return False
        affected(self.database, parts, model.links, seen)
        self._see(model)
        many, all_of = self.database.rows(
            "SELECT (SELECT count(*) FROM _visible), (SELECT count(*) FROM _known)"
        )[0]
        return bool(many <= max(_MOST * all_of, 20))

    def _can_build_groups(self, model: Model, seen: int) -> bool:
        tables, database = self.grouped(model), self.database
        apps = [table for table in self.tables_of(model) if table in BY_APP]
        if seen > last_change(database) or database.value(
            "SELECT (SELECT count(*) FROM ops.partitions "
            "WHERE list_contains(?, table_name) AND change_number > ?) + "
            "(SELECT count(*) FROM ops.changed_groups "
            "WHERE list_contains(?, table_name) AND change_number > ? AND group_hash = '')",
            [apps, seen, tables, seen],
        ):
            return False
        database.execute(
            "CREATE OR REPLACE TEMP TABLE _groups AS "
            "SELECT DISTINCT group_hash::UBIGINT AS group_hash "
            f"FROM ops.changed_groups WHERE list_contains({tables}, table_name) "
            f"AND change_number > {seen}"
        )
        rows = database.value(f"SELECT count(*) FROM {model.qualified}")
        many = int(database.value("SELECT count(*) FROM _groups"))
        return many <= max(_MOST * int(rows), 20)

    def _has_rows_without_day(self, parts: Sequence[str], seen: int) -> bool:
        """They lie in no partition that a build in parts could put anew."""
        return bool(
            self.database.value(
                "SELECT count(*) FROM ops.partitions WHERE list_contains(?, table_name) "
                f"AND local_date = {NO_DAY} AND (rows > 0 OR change_number > ?)",
                [[table for table in parts if self.by_day(table)], seen],
            )
        )

    def _see(self, model: Model) -> None:
        """Make of `_affected` what `prepared` shows of the tables: `_visible`, and its days."""
        visible(self.database, model.links)
        if model.partition is not None and model.partition[0] is None:  # days of all apps
            self.database.execute(
                """CREATE OR REPLACE TEMP TABLE _affected AS
                SELECT DISTINCT '' AS app_id, local_date FROM _affected"""
            )
        self.database.execute(
            "CREATE OR REPLACE TEMP TABLE _visible_days AS SELECT DISTINCT local_date FROM _visible"
        )
        for days, table in (("", "_visible_days"), ("affected_", "_affected")):
            for name, day in (("first", "min"), ("last", "max")):
                self.database.execute(
                    f"SET VARIABLE {name}_{days}day = "
                    f"(SELECT coalesce({day}(local_date), {NO_DAY}) FROM {table})"
                )

    def find_stretches(self, model: Model) -> bool:
        """Fill `_stretches` (app_id, local_date, stretch): all partitions of a table that is built
        whole, in stretches of days whose rows are about ROWS_AT_A_TIME; whether they are several.
        """
        parts = self._parts(model)
        if self._has_rows_without_day(parts, last_change(self.database)):
            return False
        affected(self.database, parts, (), -1)
        self.database.execute(
            f"""CREATE OR REPLACE TEMP TABLE _stretches AS
            WITH counted AS (
                SELECT local_date, sum(rows) AS rows FROM ops.partitions
                WHERE list_contains({list(_COUNTED)}, table_name) GROUP BY local_date
            ),
            days AS (
                SELECT local_date, sum(coalesce(rows, 0)) OVER (ORDER BY local_date) AS rows
                FROM (SELECT DISTINCT local_date FROM _affected)
                LEFT JOIN counted USING (local_date)
            )
            SELECT app_id, local_date, CAST(rows // {ROWS_AT_A_TIME} AS BIGINT) AS stretch
            FROM _affected JOIN days USING (local_date)"""
        )
        self._see(model)  # what the views of the catalog name is there before them
        return int(self.database.value("SELECT count(DISTINCT stretch) FROM _stretches")) > 1

    def by_stretches(self, model: Model) -> Iterator[str]:
        """The statements that make a table whole, stretch after stretch, with the query prepared.

        Each is to be executed before the next is asked for.
        """
        table = _quoted(model.qualified)
        begin = f"CREATE OR REPLACE TABLE live.{table} AS"
        numbers = self.database.rows("SELECT DISTINCT stretch FROM _stretches ORDER BY ALL")
        for (number,) in numbers:
            self.database.execute(
                "CREATE OR REPLACE TEMP TABLE _affected AS "
                f"SELECT app_id, local_date FROM _stretches WHERE stretch = {number}"
            )
            self._see(model)
            yield f"{begin} SELECT * FROM part.{table} AS t WHERE {self._here(model)}"
            begin = f"INSERT INTO live.{table}"

    def _here(self, model: Model) -> str:
        """The condition of the rows `t` of a model's table that lie in the affected partitions, or
        are of the groups that changed.
        """
        if model.group:
            return f"{hash_of(model.group)} IN (SELECT group_hash FROM temp._groups)"
        app, day = model.partition or (None, "")
        if app is None:
            return f'"{day}" IN (SELECT local_date FROM temp._affected)'
        return f'("{app}", "{day}") IN (SELECT app_id, local_date FROM temp._affected)'

    def _held_here(self, model: Model) -> str:
        """The same of the rows that the table holds, with the days as such: by them DuckDB reads
        the other columns of a few rows alone.
        """
        if model.partition is None:
            return self._here(model)
        _, day = model.partition
        first, last = (f"getvariable('{one}_affected_day')" for one in ("first", "last"))
        return f'{self._here(model)} AND t."{day}" BETWEEN {first} AND {last}'

    def _parts(self, model: Model) -> list[str]:
        """The names in ops.partitions that tell of changes in what a model reads."""
        tables = self.tables_of(model)
        joined = {
            joined_by(table, lookup)
            for lookup, (_, users) in LOOKUPS.items()
            for table in users
            if lookup in tables and table in tables
        }
        return sorted((tables - set(self.whole(model)) - LOOKUPS.keys()) | joined)

    @contextmanager
    def prepared(self, model: Model) -> Iterator[None]:
        """The query of a model over the visible partitions, as view of the catalog `part`.

        Outside of a transaction: DuckDB writes into one file at a time.
        """
        database = self.database
        database.execute("ATTACH ':memory:' AS part")
        with database.detached_at_the_end("part"):
            database.execute("USE part")
            for schema in SCHEMAS:
                database.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for table in sorted(self.tables_of(model)):
                database.execute(
                    f"CREATE VIEW {_quoted(table)} AS SELECT t.* FROM live.{_quoted(table)} AS t "
                    f"{self._filter(model, table)}"
                )
            for view in self.views_of(model):
                database.execute(f"CREATE VIEW {_quoted(view.qualified)} AS {view.query}")
            database.execute(f"CREATE VIEW {_quoted(model.qualified)} AS {model.query}")
            database.execute("USE live")
            yield

    def _filter(self, model: Model, table: str) -> str:
        if table in self.grouped(model):
            return f"WHERE {self._here(model)}"
        by_day = self.by_day(table)
        if by_day is None or model.partition is None:
            return ""
        app, day = by_day
        # The days as such, too: by them DuckDB leaves out what lies together in the file.
        near = (
            f'SEMI JOIN temp._visible_days AS d ON t."{day}" = d.local_date '
            f"""WHERE t."{day}" BETWEEN getvariable('first_day') AND getvariable('last_day')"""
        )
        if app is None or model.partition[0] is None:
            return near
        return (
            "SEMI JOIN temp._visible AS v "
            f'ON t."{app}" = v.app_id AND t."{day}" = v.local_date {near}'
        )

    def build(self, model: Model) -> None:
        """Put the rows of the affected partitions in the place of those that were there; call it
        inside a transaction, with the query prepared. Rows that are as they were are left alone:
        to write them anew takes longer than to compare them.
        """
        here, held = self._here(model), self._held_here(model)
        table = _quoted(model.qualified)
        execute = self.database.execute
        execute(
            f"CREATE OR REPLACE TEMP TABLE _now AS SELECT * FROM part.{table} AS t WHERE {here}"
        )
        row = self._row(model)
        execute(
            f"""CREATE OR REPLACE TEMP TABLE _rows AS
            SELECT {row}, true AS is_now FROM temp._now AS t UNION ALL
            SELECT {row}, false FROM live.{table} AS t WHERE {held}"""
        )
        # As many of each as there were: equal rows may stand several times.
        execute(
            """CREATE OR REPLACE TEMP TABLE _other_rows AS SELECT * FROM _rows WHERE digest IN (
            SELECT digest FROM _rows GROUP BY digest
            HAVING count(*) FILTER (WHERE is_now) <> count(*) FILTER (WHERE NOT is_now))"""
        )
        other = "SELECT row_id FROM temp._other_rows WHERE"
        execute(f"DELETE FROM live.{table} WHERE rowid IN ({other} NOT is_now)")
        execute(f"INSERT INTO live.{table} SELECT * FROM _now WHERE rowid IN ({other} is_now)")
        if model.partition is not None:
            self._note_part(model)
        for kept in ("_now", "_rows", "_other_rows"):  # in memory
            execute(f"DROP TABLE temp.{kept}")

    def _row(self, model: Model) -> str:
        """What is noted of a row `t`: its place, digest, partition, and the hash of its group."""
        app, day = model.partition or (None, None)
        of_app = f"""coalesce(t."{app}", '')""" if app else "''"
        of_day = f'coalesce(t."{day}", {NO_DAY})' if day else NO_DAY
        group = self._group_of(model.qualified)
        of_group = hash_of(group) if group else "NULL"
        return (
            f"t.rowid AS row_id, {self._digest()} AS digest, {of_app} AS app_id, "
            f"{of_day} AS local_date, {of_group} AS group_hash"
        )

    def _digest(self) -> str:
        """The hash of all values of a row `t` of `_now`. Nested ones as texts, since DuckDB hashes
        no list, an empty one and a list of nulls alike; by names, since `t` may be one of them.
        """
        columns = self.database.rows("SELECT column_name, column_type FROM (DESCRIBE temp._now)")
        values = (
            f"t.{identifier(name)}{'::VARCHAR' if _NESTED.search(kind) else ''}"
            for name, kind in columns
        )
        return f"hash({', '.join(values)})"

    def _note_part(self, model: Model) -> None:
        """Number the partitions, and groups, that came out other than they were."""
        self.database.execute(
            """CREATE OR REPLACE TEMP TABLE _changed AS
            SELECT app_id, local_date, count(*) FILTER (WHERE is_now) AS rows,
                NULL::VARCHAR AS digest
            FROM _rows
            WHERE (app_id, local_date) IN (SELECT app_id, local_date FROM _other_rows)
            GROUP BY app_id, local_date"""
        )
        number = last_change(self.database) + 1
        number_changed(self.database, model.qualified)
        if self._group_of(model.qualified):
            groups = "SELECT DISTINCT group_hash FROM _other_rows"
            number_groups(self.database, model.qualified, groups, number)

    def keep(self, model: Model) -> bool:
        """Keep the rows of a small table, to be compared after its build; whether it has any."""
        is_compared = model.qualified in LOOKUPS or self._group_of(model.qualified)
        if not is_compared or model.partition is not None or not self.pays:
            return False
        held = self.database.value(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'live' "
            "AND schema_name = ? AND table_name = ?",
            [model.schema, model.name],
        )
        if held:
            self.database.execute(
                f"CREATE OR REPLACE TEMP TABLE _was AS SELECT * FROM {model.qualified}"
            )
        return bool(held)

    def note_whole(self, model: Model, *, was_there: bool) -> None:
        """After a whole build, in its transaction: all partitions changed, or what of a lookup."""
        if not self.pays:
            return
        if model.qualified in LOOKUPS:
            number_joined(self.database, model.qualified, is_new=not was_there)
        number = last_change(self.database) + 1
        if group := self._group_of(model.qualified):
            if was_there:
                groups = other_groups(group, "_was", model.qualified)
                number_groups(self.database, model.qualified, groups, number)
            else:
                number_all_groups(self.database, model.qualified, number)
        if model.partition is None:
            return
        app, day = model.partition
        of_app = f"""coalesce("{app}", '')""" if app else "''"
        self.database.execute(
            f"""CREATE OR REPLACE TEMP TABLE _changed AS
            SELECT app_id, local_date, sum(rows)::BIGINT AS rows, NULL::VARCHAR AS digest FROM (
                SELECT {of_app} AS app_id, coalesce("{day}", {NO_DAY}) AS local_date,
                    count(*) AS rows
                FROM {_quoted(model.qualified)} GROUP BY ALL
                UNION ALL SELECT app_id, local_date, 0 FROM ops.partitions WHERE table_name = ?)
            GROUP BY app_id, local_date""",
            [model.qualified],
        )
        number_changed(self.database, model.qualified)


def _quoted(qualified: str) -> str:
    schema, _, name = qualified.partition(".")
    return f"{schema}.{identifier(name)}"
