"""Days that are as they were are not read again; whatever moves in Dify or here, they are."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from dify_etl.dify_database.connection import Snapshot
from dify_etl.raw.privacy import Privacy
from dify_etl.sync.run import SyncPlan
from dify_etl_tests.dify_database.conftest import DifyTables
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

OpenPlace = Callable[..., Workplace]

FEEDBACK = """INSERT INTO message_feedbacks (id, app_id, conversation_id, message_id, rating,
    from_source, from_end_user_id, created_at, updated_at)
    SELECT gen_random_uuid(), app_id, conversation_id, id, 'like', 'user', from_end_user_id,
        created_at, created_at FROM messages WHERE query = 'question 1'"""
FILE = """INSERT INTO message_files (id, message_id, type, transfer_method, url, created_by_role,
    created_by, created_at) SELECT gen_random_uuid(), id, 'image', 'remote_url',
    'https://x.test/a.png', 'account', id, created_at FROM messages WHERE query = 'question 1'"""
ANNOTATION = """INSERT INTO message_annotations (id, app_id, conversation_id, message_id, question,
    content, hit_count, account_id, created_at, updated_at)
    SELECT gen_random_uuid(), app_id, conversation_id, id, query, 'an answer', 0,
        (SELECT min(id::text)::uuid FROM accounts), created_at, created_at
    FROM messages WHERE query = 'question 1'"""

# Each moves no time of its message, as on servers before 1.10, or when a row goes.
CHANGES = {
    "an answer": "UPDATE messages SET answer = 'another' WHERE query = 'question 1'",
    "a figure": "UPDATE messages SET answer_tokens = 77 WHERE query = 'question 1'",
    "its metadata": """UPDATE messages SET message_metadata =
        '{"retriever_resources": [{"position": 1, "content": "c"}]}' WHERE query = 'question 1'""",
    "a price": "UPDATE messages SET total_price = 9.5 WHERE query = 'question 1'",
    "a message that goes": "DELETE FROM messages WHERE query = 'question 1'",
    "two answers that change places": """UPDATE messages SET answer =
        CASE query WHEN 'question 1' THEN 'answer 2' ELSE 'answer 1' END WHERE query <> 'question 0'
        """,
    "a talk that goes": "UPDATE conversations SET is_deleted = true",
    "a rating": FEEDBACK,
    "a file": FILE,
    "an annotation": ANNOTATION,
}


@pytest.fixture
def old(workplace: OpenPlace, dify_tables: OpenTables) -> DifyTables:
    """One chat app with a talk of three messages some days ago, so that its day is settled."""
    place = workplace(quiet_world("chat"), "1.16.1")
    talk(place.world, at=NOW - timedelta(days=3), messages=3)
    return dify_tables(place)


def _night(tables: DifyTables, hours: float = 1) -> tuple[Workplace, int]:
    """Read a night; how often messages were fetched."""
    place = tables.through()
    place.pass_time(hours=hours)
    begin = tables.postgres.log.stat().st_size
    reports = place.read(TALK)
    assert set(reports["messages"].states) == {"proven"}
    sent = tables.postgres.statements(begin)
    return place, sum("DECLARE walk" in one and "FROM messages m" in one for one in sent)


def _told(place: Workplace) -> list[list[tuple[object, ...]]]:
    """All that is there of messages and their parts, and that is not absent."""
    kept = "* EXCLUDE (loaded_at, changed_at)"
    return [
        place.rows(f"SELECT {kept} FROM raw.{name} WHERE absent_since IS NULL ORDER BY ALL")
        for name in ("messages", "message_feedbacks", "message_citations", "message_files")
    ]


def test_a_night_without_a_change_fetches_no_message(old: DifyTables) -> None:
    """And says of its days what the night before said."""
    slices = "SELECT slice_date, state, rows, expected FROM ops.slices WHERE feed = 'messages' "
    slices += "AND rows > 0 ORDER BY ALL"
    place, _ = _night(old, hours=0)
    told, rows = place.rows(slices), _told(place)
    assert [row[2:] for row in told] == [(3, 3)]
    walks = []
    for _ in range(2):
        place, count = _night(old, hours=0)
        walks.append(count)
        assert (place.rows(slices), _told(place)) == (told, rows)
    # The first load keeps no digest of days that are read weeks later. What was touched lately is
    # looked for all the same, and none is found.
    assert walks == [2, 1]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_read(old: DifyTables, change: str) -> None:
    """Without any time that moves; and when it is taken back."""
    place, _ = _night(old)
    place, _ = _night(old)
    before = _told(place)
    old.postgres.execute(CHANGES[change], old.name)
    place, _ = _night(old)
    after = _told(place)
    assert after != before
    place.read(TALK, SyncPlan(is_full=True))
    assert _told(place) == after  # just what a whole read finds
    old.fill()
    place, _ = _night(old)
    assert _told(place) == before


def test_what_the_api_read_meanwhile_is_read_again(old: DifyTables) -> None:
    """Rated as the API saw it, and withdrawn: Dify is as the database showed it, this home not."""
    place, _ = _night(old)
    before = _told(place)
    message = min(place.world.messages.values(), key=lambda one: one.created_at)
    given = place.world.give_feedback(message.id, "like", at=place.world.now())
    place = old.by_api()
    place.read(TALK)
    assert place.value("SELECT count(*) FROM raw.message_feedbacks") == 1
    del place.world.feedbacks[given.id]
    old.fill()
    place, _ = _night(old)
    assert _told(place) == before


def test_another_rule_of_privacy_reads_again(old: DifyTables) -> None:
    """Texts that were dropped come back on the next night, as of every day of the look-back."""
    old.place = old.place.with_rules(privacy=Privacy("drop", "keep", b"salt"))
    place, _ = _night(old)
    place, _ = _night(old)
    assert place.rows("SELECT DISTINCT query FROM raw.messages") == [("(dropped)",)]
    old.place = old.place.with_rules(privacy=Privacy())
    place, _ = _night(old)
    assert place.value("SELECT count(DISTINCT query) FROM raw.messages") == 3


def test_day_that_cannot_be_compared_is_read(
    old: DifyTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the server takes too long: the snapshot goes on, and days are proven as ever."""
    place, _ = _night(old)
    _night(old)
    told = _told(place)
    _, count = _night(old)
    assert count == 1
    try_frame = Snapshot.try_frame
    monkeypatch.setattr(
        Snapshot, "try_frame", lambda shot, sql: try_frame(shot, f"SELECT 1 / 0 FROM ({sql}) told")
    )
    place, count = _night(old)
    assert count == 2
    assert _told(place) == told


def test_day_is_read_again_after_an_upgrade(old: DifyTables) -> None:
    """What the same rows show may depend on the version: forms since 1.13."""
    old.place = replace(old.place, version="1.12.1")
    _night(old)
    _night(old)
    old.place = replace(old.place, version="1.16.1")
    place, count = _night(old)
    assert count == 2
    _, count = _night(old)
    assert count == 1
    assert place.rows("SELECT DISTINCT extra_contents FROM raw.messages") == [("[]",)]


def test_parts_of_a_day_are_hashed_one_by_one(old: DifyTables) -> None:
    """PostgreSQL joins no texts of many parts into one, which may have a gigabyte at most."""
    begin = old.postgres.log.stat().st_size
    _night(old)
    asked, *_ = [one for one in old.postgres.statements(begin) if "record_send" in one]
    assert "string_agg(record_send" not in asked
    assert asked.count("string_agg(") > 2
