-- One row per annotation: an answer that an editor wrote.
-- created_at: When it was made, UTC.
-- created_date: Local day of created_at.
-- created_hour: Hour of created_at on the local clock, 0 to 23.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
-- is_absent: Whether Dify was proven to have it no more.

select
    annotation_id,
    app_id,
    question,
    answer,
    hit_count,
    created_at,
    created_date,
    created_hour,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.annotations
