"""Conversations as the lists of the console tell them, from Dify's tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import polars as pl

from dify_etl.dify.app_modes import CHATFLOW_MODES, COMPLETION_MODES
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.http.server import Version
from dify_etl.dify.record import JsonRow
from dify_etl.dify_database.chunks import Selection, in_chunks, seconds
from dify_etl.dify_database.connection import Snapshot, quoted_uuid, uuids

CONVERSATIONS = "conversations (database)"
HIDES_DELETED_SINCE = (1, 7, 0)  # 1.0 lists what a user deleted; later servers do not
TELLS_MODEL_SINCE = (1, 16, 0)
TELLS_PAUSED_SINCE = (1, 13, 0)
# Where a server tells no counts of runs: of conversations without messages, later of those without
# a message that has a run (chats have none). Before, zeros are told of all.
UNCOUNTED_WITHOUT_MESSAGES_SINCE = (1, 7, 0)
UNCOUNTED_WITHOUT_RUNS_SINCE = (1, 11, 2)

R = TypeVar("R")


@dataclass(frozen=True)
class AppTables:
    """The rows of one app: which of them the console shows, by its mode and the version."""

    app_id: str
    mode: str
    version: Version

    @property
    def is_completion(self) -> bool:
        """Whether its conversations hold one message each."""
        return self.mode in COMPLETION_MODES

    def shown(self, alias: str) -> str:
        """SQL: whether the console lists a conversation. Of chatflows it leaves debugging out, and
        rows of which nobody knows whether they are.
        """
        parts = [f"{alias}.app_id = {quoted_uuid(self.app_id)}"]
        if self.version >= HIDES_DELETED_SINCE:
            parts.append(f"NOT {alias}.is_deleted")
        if self.mode in CHATFLOW_MODES:
            parts.append(f"{alias}.invoke_from <> 'debugger'")
        return " AND ".join(parts)


@dataclass(frozen=True)
class ConversationChunk:
    """Some conversations: `rows` as Dify's tables have them, with what the console looks up for
    each, and the configurations that they name.
    """

    rows: pl.DataFrame
    app: AppTables
    configs: Mapping[str | None, JsonRow]

    def of(self, rows: pl.DataFrame) -> "ConversationChunk":
        """The same chunk with some of its rows alone."""
        return replace(self, rows=rows)

    @property
    def more(self) -> pl.DataFrame:
        """What the console does not tell, by conversation_id."""
        return self.rows.select(pl.col("id").alias("conversation_id"), "invoke_from")

    @property
    def outcomes(self) -> Sequence[str]:
        """The states of runs that the console counts for the conversations with `is_counted`."""
        is_new = self.app.version >= TELLS_PAUSED_SINCE
        return [name for name, _ in _OUTCOMES if is_new or name != "paused"]

    def config(self, config_id: str | None) -> JsonRow:
        """`model_config` as the console tells it."""
        return self.configs.get(config_id, self.configs[None])

    def answers(self) -> Iterator[JsonRow]:
        """Each as the lists of the console send it."""
        more = self._of_completion if self.app.is_completion else self._of_chat
        for row in self.rows.iter_rows(named=True):
            yield {
                **{key: row[key] for key in _HEAD},
                "model_config": self.config(row["config_id"]),
                "user_feedback_stats": {"like": row["ul"], "dislike": row["ud"]},
                "admin_feedback_stats": {"like": row["al"], "dislike": row["ad"]},
                **more(row),
            }

    def _of_chat(self, row: JsonRow) -> JsonRow:
        outcomes = self.outcomes if row["is_counted"] else ()
        return {
            "name": row["name"],
            "summary": row["summary"] or row["query"] or "",
            "annotated": row["annotated"],
            "message_count": row["messages"],
            "status_count": {key: row.get(key) or 0 for key in outcomes} if outcomes else None,
        }

    def _of_completion(self, row: JsonRow) -> JsonRow:
        if row["messages"] == 0:
            return {"annotation": None, "message": None}
        annotation = None
        if row["annotation_id"] is not None:
            annotation = {
                "id": row["annotation_id"],
                "question": row["annotation_question"],
                "content": row["annotation_content"],
                "account": {"id": row["annotation_account_id"]},
                "created_at": row["annotation_at"],
            }
        prompts = json_of(row["message"])
        first = prompts[0].get("text", "") if isinstance(prompts, list) and prompts else ""
        return {
            "annotation": annotation,
            "message": {
                "inputs": json_of(row["inputs"]),
                "query": row["query"],
                "message": first,
                "answer": row["answer"],
            },
        }


def conversations(
    shot: Snapshot, app: AppTables, where: str, make: Callable[[ConversationChunk], R]
) -> Iterator[R]:
    """Conversations of an app that the console lists; `where` is SQL over conversations c. Each
    chunk comes as `make` makes it on the thread that asks the database.
    """
    person = (
        "LEFT JOIN end_users e ON e.id = c.from_end_user_id "
        "LEFT JOIN accounts a ON a.id = c.from_account_id"
    )
    selection = Selection(
        (
            "c.id::text AS id",
            *(f"c.{name}" for name in ("status", "from_source", "name", "summary", "invoke_from")),
            "c.from_end_user_id::text AS from_end_user_id",
            "e.session_id AS from_end_user_session_id",
            "c.from_account_id::text AS from_account_id",
            "a.name AS from_account_name",
            f"{seconds('c.read_at')} AS read_at",
            f"{seconds('c.created_at')} AS created_at",
            f"{seconds('c.updated_at')} AS updated_at",
            "c.app_model_config_id::text AS config_id",
        ),
        f"conversations c {person}",
        f"{app.shown('c')} AND ({where})",
        at="c.created_at",
        key="c.id",
    )
    reader = _Reader(shot, app)
    return in_chunks(shot, selection, lambda rows: make(reader.complete(rows)))


def json_of(text: str | None) -> Any:
    """The value of a JSON column, or of JSON in a text column; None where it holds none."""
    if not text:
        return None
    try:
        return decode(text.encode())
    except ValueError:
        return text


class _Reader:
    """Adds to conversations what the console looks up for each."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        self._app = app
        # Of several in one second the server takes what lies first in its table.
        self._tie = "m.ctid" if shot.may_order("messages") else "m.id"
        self._configs: dict[str | None, JsonRow] = {None: {"model": None, "pre_prompt": None}}

    def complete(self, frame: pl.DataFrame) -> ConversationChunk:
        self._read_configs({one for one in frame["config_id"].unique() if one is not None})
        rows = frame.join(
            self._counted(uuids(frame["id"])), on="id", how="left", maintain_order="left"
        )
        return ConversationChunk(rows, self._app, self._configs)

    def _counted(self, ids: str) -> pl.DataFrame:
        """Per conversation its messages, ratings, annotations, and the states of its runs."""
        given = " ".join(
            f", count(*) FILTER (WHERE from_source = '{source}' AND rating = '{rating}') AS {name}"
            for name, source, rating in _RATINGS
        )
        first = "m.query"
        if self._app.is_completion:
            first += ", m.inputs::text AS inputs, m.message::text AS message, m.answer, m.id"
        sql = f"""SELECT c.id::text AS id, n.*, f.*, q.*, s.*,
            EXISTS (SELECT 1 FROM message_annotations x WHERE x.conversation_id = c.id) AS annotated
            FROM unnest({ids}) AS c(id)
            CROSS JOIN LATERAL (SELECT count(*) AS messages, {self._is_counted()} AS is_counted
                FROM messages m WHERE m.conversation_id = c.id) n
            CROSS JOIN LATERAL (SELECT {given[2:]} FROM message_feedbacks
                WHERE conversation_id = c.id) f
            LEFT JOIN LATERAL ({self._first(first)}) q ON true
            CROSS JOIN LATERAL ({self._states()}) s"""
        return self._shot.frame(sql)

    def _first(self, columns: str) -> str:
        """SQL for the first message of c, which stands for it."""
        message = (
            f"SELECT {columns} FROM messages m WHERE m.conversation_id = c.id "
            f"ORDER BY m.created_at, {self._tie} LIMIT 1"
        )
        if not self._app.is_completion:
            return message
        return f"""SELECT p.query, p.inputs, p.message, p.answer,
            x.id::text AS annotation_id, x.question AS annotation_question,
            x.content AS annotation_content, x.account_id::text AS annotation_account_id,
            {seconds("x.created_at")} AS annotation_at
            FROM ({message}) p LEFT JOIN message_annotations x ON x.message_id = p.id LIMIT 1"""

    def _is_counted(self) -> str:
        """SQL over the messages m of a conversation: whether the console counts their runs."""
        if self._app.version < UNCOUNTED_WITHOUT_MESSAGES_SINCE:
            return "true"
        if self._app.version < UNCOUNTED_WITHOUT_RUNS_SINCE:
            return "count(*) > 0"
        # Of a chat the index alone tells how many messages there are.
        return "count(m.workflow_run_id) > 0" if self._app.mode in CHATFLOW_MODES else "false"

    def _states(self) -> str:
        if self._app.mode not in CHATFLOW_MODES:
            return "SELECT NULL::bigint AS success"
        counts = ", ".join(
            f"count(*) FILTER (WHERE r.status = '{status}') AS {name}" for name, status in _OUTCOMES
        )
        return (
            f"SELECT {counts} FROM messages m JOIN workflow_runs r ON r.id = m.workflow_run_id "
            "WHERE m.conversation_id = c.id"
        )

    def _read_configs(self, ids: set[str]) -> None:
        if missing := ids - self._configs.keys():
            rows = self._shot.frame(
                "SELECT id::text AS id, model, pre_prompt FROM app_model_configs "
                f"WHERE id = ANY({uuids(missing)})"
            )
            for config_id, model, prompt in rows.iter_rows():
                told = model if self._app.version >= TELLS_MODEL_SINCE else None
                self._configs[config_id] = {
                    "model": json_of(told),
                    "pre_prompt": prompt,
                }


_HEAD = (
    *("id", "status", "from_source", "from_end_user_id", "from_end_user_session_id"),
    *("from_account_id", "from_account_name", "read_at", "created_at", "updated_at"),
)
_RATINGS = (
    ("ul", "user", "like"),
    ("ud", "user", "dislike"),
    ("al", "admin", "like"),
    ("ad", "admin", "dislike"),
)
_OUTCOMES = (
    ("success", "succeeded"),
    ("failed", "failed"),
    ("partial_success", "partial-succeeded"),
    ("paused", "paused"),
)
