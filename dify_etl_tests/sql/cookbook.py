"""The queries of docs/cookbook.md, in their order."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from pydantic import SecretStr

from dify_etl.shared_warehouse.copied_tables import VIEWS
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl.warehouse.database import Database

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.md"


Rows = list[tuple[Any, ...]]
TABLES = (
    "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
    "WHERE schema_name IN ('raw', 'ops', 'staging', 'marts')"
)


class Query(NamedTuple):
    """One query, under the heading that asks for it."""

    heading: str
    sql: str


def _queries() -> list[Query]:
    text = COOKBOOK.read_text(encoding="utf-8")
    sections = [section.split("\n", 1) for section in text.split("\n## ")[1:]]
    return [
        Query(heading, sql)
        for heading, body in sections
        for sql in re.findall(r"```sql\n(.*?)```", body, re.DOTALL)
    ]


QUERIES = _queries()
# The first are asked of two chats (test_cookbook), the others of a busy workspace.
OF_TWO_CHATS, OF_A_BUSY_WORKSPACE = QUERIES[:7], QUERIES[7:]


# By heading, how many columns stand first that two workspaces may have in common, and how many
# after them add up. Rows of all other queries belong to one workspace.
ADDED_UP = {
    "What did each model cost?": (3, 2),
    "How many people came each week, and who comes back?": (-1, 1),
    "How does usage grow from month to month?": (1, 2),
    "How satisfied are people with each model?": (1, 2),
    "How long are conversations?": (1, 1),
}


def asked_of_both(
    home: Database, folder: Path, queries: Sequence[Query]
) -> list[tuple[Rows, Rows]]:
    """What each of these queries answers in a shared warehouse of two workspaces, and what it has
    to, both sorted; queries of views that are not in it are left out.

    The second workspace is the first one with other ids of all but people, as Dify has it: an
    account is one in all workspaces of a server, and so is what callers say in `user`.
    """
    held = {f"staging.{name}" for name in VIEWS}
    held |= {name for (name,) in home.rows(TABLES)}
    shared = [query for query in queries if _named(query.sql) <= held]
    needed = set().union(*(_named(query.sql) for query in shared))
    needed |= {"ops.source", "ops.published", "raw.apps", "raw.datasets", "raw.documents"}
    needed |= {"raw.members", "marts.costs", "marts.people"}
    place = SharedPlace(SecretStr(str(folder / "all.duckdb")), None, folder / "spill")
    alone: list[list[Rows]] = []
    home.execute("CHECKPOINT live")
    for name in ("one", "two"):
        path = folder / f"{name}.duckdb"
        shutil.copy(home.path, path)
        with duckdb.connect(str(path)) as copy:
            _become(copy, name, needed)
            alone.append([copy.execute(query.sql).fetchall() for query in shared])
        publish_shared(place, path, run_id="run")
    with duckdb.connect(str(folder / "all.duckdb"), read_only=True) as warehouse:
        return [
            (_sorted(warehouse.execute(query.sql).fetchall()), _sorted(_together(query, one, two)))
            for query, one, two in zip(shared, *alone, strict=True)
        ]


def _named(sql: str) -> set[str]:
    return set(re.findall(r"(?:staging|marts|ops|raw)\.\w+", sql))


def _sorted(rows: Rows) -> Rows:
    return sorted(rows, key=repr)


def _become(copy: duckdb.DuckDBPyConnection, workspace: str, needed: set[str]) -> None:
    """A copy of this workspace, with the tables alone that are needed."""
    for (name,) in copy.execute(TABLES).fetchall():
        if name not in needed:
            copy.execute(f"DROP TABLE {name}")
    copy.execute(
        "UPDATE ops.source SET workspace_id = ?, workspace_name = ?, server_origin = 'https://d'",
        [workspace, workspace],
    )
    copy.execute("INSERT INTO ops.published (published_at, run_id) VALUES (now(), 'run')")
    columns = copy.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
        "SEMI JOIN duckdb_tables() USING (schema_name, table_name) "
        "WHERE column_name LIKE '%\\_id' ESCAPE '\\' AND data_type = 'VARCHAR' "
        "AND NOT regexp_matches(column_name, '(^person|^giver|^asker|^actor|account|session)_')"
    ).fetchall()
    for schema, table, column in columns:
        copy.execute(f"UPDATE {schema}.{table} SET {column} = {column} || ' of {workspace}'")


def _together(query: Query, one: Rows, two: Rows) -> Rows:
    """The rows of both, or of equal keys one with the sums."""
    if query.heading not in ADDED_UP:
        return one + two
    assert len(one) == len(two) > 0
    keys, added = ADDED_UP[query.heading]
    keys = keys if keys > 0 else len(one[0]) - 1
    rows = []
    for left, right in zip(one, two, strict=True):
        rest = left[keys + added :]
        assert (left[:keys], rest) == (right[:keys], right[keys + added :])
        sums = [
            None if a is None else a + b
            for a, b in zip(left[keys:][:added], right[keys:][:added], strict=True)
        ]
        rows.append((*left[:keys], *sums, *rest))
    return rows
