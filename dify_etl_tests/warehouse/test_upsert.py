"""Loads are idempotent; only real changes count; what vanished is marked."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from dify_etl.raw.tables import raw_table
from dify_etl.warehouse import database as database_module
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.tables import Column, Table, frame
from dify_etl.warehouse.upsert import Changes, mark_absent, put, upsert

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, tzinfo=UTC)

NOTES = Table(
    "raw",
    "notes",
    "One row per note.",
    ("note_id", "part"),
    (
        Column("note_id", "VARCHAR", "The note."),
        Column("part", "VARCHAR", "Its part; may be null."),
        Column("text", "VARCHAR", "What it says.", is_signed=True),
        Column("author", "VARCHAR", "A lookup.", keeps_last=True),
        Column("hits", "BIGINT", "Moves by itself.", is_volatile=True),
    ),
)


STATES = Table(
    "ops",
    "states",
    "One row per thing.",
    ("thing", "part"),
    (
        Column("thing", "VARCHAR", "The thing."),
        Column("part", "VARCHAR", "Its part; may be null."),
        Column("state", "VARCHAR", "How it is."),
        Column("proven_by", "VARCHAR", "Who proved it last.", keeps_last=True),
        Column("noted_by", "VARCHAR", "Told by some reads only."),
    ),
    keeps_history=False,
)


@pytest.fixture(params=[None, 0], ids=["rows of usual length", "long rows"])
def database(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    if request.param is not None:  # changed rows are written anew, not in place
        monkeypatch.setattr(database_module, "LONG_ROW", request.param)
    with open_database(tmp_path / "live.duckdb") as opened:
        opened.ensure(NOTES)
        yield opened


def load(database: Database, *rows: dict[str, object], now: datetime = FIRST) -> Changes:
    with database.transaction():
        return upsert(database, NOTES, frame(NOTES, rows), now=now)


def note(**values: object) -> dict[str, object]:
    return {"note_id": "n1", "part": None, "text": "hello", "author": "Ada", "hits": 1} | values


def test_second_load_changes_nothing(database: Database) -> None:
    """Loading the same rows again inserts and updates nothing, also when a key part is null."""
    assert load(database, note(), note(part="b")) == Changes(new=2)
    assert load(database, note(), note(part="b"), now=LATER) == Changes(unchanged=2)
    assert database.rows("SELECT DISTINCT loaded_at, changed_at FROM raw.notes") == [(FIRST, FIRST)]


def test_changed_row_is_updated(database: Database) -> None:
    """A new value is stored and dated; the first load's date stays."""
    load(database, note())
    assert load(database, note(text="bye"), now=LATER) == Changes(changed=1)
    assert database.rows("SELECT text, loaded_at, changed_at FROM raw.notes") == [
        ("bye", FIRST, LATER)
    ]


def test_volatile_value_is_stored_without_being_a_change(database: Database) -> None:
    """What the server changes on every read is kept up to date, but the row counts as unchanged."""
    load(database, note())
    assert load(database, note(hits=9), now=LATER) == Changes(unchanged=1)
    assert database.rows("SELECT hits, changed_at FROM raw.notes") == [(9, FIRST)]


def test_new_signature_of_a_link_is_no_change(database: Database) -> None:
    """A text that differs only in the signature of its links is unchanged."""
    link = "see /files/1/file-preview?timestamp={0}&nonce={0}a&sign={0}b_-= now"
    load(database, note(text=link.format(1)))
    assert load(database, note(text=link.format(2))) == Changes(unchanged=1)
    assert load(database, note(text=link.format(2) + "!")) == Changes(changed=1)


def test_lookup_that_finds_nothing_keeps_the_last_value(database: Database) -> None:
    """Null never overwrites a looked-up value."""
    load(database, note())
    assert load(database, note(author=None)) == Changes(unchanged=1)
    assert database.value("SELECT author FROM raw.notes") == "Ada"


def test_frame_with_some_columns_leaves_the_others(database: Database) -> None:
    """A read that knows only some columns changes only those."""
    load(database, note())
    some = frame(NOTES, [note(text="new")], ["note_id", "part", "text"])
    with database.transaction():
        assert upsert(database, NOTES, some, now=LATER) == Changes(changed=1)
    assert database.rows("SELECT text, author, hits FROM raw.notes") == [("new", "Ada", 1)]


def test_value_goes_with_those_that_it_was_told_with(database: Database) -> None:
    """A price that another source told for the tokens of then is none of the tokens of now: a row
    with other tokens that does not tell the price takes it out, any other change leaves it.
    """
    messages = raw_table("messages")
    database.ensure(messages)

    def come(**values: object) -> list[tuple[object, ...]]:
        rows = [{"conversation_id": "talk", "message_id": "a", **values}]
        with database.transaction():
            upsert(database, messages, frame(messages, rows, [*rows[0]]), now=LATER)
        return database.rows(
            "SELECT message_tokens, charged_price, charged_currency, invoke_from FROM raw.messages"
        )

    first = {"message_tokens": 0, "charged_price": 0, "charged_currency": "USD"}
    told = come(**first, invoke_from="explore")
    assert told == [(0, 0, "USD", "explore")]
    assert come(message_tokens=0, status="error") == told
    assert come(message_tokens=11, status="normal") == [(11, None, None, "explore")]
    assert come(message_tokens=11, charged_price=2) == [(11, 2, None, "explore")]


def test_column_that_only_an_older_home_has_is_kept(database: Database) -> None:
    """A column that this version does not know stays as it is, in changed rows as well."""
    load(database, note(), note(part="b"))
    database.execute("ALTER TABLE raw.notes ADD COLUMN of_before VARCHAR DEFAULT 'kept'")
    load(database, note(text="bye"), now=LATER)
    assert database.rows("SELECT text, of_before FROM raw.notes ORDER BY part NULLS FIRST") == [
        ("bye", "kept"), ("hello", "kept"),
    ]  # fmt: skip


def test_changed_long_rows_leave_those_of_others_where_they_are_in_the_file(tmp_path: Path) -> None:
    """Of gigabytes of documents a checkpoint would else write all that lie beside a changed one."""
    letters = random.Random(1)

    def rows(count: int) -> pl.DataFrame:
        texts = [letters.randbytes(5_000).hex() for _ in range(count)]
        return frame(NOTES, [note(note_id=str(n), text=text) for n, text in enumerate(texts)])

    def blocks(opened: Database) -> set[int]:
        found = opened.rows(
            "SELECT block_id, additional_block_ids FROM pragma_storage_info('raw.notes') "
            "WHERE column_name = 'text' AND block_id >= 0"
        )
        return {one for block, more in found for one in (block, *more)}

    with open_database(tmp_path / "live.duckdb") as opened:
        opened.ensure(NOTES)
        found = []
        for many in (5_000, 50):
            with opened.transaction():
                upsert(opened, NOTES, rows(many), now=LATER)
            opened.execute("CHECKPOINT live")
            found.append(blocks(opened))
        before, after = found
        assert len(before & after) > 0.9 * len(before) > 20
        assert opened.value("SELECT count(*) FROM raw.notes") == 5_000


def test_vanished_row_is_marked_and_returns(database: Database) -> None:
    """A row missing from a whole read is marked absent, once; when it is back it is unmarked."""
    load(database, note(), note(note_id="n2"), note(note_id="other"))
    present = frame(NOTES, [note(note_id="n2")])
    scope = "t.note_id IN ('n1', 'n2')"
    assert mark_absent(database, NOTES, scope=scope, present=present, now=LATER).absent == 1
    assert mark_absent(database, NOTES, scope=scope, present=present, now=LATER).absent == 0
    assert load(database, note()) == Changes(changed=1)
    assert database.value("SELECT count(*) FROM raw.notes WHERE absent_since IS NOT NULL") == 0


def test_last_of_two_rows_with_one_key_counts(database: Database) -> None:
    """A key that arrives twice in one load is one row, with the later values; the others are told,
    unless they differ by nothing that counts.
    """
    last = note(text="b", hits=3)
    changes = load(database, note(text="a"), note(text="b", hits=2), last, note(part="x"))
    assert (changes.new, changes.overwritten) == (2, (note(text="a"),))
    assert database.rows("SELECT text, hits FROM raw.notes WHERE part IS NULL") == [("b", 3)]


def test_failed_transaction_leaves_nothing(database: Database) -> None:
    """What happens inside a transaction that fails did not happen."""

    def load_and_break() -> None:
        with database.transaction():
            upsert(database, NOTES, frame(NOTES, [note()]), now=FIRST)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        load_and_break()
    assert database.value("SELECT count(*) FROM raw.notes") == 0


def test_local_day_is_kept_with_its_odd_instant(database: Database) -> None:
    """Where the row names the instant as odd, neither it nor its local day is overwritten."""
    columns = (
        Column("visit_id", "VARCHAR", "The visit."),
        Column("ended_at", "TIMESTAMPTZ", "When it ended, UTC."),
        Column("ended_date", "DATE", "Local day of ended_at.", local_of="ended_at"),
        Column("odd_fields", "VARCHAR", "What was odd."),
    )
    visits = Table("raw", "visits", "One row per visit.", ("visit_id",), columns)
    database.ensure(visits)
    good: dict[str, object] = {"visit_id": "v", "ended_at": FIRST, "ended_date": FIRST.date()}
    for row in (good, {"visit_id": "v", "odd_fields": "ended_at"}):
        with database.transaction():
            upsert(database, visits, frame(visits, [row]), now=LATER)
    assert database.rows("SELECT ended_at, ended_date, odd_fields FROM raw.visits") == [
        (FIRST, FIRST.date(), "ended_at")
    ]


RUNS = Table(
    "raw",
    "runs",
    "One row per run.",
    ("run_id",),
    (
        Column("run_id", "VARCHAR", "The run."),
        Column("app_id", "VARCHAR", "Its app."),
        Column("steps", "BIGINT", "Its steps, by the list."),
        Column("error", "VARCHAR", "Its error, by the detail."),
        Column("odd_fields", "VARCHAR", "What was odd."),
    ),
    owners=("app_id",),
)


def load_run(database: Database, *rows: dict[str, object]) -> Changes:
    database.ensure(RUNS)
    with database.transaction():
        return upsert(database, RUNS, frame(RUNS, rows, tuple(rows[0])), now=LATER)


def test_each_source_of_a_row_speaks_of_its_own_odd_fields(database: Database) -> None:
    """What was odd in the list stays named when the detail comes, and goes with a well list."""
    run: dict[str, object] = {"run_id": "r", "app_id": "a"}
    load_run(database, {**run, "steps": None, "odd_fields": "steps"})
    load_run(database, {**run, "error": "x", "odd_fields": None})
    assert database.value("SELECT odd_fields FROM raw.runs") == "steps"
    load_run(database, {**run, "error": None, "odd_fields": "error"})
    assert database.value("SELECT odd_fields FROM raw.runs") == "error,steps"
    load_run(database, {**run, "steps": 3, "odd_fields": None})
    assert database.rows("SELECT steps, error, odd_fields FROM raw.runs") == [(3, "x", "error")]


def test_row_of_another_app_is_not_overwritten(database: Database) -> None:
    """An id that two apps have is told; the row stays with the first, until that has it no more."""
    first: dict[str, object] = {"run_id": "r", "app_id": "a", "steps": 1}

    def told(*rows: dict[str, object]) -> list[tuple[str, str]]:
        return [(one["run_id"], one["app_id"]) for one in load_run(database, *rows).foreign]

    assert told(first, {**first, "app_id": "b"}) == [("r", "b")]
    assert told({**first, "app_id": "b", "steps": 2}) == [("r", "b")]
    assert database.rows("SELECT app_id, steps FROM raw.runs") == [("a", 1)]
    with database.transaction():
        mark_absent(database, RUNS, scope="true", present=frame(RUNS, []), now=LATER)
    assert told({**first, "app_id": "b", "steps": 2}) == []
    assert database.rows("SELECT app_id, steps FROM raw.runs") == [("b", 2)]


def test_talk_of_an_agent_may_move_to_the_app_that_began_it(database: Database) -> None:
    """And back: an agent's log shows it where the app's list does not. To no third app."""
    table = raw_table("conversations")

    def load(app_id: str, source: str | None) -> list[str]:
        row = {"conversation_id": "c", "app_id": app_id, "source_app_id": source}
        told = {name: value for name, value in row.items() if value is not None}
        with database.transaction():
            changes = upsert(database, table, frame(table, [told], [*told]), now=LATER)
        return [one["app_id"] for one in changes.foreign]

    database.ensure(table)
    assert load("agent", "flow") == []
    assert load("flow", None) == []
    assert load("agent", "flow") == []
    assert database.value("SELECT app_id FROM raw.conversations") == "agent"
    assert load("other", None) == ["other"]


def test_rows_are_put_over_those_of_their_keys(database: Database) -> None:
    """New keys are added, held ones overwritten; a lookup and columns that are not told stay."""
    database.ensure(STATES)
    first = {"thing": "a", "part": None, "state": "bad", "proven_by": "me", "noted_by": "you"}
    again = {"thing": "a", "part": None, "state": "good", "proven_by": None}
    other = {"thing": "a", "part": "b", "state": "old", "proven_by": None}
    put(database, STATES, frame(STATES, [first]))
    put(database, STATES, frame(STATES, [other, again, other | {"state": "new"}], [*again]))
    put(database, STATES, frame(STATES, [], [*again]))
    held = "SELECT part, state, proven_by, noted_by FROM ops.states ORDER BY part NULLS FIRST"
    assert database.rows(held) == [(None, "good", "me", "you"), ("b", "new", None, None)]
