"""The file of DIFY_ETL_RATES: a CSV with the columns day, from, to, rate."""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from dify_etl.settings import SettingWrong
from dify_etl.warehouse.model_settings import CurrencyRate

COLUMNS = ["day", "from", "to", "rate"]
_LARGEST = Decimal(10) ** 8  # what DECIMAL(18, 10) holds


def read_rates(path: Path) -> tuple[CurrencyRate, ...]:
    """The rates of a file, oldest first. All convert into one currency.

    SettingWrong names the line that is no rate.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rates = sorted(_rates(file, path), key=lambda one: (one.rate_date, one.from_currency))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise _wrong(path, f"it cannot be read: {reason}") from None
    targets = {rate.to_currency for rate in rates}
    if len(targets) > 1:
        raise _wrong(path, f"it converts into several currencies: {', '.join(sorted(targets))}")
    keys = [(rate.rate_date, rate.from_currency) for rate in rates]
    if doubled := [key for key in keys if keys.count(key) > 1]:
        raise _wrong(path, f"it tells two rates of {doubled[0][1]} for {doubled[0][0]}")
    return tuple(rates)


def _rates(file: Iterator[str], path: Path) -> Iterator[CurrencyRate]:
    rows = csv.reader(file)
    if [name.strip().lower() for name in next(rows, [])] != COLUMNS:
        raise _wrong(path, "its first line is not day,from,to,rate")
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            day, source, target, rate = (cell.strip() for cell in row)
            told = CurrencyRate(date.fromisoformat(day), source, target, Decimal(rate))
        except (ValueError, InvalidOperation):
            raise _wrong(path, f"line {rows.line_num} is no day, from, to, rate") from None
        if not (source and target and told.rate.is_finite() and 0 < told.rate < _LARGEST):
            raise _wrong(path, f"line {rows.line_num} tells no rate")
        yield told


def _wrong(path: Path, what: str) -> SettingWrong:
    return SettingWrong(
        f"DIFY_ETL_RATES is wrong: {what}",
        where=str(path.absolute()),
        hint="It is a CSV: day,from,to,rate and then lines such as 2026-01-31,RMB,USD,0.14",
    )
