"""Each list has its own rule for the end of a window, in the zone of the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World
from dify_simulated.server.errors import ApiError
from dify_simulated.server.time_windows import EndRule, read_window
from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import App

NOON = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
NEW = ServerVersion("1.12.1")


def total(reader: httpx.Client, path: str, **query: str) -> int:
    """How many rows a list counts."""
    answer = reader.get(path, params=query)
    answer.raise_for_status()
    return int(answer.json()["total"])


def test_chat_lists_cover_the_whole_last_minute(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """start == end returns that minute, its 59th second included."""
    world.add_conversation(chat.id, at=NOON + timedelta(seconds=59))
    world.add_conversation(chat.id, at=NOON + timedelta(seconds=60))
    noon = "2026-11-19 12:00"

    found = total(
        reader, f"/apps/{chat.id}/chat-conversations", sort_by="created_at", start=noon, end=noon
    )

    assert found == 1


def test_the_filtered_column_follows_the_sort(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """The same window finds a conversation by its update but not by its creation."""
    row = world.add_conversation(chat.id, at=NOON - timedelta(days=30))
    world.rename_conversation(row.id, "again", at=NOON)
    path, day = f"/apps/{chat.id}/chat-conversations", {"start": "2026-11-19 00:00"}

    by_column = [total(reader, path, sort_by=sort, **day) for sort in ("-updated_at", "created_at")]

    assert by_column == [1, 0]


def test_a_moment_between_two_minutes_is_in_no_window(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """updated_at has microseconds, so 12:00:59.5 is after …12:00 and before 12:01."""
    row = world.add_conversation(chat.id, at=NOON)
    world.rename_conversation(row.id, "between", at=NOON + timedelta(seconds=59.5))
    path = f"/apps/{chat.id}/chat-conversations"

    until, since = (
        total(reader, path, end="2026-11-19 12:00"),
        total(reader, path, start="2026-11-19 12:01"),
    )

    assert (until, since) == (0, 0)


def test_completion_lists_leave_out_second_59(world: World, reader: httpx.Client) -> None:
    """A completion at …:59 is in neither of two windows that meet."""
    app = next(app for app in world.apps.values() if app.mode == "completion")
    path = f"/apps/{app.id}/completion-conversations"
    before = total(reader, path, start="2026-11-19 12:00", end="2026-11-19 12:00")
    world.add_conversation(app.id, at=NOON + timedelta(seconds=59))

    assert total(reader, path, start="2026-11-19 12:00", end="2026-11-19 12:00") == before


def test_statistics_leave_out_the_last_minute(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """The end of a statistic is exclusive at second 0: 23:59 loses the last minute of the day."""
    conversation = world.add_conversation(chat.id, at=NOON)
    for minute in (0, 1):
        world.add_message(conversation.id, at=NOON + timedelta(minutes=minute))
    query = {"start": "2026-11-19 12:00", "end": "2026-11-19 12:01"}

    data = reader.get(f"/apps/{chat.id}/statistics/daily-messages", params=query).json()["data"]

    assert data == [{"date": "2026-11-19", "message_count": 1}]


def test_log_times_are_utc_and_inclusive(world: World, reader: httpx.Client) -> None:
    """workflow-app-logs takes ISO instants; without an offset they are UTC, not the account's."""
    world.account.timezone = "Asia/Shanghai"
    app = next(app for app in world.apps.values() if app.mode == "workflow")
    world.start_run(app.id, at=NOON - timedelta(days=300))
    at = (NOON - timedelta(days=300)).strftime("%Y-%m-%dT%H:%M:%S")

    found = total(
        reader,
        f"/apps/{app.id}/workflow-app-logs",
        created_at__after=at,
        created_at__before=f"{at}Z",
    )

    assert found == 1


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2026-11-01 01:30", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        ("2026-03-08 02:30", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        ("2026-07-01 12:00", datetime(2026, 7, 1, 16, 0, tzinfo=UTC)),
    ],
)
def test_clock_changes_mean_standard_time(wall: str, utc: datetime) -> None:
    """Of two hours named alike the second is meant; an hour that is left out is one later."""
    window = read_window(
        wall, None, zone="America/New_York", rule=EndRule.SECOND_0_EXCLUDED, version=NEW
    )

    assert window.start == utc


@pytest.mark.parametrize(("version", "refused"), [("1.7.2", False), ("1.12.1", True)])
def test_start_after_end(world: World, chat: App, version: str, refused: bool) -> None:
    """Refused from 1.10 on, an empty list before."""
    reader = signed_in(SimulatedDify(world, version))
    query = {"start": "2026-11-12 00:00", "end": "2026-11-10 00:00"}

    answer = reader.get(f"/apps/{chat.id}/chat-conversations", params=query)

    assert answer.status_code == (400 if refused else 200)


@pytest.mark.parametrize("raw", ["2026-11-10", "2026-11-10 00:00:00", "2026-11-10T00:00", "now"])
def test_other_formats_are_refused(raw: str) -> None:
    """Only minutes with a space between date and time are understood."""
    with pytest.raises(ApiError) as caught:
        read_window(raw, None, zone="UTC", rule=EndRule.SECOND_0_EXCLUDED, version=NEW)

    assert caught.value.body["code"] == "bad_request"


def test_the_clock_of_the_world_is_on_every_answer(reader: httpx.Client) -> None:
    """Date and X-Version are there on refusals and on HTML too."""
    answer = reader.get("/no/such/route")

    assert answer.headers["X-Version"] == "1.12.1"
    assert answer.headers["Date"] == NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")
