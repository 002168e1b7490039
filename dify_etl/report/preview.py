"""A small chart of the newest days as text, for places that show no pictures and run no script."""

from pathlib import Path

import duckdb

from dify_etl.warehouse.published_copy import opened_copy

PREVIEW_DAYS = 28
WIDTH = 24  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉"
_DAILY = f"""
    SELECT usage_date, messages, workflow_runs FROM marts.workspace_daily_usage
    WHERE usage_date > (SELECT max(through_date) FROM ops.published) - {PREVIEW_DAYS}
    ORDER BY usage_date
"""  # nosec B608 # a number of ours

Day = tuple[str, int, int]


def preview_of(copy: Path) -> str:
    """Bars of messages and workflow runs per day. WarehouseError: the copy cannot be opened."""
    with opened_copy(copy) as connection:
        try:
            rows = connection.execute(_DAILY).fetchall()
        except duckdb.Error:  # the mart was never built: the report says so
            rows = []
    return chart_of([(str(day), messages, runs) for day, messages, runs in rows])


def chart_of(days: list[Day]) -> str:
    """A line per day with a bar for each of its numbers; no text of anybody is in it."""
    if not days:
        return "nothing was read of these days"
    highest = max(max(one[1:]) for one in days)
    digits = max(len(f"{highest:,}"), len("messages"))
    head = f"{'day':10}  {'messages':>{digits}} {'':{WIDTH}}  {'runs':>{digits}}"
    lines = (
        f"{day}  {messages:>{digits},} {bar(messages, highest):{WIDTH}}  "
        f"{runs:>{digits},} {bar(runs, highest)}".rstrip()
        for day, messages, runs in days
    )
    return "\n".join([head, *lines])


def bar(value: int, highest: int) -> str:
    """A bar whose length is the part of the highest value, to an eighth of a character."""
    whole, eighths = divmod(round(value * WIDTH * 8 / highest) if highest else 0, 8)
    return ("█" * whole + EIGHTHS[eighths]).rstrip()
