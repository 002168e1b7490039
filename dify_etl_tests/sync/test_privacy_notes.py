"""What the ledger knows of the rules by which rows were loaded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dify_etl.raw.privacy import PeopleRule, Privacy, TextRule
from dify_etl.sync.ledger import PRIVACY, RUNS
from dify_etl.sync.privacy import doubts_of, keep_privacy, latest_note, note_rewritten
from dify_etl.warehouse.database import Database, open_database

KEEP, HASH, MASK, DROP = Privacy(), Privacy("keep", "hash", b"s"), Privacy("mask"), Privacy("drop")
REWRITTEN = "rewritten"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A live file with the two tables that this is about."""
    with open_database(tmp_path / "live.duckdb") as opened:
        opened.ensure(PRIVACY, RUNS)
        yield opened


@pytest.mark.parametrize(
    ("steps", "is_met", "is_lost"),
    [
        ([KEEP], True, False),
        ([DROP], True, False),  # set before the first sync
        ([KEEP, MASK], False, False),
        ([KEEP, MASK, DROP, REWRITTEN], True, False),
        ([KEEP, DROP, REWRITTEN, MASK], True, True),  # what is dropped needs no mask
        ([KEEP, DROP, REWRITTEN, KEEP, DROP], False, False),  # loaded whole in between
        ([DROP, KEEP], True, True),
        ([MASK, HASH], False, True),  # names are left, and masks do not come off
    ],
)
def test_notes(database: Database, steps: list[Privacy | str], is_met: bool, is_lost: bool) -> None:
    """A sync tells what is left in older rows, and what is gone from them; both are said."""
    told: list[str] = []
    for number, step in enumerate(steps):
        if isinstance(step, Privacy):
            told.clear()
            with database.transaction():
                keep_privacy(database, step, told.append)
            database.execute(
                "INSERT INTO ops.runs (run_id, feed) VALUES (?, 'apps')", [str(number)]
            )
        else:
            note_rewritten(database)
    note = latest_note(database)
    assert note is not None
    assert (note.is_met, note.took_more) == (is_met, is_lost)
    doubts = list(doubts_of(note))
    assert any("--rewrite" in line for line in doubts) != is_met
    assert any("--full" in line for line in doubts) == is_lost
    if steps[-1] != REWRITTEN:
        assert told == doubts


def test_home_of_before_the_rules_is_to_be_rewritten(database: Database) -> None:
    """It has rows and no note: they are as Dify told them."""
    database.execute("INSERT INTO ops.runs (run_id, feed) VALUES ('old', 'apps')")
    rules: list[tuple[TextRule, PeopleRule, bool]]
    rules = [("keep", "keep", True), ("drop", "keep", False)]
    for text, people, is_met in rules:
        database.execute("DELETE FROM ops.privacy")
        with database.transaction():
            keep_privacy(database, Privacy(text, people), lambda line: None)
        note = latest_note(database)
        assert note is not None
        assert note.is_met == is_met
