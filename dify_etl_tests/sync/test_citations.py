"""Each citation that Dify shows is a row, whatever `position` Dify gives it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dify_etl.home import LIVE
from dify_etl.sync.migrations import STEPS, number_citations
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.migrations import migrate_home
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import first_message, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

CITED = "SELECT citation_number, position, document_id FROM raw.message_citations ORDER BY ALL"
# A code node joins two retrievals; an iteration is flattened; sources of a tool tell no position.
REPEATING = ([1, 2, 1, 2], [None, None], [1, 1, None])


def passage(number: int, position: int | None) -> dict[str, Any]:
    """A citation as Dify shows it; each is of a document of its own."""
    return {
        "position": position,
        "document_id": f"document {number}",
        "score": 0.5,
        "content": f"text {number}",
    }


def citing(place: Workplace, *lists: Sequence[int | None]) -> Workplace:
    """The workplace with a talk of some days ago per list, whose answer cites passages at these
    positions.
    """
    for day, positions in enumerate(lists, 20):
        row = talk(place.world, at=NOW - timedelta(days=day), messages=1, mode="advanced-chat")
        message = place.world.messages[first_message(place.world, row)]
        message.message_metadata = {
            **message.message_metadata,
            "retriever_resources": [passage(*one) for one in enumerate(positions, 1)],
        }
    return place


@pytest.mark.parametrize("positions", [*REPEATING, [2, 1]])
def test_citations_of_equal_position_are_rows_of_their_own(
    positions: Sequence[int | None], workplace: Open
) -> None:
    """As many rows as Dify shows, in its order; its own position stands beside them."""
    place = citing(workplace(quiet_world("advanced-chat"), "1.16.1"), positions)
    place.read(TALK)
    assert place.rows(CITED) == [
        (number, position, f"document {number}") for number, position in enumerate(positions, 1)
    ]
    assert place.value("SELECT count(*) FROM ops.quarantine") == 0


def test_a_home_of_before_gets_what_it_lacks(workplace: Open) -> None:
    """Citations were known by Dify's position, so of equal ones the last was left: those messages
    are read again, however old; the others keep their rows and their times.
    """
    place = citing(workplace(quiet_world("advanced-chat"), "1.16.1"), [1, 2], *REPEATING)
    place.read(TALK)
    rows = place.rows(CITED)
    newest = "message_created_date = (SELECT max(message_created_date) FROM raw.message_citations)"
    times = f"SELECT loaded_at, changed_at FROM raw.message_citations WHERE {newest}"
    with open_database(place.home / LIVE) as database:
        database.execute(
            """DELETE FROM raw.message_citations t
            WHERE EXISTS (SELECT 1 FROM raw.message_citations o WHERE o.message_id = t.message_id
                AND o.position IS NOT DISTINCT FROM t.position
                AND o.citation_number > t.citation_number)"""
        )
        database.execute("ALTER TABLE raw.message_citations DROP COLUMN citation_number")
        (step,) = [one.number for one in STEPS if one.apply is number_citations]
        database.execute("DELETE FROM ops.migrations WHERE number = ?", [step])
    told: list[str] = []
    migrate_home(place.home, STEPS, wait_seconds=1, tell=told.append)
    assert [line.rpartition(": ")[2] for line in told] == ["3 rows"]
    assert len(place.rows(CITED)) == len(rows) - 4
    before = place.rows(times)
    place.pass_time(days=1)
    place.read(TALK)
    assert place.rows(CITED) == rows
    assert place.rows(times) == before


def test_part_with_the_key_of_its_neighbour_is_told(workplace: Open) -> None:
    """Two files of one id and of other types: one is loaded, the other waits in quarantine, and the
    day is not proven until Dify shows one, and is read again.
    """
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=NOW - timedelta(days=20), messages=1)
    message = place.world.messages[first_message(place.world, row)]
    place.world.attach_remote_file(message.id, "https://cdn.test/picture.png")
    (file,) = message.message_files
    message.message_files = (file, replace(file, type="document"))
    place.read(TALK)
    assert place.rows("SELECT file_type FROM raw.message_files") == [("document",)]
    waiting = "SELECT parent_id, error_path FROM ops.quarantine WHERE resolved_at IS NULL"
    assert place.rows(waiting) == [(message.id, "(key)")]
    state = "SELECT state FROM ops.slices WHERE feed = 'messages' AND rows > 0"
    assert place.rows(state) == [("unproven",)]
    message.message_files = (file,)
    place.pass_time(days=1)
    place.read(TALK, SyncPlan(is_full=True))
    assert (place.rows(waiting), place.rows(state)) == ([], [("proven",)])
