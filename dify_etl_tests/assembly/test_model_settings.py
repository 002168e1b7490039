"""What models know of the settings: rates and their file, currencies, ages of keys."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from dify_etl.assembly.connection import rules_of
from dify_etl.assembly.currency_rates import read_rates
from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.settings import SettingWrong, load_settings
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.model_settings import CurrencyRate, ModelSettings, keep_model_settings


def file_of(folder: Path, text: str) -> Path:
    """A file of rates."""
    path = folder / "rates.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rates_are_read_oldest_first(tmp_path: Path) -> None:
    """One line is one rate; empty lines and a byte order mark do no harm."""
    path = file_of(
        tmp_path, "\ufeffday,from,to,rate\n2026-02-01, RMB ,USD,0.15\n\n2026-01-01,RMB,USD,0.14\n"
    )
    assert read_rates(path) == (
        CurrencyRate(date(2026, 1, 1), "RMB", "USD", Decimal("0.14")),
        CurrencyRate(date(2026, 2, 1), "RMB", "USD", Decimal("0.15")),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first line"),
        ("from,to,rate\n", "first line"),
        ("day,from,to,rate\nyesterday,RMB,USD,1\n", "line 2"),
        ("day,from,to,rate\n2026-01-01,RMB,USD\n", "line 2"),
        ("day,from,to,rate\n2026-01-01,RMB,USD,0\n", "line 2"),
        ("day,from,to,rate\n2026-01-01,RMB,USD,NaN\n", "line 2"),
        ("day,from,to,rate\n2026-01-01,,USD,1\n", "line 2"),
        ("day,from,to,rate\n2026-01-01,RMB,USD,1\n2026-01-01,RMB,EUR,1\n", "several currencies"),
        ("day,from,to,rate\n2026-01-01,RMB,USD,1\n2026-01-01,RMB,USD,2\n", "two rates of RMB"),
    ],
)
def test_what_is_no_rate_is_named(tmp_path: Path, text: str, says: str) -> None:
    """The error names the setting, the file, the line, and shows how a line looks."""
    path = file_of(tmp_path, text)
    with pytest.raises(SettingWrong, match=says) as caught:
        read_rates(path)
    assert "DIFY_ETL_RATES" in str(caught.value)
    assert str(path) in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(SettingWrong, match="cannot be read"):
        read_rates(tmp_path / "rates.csv")


def test_models_know_the_settings_of_now(tmp_path: Path) -> None:
    """What was told before and is not told any more is gone."""
    rate = CurrencyRate(date(2026, 1, 1), "RMB", "USD", Decimal("0.14"))
    first = ModelSettings("app", (("gpt-4o", "USD"),), (rate,), key_max_age_days=30)
    with open_database(tmp_path / "live.duckdb") as database:
        for table in OPS_TABLES:
            database.ensure(table)
        held = []
        for settings in (first, ModelSettings()):
            with database.transaction():
                keep_model_settings(database, settings)
            held.append(
                [
                    database.rows(f"SELECT * FROM ops.{name}")
                    for name in ("model_settings", "model_currencies", "currency_rates")
                ]
            )
    assert held == [
        [
            [("person", "app"), ("key_max_age_days", "30")],
            [("gpt-4o", "USD")],
            [(date(2026, 1, 1), "RMB", "USD", Decimal("0.14"))],
        ],
        [[("person", "workspace"), ("key_max_age_days", "90")], [], []],
    ]


@pytest.mark.parametrize(
    ("policy", "days"),
    [("[defaults]\nmax_age_days = 30\n", 30), ("", 90), (None, 90), ("no TOML", None)],
)
def test_the_policy_says_how_old_keys_may_become(
    tmp_path: Path, policy: str | None, days: int | None
) -> None:
    """A night reads without a policy too, and with a wrong one, of which nothing is known."""
    path = tmp_path / "rotation.toml"
    if policy is not None:
        path.write_text(policy, encoding="utf-8")
    settings = load_settings(DIFY_ETL_ROTATION_POLICY=path)
    assert rules_of(settings).models.key_max_age_days == days
