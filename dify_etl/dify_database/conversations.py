"""Conversations as the lists of the console tell them, from Dify's tables."""

from collections.abc import Iterator
from dataclasses import dataclass

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
NULL_COUNTS_SINCE = (1, 7, 0)  # of apps without runs; 1.0 tells zeros


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
    """Some conversations: as answers of the console, and what only the database tells."""

    answers: list[JsonRow]
    more: pl.DataFrame


def conversations(shot: Snapshot, app: AppTables, where: str) -> Iterator[ConversationChunk]:
    """Conversations of an app that the console lists; `where` is SQL over conversations c."""
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
    return in_chunks(shot, selection, reader.complete)


class _Reader:
    """Adds to conversations what the console looks up for each."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        self._app = app
        # Of several in one second the server takes what lies first in its table.
        self._tie = "m.ctid" if shot.may_order("messages") else "m.id"
        self._configs: dict[str | None, JsonRow] = {None: {"model": None, "pre_prompt": None}}

    def complete(self, frame: pl.DataFrame) -> ConversationChunk:
        ids = uuids(frame["id"])
        self._read_configs({one for one in frame["config_id"] if one is not None})
        counted = self._counted(ids)
        answers = []
        for row in frame.iter_rows(named=True):
            told = counted[row["id"]]
            answer: JsonRow = {
                **{key: row[key] for key in _HEAD},
                "model_config": self._configs.get(row["config_id"], self._configs[None]),
                "user_feedback_stats": {"like": told["ul"], "dislike": told["ud"]},
                "admin_feedback_stats": {"like": told["al"], "dislike": told["ad"]},
            }
            if self._app.is_completion:
                answer |= self._of_completion(told)
            else:
                answer |= self._of_chat(row, told)
            answers.append(answer)
        more = frame.select(pl.col("id").alias("conversation_id"), "invoke_from")
        return ConversationChunk(answers, more)

    def _of_chat(self, row: JsonRow, told: JsonRow) -> JsonRow:
        return {
            "name": row["name"],
            "summary": row["summary"] or told["query"] or "",
            "annotated": told["annotated"],
            "message_count": told["messages"],
            "status_count": self._statuses(told),
        }

    def _statuses(self, told: JsonRow) -> JsonRow | None:
        is_new = self._app.version >= TELLS_PAUSED_SINCE
        keys = [name for name, _ in _OUTCOMES if is_new or name != "paused"]
        is_counted = self._app.mode in CHATFLOW_MODES or self._app.version < NULL_COUNTS_SINCE
        return {key: told.get(key) or 0 for key in keys} if is_counted else None

    def _of_completion(self, told: JsonRow) -> JsonRow:
        if told["messages"] == 0:
            return {"annotation": None, "message": None}
        annotation = None
        if told["annotation_id"] is not None:
            annotation = {
                "id": told["annotation_id"],
                "question": told["annotation_question"],
                "content": told["annotation_content"],
                "account": {"id": told["annotation_account_id"]},
                "created_at": told["annotation_at"],
            }
        prompts = decode(told["message"].encode())
        first = prompts[0].get("text", "") if isinstance(prompts, list) and prompts else ""
        return {
            "annotation": annotation,
            "message": {
                "inputs": decode(told["inputs"].encode()),
                "query": told["query"],
                "message": first,
                "answer": told["answer"],
            },
        }

    def _counted(self, ids: str) -> dict[str, JsonRow]:
        """Per conversation its messages, ratings, annotations, and the states of its runs."""
        given = " ".join(
            f", count(*) FILTER (WHERE from_source = '{source}' AND rating = '{rating}') AS {name}"
            for name, source, rating in _RATINGS
        )
        first = "m.query"
        if self._app.is_completion:
            first += ", m.inputs::text AS inputs, m.message::text AS message, m.answer, m.id"
        sql = f"""SELECT c.id::text AS id, n.messages, f.*, q.*, s.*,
            EXISTS (SELECT 1 FROM message_annotations x WHERE x.conversation_id = c.id) AS annotated
            FROM unnest({ids}) AS c(id)
            CROSS JOIN LATERAL (SELECT count(*) AS messages FROM messages m
                WHERE m.conversation_id = c.id) n
            CROSS JOIN LATERAL (SELECT {given[2:]} FROM message_feedbacks
                WHERE conversation_id = c.id) f
            LEFT JOIN LATERAL ({self._first(first)}) q ON true
            CROSS JOIN LATERAL ({self._states()}) s"""
        rows = self._shot.frame(sql).iter_rows(named=True)
        return {row["id"]: row for row in rows}

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
                    "model": decode(told.encode()) if told else None,
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
