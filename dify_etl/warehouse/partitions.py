"""When the rows of each app and local day changed last: a number per partition of a large table.

Clocks are not asked: a partition has changed when the digest of its rows is another one. What
belongs together lies in several partitions at times (a run whose nodes follow after midnight);
such pairs are kept, so that a change of one is known to be one of the other.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import Column, Table, quoted

PARTITIONS = Table(
    "ops",
    "partitions",
    "One row per table, app and local day: when its rows changed last, for the builds of models.",
    ("table_name", "app_id", "local_date"),
    (
        Column("table_name", "VARCHAR", "The table, such as raw.messages."),
        Column("app_id", "VARCHAR", "Id of the app; empty: all apps of the day."),
        Column("local_date", "DATE", "The local day; 0001-01-01: rows that have none."),
        Column("rows", "BIGINT", "How many rows it had when they were counted last."),
        Column("digest", "VARCHAR", "Digest of these rows; null: not taken."),
        Column("change_number", "BIGINT", "Number of the last change; each is larger than before."),
    ),
    keeps_history=False,
)
PARTITION_LINKS = Table(
    "ops",
    "partition_links",
    "One row per two partitions in which rows lie, or lay once, that belong together.",
    ("link", "app_id", "local_date", "other_app_id", "other_date"),
    (
        Column("link", "VARCHAR", "What they share, such as run: a run and its nodes."),
        Column("app_id", "VARCHAR", "App of the one partition; empty: the last look for pairs."),
        Column("local_date", "DATE", "Its local day."),
        Column("other_app_id", "VARCHAR", "App of the other."),
        Column("other_date", "DATE", "Its local day."),
        Column("change_number", "BIGINT", "The last change of partitions when it was found."),
    ),
    keeps_history=False,
)
CHANGED_GROUPS = Table(
    "ops",
    "changed_groups",
    "One row per group of rows of a model that changed, for the models that are built by groups.",
    ("table_name", "group_hash"),
    (
        Column("table_name", "VARCHAR", "The table, such as staging.stg_questions."),
        Column(
            "group_hash",
            "VARCHAR",
            "DuckDB's hash of the columns of the group, which may be texts; empty: all groups.",
        ),
        Column("change_number", "BIGINT", "Number of the last change, as in ops.partitions."),
    ),
    keeps_history=False,
)
NO_DAY = "DATE '0001-01-01'"

_HISTORY = "changed_at, absent_since"


class ByDay(NamedTuple):
    """A table whose rows lie in partitions: the column of the day, and what its digest is of.

    `digest` has the key, and all that is written without another `changed_at`. Rows that `scope`
    leaves out are asked by no model that is built in parts.
    """

    day: str
    digest: str
    scope: str = "true"


# Of raw tables the day column is that of their specification (a test compares them).
BY_DAY: Mapping[str, ByDay] = {
    "raw.conversations": ByDay("created_date", f"conversation_id, invoke_from, {_HISTORY}"),
    # What Dify's database alone tells is filled one day, which is no change of the row.
    "raw.messages": ByDay(
        "created_date",
        "conversation_id, message_id, charged_price, charged_currency, model_provider, model_id, "
        "invoke_from, charged_prompt_unit_price, charged_prompt_price_unit, "
        f"charged_completion_unit_price, charged_completion_price_unit, {_HISTORY}",
    ),
    "raw.message_feedbacks": ByDay(
        "message_created_date",
        "message_id, from_source, from_end_user_id, from_account_id, position, feedback_id, "
        f"created_at, {_HISTORY}",
    ),
    "raw.message_citations": ByDay(
        "message_created_date", f"message_id, citation_number, {_HISTORY}"
    ),
    "raw.agent_tool_calls": ByDay(
        "message_created_date", f"agent_thought_id, call_position, {_HISTORY}"
    ),
    "raw.workflow_runs": ByDay("created_date", f"workflow_run_id, {_HISTORY}"),
    "raw.node_executions": ByDay("created_date", f"node_execution_id, {_HISTORY}"),
    "raw.daily_statistics": ByDay("statistic_date", "metric, value, t"),
    # That a day was read once more is no change; when its figures were read is asked.
    "ops.slices": ByDay(
        "slice_date",
        "feed, state, is_settled, CASE WHEN feed = 'daily_statistics' THEN read_at END",
        "slice_date IS NOT NULL",
    ),
}

# Tables of an app as a whole: a change is one of all its days. The digests are of the columns that
# are asked by models that are built in parts (a test compares them).
BY_APP: Mapping[str, str] = {
    "raw.apps": "name, mode, absent_since",
    "raw.workflow_versions": f"workflow_id, {_HISTORY}",
    "ops.app_versions": "t",
    "staging.stg_first_days": "t",
}

# Small tables that are always built whole, their keys, and by what large tables are joined with
# them: a row that is another one is a change of the partitions that it is joined to.
_ASKED = "coalesce(t.from_end_user_id, t.from_account_id)"
_STARTED = "coalesce(t.created_by_end_user_id, t.created_by_account_id)"


class Lookup(NamedTuple):
    """The columns of the key, and per large table its expressions over `t` that equal them."""

    key: tuple[str, ...]
    users: Mapping[str, tuple[str, ...]]


LOOKUPS: Mapping[str, Lookup] = {
    "staging.stg_people": Lookup(
        ("actor_id",),
        {
            "raw.conversations": (_ASKED,),
            "raw.messages": (_ASKED,),
            "raw.message_feedbacks": (_ASKED,),
            "raw.workflow_runs": (_STARTED,),
            "raw.node_executions": (_STARTED,),
        },
    ),
    "staging.stg_waiting_messages": Lookup(("message_id",), {"raw.messages": ("t.message_id",)}),
    "staging.stg_repeating_nodes": Lookup(
        ("node_execution_id",), {"raw.node_executions": ("t.node_execution_id",)}
    ),
    "staging.stg_nearest_prices": Lookup(
        ("provider_word", "model", "usage_date"),
        {"staging.stg_charges": ("split_part(t.provider, '/', -1)", "t.model", "t.usage_date")},
    ),
}


class Link(NamedTuple):
    """Rows that belong together: tables with the column that they share.

    With a `digest`, the first table has one row for many of the others, and only what the digest
    is of is a change of these. `pairs` names the link whose pairs it takes; empty: its own.
    """

    tables: Mapping[str, str]
    digest: str | None = None
    pairs: str = ""


_OF_TALK = {"raw.conversations": "conversation_id", "raw.messages": "conversation_id"}
LINKS: Mapping[str, Link] = {
    "run": Link(
        {
            "raw.workflow_runs": "workflow_run_id",
            "raw.messages": "workflow_run_id",
            "raw.node_executions": "workflow_run_id",
        }
    ),
    "rating": Link({"raw.messages": "message_id", "raw.message_feedbacks": "message_id"}),
    "rated conversation": Link(
        {"raw.messages": "conversation_id", "raw.message_feedbacks": "conversation_id"}
    ),
    "ratings of conversation": Link(
        {"raw.conversations": "conversation_id", "raw.message_feedbacks": "conversation_id"}
    ),
    "cited rating": Link(
        {"raw.message_citations": "message_id", "raw.message_feedbacks": "message_id"}
    ),
    "citation": Link({"raw.messages": "message_id", "raw.message_citations": "message_id"}),
    "tool call": Link({"raw.messages": "message_id", "raw.agent_tool_calls": "message_id"}),
    # Nearly every message moves the time of its conversation, which no other message asks for.
    "conversation": Link(
        _OF_TALK,
        digest="conversation_id, absent_since, user_like_count, admin_like_count, app_model_config",
    ),
    "messages of conversation": Link(_OF_TALK, pairs="conversation"),
}


def last_change(database: Database) -> int:
    """The number of the last change of any partition or group; 0 when there was none."""
    return int(
        database.value(
            """SELECT coalesce(max(change_number), 0) FROM (
            SELECT change_number FROM ops.partitions UNION ALL
            SELECT change_number FROM ops.changed_groups)"""
        )
    )


def measure(database: Database, table: str) -> None:
    """Number the partitions of a table whose digests are other than they were.

    A table that nobody wrote since it was measured last is not read.
    """
    if table in BY_DAY:
        of = BY_DAY[table]
        _measure(database, table, table, of.day, of.digest, of.scope)
    elif table in BY_APP:
        _measure(database, table, table, NO_DAY, BY_APP[table], "true")


def measure_linked(database: Database, link: str) -> None:
    """Measure the tables of a link, and note in which pairs of partitions their rows lie."""
    of = LINKS[link]
    if of.pairs:
        measure_linked(database, of.pairs)
        return
    for table in of.tables:
        measure(database, table)
    if of.digest is not None:
        table = next(iter(of.tables))
        _measure(database, _as_linked(table), table, BY_DAY[table].day, of.digest, "true")
    _note_pairs(database, link, of.tables)


def _as_linked(table: str) -> str:
    return f"{table} (as linked)"


def _change_of(database: Database, table: str) -> str | None:
    found = database.rows("SELECT change_id FROM ops.table_changes WHERE table_name = ?", [table])
    return str(found[0][0]) if found else None


def _measure(database: Database, name: str, table: str, day: str, digest: str, scope: str) -> None:
    written, noted = _change_of(database, table), f"{name} (measured)"
    if written is not None:
        if written == _change_of(database, noted):
            return
        database.execute("DELETE FROM ops.table_changes WHERE table_name = ?", [noted])
        database.execute("INSERT INTO ops.table_changes VALUES (?, ?)", [noted, written])
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _measured AS
        SELECT app_id, local_date, count(*) AS rows,
            bit_xor(digest)::VARCHAR || ' ' || sum(digest % 1000003)::VARCHAR AS digest
        FROM (SELECT coalesce(app_id, '') AS app_id, coalesce({day}, {NO_DAY}) AS local_date,
            hash({digest}) AS digest FROM {table} AS t WHERE {scope})
        GROUP BY app_id, local_date"""
    )
    database.execute(
        """CREATE OR REPLACE TEMP TABLE _changed AS
        SELECT coalesce(n.app_id, p.app_id) AS app_id,
            coalesce(n.local_date, p.local_date) AS local_date,
            coalesce(n.rows, 0) AS rows, n.digest
        FROM _measured AS n FULL JOIN (SELECT * FROM ops.partitions WHERE table_name = ?) AS p
            ON n.app_id = p.app_id AND n.local_date = p.local_date
        WHERE n.digest IS DISTINCT FROM p.digest
            OR p.table_name IS NULL""",
        [name],
    )
    number_changed(database, name)


def number_changed(database: Database, table: str) -> None:
    """Give the next number to the partitions of a table in the temporary table `_changed`: app_id,
    local_date, rows, digest.
    """
    number = last_change(database) + 1
    database.execute(
        "DELETE FROM ops.partitions USING _changed AS c WHERE table_name = ? "
        "AND ops.partitions.app_id = c.app_id AND ops.partitions.local_date = c.local_date",
        [table],
    )
    database.execute(
        "INSERT INTO ops.partitions (table_name, app_id, local_date, rows, digest, change_number) "
        f"SELECT ?, app_id, local_date, rows, digest, {number} FROM _changed",
        [table],
    )


def hash_of(group: Sequence[str]) -> str:
    """The expression over `t` of the hash by which ops.changed_groups knows a group, a number.

    Two groups of one hash are built anew together, which takes longer and changes nothing else.
    """
    names = ", ".join(f't."{name}"' for name in group)
    return f"hash({names})"


def other_groups(group: Sequence[str], before: str, after: str) -> str:
    """The query of the hashes of the groups that have other rows in `after` than in `before`."""
    return f"""SELECT DISTINCT group_hash FROM (
            SELECT {hash_of(group)} AS group_hash, hash(t) AS digest, 1 AS many FROM {after} AS t
            UNION ALL SELECT {hash_of(group)}, hash(t), -1 FROM {before} AS t)
        GROUP BY group_hash, digest HAVING sum(many) <> 0"""


def number_groups(database: Database, table: str, groups: str, number: int) -> None:
    """Give a number to the groups of a table whose hashes a query answers as group_hash."""
    database.execute(f"CREATE OR REPLACE TEMP TABLE _groups AS {groups}")
    database.execute(
        "DELETE FROM ops.changed_groups WHERE table_name = ? "
        "AND group_hash IN (SELECT group_hash::VARCHAR FROM _groups)",
        [table],
    )
    database.execute(
        f"INSERT INTO ops.changed_groups SELECT ?, group_hash::VARCHAR, {number} FROM _groups",
        [table],
    )


def number_all_groups(database: Database, table: str, number: int) -> None:
    """Give a number to all groups of a table."""
    database.execute("DELETE FROM ops.changed_groups WHERE table_name = ?", [table])
    database.execute("INSERT INTO ops.changed_groups VALUES (?, '', ?)", [table, number])


def number_joined(database: Database, lookup: str, *, is_new: bool) -> None:
    """Give the next number to the partitions that are joined to rows of a lookup that are other
    than those in the temporary table `_was`; to all of its users when it is new.
    """
    key, users = LOOKUPS[lookup]
    if not is_new:
        names = ", ".join(f'"{name}" AS k{number}' for number, name in enumerate(key))
        database.execute(
            f"""CREATE OR REPLACE TEMP TABLE _keys AS SELECT DISTINCT {names} FROM (
                (SELECT * FROM _was EXCEPT ALL SELECT * FROM {lookup}) UNION ALL
                (SELECT * FROM {lookup} EXCEPT ALL SELECT * FROM _was))"""
        )
        if not database.value("SELECT count(*) FROM _keys"):
            return
    held = dict(database.rows("SELECT schema_name || '.' || table_name, true FROM duckdb_tables()"))
    for table, expressions in users.items():
        if table not in held:
            continue
        day = BY_DAY[table].day if table in BY_DAY else "usage_date"
        joined = "true"
        if not is_new:
            # An equality of its own: DuckDB has no index of two nulls that are the same.
            equal = " AND ".join(
                f"k.k{number} IS NOT DISTINCT FROM {one}" for number, one in enumerate(expressions)
            )
            joined = f"EXISTS (SELECT 1 FROM _keys AS k WHERE {equal})"
        database.execute(
            f"""CREATE OR REPLACE TEMP TABLE _changed AS
            SELECT DISTINCT coalesce(app_id, '') AS app_id,
                coalesce({day}, {NO_DAY}) AS local_date, 1 AS rows, NULL AS digest
            FROM {table} AS t WHERE {joined}"""
        )
        number_changed(database, joined_by(table, lookup))


def joined_by(table: str, lookup: str) -> str:
    """The name in ops.partitions of a table's partitions as rows of a lookup change them."""
    return f"{table} by {lookup}"


def _note_pairs(database: Database, link: str, tables: Mapping[str, str]) -> None:
    """Note the pairs of partitions that rows of the partitions which changed since have part in.

    Pairs are never taken out: what belonged together once tells of the change that ended it.
    """
    seen = database.value(
        "SELECT max(change_number) FROM ops.partition_links WHERE link = ? AND app_id = ''", [link]
    )
    number = last_change(database)
    changed_days = _changed_days(database, tables, seen or 0)
    if seen is not None and not changed_days:
        return
    for one, other in combinations(tables, 2):
        for changed in (one, other) if seen is not None else (None,):
            if changed is not None and changed not in changed_days:
                continue  # no row of it is new
            sides = (
                _side(table, tables[table], changed_days[table] if changed == table else None, seen)
                for table in (one, other)
            )
            left, right = sides
            database.execute(
                f"""CREATE OR REPLACE TEMP TABLE _pairs AS
                SELECT DISTINCT a.app_id, a.local_date,
                    b.app_id AS other_app_id, b.local_date AS other_date
                FROM ({left}) AS a JOIN ({right}) AS b ON a.id = b.id
                WHERE a.local_date <> b.local_date OR a.app_id <> b.app_id"""
            )
            database.execute(
                f"""INSERT INTO ops.partition_links
                    (link, app_id, local_date, other_app_id, other_date, change_number)
                SELECT {quoted(link)}, *, {number} FROM (
                    (SELECT * FROM _pairs UNION
                        SELECT other_app_id, other_date, app_id, local_date FROM _pairs)
                    EXCEPT SELECT app_id, local_date, other_app_id, other_date
                        FROM ops.partition_links WHERE link = {quoted(link)})"""
            )
    database.execute("DELETE FROM ops.partition_links WHERE link = ? AND app_id = ''", [link])
    database.execute(
        f"INSERT INTO ops.partition_links VALUES (?, '', {NO_DAY}, '', {NO_DAY}, ?)",
        [link, number],
    )


class _Days(NamedTuple):
    """Between which days the changed partitions of a table lie; first is None: some have none."""

    first: str | None
    last: str


def _changed_days(database: Database, tables: Collection[str], since: int) -> dict[str, _Days]:
    """The days of the partitions that changed after the change `since`, by table."""
    rows = database.rows(
        f"""SELECT table_name,
            CASE WHEN min(local_date) > {NO_DAY} THEN min(local_date)::VARCHAR END,
            max(local_date)::VARCHAR
        FROM ops.partitions WHERE change_number > ? AND list_contains(?, table_name)
        GROUP BY table_name""",
        [since, [*tables]],
    )
    return {table: _Days(first, last) for table, first, last in rows}


def _side(table: str, column: str, changed: _Days | None, since: int | None) -> str:
    """The ids of a table's rows with their partitions; those that `changed` after `since` alone."""
    day = BY_DAY[table].day
    semi = near = ""
    if changed is not None:
        semi = (
            f"SEMI JOIN (SELECT app_id, local_date FROM ops.partitions WHERE table_name = "
            f"{quoted(table)} AND change_number > {since}) AS p "
            f"ON coalesce(t.app_id, '') = p.app_id "
            f"AND coalesce(t.{day}, {NO_DAY}) = p.local_date"
        )
        if changed.first is not None:  # of other days DuckDB then reads the day alone
            near = f"t.{day} BETWEEN DATE '{changed.first}' AND DATE '{changed.last}' AND "
    return (
        f"SELECT t.{column} AS id, coalesce(t.app_id, '') AS app_id, "
        f"coalesce(t.{day}, {NO_DAY}) AS local_date FROM {table} AS t {semi} "
        f"WHERE {near}t.{column} IS NOT NULL"
    )


def affected(
    database: Database, tables: Collection[str], links: Collection[str], since: int
) -> None:
    """Fill the temporary table `_affected` (app_id, local_date): the partitions of what is made of
    these tables in which something changed after the change `since`.
    """
    listed = ", ".join(quoted(one) for one in tables)
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _known AS SELECT DISTINCT app_id, local_date
        FROM ops.partitions
        WHERE table_name IN ({listed}) AND app_id <> '' AND local_date <> {NO_DAY}"""
    )
    # Of a whole app, or of a day of all apps, all partitions that are known.
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _affected AS
        WITH changed AS (
            SELECT table_name, app_id, local_date FROM ops.partitions
            WHERE table_name IN ({listed}) AND change_number > {since}
        )
        SELECT app_id, local_date FROM changed WHERE app_id <> '' AND local_date <> {NO_DAY}
        UNION SELECT k.app_id, k.local_date FROM _known AS k
            JOIN changed AS c ON k.app_id = c.app_id AND c.local_date = {NO_DAY}
        UNION SELECT k.app_id, k.local_date FROM _known AS k
            JOIN changed AS c ON k.local_date = c.local_date AND c.app_id = ''"""
    )
    for name in links:
        link = LINKS[name]
        origin = "SELECT app_id, local_date FROM _affected"
        if link.digest is not None:
            linked = quoted(_as_linked(next(iter(link.tables))))
            origin = (
                "SELECT app_id, local_date FROM ops.partitions "
                f"WHERE table_name = {linked} AND change_number > {since}"
            )
        database.execute(
            f"""CREATE OR REPLACE TEMP TABLE _linked_{len(name)} AS
            SELECT DISTINCT l.other_app_id AS app_id, l.other_date AS local_date
            FROM ops.partition_links AS l JOIN ({origin}) AS o
                ON l.app_id = o.app_id AND l.local_date = o.local_date
            WHERE l.link = {quoted(link.pairs or name)}"""
        )
    for name in links:
        database.execute(
            f"""INSERT INTO _affected SELECT app_id, local_date FROM _linked_{len(name)}
            EXCEPT SELECT app_id, local_date FROM _affected"""
        )


def visible(database: Database, links: Collection[str]) -> None:
    """Fill `_visible`: the affected partitions, and those whose rows belong to rows of these."""
    named = ", ".join(quoted(LINKS[one].pairs or one) for one in links) or "''"
    database.execute(
        f"""CREATE OR REPLACE TEMP TABLE _visible AS
        SELECT app_id, local_date FROM _affected UNION
        SELECT l.other_app_id, l.other_date FROM ops.partition_links AS l
        JOIN _affected AS a ON l.app_id = a.app_id AND l.local_date = a.local_date
        WHERE l.link IN ({named}) AND l.app_id <> ''"""
    )
