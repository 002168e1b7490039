"""A small chart of the newest days, as SVG: for places that show pictures and run no script."""

from pathlib import Path

import duckdb

from dify_etl.warehouse.published_copy import opened_copy

PREVIEW_DAYS = 28
PREVIEW_TITLE = f"Messages and workflow runs of the last {PREVIEW_DAYS} days"
WIDTH, HEIGHT, TOP, BOTTOM = 640, 200, 30, 24
SERIES = (("messages", "#0072B2"), ("workflow runs", "#E69F00"))
_DAILY = f"""
    SELECT usage_date, messages, workflow_runs FROM marts.workspace_daily_usage
    WHERE usage_date > (SELECT max(through_date) FROM ops.published) - {PREVIEW_DAYS}
    ORDER BY usage_date
"""  # nosec B608 # a number of ours

Day = tuple[str, int, int]


def preview_of(copy: Path) -> bytes:
    """Bars of messages and workflow runs per day. WarehouseError: the copy cannot be opened."""
    with opened_copy(copy) as connection:
        try:
            rows = connection.execute(_DAILY).fetchall()
        except duckdb.Error:  # the mart was never built: the report says so
            rows = []
    return chart_of([(str(day), messages, runs) for day, messages, runs in rows]).encode()


def chart_of(days: list[Day]) -> str:
    """An SVG of days and numbers; no text of anybody is in it."""
    highest = max((max(one[1:]) for one in days), default=0)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
            f"<title>{PREVIEW_TITLE}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *_legend(highest),
            *(_bars(at, one, len(days), highest) for at, one in enumerate(days)),
            *_ends(days),
            "</svg>",
        ]
    )


def _legend(highest: int) -> list[str]:
    words = [
        f'<rect x="{8 + 110 * at}" y="8" width="10" height="10" fill="{colour}"/>'
        f'<text x="{22 + 110 * at}" y="17">{name}</text>'
        for at, (name, colour) in enumerate(SERIES)
    ]
    told = f'<text x="{WIDTH - 8}" y="17" text-anchor="end">highest: {highest:,}</text>'
    return [*words, told]


def _bars(at: int, day: Day, days: int, highest: int) -> str:
    slot = (WIDTH - 16) / days
    width = slot * 0.4
    return "".join(
        f'<rect x="{8 + at * slot + part * width:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" fill="{colour}">'
        f"<title>{day[0]}: {value:,} {name}</title></rect>"
        for part, (value, (name, colour)) in enumerate(zip(day[1:], SERIES, strict=True))
        for height in [(HEIGHT - TOP - BOTTOM) * value / highest if highest else 0.0]
    )


def _ends(days: list[Day]) -> list[str]:
    if not days:
        return [f'<text x="8" y="{HEIGHT // 2}">nothing was read of these days</text>']
    below = HEIGHT - 8
    return [
        f'<text x="8" y="{below}">{days[0][0]}</text>',
        f'<text x="{WIDTH - 8}" y="{below}" text-anchor="end">{days[-1][0]}</text>',
    ]
