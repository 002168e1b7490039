"""Zones come from the tzdata package, under all of their names."""

from datetime import date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from dify_etl.time_zones import day_start, is_same_zone, offsets_of_year, zone_names, zone_of


def test_rules_are_those_of_the_package() -> None:
    """Whatever the system has: in the package Vancouver keeps its summer time from 2026 on."""
    with files("tzdata").joinpath("zoneinfo", "America", "Vancouver").open("rb") as held:
        package = ZoneInfo.from_file(held)
    at = datetime(2026, 11, 20, 12)
    assert zone_of("America/Vancouver").utcoffset(at) == package.utcoffset(at)


@pytest.mark.parametrize("name", ["", "Europe/Atlantis", "../zones", "/etc/localtime", "Europe"])
def test_name_without_a_zone_is_refused(name: str) -> None:
    """What tzdata does not list is no zone, and never a path."""
    with pytest.raises(ZoneInfoNotFoundError):
        zone_of(name)


def test_every_zone_can_be_made() -> None:
    """All names of the package lead to rules."""
    assert len(zone_names()) > 590
    assert all(zone_of(name).key == name for name in zone_names())


@pytest.mark.parametrize(
    ("name", "other", "is_same"),
    [
        ("Asia/Calcutta", "Asia/Kolkata", True),
        ("UTC", "Etc/UTC", True),
        ("Asia/Kolkata", "Asia/Tokyo", False),
        ("Europe/Berlin", None, False),
        (None, None, True),
        ("Europe/Atlantis", "Europe/Berlin", False),
    ],
)
def test_alias_is_the_same_zone(name: str | None, other: str | None, *, is_same: bool) -> None:
    """Two names with the same rules have the same days."""
    assert is_same_zone(name, other) is is_same


def test_day_of_two_midnights_begins_with_the_first() -> None:
    """In the Azores 00:00 comes twice when summer time ends: the day has 25 hours."""
    zone = zone_of("Atlantic/Azores")
    length = day_start(date(2025, 10, 27), zone) - day_start(date(2025, 10, 26), zone)
    assert length == timedelta(hours=25)


def test_day_that_was_left_out_has_no_hour() -> None:
    """Samoa had no 30 December 2011: it ends where it begins."""
    zone = zone_of("Pacific/Apia")
    assert day_start(date(2011, 12, 30), zone) == day_start(date(2011, 12, 31), zone)


def test_offsets_of_a_year_are_its_changes() -> None:
    """Berlin: winter time, summer time from 01:00 UTC on 29 March, winter time from 25 October."""
    hour = timedelta(hours=1)
    assert offsets_of_year(zone_of("Europe/Berlin"), 2026) == (
        (datetime(2026, 1, 1), hour),
        (datetime(2026, 3, 29, 1), 2 * hour),
        (datetime(2026, 10, 25, 1), hour),
    )
