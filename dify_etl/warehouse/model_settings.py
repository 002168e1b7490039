"""What the models need to know of the settings, as small tables of ops that they read."""

from dify_etl.warehouse.tables import Column, Table

MODEL_SETTINGS = Table(
    "ops",
    "model_settings",
    "One row per setting that the models read, as it was when they were built.",
    ("setting",),
    (
        Column("setting", "VARCHAR", "The setting: person (DIFY_ETL_PERSON)."),
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
