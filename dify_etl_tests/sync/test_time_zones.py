"""Days of any zone are read whole, also when the clocks change or midnight does not exist."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from dify_etl.sync.windows import Window
from dify_etl.time_zones import zone_of
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, run, talk
from dify_etl_tests.sync.workplace import Workplace

FEEDS = ("apps", "daily_statistics", "conversations", "messages", "workflow_runs")
TABLES = ("daily_statistics", "conversations", "messages", "workflow_runs")
CHANGES = [
    ("America/New_York", date(2026, 3, 8)),  # 23 hours
    ("America/New_York", date(2025, 11, 2)),  # 25 hours
    ("America/Sao_Paulo", date(2018, 11, 4)),  # no midnight
    ("Asia/Beirut", date(2024, 3, 31)),  # no midnight
    ("Atlantic/Azores", date(2025, 10, 26)),  # two midnights
    ("Asia/Kathmandu", date(2026, 3, 8)),  # a quarter of an hour beside the rest
]


@pytest.fixture(params=CHANGES, ids=lambda change: f"{change[0]} {change[1]}")
def busy_day(request: pytest.FixtureRequest, workplace: Open) -> tuple[Workplace, date]:
    """Something happens every 40 minutes around one local day; then three days pass."""
    name, day = request.param
    zone = zone_of(name)
    place = workplace(quiet_world("chat", "workflow", "completion", timezone=name))
    begins = datetime.combine(day, time(0), zone).astimezone(UTC)
    place.world.set_now(begins + timedelta(days=4))
    for number in range(-4, 41):
        at = begins + timedelta(minutes=40 * number, seconds=59)
        talk(place.world, at=at, messages=1)
        talk(place.world, at=at, messages=1, mode="completion")
        run(place.world, at=at)
    first = day - timedelta(days=2)
    return place.with_rules(zone=zone, start_date=first), day


def test_days_around_a_change_of_clocks_are_whole(busy_day: tuple[Workplace, date]) -> None:
    """All rows arrive, the statistics are those of the local days, and every slice is good."""
    place, _ = busy_day
    place.read(FEEDS)
    assert differences(place, TABLES) == []
    states = place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed <> 'messages'")
    assert states == [("proven",)]


def test_one_such_day_alone_is_whole(busy_day: tuple[Workplace, date]) -> None:
    """Asked alone, the day has all its rows and its own figures."""
    place, day = busy_day
    place.read_days(day, day, FEEDS)
    window = Window(day, day, place.rules.zone)
    wanted = {
        row.id
        for rows in (place.world.conversations, place.world.workflow_runs)
        for row in rows.values()
        if window.start <= row.created_at < window.end
    }
    assert wanted
    held = place.rows(
        "SELECT conversation_id FROM raw.conversations "
        "UNION SELECT workflow_run_id FROM raw.workflow_runs"
    )
    assert wanted <= {row_id for (row_id,) in held}
    lacking = differences(place, ("daily_statistics",))
    assert [line for line in lacking if f"'{day}'" in line] == []
