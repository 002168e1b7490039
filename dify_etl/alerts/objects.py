"""Documents that are stuck, API keys that are too old, rows that vanish before they are read."""

from dify_etl.alerts.incidents import Found, Incident, Moment, name_of
from dify_etl.warehouse.database import Database

# Dify's retention is told by whole days of rows that vanished: at least so many of them.
LEAST_VANISHED_DAYS = 3
# And so large a part of all days that are older: half of the last four weeks may not be looked at
# again yet (DIFY_ETL_DEEP_READ_DAYS).
LEAST_VANISHED_SHARE = 0.3
WARN_DAYS = 7  # before Dify deletes

# Days of the workspace, by kind of rows: how old each was when the last of its rows was found gone.
# A read may find it nights later, so the youngest tell; a tenth may be rows that people deleted.
_AGES = """
WITH held AS (
    SELECT 'conversations' AS rows_of, created_date AS day, absent_since FROM raw.conversations
    WHERE app_id IN (SELECT app_id FROM raw.apps WHERE absent_since IS NULL)
    UNION ALL
    SELECT 'workflow_runs', created_date, absent_since FROM raw.workflow_runs
    WHERE app_id IN (SELECT app_id FROM raw.apps WHERE absent_since IS NULL)
),
days AS (
    SELECT rows_of, day, bool_and(absent_since IS NOT NULL) AS is_gone,
        date_diff('day', day, max(absent_since)::DATE) AS age
    FROM held WHERE day IS NOT NULL GROUP BY rows_of, day
),
ages AS (
    SELECT rows_of, quantile_disc(age, 0.1)::INTEGER AS age
    FROM days WHERE is_gone GROUP BY rows_of HAVING count(*) >= $least
)
SELECT a.rows_of, a.age FROM ages a
WHERE (SELECT avg(is_gone::INTEGER) FROM days d
    WHERE d.rows_of = a.rows_of AND d.day < $today - a.age) >= $share
"""
_UNREAD = """
WITH read AS (
    SELECT feed, app_id, min(slice_date) AS first_day FROM ops.slices
    WHERE feed IN (SELECT unnest($feeds)) AND slice_date IS NOT NULL
        AND app_id IN (SELECT app_id FROM raw.apps WHERE absent_since IS NULL)
    GROUP BY feed, app_id
)
SELECT r.feed, r.app_id, any_value(a.name), count(*), min(d.local_date)
FROM read r
JOIN ops.local_days d ON d.local_date >= r.first_day
LEFT JOIN ops.slices s
    ON s.feed = r.feed AND s.app_id = r.app_id AND s.slice_date = d.local_date
LEFT JOIN ops.accepted_slices x ON x.feed = r.feed AND x.app_id = r.app_id
    AND x.slice_date = d.local_date AND x.ended_at IS NULL
LEFT JOIN raw.apps a ON a.app_id = r.app_id
WHERE (s.feed IS NULL OR s.state IN ('failed', 'incomplete')) AND x.feed IS NULL
    AND d.local_date <= $today - ($age - $warn)::INTEGER
    AND d.local_date >= $today - ($age + $warn)::INTEGER
GROUP BY r.feed, r.app_id ORDER BY r.feed, r.app_id
"""
_FEEDS = {
    "conversations": ["conversations", "messages"],
    "workflow_runs": ["workflow_runs", "node_executions"],
}


def stuck_documents(database: Database, moment: Moment) -> Found:
    """One per dataset with documents that are being indexed for more than a day."""
    rows = database.rows(
        """SELECT dataset_id, dataset_name, stuck_documents, failed_documents
        FROM marts.document_health WHERE stuck_documents > 0 ORDER BY dataset_id"""
    )
    for dataset_id, name, stuck, failed in rows:
        documents = "document is" if stuck == 1 else "documents are"
        text = f"{stuck} {documents} being indexed for more than a day, {failed} failed"
        yield Incident("documents_stuck", dataset_id, name_of(name or dataset_id), text)


def old_keys(database: Database, moment: Moment) -> Found:
    """One per API key that is older than the policy's defaults allow, and is not being replaced."""
    rows = database.rows(
        """SELECT api_key_id, app_name, max_age_days FROM marts.api_key_posture
        WHERE is_over_age AND NOT coalesce(is_being_replaced, false) ORDER BY api_key_id"""
    )
    for key_id, app, most in rows:
        subject = f"key {key_id} of {name_of(app) if app else 'the datasets'}"
        yield Incident("key_over_age", key_id, subject, f"older than {most} days")


def ending_retention(database: Database, moment: Moment) -> Found:
    """One per feed and app with days that are not read, a week before rows of that age vanish.

    How long Dify keeps rows is told by days of which every row was found gone; where none were,
    nothing is known of it.
    """
    least = {"least": LEAST_VANISHED_DAYS, "share": LEAST_VANISHED_SHARE}
    ages = database.rows(_AGES, {**least, "today": moment.today})
    for rows_of, age in ages:
        asked = {"feeds": _FEEDS[rows_of], "age": age, "warn": WARN_DAYS, "today": moment.today}
        for feed, app_id, app, days, oldest in database.rows(_UNREAD, asked):
            are = "day is" if days == 1 else "days are"
            text = f"{days} {are} not read, from {oldest} on; rows vanish when {age} days old"
            subject = f"{feed} of {name_of(app or app_id)}"
            yield Incident("retention", f"{feed}:{app_id}", subject, text)
