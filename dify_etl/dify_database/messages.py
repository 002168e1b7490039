"""Messages with their parts as the console tells them, from Dify's tables, and what it does not."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import polars as pl

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.dify.record import JsonRow
from dify_etl.dify_database.chunks import Selection, between, in_chunks, moment, seconds
from dify_etl.dify_database.connection import Snapshot, quoted_uuid, uuids
from dify_etl.dify_database.conversations import TELLS_MODEL_SINCE, AppTables, json_of

MESSAGES = "messages (database)"
FORMS_SINCE = (1, 13, 0)
STEP_ANSWERS_SINCE = (1, 15, 0)

# Columns of Dify's messages that the console shows of no app, and ours for them.
CHARGED = {
    "charged_price": "total_price",
    "charged_currency": "currency",
    "charged_prompt_unit_price": "message_unit_price",
    "charged_prompt_price_unit": "message_price_unit",
    "charged_completion_unit_price": "answer_unit_price",
    "charged_completion_price_unit": "answer_price_unit",
    "model_provider": "model_provider",
    "model_id": "model_id",
    "invoke_from": "invoke_from",
}
_TEXTS = ("query", "answer", "status", "error", "from_source")
_IDS = (
    *("id", "conversation_id", "parent_message_id", "workflow_run_id"),
    *("from_end_user_id", "from_account_id"),
)
# SQL over message_files f: the id of a file. One that a tool made is named by its address until
# the console shows it; Dify takes what the last part of that begins with, up to its first dot.
_IS_OF_TOOL = "f.transfer_method = 'tool_file'"
_IN_ADDRESS = "substring(f.url from '([^./]*)[^/]*$')"
_FILE = f"""CASE WHEN f.upload_file_id IS NOT NULL OR NOT {_IS_OF_TOOL} THEN f.upload_file_id
    WHEN {_IN_ADDRESS} ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
    THEN {_IN_ADDRESS}::uuid END"""

R = TypeVar("R")
Parts = Mapping[str, list[JsonRow]]


@dataclass(frozen=True)
class MessageChunk:
    """Some messages: `rows` as Dify's table has them, with the parts of each by its id."""

    rows: pl.DataFrame
    has_forms: bool
    parts: Mapping[str, Parts] = field(default_factory=dict)

    def of(self, rows: pl.DataFrame) -> "MessageChunk":
        """The same chunk with some of its rows alone."""
        return replace(self, rows=rows)

    @property
    def more(self) -> pl.DataFrame:
        """What the console does not tell, by message_id, as columns of raw.messages."""
        return self.rows.select(pl.col("id").alias("message_id"), *CHARGED)

    @property
    def feedback_ids(self) -> pl.DataFrame:
        """Id and time of each feedback, which the console tells in an export alone."""
        names = ("message_id", "from_source", "from_account_id", "feedback_id", "created_at")
        rows = [
            (message_id, one["from_source"], one["account_id"], one["id"], one["created_at"])
            for message_id, given in self.parts.get("feedbacks", {}).items()
            for one in given
        ]
        kinds = [*[pl.String] * 4, pl.Int64]
        found = pl.DataFrame(rows, dict(zip(names, kinds, strict=True)), orient="row")
        return found.with_columns(instant("created_at"))

    @property
    def steps(self) -> dict[str, list[JsonRow]]:
        """By message the steps of an agent-chat app, as its log tells them."""
        found = self.parts.get("thoughts", {})
        return {
            message_id: [_step(one) for one in thoughts] for message_id, thoughts in found.items()
        }

    def with_parts(self, kinds: Iterable[str]) -> frozenset[str]:
        """The messages that have any part of these kinds."""
        return frozenset().union(*(self.parts[kind] for kind in kinds))

    def answers(self) -> Iterator[JsonRow]:
        """Each as GET chat-messages sends it."""
        for row in self.rows.iter_rows(named=True):
            yield self._answer(row)

    def _answer(self, row: JsonRow) -> JsonRow:
        of = {name: found.get(row["id"], []) for name, found in self.parts.items()}
        answer: JsonRow = {
            **{key: row[key] for key in (*_IDS, *_TEXTS)},
            "inputs": json_of(row["inputs"]),
            "message": json_of(row["message"]),
            "message_tokens": row["message_tokens"],
            "answer_tokens": row["answer_tokens"],
            "provider_response_latency": row["provider_response_latency"],
            "created_at": row["created_at"],
            "metadata": json_of(row["message_metadata"]) or {},
            "feedbacks": [_feedback(one) for one in of.get("feedbacks", ())],
            "annotation": next(iter(of.get("annotation", ())), None),
            "annotation_hit_history": next(iter(of.get("hit", ())), None),
            "agent_thoughts": [_shown(one) for one in of.get("thoughts", ())],
            "message_files": of.get("files", []),
        }
        if self.has_forms:
            answer["extra_contents"] = of.get("forms", [])
        return answer


def instant(column: str) -> pl.Expr:
    """Epoch seconds as an instant, UTC."""
    return pl.from_epoch(column).dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def messages(shot: Snapshot, app: AppTables, where: str) -> Iterator[MessageChunk]:
    """Messages of the conversations that the console lists; `where` is SQL over messages m."""
    return messages_made(shot, app, where, lambda chunk: chunk)


def messages_made(
    shot: Snapshot, app: AppTables, where: str, make: Callable[[MessageChunk], R]
) -> Iterator[R]:
    """The same, each chunk as `make` makes it on the thread that asks the database: whoever loads
    one does not wait for the next.
    """
    columns = _columns(shot)
    selection = Selection(
        [f"{sql} AS {name}" for name, sql in columns.items()],
        "messages m",
        f"{_listed(app)} AND ({where})",
        at="m.created_at",
        key="m.id",
    )
    reader = _Reader(shot, app)
    return in_chunks(shot, selection, lambda rows: make(reader.complete(rows)))


def _columns(shot: Snapshot) -> dict[str, str]:
    """What is read of a message, as SQL over m."""
    has = shot.column
    return {
        **{name: has("m", "messages", name, "text") for name in (*_IDS, *_TEXTS)},
        "inputs": "m.inputs::text",
        "message": "m.message::text",
        "message_metadata": "m.message_metadata",
        "message_tokens": "m.message_tokens::bigint",
        "answer_tokens": "m.answer_tokens::bigint",
        "provider_response_latency": "m.provider_response_latency",
        "created_at": seconds("m.created_at"),
        **{ours: has("m", "messages", name, "text") for ours, name in CHARGED.items()},
    }


def _listed(app: AppTables) -> str:
    """SQL over m: whether the console lists its conversation."""
    return (
        f"m.app_id = {quoted_uuid(app.app_id)} AND EXISTS (SELECT 1 "
        f"FROM conversations c WHERE c.id = m.conversation_id AND {app.shown('c')})"
    )


class MessageDigests:
    """Digests of the messages of an app with all of their parts, made by the server."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        # As PostgreSQL sends a row: with the length of each value, or that it is null.
        row = f"record_send(ROW({', '.join(_columns(shot).values())}))"
        self._rows = f"SELECT m.id, m.created_at, sha256({row}) AS digest FROM messages m WHERE "
        self._listed = _listed(app)
        self._parts = _Reader(shot, app)

    @property
    def rules(self) -> str:
        """What the digests are made of, whatever the days; a read of another version of Dify shows
        the same rows otherwise.
        """
        version = str(self._parts.app.version)
        return "; ".join([version, self._rows, self._listed, *self._parts.selects("")])

    def by_bounds(self, bounds: Sequence[datetime]) -> dict[int, tuple[int, str]] | None:
        """Messages and digest of each stretch between two bounds, by its number from 1 on; of none
        that has no messages. None when that takes longer than a statement may, or fails otherwise.
        """
        where = f"{self._listed} AND {between('m.created_at', bounds[0], bounds[-1])}"
        starts = ", ".join(moment(at) for at in bounds[:-1])
        place = f"width_bucket(created_at, ARRAY[{starts}]) AS place"
        told = [
            f"""SELECT 0 AS kind, {place}, count(*) AS rows,
            sha256(string_agg(digest, ''::bytea ORDER BY id)) AS digest
            FROM ({self._rows} {where}) shown GROUP BY 2"""
        ]
        # Each kind by itself: whichever indexes there are, the server reads its table once at most.
        for kind, (sql, own, of_message) in enumerate(self._parts.of_messages(where), 1):
            told.append(
                f"""SELECT {kind}, {place}, 0,
                sha256(string_agg(sha256(record_send(part)), ''::bytea ORDER BY number))
                FROM (SELECT part, part.{own}, row_number() OVER () AS number FROM ({sql}) part) p
                JOIN (SELECT m.{of_message}::text AS {own}, m.created_at FROM messages m
                    WHERE {where}) shown USING ({own}) GROUP BY 2"""
            )
        rows = self._shot.try_frame(
            f"""SELECT place, sum(rows)::bigint AS rows,
                string_agg(kind || ' ' || encode(digest, 'hex'), ' ' ORDER BY kind) AS digest
            FROM ({" UNION ALL ".join(told)}) told GROUP BY 1"""
        )
        if rows is None:
            return None
        return {number: (count, digest) for number, count, digest in rows.iter_rows()}


class _Reader:
    """Reads the parts of messages, as far as the app has any of a kind."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        self.app = app
        of_app = {
            "feedbacks": "message_feedbacks",
            "annotation": "message_annotations",
            "hit": "app_annotation_hit_histories",
            "forms": "human_input_forms",
        }
        self._kinds = {name for name, table in of_app.items() if self._is_any(table)}
        if app.mode == "agent-chat":
            self._kinds.add("thoughts")
        self._kinds.add("files")

    def _is_any(self, table: str) -> bool:
        if not self._shot.has(table, "app_id"):
            return False
        sql = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE app_id = {quoted_uuid(self.app.app_id)})"
        return bool(self._shot.frame(sql).item())

    def complete(self, rows: pl.DataFrame) -> MessageChunk:
        ids = f"= ANY({uuids(rows['id'])})"
        parts = {kind: self._parts(kind, ids, rows) for kind in sorted(self._kinds)}
        has_forms = self.app.version >= FORMS_SINCE and not self.app.is_completion
        return MessageChunk(rows, has_forms, parts)

    def selects(self, ids: str) -> Iterator[str]:
        """A SELECT of each kind of parts; `ids` is SQL after the column by which it asks."""
        for kind in sorted(self._kinds):
            yield _forms(ids) if kind == "forms" else self._sql(kind, ids)

    def of_messages(self, where: str) -> Iterator[tuple[str, str, str]]:
        """The parts of messages m as SELECTs, each with its column that names the message, and the
        column of messages that has the same.
        """
        for kind in sorted(self._kinds):
            own, of_message = ("_message", "id")
            if kind == "forms":
                own = of_message = "workflow_run_id"
            ids = f"IN (SELECT m.{of_message} FROM messages m WHERE {where})"
            yield _forms(ids) if kind == "forms" else self._sql(kind, ids), own, of_message

    def _sql(self, kind: str, ids: str) -> str:
        return str(getattr(self, f"_{kind}")(ids))

    def _parts(self, kind: str, ids: str, rows: pl.DataFrame) -> Parts:
        if kind == "forms":
            return self._forms_of(rows)
        found = self._shot.frame(self._sql(kind, ids))
        parts: defaultdict[str, list[JsonRow]] = defaultdict(list)
        for row in found.iter_rows(named=True):
            parts[row.pop("_message")].append(_SHAPES[kind](row))
        return parts

    def _feedbacks(self, ids: str) -> str:
        return f"""SELECT f.message_id::text AS _message, f.id::text AS id, f.rating, f.content,
            f.from_source, f.from_end_user_id::text AS from_end_user_id,
            {seconds("f.created_at")} AS created_at, a.id::text AS account_id, a.name, a.email
            FROM message_feedbacks f LEFT JOIN accounts a ON a.id = f.from_account_id
            WHERE f.message_id {ids} ORDER BY f.created_at, f.id"""

    def _annotation(self, ids: str) -> str:
        return f"""SELECT x.message_id::text AS _message, x.id::text AS id, x.question, x.content,
            a.id::text AS account_id, a.name, a.email,
            {seconds("x.created_at")} AS created_at
            FROM message_annotations x LEFT JOIN accounts a ON a.id = x.account_id
            WHERE x.message_id {ids} ORDER BY x.created_at, x.id"""

    def _hit(self, ids: str) -> str:
        # The console answers the annotation itself, with its time in the place of the hit's.
        return f"""SELECT h.message_id::text AS _message, h.annotation_id::text AS annotation_id,
            a.id::text AS account_id, a.name, a.email,
            {seconds("x.created_at")} AS created_at
            FROM app_annotation_hit_histories h
            JOIN message_annotations x ON x.id = h.annotation_id
            LEFT JOIN accounts a ON a.id = x.account_id
            WHERE h.message_id {ids} ORDER BY h.created_at, h.id"""

    def _thoughts(self, ids: str) -> str:
        answer = "t.answer" if self.app.version >= STEP_ANSWERS_SINCE else "NULL::text"
        return f"""SELECT t.message_id::text AS _message, t.id::text AS id,
            t.message_chain_id::text AS chain_id, t.position, t.thought, {answer} AS answer,
            t.tool, t.tool_labels_str AS tool_labels, t.tool_input, t.observation,
            t.message_files AS files, t.tokens::bigint AS tokens, t.tool_meta_str AS meta,
            {seconds("t.created_at")} AS created_at
            FROM message_agent_thoughts t WHERE t.message_id {ids} ORDER BY t.position, t.id"""

    def _files(self, ids: str) -> str:
        belongs_to = "f.belongs_to"
        if self.app.version < TELLS_MODEL_SINCE:  # such servers tell it of rows that say nothing
            belongs_to = "coalesce(f.belongs_to, 'user')"
        name, kind, size = "u.name", "u.mime_type", "u.size"
        of_tools = ""
        if self._shot.has("tool_files", "name"):  # homes of before do not have it granted
            name, kind, size = (
                f"CASE WHEN {_IS_OF_TOOL} THEN {own} ELSE {other} END"
                for own, other in (("o.name", name), ("o.mimetype", kind), ("o.size", size))
            )
            of_tools = f"LEFT JOIN tool_files o ON {_IS_OF_TOOL} AND o.id = {_FILE}"
        return f"""SELECT f.message_id::text AS _message, f.id::text AS id, {name} AS filename,
            f.type, f.url, {kind} AS mime_type, ({size})::bigint AS size, f.transfer_method,
            {belongs_to} AS belongs_to, ({_FILE})::text AS upload_file_id
            FROM message_files f LEFT JOIN upload_files u ON u.id = f.upload_file_id {of_tools}
            WHERE f.message_id {ids} ORDER BY f.created_at, f.id"""

    def _forms_of(self, rows: pl.DataFrame) -> Parts:
        """Forms hang on the run of a message. Their tokens stand in another table, which is not
        read.
        """
        runs = rows.filter(pl.col("workflow_run_id").is_not_null())
        message_of = dict(runs.select("workflow_run_id", "id").iter_rows())
        parts: defaultdict[str, list[JsonRow]] = defaultdict(list)
        if message_of:
            for row in form_rows(self._shot, list(message_of)):
                parts[message_of[row["workflow_run_id"]]].append(form_answer(row))
        return parts


def form_rows(shot: Snapshot, run_ids: list[str]) -> list[JsonRow]:
    """Rows of human_input_forms of these runs, without anything that opens a form."""
    return list(shot.frame(_forms(f"= ANY({uuids(run_ids)})")).iter_rows(named=True))


def _forms(runs: str) -> str:
    return f"""SELECT f.id::text AS form_id, f.workflow_run_id::text AS workflow_run_id, f.node_id,
        f.form_definition, f.rendered_content, f.status, f.selected_action_id,
        f.submitted_data, {seconds("f.expiration_time")} AS expiration_time,
        {seconds("f.submitted_at")} AS submitted_at,
        f.submission_user_id::text AS account_id,
        f.submission_end_user_id::text AS end_user_id
        FROM human_input_forms f WHERE f.workflow_run_id {runs}
        ORDER BY f.created_at, f.id"""


def form_answer(row: JsonRow) -> JsonRow:
    """A form as `extra_contents` of its message has it."""
    definition = json_of(row["form_definition"])
    definition = definition if isinstance(definition, dict) else {}
    is_submitted = row["submitted_at"] is not None
    actions = definition.get("user_actions") or []
    titles = {one.get("id"): one.get("title") for one in actions if isinstance(one, dict)}
    submission = {
        "node_id": row["node_id"],
        "node_title": definition.get("node_title"),
        "rendered_content": row["rendered_content"],
        "action_id": row["selected_action_id"],
        "action_text": titles.get(row["selected_action_id"]),
        "submitted_data": json_of(row["submitted_data"]),
    }
    return {
        "workflow_run_id": row["workflow_run_id"],
        "submitted": is_submitted,
        "form_definition": {
            "form_id": row["form_id"],
            "node_id": row["node_id"],
            "node_title": definition.get("node_title"),
            "form_content": definition.get("form_content"),
            "inputs": definition.get("inputs") or [],
            "actions": actions,
            "display_in_ui": definition.get("display_in_ui", False),
            # It stands in another table, which is not read: as if it had been taken out.
            "form_token": None if is_submitted else REMOVED,
            "resolved_default_values": definition.get("default_values") or {},
            "expiration_time": row["expiration_time"],
        },
        "form_submission_data": submission if is_submitted else None,
        "type": "human_input",
    }


def _account(row: JsonRow) -> JsonRow | None:
    if row["account_id"] is None:
        return None
    return {"id": row["account_id"], "name": row["name"], "email": row["email"]}


def _feedback(row: JsonRow) -> JsonRow:
    told = {key: row[key] for key in ("rating", "content", "from_source", "from_end_user_id")}
    return {**told, "from_account": _account(row)}


def _annotation(row: JsonRow) -> JsonRow:
    told = {key: row[key] for key in ("id", "question", "content", "created_at")}
    return {**told, "account": _account(row)}


def _hit(row: JsonRow) -> JsonRow:
    told = {key: row[key] for key in ("annotation_id", "created_at")}
    return {**told, "annotation_create_account": _account(row)}


def _thought(row: JsonRow) -> JsonRow:
    labels, files = json_of(row["tool_labels"]), json_of(row["files"])
    return {**row, "tool_labels": labels if labels is not None else {}, "files": files or []}


def _shown(thought: JsonRow) -> JsonRow:
    return {key: thought[key] for key in thought if key not in ("tokens", "meta")}


def _step(thought: JsonRow) -> JsonRow:
    """A step as GET agent/logs tells it."""
    meta = json_of(thought["meta"])
    names = [name for name in (thought["tool"] or "").split(";") if name]
    calls = []
    for name in names:
        told = meta.get(name) if isinstance(meta, dict) else None
        told = told if isinstance(told, dict) else {}
        error = told.get("error")
        calls.append(
            {
                "tool_name": name,
                "status": "error" if error else "success",
                "error": error,
                "time_cost": told.get("time_cost", 0),
            }
        )
    return {"tokens": thought["tokens"], "tool_calls": calls}


_SHAPES: Mapping[str, Any] = {
    "feedbacks": dict,
    "annotation": _annotation,
    "hit": _hit,
    "thoughts": _thought,
    "files": dict,
}
