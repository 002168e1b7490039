"""What the rules of texts and people leave of single columns."""

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from dify_etl.raw.privacy import Privacy, TextRule
from dify_etl.raw.tables import RAW_TABLES

MESSAGES = RAW_TABLES["messages"].table
DROP = Privacy("drop", "hash", b"salt")
MASK = Privacy("mask", "keep")


def one(privacy: Privacy, table: str, column: str, text: str | None) -> str | None:
    """What becomes of one value."""
    found = RAW_TABLES[table].table.column(column)
    left: list[str | None] = privacy.column(found, pl.Series(column, [text], pl.String())).to_list()
    return left[0]


@pytest.mark.parametrize(
    ("table", "column", "text", "left"),
    [
        ("messages", "query", "Where is it?", "(dropped)"),
        ("messages", "answer", "", ""),  # unanswered, or still written
        ("messages", "answer", None, None),
        ("messages", "message", '""', '""'),
        ("messages", "message", '[{"role":"user","text":"a"},{"role":"x"}]', "[{},{}]"),
        ("messages", "extra_contents", '[{"type":"human_input"}]', "[{}]"),  # a form waits
        ("messages", "inputs", '{"name":"Ada","age":36}', "{}"),
        (
            *("node_executions", "process_data"),
            '{"usage":{"total_price":"0.0012","currency":"USD"},"prompts":[{"text":"a"}]}',
            '{"usage":{"total_price":"0.0012","currency":"USD"}}',
        ),
        (
            "node_executions",
            "outputs",
            '{"usage":{"note":"of Ada L"},"text":"b"}',
            '{"usage":{}}',
        ),
        (
            "workflow_runs",
            "error",
            "InvokeRateLimitError: 429 for ada@b.de",
            "InvokeRateLimitError 429",
        ),
        ("workflow_runs", "error", "Ada broke it", "(dropped)"),
        ("messages", "message_id", "12345678Z", "12345678Z"),
        ("apps", "name", "Shop of ada@b.de", "Shop of (e-mail)"),
        ("workflow_versions", "version", "2026-03-12 15:30:20.1", "2026-03-12 15:30:20.1"),
    ],
)
def test_dropped(table: str, column: str, text: str | None, left: str | None) -> None:
    """Texts are gone; that there is none, what figures are made of, and words of Dify stay."""
    assert one(DROP, table, column, text) == left


def test_pseudonyms() -> None:
    """One per name whatever the column, of addresses in any case; nobody stays nobody."""
    name = one(DROP, "conversations", "from_end_user_session_id", "ada-7")
    assert name == DROP.pseudonym("ada-7") != Privacy("drop", "hash", b"other").pseudonym("ada-7")
    assert one(DROP, "workflow_runs", "created_by_end_user_session_id", "ada-7") == name
    assert one(DROP, "members", "email", "Ada@B.de") == DROP.pseudonym("ada@b.de")
    assert DROP.pseudonym(str(name)) == name
    kept = [
        one(DROP, "conversations", "from_end_user_session_id", text)
        for text in ("DEFAULT-USER", "", None)
    ]
    assert kept == ["DEFAULT-USER", "", None]


def test_callers_in_json_are_hashed_where_texts_are_kept() -> None:
    """Dify writes the caller of a run among its inputs, and accounts as objects."""
    hashed = Privacy("keep", "hash", b"salt")
    told = json.loads(
        str(one(hashed, "workflow_runs", "inputs", '{"sys.user_id":"ada-7","q":"hi"}'))
    )
    assert told == {"sys.user_id": hashed.pseudonym("ada-7"), "q": "hi"}
    account = '{"id":"1","name":"Ada","email":"ada@b.de"}'
    told = json.loads(str(one(hashed, "workflow_versions", "updated_by", account)))
    assert told == {
        **{"id": "1", "name": hashed.pseudonym("Ada")},
        "email": hashed.pseudonym("ada@b.de"),
    }


@pytest.mark.parametrize(
    ("table", "column", "told"),
    [
        ("documents", "doc_metadata", [{"name": "uploader", "type": "string", "value": "Ada"}]),
        ("message_citations", "doc_metadata", {"uploader": "Ada"}),
        ("messages", "metadata", {"retriever_resources": [{"doc_metadata": {"uploader": "Ada"}}]}),
        ("node_executions", "inputs", {"sys": {"user_id": "Ada"}}),
        ("workflow_runs", "inputs", {"sys.user": "Ada"}),
        ("conversations", "extra", {"author_name": "Ada"}),
        ("workflow_versions", "updated_by", {"id": "x", "name": "Ada"}),
        ("datasets", "partial_member_list", [{"name": "Ada", "email": "ada@b.de"}]),
    ],
)
@pytest.mark.parametrize("text", ["keep", "mask", "drop"])
def test_no_name_stays_in_json(table: str, column: str, told: object, text: TextRule) -> None:
    """Wherever Dify writes who a caller, an uploader or a member is."""
    privacy = Privacy(text, "hash", b"salt")
    kept = str(one(privacy, table, column, json.dumps(told)))
    assert "Ada" not in kept
    assert "ada@" not in kept
    assert one(privacy, table, column, kept) == kept
    if text == "keep":
        assert privacy.pseudonym("Ada") in kept
        assert "uploader" in kept or "uploader" not in json.dumps(told)


def test_nobody_takes_the_pseudonym_of_another() -> None:
    """A caller may be called as a pseudonym looks: it is hashed all the same."""
    name = DROP.pseudonym("ada-7")
    forged = "person-0123456789abcdef"
    assert DROP.pseudonym(forged) not in (forged, name)


@pytest.mark.parametrize(
    ("privacy", "left"),
    [
        (Privacy(), lambda text: text),
        (MASK, lambda text: text.replace("ada@b.de", "(e-mail)")),
        (DROP, lambda text: "(dropped)"),
    ],
)
def test_rows_set_aside(privacy: Privacy, left: Callable[[str], str]) -> None:
    """Of an object that is no record texts follow the rule; ids, times and figures stay."""
    row: dict[str, Any] = {
        "id": "m1",
        "created_at": 1,
        "query": "by ada@b.de",
        "inputs": {"a": "of ada@b.de"},
    }
    row["inputs"] |= {"patient_id": "of ada@b.de", "phone": 13912345678}
    kept = json.loads(str(privacy.odd_row(MESSAGES, json.dumps(row))))
    inputs = {
        name: left(text) if isinstance(text, str) else text for name, text in row["inputs"].items()
    }
    inputs = {} if privacy is DROP else inputs  # names of variables are people's own, too
    assert kept == row | {"query": left(row["query"]), "inputs": inputs}
    assert privacy.odd_row(MESSAGES, None) is None
    assert privacy.odd_row(MESSAGES, "{cut") == (None if privacy != Privacy() else "{cut")


def test_no_salt_in_a_repr() -> None:
    """Whoever has it can tell whose pseudonym one is."""
    assert "salt" not in repr(DROP)


def test_all_texts_and_people_are_marked() -> None:
    """Each name below is a text of people, or names one, wherever it stands; a new column of that
    name is marked, too.
    """
    texts = {"query", "answer", "inputs", "outputs", "process_data", "error", "tool_input", "extra"}
    texts |= {"tool_output", "observation", "thought", "summary", "detail_extra", "metadata"}
    people = ("account_name", "account_email", "session_id", "author_name", "user_name")
    for name, raw in RAW_TABLES.items():
        for column in raw.table.columns:
            if column.name in texts and (name, column.name) not in BUILDERS:
                assert column.is_text, f"{name}.{column.name}"
            if column.name.endswith(people):
                assert column.is_person, f"{name}.{column.name}"


# A document's error tells of a file of the knowledge, a version's summary is the builder's.
BUILDERS = {("documents", "error"), ("agent_versions", "summary")}
