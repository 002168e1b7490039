-- One row per app and local day with a run of a workflow; debugging is left out.
select
    app_id,
    run_date as day,
    runs,
    succeeded_runs,
    partly_succeeded_runs,
    failed_runs,
    stopped_runs,
    unfinished_runs,
    p50_elapsed_seconds,
    p95_elapsed_seconds
from marts.workflow_reliability
where run_date between $first_day and $last_day
order by day, app_id
