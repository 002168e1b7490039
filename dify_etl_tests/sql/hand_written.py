"""Rows written by hand into raw tables and the ledger, and the marts that come of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from json import dumps
from typing import Any
from zoneinfo import ZoneInfo

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.models import Model
from dify_etl.warehouse.tables import Table
from dify_etl_tests.warehouse.good_models import load_models

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 11, tzinfo=UTC)  # 12:00 in Berlin
RUN_ENDED = datetime(2026, 3, 9, tzinfo=UTC)
TABLES: dict[str, Table] = {
    table.qualified: table for table in (*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES)
}
FEEDS_OF_DAYS = (
    "daily_statistics",
    "conversations",
    "messages",
    "workflow_runs",
    "node_executions",
)


MODELS = load_models()


def models_behind(qualified: str) -> list[Model]:
    """A model and all models that it reads, in the order in which they are built."""
    wanted = {qualified}
    for model in reversed(MODELS):
        if model.qualified in wanted:
            wanted.update(model.reads)
    return [model for model in MODELS if model.qualified in wanted]


@dataclass
class HandWritten:
    """A warehouse to write rows into; values that a row does not name are null or plain."""

    database: Database
    zone: ZoneInfo | None = None
    rows_written: int = 0
    built: set[str] = field(default_factory=set)  # tables that hold all that was written

    def execute(self, sql: str, parameters: object = None) -> None:
        """Change rows that are there."""
        self.built.clear()
        self.database.execute(sql, parameters)

    def add(self, table: str, **values: Any) -> None:
        """One row of `schema.table`; loaded and changed at noon."""
        if TABLES[table].keeps_history:
            values = {"loaded_at": NOON, "changed_at": NOON} | values
        for column in TABLES[table].local_columns:
            at = values.get(column.local_of or "")
            if at is not None and self.zone is not None:
                local = at.astimezone(self.zone)
                values[column.name] = local.date() if column.type == "DATE" else local.hour
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))

    def app(self, mode: str, app_id: str = "app", *, model: str | None = None) -> None:
        """An app that is called after its id; with a model of openai, when it is named."""
        told = {"model": {"provider": "langgenius/openai/openai", "name": model}}
        config = dumps(told) if model else None
        self.add("raw.apps", app_id=app_id, name=app_id, mode=mode, app_model_config=config)
        if model:
            self.configured(model, app_id=app_id)

    def configured(self, model: str, *, app_id: str = "app", at: datetime = NOON) -> None:
        """The history says: from then on an app asks this model of openai."""
        held = self.database.value(
            "SELECT count(*) FROM ops.app_versions WHERE app_id = ?", [app_id]
        )
        self.add(
            "ops.app_versions",
            app_id=app_id,
            app_version=held + 1,
            valid_from_at=at,
            valid_from_date=at.date(),
            provider="langgenius/openai/openai",
            model=model,
        )

    def read_day(
        self, day: date = DAY, *, feeds: Sequence[str] = FEEDS_OF_DAYS, **marks: Any
    ) -> None:
        """The ledger say: these feeds were read for the day by one run, proven and settled."""
        for feed in feeds:
            row: dict[str, Any] = {"app_id": "app", "state": "proven", "is_settled": True}
            row |= {"run_id": "run", "read_at": RUN_ENDED, **marks}
            self.add("ops.slices", feed=feed, slice_date=day, **row)

    def end_run(self, run_id: str = "run", ended_at: datetime = RUN_ENDED) -> None:
        """The ledger say when a run ended."""
        for feed in FEEDS_OF_DAYS:
            self.add("ops.runs", run_id=run_id, feed=feed, ended_at=ended_at)

    def message(self, conversation_id: str = "talk", **values: Any) -> None:
        """A question of an end user at noon, answered."""
        self.rows_written += 1
        plain = {
            "app_id": "app",
            "message_id": f"message {self.rows_written}",
            "from_source": "api",
            "from_end_user_id": "user",
            "status": "normal",
            "created_at": NOON,
            "message_tokens": 10,
            "answer_tokens": 20,
            "latency_seconds": 2.0,
            "message_source": "chat",
        }
        self.add("raw.messages", conversation_id=conversation_id, **(plain | values))

    def like(self, message_id: str, **values: Any) -> None:
        """A like of the end user for a message of noon."""
        plain = {
            "app_id": "app",
            "message_id": message_id,
            "rating": "like",
            "from_source": "user",
            "message_created_at": NOON,
        }
        self.add("raw.message_feedbacks", **(plain | values))

    def run(self, **values: Any) -> str:
        """A published run at noon that succeeded in two seconds; answers its id."""
        self.rows_written += 1
        plain = {
            "app_id": "app",
            "workflow_run_id": f"run {self.rows_written}",
            "triggered_from": "app-run",
            "status": "succeeded",
            "elapsed_seconds": 2.0,
            "total_tokens": 100,
            "created_at": NOON,
            "created_by_end_user_id": "user",
        }
        row = plain | values
        self.add("raw.workflow_runs", **row)
        return str(row["workflow_run_id"])

    def node(self, workflow_run_id: str, **values: Any) -> None:
        """A node of a run."""
        self.rows_written += 1
        plain = {
            "app_id": "app",
            "workflow_run_id": workflow_run_id,
            "node_execution_id": f"node {self.rows_written}",
            "node_id": "llm",
            "node_type": "llm",
            "title": "Model",
            "status": "succeeded",
            "created_at": NOON,
        }
        self.add("raw.node_executions", **(plain | values))

    def dify_says(self, metric: str, value: float | None, **values: Any) -> None:
        """A figure of Dify's own."""
        plain = {
            "app_id": "app",
            "statistic_date": DAY,
            "account_timezone": "Europe/Berlin",
            "server_version": "1.12.1",
            "read_at": RUN_ENDED,
        }
        self.add("raw.daily_statistics", metric=metric, value=value, **(plain | values))

    def rows_of(self, model: str, where: str = "true") -> list[dict[str, Any]]:
        """Build a model and what it reads, and answer its rows as dictionaries.

        Views are in the empty file, and so are the comments: to make them takes longer.
        """
        for one in models_behind(model):
            if one.kind == "TABLE" and one.qualified not in self.built:
                self.database.execute(f"CREATE OR REPLACE TABLE {one.qualified} AS {one.query}")
                self.built.add(one.qualified)
        found = self.database.execute(f"SELECT * FROM {model} WHERE {where} ORDER BY ALL")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one_row_of(self, model: str, where: str = "true") -> dict[str, Any]:
        """The only row of a model."""
        (row,) = self.rows_of(model, where)
        return row
