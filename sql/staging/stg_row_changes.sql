-- One row per app, local day, kind of rows, and when they came and changed last: how many rows.
-- materialized: table
-- incremental: app_id, changed_date
-- app_id: Id of the app.
-- rows_kind: One of messages (with conversations and ratings), workflow_runs.
-- changed_date: Local day of the rows.
-- loaded_at: When they were loaded first, UTC.
-- changed_at: When they changed last, or were found deleted, UTC.
-- changed_rows: How many rows they are.

with row_changes as (
    select
        app_id,
        'messages' as rows_kind,
        created_date as changed_date,
        loaded_at,
        greatest(changed_at, absent_since) as changed_at
    from staging.stg_conversations
    union all
    select
        app_id,
        'messages' as rows_kind,
        created_date,
        loaded_at,
        greatest(changed_at, absent_since)
    from staging.stg_message_rows
    union all
    select
        app_id,
        'messages' as rows_kind,
        message_created_date,
        loaded_at,
        greatest(changed_at, absent_since)
    from staging.stg_message_feedbacks
    union all
    select
        app_id,
        'workflow_runs' as rows_kind,
        created_date,
        loaded_at,
        greatest(changed_at, absent_since)
    from staging.stg_workflow_runs
)

select
    app_id,
    rows_kind,
    changed_date,
    loaded_at,
    changed_at,
    count(*) as changed_rows
from row_changes
group by app_id, rows_kind, changed_date, loaded_at, changed_at
