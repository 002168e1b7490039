"""Dify's daily figures that our rows do not give, and that no rule explains."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from dify_etl.warehouse.database import Database

RECONCILIATION = "marts.statistics_reconciliation"


class DifferingFigure(NamedTuple):
    """One metric of an app and local day, with both figures; null where a side has none."""

    app: str  # its name
    day: date
    metric: str
    dify_figure: Decimal | None
    our_figure: Decimal | None
    reason: str
    command: str  # what reads the app again
    app_id: str = ""

    @property
    def figures(self) -> str:
        """Both, as text."""
        return f"Dify tells {_shown(self.dify_figure)}, our rows give {_shown(self.our_figure)}"


def differing_figures(database: Database) -> list[DifferingFigure]:
    """What the reconciliation says to differ, newest days first; nothing while it was never built.

    A table that an earlier version built has other verdicts and is passed over.
    """
    has_it = database.value(
        """SELECT count(*) > 0 FROM duckdb_columns() WHERE database_name = current_database()
        AND schema_name || '.' || table_name = ? AND column_name = 'command'""",
        [RECONCILIATION],
    )
    if not has_it:
        return []
    rows = database.rows(
        f"""SELECT coalesce(app_name, app_id), statistic_date, metric, dify_figure, our_figure,
            reason, command, app_id
        FROM {RECONCILIATION} WHERE verdict = 'differs'
        ORDER BY statistic_date DESC, app_name, app_id, metric"""
    )
    return [DifferingFigure(*row) for row in rows]


def _shown(figure: Decimal | None) -> str:
    if figure is None:
        return "nothing"
    return f"{figure:f}".rstrip("0").rstrip(".") if "." in f"{figure:f}" else f"{figure:f}"
