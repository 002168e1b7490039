"""Records: strict types, nothing lost, nothing secret."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import AliasPath

from dify_etl.dify.account import Profile, Workspace
from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.conversations import (
    CompletionConversation,
    CompletionDetail,
    Conversation,
)
from dify_etl.dify.datasets import Dataset, Document, IndexingStatus
from dify_etl.dify.feedback import Annotation, ExportedFeedback
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import page_of
from dify_etl.dify.members import Member
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Batch, Record, lost, parse
from dify_etl.dify.workflow_records import (
    ChatflowRun,
    NodeExecution,
    WorkflowAppLog,
    WorkflowRunDetail,
    WorkflowVersion,
)
from dify_etl_tests.dify.recordings import exchange

RECORDS: list[type[Record]] = [
    Profile, Workspace, ApiKey, App, AppDetail, CompletionConversation, CompletionDetail,
    Conversation, Dataset, Document, IndexingStatus, Annotation, ExportedFeedback, Member,
    Message, ChatflowRun, NodeExecution, WorkflowAppLog, WorkflowRunDetail, WorkflowVersion,
]  # fmt: skip
CONTEXT = {"app_id": "app-1", "dataset_id": "dataset-1", "workflow_run_id": "run-1"}


def messages(name: str = "chat-messages-limit100") -> list[dict[str, Any]]:
    found = exchange("1.12.1", "logs", name).body["data"]
    assert isinstance(found, list)
    return found


def one_message(**changes: Any) -> Message:
    batch = parse(
        Message, [{**messages()[0], **changes}], endpoint="x", context={"app_id": "app-1"}
    )
    return batch.records[0]


def test_row_becomes_columns() -> None:
    """Ids, instants, money and seconds have the names and types of the warehouse."""
    raw = next(row for row in messages() if row["metadata"].get("usage"))

    message = parse(Message, [raw], endpoint="x", context=CONTEXT).records[0]

    assert (message.app_id, message.message_id) == ("app-1", raw["id"])
    assert message.created_at == datetime.fromtimestamp(raw["created_at"], UTC)
    assert message.total_price == Decimal(raw["metadata"]["usage"]["total_price"])
    assert message.latency_seconds == raw["provider_response_latency"]
    assert message.metadata is not None
    assert message.metadata.load() == raw["metadata"]


def test_parts_know_their_message() -> None:
    """Feedback, thoughts, files and citations carry the ids of what they hang on."""
    raw = next(row for row in messages("chat-messages-agent") if row["agent_thoughts"])

    message = parse(Message, [raw], endpoint="x", context=CONTEXT).records[0]

    thought = message.agent_thoughts[0]
    assert (thought.app_id, thought.conversation_id, thought.message_id) == (
        "app-1",
        raw["conversation_id"],
        raw["id"],
    )


def test_citations_are_lifted_out_of_the_metadata() -> None:
    """What retrieval found is a list of records, and still in the JSON as received."""
    raw = next(row for row in messages() if row["metadata"].get("retriever_resources"))

    message = parse(Message, [raw], endpoint="x", context=CONTEXT).records[0]

    assert message.citations[0].document_name == "退款.md"
    assert message.citations[0].score == 0.873
    assert "retriever_resources" in (message.metadata or "")


def test_file_of_a_message_is_no_surprise() -> None:
    """Every key that Dify documents for a file is a column, and we add none of our own."""
    names = "id filename type url mime_type transfer_method belongs_to upload_file_id"
    file = {**dict.fromkeys(names.split(), "x"), "size": 7}

    found = one_message(message_files=[file]).message_files[0]

    assert (found.message_file_id, found.size_bytes, found.extra) == ("x", 7, {})


@pytest.mark.parametrize(
    "metadata", [{}, {"usage": None}, {"usage": {}}, None], ids=["empty", "null", "bare", "none"]
)
def test_message_without_usage_has_no_price(metadata: Any) -> None:
    """Chatflows of old servers tell no usage: the columns are null."""
    message = one_message(metadata=metadata)

    assert (message.total_price, message.currency) == (None, None)


def test_zero_price_in_powers_of_ten() -> None:
    """Dify writes a zero price as 0E-7."""
    assert one_message(metadata={"usage": {"total_price": "0E-7"}}).total_price == 0


def test_prompt_may_be_text_instead_of_a_list() -> None:
    """Chatflow messages have "" where others have a list."""
    assert one_message(message="").message == '""'


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("id", "", "id"),
        ("id", None, "id"),
        ("created_at", "1795220852", "created_at"),
        ("created_at", True, "created_at"),
        ("created_at", 1e30, "created_at"),
        ("conversation_id", 7, "conversation_id"),
    ],
)
def test_row_without_what_it_needs_is_rejected_by_name(field: str, value: Any, path: str) -> None:
    """Id, parent and time are never bent or left out; the row is set aside with its raw JSON."""
    raw = {**messages()[0], field: value}

    batch = parse(Message, [raw], endpoint="GET /x", context=CONTEXT)

    assert batch.records == ()
    assert batch.rejected[0].error_path == path
    assert orjson.loads(batch.rejected[0].raw or "") == raw


@pytest.mark.parametrize(
    ("field", "value", "path", "name", "figures"),
    [
        ("message_tokens", "12", "message_tokens", "message_tokens", 1),
        ("message_tokens", 1.5, "message_tokens", "message_tokens", 1),
        ("answer", 7, "answer", "answer", 0),
        ("query", None, "query", "query", 0),
        (
            "metadata",
            {"usage": {"total_price": "free"}},
            "metadata.usage.total_price",
            "total_price",
            1,
        ),
    ],
)
def test_odd_field_costs_itself(field: str, value: Any, path: str, name: str, figures: int) -> None:
    """A wrong type is never bent: the field is null and named, the rest of the row is a record."""
    raw = {**messages()[0], field: value}

    batch = parse(Message, [raw], endpoint="GET /x", context=CONTEXT)

    (record,), (odd,) = batch.records, batch.rejected
    assert (type(record), getattr(record, name)) == (Message, None)
    assert record.odd_fields == odd.odd_fields == (name,)
    assert (odd.error_path, odd.odd_figures, odd.is_loaded) == (path, figures, True)
    assert orjson.loads(odd.raw or "") == raw


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"rating": "like"}, "position"),
        ([None], "(row)"),
        ([{"rating": 1, "from_source": "user"}], "rating"),
    ],
)
def test_odd_part_costs_itself(value: Any, path: str) -> None:
    """A rating that cannot be read is set aside; its message is a whole record."""
    raw = {**messages()[0], "feedbacks": value}

    batch = parse(Message, [raw], endpoint="GET /x", context=CONTEXT)

    (record,) = batch.records
    assert not batch.rejected
    assert not record.odd_fields
    assert not record.feedbacks
    assert [odd.error_path for odd in record.odd_parts] == [path]


def test_bad_row_does_not_take_its_neighbours() -> None:
    """The other rows of the page become records."""
    good = messages()[:3]

    batch = parse(Message, [good[0], {"id": "bad"}, good[1], None, good[2]], endpoint="x",
                  context=CONTEXT)  # fmt: skip

    assert [record.message_id for record in batch] == [row["id"] for row in good]
    assert [(one.position, one.record_id) for one in batch.rejected] == [(1, "bad"), (3, None)]


def test_unknown_keys_are_kept_and_told() -> None:
    """A key that no known version sends is in `extra`."""
    assert one_message(brand_new={"a": 1}).extra == {"brand_new": {"a": 1}}


def test_nested_null_is_no_surprise() -> None:
    """An object that is null this time is not reported as an unknown key."""
    assert one_message(annotation=None, annotation_hit_history=None).extra == {}


def test_rejected_row_shows_no_content() -> None:
    """What a user wrote stays out of logs: repr and message hold no values."""
    raw = {**messages()[0], "answer": ["private words"]}

    rejected = parse(Message, [raw], endpoint="x", context=CONTEXT).rejected[0]

    assert "private words" not in repr(rejected) + rejected.message


@pytest.mark.parametrize("value", [7, "none", [1], True])
def test_field_is_odd_where_there_is_no_object_to_look_into(value: Any) -> None:
    """A number in the place of usage or counts is no absence of them: each field is named."""
    (record,) = parse(
        Message,
        [{**messages()[0], "metadata": {"usage": value}}],
        endpoint="x",
        context=CONTEXT,
    ).records
    assert record.total_price is None
    assert {"total_price", "total_tokens", "currency"} <= set(record.odd_fields)
    (none,) = parse(
        Message, [{**messages()[0], "metadata": {"usage": None}}], endpoint="x", context=CONTEXT
    ).records
    assert none.odd_fields == ()


@pytest.mark.parametrize("row_id", [".", "..", "x" * 256])
def test_id_that_no_path_takes_is_none(row_id: str) -> None:
    """An id becomes a part of paths: one that leads elsewhere, or is longer than any, is odd."""
    batch = parse(Message, [{**messages()[0], "id": row_id}], endpoint="x", context=CONTEXT)
    assert [one.error_path for one in batch.rejected if not one.is_loaded] == ["id"]


def test_second_row_of_an_id_is_set_aside() -> None:
    """Two rows of one answer with one id: the later one waits, unless both are the same."""
    first, second = messages()[:2]
    answer = {"data": [first, {**second, "id": first["id"]}, first]}
    page = page_of(Message, answer, endpoint="GET /x", context=CONTEXT)
    assert [record.query for record in page] == [first["query"]] * 2
    assert [(one.record_id, one.position, one.error_path) for one in page.rejected] == [
        (first["id"], 1, "id")
    ]
    assert page.row_count == 3


def test_row_that_cannot_be_kept_tells_its_times() -> None:
    """Nested deeper than anything is written: when it lived is kept, for its day's sake."""
    row = {**messages()[0], "id": decode(b"[" * 1_100 + b"]" * 1_100)}
    (rejected,) = parse(Message, [row], endpoint="x", context=CONTEXT).rejected
    assert rejected.raw is None
    assert rejected.times["created_at"] == row["created_at"]


json_values = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**63), 2**64 - 1)
    | some.floats()
    | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("record_class", RECORDS, ids=lambda record_class: record_class.__name__)
@given(data=some.data())
@settings(max_examples=25, deadline=None)
def test_any_json_is_parsed_or_rejected(record_class: type[Record], data: some.DataObject) -> None:
    """Whatever Dify sends instead of a row, parsing ends with a record or a rejection, or with both
    where only fields are odd.
    """
    keys = some.sampled_from(sorted(_keys(record_class)))
    row = data.draw(json_values | some.dictionaries(keys, json_values))

    batch = parse(record_class, [row], endpoint="x", context=CONTEXT)

    assert len(batch.records) + len(lost(batch.rejected)) == 1
    assert len(batch.rejected) <= 1


def _keys(record_class: type[Record]) -> Iterator[str]:
    for name, info in record_class.model_fields.items():
        alias = info.validation_alias
        yield str(alias.path[0]) if isinstance(alias, AliasPath) else str(alias or name)


@pytest.mark.parametrize("record_class", RECORDS, ids=lambda record_class: record_class.__name__)
def test_every_column_is_described(record_class: type[Record]) -> None:
    """The comment of a warehouse column is the description of its field."""
    bare = [name for name, info in record_class.model_fields.items() if not info.description]

    assert bare == []


def test_json_text_gives_its_value() -> None:
    """Nested JSON is compact text that loads again."""
    assert JsonText.of({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'
    assert JsonText('{"a":1}').load() == {"a": 1}


@pytest.mark.parametrize("told", [None, {}, {"id": None}])
def test_log_row_whose_run_is_gone_is_a_row(told: object) -> None:
    """Null, and an object that tells nothing, say that the run is gone."""
    assert len(_logs(told).records) == 1


@pytest.mark.parametrize("told", [{"status": "succeeded"}, {"id": None, "status": "failed"}, 7])
def test_log_row_of_an_unnamed_run_is_rejected(told: object) -> None:
    """Who tells how a run ended and not of which it speaks says nothing about it: not even that
    it is gone.
    """
    batch = _logs(told)

    assert batch.records == ()
    assert len(lost(batch.rejected)) == 1


def _logs(told: object) -> Batch[WorkflowAppLog]:
    row = {
        "id": "log-1",
        "workflow_run": told,
        "created_from": "web-app",
        "created_at": 1_700_000_000,
    }
    return parse(WorkflowAppLog, [row], endpoint="x", context=CONTEXT)
