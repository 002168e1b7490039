-- One row per annotation: an answer that an editor wrote.
-- created_at: When it was made, UTC.
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
