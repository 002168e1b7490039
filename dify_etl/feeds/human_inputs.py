"""Table human_inputs: forms from messages, and what nodes and pauses of runs tell of them.

A form is known by its id. Messages of chatflows tell it; of a workflow app's runs the pause tells
it while it waits, and otherwise the execution of the node stands for it. Forms are few, so rows are
matched in Python.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.messages import HumanInput, Message
from dify_etl.dify.record import lost
from dify_etl.dify.workflow_records import NodeExecution, WaitingForm
from dify_etl.raw.forgotten import FORMS_OF_MESSAGE
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.forgetting import learn_answers
from dify_etl.sync.run import Sync
from dify_etl.sync.unfinished_runs import PATIENCE
from dify_etl.warehouse.tables import frame, quoted

TABLE = "human_inputs"
NODE_TYPE = "human-input"
ACTION = "__action_id"  # what the outputs of an answered node hold beside the values
_OWN = (ACTION, "__action_value", "__rendered_content")

Row = dict[str, Any]


@dataclass
class _Held:
    """A row that is held: its key, form, node and execution."""

    human_input_id: str
    run_id: str
    node_id: str
    form_id: str | None
    node_execution_id: str | None


def load_forms(
    loader: FeedLoader, messages: Sequence[Message], *, are_new: bool, scope: str = ""
) -> None:
    """The forms of these messages; call it inside a transaction.

    `scope` is SQL for the ids of all messages read: their forms that are shown no more are marked
    absent, unless the messages `are_new`. Odd forms go into quarantine; a message that has one
    shows not all of its forms, so none of them counts as absent.
    """
    asked = [(form, message.created_at) for message in messages for form in message.human_inputs]
    present = _load(loader, asked)
    for message in messages:
        loader.quarantine(
            message.app_id,
            message.odd_forms,
            parent_id=message.message_id,
            at=message.created_at,
        )
    if scope and not are_new:
        shown = f"t.message_id IN ({scope})"
        odd = [message for message in messages if lost(message.odd_forms)]
        if odd:
            shown += f" AND t.message_id NOT IN ({_listed(one.message_id for one in odd)})"
        loader.mark_absent(raw_table(TABLE), scope=shown, present=present)


def load_forms_again(loader: FeedLoader, forms: Sequence[HumanInput]) -> None:
    """Forms that were set aside and can be read by now; call it inside a transaction."""
    ids = _listed(form.message_id for form in forms)
    asked_at: dict[str, datetime] = dict(
        loader.sync.database.rows(
            f"SELECT message_id, created_at FROM raw.messages WHERE message_id IN ({ids})"
        )
    )
    _load(loader, [(form, asked_at.get(form.message_id)) for form in forms])
    settle_states(loader)


def _load(loader: FeedLoader, asked: Sequence[tuple[HumanInput, datetime | None]]) -> pl.DataFrame:
    """Load forms, each with the time of its message; answers the rows."""
    held = _held_of(loader.sync, {form.workflow_run_id for form, _ in asked})
    rows = [_row_of_form(form, moment, held) for form, moment in asked]
    table = raw_table(TABLE)
    present = frame(table, rows, tuple(rows[0]) if rows else table.key)
    loader.load_frame(table, present)
    return present


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(quoted(one) for one in ids)


def _row_of_form(form: HumanInput, moment: datetime | None, held: list[_Held]) -> Row:
    row: Row = {name: getattr(form, name) for name in HumanInput.model_fields}
    return row | {
        "human_input_id": _id_of_form(form, held),
        "message_created_at": moment,
    }


def _id_of_form(form: HumanInput, held: list[_Held]) -> str:
    """The form's own id, or that of the row which stands for it already."""
    node = (form.workflow_run_id, form.node_id)
    same = [one for one in held if (one.run_id, one.node_id) == node]
    if form.form_id is not None:
        same = [one for one in same if one.form_id in (None, form.form_id)]
        same.sort(key=lambda one: one.form_id is None)
    if same:
        same[0].form_id = same[0].form_id or form.form_id
        return same[0].human_input_id
    new = _Held(form.form_id or "/".join(node), *node, form.form_id, None)
    held.append(new)
    return new.human_input_id


def load_human_nodes(
    loader: FeedLoader, nodes: Sequence[NodeExecution], waiting: Sequence[WaitingForm]
) -> None:
    """When each was asked and answered, by the executions of its nodes; and the forms that runs
    wait for. Call it inside a transaction.
    """
    asked = [node for node in nodes if node.node_type == NODE_TYPE]
    held = _held_of(loader.sync, {node.workflow_run_id for node in asked})
    counted = {one.human_input_id for one in held}
    forms = {(one.workflow_run_id, one.node_id): one for one in waiting}
    rows = [_row_of_node(node, forms, held) for node in asked]
    answered = [row for row in rows if row["is_submitted"]]
    others = [{key: row[key] for key in _ASKED} for row in rows if not row["is_submitted"]]
    table = raw_table(TABLE)
    for some in (answered, others):
        if some:  # forms that their messages showed were counted there
            known = sum(row["human_input_id"] in counted for row in some)
            loader.load_frame(table, frame(table, some, tuple(some[0])), repeated=known)


_ASKED = (
    *("human_input_id", "app_id", "workflow_run_id", "node_id", "node_title"),
    *("node_execution_id", "form_id", "asked_at", "answered_at"),
)


def _row_of_node(
    node: NodeExecution, forms: Mapping[tuple[str, str], WaitingForm], held: list[_Held]
) -> Row:
    form = forms.get((node.workflow_run_id, node.node_id))
    outputs = _values(node.outputs)
    is_answered = ACTION in outputs
    values = {name: value for name, value in outputs.items() if name not in _OWN}
    return {
        "human_input_id": _id_of_node(node, form, held),
        "app_id": node.app_id,
        "workflow_run_id": node.workflow_run_id,
        "node_id": node.node_id,
        "node_title": node.title,
        "node_execution_id": node.node_execution_id,
        "form_id": form and form.form_id,
        # The execution of an answered node begins anew when the run goes on.
        "asked_at": node.created_at if node.status == "paused" else None,
        "answered_at": node.created_at if is_answered else None,
        "is_submitted": is_answered,
        "action_id": _text(outputs.get(ACTION)),
        "action_text": _text(outputs.get("__action_value")),
        "rendered_content": _text(outputs.get("__rendered_content")),
        "submitted_data": JsonText.of(values) if is_answered else None,
    }


def _id_of_node(node: NodeExecution, form: WaitingForm | None, held: list[_Held]) -> str:
    """The row of this execution, else one of its run and node that has none yet."""
    form_id = form.form_id if form else None
    node_key = (node.workflow_run_id, node.node_id)
    of_node = [one for one in held if (one.run_id, one.node_id) == node_key]
    fitting = (
        [one for one in of_node if one.node_execution_id == node.node_execution_id]
        or [one for one in of_node if form_id and one.form_id == form_id]
        or [one for one in of_node if one.node_execution_id is None]
    )
    if not fitting:
        fitting = [_Held(form_id or node.node_execution_id, *node_key, form_id, None)]
        held.append(fitting[0])
    fitting[0].node_execution_id = node.node_execution_id
    return fitting[0].human_input_id


def note_answers(loader: FeedLoader, answers: pl.DataFrame) -> None:
    """Who answered forms that are held, and when; `answers` has form_id, workflow_run_id, node_id
    and the columns of these. Call it inside a transaction.
    """
    if answers.is_empty():
        return
    table = raw_table(TABLE)
    told = ("answered_by", "answered_by_id", "submitted_at")
    loader.sync.database.stage("_answers", answers, table)
    rows = loader.sync.database.frame(
        f"""SELECT h.human_input_id, {", ".join(f"s.{name}" for name in told)}
        FROM raw.human_inputs h JOIN _answers s ON h.form_id = s.form_id OR (h.form_id IS NULL
            AND h.workflow_run_id = s.workflow_run_id AND h.node_id = s.node_id)"""
    )
    loader.load_frame(table, rows, repeated=rows.height)
    _drop_answers_of_forgotten(loader)


# Where else an answer stands: in the execution of its node, and in the message that shows the form.
_ANSWERS = (
    ("human_inputs", "human_input_id"),
    ("node_executions", "node_execution_id"),
    ("messages", "message_id"),
)


def _drop_answers_of_forgotten(loader: FeedLoader) -> None:
    """What people answered who were forgotten: whose a form is shows only when it is here already.
    The next read of it knows that by its id.
    """
    database, forgotten = loader.sync.database, loader.sync.rules.privacy.forgotten
    if not forgotten:
        return
    learn_answers(database, forgotten)
    if not forgotten.parents["human_input_id"]:
        return
    for name, column in _ANSWERS:
        table = raw_table(name)
        told = [one.name for one in table.columns if one.is_text and one.name != "extra"]
        if name == "messages":
            told = [FORMS_OF_MESSAGE]
        columns = dict.fromkeys((*table.key, *table.owners, column, *told))
        rows = database.frame(
            f"""SELECT {", ".join(f't."{one}"' for one in columns)} FROM {table.qualified} t
            WHERE t.{column} IN (SELECT h.{column} FROM raw.human_inputs h JOIN ops.forgotten_rows f
                ON f.table_name = 'human_inputs' AND f.row_id = h.human_input_id)"""
        )
        loader.load_frame(table, rows, repeated=rows.height)


def settle_states(loader: FeedLoader) -> None:
    """Say of every form where it stands, and drop the answers of people who were forgotten; call it
    inside a transaction.

    expired: nobody answered, and its time is over or its run has ended.
    """
    open_states = ", ".join(quoted(status) for status in PATIENCE)
    rows = loader.sync.database.rows(
        f"""SELECT human_input_id, now_state FROM (
            SELECT h.human_input_id, h.state, CASE
                WHEN h.is_submitted THEN 'submitted'
                WHEN h.expires_at <= $1 OR w.status NOT IN ({open_states}) THEN 'expired'
                ELSE 'waiting' END AS now_state
            FROM raw.human_inputs h LEFT JOIN raw.workflow_runs w USING (workflow_run_id)
            WHERE h.absent_since IS NULL)
        WHERE state IS DISTINCT FROM now_state""",
        [loader.sync.now],
    )
    table = raw_table(TABLE)
    told = [{"human_input_id": one, "state": state} for one, state in rows]
    changed = frame(table, told, ("human_input_id", "state"))
    loader.load_frame(table, changed, repeated=changed.height)
    _drop_answers_of_forgotten(loader)


def _held_of(sync: Sync, run_ids: Iterable[str]) -> list[_Held]:
    listed = ", ".join(quoted(run_id) for run_id in run_ids)
    if not listed:
        return []
    rows = sync.database.rows(
        f"""SELECT human_input_id, workflow_run_id, node_id, form_id, node_execution_id
        FROM raw.human_inputs WHERE workflow_run_id IN ({listed}) ORDER BY form_id"""
    )
    return [_Held(*row) for row in rows]


def _values(text: JsonText | None) -> Row:
    found = text.load() if text is not None else None
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
