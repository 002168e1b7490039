"""Feed workflow_versions: of which apps the list is asked, as every version brings its graph."""

from collections.abc import Sequence
from datetime import timedelta

from dify_etl.sync.run import Sync


def due_apps(sync: Sync, app_ids: Sequence[str]) -> Sequence[str]:
    """The apps whose versions are read tonight.

    Published versions do not change but for their marks, and the list of apps tells which one is
    published and when its marks were changed last. So a list that was proven is asked again when
    that is not what is held, and after the nights of a deep read, as deletions and marks of older
    versions show nowhere else. A run for which days were asked, or all, asks every app.
    """
    if not sync.is_night:
        return app_ids
    oldest = sync.now - timedelta(days=sync.rules.deep_read_days or 36500)
    rows = sync.database.rows(
        """SELECT a.app_id FROM raw.apps a JOIN ops.slices s
            ON s.feed = 'workflow_versions' AND s.app_id = a.app_id AND s.slice_date IS NULL
        WHERE s.state = 'proven' AND s.deep_read_at > ? AND CASE
            WHEN a.workflow_id IS NULL THEN NOT EXISTS (
                FROM raw.workflow_versions v WHERE v.app_id = a.app_id AND v.absent_since IS NULL
            )
            ELSE EXISTS (
                FROM raw.workflow_versions v
                WHERE v.workflow_id = a.workflow_id AND v.app_id = a.app_id
                AND v.absent_since IS NULL
                AND (a.workflow_updated_at IS NULL OR a.workflow_updated_at = v.updated_at)
            )
        END""",
        [oldest],
    )
    held = {row[0] for row in rows}
    return [one for one in app_ids if one not in held]
