"""Later syncs: what is settled is not asked again, what is due is never forgotten."""

import contextlib
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.run import SyncPlan
from dify_etl.sync.windows import Window
from dify_etl.warehouse.database import open_database
from dify_etl_tests.sync.comparison import differences, held_rows
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import (
    brief_world,
    first_message,
    lively_world,
    quiet_world,
    run,
    talk,
)
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, ZONE, Workplace
from dify_simulated import Faults, SimulatedDify, WorldPlan, build_world
from dify_simulated.server.app import RecordedRequest

DAILY = ("conversations", "messages", "workflow_runs")
CALM = ("conversations", "messages", "daily_statistics", "workflow_runs", "node_executions")


def asked(requests: list[RecordedRequest], route_end: str, parameter: str) -> set[str]:
    """The values of one query parameter over the requests of a route."""
    return {
        value
        for one in requests
        if one.path.endswith(route_end)
        for name, value in one.query
        if name == parameter
    }


def content(place: Workplace) -> dict[str, list[str]]:
    """All raw rows, volatile columns and read times left out, in one order."""
    found = {}
    for name, rows in zip(RAW_TABLES, held_rows(place, tuple(RAW_TABLES)), strict=True):
        columns = RAW_TABLES[name].table.columns
        moving = {column.name for column in columns if column.is_volatile} | {"read_at"}
        found[name] = sorted(
            repr({key: value for key, value in row.items() if key not in moving}) for row in rows
        )
    return found


def test_one_day_asks_lists_from_its_start_less_the_margin(chat: Workplace) -> None:
    """A sync of one day asks the lists from two hours before the day, by both times."""
    with chat.requests() as requests:
        chat.read_days(date(2026, 3, 10), date(2026, 3, 10), TALK)
    starts = asked(requests, "chat-conversations", "start")
    assert min(starts) == "2026-03-09 22:00"
    assert asked(requests, "chat-conversations", "sort_by") == {"created_at", "updated_at"}


@pytest.mark.parametrize(("days_ago", "is_listed_twice"), [(30, False), (45, True)])
def test_first_load_lists_by_touch_only_when_older_talks_are_there(
    workplace: Open, days_ago: int, is_listed_twice: bool
) -> None:
    """When nothing began before the start date, 40 days ago, the list by created_at shows all;
    else an older talk that went on is found by its touch.
    """
    place = workplace(quiet_world("chat")).with_rules(start_date=NOW.date() - timedelta(days=40))
    old = talk(place.world, at=NOW - timedelta(days=days_ago))
    place.world.add_message(old.id, at=NOW - timedelta(days=3), query="again")

    with place.requests() as requests:
        place.read(TALK)

    lists = [dict(one.query) for one in requests if one.path.endswith("chat-conversations")]
    starts = {one["start"] for one in lists if one["sort_by"] == "updated_at"}
    since = place.rules.start_date - timedelta(days=1)
    assert (f"{since} 22:00" in starts) is is_listed_twice
    assert place.rows("SELECT conversation_id FROM raw.conversations") == [(old.id,)]


def test_one_day_asks_no_settled_detail(chat: Workplace) -> None:
    """A sync of one day reads the messages of what happened then, not those of settled talks."""
    talk(chat.world, at=NOW - timedelta(days=5))
    fresh = talk(chat.world, at=NOW - timedelta(hours=3))
    chat.read_days(date(2026, 3, 7), date(2026, 3, 7), TALK)
    with chat.requests() as requests:
        chat.read_days(NOW.date(), NOW.date(), TALK)
    assert asked(requests, "chat-messages", "conversation_id") <= {fresh.id}


def test_settled_day_costs_under_a_tenth_and_changes_nothing(workplace: Open) -> None:
    """Read again two days later, a settled workspace answers few requests and the same rows."""
    place = workplace(brief_world())
    feeds = ("apps", *CALM)
    days = SyncPlan(window=Window(date(2026, 3, 9), date(2026, 3, 10), ZONE))
    place.with_rules(lookback_days=1)
    with place.requests() as first:
        place.read(feeds, days)
    place.pass_time(days=9)
    place.read(feeds, days)
    before = content(place)
    with place.requests() as again:
        place.read(feeds, days)
    assert len(again) < len(first) / 10
    assert content(place) == before


def test_night_costs_under_a_twentieth_of_the_full_load(workplace: Open) -> None:
    """90 days of history, 2 % of the talks go on: a night with its deep read asks little."""
    plan = WorldPlan(seed=5, apps=6, days=90, conversations_per_day=6, now=NOW)
    place = workplace(build_world(plan)).with_rules(start_date=NOW.date() - timedelta(days=90))
    with place.requests() as full:
        place.read()
    place.pass_time(days=1)
    modes = {app.id: app.mode for app in place.world.apps.values()}
    talks = [one for one in place.world.conversations.values() if "chat" in modes[one.app_id]]
    for one in random.Random(5).sample(talks, len(talks) // 50):
        place.world.add_message(one.id, at=place.world.now() - timedelta(hours=2), query="more")

    with place.requests() as night:
        reports = place.read()

    assert len(night) < len(full) / 20
    assert sum(report.requests for report in reports.values()) <= len(night)


def test_second_sync_changes_no_row(workplace: Open) -> None:
    """A whole second sync of an unchanged workspace finds nothing new and nothing changed."""
    place = workplace(brief_world())
    place.read()
    before = content(place)
    reports = place.read()
    changed = {name: report.changes for name, report in reports.items() if report.changes.new}
    changed |= {name: one.changes for name, one in reports.items() if one.changes.changed}
    assert changed == {}
    assert content(place) == before


def test_sync_that_died_before_the_details_is_completed(workplace: Open) -> None:
    """Lists were read, then the process died: the next sync reads the details that are due."""
    place = workplace(quiet_world("chat", "workflow"))
    talk(place.world, at=NOW - timedelta(days=20))
    run(place.world, at=NOW - timedelta(days=20))
    days = SyncPlan(window=Window(NOW.date() - timedelta(days=21), NOW.date(), ZONE))
    place.read(("apps", "conversations"), days)
    place.read(("apps", *TALK, *RUNS))
    assert differences(place, ("messages", "workflow_runs", "node_executions")) == []


def test_sync_that_died_among_the_details_is_completed(workplace: Open) -> None:
    """When the process dies between two details of runs, the next sync reads those that lack."""
    place = workplace(quiet_world("workflow"))
    for number in range(5):
        run(place.world, at=NOW - timedelta(days=20, minutes=number))
    with contextlib.suppress(KeyboardInterrupt):
        _die_at(place, "workflow-runs/", 3)
    assert place.value("SELECT count(*) FROM ops.run_reads") == 0
    place.server = SimulatedDify(place.world)
    place.read(RUNS)
    assert differences(place, ("workflow_runs", "node_executions")) == []


def _die_at(place: Workplace, part: str, number: int) -> None:
    """Read runs, and die at the request with this number among those with this part."""
    asked = iter(range(1, 10_000))

    def before(_: int, method: str, path: str) -> None:
        if part in path and next(asked) == number:
            raise KeyboardInterrupt

    place.server = SimulatedDify(place.world, faults=Faults(before_request=before))
    place.read(RUNS)


def test_day_that_stays_in_doubt_is_listed_less_and_less_often(chat: Workplace) -> None:
    """An old day with a row that Dify cannot show is asked after 1, 2, 4 and 7 nights, for ever."""
    chat.with_rules(lookback_days=1, deep_read_days=0)
    odd = talk(chat.world, at=NOW - timedelta(days=30))
    chat.server.odd_rows[odd.id] = 400
    nights = []
    for night in range(22):
        with chat.requests() as requests:
            chat.read(("apps", "conversations"))
        if min(asked(requests, "chat-conversations", "start")) < "2026-03":
            nights.append(night)
        chat.pass_time(days=1)
    assert nights == [0, 1, 3, 7, 14, 21]


def test_rows_of_the_asked_days_are_all_there(workplace: Open) -> None:
    """A sync of two days of a lively workspace holds every row of these days."""
    place = workplace(lively_world())
    place.read_days(date(2026, 3, 10), date(2026, 3, 11))
    lacking = [line for line in differences(place, DAILY) if " lacks " in line]
    begins, ends = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC)
    inside = {
        row.id
        for rows in (place.world.conversations, place.world.messages, place.world.workflow_runs)
        for row in rows.values()
        if begins <= row.created_at < ends
    }
    assert inside
    assert [line for line in lacking if any(row_id in line for row_id in inside)] == []


def test_nights_without_a_run_are_caught_up(workplace: Open) -> None:
    """After three nights off and beyond the look-back, what happened meanwhile is read."""
    place = workplace(quiet_world("chat", "workflow"))
    place.with_rules(lookback_days=1, deep_read_days=0)
    place.read(("apps", *TALK, *RUNS))
    for _ in range(4):
        now = place.pass_time(days=1)
        talk(place.world, at=now - timedelta(hours=5))
        run(place.world, at=now - timedelta(hours=4))
    place.read(("apps", *TALK, *RUNS))
    assert differences(place, ("conversations", "messages", "workflow_runs")) == []
    states = place.rows("SELECT DISTINCT state FROM ops.slices")
    assert states == [("proven",)]


def test_half_written_message_is_read_until_it_is_settled(chat: Workplace) -> None:
    """An answer that is being written moves no time, and still arrives the night after."""
    row = chat.world.add_conversation(next(iter(chat.world.apps)), at=NOW - timedelta(minutes=5))
    message = chat.world.add_message(row.id, at=NOW - timedelta(minutes=5), answer=None)
    chat.read(TALK)
    assert chat.rows("SELECT answer, answer_tokens FROM raw.messages") == [("", 0)]
    chat.pass_time(days=1)
    chat.world.finish_message(message.id, answer="at last")
    chat.read(TALK)
    assert chat.rows("SELECT answer, answer_tokens FROM raw.messages") == [("at last", 48)]


def test_settled_message_is_not_read_again(chat: Workplace) -> None:
    """Once an answer is a day old and nothing differs, its conversation is not asked any more."""
    talk(chat.world, at=NOW - timedelta(days=1, hours=2))
    chat.read(TALK)
    with chat.requests() as requests:
        chat.read(TALK)
    assert asked(requests, "chat-messages", "conversation_id") == set()


def test_nodes_read_just_after_their_run_are_not_due_again(workplace: Open) -> None:
    """By a `Date` of whole seconds the detail of a run may seem to be read after its nodes."""
    place = workplace(quiet_world("workflow"))
    run(place.world, at=NOW - timedelta(days=3))
    place.read(RUNS)
    with open_database(place.home / LIVE) as database:
        database.execute(
            "UPDATE ops.run_reads SET detail_read_at = nodes_read_at + INTERVAL 1 SECOND"
        )
    place.pass_time(days=1)
    with place.requests() as requests:
        place.read(RUNS)
    assert [one for one in requests if one.path.endswith("node-executions")] == []


def test_unfinished_run_is_read_until_it_ends(workplace: Open) -> None:
    """Status, outputs and nodes of a run that goes on are read again until it has ended."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(minutes=9), status="running")
    place.read(RUNS)
    place.pass_time(days=1)
    place.world.finish_run(run_id, at=NOW, outputs={"text": "late"}, total_tokens=7)
    place.read(RUNS)
    assert differences(place, ("workflow_runs", "node_executions")) == []


def test_long_conversation_that_grew_is_read_to_the_first_known_message(chat: Workplace) -> None:
    """Of a conversation of many pages only the newest page is asked when it grew."""
    row = talk(chat.world, at=NOW - timedelta(days=3), messages=450)
    chat.read(TALK)
    now = chat.pass_time(days=2)
    chat.world.add_message(row.id, at=now - timedelta(days=1, hours=1), query="one more")
    with chat.requests() as requests:
        chat.read(TALK)
    assert len([one for one in requests if one.path.endswith("chat-messages")]) == 1
    assert differences(chat, ("messages",)) == []


def test_full_sync_reads_all_details_again(chat: Workplace) -> None:
    """A full sync asks settled conversations too, so that silent changes arrive."""
    row = talk(chat.world, at=NOW - timedelta(days=20))
    chat.read(TALK)
    chat.world.messages[first_message(chat.world, row)].answer = "changed by hand"
    chat.read(TALK, SyncPlan(is_full=True))
    assert differences(chat, ("messages",)) == []


def test_full_sync_opens_settled_logs_again(workplace: Open) -> None:
    """The list of a completion app tells no tokens: what changed in them arrives by its detail."""
    place = workplace(quiet_world("completion")).with_rules(completion_detail=True)
    row = talk(place.world, at=NOW - timedelta(days=20), messages=1, mode="completion")
    place.read(TALK)
    place.world.messages[first_message(place.world, row)].answer_tokens = 77
    place.read(TALK)
    place.read(TALK, SyncPlan(is_full=True))
    assert differences(place, ("messages",)) == []
    assert place.value("SELECT answer_tokens FROM raw.messages") == 77
