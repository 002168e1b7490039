"""Models: one SQL file is one view (sql/staging, sql/exports) or one table (sql/marts).

A file begins with comment lines: the first says the grain ("One row per app per local day."), then
one line per column, "-- column: sentence". "-- materialized: table" among them makes a table of a
view that many others ask. Its dependencies are the tables that its query names.

"-- incremental: app_id, usage_date" says of a table that its rows of an app and a local day are
made of the rows of that app and day alone, in all tables that are kept by days
(warehouse/partitions.py): then only those that changed are built anew. With one column it is the
day, of all apps. "-- linked by: run" says that rows of other days and apps have part in them, too:
those of the same run.

"-- whole in stretches of days" says of such a table that a whole build of a large one takes some
days after others: where windows and sorts over all rows would spill, it takes a fraction of the
time.

"-- incremental by group: app_id, question_group" says of a table that its rows with the same values
in these columns are made of such rows alone, in all tables of models that it names and that have
these columns; its other tables are small, or change only together with one of these.

A staging view names only what it renames, computes or says otherwise: a column that it passes on as
it is has the comment of the raw column.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import duckdb
import orjson

from dify_etl.project_files import project_file
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.partitions import LINKS
from dify_etl.warehouse.tables import quoted

# Exports are wide rows to hand out: as tables they would hold every text twice.
FOLDERS = {"staging": "VIEW", "marts": "TABLE", "exports": "VIEW"}
_MATERIALIZED = "-- materialized: table"
_INCREMENTAL, _LINKED = "-- incremental: ", "-- linked by: "
_BY_GROUP = "-- incremental by group: "
_IN_STRETCHES = "-- whole in stretches of days"
_WORD = re.compile(r"[a-z][a-z0-9_]*")  # what the columns of raw tables and ops are named
_COLUMN = re.compile(r"--\s*(?P<name>[a-z][a-z0-9_]*):\s*(?P<text>.+)")


@dataclass(frozen=True)
class Model:
    """One SQL file: schema (its folder), name, grain, column comments, query, what it reads.

    `columns` are those of the header. `selects` are the columns of the query as far as its text
    names them (a star names none), `unchanged` those among them that keep the name that they had.
    """

    schema: str
    name: str
    grain: str
    columns: dict[str, str]
    query: str
    reads: tuple[str, ...]
    where: str  # the file, as messages name it
    first_line: int  # of the query in it
    kind: str  # VIEW or TABLE
    is_own: bool = False  # of DIFY_ETL_SQL
    # Per table that is read, what the parts of the query that read it name; None: all its columns.
    words: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    selects: tuple[str, ...] = ()
    unchanged: frozenset[str] = frozenset()
    # The columns of app (None: of all apps) and local day by which it is built in parts.
    partition: tuple[str | None, str] | None = None
    links: tuple[str, ...] = ()  # of warehouse/partitions.py
    group: tuple[str, ...] = ()  # the columns of groups by which it is built in parts
    is_in_stretches: bool = False  # a whole build takes some days after others

    @property
    def qualified(self) -> str:
        """schema.name, as SQL wants it."""
        return f"{self.schema}.{self.name}"

    @property
    def described_by(self) -> str | None:
        """The raw table whose comments a staging view takes: the only one that it reads."""
        raw = [table for table in self.reads if table.startswith("raw.")]
        return raw[0] if self.schema == "staging" and len(raw) == 1 else None


def sql_folder() -> Path:
    """The folder of the models that come with dify-etl."""
    return project_file("sql")


def read_model(path: Path, schema: str | None = None, *, is_own: bool = False) -> Model:
    """The model of one SQL file, in the schema of its folder's name unless another is given.

    ModelBroken when it cannot be read, or its header or query is wrong.
    """
    schema = schema or path.parent.name
    where = str(path) if is_own else f"sql/{schema}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise _broken(where, f"the file cannot be read: {reason}", "text in UTF-8") from None
    return replace(_model_of(path.stem, schema, where, text), is_own=is_own)


@dataclass
class _Header:
    """What the lines before a query say; `columns` in their order."""

    grain: str
    is_table: bool = False
    is_in_stretches: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    partition: tuple[str | None, str] | None = None
    links: tuple[str, ...] = ()
    group: tuple[str, ...] = ()

    def take(self, line: str, where: str) -> None:
        """One more line. ModelBroken when it says nothing that is known."""
        if line == _MATERIALIZED:
            self.is_table = True
        elif line == _IN_STRETCHES:
            self.is_in_stretches = True
        elif line.startswith(_INCREMENTAL):
            self.partition = _partition(line.removeprefix(_INCREMENTAL), where)
        elif line.startswith(_LINKED):
            self.links = _links(line.removeprefix(_LINKED), where)
        elif line.startswith(_BY_GROUP):
            self.group = _group(line.removeprefix(_BY_GROUP), where)
        elif found := _COLUMN.fullmatch(line):
            self.columns[found["name"]] = found["text"]
        else:
            raise _broken(
                where, f"header line is no column: {line}", "-- column_name: what it holds"
            )

    def check(self, kind: str, where: str) -> None:
        """ModelBroken for lines that do not go together, or not with a view."""
        is_in_parts = self.partition is not None or bool(self.group)
        needs_days = bool(self.links) or self.is_in_stretches
        if (
            (is_in_parts and kind != "TABLE")
            or (needs_days and self.partition is None)
            or (self.group and self.partition is not None)
        ):
            raise _broken(
                where, "only a table is built in parts", "-- incremental: app_id, usage_date"
            )


@dataclass(frozen=True)
class Syntax:
    """What a model knows of the text of its query: `reads`, `words`, `selects`, `unchanged`. Names
    are in small letters, since they are the same to DuckDB however they are written.
    """

    reads: tuple[str, ...]
    words: Mapping[str, frozenset[str] | None]
    selects: tuple[str, ...]
    unchanged: frozenset[str]


def read_syntax(query: str, where: str, first_line: int = 1) -> Syntax:
    """By DuckDB's parser. ModelBroken when it is not one query that says what it reads.

    `first_line` is that of the query in the file, which errors name.
    """
    statement = _parsed(query, where, first_line)
    nodes = list(_nodes(statement))
    if hidden := _hidden_reads(nodes):
        raise _broken(
            where, f"{hidden}() hides what it reads", "the table by its name: FROM raw.messages"
        )
    selected = list(_selected(statement["node"]))
    return Syntax(
        reads=tuple(sorted({f"{of}.{table}" for of, table in _base_tables(nodes) if of})),
        words=_words_of(nodes),
        selects=tuple(name for name, _ in selected),
        unchanged=frozenset(name for name, is_unchanged in selected if is_unchanged),
    )


# The queries of sql/ as `make dictionary` parsed them: each command would take a third of a second
# for the same. A query that is not in it, of one's own or changed since, is parsed.
SYNTAX_FILE = Path(__file__).with_name("syntax.json")


@cache
def known_syntax() -> Mapping[str, Syntax]:
    """The syntax of queries that need not be parsed, by their digest."""
    try:
        told = orjson.loads(SYNTAX_FILE.read_bytes())
    except FileNotFoundError:
        return {}
    return {
        digest: Syntax(
            tuple(one["reads"]),
            {table: None if of is None else frozenset(of) for table, of in one["words"].items()},
            tuple(one["selects"]),
            frozenset(one["unchanged"]),
        )
        for digest, one in told.items()
    }


def query_digest(query: str) -> str:
    """Of the text of a query, as hexadecimal digits."""
    return hashlib.sha256(query.encode()).hexdigest()[:32]


@cache
def _model_of(name: str, schema: str, where: str, text: str) -> Model:
    lines = text.splitlines()
    comments = list(takewhile(lambda line: line.startswith("--"), lines))
    if not comments or _COLUMN.fullmatch(comments[0]):
        raise _broken(where, "the first line does not say the grain", "-- One row per app per day.")
    header = _Header(grain=comments[0].lstrip("- "))
    for line in comments[1:]:
        header.take(line, where)
    kind = "TABLE" if header.is_table else FOLDERS[schema]
    header.check(kind, where)
    rest = lines[len(comments) :]
    query = "\n".join(rest).strip().rstrip(";")
    first_line = len(comments) + len(list(takewhile(lambda line: not line.strip(), rest))) + 1
    syntax = known_syntax().get(query_digest(query)) or read_syntax(query, where, first_line)
    return Model(
        schema=schema,
        name=name,
        grain=header.grain,
        columns=header.columns,
        query=query,
        reads=syntax.reads,
        where=where,
        first_line=first_line,
        kind=kind,
        words=syntax.words,
        selects=syntax.selects,
        unchanged=syntax.unchanged,
        partition=header.partition,
        links=header.links,
        group=header.group,
        is_in_stretches=header.is_in_stretches,
    )


def _partition(told: str, where: str) -> tuple[str | None, str]:
    names = told.split(", ")
    if len(names) > 2 or not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise _broken(
            where, f"no columns of app and day: {told}", "-- incremental: app_id, usage_date"
        )
    return (names[0] if len(names) == 2 else None), names[-1]


def _group(told: str, where: str) -> tuple[str, ...]:
    names = tuple(told.split(", "))
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names):
        raise _broken(
            where, f"no columns: {told}", "-- incremental by group: app_id, question_group"
        )
    return names


def _links(told: str, where: str) -> tuple[str, ...]:
    names = tuple(told.split(", "))
    if unknown := [name for name in names if name not in LINKS]:
        known = ", ".join(LINKS)
        raise _broken(where, f"no links: {', '.join(unknown)}", f"-- linked by: any of {known}")
    return names


def syntax_of(model: Model) -> Any:
    """DuckDB's syntax tree of a model's query: the node of its SELECT or UNION."""
    return _parsed(model.query, model.where)["node"]


def column_sentences(model: Model, raw_comments: Mapping[str, str]) -> dict[str, str]:
    """The sentence of each column that has one, in the query's order: the header's, else that of
    the raw column which is passed on as it is. `raw_comments` are those of `described_by`.
    """
    inherited = {
        name: _sentence(raw_comments[name]) for name in model.unchanged & raw_comments.keys()
    }
    known = {**inherited, **model.columns}
    names = model.selects if set(model.columns) <= set(model.selects) else model.columns
    return {name: known[name] for name in names if name in known}


@dataclass(frozen=True)
class Catalog:
    """What a file holds already, asked once for many builds: each answer takes milliseconds."""

    database: Database

    @cached_property
    def kinds(self) -> dict[str, str]:
        """schema.name -> VIEW or TABLE."""
        return dict(
            self.database.rows(
                """SELECT schema_name || '.' || table_name, 'TABLE' FROM duckdb_tables()
                WHERE database_name = 'live' UNION ALL
                SELECT schema_name || '.' || view_name, 'VIEW' FROM duckdb_views()
                WHERE database_name = 'live'"""
            )
        )

    @cached_property
    def raw_comments(self) -> dict[str, dict[str, str]]:
        """raw.name -> column -> its comment; columns without one are left out."""
        rows = self.database.rows(
            "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() "
            "WHERE database_name = 'live' AND schema_name = 'raw' AND comment IS NOT NULL"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, comment in rows:
            found.setdefault(table, {})[column] = comment
        return found


def build(
    database: Database,
    model: Model,
    catalog: Catalog | None = None,
    statements: Iterable[str] | None = None,
) -> None:
    """Make the view or table anew, with its comments; call it inside a transaction.

    `catalog` is that of many builds; `statements` are those that make the table, where it is more
    than one. ModelBroken when DuckDB refuses the query, when the header names others than its
    columns or in another order, or when a column has a sentence neither there nor in the raw table.
    """
    catalog, kind = catalog or Catalog(database), model.kind
    # What an earlier version made as a view may be a table now: no statement replaces it.
    if (other := catalog.kinds.get(model.qualified, kind)) != kind:
        database.execute(f"DROP {other} {model.qualified}")
    made = f"CREATE OR REPLACE {kind} {model.qualified} AS {model.query}"
    try:
        for statement in (made,) if statements is None else statements:
            database.execute(statement)
        columns = [row[0].lower() for row in database.rows(f"DESCRIBE {model.qualified}")]
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        raise ModelBroken(
            _refusal(model, str(error)),
            where=model.where,
            hint="Correct the query in this file; `dify-etl query --file` tries one by hand. The "
            "next sync builds it.",
        ) from error
    described_by = model.described_by
    comments = {} if described_by is None else catalog.raw_comments.get(described_by, {})
    sentences = column_sentences(model, comments)
    _require_documented(model, columns, sentences)
    statements = [f"COMMENT ON {kind} {model.qualified} IS {quoted(model.grain)}"]
    for column, text in sentences.items():
        statements.append(f'COMMENT ON COLUMN {model.qualified}."{column}" IS {quoted(text)}')
    database.execute(";\n".join(statements))


def _sentence(comment: str) -> str:
    """Raw columns are described by a phrase ("id of the app"), those of models by a sentence."""
    ended = comment if comment.endswith((".", "…")) else f"{comment}."
    return ended[:1].upper() + ended[1:]


def _refusal(model: Model, told: str) -> str:
    """What DuckDB says of a query, with the names that it proposes, and the line in the file."""
    reason, _, place = told.partition("\n\nLINE ")
    what = " ".join(reason.split("\n\n")[0].split("\n")[:2])
    number, _, shown = place.partition("\n")[0].partition(":")
    if not number.isdecimal():
        return what
    # DuckDB counts from the statement around the query, and shows a part of a long line.
    part = shown.rpartition(f" {model.qualified} AS ")[2].strip().strip(".")
    found = [at for at, line in enumerate(model.query.split("\n")) if part and part in line]
    if len(found) != 1 and int(number) - 1 not in found:
        return what
    at = found[0] if len(found) == 1 else int(number) - 1
    return f"line {model.first_line + at}: {what}"


def _require_documented(model: Model, columns: list[str], sentences: Mapping[str, str]) -> None:
    """Each column has its sentence; the header names columns of the query, in its order."""
    missing = [name for name in columns if name not in sentences]
    unknown = [name for name in model.columns if name not in columns]
    in_order = [name for name in columns if name in model.columns]
    if not missing and in_order == list(model.columns):
        return
    raise _broken(
        model.where,
        f"header and query differ: not in the header {missing}, not in the query {unknown}",
        "a header line per column of the query, in its order; a staging view may leave out those "
        "that it takes from its raw table as they are",
    )


def _parsed(query: str, where: str, first_line: int = 1) -> Any:
    """The syntax tree of the one query that a file holds."""
    tree = orjson.loads(_syntax_tree(query))
    if tree.get("error", True) or len(tree["statements"]) != 1:
        what, at = tree.get("error_message", "not one query"), str(tree.get("position", ""))
        if at.isdecimal():  # bytes before what is wrong
            line = first_line + query.encode()[: int(at)].count(b"\n")
            what = f"line {line}: {what}"
        raise _broken(where, what, "one SELECT statement")
    return tree["statements"][0]


def _selected(node: Any) -> Iterator[tuple[str, bool]]:
    """The columns of a query that its text names, and whether each keeps the name that it had."""
    while "select_list" not in node:  # a UNION has the names of its first query
        if not node.get("children"):
            return
        node = node["children"][0]
    for column in node["select_list"]:
        had = column["column_names"][-1] if column["class"] == "COLUMN_REF" else ""
        if name := column["alias"] or had:
            yield name.lower(), name.lower() == had.lower()


def _words_of(tree: Iterable[dict[str, Any]]) -> dict[str, frozenset[str] | None]:
    """Per table in a schema, all words of the SELECTs that read it, among them the columns of it
    that they name; None where a star, or the table as one value, takes all of them.

    The parts before a SELECT (WITH) are SELECTs of their own.
    """
    found: dict[str, frozenset[str] | None] = {}
    for node in tree:
        if node.get("type") != "SELECT_NODE":
            continue
        own = {name: value for name, value in node.items() if name != "cte_map"}
        nodes = list(_nodes(own))
        words = frozenset(one for one in map(str.lower, _strings(nodes)) if _WORD.fullmatch(one))
        values = _values_of(nodes)
        for table in _nodes(node["from_table"]):
            if table.get("type") != "BASE_TABLE" or not table["schema_name"]:
                continue
            name = f"{table['schema_name']}.{table['table_name']}".lower()
            known = found.get(name, frozenset())
            names = {table["alias"].lower(), table["table_name"].lower()}
            takes_all = values is None or bool(values & names)
            found[name] = None if takes_all or known is None else known | words
    return found


def _values_of(nodes: Sequence[dict[str, Any]]) -> set[str] | None:
    """The last names of all columns, by which a table may be named as a value; None: a star."""
    if any(one.get("class") == "STAR" for one in nodes):
        return None
    columns = (one["column_names"] for one in nodes if one.get("class") == "COLUMN_REF")
    return {names[-1].lower() for names in columns if names}


def _strings(nodes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """All strings that stand in JSON objects, in no order."""
    for node in nodes:
        for value in node.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    yield one


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


def _hidden_reads(nodes: Iterable[dict[str, Any]]) -> str | None:
    """A function that reads a table which its text does not name as one: when that changes nobody
    would build the model anew, and a person who is forgotten would stay in it.
    """
    named = {node["function_name"].lower() for node in nodes if "function_name" in node}
    return min(named & {"query", "query_table"}, default=None)


def _base_tables(nodes: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            yield node["schema_name"].lower(), node["table_name"].lower()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of a JSON value, in no order: a tree has thousands, hence no generators nested as
    deep as it is.
    """
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left += [one for one in node.values() if isinstance(one, dict | list)]
        else:
            left += [one for one in node if isinstance(one, dict | list)]


def _broken(where: str, what: str, example: str) -> ModelBroken:
    return ModelBroken(what, where=where, hint=f"It should have: {example}")
