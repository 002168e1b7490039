"""Models: one SQL file is one view (sql/staging, sql/exports) or one table (sql/marts).

A file begins with comment lines: the first says the grain ("One row per app per local day."), then
one line per column, "-- column: sentence". Its dependencies are the tables that its query names.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import duckdb

from dify_etl.warehouse.database import Database
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.tables import quoted

# Exports are wide rows to hand out: as tables they would hold every text twice.
FOLDERS = {"staging": "VIEW", "marts": "TABLE", "exports": "VIEW"}
_COLUMN = re.compile(r"--\s*(?P<name>[a-z][a-z0-9_]*):\s*(?P<text>.+)")


@dataclass(frozen=True)
class Model:
    """One SQL file: schema (its folder), name, grain, column comments, query, what it reads."""

    schema: str
    name: str
    grain: str
    columns: dict[str, str]
    query: str
    reads: tuple[str, ...]
    path: Path
    words: frozenset[str] | None = None  # that stand in the query; None: it has a star

    @property
    def qualified(self) -> str:
        """schema.name, as SQL wants it."""
        return f"{self.schema}.{self.name}"


def sql_folder() -> Path:
    """The sql/ folder: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "sql"
    return checkout if checkout.is_dir() else package / "_sql"


def load_models(folder: Path | None = None) -> tuple[Model, ...]:
    """All models under `folder`, each after the models that it reads.

    ModelBroken when a header is missing, a query does not parse, or two files need each other.
    """
    root = folder or sql_folder()
    found = [
        read_model(path) for schema in FOLDERS for path in sorted((root / schema).glob("*.sql"))
    ]
    return tuple(_in_order({model.qualified: model for model in found}))


def read_model(path: Path) -> Model:
    """The model of one SQL file; ModelBroken when its header or query is wrong."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = list(takewhile(lambda line: line.startswith("--"), lines))
    if not header or _COLUMN.fullmatch(header[0]):
        raise _broken(path, "the first line does not say the grain", "-- One row per app per day.")
    columns: dict[str, str] = {}
    for line in header[1:]:
        found = _COLUMN.fullmatch(line)
        if not found:
            raise _broken(
                path, f"header line is no column: {line}", "-- column_name: what it holds"
            )
        columns[found["name"]] = found["text"]
    query = "\n".join(lines[len(header) :]).strip().rstrip(";")
    return Model(
        schema=path.parent.name,
        name=path.stem,
        grain=header[0].lstrip("- "),
        columns=columns,
        query=query,
        reads=tuple(sorted(_tables_of(query, path))),
        path=path,
        words=_words_of(query),
    )


def build(database: Database, model: Model) -> None:
    """Make the view or table anew, with its comments; call it inside a transaction.

    ModelBroken when DuckDB refuses the query, or its columns are not those of the header.
    """
    kind = FOLDERS[model.schema]
    try:
        database.execute(f"CREATE OR REPLACE {kind} {model.qualified} AS {model.query}")
        columns = [row[0] for row in database.rows(f"DESCRIBE {model.qualified}")]
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise _broken(model.path, str(error).splitlines()[0], "a query that DuckDB runs") from error
    _require_documented(model, columns)
    comments = [f"COMMENT ON {kind} {model.qualified} IS {quoted(model.grain)}"]
    for column, text in model.columns.items():
        comments.append(f'COMMENT ON COLUMN {model.qualified}."{column}" IS {quoted(text)}')
    database.execute(";\n".join(comments))


def _require_documented(model: Model, columns: list[str]) -> None:
    """The header names the query's columns, all of them, in the query's order."""
    documented = list(model.columns)
    if columns == documented:
        return
    missing = [name for name in columns if name not in model.columns]
    unknown = [name for name in documented if name not in columns]
    raise _broken(
        model.path,
        f"header and query differ: not in the header {missing}, not in the query {unknown}",
        "a header line per column of the query, in its order",
    )


def _tables_of(query: str, path: Path) -> set[str]:
    """The schema-qualified tables that a query names; names without a schema are its own CTEs."""
    tree = json.loads(_syntax_tree(query))
    if tree.get("error", True) or len(tree["statements"]) != 1:
        raise _broken(path, tree.get("error_message", "not one query"), "one SELECT statement")
    return {f"{schema}.{table}" for schema, table in _base_tables(tree) if schema}


def _words_of(query: str) -> frozenset[str] | None:
    """All words of a query, among them the columns that it names; None when it has a star."""
    if any(node.get("class") == "STAR" for node in _nodes(json.loads(_syntax_tree(query)))):
        return None
    return frozenset(re.findall(r"\w+", query))


@cache
def _syntax_tree(query: str) -> str:
    """DuckDB's own syntax tree of a query, as JSON."""
    with _parser().cursor() as connection:
        return str(
            connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0][0]
        )


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A database without a file, made once: to make it takes far longer than to parse."""
    return duckdb.connect()


def _base_tables(tree: Any) -> Iterator[tuple[str, str]]:
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE":
            yield node["schema_name"], node["table_name"]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        children: Iterable[Any] = node.values()
    else:
        children = node if isinstance(node, list) else ()
    for child in children:
        yield from _nodes(child)


def _in_order(models: dict[str, Model]) -> Iterator[Model]:
    left = dict(models)
    while left:
        ready = [model for model in left.values() if not set(model.reads) & set(left)]
        if not ready:
            some = next(iter(left.values()))
            raise _broken(some.path, f"models need each other: {', '.join(left)}", "no cycle")
        for model in ready:
            yield left.pop(model.qualified)


def _broken(path: Path, what: str, example: str) -> ModelBroken:
    return ModelBroken(
        what, where=f"sql/{path.parent.name}/{path.name}", hint=f"It should have: {example}"
    )
