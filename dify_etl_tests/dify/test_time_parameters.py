"""Instants reach Dify in the account's zone, and no window loses a minute, also in autumn."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dify_etl.dify.time_parameters import (
    end_minute,
    exact_minute,
    start_minute,
    utc_after,
    utc_before,
)
from dify_etl.time_zones import zone_of

SHANGHAI = zone_of("Asia/Shanghai")
BERLIN = zone_of("Europe/Berlin")
LORD_HOWE = zone_of("Australia/Lord_Howe")  # clocks move by half an hour


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_start_is_floored_and_end_is_ceiled() -> None:
    """A window is widened to whole minutes."""
    at = utc("2026-11-10 16:30:29")

    assert start_minute(at, SHANGHAI) == "2026-11-11 00:30"
    assert end_minute(at, SHANGHAI) == "2026-11-11 00:31"


def test_whole_minutes_stay() -> None:
    """A bound on a minute is sent as it is."""
    at = utc("2026-11-10 16:00")

    assert start_minute(at, SHANGHAI) == end_minute(at, SHANGHAI) == "2026-11-11 00:00"


@pytest.mark.parametrize("hour", [0, 1])
def test_doubled_hour_is_widened(hour: int) -> None:
    """Dify takes 02:30 for the second one: bounds move out of the doubled hour."""
    at = utc(f"2026-10-25 0{hour}:30")  # 02:30 in Berlin, twice

    assert start_minute(at, BERLIN) == "2026-10-25 01:30"
    assert end_minute(at, BERLIN) == "2026-10-25 03:30"


def test_statistics_bounds_are_exact() -> None:
    """Days of statistics are asked for by their midnights, never widened."""
    assert exact_minute(utc("2026-11-10 16:00"), SHANGHAI) == "2026-11-11 00:00"


def test_logs_are_asked_for_in_utc_seconds() -> None:
    """Bounds of app logs carry a Z, floored and ceiled to the second."""
    at = datetime(2026, 11, 11, 0, 30, 29, 5, tzinfo=SHANGHAI)

    assert utc_after(at) == "2026-11-10T16:30:29Z"
    assert utc_before(at) == "2026-11-10T16:30:30Z"


def test_no_bound_stays_none() -> None:
    """An open end is not sent."""
    assert start_minute(None, BERLIN) is end_minute(None, BERLIN) is utc_after(None) is None


@given(
    at=some.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
        lambda at: at.replace(tzinfo=UTC)
    ),
    zone=some.sampled_from([BERLIN, SHANGHAI, LORD_HOWE, zone_of("America/New_York")]),
    fold=some.sampled_from([0, 1]),
)
def test_window_always_covers_what_was_asked(at: datetime, zone: ZoneInfo, fold: int) -> None:
    """Whichever of two equal wall times the server means, the instant is inside."""
    start, end = start_minute(at, zone), end_minute(at, zone)

    assert _as_server_reads(start, zone, fold) <= at
    assert _as_server_reads(end, zone, fold) + timedelta(seconds=59) >= at


def _as_server_reads(text: str | None, zone: ZoneInfo, fold: int) -> datetime:
    naive = datetime.strptime(text or "", "%Y-%m-%d %H:%M")
    return naive.replace(tzinfo=zone, fold=fold).astimezone(UTC)
