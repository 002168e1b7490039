"""`make dictionary`: docs/data-dictionary.md, made of the tables' own words.

Grain, columns, types and sentences are those of the code; examples are of a small simulated
workspace, read and modelled once.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dify_etl.assembly.ops_copies import OPS_TABLES, fill_ops_tables
from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.models import Model, build
from dify_etl.warehouse.tables import quoted
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_etl_tests.warehouse.good_models import load_models
from dify_simulated import WorldPlan, build_world

DOCUMENT = Path(__file__).parents[1] / "docs" / "data-dictionary.md"
VERSION = "1.16.1"
LONGEST = 48  # characters of an example
# Later is the clock of the machine that read: no example, for it is another every time.
READ = (NOW + timedelta(days=2)).date()
_UNITS = {
    "_seconds": "seconds",
    "_tokens": "tokens",
    "_rate": "0 to 1",
    "_days": "days",
    "_hour": "hour, local",
}
INTRODUCTION = """\
# Data dictionary

Every table, its grain and its columns. Made by `make dictionary` of the code and of SQL files; a \
test fails when it is out of date. Examples are those of a simulated Dify.

Analysts begin with `marts`, then `staging`. `raw` is what Dify told, `ops` what dify-etl did. \
All tables but those of `ops` have the workspace of their file; marts and exports name it in \
`workspace_id`. Instants are in UTC, local days and hours in the time zone of the account that \
reads. Money has its currency beside it, and is never added over currencies.

## How tables join

```mermaid
erDiagram
    stg_apps ||--o{ stg_conversations : app_id
    stg_conversations ||--o{ stg_messages : conversation_id
    stg_messages ||--o{ stg_message_feedbacks : message_id
    stg_messages ||--o{ stg_message_citations : message_id
    stg_messages ||--o{ stg_message_files : message_id
    stg_messages ||--o{ stg_agent_thoughts : message_id
    stg_agent_thoughts ||--o{ stg_agent_tool_calls : agent_thought_id
    stg_apps ||--o{ stg_workflow_runs : app_id
    stg_workflow_runs ||--o{ stg_node_executions : workflow_run_id
    stg_workflow_runs |o--o| stg_messages : workflow_run_id
    stg_workflow_runs ||--o{ stg_human_inputs : workflow_run_id
    stg_apps ||--o{ stg_workflow_versions : app_id
    stg_apps ||--o{ stg_app_versions : app_id
    stg_datasets ||--o{ stg_documents : dataset_id
    stg_documents ||--o{ stg_message_citations : document_id
    people ||--o{ stg_people : person_id
    people ||--o{ person_daily_activity : person_id
    people ||--o{ costs : person_id
    people ||--o{ stg_messages : person_id
```

Lines that end in a crow's foot multiply rows: a message with three citations comes three times, \
with its tokens and its price. Sum before you join:

| to put together | how |
|---|---|
| money and anything else | take `marts.costs`, which has each cent once |
| messages and citations, files, thoughts, ratings | sum the right side by `message_id`, then join |
| runs and nodes | sum nodes by `workflow_run_id`; \
iterations and loops hold the seconds of what is in them |
| messages and runs of chatflows | a run behind a message repeats its tokens: take one of them |
| persons and apps | an end user is of one app (`end_user_id`), \
a person of the workspace (`person_id`) |
| who asked, and who it is | `marts.people` has a person once; `staging.stg_people` once per app \
and account (`actor_id`), so a join by `person_id` multiplies |
| workspaces of a shared warehouse | people by `workspace_id` and `person_id`: \
an account, and a caller's `user`, may be in several |
| unopened completion logs | their message has no `message_id`: join by `conversation_id` |
"""


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    sentence: str
    example: str

    @property
    def unit(self) -> str:
        """What its name and type say of it."""
        if self.type == "TIMESTAMP WITH TIME ZONE":
            return "UTC"
        if self.type == "DATE":
            return "local day"
        if self.name.endswith("price"):
            return "currency"
        if self.name == "tokens":
            return "tokens"
        return next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "")

    def row(self) -> str:
        """A line of Markdown."""
        shown = f"`{self.example}`" if self.example else ""
        kind = self.type.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
        cells = (f"`{self.name}`", kind, self.unit, _escaped(self.sentence), shown)
        return f"| {' | '.join(cells)} |"


def data_dictionary() -> str:
    """The whole document."""
    with tempfile.TemporaryDirectory() as folder:
        world = build_world(
            WorldPlan(seed=5, apps=7, days=3, conversations_per_day=4, timezone="UTC", now=NOW)
        )
        Workplace(world, Path(folder), VERSION).with_rules(segments=True).read()
        with open_database(Path(folder, LIVE)) as database:
            database.ensure(*OPS_TABLES)
            fill_ops_tables(database, Path(folder))
            models = load_models()
            for model in models:
                build(database, model)
            return "\n".join([INTRODUCTION, *_sections(database, models)]) + "\n"


def _sections(database: Database, models: tuple[Model, ...]) -> Iterator[str]:
    for schema in ("marts", "exports", "staging"):
        yield f"## {schema}\n"
        for model in sorted(models, key=lambda one: one.name):
            if model.schema == schema:
                reads = ", ".join(f"`{name}`" for name in model.reads)
                yield from _section(database, model.qualified, f"Made of {reads}.")
    yield "## raw\n"
    for raw in sorted(RAW_TABLES.values(), key=lambda one: one.table.name):
        told = f"Key: {_named(raw.table.key)}. From {_named(raw.sources, 'GET ')}."
        yield from _section(database, raw.table.qualified, told)
    yield "## ops\n"
    for table in sorted(OPS_TABLES, key=lambda one: one.name):
        yield from _section(database, table.qualified, f"Key: {_named(table.key)}.")


def _named(names: tuple[str, ...], before: str = "") -> str:
    return ", ".join(f"`{before}{name}`" for name in names)


def _section(database: Database, qualified: str, told: str) -> Iterator[str]:
    schema, name = qualified.split(".")
    comment = database.value(
        """SELECT comment FROM (SELECT schema_name, table_name, comment FROM duckdb_tables()
        UNION ALL SELECT schema_name, view_name, comment FROM duckdb_views())
        WHERE schema_name = ? AND table_name = ?""",
        [schema, name],
    )
    yield f"### {qualified}\n\n{_escaped(comment)} {told}\n"
    yield "| column | type | unit | what it is | example |\n|---|---|---|---|---|"
    yield from (column.row() for column in _columns(database, schema, name))
    yield ""


def _columns(database: Database, schema: str, name: str) -> Iterator[_Column]:
    described = database.rows(
        """SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns()
        WHERE database_name = 'live' AND schema_name = ? AND table_name = ?
        ORDER BY column_index""",
        [schema, name],
    )
    examples: tuple[str | None, ...] = (None,) * len(described)
    if schema != "ops":
        least = ", ".join(
            f"""min(nullif(CAST("{column}" AS VARCHAR), '')) {_before_reading(column, kind)}"""
            for column, kind, _ in described
        )
        (examples,) = database.rows(f"SELECT {least} FROM {schema}.{name}")
    for (column, kind, sentence), example in zip(described, examples, strict=True):
        yield _Column(column, kind, sentence, _short(example or ""))


def _before_reading(column: str, kind: str) -> str:
    if kind in {"DATE", "TIMESTAMP WITH TIME ZONE"}:
        return f"""FILTER ("{column}" < DATE {quoted(str(READ))})"""
    return ""


def _short(example: str) -> str:
    plain = re.sub(r"[`|\s]+", " ", example).strip()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    DOCUMENT.write_text(data_dictionary(), encoding="utf-8")
