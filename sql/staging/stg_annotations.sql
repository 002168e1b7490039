-- One row per annotation: an answer that an editor wrote.
-- annotation_id: Id of the annotation.
-- app_id: Id of the app.
-- question: Question that it answers.
-- answer: Answer of the editor.
-- hit_count: How often it gave the answer; moves no time.
-- created_at: When it was made, UTC.
-- created_date: Local day of created_at.
-- created_hour: Hour of created_at on the local clock, 0 to 23.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
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
