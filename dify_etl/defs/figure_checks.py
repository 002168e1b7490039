"""The check of the reconciliation: no figure of Dify's differs from what the rows give."""

from collections.abc import Sequence

import dagster as dg

from dify_etl.defs.check_help import with_help
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import listed
from dify_etl.sync.differing_figures import RECONCILIATION, DifferingFigure, differing_figures
from dify_etl.warehouse.database import Database

NO_FIGURE_DIFFERS = "no_figure_differs"
SHOWN_LINES = 20


def figure_check_spec(at: Location) -> dg.AssetCheckSpec:
    """Not blocking: what is good is published all the same, as with slices that are not whole."""
    return dg.AssetCheckSpec(
        NO_FIGURE_DIFFERS,
        asset=at.model(RECONCILIATION),
        description=with_help(
            NO_FIGURE_DIFFERS,
            "Of every app, settled day and metric our rows give Dify's figure, or a rule explains "
            f"the difference: no verdict of {RECONCILIATION} is `differs`.",
        ),
    )


def figures_judged(database: Database, at: Location) -> dg.AssetCheckResult:
    """Fails with both figures of what differs, and what reads the app again."""
    found = differing_figures(database)
    told: dict[str, dg.MetadataValue | int] = {"figures": len(found)} if found else {}
    if found:
        told["differing"] = differing_lines(found)
    return dg.AssetCheckResult(
        passed=not found,
        asset_key=at.model(RECONCILIATION),
        check_name=NO_FIGURE_DIFFERS,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=told,
    )


def differing_lines(differing: Sequence[DifferingFigure]) -> dg.MetadataValue:
    """At most 20 lines."""
    most = SHOWN_LINES - 1
    lines = [
        f"{one.app}, {one.day}, {one.metric}: {one.figures}. {one.reason} {one.command}"
        for one in differing[:most]
    ]
    if len(differing) > most:
        lines.append(f"and {len(differing) - most} more in {RECONCILIATION}")
    return listed(lines)
