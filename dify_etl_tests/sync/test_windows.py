"""Local days as instants, also where a day has 23 or 25 hours or no midnight; whose turn it is."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.windows import Window, asked_window, deep_days, windows_of
from dify_etl.time_zones import ONE_DAY, day_start, local_date, zone_of

UTC_ZONE = zone_of("UTC")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Beirut"]
ZONES += ["Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
days = st.dates(date(2005, 1, 1), date(2030, 12, 31))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),
        ("Asia/Beirut", date(2024, 3, 31), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_day_has_the_hours_that_its_zone_gives_it(zone: str, day: date, hours: float) -> None:
    """Clocks put forward or back make days of 23, 24.5 and 25 hours."""
    window = Window(day, day, zone_of(zone))
    assert window.end - window.start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Asia/Beirut", date(2024, 3, 31), datetime(2024, 3, 30, 22, tzinfo=UTC)),
    ],
)
def test_day_without_midnight_begins_when_the_clocks_jump(
    zone: str, day: date, start: datetime
) -> None:
    """Where 00:00 does not exist, the day begins at the instant of the jump."""
    assert day_start(day, zone_of(zone)) == start
    assert local_date(start, zone_of(zone)) == day
    assert local_date(start - timedelta(seconds=1), zone_of(zone)) == day - ONE_DAY


@given(day=days, zone=st.sampled_from(ZONES))
def test_days_follow_one_another_without_a_gap(day: date, zone: str) -> None:
    """The end of a day is the start of the next, in every zone on every day."""
    here = zone_of(zone)
    assert Window(day, day, here).end == day_start(day + ONE_DAY, here)


@given(
    instant=st.datetimes(datetime(2005, 1, 1), datetime(2030, 12, 31)), zone=st.sampled_from(ZONES)
)
def test_every_instant_lies_in_its_local_day(instant: datetime, zone: str) -> None:
    """The window of an instant's local day contains it."""
    at, here = instant.replace(tzinfo=UTC), zone_of(zone)
    day = local_date(at, here)
    window = Window(day, day, here)
    assert window.start <= at < window.end


@given(first=days, length=st.integers(0, 400))
def test_halves_are_the_window_cut_in_two(first: date, length: int) -> None:
    """Both halves together have all days once, and neither is empty; one day stays whole."""
    window = Window(first, first + timedelta(days=length), UTC_ZONE)
    halves = window.halves()
    assert tuple(day for half in halves for day in half.days) == window.days
    assert len(halves) == (1 if length == 0 else 2)


@given(found=st.sets(st.integers(0, 60), max_size=30))
def test_windows_of_days_have_no_gaps_and_are_as_few_as_can_be(found: set[int]) -> None:
    """Days become windows with exactly these days, oldest first, at least a day apart."""
    wanted = [date(2026, 1, 1) + timedelta(days=number) for number in found]
    windows = list(windows_of(wanted, UTC_ZONE))
    assert [day for window in windows for day in window.days] == sorted(wanted)
    assert all(later.first - earlier.last > ONE_DAY for earlier, later in pairwise(windows))


@given(
    start=days,
    history=st.integers(1, 1500),
    cycle=st.integers(1, 60),
    lookback=st.integers(0, 14),
)
def test_deep_read_covers_all_history_in_a_cycle(
    start: date, history: int, cycle: int, lookback: int
) -> None:
    """However history grows meanwhile, every day that was history at first has its turn."""
    today = start + timedelta(days=history + lookback)
    covered: set[date] = set()
    for night in range(cycle):
        now = today + timedelta(days=night)
        covered |= set(deep_days(start, now - timedelta(days=lookback), now, cycle))
    assert covered >= {start + timedelta(days=number) for number in range(history)}


@given(history=st.integers(0, 3000), cycle=st.integers(1, 60), today=days)
def test_deep_read_is_about_a_cycles_part_of_history(history: int, cycle: int, today: date) -> None:
    """One night lists one part of the history and an overlap of a day on both sides, no more."""
    start = date(2001, 1, 1)
    chosen = deep_days(start, start + timedelta(days=history), today, cycle)
    assert len(chosen) <= history // cycle + 3
    assert list(chosen) == sorted(set(chosen))
    assert all(start <= day < start + timedelta(days=history) for day in chosen)


@pytest.mark.parametrize("cycle", [0, -1])
def test_deep_read_can_be_switched_off(cycle: int) -> None:
    """Without a cycle no day of history is listed again."""
    assert deep_days(date(2026, 1, 1), date(2026, 3, 1), date(2026, 3, 8), cycle) == ()


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (date(2026, 3, 5), date(2026, 3, 4), "before the start"),
        (date(2026, 3, 5), date(2026, 3, 13), "in the future"),
    ],
)
def test_wrong_window_is_refused(first: date, last: date, told: str) -> None:
    """A reversed or future window is refused, with both days or with today."""
    with pytest.raises(WindowWrong, match=told):
        asked_window(first, last, today=date(2026, 3, 12), zone=UTC_ZONE)


def test_asked_window_has_both_days() -> None:
    """Both ends are included, today too."""
    window = asked_window(
        date(2026, 3, 11), date(2026, 3, 12), today=date(2026, 3, 12), zone=UTC_ZONE
    )
    assert window.days == (date(2026, 3, 11), date(2026, 3, 12))
