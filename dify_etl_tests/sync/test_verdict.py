"""The verdict is over the ledger: a hole is red until filled, accepted, or its object gone."""

from collections.abc import Sequence
from datetime import date, timedelta

import httpx
import pytest

from dify_etl.errors import ActionableError
from dify_etl.sync.accepting import SliceName, accept, find_bad
from dify_etl.sync.days import nights_until_next
from dify_etl.sync.verdict import Verdict, judge
from dify_etl_tests.sync.answers_changed import ChangedAnswers, rows_changed
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace

MANY_NIGHTS = 8  # the last tries are a week apart: the next one is that of the seventh night after


def refuse(place: Workplace, part: str, status: int) -> None:
    """Let the server answer so to every path with this part."""
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(inner, refuse=lambda path: status if part in path else None)


def verdict_of(place: Workplace) -> Verdict:
    """What the ledger says now."""
    with place.opened() as sync:
        return judge(sync.database)


def hole(place: Workplace) -> None:
    """A chat app of which one night could not read anything."""
    talk(place.world, at=NOW - timedelta(days=1))
    refuse(place, "chat-conversations", 403)
    place.read(TALK)
    place.transport = None


@pytest.mark.parametrize(
    ("route", "status", "mode", "feeds", "tables"),
    [
        ("chat-conversations", 403, "chat", TALK, ("conversations", "messages")),
        (
            *("statistics/daily-messages", 500, "chat"),
            *(("apps", "daily_statistics"), ("daily_statistics",)),
        ),
        ("/workflow-runs/", 500, "workflow", RUNS, ("workflow_runs",)),
    ],
    ids=["talks", "figures", "runs"],
)
def test_nothing_is_given_up_however_long_it_failed(
    workplace: Open,
    route: str,
    status: int,
    mode: str,
    feeds: Sequence[str],
    tables: tuple[str, ...],
) -> None:
    """After many bad nights, beyond the look-back, an app that answers again lacks nothing at once,
    and a single thing that failed nothing within a week.
    """
    place = workplace(quiet_world(mode)).with_rules(lookback_days=2)
    refuse(place, route, status)
    for _ in range(MANY_NIGHTS):
        at = place.world.now() - timedelta(hours=2)
        run(place.world, at=at) if mode == "workflow" else talk(place.world, at=at, messages=1)
        place.read(feeds)
        place.pass_time(days=1)
    assert not verdict_of(place).is_good
    place.transport = None
    for _ in range(1 if route == "chat-conversations" else 7):  # growing gaps between single tries
        place.read(feeds)
        place.pass_time(days=1)

    assert verdict_of(place).bad == []
    assert differences(place, tables) == []


def test_gaps_between_tries_grow_to_a_week() -> None:
    """1, 2, 4 and from then on 7 nights, for ever."""
    assert [nights_until_next(tries) for tries in (0, 1, 2, 3, 4, 5, 99)] == [0, 1, 2, 4, 7, 7, 7]


def test_run_that_did_not_look_is_not_good(chat: Workplace) -> None:
    """A later run of another feed tells the hole of the night, and since when it is there."""
    hole(chat)
    chat.pass_time(days=3)
    chat.read(("members",))
    (conversations, messages) = sorted(verdict_of(chat).bad)
    assert (conversations.feed, conversations.state) == ("conversations", "failed")
    assert conversations.since == NOW.date().isoformat()
    assert messages.state == "incomplete"


def test_doubt_dies_with_its_object(workplace: Open) -> None:
    """Runs whose nodes could not be read, and that Dify purged since, make no later night red."""
    place = workplace(quiet_world("workflow"))
    purged = run(place.world, at=NOW - timedelta(days=1))
    run(place.world, at=NOW - timedelta(days=1, hours=1))
    refuse(place, f"{purged}/node-executions", 500)
    place.read(RUNS)
    assert not verdict_of(place).is_good
    place.transport = None
    place.world.take_run(purged)
    place.pass_time(days=1)
    place.read(RUNS)
    assert verdict_of(place).bad == []


def test_deleted_app_leaves_no_red_slice(chat: Workplace) -> None:
    """What failed of an app that is gone by now is lost, and nobody waits for it."""
    hole(chat)
    chat.world.delete_app(app_of(chat.world).id)
    chat.read(TALK)
    assert verdict_of(chat).is_good


@pytest.mark.parametrize("route", ["chat-messages", "chat-conversations"])
def test_deleted_app_leaves_nothing_in_quarantine(chat: Workplace, route: str) -> None:
    """Objects of an app that is gone by now wait for nobody: the next good night is good."""
    talk(chat.world, at=NOW - timedelta(days=1), messages=2)
    inner = httpx.WSGITransport(app=chat.server)
    chat.transport = ChangedAnswers(
        inner, rows_changed(route, lambda at, row: {**row, "created_at": "yesterday"})
    )
    chat.read(TALK)
    assert verdict_of(chat).waiting > 0
    chat.transport = None
    chat.world.delete_app(app_of(chat.world).id)
    chat.read(TALK)
    assert verdict_of(chat).is_good


def test_quarantine_is_no_good_night(chat: Workplace) -> None:
    """An object that waits makes the verdict red, and a later good read of it makes it good."""
    talk(chat.world, at=NOW - timedelta(minutes=9), messages=2)

    def spoil(position: int, row: dict[str, object]) -> dict[str, object]:
        return {**row, "created_at": "yesterday"} if position == 0 else row

    inner = httpx.WSGITransport(app=chat.server)
    chat.transport = ChangedAnswers(inner, rows_changed("chat-messages", spoil))
    chat.read(TALK)
    assert (verdict_of(chat).waiting, verdict_of(chat).is_good) == (1, False)
    chat.transport = None
    chat.read(TALK)
    assert verdict_of(chat).is_good


@pytest.mark.parametrize(
    ("odd", "waiting"), [({"name": 7}, (0, 1)), ({"updated_at": "yesterday"}, (1, 0))]
)
def test_only_an_odd_figure_is_no_good_night(
    chat: Workplace, odd: dict[str, object], waiting: tuple[int, int]
) -> None:
    """A name that is a number waits and leaves its slice proven, so the night is good; a time that
    is none does not.
    """
    talk(chat.world, at=NOW - timedelta(minutes=9))
    inner = httpx.WSGITransport(app=chat.server)
    spoiled = rows_changed("chat-conversations", lambda at, row: {**row, **odd})
    chat.transport = ChangedAnswers(inner, spoiled)
    chat.read(TALK)
    verdict = verdict_of(chat)
    assert (verdict.waiting, verdict.odd) == waiting
    assert verdict.is_good == (waiting[0] == 0)


def accept_all(place: Workplace, *names: str, until: date | None = None) -> None:
    """Accept what these names mean."""
    with place.opened() as sync, sync.database.transaction():
        rows = find_bad(sync.database, names)
        accept(sync.database, rows, why="lost", until=until, by="ann", now=sync.now)


def test_accepted_hole_is_no_more_in_the_verdict(chat: Workplace) -> None:
    """It stays in the ledger and is listed with its reason."""
    hole(chat)
    accept_all(chat, "conversations:the chat app", "messages")
    verdict = verdict_of(chat)
    assert verdict.is_good
    assert {one.why for one in verdict.accepted} == {"lost"}
    assert chat.value("SELECT count(*) FROM ops.slices WHERE state = 'failed'") > 0


def test_changed_slice_ends_its_acceptance(chat: Workplace) -> None:
    """Another failure, or a last day that is over, is no more what somebody accepted."""
    hole(chat)
    accept_all(chat, "conversations", "messages")
    refuse(chat, "chat-conversations", 500)
    chat.read(TALK)
    assert {one.feed for one in verdict_of(chat).bad} == {"conversations", "messages"}


def test_acceptance_ends_with_its_last_day(chat: Workplace) -> None:
    """`--until` yesterday accepts nothing today."""
    hole(chat)
    accept_all(chat, "conversations", "messages", until=date(2020, 1, 1))
    assert not verdict_of(chat).is_good


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("members", SliceName("members")),
        ("messages:Bot: a", SliceName("messages", "Bot: a")),
        ("messages:Bot:2026-01-31", SliceName("messages", "Bot", *[date(2026, 1, 31)] * 2)),
        (
            "messages:Bot:2026-01-01..2026-01-31",
            SliceName("messages", "Bot", date(2026, 1, 1), date(2026, 1, 31)),
        ),
    ],
)
def test_names_of_slices(text: str, name: SliceName) -> None:
    """As the table of the sync shows them; an app's name may hold a colon."""
    assert SliceName.of(text) == name


def test_name_of_two_apps_accepts_neither(workplace: Open) -> None:
    """Both ids are named, and either accepts its own app alone."""
    place = workplace(quiet_world("chat", "agent-chat"))
    apps = [app_of(place.world, mode) for mode in ("chat", "agent-chat")]
    for app in apps:
        app.name = "the same"
    refuse(place, "chat-conversations", 403)
    place.read(TALK)
    with place.opened() as sync:
        with pytest.raises(ActionableError) as caught:
            find_bad(sync.database, ["conversations:the same"])
        assert all(app.id in str(caught.value) for app in apps)
        found = find_bad(sync.database, [f"conversations:{apps[0].id}"])
    assert {row.app_id for row in found} == {apps[0].id}


@pytest.mark.parametrize("text", ["members", "", "messages:Bot:2026-13-45", "no such feed"])
def test_nothing_to_accept_is_said(chat: Workplace, text: str) -> None:
    """A name that means no hole is refused with how names are written."""
    chat.read(("members",))
    with chat.opened() as sync, pytest.raises(ActionableError, match="cannot be accepted"):
        find_bad(sync.database, [text])
