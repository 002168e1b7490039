"""What the models need to know of the settings, as small tables of ops that they read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import Column, Table, frame

MODEL_SETTINGS = Table(
    "ops",
    "model_settings",
    "One row per setting that the models read, as it was when they were built.",
    ("setting",),
    (
        Column(
            "setting",
            "VARCHAR",
            "The setting: person (DIFY_ETL_PERSON); key_max_age_days (the defaults of the policy "
            "of key rotation; null: that is wrong).",
        ),
        Column("value", "VARCHAR", "Its value."),
    ),
    keeps_history=False,
)

MODEL_CURRENCIES = Table(
    "ops",
    "model_currencies",
    "One row per model or provider whose currency was told: DIFY_ETL_CURRENCIES.",
    ("model",),
    (
        Column("model", "VARCHAR", "Name of a model, or of a provider."),
        Column("currency", "VARCHAR", "The currency in which it is charged, as RMB."),
    ),
    keeps_history=False,
)

CURRENCY_RATES = Table(
    "ops",
    "currency_rates",
    "One row per rate of DIFY_ETL_RATES: it counts from its day to the next one that is told.",
    ("rate_date", "from_currency", "to_currency"),
    (
        Column("rate_date", "DATE", "The first local day on which it counts."),
        Column("from_currency", "VARCHAR", "The currency that is converted, as RMB."),
        Column("to_currency", "VARCHAR", "The currency into which, as USD."),
        Column("rate", "DECIMAL(28, 10)", "What one of the first is in the second."),
    ),
    keeps_history=False,
)


@dataclass(frozen=True)
class CurrencyRate:
    """From this local day on one of `from_currency` is `rate` of `to_currency`."""

    rate_date: date
    from_currency: str
    to_currency: str
    rate: Decimal


@dataclass(frozen=True)
class ModelSettings:
    """`person`: workspace or app, within which equal names are one person. `currencies`: in which
    one a model, or all of a provider, is charged. `key_max_age_days`: how old API keys may become;
    None: not known. `own_sql`: the folder of models of one's own.
    """

    person: str = "workspace"
    currencies: tuple[tuple[str, str], ...] = ()
    rates: tuple[CurrencyRate, ...] = ()
    key_max_age_days: int | None = 90
    own_sql: Path | None = None


def keep_model_settings(database: Database, settings: ModelSettings) -> None:
    """Put the settings into the place of those of before; call it inside a transaction."""
    currencies = [{"model": name, "currency": code} for name, code in settings.currencies]
    rates = [vars(rate) for rate in settings.rates]
    age = settings.key_max_age_days
    values = {
        "person": settings.person,
        "key_max_age_days": None if age is None else str(age),
    }
    rows = [{"setting": name, "value": value} for name, value in values.items()]
    _replace(database, MODEL_SETTINGS, rows)
    _replace(database, MODEL_CURRENCIES, currencies)
    _replace(database, CURRENCY_RATES, rates)


def _replace(database: Database, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    database.execute(f"DELETE FROM {table.qualified}")
    held = frame(table, rows)
    if held.height:
        database.stage("_model_settings", held, table)
        database.execute(f"INSERT INTO {table.qualified} BY NAME FROM _model_settings")
