"""Nights by chance: what is built in parts is what a whole build makes of the same rows.

`SOAK_NIGHTS=1000 pytest dify_etl_tests/sql/test_partial_builds.py` plays more, SOAK_SEED others.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from json import dumps
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import zone_of
from dify_etl.warehouse import model_builds, partial_builds
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_builds import Builds, build_all
from dify_etl.warehouse.models import Model, read_model
from dify_etl.warehouse.partial_builds import LEAST_ROWS, PartialBuilds
from dify_etl.warehouse.partitions import BY_APP, BY_DAY, LINKS
from dify_etl.warehouse.sql_files import SqlFile
from dify_etl_tests.conftest import Tell
from dify_etl_tests.sql.conftest import ZONE, open_for_few_rows, open_to_throw_away
from dify_etl_tests.sql.hand_written import MODELS, HandWritten, models_behind

SOAK = int(os.environ.get("SOAK_NIGHTS", "0"))
SEED = os.environ.get("SOAK_SEED", "1")
NIGHTS = 14 if SOAK else 5
DAYS = 16
FIRST = datetime(2026, 3, 20, 10, tzinfo=UTC)  # the clocks of Berlin change on the 29th
APPS = {
    "chat": "chat",
    "talk": "chat",
    "agent": "agent-chat",
    "flow": "advanced-chat",
    "work": "workflow",
    "letters": "completion",
}
MODEL_NAMES = ("gpt", "mini", "yuan")
QUESTIONS = ("How are you?", "how are you", "Where is it?", "where, is it", "!")
PEOPLE = ("ada", "bob", "eve", "zoe", "DEFAULT-USER")
BY_DAYS = [one for one in MODELS if one.partition is not None]
INCREMENTAL = [*BY_DAYS, *(one for one in MODELS if one.group)]
_WANTED = {behind.qualified for one in INCREMENTAL for behind in models_behind(one.qualified)}
BEHIND = [one for one in MODELS if one.qualified in _WANTED]
TABLES = [one for one in BEHIND if one.kind == "TABLE"]
FILES = [SqlFile(one.schema, one.name, one) for one in BEHIND]


@dataclass
class Workspace:
    """A workspace in which anything may change: rows of raw tables, written by hand."""

    rows: HandWritten
    chance: Random
    number: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.rows.database

    def begin(self) -> None:
        """Apps, some talks and runs on all days, and figures of Dify."""
        self.rows.add("ops.source", timezone=ZONE, server_version="1.12.1", workspace_id="w")
        for app_id, mode in APPS.items():
            self.rows.app(mode, app_id, model=self.chance.choice(MODEL_NAMES))
        for app_id in APPS:
            for day in range(DAYS):
                date = (FIRST + timedelta(days=day)).date()
                self.rows.read_day(date, app_id=app_id)
                if self.chance.random() < 0.5:
                    self.figure(app_id, day)
        for _ in range(60):
            self.something_new()

    def night(self) -> None:
        """A few changes, mostly of the newest days."""
        self.told.clear()
        for _ in range(self.chance.randint(0, 3)):
            self.something_new()
        for _ in range(self.chance.randint(0, 3)):
            change = self.chance.choice(self.changes())
            self.told.append(change.__name__)
            change()

    def changes(self) -> list[Callable[[], None]]:
        return [
            self.message_changes,
            self.message_changes,
            self.database_tells,
            self.message_of_a_run,
            self.run_changes,
            self.node_changes,
            self.rating,
            self.rating_withdrawn,
            self.citation,
            self.citation,
            self.tool_call,
            self.tool_call,
            self.form_waits,
            self.vanishes,
            self.returns,
            self.app_is_renamed,
            self.app_is_configured,
            self.person_is_renamed,
            self.person_is_known,
            self.log_is_opened,
            self.conversation_changes,
            self.version_is_published,
            self.question_is_annotated,
            self.day_is_settled,
            self.day_is_read,
            self.new_figure,
            self.tool_is_a_workflow,
            self.currencies_are_told,
            self.rate_is_told,
            self.server_is_updated,
            self.people_are_per_app,
            self.zone_is_another,
            self.old_row_of_a_new_day,
            self.row_is_taken_out,
        ]

    def id(self, kind: str) -> str:
        self.number += 1
        return f"{kind} {self.number:04}"

    def moment(self, *, recent: bool = True) -> datetime:
        """Some time of a day; near midnight in Berlin as often as not."""
        day = self.chance.randrange(DAYS - 4 if recent else 0, DAYS)
        seconds = self.chance.choice((0, 12 * 3600 + 3590, 13 * 3600 - 5, 4 * 3600))
        return FIRST + timedelta(days=day, seconds=seconds)

    def now(self) -> datetime:
        """When a row is changed: clocks go back, too."""
        return FIRST + timedelta(days=self.chance.randrange(-30, 60), microseconds=self.number)

    def one(self, table: str, where: str = "true") -> dict[str, Any] | None:
        """A row by chance, old ones as well as new ones."""
        found = self.database.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY ALL")
        names = [column[0] for column in found.description or ()]
        rows = found.fetchall()
        return dict(zip(names, self.chance.choice(rows), strict=True)) if rows else None

    def update(self, table: str, key: dict[str, Any], **values: Any) -> None:
        """Change a row as a load does: with its changed_at."""
        self.number += 1
        values |= {"changed_at": self.now()}
        sets = ", ".join(f"{name} = ?" for name in values)
        where = " AND ".join(f"{name} IS NOT DISTINCT FROM ?" for name in key)
        self.rows.execute(
            f"UPDATE {table} SET {sets} WHERE {where}", [*values.values(), *key.values()]
        )

    # What is new.

    def something_new(self) -> None:
        recent = self.chance.random() < 0.7
        app_id = self.chance.choice([*APPS])
        if APPS[app_id] == "workflow":
            self.run(app_id, self.moment(recent=recent))
        else:
            self.message(app_id, self.moment(recent=recent))

    def message(self, app_id: str, at: datetime) -> None:
        """A question in a talk that is held, or a new one; of a chatflow with its run."""
        talk = self.one("raw.conversations", f"app_id = '{app_id}' AND created_at <= '{at}'")
        user = self.chance.choice(PEOPLE)
        if talk is None or self.chance.random() < 0.6:
            talk = {"conversation_id": self.id("talk"), "from_end_user_id": f"{app_id} {user}"}
            by_account = self.chance.random() < 0.2
            if by_account:
                talk["from_end_user_id"] = None
            config = {"model": {"provider": "langgenius/openai/openai", "name": "gpt"}}
            self.rows.add(
                "raw.conversations",
                app_id=app_id,
                **talk,
                from_end_user_session_id=None if by_account else user,
                from_account_id="account" if by_account else None,
                created_at=at,
                updated_at=at,
                app_model_config=dumps(config) if self.chance.random() < 0.3 else None,
            )
        run_id = None
        if APPS[app_id] == "advanced-chat" and self.chance.random() < 0.8:
            run_id = self.run(app_id, at)
        priced = self.chance.random() < 0.6
        is_unopened = APPS[app_id] == "completion" and self.chance.random() < 0.5
        asked = self.chance.random()
        self.rows.message(
            talk["conversation_id"],
            app_id=app_id,
            message_id=None if is_unopened else self.id("message"),
            workflow_run_id=run_id,
            created_at=at,
            from_end_user_id=talk["from_end_user_id"],
            from_account_id=None if talk["from_end_user_id"] else "account",
            from_source="api" if talk["from_end_user_id"] else "console",
            latency_seconds=self.chance.choice((None, 0.5, 2.0, 8.25)),
            message_tokens=None if is_unopened else self.chance.randint(1, 50),
            answer_tokens=None if is_unopened else self.chance.randint(1, 50),
            query=self.chance.choice(QUESTIONS),
            answer=self.chance.choice(("", "Well.", "There.")),
            total_tokens=60 if priced else None,
            total_price=self.chance.choice((0.25, 0.125)) if priced else None,
            currency=self.chance.choice(("USD", "USD", "RMB")) if priced else None,
            **(self.unit_prices() if priced and asked < 0.5 else {}),
        )

    def unit_prices(self) -> dict[str, float]:
        price = self.chance.choice((0.5, 1.0))
        return {
            "prompt_unit_price": price,
            "prompt_price_unit": 0.001,
            "completion_unit_price": 2 * price,
            "completion_price_unit": 0.001,
        }

    def run(self, app_id: str, at: datetime) -> str:
        """A run with nodes, some of which begin after midnight, or long after."""
        user = self.chance.choice(PEOPLE)
        run_id = self.id("run")
        held = self.chance.random() < 0.9
        if held:
            self.rows.run(
                workflow_run_id=run_id,
                app_id=app_id,
                created_at=at,
                finished_at=at + timedelta(minutes=3),
                created_by_end_user_id=f"{app_id} {user}",
                created_by_end_user_session_id=user,
                triggered_from=self.chance.choice(("app-run", "app-run", "debugging")),
                workflow_version=self.chance.choice(("v1", "v2")),
            )
        for number in range(self.chance.randint(0, 3)):
            self.node(app_id, run_id, at + timedelta(seconds=number * 20), user)
        return run_id

    def node(self, app_id: str, run_id: str, at: datetime, user: str) -> None:
        priced = self.chance.random() < 0.7
        process: dict[str, Any] = {}
        if self.chance.random() < 0.6:
            process |= {
                "model_provider": "langgenius/openai/openai",
                "model_name": self.chance.choice(MODEL_NAMES),
            }
        if priced:
            usage = {name: str(value) for name, value in self.unit_prices().items()}
            process["usage"] = {"currency": "USD", "prompt_tokens": 5, **usage}
        is_tool = self.chance.random() < 0.2
        self.rows.node(
            run_id,
            app_id=app_id,
            node_execution_id=self.id("node"),
            node_id=self.chance.choice(("one", "two")),
            node_type="tool" if is_tool else "llm",
            tool_provider_type="workflow" if is_tool else None,
            created_at=at,
            finished_at=at + timedelta(seconds=self.chance.choice((1, 40))),
            created_by_end_user_id=f"{app_id} {user}",
            process_data=dumps(process),
            total_tokens=20 if priced else None,
            total_price=self.chance.choice((0.0625, 0.5)) if priced else None,
            currency=self.chance.choice(("USD", "USD", "EUR")) if priced else None,
        )

    def figure(self, app_id: str, day: int) -> None:
        at = FIRST + timedelta(days=day)
        self.number += 1
        for metric, most in (
            ("total_price", 3),
            ("token_count", 300),
            ("daily_messages", 4),
            ("daily_conversations", 3),
            ("daily_end_users", 3),
        ):
            self.rows.dify_says(
                metric,
                self.chance.randint(0, most),
                app_id=app_id,
                statistic_date=at.date(),
                read_at=at + timedelta(days=20, seconds=self.number),
                currency="USD",
            )

    # What changes.

    def message_changes(self) -> None:
        if row := self.one("raw.messages"):
            key = {one: row[one] for one in ("conversation_id", "message_id")}
            self.update(
                "raw.messages",
                key,
                **self.chance.choice(
                    (
                        {"status": "error"},
                        {"query": self.chance.choice(QUESTIONS)},
                        {"answer": self.chance.choice(("", "Here."))},
                        {"total_price": 0.375, "total_tokens": 9, "currency": "EUR"},
                        {"total_price": None},
                        {"message_tokens": 7},
                        {"latency_seconds": 1.0},
                        {"from_end_user_id": "chat ada", "from_account_id": None},
                    )
                ),
            )

    def database_tells(self) -> None:
        """Dify's database tells of a message what the API does not, which is no change of it."""
        if row := self.one("raw.messages", "message_id IS NOT NULL"):
            told = self.chance.choice(
                (
                    {"invoke_from": self.chance.choice(("debugger", "explore"))},
                    {"charged_price": 0.25, "charged_currency": "USD"},
                    {"charged_currency": None},
                    {
                        "message_tokens": 10,
                        "answer_tokens": 20,
                        "charged_price": self.chance.choice((0.05, 0.06)),
                        "charged_currency": "USD",
                        "charged_prompt_unit_price": 1,
                        "charged_prompt_price_unit": 0.001,
                        "charged_completion_unit_price": 2,
                        "charged_completion_price_unit": 0.001,
                    },
                    {"model_id": self.chance.choice(MODEL_NAMES)},
                )
            )
            values = ", ".join(f"{name} = ?" for name in told)
            self.rows.execute(
                f"UPDATE raw.messages SET {values} WHERE message_id = ?",
                [*told.values(), row["message_id"]],
            )

    def message_of_a_run(self) -> None:
        """A message is told its run later, or another one."""
        row = self.one("raw.messages", "app_id = 'flow' AND message_id IS NOT NULL")
        run = self.one("raw.node_executions", "app_id = 'flow'")
        if row and run:
            run_id = self.chance.choice((None, run["workflow_run_id"]))
            self.update("raw.messages", {"message_id": row["message_id"]}, workflow_run_id=run_id)

    def run_changes(self) -> None:
        if row := self.one("raw.workflow_runs"):
            values = self.chance.choice(
                ({"triggered_from": "debugging"}, {"workflow_version": "v2"}, {"status": "failed"})
            )
            self.update("raw.workflow_runs", {"workflow_run_id": row["workflow_run_id"]}, **values)

    def node_changes(self) -> None:
        if row := self.one("raw.node_executions"):
            values = self.chance.choice(
                (
                    {"total_price": 0.75, "total_tokens": 3, "currency": "USD"},
                    {"total_price": None},
                    {"process_data": dumps({"model_name": "mini", "model_provider": "x/y/openai"})},
                    {"node_id": "two", "process_data": "{}"},
                )
            )
            self.update(
                "raw.node_executions", {"node_execution_id": row["node_execution_id"]}, **values
            )

    def rating(self) -> None:
        """Of an old message; Dify may tell another time of it than the message has."""
        row = self.one("raw.messages", "message_id IS NOT NULL")
        held = {
            one[0] for one in self.database.rows("SELECT message_id FROM raw.message_feedbacks")
        }
        if row and row["message_id"] not in held:
            hours = self.chance.choice((0, 0, 0, 24))
            self.rows.like(
                row["message_id"],
                app_id=row["app_id"],
                conversation_id=row["conversation_id"],
                rating=self.chance.choice(("like", "dislike")),
                from_end_user_id=row["from_end_user_id"],
                message_created_at=row["created_at"] + timedelta(hours=hours),
            )

    def citation(self) -> None:
        """Of an old message; one more of those that are rated as often as not."""
        rated = "message_id IN (SELECT message_id FROM raw.message_feedbacks)"
        row = self.one("raw.messages", rated if self.chance.random() < 0.5 else "true")
        if row and row["message_id"]:
            self.number += 1
            hours = self.chance.choice((0, 0, 24))
            self.rows.add(
                "raw.message_citations",
                message_id=row["message_id"],
                citation_number=self.number,
                app_id=row["app_id"],
                conversation_id=row["conversation_id"],
                document_name=self.id("document"),
                message_created_at=row["created_at"] + timedelta(hours=hours),
            )

    def tool_call(self) -> None:
        if row := self.one("raw.messages", "message_id IS NOT NULL"):
            hours = self.chance.choice((0, 0, 24))
            self.rows.add(
                "raw.agent_tool_calls",
                agent_thought_id=self.id("thought"),
                call_position=1,
                message_id=row["message_id"],
                app_id=row["app_id"],
                tool_name=self.chance.choice(("search", "time")),
                status=self.chance.choice(("success", "error", None)),
                seconds=self.chance.choice((0.5, 1.0)),
                message_created_at=row["created_at"] + timedelta(hours=hours),
            )

    def form_waits(self) -> None:
        """A message waits for a person: which form it is, the day of its message does not tell."""
        row = self.one("raw.messages", "message_id IS NOT NULL")
        if row and self.chance.random() < 0.3:
            self.rows.add(
                "raw.human_inputs",
                human_input_id=self.id("form"),
                message_id=row["message_id"],
                state="waiting",
            )

    def rating_withdrawn(self) -> None:
        if row := self.one("raw.message_feedbacks"):
            key = {"message_id": row["message_id"]}
            self.update("raw.message_feedbacks", key, rating="like", absent_since=self.now())

    def vanishes(self) -> None:
        table, key = self.chance.choice(
            (
                ("raw.messages", "message_id"),
                ("raw.conversations", "conversation_id"),
                ("raw.workflow_runs", "workflow_run_id"),
                ("raw.node_executions", "node_execution_id"),
            )
        )
        if row := self.one(table, f"{key} IS NOT NULL"):
            self.rows.execute(
                f"UPDATE {table} SET absent_since = ? WHERE {key} = ?", [self.now(), row[key]]
            )

    def returns(self) -> None:
        if row := self.one("raw.messages", "absent_since IS NOT NULL AND message_id IS NOT NULL"):
            self.update("raw.messages", {"message_id": row["message_id"]}, absent_since=None)

    def app_is_renamed(self) -> None:
        app_id = self.chance.choice([*APPS])
        mode = self.chance.choice((APPS[app_id], APPS[app_id], "agent-chat"))
        self.update("raw.apps", {"app_id": app_id}, name=self.id("name"), mode=mode)

    def app_is_configured(self) -> None:
        app_id = self.chance.choice([*APPS])
        last = self.database.value(
            "SELECT max(valid_from_at) FROM ops.app_versions WHERE app_id = ?", [app_id]
        )
        at = max(last, FIRST) + timedelta(days=self.chance.randint(0, 5), hours=1)
        self.rows.configured(self.chance.choice(MODEL_NAMES), app_id=app_id, at=at)

    def person_is_renamed(self) -> None:
        if row := self.one("raw.conversations", "from_end_user_id IS NOT NULL"):
            self.rows.execute(
                "UPDATE raw.conversations SET from_end_user_session_id = ?, changed_at = ? "
                "WHERE from_end_user_id = ?",
                [self.chance.choice((self.id("zoe"), "ada")), self.now(), row["from_end_user_id"]],
            )

    def person_is_known(self) -> None:
        """Of a run a list tells that its user came by the browser, which is one of the person."""
        if row := self.one("raw.workflow_runs"):
            key = {"workflow_run_id": row["workflow_run_id"]}
            self.update("raw.workflow_runs", key, created_by_end_user_type="browser")

    def log_is_opened(self) -> None:
        if row := self.one("raw.messages", "message_id IS NULL"):
            self.database.execute(
                "UPDATE raw.messages SET message_id = ? "
                "WHERE conversation_id = ? AND message_id IS NULL",
                [self.id("message"), row["conversation_id"]],
                is_told=True,
            )

    def conversation_changes(self) -> None:
        if row := self.one("raw.conversations"):
            config = {"model": {"provider": "a/b/openai", "name": self.chance.choice(MODEL_NAMES)}}
            values = self.chance.choice(
                (
                    {"updated_at": self.now()},
                    {"user_like_count": self.chance.randint(0, 3)},
                    {"app_model_config": dumps(config)},
                )
            )
            self.update("raw.conversations", {"conversation_id": row["conversation_id"]}, **values)

    def version_is_published(self) -> None:
        """A graph in which the nodes ask another model than they tell."""
        model = {"provider": "g/h/openai", "name": self.chance.choice(MODEL_NAMES)}
        nodes = [{"id": "two", "data": {"model": model}}]
        self.rows.add(
            "raw.workflow_versions",
            workflow_id=self.id("version"),
            app_id=self.chance.choice(("flow", "work")),
            version=self.chance.choice(("v1", "v2")),
            graph=dumps({"nodes": nodes}),
            created_at=FIRST,
        )

    def question_is_annotated(self) -> None:
        """An annotation comes, or one is gone."""
        row = self.one("raw.annotations")
        if row and self.chance.random() < 0.5:
            self.update(
                "raw.annotations", {"annotation_id": row["annotation_id"]}, absent_since=FIRST
            )
            return
        self.rows.add(
            "raw.annotations",
            annotation_id=self.id("annotation"),
            app_id=self.chance.choice([*APPS]),
            question=self.chance.choice(QUESTIONS),
        )

    def day_is_settled(self) -> None:
        self.rows.execute(
            "UPDATE ops.slices SET is_settled = NOT is_settled WHERE app_id = ? AND slice_date = ?",
            [self.chance.choice([*APPS]), self.moment(recent=False).date()],
        )

    def day_is_read(self) -> None:
        """A day leaves the ledger, or is one of it once more, read at another time."""
        app_id, day = self.chance.choice([*APPS]), self.moment(recent=False).date()
        self.rows.execute(
            "DELETE FROM ops.slices WHERE app_id = ? AND slice_date = ?", [app_id, day]
        )
        if self.chance.random() < 0.6:
            self.rows.read_day(day, app_id=app_id, read_at=self.now())

    def new_figure(self) -> None:
        self.figure(self.chance.choice([*APPS]), self.chance.randrange(DAYS))

    def tool_is_a_workflow(self) -> None:
        """The run inside of a node that is a workflow of another app, which is found late."""
        if row := self.one("raw.node_executions", "tool_provider_type = 'workflow'"):
            other = "work" if row["app_id"] == "flow" else "flow"
            self.run(other, row["created_at"])

    def currencies_are_told(self) -> None:
        name = self.chance.choice(MODEL_NAMES)
        self.rows.execute("DELETE FROM ops.model_currencies WHERE model = ?", [name])
        currency = self.chance.choice(("USD", "RMB"))
        self.rows.add("ops.model_currencies", model=name, currency=currency)

    def rate_is_told(self) -> None:
        day = self.moment(recent=False).date()
        self.rows.execute("DELETE FROM ops.currency_rates WHERE rate_date = ?", [day])
        self.rows.add(
            "ops.currency_rates", rate_date=day, from_currency="RMB", to_currency="USD", rate=0.125
        )

    def server_is_updated(self) -> None:
        version = self.chance.choice(("1.8.1", "1.12.1"))
        self.rows.execute("UPDATE ops.source SET server_version = ?", [version])

    def people_are_per_app(self) -> None:
        self.rows.execute("DELETE FROM ops.model_settings")
        if self.chance.random() < 0.5:
            self.rows.add("ops.model_settings", setting="person", value="app")

    def zone_is_another(self) -> None:
        """Local days are made anew, and no time tells of it."""
        hours = self.chance.choice((0, 9))
        for table in ("messages", "workflow_runs"):
            self.rows.execute(
                f"UPDATE raw.{table} SET created_date = "
                f"(created_at AT TIME ZONE 'Europe/Berlin' + INTERVAL {hours} HOUR)::DATE"
            )

    def old_row_of_a_new_day(self) -> None:
        """An app turns out to be older than all days on which it was read first."""
        app_id = self.chance.choice(("chat", "letters"))
        self.message(app_id, FIRST - timedelta(days=self.chance.randint(1, 3)))

    def row_is_taken_out(self) -> None:
        if row := self.one("raw.workflow_runs"):
            self.rows.execute(
                "DELETE FROM raw.workflow_runs WHERE workflow_run_id = ?", [row["workflow_run_id"]]
            )


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many builds of each model were in part, as in a workspace that is large enough; whole
    builds are made of a few days at a time.
    """
    monkeypatch.setattr(partial_builds, "LEAST_ROWS", 0)
    monkeypatch.setattr(partial_builds, "ROWS_AT_A_TIME", 30)
    counted: Counter[str] = Counter()
    original = Builds._is_built_in_part

    def count(self: Builds, model: Model, was: Any, now: Any) -> bool:
        is_part = original(self, model, was, now)
        counted[model.qualified] += is_part
        return is_part

    monkeypatch.setattr(Builds, "_is_built_in_part", count)
    return counted


@pytest.fixture
def database(empty_file: Path, tmp_path: Path) -> Iterator[Database]:
    yield from _copied(empty_file, tmp_path)


@dataclass(frozen=True)
class Begun:
    """Files of a workspace of SEED as it begins, and after its first build as one that is large
    enough for parts; the chance and the number of what was written stand where it began.
    """

    plain: Path
    built: Path
    chance: tuple[Any, ...]
    number: int

    def workspace(self, database: Database) -> Workspace:
        """It, in a database that is a copy of one of the files."""
        chance = Random()
        chance.setstate(self.chance)
        return Workspace(HandWritten(database, zone_of(ZONE)), chance, self.number)


@pytest.fixture(scope="module")
def begun(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """Made once: six tests begin with it, and its rows and models take two seconds."""
    folder = tmp_path_factory.mktemp("begun")
    plain, built = folder / "plain.duckdb", folder / "built.duckdb"
    shutil.copy(empty_file, plain)
    with open_for_few_rows(plain) as database:
        workspace = Workspace(HandWritten(database, zone_of(ZONE)), Random(SEED))
        workspace.begin()
    shutil.copy(plain, built)
    with pytest.MonkeyPatch.context() as patch, open_for_few_rows(built) as database:
        patch.setattr(partial_builds, "LEAST_ROWS", 0)
        patch.setattr(partial_builds, "ROWS_AT_A_TIME", 30)
        build(database)
    return Begun(plain, built, workspace.chance.getstate(), workspace.number)


@pytest.fixture
def begun_database(begun: Begun, tmp_path: Path) -> Iterator[Database]:
    """A copy of the workspace that begins; nothing is built."""
    yield from _copied(begun.plain, tmp_path)


@pytest.fixture
def built_database(begun: Begun, tmp_path: Path) -> Iterator[Database]:
    """A copy of the workspace that was built once."""
    yield from _copied(begun.built, tmp_path)


def _copied(file: Path, folder: Path) -> Iterator[Database]:
    shutil.copy(file, folder / "live.duckdb")
    with open_to_throw_away(folder / "live.duckdb") as database:
        yield database


def build(database: Database) -> None:
    errors = [error for _, error in build_all(database, FILES, run_id="night") if error]
    assert not errors


def different(database: Database) -> list[str]:
    """The tables that are other than their query gives over all rows, in the order of builds: when
    none is, all are as whole builds would make them.
    """
    found = []
    for one in TABLES:
        database.execute(f"CREATE OR REPLACE TEMP TABLE _whole AS {one.query}")
        if database.value(
            f"""SELECT count(*) FROM (
                (SELECT * FROM {one.qualified} EXCEPT ALL SELECT * FROM _whole) UNION ALL
                (SELECT * FROM _whole EXCEPT ALL SELECT * FROM {one.qualified}))"""
        ):
            found.append(one.qualified)
    return found


def play(workspace: Workspace, nights: int) -> str:
    """Play nights; answers the first table that is wrong, with what happened; empty: none is."""
    build(workspace.database)
    for night in range(nights):
        workspace.night()
        build(workspace.database)
        if found := different(workspace.database):
            return f"night {night}: {found} after {workspace.told}"
    return ""


@pytest.mark.parametrize("history", range(max(1, SOAK // NIGHTS)))
def test_parts_are_what_a_whole_build_makes(
    database: Database, parts: Counter[str], history: int, tell: Tell
) -> None:
    """Rows added late, changed, withdrawn, vanished, of other apps and days than they were."""
    seed = f"{SEED} {history}"
    workspace = Workspace(HandWritten(database, zone_of(ZONE)), Random(seed))
    workspace.begin()
    found = play(workspace, NIGHTS)
    assert not found, f"seed {seed!r}, {found}"
    tell(f"built in part: {dict(parts)}")
    if not SOAK:
        assert {one.qualified for one in INCREMENTAL} == {name for name, n in parts.items() if n}


def test_whole_builds_of_a_few_days_at_a_time_are_those_of_all_at_once(
    begun_database: Database, parts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is joined and sorted at a time stays in memory, however large the workspace is."""
    made: dict[str, int] = {}
    original = PartialBuilds.by_stretches

    def count(self: PartialBuilds, model: Model) -> Iterator[str]:
        for statement in original(self, model):
            made[model.qualified] = made.get(model.qualified, 0) + 1
            yield statement

    monkeypatch.setattr(PartialBuilds, "by_stretches", count)
    build(begun_database)
    assert different(begun_database) == []
    assert {one.qualified for one in BY_DAYS if one.is_in_stretches} == made.keys()
    assert len(made) == 3
    assert min(made.values()) > 1


@pytest.mark.parametrize(
    "changes",
    [
        {"query": "Something else."},  # its old group has one question less, or is gone
        {"answer": "Another one."},
        {"status": "error"},
        {"rating": "dislike"},
        {"state": "waiting"},
        {"document_name": "a document"},
        {"question": "HOW ARE YOU"},
    ],
    ids=lambda changes: "".join(changes),
)
def test_groups_of_questions_are_built_anew_where_one_changed(
    database: Database, parts: Counter[str], changes: dict[str, Any]
) -> None:
    rows = HandWritten(database, zone_of(ZONE))
    rows.app("chat", "app")
    for number in range(30):
        query = "How are you?" if number < 3 else f"question {number}"
        at = FIRST + timedelta(days=number % 3)
        rows.message(
            f"talk {number}", message_id=f"{number}", query=query, answer="", created_at=at
        )
    rows.add(
        "raw.message_citations",
        message_id="9",
        citation_number=1,
        app_id="app",
        message_created_at=FIRST,
    )
    behind = {one.qualified for one in models_behind("marts.unanswered_questions")}
    files = [one for one in FILES if one.qualified in {"marts.unanswered_questions", *behind}]

    def night() -> None:
        assert not [error for _, error in build_all(database, files, run_id="night") if error]

    night()
    about = {"app_id": "app", "message_id": "1"}
    of_day = {"message_created_at": FIRST + timedelta(days=1)}
    if "rating" in changes:
        rows.like("1", conversation_id="talk 1", **of_day, **changes)
    elif "state" in changes:
        rows.add("raw.human_inputs", human_input_id="form", **about, **changes)
    elif "document_name" in changes:
        rows.add("raw.message_citations", citation_number=1, **about, **of_day, **changes)
    elif "question" in changes:
        rows.add("raw.annotations", annotation_id="annotation", app_id="app", **changes)
    else:
        Workspace(rows, Random(SEED)).update("raw.messages", {"message_id": "1"}, **changes)
    night()
    assert parts["marts.unanswered_questions"] == 1
    (mart,) = [one for one in MODELS if one.qualified == "marts.unanswered_questions"]
    held = database.rows(f"SELECT * FROM {mart.qualified} ORDER BY ALL")
    assert held == database.rows(f"SELECT * FROM ({mart.query}) ORDER BY ALL")


ANSWERS = """-- One row per message: its answer, as often as it was given.
-- materialized: table
-- incremental: app_id, created_date
-- app_id: Id of the app.
-- created_date: Local day.
-- answer: Its answer.
select app_id, created_date, answer from raw.messages
"""


def test_rows_that_are_as_they_were_are_left_alone(
    database: Database, parts: Counter[str], tmp_path: Path
) -> None:
    """Equal rows stand as many times as there are; only what is other is written."""
    rows = HandWritten(database, zone_of(ZONE))
    rows.app("chat", "app")
    for number, answer in enumerate(("same", "same", "same", "first", "second")):
        rows.message(f"talk {number}", message_id=f"{number}", answer=answer, created_at=FIRST)
    rows.message("talk", message_id="old", answer="same", created_at=FIRST - timedelta(days=1))
    path = tmp_path / "staging" / "stg_given.sql"
    path.parent.mkdir()
    path.write_text(ANSWERS)
    files = [SqlFile("staging", "stg_given", read_model(path))]

    def held() -> dict[int, str]:
        assert not [error for _, error in build_all(database, files, run_id="night") if error]
        return dict(database.rows("SELECT rowid, answer FROM staging.stg_given"))

    def given(*answers: str) -> dict[str, int]:
        return dict(Counter(answers))

    workspace = Workspace(rows, Random(SEED))
    first = held()
    workspace.update("raw.messages", {"message_id": "3"}, answer="other")
    second = held()
    assert Counter(second.values()) == given(*["same"] * 4, "other", "second")
    kept = {place for place, answer in first.items() if answer != "first"}
    assert kept < second.keys()
    workspace.update("raw.messages", {"message_id": "0"}, answer="second")
    assert Counter(held().values()) == given(*["same"] * 3, "other", "second", "second")
    workspace.update("raw.messages", {"message_id": "1"}, latency_seconds=1.0)
    before = held()
    workspace.update("raw.messages", {"message_id": "1"}, latency_seconds=2.0)
    assert held() == before
    assert parts["staging.stg_given"] == 4


NESTED = """-- One row per message: its answer under a name that SQL may take for the row; a list.
-- materialized: table
-- incremental: app_id, created_date
-- app_id: Id of the app.
-- created_date: Local day.
-- message_id: Id of the message.
-- t: Its answer.
-- words: Null, none or a null, by its seconds.
select
    app_id,
    created_date,
    message_id,
    answer as t,
    case latency_seconds when 1 then [] when 2 then [null] end as words
from raw.messages
"""


def test_rows_are_compared_by_all_values(
    database: Database, parts: Counter[str], tmp_path: Path
) -> None:
    """Also where a column has the name of the row, and a list has nothing in it."""
    rows = HandWritten(database, zone_of(ZONE))
    rows.app("chat", "app")
    rows.message("talk", message_id="0", answer="same", created_at=FIRST)
    for number in range(1, 6):
        day = FIRST - timedelta(days=number)
        rows.message("talk", message_id=f"{number}", answer="old", created_at=day)
    path = tmp_path / "staging" / "stg_given.sql"
    path.parent.mkdir()
    path.write_text(NESTED)
    files = [SqlFile("staging", "stg_given", read_model(path))]
    workspace = Workspace(rows, Random(SEED))
    found = []
    for seconds in (0.0, 1.0, 2.0, 0.0):
        workspace.update("raw.messages", {"message_id": "0"}, latency_seconds=seconds)
        assert not [error for _, error in build_all(database, files, run_id="night") if error]
        held = database.rows("SELECT words FROM staging.stg_given WHERE message_id = '0'")
        found += [words for (words,) in held]
    assert found == [None, [], [None], None]
    assert parts["staging.stg_given"] == 3


def test_small_workspace_is_built_whole(
    begun: Begun,
    begun_database: Database,
    parts: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To look for what changed takes longer than to build all of it."""
    monkeypatch.setattr(partial_builds, "LEAST_ROWS", LEAST_ROWS)
    assert not play(begun.workspace(begun_database), 2)
    assert not +parts
    assert begun_database.value("SELECT count(*) FROM ops.partitions") == 0


def test_workspace_that_became_small_goes_on_from_no_number(
    built_database: Database, parts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is numbered a table may be built that another one, built later, reads."""
    database = built_database
    numbered = "SELECT count(*) FROM ops.models WHERE change_number IS NOT NULL"
    assert database.value(numbered) == len(INCREMENTAL)
    monkeypatch.setattr(partial_builds, "LEAST_ROWS", LEAST_ROWS)
    errors = [error for _, error in build_all(database, FILES, run_id="one", chosen=()) if error]
    assert not errors
    assert database.value(numbered) == 0


def test_all_is_built_whole_once_a_week(
    begun: Begun,
    built_database: Database,
    parts: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a part may have missed is right again then."""
    database, workspace = built_database, begun.workspace(built_database)
    database.execute("UPDATE marts.latency SET messages = 999")
    for days in (6, 8):
        later = datetime.now(UTC) + timedelta(days=days)
        monkeypatch.setattr(model_builds, "utc_now", lambda later=later: later)
        workspace.message_changes()
        workspace.message_of_a_run()
        build(database)
        is_wrong = database.value("SELECT count(*) FROM marts.latency WHERE messages = 999") > 0
        assert is_wrong is (days == 6)
        parts.clear()


def test_row_without_a_day_that_gets_one_stands_once(
    begun: Begun, begun_database: Database, parts: Counter[str]
) -> None:
    """It lay in no partition that could be put anew."""
    database, workspace = begun_database, begun.workspace(begun_database)
    message = workspace.one("raw.messages")
    assert message is not None
    workspace.rows.like(
        message["message_id"],
        app_id=message["app_id"],
        message_created_at=None,
        from_source="admin",
    )
    build(database)
    database.execute(
        "UPDATE raw.message_feedbacks SET message_created_at = ?, message_created_date = ?, "
        "changed_at = now() WHERE message_created_at IS NULL",
        [message["created_at"], message["created_date"]],
    )
    for _ in range(2):
        build(database)
        assert different(database) == []
        workspace.message_of_a_run()


def test_build_that_was_killed_before_it_was_noted_is_made_again(
    begun: Begun, built_database: Database, parts: Counter[str]
) -> None:
    """The table is of SQL that was taken back: no part is put into it."""
    database, workspace = built_database, begun.workspace(built_database)
    other = []
    for one in FILES:
        if one.qualified == "marts.latency" and one.model is not None:
            query = f"SELECT * REPLACE (messages + 1000 AS messages) FROM ({one.model.query})"
            one = replace(one, model=replace(one.model, query=query))
        other.append(one)
    for one, error in build_all(database, other, run_id="killed"):
        assert error is None
        if one.qualified == "marts.latency":
            break
    workspace.message_of_a_run()
    build(database)
    assert different(database) == []


def named(model: str, table: str) -> frozenset[str]:
    """What models that are built in parts, `model` in their names, name where they read a table."""
    words: set[str] = set()
    for one in INCREMENTAL:
        for behind in (one, *(view for view in BEHIND if view.kind == "VIEW")):
            told = behind.words.get(table, frozenset())
            if told is None and behind.kind == "TABLE":
                raw = RAW_TABLES[table.split(".")[1].removeprefix("stg_")].table
                told = frozenset(one.name for one in raw.all_columns)
            # A view that passes all on is asked for by its name.
            words |= told or set() if model in behind.qualified else set()
    return frozenset(words)


@pytest.mark.parametrize("table", [one for one in BY_DAY if one.startswith("raw.")])
def test_digests_have_keys_and_the_days_of_the_raw_tables(table: str) -> None:
    """A row that changes without its changed_at is seen all the same, where a model asks for it."""
    raw, of = RAW_TABLES[table.removeprefix("raw.")].table, BY_DAY[table]
    digest = of.digest.split(", ")
    assert of.day == raw.day_column
    assert {*raw.key} - {"app_id", of.day} <= {*digest} or "t" in digest
    volatile = {one.name for one in raw.columns if one.is_volatile} - {*digest}
    view = f"staging.stg_{raw.name}"
    assert not volatile & (named("", table) | named("", view))


def test_digests_of_parts_of_tables_have_all_that_is_asked() -> None:
    slices = {"app_id", "slice_date", "feed", "state", "is_settled", "read_at"}
    of_slices = {"reason", "rows", "run_id", "expected", "claim"}
    assert not named("", "ops.slices") & of_slices - slices
    apps = {one.name for one in RAW_TABLES["apps"].table.all_columns} - {"app_id", "name", "mode"}
    asked = named("marts.", "staging.stg_apps") - {"created_at"}  # of ratings and conversations
    assert not asked & (apps - {"absent_since"}), BY_APP["raw.apps"]
    linked = {one.qualified for one in INCREMENTAL if "conversation" in one.links}
    assert linked == {"staging.stg_message_models", "marts.conversation_days"}
    talks = {one.name for one in RAW_TABLES["conversations"].table.all_columns}
    of_talks = {"app_id", "created_date", *(LINKS["conversation"].digest or "").split(", ")}
    assert not named("stg_message_models", "raw.conversations") & talks - of_talks
    of_day = named("conversation_days", "staging.stg_conversations")
    assert not of_day & talks - of_talks
