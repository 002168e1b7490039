"""Days that are not as the four weeks before: what an app costs, how often its workflows fail."""

from dify_etl.alerts.incidents import Found, Incident, Moment, name_of
from dify_etl.warehouse.database import Database

WORKSPACE = "all apps together"
HISTORY_DAYS = 28
JUDGED_DAYS = 3  # and today: a night that was missed hides no day
# A day is far too dear when it costs more than three times what nine of ten days with any cost stay
# below, and nine times the average of these nine. On 17,000 quiet app-days of 25 simulated
# workspaces none was, and every day of ten times the average was.
DEAR, TIMES_USUAL = 3, 9
LEAST_DAYS_WITH_COST = 10
LEAST_SHARE = 0.01  # of what the workspace costs on a day: no alarm about cents
# More failures than chance gives: five standard errors above the rate of four weeks.
STANDARD_ERRORS = 5
LEAST_RUNS, LEAST_FAILED, LEAST_RATE = 10, 5, 0.1

_COSTS = f"""
WITH daily AS (
    SELECT app_id, max(app_name) AS app_name, currency, usage_date,
        sum(total_price + other_price)::DOUBLE AS price
    FROM marts.app_daily_cost
    WHERE usage_date >= $today - {HISTORY_DAYS + JUDGED_DAYS} AND usage_date <= $today
    GROUP BY app_id, currency, usage_date
),
costs AS (
    SELECT * FROM daily
    UNION ALL
    SELECT '', '{WORKSPACE}', currency, usage_date, sum(price) FROM daily
    GROUP BY currency, usage_date
),
history AS (
    SELECT c.app_id, c.app_name, c.currency, c.usage_date, c.price, list(h.price) AS prices,
        quantile_cont(h.price, 0.9) AS dear
    FROM costs c JOIN costs h ON c.app_id = h.app_id AND c.currency = h.currency
        AND h.usage_date >= c.usage_date - {HISTORY_DAYS} AND h.usage_date < c.usage_date
    WHERE c.usage_date >= $today - {JUDGED_DAYS} AND h.price > 0
    GROUP BY ALL
),
judged AS (
    SELECT *, list_avg(list_filter(prices, lambda price: price <= dear)) AS usual FROM history
)
SELECT j.app_id, j.app_name, j.currency, j.usage_date, j.price, j.usual
FROM judged j JOIN judged w
    ON w.app_id = '' AND j.currency = w.currency AND j.usage_date = w.usage_date
WHERE len(j.prices) >= {LEAST_DAYS_WITH_COST}
    AND j.price > {DEAR} * j.dear AND j.price > {TIMES_USUAL} * j.usual
    AND j.price - j.usual > {LEAST_SHARE} * w.usual
ORDER BY j.app_id, j.currency, j.usage_date
"""

_RATES = f"""
WITH daily AS (
    SELECT app_id, app_name, run_date, failed_runs::DOUBLE AS failed,
        (runs - unfinished_runs)::DOUBLE AS ended
    FROM marts.workflow_reliability
    WHERE run_date >= $today - {HISTORY_DAYS + JUDGED_DAYS} AND run_date <= $today
),
newest AS (
    SELECT * FROM daily
    WHERE run_date >= $today - {JUDGED_DAYS} AND ended >= {LEAST_RUNS}
    QUALIFY row_number() OVER (PARTITION BY app_id ORDER BY run_date DESC) = 1
),
judged AS (
    SELECT n.app_id, n.app_name, n.run_date, n.failed, n.ended,
        coalesce(sum(h.failed), 0) AS failed_before, coalesce(sum(h.ended), 0) AS ended_before,
        (failed_before + 1) / (ended_before + 4) AS usual
    FROM newest n LEFT JOIN daily h ON n.app_id = h.app_id
        AND h.run_date >= n.run_date - {HISTORY_DAYS} AND h.run_date < n.run_date
    GROUP BY ALL
)
SELECT app_id, app_name, run_date, failed::BIGINT, ended::BIGINT,
    if(ended_before > 0, failed_before / ended_before, NULL)
FROM judged
WHERE failed >= {LEAST_FAILED} AND failed / ended > {LEAST_RATE}
    AND failed / ended - usual > {STANDARD_ERRORS} * sqrt(usual * (1 - usual) / ended)
ORDER BY app_id
"""


def dear_days(database: Database, moment: Moment) -> Found:
    """One per app and currency with the newest day that cost far above its usual, prices in the
    currency; per currency of the workspace only where no app explains it.
    """
    found: dict[tuple[str, str], Incident] = {}
    for app_id, app, currency, day, price, usual in database.rows(_COSTS, {"today": moment.today}):
        digits = 2 if price >= 1 else 4
        unit = "of unknown currency" if currency == "unknown" else currency
        text = f"{day}: {price:,.{digits}f} {unit}, usually {usual:,.{digits}f}"
        key = f"{app_id or 'workspace'}:{currency}"
        found[currency, app_id] = Incident("cost", key, name_of(app) if app_id else WORKSPACE, text)
    explained = {currency for currency, app_id in found if app_id}
    for (currency, app_id), one in found.items():
        if app_id or currency not in explained:
            yield one


def failing_workflows(database: Database, moment: Moment) -> Found:
    """One per app whose newest day with ten runs has more failures than chance gives."""
    for app_id, app, day, failed, ended, usual in database.rows(_RATES, {"today": moment.today}):
        before = "never ran before" if usual is None else f"usually {usual:.0%}"
        text = f"{day}: {failed} of {ended} runs failed, {before}"
        yield Incident("failure_rate", app_id, name_of(app or app_id), text)
