-- One row per app and local day with a message, or a run of a workflow app, that tells its seconds.
-- materialized: table
-- incremental: app_id, created_date
-- app_id: Id of the app.
-- created_date: Local day of the question or of the run's beginning.
-- seconds: Seconds of all of them together.
-- timed: How many they are.

with seconds_told as (
    select app_id, created_date, latency_seconds as seconds
    from staging.stg_messages
    where latency_seconds > 0
    union all
    select runs.app_id, runs.created_date, runs.elapsed_seconds as seconds
    from staging.stg_workflow_runs as runs
    inner join staging.stg_apps as apps on runs.app_id = apps.app_id
    where
        apps.app_mode = 'workflow'
        and runs.triggered_from is distinct from 'debugging'
        and runs.finished_at is not null
)

select
    app_id,
    created_date,
    fsum(seconds)::double as seconds,
    count(*) as timed
from seconds_told
group by app_id, created_date
