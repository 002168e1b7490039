"""Walks over lists that move while they are read end proven, or say why not, with both figures."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from dify_etl.dify.members import Member
from dify_etl.dify.record import Page
from dify_etl.sync import walks
from dify_etl.sync.walks import MOST_ROWS, TAIL_ROUNDS, Ask, TimedList, upper_bound
from dify_etl.sync.windows import Window
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, TALK, ZONE, Workplace
from dify_simulated import Faults, SimulatedDify, World

WINDOW = Window(date(2026, 3, 1), date(2026, 3, 8), ZONE)
BOUND = datetime(2026, 3, 12, 15, 29, tzinfo=ZONE)
RUNS = ("apps", "workflow_runs", "node_executions")


def crowd(world: World, count: int, *, ties: int = 25) -> None:
    """Many conversations of yesterday, always some in one second."""
    for number in range(count):
        second = number // ties
        talk(world, at=NOW - timedelta(days=1, seconds=second), messages=1)


def meanwhile(place: Workplace, act: Callable[[int], None]) -> None:
    """Do something before every request for a page of conversations."""
    asked = iter(range(10_000))

    def before(number: int, method: str, path: str) -> None:
        if path.endswith("chat-conversations"):
            act(next(asked))

    place.server = SimulatedDify(place.world, faults=Faults(before_request=before))


def test_ties_at_page_edges_are_all_read(chat: Workplace) -> None:
    """Without a tie-break pages repeat and skip rows; the union of page sizes has them all."""
    crowd(chat.world, 230, ties=230)
    chat.read(TALK)
    assert differences(chat, ("conversations", "messages")) == []
    assert chat.rows("SELECT DISTINCT state FROM ops.slices") == [("proven",)]


def test_inserts_between_requests_lose_nothing(chat: Workplace) -> None:
    """While pages are read, three conversations a request arrive: none of the old is missed."""
    crowd(chat.world, 230)
    old = set(chat.world.conversations)

    def insert(count: int) -> None:
        for _ in range(3):
            talk(chat.world, at=NOW, messages=1)

    meanwhile(chat, insert)
    chat.read(TALK)
    held = {row[0] for row in chat.rows("SELECT conversation_id FROM raw.conversations")}
    assert old <= held
    assert chat.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'conversations'") == [
        ("proven",)
    ]


def test_touches_between_requests_lose_nothing(chat: Workplace) -> None:
    """Conversations that are continued while pages are read leave their place, and are held."""
    crowd(chat.world, 230)
    rows = list(chat.world.conversations.values())

    def touch(count: int) -> None:
        for row in rows[7 * count : 7 * count + 5]:
            chat.world.rename_conversation(row.id, "renamed", at=NOW)

    meanwhile(chat, touch)
    chat.read(TALK)
    assert chat.value("SELECT count(*) FROM raw.conversations") == 230
    chat.server = SimulatedDify(chat.world)
    chat.read(TALK)
    assert differences(chat, ("conversations", "messages")) == []


def test_deletions_between_requests_lose_no_other_row(chat: Workplace) -> None:
    """Rows that vanish shift the pages; those that stay are all held, and none of them absent."""
    crowd(chat.world, 230)
    victims = list(chat.world.conversations)

    def delete(count: int) -> None:
        for row_id in victims[9 * count : 9 * count + 4]:
            chat.world.delete_conversation(row_id)

    meanwhile(chat, delete)
    chat.read(TALK)
    sql = "SELECT conversation_id FROM raw.conversations WHERE absent_since IS NULL"
    assert set(chat.world.conversations) <= {row[0] for row in chat.rows(sql)}
    chat.server = SimulatedDify(chat.world)
    chat.read(TALK)
    assert differences(chat, ("conversations", "messages")) == []


def test_total_that_lies_leaves_the_day_incomplete_with_both_figures(chat: Workplace) -> None:
    """Windows are cut down to the day whose rows are fewer than its total; it alone is doubted."""
    chat.with_rules(start_date=NOW.date() - timedelta(days=6))
    for days in range(5):
        talk(chat.world, at=NOW - timedelta(days=days, hours=8), messages=1)
    liar = next(iter(chat.world.conversations))

    def lie(path: str, answer: Any) -> Any:
        if not path.endswith("chat-conversations"):
            return answer
        rows = [row for row in answer["data"] if row["id"] != liar]
        return {**answer, "data": rows}

    chat.transport = ChangedAnswers(httpx.WSGITransport(app=chat.server), lie)
    chat.read(TALK)
    found = chat.rows(
        "SELECT slice_date, reason FROM ops.slices "
        "WHERE feed = 'conversations' AND reason LIKE 'created:%'"
    )
    assert {day for day, _ in found} >= {NOW.date()}
    assert len(found) <= 2  # the margin may carry the doubt into the neighbour
    assert "total" in found[0][1]
    assert chat.value("SELECT count(*) FROM raw.conversations") == 4


def test_page_of_messages_in_one_second_is_named(chat: Workplace) -> None:
    """More than a page of messages in one second: Dify shows a page of them for ever, so the day
    is unproven, with the count.
    """
    row = talk(chat.world, at=NOW - timedelta(days=1), messages=130, seconds_apart=0)
    chat.read(TALK)
    ((state, reason),) = chat.rows("SELECT state, reason FROM ops.conversation_reads")
    assert state == "unproven"
    assert "100 of 130" in reason
    doubt = chat.value("SELECT max(reason) FROM ops.slices WHERE feed = 'messages'")
    assert row.id in doubt


def test_page_of_runs_in_one_second_is_proven_by_the_log(workplace: Open) -> None:
    """The list by cursor doubts a second full of runs; the total of the log proves its day."""
    place = workplace(quiet_world("workflow"))
    for days, count in ((1, 1), (2, 130), (3, 1)):
        for _ in range(count):
            run(place.world, at=NOW - timedelta(days=days))
    place.read(("apps", "workflow_runs"))
    states = place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'workflow_runs'")
    assert states == [("proven",)]
    assert place.value("SELECT count(*) FROM raw.workflow_runs") == 132


def test_ties_at_the_edge_of_a_page_of_messages_are_read(chat: Workplace) -> None:
    """Messages of one second that fall across two pages are read twice instead of never."""
    row = talk(chat.world, at=NOW - timedelta(days=1), messages=60)
    for number in range(90):
        at = NOW - timedelta(days=1) + timedelta(hours=2, seconds=number // 30)
        chat.world.add_message(row.id, at=at, query=f"import {number}")
    chat.read(TALK)
    assert differences(chat, ("messages",)) == []
    assert chat.rows("SELECT state FROM ops.conversation_reads") == [("proven",)]


def test_ties_at_the_edge_of_a_page_of_runs_are_read(workplace: Open) -> None:
    """Debugging runs that share a second across two pages are all read."""
    place = workplace(quiet_world("workflow"))
    for number in range(130):
        at = NOW - timedelta(days=1, seconds=number // 40)
        row = place.world.start_run(
            app_of(place.world, "workflow").id, at=at, triggered_from="debugging"
        )
        place.world.finish_run(row.id, at=at)
    place.read(RUNS)
    assert differences(place, ("workflow_runs",)) == []


def test_message_that_vanishes_leaves_the_conversation_in_doubt(chat: Workplace) -> None:
    """Fewer messages than the list row tells: incomplete with both figures, and read again."""
    row = talk(chat.world, at=NOW - timedelta(days=1), messages=3)
    chat.read(("apps", "conversations"))
    chat.world.take_message(chat.world.messages_of_conversation[row.id].entries[0][1])
    chat.read(("messages",))
    assert chat.rows("SELECT state, reason FROM ops.conversation_reads") == [
        ("incomplete", "2 of 3 messages")
    ]
    chat.read(TALK)
    assert chat.rows("SELECT state FROM ops.conversation_reads") == [("proven",)]


def test_second_walk_adds_to_the_first(chat: Workplace) -> None:
    """A message with another's id leads the walk of the other page size past some that the first
    one showed: they are loaded, and the one that Dify hides is named.
    """
    row = talk(chat.world, at=NOW - timedelta(hours=5), messages=130)
    newest_first = [one for _, one in reversed(chat.world.messages_of_conversation[row.id].entries)]
    misnamed, named = newest_first[95], newest_first[99]

    def renamed(path: str, answer: Any) -> Any:
        for one in answer["data"] if path.endswith("/chat-messages") else ():
            one["id"] = named if one["id"] == misnamed else one["id"]
        return answer

    chat.transport = ChangedAnswers(httpx.WSGITransport(app=chat.server), renamed)
    chat.read(TALK)
    held = {one for (one,) in chat.rows("SELECT message_id FROM raw.messages")}
    assert set(newest_first) - held == {misnamed}
    reasons = chat.rows("SELECT DISTINCT reason FROM ops.slices WHERE feed = 'messages'")
    assert [reason for (reason,) in reasons if reason and "129 of 130 messages" in reason]


def test_logs_of_runs_with_ties_are_proven(workplace: Open) -> None:
    """Log rows of one second over several pages are all read."""
    place = workplace(quiet_world("workflow"))
    for _ in range(120):
        run(place.world, at=NOW - timedelta(days=1))
    place.read(RUNS)
    assert differences(place, ("workflow_runs", "node_executions")) == []


def listed(ask: Ask[Member], *, is_timed: bool = True) -> TimedList[Member, walks.Rows[Member]]:
    """A list of members that can be walked."""

    def key(row: Member) -> str:
        return row.account_id

    return TimedList(ask, key=key, collect=lambda: walks.Rows(key), is_timed=is_timed)


class Rows:
    """A list of members by time, that notes what it was asked."""

    def __init__(self, *times: datetime, lie: int = 0) -> None:
        self.rows: list[Member] = []
        self.lie = lie
        for at in times:
            self.add(at)
        self.asked: list[tuple[datetime, datetime]] = []

    def add(self, at: datetime) -> None:
        """One more row of this time."""
        self.rows.append(Member(id=f"m{len(self.rows)}", name="", email="", created_at=at))

    def ask(self, start: datetime, end: datetime, page: int, limit: int) -> Page[Member]:
        """One page of the rows between two instants."""
        self.asked.append((start, end))
        rows = [row for row in self.rows if row.created_at and start <= row.created_at <= end]
        shown = rows[(page - 1) * limit : page * limit]
        return Page(tuple(shown), page=page, limit=limit, total=len(rows) + self.lie)

    def list(self, *, is_timed: bool = True) -> TimedList[Member, walks.Rows[Member]]:
        """The rows as a list that can be walked."""
        return listed(self.ask, is_timed=is_timed)


def test_window_is_asked_with_a_margin_and_not_beyond_the_bound() -> None:
    """Two hours before and after the window, but never after the bound."""
    rows = Rows()
    list(rows.list().read(WINDOW, BOUND))
    list(rows.list().read(Window(NOW.date(), NOW.date(), ZONE), BOUND))
    margin = timedelta(hours=2)
    assert rows.asked == [
        (WINDOW.start - margin, WINDOW.end + margin),
        (datetime(2026, 3, 11, 22, tzinfo=ZONE), BOUND),
    ]


def test_window_after_the_bound_is_not_asked() -> None:
    """Days that have not begun cost no request."""
    rows = Rows()
    future = Window(date(2026, 3, 20), date(2026, 3, 21), ZONE)
    assert list(rows.list().read(future, BOUND)) == []
    assert rows.asked == []


def test_unproven_window_is_cut_down_to_days() -> None:
    """Each single day speaks for itself, with the reason; longer walks only bring rows."""
    rows = Rows(WINDOW.start + timedelta(hours=12), lie=1)
    reads = list(rows.list().read(WINDOW, BOUND))
    spoken = [read.window.days for read in reads if read.window]
    assert [day for days in spoken for day in days] == list(WINDOW.days)
    assert {len(days) for days in spoken} == {1}
    assert reads[-1].reason == "0 distinct rows, total 1 before and 1 after"


def test_huge_window_is_cut_before_it_is_walked() -> None:
    """Beyond the most rows of a walk only the first page is asked, then the halves."""
    times = [WINDOW.start + timedelta(hours=1)] * (MOST_ROWS + 1)
    rows = Rows(*times)
    reads = list(rows.list().read(Window(WINDOW.first, WINDOW.last, ZONE), BOUND))
    assert len(rows.asked) < 3 * MOST_ROWS / 96
    assert [read.window for read in reads][:2] == [None, None]
    assert {key for read in reads for key in read.rows.records} == {
        f"m{number}" for number in range(len(times))
    }


def test_list_without_time_filter_is_never_cut() -> None:
    """A server that ignores the time would answer the whole list for each half."""
    rows = Rows(WINDOW.start, lie=1)
    reads = list(rows.list(is_timed=False).read(WINDOW, BOUND))
    assert [read.window for read in reads] == [WINDOW]
    assert reads[0].reason is not None


def test_tail_is_asked_until_nothing_new_comes() -> None:
    """After the bound a list of several pages is asked again while new rows come, three times at
    most.
    """
    busy = Rows(*[NOW] * 200)
    before = len(busy.rows)
    whole = []

    def ask(start: datetime, end: datetime, page: int, limit: int) -> Page[Member]:
        if page == 1 and len(busy.asked) % 4 == 0:
            busy.add(NOW)
            whole.append(len(busy.rows))
        return busy.ask(start, end, page, limit)

    found = listed(ask).read_tail(BOUND, lambda: NOW)
    assert whole == [before + 1 + number for number in range(TAIL_ROUNDS)]
    assert len(found.records) == before + TAIL_ROUNDS


@pytest.mark.parametrize("rows", [0, 3, 100])
def test_tail_of_one_page_is_asked_once(rows: int) -> None:
    """One answer shows all that there is at its moment: what comes after it is the next run's."""
    calm = Rows(*[NOW] * rows)
    assert len(calm.list().read_tail(BOUND, lambda: NOW).records) == rows
    assert calm.asked == [(BOUND - timedelta(minutes=1), NOW + timedelta(minutes=2))]


def test_tail_of_one_page_that_does_not_add_up_is_asked_again() -> None:
    """A total that is not shown is a reason to ask once more."""
    rows = Rows(*[NOW] * 3, lie=1)
    assert len(rows.list().read_tail(BOUND, lambda: NOW).records) == 3
    assert len(rows.asked) == 2 * 3  # two rounds of a walk with three page sizes


@pytest.mark.parametrize("second", [0, 20, 59])
def test_bound_is_a_whole_minute_that_is_over(second: int) -> None:
    """One to two minutes before the server's time, at second 0."""
    now = datetime(2026, 3, 12, 15, 30, second, 250_000, tzinfo=ZONE)
    assert upper_bound(now) == datetime(2026, 3, 12, 15, 29, tzinfo=ZONE)
