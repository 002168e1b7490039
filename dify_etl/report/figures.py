"""The figures of a report, asked of the published copy by the files in `queries/`."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from dify_etl.control_codes import harmless
from dify_etl.report.columns import by_columns, exact
from dify_etl.warehouse.errors import NothingPublished
from dify_etl.warehouse.published_copy import opened_copy

# Local days that a report holds at most, the newest ones; fewer where they have too many rows.
MOST_DAYS = (400, 200, 100, 50, 25, 12)
MOST_DAILY_ROWS = 250_000  # about 8 MB
# Of lists: rows, characters of a text, and nodes by time and by failures.
BOUNDS = {"most_rows": 200, "text_length": 400, "most_nodes": 60}
# Pairs of person and day beyond which people are counted by day alone.
MOST_ACTIVITIES = 100_000
OF_PEOPLE = ("activity", "people", "costs_of_people")

Figures = dict[str, Any]


def read_figures(copy: Path) -> Figures:
    """`{"about": {…}, "tables": {query: columns, or {"missing": why}}}`; see `by_columns`.

    Local days are those of the workspace, money is decimal text, a table that the copy lacks says
    why. NothingPublished: no run has published the copy; WarehouseError: it cannot be opened.
    """
    with opened_copy(copy) as connection:
        about = _about(connection, copy)
        last_day = date.fromisoformat(about["last_day"])
        begin = _first_read_day(connection)
        tables: dict[str, Any] = {}
        for days in MOST_DAYS:
            first_day = max(begin, last_day - timedelta(days=days - 1))
            tables = dict(_answers(connection, first_day, last_day))
            if _daily_rows(tables) <= MOST_DAILY_ROWS:
                break
        about["first_day"] = first_day.isoformat()
        return {"about": about, "tables": _with_bounded_people(tables)}


def _about(connection: duckdb.DuckDBPyConnection, copy: Path) -> dict[str, Any]:
    """Where the figures come from: workspace, server, zone, when they were published."""
    try:
        asked = connection.execute(
            """SELECT published_at, through_date AS last_day, workspace_name, workspace_id,
            server_origin, server_version, timezone FROM ops.published LEFT JOIN ops.source ON true
            ORDER BY published_at DESC LIMIT 1"""
        )
        names = [one[0] for one in asked.description or ()]
        row = asked.fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise NothingPublished(
            "no run has published this copy", where=str(copy), hint="Run `dify-etl sync` first."
        )
    return {name: exact(value) for name, value in zip(names, row, strict=True)}


def _first_read_day(connection: duckdb.DuckDBPyConnection) -> date:
    """The first local day that was read: of days before it a message is known by chance alone."""
    found = connection.execute("SELECT min(slice_date) FROM ops.slices").fetchone()
    day = found[0] if found else None
    return day if isinstance(day, date) else date.min


def _answers(
    connection: duckdb.DuckDBPyConnection, first_day: date, last_day: date
) -> Iterator[tuple[str, dict[str, Any]]]:
    given = {"first_day": first_day, "last_day": last_day, **BOUNDS}
    for name, sql in queries("queries/read_once").items():
        with suppress(duckdb.Error):  # whoever asks for it says why it is missing
            made = f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}"  # nosec B608 # our own files
            connection.execute(made, _named(given, sql))
    for name, sql in queries("queries").items():
        try:
            asked = connection.execute(sql, _named(given, sql))
            names = [one[0] for one in asked.description or ()]
            yield name, by_columns(names, asked.fetchall())
        except duckdb.Error as error:  # a model that was never built, or a copy of an older release
            yield name, {"missing": harmless(str(error).strip().splitlines()[0])}


def _named(given: dict[str, Any], sql: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if f"${name}" in sql}


@cache
def queries(folder_name: str) -> dict[str, str]:
    """The SQL of a folder of this package, by the names of its files."""
    folder = files("dify_etl.report") / folder_name
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return {
        one.name.removesuffix(".sql"): one.read_text("utf-8")
        for one in found
        if one.name.endswith(".sql")
    }


def _daily_rows(tables: dict[str, Any]) -> int:
    rows = (int(one.get("rows", 0)) for name, one in tables.items() if name not in OF_PEOPLE)
    return max(rows)


def _with_bounded_people(tables: dict[str, Any]) -> dict[str, Any]:
    """Of too many people there are figures by day alone: a sum of days would count them again."""
    rows = tables["activity"].get("rows", 0)
    if rows <= MOST_ACTIVITIES:
        return tables
    return tables | {name: {"bounded": rows} for name in OF_PEOPLE}
