-- One row per app, local day and person who asked, or started a run of a workflow app.
select
    app_id,
    activity_date as day,
    person_id,
    cast(sum(messages) as bigint) as messages,
    cast(sum(workflow_runs) as bigint) as workflow_runs
from staging.stg_activities
where activity_date between $first_day and $last_day
group by app_id, activity_date, person_id
