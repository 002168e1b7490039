"""Nights are due when DIFY_ETL_SCHEDULE says, as Dagster understands it."""

from datetime import datetime, timedelta

import dagster as dg
import pytest

from dify_etl.assembly.night_times import next_night, nights_due
from dify_etl.settings import SettingWrong, load_settings

NOW = datetime.fromisoformat("2026-11-21T08:00:00+00:00")
NIGHTS = {
    "30 1 * * *": ("2026-11-21T00:30", "2026-11-20T00:30"),
    "30 1 * * 1-5": ("2026-11-20T00:30", "2026-11-19T00:30"),
    "0 1 ? * *": ("2026-11-21T00:00", "2026-11-20T00:00"),
    "0 1 1,15 * *": ("2026-11-15T00:00", "2026-11-01T00:00"),
    "0 3 29 2 *": ("2024-02-29T02:00", "2020-02-29T02:00"),
    "@weekly": ("2026-11-14T23:00", "2026-11-07T23:00"),
    "@daily": ("2026-11-20T23:00", "2026-11-19T23:00"),
}


@pytest.mark.parametrize(("cron", "due"), NIGHTS.items())
def test_last_two_nights(cron: str, due: tuple[str, str]) -> None:
    """In the time zone of the settings, told in UTC."""
    settings = load_settings(DIFY_ETL_SCHEDULE=cron, DIFY_ETL_TIMEZONE="Europe/Berlin")
    found = nights_due(settings, NOW)
    assert (f"{found.last:%Y-%m-%dT%H:%M}", f"{found.before:%Y-%m-%dT%H:%M}") == due


@pytest.mark.parametrize(
    "cron", ["30 1 * * *", "30 2 * * *", "0 * * * *", "15 3 * * 0", "@monthly"]
)
@pytest.mark.parametrize("day", ["2026-03-29T12:00", "2026-10-25T12:00", "2026-11-21T08:00"])
def test_last_night_is_dagsters(cron: str, day: str) -> None:
    """Its schedule came at the same instant, also where the clocks change; of an hour that comes
    twice it takes the second, which six hours of grace cover.
    """
    now = datetime.fromisoformat(f"{day}:30+00:00")
    settings = load_settings(DIFY_ETL_SCHEDULE=cron, DIFY_ETL_TIMEZONE="Europe/Berlin")
    ticks = dg.TimeWindowPartitionsDefinition(
        start=now - timedelta(days=90),
        fmt="%Y-%m-%dT%H:%M:%S%z",
        timezone="Europe/Berlin",
        cron_schedule=cron,
    )
    with dg.partition_loading_context(effective_dt=now):
        window = ticks.get_last_partition_window()
    assert window is not None
    comes_twice = day.startswith("2026-10-25") and cron == "30 2 * * *"
    hours = 1 if comes_twice else 0
    assert window.end - nights_due(settings, now).last == timedelta(hours=hours)


@pytest.mark.parametrize("cron", NIGHTS)
def test_next_night_comes_after_the_last(cron: str) -> None:
    """And is the last one due once it has come."""
    settings = load_settings(DIFY_ETL_SCHEDULE=cron, DIFY_ETL_TIMEZONE="Europe/Berlin")
    coming = next_night(settings, NOW)
    assert coming > NOW
    assert nights_due(settings, coming + timedelta(minutes=1)).last == coming


def test_what_is_no_expression_is_told() -> None:
    """By the name of the setting."""
    with pytest.raises(SettingWrong, match="DIFY_ETL_SCHEDULE is wrong: '@never'"):
        next_night(load_settings(DIFY_ETL_SCHEDULE="@never"), NOW)
